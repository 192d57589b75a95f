//! Pending decisions: decisions that wait for their rewards.
//!
//! They stand in a queue in the order in which they were made, encoded to some three hundred bytes each. Indices by id,
//! by event and by subject find them again; the indices are rebuilt, not persisted. The oldest decisions leave when
//! their window has closed, or when there are too many decisions or bytes.

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

/// Memory per decision besides its bytes: its pointer, the allocator's overhead, and its entry in the index.
const OVERHEAD: u64 = 16 + 16 + 16;
/// Memory per entry of an index, when its table is at its emptiest.
const ENTRY: u64 = 20;

/// Event that counts towards a shown arm's reward. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) event: Key,
    pub(super) kind: Arc<str>,
    pub(super) value: Option<f64>,
    /// Value as it is learned: winsorized when the event arrived.
    pub(super) learned: Option<f64>,
    pub(super) time_us: i64,
}

impl Counted {
    pub(super) fn contribution(&self) -> Contribution<'_> {
        Contribution { kind: &self.kind, value: self.value, time_us: self.time_us }
    }

    /// Returns the contribution with the value as it is learned.
    pub(super) fn lesson(&self) -> Contribution<'_> {
        Contribution { value: self.learned, ..self.contribution() }
    }
}

/// Reward of a shown arm that the learner has observed. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    /// The reward.
    #[serde(with = "compact")]
    pub(super) reward: f64,
    /// Receipt with which the observation can be revised.
    pub(super) receipt: ObservationReceipt,
}

/// Shown arm. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ShownArm {
    /// Index of the arm in the learner.
    pub(super) arm: u32,
    /// Encoded rows of the arm, or `None` if they equal the decision's.
    pub(super) rows: Option<EncodedRows>,
    /// Swap probability: that of the opposite order of this arm and the one above, given the two.
    #[serde(with = "compact")]
    pub(super) overlap: f64,
    /// `true` once an event that counts arrived for the arm, even if it was reversed: somebody saw the arm.
    pub(super) seen: bool,
    /// The position model's cumulative log decay at the moment this arm's reward was counted in it, or `None` if it is
    /// not.
    pub(super) tells: Option<f64>,
    /// Reward that counts now.
    #[serde(with = "compact")]
    pub(super) reward: f64,
    /// Reward that the learner observed, or `None` if it has observed neither a reward nor silence yet.
    pub(super) told: Option<Told>,
    /// Events that count towards the reward.
    pub(super) counted: Vec<Counted>,
}

/// Role of an accepted event. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Accepted {
    /// The event belongs to this arm, which was shown.
    Event(u32),
    /// Another event reversed the event.
    Reversed,
    /// The event reversed another one.
    Reversal,
}

/// Event that was accepted for a decision, counted or not. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) event: Key,
    pub(super) what: Accepted,
    /// Kind and value, unless the shown arm's counted events have them. `None` also for an event from before contents
    /// were kept.
    pub(super) content: Option<(Arc<str>, Option<f64>)>,
}

/// Decision that may still be rewarded. Module [`packed`] encodes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PendingDecision {
    pub(super) id: DecisionId,
    pub(super) at_us: i64,
    pub(super) holdout: bool,
    /// `true` if it was made while learning was frozen. It is never learned.
    pub(super) frozen: bool,
    /// Encoded rows of its context, one per model.
    pub(super) rows: EncodedRows,
    pub(super) shown: Vec<ShownArm>,
    /// Events that were accepted for it, in order of arrival.
    pub(super) events: Vec<Known>,
    /// Keys by which its subject finds it.
    pub(super) subjects: SmallVec<[Key; 2]>,
    /// Evaluation data of the decision.
    pub(super) judged: Judged,
}

impl PendingDecision {
    /// Returns for each shown arm whether somebody is known to have seen it.
    pub(super) fn seen(&self) -> Vec<bool> {
        self.shown.iter().map(|shown| shown.seen).collect()
    }
}

/// Encoded decision. *Persisted.*
pub(super) type Packed = Box<[u8]>;

/// Limits on one queue of decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) decisions: usize,
    pub(super) bytes: u64,
}

