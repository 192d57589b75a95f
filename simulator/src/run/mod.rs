//! A run: replications over threads, then one report.
//!
//! * [`episode`]: one replication, in which every policy meets the same shoppers.
//! * [`check`]: evidence, correction for many checks, and outcomes.
//!
//! Invariant: replications are reduced in their order, so the report of a run in this process is the same for any
//! number of threads.

pub mod check;
pub mod episode;
mod evidence;
mod following;
pub(crate) mod reduce;

use std::{
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use crate::{
    report::{FORM, LiveReport, RunReport, RunTarget, RunVerdict, ScenarioReport},
    scenario::{Loaded, Problem},
};
use check::check_outcomes;
use episode::{EpisodeError, Replication, RunProgress, Setup, replicate};

/// Reason why a run did not finish.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario is invalid.
    #[error("{0}")]
    Scenario(#[from] Problem),
    /// A replication did not finish.
    #[error("replication {number}: {why}")]
    Replication {
        /// The replication's number, from 0.
        number: u64,
        /// The cause.
        why: EpisodeError,
    },
}

/// Runs a scenario in this process with `seed`, or with the scenario's own seed if it is `None`. `threads`
/// replications run at a time.
///
/// # Errors
///
/// Returns the error of the first failed replication, by number. No further replication begins after a failure.
pub fn run(
    loaded: &Loaded,
    seed: Option<u64>,
    threads: NonZeroUsize,
    progress: &dyn RunProgress,
) -> Result<RunReport, RunError> {
    let setup = Setup::new(&loaded.scenario, seed.unwrap_or(loaded.scenario.seed))?;
    begin(&setup, progress);
    let play = |number| replicate(&setup, number, progress);
    let replications = replications(&setup, threads, &play, &|| true)
        .map_err(|FailedReplication { number, why }| RunError::Replication { number, why })?;
    progress.end();
    Ok(report(loaded, &setup, &replications, &replications, None))
}

pub(crate) fn begin(setup: &Setup<'_>, progress: &dyn RunProgress) {
    let count = u64::from(setup.scenario.replications);
    progress.begin(count, count * setup.scenario.horizon * setup.policies.len() as u64);
}

/// Returns the report of `replications`. Checks use only those that are `complete`.
pub(crate) fn report(
    loaded: &Loaded,
    setup: &Setup<'_>,
    replications: &[Replication],
    complete: &[Replication],
    live: Option<LiveReport>,
) -> RunReport {
    let scenario = &loaded.scenario;
    let evidence: Vec<_> = scenario.check.iter().map(|check| evidence::evidence(scenario, check, complete)).collect();
    let checks = check_outcomes(scenario, &scenario.check, &evidence);
    let reduced = reduce::reduce(setup, replications);
    RunReport {
        form: FORM,
        scenario: ScenarioReport {
            name: loaded.name.clone(),
            title: scenario.title.clone(),
            shows: scenario.shows.split_whitespace().collect::<Vec<_>>().join(" "),
            small: loaded.changes.small,
            set: loaded.changes.set.clone(),
            arms: reduced.arms,
            days: reduced.days,
        },
        target: if live.is_some() { RunTarget::Live } else { RunTarget::InProcess },
        live,
        seed: setup.seed,
        horizon: scenario.horizon,
        replications: u32::try_from(replications.len()).unwrap_or(u32::MAX),
        buckets: reduced.buckets,
        marks: reduced.marks,
        baseline: reduced.baseline,
        policies: reduced.policies,
        verdict: RunVerdict::from_outcomes(checks.iter().map(|check| check.outcome)),
        checks,
    }
}

/// A replication that failed.
#[derive(Debug)]
pub(crate) struct FailedReplication<E> {
    pub(crate) number: u64,
    pub(crate) why: E,
}

/// Runs replications on threads and returns them in their order. None begins after a failure or once `go_on` returns
/// false.
pub(crate) fn replications<T: Send, E: Send>(
    setup: &Setup<'_>,
    threads: NonZeroUsize,
    play: &(dyn Fn(u64) -> Result<T, E> + Sync),
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<T>, FailedReplication<E>> {
    let count = u64::from(setup.scenario.replications);
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) && go_on() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let result = play(number);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((number, result));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads.get().min(usize::try_from(count).unwrap_or(1))).map(|_| scope.spawn(work)).collect();
        let mut done = Vec::new();
        for worker in workers {
            done.extend(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(number, result)| result.map_err(|why| FailedReplication { number, why })).collect()
}
