//! Slots by id, in shards that workers can change in parallel.

use std::{collections::BTreeMap, hash::Hasher as _};

use siphasher::sip::SipHasher13;

use super::{
    answer::{EventStatus, RewardAnswer, UnmatchedReason},
    apply::EventEffect,
    event::Body,
    ids::Hash128,
    items::{ItemChanges, ItemTable},
    ledger::Step,
    outcome::{DecisionOutcome, OutcomeObserver, SlotOutcomeObserver},
    profile::{ProfileChange, ProfileStore},
    shopper_effect::{RepeatedEvent, ShopperEffect},
    shopper_event::ShopperEvent,
    shoppers::ShopperState,
    slot_state::{LearningSeed, RememberedEvent, SlotState},
    subject::Subject,
};
use crate::slot::{ChangeReason, SlotId, limits::SHOPPER_EVENT_MEMORY_US};

/// Slots by id: all slots of a state, or one worker's shard.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SlotShard {
    pub(super) by_id: BTreeMap<SlotId, SlotState>,
    /// `true` if created slots only keep accounts, see [`State::accounting`](super::State::accounting).
    pub(super) accounting: bool,
    /// State that shopper events change beside the slots.
    pub(super) shoppers: ShopperState,
    /// Item catalogue. Every shard has a copy.
    pub(super) items: ItemTable,
}

impl FromIterator<(SlotId, SlotState)> for SlotShard {
    fn from_iter<I: IntoIterator<Item = (SlotId, SlotState)>>(slots: I) -> Self {
        Self { by_id: slots.into_iter().collect(), ..Self::default() }
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
        Self { accounting: true, ..Self::default() }
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
        let items = self.items;
        let empty =
            |shoppers| Self { by_id: BTreeMap::new(), accounting: self.accounting, shoppers, items: items.clone() };
        let mut split: Vec<Self> = self.shoppers.split(shards.max(1)).into_iter().map(empty).collect();
        for (slot, state) in self.by_id {
            split[Self::index_of(slot.as_str(), shards)].insert(slot, state);
        }
        split
    }

    pub(super) fn join(shards: Vec<Self>) -> Self {
        let accounting = shards.iter().any(|shard| shard.accounting);
        // Every shard has the same items.
        let items = shards.first().map(|shard| shard.items.clone()).unwrap_or_default();
        let (slots, shoppers): (Vec<_>, Vec<_>) = shards.into_iter().map(|shard| (shard.by_id, shard.shoppers)).unzip();
        let by_id = slots.into_iter().flatten().collect();
        Self { by_id, accounting, shoppers: ShopperState::join(shoppers.into_iter()), items }
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
                let state = SlotState::create(number, definition, step.at_us, why, (self.accounting, &self.items));
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
            Body::SlotRenamed { slot, to, why } => {
                if let Some(state) = self.take_renamed(step, slot) {
                    self.put_renamed(step, state, to, why);
                }
                return EventEffect::Change;
            }
            Body::Shopper(event) => {
                return EventEffect::Shopper(Box::new(self.apply_shopper(step, event, None)));
            }
            Body::LearningCopied { slot, from, weight, why: _ } => {
                let seed = self.learning_of(from);
                self.start_from(slot, seed.as_ref(), *weight);
                return EventEffect::Change;
            }
            Body::SubjectForgotten(forgotten) => {
                self.forget_subject(&forgotten.subject);
                return EventEffect::Change;
            }
            Body::ItemsChanged(changes) => {
                self.apply_items(changes);
                return EventEffect::Change;
            }
            Body::SlotUpdated { .. }
            | Body::SlotPatched { .. }
            | Body::SlotReset { .. }
            | Body::ArmsUpserted { .. }
            | Body::ArmsRemoved { .. }
            | Body::AvailabilitySet { .. }
            | Body::Draft(_)
            | Body::Imported(_)
            | Body::Decided(_)
            | Body::Deferred(_)
            | Body::ArmReset { .. }
            | Body::LearningImported(_)
            | Body::Rewarded(_) => {}
        }
        let Some(slot) = body.slot() else { return EventEffect::Change };
        match (body, self.by_id.get_mut(slot)) {
            (Body::Rewarded(_), None) => {
                EventEffect::Reward(RewardAnswer::new(EventStatus::Unmatched(UnmatchedReason::Slot)))
            }
            (Body::Decided(decided), None) => {
                if let Some(observer) = observer {
                    observer(DecisionOutcome::uncounted(decided.id));
                }
                EventEffect::Decision
            }
            (Body::Deferred(_), None) => EventEffect::Decision,
            (_, None) => EventEffect::Change,
            (Body::Rewarded(reward), Some(slot)) => self.shoppers.apply_reward(step, reward, body, slot, observer),
            (body, Some(slot)) => slot.apply(step, &self.items, body, observer),
        }
    }
}

