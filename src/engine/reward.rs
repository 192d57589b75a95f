//! Effect of a reward event on a slot.

use std::sync::Arc;

use super::{
    duplicates::content_word,
    event::Rewarded,
    finished::{Place, Queue},
    goal_sums::RewardChange,
    ids::{DecisionId, Key},
    memory::Remembered,
    pending::{Accepted, Counted, Known, Pending, PendingDecision, ShownArm, Told, event_key},
    reply::{Lateness, RewardAnswer, RewardNote},
    state::SlotState,
};
use crate::{
    bandit::{ClickModel, Observation, seen},
    slot::{
        Learning,
        limits::{EVENT_MEMORY_US, EVENTS_PER_DECISION_MAX},
    },
    stats::math,
};

/// Smallest number of values of a kind before any is winsorized. A quantile of fewer says nothing.
const WINSORIZE_FROM: f64 = 100.0;

/// Smallest tolerance for the clock of an event's reporter, microseconds. A goal's grace period may allow more.
const CLOCK_SKEW_US: i64 = 5 * 60 * 1_000_000;

/// Status of a reward event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewardOutcome {
    /// The event was counted, as a kind of the goal or as another kind.
    Accepted,
    /// The event's id was accepted before.
    Duplicate,
    /// The event's decision is older than the window.
    Late,
    /// No known decision matches the event.
    Unmatched(Unmatched),
    /// The event cannot be counted as it is.
    Rejected(Rejection),
}

/// Reason why an event matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// The slot does not exist.
    Slot,
    /// No decision has this id.
    Decision,
    /// The decision belongs to another slot.
    OtherSlot,
    /// The decision did not show that arm.
    Arm,
    /// No decision within the window showed that arm to that subject.
    Subject,
    /// The event to reverse is not known.
    Reversed,
}

/// Reason why an event cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The decision shows several arms, and the event names none.
    ArmNeeded,
    /// The kind uses the value, and the event has none.
    ValueNeeded,
    /// The event reverses a reversal.
    ReversalOfReversal,
    /// The event reverses an event that was reversed before.
    AlreadyReversed,
    /// The decision has as many events as it may have.
    TooManyEvents,
}

fn unmatched(why: Unmatched) -> RewardAnswer {
    RewardAnswer::new(RewardOutcome::Unmatched(why))
}

fn rejected(why: Rejection) -> RewardAnswer {
    RewardAnswer::new(RewardOutcome::Rejected(why))
}

impl SlotState {
    pub(super) fn reward(&mut self, at_us: i64, event: &Rewarded) -> RewardAnswer {
        let reply = self.try_reward(at_us, event).unwrap_or_else(|reply| reply);
        match reply.outcome {
            RewardOutcome::Accepted => self.counters.rewards += 1,
            RewardOutcome::Duplicate => self.counters.duplicates += 1,
            RewardOutcome::Late => self.counters.late += 1,
            RewardOutcome::Unmatched(_) => self.counters.unmatched += 1,
            RewardOutcome::Rejected(_) => self.counters.rejected += 1,
        }
        reply
    }

