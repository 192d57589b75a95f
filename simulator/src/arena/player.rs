//! One policy in one replication: its service, the events on their way to it, and what is counted of it.

use std::collections::HashMap;

use slotwise::{
    bandit::ClickModel,
    engine::{Change, Decided, Decision, Request, RewardOutcome},
    slot::{ArmId, Definition, Goal},
};

use super::{
    queue::{Queue, Shown, whole},
    service::{Service, ServiceError},
    setup::{AdaptProbe, Setup, ShareProbe},
    shelf::Shelf,
    tally::{Tally, bucket},
};
use crate::{
    scenario::{ArmState, FaultKind, names::arm_factor},
    world::{Deed, Truth, Visit, Way, World, reward, value},
};

/// When every simulation begins: Monday, 5 January 2026, 00:00 UTC; microseconds since 1970.
pub const EPOCH_US: i64 = 1_767_571_200_000_000;

/// Foreseen rewards that are kept of a replication, at most about.
const FORESEEN: u64 = 400;

/// What is the same for all policies at a visit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a, 'w> {
    /// The replication's world.
    pub world: &'a World<'w>,
    /// Who comes.
    pub visit: &'a Visit,
    /// What is true for them.
    pub truth: &'a Truth,
    /// What is in the slot and in stock.
    pub shelf: &'a Shelf,
    /// Arms by their ids.
    pub by_id: &'a HashMap<ArmId, usize>,
    /// The best and the uniform choice's expected reward, by how many arms are shown.
    pub best: (f64, f64),
    /// The arm that is shown at the first position, whatever was decided.
    pub overridden: Option<usize>,
    /// The pmf is looked at.
    pub audited: bool,
}

/// One policy in one replication.
#[derive(Debug)]
pub(super) struct Player<'a> {
    setup: &'a Setup<'a>,
    definition: &'a Definition,
    service: Service,
    queue: Queue,
    /// What is counted.
    pub tally: Tally,
    /// Per decision and place, the arm and the way that the slot heard of in time. Decisions since the last reset.
    heard: Vec<Option<(usize, Way)>>,
    /// The first visit since the last reset.
    since: u64,
    closed_until_us: f64,
    /// What is true of each arm, over its showings: faded sum, faded count, when last, and how often.
    truths: Vec<(f64, f64, f64, u64)>,
    /// Of each watched change: regret and uniform choice's, by block.
    blocks: Vec<Vec<(f64, f64)>>,
    deeds: Vec<Deed>,
}

impl<'a> Player<'a> {
    /// With the slot of policy number `policy` and these arms.
    pub(super) fn new(
        setup: &'a Setup<'a>,
        policy: usize,
        world: &World<'_>,
        shelf: &Shelf,
    ) -> Result<Self, ServiceError> {
        let definition = &setup.policies[policy];
        let slot = Definition { arms: shelf.arms(world), ..definition.clone() };
        let segments = setup.scenario.shoppers.segments.len();
        Ok(Self {
            setup,
            definition,
            service: Service::new(slot, EPOCH_US)?,
            queue: Queue::default(),
            tally: Tally::new(segments, setup.groups.len(), setup.shares.len()),
            heard: Vec::new(),
            since: 0,
            closed_until_us: 0.0,
            truths: vec![(0.0, 0.0, 0.0, 0); world.arms().len()],
            blocks: vec![Vec::new(); setup.changes.len()],
            deeds: Vec::new(),
        })
    }

    /// How many arms it shows.
    pub(super) fn count(&self) -> usize {
        self.definition.count() as usize
    }

    /// Takes a fault: what breaks, and how long no reward comes in.
    pub(super) fn fault(
        &mut self,
        kind: FaultKind,
        at_us: f64,
        outage_us: f64,
        index: u64,
    ) -> Result<(), ServiceError> {
        match kind {
            FaultKind::Restart => self.service.restart()?,
            FaultKind::Reset => {
                self.service.change(Change::Reset, EPOCH_US + whole(at_us))?;
                self.heard.clear();
                self.since = index;
                self.truths.fill((0.0, 0.0, 0.0, 0));
            }
        }
        self.closed_until_us = self.closed_until_us.max(at_us + outage_us);
        Ok(())
    }

