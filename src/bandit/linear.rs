//! A linear reward per arm over the context, with one noise variance for the slot.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{encoder::Encoder, features::Features, model::Scores};
use crate::stats::{Gaussian, Noise, NormalScore, SparseVector};

/// Prior of the noise variance, shape a₀ and scale b₀: one observation's worth, of
/// the variance that a yes/no reward has at most. A thousand times larger or
/// smaller rewards are told within some tens of observations.
const NOISE_PRIOR: (f64, f64) = (1.0, 0.25);

/// `y = xᵀθ(arm) + ε`, one Gaussian posterior per arm, `ε ~ N(0, σ²)` with σ² pooled over the arms. *Persisted.*
///
/// The score of an arm is normal with mean `xᵀμ` and variance `σ²·xᵀΛ⁻¹x`, σ² = b/a.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    prior_precision: f64,
    encoder: Arc<Encoder>,
    noise: Noise,
    arms: Vec<Arc<Gaussian>>,
}

impl Linear {
    /// The prior: precision λ > 0 of the weights in units of the noise, and the most dimensions.
    pub fn new(prior_precision: f64, dimension_budget: u32) -> Self {
        Self {
            prior_precision,
            encoder: Arc::new(Encoder::new(dimension_budget)),
            noise: Noise::new(NOISE_PRIOR.0, NOISE_PRIOR.1),
            arms: Vec::new(),
        }
    }

    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The posterior of an arm; none: it still has its prior.
    pub fn posterior(&self, arm: u32) -> Option<&Gaussian> {
        self.arms.get(arm as usize).map(AsRef::as_ref)
    }

    /// σ², reward².
    pub fn noise_variance(&self) -> f64 {
        self.noise.variance()
    }

    pub(super) fn meet<'a>(&mut self, context: &Features, candidates: impl Iterator<Item = &'a Features>) {
        Arc::make_mut(&mut self.encoder).learn(context, candidates);
    }

    fn arm_mut(&mut self, arm: u32) -> &mut Gaussian {
        let arm = arm as usize;
        while self.arms.len() <= arm {
            self.arms.push(Arc::new(Gaussian::new(self.prior_precision)));
        }
        Arc::make_mut(&mut self.arms[arm])
    }

    pub(super) fn observe(&mut self, arm: u32, x: &SparseVector, y: f64) {
        let posterior = self.arm_mut(arm);
        let before = posterior.predict(x, &mut Vec::new());
        let residual = y - before.mean;
        posterior.observe(x, 1.0, residual);
        self.noise.observe(residual, before.leverage);
    }

    pub(super) fn revise(&mut self, arm: u32, x: &SparseVector, weight: f64, y: f64, delta: f64) {
        let posterior = self.arm_mut(arm);
        let before = posterior.predict(x, &mut Vec::new());
        posterior.revise(x, weight * delta);
        self.noise.revise(weight, delta, y - before.mean, before.leverage);
    }

    /// One arm's observations fade; of the pooled noise statistic, that arm's part by `portion`, its
    /// share of all weight.
    pub(super) fn forget(&mut self, arm: u32, retained: f64, portion: f64) {
        if (arm as usize) < self.arms.len() {
            let gain = self.arm_mut(arm).forget(retained);
            self.noise.forget(1.0 - portion * (1.0 - retained), gain);
        }
    }

    /// One score per arm; `rows` holds one row for all or one row each.
    pub(super) fn scores(&self, arms: &[Option<u32>], rows: &[SparseVector], width: f64) -> Scores {
        let noise_std = self.noise.variance().sqrt();
        let prior = Gaussian::new(self.prior_precision);
        let mut work = Vec::new();
        let scores = arms
            .iter()
            .enumerate()
            .map(|(i, arm)| {
                let x = if rows.len() == 1 { &rows[0] } else { &rows[i] };
                let posterior = arm.and_then(|arm| self.posterior(arm)).unwrap_or(&prior);
                let predicted = posterior.predict(x, &mut work);
                NormalScore { mean: predicted.mean, std: width * noise_std * predicted.leverage.sqrt() }
            })
            .collect();
        Scores::Normal(scores)
    }
}
