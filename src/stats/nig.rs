//! Normal-inverse-gamma posterior of a real reward whose mean and variance are both unknown.

use serde::{Deserialize, Serialize};

use super::{
    consistency::{is_positive, same},
    pooled::ArmMean,
    special::student_quantile,
};

/// Normal-inverse-gamma posterior: `y ~ N(μ, σ²)`, `μ | σ² ~ N(m, σ²/κ)`, `σ² ~ InvGamma(a, b)`. *Persisted.*
///
/// `m` is in reward, `b` in reward², `κ` counts observations, `a` half of them.
///
/// # Source
///
/// Murphy, *Conjugate Bayesian analysis of the Gaussian distribution* (2007), §6.
///
/// # Examples
///
/// ```
/// use slotwise::stats::NormalInverseGamma;
///
/// let mut value = NormalInverseGamma::new(0.0, 1.0, 1.0, 1.0);
/// value.observe(10.0);
/// assert_eq!(value.mean(), 5.0);
/// assert_eq!(value.degrees(), 3.0);
/// // Taking half of the reward back moves the mean as if it had been 5 from the start.
/// value.revise(1.0, 10.0, -5.0);
/// assert_eq!(value.mean(), 2.5);
/// assert!(value.quantile(0.975) > value.mean());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NormalInverseGamma {
    prior: Parameters,
    now: Parameters,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Parameters {
    mean: f64,
    strength: f64,
    shape: f64,
    scale: f64,
}

impl NormalInverseGamma {
    /// Creates the prior with mean m, strength κ > 0, shape a > 0 and scale b > 0.
    pub fn new(mean: f64, strength: f64, shape: f64, scale: f64) -> Self {
        let prior = Parameters { mean, strength, shape, scale };
        Self { prior, now: prior }
    }

    /// Returns whether the posterior may follow from a prior.
    pub fn is_consistent(&self) -> bool {
        let is_proper = |of: Parameters| {
            is_positive(of.strength) && is_positive(of.shape) && is_positive(of.scale) && of.mean.is_finite()
        };
        is_proper(self.prior) && is_proper(self.now)
    }

    /// Returns whether two posteriors have the same prior.
    pub fn has_prior_of(&self, other: &Self) -> bool {
        let (own, other) = (self.prior, other.prior);
        same(own.mean, other.mean)
            && same(own.strength, other.strength)
            && same(own.shape, other.shape)
            && same(own.scale, other.scale)
    }

    /// Posterior mean of μ, reward.
    pub fn mean(&self) -> f64 {
        self.now.mean
    }

    /// Weight, mean and sum of squared deviations of the observations alone, without the prior.
    pub fn observed(&self) -> ArmMean {
        let (now, prior) = (self.now, self.prior);
        let weight = now.strength - prior.strength;
        if weight <= 0.0 {
            return ArmMean::default();
        }
        let mean = (now.strength * now.mean - prior.strength * prior.mean) / weight;
        let between = prior.strength * weight / now.strength * (mean - prior.mean) * (mean - prior.mean);
        ArmMean { weight, mean, squares: (2.0 * (now.scale - prior.scale) - between).max(0.0) }
    }

    /// Strength κ: number of observations that the mean is worth.
    pub fn strength(&self) -> f64 {
        self.now.strength
    }

    /// Degrees of freedom of the Student t that μ follows: 2a.
    pub fn degrees(&self) -> f64 {
        2.0 * self.now.shape
    }

    /// Scale of the Student t that μ follows, `√(b / (aκ))`, reward.
    pub fn spread(&self) -> f64 {
        (self.now.scale / (self.now.shape * self.now.strength)).sqrt()
    }

    /// Adds an outcome.
    pub fn observe(&mut self, y: f64) {
        self.observe_part(1.0, y);
    }

