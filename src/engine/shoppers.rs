//! State that shopper events change beside the slots: their ids, and the profiles.
//!
//! A shopper event becomes reward events in each slot that it concerns, see `SlotState::apply_shopper`. They go through
//! the same code as those that callers report, so lateness, reversals and reports hold for both.
//!
//! Every shard remembers the ids of all shopper events, so that each of them comes to the same verdict on a repetition.

use super::{
    answer::FirstEvent,
    apply::EventEffect,
    event::{Body, RewardEvent},
    ids::{Hash128, hash},
    items::ItemTable,
    ledger::Step,
    outcome::OutcomeObserver,
    pending::event_key,
    profile::ProfileStore,
    shopper_event::{items_in, part_id},
    slot_state::{EventMemory, RememberedEvent, SlotState},
};
use crate::slot::limits::EVENT_ITEMS_MAX;

/// State that shopper events change beside the slots. Every shard has a copy of the ids, and one shard has the profiles.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShopperState {
    pub(super) ids: EventMemory,
    pub(super) profiles: Option<Box<ProfileStore>>,
}

impl Default for ShopperState {
    fn default() -> Self {
        Self { ids: EventMemory::default(), profiles: Some(Box::default()) }
    }
}

impl ShopperState {
    /// Divides the state among this number of shards.
    pub(super) fn split(mut self, shards: usize) -> Vec<Self> {
        let profiles = self.profiles.take();
        let mut split = vec![self; shards];
        if let Some(first) = split.first_mut() {
            first.profiles = profiles;
        }
        split
    }

    /// Inverse of [`split`](Self::split).
    pub(super) fn join(parts: impl Iterator<Item = Self>) -> Self {
        let mut parts = parts;
        let mut joined = parts.next().unwrap_or_default();
        for part in parts {
            joined.profiles = joined.profiles.or(part.profiles);
        }
        joined
    }

    /// Returns a copy for a snapshot. Events cannot be applied to it.
    pub(super) fn without_indices(&self) -> Self {
        let profiles = self.profiles.as_ref().map(|profiles| Box::new(profiles.without_order()));
        Self { ids: self.ids.without_index(), profiles }
    }

    /// Returns the key by which the id of a shopper event is remembered. Simulated events have ids of their own, so that none
    /// makes a real event a duplicate.
    pub(super) fn key(event_id: &str, simulated: bool) -> Hash128 {
        if simulated { hash("simulated event", &[event_id.as_bytes()]) } else { event_key(event_id) }
    }

    /// Returns the first shopper event of this id that may have reached a slot, if it is remembered. Real events may name decisions
    /// of a slot for simulated traffic.
    fn find_reaching(&self, event_id: &str, slot: &SlotState) -> Option<RememberedEvent> {
        let simulated = slot.definition().controls.simulated();
        let own = simulated.then(|| self.find(Self::key(event_id, true))).flatten();
        own.or_else(|| self.find(Self::key(event_id, false)))
    }

    /// Returns the first event of this key, if it is remembered.
    pub(super) fn find(&self, key: Hash128) -> Option<RememberedEvent> {
        self.ids.find(key).copied()
    }

    /// Applies a reward event to its slot. An id that a shopper event used is a duplicate in every slot, and a reversal of
    /// a shopper event takes back all of its parts.
    pub(super) fn apply_reward(
        &self,
        step: Step,
        reward: &RewardEvent,
        body: &Body,
        slot: &mut SlotState,
        mut observer: Option<&mut OutcomeObserver<'_>>,
    ) -> EventEffect {
        if let Some(first) = self.find_reaching(&reward.event_id, slot)
            && !slot.knows_event(&reward.event_id)
        {
            let first = FirstEvent { came_us: Some(first.came_us), ..FirstEvent::default() };
            return EventEffect::Reward(slot.count_duplicate(first));
        }
        // A reward defines nothing, so it needs no items.
        let no_items = ItemTable::default();
        let effect = slot.apply(step, &no_items, body, observer.as_deref_mut());
        let parts =
            reward.reverses.as_deref().and_then(|id| self.find_reaching(id, slot)).map_or(1, |of| items_in(of.content));
        for part in 1..parts {
            let reverses = reward.reverses.as_deref().map(|id| part_id(id, part)).filter(|id| slot.knows_event(id));
            if reverses.is_some() {
                let part = RewardEvent { event_id: part_id(&reward.event_id, part), reverses, ..reward.clone() };
                slot.apply(step, &no_items, &Body::Rewarded(Box::new(part)), observer.as_deref_mut());
            }
        }
        effect
    }

    /// Number of parts that an event may have had.
    pub(super) fn parts_of(&self, event_id: &str, simulated: bool) -> usize {
        self.find(Self::key(event_id, simulated)).map_or(EVENT_ITEMS_MAX, |first| items_in(first.content))
    }
}