impl SlotShard {
    /// Returns what a slot has learned, for another slot to start from, or `None` if there is no such slot.
    pub fn learning_of(&self, slot: &SlotId) -> Option<LearningSeed> {
        self.by_id.get(slot).map(SlotState::learning)
    }

    /// Lets a slot start from what another had learned.
    pub fn start_from(&mut self, slot: &SlotId, seed: Option<&LearningSeed>, weight: f64) {
        if let (Some(slot), Some(seed)) = (self.by_id.get_mut(slot), seed) {
            slot.take_learning(seed, weight);
        }
    }

    /// Takes out the slot that the event of a step renames, or returns `None` if the event renames none. Put it into the
    /// shard that owns its new id.
    pub fn take_renamed(&mut self, step: Step, slot: &SlotId) -> Option<Box<SlotState>> {
        if step.renames { self.by_id.remove(slot).map(Box::new) } else { None }
    }

    /// Puts in a slot that was taken out, under its new id.
    pub fn put_renamed(&mut self, step: Step, mut state: Box<SlotState>, to: &SlotId, why: &ChangeReason) {
        state.rename(step.at_us, &self.items, to, why);
        self.by_id.insert(to.clone(), *state);
    }

    /// Forgets what the slots and the profiles know of a subject. What models learned stays.
    fn forget_subject(&mut self, subject: &Subject) {
        for slot in self.by_id.values_mut() {
            slot.forget_subject(subject);
        }
        if let Some(profiles) = &mut self.shoppers.profiles {
            profiles.forget_subject(subject);
        }
    }

    /// Changes items of the catalogue, and the arms of the slots that have them.
    fn apply_items(&mut self, changes: &ItemChanges) {
        let changed = self.items.change(&changes.operations);
        for slot in self.by_id.values_mut() {
            slot.apply_items(&self.items, &changed);
        }
    }

    /// Item catalogue.
    pub fn items(&self) -> &ItemTable {
        &self.items
    }

    /// Profiles, if this shard has them.
    pub fn profiles(&self) -> Option<&ProfileStore> {
        self.shoppers.profiles.as_deref()
    }

    /// Applies a shopper event to the slots of the shard, and to the profiles if the shard has them.
    pub fn apply_shopper(
        &mut self,
        step: Step,
        event: &ShopperEvent,
        mut observer: Option<&mut SlotOutcomeObserver<'_>>,
    ) -> ShopperEffect {
        let at_us = step.at_us;
        let content = event.content_word();
        let key = ShopperState::key(&event.event_id, event.simulated);
        if let Some(repeats) = self.repeats(key, content) {
            return ShopperEffect { repeats: Some(repeats), ..ShopperEffect::default() };
        }
        let mut effect = ShopperEffect::default();
        let parts = event.reverses.as_ref().map_or(0, |reversed| self.shoppers.parts_of(reversed, event.simulated));
        for (id, slot) in &mut self.by_id {
            let join = match &mut observer {
                None => slot.apply_shopper(at_us, event, parts, None),
                Some(observer) => slot.apply_shopper(at_us, event, parts, Some(&mut |outcome| observer(id, outcome))),
            };
            if let Some(join) = join {
                effect.slots.insert(id.clone(), join);
            }
        }
        if let Some(profiles) = self.shoppers.profiles.as_mut().filter(|_| !self.accounting) {
            effect.profiles = profiles.apply(at_us, event);
        }
        // An event that no profile knows is known by the decisions that it joined, or changed nothing.
        if event.joining_subject().is_some() {
            let remembered = RememberedEvent { came_us: at_us, event: key, content };
            self.shoppers.ids.add(remembered, at_us.saturating_sub(SHOPPER_EVENT_MEMORY_US));
        }
        effect
    }

    /// Returns the effect that a shopper event would have on the slots now.
    pub fn preview_shopper(&self, at_us: i64, event: &ShopperEvent) -> ShopperEffect {
        let key = ShopperState::key(&event.event_id, event.simulated);
        if let Some(repeats) = self.repeats(key, event.content_word()) {
            return ShopperEffect { repeats: Some(repeats), ..ShopperEffect::default() };
        }
        let parts = event.reverses.as_ref().map_or(0, |reversed| self.shoppers.parts_of(reversed, event.simulated));
        let joins =
            self.by_id.iter().filter_map(|(id, slot)| Some((id.clone(), slot.preview_shopper(at_us, event, parts)?)));
        let slots = joins.collect();
        let updated = event.joining_subject().is_some();
        ShopperEffect { slots, profiles: ProfileChange { updated, ..ProfileChange::default() }, repeats: None }
    }

    fn repeats(&self, key: Hash128, content: u64) -> Option<RepeatedEvent> {
        let first = self.shoppers.find(key)?;
        Some(RepeatedEvent { came_us: first.came_us, same: first.content == content })
    }
}
