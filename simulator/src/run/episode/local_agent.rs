//! A policy whose service is the engine in this process.

use slotwise::{
    engine::{Change, EventStatus},
    slot::Definition,
};

use super::{
    EPOCH_US,
    agent::Agent,
    catalogue::CurrentCatalogue,
    engine_service::{EngineService, EngineServiceError},
    queue::{EventClock, whole_us},
    setup::Setup,
    step::{EventAnswer, StepContext},
    tally::PolicyTally,
};
use crate::{
    environment::{Environment, Purpose},
    scenario::FaultKind,
};

/// One policy in one replication, with its service.
#[derive(Debug)]
pub(super) struct LocalAgent<'a> {
    agent: Agent<'a>,
    service: EngineService,
    window_us: i64,
    needs_report: bool,
}

impl<'a> LocalAgent<'a> {
    /// Returns policy number `policy`, with its slot and these arms.
    pub(super) fn new(
        setup: &'a Setup<'a>,
        policy: usize,
        environment: &Environment<'_>,
        catalogue: &CurrentCatalogue,
    ) -> Result<Self, EngineServiceError> {
        let definition = &setup.policies[policy];
        let slot = Definition { arms: catalogue.arms(environment), ..definition.clone() };
        let agent = Agent::new(setup, policy, environment, slot.id.clone());
        let service = EngineService::new(slot, EPOCH_US)?;
        Ok(Self { agent, service, window_us: definition.goal.window_us, needs_report: setup.needs_report })
    }

    /// Returns the number of arms that the policy shows.
    pub(super) fn count(&self) -> usize {
        self.agent.count()
    }

    /// Applies a fault, and holds events back for `outage_us`.
    pub(super) fn fault(&mut self, kind: FaultKind, at_us: f64, outage_us: f64) -> Result<(), EngineServiceError> {
        match kind {
            FaultKind::Restart => self.service.restart()?,
            FaultKind::Reset => self.change(Change::Reset, at_us)?,
        }
        self.agent.close(at_us, outage_us);
        Ok(())
    }

    /// Sends a change to the slot.
    pub(super) fn change(&mut self, change: Change, at_us: f64) -> Result<(), EngineServiceError> {
        self.service.change(change, EPOCH_US + whole_us(at_us))
    }

    /// Delivers all events that have arrived by `by_us`.
    pub(super) fn deliver_events_by(&mut self, by_us: f64) {
        while let Some((event, of, at_us)) = self.agent.next_by(by_us) {
            let reverses = event.reverses.is_some();
            let answer = self.service.reward(event, EPOCH_US + whole_us(at_us)).map(|outcome| match outcome {
                EventStatus::Accepted | EventStatus::Reversed => EventAnswer::Accepted,
                EventStatus::Duplicate => EventAnswer::Duplicate,
                EventStatus::Late => EventAnswer::Late,
                EventStatus::Unmatched(_) => EventAnswer::Unmatched,
                EventStatus::Rejected(_) => EventAnswer::Rejected,
            });
            self.agent.count_answer(of, reverses, answer);
        }
    }

    /// Requests a decision, shows it, and counts.
    pub(super) fn play(&mut self, step: &StepContext<'_, '_>) -> Result<(), EngineServiceError> {
        let visit = step.visit;
        let request = self.agent.request(visit, step.audited);
        let at_us = EPOCH_US + whole_us(visit.now.at_us);
        let random = [visit.coins.word(Purpose::Draw, 0), visit.coins.word(Purpose::Draw, 1)];
        let decision = self.service.decide(request, at_us, random)?;
        self.agent.decided(step, &decision, visit.now.at_us, EventClock::IN_PROCESS);
        self.service.apply_decision(decision.decided, at_us);
        Ok(())
    }

    /// Delivers all events and closes the books. `means` are the arms' expected rewards over the last shoppers.
    pub(super) fn finish(mut self, environment: &Environment<'_>, end_us: f64, means: &[f64]) -> PolicyTally {
        self.agent.open(end_us);
        self.deliver_events_by(f64::INFINITY);
        let counted = self.service.counters().reward_sum;
        let report = if self.needs_report {
            // An event can have arrived after every window closed.
            self.service.wait_until(EPOCH_US + whole_us(end_us) + 2 * self.window_us);
            self.service.report()
        } else {
            None
        };
        self.agent.finish(environment, counted, report.as_ref(), means)
    }
}
