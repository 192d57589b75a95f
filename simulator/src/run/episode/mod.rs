//! The arena: one replication of a scenario, in which every policy meets the same shoppers.
//!
//! * [`Setup`]: what a run's replications have in common.
//! * `episode`: who comes, what is true for them, and what changes on the way.
//! * `agent`: each policy's books: what is decided, what the shopper does with it, what of that arrives when.
//! * `memory`: what a slot should have counted.
//! * [`replicate`]: the loop in this process, and [`Service`], the engine as a policy's service. Against a live server
//!   the loop is [`crate::live`]'s, over the same episode and books.
//! * [`Tally`]: what is counted of each policy.
//!
//! Invariants: a replication follows from the scenario, the seed and its number, whoever runs it and when. Policies
//! go through a visit one after the other and share nothing that they change.

pub(crate) mod agent;
mod bounds;
pub(crate) mod catalogue;
mod engine_service;
mod expected_counts;
mod local_agent;
pub(crate) mod queue;
mod setup;
pub(crate) mod state;
mod tally;
#[cfg(test)]
mod tests;

pub use agent::EPOCH_US;
pub use engine_service::{EngineService, EngineServiceError};
pub use setup::{AdaptProbe, Setup, ShareProbe, change, share};
pub use tally::{BUCKETS, LiveCalls, PROPENSITIES, PolicyTally, PropensityBinCounts, Replication, RewardSum, bucket};

use agent::StepContext;
use local_agent::LocalAgent;
use state::Episode;

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
        why: EngineServiceError,
    },
    /// The environment could not be made.
    #[error(transparent)]
    Environment(#[from] Problem),
}

/// Is told how far a run is, by several threads at once.
pub trait RunProgress: Sync {
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
pub struct NoRunProgress;

impl RunProgress for NoRunProgress {
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
pub fn replicate(setup: &Setup<'_>, replication: u64, progress: &dyn RunProgress) -> Result<Replication, EpisodeError> {
    let scenario = setup.scenario;
    let mut episode = Episode::new(setup, replication)?;
    let failed = |policy: usize, index: u64| {
        move |why| EpisodeError::Service { policy: scenario.policies[policy].name.clone(), index, why }
    };
    let mut agents = Vec::new();
    for policy in 0..setup.policies.len() {
        agents
            .push(LocalAgent::new(setup, policy, &episode.environment, &episode.catalogue).map_err(failed(policy, 0))?);
    }
    let mut truth = Truth::default();
    for visit in episode.environment.traffic() {
        let now = visit.now;
        let step_events = episode.step_events(&visit, &mut truth);
        let mut best = (usize::MAX, (0.0, 0.0));
        for (policy, agent) in agents.iter_mut().enumerate() {
            let failed = failed(policy, now.index);
            agent.hear(now.at_us);
            for fault in step_events.faults.iter().filter(|fault| fault.hits(policy)) {
                agent.fault(fault.kind, now.at_us, fault.outage_us).map_err(failed)?;
            }
            for change in &step_events.changes {
                agent.change(change.clone(), now.at_us).map_err(failed)?;
            }
            if best.0 != agent.count() {
                best = (agent.count(), episode.bounds(&truth, &episode.catalogue, agent.count()));
            }
            let step = StepContext {
                environment: &episode.environment,
                visit: &visit,
                truth: &truth,
                catalogue: &episode.catalogue,
                by_id: &episode.by_id,
                best: best.1,
                overridden: step_events.overridden,
                audited: step_events.audited,
            };
            agent.play(&step).map_err(failed)?;
        }
        if (now.index + 1).is_multiple_of(TELL_EVERY) {
            progress.advance(TELL_EVERY * agents.len() as u64);
        }
    }
    progress.advance(scenario.horizon % TELL_EVERY * agents.len() as u64);
    let means = episode.means();
    let tallies =
        agents.into_iter().map(|agent| agent.finish(&episode.environment, episode.end_us, &means)).collect::<Vec<_>>();
    progress.replication();
    Ok(episode.end(tallies))
}
