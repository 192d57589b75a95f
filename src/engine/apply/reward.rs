//! Application of a reward event: which decision it joins, whether it counts, and what it reverses.

use std::sync::Arc;

use super::{deferred::SHOWN, duplicates::content_word};
use crate::{
    engine::{
        answer::{EventStatus, Lateness, Rejection, RewardAnswer, RewardNote, UnmatchedReason},
        event::RewardEvent,
        ids::{DecisionId, Hash128},
        pending::{
            CountedEvent, DecisionPlace, DecisionQueue, EventRecord, EventRole, PendingDecision, QueueKind, ShownArm,
            event_key,
        },
        slot_state::{ProvisionalValue, RememberedEvent, RewardChange, SlotState},
    },
    slot::limits::{EVENT_MEMORY_US, EVENTS_PER_DECISION_MAX},
};

/// Smallest tolerance for the clock of an event's reporter, microseconds. A goal's grace period may allow more.
const CLOCK_SKEW_US: i64 = 5 * 60 * 1_000_000;

/// Shown arm that a reward event belongs to.
pub(super) struct LocatedReward {
    pub(super) at: DecisionPlace,
    decision: PendingDecision,
    /// Index of the arm among those shown.
    place: usize,
}

impl LocatedReward {
    /// Index of the arm in the learner.
    pub(super) fn arm(&self) -> u32 {
        self.decision.shown[self.place].arm
    }
}

pub(super) fn unmatched(why: UnmatchedReason) -> RewardAnswer {
    RewardAnswer::new(EventStatus::Unmatched(why))
}

fn rejected(why: Rejection) -> RewardAnswer {
    RewardAnswer::new(EventStatus::Rejected(why))
}

impl SlotState {
    /// Applies a reward event, and counts and returns the answer.
    pub(super) fn apply_reward(&mut self, at_us: i64, event: &RewardEvent) -> RewardAnswer {
        let answer = self.try_reward(at_us, event).unwrap_or_else(|answer| answer);
        self.counters.add_event(answer.status);
        answer
    }

    fn try_reward(&mut self, at_us: i64, event: &RewardEvent) -> Result<RewardAnswer, RewardAnswer> {
        let key = event_key(&event.event_id);
        if let Some(duplicate) = self.duplicate(key, event) {
            return Err(duplicate);
        }
        if let Some(reversed) = &event.reverses {
            return self.reverse(at_us, key, event, reversed);
        }
        let LocatedReward { at, mut decision, place } = self.locate(at_us, event)?;
        let counts = self.design.definition.goal.kind(&event.kind).is_some();
        let kind: Arc<str> = event.kind.as_str().into();
        let content = (!counts).then(|| (Arc::clone(&kind), event.value));
        decision.events.push(EventRecord { event: key, role: EventRole::Reward(decision.shown[place].arm), content });
        if event.decision.is_none() {
            let remembered = RememberedEvent { came_us: at_us, event: key, content: content_word(event) };
            let horizon_us = at_us.saturating_sub(self.event_memory_us());
            self.forgotten.event_ids += self.event_memory.add(remembered, horizon_us);
        }
        if counts {
            let learned_value = self.learned_value(event, &decision);
            let counted = CountedEvent { event: key, kind, value: event.value, learned_value, time_us: event.time_us };
            if decision.shown[place].counted.is_empty() {
                if !decision.frozen {
                    self.delays.observe(at_us, decision.at_us);
                }
                self.count_rewarded(at, &decision, decision.shown[place].arm, 1);
            }
            Arc::make_mut(&mut self.evaluation).note_event(at_us, decision.evaluation.decode().as_deref());
            let arm = decision.shown[place].arm;
            self.series.add_event(decision.at_us, arm, &event.kind, 1, event.value.unwrap_or(0.0));
            decision.shown[place].counted.push(counted);
            decision.shown[place].seen = true;
            self.settle(at_us, at, &mut decision, place);
        } else {
            self.counters.slot.other_kinds += 1;
            if event.kind == SHOWN {
                self.note_seen(at_us, at, &mut decision, place);
            }
        }
        self.decisions.put(at, &decision);
        if counts {
            self.revise_provisional(at_us, &event.kind);
            return Ok(RewardAnswer::new(EventStatus::Accepted));
        }
        let note = RewardNote::OtherKind { kind: event.kind.clone(), definition: Arc::clone(&self.design.definition) };
        Ok(RewardAnswer::with_note(EventStatus::Accepted, note))
    }

