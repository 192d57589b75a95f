//! Decisions that wait for their rewards.
//!
//! They stand in a queue in the order they were made, packed to some three hundred bytes each, and are
//! found again by id, by event and by subject through indices that are rebuilt, not persisted. The oldest
//! go when their window has closed, or when there are too many or too many bytes of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{
    chunks::Chunks,
    event::Subject,
    ids::{DecisionId, Key, hash},
    index::Index,
    packed::{self, FoundBy, Judged, Silent, tokens::Writer},
};
use crate::{
    bandit::{EncodedRows, ObservationReceipt},
    slot::{Contribution, limits::SHOWINGS_MAX},
    stats::compact,
};

/// Beside its bytes, what a packed decision takes: its pointer, what the allocator adds, its entry in the index.
const OVERHEAD: u64 = 16 + 16 + 16;
/// An entry of an index, at the emptiest that a table of them is.
const ENTRY: u64 = 20;

/// An event that counts towards a shown arm's reward. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) event: Key,
    pub(super) kind: Arc<str>,
    pub(super) value: Option<f64>,
    /// The value as it is learned: winsorized when it came.
    pub(super) learned: Option<f64>,
    pub(super) time_us: i64,
}

impl Counted {
    pub(super) fn contribution(&self) -> Contribution<'_> {
        Contribution { kind: &self.kind, value: self.value, time_us: self.time_us }
    }

    /// The same with the value as it is learned.
    pub(super) fn lesson(&self) -> Contribution<'_> {
        Contribution { value: self.learned, ..self.contribution() }
    }
}

/// What the learner was told of a shown arm. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    /// This reward.
    #[serde(with = "compact")]
    pub(super) reward: f64,
    /// What its revision needs.
    pub(super) receipt: ObservationReceipt,
}

/// A shown arm. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ShownArm {
    /// Its index in the learner.
    pub(super) arm: u32,
    /// Its rows where it has features of its own; else the decision's.
    pub(super) rows: Option<EncodedRows>,
    /// The probability of the other order of this arm and the one above, given the two.
    #[serde(with = "compact")]
    pub(super) overlap: f64,
    /// An event that counts came for it, whether or not it was taken back: somebody saw it.
    pub(super) seen: bool,
    /// It tells of its position: the fading of positions so far when it did, as a logarithm.
    pub(super) tells: Option<f64>,
    /// The reward that counts now.
    #[serde(with = "compact")]
    pub(super) reward: f64,
    /// What the learner was told; none: nothing yet, its reward or silence is to come.
    pub(super) told: Option<Told>,
    /// The events that count towards it.
    pub(super) counted: Vec<Counted>,
}

/// What became of an event id that was accepted. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Accepted {
    /// It belongs to an arm that was shown.
    Event(u32),
    /// It was taken back.
    Reversed,
    /// It took another event back.
    Reversal,
}

/// An event that was accepted for a decision, counted or not. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) event: Key,
    pub(super) what: Accepted,
    /// Kind and value, where they do not stand among what the shown arm counts; `None` also for an event from before
    /// they were kept.
    pub(super) content: Option<(Arc<str>, Option<f64>)>,
}

/// A decision that may still be rewarded; see [`packed`] for how it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PendingDecision {
    pub(super) id: DecisionId,
    pub(super) at_us: i64,
    pub(super) holdout: bool,
    /// It was made while learning was frozen: it is never learned.
    pub(super) frozen: bool,
    /// The rows of its context, one per model.
    pub(super) rows: EncodedRows,
    pub(super) shown: Vec<ShownArm>,
    /// Every event that was accepted for it, in order.
    pub(super) events: Vec<Known>,
    /// The keys under which its subject finds it.
    pub(super) subjects: SmallVec<[Key; 2]>,
    /// What its slot is judged by.
    pub(super) judged: Judged,
}

impl PendingDecision {
    /// Which arms somebody is known to have seen.
    pub(super) fn seen(&self) -> Vec<bool> {
        self.shown.iter().map(|shown| shown.seen).collect()
    }
}

