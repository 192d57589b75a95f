//! A policy whose service is the engine in this process.

use slotwise::{
    engine::{Change, RewardOutcome},
    slot::Definition,
};

use super::{
    EPOCH_US,
    player::{Heard, Player, Scene},
    queue::{Dating, whole},
    service::{Service, ServiceError},
    setup::Setup,
    shelf::Shelf,
    tally::Tally,
};
use crate::{
    environment::{For, World},
    scenario::FaultKind,
};

/// One policy in one replication, with its service.
#[derive(Debug)]
pub(super) struct Local<'a> {
    player: Player<'a>,
    service: Service,
    window_us: i64,
    needs_report: bool,
}

impl<'a> Local<'a> {
    /// With the slot of policy number `policy` and these arms.
    pub(super) fn new(
        setup: &'a Setup<'a>,
        policy: usize,
        world: &World<'_>,
        shelf: &Shelf,
    ) -> Result<Self, ServiceError> {
        let definition = &setup.policies[policy];
        let slot = Definition { arms: shelf.arms(world), ..definition.clone() };
        let player = Player::new(setup, policy, world, slot.id.clone());
        let service = Service::new(slot, EPOCH_US)?;
        Ok(Self { player, service, window_us: definition.goal.window_us, needs_report: setup.needs_report })
    }

    /// How many arms it shows.
    pub(super) fn count(&self) -> usize {
        self.player.count()
    }

    /// Takes a fault: what breaks, and how long no reward comes in.
    pub(super) fn fault(&mut self, kind: FaultKind, at_us: f64, outage_us: f64) -> Result<(), ServiceError> {
        match kind {
            FaultKind::Restart => self.service.restart()?,
            FaultKind::Reset => self.change(Change::Reset, at_us)?,
        }
        self.player.close(at_us, outage_us);
        Ok(())
    }

    /// Tells the slot of a change.
    pub(super) fn change(&mut self, change: Change, at_us: f64) -> Result<(), ServiceError> {
        self.service.change(change, EPOCH_US + whole(at_us))
    }

    /// Lets the events arrive that have by then.
    pub(super) fn hear(&mut self, by_us: f64) {
        while let Some((event, of, at_us)) = self.player.next_by(by_us) {
            let reverses = event.reverses.is_some();
            let heard = self.service.reward(event, EPOCH_US + whole(at_us)).map(|outcome| match outcome {
                RewardOutcome::Accepted => Heard::Accepted,
                RewardOutcome::Duplicate => Heard::Duplicate,
                RewardOutcome::Late => Heard::Late,
                RewardOutcome::Unmatched(_) => Heard::Unmatched,
                RewardOutcome::Rejected(_) => Heard::Rejected,
            });
            self.player.heard(of, reverses, heard);
        }
    }

    /// Decides, shows, and counts.
    pub(super) fn play(&mut self, scene: &Scene<'_, '_>) -> Result<(), ServiceError> {
        let visit = scene.visit;
        let request = self.player.request(visit, scene.audited);
        let at_us = EPOCH_US + whole(visit.now.at_us);
        let random = [visit.coins.word(For::Draw, 0), visit.coins.word(For::Draw, 1)];
        let decision = self.service.decide(request, at_us, random)?;
        self.player.decided(scene, &decision, visit.now.at_us, Dating::IN_PROCESS);
        self.service.take(decision.decided, at_us);
        Ok(())
    }

    /// Lets everything arrive, and closes the books. `means` are the arms' expected rewards over the last shoppers.
    pub(super) fn finish(mut self, world: &World<'_>, end_us: f64, means: &[f64]) -> Tally {
        self.player.open(end_us);
        self.hear(f64::INFINITY);
        let counted = self.service.counters().reward_sum;
        let report = if self.needs_report {
            // An event may have come later than any window closes.
            self.service.wait_until(EPOCH_US + whole(end_us) + 2 * self.window_us);
            self.service.report()
        } else {
            None
        };
        self.player.finish(world, counted, report.as_ref(), means)
    }
}
