//! One replication against a live server.
//!
//! Visits come when the scenario has them, on the scale of the wall clock; each asks a decision of every policy. What
//! shoppers do follows from the answer's moment on, as a page shows nothing before it; latencies count from when a visit
//! or an event was due.
//!
//! The slots are told of what changes before a visit as soon as the visit before it was sent; which catalogue a decision is
//! judged by then, `catalogues` says. Faults happen when their visit is due. Whether a decision was made before or after a
//! reset its id says, so the books are of what the slot still remembers.
//!
//! The events of a policy go over one connection, one batch after the other is answered, as from a shop's outbox: what
//! takes an event back overtakes nothing, and nothing overtakes it. An event that has to wait for that has waited since
//! it was due, and that counts.

use std::{
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use slotwise::{
    engine::Change,
    slot::{SlotId, limits::EVENTS_MAX},
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{
    LiveError, LiveServer,
    answers::{ServerSilence, gave_up},
    calls::{Answer, AnswerSender, ChangeAnswer, ChangeRequest, PendingVisit},
    catalogues::CatalogueHistory,
};
use crate::{
    clock::Stopwatch,
    environment::{Traffic, Truth, Visit},
    load::{
        SHED,
        pace::{OpenLoop, open_loop},
        tally::CallCounts,
    },
    run::episode::{
        LiveCalls, PolicyTally, Replication, RunProgress, Setup,
        agent::Agent,
        catalogue::about,
        queue::LATE_BY,
        state::{Episode, StepEvents},
    },
    scenario::FaultKind,
};

/// What came of a replication.
#[derive(Debug)]
pub(crate) struct LiveReplication {
    /// What was counted.
    pub replication: Replication,
    /// It came to its end.
    pub complete: bool,
}

/// Plays a replication. Blocks, on a thread of its own.
pub(crate) fn replicate(
    live: &LiveServer,
    setup: &Setup<'_>,
    number: u64,
    progress: &dyn RunProgress,
) -> Result<LiveReplication, LiveError> {
    let episode = Episode::new(setup, number)?;
    // They go with it, however it ends.
    let slots = live.make(setup, &episode, number)?;
    play(live, setup, episode, slots.ids(), progress)
}

fn play<'a>(
    live: &'a LiveServer,
    setup: &'a Setup<'a>,
    episode: Episode<'a>,
    slots: &[SlotId],
    progress: &'a dyn RunProgress,
) -> Result<LiveReplication, LiveError> {
    let (to, answers) = channel();
    let mut live_episode = LiveEpisode::new(live, setup, episode, slots, to, progress)?;
    let stopwatch = live_episode.answers_to.stopwatch;
    open_loop(&mut live_episode, &answers, stopwatch, &live.stop);
    live_episode.finish()
}

/// A visit that is next, and what is special about it.
#[derive(Debug)]
struct NextVisit {
    visit: Visit,
    truth: Truth,
    step_events: StepEvents,
    due: Duration,
}

pub(super) struct LiveEpisode<'a> {
    pub(super) live: &'a LiveServer,
    setup: &'a Setup<'a>,
    pub(super) episode: Episode<'a>,
    traffic: Traffic<'a>,
    pub(super) agents: Vec<Agent<'a>>,
    pub(super) calls: Vec<LiveCalls>,
    /// None: there are no more.
    next: Option<NextVisit>,
    pub(super) catalogues: CatalogueHistory,
    /// Changes that are unanswered.
    pub(super) unchanged: usize,
    /// To the tasks that tell the slots.
    tell: Vec<UnboundedSender<ChangeRequest>>,
    answers_to: AnswerSender,
    /// By policy, whether a batch of events is unanswered.
    pub(super) recording: Vec<bool>,
    pub(super) under_way: usize,
    pub(super) silence: ServerSilence,
    stopped: bool,
    pub(super) failure: Option<LiveError>,
    progress: &'a dyn RunProgress,
}

