//! The arena: one replication of a scenario, in which every policy meets the same shoppers.
//!
//! * [`Setup`]: what a run's replications have in common.
//! * [`replicate`]: the loop: who comes, what is true for them, and for each policy what arrives, what is decided,
//!   what the shopper does with it.
//! * [`Service`]: the engine, as a policy's service.
//! * [`Tally`]: what is counted of each policy.
//!
//! Invariants: a replication follows from the scenario, the seed and its number, whoever runs it and when. Policies
//! go through a visit one after the other and share nothing that they change.

mod bounds;
mod player;
mod queue;
mod service;
mod setup;
mod shelf;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use slotwise::slot::ArmId;

pub use player::EPOCH_US;
pub use service::{Service, ServiceError};
pub use setup::{AdaptProbe, Setup, ShareProbe, change, share};
pub use tally::{BUCKETS, PROPENSITIES, Promised, Replication, Sum, Tally, bucket};

use bounds::bounds;
use player::{Player, Scene};
use shelf::Shelf;

use crate::{
    scenario::{Problem, time::Moment},
    world::{For, Truth, World},
};

/// Visits between two times that progress is told.
const TELL_EVERY: u64 = 256;

/// Why a replication did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// A service could not go on.
    #[error("policy '{policy}', decision {index}: {why}")]
    Service {
        /// Which.
        policy: String,
        /// When.
        index: u64,
        /// Why.
        why: ServiceError,
    },
    /// The world could not be made.
    #[error(transparent)]
    World(#[from] Problem),
}

/// Is told how far a run is, by several threads at once.
pub trait Watch: Sync {
    /// So many replications begin, of so many decisions together, each by every policy.
    fn begin(&self, replications: u64, decisions: u64);
    /// So many decisions more are through.
    fn advance(&self, decisions: u64);
    /// A replication is through.
    fn replication(&self);
    /// All are.
    fn end(&self);
}

/// Looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn begin(&self, _: u64, _: u64) {}
    fn advance(&self, _: u64) {}
    fn replication(&self) {}
    fn end(&self) {}
}

/// Runs one replication.
///
/// # Errors
///
/// Where a service refuses what a shop would send it; none for a scenario whose slot is as it should be.
pub fn replicate(setup: &Setup<'_>, replication: u64, watch: &dyn Watch) -> Result<Replication, ArenaError> {
    let scenario = setup.scenario;
    let world = World::new(scenario, &setup.slot.goal, setup.seed, replication)?;
    let by_id: HashMap<ArmId, usize> = world.arms().iter().enumerate().map(|(i, a)| (a.arm.id.clone(), i)).collect();
    let start = Moment { index: 0, horizon: scenario.horizon, at_us: 0.0 };
    let mut shelf = Shelf::new(&world, start);
    let failed = |policy: usize, index: u64| {
        move |why| ArenaError::Service { policy: scenario.policies[policy].name.clone(), index, why }
    };
    let mut players = Vec::new();
    for policy in 0..setup.policies.len() {
        players.push(Player::new(setup, policy, &world, &shelf).map_err(failed(policy, 0))?);
    }
    let overridden = scenario.behaviour.overridden.as_ref();
    let shown_instead = overridden.and_then(|o| world.arms().iter().position(|a| a.arm.id.as_str() == o.arm));
    let mut out =
        Replication { ends_us: vec![0.0; BUCKETS], marks: vec![None; setup.marks.len()], policies: Vec::new() };
    let mut faults: Vec<bool> = vec![false; scenario.faults.len()];
    let mut means = Means::new(world.arms().len());
    let mut truth = Truth::default();
    let mut end_us = 0.0;
    for visit in world.traffic() {
        let now = visit.now;
        end_us = now.at_us;
        out.ends_us[bucket(now.index, scenario.horizon)] = now.at_us;
        for (mark, (when, _)) in out.marks.iter_mut().zip(&setup.marks) {
            if mark.is_none() && when.reached(now) {
                *mark = Some(now.index);
            }
        }
        let changes = shelf.advance(scenario, &world, now);
        let due: Vec<usize> = (0..faults.len()).filter(|&i| !faults[i] && scenario.faults[i].at.reached(now)).collect();
        world.truth(&visit, &mut truth);
        if setup.needs_report && 10 * now.index >= 9 * scenario.horizon && !visit.shopper.bot {
            means.add(&truth);
        }
        let overridden =
            shown_instead.filter(|_| overridden.is_some_and(|over| visit.coins.flip(For::Override, 0, over.share)));
        let audited = scenario.audit_every > 0 && now.index.is_multiple_of(scenario.audit_every.into());
        let mut best = (usize::MAX, (0.0, 0.0));
        for (policy, player) in players.iter_mut().enumerate() {
            let failed = failed(policy, now.index);
            player.hear(now.at_us);
            for &i in &due {
                let fault = &scenario.faults[i];
                if fault.policies.is_empty() || fault.policies.contains(&scenario.policies[policy].name) {
                    let outage_us = fault.outage.map_or(0.0, |outage| outage.us);
                    player.fault(fault.kind, now.at_us, outage_us, now.index).map_err(failed)?;
                }
            }
            for change in &changes {
                player.change(change.clone(), now.at_us).map_err(failed)?;
            }
            if best.0 != player.count() {
                best = (player.count(), bounds(&world, &truth, &shelf, player.count()));
            }
            let scene = Scene {
                world: &world,
                visit: &visit,
                truth: &truth,
                shelf: &shelf,
                by_id: &by_id,
                best: best.1,
                overridden,
                audited,
            };
            player.play(scene).map_err(failed)?;
        }
        for i in due {
            faults[i] = true;
        }
        if (now.index + 1).is_multiple_of(TELL_EVERY) {
            watch.advance(TELL_EVERY * players.len() as u64);
        }
    }
    watch.advance(scenario.horizon % TELL_EVERY * players.len() as u64);
    let means = means.of();
    out.policies = players.into_iter().map(|player| player.finish(&world, end_us, &means)).collect();
    watch.replication();
    Ok(out)
}

/// Expected rewards of every arm over some shoppers.
struct Means {
    sums: Vec<f64>,
    count: u64,
}

impl Means {
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
