//! What a reward event does to a slot.

use std::sync::Arc;

use super::{
    event::Rewarded,
    ids::{DecisionId, Key},
    pending::{Accepted, Counted, Known, PendingDecision, Told, event_key},
    state::SlotState,
};
use crate::{
    bandit::{ClickModel, Lesson, seen},
    slot::{
        Learning,
        limits::{EVENT_MEMORY_US, EVENTS_PER_DECISION_MAX},
    },
    stats::math,
};

/// Values of a kind before any is winsorized: a quantile of a handful is none.
const WINSORIZE_FROM: f64 = 100.0;

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
        if self.pending.event(key).is_some() || self.memory.knows(key) {
            return Err(RewardOutcome::Duplicate);
        }
        if let Some(reversed) = &event.reverses {
            return self.reverse(at_us, key, event, reversed);
        }
        let ordinal = self.find(at_us, event)?;
        let mut decision = self.pending.get(ordinal).ok_or(RewardOutcome::Unmatched(Unmatched::Decision))?;
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
        decision.events.push(Known { event: key, what: Accepted::Event(decision.shown[place].arm) });
        if event.decision.is_none() {
            self.memory.remember(at_us, key, at_us.saturating_sub(self.event_memory_us()));
        }
        if counts {
            let learned = self.winsorized(event, decision.frozen);
            let kind = event.kind.as_str().into();
            let counted = Counted { event: key, kind, value: event.value, learned, time_us: event.time_us };
            if decision.shown[place].counted.is_empty() && !decision.frozen {
                self.delays.observe((at_us - decision.at_us) as f64);
                self.lags.observe(self.watermark_us.saturating_sub(decision.at_us).max(0) as f64);
                self.watermark_us = self.watermark_us.max(decision.at_us);
            }
            if decision.shown[place].counted.is_empty() {
                let arm = decision.shown[place].arm;
                self.tally(arm).rewarded += 1;
            }
            self.judge_event(at_us);
            decision.shown[place].counted.push(counted);
            decision.shown[place].seen = true;
            self.settle(at_us, ordinal, &mut decision, place);
        } else {
            self.counters.other_kinds += 1;
        }
        self.pending.put(ordinal, &decision);
        Ok(RewardOutcome::Accepted)
    }

    /// How long the ids of events that name no decision are remembered, microseconds: beyond the window, with the
    /// skew of clocks, there is no decision that such an event could still join.
    fn event_memory_us(&self) -> i64 {
        self.definition.goal.window_us.saturating_add(CLOCK_SKEW_US).max(EVENT_MEMORY_US)
    }

    /// The decision that an event belongs to, by its ordinal.
    fn find(&self, at_us: i64, event: &Rewarded) -> Result<u64, RewardOutcome> {
        let unmatched = |why| RewardOutcome::Unmatched(why);
        let Some(id) = event.decision else {
            // Its decision is gone, and so may be the memory of its own id.
            let age_us = at_us.saturating_sub(event.time_us);
            let window_us = self.definition.goal.window_us.saturating_add(CLOCK_SKEW_US);
            if age_us > window_us || self.memory.forgot(event.time_us) {
                return Err(RewardOutcome::Late);
            }
            let arm = event.arm.as_ref().and_then(|arm| self.arms.learned(arm.as_str()));
            let arm = arm.ok_or(unmatched(Unmatched::Subject))?;
            // What was shown only after the event cannot have brought it about, unless the clock that says so is behind.
            let by = |until_us| self.pending.latest(&event.subject, arm, until_us);
            let latest = by(event.time_us).or_else(|| by(event.time_us.saturating_add(CLOCK_SKEW_US)));
            return latest.ok_or(unmatched(Unmatched::Subject));
        };
        match self.pending.find(id) {
            Some(ordinal) => Ok(ordinal),
            None if self.is_gone(at_us, id) => Err(RewardOutcome::Late),
            None => Err(unmatched(Unmatched::Decision)),
        }
    }

    /// Whether a decision that is not there is one that was forgotten: its id still says when it was made.
    fn is_gone(&self, at_us: i64, id: DecisionId) -> bool {
        let closed = at_us.saturating_sub(id.at_us()) > self.definition.goal.window_us;
        id.slot() == self.number && (closed || self.pending.dropped(id.at_us()))
    }

    fn reverse(
        &mut self,
        at_us: i64,
        key: Key,
        event: &Rewarded,
        reversed: &str,
    ) -> Result<RewardOutcome, RewardOutcome> {
        let reversed = event_key(reversed);
        let (ordinal, arm) = match self.pending.event(reversed) {
            Some((ordinal, Accepted::Event(arm))) => (ordinal, arm),
            Some((_, Accepted::Reversal)) => return Err(RewardOutcome::Rejected(Rejection::ReversalOfReversal)),
            Some((_, Accepted::Reversed)) => return Err(RewardOutcome::Rejected(Rejection::AlreadyReversed)),
            // It was counted, or belonged to a decision that is closed.
            None if self.memory.knows(reversed) => return Err(RewardOutcome::Late),
            None if event.decision.is_some_and(|id| self.pending.find(id).is_none() && self.is_gone(at_us, id)) => {
                return Err(RewardOutcome::Late);
            }
            None => return Err(RewardOutcome::Unmatched(Unmatched::Reversed)),
        };
        let Some(mut decision) = self.pending.get(ordinal) else { return Ok(RewardOutcome::Accepted) };
        for known in decision.events.iter_mut().filter(|known| known.event == reversed) {
            known.what = Accepted::Reversed;
        }
        decision.events.push(Known { event: key, what: Accepted::Reversal });
        if let Some(place) = decision.shown.iter().position(|shown| shown.arm == arm) {
            let counted = &mut decision.shown[place].counted;
            let before = counted.len();
            counted.retain(|counted| counted.event != reversed);
            // What did not count breaks no silence when it is taken back either.
            if counted.len() < before {
                if counted.is_empty() {
                    let tally = self.tally(arm);
                    tally.rewarded = tally.rewarded.saturating_sub(1);
                }
                self.settle(at_us, ordinal, &mut decision, place);
            }
        }
        self.pending.put(ordinal, &decision);
        Ok(RewardOutcome::Accepted)
    }

    /// The event's value as it is learned: where its kind is winsorized, at most that quantile of the values so far.
    /// What is never learned is no value to go by either.
    fn winsorized(&mut self, event: &Rewarded, frozen: bool) -> Option<f64> {
        let value = event.value?;
        let Some(share) = self.definition.goal.kind(&event.kind).and_then(|kind| kind.winsorize) else {
            return Some(value);
        };
        let values = self.values.entry(event.kind.clone()).or_default();
        let most = values.quantile(share).filter(|_| values.count() >= WINSORIZE_FROM);
        if !frozen {
            values.observe(value.abs());
        }
        Some(most.map_or(value, |most| value.clamp(-most, most)))
    }

    /// Brings counters and learner to the reward that a shown arm's events now give.
    fn settle(&mut self, at_us: i64, ordinal: u64, decision: &mut PendingDecision, place: usize) {
        self.settle_position(at_us, decision, place);
        let shown = &mut decision.shown[place];
        let reward = self.definition.goal.reward(shown.counted.iter().map(Counted::contribution));
        let before = shown.reward;
        let more = reward - before;
        shown.reward = reward;
        self.counters.reward_sum += more;
        if decision.holdout {
            self.counters.holdout_reward_sum += more;
        }
        let arm = shown.arm;
        self.tally(arm).reward_sum += more;
        self.judge_settled(decision, place, before);
        if self.definition.controls.freeze_learning() || self.definition.goal.learning == Learning::AtClose {
            return;
        }
        if self.definition.goal.click_model == ClickModel::Cascade {
            // Whoever got down to here saw what stands above.
            for place in 0..=place {
                self.learn_arm(at_us, ordinal, decision, place);
            }
        } else {
            self.learn_arm(at_us, ordinal, decision, place);
        }
    }

    /// Tells the positions of a shown arm that became rewarded, or no longer is. What they were not told because
    /// learning was frozen they are told when the arm is settled next.
    fn settle_position(&mut self, at_us: i64, decision: &mut PendingDecision, place: usize) {
        let frozen = decision.frozen || self.definition.controls.freeze_learning();
        if frozen || decision.shown.iter().all(|shown| shown.overlap <= 0.0) {
            return;
        }
        self.fade_positions(at_us);
        let overlaps: Vec<f64> = decision.shown.iter().skip(1).map(|shown| shown.overlap).collect();
        let shown = &mut decision.shown[place];
        let goal = &self.definition.goal;
        let rewarded = goal.reward(shown.counted.iter().map(Counted::contribution)) > goal.default_reward;
        match (shown.tells, rewarded) {
            (None, true) => {
                shown.tells = Some(self.positions_ln_retained);
                self.positions.revise(place, &overlaps, 1.0, true);
            }
            (Some(then), false) => {
                shown.tells = None;
                self.positions.revise(place, &overlaps, math::exp(self.positions_ln_retained - then), false);
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Learns what a decision has come to for each arm that it showed.
    pub(super) fn learn(&mut self, at_us: i64, ordinal: u64) {
        if self.accounting || self.definition.controls.freeze_learning() {
            return;
        }
        if self.learn_silent(at_us, ordinal) {
            return;
        }
        let Some(mut decision) = self.pending.get(ordinal) else { return };
        let mut told = false;
        for place in 0..decision.shown.len() {
            told |= self.learn_arm(at_us, ordinal, &mut decision, place);
        }
        if told {
            self.pending.put(ordinal, &decision);
        }
    }

    /// Learns a decision that showed one arm and heard nothing, without unpacking more of it than that takes; says
    /// whether it is one.
    fn learn_silent(&mut self, at_us: i64, ordinal: u64) -> bool {
        let goal = &self.definition.goal;
        if goal.click_model != ClickModel::None {
            return false;
        }
        let Some((silent, told)) = self.pending.silent(ordinal) else { return false };
        let y = goal.reward(std::iter::empty());
        if silent.frozen || told.is_some_and(|told| told.total_cmp(&y).is_eq()) {
            return true;
        }
        if told.is_some() {
            // What silence is worth has changed since.
            return false;
        }
        let lag = self.pending.made().saturating_sub(ordinal + 1);
        let half_life_us = self.definition.controls.half_life_us();
        let lesson = Lesson { arm: silent.arm, y, weight: 1.0, at_us, half_life_us, lag };
        let learner = Arc::make_mut(&mut self.learner);
        let rows = if learner.has_features() { self.pending.rows(ordinal, silent) } else { learner.no_rows() };
        let mark = learner.observe(lesson, &rows);
        self.pending.told(ordinal, silent, &Told { reward: y, mark });
        true
    }

    /// Tells the learner the reward that a shown arm's events now give, or the difference to what it was told; says
    /// whether there was anything to tell.
    fn learn_arm(&mut self, at_us: i64, ordinal: u64, decision: &mut PendingDecision, place: usize) -> bool {
        if decision.frozen {
            return false;
        }
        let half_life_us = self.definition.controls.half_life_us();
        let lag = self.pending.made().saturating_sub(ordinal + 1);
        let shown = &decision.shown[place];
        let y = self.definition.goal.reward(shown.counted.iter().map(Counted::lesson));
        let rows = shown.rows.as_ref().unwrap_or(&decision.rows);
        let arm = shown.arm;
        let told = match &shown.told {
            None => {
                let weight = match self.definition.goal.click_model {
                    ClickModel::PositionBased => self.positions.exposure(place),
                    // Nobody is known to have seen it: nothing is learned of it.
                    ClickModel::Cascade if place >= seen(&decision.seen()) => return false,
                    ClickModel::None | ClickModel::Cascade => 1.0,
                };
                let lesson = Lesson { arm, y, weight, at_us, half_life_us, lag };
                Told { reward: y, mark: Arc::make_mut(&mut self.learner).observe(lesson, rows) }
            }
            // A difference of exactly zero has nothing to tell.
            Some(told) if told.reward.total_cmp(&y).is_eq() => return false,
            Some(Told { reward, mark }) => {
                Arc::make_mut(&mut self.learner).revise(arm, rows, *reward, y - reward, mark);
                Told { reward: y, mark: mark.clone() }
            }
        };
        decision.shown[place].told = Some(told);
        true
    }
}
