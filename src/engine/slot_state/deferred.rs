//! Deferred decisions: decisions that count only once somebody has seen what they chose.
//!
//! A slot keeps no more of such a decision than finds it again: a hundred bytes. Its record stays in the journal. When the
//! decision is confirmed, the writer of the journal reads the record there and writes it again, as a decision that is
//! made now. So what a slot learns follows from confirmed decisions alone.

use serde::{Deserialize, Serialize};

use crate::{
    engine::{chunked_queue::ChunkedQueue, ids::DecisionId, index::Index, pending::subject_keys, subject::Subject},
    slot::limits::{DEFERRED_MAX, SHOWINGS_MAX},
};

/// Numbers of a slot's deferred decisions since it was created or reset. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeferredCounts {
    /// Deferred decisions that were made.
    pub made: u64,
    /// Confirmed ones.
    pub confirmed: u64,
    /// Expired ones, which nobody confirmed in time.
    pub expired: u64,
}

/// Deferred decision that may still be confirmed. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct DeferredEntry {
    #[serde(rename = "i")]
    id: DecisionId,
    /// Position of its record in the journal.
    #[serde(rename = "p")]
    position: u64,
    /// Time until which it may be confirmed, microseconds since 1970.
    #[serde(rename = "e")]
    expire_us: i64,
    /// Words by which its subject and session find it; 0 stands for none.
    #[serde(rename = "s")]
    subjects: [u64; 2],
}

/// Deferred decisions of a slot. *Persisted* in sections of their own, but for the counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::engine) struct DeferredDecisions {
    counts: DeferredCounts,
    /// Number of entries that still wait.
    #[serde(skip)]
    waiting: usize,
    /// Oldest first. `None` stands for a decision that was confirmed.
    #[serde(skip)]
    queue: ChunkedQueue<Option<DeferredEntry>>,
    #[serde(skip)]
    ids: Index,
    #[serde(skip)]
    subjects: Index,
}

/// Indices are not compared: they follow from the queue.
impl PartialEq for DeferredDecisions {
    fn eq(&self, other: &Self) -> bool {
        self.counts == other.counts && self.queue == other.queue
    }
}

