//! What a replication goes through, whoever plays it: who comes, what is on the catalogue, what breaks when.
//!
//! Invariants: nothing here depends on a policy or on what was decided.

use std::collections::HashMap;

use slotwise::{engine::Change, slot::ArmId};

use super::{
    BUCKETS, EpisodeError, PolicyTally, Replication, Setup, bounds::bounds, bucket, catalogue::CurrentCatalogue,
};
use crate::{
    environment::{Environment, Purpose, Truth, Visit},
    scenario::{FaultKind, time::Moment},
};

/// A replication's episode.
#[derive(Debug)]
pub(crate) struct Episode<'a> {
    /// The environment.
    pub environment: Environment<'a>,
    /// Its arms by their ids.
    pub by_id: HashMap<ArmId, usize>,
    /// What is in the slot and in stock.
    pub catalogue: CurrentCatalogue,
    /// When the last visit came, microseconds since the start.
    pub end_us: f64,
    setup: &'a Setup<'a>,
    /// Which faults have happened.
    happened: Vec<bool>,
    /// The arm of an override.
    shown_instead: Option<usize>,
    means: ArmMeans,
    out: Replication,
}

/// A visit's turn: what changes before it, and what is special about it.
#[derive(Debug)]
pub(crate) struct StepEvents {
    /// What the slots are told.
    pub changes: Vec<Change>,
    /// What goes wrong.
    pub faults: Vec<StepFault>,
    /// The arm that is shown at the first position, whatever is decided.
    pub overridden: Option<usize>,
    /// The pmf is looked at.
    pub audited: bool,
}

/// A fault as it happens.
#[derive(Debug)]
pub(crate) struct StepFault {
    /// What.
    pub kind: FaultKind,
    /// How long no reward comes in, microseconds.
    pub outage_us: f64,
    /// The policies whose services it hits; empty: all.
    policies: Vec<usize>,
}

impl StepFault {
    /// Whether it hits this policy's service.
    pub(crate) fn hits(&self, policy: usize) -> bool {
        self.policies.is_empty() || self.policies.contains(&policy)
    }
}

impl<'a> Episode<'a> {
    /// That of a replication, at its start.
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

    /// Goes on to a visit; writes what is true for it into `truth`.
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
        let share = scenario.behaviour.overridden.as_ref().map_or(0.0, |over| over.share);
        let overridden = self.shown_instead.filter(|_| visit.coins.flip(Purpose::Override, 0, share));
        let audited = scenario.audit_every > 0 && now.index.is_multiple_of(scenario.audit_every.into());
        StepEvents { changes, faults, overridden, audited }
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

    /// What the best and the uniform choice of so many arms are worth, with this on the catalogue.
    pub(crate) fn bounds(&self, truth: &Truth, catalogue: &CurrentCatalogue, count: usize) -> (f64, f64) {
        bounds(&self.environment, truth, catalogue, count)
    }

    /// The arms' expected rewards over the last shoppers.
    pub(crate) fn means(&self) -> Vec<f64> {
        self.means.of()
    }

    /// What came of it.
    pub(crate) fn end(self, policies: Vec<PolicyTally>) -> Replication {
        Replication { policies, ..self.out }
    }
}

/// Expected rewards of every arm over some shoppers.
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

    fn of(&self) -> Vec<f64> {
        self.sums.iter().map(|sum| sum / self.count.max(1) as f64).collect()
    }
}