    /// Tells the slot of a change.
    pub(super) fn change(&mut self, change: Change, at_us: f64) -> Result<(), ServiceError> {
        self.service.change(change, EPOCH_US + whole(at_us))
    }

    /// Lets the events arrive that have by then.
    pub(super) fn hear(&mut self, by_us: f64) {
        if by_us < self.closed_until_us {
            return;
        }
        while let Some(queued) = self.queue.next_by(by_us) {
            let at_us = EPOCH_US + whole(queued.arrives_us.max(self.closed_until_us));
            let of = queued.of;
            let reverses = queued.event.reverses.is_some();
            self.tally.events.arrived += 1;
            let counts = &mut self.tally.events;
            let outcome = self.service.reward(queued.event, at_us);
            match outcome {
                Some(RewardOutcome::Accepted) => counts.accepted += 1,
                Some(RewardOutcome::Duplicate) => counts.duplicates += 1,
                Some(RewardOutcome::Late) => counts.late += 1,
                Some(RewardOutcome::Unmatched(_)) | None => counts.unmatched += 1,
                Some(RewardOutcome::Rejected(_)) => counts.rejected += 1,
            }
            // What takes an event back is taken as long as its decision is remembered, which may be a while longer than
            // the window.
            let in_time = of.in_time || (reverses && outcome == Some(RewardOutcome::Accepted));
            let Some(place) = of.place.filter(|_| in_time && of.visit >= self.since) else { continue };
            let at = index(of.visit - self.since) * self.count() + place;
            if let Some(Some((_, way))) = self.heard.get_mut(at) {
                let steps = &self.setup.scenario.behaviour.steps;
                let known = crate::world::needs(steps, of.step).is_some_and(|after| *way & (1 << after) != 0);
                // What takes back an event that is not known takes back nothing.
                if !reverses || known {
                    *way |= 1 << of.step;
                }
            }
        }
    }

    /// Decides, shows, and counts.
    pub(super) fn play(&mut self, scene: Scene<'_, '_>) -> Result<(), ServiceError> {
        let Scene { world, visit, truth, shelf, by_id, .. } = scene;
        let scenario = self.setup.scenario;
        let mut request = Request::new(self.service.slot().clone());
        request.subject = visit.shopper.subject.clone();
        request.context = visit.context(&scenario.shoppers);
        request.consent = Some(visit.shopper.consent);
        request.explain = scene.audited;
        let at_us = EPOCH_US + whole(visit.now.at_us);
        let random = [visit.coins.word(crate::world::For::Draw, 0), visit.coins.word(crate::world::For::Draw, 1)];
        let decision = self.service.decide(request, at_us, random)?;
        self.audit(&decision);
        let decided = decision.decided;
        let chosen: Vec<usize> = decided.chosen.iter().filter_map(|c| by_id.get(&c.arm).copied()).collect();
        let mut shown = chosen.clone();
        if let (Some(first), Some(arm)) = (shown.first_mut(), scene.overridden) {
            *first = arm;
        }
        self.count_decision(&scene, &decided, &chosen);
        let mut deeds = std::mem::take(&mut self.deeds);
        world.deeds(visit, truth, &shown, &shelf.in_stock, &mut deeds);
        if !visit.shopper.bot && scene.overridden.is_none() {
            self.tally.given += (0..shown.len()).map(|place| world.given(&deeds, place)).sum::<f64>();
        }
        self.remember(&chosen, visit.now.index);
        let arms: Vec<&ArmId> = shown.iter().map(|&arm| &world.arms()[arm].arm.id).collect();
        let window_us = self.definition.goal.window_us as f64;
        let shown = Shown { visit, decided: &decided, arms: &arms, window_us, epoch_us: EPOCH_US };
        self.queue.send(scenario, self.service.slot(), shown, &deeds, &mut self.tally.events);
        self.deeds = deeds;
        self.service.take(decided, at_us);
        Ok(())
    }

    fn remember(&mut self, chosen: &[usize], at: u64) {
        let count = self.count();
        self.heard.resize(index(at - self.since) * count, None);
        self.heard.extend((0..count).map(|place| chosen.get(place).map(|&arm| (arm, 0))));
    }