fn id_word(id: DecisionId) -> u64 {
    id.as_bytes()[8..].iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn subject_words(subject: &Subject) -> [u64; 2] {
    let mut words = [0; 2];
    for (word, key) in words.iter_mut().zip(subject_keys(subject)) {
        *word = key.word().max(1);
    }
    words
}

impl DeferredDecisions {
    /// Numbers of the decisions.
    pub(in crate::engine) fn counts(&self) -> DeferredCounts {
        self.counts
    }

    /// Number of decisions that may still be confirmed.
    pub(in crate::engine) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The queue, as a snapshot holds it.
    pub(in crate::engine) fn queue(&self) -> &ChunkedQueue<Option<DeferredEntry>> {
        &self.queue
    }

    /// Returns a copy without indices for a snapshot.
    pub(in crate::engine) fn without_indices(&self) -> Self {
        let queue = self.queue.clone();
        Self { counts: self.counts, waiting: self.waiting, queue, ids: Index::default(), subjects: Index::default() }
    }

    /// Makes the queue start at an ordinal, for reading a snapshot.
    pub(in crate::engine) fn start_at(&mut self, first: u64) {
        self.queue = ChunkedQueue::starting_at(first);
    }

    /// Adds an entry, as a snapshot holds it.
    pub(in crate::engine) fn restore(&mut self, entry: Option<DeferredEntry>) {
        let ordinal = self.queue.push(entry);
        if let Some(entry) = entry {
            self.waiting += 1;
            self.ids.insert(id_word(entry.id), ordinal);
            for word in entry.subjects.into_iter().filter(|&word| word != 0) {
                self.subjects.insert(word, ordinal);
            }
        }
    }

    /// Adds a decision whose record stands at `position`. Returns the number of decisions that made way early.
    pub(in crate::engine) fn add(&mut self, position: u64, id: DecisionId, expire_us: i64, subject: &Subject) -> u64 {
        let mut early = 0;
        while self.queue.len() >= DEFERRED_MAX {
            early += u64::from(self.drop_oldest());
        }
        self.counts.made += 1;
        self.restore(Some(DeferredEntry { id, position, expire_us, subjects: subject_words(subject) }));
        early
    }

    /// Drops the decisions that nobody confirmed in time, at most `most`. Decisions leave in the order in which they
    /// came.
    pub(in crate::engine) fn expire(&mut self, at_us: i64, most: usize) {
        for _ in 0..most {
            match self.queue.get(self.queue.first()) {
                Some(Some(entry)) if entry.expire_us >= at_us => return,
                Some(_) => drop(self.drop_oldest()),
                None => return,
            }
        }
    }

    /// Drops the decisions that were made before `horizon_us`. Returns how many of them could still have been confirmed.
    pub(in crate::engine) fn forget_before(&mut self, horizon_us: i64) -> u64 {
        let mut forgotten = 0;
        while let Some(oldest) = self.queue.get(self.queue.first())
            && oldest.is_none_or(|entry| entry.id.at_us() < horizon_us)
        {
            forgotten += u64::from(self.drop_oldest());
        }
        forgotten
    }

    /// Forgets the decisions of a subject, which expire with that.
    pub(in crate::engine) fn forget_subject(&mut self, subject: &Subject) {
        for word in subject_words(subject).into_iter().filter(|&word| word != 0) {
            let ordinals: Vec<u64> = self.subjects.all(word, self.queue.first()).collect();
            for ordinal in ordinals {
                let is_of_subject = self.entry(ordinal).is_some_and(|entry| entry.subjects.contains(&word));
                if is_of_subject && let Some(entry) = self.queue.get_mut(ordinal).and_then(Option::take) {
                    self.remove_indices(ordinal, entry);
                    self.counts.expired += 1;
                }
            }
        }
    }

    /// Drops the oldest entry. Returns `true` if it was not confirmed.
    fn drop_oldest(&mut self) -> bool {
        let ordinal = self.queue.first();
        let Some(Some(entry)) = self.queue.pop() else { return false };
        self.remove_indices(ordinal, entry);
        self.counts.expired += 1;
        true
    }

    fn remove_indices(&mut self, ordinal: u64, entry: DeferredEntry) {
        self.waiting -= 1;
        self.ids.remove(id_word(entry.id), ordinal);
        for word in entry.subjects.into_iter().filter(|&word| word != 0) {
            self.subjects.remove(word, ordinal);
        }
    }

    fn ordinal(&self, id: DecisionId) -> Option<u64> {
        let is = |ordinal| self.entry(ordinal).is_some_and(|entry| entry.id == id);
        self.ids.find(id_word(id), self.queue.first(), is)
    }

    fn entry(&self, ordinal: u64) -> Option<DeferredEntry> {
        self.queue.get(ordinal).copied().flatten()
    }

    /// Takes a decision out, because it is confirmed. A decision that is unknown changes nothing.
    pub(in crate::engine) fn confirm(&mut self, id: DecisionId) {
        let Some(ordinal) = self.ordinal(id) else { return };
        if let Some(entry) = self.queue.get_mut(ordinal).and_then(Option::take) {
            self.remove_indices(ordinal, entry);
            self.counts.confirmed += 1;
        }
    }

    /// Returns the position of the record of a decision that may be confirmed at this time.
    pub(in crate::engine) fn position(&self, id: DecisionId, at_us: i64) -> Option<u64> {
        let entry = self.entry(self.ordinal(id)?)?;
        (at_us <= entry.expire_us).then_some(entry.position)
    }

    /// Returns the positions of the records of the subject's newest decisions that may be confirmed at this time, newest
    /// first. The session counts only if the event or the decision has no subject id. Records must be compared with the
    /// subject, because different subjects may share a word.
    pub(in crate::engine) fn positions_of(&self, subject: &Subject, at_us: i64) -> Vec<u64> {
        let mut ordinals: Vec<u64> = subject_words(subject)
            .into_iter()
            .filter(|&word| word != 0)
            .flat_map(|word| self.subjects.all(word, self.queue.first()))
            .collect();
        ordinals.sort_unstable();
        ordinals.dedup();
        let entries = ordinals.into_iter().rev().filter_map(|ordinal| self.entry(ordinal));
        let open = entries.filter(|entry| at_us <= entry.expire_us);
        open.map(|entry| entry.position).take(SHOWINGS_MAX).collect()
    }
}