    fn try_reward(&mut self, at_us: i64, event: &Rewarded) -> Result<RewardAnswer, RewardAnswer> {
        let key = event_key(&event.event_id);
        if let Some(duplicate) = self.duplicate(key, event) {
            return Err(duplicate);
        }
        if let Some(reversed) = &event.reverses {
            return self.reverse(at_us, key, event, reversed);
        }
        let at = self.find(at_us, event)?;
        let mut decision = self.decision(at).ok_or(unmatched(Unmatched::Decision))?;
        if self.is_late(at_us, event, at, &decision) {
            return Err(self.late(at_us, event, Some(decision.at_us)));
        }
        let place = match &event.arm {
            Some(arm) => {
                let learned = self.arms.learned(arm.as_str());
                let of_arm = |shown: &ShownArm| Some(shown.arm) == learned;
                decision.shown.iter().position(of_arm).ok_or(unmatched(Unmatched::Arm))?
            }
            None if decision.shown.len() == 1 => 0,
            None => return Err(rejected(Rejection::ArmNeeded)),
        };
        if decision.events.len() >= EVENTS_PER_DECISION_MAX {
            return Err(rejected(Rejection::TooManyEvents));
        }
        let kind = self.definition.goal.kind(&event.kind);
        if kind.is_some_and(|kind| kind.use_value) && event.value.is_none() {
            return Err(rejected(Rejection::ValueNeeded));
        }
        let counts = kind.is_some();
        let kind: Arc<str> = event.kind.as_str().into();
        let content = (!counts).then(|| (Arc::clone(&kind), event.value));
        decision.events.push(Known { event: key, what: Accepted::Event(decision.shown[place].arm), content });
        if event.decision.is_none() {
            let remembered = Remembered { came_us: at_us, event: key, content: content_word(event) };
            let horizon_us = at_us.saturating_sub(self.event_memory_us());
            self.forgotten.event_ids += self.memory.remember(remembered, horizon_us);
        }
        if counts {
            let learned = self.winsorized(event, decision.frozen);
            let counted = Counted { event: key, kind, value: event.value, learned, time_us: event.time_us };
            if decision.shown[place].counted.is_empty() && !decision.frozen {
                self.delays.observe((at_us - decision.at_us) as f64);
                self.lags.observe(self.watermark_us.saturating_sub(decision.at_us).max(0) as f64);
                self.watermark_us = self.watermark_us.max(decision.at_us);
            }
            if decision.shown[place].counted.is_empty() {
                let arm = decision.shown[place].arm;
                self.tally(arm).rewarded += 1;
                self.sum_change(at, &decision, RewardChange { arm, more: 0.0, rewarded: 1 });
            }
            self.judge_event(at_us);
            decision.shown[place].counted.push(counted);
            decision.shown[place].seen = true;
            self.settle(at_us, at, &mut decision, place);
        } else {
            self.counters.other_kinds += 1;
        }
        self.put_decision(at, &decision);
        if counts {
            return Ok(RewardAnswer::new(RewardOutcome::Accepted));
        }
        let note = RewardNote::OtherKind { kind: event.kind.clone(), definition: Arc::clone(&self.definition) };
        Ok(RewardAnswer::with(RewardOutcome::Accepted, note))
    }

    /// Returns `true` if an event is too late for its decision: by its own time, or by the service's time if the
    /// reporter's clock is ahead.
    fn is_late(&self, at_us: i64, event: &Rewarded, at: Place, decision: &PendingDecision) -> bool {
        let goal = &self.definition.goal;
        let happened_us = event.time_us.min(at_us).saturating_sub(decision.at_us);
        let came_us = at_us.saturating_sub(decision.at_us);
        if goal.takes_back(&event.kind) && came_us <= goal.reversal_window_us() {
            return false;
        }
        at.queue == Queue::Finished || happened_us > goal.window_us
    }

    /// Returns the answer to an event that is too late.
    fn late(&self, at_us: i64, event: &Rewarded, decided_us: Option<i64>) -> RewardAnswer {
        let goal = &self.definition.goal;
        let takes_back = event.reverses.is_some() || goal.takes_back(&event.kind);
        let lateness = Lateness {
            decided_us,
            happened_us: event.time_us,
            came_us: at_us,
            window_us: goal.window_us,
            grace_period_us: goal.grace_period_us(),
            reversal_window_us: takes_back.then(|| goal.reversal_window_us()),
        };
        RewardAnswer::with(RewardOutcome::Late, RewardNote::Late(lateness))
    }

    /// Time for which ids of events that name no decision are remembered, microseconds. After the window and the grace
    /// period there is no decision left that such an event could join.
    fn event_memory_us(&self) -> i64 {
        self.definition.goal.patience_us().saturating_add(CLOCK_SKEW_US).max(EVENT_MEMORY_US)
    }

    /// Tolerance for the clock of an event's reporter, microseconds.
    fn clock_skew_us(&self) -> i64 {
        self.definition.goal.grace_period_us().max(CLOCK_SKEW_US)
    }

    /// Returns the place of the decision that an event belongs to.
    fn find(&self, at_us: i64, event: &Rewarded) -> Result<Place, RewardAnswer> {
        let Some(id) = event.decision else { return self.find_by_subject(at_us, event) };
        match self.look_up(|queue| queue.find(id)) {
            Some(at) => Ok(at),
            None if self.is_gone(at_us, id) => Err(self.late(at_us, event, Some(id.at_us()))),
            None => Err(unmatched(Unmatched::Decision)),
        }
    }

