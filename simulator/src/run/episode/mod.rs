//! The arena: one replication of a scenario, in which every policy meets the same shoppers.
//!
//! * [`Setup`]: what a run's replications have in common.
//! * `stage`: who comes, what is true for them, and what changes on the way.
//! * `player`: each policy's books: what is decided, what the shopper does with it, what of that arrives when.
//! * `memory`: what a slot should have counted.
//! * [`replicate`]: the loop in this process, and [`Service`], the engine as a policy's service. Against a live server
//!   the loop is [`crate::live`]'s, over the same stage and books.
//! * [`Tally`]: what is counted of each policy.
//!
//! Invariants: a replication follows from the scenario, the seed and its number, whoever runs it and when. Policies
//! go through a visit one after the other and share nothing that they change.

mod bounds;
mod local;
mod memory;
pub(crate) mod player;
pub(crate) mod queue;
mod service;
mod setup;
pub(crate) mod shelf;
pub(crate) mod stage;
mod tally;
#[cfg(test)]
mod tests;

pub use player::EPOCH_US;
pub use service::{Service, ServiceError};
pub use setup::{AdaptProbe, Setup, ShareProbe, change, share};
pub use tally::{BUCKETS, Calls, PROPENSITIES, Promised, Replication, Sum, Tally, bucket};

use local::Local;
use player::Scene;
use stage::Stage;

use crate::{environment::Truth, scenario::Problem};

/// Visits between two times that progress is told.
const TELL_EVERY: u64 = 256;

/// Why a replication did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum EpisodeError {
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
    /// How it is played, in a line, where that is not as always.
    fn tell(&self, _line: &str) {}
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

/// Runs one replication in this process.
///
/// # Errors
///
/// Where a service refuses what a shop would send it; none for a scenario whose slot is as it should be.
pub fn replicate(setup: &Setup<'_>, replication: u64, watch: &dyn Watch) -> Result<Replication, EpisodeError> {
    let scenario = setup.scenario;
    let mut stage = Stage::new(setup, replication)?;
    let failed = |policy: usize, index: u64| {
        move |why| EpisodeError::Service { policy: scenario.policies[policy].name.clone(), index, why }
    };
    let mut players = Vec::new();
    for policy in 0..setup.policies.len() {
        players.push(Local::new(setup, policy, &stage.world, &stage.shelf).map_err(failed(policy, 0))?);
    }
    let mut truth = Truth::default();
    for visit in stage.world.traffic() {
        let now = visit.now;
        let turn = stage.turn(&visit, &mut truth);
        let mut best = (usize::MAX, (0.0, 0.0));
        for (policy, player) in players.iter_mut().enumerate() {
            let failed = failed(policy, now.index);
            player.hear(now.at_us);
            for fault in turn.faults.iter().filter(|fault| fault.hits(policy)) {
                player.fault(fault.kind, now.at_us, fault.outage_us).map_err(failed)?;
            }
            for change in &turn.changes {
                player.change(change.clone(), now.at_us).map_err(failed)?;
            }
            if best.0 != player.count() {
                best = (player.count(), stage.bounds(&truth, &stage.shelf, player.count()));
            }
            let scene = Scene {
                world: &stage.world,
                visit: &visit,
                truth: &truth,
                shelf: &stage.shelf,
                by_id: &stage.by_id,
                best: best.1,
                overridden: turn.overridden,
                audited: turn.audited,
            };
            player.play(&scene).map_err(failed)?;
        }
        if (now.index + 1).is_multiple_of(TELL_EVERY) {
            watch.advance(TELL_EVERY * players.len() as u64);
        }
    }
    watch.advance(scenario.horizon % TELL_EVERY * players.len() as u64);
    let means = stage.means();
    let tallies =
        players.into_iter().map(|player| player.finish(&stage.world, stage.end_us, &means)).collect::<Vec<_>>();
    watch.replication();
    Ok(stage.end(tallies))
}
