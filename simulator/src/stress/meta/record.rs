//! Records of a run: its events as the journal would store them, and its state as snapshots.

use std::{fmt, num::NonZeroU64, sync::mpsc::SyncSender};

use slotwise::{
    engine::{Body, Event, State, snapshot},
    node::encode_event,
};

use crate::learning::service::{ServiceError, Witness};

/// Number of records that wait for comparison. There are enough that neither run waits for every single record of the
/// other, and few enough that their snapshots, of some ten megabytes each, fit into memory.
pub const IN_FLIGHT_MAX: usize = 8;

/// Kind of a record. Positions are those of the journal, where the first event has 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// An event.
    Event {
        /// Position of the event.
        number: u64,
        /// Kind of the event.
        kind: &'static str,
    },
    /// The state as a snapshot.
    Snapshot {
        /// Position of the last event in the snapshot.
        position: u64,
    },
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { number, kind } => write!(f, "event {number} ({kind})"),
            Self::Snapshot { position } => write!(f, "the snapshot after event {position}"),
        }
    }
}

/// A record of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Kind of the record.
    pub what: RecordKind,
    /// Contents of the record.
    pub bytes: Vec<u8>,
}

/// Witness of an engine that sends its records to the comparison.
#[derive(Debug)]
pub struct Recorder {
    every: NonZeroU64,
    decisions: u64,
    sender: SyncSender<RunRecord>,
}

impl Recorder {
    /// Records every event, and a snapshot after every `every` decisions.
    pub fn new(every: NonZeroU64, sender: SyncSender<RunRecord>) -> Self {
        Self { every, decisions: 0, sender }
    }

    /// Records the current state.
    ///
    /// # Errors
    ///
    /// Returns [`ServiceError::GivenUp`] if the comparison has ended, or [`ServiceError::Snapshot`].
    pub fn snapshot(&mut self, state: &State) -> Result<(), ServiceError> {
        let bytes = snapshot::encode(state).map_err(|why| ServiceError::Snapshot(why.to_string()))?;
        self.send(RecordKind::Snapshot { position: state.position() }, bytes)
    }

    fn send(&self, what: RecordKind, bytes: Vec<u8>) -> Result<(), ServiceError> {
        self.sender.send(RunRecord { what, bytes }).map_err(|_| ServiceError::GivenUp)
    }
}

impl Witness for Recorder {
    fn applied(&mut self, event: &Event, state: &State) -> Result<(), ServiceError> {
        let record = encode_event(event);
        self.send(RecordKind::Event { number: state.position(), kind: record.kind }, record.body)?;
        if matches!(event.body, Body::Decided(_)) {
            self.decisions += 1;
            if self.decisions.is_multiple_of(self.every.get()) {
                self.snapshot(state)?;
            }
        }
        Ok(())
    }
}