/// Decisions of a slot that may still be rewarded. *Persisted* without its indices; the queue has sections of its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Pending {
    #[serde(skip)]
    queue: Chunks<Packed>,
    /// Ordinal of the first decision whose silence may not have been learned yet.
    waiting: u64,
    /// Time of the newest decision that was dropped before its window closed, microseconds since 1970, or 0 if none
    /// was.
    dropped_us: i64,
    #[serde(skip)]
    bytes: u64,
    #[serde(skip)]
    ids: Index,
    #[serde(skip)]
    events: Index,
    /// The newest [`SHOWINGS_MAX`] decisions of each subject and arm.
    #[serde(skip)]
    showings: Index,
    /// Buffer in which decisions are encoded.
    #[serde(skip)]
    room: Writer,
}

/// Indices are not compared: they follow from the queue.
impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        (self.waiting, self.dropped_us) == (other.waiting, other.dropped_us) && self.queue == other.queue
    }
}

/// Keys by which a subject is found: first that of its id, then that of its session.
pub(super) fn subject_keys(subject: &Subject) -> impl Iterator<Item = Key> {
    let key = |purpose: &str, id: &str| (!id.is_empty()).then(|| hash(purpose, &[id.as_bytes()]));
    key("subject", &subject.id).into_iter().chain(key("session", &subject.session_id))
}

/// Returns the key of an event id.
pub fn event_key(event_id: &str) -> Key {
    hash("event", &[event_id.as_bytes()])
}

