//! State of an episode that all policies share: visits, the catalogue, and faults.
//!
//! Invariant: nothing here depends on a policy or on a decision.

use std::collections::HashMap;

use slotwise::{engine::Change, slot::ArmId};

use super::{BUCKETS, EpisodeError, PolicyTally, Replication, Setup, bucket, catalogue::CurrentCatalogue};
use crate::{
    environment::{Environment, Purpose, Truth, Visit, draw_delay, reward_bounds},
    scenario::{FaultKind, Opening, Touchpoint, time::Moment},
};

/// State of an episode that all policies share.
#[derive(Debug)]
pub(crate) struct Episode<'a> {
    /// The environment.
    pub environment: Environment<'a>,
    /// The environment's arms by their ids.
    pub by_id: HashMap<ArmId, usize>,
    /// The arms in the slot and in stock.
    pub catalogue: CurrentCatalogue,
    /// Time of the last visit, microseconds since the start.
    pub end_us: f64,
    setup: &'a Setup<'a>,
    /// Flags of the faults that have happened.
    happened: Vec<bool>,
    /// The arm of an override, or `None`.
    shown_instead: Option<usize>,
    means: ArmMeans,
    out: Replication,
}

/// Changes before a step's visit, and what is special about the visit.
#[derive(Debug)]
pub(crate) struct StepEvents {
    /// Changes that the slots receive.
    pub changes: Vec<Change>,
    /// Faults that happen now.
    pub faults: Vec<StepFault>,
    /// The arm that is shown at the first position regardless of the decision, or `None`.
    pub overridden: Option<usize>,
    /// True if the decision's probabilities are audited.
    pub audited: bool,
    /// Index of the visit's touchpoint, or 0 without touchpoints.
    pub touchpoint: usize,
    /// Time from the decision until its shopper sees it, microseconds, or `None` if that never happens.
    pub seen_after_us: Option<f64>,
}

/// A fault that happens at a step.
#[derive(Debug)]
pub(crate) struct StepFault {
    /// The kind of fault.
    pub kind: FaultKind,
    /// Duration for which no reward event comes in, microseconds.
    pub outage_us: f64,
    /// The policies whose services the fault hits. Empty means all.
    policies: Vec<usize>,
}

impl StepFault {
    /// Returns whether the fault hits this policy's service.
    pub(crate) fn hits(&self, policy: usize) -> bool {
        self.policies.is_empty() || self.policies.contains(&policy)
    }
}

impl<'a> Episode<'a> {
    /// Returns the state at the start of a replication.
    pub(crate) fn new(setup: &'a Setup<'a>, replication: u64) -> Result<Self, EpisodeError> {
        let scenario = setup.scenario;
        let environment = Environment::new(scenario, &setup.slot.goal, setup.seed, replication)?;
        let by_id = environment.arms().iter().enumerate().map(|(i, a)| (a.arm.id.clone(), i)).collect();
        let catalogue = CurrentCatalogue::new(&environment, Moment { index: 0, horizon: scenario.horizon, at_us: 0.0 });
        let overridden = scenario.behaviour.overridden.as_ref();
        let shown_instead = overridden.and_then(|o| environment.arms().iter().position(|a| a.arm.id.as_str() == o.arm));
        let out =
            Replication { ends_us: vec![0.0; BUCKETS], marks: vec![None; setup.marks.len()], policies: Vec::new() };
        Ok(Self {
            by_id,
            catalogue,
            end_us: 0.0,
            setup,
            happened: vec![false; scenario.faults.len()],
            shown_instead,
            means: ArmMeans::new(environment.arms().len()),
            out,
            environment,
        })
    }

