//! Learner of a slot as of a given moment. Posteriors fade with time, also while nothing happens.
//!
//! The state fades an arm when something is learned of it. A slot without traffic would therefore keep what it knew and
//! then forget it in one leap. So a reader fades the rest of the way to its own moment, on a copy.
//!
//! Invariants:
//!
//! * The copy follows from the learner and the moment alone. The same decision gives the same propensities again.
//! * Fading twice, first in the state and then on the copy, gives the result of fading once, up to one step.

use std::sync::{Arc, Mutex, PoisonError};

use crate::bandit::Learner;

/// Steps per half-life to which a reader's moment is rounded down, so that readers of one view share a copy. A step
/// takes about 1 % of an observation's weight.
const STEPS: i64 = 64;

/// Steps per half-life for a learner that is expensive to fade. A step takes about 8 %.
const EXPENSIVE_STEPS: i64 = 8;

/// Number of multiplications from which on a learner is expensive to fade: it takes some tenths of a second.
const EXPENSIVE: f64 = 2e8;

/// Learner as of a moment, microseconds since 1970.
type LearnerAt = (i64, Arc<Learner>);

/// Cache of a view's learner as of the last moment at which somebody read it.
#[derive(Debug, Clone, Default)]
pub(super) struct FadedLearner(Arc<Mutex<Option<LearnerAt>>>);

impl FadedLearner {
    /// Returns the learner as of `now_us`, or `None` if it has not faded since.
    pub(super) fn learner(&self, learner: &Arc<Learner>, now_us: i64, half_life_us: i64) -> Option<Arc<Learner>> {
        let oldest_us = learner.faded_from_us()?;
        let steps = if learner.fading_cost() > EXPENSIVE { EXPENSIVE_STEPS } else { STEPS };
        let step_us = (half_life_us / steps).max(1);
        let moment_us = now_us.div_euclid(step_us) * step_us;
        if moment_us - oldest_us < step_us {
            return None;
        }
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at_us, faded)) if *at_us == moment_us => Some(Arc::clone(faded)),
            _ => {
                let faded = Arc::new(learner.faded(moment_us, half_life_us));
                *last = Some((moment_us, Arc::clone(&faded)));
                Some(faded)
            }
        }
    }
}