impl<'a> LiveEpisode<'a> {
    fn new(
        live: &'a LiveServer,
        setup: &'a Setup<'a>,
        episode: Episode<'a>,
        slots: &[SlotId],
        to: Sender<Answer>,
        progress: &'a dyn RunProgress,
    ) -> Result<Self, LiveError> {
        let agents: Vec<_> = slots
            .iter()
            .enumerate()
            .map(|(policy, slot)| Agent::new(setup, policy, &episode.environment, slot.clone()))
            .collect();
        let mut calls = Vec::new();
        for _ in slots {
            calls.push(LiveCalls { decide: CallCounts::new()?, record: CallCounts::new()?, lag: CallCounts::new()? });
        }
        let answers_to = AnswerSender { to, stopwatch: Stopwatch::start() };
        let mut tell = Vec::new();
        for (policy, slot) in slots.iter().enumerate() {
            let (sender, changes) = unbounded_channel();
            tell.push(sender);
            let task = answers_to.clone().change(live.admin.clone(), policy, slot.clone(), changes);
            live.tasks.spawn_on(task, &live.runtime);
        }
        let mut live_episode = Self {
            traffic: episode.environment.traffic(),
            catalogues: CatalogueHistory::new(episode.catalogue.clone(), slots.len()),
            live,
            setup,
            episode,
            agents,
            calls,
            next: None,
            unchanged: 0,
            tell,
            answers_to,
            recording: vec![false; slots.len()],
            under_way: 0,
            silence: ServerSilence::default(),
            stopped: false,
            failure: None,
            progress,
        };
        live_episode.prepare();
        Ok(live_episode)
    }

    /// Goes on to the next visit: what changes before it the slots are told now.
    fn prepare(&mut self) {
        let Some(visit) = self.traffic.next() else {
            self.next = None;
            let end_us = self.episode.end_us;
            for (agent, slot) in self.agents.iter_mut().zip(&self.setup.policies) {
                // What happens later than this happens too late, whenever it comes.
                agent.set_latest_arrival(end_us + slot.goal.window_us as f64 + LATE_BY);
            }
            return;
        };
        let mut truth = Truth::default();
        let mut step_events = self.episode.step_events(&visit, &mut truth);
        let changes = std::mem::take(&mut step_events.changes);
        if changes.is_empty() {
            self.catalogues.set(&self.episode.catalogue);
        } else {
            let batch = self.catalogues.tell(&self.episode.catalogue, about(&self.episode.environment, &changes));
            for policy in 0..self.agents.len() {
                for (left, change) in changes.iter().enumerate().map(|(i, change)| (changes.len() - 1 - i, change)) {
                    self.change(
                        policy,
                        change.clone(),
                        if left > 0 { ChangeAnswer::Part } else { ChangeAnswer::Batch(batch) },
                    );
                }
            }
        }
        let due = self.live.scale.wall(visit.now.at_us);
        self.next = Some(NextVisit { visit, truth, step_events, due });
    }

    fn change(&mut self, policy: usize, change: Change, told: ChangeAnswer) {
        self.unchanged += 1;
        // Its task waits as long as we are here.
        let _ = self.tell[policy].send((change, told));
    }

    /// What goes wrong when a visit is due.
    fn faults(&mut self, next: &NextVisit) {
        for policy in 0..self.agents.len() {
            for fault in next.step_events.faults.iter().filter(|fault| fault.hits(policy)) {
                // A restart is not to be had; scenarios with one are refused.
                if fault.kind == FaultKind::Reset {
                    let before = self.agents[policy].generation();
                    self.change(policy, Change::Reset, ChangeAnswer::Reset { before });
                }
                self.agents[policy].close(next.visit.now.at_us, fault.outage_us);
            }
        }
    }

