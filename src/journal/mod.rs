//! The journal: an ordered, durable list of events.
//!
//! A journal takes records in batches and gives them contiguous positions from 1. When [`Journal::append`] returns, the
//! records are on disk. Reading returns them in order, and verifies the checksum of each before anyone decodes it.
//!
//! A journal has an identity, and a chain of hashes over its batches ([`ChainPoint`]). Snapshots and the watermark
//! carry both, so that a file of another journal, or of another history, is noticed.
//!
//! Invariants:
//!
//! * A refused journal is left unchanged, to the last byte.
//! * After a failed commit the journal takes nothing more, because only the next start can read what the commit left on
//!   disk. A full disk is the one exception.
//! * A hole, a damaged record, or an end before what was acknowledged is an error that names the file and the position.
//!   It is never skipped.
//!
//! Deliberately not here: the meaning of records. A body is bytes.

mod carve;
mod chain;
mod check;
mod quiet;
mod reader;
mod rebuild;
mod rows;
mod search;
mod sqlite;
mod stretch;
mod subjects;
mod wal;
mod watermark;

pub use carve::{PageScan, SalvagedRecord};
pub use chain::{ChainHash, ChainPoint, JournalId};
pub use check::LossPolicy;
pub use reader::{JournalReader, RecordRange, open_to_read};
pub use rebuild::{NextRecord, RebuildPlan, rebuild};
pub use sqlite::SqliteJournal;
pub use subjects::{KeyRecord, record_subjects_key};

use std::path::{Path, PathBuf};

/// Record of one event, encoded, with the columns that people query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Time of writing, microseconds since 1970.
    pub at_us: i64,
    /// Kind of the event.
    pub kind: &'static str,
    /// Slot of the event.
    pub slot: String,
    /// Decision that the event is about.
    pub decision: Option<String>,
    /// The event.
    pub body: Vec<u8>,
}

/// A record as it is read back, its checksum verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// Position of the record.
    pub position: u64,
    /// Time of writing, microseconds since 1970.
    pub at_us: i64,
    /// Kind of the event.
    pub kind: &'a str,
    /// Slot of the event.
    pub slot: &'a str,
    /// Decision that the event is about.
    pub decision: Option<&'a str>,
    /// The event.
    pub body: &'a [u8],
}

