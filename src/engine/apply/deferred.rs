//! Application of deferred decisions, and of reports that what a decision chose was seen.

use std::sync::Arc;

use crate::engine::{
    decision_record::DecisionRecord,
    ids::DecisionId,
    ledger::Step,
    pending::{DecisionPlace, PendingDecision, QueueKind},
    shopper_effect::{JoinedReward, SlotJoin},
    shopper_event::ShopperEvent,
    slot_state::{LoginTable, SlotState},
};

/// Kind of shopper event that says that something was seen.
pub const SHOWN: &str = "shown";

impl SlotState {
    /// Adds a deferred decision, which changes nothing but what is remembered.
    pub(super) fn apply_deferred(&mut self, step: Step, decided: &Arc<DecisionRecord>) {
        if decided.id.slot() != self.number || self.accounting {
            return;
        }
        self.forgotten.requests += self.requests.add(step.at_us, decided);
        if LoginTable::is_needed(&self.design.definition.controls) {
            let early = self.logins.add(step.at_us, &decided.subject, LoginTable::most(step.slots));
            self.forgotten.sessions += early.sessions;
            self.forgotten.logins += early.links;
        }
        if let Some(expire_us) = decided.expire_us {
            let early = self.deferred.add(step.position, decided.id, expire_us, &decided.subject);
            self.forgotten.deferred_decisions += early;
        }
    }

    /// Applies a report that arms were seen. Returns `None` if no decision of the slot that still waits showed them.
    pub(super) fn apply_shown(&mut self, at_us: i64, event: &ShopperEvent, named: &[DecisionId]) -> Option<SlotJoin> {
        let seen = self.places_seen(event, named);
        let mut join = SlotJoin::default();
        for (at, places) in seen {
            let Some(mut decision) = self.decisions.get(at) else { continue };
            for place in places {
                if let Some(arm) = self.arm_name(decision.shown[place].arm) {
                    join.joined.push(JoinedReward { decision: decision.id, arm, reward: 0.0 });
                }
                self.note_seen(at_us, at, &mut decision, place);
            }
            self.decisions.put(at, &decision);
            self.settle_silence_if_due(at.ordinal);
        }
        (!join.joined.is_empty()).then_some(join)
    }

    /// Notes that somebody saw an arm, and learns its silence if the time for that has passed. A decision that is finished
    /// learns nothing more.
    pub(super) fn note_seen(&mut self, at_us: i64, at: DecisionPlace, decision: &mut PendingDecision, place: usize) {
        let is_news = !std::mem::replace(&mut decision.shown[place].seen, true);
        if is_news && at.queue == QueueKind::Pending && self.decisions.pending.is_past_silence(at.ordinal) {
            self.learn_settled(at_us, at, decision, place);
        }
    }

    /// Returns the effect that [`apply_shown`](Self::apply_shown) would have.
    pub(super) fn preview_shown(&self, event: &ShopperEvent, named: &[DecisionId]) -> Option<SlotJoin> {
        let mut join = SlotJoin::default();
        for (at, places) in self.places_seen(event, named) {
            let Some(decision) = self.decisions.get(at) else { continue };
            let arms = places.into_iter().filter_map(|place| self.arm_name(decision.shown.get(place)?.arm));
            join.joined.extend(arms.map(|arm| JoinedReward { decision: decision.id, arm, reward: 0.0 }));
        }
        (!join.joined.is_empty()).then_some(join)
    }

    /// Returns the decisions that wait for rewards, with the places of each that the event says were seen: those of its
    /// items, or else the first ones up to [`ShopperEvent::viewed_through`].
    fn places_seen(&self, event: &ShopperEvent, named: &[DecisionId]) -> Vec<(DecisionPlace, Vec<usize>)> {
        let items: Vec<u32> =
            event.items.iter().filter_map(|item| self.design.arms.learned(item.item.as_str())).collect();
        if !event.items.is_empty() && items.is_empty() {
            return Vec::new();
        }
        let ordinals: Vec<u64> = if named.is_empty() {
            let Some(subject) = event.joining_subject() else { return Vec::new() };
            let until_us = event.time_us.saturating_add(self.clock_skew_us());
            let pending = &self.decisions.pending;
            let by = |&arm: &u32| {
                let by_id = pending.find_latest_by_id(subject, arm, until_us);
                by_id.or_else(|| pending.find_latest_by_session(subject, arm, until_us))
            };
            let mut found: Vec<u64> = items.iter().filter_map(by).collect();
            found.sort_unstable();
            found.dedup();
            found
        } else {
            named.iter().filter_map(|&id| self.decisions.pending.find(id)).collect()
        };
        let through = event.viewed_through.map_or(usize::MAX, |position| position as usize);
        let places_of = |ordinal: u64| {
            let decision = self.decisions.pending.get(ordinal)?;
            let is_seen =
                |place: usize| place < through && (items.is_empty() || items.contains(&decision.shown[place].arm));
            let places: Vec<usize> = (0..decision.shown.len()).filter(|&place| is_seen(place)).collect();
            Some((DecisionPlace { queue: QueueKind::Pending, ordinal }, places))
        };
        ordinals.into_iter().filter_map(places_of).filter(|(_, places)| !places.is_empty()).collect()
    }

    /// Counts the silence of a decision's first position in the figures, if its time came before it was known to be
    /// seen.
    fn settle_silence_if_due(&mut self, ordinal: u64) {
        if self.decisions.pending.is_past_silence(ordinal) {
            self.settle_silence(ordinal);
        }
    }
}