    /// The pmf that was explained against what was drawn, and against the propensity that was logged.
    fn audit(&mut self, decision: &Decision) {
        let (Some(explanation), Some(first)) = (&decision.explanation, decision.decided.chosen.first()) else { return };
        for candidate in explanation.candidates.iter().filter(|candidate| candidate.ineligible_because.is_none()) {
            let drawn = candidate.arm == first.arm;
            // What was drawn counts under the propensity that was logged for it.
            let p = if drawn { first.propensity } else { candidate.propensity };
            self.tally.propensity(p, drawn);
            if drawn && (first.propensity - candidate.propensity).abs() > 1e-9 {
                self.tally.mismatches += 1;
            }
        }
    }

    fn count_decision(&mut self, scene: &Scene<'_, '_>, decided: &Decided, chosen: &[usize]) {
        let Scene { world, visit, truth, shelf, .. } = *scene;
        let (scenario, index) = (self.setup.scenario, visit.now.index);
        self.tally.decisions += 1;
        self.tally.exploring += u64::from(decided.exploring());
        self.tally.fallbacks += u64::from(decided.fallback.is_some());
        self.tally.holdout += u64::from(decided.holdout);
        let clicks = self.definition.goal.click_model != ClickModel::None;
        let looked = |place: usize| if clicks { 1.0 } else { world.reach(truth, chosen, &shelf.in_stock, place) };
        if self.setup.needs_report {
            self.showings(scene, chosen, looked);
        }
        if visit.shopper.bot || scene.overridden.is_some() {
            return;
        }
        let worth = world.worth(truth, chosen, &shelf.in_stock);
        let regret = scene.best.0 - worth;
        let uniform = scene.best.0 - scene.best.1;
        let at = bucket(index, scenario.horizon);
        self.tally.buckets[at].add(worth, regret);
        self.tally.segments[visit.shopper.segment].add(worth, regret);
        self.tally.uniform_regret += uniform;
        for &arm in chosen {
            self.tally.groups[at * self.setup.groups.len() + world.arms()[arm].group] += 1;
        }
        for (i, probe) in self.setup.shares.iter().enumerate() {
            if (probe.from..probe.until).contains(&index) && probe.segment.is_none_or(|s| s == visit.shopper.segment) {
                let counts = chosen.iter().filter(|&&arm| counts(self.setup, probe, world, shelf, arm, index)).count();
                self.tally.shares[i].0 += counts as u64;
                self.tally.shares[i].1 += chosen.len() as u64;
            }
        }
        for (probe, blocks) in self.setup.changes.iter().zip(&mut self.blocks) {
            if index < probe.after {
                continue;
            }
            let block = self::index((index - probe.after) / probe.block);
            if blocks.len() <= block {
                blocks.resize(block + 1, (0.0, 0.0));
            }
            blocks[block].0 += regret;
            blocks[block].1 += uniform;
        }
        let every = (scenario.horizon / 2 / FORESEEN).max(1);
        if 2 * index >= scenario.horizon
            && index.is_multiple_of(every)
            && decided.fallback.is_none()
            && let (Some(first), Some(&arm)) = (decided.chosen.first(), chosen.first())
        {
            let is = world.nothing() + looked(0) * (truth.expected[arm] - world.nothing());
            self.tally.calibration.push((first.expected_reward, is));
        }
    }

    /// What is true of the arms shown, faded as the slot fades what it learns.
    fn showings(&mut self, scene: &Scene<'_, '_>, chosen: &[usize], looked: impl Fn(usize) -> f64) {
        let Scene { world, visit, truth, shelf, .. } = *scene;
        let half_life_us = self.definition.controls.half_life_us() as f64;
        let nothing = world.nothing();
        for (place, &arm) in chosen.iter().enumerate() {
            let beyond = if shelf.in_stock[arm] { truth.expected[arm] - nothing } else { 0.0 };
            let (sum, weight, last_us, times) = &mut self.truths[arm];
            let kept = (-(visit.now.at_us - *last_us) / half_life_us).exp2();
            *sum = *sum * kept + nothing + looked(place) * beyond;
            *weight = *weight * kept + 1.0;
            *last_us = visit.now.at_us;
            *times += 1;
        }
    }

