//! The same run twice, compared byte by byte: a test of determinism itself.
//!
//! Each run is a pass of [`crate::learning::replay`] with an engine of its own in this process. Every event that is
//! applied is recorded as the journal would store it, and from time to time the state as a snapshot.
//!
//! * [`record`]: what a run records, and the channel it goes through.
//! * [`mod@compare`]: two such courses side by side, to the first byte that differs.
//!
//! Invariants: the runs share nothing but the data set, each has a thread and keeps its own order, so what
//! one of them does cannot make the other do the same; they go in lockstep, a few records apart, so memory
//! does not grow with their length; the first difference ends both.
//!
//! Deliberately not here: live servers, whose draws are not the same twice.

pub mod compare;
pub mod record;

use std::{
    io,
    num::NonZeroU64,
    panic::resume_unwind,
    sync::mpsc::sync_channel,
    thread::{self, ScopedJoinHandle},
};

pub use compare::{Difference, Equal, Verdict};
pub use record::Recorder;

use crate::{
    dataset::Dataset,
    learning::replay::{NoReplayProgress, ReplayError, ReplayOptions, ReplayPass, ReplayProgress},
    learning::service::{InProcess, ServiceError},
};
use compare::compare;
use record::IN_FLIGHT_MAX;

/// Why the runs could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// A run did not come to its end.
    #[error("run {run}: {why}")]
    ReplayRun {
        /// 1 or 2.
        run: usize,
        /// Why.
        why: ReplayError,
    },
    /// The pass cannot be.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A run has no thread or no runtime.
    #[error("a run cannot be set up: {0}")]
    Thread(#[from] io::Error),
}

/// Runs the pass of one seed twice, and compares what the two record: every event, and a snapshot after
/// every `every` decisions and at the end. `watch` is told how far the first run is.
///
/// The first of the options' seeds counts; the slot stays, so that the last snapshot has what it learned.
pub fn meta(
    options: &ReplayOptions,
    dataset: &Dataset,
    every: NonZeroU64,
    watch: &mut (dyn ReplayProgress + Send),
) -> Result<Verdict, MetaError> {
    let options = ReplayOptions { target: None, keep: true, ..options.clone() };
    let rounds = options.rounds_of(dataset)?;
    let seed = options.seeds.first().copied().unwrap_or_default();
    let pass = ReplayPass { options: &options, dataset, seed, rounds };
    let run = |recorder, watch: &mut dyn ReplayProgress| {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let mut service = InProcess::witnessed(seed, recorder);
        Ok(runtime.block_on(pass.run(&mut service, watch)).map(|_| service))
    };
    side_by_side(every, |recorder| run(recorder, watch), |recorder| run(recorder, &mut NoReplayProgress))
}

/// What a run leaves: its engine, or why it did not come to its end.
pub type Ended = io::Result<Result<InProcess<Recorder>, ReplayError>>;

/// Runs two runs at the same time, each of which gives its engine the recorder it gets, and compares them.
///
/// # Errors
///
/// That of the first run which failed by itself.
pub fn side_by_side(
    every: NonZeroU64,
    first: impl FnOnce(Recorder) -> Ended + Send,
    second: impl FnOnce(Recorder) -> Ended + Send,
) -> Result<Verdict, MetaError> {
    thread::scope(|scope| {
        let (sender, left) = sync_channel(IN_FLIGHT_MAX);
        let first = scope.spawn(move || finish(first(Recorder::new(every, sender))));
        let (sender, right) = sync_channel(IN_FLIGHT_MAX);
        let second = scope.spawn(move || finish(second(Recorder::new(every, sender))));
        // Takes the receivers with it: a run that would go on after a difference finds nobody there.
        let verdict = compare(left, right);
        join(1, first)?;
        join(2, second)?;
        Ok(verdict)
    })
}

/// The last snapshot of a run that came to its end.
fn finish(ended: Ended) -> io::Result<Result<(), ReplayError>> {
    Ok(ended?.and_then(|service| {
        let (state, mut recorder) = service.into_parts();
        Ok(recorder.snapshot(&state)?)
    }))
}

fn join(run: usize, thread: ScopedJoinHandle<'_, io::Result<Result<(), ReplayError>>>) -> Result<(), MetaError> {
    match thread.join().unwrap_or_else(|why| resume_unwind(why))? {
        // Given up because of a difference, which is the thing to tell.
        Ok(()) | Err(ReplayError::Service(ServiceError::GivenUp)) => Ok(()),
        Err(why) => Err(MetaError::ReplayRun { run, why }),
    }
}