    /// Adds an outcome that counts for `weight` of an observation: its noise has the variance `σ²/weight`.
    pub fn observe_part(&mut self, weight: f64, y: f64) {
        let Parameters { mean, strength, shape, scale } = self.now;
        let residual = y - mean;
        let grown = strength + weight;
        self.now = Parameters {
            mean: mean + weight * residual / grown,
            strength: grown,
            shape: shape + 0.5,
            scale: scale + 0.5 * weight * residual * residual * strength / grown,
        };
    }

    /// Variance of the next outcome about the mean, with `b/a` for the noise, reward².
    pub fn predictive_variance(&self) -> f64 {
        self.now.scale / self.now.shape * (1.0 + 1.0 / self.now.strength)
    }

    /// Changes the outcome of an observation of weight `w` by `delta` from `y`.
    ///
    /// This is [`Noise::revise`](super::Noise::revise) for one feature that is always 1, where `xᵀΛ⁻¹x = 1/κ`.
    pub fn revise(&mut self, weight: f64, y: f64, delta: f64) {
        let residual = y - self.now.mean;
        let change = weight * (delta * residual + 0.5 * delta * delta * (1.0 - weight / self.now.strength));
        self.now.scale = (self.now.scale + change).max(self.prior.scale);
        self.now.mean += weight * delta / self.now.strength;
    }

    /// Lets all observations fade to `retained` of their weight, by the batch formula for the new weights.
    pub fn forget(&mut self, retained: f64) {
        let (now, prior) = (self.now, self.prior);
        let strength = prior.strength + retained * (now.strength - prior.strength);
        let total = now.strength * now.mean - prior.strength * prior.mean;
        let mean = (prior.strength * prior.mean + retained * total) / strength;
        let fit = |p: Parameters| p.strength * p.mean * p.mean;
        let squares = 2.0 * (now.scale - prior.scale) + fit(now) - fit(prior);
        let fitted = strength * mean * mean;
        let scale = prior.scale + 0.5 * (retained * squares + fit(prior) - fitted);
        let shape = prior.shape + retained * (now.shape - prior.shape);
        self.now = Parameters { mean, strength, shape, scale: scale.max(prior.scale) };
    }

    /// Mean reward below which the true mean lies with probability `p` in (0, 1).
    pub fn quantile(&self, p: f64) -> f64 {
        self.mean() + self.spread() * student_quantile(self.degrees(), p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    /// The expected values follow Murphy 2007, eqs. 86–89, from weighted sums instead of the recursion above.
    #[test]
    fn observing_revising_and_forgetting_equal_the_batch_formula() {
        let mut rng = StdRng::seed_from_u64(5);
        let (m0, k0, a0, b0) = (1.5, 0.7, 1.2, 3.0);
        let mut posterior = NormalInverseGamma::new(m0, k0, a0, b0);
        let mut rows: Vec<(f64, f64)> = Vec::new();
        for round in 0..200 {
            let y = rng.random_range(-3.0..9.0);
            posterior.observe(y);
            rows.push((1.0, y));
            let chosen = rng.random_range(0..rows.len());
            let (weight, y) = rows[chosen];
            let delta = rng.random_range(-20.0..30.0);
            posterior.revise(weight, y, delta);
            rows[chosen].1 += delta;
            if round % 50 == 20 {
                posterior.forget(0.7);
                for row in &mut rows {
                    row.0 *= 0.7;
                }
            }
        }
        let n: f64 = rows.iter().map(|r| r.0).sum();
        let mean = rows.iter().map(|r| r.0 * r.1).sum::<f64>() / n;
        let spread: f64 = rows.iter().map(|r| r.0 * (r.1 - mean).powi(2)).sum();
        let want_mean = (k0 * m0 + n * mean) / (k0 + n);
        let want_scale = b0 + 0.5 * spread + 0.5 * k0 * n * (mean - m0).powi(2) / (k0 + n);
        assert!((posterior.mean() - want_mean).abs() < 1e-10);
        assert!((posterior.now.strength - (k0 + n)).abs() < 1e-10);
        assert!((posterior.now.shape - (a0 + 0.5 * n)).abs() < 1e-10);
        assert!((posterior.now.scale - want_scale).abs() < 1e-9 * want_scale);
    }
}
