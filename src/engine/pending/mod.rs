//! Pending decisions: decisions that wait for their rewards.
//!
//! They stand in a queue in the order in which they were made, encoded to some three hundred bytes each. Indices by
//! id, by event and by subject find them again; the indices are rebuilt, not persisted. The oldest decisions leave when
//! their window has closed, or when there are too many decisions or bytes.

mod decision;
mod encoding;
mod evaluation_record;
mod first_score;
mod msgpack;
mod queues;
mod segment_keys;
mod silence;
mod subjects;
#[cfg(test)]
mod tests;
mod unrewarded;

use serde::{Deserialize, Serialize};

pub(super) use decision::{
    CountedEvent, EventRecord, EventRole, LazyEvaluation, LearnedReward, PendingDecision, ShownArm,
};
pub(super) use encoding::EncodedDecision;
pub(super) use evaluation_record::{EvaluationRecord, Treatment};
pub(super) use first_score::FirstScore;
pub(super) use msgpack::MessagePackWriter;
#[cfg(test)]
pub(super) use queues::PENDING_LIMITS;
pub(super) use queues::{DecisionPlace, DecisionQueues, QueueKind};
pub use segment_keys::SEGMENT_FEATURES_MAX;
pub(super) use segment_keys::SegmentKeys;
use silence::SilenceCursors;
pub(super) use silence::{AGES, STRATA};
use subjects::index_newest;
pub(super) use unrewarded::UnrewardedLayout;

use super::{
    chunked_queue::ChunkedQueue,
    ids::{DecisionId, Hash128, hash},
    index::Index,
    subject::Subject,
};
use crate::{bandit::EncodedRows, stats::GROUPS};

/// Memory per decision besides its bytes: its pointer, the allocator's overhead, and its entry in the index.
const OVERHEAD: u64 = 16 + 16 + 16;
/// Memory per entry of an index, when its table is at its emptiest.
const ENTRY: u64 = 20;

/// Limits on one queue of decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueLimits {
    pub(super) decisions: usize,
    pub(super) bytes: u64,
}

/// Queue of a slot's decisions that may still be rewarded. *Persisted* without its indices; the decisions have
/// sections of their own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct DecisionQueue {
    #[serde(skip)]
    queue: ChunkedQueue<EncodedDecision>,
    /// Progress of the decisions through the ages of silence.
    silence: SilenceCursors,
    /// Time of the newest decision that was dropped before its window closed, microseconds since 1970, or 0 if none
    /// was.
    dropped_us: i64,
    #[serde(skip)]
    bytes: u64,
    #[serde(skip)]
    ids: Index,
    #[serde(skip)]
    events: Index,
    /// The newest [`SHOWINGS_MAX`](crate::slot::limits::SHOWINGS_MAX) decisions of each subject and arm.
    #[serde(skip)]
    showings: Index,
    /// All decisions of each subject, or `None` unless an event may join whatever a subject was shown last.
    #[serde(skip)]
    of_subjects: Option<Index>,
    /// Buffer in which decisions are encoded.
    #[serde(skip)]
    buffer: MessagePackWriter,
}

/// Indices are not compared: they follow from the queue.
impl PartialEq for DecisionQueue {
    fn eq(&self, other: &Self) -> bool {
        (self.silence, self.dropped_us) == (other.silence, other.dropped_us) && self.queue == other.queue
    }
}

/// Keys by which a subject is found: first that of its id, then that of its session.
pub(super) fn subject_keys(subject: &Subject) -> impl Iterator<Item = Hash128> {
    let key = |purpose: &str, id: &str| (!id.is_empty()).then(|| hash(purpose, &[id.as_bytes()]));
    key("subject", &subject.id).into_iter().chain(key("session", &subject.session_id))
}

/// Returns the group of a decision's subject, by which variances are computed: that of its first key, or of the decision if it has
/// no subject.
pub(super) fn subject_group(subjects: &[Hash128], id: DecisionId) -> u8 {
    let key = subjects.first().copied().unwrap_or_else(|| hash("subject", &[id.as_bytes()]));
    key.word().to_le_bytes()[0] % u8::try_from(GROUPS).unwrap_or(u8::MAX)
}

