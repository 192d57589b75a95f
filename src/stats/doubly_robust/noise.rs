//! Noise of single rewards, as far as the model did not expect them.

use serde::{Deserialize, Serialize};

use super::{GROUPS, ScoredArm, square};

/// Mean of the larger of 1 and the variance over 64 groups of independent subjects, relative to that over decisions.
const ALIKE: f64 = 1.07;

/// Noise of single rewards, pooled over all arms: its variance is φ per unit of reward. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RewardNoise {
    size: f64,
    squares: f64,
    /// Sum of the squares of the weighted deviations from the expected rewards.
    weighted_squares: f64,
    /// Sums of the weighted deviations in each group of subjects, or none before the first reward.
    groups: Vec<f64>,
}

impl RewardNoise {
    /// Adds the reward of a shown arm; `fading` is the decision's weight, and `group` that of its subject, below [`GROUPS`].
    pub fn add(&mut self, fading: f64, group: usize, shown: &ScoredArm, reward: f64) {
        self.size += fading * shown.expected.abs();
        self.revise(fading, group, shown, shown.expected, reward);
    }

    /// Replaces a reward that was added.
    pub fn revise(&mut self, fading: f64, group: usize, shown: &ScoredArm, before: f64, after: f64) {
        let more = square(after - shown.expected) - square(before - shown.expected);
        self.squares = (self.squares + fading * more).max(0.0);
        self.weighted_squares = (self.weighted_squares + square(fading) * more).max(0.0);
        self.groups.resize(GROUPS, 0.0);
        if let Some(of_group) = self.groups.get_mut(group) {
            *of_group += fading * (after - before);
        }
    }

    /// Multiplies all weights by a factor.
    pub fn scale(&mut self, factor: f64) {
        self.size *= factor;
        self.squares *= factor;
        self.weighted_squares *= square(factor);
        self.groups.iter_mut().for_each(|of_group| *of_group *= factor);
    }

    /// Ratio of the variance of what the model did not expect over groups of subjects to that over decisions, at least 1. It is the
    /// [design effect](super::DoublyRobustSums::design_effect) among subjects who are alike in all that the model knows of them.
    pub fn design_effect(&self) -> f64 {
        let grouped: f64 = self.groups.iter().map(|of_group| square(*of_group)).sum();
        let correction = GROUPS as f64 / (GROUPS - 1) as f64;
        if self.weighted_squares > 0.0 { (correction * grouped / self.weighted_squares / ALIKE).max(1.0) } else { 1.0 }
    }

    /// Variance φ of a reward per unit of expected reward, or `None` if no reward is known.
    pub fn per_reward(&self) -> Option<f64> {
        (self.size > 0.0).then(|| self.squares / self.size)
    }
}
