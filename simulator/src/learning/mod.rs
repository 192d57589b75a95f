//! How well one configuration learns: every set, in every variant, over many seeds, beside its peers.
//!
//! * [`sets`]: which sets a folder has.
//! * [`peers`]: what other learners reach on the same streams.
//! * [`report`]: a row per set and variant, its verdict, and the JSON.
//! * [`table`]: the same for people.
//! * [`times`]: what a decision and an update cost.
//!
//! Invariants: a run (a set, a variant, a seed) has an engine of its own and shares nothing with
//! another, so which thread does it and when changes nothing of what came of it; the loop is
//! [`crate::learning::replay`]'s.
//!
//! Deliberately not here: live servers, whose draws are not the same twice.

pub mod peers;
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
    clock::Stopwatch,
    dataset::Dataset,
    learning::replay::{NoReplayProgress, ReplayError, ReplayPass, ReplayProgress, ReplayRun, Variant},
    learning::service::InProcess,
};

/// What is run, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchOptions {
    /// A run of each set and variant for each; at least one.
    pub seeds: Vec<u64>,
    /// Runs at the same time, at most.
    pub threads: NonZeroUsize,
    /// For every set; none: [`default_variants`].
    pub variants: Option<Vec<Variant>>,
    /// How the slots learn.
    pub model: ModelSpec,
    /// The slots' width multiplier; none: its default.
    pub exploration: Option<f64>,
    /// How their scores become probabilities.
    pub policy: Policy,
    /// A reward of 0 is no event.
    pub silent_zeros: bool,
    /// See [`replay::ReplayOptions::at_close`].
    pub at_close: Option<u32>,
    /// How far a loss may lie above a peer's, in standard errors of their difference; at least 0.
    pub tolerance: f64,
}

impl Default for BenchOptions {
    /// Ten seeds, one at a time, every setting of the slot at its default, and no tolerance.
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
            tolerance: 0.0,
        }
    }
}

/// The variants in which a set of so many classes is run where none are named: plain, and with more
/// than two classes also drift, delay100 and delay1000.
pub fn default_variants(classes: usize) -> Vec<Variant> {
    let delay = |batch| Variant { drift: false, delay: NonZeroUsize::new(batch) };
    let all = [Variant::PLAIN, Variant { drift: true, delay: None }, delay(100), delay(1000)];
    all[..if classes > 2 { all.len() } else { 1 }].to_vec()
}

/// Why the runs did not come to their end.
#[derive(Debug, thiserror::Error)]
pub enum LearningError {
    /// A run did not.
    #[error("{dataset}, {variant}, seed {seed}: {why}")]
    Run {
        /// The set.
        dataset: String,
        /// The variant.
        variant: Variant,
        /// The seed.
        seed: u64,
        /// Why.
        why: ReplayError,
    },
    /// A thread has no runtime.
    #[error("a thread cannot be set up: {0}; try fewer --threads")]
    Thread(#[from] io::Error),
}

/// Is told how far all runs are, by several threads at once.
pub trait BenchProgress: Sync {
    /// So many runs begin, of so many rounds together.
    fn begin(&self, runs: usize, rounds: usize);
    /// A round is through.
    fn round(&self);
    /// A run is through.
    fn run(&self, dataset: &str, variant: Variant, run: &ReplayRun);
    /// All runs are over.
    fn end(&self);
}

impl BenchProgress for NoReplayProgress {
    fn begin(&self, _: usize, _: usize) {}
    fn round(&self) {}
    fn run(&self, _: &str, _: Variant, _: &ReplayRun) {}
    fn end(&self) {}
}

/// A run to do.
struct Job<'a> {
    dataset: &'a Dataset,
    options: replay::ReplayOptions,
    seed: u64,
}

/// What came of a job.
struct FinishedRun {
    run: ReplayRun,
    seconds: f64,
}

/// Runs every set in its variants, once for each seed.
///
/// # Errors
///
/// That of the first run which fails, in the order of sets, variants and seeds; no run begins after.
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
        let options_of_run =
            replay::ReplayOptions { model, policy, exploration, variant, silent_zeros, at_close, ..Default::default() };
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
        BenchRow::new(dataset, variant, runs, seconds, options.tolerance)
    });
    let rows = rows.collect();
    Ok(BenchReport::new(options, rows))
}

/// Does the jobs; the answers are in their order.
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
        let stopwatch = Stopwatch::start();
        let run = pass.run(&mut InProcess::new(*seed), &mut Each(watch)).await;
        let seconds = stopwatch.seconds();
        let (dataset, variant) = (dataset.name(), options.variant);
        let run = run.map_err(|why| LearningError::Run { dataset: dataset.to_owned(), variant, seed: *seed, why })?;
        watch.run(dataset, variant, &run);
        Ok(FinishedRun { run, seconds })
    }
}

/// A run's part of the whole.
struct Each<'a>(&'a dyn BenchProgress);

impl ReplayProgress for Each<'_> {
    fn begin(&mut self, _: u64, _: usize) {}
    fn round(&mut self, _: usize, _: usize) {
        self.0.round();
    }
    fn end(&mut self) {}
}
