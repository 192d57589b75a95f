//! Records found in the pages of a damaged journal, whatever of the database around them is lost.
//!
//! A record's checksum covers its position and all its columns, so a row that decodes and agrees with its checksum is
//! whole wherever it is found. Every page of the file, and every page in the write-ahead log, is looked through for rows;
//! the tree of pages is not needed. A record that is longer than a page is followed through its overflow pages. Only
//! reads.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::{
    Stored,
    chain::JournalId,
    quiet::log_file,
    rows::{Identity, checksum, identity_checksum, retention_checksum},
    sqlite::file_in,
    wal::Frames,
};

/// Page size of a file whose header cannot be read: SQLite's default, which journals have.
const PAGE: usize = 4096;
/// First byte of a page of a table's rows.
const LEAF: u8 = 0x0d;
/// Longest record that is followed: longer than any that is written.
const RECORD_MAX: usize = 64 * 1024 * 1024;

/// Location of a page's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageLocation {
    File(u64),
    Log(u64),
}

/// Location of a row: a page, and the offset of the row in it.
#[derive(Debug, Clone, Copy)]
struct RowLocation {
    page: PageLocation,
    at: usize,
}

/// Result of scanning the pages of a journal.
#[derive(Debug)]
pub struct PageScan {
    file: Option<File>,
    log: Option<File>,
    page: usize,
    /// Newest place of each page that stands in the log.
    newest: HashMap<u32, u64>,
    found: BTreeMap<u64, RowLocation>,
    /// Kinds of the rows that do not agree with their checksum, by position, as far as they can be read.
    damaged: BTreeMap<u64, String>,
    trimmed: u64,
    identity: Option<Identity>,
}

/// A column of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ColumnValue<'a> {
    Null,
    Integer(i64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

/// Decodes a variable-length number of SQLite's, and returns it with its length in bytes.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    for (i, &byte) in bytes.iter().take(9).enumerate() {
        if i == 8 {
            return Some((number << 8 | u64::from(byte), 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((number, i + 1));
        }
    }
    None
}

/// The columns of a row's payload.
fn columns(payload: &[u8]) -> Option<Vec<ColumnValue<'_>>> {
    let (length, mut at) = varint(payload)?;
    let (types, mut values) = payload.split_at_checked(usize::try_from(length).ok()?)?;
    let mut columns = Vec::new();
    while at < types.len() {
        let (kind, bytes) = varint(&types[at..])?;
        at += bytes;
        let (length, is_text) = match kind {
            0 | 8 | 9 => (0, false),
            1..=4 => (usize::try_from(kind).ok()?, false),
            5 => (6, false),
            6 => (8, false),
            12.. => (usize::try_from((kind - 12) / 2).ok()?, kind % 2 == 1),
            _ => return None,
        };
        let (value, rest) = values.split_at_checked(length)?;
        values = rest;
        columns.push(match kind {
            0 => ColumnValue::Null,
            8 => ColumnValue::Integer(0),
            9 => ColumnValue::Integer(1),
            1..=6 => {
                let negative = value.first().is_some_and(|byte| *byte >= 0x80);
                ColumnValue::Integer(value.iter().fold(if negative { -1 } else { 0 }, |n, &b| n << 8 | i64::from(b)))
            }
            _ if is_text => ColumnValue::Text(value),
            _ => ColumnValue::Blob(value),
        });
    }
    Some(columns)
}

/// The bytes as text, or `None` if they are not UTF-8.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The record of a row of `events`, and the checksum in the row.
fn event<'a>(position: u64, columns: &[ColumnValue<'a>]) -> Option<(Stored<'a>, i64)> {
    let [
        ColumnValue::Null,
        ColumnValue::Integer(at_us),
        ColumnValue::Text(kind),
        ColumnValue::Text(slot),
        decision,
        ColumnValue::Integer(sum),
        ColumnValue::Blob(body),
    ] = columns
    else {
        return None;
    };
    let decision = match decision {
        ColumnValue::Null => None,
        ColumnValue::Text(decision) => Some(text(decision)?),
        ColumnValue::Integer(_) | ColumnValue::Blob(_) => return None,
    };
    Some((Stored { position, at_us: *at_us, kind: text(kind)?, slot: text(slot)?, decision, body }, *sum))
}