    /// Returns the decision and the shown arm that an event belongs to. Returns the answer if it cannot be counted.
    pub(super) fn locate(&self, at_us: i64, event: &RewardEvent) -> Result<LocatedReward, RewardAnswer> {
        let at = self.find_decision(at_us, event)?;
        let decision = self.decisions.get(at).ok_or(unmatched(UnmatchedReason::Decision))?;
        if self.is_late(at_us, event, at, &decision) {
            return Err(self.late(at_us, event, Some(decision.at_us)));
        }
        let place = match &event.arm {
            Some(arm) => {
                let learned = self.design.arms.learned(arm.as_str());
                let of_arm = |shown: &ShownArm| Some(shown.arm) == learned;
                decision.shown.iter().position(of_arm).ok_or(unmatched(UnmatchedReason::Arm))?
            }
            None if decision.shown.len() == 1 => 0,
            None => return Err(rejected(Rejection::ArmNeeded)),
        };
        if decision.events.len() >= EVENTS_PER_DECISION_MAX {
            return Err(rejected(Rejection::TooManyEvents));
        }
        let kind = self.design.definition.goal.kind(&event.kind);
        if kind.is_some_and(|kind| kind.use_value) && event.value.is_none() {
            return Err(rejected(Rejection::ValueNeeded));
        }
        Ok(LocatedReward { at, decision, place })
    }

    /// Returns `true` if an event is too late for its decision: by its own time, or by the service's time if the
    /// reporter's clock is ahead.
    fn is_late(&self, at_us: i64, event: &RewardEvent, at: DecisionPlace, decision: &PendingDecision) -> bool {
        let goal = &self.design.definition.goal;
        let happened_us = event.time_us.min(at_us).saturating_sub(decision.at_us);
        let came_us = at_us.saturating_sub(decision.at_us);
        if goal.takes_back(&event.kind) && came_us <= goal.reversal_window_us() {
            return false;
        }
        at.queue == QueueKind::Finished || happened_us > goal.window_us
    }

    /// Returns the answer to an event that is too late.
    fn late(&self, at_us: i64, event: &RewardEvent, decided_us: Option<i64>) -> RewardAnswer {
        let goal = &self.design.definition.goal;
        let takes_back = event.reverses.is_some() || goal.takes_back(&event.kind);
        let lateness = Lateness {
            decided_us,
            happened_us: event.time_us,
            came_us: at_us,
            window_us: goal.window_us,
            grace_period_us: goal.grace_period_us(),
            reversal_window_us: takes_back.then(|| goal.reversal_window_us()),
        };
        RewardAnswer::with_note(EventStatus::Late, RewardNote::Late(lateness))
    }

    /// Time for which ids of events that name no decision are remembered, microseconds. After the window and the grace
    /// period there is no decision left that such an event could join.
    fn event_memory_us(&self) -> i64 {
        self.design.definition.goal.patience_us().saturating_add(CLOCK_SKEW_US).max(EVENT_MEMORY_US)
    }

    /// Tolerance for the clock of an event's reporter, microseconds.
    pub(super) fn clock_skew_us(&self) -> i64 {
        self.design.definition.goal.grace_period_us().max(CLOCK_SKEW_US)
    }

