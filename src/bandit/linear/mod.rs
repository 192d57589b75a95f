//! Linear model of the reward of each arm over the features of a row, on one of two links.

mod consistent;
mod design;
mod parts;
mod pooled_prior;
mod shared;

pub use design::{LinearDesign, Link, Sharing};
pub(super) use pooled_prior::PooledRewards;

use std::{f64::consts::PI, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    encoder::{EncodedRow, Encoder},
    expansion::Expander,
    model::{RewardRevision, SeenReward},
    score::{Expectation, Forecast, LEAST, LogitScore, RewardScale, Scores},
};
use crate::stats::{ConstantPrior, Gaussian, Noise, NormalScore, Prediction, SparseVector, math::logistic};

/// Shape a₀ and scale b₀ of the prior of the noise variance. The prior is worth one observation with the largest
/// variance of a yes/no reward. Rewards a thousand times larger or smaller outweigh it within some tens of observations.
const NOISE_PRIOR: (f64, f64) = (1.0, 0.25);

/// Prior precision of an arm's offset, under which attributes explain about as much of the reward as they leave.
const OFFSET_PRECISION: f64 = 1.0;

/// Least curvature of an observation. Otherwise an outcome that was certain would leave no trace.
const CURVATURE_MIN: f64 = 1e-6;

/// Part of an arm's reward that its attributes do not explain, in units of the noise. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Offset {
    mean: f64,
    precision: f64,
}

impl Default for Offset {
    fn default() -> Self {
        Self { mean: 0.0, precision: OFFSET_PRECISION }
    }
}

/// Linear model with one Gaussian posterior per arm (or per pair of opposed arms), over expanded rows. *Persisted.*
///
/// ```text
/// identity   y = xᵀθ + ε,  ε ~ N(0, σ²) with σ² pooled over the arms;  h = 1, g = y − xᵀμ
/// logit      y ~ Bernoulli(σ(xᵀθ));  h = κ·p(1−p), g = y − p,  p = σ(κ·xᵀμ), κ = 1/√(1 + π·xᵀΛ⁻¹x/8)
/// ```
///
/// The update is `Λ ← Λ + h·xxᵀ`, `μ ← μ + g·Λ⁻¹x`.
///
/// # Source
///
/// Identity: Bishop, *Pattern Recognition and Machine Learning* (2006), §3.3. Logit: Bishop, §4.5.2, eqs. 4.149–4.155
/// (`MacKay` 1992), one step of Laplace's approximation per observation, with the curvature that is expected under the
/// posterior, `dp/d(xᵀμ) = κ·p(1−p)`. With `p(1−p)` alone, intervals of 95 % cover 87 to 91 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    design: LinearDesign,
    expander: Arc<Expander>,
    noise: Noise,
    /// Prior of the constant of every arm with a posterior of its own.
    constant: ConstantPrior,
    /// Scale b₀ of the noise variance's prior, reward².
    noise_scale: f64,
    arms: Vec<Arc<Gaussian>>,
    /// Offsets of shared arms.
    offsets: Vec<Offset>,
    /// Fading that a shared posterior has not applied yet, as a negative logarithm.
    owed: f64,
}

/// Parameters for scoring the candidates of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Scoring<'a> {
    /// Width multiplier.
    pub width: f64,
    /// Number of positions that will be drawn.
    pub places: usize,
    /// Seed of the joint draws of correlated scores.
    pub seed: u64,
    /// Maximum cost of the joint draws, multiplications.
    pub compute_budget: Option<u64>,
    /// Factors of the candidates' expected rewards by which joint draws are compared.
    pub boosts: Option<&'a [f64]>,
    /// Makes a width of 1 stand for the posterior's own standard deviation instead of the balanced one.
    pub plain: bool,
}

impl Scoring<'_> {
    /// Creates parameters without boosts and without a bound on the cost. A width of 1 stands for the balanced width.
    pub const fn new(width: f64, places: usize, seed: u64) -> Self {
        Self { width, places, seed, compute_budget: None, boosts: None, plain: false }
    }
}

