//! What a reward event does to a slot.

use std::sync::Arc;

use super::{
    event::Rewarded,
    ids::{DecisionId, Key},
    pending::{Accepted, Counted, event_key},
    state::SlotState,
};
use crate::slot::limits::EVENTS_PER_DECISION_MAX;

/// How far the clock of whoever reports an event may be behind ours, microseconds.
const CLOCK_SKEW_US: i64 = 5 * 60 * 1_000_000;

/// What became of a reward event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewardOutcome {
    /// Counted, as a kind of the goal or as another.
    Accepted,
    /// Its id was accepted before.
    Duplicate,
    /// Its decision is older than the window.
    Late,
    /// No decision is known that it could belong to.
    Unmatched(Unmatched),
    /// It cannot be counted as it is.
    Rejected(Rejection),
}

/// Why an event matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// There is no such slot.
    Slot,
    /// There is no such decision.
    Decision,
    /// The decision is another slot's.
    OtherSlot,
    /// The decision did not show that arm.
    Arm,
    /// No decision within the window showed that arm to that subject.
    Subject,
    /// The event to take back is not known.
    Reversed,
}

/// Why an event cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The decision shows several arms, and the event names none.
    ArmNeeded,
    /// The kind uses the value, and there is none.
    ValueNeeded,
    /// It takes back a reversal.
    ReversalOfReversal,
    /// It takes back an event that was taken back before.
    AlreadyReversed,
    /// The decision has as many events as it may.
    TooManyEvents,
}

impl SlotState {
    pub(super) fn reward(&mut self, at_us: i64, event: &Rewarded) -> RewardOutcome {
        let outcome = self.try_reward(at_us, event).unwrap_or_else(|outcome| outcome);
        match outcome {
            RewardOutcome::Accepted => self.counters.rewards += 1,
            RewardOutcome::Duplicate => self.counters.duplicates += 1,
            RewardOutcome::Late => self.counters.late += 1,
            RewardOutcome::Unmatched(_) => self.counters.unmatched += 1,
            RewardOutcome::Rejected(_) => self.counters.rejected += 1,
        }
        outcome
    }

    fn try_reward(&mut self, at_us: i64, event: &Rewarded) -> Result<RewardOutcome, RewardOutcome> {
        let key = event_key(&event.event_id);
        if self.pending.event(key).is_some() {
            return Err(RewardOutcome::Duplicate);
        }
        if let Some(reversed) = &event.reverses {
            return self.reverse(key, reversed);
        }
        let id = self.find(at_us, event)?;
        let decision = self.pending.get(id).ok_or(RewardOutcome::Unmatched(Unmatched::Decision))?;
        if event.time_us.saturating_sub(decision.at_us) > self.definition.goal.window_us {
            return Err(RewardOutcome::Late);
        }
        let place = match &event.arm {
            Some(arm) => {
                let learned = self.arms.learned(arm.as_str());
                decision
                    .shown
                    .iter()
                    .position(|shown| Some(shown.arm) == learned)
                    .ok_or(RewardOutcome::Unmatched(Unmatched::Arm))?
            }
            None if decision.shown.len() == 1 => 0,
            None => return Err(RewardOutcome::Rejected(Rejection::ArmNeeded)),
        };
        if decision.events.len() >= EVENTS_PER_DECISION_MAX {
            return Err(RewardOutcome::Rejected(Rejection::TooManyEvents));
        }
        let kind = self.definition.goal.kind(&event.kind);
        if kind.is_some_and(|kind| kind.use_value) && event.value.is_none() {
            return Err(RewardOutcome::Rejected(Rejection::ValueNeeded));
        }
        let counts = kind.is_some();
        let arm = decision.shown[place].arm;
        self.pending.accept(key, Accepted::Event(id, arm), id);
        if counts {
            let counted =
                Counted { event: key, kind: event.kind.as_str().into(), value: event.value, time_us: event.time_us };
            if let Some(decision) = self.pending.get_mut(id) {
                decision.shown[place].counted.push(counted);
            }
            self.settle(id, place);
        } else {
            self.counters.other_kinds += 1;
        }
        Ok(RewardOutcome::Accepted)
    }

    /// The decision that an event belongs to.
    fn find(&self, at_us: i64, event: &Rewarded) -> Result<DecisionId, RewardOutcome> {
        let unmatched = |why| RewardOutcome::Unmatched(why);
        let Some(id) = event.decision else {
            let arm = event.arm.as_ref().and_then(|arm| self.arms.learned(arm.as_str()));
            let arm = arm.ok_or(unmatched(Unmatched::Subject))?;
            let latest = self.pending.latest(&event.subject, arm).ok_or(unmatched(Unmatched::Subject))?;
            // What was shown only after the event cannot have brought it about.
            let made_us = self.pending.get(latest).map_or(i64::MAX, |decision| decision.at_us);
            let possible = event.time_us.saturating_add(CLOCK_SKEW_US) >= made_us;
            return if possible { Ok(latest) } else { Err(unmatched(Unmatched::Subject)) };
        };
        if self.pending.get(id).is_some() {
            Ok(id)
        } else if id.slot() == self.number && at_us.saturating_sub(id.at_us()) > self.definition.goal.window_us {
            // Forgotten by now; its id still says when it was made.
            Err(RewardOutcome::Late)
        } else {
            Err(unmatched(Unmatched::Decision))
        }
    }

    fn reverse(&mut self, key: Key, reversed: &str) -> Result<RewardOutcome, RewardOutcome> {
        let reversed = event_key(reversed);
        let (id, arm) = match self.pending.event(reversed) {
            Some(Accepted::Event(id, arm)) => (id, arm),
            Some(Accepted::Reversal) => return Err(RewardOutcome::Rejected(Rejection::ReversalOfReversal)),
            Some(Accepted::Reversed) => return Err(RewardOutcome::Rejected(Rejection::AlreadyReversed)),
            None => return Err(RewardOutcome::Unmatched(Unmatched::Reversed)),
        };
        self.pending.accept(key, Accepted::Reversal, id);
        self.pending.mark_reversed(reversed);
        let Some(decision) = self.pending.get_mut(id) else { return Ok(RewardOutcome::Accepted) };
        if let Some(place) = decision.shown.iter().position(|shown| shown.arm == arm) {
            decision.shown[place].counted.retain(|counted| counted.event != reversed);
            self.settle(id, place);
        }
        Ok(RewardOutcome::Accepted)
    }

    /// Brings counters and learner to the reward that a shown arm's events now give.
    fn settle(&mut self, id: DecisionId, place: usize) {
        let Some(decision) = self.pending.get_mut(id) else { return };
        let holdout = decision.holdout;
        let shown = &mut decision.shown[place];
        let reward = self.definition.goal.reward(shown.counted.iter().map(Counted::contribution));
        self.counters.reward_sum += reward - shown.reward;
        if holdout {
            self.counters.holdout_reward_sum += reward - shown.reward;
        }
        shown.reward = reward;
        if self.definition.controls.freeze_learning() {
            return;
        }
        if let Some((learned, mark)) = &mut shown.learned {
            let (before, mark) = (std::mem::replace(learned, reward), *mark);
            let (arm, delta) = (shown.arm, reward - before);
            // A delta of exactly zero has nothing to tell.
            if delta != 0.0 {
                let rows = decision.shown[place].rows.as_ref().unwrap_or(&decision.rows);
                Arc::make_mut(&mut self.learner).revise(arm, rows, before, delta, mark);
            }
        }
    }
}