/// Returns an error of the storage engine in one line. It may quote a damaged schema, which has many.
fn one_line(why: &str) -> String {
    why.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Reason why a journal cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened as a journal.
    #[error("cannot open the journal {} (nothing was read, from position 1 on): {}", file.display(), one_line(why))]
    Open {
        /// The file.
        file: PathBuf,
        /// Error of the storage engine.
        why: String,
    },
    /// The watermark cannot be written.
    #[error("cannot write the watermark beside the journal in {}: {why}", folder.display())]
    Watermark {
        /// The folder.
        folder: PathBuf,
        /// Error of the system.
        why: std::io::Error,
    },
    /// A newer version of the program wrote the journal.
    #[error("the journal {} is of format {found}, newer than this program's {known} (nothing was read, from position 1 on); run the newer program", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// Format of the journal.
        found: i64,
        /// Newest format that this program knows.
        known: i64,
    },
    /// The journal ends before a position that was acknowledged.
    #[error("the journal {} ends at position {last}, but position {acknowledged} was acknowledged: its end is damaged; restore it from a backup", file.display())]
    Short {
        /// The file.
        file: PathBuf,
        /// Last position in the journal.
        last: u64,
        /// Last position that was acknowledged.
        acknowledged: u64,
    },
    /// The watermark is missing or damaged, so that the last acknowledged position is unknown.
    #[error("the journal {} ends at position {last}, and {} is missing or damaged: it says whether events after that position were acknowledged. Copy a folder with all its files, `-wal` included, or restore a backup; to start without what may be lost, give --accept-loss", file.display(), watermark.display())]
    Unmarked {
        /// The file.
        file: PathBuf,
        /// Last position in the journal.
        last: u64,
        /// The watermark's file.
        watermark: PathBuf,
    },
    /// A file beside the journal belongs to another journal.
    #[error("{} belongs to the journal {theirs}, but {} is the journal {ours}: they come from different services (position {position}); put the files of one service together, or restore a backup", other.display(), file.display())]
    OtherJournal {
        /// The journal's file.
        file: PathBuf,
        /// The journal's identity.
        ours: String,
        /// The file beside it.
        other: PathBuf,
        /// The identity that the file names.
        theirs: String,
        /// The position that the file names.
        position: u64,
    },
    /// A file beside the journal was written when the journal had other records.
    #[error("{} and the journal {} have different histories: up to position {position} they did not see the same events; put the files of one time together, or restore a backup", other.display(), file.display())]
    OtherHistory {
        /// The journal's file.
        file: PathBuf,
        /// The file beside it.
        other: PathBuf,
        /// The position that the file names.
        position: u64,
    },
    /// The identity of the journal is missing or damaged.
    #[error("the journal {} is damaged before position 1: its identity is missing or its checksum is wrong; restore it from a backup", file.display())]
    NoIdentity {
        /// The file.
        file: PathBuf,
    },
    /// Records and the chain of hashes over them do not agree.
    #[error("the journal {} is damaged at position {position}: the records from there on are not those of the batch that was committed; restore it from a backup", file.display())]
    Chain {
        /// The file.
        file: PathBuf,
        /// First position of the batch, or of the record that is in none.
        position: u64,
    },
    /// Pages of the file are missing.
    #[error("the journal {} is cut off: it has {bytes} bytes, and what it holds up to position {last} takes {expected}; restore it from a backup, or try `slotwise journal salvage`", file.display())]
    Cut {
        /// The file.
        file: PathBuf,
        /// Length of the file.
        bytes: u64,
        /// The length it should have.
        expected: u64,
        /// The last position.
        last: u64,
    },
    /// Records were dropped while they were read.
    #[error("the journal {} dropped its events up to position {trimmed} while it was read, and the reader was at position {position}: their retention is over; begin again", file.display())]
    Overtaken {
        /// The file.
        file: PathBuf,
        /// Position of the last record that was handed out.
        position: u64,
        /// Last position up to which only changes of slots are kept.
        trimmed: u64,
    },
    /// The requested records were dropped when their retention was over.
    #[error("the journal {} no longer holds all events up to position {trimmed}: their retention is over; begin from a snapshot at or after it", file.display())]
    Trimmed {
        /// The file.
        file: PathBuf,
        /// Last position up to which only changes of slots are kept.
        trimmed: u64,
    },
    /// A position is missing.
    #[error("the journal {} has a hole: position {expected} is missing, {found} follows; restore it from a backup", file.display())]
    Hole {
        /// The file.
        file: PathBuf,
        /// Position that should follow.
        expected: u64,
        /// Position that was found.
        found: u64,
    },
    /// A record is damaged.
    #[error("the journal {} is damaged at position {position}: the checksum is wrong; restore it from a backup", file.display())]
    Checksum {
        /// The file.
        file: PathBuf,
        /// Position.
        position: u64,
    },
    /// The storage engine cannot read it.
    #[error("cannot read the journal {} after position {position}: {}", file.display(), one_line(why))]
    Engine {
        /// The file.
        file: PathBuf,
        /// The last position that was read.
        position: u64,
        /// Error of the storage engine.
        why: String,
    },
    /// The caller's handler rejected a record.
    #[error("the journal {} holds an event at position {position} that cannot be read: {why}", file.display())]
    Reader {
        /// The file.
        file: PathBuf,
        /// Position.
        position: u64,
        /// Reason.
        why: String,
    },
}

/// Reason why records were not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The disk is full. Nothing of the batch is in the journal, and it may be tried again.
    #[error("cannot write the journal {}: the disk is full; nothing of this was written; free some space, and writing goes on by itself", file.display())]
    Full {
        /// The file.
        file: PathBuf,
    },
    /// Another program holds the journal. Nothing of the batch is in the journal, and it may be tried again.
    #[error("cannot write the journal {}: another program is writing to it; nothing of this was written; end that program's transaction, and writing goes on by itself", file.display())]
    Busy {
        /// The file.
        file: PathBuf,
    },
    /// Writing failed; whether the batch is in the journal only the next start can tell.
    #[error("cannot write the journal {}: {}", file.display(), one_line(why))]
    Engine {
        /// The file.
        file: PathBuf,
        /// Error of the storage engine.
        why: String,
    },
    /// An earlier commit failed.
    #[error("the journal {} accepts nothing since a commit failed; restart the service", file.display())]
    Poisoned {
        /// The file.
        file: PathBuf,
    },
}

