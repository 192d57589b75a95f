//! Which events were counted that came without a decision's id.
//!
//! An event that names its decision is known for as long as the decision waits, and is late afterwards. One
//! that was joined by its subject could, sent again later, join a newer decision and count twice: so its id is
//! remembered for a stated time after it came, whatever became of the decision. What is older than that is late.

use serde::{Deserialize, Serialize};

use super::{chunks::Chunks, ids::Key, index::Index};
use crate::slot::limits::EVENTS_REMEMBERED_MAX;

/// Ids forgotten by one event at most: what is left waits for the next one.
const AT_ONCE_MAX: usize = 64;

/// Event that named no decision. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// When it came, microseconds since 1970.
    #[serde(rename = "t")]
    pub(super) came_us: i64,
    /// The key of its id.
    #[serde(rename = "e")]
    pub(super) event: Key,
    /// A hash of what it was about; 0 for one from before that was kept.
    #[serde(rename = "c", default)]
    pub(super) content: u64,
}

/// The ids of counted events that named no decision. *Persisted* but for its index; the queue by chunks of its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct EventMemory {
    #[serde(skip)]
    queue: Chunks<Remembered>,
    /// When the newest event came that was forgotten before its time, microseconds since 1970; 0: none was.
    forgotten_us: i64,
    #[serde(skip)]
    index: Index,
}

impl PartialEq for EventMemory {
    fn eq(&self, other: &Self) -> bool {
        self.forgotten_us == other.forgotten_us && self.queue == other.queue
    }
}

impl EventMemory {
    /// Forgets events that came before `horizon_us`, before their time; returns how many those were.
    pub(super) fn forget_before(&mut self, horizon_us: i64) -> u64 {
        let mut forgotten = 0;
        while let Some(&Remembered { came_us, event, .. }) = self.queue.get(self.queue.first())
            && came_us < horizon_us
        {
            self.index.remove(event.word(), self.queue.first());
            self.queue.pop();
            self.forgotten_us = self.forgotten_us.max(came_us);
            forgotten += 1;
        }
        forgotten
    }

    /// Remembers an event, and forgets those that came before `horizon_us` or are too many; returns how many it forgot
    /// before their time.
    pub(super) fn remember(&mut self, remembered: Remembered, horizon_us: i64) -> u64 {
        self.add(remembered);
        let mut forgotten = 0;
        for _ in 0..AT_ONCE_MAX {
            let Some(&Remembered { came_us, event, .. }) = self.queue.get(self.queue.first()) else { break };
            let early = came_us >= horizon_us;
            if early && self.queue.len() <= EVENTS_REMEMBERED_MAX {
                break;
            }
            self.index.remove(event.word(), self.queue.first());
            self.queue.pop();
            if early {
                self.forgotten_us = self.forgotten_us.max(came_us);
                forgotten += 1;
            }
        }
        forgotten
    }

    fn add(&mut self, remembered: Remembered) {
        self.index.insert(remembered.event.word(), self.queue.next());
        self.queue.push(remembered);
    }

    /// The event of this key, if it is remembered.
    pub(super) fn find(&self, event: Key) -> Option<&Remembered> {
        let is = |ordinal| self.queue.get(ordinal).is_some_and(|have| have.event == event);
        self.queue.get(self.index.find(event.word(), self.queue.first(), is)?)
    }

    /// Whether an event that happened at `time_us` may have been counted and forgotten since.
    pub(super) fn forgot(&self, time_us: i64) -> bool {
        time_us <= self.forgotten_us
    }

    /// The same without its index: for a snapshot.
    pub(super) fn without_index(&self) -> Self {
        Self { queue: self.queue.clone(), forgotten_us: self.forgotten_us, index: Index::default() }
    }

    /// The queue, as a snapshot holds it.
    pub(super) fn queue(&self) -> &Chunks<Remembered> {
        &self.queue
    }

    /// Begins the queue at an ordinal, as a snapshot is read.
    pub(super) fn start_at(&mut self, first: u64) {
        self.queue = Chunks::starting_at(first);
    }

    /// Adds what a snapshot holds.
    pub(super) fn restore(&mut self, remembered: Remembered) {
        self.add(remembered);
    }
}
