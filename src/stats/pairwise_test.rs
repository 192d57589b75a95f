//! Evidence that one of two arms is better, valid however often one looks.

use serde::{Deserialize, Serialize};

use super::{
    confidence::{REWARDS_MIN, RewardSample, TUNED_FOR, tuning},
    math::{exp, ln, ln_1p},
};

/// Number of bets whose average decides a [`PairwiseTest`]; each is `BET_STEP` times the one before.
pub(super) const BETS: usize = 7;
pub(super) const BET_MAX: f64 = 0.95;
pub(super) const BET_STEP: f64 = 0.55;

/// Always-valid comparison of two arms, the first and the second, by their rewards. *Persisted.*
///
/// A decision that could have shown either arm, the first with probability p and the second with q, adds
///
/// ```text
/// y = (r − c)·q/(p+q)   if it showed the first, with reward r
/// y = (c − r)·p/(p+q)   if it showed the second
/// ```
///
/// for any c that was known before. Whatever the context, the time of day and the origin of p and q, the mean of y given
/// the past is `pq/(p+q)` times the advantage of the first arm; without an advantage the sum does not drift. The weights
/// are the overlap weights: among all weights that compare the two arms in this way they have the least variance, and
/// they never exceed 1, whereas inverse propensities grow without bound.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PairwiseTest {
    /// Number of decisions that showed one of the two arms.
    pub count: u64,
    /// Sum of y, reward.
    pub sum: f64,
    /// Sum of y², reward².
    pub sum_sq: f64,
    /// Sum of pq/(p+q) over all decisions that could have shown either arm.
    ///
    /// Multiplied by the variance of a reward it is the variance of the sum of y. Unlike the sum of squares it counts
    /// outcomes that were likely and have not happened yet.
    pub weight_sum: f64,
}

impl PairwiseTest {
    /// Adds the weight of a decision that could have shown either arm, with these probabilities.
    pub fn add_weight(&mut self, p: f64, q: f64) {
        self.weight_sum += p * q / (p + q);
    }

    /// Adds the y of a decision that showed one of the two arms.
    pub fn add(&mut self, y: f64) {
        self.count += 1;
        self.revise(0.0, y);
    }

    /// Replaces the y `before` of a decision by `after`.
    pub fn revise(&mut self, before: f64, after: f64) {
        self.sum += after - before;
        self.sum_sq += after * after - before * before;
    }

    /// Returns the test of as many independent decisions as say as much, fewer by this factor.
    #[must_use]
    pub fn thinned(self, factor: f64) -> Self {
        let part = 1.0 / factor.max(1.0);
        Self { sum: part * self.sum, sum_sq: part * self.sum_sq, weight_sum: part * self.weight_sum, ..self }
    }

    /// Returns the test with the arms swapped.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { sum: -self.sum, ..self }
    }

    /// Returns the logarithm of the evidence against "the first arm is no better than the second".
    ///
    /// If that statement holds, the evidence ever exceeds ln(1/α) with probability α at most.
    ///
    /// * For rewards in [0, 1] it is the wealth of a gambler who bets the fraction λ on y, averaged over a grid of λ and
    ///   bounded below by the two sums: `1 + λy ≥ exp(λy − (−ln(1−λ) − λ)y²)` for y ≥ −1 (Fan, Grama and Liu 2015, lemma
    ///   4.1).
    /// * For other rewards it is the normal mixture in the clock of `weight_sum`, asymptotically, with the variance of all
    ///   the slot's `rewards`. It is −∞ until the two arms must have had [`REWARDS_MIN`] effective rewards (the rarer one a
    ///   quarter of them).
    ///
    /// `default` is the reward of a decision without events.
    pub fn evidence(&self, unit: bool, rewards: &RewardSample, default: f64) -> f64 {
        if self.count == 0 || self.sum <= 0.0 {
            return f64::NEG_INFINITY;
        }
        if unit {
            let mut bet = BET_MAX / BET_STEP;
            let wealth = [(); BETS].map(|()| {
                bet *= BET_STEP;
                bet * self.sum + (ln_1p(-bet) + bet) * self.sum_sq
            });
            let most = wealth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            return most + ln(wealth.iter().map(|w| exp(w - most)).sum::<f64>() / BETS as f64);
        }
        let share = rewards.effective(default) / (rewards.count as f64).max(1.0);
        if 4.0 * self.weight_sum * share < REWARDS_MIN {
            return f64::NEG_INFINITY;
        }
        let variance = (self.weight_sum * rewards.variance()).max(self.sum_sq);
        // Four times the sum of the weights is the number of decisions if both arms are equally likely.
        let x = 4.0 * self.weight_sum * tuning(0.05) / TUNED_FOR;
        0.5 * (self.sum * self.sum / variance) * x / (1.0 + x) - 0.5 * ln_1p(x)
    }
}
