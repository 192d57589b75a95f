//! Reader of a journal, beside the service that writes it or without one.

use std::{
    cell::RefCell,
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    ReadError, RecordHandler,
    chain::{ChainPoint, JournalId},
    check::{self, LossPolicy},
    quiet,
    rows::{self, Extent, Identity},
    sqlite::file_in,
    stretch::{self, Cursor},
    subjects::{self, KeyRecord},
    watermark::{self, WatermarkFile},
};

/// Range of the positions whose records are read. The default is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRange {
    /// Position before the first record.
    pub after: u64,
    /// Position of the last record; a journal that ends earlier is read to its end.
    pub up_to: u64,
}

impl Default for RecordRange {
    fn default() -> Self {
        Self::after(0)
    }
}

impl RecordRange {
    /// Creates the range from behind a position to the journal's end.
    pub fn after(position: u64) -> Self {
        Self { after: position, up_to: u64::MAX }
    }
}

/// Number of times that a chunk is read again because the files changed meanwhile.
const TRIES: usize = 5;

/// Way in which a journal is read.
#[derive(Debug)]
enum Access {
    /// Beside the process that writes it, with SQLite's own locks.
    Shared(Connection),
    /// Reading without locks and without changing a byte, because no process writes. Holds the files as they were.
    Quiet(Connection, FileStamps),
}

/// Inode, length and time of change of a journal's file and of its log. They show whether the files changed.
type FileStamps = [Option<(u64, u64, i64, i64)>; 2];

fn file_stamps(file: &Path) -> FileStamps {
    [file, &quiet::log_file(file)].map(|path| {
        let found = fs::metadata(path).ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    })
}

/// Returns `true` if a process owns the folder: it holds the lock.
fn is_owned(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder.join("lock")) else { return false };
    // Given back at once, when the file is closed; an owner that starts meanwhile tries again.
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Opens a database of the folder to read it. Unless a process owns the folder, nothing on the disk changes.
///
/// # Errors
///
/// [`ReadError::Open`].
pub fn open_to_read(folder: &Path, file: &Path) -> Result<Connection, ReadError> {
    if is_owned(folder) { open_shared(file) } else { quiet::open(file) }
}

/// Opens a database beside the process that writes it.
fn open_shared(file: &Path) -> Result<Connection, ReadError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(file, flags)
        .map_err(|why| ReadError::Open { file: file.to_owned(), why: why.to_string() })
}

/// Logs what a start that accepts a loss loses.
fn warn_of_loss(file: &Path, last: u64, acknowledged: u64) {
    if last < acknowledged {
        tracing::warn!(
            journal = %file.display(),
            last,
            acknowledged,
            lost_events = acknowledged - last,
            "acknowledged events are lost, and the start goes on without them because that was accepted"
        );
    }
}

impl Access {
    fn open(folder: &Path, file: &Path) -> Result<Self, ReadError> {
        if is_owned(folder) { open_shared(file).map(Self::Shared) } else { Self::open_quiet(file) }
    }

    fn open_quiet(file: &Path) -> Result<Self, ReadError> {
        let before = file_stamps(file);
        Ok(Self::Quiet(quiet::open(file)?, before))
    }

    fn connection(&self) -> &Connection {
        match self {
            Self::Shared(connection) | Self::Quiet(connection, _) => connection,
        }
    }

    /// Returns `false` if what a quiet connection reads may no longer be what is there.
    fn is_current(&self, file: &Path) -> bool {
        match self {
            Self::Shared(_) => true,
            Self::Quiet(_, before) => file_stamps(file) == *before,
        }
    }
}

/// Journal as it was when it was opened. Records that are appended later are not visible.
#[derive(Debug)]
pub struct JournalReader {
    folder: PathBuf,
    file: PathBuf,
    access: RefCell<Access>,
    extent: Extent,
    identity: Option<Identity>,
    marked: bool,
}

impl JournalReader {
    /// Opens the journal in `folder`, changing nothing. The folder may be in use.
    pub fn open(folder: &Path) -> Result<Self, ReadError> {
        let file = file_in(folder);
        let open = |why: String| ReadError::Open { file: file.clone(), why };
        if !file.exists() {
            return Err(open("there is none; is this the data folder?".into()));
        }
        let mut tries = 1;
        loop {
            let read = Self::read(folder, LossPolicy::Refused, Access::open);
            // A reader without locks that met a writer reads again.
            let moved = match &read {
                Ok(Some(reader)) => !reader.access.borrow().is_current(&file),
                Ok(None) => false,
                Err(_) => is_owned(folder),
            };
            if moved && tries < TRIES {
                tries += 1;
                continue;
            }
            return read?.ok_or_else(|| open("it is empty".into()));
        }
    }

