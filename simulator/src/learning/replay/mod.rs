//! A classification set streamed as a bandit.
//!
//! Each row is a decision: its values are the context, the classes are the arms, and the right class earns a reward of
//! 1 while every other class earns 0. The learner sees the reward of the chosen arm and of no other, as an event of
//! value 0 or 1. One pass goes over the set in the order of a seed, or in order of time. The measure is the progressive loss, the mean of 1
//! − reward over the rows as they come.
//!
//! * [`setup`]: the slot that is created for a set.
//! * [`variant`]: changes in the course of a stream, and delays of its rewards.
//! * [`stream`]: the loop.
//! * [`tenths`]: the course of the loss.
//! * [`timing`]: order and times of the rows.
//! * [`report`]: the losses, as text and as JSON.
//!
//! Invariants:
//!
//! * Each seed has a slot of its own, created before its first row and deleted after its last, unless it is to be
//!   kept.
//! * A row is seen at its decision, neither before nor after.

pub mod report;
pub mod setup;
pub mod stream;
pub mod tenths;
pub mod timing;
pub mod variant;

use slotwise::{
    bandit::{ModelSpec, Policy},
    slot::FieldError,
};
use tokio_util::sync::CancellationToken;

pub use report::{ReplayReport, ReplayRun, Spread};
pub use tenths::Tenths;
pub use timing::RowTiming;
pub use variant::Variant;

use crate::{
    dataset::Dataset,
    learning::service::{BanditService, InProcess, Remote, ServiceError},
};

/// Settings of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayOptions {
    /// A server's address, or `None` for the engine in this process.
    pub target: Option<String>,
    /// Seeds. Each has a pass over the set.
    pub seeds: Vec<u64>,
    /// Rows of a pass, or `None` for all.
    pub rounds: Option<usize>,
    /// The slot's id, or `None` for `replay-<set>-<seed>`. With several seeds, `-<seed>` is added to it.
    pub slot: Option<String>,
    /// True if an existing slot of the same id is deleted first.
    pub replace: bool,
    /// True if the slot stays when the replay is done.
    pub keep: bool,
    /// The slot's model.
    pub model: ModelSpec,
    /// The slot's policy.
    pub policy: Policy,
    /// The slot's width multiplier, or `None` for the default.
    pub exploration: Option<f64>,
    /// Changes on the way, and delays of rewards.
    pub variant: Variant,
    /// True if a reward of 0 sends no event.
    pub silent_zeros: bool,
    /// Rounds (of a millisecond, in this process) after a decision at which its window closes and its reward is
    /// learned, at least 1000. `None` means on arrival.
    pub at_close: Option<u32>,
    /// Order and times of the rows. A server has a clock of its own, so it takes shuffled rows only.
    pub timing: RowTiming,
}

impl Default for ReplayOptions {
    /// Returns options for one pass of seed 0 in this process, with every setting of the slot at its default.
    fn default() -> Self {
        Self {
            target: None,
            seeds: vec![0],
            rounds: None,
            slot: None,
            replace: false,
            keep: false,
            model: ModelSpec::default(),
            policy: Policy::default(),
            exploration: None,
            variant: Variant::PLAIN,
            silent_zeros: false,
            at_close: None,
            timing: RowTiming::Shuffled,
        }
    }
}

impl ReplayOptions {
    /// Returns the number of rows in a pass over this set.
    pub(crate) fn rounds_of(&self, dataset: &Dataset) -> Result<usize, ReplayError> {
        let rounds = self.rounds.unwrap_or(dataset.rows());
        if rounds > dataset.rows() {
            let (rows, dataset) = (dataset.rows(), dataset.name().to_owned());
            return Err(ReplayError::Rounds { rounds, rows, dataset });
        }
        Ok(rounds)
    }
}

