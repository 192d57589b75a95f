//! A policy whose service is the engine in this process.

use slotwise::{
    engine::{Change, EventStatus, RewardEvent},
    slot::Definition,
};

use super::{
    EPOCH_US,
    agent::Agent,
    catalogue::CurrentCatalogue,
    clicks::{ClickCurve, SessionClickBook},
    engine_service::{EngineService, EngineServiceError},
    queue::{EventClock, EventOrigin, whole_us},
    setup::Setup,
    shopper_report::{shopper_answer, shopper_event},
    step::{EventAnswer, StepContext},
    tally::PolicyTally,
};
use crate::{
    environment::{Environment, Purpose},
    scenario::{EventReports, FaultKind, ShopCalls},
};

/// One policy in one replication, with its service and the books of its slots.
#[derive(Debug)]
pub(super) struct LocalAgent<'a> {
    setup: &'a Setup<'a>,
    /// Books by touchpoint.
    agents: Vec<Agent<'a>>,
    service: EngineService,
    shop: ShopCalls,
    /// Largest window of a slot's goal.
    window_us: i64,
    sessions: SessionClickBook,
    curves: Vec<ClickCurve>,
}

impl<'a> LocalAgent<'a> {
    /// Returns policy number `policy`, with its slots and these arms.
    pub(super) fn new(
        setup: &'a Setup<'a>,
        policy: usize,
        environment: &Environment<'_>,
        catalogue: &CurrentCatalogue,
    ) -> Result<Self, EngineServiceError> {
        let definitions = &setup.slots[policy];
        let slots = definitions
            .iter()
            .map(|definition| Definition { arms: catalogue.arms(environment), ..definition.clone() })
            .collect();
        let agents = definitions
            .iter()
            .enumerate()
            .map(|(touchpoint, definition)| Agent::new(setup, policy, touchpoint, environment, definition.id.clone()))
            .collect();
        Ok(Self {
            setup,
            agents,
            service: EngineService::with_slots(slots, EPOCH_US)?,
            shop: setup.shops[policy],
            window_us: definitions.iter().map(|definition| definition.goal.window_us).max().unwrap_or(0),
            sessions: SessionClickBook::default(),
            curves: vec![ClickCurve::default(); setup.clicks.len()],
        })
    }

    /// Returns the number of arms that the policy shows at a touchpoint.
    pub(super) fn count(&self, touchpoint: usize) -> usize {
        self.agents[touchpoint].count()
    }

    /// Applies a fault, and holds events back for `outage_us`.
    pub(super) fn fault(&mut self, kind: FaultKind, at_us: f64, outage_us: f64) -> Result<(), EngineServiceError> {
        match kind {
            FaultKind::Restart => self.service.restart()?,
            FaultKind::Reset => self.change(&Change::Reset, at_us)?,
        }
        for agent in &mut self.agents {
            agent.close(at_us, outage_us);
        }
        Ok(())
    }

    /// Sends a change to all slots.
    pub(super) fn change(&mut self, change: &Change, at_us: f64) -> Result<(), EngineServiceError> {
        self.service.change(change, EPOCH_US + whole_us(at_us))
    }

    /// Delivers all events that have arrived by `by_us`, whatever slot they come from, in the order of their arrival.
    pub(super) fn deliver_events_by(&mut self, by_us: f64) {
        loop {
            let next = self.agents.iter().enumerate().filter_map(|(i, agent)| Some((agent.next_us()?, i)));
            let Some((_, first)) = next.min_by(|a, b| a.0.total_cmp(&b.0)) else { return };
            let Some((event, of, at_us)) = self.agents[first].next_by(by_us) else { return };
            let reverses = event.reverses.is_some();
            let answer = self.report(event, of, EPOCH_US + whole_us(at_us));
            self.agents[first].count_answer(of, reverses, answer);
        }
    }

