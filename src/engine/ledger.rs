//! What all slots share, apart from what each is: so that slots may be folded by several workers.

use std::{collections::BTreeMap, hash::Hasher as _};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::{
    event::Body,
    reward::{RewardOutcome, Unmatched},
    state::{Applied, SlotState},
};
use crate::slot::SlotId;

/// Positions, times, and the numbers of the slots. *Persisted.*
///
/// Every event goes through it, in journal order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// The position of the last event; 0 before the first.
    position: u64,
    /// Its time, microseconds since 1970.
    at_us: i64,
    /// How many slots were ever made.
    slots_made: u32,
    slots: BTreeMap<u32, SlotId>,
}

/// What an event is to its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When it is applied, microseconds since 1970: never before the event before it.
    pub(super) at_us: i64,
    /// The number that it gives its slot.
    pub(super) number: Option<u32>,
}

impl Ledger {
    /// The position of the last event; 0 before the first.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Its time, microseconds since 1970.
    pub fn at_us(&self) -> i64 {
        self.at_us
    }

    /// The slot of this number.
    pub fn slot_of_number(&self, number: u32) -> Option<&SlotId> {
        self.slots.get(&number)
    }

    fn is_there(&self, slot: &SlotId) -> bool {
        self.slots.values().any(|have| have == slot)
    }

    /// Takes the next event in.
    pub fn step(&mut self, at_us: i64, body: &Body) -> Step {
        let mut step = self.pass(at_us);
        match body {
            Body::SlotCreated { definition, .. } => step.number = Some(self.renumber(&definition.id)),
            Body::SlotDeleted { slot, .. } => self.slots.retain(|_, have| have != slot),
            // A new number, so that rewards of the decisions before match nothing.
            Body::SlotReset { slot, .. } if self.is_there(slot) => step.number = Some(self.renumber(slot)),
            Body::SlotReset { .. }
            | Body::SlotUpdated { .. }
            | Body::ArmsUpserted { .. }
            | Body::ArmsRemoved { .. }
            | Body::AvailabilitySet { .. }
            | Body::Decided(_)
            | Body::Rewarded(_) => {}
        }
        step
    }

    /// Takes in an event that is known to be a decision or a reward: [`step`](Self::step) without its body.
    pub fn pass(&mut self, at_us: i64) -> Step {
        self.position += 1;
        self.at_us = self.at_us.max(at_us);
        Step { at_us: self.at_us, number: None }
    }

    fn renumber(&mut self, slot: &SlotId) -> u32 {
        self.slots_made += 1;
        self.slots.retain(|_, have| have != slot);
        self.slots.insert(self.slots_made, slot.clone());
        self.slots_made
    }
}

/// Slots by id: all of a state's, or one worker's part.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slots(BTreeMap<SlotId, SlotState>);

impl FromIterator<(SlotId, SlotState)> for Slots {
    fn from_iter<I: IntoIterator<Item = (SlotId, SlotState)>>(slots: I) -> Self {
        Self(slots.into_iter().collect())
    }
}

impl Slots {
    /// Which of so many parts a slot belongs to.
    pub fn part(slot: &str, parts: usize) -> usize {
        let mut hasher = SipHasher13::new();
        hasher.write(slot.as_bytes());
        usize::try_from(hasher.finish() % parts.max(1) as u64).unwrap_or(0)
    }

    pub(super) fn get(&self, slot: &str) -> Option<&SlotState> {
        self.0.get(slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SlotId, &SlotState)> {
        self.0.iter()
    }

    pub(super) fn insert(&mut self, slot: SlotId, state: SlotState) {
        self.0.insert(slot, state);
    }

    pub(super) fn split(self, parts: usize) -> Vec<Self> {
        let mut split: Vec<Self> = (0..parts.max(1)).map(|_| Self::default()).collect();
        for (slot, state) in self.0 {
            split[Self::part(slot.as_str(), parts)].insert(slot, state);
        }
        split
    }

    pub(super) fn join(parts: Vec<Self>) -> Self {
        parts.into_iter().flat_map(|part| part.0).collect()
    }

    /// Makes the event of a step true.
    pub fn apply(&mut self, step: Step, body: &Body) -> Applied {
        match body {
            Body::SlotCreated { definition, reason } => {
                let number = step.number.unwrap_or(0);
                let state = SlotState::new(number, definition, step.at_us, reason);
                self.0.insert(definition.id.clone(), state);
                return Applied::Change;
            }
            Body::SlotDeleted { slot, reason: _ } => {
                self.0.remove(slot);
                return Applied::Change;
            }
            Body::SlotUpdated { .. }
            | Body::SlotReset { .. }
            | Body::ArmsUpserted { .. }
            | Body::ArmsRemoved { .. }
            | Body::AvailabilitySet { .. }
            | Body::Decided(_)
            | Body::Rewarded(_) => {}
        }
        match (body, self.0.get_mut(body.slot())) {
            (Body::Rewarded(_), None) => Applied::Reward(RewardOutcome::Unmatched(Unmatched::Slot)),
            (Body::Decided(_), None) => Applied::Decision,
            (_, None) => Applied::Change,
            (body, Some(slot)) => slot.apply(step, body),
        }
    }
}
