//! Reward events before they are written: each is assigned to its slot.

use super::{Writer, confirm::DeferredBatch};
use crate::{
    engine::{Body, DecisionId, Event, EventStatus, RewardAnswer, RewardEvent, Subject, UnmatchedReason},
    slot::{ArmId, SlotId},
};

/// A reward event as it came, before its slot is known.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardRequest {
    /// The slot, where it was named.
    pub slot: Option<SlotId>,
    /// The event's id.
    pub event_id: String,
    /// The decision, where it was named.
    pub decision: Option<DecisionId>,
    /// The subject.
    pub subject: Subject,
    /// The arm, where it was named.
    pub arm: Option<ArmId>,
    /// The kind.
    pub kind: String,
    /// Value of the event.
    pub value: Option<f64>,
    /// Time at which it happened, or `None` for its arrival.
    pub time_us: Option<i64>,
    /// The event it takes back.
    pub reverses: Option<String>,
}

impl Writer {
    /// Makes events of rewards, and gives the outcomes of those that cannot become one.
    pub(super) fn resolve_all(
        &mut self,
        rewards: Vec<RewardRequest>,
        at_us: i64,
        batch: &mut DeferredBatch,
        events: &mut Vec<Event>,
    ) -> Vec<Option<RewardAnswer>> {
        let mut known = Vec::with_capacity(rewards.len());
        for reward in rewards {
            match self.resolve(reward, at_us) {
                Ok(rewarded) => {
                    known.push(None);
                    self.confirm_for_reward(&rewarded, at_us, batch, events);
                    events.push(Event { at_us, body: Body::Rewarded(Box::new(rewarded)) });
                }
                Err(why) => {
                    let outcome = EventStatus::Unmatched(why);
                    self.shared.observer.rewarded("", "other", outcome);
                    known.push(Some(RewardAnswer::new(outcome)));
                }
            }
        }
        known
    }

    /// Finds the slot that a reward event belongs to.
    fn resolve(&self, reward: RewardRequest, at_us: i64) -> Result<RewardEvent, UnmatchedReason> {
        let RewardRequest { slot, event_id, decision, subject, arm, kind, value, time_us, reverses } = reward;
        let slot = match decision {
            Some(id) => {
                let of_decision = self.state.slot_of_number(id.slot()).ok_or(UnmatchedReason::Decision)?;
                let had = |slot: &SlotId| {
                    self.state.slot(of_decision.as_str()).is_some_and(|state| state.former_ids().contains(slot))
                };
                if slot.is_some_and(|slot| slot != *of_decision && !had(&slot)) {
                    return Err(UnmatchedReason::OtherSlot);
                }
                of_decision.clone()
            }
            // Shoppers act on what they were shown before the slot was renamed.
            None => slot.and_then(|slot| self.state.present_id(&slot).cloned()).ok_or(UnmatchedReason::Slot)?,
        };
        if self.state.slot(slot.as_str()).is_none() {
            return Err(UnmatchedReason::Slot);
        }
        let time_us = time_us.unwrap_or(at_us);
        Ok(RewardEvent { slot, event_id, decision, subject, arm, kind, value, time_us, reverses })
    }
}
