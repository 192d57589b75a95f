//! Memory of the counted events that did not name their decision.
//!
//! An event that names its decision is known while the decision waits, and is late afterwards. An event that was joined
//! by its subject could join a newer decision when it is sent again, and count twice. So its id is remembered for a
//! stated time after it arrived, even if its decision has left. An event older than that is late.

use serde::{Deserialize, Serialize};

use crate::{
    engine::{chunked_queue::ChunkedQueue, ids::Hash128, index::Index},
    slot::limits::EVENTS_REMEMBERED_MAX,
};

/// Largest number of ids that one event makes the memory forget. The next event continues.
const AT_ONCE_MAX: usize = 64;

/// Event that named no decision. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::engine) struct RememberedEvent {
    /// Time of arrival, microseconds since 1970.
    #[serde(rename = "t")]
    pub(in crate::engine) came_us: i64,
    /// Key of the event's id.
    #[serde(rename = "e")]
    pub(in crate::engine) event: Hash128,
    /// Hash of its content, or 0 for an event from before contents were kept.
    #[serde(rename = "c", default)]
    pub(in crate::engine) content: u64,
}

/// Ids of counted events that named no decision. *Persisted* without its index; the queue has sections of its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::engine) struct EventMemory {
    #[serde(skip)]
    queue: ChunkedQueue<RememberedEvent>,
    /// Arrival of the newest event that was forgotten early, microseconds since 1970, or 0 if none was.
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
    /// Forgets the events that arrived before `horizon_us`, all of them early. Returns how many there were.
    pub(in crate::engine) fn forget_before(&mut self, horizon_us: i64) -> u64 {
        let mut forgotten = 0;
        while let Some(&RememberedEvent { came_us, event, .. }) = self.queue.get(self.queue.first())
            && came_us < horizon_us
        {
            self.index.remove(event.word(), self.queue.first());
            self.queue.pop();
            self.forgotten_us = self.forgotten_us.max(came_us);
            forgotten += 1;
        }
        forgotten
    }

    /// Remembers an event. Forgets those that arrived before `horizon_us`, and the oldest ones if there are too many.
    /// Returns how many were forgotten early.
    pub(in crate::engine) fn add(&mut self, event: RememberedEvent, horizon_us: i64) -> u64 {
        self.insert(event);
        let mut forgotten = 0;
        for _ in 0..AT_ONCE_MAX {
            let Some(&RememberedEvent { came_us, event, .. }) = self.queue.get(self.queue.first()) else { break };
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

    fn insert(&mut self, remembered: RememberedEvent) {
        self.index.insert(remembered.event.word(), self.queue.next());
        self.queue.push(remembered);
    }

    /// Returns the event of this key, if it is remembered.
    pub(in crate::engine) fn find(&self, event: Hash128) -> Option<&RememberedEvent> {
        let is = |ordinal| self.queue.get(ordinal).is_some_and(|have| have.event == event);
        self.queue.get(self.index.find(event.word(), self.queue.first(), is)?)
    }

    /// Returns `true` if an event that happened at `time_us` may have been counted and forgotten since.
    pub(in crate::engine) fn may_have_forgotten(&self, time_us: i64) -> bool {
        time_us <= self.forgotten_us
    }

    /// Returns a copy without the index, for a snapshot.
    pub(in crate::engine) fn without_index(&self) -> Self {
        Self { queue: self.queue.clone(), forgotten_us: self.forgotten_us, index: Index::default() }
    }

    /// The queue, as a snapshot holds it.
    pub(in crate::engine) fn queue(&self) -> &ChunkedQueue<RememberedEvent> {
        &self.queue
    }

    /// Makes the queue start at an ordinal, for reading a snapshot.
    pub(in crate::engine) fn start_at(&mut self, first: u64) {
        self.queue = ChunkedQueue::starting_at(first);
    }

    /// Adds an event from a snapshot.
    pub(in crate::engine) fn restore(&mut self, remembered: RememberedEvent) {
        self.insert(remembered);
    }
}
