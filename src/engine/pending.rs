//! Decisions that wait for their rewards.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    event::Subject,
    ids::{DecisionId, Key, hash},
};
use crate::{
    bandit::{Mark, Rows},
    slot::Contribution,
};

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
pub(super) enum Told {
    /// Nothing yet: its reward, or silence, is to come.
    NotYet,
    /// This reward.
    Reward(f64, Mark),
}

/// A shown arm. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ShownArm {
    /// Its index in the learner.
    pub(super) arm: u32,
    /// Its rows where it has features of its own; else the decision's.
    pub(super) rows: Option<Rows>,
    /// The probability of the other order of this arm and the one above, given the two.
    pub(super) overlap: f64,
    /// An event that counts came for it, whether or not it was taken back: somebody saw it.
    pub(super) seen: bool,
    /// It tells of its position: the fading of positions so far when it did, as a logarithm.
    pub(super) tells: Option<f64>,
    /// The reward that counts now.
    pub(super) reward: f64,
    /// What the learner was told.
    pub(super) told: Told,
    /// The events that count towards it.
    pub(super) counted: Vec<Counted>,
}

/// A decision that may still be rewarded. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PendingDecision {
    pub(super) at_us: i64,
    pub(super) holdout: bool,
    /// How many decisions there were with it.
    pub(super) ordinal: u64,
    /// It was made while learning was frozen: it is never learned.
    pub(super) frozen: bool,
    /// The rows of its context, one per model.
    pub(super) rows: Rows,
    pub(super) shown: Vec<ShownArm>,
    /// Every event that was accepted for it, counted or not.
    pub(super) events: Vec<Key>,
    /// The keys under which subjects find it.
    pub(super) subjects: Vec<(Key, u32)>,
}

impl PendingDecision {
    /// Which arms somebody is known to have seen.
    pub(super) fn seen(&self) -> Vec<bool> {
        self.shown.iter().map(|shown| shown.seen).collect()
    }
}

/// What became of an event id that was accepted. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Accepted {
    /// It belongs to an arm of a decision.
    Event(DecisionId, u32),
    /// It was taken back.
    Reversed,
    /// It took another event back.
    Reversal,
}

/// All decisions of a slot that may still be rewarded, in the order they were made. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pending {
    decisions: BTreeMap<DecisionId, Arc<PendingDecision>>,
    order: VecDeque<DecisionId>,
    /// Those of which the learner may not have been told yet, in order.
    waiting: VecDeque<DecisionId>,
    events: BTreeMap<Key, Accepted>,
    latest: BTreeMap<(Key, u32), DecisionId>,
}

/// The keys by which a subject is found again: its id's, then its session's.
fn subject_keys(subject: &Subject) -> impl Iterator<Item = Key> {
    let key = |purpose: &str, id: &str| (!id.is_empty()).then(|| hash(purpose, &[id.as_bytes()]));
    key("subject", &subject.id).into_iter().chain(key("session", &subject.session_id))
}

/// The key of an event id.
pub(super) fn event_key(event_id: &str) -> Key {
    hash("event", &[event_id.as_bytes()])
}

impl Pending {
    /// How many decisions.
    pub fn len(&self) -> usize {
        self.decisions.len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.decisions.is_empty()
    }

    /// Adds a decision, so that its subject finds it under each arm it showed.
    pub(super) fn insert(&mut self, id: DecisionId, mut decision: PendingDecision, subject: &Subject) {
        for key in subject_keys(subject) {
            decision.subjects.extend(decision.shown.iter().map(|shown| (key, shown.arm)));
        }
        for &key in &decision.subjects {
            self.latest.insert(key, id);
        }
        if self.decisions.insert(id, Arc::new(decision)).is_none() {
            self.order.push_back(id);
            self.waiting.push_back(id);
        }
    }

    /// The next decision made before `before_us` of which the learner may not have been told yet; it is told now.
    pub(super) fn next_waiting(&mut self, before_us: i64) -> Option<DecisionId> {
        while let Some(&id) = self.waiting.front() {
            match self.decisions.get(&id) {
                Some(decision) if decision.at_us >= before_us => return None,
                Some(_) => return self.waiting.pop_front(),
                None => drop(self.waiting.pop_front()),
            }
        }
        None
    }

    /// The oldest decision, if it was made before `horizon_us` or there are more than `most`.
    pub(super) fn next_expired(&self, horizon_us: i64, most: usize) -> Option<DecisionId> {
        let &id = self.order.front()?;
        let old = self.decisions.get(&id).is_none_or(|decision| decision.at_us < horizon_us);
        (old || self.decisions.len() > most).then_some(id)
    }

    /// Drops the oldest decision.
    pub(super) fn drop_oldest(&mut self) {
        let Some(id) = self.order.pop_front() else { return };
        let Some(decision) = self.decisions.remove(&id) else { return };
        for event in &decision.events {
            self.events.remove(event);
        }
        for key in &decision.subjects {
            if self.latest.get(key) == Some(&id) {
                self.latest.remove(key);
            }
        }
    }

    /// What became of an event id.
    pub(super) fn event(&self, event: Key) -> Option<Accepted> {
        self.events.get(&event).copied()
    }

    /// A decision.
    pub(super) fn get(&self, id: DecisionId) -> Option<&PendingDecision> {
        self.decisions.get(&id).map(AsRef::as_ref)
    }

    /// A decision, to change.
    pub(super) fn get_mut(&mut self, id: DecisionId) -> Option<&mut PendingDecision> {
        self.decisions.get_mut(&id).map(Arc::make_mut)
    }

    /// The latest decision that showed the arm to the subject.
    pub(super) fn latest(&self, subject: &Subject, arm: u32) -> Option<DecisionId> {
        let found = subject_keys(subject).filter_map(|key| self.latest.get(&(key, arm)).copied());
        found.max_by_key(|id| self.get(*id).map(|decision| decision.at_us))
    }

    /// Remembers that an accepted event was taken back.
    pub(super) fn mark_reversed(&mut self, event: Key) {
        self.events.insert(event, Accepted::Reversed);
    }

    /// Remembers that an event was accepted for a decision.
    pub(super) fn accept(&mut self, event: Key, what: Accepted, decision: DecisionId) {
        self.events.insert(event, what);
        if let Some(decision) = self.get_mut(decision) {
            decision.events.push(event);
        }
    }
}
