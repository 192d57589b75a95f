//! Fading: observations and evidence lose weight by a half-life.

use super::Learner;
use crate::{
    bandit::{linear::Linear, model::Model},
    stats::math,
};

/// Least fraction of the weight by which observations fade in one step.
const FADE_STEP: f64 = 1e-3;

/// Number of dimensions beyond which the steps grow with their cost of O(d³) per arm, up to [`FADE_STEP_MAX`].
const FADE_DIM: f64 = 64.0;

/// Greatest fraction of the weight that fades in one step, as weights must not jump.
const FADE_STEP_MAX: f64 = 0.1;

/// Least retained fraction of an observation, as a posterior divides by it.
const RETAINED_MIN: f64 = 1e-12;

impl Learner {
    /// Largest number of dimensions of all models.
    pub(super) fn dim(&self) -> f64 {
        let dim = |model: &Model| model.linear().map_or(1, Linear::dim);
        f64::from(self.portfolio.members.iter().map(|member| dim(&member.model)).max().unwrap_or(1))
    }

    /// Time up to which all observations have faded, microseconds since 1970, or `None` if there are none.
    pub fn faded_from_us(&self) -> Option<i64> {
        if self.weight > 0.0 { self.arms.iter().map(|arm| arm.faded_at_us).min() } else { None }
    }

    /// Cost of fading all arms, multiplications.
    pub fn fading_cost(&self) -> f64 {
        let dim = self.dim();
        self.arms.len() as f64 * self.portfolio.members.len() as f64 * (dim * dim * dim)
    }

    /// Returns a copy in which the observations and the evidence of the models have faded by the half-life up to `at_us`.
    #[must_use]
    pub fn faded(&self, at_us: i64, half_life_us: i64) -> Self {
        let mut faded = self.clone();
        for arm in 0..u32::try_from(faded.arms.len()).unwrap_or(u32::MAX) {
            faded.fade(arm, at_us, half_life_us);
        }
        let half_lives = (at_us - faded.learned_at_us).max(0) as f64 / half_life_us as f64;
        faded.portfolio.fade(math::exp2(-half_lives));
        faded.learned_at_us = faded.learned_at_us.max(at_us);
        faded
    }

    /// Returns a copy in which every observation so far counts `weight` times, above 0 and at most 1.
    #[must_use]
    pub fn weighted(&self, weight: f64) -> Self {
        let mut weighted = self.clone();
        if weight < 1.0 {
            for arm in 0..u32::try_from(weighted.arms.len()).unwrap_or(u32::MAX) {
                weighted.retain(arm, weight.max(RETAINED_MIN));
            }
            weighted.portfolio.fade(weight);
        }
        weighted
    }

    /// Forgets the observations of one arm.
    pub fn forget_arm(&mut self, arm: u32) {
        if (arm as usize) < self.arms.len() {
            self.retain(arm, RETAINED_MIN);
            self.follow();
        }
    }

    /// Lets the arm's observations fade to this part at once.
    fn retain(&mut self, arm: u32, retained: f64) {
        let summary = &mut self.arms[arm as usize];
        let (weight, at_us) = (summary.weight(), summary.faded_at_us);
        summary.forget(at_us, retained);
        // An arm without observations may still share its posterior with an arm that has some.
        let portion = if weight > 0.0 { (weight / self.weight).min(1.0) } else { 0.0 };
        self.portfolio.forget(arm, retained, portion);
        self.weight -= weight * (1.0 - retained);
    }

    /// Lets the arm's observations fade by the half-life up to `at_us`, once the fading is worth a step.
    pub(super) fn fade(&mut self, arm: u32, at_us: i64, half_life_us: i64) {
        let dim = self.dim();
        let step = (FADE_STEP * math::power(dim / FADE_DIM, 3)).clamp(FADE_STEP, FADE_STEP_MAX);
        let summary = &mut self.arms[arm as usize];
        let half_lives = (at_us - summary.faded_at_us) as f64 / half_life_us as f64;
        let retained = math::exp2(-half_lives).max(RETAINED_MIN);
        if retained > 1.0 - step {
            return;
        }
        summary.faded_at_us = at_us;
        self.retain(arm, retained);
    }
}
