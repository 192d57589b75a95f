//! Outcomes of decisions, reported when the decisions no longer wait for rewards.

use crate::engine::{
    outcome::{DecisionOutcome, OutcomeObserver},
    pending::{EncodedDecision, PendingDecision},
    slot_state::SlotState,
};

impl SlotState {
    fn outcome(&self, at_us: i64, decision: &PendingDecision) -> DecisionOutcome {
        DecisionOutcome {
            id: decision.id,
            rewards: Some(decision.shown.iter().map(|shown| shown.reward).collect()),
            events: decision.events.iter().map(|record| (record.event, record.role.status())).collect(),
            complete: at_us.saturating_sub(decision.at_us) > self.design.definition.goal.patience_us(),
        }
    }

    /// Reports the outcome of one decision to the observer, if there is one.
    pub(super) fn report_decision(
        &self,
        at_us: i64,
        decision: &EncodedDecision,
        observer: Option<&mut OutcomeObserver<'_>>,
    ) {
        if let Some(observer) = observer {
            observer(self.outcome(at_us, &decision.decode()));
        }
    }

    /// Reports all decisions that still wait to the observer, if there is one.
    pub(in crate::engine) fn report_open_decisions(&self, at_us: i64, observer: Option<&mut OutcomeObserver<'_>>) {
        if let Some(observer) = observer {
            self.open_decisions(at_us).for_each(observer);
        }
    }

    /// Decisions whose rewards may still change, oldest first, with their outcomes as of `at_us`, microseconds since
    /// 1970.
    pub fn open_decisions(&self, at_us: i64) -> impl Iterator<Item = DecisionOutcome> {
        self.decisions.decisions().map(move |decision| self.outcome(at_us, &decision))
    }
}