/// Handler of records. It returns `Err` with a reason if it cannot use a record.
pub type RecordHandler<'a> = dyn FnMut(&Stored<'_>) -> Result<(), String> + 'a;

/// The last acknowledged position according to the watermark in a folder, or `None` if there is no whole watermark.
pub fn acknowledged(folder: &Path) -> Result<Option<u64>, ReadError> {
    let read = watermark::read(folder);
    let read = read.map_err(|why| ReadError::Open { file: watermark::path(folder), why: why.to_string() })?;
    Ok(read.map(|watermark| watermark.position))
}

/// A durable, ordered log.
pub trait Journal: Send {
    /// Path of the file, for messages.
    fn file(&self) -> &Path;

    /// Appends all of `records` durably, or none, and returns the position of the last one.
    fn append(&mut self, records: &[Record]) -> Result<u64, AppendError>;

    /// Position of the last record, or 0 if there is none.
    fn last(&self) -> u64;

    /// Last position up to which [`trim`](Self::trim) dropped records, or 0 if it dropped none.
    fn trimmed(&self) -> u64;

    /// Point of the history at the journal's end.
    fn point(&self) -> ChainPoint;

    /// Checks that the journal's files are still those that were opened. If they are not, the journal takes nothing
    /// more.
    fn check_files(&mut self) -> Result<(), AppendError> {
        Ok(())
    }

    /// Bytes of the write-ahead log that could not be moved into the file, because something still reads them.
    fn blocked_log_bytes(&self) -> u64 {
        0
    }

    /// Passes every record after `position` to `each`, in order, and returns the last one's position.
    fn replay(&mut self, position: u64, each: &mut RecordHandler<'_>) -> Result<u64, ReadError>;

    /// Passes the record at `position` to `each`. Returns `false` if the record was dropped, or there is none yet.
    fn read(&mut self, position: u64, each: &mut RecordHandler<'_>) -> Result<bool, ReadError>;

    /// Writes existing data again to find out whether a full disk has room by now.
    fn probe(&mut self) -> Result<(), AppendError>;

    /// Drops records of these kinds that were written before `before_us` and lie at or before `up_to`, oldest first,
    /// among at most `most` records. Returns `true` if there may be more.
    fn trim(&mut self, kinds: &[&str], before_us: i64, up_to: u64, most: u64) -> Result<bool, AppendError>;
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The storage engine quotes a damaged schema, which has many lines. An error has one.
    #[test]
    fn a_damaged_schema_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
        let record =
            Record { at_us: 1_000, kind: "decided", slot: "offers".into(), decision: None, body: vec![1; 160] };
        assert_eq!(journal.append(&[record]).unwrap(), 1);
        drop(journal);
        let file = folder.path().join("journal.sqlite3");
        let mut bytes = fs::read(&file).unwrap();
        let places: Vec<usize> =
            bytes.windows(7).enumerate().filter(|(_, word)| word == b"INTEGER").map(|(at, _)| at).collect();
        assert!(places.len() > 3, "{places:?}");
        let mut quoted = 0;
        for at in places {
            // A quotation mark that is not closed makes the engine quote all that follows.
            bytes[at] = b'`';
            fs::write(&file, &bytes).unwrap();
            if let Err(why) = SqliteJournal::open(folder.path(), LossPolicy::Refused) {
                let why = why.to_string();
                quoted += usize::from(why.contains("malformed") && why.contains("STRICT"));
                assert!(!why.contains(char::is_control) && why.contains("position 1"), "{why}");
            }
            bytes[at] = b'I';
        }
        assert!(quoted > 0);
    }
}
