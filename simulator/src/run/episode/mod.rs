//! An episode: one replication of a scenario, in which every policy meets the same shoppers.
//!
//! * [`Setup`]: the parts of a run that all replications share.
//! * `state`: the environment, the catalogue and the faults of an episode, step by step.
//! * `agent`: the books of each policy: its decisions, the shoppers' outcomes, and the events on their way.
//! * `clicks`: regret by the number of clicks, over the slots of a policy.
//! * `expected_counts`: the rewards that a slot should have counted.
//! * [`replicate`]: the loop in this process, with [`EngineService`] as each policy's service. The loop against a live
//!   server is in `live`, over the same state and books.
//! * [`PolicyTally`]: the counts of each policy.
//!
//! Invariants:
//!
//! * A replication follows from the scenario, the seed and its number alone.
//! * Policies go through a step one after the other and share nothing that they change.

mod adapted;
pub(crate) mod agent;
pub(crate) mod catalogue;
mod clicks;
mod engine_service;
mod expected_counts;
mod local_agent;
pub(crate) mod queue;
mod setup;
mod share_counts;
mod shopper_report;
pub(crate) mod state;
pub(crate) mod step;
mod tally;
#[cfg(test)]
mod tests;
mod truth;

pub use agent::EPOCH_US;
pub use clicks::{CLICKS_MAX, ClickCurve, ClickProbe};
pub use engine_service::{EngineService, EngineServiceError};
pub use setup::{AdaptProbe, REPORTED_PROBES, Setup, ShareProbe, change, click_probe, share};
pub use tally::{BUCKETS, LiveCalls, PROPENSITIES, PolicyTally, PropensityBinCounts, Replication, RewardSum, bucket};

use local_agent::LocalAgent;
use state::Episode;
use step::StepContext;

use crate::{environment::Truth, scenario::Problem};

/// Steps between two reports of progress.
const REPORT_EVERY: u64 = 256;

/// Reason why a replication did not finish.
#[derive(Debug, thiserror::Error)]
pub enum EpisodeError {
    /// A service failed.
    #[error("policy '{policy}', decision {index}: {why}")]
    Service {
        /// The policy's name.
        policy: String,
        /// The step's index.
        index: u64,
        /// The cause.
        why: EngineServiceError,
    },
    /// The environment could not be built.
    #[error(transparent)]
    Environment(#[from] Problem),
}

/// Observer of a run's progress. Several threads call it at once.
pub trait RunProgress: Sync {
    /// A run begins with this many replications and, in total, this many decisions of all policies.
    fn begin(&self, replications: u64, decisions: u64);
    /// Counts this many more decisions as done.
    fn advance(&self, decisions: u64);
    /// A replication is done.
    fn replication(&self);
    /// The run is done.
    fn end(&self);
    /// Passes on a note about how the run is played, in one line.
    fn note(&self, _line: &str) {}
}

/// Observer that ignores all progress.
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
/// Returns an error if a service refuses a shop's request, which does not happen with a valid slot.
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
            agent.deliver_events_by(now.at_us);
            for fault in step_events.faults.iter().filter(|fault| fault.hits(policy)) {
                agent.fault(fault.kind, now.at_us, fault.outage_us).map_err(failed)?;
            }
            for change in &step_events.changes {
                agent.change(change, now.at_us).map_err(failed)?;
            }
            let count = agent.count(step_events.touchpoint);
            if best.0 != count {
                best = (count, episode.bounds(&truth, &episode.catalogue, count));
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
                touchpoint: step_events.touchpoint,
                seen_after_us: step_events.seen_after_us,
            };
            agent.play(&step).map_err(failed)?;
        }
        if (now.index + 1).is_multiple_of(REPORT_EVERY) {
            progress.advance(REPORT_EVERY * agents.len() as u64);
        }
    }
    progress.advance(scenario.horizon % REPORT_EVERY * agents.len() as u64);
    let means = episode.means();
    let tallies =
        agents.into_iter().map(|agent| agent.finish(&episode.environment, episode.end_us, &means)).collect::<Vec<_>>();
    progress.replication();
    Ok(episode.end(tallies))
}