    /// Lets everything arrive, and closes the books. `means` are the arms' expected rewards over the last shoppers.
    pub(super) fn finish(mut self, world: &World<'_>, end_us: f64, means: &[f64]) -> Tally {
        self.closed_until_us = self.closed_until_us.min(end_us);
        self.hear(f64::INFINITY);
        self.tally.adapted =
            self.setup.changes.iter().zip(&self.blocks).map(|(probe, blocks)| adapted(probe, blocks)).collect();
        self.tally.counted_error = self.counted_error(world);
        if self.setup.needs_report {
            // An event may have come later than any window closes.
            let window_us = self.definition.goal.window_us;
            let last_us = EPOCH_US + whole(end_us) + 2 * window_us;
            self.service.wait_until(last_us);
            self.compare_report(world, means);
        }
        self.tally
    }

    /// What the slot counted, beside what it heard of in time, each event once.
    fn counted_error(&self, world: &World<'_>) -> f64 {
        let goal: &Goal = &self.definition.goal;
        let steps = &self.setup.scenario.behaviour.steps;
        let want: f64 = self
            .heard
            .iter()
            .flatten()
            .map(|&(arm, way)| reward(goal, steps, way, |i| value(&steps[i], &world.arms()[arm])))
            .sum();
        let have = self.service.counters().reward_sum;
        if want.abs() > 0.0 { (have - want).abs() / want.abs() } else { have.abs() }
    }

    fn compare_report(&mut self, world: &World<'_>, means: &[f64]) {
        /// An interval of fewer showings says little.
        const SHOWN_MIN: u64 = 30;
        /// As sure as this.
        const SURE: f64 = 0.95;
        let Some(report) = self.service.report() else { return };
        let highest_but = |arm: usize| {
            let others = means.iter().enumerate().filter(|&(i, _)| i != arm);
            others.map(|(_, mean)| *mean).fold(f64::NEG_INFINITY, f64::max)
        };
        for (arm, of) in world.arms().iter().enumerate() {
            let Some(said) = report.arms.iter().find(|said| said.arm == of.arm.id) else { continue };
            let (sum, weight, _, times) = self.truths[arm];
            if times >= SHOWN_MIN {
                let truth = sum / weight;
                self.tally.covered.0 += u64::from((said.low..=said.high).contains(&truth));
                self.tally.covered.1 += 1;
            }
            self.tally.falsely_sure |= said.chance_best >= SURE && means[arm] <= highest_but(arm) + 1e-12;
        }
    }
}

/// Whether an arm that is shown counts for a share.
fn counts(setup: &Setup<'_>, probe: &ShareProbe<'_>, world: &World<'_>, shelf: &Shelf, arm: usize, index: u64) -> bool {
    let of = &world.arms()[arm];
    let named = probe.arm.is_none_or(|id| id == of.arm.id.as_str());
    let attribute = probe.attribute.is_none_or(|attribute| {
        arm_factor(&setup.scenario.catalogue, Some(attribute)).is_ok_and(|factor| of.factor(&factor, 1.0) > 0.0)
    });
    let state = match probe.state {
        None => true,
        Some(ArmState::OutOfStock) => !shelf.in_stock[arm],
        Some(ArmState::Retired) => !shelf.present[arm],
        Some(ArmState::New) => {
            shelf.launched[arm].is_some_and(|launched| index < launched + setup.scenario.horizon / 10)
        }
    };
    named && attribute && state
}

/// As an index: at most the horizon.
fn index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Decisions until the end of the first block that is good enough; to the end, where none is.
fn adapted(probe: &AdaptProbe, blocks: &[(f64, f64)]) -> f64 {
    let good = blocks.iter().position(|(regret, uniform)| *regret <= probe.within * uniform);
    let blocks = good.map_or(blocks.len(), |block| block + 1);
    blocks as f64 * probe.block as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapted_is_the_first_block_with_little_regret() {
        let probe = AdaptProbe { after: 50, block: 10, within: 0.5 };
        for (regrets, want) in [(&[9.0, 6.0, 5.0, 7.0][..], 30.0), (&[1.0], 10.0), (&[9.0, 9.0], 20.0)] {
            let blocks: Vec<(f64, f64)> = regrets.iter().map(|&regret| (regret, 10.0)).collect();
            assert!((adapted(&probe, &blocks) - want).abs() < 1e-12, "{regrets:?}");
        }
    }
}