impl PageScan {
    /// Scans the journal in a folder. `acknowledged` is the last position that is known to have been committed.
    pub fn open(folder: &Path, acknowledged: u64) -> io::Result<Self> {
        let path = file_in(folder);
        let open = |path: &Path| match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        };
        let (file, log) = (open(&path)?, open(&log_file(&path))?);
        let frames = log.as_ref().map(Frames::read).transpose()?.unwrap_or_default();
        let page = frames.page.or_else(|| file.as_ref().and_then(page_size)).unwrap_or(PAGE);
        let mut carved = Self {
            file,
            log,
            page,
            newest: frames.committed().filter(|frame| frame.whole).map(|frame| (frame.page, frame.at)).collect(),
            found: BTreeMap::new(),
            damaged: BTreeMap::new(),
            trimmed: 0,
            identity: None,
        };
        let pages = carved.file.as_ref().map_or(Ok(0), |file| file.metadata().map(|file| file.len()))?;
        for at in (0..pages).step_by(page) {
            carved.look_through(PageLocation::File(at), u64::MAX);
        }
        for frame in frames.all() {
            carved.look_through(PageLocation::Log(frame.at), if frame.committed { u64::MAX } else { acknowledged });
        }
        let found = &carved.found;
        carved.damaged.retain(|position, _| !found.contains_key(position));
        Ok(carved)
    }

    /// Positions of the records that are whole.
    pub fn positions(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.found.keys().copied()
    }

    /// Kind of a record that is damaged, as far as it can be read.
    pub fn kind_of_damaged(&self, position: u64) -> Option<&str> {
        self.damaged.get(&position).map(String::as_str)
    }

    /// Last position up to which records were dropped.
    pub fn trimmed(&self) -> u64 {
        self.trimmed
    }

    /// Identity of the journal, or `None` if it is of a format that has none, or lost.
    pub fn identity(&self) -> Option<JournalId> {
        self.identity.map(|identity| identity.journal)
    }

    /// The record at a position, read again, or `None` if it is not whole.
    pub fn record(&self, position: u64) -> Option<SalvagedRecord> {
        let cell = self.found.get(&position)?;
        let page = self.read(cell.page);
        let (_, payload) = self.payload(&page, cell.at)?;
        columns(&payload).and_then(|columns| {
            let (stored, _) = event(position, &columns)?;
            Some(SalvagedRecord {
                position,
                at_us: stored.at_us,
                kind: stored.kind.to_owned(),
                slot: stored.slot.to_owned(),
                decision: stored.decision.map(str::to_owned),
                body: stored.body.to_vec(),
            })
        })
    }

    fn read(&self, place: PageLocation) -> Vec<u8> {
        let mut bytes = vec![0; self.page];
        let (file, at) = match place {
            PageLocation::File(at) => (&self.file, at),
            PageLocation::Log(at) => (&self.log, at),
        };
        let Some(file) = file else { return Vec::new() };
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                // A sector that cannot be read is lost, and the page with it.
                Err(_) => break,
            }
        }
        bytes.truncate(filled);
        bytes
    }

    fn page_by_number(&self, number: u32) -> Vec<u8> {
        match self.newest.get(&number) {
            Some(at) => self.read(PageLocation::Log(*at)),
            None => self.read(PageLocation::File(u64::from(number.saturating_sub(1)) * self.page as u64)),
        }
    }

    /// Scans a page, leaving out records beyond `up_to`.
    fn look_through(&mut self, place: PageLocation, up_to: u64) {
        let page = self.read(place);
        // The first page of the file begins with the file's header.
        for header in [0, 100] {
            if page.get(header) == Some(&LEAF) && page.len() > header + 8 {
                let cells = usize::from(u16::from_be_bytes([page[header + 3], page[header + 4]]));
                for pointer in page[header + 8..].chunks_exact(2).take(cells) {
                    let at = usize::from(u16::from_be_bytes([pointer[0], pointer[1]]));
                    if let Some((rowid, payload)) = self.payload(&page, at) {
                        self.add_row(rowid, &payload, RowLocation { page: place, at }, up_to);
                    }
                }
            }
        }
    }

    /// Number and payload of the row that begins at a byte of a page.
    fn payload(&self, page: &[u8], at: usize) -> Option<(u64, Vec<u8>)> {
        let head = || {
            let (length, first) = varint(page.get(at..)?)?;
            let (rowid, second) = varint(page.get(at + first..)?)?;
            Some((usize::try_from(length).ok().filter(|length| *length <= RECORD_MAX)?, rowid, at + first + second))
        };
        let (length, rowid, begin) = head()?;
        // SQLite's file format keeps a payload that fits on its page, and else as much of it as makes the last overflow
        // page full.
        let (usable, most) = (self.page, self.page - 35);
        let least = (usable - 12) * 32 / 255 - 23;
        let local = if length <= most {
            length
        } else {
            let some = least + (length - least) % (usable - 4);
            if some <= most { some } else { least }
        };
        let here = page.get(begin..begin + local)?;
        let mut payload = here.to_vec();
        let mut link = begin + local;
        let mut page_bytes = Vec::new();
        while payload.len() < length {
            let from: &[u8] = if page_bytes.is_empty() { page } else { &page_bytes };
            let next = from.get(link..link + 4)?.first_chunk::<4>()?;
            let next = u32::from_be_bytes(*next);
            if next == 0 {
                return None;
            }
            page_bytes = self.page_by_number(next);
            let some = (length - payload.len()).min(usable - 4);
            let more = page_bytes.get(4..4 + some)?;
            payload.extend_from_slice(more);
            link = 0;
        }
        Some((rowid, payload))
    }

    fn add_row(&mut self, rowid: u64, payload: &[u8], cell: RowLocation, up_to: u64) {
        let Some(columns) = columns(payload) else { return };
        if let Some((stored, sum)) = event(rowid, &columns) {
            if rowid == 0 || rowid > up_to {
                return;
            }
            if i64::from(checksum(&stored)) == sum {
                // The newest page counts, because its overflow pages are those that the record has now.
                self.found.insert(rowid, cell);
            } else {
                self.damaged.insert(rowid, stored.kind.chars().filter(|c| !c.is_control()).take(40).collect());
            }
            return;
        }
        match columns[..] {
            [ColumnValue::Null, ColumnValue::Integer(trimmed), ColumnValue::Integer(sum)] => {
                if let Ok(trimmed) = u64::try_from(trimmed)
                    && i64::from(retention_checksum(trimmed)) == sum
                {
                    self.trimmed = self.trimmed.max(trimmed);
                }
            }
            [ColumnValue::Null, ColumnValue::Blob(journal), ColumnValue::Integer(begun), ColumnValue::Integer(sum)] => {
                if let (Ok(journal), Ok(begun)) = (journal.try_into(), u64::try_from(begun)) {
                    let identity = Identity { journal: JournalId(journal), begun };
                    if i64::from(identity_checksum(&identity)) == sum {
                        self.identity = Some(identity);
                    }
                }
            }
            _ => {}
        }
    }
}

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalvagedRecord {
    /// Position of the record.
    pub position: u64,
    /// Time at which it was written, microseconds since 1970.
    pub at_us: i64,
    /// Kind of the event.
    pub kind: String,
    /// Slot that the event belongs to.
    pub slot: String,
    /// Decision that the event is about.
    pub decision: Option<String>,
    /// The event.
    pub body: Vec<u8>,
}

impl SalvagedRecord {
    pub(super) fn stored(&self) -> Stored<'_> {
        Stored {
            position: self.position,
            at_us: self.at_us,
            kind: &self.kind,
            slot: &self.slot,
            decision: self.decision.as_deref(),
            body: &self.body,
        }
    }
}

/// Page size in the header of a database file.
fn page_size(file: &File) -> Option<usize> {
    let mut bytes = [0; 18];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let size = match u16::from_be_bytes([bytes[16], bytes[17]]) {
        1 => 65_536,
        size => usize::from(size),
    };
    (size.is_power_of_two() && size >= 512 && bytes.starts_with(b"SQLite format 3")).then_some(size)
}