    /// Opens the journal in a folder that this process owns, without changing anything, to see whether the service can
    /// start from it. Returns `None` if there is no journal, or an empty one, and nothing was acknowledged.
    pub fn open_owned(folder: &Path, loss: LossPolicy) -> Result<Option<Self>, ReadError> {
        let file = file_in(folder);
        if quiet::length(&file) == 0 && quiet::length(&quiet::log_file(&file)) == 0 {
            let marked =
                watermark::read(folder).map_err(|why| ReadError::Open { file: file.clone(), why: why.to_string() })?;
            let acknowledged = marked.map_or(0, |marked| marked.position);
            // No new journal takes the place of one that is gone.
            return if acknowledged == 0 || loss == LossPolicy::Accepted {
                warn_of_loss(&file, 0, acknowledged);
                Ok(None)
            } else {
                Err(ReadError::Short { file, last: 0, acknowledged })
            };
        }
        Self::read(folder, loss, |_, file| Access::open_quiet(file)).and_then(|reader| {
            let marked =
                watermark::read(folder).map_err(|why| ReadError::Open { file: file.clone(), why: why.to_string() })?;
            let checked = reader.as_ref().map(|reader| {
                let format = if reader.identity.is_some() { rows::FORMAT } else { reader.format() };
                check::JournalSummary { format, extent: reader.extent, identity: reader.identity }
            });
            check::require_watermark(folder, &file, checked.as_ref(), marked.as_ref(), loss)?;
            warn_of_loss(&file, reader.as_ref().map_or(0, Self::last), marked.map_or(0, |marked| marked.position));
            if let Some(reader) = &reader {
                check::refuse_cut(reader.access.borrow().connection(), &file, reader.last())?;
            }
            Ok(reader)
        })
    }

    fn format(&self) -> i64 {
        rows::format(self.access.borrow().connection(), &self.file).unwrap_or(0)
    }

    fn read(
        folder: &Path,
        loss: LossPolicy,
        access: impl FnOnce(&Path, &Path) -> Result<Access, ReadError>,
    ) -> Result<Option<Self>, ReadError> {
        let file = file_in(folder);
        // The watermark is read first, because the journal may grow meanwhile: a watermark is never ahead.
        let marked =
            watermark::read(folder).map_err(|why| ReadError::Open { file: file.clone(), why: why.to_string() })?;
        let access = access(folder, &file)?;
        let transaction = access
            .connection()
            .unchecked_transaction()
            .map_err(|why| ReadError::Open { file: file.clone(), why: why.to_string() })?;
        let checked = check::check(&transaction, folder, &file, marked.as_ref(), loss)?;
        drop(transaction);
        let Some(checked) = checked else { return Ok(None) };
        let (extent, identity) = (checked.extent, checked.identity);
        Ok(Some(Self {
            folder: folder.to_owned(),
            file,
            access: RefCell::new(access),
            extent,
            identity,
            marked: marked.is_some(),
        }))
    }

    /// Last position, or 0 if there is no record.
    pub fn last(&self) -> u64 {
        self.extent.last
    }

    /// Last position up to which only changes of slots are kept, because the retention of everything else is over.
    pub fn trimmed(&self) -> u64 {
        self.extent.trimmed
    }

    /// Identity of the journal, or `None` if it is of a format that has none.
    pub fn identity(&self) -> Option<JournalId> {
        self.identity.map(|identity| identity.journal)
    }

    /// Identity of the journal and where its chain begins.
    pub(super) fn full_identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Returns `true` if there is a whole watermark beside the journal, so that its end is known to be there.
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    /// Refuses a journal without a watermark, because its end may be lost.
    pub fn require_watermark(&self) -> Result<(), ReadError> {
        let format = if self.identity.is_some() { rows::FORMAT } else { self.format() };
        let checked = check::JournalSummary { format, extent: self.extent, identity: self.identity };
        let marked = watermark::read(&self.folder)
            .map_err(|why| ReadError::Open { file: watermark::path(&self.folder), why: why.to_string() })?;
        check::require_watermark(&self.folder, &self.file, Some(&checked), marked.as_ref(), LossPolicy::Refused)
    }

