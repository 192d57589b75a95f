//! What all slots share, apart from what each is: so that slots may be folded by several workers.

use std::{collections::BTreeMap, hash::Hasher as _};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::{
    closed::{Closed, SlotListener, Told},
    event::Body,
    horizons::{Horizons, Totals, Traffic},
    reply::RewardAnswer,
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
    /// The newest decisions and reward events of all slots.
    totals: Totals,
}

/// What an event is to its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When it is applied, microseconds since 1970: never before the event before it.
    pub(super) at_us: i64,
    /// The number that it gives its slot.
    pub(super) number: Option<u32>,
    /// By what every slot is to be swept, once the event was applied.
    pub(super) sweep: Option<Horizons>,
}

impl Step {
    /// Whether every slot is to be swept once the event was applied, see [`Slots::sweep`].
    pub fn sweeps(&self) -> bool {
        self.sweep.is_some()
    }
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

    /// Rises whenever every slot may have been swept.
    pub(super) fn sweeps(&self) -> u64 {
        self.totals.steps()
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
        let mut step = self.pass(at_us, Traffic::of_kind(body.kind()));
        match body {
            Body::SlotCreated { definition, .. } => step.number = Some(self.renumber(&definition.id)),
            Body::SlotDeleted { slot, .. } => self.slots.retain(|_, have| have != slot),
            // A new number, so that rewards of the decisions before match nothing.
            Body::SlotReset { slot, .. } if self.is_there(slot) => step.number = Some(self.renumber(slot)),
            Body::SlotReset { .. }
            | Body::SlotUpdated { .. }
            | Body::SlotPatched { .. }
            | Body::ArmsUpserted { .. }
            | Body::ArmsRemoved { .. }
            | Body::AvailabilitySet { .. }
            | Body::Decided(_)
            | Body::Rewarded(_) => {}
        }
        step
    }

    /// Takes in an event that is known to be a decision or a reward: [`step`](Self::step) without its body.
    pub fn pass(&mut self, at_us: i64, traffic: Traffic) -> Step {
        self.position += 1;
        self.at_us = self.at_us.max(at_us);
        Step { at_us: self.at_us, number: None, sweep: self.totals.pass(self.at_us, traffic) }
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
pub struct Slots {
    by_id: BTreeMap<SlotId, SlotState>,
    /// Slots that are made only count, see [`State::accounting`](super::State::accounting).
    accounting: bool,
}

impl FromIterator<(SlotId, SlotState)> for Slots {
    fn from_iter<I: IntoIterator<Item = (SlotId, SlotState)>>(slots: I) -> Self {
        Self { by_id: slots.into_iter().collect(), accounting: false }
    }
}

impl Slots {
    /// Which of so many parts a slot belongs to.
    pub fn part(slot: &str, parts: usize) -> usize {
        let mut hasher = SipHasher13::new();
        hasher.write(slot.as_bytes());
        usize::try_from(hasher.finish() % parts.max(1) as u64).unwrap_or(0)
    }

    /// None, and those to come only count.
    pub(super) fn accounting() -> Self {
        Self { by_id: BTreeMap::new(), accounting: true }
    }

    pub(super) fn get(&self, slot: &str) -> Option<&SlotState> {
        self.by_id.get(slot)
    }

    /// The slots, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&SlotId, &SlotState)> {
        self.by_id.iter()
    }

    pub(super) fn insert(&mut self, slot: SlotId, state: SlotState) {
        self.by_id.insert(slot, state);
    }

    pub(super) fn split(self, parts: usize) -> Vec<Self> {
        let part = || Self { by_id: BTreeMap::new(), accounting: self.accounting };
        let mut split: Vec<Self> = (0..parts.max(1)).map(|_| part()).collect();
        for (slot, state) in self.by_id {
            split[Self::part(slot.as_str(), parts)].insert(slot, state);
        }
        split
    }

    pub(super) fn join(parts: Vec<Self>) -> Self {
        let accounting = parts.iter().any(|part| part.accounting);
        Self { by_id: parts.into_iter().flat_map(|part| part.by_id).collect(), accounting }
    }

    /// Sweeps every slot where a step asks for it: forgets what is older than all slots together may remember, and tells
    /// of the decisions that leave thereby.
    pub fn sweep(&mut self, step: Step, mut told: Option<&mut SlotListener<'_>>) {
        let Some(horizons) = step.sweep else { return };
        for (slot, state) in &mut self.by_id {
            match &mut told {
                None => state.sweep(step.at_us, horizons, None),
                Some(told) => state.sweep(step.at_us, horizons, Some(&mut |closed| told(slot, closed))),
            }
        }
    }

    /// Makes the event of a step true. Where the step [sweeps](Step::sweeps), [`sweep`](Self::sweep) comes next, of all
    /// slots, whichever part they are in.
    pub fn apply(&mut self, step: Step, body: &Body) -> Applied {
        self.apply_telling(step, body, None)
    }

    /// The same, and tells of every decision that no longer waits for rewards because of it.
    ///
    /// Each decision that was applied is told of once, or is at the end among its slot's
    /// [`open_decisions`](SlotState::open_decisions).
    pub fn apply_and(&mut self, step: Step, body: &Body, told: &mut Told<'_>) -> Applied {
        self.apply_telling(step, body, Some(told))
    }

    fn apply_telling(&mut self, step: Step, body: &Body, told: Option<&mut Told<'_>>) -> Applied {
        match body {
            Body::SlotCreated { definition, why } => {
                let number = step.number.unwrap_or(0);
                let state = SlotState::new(number, definition, step.at_us, why, self.accounting);
                let before = self.by_id.insert(definition.id.clone(), state);
                if let Some(before) = before {
                    before.tell_open(step.at_us, told);
                }
                return Applied::Change;
            }
            Body::SlotDeleted { slot, why: _ } => {
                let before = self.by_id.remove(slot);
                if let Some(before) = before {
                    before.tell_open(step.at_us, told);
                }
                return Applied::Change;
            }
            Body::SlotUpdated { .. }
            | Body::SlotPatched { .. }
            | Body::SlotReset { .. }
            | Body::ArmsUpserted { .. }
            | Body::ArmsRemoved { .. }
            | Body::AvailabilitySet { .. }
            | Body::Decided(_)
            | Body::Rewarded(_) => {}
        }
        match (body, self.by_id.get_mut(body.slot())) {
            (Body::Rewarded(_), None) => Applied::Reward(RewardAnswer::new(RewardOutcome::Unmatched(Unmatched::Slot))),
            (Body::Decided(decided), None) => {
                if let Some(told) = told {
                    told(Closed::uncounted(decided.id));
                }
                Applied::Decision
            }
            (_, None) => Applied::Change,
            (body, Some(slot)) => slot.apply(step, body, told),
        }
    }
}
