//! Model of how often each position of a slate is looked at, with its forgetting.

use serde::{Deserialize, Serialize};

use crate::{bandit::Positions, engine::pending::ShownArm, slot::limits::COUNT_MAX, stats::math};

/// Smallest decay in which the model fades.
const FADE_STEP: f64 = 1e-3;

/// Position model of a slot. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct PositionModel {
    positions: Positions,
    /// Time of the last decay, microseconds since 1970.
    faded_us: i64,
    /// Natural logarithm of the product of all decay so far.
    ln_decay: f64,
}

impl PositionModel {
    /// Creates a model that fades from `at_us` on.
    pub(in crate::engine) fn new(at_us: i64) -> Self {
        Self { positions: Positions::new(), faded_us: at_us, ln_decay: 0.0 }
    }

    /// Returns whether the model may be that of slates up to the time `until_us`, microseconds since 1970.
    pub(in crate::engine) fn is_consistent(&self, until_us: i64) -> bool {
        self.positions.is_consistent(COUNT_MAX as usize)
            && (0..=until_us).contains(&self.faded_us)
            && self.ln_decay <= 0.0
            && self.ln_decay.is_finite()
    }

    /// Probability that a position is looked at, relative to the first.
    pub(in crate::engine) fn exposure(&self, place: usize) -> f64 {
        self.positions.exposure(place)
    }

    /// Standard error of the logarithm of a position's [exposure](Self::exposure).
    #[cfg(test)]
    pub(in crate::engine) fn ln_std_error(&self, place: usize) -> f64 {
        self.positions.ln_std_error(place)
    }

    /// Fades the model, once the decay is worth a step.
    pub(in crate::engine) fn fade(&mut self, at_us: i64, half_life_us: i64) {
        let retained = math::exp2(-((at_us - self.faded_us) as f64 / half_life_us as f64));
        if retained < 1.0 - FADE_STEP {
            let retained = retained.max(f64::MIN_POSITIVE);
            self.positions.forget(retained);
            self.ln_decay += math::ln(retained);
            self.faded_us = at_us;
        }
    }

    /// Counts the arm at `place` of a slate if it is rewarded now and was not counted before, or takes the count back if
    /// it is no longer rewarded.
    pub(in crate::engine) fn settle(&mut self, shown: &mut [ShownArm], place: usize, rewarded: bool) {
        let swap_probabilities: Vec<f64> = shown.iter().skip(1).map(|shown| shown.swap_probability).collect();
        let arm = &mut shown[place];
        match (arm.counted_at_ln_decay, rewarded) {
            (None, true) => {
                arm.counted_at_ln_decay = Some(self.ln_decay);
                self.positions.revise(place, &swap_probabilities, 1.0, true);
            }
            (Some(then), false) => {
                arm.counted_at_ln_decay = None;
                self.positions.revise(place, &swap_probabilities, math::exp(self.ln_decay - then), false);
            }
            (None, false) | (Some(_), true) => {}
        }
    }
}
