//! A run against a live server: replications over threads, then one report.

use std::{num::NonZeroUsize, time::Duration};

use humantime::format_duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{LiveError, LiveOptions, LiveServer, Scale, play::replicate, playable, slots::prefix};
use crate::{
    clock::RunStopwatch,
    report::{Latency, LiveReport, RunReport},
    run::{
        self, FailedReplication,
        episode::{PolicyTally, Replication, RunProgress, Setup},
        reduce,
    },
    scenario::{Loaded, Problem},
};

/// Part of the latency's 99th percentile that the simulator itself may cause before the report says so.
const LAG_SHARE: f64 = 0.25;

/// Reason why a run against a live server did not finish.
#[derive(Debug, thiserror::Error)]
pub enum LiveRunError {
    /// The scenario is invalid.
    #[error("{0}")]
    Scenario(#[from] Problem),
    /// The scenario cannot be played against the server.
    #[error(transparent)]
    Server(#[from] LiveError),
    /// A replication did not finish.
    #[error("replication {number}: {why}")]
    Replication {
        /// The replication's number, from 0.
        number: u64,
        /// The cause.
        why: LiveError,
    },
}

/// Runs a scenario against a live server, by the wall clock, until it is done or `stop` is cancelled. Unfinished
/// replications are then left out, unless no replication finished. `progress` learns how the run is played before it
/// begins.
///
/// Blocks, and needs a thread that may. `runtime` makes the calls.
///
/// # Errors
///
/// Returns the error of the first failed replication, by number. Replications under way end early.
pub fn run_live(
    loaded: &Loaded,
    seed: Option<u64>,
    options: LiveOptions,
    runtime: &Handle,
    progress: &dyn RunProgress,
    stop: &CancellationToken,
) -> Result<RunReport, LiveRunError> {
    let scenario = &loaded.scenario;
    let setup = Setup::new(scenario, seed.unwrap_or(scenario.seed))?;
    playable(&setup)?;
    let at_once = options.at_once.get().min(scenario.replications as usize).max(1);
    let scale = Scale::new(&setup, options.tempo, at_once)?;
    let mut report_live = LiveReport {
        target: options.target.clone(),
        speed: scale.speed,
        rate: scale.rate,
        at_once: u32::try_from(at_once).unwrap_or(u32::MAX),
        seconds: 0.0,
        lag: None,
        notes: scale.notes.clone(),
    };
    let slots = Some(prefix(options.slots.as_deref(), &loaded.name)?);
    let options = LiveOptions { slots, ..options };
    let how = how(&scale, scenario.replications, at_once);
    let live = LiveServer::open(options, scale, &setup, runtime, stop.child_token())?;
    progress.note(&how);
    run::begin(&setup, progress);
    let stopwatch = RunStopwatch::start();
    let play = |number| {
        let played = replicate(&live, &setup, number, progress);
        if played.is_err() {
            live.stop();
        }
        played
    };
    let threads = NonZeroUsize::new(at_once).unwrap_or(NonZeroUsize::MIN);
    let played = run::replications(&setup, threads, &play, &|| !live.stopped())
        .map_err(|FailedReplication { number, why }| LiveRunError::Replication { number, why });
    progress.end();
    let played = played.inspect_err(|_| live.notes().iter().for_each(|note| progress.note(note)))?;
    let (complete, rest): (Vec<_>, Vec<_>) = played.into_iter().partition(|played| played.complete);
    let [complete, rest] =
        [complete, rest].map(|all| all.into_iter().map(|played| played.replication).collect::<Vec<_>>());
    report_live.seconds = stopwatch.seconds();
    report_live.notes.extend(live.notes());
    if complete.len() < scenario.replications as usize {
        let (done, all) = (complete.len(), scenario.replications);
        report_live.notes.push(if complete.is_empty() {
            format!(
                "stopped before any of {all} replications was through: the figures are of {} that were under way",
                rest.len()
            )
        } else {
            format!("stopped after {done} of {all} replications; those under way are left out")
        });
    }
    let received = if complete.is_empty() { &rest } else { &complete };
    report_live.notes.extend(unanswered(received));
    let tallies: Vec<&PolicyTally> = received.iter().flat_map(|of| &of.policies).collect();
    report_live.lag = reduce::latency(&tallies, |calls| &calls.lag);
    let decide = reduce::latency(&tallies, |calls| &calls.decide);
    report_live.notes.extend(report_live.lag.zip(decide).and_then(|(lag, decide)| lagging(&lag, &decide)));
    Ok(run::report(loaded, &setup, received, &complete, Some(report_live)))
}

/// Returns the pace and length of a run in words.
fn how(scale: &Scale, replications: u32, at_once: usize) -> String {
    let seconds = |time: Duration| format_duration(Duration::from_secs(time.as_secs().max(1))).to_string();
    let rounds = Duration::from_secs_f64(
        (scale.length.as_secs_f64() * f64::from(replications) / at_once as f64).min(u32::MAX.into()),
    );
    format!(
        "{:.1} decisions/s, {:.0} times as fast as the shop; {replications} replications, {at_once} at a time, in about {} \
         and up to {} for the last events of each",
        scale.rate,
        scale.speed,
        seconds(rounds),
        seconds(scale.tail)
    )
}

/// Returns a note if the simulator itself causes a considerable part of the latency.
fn lagging(lag: &Latency, decide: &Latency) -> Option<String> {
    (lag.p99_ms > LAG_SHARE * decide.p99_ms).then(|| {
        format!(
            "1 in 100 decisions was sent {:.2} ms late or later by the simulator itself, and latencies, {:.2} ms at the same \
             quantile, count from when they were due: not all of that is the server's; give a lower --rate, fewer \
             --threads, or the two a machine each",
            lag.p99_ms, decide.p99_ms
        )
    })
}

/// Returns a note if decisions were not answered.
fn unanswered(replications: &[Replication]) -> Option<String> {
    let calls = || replications.iter().flat_map(|of| &of.policies).filter_map(|tally| tally.calls.as_ref());
    let failed: u64 = calls().flat_map(|calls| calls.decide.failures().values()).sum();
    let all: u64 = calls().map(|calls| calls.decide.count()).sum();
    (failed > 0).then(|| {
        let part = 100.0 * failed as f64 / all as f64;
        format!(
            "{failed} of {all} decisions ({part:.2} %) were not answered: rewards, regret and shares are of the others"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_of_more_than_a_quarter_of_the_latency_is_reported() {
        let latency = |p99_ms| Latency { count: 9, p50_ms: 0.0, p90_ms: 0.0, p99_ms, p999_ms: p99_ms, max_ms: p99_ms };
        assert_eq!(lagging(&latency(2.5), &latency(10.0)), None);
        let note = lagging(&latency(2.6), &latency(10.0)).unwrap();
        assert!(
            note.starts_with("1 in 100 decisions was sent 2.60 ms late or later by the simulator itself, "),
            "{note}"
        );
        assert!(note.contains(" 10.00 ms at the same quantile, count from when they were due: not all"), "{note}");
    }
}
