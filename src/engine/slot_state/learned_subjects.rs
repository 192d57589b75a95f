//! Subjects of the decisions that are learned: how much each taught lately, so that none teaches more than its limit.
//!
//! A subject teaches with rewards and with silence alike, so decisions are counted, not events. A decision beyond the
//! limit is never learned, and is not remembered here.
//!
//! Invariants:
//!
//! * The decisions that a subject made within any 24 hours and that are learned are at most the limit, as long as they
//!   are remembered.
//! * At most [`LEARNED_SUBJECTS_MAX`] decisions are remembered. In a slot with more in a day, a subject teaches at most
//!   its limit of that many, which is a smaller part of all.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    engine::{chunked_queue::ChunkedQueue, event::Subject, index::Index, pending::subject_keys},
    slot::limits::LEARNED_SUBJECTS_MAX,
};

/// Time for which a decision counts, microseconds.
const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// Largest number of decisions that one decision makes the memory forget. The next decision continues.
const AT_ONCE_MAX: usize = 64;

/// Learned decision of a subject. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct LearnedDecision {
    /// Time of the decision, microseconds since 1970.
    at_us: i64,
    /// Word of the subject's key.
    subject: u64,
}

/// Subjects of the decisions of the last day that are learned. *Persisted* without the index.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::engine) struct LearnedSubjects {
    #[serde(serialize_with = "serialize", deserialize_with = "deserialize")]
    queue: ChunkedQueue<LearnedDecision>,
    #[serde(skip)]
    index: Index,
}

/// The index is not compared: it follows from the queue.
impl PartialEq for LearnedSubjects {
    fn eq(&self, other: &Self) -> bool {
        self.queue == other.queue
    }
}

impl LearnedSubjects {
    /// Returns `true` if a decision at `at_us` is within its subject's limit, and remembers it if so. A decision for
    /// nobody in particular always is.
    pub(in crate::engine) fn admit(&mut self, at_us: i64, subject: &Subject, limit: Option<u32>) -> bool {
        let Some(limit) = limit else {
            *self = Self::default();
            return true;
        };
        self.forget_old(at_us.saturating_sub(DAY_US));
        // A subject with an id is told by it across all sessions.
        let Some(key) = subject_keys(subject).next() else { return true };
        let (subject, since_us) = (key.word(), at_us.saturating_sub(DAY_US));
        let counts = |&ordinal: &u64| {
            self.queue.get(ordinal).is_some_and(|have| have.subject == subject && have.at_us > since_us)
        };
        let learned = self.index.all(subject, self.queue.first()).filter(counts).count();
        if learned as u64 >= u64::from(limit) {
            return false;
        }
        self.index.insert(subject, self.queue.next());
        self.queue.push(LearnedDecision { at_us, subject });
        true
    }

    fn forget_old(&mut self, horizon_us: i64) {
        for _ in 0..AT_ONCE_MAX {
            let Some(oldest) = self.queue.get(self.queue.first()) else { return };
            if oldest.at_us > horizon_us && self.queue.len() < LEARNED_SUBJECTS_MAX {
                return;
            }
            self.drop_oldest();
        }
    }

    /// Forgets the decisions that were made before `horizon_us`.
    pub(in crate::engine) fn forget_before(&mut self, horizon_us: i64) {
        while self.queue.get(self.queue.first()).is_some_and(|oldest| oldest.at_us < horizon_us) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let ordinal = self.queue.first();
        if let Some(oldest) = self.queue.pop() {
            self.index.remove(oldest.subject, ordinal);
        }
    }

    /// Returns a copy without the index, for a snapshot.
    pub(in crate::engine) fn without_index(&self) -> Self {
        Self { queue: self.queue.clone(), index: Index::default() }
    }

    /// Restores the index, which a snapshot leaves out.
    pub(in crate::engine) fn rebuild(&mut self) {
        self.index = Index::default();
        for (ordinal, learned) in (self.queue.first()..).zip(self.queue.iter()) {
            self.index.insert(learned.subject, ordinal);
        }
    }
}

/// Writes the ordinal of the oldest decision, and the decisions as pairs of numbers.
fn serialize<S: Serializer>(queue: &ChunkedQueue<LearnedDecision>, serializer: S) -> Result<S::Ok, S::Error> {
    let pairs: Vec<(i64, u64)> = queue.iter().map(|learned| (learned.at_us, learned.subject)).collect();
    (queue.first(), pairs).serialize(serializer)
}

fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ChunkedQueue<LearnedDecision>, D::Error> {
    let (first, pairs) = <(u64, Vec<(i64, u64)>)>::deserialize(deserializer)?;
    let mut queue = ChunkedQueue::starting_at(first);
    for (at_us, subject) in pairs {
        queue.push(LearnedDecision { at_us, subject });
    }
    Ok(queue)
}