    /// Reports an event as the shop reports all of them. Returns `None` if the slot is gone.
    fn report(&mut self, event: RewardEvent, of: EventOrigin, at_us: i64) -> Option<EventAnswer> {
        if self.shop.events == Some(EventReports::Shopper) {
            let event = shopper_event(self.service.state(), event, of.consent);
            let kind = event.kind.clone();
            let effect = self.service.shopper(event, at_us);
            return Some(shopper_answer(&kind, &effect));
        }
        self.service.reward(event, at_us).map(|outcome| match outcome {
            EventStatus::Accepted | EventStatus::Reversed => EventAnswer::Accepted,
            EventStatus::Duplicate => EventAnswer::Duplicate,
            EventStatus::Late => EventAnswer::Late,
            EventStatus::Unmatched(_) => EventAnswer::Unmatched,
            EventStatus::Rejected(_) => EventAnswer::Rejected,
        })
    }

    /// Requests a decision, shows it, and counts. A bot that does not call the service changes nothing.
    pub(super) fn play(&mut self, step: &StepContext<'_, '_>) -> Result<(), EngineServiceError> {
        let visit = step.visit;
        if visit.shopper.bot && self.shop.bots == Some(false) {
            return Ok(());
        }
        let agent = &mut self.agents[step.touchpoint];
        let mut request = agent.request(visit, step.audited);
        let touchpoint = self.setup.scenario.touchpoints.get(step.touchpoint);
        let is_message = touchpoint.is_some_and(|touchpoint| touchpoint.opened.is_some());
        request.deferred = is_message && self.shop.deferred != Some(false);
        let at_us = EPOCH_US + whole_us(visit.now.at_us);
        let random = [visit.coins.word(Purpose::Draw, 0), visit.coins.word(Purpose::Draw, 1)];
        let decision = self.service.decide(request, at_us, random)?;
        let shown_us = visit.now.at_us + step.seen_after_us.unwrap_or(0.0);
        let regret = agent.decided(step, &decision, shown_us, EventClock::IN_PROCESS);
        if let Some(regret) = regret.filter(|_| !self.curves.is_empty()) {
            self.sessions.count(visit, regret, &self.setup.clicks, &mut self.curves);
            self.sessions.add_clicks(visit, shown_us, agent.last_outcomes());
        }
        self.service.apply_decision(decision.decided, at_us);
        Ok(())
    }

    /// Delivers all events and closes the books. `means` are the arms' expected rewards over the last shoppers.
    pub(super) fn finish(mut self, environment: &Environment<'_>, end_us: f64, means: &[f64]) -> PolicyTally {
        for agent in &mut self.agents {
            agent.open(end_us);
        }
        self.deliver_events_by(f64::INFINITY);
        let counted: Vec<f64> =
            self.agents.iter().map(|agent| self.service.counters(agent.slot()).reward_sum).collect();
        if self.setup.needs_report {
            // An event can have arrived after every window closed.
            self.service.wait_until(EPOCH_US + whole_us(end_us) + 2 * self.window_us);
        }
        let service = self.service;
        let has_touchpoints = self.agents.len() > 1 || !self.setup.scenario.touchpoints.is_empty();
        let slots = self.agents.into_iter().zip(counted).map(|(agent, counted)| {
            let deferred = service.deferred_counts(agent.slot());
            let report = if self.setup.needs_report { service.report(agent.slot()) } else { None };
            let tally = agent.finish(environment, counted, report.as_ref(), means);
            PolicyTally { deferred: (deferred.made, deferred.confirmed), ..tally }
        });
        let mut tallies = slots.collect::<Vec<_>>().into_iter();
        let touchpoints =
            if has_touchpoints { tallies.as_slice().iter().map(PolicyTally::total).collect() } else { Vec::new() };
        let Some(mut whole) = tallies.next() else { return PolicyTally::new(0, 0, 0) };
        for tally in tallies {
            whole.add_slot(tally);
        }
        PolicyTally { touchpoints, clicks: self.curves, ..whole }
    }
}
