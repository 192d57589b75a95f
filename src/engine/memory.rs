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

/// When an event came, microseconds since 1970, and its key. *Persisted.*
pub(super) type Remembered = (i64, Key);

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
    /// Remembers an event that came at `at_us`, and forgets those that came before `horizon_us` or are too many.
    pub(super) fn remember(&mut self, at_us: i64, event: Key, horizon_us: i64) {
        self.add((at_us, event));
        for _ in 0..AT_ONCE_MAX {
            let Some(&(came_us, key)) = self.queue.get(self.queue.first()) else { return };
            let early = came_us >= horizon_us;
            if early && self.queue.len() <= EVENTS_REMEMBERED_MAX {
                return;
            }
            self.index.remove(key.word(), self.queue.first());
            self.queue.pop();
            if early {
                self.forgotten_us = self.forgotten_us.max(came_us);
            }
        }
    }

    fn add(&mut self, remembered: Remembered) {
        self.index.insert(remembered.1.word(), self.queue.next());
        self.queue.push(remembered);
    }

    /// Whether this event is remembered.
    pub(super) fn knows(&self, event: Key) -> bool {
        let is = |ordinal| self.queue.get(ordinal).is_some_and(|&(_, key)| key == event);
        self.index.find(event.word(), self.queue.first(), is).is_some()
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
