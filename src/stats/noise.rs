//! The noise variance of a linear reward, learned beside its weights.

use serde::{Deserialize, Serialize};

/// `σ² ~ InvGamma(a, b)`, pooled over all the posteriors of a slot.
///
/// With n observations of weights w: `a = a₀ + ½Σw` and `b = b₀ + ½Σ(Σwy² − μᵀΛμ)`,
/// the outer sum over the posteriors. `a` has no unit, `b` is in reward². *Persisted.*
///
/// # Source
///
/// Bishop (2006), exercise 3.12; the revision by differencing the batch formula.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    prior_shape: f64,
    prior_scale: f64,
    shape: f64,
    scale: f64,
}

impl Noise {
    /// The prior: shape a₀ > 0, scale b₀ > 0 in reward².
    pub fn new(shape: f64, scale: f64) -> Self {
        Self { prior_shape: shape, prior_scale: scale, shape, scale }
    }

    /// `b`, reward².
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// `b₀`, reward².
    pub fn prior_scale(&self) -> f64 {
        self.prior_scale
    }

    /// `b / a`: the noise variance to go on with, reward², above zero.
    pub fn variance(&self) -> f64 {
        self.scale / self.shape
    }

    /// An observation of weight `w`, whose noise has variance `σ²/w`, and whose residual was `y − xᵀμ` at leverage `xᵀΛ⁻¹x`, both from before it.
    pub fn observe(&mut self, weight: f64, residual: f64, leverage: f64) {
        self.shape += 0.5;
        self.scale += 0.5 * weight * residual * residual / (1.0 + weight * leverage);
    }

    /// The reward of an observation of weight `w` changed by `delta`; `residual` is the
    /// reward so far less `xᵀμ`, `leverage` is `xᵀΛ⁻¹x`, μ and Λ from before the revision.
    ///
    /// `b ← b + w[Δ·(y − xᵀμ) + ½Δ²(1 − w·xᵀΛ⁻¹x)]`.
    pub fn revise(&mut self, weight: f64, delta: f64, residual: f64, leverage: f64) {
        self.scale += weight * (delta * residual + 0.5 * delta * delta * (1.0 - weight * leverage));
        // Exactly, b ≥ b₀ always; rounding after a large reward and its refund may undershoot.
        self.scale = self.scale.max(self.prior_scale);
    }

    /// All observations fade to `retained` of their weight; `gain` is the sum of what
    /// [`Gaussian::forget`](super::Gaussian::forget) returned.
    pub fn forget(&mut self, retained: f64, gain: f64) {
        self.shape = self.prior_shape + retained * (self.shape - self.prior_shape);
        self.scale = self.prior_scale + retained * (self.scale - self.prior_scale) + gain.max(0.0);
    }
}