/// Returns the expected rate of log odds that are normal with this mean and variance, by `MacKay`'s approximation.
pub(super) fn expected_rate(mean: f64, variance: f64) -> f64 {
    logistic(mean / (1.0 + PI * variance / 8.0).sqrt())
}

impl Linear {
    /// Creates the model with its prior.
    pub fn new(design: LinearDesign) -> Self {
        Self {
            design,
            expander: Arc::new(Expander::new(design.expansion, design.dimension_budget)),
            noise: Noise::new(NOISE_PRIOR.0, NOISE_PRIOR.1),
            constant: ConstantPrior { mean: 0.0, precision: design.prior_precision },
            noise_scale: NOISE_PRIOR.1,
            arms: Vec::new(),
            offsets: Vec::new(),
            owed: 0.0,
        }
    }

    /// Parameters of the model.
    pub fn design(&self) -> &LinearDesign {
        &self.design
    }

    /// Dimensions in use.
    pub fn dim(&self) -> u32 {
        self.expander.dim()
    }

    /// Posterior of an arm, or `None` if it still has its prior. The prior of a free constant is not applied.
    pub fn posterior(&self, arm: u32) -> Option<&Gaussian> {
        self.arms.get(arm as usize).map(AsRef::as_ref)
    }

    /// Noise variance σ², reward², or 1 for the logit link.
    pub fn noise_variance(&self) -> f64 {
        match self.design.link {
            Link::Identity => self.noise.variance_with(self.noise_scale),
            Link::Logit => 1.0,
        }
    }

    /// Returns a copy with all arms at their prior.
    pub(super) fn without_posteriors(&self) -> Self {
        Self {
            design: self.design,
            expander: Arc::clone(&self.expander),
            noise: self.noise,
            constant: self.constant,
            noise_scale: self.noise_scale,
            arms: Vec::new(),
            offsets: Vec::new(),
            owed: self.owed,
        }
    }

    /// Returns whether the expansion adds anything to the plain linear model.
    pub(super) fn adds(&self) -> bool {
        self.expander.adds()
    }

    pub(super) fn meet(&mut self, encoder: &Encoder, row: &EncodedRow) {
        // Published views share the expander, so a change copies it, and most rows change nothing.
        if self.expander.knows(encoder, row) {
            return;
        }
        let out = Arc::make_mut(&mut self.expander).meet(encoder, row);
        if !out.is_empty() {
            let gain = self.arms.iter_mut().map(|arm| Arc::make_mut(arm).take_out(&out)).sum();
            self.noise.forget(1.0, gain);
        }
    }

    pub(super) fn rebuild(&mut self, encoder: &Encoder) {
        Arc::make_mut(&mut self.expander).rebuild(encoder);
    }

    pub(super) fn expand(&self, encoder: &Encoder, row: &EncodedRow) -> SparseVector {
        self.expander.expand(encoder, row)
    }

    /// Returns the index of an arm's posterior, and whether the arm is the opposite of it.
    fn posterior_index(&self, arm: u32) -> (usize, bool) {
        match self.design.sharing {
            Sharing::Disjoint => (arm as usize, false),
            Sharing::Shared => (0, false),
            Sharing::Opposed => (0, arm > 0),
        }
    }

    fn posterior_mut(&mut self, index: usize) -> &mut Gaussian {
        while self.arms.len() <= index {
            self.arms.push(Arc::new(self.prior()));
        }
        Arc::make_mut(&mut self.arms[index])
    }

    fn predict(&self, arm: Option<u32>, x: &SparseVector, work: &mut Vec<f64>) -> Prediction {
        let shared = self.design.sharing == Sharing::Shared;
        let (index, opposite) = match arm {
            Some(arm) => self.posterior_index(arm),
            None if shared => (0, false),
            None => return self.prior().predict_with(self.constant, x, work),
        };
        let mut prediction = match self.arms.get(index) {
            Some(posterior) => posterior.predict_with(self.constant, x, work),
            None => self.prior().predict_with(self.constant, x, work),
        };
        if opposite {
            prediction.mean = self.opposite(prediction.mean);
        }
        if shared {
            let offset = self.offset(arm);
            prediction.mean += offset.mean;
            prediction.leverage += 1.0 / offset.precision;
        }
        prediction
    }

