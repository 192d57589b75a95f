//! Shopper events before they are written: consent, attributes of items, and time are settled.

use std::{collections::HashMap, sync::Arc};

use super::{Writer, confirm::DeferredBatch};
use crate::{
    bandit::Features,
    engine::{
        Body, Event, EventEffect, EventStatus, ProfileStore, ShopperEffect, ShopperEvent, Subject, counted_attributes,
    },
    node::{
        WriteError,
        queue::{ShopperBatch, ShopperReply},
    },
    slot::{Arm, ArmId, Consent},
};

/// Items whose arms the writer remembers. A lookup goes through all slots.
const KNOWN_ITEMS_MAX: usize = 100_000;

/// Shopper event as it came. Time, consent and attributes of its items are settled before it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct ShopperRequest {
    /// The event.
    pub event: ShopperEvent,
    /// Time at which it happened, or `None` for its arrival.
    pub time_us: Option<i64>,
    /// Consent that was given, or `None` for the service's default.
    pub consent: Option<Consent>,
}

/// Arms by item, as far as events asked for them.
#[derive(Debug, Default)]
pub(in crate::node) struct ItemArms {
    by_item: HashMap<ArmId, Option<Arc<Arm>>>,
}

impl ItemArms {
    /// Forgets everything, because a slot changed.
    pub(super) fn clear(&mut self) {
        self.by_item.clear();
    }
}

/// Shopper events of a batch whose callers wait, each with its number of events.
pub(super) type WaitingShoppers = (usize, ShopperReply);

/// Answers the callers of shopper events with their effects, or with the reason why nothing was written.
pub(super) fn answer_shoppers(waiting: Vec<WaitingShoppers>, written: Result<Vec<EventEffect>, WriteError>) {
    let (mut effects, failure) = match written {
        Ok(effects) => (effects.into_iter(), None),
        Err(why) => (Vec::new().into_iter(), Some(why)),
    };
    let mut effects = effects.by_ref().filter_map(|effect| match effect {
        EventEffect::Shopper(effect) => Some(*effect),
        EventEffect::Change | EventEffect::Decision | EventEffect::Reward(_) => None,
    });
    for (count, reply) in waiting {
        let results = match &failure {
            Some(why) => Err(why.clone()),
            None => Ok(effects.by_ref().take(count).collect()),
        };
        // A caller that no longer waits does not need the answer.
        drop(reply.send(results));
    }
}

impl Writer {
    /// Publishes the profiles that an event changed.
    pub(super) fn publish_profiles(&self, effect: &ShopperEffect) {
        let Some(profiles) = self.state.profiles() else { return };
        for &key in &effect.profiles.keys {
            match profiles.get(key) {
                Some(profile) => drop(self.shared.profiles.insert(key, Arc::clone(profile))),
                None => drop(self.shared.profiles.remove(&key)),
            }
        }
    }

    /// Tells the observer what became of a shopper event.
    pub(super) fn observe_shopper(&self, effect: &ShopperEffect) {
        let observer = &self.shared.observer;
        for (slot, join) in &effect.slots {
            let goal = self.state.slot(slot.as_str()).map(|slot| &slot.definition().goal);
            for reward in &join.accepted {
                let known = goal.is_some_and(|goal| goal.kind(&reward.kind).is_some());
                let kind = if known { reward.kind.as_str() } else { "other" };
                observer.rewarded(slot.as_str(), kind, EventStatus::Accepted);
            }
            for (_, answer) in join.remarks.iter().filter(|(_, answer)| answer.status != EventStatus::Accepted) {
                observer.rewarded(slot.as_str(), "other", answer.status);
            }
        }
        observer.shopper_event(effect);
        if !effect.profiles.keys.is_empty()
            && let Some(profiles) = self.state.profiles()
        {
            observer.profiles(profiles.counts());
        }
    }

    /// Makes events of shopper requests. Returns the callers that wait for them.
    pub(super) fn resolve_shoppers(
        &mut self,
        batches: Vec<ShopperBatch>,
        at_us: i64,
        batch: &mut DeferredBatch,
        events: &mut Vec<Event>,
    ) -> Vec<WaitingShoppers> {
        let mut waiting = Vec::with_capacity(batches.len());
        for ShopperBatch { events: requests, validate_only: _, reply } in batches {
            waiting.push((requests.len(), reply));
            for request in requests {
                let event = self.resolve_shopper(request, at_us, events);
                self.confirm_for_shopper(&event, at_us, batch, events);
                events.push(Event { at_us, body: Body::Shopper(Arc::new(event)) });
            }
        }
        waiting
    }

