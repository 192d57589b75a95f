//! A run: replications over threads, then one report.
//!
//! Invariants: replications are reduced in their order, so the report is the same for any number of threads.

mod evidence;
mod reduce;

use std::{
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use crate::{
    arena::{ArenaError, Replication, Setup, Watch, replicate},
    judge::judge,
    report::{FORM, RunReport, ScenarioReport, Target, Verdict},
    scenario::{Loaded, Problem},
};

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario does not hold together.
    #[error("{0}")]
    Scenario(#[from] Problem),
    /// A replication did not come to its end.
    #[error("replication {number}: {why}")]
    Replication {
        /// Which, from 0.
        number: u64,
        /// Why.
        why: ArenaError,
    },
}

/// Runs a scenario: with `seed`, or its own; `threads` replications at a time.
///
/// # Errors
///
/// That of the first replication that fails, by number; no further one begins.
pub fn run(
    loaded: &Loaded,
    seed: Option<u64>,
    threads: NonZeroUsize,
    watch: &dyn Watch,
) -> Result<RunReport, RunError> {
    let scenario = &loaded.scenario;
    let seed = seed.unwrap_or(scenario.seed);
    let setup = Setup::new(scenario, seed)?;
    let count = u64::from(scenario.replications);
    watch.begin(count, count * scenario.horizon * setup.policies.len() as u64);
    let replications = replications(&setup, count, threads, watch)?;
    watch.end();
    let evidence: Vec<_> =
        scenario.check.iter().map(|check| evidence::evidence(scenario, check, &replications)).collect();
    let checks = judge(scenario, &scenario.check, &evidence);
    let reduced = reduce::reduce(&setup, &replications);
    Ok(RunReport {
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
        target: Target::InProcess,
        seed,
        horizon: scenario.horizon,
        replications: scenario.replications,
        buckets: reduced.buckets,
        marks: reduced.marks,
        baseline: reduced.baseline,
        policies: reduced.policies,
        verdict: Verdict::of(checks.iter().map(|check| check.outcome)),
        checks,
    })
}

fn replications(
    setup: &Setup<'_>,
    count: u64,
    threads: NonZeroUsize,
    watch: &dyn Watch,
) -> Result<Vec<Replication>, RunError> {
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let result = replicate(setup, number, watch);
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
    done.into_iter().map(|(number, result)| result.map_err(|why| RunError::Replication { number, why })).collect()
}