    fn offset(&self, arm: Option<u32>) -> Offset {
        arm.and_then(|arm| self.offsets.get(arm as usize)).copied().unwrap_or_default()
    }

    /// Returns the linear predictor of the other of two opposed arms.
    fn opposite(&self, mean: f64) -> f64 {
        match self.design.link {
            Link::Identity => 1.0 - mean,
            Link::Logit => -mean,
        }
    }

    /// Returns the expectation of the arm's reward at `x`.
    pub(super) fn expect(&self, arm: u32, x: &SparseVector, scale: RewardScale) -> Expectation {
        self.expectation(self.predict(Some(arm), x, &mut Vec::new()), scale)
    }

    /// Returns the expectation of a reward with this linear predictor.
    fn expectation(&self, Prediction { mean, leverage }: Prediction, scale: RewardScale) -> Expectation {
        let unit = scale == RewardScale::Unit;
        let less = LEAST * (self.noise_variance() * leverage).sqrt();
        match self.design.link {
            Link::Logit => {
                let rate = expected_rate(mean, leverage);
                let least = Forecast::rate(logistic(mean - less).min(rate), unit);
                Expectation { mean: Forecast::rate(rate, unit), least }
            }
            Link::Identity => {
                let noise = scale.noise().unwrap_or(self.noise_variance());
                let of = |mean| Forecast::normal(mean, noise * (1.0 + leverage), unit);
                Expectation { mean: of(mean), least: of(mean - less) }
            }
        }
    }

    /// Learns an observation, and returns the expectation from before; see [`Model::learn`](super::Model::learn).
    pub(super) fn learn(&mut self, arm: u32, x: &SparseVector, reward: SeenReward) -> Expectation {
        if self.design.sharing == Sharing::Shared {
            return self.learn_shared(arm, x, reward);
        }
        let SeenReward { y, weight, count, scale } = reward;
        let (index, opposite) = self.posterior_index(arm);
        let y = if opposite { weight - y } else { y };
        let constant = self.constant;
        let posterior = self.posterior_mut(index);
        let solved = posterior.solve(x);
        let before = posterior.read_solved_with(constant, &solved);
        let mean = if opposite { self.opposite(before.mean) } else { before.mean };
        let expectation = self.expectation(Prediction { mean, ..before }, scale);
        match self.design.link {
            Link::Identity => {
                // The noise is learned under the prior that is kept, so that it does not depend on the present one.
                let before = solved.prediction();
                let part = self.posterior_mut(index).observe_solved(solved, weight, y - weight * before.mean);
                self.noise.observe(weight, y / weight - before.mean, before.leverage);
                self.noise.discount(part + 1.0 - count);
            }
            Link::Logit => {
                let (curvature, residual) = self.step(before, y, weight);
                self.posterior_mut(index).observe_solved_with(constant, solved, curvature, residual);
            }
        }
        expectation
    }

    /// Returns curvature and residual of the reward `y` of an observation of this weight, at a prediction.
    fn step(&self, before: Prediction, y: f64, weight: f64) -> (f64, f64) {
        match self.design.link {
            Link::Identity => (weight, y - weight * before.mean),
            Link::Logit => {
                let p = expected_rate(before.mean, before.leverage);
                let kappa = 1.0 / (1.0 + PI * before.leverage / 8.0).sqrt();
                (weight * (kappa * p * (1.0 - p)).max(CURVATURE_MIN), y.clamp(0.0, 1.0) - weight * p)
            }
        }
    }