/// A packed decision. *Persisted.*
pub(super) type Packed = Box<[u8]>;

/// Room for decisions of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) decisions: usize,
    pub(super) bytes: u64,
}

/// All decisions of a slot that may still be rewarded. *Persisted* but for its indices; the queue by chunks of
/// its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Pending {
    #[serde(skip)]
    queue: Chunks<Packed>,
    /// From this one on the learner may not have been told of its silence.
    waiting: u64,
    /// When the newest decision was made that went before its window closed, microseconds since 1970; 0: none did.
    dropped_us: i64,
    #[serde(skip)]
    bytes: u64,
    #[serde(skip)]
    ids: Index,
    #[serde(skip)]
    events: Index,
    /// Of each subject and arm, the newest [`SHOWINGS_MAX`].
    #[serde(skip)]
    showings: Index,
    /// Where decisions are packed.
    #[serde(skip)]
    room: Writer,
}

/// Indices follow from the queue.
impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        (self.waiting, self.dropped_us) == (other.waiting, other.dropped_us) && self.queue == other.queue
    }
}

/// The keys by which a subject is found again: its id's, then its session's.
pub(super) fn subject_keys(subject: &Subject) -> impl Iterator<Item = Key> {
    let key = |purpose: &str, id: &str| (!id.is_empty()).then(|| hash(purpose, &[id.as_bytes()]));
    key("subject", &subject.id).into_iter().chain(key("session", &subject.session_id))
}

/// The key under which an event id is known.
pub fn event_key(event_id: &str) -> Key {
    hash("event", &[event_id.as_bytes()])
}