    fn find_by_subject(&self, at_us: i64, event: &Rewarded) -> Result<Place, RewardAnswer> {
        let goal = &self.definition.goal;
        let takes_back = goal.takes_back(&event.kind);
        // An event this old has lost its decision, and the memory of its own id may be lost too.
        let age_us = at_us.saturating_sub(event.time_us);
        let most_us = goal.window_us.saturating_add(self.clock_skew_us());
        let most_us = if takes_back { most_us.max(goal.reversal_window_us()) } else { most_us };
        if age_us > most_us || self.memory.forgot(event.time_us) {
            return Err(self.late(at_us, event, None));
        }
        let arm = event.arm.as_ref().and_then(|arm| self.arms.learned(arm.as_str()));
        let arm = arm.ok_or(unmatched(Unmatched::Subject))?;
        let subject = &event.subject;
        let find = |latest: &dyn Fn(&Pending) -> Option<u64>| {
            if takes_back { self.look_up(latest) } else { latest(&self.pending).map(Place::pending) }
        };
        // The subject's id goes first, in both queues: a person's purchase is refunded before anything that an
        // anonymous shopper in the same session was shown since.
        let by = |until_us| {
            let by_id = find(&|queue| queue.latest_by_id(subject, arm, until_us));
            by_id.or_else(|| find(&|queue| queue.latest_by_session(subject, arm, until_us)))
        };
        // A showing after the event cannot have caused it, unless the clock of the reporter is behind.
        let latest = by(event.time_us).or_else(|| by(event.time_us.saturating_add(self.clock_skew_us())));
        latest.ok_or(unmatched(Unmatched::Subject))
    }

