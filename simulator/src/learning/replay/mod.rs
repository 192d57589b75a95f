//! A classification set streamed as a bandit.
//!
//! Each row is a decision: its values are the context, the classes are the arms, and the right
//! class earns a reward of 1 where every other earns 0. The learner sees the reward of the arm it
//! chose and of no other, as an event of value 0 or 1. One pass over the set, in the order of a seed;
//! the measure is the progressive loss, the mean of 1 − reward over the rows as they come.
//!
//! * [`setup`]: the slot that is made for a set.
//! * [`variant`]: what may change in the course of a stream, and when its rewards arrive.
//! * [`stream`]: the loop.
//! * [`tenths`]: the course of the loss.
//! * [`report`]: the losses, as text and as JSON.
//!
//! Invariants: each seed has a slot of its own, made before its first row and deleted after its
//! last (unless it is to be kept); no row is seen before its decision, nor after.

pub mod report;
pub mod setup;
pub mod stream;
pub mod tenths;
pub mod variant;

use slotwise::{
    bandit::{ModelSpec, Policy},
    slot::FieldError,
};
use tokio_util::sync::CancellationToken;

pub use report::{ReplayReport, ReplayRun, Spread};
pub use tenths::Tenths;
pub use variant::Variant;

use crate::{
    dataset::Dataset,
    learning::service::{BanditService, InProcess, Remote, ServiceError},
};

/// How a set is replayed.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayOptions {
    /// A server's address; none: the engine in this process.
    pub target: Option<String>,
    /// A pass over the set for each.
    pub seeds: Vec<u64>,
    /// Rows of a pass; none: all.
    pub rounds: Option<usize>,
    /// The slot's id; none: `replay-<set>-<seed>`. With several seeds, `-<seed>` is added to it.
    pub slot: Option<String>,
    /// Delete a slot of the same id first.
    pub replace: bool,
    /// Leave the slot when done.
    pub keep: bool,
    /// How the slot learns.
    pub model: ModelSpec,
    /// How its scores become probabilities.
    pub policy: Policy,
    /// The slot's width multiplier; none: its default.
    pub exploration: Option<f64>,
    /// What changes on the way, and when rewards arrive.
    pub variant: Variant,
    /// A reward of 0 is no event.
    pub silent_zeros: bool,
    /// Learn a reward only when its window closes, so many rounds (of a millisecond, in this process) after its
    /// decision; at least 1000. None: on arrival.
    pub at_close: Option<u32>,
}

impl Default for ReplayOptions {
    /// One pass of seed 0 in this process, every setting of the slot at its default.
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
        }
    }
}

impl ReplayOptions {
    /// How many rows of this set a pass has.
    pub(crate) fn rounds_of(&self, dataset: &Dataset) -> Result<usize, ReplayError> {
        let rounds = self.rounds.unwrap_or(dataset.rows());
        if rounds > dataset.rows() {
            let (rows, dataset) = (dataset.rows(), dataset.name().to_owned());
            return Err(ReplayError::Rounds { rounds, rows, dataset });
        }
        Ok(rounds)
    }
}

/// Why a replay did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The slot cannot be made like that.
    #[error(transparent)]
    Slot(#[from] FieldError),
    /// There are fewer rows.
    #[error("{rounds} rounds are more than the {rows} rows of {dataset}; give fewer --rounds, or leave it out")]
    Rounds {
        /// As asked for.
        rounds: usize,
        /// As there are.
        rows: usize,
        /// The set's name.
        dataset: String,
    },
    /// The service did not do something.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Somebody said stop.
    #[error("stopped during the pass of seed {0}; nothing is said of a part")]
    Stopped(u64),
    /// The service showed an arm that is no class.
    #[error("slot '{slot}' shows '{arm}', which is no class of the set; was the slot changed meanwhile?")]
    Arm {
        /// The slot.
        slot: String,
        /// The arm.
        arm: String,
    },
}

/// Is told how far a replay is.
pub trait ReplayProgress {
    /// A pass of `rounds` rows begins.
    fn begin(&mut self, seed: u64, rounds: usize);
    /// `done` rows are through, `wrong` of them without a reward.
    fn round(&mut self, done: usize, wrong: usize);
    /// The pass is over.
    fn end(&mut self);
}

/// Looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReplayProgress;

impl ReplayProgress for NoReplayProgress {
    fn begin(&mut self, _: u64, _: usize) {}
    fn round(&mut self, _: usize, _: usize) {}
    fn end(&mut self) {}
}

/// Replays a set, once for each seed.
pub async fn replay(
    options: &ReplayOptions,
    dataset: &Dataset,
    watch: &mut dyn ReplayProgress,
) -> Result<ReplayReport, ReplayError> {
    replay_until(options, dataset, watch, &CancellationToken::new()).await
}

/// The same, until `stop` says so: then the slot is taken away as ever, and [`ReplayError::Stopped`] is returned. In this
/// process, where nothing is waited for, only between two seeds.
pub async fn replay_until(
    options: &ReplayOptions,
    dataset: &Dataset,
    watch: &mut dyn ReplayProgress,
    stop: &CancellationToken,
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
            Some(remote) => pass.run_until(remote, watch, stop).await?,
            None => pass.run_until(&mut InProcess::new(seed), watch, stop).await?,
        });
    }
    Ok(ReplayReport::new(options, dataset, rounds, runs))
}

/// One pass over a set.
pub(crate) struct ReplayPass<'a> {
    pub(crate) options: &'a ReplayOptions,
    pub(crate) dataset: &'a Dataset,
    pub(crate) seed: u64,
    /// At most the set's rows.
    pub(crate) rounds: usize,
}

impl ReplayPass<'_> {
    pub(crate) async fn run(
        &self,
        service: &mut impl BanditService,
        watch: &mut dyn ReplayProgress,
    ) -> Result<ReplayRun, ReplayError> {
        self.run_until(service, watch, &CancellationToken::new()).await
    }

    async fn run_until(
        &self,
        service: &mut impl BanditService,
        watch: &mut dyn ReplayProgress,
        stop: &CancellationToken,
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
        };
        let run = stop.run_until_cancelled(stream::stream(service, &plan, watch)).await;
        let run = run.unwrap_or(Err(ReplayError::Stopped(self.seed)));
        watch.end();
        if self.options.keep {
            return run;
        }
        // What we made we take away, however it ended; but the first error is the one to tell.
        let deleted = service.delete(&slot).await;
        let run = run?;
        deleted?;
        Ok(run)
    }
}