fn id_word(id: DecisionId) -> u64 {
    id.as_bytes()[8..].iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// A subject's key and an arm's index as one.
fn shown_word(subject: Key, arm: u32) -> u64 {
    // Odd, so that no two arms of a subject are taken for one.
    subject.word() ^ u64::from(arm).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a packed decision takes in memory, its entries in the indices by event, and by subject and arm, among it.
fn cost(packed: &[u8], events: usize, showings: usize) -> u64 {
    packed.len() as u64 + OVERHEAD + ENTRY * (events + showings) as u64
}

impl Pending {
    /// How many decisions.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.queue.len() == 0
    }

    /// What they take in memory, bytes: packed, with the queue and the indices they are found by.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many decisions were ever added.
    pub(super) fn made(&self) -> u64 {
        self.queue.next()
    }

    /// Adds a decision.
    pub(super) fn insert(&mut self, decision: &PendingDecision) {
        let packed = packed::pack(decision, &mut self.room);
        let arms = packed::found_arms(decision).iter().map(|shown| shown.arm);
        self.insert_packed(packed, &decision.events, &decision.subjects, &arms);
    }

    fn insert_packed(
        &mut self,
        packed: Packed,
        events: &[Known],
        subjects: &[Key],
        arms: &(impl ExactSizeIterator<Item = u32> + Clone),
    ) {
        let ordinal = self.queue.next();
        if let Some(id) = packed::id(&packed) {
            self.ids.insert(id_word(id), ordinal);
        }
        for known in events {
            self.events.insert(known.event.word(), ordinal);
        }
        self.bytes += cost(&packed, events.len(), subjects.len() * arms.len());
        for &subject in subjects {
            for arm in arms.clone() {
                let word = shown_word(subject, arm);
                let (count, oldest) = self
                    .showings
                    .all(word, self.queue.first())
                    .fold((0, ordinal), |(n, oldest), o| (n + 1, oldest.min(o)));
                if count >= SHOWINGS_MAX {
                    self.showings.remove(word, oldest);
                }
                self.showings.insert(word, ordinal);
            }
        }
        self.queue.push(packed);
    }

    /// The next decision made before `before_us` of whose silence the learner may not have been told yet; it is
    /// told now.
    pub(super) fn next_waiting(&mut self, before_us: i64) -> Option<u64> {
        self.waiting = self.waiting.max(self.queue.first());
        let packed = self.queue.get(self.waiting)?;
        (packed::at_us(packed) < before_us).then(|| {
            self.waiting += 1;
            self.waiting - 1
        })
    }

    /// The oldest decision, if it was made before `horizon_us` or there is too much of them.
    pub(super) fn next_expired(&self, horizon_us: i64, room: Room) -> Option<u64> {
        let packed = self.queue.get(self.queue.first())?;
        let old = packed::at_us(packed) < horizon_us;
        (old || self.queue.len() > room.decisions || self.bytes > room.bytes).then(|| self.queue.first())
    }

    /// The oldest decision, if it was made before `horizon_us`.
    pub(super) fn next_before(&self, horizon_us: i64) -> Option<u64> {
        let packed = self.queue.get(self.queue.first())?;
        (packed::at_us(packed) < horizon_us).then(|| self.queue.first())
    }

    /// Drops the oldest decision and returns it; those made before `horizon_us` in good time, others early.
    pub(super) fn drop_oldest(&mut self, horizon_us: i64) -> Option<Packed> {
        let ordinal = self.queue.first();
        let packed = self.queue.pop()?;
        let found_by = packed::found_by(&packed).unwrap_or_default();
        if let Some(id) = packed::id(&packed) {
            self.ids.remove(id_word(id), ordinal);
        }
        for known in &found_by.events {
            self.events.remove(known.event.word(), ordinal);
        }
        for &subject in &found_by.subjects {
            for &arm in &found_by.arms {
                self.showings.remove(shown_word(subject, arm), ordinal);
            }
        }
        self.bytes -= cost(&packed, found_by.events.len(), found_by.subjects.len() * found_by.arms.len());
        self.waiting = self.waiting.max(self.queue.first());
        let made_us = packed::at_us(&packed);
        if made_us >= horizon_us {
            self.dropped_us = self.dropped_us.max(made_us);
        }
        Some(packed)
    }

    /// Whether a decision that is not there, made at `made_us`, may have gone before its window closed.
    pub(super) fn dropped(&self, made_us: i64) -> bool {
        made_us <= self.dropped_us
    }

    fn packed(&self, ordinal: u64) -> &[u8] {
        self.queue.get(ordinal).map_or(&[], AsRef::as_ref)
    }

    /// A decision.
    pub(super) fn get(&self, ordinal: u64) -> Option<PendingDecision> {
        self.queue.get(ordinal).map(|packed| packed::unpack(packed))
    }

    /// A decision that showed one arm and heard nothing, and the reward that the learner was told of it; none: there is
    /// more to it.
    pub(super) fn silent(&self, ordinal: u64) -> Option<(Silent, Option<f64>)> {
        let packed = self.queue.get(ordinal)?;
        let silent = Silent::of(packed)?;
        Some((silent, silent.reward(packed)))
    }

    /// The rows of a decision that is [silent](Self::silent).
    pub(super) fn rows(&self, ordinal: u64, silent: Silent) -> EncodedRows {
        self.queue.get(ordinal).map(|packed| silent.rows(packed)).unwrap_or_default()
    }

    /// The learner was told of a decision that is [silent](Self::silent), for the first time.
    pub(super) fn told(&mut self, ordinal: u64, silent: Silent, told: &Told) {
        let Some(packed) = self.queue.get_mut(ordinal) else { return };
        let after = silent.told(packed, told, &mut self.room);
        self.bytes = self.bytes + cost(&after, 0, 0) - cost(packed, 0, 0);
        *packed = after;
    }

    /// Puts a decision back after it was changed.
    pub(super) fn put(&mut self, ordinal: u64, decision: &PendingDecision) {
        let after = packed::pack(decision, &mut self.room);
        let Some(before) = self.queue.get_mut(ordinal) else { return };
        // Its subject and what it showed stay; events only ever come.
        let had = packed::events(before);
        let events = &decision.events;
        self.bytes = self.bytes + cost(&after, events.len(), 0) - cost(before, had, 0);
        *before = after;
        for known in &events[had.min(events.len())..] {
            self.events.insert(known.event.word(), ordinal);
        }
    }

    /// The decision of this id.
    pub(super) fn find(&self, id: DecisionId) -> Option<u64> {
        self.ids.find(id_word(id), self.queue.first(), |ordinal| packed::id(self.packed(ordinal)) == Some(id))
    }

    /// The decision that an event was accepted for, and what became of the event.
    pub(super) fn event(&self, event: Key) -> Option<(u64, Accepted)> {
        let mut what = None;
        let ordinal = self.events.find(event.word(), self.queue.first(), |ordinal| {
            let known = packed::found_by(self.packed(ordinal)).unwrap_or_default().events;
            what = known.iter().find(|known| known.event == event).map(|known| known.what);
            what.is_some()
        })?;
        what.map(|what| (ordinal, what))
    }

    /// The latest decision made by `until_us` that showed the arm under this key of a subject, and of whose keys `fits`
    /// says that it may be joined.
    fn latest_of(&self, subject: Key, arm: u32, until_us: i64, fits: impl Fn(&[Key]) -> bool) -> Option<u64> {
        let made_by_then = |&ordinal: &u64| packed::at_us(self.packed(ordinal)) <= until_us;
        let all = self.showings.all(shown_word(subject, arm), self.queue.first());
        let mut ordinals: Vec<u64> = all.filter(made_by_then).collect();
        ordinals.sort_unstable();
        ordinals.into_iter().rev().find(|&ordinal| {
            let found_by = packed::found_by(self.packed(ordinal)).unwrap_or_default();
            found_by.subjects.contains(&subject) && found_by.arms.contains(&arm) && fits(&found_by.subjects)
        })
    }

    /// The latest decision made by `until_us` that showed the arm to the subject's id, of the newest [`SHOWINGS_MAX`]
    /// that did: so it takes no more steps however many there are.
    pub(super) fn latest_by_id(&self, subject: &Subject, arm: u32, until_us: i64) -> Option<u64> {
        let id = if subject.id.is_empty() { None } else { subject_keys(subject).next() };
        self.latest_of(id?, arm, until_us, |_| true)
    }

    /// The same by the subject's session, which joins only where the event or the decision has no id: two people who
    /// share a tab are two.
    pub(super) fn latest_by_session(&self, subject: &Subject, arm: u32, until_us: i64) -> Option<u64> {
        let named = !subject.id.is_empty();
        let session = subject_keys(subject).nth(usize::from(named))?;
        // A decision for a subject with an id has that key before its session's.
        self.latest_of(session, arm, until_us, |keys| !named || keys.first() == Some(&session))
    }

    /// The same without its indices: for a snapshot, cheap however many there are.
    pub(super) fn without_indices(&self) -> Self {
        let (queue, waiting, dropped_us, bytes) = (self.queue.clone(), self.waiting, self.dropped_us, self.bytes);
        Self { queue, waiting, dropped_us, bytes, ..Self::default() }
    }

    /// All decisions, oldest first.
    pub(super) fn decisions(&self) -> impl Iterator<Item = PendingDecision> {
        self.queue.iter().map(|packed| packed::unpack(packed))
    }

    /// The queue, as a snapshot holds it.
    pub(super) fn queue(&self) -> &Chunks<Packed> {
        &self.queue
    }

    /// Begins the queue at an ordinal, as a snapshot is read.
    pub(super) fn start_at(&mut self, first: u64) {
        self.queue = Chunks::starting_at(first);
    }

    /// Adds a decision that a snapshot holds; says whether it is one.
    pub(super) fn restore(&mut self, packed: &[u8]) -> bool {
        let (Some(_), Some(found_by)) = (packed::id(packed), packed::found_by(packed)) else { return false };
        let FoundBy { subjects, events, arms } = found_by;
        self.insert_packed(packed.into(), &events, &subjects, &arms.into_iter());
        true
    }
}
