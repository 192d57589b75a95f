//! Slots by id, in shards that workers can change in parallel.

use std::{collections::BTreeMap, hash::Hasher as _};

use siphasher::sip::SipHasher13;

use super::{
    answer::{EventStatus, RewardAnswer, UnmatchedReason},
    apply::EventEffect,
    event::Body,
    ledger::Step,
    outcome::{DecisionOutcome, OutcomeObserver, SlotOutcomeObserver},
    slot_state::SlotState,
};
use crate::slot::SlotId;

/// Slots by id: all slots of a state, or one worker's shard.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SlotShard {
    by_id: BTreeMap<SlotId, SlotState>,
    /// `true` if created slots only keep accounts, see [`State::accounting`](super::State::accounting).
    accounting: bool,
}

impl FromIterator<(SlotId, SlotState)> for SlotShard {
    fn from_iter<I: IntoIterator<Item = (SlotId, SlotState)>>(slots: I) -> Self {
        Self { by_id: slots.into_iter().collect(), accounting: false }
    }
}

impl SlotShard {
    /// Returns the index of the shard, out of `shards`, that a slot belongs to.
    pub fn index_of(slot: &str, shards: usize) -> usize {
        let mut hasher = SipHasher13::new();
        hasher.write(slot.as_bytes());
        usize::try_from(hasher.finish() % shards.max(1) as u64).unwrap_or(0)
    }

    /// Creates an empty collection whose slots will only keep accounts.
    pub(super) fn accounting() -> Self {
        Self { by_id: BTreeMap::new(), accounting: true }
    }

    /// Returns the slot, or `None` if there is none of this id.
    pub fn slot(&self, slot: &str) -> Option<&SlotState> {
        self.get(slot)
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

    pub(super) fn split(self, shards: usize) -> Vec<Self> {
        let empty = || Self { by_id: BTreeMap::new(), accounting: self.accounting };
        let mut split: Vec<Self> = (0..shards.max(1)).map(|_| empty()).collect();
        for (slot, state) in self.by_id {
            split[Self::index_of(slot.as_str(), shards)].insert(slot, state);
        }
        split
    }

    pub(super) fn join(shards: Vec<Self>) -> Self {
        let accounting = shards.iter().any(|shard| shard.accounting);
        Self { by_id: shards.into_iter().flat_map(|shard| shard.by_id).collect(), accounting }
    }

    /// Sweeps every slot if the step asks for it: each slot forgets what is older than the horizons of the whole
    /// process. Reports the decisions that leave.
    pub fn sweep(&mut self, step: Step, mut observer: Option<&mut SlotOutcomeObserver<'_>>) {
        let Some(horizons) = step.sweep else { return };
        for (slot, state) in &mut self.by_id {
            match &mut observer {
                None => state.sweep(step.at_us, horizons, None),
                Some(observer) => state.sweep(step.at_us, horizons, Some(&mut |outcome| observer(slot, outcome))),
            }
        }
    }

    /// Applies the event of a step. If the step [sweeps](Step::sweeps), call [`sweep`](Self::sweep) on all slots of all
    /// shards next.
    ///
    /// Reports to the observer every decision that no longer waits for rewards because of the event. Each decision that
    /// was applied is reported once, or is at the end among its slot's [`open_decisions`](SlotState::open_decisions).
    pub fn apply(&mut self, step: Step, body: &Body, observer: Option<&mut OutcomeObserver<'_>>) -> EventEffect {
        match body {
            Body::SlotCreated { definition, why } => {
                let number = step.number.unwrap_or(0);
                let state = SlotState::create(number, definition, step.at_us, why, self.accounting);
                let before = self.by_id.insert(definition.id.clone(), state);
                if let Some(before) = before {
                    before.report_open_decisions(step.at_us, observer);
                }
                return EventEffect::Change;
            }
            Body::SlotDeleted { slot, why: _ } => {
                let before = self.by_id.remove(slot);
                if let Some(before) = before {
                    before.report_open_decisions(step.at_us, observer);
                }
                return EventEffect::Change;
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
            (Body::Rewarded(_), None) => {
                EventEffect::Reward(RewardAnswer::new(EventStatus::Unmatched(UnmatchedReason::Slot)))
            }
            (Body::Decided(decided), None) => {
                if let Some(observer) = observer {
                    observer(DecisionOutcome::uncounted(decided.id));
                }
                EventEffect::Decision
            }
            (_, None) => EventEffect::Change,
            (body, Some(slot)) => slot.apply(step, body, observer),
        }
    }
}