    /// Advances to a visit and writes the truth about it into `truth`.
    pub(crate) fn step_events(&mut self, visit: &Visit, truth: &mut Truth) -> StepEvents {
        let (scenario, now) = (self.setup.scenario, visit.now);
        self.end_us = now.at_us;
        self.out.ends_us[bucket(now.index, scenario.horizon)] = now.at_us;
        for (mark, (when, _)) in self.out.marks.iter_mut().zip(&self.setup.marks) {
            if mark.is_none() && when.reached(now) {
                *mark = Some(now.index);
            }
        }
        let changes = self.catalogue.advance(scenario, &self.environment, now);
        let faults = self.faults_at(now);
        self.environment.truth(visit, truth);
        if self.setup.needs_report && 10 * now.index >= 9 * scenario.horizon && !visit.shopper.bot {
            self.means.add(truth);
        }
        let share = scenario.behaviour.overridden.as_ref().map_or(0.0, |instead| instead.share);
        let overridden = self.shown_instead.filter(|_| visit.coins.flip(Purpose::Override, 0, share));
        let audited = scenario.audit_every > 0 && now.index.is_multiple_of(scenario.audit_every.into());
        let touchpoint = self.touchpoint(visit);
        let seen_after_us = self.seen_after_us(visit, touchpoint);
        StepEvents { changes, faults, overridden, audited, touchpoint, seen_after_us }
    }

    /// Draws the touchpoint of a visit. No bot gets a message.
    fn touchpoint(&self, visit: &Visit) -> usize {
        let touchpoints = &self.setup.scenario.touchpoints;
        if touchpoints.is_empty() {
            return 0;
        }
        let is_open = |touchpoint: &Touchpoint| !visit.shopper.bot || touchpoint.opened.is_none();
        let shares = touchpoints.iter().map(|one| if is_open(one) { one.share } else { 0.0 });
        visit.coins.pick(Purpose::Touchpoint, 0, shares)
    }

    fn seen_after_us(&self, visit: &Visit, touchpoint: usize) -> Option<f64> {
        let opened = self.setup.scenario.touchpoints.get(touchpoint).and_then(|touchpoint| touchpoint.opened.as_ref());
        let Some(Opening { chance, delay }) = opened else { return Some(0.0) };
        let opens = visit.coins.flip(Purpose::Opening, 0, *chance);
        opens.then(|| draw_delay(delay, visit.coins, Purpose::Opening, 1))
    }

    fn faults_at(&mut self, now: Moment) -> Vec<StepFault> {
        let scenario = self.setup.scenario;
        let number = |name: &String| scenario.policies.iter().position(|policy| policy.name == *name);
        let mut faults_at = Vec::new();
        for (fault, happened) in scenario.faults.iter().zip(&mut self.happened) {
            if !*happened && fault.at.reached(now) {
                *happened = true;
                faults_at.push(StepFault {
                    kind: fault.kind,
                    outage_us: fault.outage.map_or(0.0, |outage| outage.us),
                    policies: fault.policies.iter().filter_map(number).collect(),
                });
            }
        }
        faults_at
    }

    /// Returns the expected rewards of the best and of the uniform choice of `count` arms from this catalogue.
    pub(crate) fn bounds(&self, truth: &Truth, catalogue: &CurrentCatalogue, count: usize) -> (f64, f64) {
        reward_bounds(&self.environment, truth, |arm| catalogue.eligible(arm), count)
    }

    /// Returns the arms' expected rewards over the last shoppers.
    pub(crate) fn means(&self) -> Vec<f64> {
        self.means.values()
    }

    /// Returns the finished replication.
    pub(crate) fn end(self, policies: Vec<PolicyTally>) -> Replication {
        Replication { policies, ..self.out }
    }
}

/// Mean expected reward of every arm over some shoppers.
#[derive(Debug)]
struct ArmMeans {
    sums: Vec<f64>,
    count: u64,
}

impl ArmMeans {
    fn new(arms: usize) -> Self {
        Self { sums: vec![0.0; arms], count: 0 }
    }

    fn add(&mut self, truth: &Truth) {
        self.count += 1;
        self.sums.iter_mut().zip(&truth.expected).for_each(|(sum, expected)| *sum += expected);
    }

    fn values(&self) -> Vec<f64> {
        self.sums.iter().map(|sum| sum / self.count.max(1) as f64).collect()
    }
}
