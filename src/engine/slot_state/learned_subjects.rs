//! Subjects of the decisions that are learned: how much each taught lately, so that none teaches more than its limit.
//!
//! A subject teaches with rewards and with silence alike, so decisions are counted, not events. A decision beyond the
//! limit is never learned, and is not remembered here.
//!
//! Invariants:
//!
//! * The decisions of a subject that were made within any 24 hours and are learned are at most the limit per day, as
//!   long as they are remembered.
//! * At most [`LEARNED_SUBJECTS_MAX`] decisions are remembered. In a slot with more in a day, a subject teaches at most
//!   its limit of that many, which is a smaller part of all.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    engine::{chunked_queue::ChunkedQueue, ids::Hash128, index::Index, pending::subject_keys, subject::Subject},
    slot::{SubjectLimit, limits::LEARNED_SUBJECTS_MAX},
};

const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// Time for which a decision counts towards the automatic limit, microseconds: the default half-life.
const FORTNIGHT_US: i64 = 14 * DAY_US;
/// Automatic limit per day. Few shoppers see one slot more often.
const PER_DAY: u64 = 20;
/// Least automatic limit per fortnight, so that a tester sees a new slot learn.
const PER_FORTNIGHT_MIN: u64 = 5;
/// Automatic limit per fortnight as a multiple of what the other subjects taught on average. Where people come back
/// often, each may teach more.
const TIMES_OTHERS: u64 = 5;
/// Automatic limit per fortnight as a fraction of all decisions that were learned. A thousandth moves nothing.
const ONE_IN: u64 = 1_000;

/// Largest number of decisions that one decision makes the memory forget. The next decision continues.
const AT_ONCE_MAX: usize = 64;

/// Learned decision of a subject. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct LearnedDecision {
    /// Time of the decision, microseconds since 1970.
    at_us: i64,
    /// Word of the subject's key, or 0 if the decision was for nobody in particular.
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
    /// Number of different subjects of the remembered decisions. Each decision for nobody in particular counts as one.
    #[serde(skip)]
    subjects: u64,
}

/// Index and number are not compared: they follow from the queue.
impl PartialEq for LearnedSubjects {
    fn eq(&self, other: &Self) -> bool {
        self.queue == other.queue
    }
}

impl LearnedSubjects {
    /// Number of remembered decisions.
    pub(in crate::engine) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Returns `true` if a decision at `at_us` is within its subject's limit, and remembers it if so. A decision for
    /// nobody in particular always is. Decisions that make room before their time are counted in `forgotten`.
    pub(in crate::engine) fn admit(
        &mut self,
        at_us: i64,
        subject: &Subject,
        limit: SubjectLimit,
        forgotten: &mut u64,
    ) -> bool {
        let (memory_us, per_day) = match limit {
            SubjectLimit::Unlimited => {
                *self = Self::default();
                return true;
            }
            SubjectLimit::PerDay(limit) => (DAY_US, u64::from(limit)),
            SubjectLimit::Automatic => (FORTNIGHT_US, PER_DAY),
        };
        *forgotten += self.forget_old(at_us.saturating_sub(memory_us));
        // A subject with an id is counted by it across all sessions.
        let subject = subject_keys(subject).next().map_or(0, Hash128::word);
        if subject != 0 {
            let (mut today, mut own) = (0, 0);
            for made_us in self.times_of(subject) {
                today += u64::from(made_us > at_us.saturating_sub(DAY_US));
                own += u64::from(made_us > at_us.saturating_sub(memory_us));
            }
            if today >= per_day || (limit == SubjectLimit::Automatic && own >= self.automatic_limit(own)) {
                return false;
            }
        }
        self.remember(LearnedDecision { at_us, subject });
        true
    }

    /// Automatic limit per fortnight of a subject that has taught `own` decisions.
    fn automatic_limit(&self, own: u64) -> u64 {
        let all = self.queue.len() as u64;
        let others = all.saturating_sub(own);
        let other_subjects = self.subjects.saturating_sub(u64::from(own > 0));
        let on_average = (TIMES_OTHERS * others).checked_div(other_subjects).unwrap_or(0);
        PER_FORTNIGHT_MIN.max(on_average).max(all / ONE_IN)
    }

    /// Times of the remembered decisions of a subject, in no particular order.
    fn times_of(&self, subject: u64) -> impl Iterator<Item = i64> {
        let ordinals = self.index.all(subject, self.queue.first());
        let found = ordinals.filter_map(|ordinal| self.queue.get(ordinal));
        found.filter(move |learned| learned.subject == subject).map(|learned| learned.at_us)
    }

    fn remember(&mut self, learned: LearnedDecision) {
        let known = learned.subject != 0 && self.times_of(learned.subject).next().is_some();
        self.subjects += u64::from(!known);
        if learned.subject != 0 {
            self.index.insert(learned.subject, self.queue.next());
        }
        self.queue.push(learned);
    }

    /// Forgets decisions that do not count any more, and the oldest if there are too many. Returns the number of the
    /// latter.
    fn forget_old(&mut self, horizon_us: i64) -> u64 {
        let mut early = 0;
        for _ in 0..AT_ONCE_MAX {
            let Some(oldest) = self.queue.get(self.queue.first()) else { break };
            let counts = oldest.at_us > horizon_us;
            if counts && self.queue.len() < LEARNED_SUBJECTS_MAX {
                break;
            }
            early += u64::from(counts);
            self.drop_oldest();
        }
        early
    }

    /// Forgets the decisions that were made before `horizon_us`. Returns how many there were.
    pub(in crate::engine) fn forget_before(&mut self, horizon_us: i64) -> u64 {
        let before = self.queue.len();
        while self.queue.get(self.queue.first()).is_some_and(|oldest| oldest.at_us < horizon_us) {
            self.drop_oldest();
        }
        (before - self.queue.len()) as u64
    }

    fn drop_oldest(&mut self) {
        let ordinal = self.queue.first();
        let Some(oldest) = self.queue.pop() else { return };
        self.index.remove(oldest.subject, ordinal);
        let remains = oldest.subject != 0 && self.times_of(oldest.subject).next().is_some();
        self.subjects -= u64::from(!remains);
    }

    /// Returns a copy without what follows from the queue, for a snapshot.
    pub(in crate::engine) fn without_index(&self) -> Self {
        Self { queue: self.queue.clone(), ..Self::default() }
    }

    /// Restores what a snapshot leaves out.
    pub(in crate::engine) fn rebuild(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        *self = Self { queue: ChunkedQueue::starting_at(queue.first()), ..Self::default() };
        queue.iter().for_each(|&learned| self.remember(learned));
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