/// Returns the key of an event id.
pub fn event_key(event_id: &str) -> Hash128 {
    hash("event", &[event_id.as_bytes()])
}

/// Returns the index word of a decision id.
fn id_word(id: DecisionId) -> u64 {
    id.as_bytes()[8..].iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Returns the index word of a subject and an arm.
fn showing_word(subject: Hash128, arm: u32) -> u64 {
    // The factor is odd, so that different arms of a subject get different words.
    subject.word() ^ u64::from(arm).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Memory that an encoded decision takes, with its entries in the indices by event and by subject and arm.
fn cost(decision: &EncodedDecision, events: usize, showings: usize) -> u64 {
    decision.as_bytes().len() as u64 + OVERHEAD + ENTRY * (events + showings) as u64
}

impl DecisionQueue {
    /// Number of decisions.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Memory that the decisions take, with the queue and the indices, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of decisions that were ever added.
    pub(super) fn added(&self) -> u64 {
        self.queue.next()
    }

    /// Adds a decision.
    pub(super) fn insert(&mut self, decision: &PendingDecision) {
        let encoded = EncodedDecision::encode(decision, &mut self.buffer);
        let arms = decision.arms_of_subject().iter().map(|shown| shown.arm);
        self.insert_encoded(encoded, &decision.events, &decision.subjects, &arms);
    }

    /// Adds a decision from a snapshot or from another queue. Returns `false` if the bytes are not a decision.
    pub(super) fn restore(&mut self, bytes: &[u8]) -> bool {
        let Some((encoded, keys)) = EncodedDecision::from_bytes(bytes) else { return false };
        self.insert_encoded(encoded, &keys.events, &keys.subjects, &keys.arms.into_iter());
        true
    }

    fn insert_encoded(
        &mut self,
        encoded: EncodedDecision,
        events: &[EventRecord],
        subjects: &[Hash128],
        arms: &(impl ExactSizeIterator<Item = u32> + Clone),
    ) {
        let ordinal = self.queue.next();
        if let Some(id) = encoded.id() {
            self.ids.insert(id_word(id), ordinal);
        }
        for record in events {
            self.events.insert(record.event.word(), ordinal);
        }
        self.bytes += cost(&encoded, events.len(), subjects.len() * arms.len());
        let first = self.queue.first();
        if let Some(index) = &mut self.of_subjects {
            for subject in subjects {
                index_newest(index, subject.word(), ordinal, first);
            }
        }
        for &subject in subjects {
            for arm in arms.clone() {
                let word = showing_word(subject, arm);
                index_newest(&mut self.showings, word, ordinal, first);
            }
        }
        self.queue.push(encoded);
    }

    /// Returns the oldest decision if it was made before `horizon_us`, or if the queue exceeds its limits.
    pub(super) fn next_expired(&self, horizon_us: i64, limits: QueueLimits) -> Option<u64> {
        let encoded = self.queue.get(self.queue.first())?;
        let old = encoded.at_us() < horizon_us;
        (old || self.queue.len() > limits.decisions || self.bytes > limits.bytes).then(|| self.queue.first())
    }

    /// Returns the oldest decision if it was made before `horizon_us`.
    pub(super) fn next_before(&self, horizon_us: i64) -> Option<u64> {
        let encoded = self.queue.get(self.queue.first())?;
        (encoded.at_us() < horizon_us).then(|| self.queue.first())
    }

    /// Drops the oldest decision and returns it. If it was not made before `horizon_us`, it counts as dropped early.
    pub(super) fn drop_oldest(&mut self, horizon_us: i64) -> Option<EncodedDecision> {
        let ordinal = self.queue.first();
        let encoded = self.queue.pop()?;
        let keys = encoded.index_keys().unwrap_or_default();
        if let Some(id) = encoded.id() {
            self.ids.remove(id_word(id), ordinal);
        }
        for record in &keys.events {
            self.events.remove(record.event.word(), ordinal);
        }
        for &subject in &keys.subjects {
            for &arm in &keys.arms {
                self.showings.remove(showing_word(subject, arm), ordinal);
            }
        }
        if let Some(index) = &mut self.of_subjects {
            for subject in &keys.subjects {
                index.remove(subject.word(), ordinal);
            }
        }
        self.bytes -= cost(&encoded, keys.events.len(), keys.subjects.len() * keys.arms.len());
        let made_us = encoded.at_us();
        if made_us >= horizon_us {
            self.dropped_us = self.dropped_us.max(made_us);
        }
        Some(encoded)
    }

    /// Returns `true` if a missing decision, made at `made_us`, may have been dropped before its window closed.
    pub(super) fn may_have_dropped(&self, made_us: i64) -> bool {
        made_us <= self.dropped_us
    }

    /// Returns a decision.
    pub(super) fn get(&self, ordinal: u64) -> Option<PendingDecision> {
        self.queue.get(ordinal).map(EncodedDecision::decode)
    }

    /// Returns the layout of a decision that showed one arm and has no events, with the reward that was learned of it,
    /// if one was. Returns `None` for any other decision.
    pub(super) fn unrewarded(&self, ordinal: u64) -> Option<(UnrewardedLayout, Option<f64>)> {
        let encoded = self.queue.get(ordinal)?;
        let layout = UnrewardedLayout::read(encoded)?;
        Some((layout, layout.learned_reward(encoded)))
    }

    /// Returns `true` if an event was accepted for a decision.
    pub(super) fn has_events(&self, ordinal: u64) -> bool {
        self.queue.get(ordinal).is_some_and(|encoded| encoded.event_count() > 0)
    }

    /// Returns the time from when a decision was made, by its id, until it was applied, microseconds.
    pub(super) fn waited_us(&self, ordinal: u64) -> i64 {
        let encoded = self.queue.get(ordinal);
        encoded.and_then(|encoded| Some(encoded.at_us() - encoded.id()?.at_us())).unwrap_or(0)
    }

    /// Returns the score of a decision's first position, with the keys of its segments.
    pub(super) fn first_score(&self, ordinal: u64) -> Option<(FirstScore, SegmentKeys)> {
        let encoded = self.queue.get(ordinal)?;
        Some((encoded.first_score()?, encoded.segments()?))
    }

    /// Notes that the reward of a decision's first position is known.
    pub(super) fn mark_settled(&mut self, ordinal: u64) {
        if let Some(encoded) = self.queue.get_mut(ordinal) {
            encoded.mark_settled();
        }
    }

    /// Returns the rows of an [unrewarded](Self::unrewarded) decision.
    pub(super) fn rows(&self, ordinal: u64, layout: UnrewardedLayout) -> EncodedRows {
        self.queue.get(ordinal).map(|encoded| layout.rows(encoded)).unwrap_or_default()
    }

    /// Stores the first learned reward of an [unrewarded](Self::unrewarded) decision.
    pub(super) fn set_learned(&mut self, ordinal: u64, layout: UnrewardedLayout, learned: &LearnedReward) {
        let Some(encoded) = self.queue.get_mut(ordinal) else { return };
        let after = layout.with_learned(encoded, learned, &mut self.buffer);
        self.bytes = self.bytes + cost(&after, 0, 0) - cost(encoded, 0, 0);
        *encoded = after;
    }

    /// Replaces a decision with its changed form.
    pub(super) fn put(&mut self, ordinal: u64, decision: &PendingDecision) {
        let after = EncodedDecision::encode(decision, &mut self.buffer);
        let Some(before) = self.queue.get_mut(ordinal) else { return };
        // Neither the subject nor the shown arms ever change, and events are only added.
        let had = before.event_count();
        let events = &decision.events;
        self.bytes = self.bytes + cost(&after, events.len(), 0) - cost(before, had, 0);
        *before = after;
        for record in &events[had.min(events.len())..] {
            self.events.insert(record.event.word(), ordinal);
        }
    }

    /// Returns the ordinal of the decision with this id.
    pub(super) fn find(&self, id: DecisionId) -> Option<u64> {
        let is = |ordinal| self.queue.get(ordinal).and_then(EncodedDecision::id) == Some(id);
        self.ids.find(id_word(id), self.queue.first(), is)
    }

    /// Returns the decision that an event was accepted for, and the event's role.
    pub(super) fn find_event(&self, event: Hash128) -> Option<(u64, EventRole)> {
        let mut role = None;
        let ordinal = self.events.find(event.word(), self.queue.first(), |ordinal| {
            let events = self.index_keys(ordinal).events;
            role = events.iter().find(|record| record.event == event).map(|record| record.role);
            role.is_some()
        })?;
        role.map(|role| (ordinal, role))
    }

    fn index_keys(&self, ordinal: u64) -> encoding::IndexKeys {
        self.queue.get(ordinal).and_then(EncodedDecision::index_keys).unwrap_or_default()
    }

    /// Returns the latest decision made by `until_us` that showed the arm to the subject with this key, and whose keys
    /// satisfy `fits`.
    fn find_latest(&self, subject: Hash128, arm: u32, until_us: i64, fits: impl Fn(&[Hash128]) -> bool) -> Option<u64> {
        let made_by_then =
            |&ordinal: &u64| self.queue.get(ordinal).map_or(i64::MIN, EncodedDecision::at_us) <= until_us;
        let all = self.showings.all(showing_word(subject, arm), self.queue.first());
        let mut ordinals: Vec<u64> = all.filter(made_by_then).collect();
        ordinals.sort_unstable();
        ordinals.into_iter().rev().find(|&ordinal| {
            let keys = self.index_keys(ordinal);
            keys.subjects.contains(&subject) && keys.arms.contains(&arm) && fits(&keys.subjects)
        })
    }

    /// Returns the latest decision made by `until_us` that showed the arm to the subject's id. Only the newest
    /// [`SHOWINGS_MAX`](crate::slot::limits::SHOWINGS_MAX) showings are searched, which bounds the time that this takes.
    pub(super) fn find_latest_by_id(&self, subject: &Subject, arm: u32, until_us: i64) -> Option<u64> {
        let id = if subject.id.is_empty() { None } else { subject_keys(subject).next() };
        self.find_latest(id?, arm, until_us, |_| true)
    }

    /// Returns the latest decision made by `until_us` that showed the arm to the subject's session. A session joins
    /// only if the event or the decision has no subject id: two people who share a tab are two subjects.
    pub(super) fn find_latest_by_session(&self, subject: &Subject, arm: u32, until_us: i64) -> Option<u64> {
        let named = !subject.id.is_empty();
        let session = subject_keys(subject).nth(usize::from(named))?;
        // A decision for a subject with an id has that key before its session's.
        self.find_latest(session, arm, until_us, |keys| !named || keys.first() == Some(&session))
    }

    /// Returns a copy without indices for a snapshot. It is cheap for any number of decisions.
    pub(super) fn without_indices(&self) -> Self {
        let Self { queue, silence, dropped_us, bytes, ids: _, events: _, showings: _, of_subjects: _, buffer: _ } =
            self;
        Self { queue: queue.clone(), silence: *silence, dropped_us: *dropped_us, bytes: *bytes, ..Self::default() }
    }

    /// All decisions, oldest first.
    pub(super) fn decisions(&self) -> impl Iterator<Item = PendingDecision> {
        self.queue.iter().map(EncodedDecision::decode)
    }

    /// The queue, as a snapshot holds it.
    pub(super) fn queue(&self) -> &ChunkedQueue<EncodedDecision> {
        &self.queue
    }

    /// Makes the queue start at an ordinal, for reading a snapshot.
    pub(super) fn start_at(&mut self, first: u64) {
        self.queue = ChunkedQueue::starting_at(first);
    }
}
