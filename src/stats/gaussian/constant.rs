//! Prior of the constant that is applied when a posterior is read.

use serde::{Deserialize, Serialize};

use super::{Gaussian, Prediction, SolvedRow, SparseVector};

/// Precision k₀ of a free constant's prior as it is kept: so little that any prior is more.
pub(super) const FREE_PRECISION: f64 = 1e-3;

/// Prior `N(m, σ²/k)` of the constant, the weight of index 0. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConstantPrior {
    /// Mean m, reward.
    pub mean: f64,
    /// Precision k, in units of the noise. At least a thousandth.
    pub precision: f64,
}

/// Change of a posterior by another prior of the constant.
#[derive(Debug, Clone, Copy)]
struct PriorChange {
    /// Factor of `Λ⁻¹e` by which the mean changes.
    to_mean: f64,
    /// Factor of `(xᵀΛ⁻¹e)²` by which the leverage falls.
    to_leverage: f64,
}

/// A free constant.
///
/// A posterior with a free constant keeps the prior `N(0, σ²/k₀)` of it, which says next to nothing. Who reads the posterior
/// says what the prior is. So the prior may depend on all arms, change with every observation, and be exact for every arm at
/// any time, also after refunds. With e for the first unit vector, `u = Λ⁻¹e` and δ = k − k₀:
///
/// ```text
/// Λ′ = Λ + δ·e·eᵀ
/// xᵀμ′ = xᵀμ + (k·m − δ·μ₀)/(1 + δ·u₀)·xᵀu
/// xᵀΛ′⁻¹x = xᵀΛ⁻¹x − δ/(1 + δ·u₀)·(xᵀu)²
/// ```
///
/// u is the first column of the covariance, so a prediction costs O(d) more than without.
///
/// # Source
///
/// Golub & Van Loan, *Matrix Computations* (4th ed.), §2.1.4 (Sherman–Morrison).
impl Gaussian {
    /// Creates the prior with precision λ > 0, in 1 / feature², of all weights but the constant, which is free.
    ///
    /// # Examples
    ///
    /// ```
    /// use slotwise::stats::{ConstantPrior, Gaussian, SparseVector};
    ///
    /// let x = SparseVector { entries: vec![(0, 1.0)], unseen: 0.0 };
    /// let mut posterior = Gaussian::with_free_constant(1.0);
    /// posterior.observe(&x, 1.0, 5.0);
    /// // A prior at 2 that is worth three observations, and one observation of 5.
    /// let prior = ConstantPrior { mean: 2.0, precision: 3.0 };
    /// let got = posterior.predict_with(prior, &x, &mut Vec::new());
    /// assert!((got.mean - (3.0 * 2.0 + 5.0) / 4.0).abs() < 1e-9);
    /// assert!((got.leverage - 1.0 / 4.0).abs() < 1e-9);
    /// ```
    pub fn with_free_constant(prior_precision: f64) -> Self {
        Self { free_constant: true, ..Self::new(prior_precision) }
    }

    /// Returns mean and leverage at `x` under a prior of the constant, which has no effect unless the constant is free.
    /// `work` is scratch memory that the caller keeps for speed.
    pub fn predict_with(&self, prior: ConstantPrior, x: &SparseVector, work: &mut Vec<f64>) -> Prediction {
        self.apply(prior, x, self.predict(x, work))
    }

    /// Returns mean and leverage at a row that was solved for, under a prior of the constant.
    pub fn read_solved_with(&self, prior: ConstantPrior, solved: &SolvedRow<'_>) -> Prediction {
        self.apply(prior, solved.x, solved.prediction())
    }

    /// Applies a prior of the constant to the prediction at `x`.
    fn apply(&self, prior: ConstantPrior, x: &SparseVector, kept: Prediction) -> Prediction {
        if !self.free_constant {
            return kept;
        }
        let along = self.along_constant(x);
        let PriorChange { to_mean, to_leverage } = self.change(prior);
        Prediction {
            mean: kept.mean + to_mean * along,
            leverage: (kept.leverage - to_leverage * along * along).max(0.0),
        }
    }

    /// Returns the posterior mean of one weight under a prior of the constant.
    pub fn weight_with(&self, prior: ConstantPrior, index: usize) -> f64 {
        let mean = self.mean.get(index).copied().unwrap_or(0.0);
        if self.free_constant { mean + self.change(prior).to_mean * self.covariance_at(index, 0) } else { mean }
    }

    /// Adds an observation with curvature `h` ≥ 0 at `x`, whose residual `g` was taken under a prior of the constant.
    ///
    /// Under that prior the posterior changes as by [`observe`](Self::observe).
    pub fn observe_with(&mut self, prior: ConstantPrior, x: &SparseVector, curvature: f64, residual: f64) {
        let solved = self.solve(x);
        self.observe_solved_with(prior, solved, curvature, residual);
    }