    /// Returns the place of the decision that an event belongs to.
    pub(super) fn find_decision(&self, at_us: i64, event: &RewardEvent) -> Result<DecisionPlace, RewardAnswer> {
        let Some(id) = event.decision else { return self.find_by_subject(at_us, event) };
        match self.decisions.find(|queue| queue.find(id)) {
            Some(at) => Ok(at),
            None if self.is_gone(at_us, id) => Err(self.late(at_us, event, Some(id.at_us()))),
            None => Err(unmatched(UnmatchedReason::Decision)),
        }
    }

    /// Returns `true` if an event that names no decision belongs to one that waits for rewards or reversals.
    pub fn joins_by_subject(&self, at_us: i64, event: &RewardEvent) -> bool {
        self.find_by_subject(at_us, event).is_ok()
    }

    fn find_by_subject(&self, at_us: i64, event: &RewardEvent) -> Result<DecisionPlace, RewardAnswer> {
        let goal = &self.design.definition.goal;
        let takes_back = goal.takes_back(&event.kind);
        // An event this old has lost its decision, and the memory of its own id may be lost too.
        let age_us = at_us.saturating_sub(event.time_us);
        let most_us = goal.window_us.saturating_add(self.clock_skew_us());
        let most_us = if takes_back { most_us.max(goal.reversal_window_us()) } else { most_us };
        if age_us > most_us || self.event_memory.may_have_forgotten(event.time_us) {
            return Err(self.late(at_us, event, None));
        }
        let arm = event.arm.as_ref().and_then(|arm| self.design.arms.learned(arm.as_str()));
        let arm = arm.ok_or(unmatched(UnmatchedReason::Subject))?;
        let subject = &event.subject;
        let find = |latest: &dyn Fn(&DecisionQueue) -> Option<u64>| {
            if takes_back {
                self.decisions.find(latest)
            } else {
                latest(&self.decisions.pending).map(DecisionPlace::pending)
            }
        };
        // The subject's id goes first, in both queues: a person's purchase is refunded before anything that an
        // anonymous shopper in the same session was shown since.
        let by = |until_us| {
            let by_id = find(&|queue| queue.find_latest_by_id(subject, arm, until_us));
            by_id.or_else(|| find(&|queue| queue.find_latest_by_session(subject, arm, until_us)))
        };
        // A showing after the event cannot have caused it, unless the clock of the reporter is behind.
        let latest = by(event.time_us).or_else(|| by(event.time_us.saturating_add(self.clock_skew_us())));
        latest.ok_or(unmatched(UnmatchedReason::Subject))
    }

    /// Returns `true` if a missing decision was forgotten. Its id still says when it was made.
    fn is_gone(&self, at_us: i64, id: DecisionId) -> bool {
        let closed = at_us.saturating_sub(id.at_us()) > self.design.definition.goal.window_us;
        id.slot() == self.number && (closed || self.decisions.pending.may_have_dropped(id.at_us()))
    }