    fn visit(&mut self, next: NextVisit) {
        let NextVisit { visit, truth, step_events, due } = next;
        let catalogue = self.catalogues.now();
        let mut best: Vec<(usize, (f64, f64))> = Vec::new();
        for count in self.agents.iter().map(Agent::count) {
            if best.iter().all(|(known, _)| *known != count) {
                best.push((count, self.episode.bounds(&truth, &catalogue, count)));
            }
        }
        let StepEvents { overridden, audited, .. } = step_events;
        // All policies are asked about a shopper, or none: they are compared on the same ones.
        let room = self.under_way + self.agents.len() <= self.live.options.backlog_max.get();
        let version = self.catalogues.ask(if room { self.agents.len() } else { 0 });
        let pending = Arc::new(PendingVisit { visit, truth, catalogue, version, best, overridden, audited, due });
        for policy in 0..self.agents.len() {
            if !room {
                gave_up(&mut self.calls[policy].decide, SHED);
                continue;
            }
            let request = self.agents[policy].request(&pending.visit, audited);
            let line = self.live.line(pending.visit.now.index);
            self.under_way += 1;
            let task = self.answers_to.clone().decide(line, policy, Arc::clone(&pending), request);
            self.live.tasks.spawn_on(task, &self.live.runtime);
        }
        self.progress.advance(self.agents.len() as u64);
    }

    /// Sends the events that are due, those of a slot together and in their order.
    fn events(&mut self, now: Duration) {
        let by_us = self.live.scale.shop_us(now);
        for policy in (0..self.agents.len()).filter(|&policy| !self.recording[policy]).collect::<Vec<_>>() {
            let (mut events, mut sent) = (Vec::new(), Vec::new());
            while events.len() < EVENTS_MAX
                && let Some((event, of, at_us)) = self.agents[policy].next_by(by_us)
            {
                // What is brought_forward is due now.
                sent.push((of, event.reverses.is_some(), self.live.scale.wall(at_us).min(now)));
                events.push(event);
            }
            if events.is_empty() {
                continue;
            }
            let line = self.live.line(policy as u64);
            self.recording[policy] = true;
            self.under_way += 1;
            self.live.tasks.spawn_on(self.answers_to.clone().record(line, policy, events, sent), &self.live.runtime);
        }
    }

    fn finish(self) -> Result<LiveReplication, LiveError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let means = self.episode.means();
        let mut tallies: Vec<PolicyTally> = Vec::new();
        for (mut agent, calls) in self.agents.into_iter().zip(self.calls) {
            let slot = agent.slot().clone();
            let report = self.live.runtime.block_on(self.live.admin.clone().report(slot.as_str()));
            let report = report.map_err(|why| LiveError::Slot { slot, why })?;
            agent.tally.calls = Some(Box::new(calls));
            let of_arms = self.setup.needs_report.then_some(&report);
            tallies.push(agent.finish(&self.episode.environment, report.counters.reward_sum, of_arms, &means));
        }
        if !self.stopped {
            self.progress.replication();
        }
        Ok(LiveReplication { replication: self.episode.end(tallies), complete: !self.stopped })
    }
}

impl OpenLoop for LiveEpisode<'_> {
    type Answer = Answer;

    fn next_at(&self) -> Option<Duration> {
        if self.stopped {
            return None;
        }
        let free = self.agents.iter().zip(&self.recording).filter(|(_, recording)| !**recording);
        let event_us = free.filter_map(|(agent, _)| agent.next_us()).fold(f64::INFINITY, f64::min);
        let event = event_us.is_finite().then(|| self.live.scale.wall(event_us));
        let visit = self.next.as_ref().map(|next| next.due);
        match (visit, event) {
            (Some(visit), Some(event)) => Some(visit.min(event)),
            (visit, event) => visit.or(event),
        }
    }

    fn send(&mut self, now: Duration) {
        if self.stopped {
            return;
        }
        self.events(now);
        while let Some(next) = self.next.take_if(|next| next.due <= now) {
            self.faults(&next);
            self.visit(next);
            self.prepare();
        }
    }

    fn take(&mut self, answer: Answer) {
        self.answer(answer);
    }

    fn stop(&mut self) {
        self.stopped = !self.done();
        self.next = None;
        self.agents.iter_mut().for_each(Agent::drop_events);
    }

    fn over(&self) -> bool {
        self.failure.is_some() || ((self.stopped || self.next_at().is_none()) && self.under_way + self.unchanged == 0)
    }
}

impl LiveEpisode<'_> {
    /// Whether all was played.
    fn done(&self) -> bool {
        !self.stopped && self.over() && self.failure.is_none()
    }
}
