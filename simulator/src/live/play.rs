//! One replication against a live server.
//!
//! Visits come when the scenario says, on the scale of the wall clock, and each requests a decision of every policy.
//! Shoppers react from the moment of the answer on, since a page shows nothing before it. Latencies count from the
//! time at which a visit or an event was due.
//!
//! The slots receive the changes before a visit as soon as the previous visit was sent. `catalogues` says by which
//! catalogue a decision is assessed then. Faults happen when their visit is due. A decision's id says whether it was
//! made before or after a reset, so the books contain what the slot still remembers.
//!
//! The events of a policy go over one connection, and a batch is sent once the previous one is answered, as from a
//! shop's outbox. A reversal therefore overtakes nothing, and nothing overtakes it. The wait of an event for earlier
//! batches counts from its due time.

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
    answers::{ServerSilence, count_without_answer},
    calls::{AnswerSender, CallAnswer, ChangeAnswer, ChangeRequest, PendingVisit, SentEvent},
    catalogues::CatalogueHistory,
};
use crate::{
    clock::RunStopwatch,
    environment::{Traffic, Truth, Visit},
    load::{
        SHED,
        pace::{OpenLoop, open_loop},
        tally::CallCounts,
    },
    run::episode::{
        LiveCalls, PolicyTally, Replication, RunProgress, Setup,
        agent::Agent,
        catalogue::changed_arms,
        queue::LATE_BY,
        state::{Episode, StepEvents},
    },
    scenario::FaultKind,
};

/// A replication that was played.
#[derive(Debug)]
pub(crate) struct LiveReplication {
    /// The counts.
    pub replication: Replication,
    /// True if it was played to its end.
    pub complete: bool,
}

/// Plays a replication. Blocks, and needs a thread of its own.
pub(crate) fn replicate(
    live: &LiveServer,
    setup: &Setup<'_>,
    number: u64,
    progress: &dyn RunProgress,
) -> Result<LiveReplication, LiveError> {
    let episode = Episode::new(setup, number)?;
    // The slots are deleted when this value is dropped, however the replication ends.
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

/// The next visit, with the changes before it.
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
    /// The next visit, or `None` after the last one.
    next: Option<NextVisit>,
    pub(super) catalogues: CatalogueHistory,
    /// Number of unanswered changes.
    pub(super) unchanged: usize,
    /// Senders to the tasks that send changes to the slots, by policy.
    announce: Vec<UnboundedSender<ChangeRequest>>,
    answers_to: AnswerSender,
    /// Flags of the policies with an unanswered batch of events.
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
        to: Sender<CallAnswer>,
        progress: &'a dyn RunProgress,
    ) -> Result<Self, LiveError> {
        let agents: Vec<_> = slots
            .iter()
            .enumerate()
            .map(|(policy, slot)| Agent::new(setup, policy, 0, &episode.environment, slot.clone()))
            .collect();
        let mut calls = Vec::new();
        for _ in slots {
            calls.push(LiveCalls { decide: CallCounts::new()?, record: CallCounts::new()?, lag: CallCounts::new()? });
        }
        let answers_to = AnswerSender { to, stopwatch: RunStopwatch::start() };
        let mut announce = Vec::new();
        for (policy, slot) in slots.iter().enumerate() {
            let (sender, changes) = unbounded_channel();
            announce.push(sender);
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
            announce,
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

    /// Advances to the next visit and sends the changes before it to the slots.
    fn prepare(&mut self) {
        let Some(visit) = self.traffic.next() else {
            self.next = None;
            let end_us = self.episode.end_us;
            for (agent, slot) in self.agents.iter_mut().zip(&self.setup.policies) {
                // Events after this time are too late whenever they arrive.
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
            let batch =
                self.catalogues.announce(&self.episode.catalogue, changed_arms(&self.episode.environment, &changes));
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

    fn change(&mut self, policy: usize, change: Change, received: ChangeAnswer) {
        self.unchanged += 1;
        // The task that receives it lives as long as this loop.
        let _ = self.announce[policy].send((change, received));
    }

    /// Applies the faults at a visit that is due.
    fn faults(&mut self, next: &NextVisit) {
        for policy in 0..self.agents.len() {
            for fault in next.step_events.faults.iter().filter(|fault| fault.hits(policy)) {
                // A live server cannot be restarted, so scenarios with a restart are refused.
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
        // All policies or none are asked about a shopper, so that they are compared on the same shoppers.
        let room = self.under_way + self.agents.len() <= self.live.options.backlog_max.get();
        let version = self.catalogues.record_requests(if room { self.agents.len() } else { 0 });
        let pending = Arc::new(PendingVisit { visit, truth, catalogue, version, best, overridden, audited, due });
        for policy in 0..self.agents.len() {
            if !room {
                count_without_answer(&mut self.calls[policy].decide, SHED);
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
                // An event that is brought forward is due now.
                let due = self.live.scale.wall(at_us).min(now);
                sent.push(SentEvent { origin: of, reverses: event.reverses.is_some(), due });
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
    type Answer = CallAnswer;

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

    fn take_answer(&mut self, answer: CallAnswer) {
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
    /// Returns whether everything was played.
    fn done(&self) -> bool {
        !self.stopped && self.over() && self.failure.is_none()
    }
}