    /// Adds an observation at a row that was solved for; see [`observe_with`](Self::observe_with).
    pub fn observe_solved_with(&mut self, prior: ConstantPrior, solved: SolvedRow<'_>, curvature: f64, residual: f64) {
        // The observation stands for one of weight h at xᵀμ′ + g/h, whatever the prior is.
        let moved = if self.free_constant { self.change(prior).to_mean * self.along_constant(solved.x) } else { 0.0 };
        self.observe_solved(solved, curvature, residual + curvature * moved);
    }

    /// Entry of Λ⁻¹, also of dimensions that no observation has touched.
    pub(super) fn covariance_at(&self, i: usize, j: usize) -> f64 {
        if i.max(j) < self.dim() {
            self.covariance.at(i, j)
        } else if i == j {
            1.0 / self.precision_of(i)
        } else {
            0.0
        }
    }

    /// Returns xᵀu.
    fn along_constant(&self, x: &SparseVector) -> f64 {
        x.entries.iter().map(|&(index, value)| value * self.covariance_at(index as usize, 0)).sum()
    }

    fn change(&self, prior: ConstantPrior) -> PriorChange {
        let more = prior.precision - FREE_PRECISION;
        let damp = 1.0 + more * self.covariance_at(0, 0);
        let mean = self.mean.first().copied().unwrap_or(0.0);
        PriorChange { to_mean: (prior.precision * prior.mean - more * mean) / damp, to_leverage: more / damp }
    }

    /// Information of an observation that went into the constant, where `before` is `u₀` from before it.
    pub(super) fn part_of_constant(&self, before: f64) -> f64 {
        if !self.free_constant {
            return 0.0;
        }
        (FREE_PRECISION * (before - self.covariance_at(0, 0))).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::{
        super::tests::{LAMBDA, row},
        *,
    };

    /// A posterior with a free constant says under a prior what a posterior says that had this prior from the start: an
    /// observation at the constant alone, of as much weight and with this reward. Also after fading, dimensions that were
    /// taken out, and observations whose residuals were taken under yet another prior.
    #[test]
    fn a_prior_applied_when_reading_equals_one_from_the_start() {
        let mut rng = StdRng::seed_from_u64(23);
        let constant = SparseVector { entries: vec![(0, 1.0)], unseen: 0.0 };
        for prior in [
            ConstantPrior { mean: 0.0, precision: LAMBDA },
            ConstantPrior { mean: -3.0, precision: 0.02 },
            ConstantPrior { mean: 2.5, precision: 900.0 },
        ] {
            let mut free = Gaussian::with_free_constant(LAMBDA);
            let mut fixed = Gaussian::with_free_constant(LAMBDA);
            let more = prior.precision - FREE_PRECISION;
            let reward = prior.precision * prior.mean / more;
            fixed.observe(&constant, more, more * reward);
            for i in 0..300 {
                let probe = row(&mut rng, 11, 0.0).x;
                let got = free.predict_with(prior, &probe, &mut Vec::new());
                let want = fixed.predict(&probe, &mut Vec::new());
                assert!((got.mean - want.mean).abs() < 1e-8 * (1.0 + want.mean.abs()), "{i} {got:?} {want:?}");
                assert!((got.leverage - want.leverage).abs() < 1e-8 * want.leverage, "{i} {got:?} {want:?}");
                for index in 0..12 {
                    let want = fixed.mean().get(index).copied().unwrap_or(0.0);
                    let got = free.weight_with(prior, index);
                    assert!((got - want).abs() < 1e-8 * (1.0 + want.abs()), "{i} {index} {got} {want}");
                }
                let seen = row(&mut rng, 9, 0.0).x;
                let (curvature, residual) = (rng.random_range(0.0..1.0), rng.random_range(-1.0..1.0));
                // Both learn the same pseudo-reward: the one reads it under the prior, the other has the prior.
                free.observe_with(prior, &seen, curvature, residual);
                fixed.observe(&seen, curvature, residual);
                if i % 40 == 39 {
                    for posterior in [&mut free, &mut fixed] {
                        posterior.take_out(&[3]);
                        posterior.forget(0.9);
                    }
                    // Fading took a tenth of the prior that stands as an observation.
                    fixed.observe(&constant, 0.1 * more, 0.1 * more * (reward - fixed.mean()[0]));
                }
            }
        }
    }

    /// The first observation of an arm goes into its constant, and later ones go less and less.
    #[test]
    fn information_that_goes_into_the_constant_adds_up_to_one_observation() {
        let x = SparseVector { entries: vec![(0, 1.0)], unseen: 0.0 };
        let mut posterior = Gaussian::with_free_constant(LAMBDA);
        let parts: Vec<f64> = (0..100).map(|_| posterior.observe(&x, 1.0, 0.3)).collect();
        assert!(parts[0] > 0.99 && parts.windows(2).all(|pair| pair[1] < pair[0] && pair[1] >= 0.0), "{parts:?}");
        let sum: f64 = parts.iter().sum();
        assert!((sum - (1.0 - FREE_PRECISION / (FREE_PRECISION + 100.0))).abs() < 1e-9, "{sum}");
    }
}
