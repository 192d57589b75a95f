//! One replication against a live server.
//!
//! Visits come when the scenario has them, on the scale of the wall clock; each asks a decision of every policy. What
//! shoppers do follows from the answer's moment on, as a page shows nothing before it; latencies count from when a visit
//! or an event was due.
//!
//! The slots are told of what changes before a visit as soon as the visit before it was sent; which shelf a decision is
//! judged by then, `shelves` says. Faults happen when their visit is due. Whether a decision was made before or after a
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
    Live, LiveError,
    answers::{Silence, gave_up},
    calls::{Answer, Back, Held, Telling, Told},
    shelves::Shelves,
};
use crate::{
    clock::Stopwatch,
    environment::{Traffic, Truth, Visit},
    load::{
        SHED,
        pace::{Play, open_loop},
        tally::Counted,
    },
    run::episode::{
        Calls, Replication, Setup, Tally, Watch,
        player::Player,
        queue::LATE_BY,
        shelf::about,
        stage::{Stage, Turn},
    },
    scenario::FaultKind,
};

/// What came of a replication.
#[derive(Debug)]
pub(crate) struct Played {
    /// What was counted.
    pub replication: Replication,
    /// It came to its end.
    pub complete: bool,
}

/// Plays a replication. Blocks, on a thread of its own.
pub(crate) fn replicate(live: &Live, setup: &Setup<'_>, number: u64, watch: &dyn Watch) -> Result<Played, LiveError> {
    let stage = Stage::new(setup, number)?;
    // They go with it, however it ends.
    let slots = live.make(setup, &stage, number)?;
    play(live, setup, stage, slots.ids(), watch)
}

fn play<'a>(
    live: &'a Live,
    setup: &'a Setup<'a>,
    stage: Stage<'a>,
    slots: &[SlotId],
    watch: &'a dyn Watch,
) -> Result<Played, LiveError> {
    let (to, answers) = channel();
    let mut playing = Playing::new(live, setup, stage, slots, to, watch)?;
    let stopwatch = playing.back.stopwatch;
    open_loop(&mut playing, &answers, stopwatch, &live.stop);
    playing.finish()
}

/// A visit that is next, and what is special about it.
#[derive(Debug)]
struct Next {
    visit: Visit,
    truth: Truth,
    turn: Turn,
    due: Duration,
}

pub(super) struct Playing<'a> {
    pub(super) live: &'a Live,
    setup: &'a Setup<'a>,
    pub(super) stage: Stage<'a>,
    traffic: Traffic<'a>,
    pub(super) players: Vec<Player<'a>>,
    pub(super) calls: Vec<Calls>,
    /// None: there are no more.
    next: Option<Next>,
    pub(super) shelves: Shelves,
    /// Changes that are unanswered.
    pub(super) unchanged: usize,
    /// To the tasks that tell the slots.
    tell: Vec<UnboundedSender<Telling>>,
    back: Back,
    /// By policy, whether a batch of events is unanswered.
    pub(super) recording: Vec<bool>,
    pub(super) under_way: usize,
    pub(super) silence: Silence,
    stopped: bool,
    pub(super) failure: Option<LiveError>,
    watch: &'a dyn Watch,
}

impl<'a> Playing<'a> {
    fn new(
        live: &'a Live,
        setup: &'a Setup<'a>,
        stage: Stage<'a>,
        slots: &[SlotId],
        to: Sender<Answer>,
        watch: &'a dyn Watch,
    ) -> Result<Self, LiveError> {
        let players: Vec<_> = slots
            .iter()
            .enumerate()
            .map(|(policy, slot)| Player::new(setup, policy, &stage.world, slot.clone()))
            .collect();
        let mut calls = Vec::new();
        for _ in slots {
            calls.push(Calls { decide: Counted::new()?, record: Counted::new()?, lag: Counted::new()? });
        }
        let back = Back { to, stopwatch: Stopwatch::start() };
        let mut tell = Vec::new();
        for (policy, slot) in slots.iter().enumerate() {
            let (sender, changes) = unbounded_channel();
            tell.push(sender);
            let task = back.clone().change(live.admin.clone(), policy, slot.clone(), changes);
            live.tasks.spawn_on(task, &live.runtime);
        }
        let mut playing = Self {
            traffic: stage.world.traffic(),
            shelves: Shelves::new(stage.shelf.clone(), slots.len()),
            live,
            setup,
            stage,
            players,
            calls,
            next: None,
            unchanged: 0,
            tell,
            back,
            recording: vec![false; slots.len()],
            under_way: 0,
            silence: Silence::default(),
            stopped: false,
            failure: None,
            watch,
        };
        playing.prepare();
        Ok(playing)
    }

