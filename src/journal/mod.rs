//! The journal: what happened, in order, durable.
//!
//! A journal takes records in batches and gives them contiguous positions from 1;
//! when [`Journal::append`] returns, they are on disk. It gives them back in order,
//! each verified by its own checksum before anyone decodes it.
//!
//! Invariants: after a failed commit nothing is taken any more (what that commit
//! left on disk is unknown until the next start reads it); a hole or a damaged
//! record is an error that names file and position, never skipped.
//!
//! Deliberately not here: what the records mean. A body is bytes.

mod sqlite;

pub use sqlite::SqliteJournal;

use std::path::PathBuf;

/// One event, encoded, with the columns that people query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was taken, microseconds since 1970.
    pub at_us: i64,
    /// What kind of event it is.
    pub kind: &'static str,
    /// The slot it belongs to.
    pub slot: String,
    /// The decision it is about.
    pub decision: Option<String>,
    /// The event.
    pub body: Vec<u8>,
}

/// Why a journal cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened as what it should be.
    #[error("cannot open the journal {}: {why}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What the storage engine says.
        why: String,
    },
    /// It was written by a newer version.
    #[error("the journal {} is of format {found}, newer than this program's {known}; run the newer program", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A position is missing.
    #[error("the journal {} has a hole: position {expected} is missing, {found} follows; restore it from a backup", file.display())]
    Hole {
        /// The file.
        file: PathBuf,
        /// The position that should have come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// A record is damaged.
    #[error("the journal {} is damaged at position {position}: the checksum is wrong; restore it from a backup", file.display())]
    Checksum {
        /// The file.
        file: PathBuf,
        /// Where.
        position: u64,
    },
    /// The storage engine cannot read it.
    #[error("cannot read the journal {} after position {position}: {why}", file.display())]
    Engine {
        /// The file.
        file: PathBuf,
        /// The last position that was read.
        position: u64,
        /// What the storage engine says.
        why: String,
    },
    /// Whoever was reading could not use a record.
    #[error("the journal {} holds an event at position {position} that cannot be read: {why}", file.display())]
    Reader {
        /// The file.
        file: PathBuf,
        /// Where.
        position: u64,
        /// Why.
        why: String,
    },
}

/// Why records were not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The disk is full. Nothing of the batch is in the journal.
    #[error("cannot write the journal {}: the disk is full", file.display())]
    Full {
        /// The file.
        file: PathBuf,
    },
    /// Writing failed; whether the batch is in the journal only the next start can tell.
    #[error("cannot write the journal {}: {why}", file.display())]
    Engine {
        /// The file.
        file: PathBuf,
        /// What the storage engine says.
        why: String,
    },
    /// An earlier commit failed.
    #[error("the journal {} takes nothing since a commit failed; restart", file.display())]
    Poisoned {
        /// The file.
        file: PathBuf,
    },
}

/// Takes a record's position and body, or says why it cannot use it.
pub type Each<'a> = dyn FnMut(u64, &[u8]) -> Result<(), String> + 'a;

/// A durable, ordered log.
pub trait Journal: Send {
    /// Takes `records`, durably, all or none, and returns the position of the last one.
    fn append(&mut self, records: &[Record]) -> Result<u64, AppendError>;

    /// The position of the last record; 0: there is none.
    fn last(&self) -> u64;

    /// Hands every record after `position` to `each`, in order, with its position; returns the last one's.
    fn replay(&mut self, position: u64, each: &mut Each<'_>) -> Result<u64, ReadError>;
}
