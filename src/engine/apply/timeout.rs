//! Effects of time on a slot: silence is learned, windows close, and what is too old is forgotten.

use crate::{
    engine::{
        horizons::Horizons,
        outcome::OutcomeObserver,
        pending::{EncodedDecision, STRATA},
        slot_state::SlotState,
    },
    slot::Learning,
};

/// Largest number of decisions of a kind that one event closes, or whose silence it learns, so that no event takes
/// seconds. The next event continues.
const AT_ONCE_MAX: usize = 64;

impl SlotState {
    /// Drops the decisions that wait no longer: the finished ones whose reversal window is over, then the pending ones
    /// whose window and grace period are over, and the oldest ones if there are too many. A pending decision is learned
    /// first, if it was not before, and kept as finished if it was rewarded.
    pub(super) fn expire_decisions(&mut self, at_us: i64, mut observer: Option<&mut OutcomeObserver<'_>>) {
        self.expire_finished(at_us, observer.as_deref_mut());
        self.deferred.expire(at_us, AT_ONCE_MAX);
        let horizon_us = at_us.saturating_sub(self.design.definition.goal.patience_us());
        for _ in 0..AT_ONCE_MAX {
            let Some(ordinal) = self.decisions.next_expired(horizon_us) else { return };
            self.drop_pending(at_us, ordinal, horizon_us, observer.as_deref_mut());
        }
    }

    /// Drops the finished decisions whose reversal window is over, and the oldest ones if there are too many.
    fn expire_finished(&mut self, at_us: i64, mut observer: Option<&mut OutcomeObserver<'_>>) {
        let horizon_us = at_us.saturating_sub(self.design.definition.goal.reversal_window_us());
        for _ in 0..AT_ONCE_MAX {
            if self.decisions.next_expired_finished(horizon_us).is_none() {
                return;
            }
            if let Some(decision) = self.decisions.finished.drop_oldest(horizon_us) {
                self.forgotten.finished_decisions += u64::from(decision.at_us() >= horizon_us);
                self.report_decision(at_us, &decision, observer.as_deref_mut());
            }
        }
    }

    /// Learns the oldest pending decision and drops it, early if it was not made before `in_time_us`.
    fn drop_pending(&mut self, at_us: i64, ordinal: u64, in_time_us: i64, observer: Option<&mut OutcomeObserver<'_>>) {
        self.learn_decision(at_us, ordinal);
        if let Some(decision) = self.decisions.pending.drop_oldest(in_time_us) {
            self.forgotten.pending_decisions += u64::from(decision.at_us() >= in_time_us);
            self.finish(at_us, &decision, observer);
        }
    }

    /// Takes in a decision that left the pending ones. It is kept if it was rewarded and its rewards may still be
    /// reversed; otherwise its outcome is reported.
    fn finish(&mut self, at_us: i64, decision: &EncodedDecision, observer: Option<&mut OutcomeObserver<'_>>) {
        let since_us = at_us.saturating_sub(self.design.definition.goal.reversal_window_us());
        if !self.decisions.finish(decision, since_us) {
            self.report_decision(at_us, decision, observer);
        }
    }

    /// Learns silence that has lasted long enough.
    pub(super) fn learn_silence(&mut self, at_us: i64) {
        let definition = &self.design.definition;
        if self.accounting || definition.controls.freeze_learning() {
            return;
        }
        let window_us = definition.goal.window_us;
        let (before_us, certain_us) = match definition.goal.learning {
            Learning::Eager => {
                self.count_ages(at_us, window_us);
                (self.delays.strata_before_us(at_us, window_us), self.delays.silent_before_us(at_us, window_us))
            }
            Learning::AtClose => {
                let closed_us = at_us.saturating_sub(definition.goal.patience_us());
                ([closed_us; STRATA], closed_us)
            }
        };
        let mut left = AT_ONCE_MAX;
        for (stratum, before_us) in before_us.into_iter().enumerate() {
            while left > 0
                && let Some(ordinal) = self.decisions.pending.next_silent(stratum, before_us)
            {
                self.learn_decision(at_us, ordinal);
                left -= 1;
            }
        }
        for _ in 0..AT_ONCE_MAX {
            let Some(ordinal) = self.decisions.pending.next_certain(certain_us) else { return };
            self.calibrate(ordinal);
        }
    }

    /// Counts the decisions that reached an age by which a share of their rewards has come.
    fn count_ages(&mut self, at_us: i64, window_us: i64) {
        let shown = self.counters.shown_per_decision();
        for (age, before_us) in self.delays.ages_before_us(at_us, window_us).into_iter().enumerate() {
            for _ in 0..AT_ONCE_MAX {
                if !self.decisions.pending.next_counted(age, before_us) {
                    break;
                }
                self.delays.mature(shown);
            }
        }
    }

    /// Forgets everything that is older than the horizons of the whole process.
    pub(in crate::engine) fn sweep(
        &mut self,
        at_us: i64,
        horizons: Horizons,
        mut observer: Option<&mut OutcomeObserver<'_>>,
    ) {
        let Horizons { decisions_us, recent_us, rewards_us, deferred_us } = horizons;
        let in_time_us = at_us.saturating_sub(self.design.definition.goal.patience_us());
        while let Some(ordinal) = self.decisions.pending.next_before(decisions_us) {
            self.drop_pending(at_us, ordinal, in_time_us, observer.as_deref_mut());
        }
        while self.decisions.finished.next_before(rewards_us).is_some() {
            if let Some(decision) = self.decisions.finished.drop_oldest(at_us) {
                self.forgotten.finished_decisions += 1;
                self.report_decision(at_us, &decision, observer.as_deref_mut());
            }
        }
        self.forgotten.event_ids += self.event_memory.forget_before(rewards_us);
        self.forgotten.exposures += self.exposure.forget_before(recent_us);
        self.forgotten.requests += self.requests.forget_before(recent_us, at_us);
        self.forgotten.learned_subjects += self.learned_subjects.forget_before(recent_us);
        self.forgotten.deferred_decisions += self.deferred.forget_before(deferred_us);
    }
}
