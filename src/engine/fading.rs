//! Learner of a slot as of a given moment. Posteriors fade with time, also while nothing happens.
//!
//! The state fades an arm when something is learned of it. A slot without traffic would therefore keep what it knew and
//! then forget it in one leap. So a reader fades the rest of the way to its own moment, on a copy.
//!
//! Invariants:
//!
//! * The copy follows from the learner and the moment alone. The same decision gives the same propensities again.
//! * Fading twice, first in the state and then on the copy, gives the result of fading once, up to one step.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use super::view::SlotView;
use crate::bandit::Learner;

/// Steps per half-life to which a reader's moment is rounded down, so that readers of one view share a copy. A step
/// takes about 1 % of an observation's weight.
const STEPS: i64 = 64;

/// Steps per half-life for a learner that is expensive to fade. A step takes about 8 %.
const STEPS_DEAR: i64 = 8;

/// Number of multiplications from which on a learner is expensive to fade: it takes some tenths of a second.
const DEAR: f64 = 2e8;

/// Learner as of a moment, microseconds since 1970.
type LearnerAt = (i64, Arc<Learner>);

/// Cache of a view's learner as of the last moment at which somebody read it.
#[derive(Debug, Clone, Default)]
pub(super) struct Faded(Arc<Mutex<Option<LearnerAt>>>);

impl Faded {
    /// Returns the learner as of `now_us`, or `None` if it has not faded since.
    fn learner(&self, learner: &Arc<Learner>, now_us: i64, half_life_us: i64) -> Option<Arc<Learner>> {
        let oldest_us = learner.faded_from_us()?;
        let steps = if learner.fading_cost() > DEAR { STEPS_DEAR } else { STEPS };
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

impl SlotView {
    /// Returns the view as of a moment, microseconds since 1970, with observations faded until then. While learning is
    /// frozen, the view stays as it is.
    pub fn at(&self, now_us: i64) -> Cow<'_, Self> {
        let controls = &self.definition.controls;
        if controls.freeze_learning() {
            return Cow::Borrowed(self);
        }
        match self.faded.learner(&self.learner, now_us, controls.half_life_us()) {
            None => Cow::Borrowed(self),
            Some(learner) => Cow::Owned(Self { learner, ..self.clone() }),
        }
    }

    /// Returns two views of one slot as of a moment. If both have the same learner, so do the returned views.
    pub fn both_at<'a>(before: &'a Self, after: &'a Self, now_us: i64) -> (Cow<'a, Self>, Cow<'a, Self>) {
        let controls =
            |view: &Self| (view.definition.controls.half_life_us(), view.definition.controls.freeze_learning());
        let (first, second) = (before.at(now_us), after.at(now_us));
        if Arc::ptr_eq(&before.learner, &after.learner) && controls(before) == controls(after) {
            let learner = Arc::clone(&first.learner);
            return (first, Cow::Owned(Self { learner, ..second.into_owned() }));
        }
        (first, second)
    }
}
