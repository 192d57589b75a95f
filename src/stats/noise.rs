//! The noise variance of a linear reward, learned beside its weights.

use serde::{Deserialize, Serialize};

use super::consistency::is_positive;

/// Posterior of the noise variance, `σ² ~ InvGamma(a, b)`, pooled over all posteriors of a slot.
///
/// With n observations of weights w: `a = a₀ + ½Σw` and `b = b₀ + ½Σ(Σwy² − μᵀΛμ)`,
/// where the outer sum runs over the posteriors. `a` has no unit, `b` is in reward². *Persisted.*
///
/// # Source
///
/// Bishop (2006), exercise 3.12. The revision follows from differencing the batch formula.
///
/// # Examples
///
/// ```
/// use slotwise::stats::Noise;
///
/// let mut noise = Noise::new(2.0, 1.0);
/// assert_eq!(noise.variance(), 0.5);
/// // A residual of 3 at leverage 0 adds ½ to the shape and 4.5 to the scale.
/// noise.observe(1.0, 3.0, 0.0);
/// assert_eq!(noise.variance(), 5.5 / 2.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    prior_shape: f64,
    prior_scale: f64,
    shape: f64,
    scale: f64,
}

impl Noise {
    /// Creates the prior with shape a₀ > 0 and scale b₀ > 0, in reward².
    pub fn new(shape: f64, scale: f64) -> Self {
        Self { prior_shape: shape, prior_scale: scale, shape, scale }
    }

    /// Returns whether the posterior may follow from a prior, also from one with this scale.
    pub fn is_consistent(&self, prior_scale: f64) -> bool {
        let parameters = [self.prior_shape, self.prior_scale, self.shape, self.scale, prior_scale];
        parameters.into_iter().all(is_positive) && is_positive(self.variance_with(prior_scale))
    }

    /// Scale `b` of the posterior, reward².
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Scale `b₀` of the prior, reward².
    pub fn prior_scale(&self) -> f64 {
        self.prior_scale
    }

    /// Estimate `b / a` of the noise variance, reward², above zero.
    pub fn variance(&self) -> f64 {
        self.scale / self.shape
    }

    /// Estimate of the noise variance if the prior's scale were this one, reward², above zero.
    pub fn variance_with(&self, prior_scale: f64) -> f64 {
        (self.scale - self.prior_scale + prior_scale) / self.shape
    }

    /// Takes back a part of the shape that an observation added, as that much of it says nothing about the noise; see
    /// [`Gaussian::observe`](super::Gaussian::observe).
    pub fn discount(&mut self, part: f64) {
        self.shape -= 0.5 * part;
    }

    /// Adds an observation of weight `w`, whose noise has variance `σ²/w`.
    ///
    /// Its residual is `y − xᵀμ` and its leverage `xᵀΛ⁻¹x`, both from before the observation.
    pub fn observe(&mut self, weight: f64, residual: f64, leverage: f64) {
        self.shape += 0.5;
        self.scale += 0.5 * weight * residual * residual / (1.0 + weight * leverage);
    }

    /// Changes the reward of an observation of weight `w` by `delta`.
    ///
    /// `residual` is the reward before the change minus `xᵀμ`, and `leverage` is `xᵀΛ⁻¹x`, with μ and Λ from before the
    /// revision.
    ///
    /// `b ← b + w[Δ·(y − xᵀμ) + ½Δ²(1 − w·xᵀΛ⁻¹x)]`.
    pub fn revise(&mut self, weight: f64, delta: f64, residual: f64, leverage: f64) {
        self.scale += weight * (delta * residual + 0.5 * delta * delta * (1.0 - weight * leverage));
        // The invariant b ≥ b₀ always holds in exact arithmetic; rounding after a large reward and its refund may
        // undershoot.
        self.scale = self.scale.max(self.prior_scale);
    }

    /// Lets all observations fade to `retained` of their weight.
    ///
    /// `gain` is the sum of the values that [`Gaussian::forget`](super::Gaussian::forget) returned.
    pub fn forget(&mut self, retained: f64, gain: f64) {
        self.shape = self.prior_shape + retained * (self.shape - self.prior_shape);
        self.scale = self.prior_scale + retained * (self.scale - self.prior_scale) + gain.max(0.0);
    }
}