    /// Revises a reward; see [`Model::revise`](super::Model::revise). For shared arms the result is right to first order.
    pub(super) fn revise(&mut self, arm: u32, x: &SparseVector, revision: RewardRevision) {
        if self.design.sharing == Sharing::Shared {
            return self.revise_shared(arm, x, revision);
        }
        let RewardRevision { y, delta, weight, retained } = revision;
        let (index, opposite) = self.posterior_index(arm);
        let (y, delta) = if opposite { (weight - y, -delta) } else { (y, delta) };
        match self.design.link {
            Link::Identity => {
                let posterior = self.posterior_mut(index);
                let solved = posterior.solve(x);
                let before = solved.prediction();
                posterior.revise_solved(&solved, retained * delta);
                self.noise.revise(retained * weight, delta / weight, y / weight - before.mean, before.leverage);
            }
            Link::Logit => {
                let delta = (y + delta).clamp(0.0, 1.0) - y.clamp(0.0, 1.0);
                self.posterior_mut(index).revise(x, retained * delta);
            }
        }
    }

    /// Lets one arm's observations fade, and with them the fraction `portion` of the pooled noise statistic: the arm's part
    /// of all weight.
    pub(super) fn forget(&mut self, arm: u32, retained: f64, portion: f64) {
        if self.design.sharing == Sharing::Shared {
            return self.forget_shared(arm, retained, portion);
        }
        let (index, opposite) = self.posterior_index(arm);
        // Two opposed arms share one posterior, so the first one's fading is the pair's.
        if index < self.arms.len() && !opposite {
            let gain = self.forget_posterior(index, retained);
            let portion = if self.design.sharing == Sharing::Opposed { 1.0 } else { portion };
            self.noise.forget(1.0 - portion * (1.0 - retained), gain);
        }
    }

    /// Lets one posterior fade, and returns the gain of the noise. Learners that share a posterior share its faded copy.
    fn forget_posterior(&mut self, index: usize, retained: f64) -> f64 {
        let posterior = &mut self.arms[index];
        if let Some(own) = Arc::get_mut(posterior) {
            return own.forget(retained);
        }
        let (faded, gain) = posterior.faded(retained);
        *posterior = faded;
        gain
    }

    /// Returns one score per arm. `rows` holds one row for all or one row each, as [`expand`](Self::expand) makes them.
    pub(super) fn scores(&self, arms: &[Option<u32>], rows: &[SparseVector], scoring: Scoring<'_>) -> Scores {
        if self.design.sharing == Sharing::Shared {
            return Scores::Joint(self.joint(arms, rows, scoring));
        }
        let mut work = Vec::new();
        let features = rows.iter().map(|row| row.entries.len()).max().unwrap_or(0);
        let spread = self.spread(features, scoring);
        let mut predict = |i: usize| {
            let x = if rows.len() == 1 { &rows[0] } else { &rows[i] };
            self.predict(arms[i], x, &mut work)
        };
        // Two opposed scores are one number and its mirror image. Their difference has twice the spread of one, as has the
        // difference of two independent scores of √2 times the spread.
        let spread = if self.design.sharing == Sharing::Opposed { spread * std::f64::consts::SQRT_2 } else { spread };
        match self.design.link {
            Link::Identity => Scores::Normal(
                (0..arms.len())
                    .map(|i| {
                        let Prediction { mean, leverage } = predict(i);
                        NormalScore { mean, std: spread * leverage.sqrt() }
                    })
                    .collect(),
            ),
            Link::Logit => Scores::Logit(
                (0..arms.len())
                    .map(|i| {
                        let Prediction { mean, leverage } = predict(i);
                        let rate = expected_rate(mean, leverage);
                        LogitScore { log_odds: NormalScore { mean, std: spread * leverage.sqrt() }, rate }
                    })
                    .collect(),
            ),
        }
    }

    /// Factor of the posterior's standard deviation, over rows with this number of features.
    fn spread(&self, features: usize, scoring: Scoring<'_>) -> f64 {
        let balanced = if scoring.plain { 1.0 } else { self.design.link.balanced(features) };
        scoring.width * balanced * self.noise_variance().sqrt()
    }

    /// Cost of scoring `arms` candidates, multiplications.
    pub(super) fn cost(&self, arms: usize) -> u64 {
        let dim = u64::from(self.dim());
        if self.design.sharing == Sharing::Shared {
            return shared::DRAWS.0 * (arms as u64 * 40 + dim * dim / 2);
        }
        arms as u64 * (dim * dim / 2 + dim)
    }
}

#[cfg(test)]
mod tests;
