//! Errors of a node.

use std::path::PathBuf;

use super::{folder::FolderError, subjects::KeyError};
use crate::{
    journal::{AppendError, ReadError},
    slot::{FieldError, SlotId},
};

/// Reason why a node could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The journal ends before what a snapshot says was durable.
    #[error("the journal in {} ends at position {last}, but a snapshot says that position {claimed} was durable; restore the journal from a backup", folder.display())]
    JournalBehind {
        /// The folder.
        folder: PathBuf,
        /// The journal's last position.
        last: u64,
        /// The snapshot's.
        claimed: u64,
    },
    /// No readable snapshot holds the records that were dropped from the journal.
    #[error("the journal in {} holds everything only after position {trimmed}, and of the snapshots that hold what was before, {damaged}; restore the folder from a backup", folder.display())]
    NoSnapshot {
        /// The folder.
        folder: PathBuf,
        /// Last position whose retention in the journal is over.
        trimmed: u64,
        /// Faults of the snapshots.
        damaged: String,
    },
    /// The snapshots have an older format, and the journal no longer holds all that they stand for.
    #[error("the snapshot {} has format {version}, which this program no longer reads, and the journal no longer holds the decisions and rewards up to position {trimmed}, so its state cannot be rebuilt; keep running the program that wrote it, or export its decisions with that program (slotwise journal export) and start this one with a new folder", path.display())]
    OlderSnapshot {
        /// The file.
        path: PathBuf,
        /// Version of its format.
        version: u32,
        /// Position up to which the journal was trimmed.
        trimmed: u64,
    },
    /// The folder has no record and no snapshot.
    #[error("the folder {} holds no record and no snapshot that is whole; is this the data folder?", .0.display())]
    NothingWhole(PathBuf),
    /// The key of its subjects is missing, damaged or another folder's.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The system gives no thread.
    #[error("cannot start the writer")]
    Thread(#[source] std::io::Error),
}

/// Reason why something was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// The journal failed while it committed this.
    #[error(transparent)]
    Journal(#[from] AppendError),
    /// The journal failed before; this did not happen.
    #[error("the service takes no writes: {0}")]
    Failed(String),
    /// Too many decisions, events or changes wait for the journal.
    #[error("too much waits to be written to the journal; try again shortly")]
    Busy,
    /// The node is stopping; this did not happen.
    #[error("the service is stopping")]
    Stopped,
    /// The writer was gone before it answered.
    #[error("the service stopped before it could say whether this was written; send it again with the same ids")]
    Unanswered,
}

/// Reason why one request of a call was not decided. It does not affect the other requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The slot does not exist.
    #[error("slot '{slot}' not found{suggestion}")]
    SlotNotFound {
        /// The id.
        slot: SlotId,
        /// Slot id that the caller may have meant.
        suggestion: String,
    },
    /// A field is at fault.
    #[error(transparent)]
    Field(#[from] FieldError),
}
