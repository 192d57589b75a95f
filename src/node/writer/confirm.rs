//! Confirmation of deferred decisions: the decision is written again, before the event that confirms it.
//!
//! The state knows where the record of a deferred decision stands in the journal, and no more of it. So the record is
//! read there, and the decision is made again at the time of its confirmation: what a slot learns follows from confirmed
//! decisions alone.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::Writer;
use crate::{
    engine::{
        Body, DecisionId, DecisionRecord, Event, JoinedReward, RewardEvent, SHOWN, ShopperEffect, ShopperEvent,
        SlotState, Subject,
    },
    node::codec,
    slot::{ArmId, Contribution, SlotId},
};

/// Kinds of events that say that something was seen, whatever a slot's goal counts.
const SEEN_KINDS: [&str; 2] = [SHOWN, "email_open"];

/// Deferred decisions of the batch that is being put together, which the state does not know yet, and those that it
/// confirms.
#[derive(Debug, Default)]
pub(super) struct DeferredBatch {
    made: HashMap<DecisionId, Arc<DecisionRecord>>,
    /// Decisions by the ids of their subjects and sessions, oldest first.
    of_subjects: HashMap<String, Vec<DecisionId>>,
    confirmed: HashSet<DecisionId>,
}

impl DeferredBatch {
    /// Creates the batch from its decisions.
    pub(super) fn new(events: &[Event]) -> Self {
        let mut batch = Self::default();
        for event in events {
            if let Body::Deferred(decided) = &event.body {
                for id in [&decided.subject.id, &decided.subject.session_id].into_iter().filter(|id| !id.is_empty()) {
                    batch.of_subjects.entry(id.clone()).or_default().push(decided.id);
                }
                batch.made.insert(decided.id, Arc::clone(decided));
            }
        }
        batch
    }

    /// Returns the decisions of the batch for a subject in a slot, newest first.
    fn of_subject(&self, slot: &SlotId, subject: &Subject) -> Vec<Arc<DecisionRecord>> {
        let ids = [&subject.id, &subject.session_id].into_iter().filter_map(|id| self.of_subjects.get(id)).flatten();
        let mut found: Vec<_> = ids.filter_map(|id| self.made.get(id)).filter(|made| made.slot == *slot).collect();
        found.sort_by_key(|made| std::cmp::Reverse(made.id.at_us()));
        found.into_iter().cloned().collect()
    }
}

/// Returns `true` if a decision was made for the subject of an event. The session counts only if one of both has no
/// subject id.
fn is_for(decided: &Subject, event: &Subject) -> bool {
    if !decided.id.is_empty() && !event.id.is_empty() {
        return decided.id == event.id;
    }
    !event.session_id.is_empty() && decided.session_id == event.session_id
}

fn shows(decided: &DecisionRecord, arm: &ArmId) -> bool {
    decided.chosen.iter().any(|chosen| chosen.arm == *arm)
}

fn confirms(slot: &SlotState, kind: &str) -> bool {
    SEEN_KINDS.contains(&kind) || slot.definition().goal.kind(kind).is_some()
}

impl Writer {
    /// Adds the decision that a reward event confirms, if it confirms one.
    pub(super) fn confirm_for_reward(
        &mut self,
        reward: &RewardEvent,
        at_us: i64,
        batch: &mut DeferredBatch,
        events: &mut Vec<Event>,
    ) {
        let Some(slot) = self.state.slot(reward.slot.as_str()) else { return };
        if reward.reverses.is_some() || !confirms(slot, &reward.kind) {
            return;
        }
        let confirmed = match (reward.decision, &reward.arm) {
            (Some(id), _) => self.deferred_by_id(&reward.slot, id, at_us, batch),
            (None, Some(arm)) if !slot.joins_by_subject(at_us, reward) => {
                self.deferred_by_subject(&reward.slot, &reward.subject, arm, at_us, batch)
            }
            (None, _) => None,
        };
        add(confirmed, at_us, batch, events);
    }

    /// Adds the decisions that a shopper event confirms.
    pub(super) fn confirm_for_shopper(
        &mut self,
        event: &ShopperEvent,
        at_us: i64,
        batch: &mut DeferredBatch,
        events: &mut Vec<Event>,
    ) {
        for decided in self.confirmed_by(event, at_us, batch) {
            add(Some(decided), at_us, batch, events);
        }
    }

