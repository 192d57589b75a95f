//! The learning benchmark: losses of one configuration on every set, in every variant, over many seeds, beside its
//! peers.
//!
//! * [`replay`]: a classification set streamed as a bandit.
//! * [`service`]: the service that is simulated against: the engine in this process or a live server.
//! * [`sets`]: the sets of a folder.
//! * [`peers`]: losses of other learners on the same streams.
//! * [`regimes`]: streams of scarce, wild, rare or moving data.
//! * [`report`]: a row per set and variant, its verdict, and the JSON.
//! * [`table`]: the report as text for people.
//! * [`times`]: the cost of a decision and of an update.
//!
//! Invariants:
//!
//! * A run (a set, a variant, a seed) has an engine of its own and shares nothing with another, so threads change no
//!   result.
//! * The loop is that of [`replay`].
//!
//! Deliberately not here: live servers, whose draws are not the same twice.

pub mod peers;
pub mod regimes;
pub mod replay;
pub mod report;
pub mod service;
pub mod sets;
pub mod table;
pub mod times;

use std::{
    io,
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use slotwise::bandit::{ModelSpec, Policy};

pub use report::{BenchReport, BenchRow, BenchVerdict};

use crate::{
    clock::RunStopwatch,
    dataset::Dataset,
    learning::replay::{NoReplayProgress, ReplayError, ReplayPass, ReplayProgress, ReplayRun, RowTiming, Variant},
    learning::service::InProcess,
};

/// Sets, seeds and settings of the benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchOptions {
    /// Seeds, at least one. Each set and variant has a run for each.
    pub seeds: Vec<u64>,
    /// Maximum of runs at the same time.
    pub threads: NonZeroUsize,
    /// Variants of every set, or `None` for [`default_variants`].
    pub variants: Option<Vec<Variant>>,
    /// The slots' model.
    pub model: ModelSpec,
    /// The slots' width multiplier, or `None` for the default.
    pub exploration: Option<f64>,
    /// The slots' policy.
    pub policy: Policy,
    /// True if a reward of 0 sends no event.
    pub silent_zeros: bool,
    /// See [`replay::ReplayOptions::at_close`].
    pub at_close: Option<u32>,
    /// Order and times of the rows.
    pub timing: RowTiming,
    /// Standard errors of the difference by which a loss may lie above a peer's. At least 0.
    pub tolerance: f64,
}

impl Default for BenchOptions {
    /// Returns options for ten seeds, one at a time, with every setting of the slot at its default and no tolerance.
    fn default() -> Self {
        Self {
            seeds: (0..10).collect(),
            threads: NonZeroUsize::MIN,
            variants: None,
            model: ModelSpec::default(),
            exploration: None,
            policy: Policy::default(),
            silent_zeros: false,
            at_close: None,
            timing: RowTiming::Shuffled,
            tolerance: 0.0,
        }
    }
}

/// Returns the default variants of a set with this many classes: plain, and with more than two classes also drift,
/// delay100 and delay1000.
pub fn default_variants(classes: usize) -> Vec<Variant> {
    let delay = |batch| Variant { drift: false, delay: NonZeroUsize::new(batch) };
    let all = [Variant::PLAIN, Variant { drift: true, delay: None }, delay(100), delay(1000)];
    all[..if classes > 2 { all.len() } else { 1 }].to_vec()
}

/// Reason why the benchmark did not finish.
#[derive(Debug, thiserror::Error)]
pub enum LearningError {
    /// A run failed.
    #[error("{dataset}, {variant}, seed {seed}: {why}")]
    Run {
        /// The set's name.
        dataset: String,
        /// The variant.
        variant: Variant,
        /// The seed.
        seed: u64,
        /// The cause.
        why: ReplayError,
    },
    /// A thread's runtime could not be built.
    #[error("a thread cannot be set up: {0}; try fewer --threads")]
    Thread(#[from] io::Error),
}

/// Observer of all runs' progress. Several threads call it at once.
pub trait BenchProgress: Sync {
    /// The benchmark begins with this many runs and, in total, this many rounds.
    fn begin(&self, runs: usize, rounds: usize);
    /// A round is done.
    fn round(&self);
    /// A run is done.
    fn run(&self, dataset: &str, variant: Variant, run: &ReplayRun);
    /// All runs are done.
    fn end(&self);
}

impl BenchProgress for NoReplayProgress {
    fn begin(&self, _: usize, _: usize) {}
    fn round(&self) {}
    fn run(&self, _: &str, _: Variant, _: &ReplayRun) {}
    fn end(&self) {}
}

/// A run that is still to do.
struct Job<'a> {
    dataset: &'a Dataset,
    options: replay::ReplayOptions,
    seed: u64,
}

