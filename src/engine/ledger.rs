//! Bookkeeping that all slots share: journal position, time and slot numbers.
//!
//! It is kept apart from the slots so that workers can apply events of different slots in parallel.

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

/// Journal position, time and slot numbers. *Persisted.*
///
/// Every event passes through it, in journal order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Position of the last event, or 0 before the first.
    position: u64,
    /// Time of the last event, microseconds since 1970.
    at_us: i64,
    /// Number of slots that were ever created.
    slots_made: u32,
    slots: BTreeMap<u32, SlotId>,
    /// Times of the newest decisions and reward events of all slots.
    totals: Totals,
}

/// Part of an event's effect that the ledger determines and its slot needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Time at which the event is applied, microseconds since 1970. It is never before that of the previous event.
    pub(super) at_us: i64,
    /// New number of the slot, if the event gives it one.
    pub(super) number: Option<u32>,
    /// Horizons by which every slot must be swept after the event, if it must.
    pub(super) sweep: Option<Horizons>,
}

impl Step {
    /// Returns `true` if every slot must be swept after the event was applied, see [`Slots::sweep`].
    pub fn sweeps(&self) -> bool {
        self.sweep.is_some()
    }
}

impl Ledger {
    /// Position of the last event, or 0 before the first.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Time of the last event, microseconds since 1970.
    pub fn at_us(&self) -> i64 {
        self.at_us
    }

    /// Number that rises whenever every slot may have been swept.
    pub(super) fn sweeps(&self) -> u64 {
        self.totals.steps()
    }

    /// Returns the slot of this number.
    pub fn slot_of_number(&self, number: u32) -> Option<&SlotId> {
        self.slots.get(&number)
    }

    fn is_there(&self, slot: &SlotId) -> bool {
        self.slots.values().any(|have| have == slot)
    }

    /// Takes the next event in and returns its step.
    pub fn step(&mut self, at_us: i64, body: &Body) -> Step {
        let mut step = self.pass(at_us, Traffic::of_kind(body.kind()));
        match body {
            Body::SlotCreated { definition, .. } => step.number = Some(self.renumber(&definition.id)),
            Body::SlotDeleted { slot, .. } => self.slots.retain(|_, have| have != slot),
            // The slot gets a new number, so that rewards of earlier decisions match nothing.
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

    /// Takes in an event whose body is not needed, because it is a decision, a reward event or skipped. Otherwise the
    /// same as [`step`](Self::step).
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

/// Slots by id: all slots of a state, or one worker's shard.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slots {
    by_id: BTreeMap<SlotId, SlotState>,
    /// `true` if created slots only keep accounts, see [`State::accounting`](super::State::accounting).
    accounting: bool,
}

impl FromIterator<(SlotId, SlotState)> for Slots {
    fn from_iter<I: IntoIterator<Item = (SlotId, SlotState)>>(slots: I) -> Self {
        Self { by_id: slots.into_iter().collect(), accounting: false }
    }
}

impl Slots {
    /// Returns the index of the shard, out of `parts`, that a slot belongs to.
    pub fn part(slot: &str, parts: usize) -> usize {
        let mut hasher = SipHasher13::new();
        hasher.write(slot.as_bytes());
        usize::try_from(hasher.finish() % parts.max(1) as u64).unwrap_or(0)
    }

    /// Creates an empty collection whose slots will only keep accounts.
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

    /// Sweeps every slot if the step asks for it: each slot forgets what is older than the horizons of the whole
    /// process. Reports the decisions that leave.
    pub fn sweep(&mut self, step: Step, mut told: Option<&mut SlotListener<'_>>) {
        let Some(horizons) = step.sweep else { return };
        for (slot, state) in &mut self.by_id {
            match &mut told {
                None => state.sweep(step.at_us, horizons, None),
                Some(told) => state.sweep(step.at_us, horizons, Some(&mut |closed| told(slot, closed))),
            }
        }
    }

    /// Applies the event of a step. If the step [sweeps](Step::sweeps), call [`sweep`](Self::sweep) on all slots of all
    /// shards next.
    pub fn apply(&mut self, step: Step, body: &Body) -> Applied {
        self.apply_telling(step, body, None)
    }

    /// Applies the event like [`apply`](Self::apply), and reports every decision that no longer waits for rewards
    /// because of it.
    ///
    /// Each decision that was applied is reported once, or is at the end among its slot's
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