    /// The point of the journal's history at a position, or `None` where no batch that is kept ends there.
    pub fn point_at(&self, position: u64) -> Result<Option<ChainPoint>, ReadError> {
        let Some(Identity { journal, .. }) = self.identity else { return Ok(None) };
        let hash = self.with_connection(position, |connection| rows::hash_at(connection, &self.file, position))?;
        Ok(hash.map(|hash| ChainPoint { journal, position, hash }))
    }

    /// Refuses a file beside the journal that belongs to another journal, or to another history of this one. `point` is
    /// the point that the file names, or `None` for a version without one.
    pub fn refuse_foreign(&self, other: &Path, position: u64, point: Option<&ChainPoint>) -> Result<(), ReadError> {
        self.with_connection(position, |connection| {
            check::agree(connection, &self.file, self.identity.as_ref(), self.extent, position, point, other)
        })
    }

    /// Passes the records of a range to `each`, in order, and returns the last one's position. Records that outlived
    /// their retention are included.
    pub fn each(&self, range: RecordRange, each: &mut RecordHandler<'_>) -> Result<u64, ReadError> {
        let extent = Extent { last: range.up_to.min(self.extent.last), ..self.extent };
        let mut cursor = Cursor::new(&self.file, extent, self.identity, range.after);
        loop {
            let stretch = self.with_connection(cursor.at(), |connection| {
                stretch::read(connection, &self.file, cursor.at(), extent.last, cursor.is_chained())
            })?;
            if !cursor.hand_out(&stretch, each)? {
                return Ok(cursor.at());
            }
        }
    }

    /// Reads with a current connection, and repeats the reading if the files changed meanwhile.
    pub(super) fn with_connection<T>(
        &self,
        position: u64,
        read: impl Fn(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut tries = 1;
        loop {
            if !self.access.borrow().is_current(&self.file) {
                *self.access.borrow_mut() = Access::open(&self.folder, &self.file)?;
            }
            let done = read(self.access.borrow().connection());
            if self.access.borrow().is_current(&self.file) {
                return done;
            }
            if tries == TRIES {
                let why = "its files change while they are read, and no service holds the folder's lock".into();
                return done.and(Err(ReadError::Engine { file: self.file.clone(), position, why }));
            }
            tries += 1;
        }
    }

    pub(super) fn failed(&self, position: u64, why: &rusqlite::Error) -> ReadError {
        ReadError::Engine { file: self.file.clone(), position, why: why.to_string() }
    }

    /// Folder that the journal is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Record of the key by which the events know subjects, or `None` if no event needs one.
    pub fn subjects_key(&self) -> Result<Option<KeyRecord>, ReadError> {
        self.with_connection(0, |connection| subjects::read(connection, &self.file))
    }

    /// The file, for messages.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes a copy of the journal and its watermark into another folder. Both files are durable, but not the folder
    /// itself. The copy includes records that were appended since the journal was opened.
    pub fn copy_to(&self, folder: &Path) -> Result<(), ReadError> {
        let target = file_in(folder);
        let failed = |why: String| ReadError::Open { file: target.clone(), why };
        let name = target.to_str().ok_or_else(|| failed("its path is not UTF-8".into()))?;
        self.with_connection(self.extent.last, |connection| {
            // A file that changed meanwhile is copied again.
            let _ = fs::remove_file(&target);
            connection.execute("VACUUM INTO ?", [name]).map_err(|why| failed(why.to_string()))
        })?;
        File::open(&target).and_then(|file| file.sync_all()).map_err(|why| failed(why.to_string()))?;
        // The watermark reveals a copy whose end is lost.
        let copy = Self::open(folder)?;
        if let Some(point) = copy.point_at(copy.last())? {
            let written = WatermarkFile::begin(folder, &point);
            written.map_err(|why| ReadError::Watermark { folder: folder.to_owned(), why })?;
        } else {
            let written = watermark::write_without_identity(folder, copy.last());
            written.map_err(|why| ReadError::Watermark { folder: folder.to_owned(), why })?;
        }
        Ok(())
    }
}
