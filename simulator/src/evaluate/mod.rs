//! Off-policy evaluation: what policies would have earned, by the decisions of a log and their logged propensities.
//!
//! * [`setup`]: the slot that a log needs, and the candidates that are evaluated.
//! * [`learner`]: the engine, which decides at every logged moment and is told of logged rewards when they came.
//! * [`walk`]: a candidate's way through a log: its weight at each decision.
//! * [`off_policy`](slotwise::evaluate::off_policy), in the library: estimates and their intervals from a candidate's weights.
//! * [`calibration`]: whether the logged propensities can be what was drawn from.
//! * [`report`], [`text`]: what came of it, as plain data and for a terminal.
//!
//! What is estimated. A policy is a sequence π₁, π₂, … of which πₜ may only depend on what came before decision t. Its value
//! is the mean of `Σ_a πₜ(a|xₜ)·E[r|xₜ, a]` over the decisions of the log. Given the past, the terms of IPS and of doubly
//! robust estimation have just this expectation, so both are unbiased for *every* such sequence, frozen or learning
//! ([`off_policy`](slotwise::evaluate::off_policy) has the formulas). What a learning policy learns from decides what its value means: see [`Learning`].
//!
//! Invariants: πₜ and the reward model at t know nothing of decision t's reward nor of anything later; the draws of a
//! candidate are independent of the log's; candidates share nothing that they change, so the report is the same for any
//! number of threads.
//!
//! Deliberately not here: slates (only first positions are evaluated), and intervals that hold for shoppers who come back
//! (decisions are taken for independent given the past).

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

use slotwise::{engine::RewardOutcome, slot::FieldError};

pub use report::Report;
pub use setup::{Candidate, How};

use crate::{
    evaluate::logged::{CELLS_MAX, Log},
    run::episode::EngineServiceError,
};
use walk::{Course, Foreseen, Walk};

/// Decisions between two times that progress is told.
const TELL_EVERY: usize = 64;

/// What a candidate that learns learns from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Learning {
    /// Decisions at which it would have shown the same: its own draw matches what was logged, and a coin falls that
    /// makes up for how often the log shows it. What it then knows has the distribution of what it would know had it
    /// run by itself, for as many decisions as were accepted (Li et al. 2011), so its value is that of running it.
    Matched,
    /// Every logged decision before it, whoever made it: the value of what has learned from the log so far.
    All,
    /// Every decision of the first part (this share of all), with rewards that come later, and then nothing: the value, over the rest, of what was
    /// learned by then. Everything is evaluated over the rest only.
    First(f64),
}

/// How a log is evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Of the draws.
    pub seed: u64,
    /// What candidates learn from.
    pub learning: Learning,
    /// Propensities below this are taken for this where decisions are accepted by a match: more of them are accepted,
    /// and arms that were shown with less are learned of too rarely. None: the smallest that was logged, without bias.
    pub least_propensity: Option<f64>,
    /// Of the intervals, 0 to 1.
    pub confidence: f64,
    /// Candidates at a time.
    pub threads: NonZeroUsize,
}

impl Default for Options {
    fn default() -> Self {
        let threads = NonZeroUsize::MIN;
        Self { seed: 0, learning: Learning::Matched, least_propensity: None, confidence: 0.95, threads }
    }
}

/// Why an evaluation did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A candidate is no slot for this log.
    #[error("policy '{name}': {why}")]
    Candidate {
        /// Which.
        name: String,
        /// Why.
        why: FieldError,
    },
    /// A candidate could not decide or learn.
    #[error("policy '{name}', decision {row}: {why}")]
    Service {
        /// Which.
        name: String,
        /// Which decision of the log, from 1.
        row: usize,
        /// Why.
        why: EngineServiceError,
    },
    /// A logged reward was not counted.
    #[error("policy '{name}': the reward of decision {row} was not counted: {outcome:?}")]
    NotCounted {
        /// Which.
        name: String,
        /// Which decision of the log, from 1.
        row: usize,
        /// What became of it.
        outcome: Option<RewardOutcome>,
    },
    /// There is no such arm in the log.
    #[error("--arm: the log has no arm '{arm}'{suggestion}")]
    Arm {
        /// As given.
        arm: String,
        /// "; did you mean …?", or nothing.
        suggestion: String,
    },
    /// Two candidates have one name.
    #[error("two policies are called '{0}'; rename one")]
    Twice(String),
    /// It is more than is held in memory.
    #[error("{rows} decisions of {arms} arms each are more than {CELLS_MAX} in all; give fewer --rounds")]
    Size {
        /// Decisions.
        rows: usize,
        /// Arms.
        arms: usize,
    },
    /// Nothing is left after the first part.
    #[error("of {rows} decisions, none is left to evaluate after the first {first}; give a smaller --first")]
    NothingLeft {
        /// Decisions.
        rows: usize,
        /// Those learned from.
        first: usize,
    },
}

/// Is told how far an evaluation is, by several threads at once.
pub trait Watch: Sync {
    /// It begins: so many candidates, and so many decisions in all.
    fn begin(&self, candidates: usize, decisions: usize);
    /// So many decisions more are through.
    fn advance(&self, decisions: usize);
    /// It is over.
    fn end(&self);
}

/// Looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn begin(&self, _: usize, _: usize) {}
    fn advance(&self, _: usize) {}
    fn end(&self) {}
}

/// Evaluates candidates on a log.
///
/// # Errors
///
/// See [`EvaluateError`]; that of the first candidate that fails.
pub fn evaluate(
    log: &Log,
    candidates: &[Candidate],
    options: &Options,
    watch: &dyn Watch,
) -> Result<Report, EvaluateError> {
    let (rows, arms) = (log.rows.len(), log.arms.len());
    if rows.saturating_mul(arms) > CELLS_MAX {
        return Err(EvaluateError::Size { rows, arms });
    }
    let first = options.first_of(rows);
    if first >= rows {
        return Err(EvaluateError::NothingLeft { rows, first });
    }
    watch.begin(candidates.len(), rows * (candidates.len() + 1));
    let foreseen = Foreseen::new(log, options.seed, watch)?;
    let course = Course::new(log, &foreseen, options, first);
    let walks = walks(&course, candidates, options.threads, watch)?;
    watch.end();
    Ok(Report::new(&course, candidates, &walks, options))
}

impl Options {
    /// How many of the decisions are only learned from.
    fn first_of(&self, rows: usize) -> usize {
        match self.learning {
            Learning::Matched | Learning::All => 0,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of rows is one")]
            Learning::First(share) => (share.clamp(0.0, 1.0) * rows as f64).round() as usize,
        }
    }
}

fn walks(
    course: &Course<'_>,
    candidates: &[Candidate],
    threads: NonZeroUsize,
    watch: &dyn Watch,
) -> Result<Vec<Walk>, EvaluateError> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(candidate) = candidates.get(number) else { break };
            let result = course.walk(candidate, watch);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((number, result));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get().min(candidates.len())).map(|_| scope.spawn(work)).collect();
        let mut done = Vec::new();
        for worker in workers {
            done.extend(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