    fn reverse(
        &mut self,
        at_us: i64,
        key: Hash128,
        event: &RewardEvent,
        reversed: &str,
    ) -> Result<RewardAnswer, RewardAnswer> {
        let reversed = event_key(reversed);
        let Some(at) = self.decisions.find(|queue| queue.find_event(reversed).map(|known| known.0)) else {
            let first = self.event_memory.find(reversed);
            // The event was counted without naming its decision, or belonged to one that is forgotten.
            if first.is_some() {
                return Err(self.late(at_us, event, event.decision.map(DecisionId::at_us)));
            }
            let gone =
                |id: &DecisionId| self.decisions.find(|queue| queue.find(*id)).is_none() && self.is_gone(at_us, *id);
            return Err(match event.decision.filter(gone) {
                Some(id) => self.late(at_us, event, Some(id.at_us())),
                None => unmatched(UnmatchedReason::Reversed),
            });
        };
        let Some(mut decision) = self.decisions.get(at) else { return Err(unmatched(UnmatchedReason::Reversed)) };
        let record = decision.events.iter_mut().find(|record| record.event == reversed);
        let Some(record) = record else { return Err(unmatched(UnmatchedReason::Reversed)) };
        let arm = match record.role {
            EventRole::Reward(arm) => arm,
            EventRole::Reversal => return Err(rejected(Rejection::ReversalOfReversal)),
            EventRole::Reversed => return Err(rejected(Rejection::AlreadyReversed)),
        };
        if at.queue == QueueKind::Finished
            && at_us.saturating_sub(decision.at_us) > self.design.definition.goal.reversal_window_us()
        {
            return Err(self.late(at_us, event, Some(decision.at_us)));
        }
        record.role = EventRole::Reversed;
        if let Some(place) = decision.shown.iter().position(|shown| shown.arm == arm) {
            let counted = &mut decision.shown[place].counted;
            // An event that does not count does not end silence, and neither does its reversal.
            if let Some(i) = counted.iter().position(|counted| counted.event == reversed) {
                let taken = counted.remove(i);
                self.series.add_event(decision.at_us, arm, &taken.kind, -1, -taken.value.unwrap_or(0.0));
                if counted.is_empty() {
                    self.count_rewarded(at, &decision, arm, -1);
                }
                for record in decision.events.iter_mut().filter(|record| record.event == reversed) {
                    record.content = Some((Arc::clone(&taken.kind), taken.value));
                }
                self.settle(at_us, at, &mut decision, place);
            }
        }
        let content = Some((event.kind.as_str().into(), event.value));
        decision.events.push(EventRecord { event: key, role: EventRole::Reversal, content });
        self.decisions.put(at, &decision);
        Ok(RewardAnswer::new(EventStatus::Accepted))
    }

    /// Changes the number of an arm's showings with an event that counts.
    fn count_rewarded(&mut self, at: DecisionPlace, decision: &PendingDecision, arm: u32, rewarded: i64) {
        let counters = self.counters.arm_mut(arm);
        counters.rewarded = counters.rewarded.saturating_add_signed(rewarded);
        if !self.goal_sums.precedes(at, decision.at_us) {
            self.goal_sums.add_change(decision.holdout, RewardChange { arm, more: 0.0, rewarded });
        }
    }

    /// Returns the event's value as it is learned. If its kind is winsorized, the value is limited to that quantile of
    /// the values so far. Values that are never learned do not enter the quantile.
    fn learned_value(&mut self, event: &RewardEvent, decision: &PendingDecision) -> Option<f64> {
        let value = event.value?;
        let Some(share) = self.design.definition.goal.kind(&event.kind).and_then(|kind| kind.winsorize) else {
            return Some(value);
        };
        let learned = self.values.winsorize(&event.kind, value, share);
        if !decision.frozen {
            if !self.values.is_certain(&event.kind, share) {
                let (decision, event_key) = (decision.id, event_key(&event.event_id));
                self.provisional.add(&event.kind, ProvisionalValue { decision, event: event_key, value, learned });
            }
            self.values.observe(&event.kind, value);
        }
        Some(learned)
    }

    /// Learns the values of a kind again that were learned while their quantile was uncertain, as far as the quantile
    /// of the values so far limits them otherwise.
    fn revise_provisional(&mut self, at_us: i64, kind: &str) {
        let Some(share) = self.design.definition.goal.kind(kind).and_then(|kind| kind.winsorize) else { return };
        for revised in self.provisional.revise(kind, share, &self.values) {
            let Some(at) = self.decisions.find(|queue| queue.find(revised.decision)) else { continue };
            let Some(mut decision) = self.decisions.get(at) else { continue };
            let of_event = |counted: &&mut CountedEvent| counted.event == revised.event;
            let mut found = None;
            for (place, shown) in decision.shown.iter_mut().enumerate() {
                if let Some(counted) = shown.counted.iter_mut().find(of_event) {
                    counted.learned_value = Some(revised.learned);
                    found = Some(place);
                }
            }
            // A reversed event counts no more, and there is nothing to learn again.
            let Some(place) = found else { continue };
            self.learn_settled(at_us, at, &mut decision, place);
            self.decisions.put(at, &decision);
        }
    }
}