    /// Goes on to the next visit: what changes before it the slots are told now.
    fn prepare(&mut self) {
        let Some(visit) = self.traffic.next() else {
            self.next = None;
            let end_us = self.stage.end_us;
            for (player, slot) in self.players.iter_mut().zip(&self.setup.policies) {
                // What happens later than this happens too late, whenever it comes.
                player.hasten(end_us + slot.goal.window_us as f64 + LATE_BY);
            }
            return;
        };
        let mut truth = Truth::default();
        let mut turn = self.stage.turn(&visit, &mut truth);
        let changes = std::mem::take(&mut turn.changes);
        if changes.is_empty() {
            self.shelves.set(&self.stage.shelf);
        } else {
            let batch = self.shelves.tell(&self.stage.shelf, about(&self.stage.world, &changes));
            for policy in 0..self.players.len() {
                for (left, change) in changes.iter().enumerate().map(|(i, change)| (changes.len() - 1 - i, change)) {
                    self.change(policy, change.clone(), if left > 0 { Told::Part } else { Told::Batch(batch) });
                }
            }
        }
        let due = self.live.scale.wall(visit.now.at_us);
        self.next = Some(Next { visit, truth, turn, due });
    }

    fn change(&mut self, policy: usize, change: Change, told: Told) {
        self.unchanged += 1;
        // Its task waits as long as we are here.
        let _ = self.tell[policy].send((change, told));
    }

    /// What goes wrong when a visit is due.
    fn faults(&mut self, next: &Next) {
        for policy in 0..self.players.len() {
            for fault in next.turn.faults.iter().filter(|fault| fault.hits(policy)) {
                // A restart is not to be had; scenarios with one are refused.
                if fault.kind == FaultKind::Reset {
                    let before = self.players[policy].life();
                    self.change(policy, Change::Reset, Told::Reset { before });
                }
                self.players[policy].close(next.visit.now.at_us, fault.outage_us);
            }
        }
    }

    fn visit(&mut self, next: Next) {
        let Next { visit, truth, turn, due } = next;
        let shelf = self.shelves.now();
        let mut best: Vec<(usize, (f64, f64))> = Vec::new();
        for count in self.players.iter().map(Player::count) {
            if best.iter().all(|(known, _)| *known != count) {
                best.push((count, self.stage.bounds(&truth, &shelf, count)));
            }
        }
        let Turn { overridden, audited, .. } = turn;
        // All policies are asked about a shopper, or none: they are compared on the same ones.
        let room = self.under_way + self.players.len() <= self.live.options.backlog_max.get();
        let asked = self.shelves.ask(if room { self.players.len() } else { 0 });
        let held = Arc::new(Held { visit, truth, shelf, asked, best, overridden, audited, due });
        for policy in 0..self.players.len() {
            if !room {
                gave_up(&mut self.calls[policy].decide, SHED);
                continue;
            }
            let request = self.players[policy].request(&held.visit, audited);
            let line = self.live.line(held.visit.now.index);
            self.under_way += 1;
            let task = self.back.clone().decide(line, policy, Arc::clone(&held), request);
            self.live.tasks.spawn_on(task, &self.live.runtime);
        }
        self.watch.advance(self.players.len() as u64);
    }

    /// Sends the events that are due, those of a slot together and in their order.
    fn events(&mut self, now: Duration) {
        let by_us = self.live.scale.shop_us(now);
        for policy in (0..self.players.len()).filter(|&policy| !self.recording[policy]).collect::<Vec<_>>() {
            let (mut events, mut sent) = (Vec::new(), Vec::new());
            while events.len() < EVENTS_MAX
                && let Some((event, of, at_us)) = self.players[policy].next_by(by_us)
            {
                // What is hastened is due now.
                sent.push((of, event.reverses.is_some(), self.live.scale.wall(at_us).min(now)));
                events.push(event);
            }
            if events.is_empty() {
                continue;
            }
            let line = self.live.line(policy as u64);
            self.recording[policy] = true;
            self.under_way += 1;
            self.live.tasks.spawn_on(self.back.clone().record(line, policy, events, sent), &self.live.runtime);
        }
    }

    fn finish(self) -> Result<Played, LiveError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let means = self.stage.means();
        let mut tallies: Vec<Tally> = Vec::new();
        for (mut player, calls) in self.players.into_iter().zip(self.calls) {
            let slot = player.slot().clone();
            let report = self.live.runtime.block_on(self.live.admin.clone().report(slot.as_str()));
            let report = report.map_err(|why| LiveError::Slot { slot, why })?;
            player.tally.calls = Some(Box::new(calls));
            let of_arms = self.setup.needs_report.then_some(&report);
            tallies.push(player.finish(&self.stage.world, report.counters.reward_sum, of_arms, &means));
        }
        if !self.stopped {
            self.watch.replication();
        }
        Ok(Played { replication: self.stage.end(tallies), complete: !self.stopped })
    }
}

impl Play for Playing<'_> {
    type Answer = Answer;

    fn next_at(&self) -> Option<Duration> {
        if self.stopped {
            return None;
        }
        let free = self.players.iter().zip(&self.recording).filter(|(_, recording)| !**recording);
        let event_us = free.filter_map(|(player, _)| player.next_us()).fold(f64::INFINITY, f64::min);
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
        self.players.iter_mut().for_each(Player::drop_events);
    }

    fn over(&self) -> bool {
        self.failure.is_some() || ((self.stopped || self.next_at().is_none()) && self.under_way + self.unchanged == 0)
    }
}

impl Playing<'_> {
    /// Whether all was played.
    fn done(&self) -> bool {
        !self.stopped && self.over() && self.failure.is_none()
    }
}