/// A finished job.
struct FinishedRun {
    run: ReplayRun,
    seconds: f64,
}

/// Runs every set in its variants, once for each seed.
///
/// # Errors
///
/// Returns the error of the first failed run, in the order of sets, variants and seeds. No run begins after a failure.
pub fn bench(
    options: &BenchOptions,
    datasets: &[Dataset],
    watch: &dyn BenchProgress,
) -> Result<BenchReport, LearningError> {
    let mut streams = Vec::new();
    for dataset in datasets {
        let variants = options.variants.clone().unwrap_or_else(|| default_variants(dataset.classes().len()));
        streams.extend(variants.into_iter().map(|variant| (dataset, variant)));
    }
    let mut jobs = Vec::with_capacity(streams.len() * options.seeds.len());
    for &(dataset, variant) in &streams {
        let BenchOptions { model, exploration, policy, silent_zeros, at_close, .. } = *options;
        let timing = options.timing.clone();
        let options_of_run = replay::ReplayOptions {
            model,
            policy,
            exploration,
            variant,
            silent_zeros,
            at_close,
            timing,
            ..Default::default()
        };
        jobs.extend(options.seeds.iter().map(|&seed| Job { dataset, options: options_of_run.clone(), seed }));
    }
    watch.begin(jobs.len(), jobs.iter().map(|job| job.dataset.rows()).sum());
    let done = run_all(&jobs, options.threads, watch);
    watch.end();
    let mut done = done?.into_iter();
    let rows = streams.iter().map(|&(dataset, variant)| {
        let (mut runs, mut seconds) = (Vec::new(), 0.0);
        for FinishedRun { run, seconds: took } in done.by_ref().take(options.seeds.len()) {
            runs.push(run);
            seconds += took;
        }
        BenchRow::new(dataset, variant, runs, seconds, options)
    });
    let rows = rows.collect();
    Ok(BenchReport::new(options, rows))
}

/// Does the jobs and returns their results in order.
fn run_all(
    jobs: &[Job<'_>],
    threads: NonZeroUsize,
    watch: &dyn BenchProgress,
) -> Result<Vec<FinishedRun>, LearningError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        let runtime = match tokio::runtime::Builder::new_current_thread().build() {
            Ok(runtime) => runtime,
            Err(why) => return vec![(0, Err(why.into()))],
        };
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(at) else { return done };
            let answer = runtime.block_on(job.run(watch));
            if answer.is_err() {
                next.fetch_max(jobs.len(), Ordering::Relaxed);
            }
            done.push((at, answer));
        }
    };
    let mut done = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.get().min(jobs.len())).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|why| resume_unwind(why)))
            .collect::<Vec<_>>()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, answer)| answer).collect()
}

impl Job<'_> {
    async fn run(&self, watch: &dyn BenchProgress) -> Result<FinishedRun, LearningError> {
        let Self { dataset, options, seed } = self;
        let pass = ReplayPass { options, dataset, seed: *seed, rounds: dataset.rows() };
        let stopwatch = RunStopwatch::start();
        let run = pass.run(&mut InProcess::new(*seed), &mut Each(watch), None).await;
        let seconds = stopwatch.seconds();
        let (dataset, variant) = (dataset.name(), options.variant);
        let run = run.map_err(|why| LearningError::Run { dataset: dataset.to_owned(), variant, seed: *seed, why })?;
        watch.run(dataset, variant, &run);
        Ok(FinishedRun { run, seconds })
    }
}

/// Observer of one run that forwards to the observer of all.
struct Each<'a>(&'a dyn BenchProgress);

impl ReplayProgress for Each<'_> {
    fn begin(&mut self, _: u64, _: usize) {}
    fn round(&mut self, _: usize, _: usize) {
        self.0.round();
    }
    fn end(&mut self) {}
}
