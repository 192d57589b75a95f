//! What a run records: its events as the journal would store them, and its state as snapshots.

use std::{fmt, num::NonZeroU64, sync::mpsc::SyncSender};

use slotwise::{
    engine::{Body, Event, State, snapshot},
    node::encode_event,
};

use crate::learning::service::{ServiceError, Witness};

/// Records of a run that wait to be compared: enough that neither run waits for each single record of the
/// other, few enough that their snapshots, of some ten megabytes each, fit into memory.
pub const IN_FLIGHT_MAX: usize = 8;

/// What a record is of. Positions are those of the journal: the first event has 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An event.
    Event {
        /// Its position.
        number: u64,
        /// Its kind.
        kind: &'static str,
    },
    /// The state.
    Snapshot {
        /// The position of the last event in it.
        position: u64,
    },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { number, kind } => write!(f, "event {number} ({kind})"),
            Self::Snapshot { position } => write!(f, "the snapshot after event {position}"),
        }
    }
}

/// Some bytes of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What they are.
    pub what: What,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Sends what an engine does to where it is compared.
#[derive(Debug)]
pub struct Recorder {
    every: NonZeroU64,
    decisions: u64,
    sender: SyncSender<Record>,
}

impl Recorder {
    /// Records every event, and a snapshot after every `every` decisions.
    pub fn new(every: NonZeroU64, sender: SyncSender<Record>) -> Self {
        Self { every, decisions: 0, sender }
    }

    /// Records the state as it is now.
    ///
    /// # Errors
    ///
    /// [`ServiceError::GivenUp`] if nobody compares any more; [`ServiceError::Snapshot`].
    pub fn snapshot(&mut self, state: &State) -> Result<(), ServiceError> {
        let bytes = snapshot::encode(state).map_err(|why| ServiceError::Snapshot(why.to_string()))?;
        self.send(What::Snapshot { position: state.position() }, bytes)
    }

    fn send(&self, what: What, bytes: Vec<u8>) -> Result<(), ServiceError> {
        self.sender.send(Record { what, bytes }).map_err(|_| ServiceError::GivenUp)
    }
}

impl Witness for Recorder {
    fn applied(&mut self, event: &Event, state: &State) -> Result<(), ServiceError> {
        let record = encode_event(event);
        self.send(What::Event { number: state.position(), kind: record.kind }, record.body)?;
        if matches!(event.body, Body::Decided(_)) {
            self.decisions += 1;
            if self.decisions.is_multiple_of(self.every.get()) {
                self.snapshot(state)?;
            }
        }
        Ok(())
    }
}
