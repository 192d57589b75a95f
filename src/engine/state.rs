//! State of the service, and the one way to change it.

use std::sync::Arc;

use super::{
    apply::EventEffect,
    decision_record::DecisionRecord,
    event::Event,
    items::ItemTable,
    learning_file::LearningProvenance,
    ledger::{ForgottenEntry, Ledger},
    profile::ProfileStore,
    shard::SlotShard,
    shopper_effect::ShopperEffect,
    shopper_event::ShopperEvent,
    slot_state::{LearningSeed, SlotState},
};
use crate::slot::SlotId;

/// State of the service: the fold of the journal's events. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    pub(super) ledger: Ledger,
    pub(super) slots: SlotShard,
}

impl State {
    /// Creates an empty state that keeps accounts and learns nothing. It joins rewards to their decisions and counts
    /// them exactly like any other state, in a microsecond or two instead of hundreds. Only limits on bytes differ:
    /// pending decisions take fewer bytes, so fewer are dropped for the sake of
    /// [`PENDING_BYTES_MAX`](crate::slot::limits::PENDING_BYTES_MAX).
    pub fn accounting() -> Self {
        Self { ledger: Ledger::default(), slots: SlotShard::accounting() }
    }

    /// Creates an empty state that keeps at most this many profiles, for tests of what makes way.
    pub fn with_room_for_profiles(most: usize) -> Self {
        let mut state = Self::default();
        state.slots.shoppers.profiles = Some(Box::new(ProfileStore::with_room_for(most)));
        state
    }

    /// Position of the last event that was applied, or 0 before the first.
    pub fn position(&self) -> u64 {
        self.ledger.position()
    }

    /// Time of the last event that was applied, microseconds since 1970.
    pub fn at_us(&self) -> i64 {
        self.ledger.at_us()
    }

    /// Number that rises whenever slots may have been swept. A sweep also changes slots that had no event.
    pub fn sweeps(&self) -> u64 {
        self.ledger.sweeps()
    }

    /// Returns the slot, or `None` if there is none of this id.
    pub fn slot(&self, slot: &str) -> Option<&SlotState> {
        self.slots.get(slot)
    }

    /// All slots, by id.
    pub fn slots(&self) -> impl Iterator<Item = (&SlotId, &SlotState)> {
        self.slots.iter()
    }

    /// Returns a state with only this slot, without pending decisions, for trying a change out. It is cheap, because
    /// everything large is shared.
    #[must_use]
    pub fn only(&self, slot: &SlotId) -> Self {
        let slots = self.slots.get(slot.as_str()).map(|state| (slot.clone(), state.without_memory()));
        // Profiles and ids of events are left out with the rest of the memory.
        let slots = SlotShard { items: self.slots.items.clone(), ..slots.into_iter().collect() };
        Self { slots, ledger: self.ledger.clone() }
    }

    /// Returns the slot of this number.
    pub fn slot_of_number(&self, number: u32) -> Option<&SlotId> {
        self.ledger.slot_of_number(number)
    }

    /// Returns the present id of the slot that has this id, or that had it before it was renamed if no slot has it now.
    pub fn present_id(&self, slot: &SlotId) -> Option<&SlotId> {
        if let Some((present, _)) = self.slots.by_id.get_key_value(slot) {
            return Some(present);
        }
        self.slots().find(|(_, state)| state.former_ids().contains(slot)).map(|(present, _)| present)
    }

    /// Returns a decision under the present id of its slot, which may have been renamed since the decision was made.
    pub fn under_present_id(&self, mut decided: Arc<DecisionRecord>) -> Arc<DecisionRecord> {
        if let Some(slot) = self.slot_of_number(decided.id.slot())
            && *slot != decided.slot
        {
            Arc::make_mut(&mut decided).slot = slot.clone();
        }
        decided
    }

    /// Applies the event. Positions are contiguous: each call is the next position.
    ///
    /// Total: an event about a slot that is gone changes nothing but the position.
    pub fn apply(&mut self, event: &Event) -> EventEffect {
        let step = self.ledger.step(event.at_us, &event.body);
        let effect = self.slots.apply(step, &event.body, None);
        self.slots.sweep(step, None);
        effect
    }

    /// Splits the state into its ledger and this number of shards, so that workers can apply events of different slots in
    /// parallel. Pass every event to the ledger in journal order, then pass it, with the step that it returns, to the
    /// shard that owns its slot.
    pub fn split(self, shards: usize) -> (Ledger, Vec<SlotShard>) {
        (self.ledger, self.slots.split(shards))
    }

    /// Inverse of [`split`](Self::split).
    pub fn join(ledger: Ledger, shards: Vec<SlotShard>) -> Self {
        Self { ledger, slots: SlotShard::join(shards) }
    }

    /// Subjects that were forgotten, oldest first.
    pub fn forgotten_subjects(&self) -> impl DoubleEndedIterator<Item = &ForgottenEntry> {
        self.ledger.forgotten()
    }

    /// Item catalogue.
    pub fn items(&self) -> &ItemTable {
        self.slots.items()
    }

    /// Profiles of sessions and customers.
    pub fn profiles(&self) -> Option<&ProfileStore> {
        self.slots.profiles()
    }

    /// Returns what a slot has learned, and where that comes from, or `None` if there is no such slot. This is cheap, because
    /// everything large is shared.
    pub fn learning_of(&self, slot: &SlotId) -> Option<(LearningProvenance, LearningSeed)> {
        let state = self.slots.get(slot.as_str())?;
        Some((LearningProvenance::new(slot, state, self.at_us()), state.learning()))
    }

    /// Returns the effect that a shopper event would have on the slots if it came at `at_us`.
    pub fn preview_shopper(&self, at_us: i64, event: &ShopperEvent) -> ShopperEffect {
        self.slots.preview_shopper(at_us, event)
    }
}