    /// Answers which effects events would have.
    pub(super) fn preview_shoppers(&mut self, ShopperBatch { events, validate_only: _, reply }: ShopperBatch) {
        let at_us = self.now_us();
        let effects: Vec<ShopperEffect> = events
            .into_iter()
            .map(|request| {
                let event = self.resolve_shopper(request, at_us, &[]);
                let mut effect = self.state.preview_shopper(at_us, &event);
                self.preview_confirmed(&event, at_us, &mut effect);
                effect
            })
            .collect();
        // A caller that no longer waits does not need the answer.
        drop(reply.send(Ok(effects)));
    }

    fn resolve_shopper(&mut self, request: ShopperRequest, at_us: i64, before: &[Event]) -> ShopperEvent {
        let ShopperRequest { mut event, time_us, consent: _ } = request;
        event.time_us = time_us.unwrap_or(at_us);
        event.withdrawn = self.withdrawn_of_known(&event, before);
        for item in &mut event.items {
            let arm = self.arm_of_item(&item.item);
            item.attributes = counted_attributes(arm.as_ref().map_or(&event.attributes, |arm| &arm.attributes));
        }
        // The items of an event have its attributes by now.
        event.attributes = if event.items.is_empty() { counted_attributes(&event.attributes) } else { Features::new() };
        event
    }

    /// Returns the ids that an event withdraws consent of, as far as something is kept of them. Nothing is written of others.
    fn withdrawn_of_known(&self, event: &ShopperEvent, before: &[Event]) -> Subject {
        let Subject { id, session_id } = event.withdrawn.clone();
        let is_known = |subject: &Subject| {
            let keys = [
                ProfileStore::session_key(subject, event.simulated),
                ProfileStore::customer_key(subject, event.simulated),
            ];
            let kept = |key: u64| self.state.profiles().is_some_and(|profiles| profiles.get(key).is_some());
            let same = |other: &Subject| {
                (!subject.id.is_empty() && other.id == subject.id)
                    || (!subject.session_id.is_empty() && other.session_id == subject.session_id)
            };
            let earlier = |event: &Event| match &event.body {
                Body::Shopper(other) => same(&other.subject),
                Body::SlotCreated { .. }
                | Body::SlotUpdated { .. }
                | Body::SlotPatched { .. }
                | Body::SlotDeleted { .. }
                | Body::ArmsUpserted { .. }
                | Body::ArmsRemoved { .. }
                | Body::AvailabilitySet { .. }
                | Body::SlotReset { .. }
                | Body::SlotRenamed { .. }
                | Body::Draft(_)
                | Body::Imported(_)
                | Body::Decided(_)
                | Body::Deferred(_)
                | Body::LearningCopied { .. }
                | Body::ArmReset { .. }
                | Body::LearningImported(_)
                | Body::SubjectForgotten(_)
                | Body::ItemsChanged(_)
                | Body::Rewarded(_) => false,
            };
            keys.into_iter().flatten().any(kept) || before.iter().any(earlier)
        };
        let id = Subject { id, session_id: String::new() };
        let session = Subject { id: String::new(), session_id };
        Subject {
            id: if is_known(&id) { id.id } else { String::new() },
            session_id: if is_known(&session) { session.session_id } else { String::new() },
        }
    }

    /// Returns the arm of an item in the first slot, by id, that has one with attributes, or else the item of the catalogue
    /// if it has attributes.
    fn arm_of_item(&mut self, item: &ArmId) -> Option<Arc<Arm>> {
        if let Some(known) = self.items.by_item.get(item) {
            return known.clone();
        }
        let of_slots = self.state.slots().find_map(|(_, slot)| slot.arm_with_attributes(item));
        let of_catalogue = || self.state.items().get(item.as_str()).filter(|item| !item.attributes.is_empty()).cloned();
        let arm = of_slots.or_else(of_catalogue);
        if self.items.by_item.len() >= KNOWN_ITEMS_MAX {
            self.items.clear();
        }
        self.items.by_item.insert(item.clone(), arm.clone());
        arm
    }
}
