//! A test of determinism: the same run twice, compared byte by byte.
//!
//! Each run is a pass of [`crate::learning::replay`] with an engine of its own in this process. Every applied event is
//! recorded as the journal would store it, and from time to time the state as a snapshot.
//!
//! * [`record`]: the records of a run, and the channel that carries them.
//! * [`mod@compare`]: the comparison of two sequences of records up to the first byte that differs.
//!
//! Invariants:
//!
//! * The runs share only the data set. Each has its own thread and order, so neither can make the other agree with it.
//! * The runs advance together, a few records apart. Memory therefore does not grow with their length.
//! * The first difference ends both runs.
//!
//! Deliberately not here: live servers, whose draws differ from run to run.

pub mod compare;
pub mod record;

use std::{
    io,
    num::NonZeroU64,
    panic::resume_unwind,
    sync::mpsc::sync_channel,
    thread::{self, ScopedJoinHandle},
};

pub use compare::{EqualRuns, RunComparison, RunDifference};
pub use record::Recorder;

use crate::{
    dataset::Dataset,
    learning::replay::{NoReplayProgress, ReplayError, ReplayOptions, ReplayPass, ReplayProgress},
    learning::service::{InProcess, ServiceError},
};
use compare::compare;
use record::IN_FLIGHT_MAX;

/// Reason why the runs could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// A run failed.
    #[error("run {run}: {why}")]
    ReplayRun {
        /// Number of the run, 1 or 2.
        run: usize,
        /// The run's error.
        why: ReplayError,
    },
    /// The options do not fit the data set.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A run has no thread or no runtime.
    #[error("a run cannot be set up: {0}")]
    Thread(#[from] io::Error),
}

/// Runs the pass of one seed twice and compares the records: every event, and a snapshot after every `every` decisions
/// and at the end. `watch` observes the progress of the first run.
///
/// Only the first of the options' seeds is used. The slot is kept, so that the last snapshot contains what it learned.
pub fn meta(
    options: &ReplayOptions,
    dataset: &Dataset,
    every: NonZeroU64,
    watch: &mut (dyn ReplayProgress + Send),
) -> Result<RunComparison, MetaError> {
    let options = ReplayOptions { target: None, keep: true, ..options.clone() };
    let rounds = options.rounds_of(dataset)?;
    let seed = options.seeds.first().copied().unwrap_or_default();
    let pass = ReplayPass { options: &options, dataset, seed, rounds };
    let run = |recorder, watch: &mut dyn ReplayProgress| {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let mut service = InProcess::witnessed(seed, recorder);
        Ok(runtime.block_on(pass.run(&mut service, watch, None)).map(|_| service))
    };
    side_by_side(every, |recorder| run(recorder, watch), |recorder| run(recorder, &mut NoReplayProgress))
}

/// Result of a run: its engine, or the reason why the run failed.
pub type RunResult = io::Result<Result<InProcess<Recorder>, ReplayError>>;

/// Runs two runs at the same time, each with a recorder for its engine, and compares their records.
///
/// # Errors
///
/// Returns the error of the first run that failed by itself.
pub fn side_by_side(
    every: NonZeroU64,
    first: impl FnOnce(Recorder) -> RunResult + Send,
    second: impl FnOnce(Recorder) -> RunResult + Send,
) -> Result<RunComparison, MetaError> {
    thread::scope(|scope| {
        let (sender, left) = sync_channel(IN_FLIGHT_MAX);
        let first = scope.spawn(move || finish(first(Recorder::new(every, sender))));
        let (sender, right) = sync_channel(IN_FLIGHT_MAX);
        let second = scope.spawn(move || finish(second(Recorder::new(every, sender))));
        // The comparison consumes the receivers, so a run that continues after a difference cannot send and gives up.
        let verdict = compare(left, right);
        join(1, first)?;
        join(2, second)?;
        Ok(verdict)
    })
}

/// Records the last snapshot of a run that succeeded.
fn finish(ended: RunResult) -> io::Result<Result<(), ReplayError>> {
    Ok(ended?.and_then(|service| {
        let (state, mut recorder) = service.into_parts();
        Ok(recorder.snapshot(&state)?)
    }))
}

fn join(run: usize, thread: ScopedJoinHandle<'_, io::Result<Result<(), ReplayError>>>) -> Result<(), MetaError> {
    match thread.join().unwrap_or_else(|why| resume_unwind(why))? {
        // The run gave up because of a difference, which is the result.
        Ok(()) | Err(ReplayError::Service(ServiceError::GivenUp)) => Ok(()),
        Err(why) => Err(MetaError::ReplayRun { run, why }),
    }
}