/// Reason why a replay did not finish.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The slot's definition is invalid.
    #[error(transparent)]
    Slot(#[from] FieldError),
    /// The set has fewer rows.
    #[error("{rounds} rounds are more than the {rows} rows of {dataset}; give fewer --rounds, or leave it out")]
    Rounds {
        /// The number of rounds asked for.
        rounds: usize,
        /// The number of rows.
        rows: usize,
        /// The set's name.
        dataset: String,
    },
    /// The rows have no times.
    #[error("time column {column}: {why}")]
    Time {
        /// The column's name.
        column: String,
        /// Explanation of the error, and what to do.
        why: String,
    },
    /// The service failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The replay was stopped.
    #[error("stopped during the pass of seed {0}; nothing is said of a part")]
    Stopped(u64),
    /// The service shows an arm that is no class.
    #[error("slot '{slot}' shows '{arm}', which is no class of the set; was the slot changed meanwhile?")]
    Arm {
        /// The slot's id.
        slot: String,
        /// The arm's id.
        arm: String,
    },
}

/// Observer of a replay's progress.
pub trait ReplayProgress {
    /// A pass of `rounds` rows begins.
    fn begin(&mut self, seed: u64, rounds: usize);
    /// `done` rows are done, `wrong` of them without a reward.
    fn round(&mut self, done: usize, wrong: usize);
    /// The pass is done.
    fn end(&mut self);
}

/// Observer that ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReplayProgress;

impl ReplayProgress for NoReplayProgress {
    fn begin(&mut self, _: u64, _: usize) {}
    fn round(&mut self, _: usize, _: usize) {}
    fn end(&mut self) {}
}

/// Replays a set, once for each seed, until it is done or `stop` is cancelled.
///
/// A stopped replay deletes its slot as usual and returns [`ReplayError::Stopped`]. In this process, which waits for
/// nothing, it stops only between two seeds.
pub async fn replay(
    options: &ReplayOptions,
    dataset: &Dataset,
    watch: &mut dyn ReplayProgress,
    stop: Option<&CancellationToken>,
) -> Result<ReplayReport, ReplayError> {
    let rounds = options.rounds_of(dataset)?;
    let mut runs = Vec::with_capacity(options.seeds.len());
    let mut remote = match &options.target {
        Some(target) => Some(Remote::connect(target).await?),
        None => None,
    };
    for &seed in &options.seeds {
        let pass = ReplayPass { options, dataset, seed, rounds };
        runs.push(match &mut remote {
            Some(remote) => pass.run(remote, watch, stop).await?,
            None => pass.run(&mut InProcess::new(seed), watch, stop).await?,
        });
    }
    Ok(ReplayReport::new(options, dataset, rounds, runs))
}

/// One pass over a set.
pub(crate) struct ReplayPass<'a> {
    pub(crate) options: &'a ReplayOptions,
    pub(crate) dataset: &'a Dataset,
    pub(crate) seed: u64,
    /// The number of rows, at most the set's.
    pub(crate) rounds: usize,
}

impl ReplayPass<'_> {
    pub(crate) async fn run(
        &self,
        service: &mut impl BanditService,
        watch: &mut dyn ReplayProgress,
        stop: Option<&CancellationToken>,
    ) -> Result<ReplayRun, ReplayError> {
        let definition = setup::definition(self.options, self.dataset, self.seed)?;
        let (slot, arms) = (definition.id.clone(), setup::arms(self.dataset));
        service.create(definition, self.options.replace).await?;
        watch.begin(self.seed, self.rounds);
        let plan = stream::StreamPlan {
            dataset: self.dataset,
            slot: &slot,
            arms: &arms,
            seed: self.seed,
            rounds: self.rounds,
            variant: self.options.variant,
            silent_zeros: self.options.silent_zeros,
            timing: &self.options.timing,
        };
        let streaming = stream::stream(service, &plan, watch);
        let run = match stop {
            Some(stop) => stop.run_until_cancelled(streaming).await.unwrap_or(Err(ReplayError::Stopped(self.seed))),
            None => streaming.await,
        };
        watch.end();
        if self.options.keep {
            return run;
        }
        // The slot is deleted however the pass ended, and the first error is returned.
        let deleted = service.delete(&slot).await;
        let run = run?;
        deleted?;
        Ok(run)
    }
}