fn id_word(id: DecisionId) -> u64 {
    id.as_bytes()[8..].iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Returns the index word of a subject and an arm.
fn shown_word(subject: Key, arm: u32) -> u64 {
    // The factor is odd, so that different arms of a subject get different words.
    subject.word() ^ u64::from(arm).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Memory that an encoded decision takes, with its entries in the indices by event and by subject and arm.
fn cost(packed: &[u8], events: usize, showings: usize) -> u64 {
    packed.len() as u64 + OVERHEAD + ENTRY * (events + showings) as u64
}

impl Pending {
    /// Number of decisions.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Returns `true` if there are no decisions.
    pub fn is_empty(&self) -> bool {
        self.queue.len() == 0
    }

    /// Memory that the decisions take, with the queue and the indices, bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of decisions that were ever added.
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

    /// Returns the next decision made before `before_us` whose silence may not have been learned yet, and counts it as
    /// learned.
    pub(super) fn next_waiting(&mut self, before_us: i64) -> Option<u64> {
        self.waiting = self.waiting.max(self.queue.first());
        let packed = self.queue.get(self.waiting)?;
        (packed::at_us(packed) < before_us).then(|| {
            self.waiting += 1;
            self.waiting - 1
        })
    }

    /// Returns the oldest decision if it was made before `horizon_us`, or if the queue exceeds its limits.
    pub(super) fn next_expired(&self, horizon_us: i64, room: Room) -> Option<u64> {
        let packed = self.queue.get(self.queue.first())?;
        let old = packed::at_us(packed) < horizon_us;
        (old || self.queue.len() > room.decisions || self.bytes > room.bytes).then(|| self.queue.first())
    }

    /// Returns the oldest decision if it was made before `horizon_us`.
    pub(super) fn next_before(&self, horizon_us: i64) -> Option<u64> {
        let packed = self.queue.get(self.queue.first())?;
        (packed::at_us(packed) < horizon_us).then(|| self.queue.first())
    }

    /// Drops the oldest decision and returns it. If it was not made before `horizon_us`, it counts as dropped early.
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

    /// Returns `true` if a missing decision, made at `made_us`, may have been dropped before its window closed.
    pub(super) fn dropped(&self, made_us: i64) -> bool {
        made_us <= self.dropped_us
    }

    fn packed(&self, ordinal: u64) -> &[u8] {
        self.queue.get(ordinal).map_or(&[], AsRef::as_ref)
    }

    /// Returns a decision.
    pub(super) fn get(&self, ordinal: u64) -> Option<PendingDecision> {
        self.queue.get(ordinal).map(|packed| packed::unpack(packed))
    }

    /// Returns a decision that showed one arm and has no events, with the reward that was learned of it, if one was.
    /// Returns `None` for any other decision.
    pub(super) fn silent(&self, ordinal: u64) -> Option<(Silent, Option<f64>)> {
        let packed = self.queue.get(ordinal)?;
        let silent = Silent::of(packed)?;
        Some((silent, silent.reward(packed)))
    }

    /// Returns the rows of a [silent](Self::silent) decision.
    pub(super) fn rows(&self, ordinal: u64, silent: Silent) -> EncodedRows {
        self.queue.get(ordinal).map(|packed| silent.rows(packed)).unwrap_or_default()
    }

    /// Stores the first observed reward of a [silent](Self::silent) decision.
    pub(super) fn told(&mut self, ordinal: u64, silent: Silent, told: &Told) {
        let Some(packed) = self.queue.get_mut(ordinal) else { return };
        let after = silent.told(packed, told, &mut self.room);
        self.bytes = self.bytes + cost(&after, 0, 0) - cost(packed, 0, 0);
        *packed = after;
    }

    /// Replaces a decision with its changed form.
    pub(super) fn put(&mut self, ordinal: u64, decision: &PendingDecision) {
        let after = packed::pack(decision, &mut self.room);
        let Some(before) = self.queue.get_mut(ordinal) else { return };
        // Neither the subject nor the shown arms ever change, and events are only added.
        let had = packed::events(before);
        let events = &decision.events;
        self.bytes = self.bytes + cost(&after, events.len(), 0) - cost(before, had, 0);
        *before = after;
        for known in &events[had.min(events.len())..] {
            self.events.insert(known.event.word(), ordinal);
        }
    }

    /// Returns the ordinal of the decision with this id.
    pub(super) fn find(&self, id: DecisionId) -> Option<u64> {
        self.ids.find(id_word(id), self.queue.first(), |ordinal| packed::id(self.packed(ordinal)) == Some(id))
    }

    /// Returns the decision that an event was accepted for, and the event's role.
    pub(super) fn event(&self, event: Key) -> Option<(u64, Accepted)> {
        let mut what = None;
        let ordinal = self.events.find(event.word(), self.queue.first(), |ordinal| {
            let known = packed::found_by(self.packed(ordinal)).unwrap_or_default().events;
            what = known.iter().find(|known| known.event == event).map(|known| known.what);
            what.is_some()
        })?;
        what.map(|what| (ordinal, what))
    }

    /// Returns the latest decision made by `until_us` that showed the arm to the subject with this key, and whose keys
    /// satisfy `fits`.
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

    /// Returns the latest decision made by `until_us` that showed the arm to the subject's id. Only the newest
    /// [`SHOWINGS_MAX`] showings are searched, which bounds the time that this takes.
    pub(super) fn latest_by_id(&self, subject: &Subject, arm: u32, until_us: i64) -> Option<u64> {
        let id = if subject.id.is_empty() { None } else { subject_keys(subject).next() };
        self.latest_of(id?, arm, until_us, |_| true)
    }

    /// Returns the latest decision made by `until_us` that showed the arm to the subject's session. A session joins
    /// only if the event or the decision has no subject id: two people who share a tab are two subjects.
    pub(super) fn latest_by_session(&self, subject: &Subject, arm: u32, until_us: i64) -> Option<u64> {
        let named = !subject.id.is_empty();
        let session = subject_keys(subject).nth(usize::from(named))?;
        // A decision for a subject with an id has that key before its session's.
        self.latest_of(session, arm, until_us, |keys| !named || keys.first() == Some(&session))
    }

    /// Returns a copy without indices for a snapshot. It is cheap for any number of decisions.
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

    /// Makes the queue start at an ordinal, for reading a snapshot.
    pub(super) fn start_at(&mut self, first: u64) {
        self.queue = Chunks::starting_at(first);
    }

    /// Adds a decision from a snapshot. Returns `false` if the bytes are not a decision.
    pub(super) fn restore(&mut self, packed: &[u8]) -> bool {
        let (Some(_), Some(found_by)) = (packed::id(packed), packed::found_by(packed)) else { return false };
        let FoundBy { subjects, events, arms } = found_by;
        self.insert_packed(packed.into(), &events, &subjects, &arms.into_iter());
        true
    }
}
