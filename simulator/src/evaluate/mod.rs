//! Off-policy evaluation: estimates what policies would have earned, from a log's decisions and their propensities.
//!
//! * [`setup`]: the slot that fits a log, and the policies that are evaluated.
//! * [`learner`]: the engine, which decides at every logged moment and learns logged rewards when they arrived.
//! * [`walk`]: a policy's walk through a log, which gives its weight at each decision.
//! * [`off_policy`](slotwise::evaluate::off_policy), in the library: estimates and their intervals from a policy's
//!   weights.
//! * [`calibration`]: a check that the logged propensities are plausible.
//! * [`report`], [`text`]: the results as plain data and as text for a terminal.
//!
//! A policy is a sequence π₁, π₂, … of which πₜ may only depend on what came before decision t. The value of a policy
//! is the mean of `Σ_a πₜ(a|xₜ)·E[r|xₜ, a]` over the decisions of the log. Given the past, the terms of IPS and of
//! doubly robust estimation have exactly this expectation, so both are unbiased for *every* such sequence, frozen or
//! learning ([`off_policy`](slotwise::evaluate::off_policy) has the formulas). The value of a learning policy depends
//! on what it learns from: see [`LearningSource`].
//!
//! Invariants:
//!
//! * πₜ and the reward model at t depend neither on decision t's reward nor on anything later.
//! * The draws of a policy are independent of the log's draws.
//! * Intervals hold for shoppers who come back: their decisions count together, by the subject's id or else the session's.
//! * Policies share no state that they change. The report is therefore the same for any number of threads.
//!
//! Deliberately not here: slates (only first positions are evaluated).

pub mod calibration;
pub mod learner;
pub mod logged;
pub mod report;
pub mod setup;
#[cfg(test)]
mod tests;
pub mod text;
pub mod walk;

use std::{
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use slotwise::{engine::EventStatus, slot::FieldError};

pub use report::EvaluationReport;
pub use setup::{EvaluatedPolicy, PolicyKind};

use crate::{
    evaluate::logged::{CELLS_MAX, Log},
    run::episode::EngineServiceError,
};
use walk::{EvaluationInputs, PolicyWalk, RewardForecasts};

/// Number of decisions between two progress reports.
const PROGRESS_EVERY: usize = 64;

/// Decisions from which an evaluated policy learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LearningSource {
    /// Decisions at which the policy would have shown the logged arm. Its own draw must match the log, and a coin that
    /// makes up for the logged propensity must accept. The policy then knows what it would know, in distribution, had
    /// it run by itself for as many decisions as were accepted (Li et al. 2011). Its value is therefore that of running
    /// it.
    Matched,
    /// Every earlier decision of the log, no matter which policy made it. The value is that of a policy that has
    /// learned from the log so far.
    All,
    /// Every decision of the first part of the log (this share of all), with the rewards that arrive later, and nothing
    /// after that. Everything is evaluated over the rest only, so the value is that of the beliefs at the end of the
    /// first part.
    First(f64),
}

/// Options of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvaluationOptions {
    /// Seed of the draws.
    pub seed: u64,
    /// Decisions from which policies learn.
    pub learning: LearningSource,
    /// Lower limit of the propensity used to accept matching decisions. A higher limit accepts more of them, but the
    /// policy then learns too rarely from arms that were shown with a lower propensity. `None` takes the smallest
    /// logged propensity, which is unbiased.
    pub least_propensity: Option<f64>,
    /// Confidence of the intervals, from 0 to 1.
    pub confidence: f64,
    /// Number of policies evaluated at the same time.
    pub threads: NonZeroUsize,
}

impl Default for EvaluationOptions {
    fn default() -> Self {
        let threads = NonZeroUsize::MIN;
        Self { seed: 0, learning: LearningSource::Matched, least_propensity: None, confidence: 0.95, threads }
    }
}