    /// Returns `true` if a missing decision was forgotten. Its id still says when it was made.
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
    ) -> Result<RewardAnswer, RewardAnswer> {
        let reversed = event_key(reversed);
        let Some(at) = self.look_up(|queue| queue.event(reversed).map(|known| known.0)) else {
            let first = self.memory.find(reversed);
            // The event was counted without naming its decision, or belonged to one that is forgotten.
            if first.is_some() {
                return Err(self.late(at_us, event, event.decision.map(DecisionId::at_us)));
            }
            let gone = |id: &DecisionId| self.look_up(|queue| queue.find(*id)).is_none() && self.is_gone(at_us, *id);
            return Err(match event.decision.filter(gone) {
                Some(id) => self.late(at_us, event, Some(id.at_us())),
                None => unmatched(Unmatched::Reversed),
            });
        };
        let Some(mut decision) = self.decision(at) else { return Err(unmatched(Unmatched::Reversed)) };
        let known = decision.events.iter_mut().find(|known| known.event == reversed);
        let Some(known) = known else { return Err(unmatched(Unmatched::Reversed)) };
        let arm = match known.what {
            Accepted::Event(arm) => arm,
            Accepted::Reversal => return Err(rejected(Rejection::ReversalOfReversal)),
            Accepted::Reversed => return Err(rejected(Rejection::AlreadyReversed)),
        };
        if at.queue == Queue::Finished
            && at_us.saturating_sub(decision.at_us) > self.definition.goal.reversal_window_us()
        {
            return Err(self.late(at_us, event, Some(decision.at_us)));
        }
        known.what = Accepted::Reversed;
        if let Some(place) = decision.shown.iter().position(|shown| shown.arm == arm) {
            let counted = &mut decision.shown[place].counted;
            // An event that does not count does not end silence, and neither does its reversal.
            if let Some(i) = counted.iter().position(|counted| counted.event == reversed) {
                let taken = counted.remove(i);
                if counted.is_empty() {
                    let tally = self.tally(arm);
                    tally.rewarded = tally.rewarded.saturating_sub(1);
                    self.sum_change(at, &decision, RewardChange { arm, more: 0.0, rewarded: -1 });
                }
                for known in decision.events.iter_mut().filter(|known| known.event == reversed) {
                    known.content = Some((Arc::clone(&taken.kind), taken.value));
                }
                self.settle(at_us, at, &mut decision, place);
            }
        }
        let content = Some((event.kind.as_str().into(), event.value));
        decision.events.push(Known { event: key, what: Accepted::Reversal, content });
        self.put_decision(at, &decision);
        Ok(RewardAnswer::new(RewardOutcome::Accepted))
    }

    /// Returns the event's value as it is learned. If its kind is winsorized, the value is limited to that quantile of
    /// the values so far. Values that are never learned do not enter the quantile.
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

    /// Updates counters and learner to the reward that a shown arm's events now give.
    fn settle(&mut self, at_us: i64, at: Place, decision: &mut PendingDecision, place: usize) {
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
        self.sum_change(at, decision, RewardChange { arm, more, rewarded: 0 });
        if !self.of_earlier_goal(at, decision) {
            self.judge_settled(decision, place, before);
        }
        let at_close = self.definition.goal.learning == Learning::AtClose && at.queue == Queue::Pending;
        if self.definition.controls.freeze_learning() || at_close {
            return;
        }
        if self.definition.goal.click_model == ClickModel::Cascade {
            // A shopper who rewarded this arm saw the arms above it.
            for place in 0..=place {
                self.learn_arm(at_us, at, decision, place);
            }
        } else {
            self.learn_arm(at_us, at, decision, place);
        }
    }

    /// Updates the position model after a shown arm became rewarded, or stopped being so. An update that frozen
    /// learning prevented is made up for when the arm is settled next.
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

    /// Learns the present reward of each arm that a pending decision showed.
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
            told |= self.learn_arm(at_us, Place::pending(ordinal), &mut decision, place);
        }
        if told {
            self.pending.put(ordinal, &decision);
        }
    }

    /// Learns a decision that showed one arm and has no events, decoding no more of it than needed. Returns `false` if
    /// the decision is not of that kind.
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
            // The goal's reward of silence has changed since.
            return false;
        }
        let decisions_since_shown = self.pending.made().saturating_sub(ordinal + 1);
        let half_life_us = self.definition.controls.half_life_us();
        self.sum_learned_silence(ordinal, silent.arm, y);
        let observation =
            Observation { arm: silent.arm, reward: y, weight: 1.0, at_us, half_life_us, decisions_since_shown };
        let learner = Arc::make_mut(&mut self.learner);
        let rows = if learner.has_features() { self.pending.rows(ordinal, silent) } else { learner.no_rows() };
        let receipt = learner.observe(observation, &rows);
        self.pending.told(ordinal, silent, &Told { reward: y, receipt });
        true
    }

    /// Learns the reward that a shown arm's events now give, or revises what was learned before. Returns `false` if
    /// there was nothing to learn.
    fn learn_arm(&mut self, at_us: i64, at: Place, decision: &mut PendingDecision, place: usize) -> bool {
        if decision.frozen {
            return false;
        }
        let half_life_us = self.definition.controls.half_life_us();
        let decisions_since_shown = self.pending.made().saturating_sub(at.ordinal + 1);
        let shown = &decision.shown[place];
        let y = self.definition.goal.reward(shown.counted.iter().map(Counted::lesson));
        let rows = shown.rows.as_ref().unwrap_or(&decision.rows);
        let arm = shown.arm;
        let told = match &shown.told {
            // The decision was not learned before it was finished, so there is nothing to revise.
            None if at.queue == Queue::Finished => return false,
            None => {
                let weight = match self.definition.goal.click_model {
                    ClickModel::PositionBased => self.positions.exposure(place),
                    // The arm is not known to have been seen, so nothing is learned of it.
                    ClickModel::Cascade if place >= seen(&decision.seen()) => return false,
                    ClickModel::None | ClickModel::Cascade => 1.0,
                };
                let observation = Observation { arm, reward: y, weight, at_us, half_life_us, decisions_since_shown };
                self.sum_learned(at, decision, arm, y);
                Told { reward: y, receipt: Arc::make_mut(&mut self.learner).observe(observation, rows) }
            }
            // A difference of exactly zero changes nothing.
            Some(told) if told.reward.total_cmp(&y).is_eq() => return false,
            Some(Told { reward, receipt }) => {
                self.sum_learned(at, decision, arm, y - reward);
                Arc::make_mut(&mut self.learner).revise(arm, rows, *reward, y - reward, receipt);
                Told { reward: y, receipt: receipt.clone() }
            }
        };
        decision.shown[place].told = Some(told);
        true
    }
}