    /// Returns the deferred decisions that a shopper event confirms.
    pub(super) fn confirmed_by(
        &mut self,
        event: &ShopperEvent,
        at_us: i64,
        batch: &DeferredBatch,
    ) -> Vec<Arc<DecisionRecord>> {
        if event.reverses.is_some() {
            return Vec::new();
        }
        if !event.decisions.is_empty() {
            let named = event.decisions.iter().filter_map(|id| {
                let slot = self.state.slot_of_number(id.slot())?.clone();
                let counts = self.state.slot(slot.as_str()).is_some_and(|state| {
                    let reaches = !event.simulated || state.definition().controls.simulated();
                    reaches && confirms(state, &event.kind)
                });
                counts.then_some((slot, *id))
            });
            let named: Vec<(SlotId, DecisionId)> = named.collect();
            return named.iter().filter_map(|(slot, id)| self.deferred_by_id(slot, *id, at_us, batch)).collect();
        }
        let is_waiting = |slot: &SlotId, state: &SlotState| {
            state.remembered().deferred_decisions > 0 || batch.made.values().any(|made| made.slot == *slot)
        };
        let waiting = self.state.slots().filter(|(slot, state)| {
            is_waiting(slot, state)
                && confirms(state, &event.kind)
                && state.definition().controls.simulated() == event.simulated
        });
        let waiting: Vec<SlotId> = waiting.map(|(slot, _)| slot.clone()).collect();
        let mut confirmed: Vec<Arc<DecisionRecord>> = Vec::new();
        for slot in &waiting {
            for item in &event.items {
                let reward = RewardEvent {
                    slot: slot.clone(),
                    event_id: event.event_id.clone(),
                    decision: None,
                    subject: event.subject.clone(),
                    arm: Some(item.item.clone()),
                    kind: event.kind.clone(),
                    value: None,
                    time_us: event.time_us,
                    reverses: None,
                };
                let joins = self.state.slot(slot.as_str()).is_some_and(|state| state.joins_by_subject(at_us, &reward));
                if !joins
                    && let Some(decided) = self.deferred_by_subject(slot, &event.subject, &item.item, at_us, batch)
                    && confirmed.iter().all(|other| other.id != decided.id)
                {
                    confirmed.push(decided);
                }
            }
        }
        confirmed
    }

    /// Adds what a shopper event would give to the deferred decisions that it would confirm.
    pub(super) fn preview_confirmed(&mut self, event: &ShopperEvent, at_us: i64, effect: &mut ShopperEffect) {
        if effect.repeats.is_some() {
            return;
        }
        for decided in self.confirmed_by(event, at_us, &DeferredBatch::default()) {
            let Some(slot) = self.state.slot(decided.slot.as_str()) else { continue };
            let goal = &slot.definition().goal;
            let joined = &mut effect.slots.entry(decided.slot.clone()).or_default().joined;
            let through = event.viewed_through.map_or(usize::MAX, |position| position as usize);
            for chosen in decided.chosen.iter().take(through) {
                let item = event.items.iter().find(|item| item.item == chosen.arm);
                if item.is_none() && !event.items.is_empty() {
                    continue;
                }
                let value = item.and_then(|item| item.value).or(event.value);
                let contribution = Contribution { kind: &event.kind, value, time_us: event.time_us };
                let reward = goal.reward(std::iter::once(contribution)) - goal.default_reward;
                joined.push(JoinedReward { decision: decided.id, arm: chosen.arm.clone(), reward });
            }
        }
    }

    fn deferred_by_id(
        &mut self,
        slot: &SlotId,
        id: DecisionId,
        at_us: i64,
        batch: &DeferredBatch,
    ) -> Option<Arc<DecisionRecord>> {
        if batch.confirmed.contains(&id) {
            return None;
        }
        if let Some(made) = batch.made.get(&id) {
            return Some(Arc::clone(made));
        }
        let position = self.state.slot(slot.as_str())?.deferred_position(id, at_us)?;
        self.read_deferred(position)
    }

    /// Returns the newest deferred decision that chose the arm for the subject.
    fn deferred_by_subject(
        &mut self,
        slot: &SlotId,
        subject: &Subject,
        arm: &ArmId,
        at_us: i64,
        batch: &DeferredBatch,
    ) -> Option<Arc<DecisionRecord>> {
        /// Records that are read for one event. Nobody gets more emails of one slot within a few days.
        const READ_MAX: usize = 20;
        if *subject == Subject::default() {
            return None;
        }
        let fits = |decided: &Arc<DecisionRecord>| {
            is_for(&decided.subject, subject) && shows(decided, arm) && !batch.confirmed.contains(&decided.id)
        };
        let made = batch.of_subject(slot, subject).into_iter().find(fits);
        if made.is_some() {
            return made;
        }
        let positions = self.state.slot(slot.as_str())?.deferred_of_subject(subject, at_us);
        positions.into_iter().take(READ_MAX).filter_map(|position| self.read_deferred(position)).find(fits)
    }

    /// Reads the record of a deferred decision. Returns `None` if its retention is over.
    fn read_deferred(&mut self, position: u64) -> Option<Arc<DecisionRecord>> {
        let mut found = None;
        let read = self.journal.read(position, &mut |stored| {
            if let Body::Deferred(decided) = codec::decode(stored.body)?.body {
                found = Some(decided);
            }
            Ok(())
        });
        if let Err(why) = read {
            tracing::warn!(%why, position, "a deferred decision could not be read, so it is not confirmed");
        }
        found.map(|decided| self.state.under_present_id(decided))
    }
}

fn add(confirmed: Option<Arc<DecisionRecord>>, at_us: i64, batch: &mut DeferredBatch, events: &mut Vec<Event>) {
    if let Some(decided) = confirmed
        && batch.confirmed.insert(decided.id)
    {
        events.push(Event { at_us, body: Body::Decided(decided) });
    }
}