/// Reason why an evaluation failed.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A policy cannot be a slot for this log.
    #[error("policy '{name}': {why}")]
    Policy {
        /// Name of the policy.
        name: String,
        /// The field that is wrong.
        why: FieldError,
    },
    /// A policy could not decide or learn.
    #[error("policy '{name}', decision {row}: {why}")]
    Service {
        /// Name of the policy.
        name: String,
        /// Decision of the log, counted from 1.
        row: usize,
        /// The engine's error.
        why: EngineServiceError,
    },
    /// A logged reward was not counted.
    #[error("policy '{name}': the reward of decision {row} was not counted: {outcome:?}")]
    NotCounted {
        /// Name of the policy.
        name: String,
        /// Decision of the log, counted from 1.
        row: usize,
        /// The engine's answer to the reward.
        outcome: Option<EventStatus>,
    },
    /// The log has no arm with the given id.
    #[error("--arm: the log has no arm '{arm}'{suggestion}")]
    Arm {
        /// The id as given.
        arm: String,
        /// "; did you mean …?", or an empty text.
        suggestion: String,
    },
    /// Two policies have the same name.
    #[error("two policies are called '{0}'; rename one")]
    Twice(String),
    /// The log has more cells than fit into memory.
    #[error("{rows} decisions of {arms} arms each are more than {CELLS_MAX} in all; give fewer --rounds")]
    Size {
        /// Number of decisions.
        rows: usize,
        /// Number of arms.
        arms: usize,
    },
    /// No decision is left after the first part.
    #[error("of {rows} decisions, none is left to evaluate after the first {first}; give a smaller --first")]
    NothingLeft {
        /// Number of decisions.
        rows: usize,
        /// Number of decisions that are only learned from.
        first: usize,
    },
}

/// Observer of an evaluation's progress. Several threads call it at once.
pub trait EvaluationProgress: Sync {
    /// Announces the number of policies and of all decisions they walk through.
    fn begin(&self, policies: usize, decisions: usize);
    /// Reports that this many further decisions were processed.
    fn advance(&self, decisions: usize);
    /// Reports the end of the evaluation.
    fn end(&self);
}

/// Observer that ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvaluationProgress;

impl EvaluationProgress for NoEvaluationProgress {
    fn begin(&self, _: usize, _: usize) {}
    fn advance(&self, _: usize) {}
    fn end(&self) {}
}

/// Evaluates policies on a log.
///
/// # Errors
///
/// Returns the [`EvaluateError`] of the first policy that fails.
pub fn evaluate(
    log: &Log,
    policies: &[EvaluatedPolicy],
    options: &EvaluationOptions,
    progress: &dyn EvaluationProgress,
) -> Result<EvaluationReport, EvaluateError> {
    let (rows, arms) = (log.rows.len(), log.arms.len());
    if rows.saturating_mul(arms) > CELLS_MAX {
        return Err(EvaluateError::Size { rows, arms });
    }
    let first = options.learned_only(rows);
    if first >= rows {
        return Err(EvaluateError::NothingLeft { rows, first });
    }
    progress.begin(policies.len(), rows * (policies.len() + 1));
    let forecasts = RewardForecasts::new(log, options.seed, progress)?;
    let inputs = EvaluationInputs::new(log, &forecasts, options, first);
    let walks = walk_all(&inputs, policies, options.threads, progress)?;
    progress.end();
    Ok(EvaluationReport::new(&inputs, policies, &walks, options))
}

impl EvaluationOptions {
    /// Number of decisions that are only learned from.
    fn learned_only(&self, rows: usize) -> usize {
        match self.learning {
            LearningSource::Matched | LearningSource::All => 0,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of rows is one")]
            LearningSource::First(share) => (share.clamp(0.0, 1.0) * rows as f64).round() as usize,
        }
    }
}

fn walk_all(
    inputs: &EvaluationInputs<'_>,
    policies: &[EvaluatedPolicy],
    threads: NonZeroUsize,
    progress: &dyn EvaluationProgress,
) -> Result<Vec<PolicyWalk>, EvaluateError> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(policy) = policies.get(number) else { break };
            let result = inputs.walk(policy, progress);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((number, result));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get().min(policies.len())).map(|_| scope.spawn(work)).collect();
        let mut done = Vec::new();
        for worker in workers {
            done.extend(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
