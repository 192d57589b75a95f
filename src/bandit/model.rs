//! A posterior per arm with its likelihood.

use serde::{Deserialize, Serialize};

use super::linear::Linear;
use crate::stats::{Beta, BetaScore, NormalInverseGamma, NormalScore, SparseVector, StudentScore, Winners};

/// Which model, with all its parameters. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum ModelSpec {
    /// Linear in the context, one posterior per arm.
    Linear {
        /// λ, the precision of the weights' prior in units of the noise.
        prior_precision: f64,
        /// Dimensions at most.
        dimension_budget: u32,
    },
    /// No features, rewards in [0, 1].
    BetaBernoulli {
        /// a of the prior.
        prior_a: f64,
        /// b of the prior.
        prior_b: f64,
    },
    /// No features, any reward.
    NormalInverseGamma {
        /// m, reward.
        prior_mean: f64,
        /// κ, observations.
        prior_strength: f64,
        /// a.
        prior_shape: f64,
        /// b, reward².
        prior_scale: f64,
    },
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self::linear(None, None)
    }
}

impl ModelSpec {
    /// λ where none is given: a weight is thought to be about as large as the noise.
    pub const PRIOR_PRECISION: f64 = 1.0;
    /// Dimensions where no budget is given: 263 kB per arm.
    pub const DIMENSION_BUDGET: u32 = 256;

    /// The linear model; what is not given has its default.
    pub fn linear(prior_precision: Option<f64>, dimension_budget: Option<u32>) -> Self {
        Self::Linear {
            prior_precision: prior_precision.unwrap_or(Self::PRIOR_PRECISION),
            dimension_budget: dimension_budget.unwrap_or(Self::DIMENSION_BUDGET),
        }
    }

    /// Beta–Bernoulli; without a prior, the flat one.
    pub fn beta_bernoulli(prior_a: Option<f64>, prior_b: Option<f64>) -> Self {
        Self::BetaBernoulli { prior_a: prior_a.unwrap_or(1.0), prior_b: prior_b.unwrap_or(1.0) }
    }

    /// Normal-inverse-gamma; without a prior, one that a few observations outweigh.
    pub fn normal_inverse_gamma(
        mean: Option<f64>,
        strength: Option<f64>,
        shape: Option<f64>,
        scale: Option<f64>,
    ) -> Self {
        Self::NormalInverseGamma {
            prior_mean: mean.unwrap_or(0.0),
            prior_strength: strength.unwrap_or(0.1),
            prior_shape: shape.unwrap_or(1.0),
            prior_scale: scale.unwrap_or(1.0),
        }
    }

    /// Its name in answers and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "linear",
            Self::BetaBernoulli { .. } => "beta_bernoulli",
            Self::NormalInverseGamma { .. } => "normal_inverse_gamma",
        }
    }
}

/// Posteriors for all arms of a slot; an arm beyond those stored has its prior. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Model {
    /// See [`Linear`].
    Linear(Linear),
    /// See [`Beta`].
    BetaBernoulli {
        /// What an arm starts from.
        prior: Beta,
        /// One per arm.
        arms: Vec<Beta>,
    },
    /// See [`NormalInverseGamma`].
    NormalInverseGamma {
        /// What an arm starts from.
        prior: NormalInverseGamma,
        /// One per arm.
        arms: Vec<NormalInverseGamma>,
    },
}

/// What a [`Beta`] learns of a reward.
fn unit(y: f64) -> f64 {
    y.clamp(0.0, 1.0)
}

fn entry<T: Copy>(arms: &mut Vec<T>, prior: T, arm: u32) -> &mut T {
    let arm = arm as usize;
    if arms.len() <= arm {
        arms.resize(arm + 1, prior);
    }
    &mut arms[arm]
}

impl Model {
    /// The prior.
    pub fn new(spec: ModelSpec) -> Self {
        match spec {
            ModelSpec::Linear { prior_precision, dimension_budget } => {
                Self::Linear(Linear::new(prior_precision, dimension_budget))
            }
            ModelSpec::BetaBernoulli { prior_a, prior_b } => {
                Self::BetaBernoulli { prior: Beta::new(prior_a, prior_b), arms: Vec::new() }
            }
            ModelSpec::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
                let prior = NormalInverseGamma::new(prior_mean, prior_strength, prior_shape, prior_scale);
                Self::NormalInverseGamma { prior, arms: Vec::new() }
            }
        }
    }

    /// The arm was shown at `x`, with reward `y`.
    pub(super) fn observe(&mut self, arm: u32, x: &SparseVector, y: f64) {
        match self {
            Self::Linear(linear) => linear.observe(arm, x, y),
            Self::BetaBernoulli { prior, arms } => entry(arms, *prior, arm).observe(unit(y)),
            Self::NormalInverseGamma { prior, arms } => entry(arms, *prior, arm).observe(y),
        }
    }

    /// The reward of an observation that has `weight` left changed by `delta` from `y`.
    pub(super) fn revise(&mut self, arm: u32, x: &SparseVector, weight: f64, y: f64, delta: f64) {
        match self {
            Self::Linear(linear) => linear.revise(arm, x, weight, y, delta),
            Self::BetaBernoulli { prior, arms } => {
                entry(arms, *prior, arm).revise(weight, unit(y + delta) - unit(y));
            }
            Self::NormalInverseGamma { prior, arms } => entry(arms, *prior, arm).revise(weight, y, delta),
        }
    }

    /// The arm's observations fade to `retained` of their weight, which was `portion` of the slot's.
    pub(super) fn forget(&mut self, arm: u32, retained: f64, portion: f64) {
        match self {
            Self::Linear(linear) => linear.forget(arm, retained, portion),
            Self::BetaBernoulli { arms, .. } => {
                arms.iter_mut().skip(arm as usize).take(1).for_each(|posterior| posterior.forget(retained));
            }
            Self::NormalInverseGamma { arms, .. } => {
                arms.iter_mut().skip(arm as usize).take(1).for_each(|posterior| posterior.forget(retained));
            }
        }
    }

    /// One score per arm (an unknown arm has the prior's), spread times `width` ≥ 0.
    ///
    /// `rows` holds one row for all arms, or one row for each.
    pub fn scores(&self, arms: &[Option<u32>], rows: &[SparseVector], width: f64) -> Scores {
        match self {
            Self::Linear(linear) => linear.scores(arms, rows, width),
            Self::BetaBernoulli { prior, arms: posteriors } => {
                let find = |arm: &Option<u32>| *arm.and_then(|a| posteriors.get(a as usize)).unwrap_or(prior);
                let posteriors: Vec<Beta> = arms.iter().map(find).collect();
                Scores::Beta {
                    means: posteriors.iter().map(Beta::mean).collect(),
                    stds: posteriors.iter().map(|p| width * p.variance().sqrt()).collect(),
                    scores: posteriors.iter().map(|p| BetaScore::new(p, width)).collect(),
                }
            }
            Self::NormalInverseGamma { prior, arms: posteriors } => {
                let find = |arm: &Option<u32>| *arm.and_then(|a| posteriors.get(a as usize)).unwrap_or(prior);
                let posteriors: Vec<NormalInverseGamma> = arms.iter().map(find).collect();
                Scores::Student {
                    means: posteriors.iter().map(NormalInverseGamma::mean).collect(),
                    stds: posteriors.iter().map(|p| width * p.spread()).collect(),
                    scores: posteriors
                        .iter()
                        .map(|p| StudentScore::new(p.mean(), width * p.spread(), p.degrees()))
                        .collect(),
                }
            }
        }
    }
}

/// What a model says of the candidates of one decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Scores {
    /// Normal scores.
    Normal(Vec<NormalScore>),
    /// Beta scores, compared as log odds.
    Beta {
        /// Means, as rewards.
        means: Vec<f64>,
        /// Standard deviations, as rewards.
        stds: Vec<f64>,
        /// The scores.
        scores: Vec<BetaScore>,
    },
    /// Student t scores.
    Student {
        /// Means, as rewards.
        means: Vec<f64>,
        /// Scales, as rewards.
        stds: Vec<f64>,
        /// The scores.
        scores: Vec<StudentScore>,
    },
}

impl Scores {
    /// Number of candidates.
    pub fn len(&self) -> usize {
        match self {
            Self::Normal(scores) => scores.len(),
            Self::Beta { means, .. } | Self::Student { means, .. } => means.len(),
        }
    }

    /// No candidates.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The expected reward of candidate `i`.
    pub fn mean(&self, i: usize) -> f64 {
        match self {
            Self::Normal(scores) => scores[i].mean,
            Self::Beta { means, .. } | Self::Student { means, .. } => means[i],
        }
    }

    /// The standard deviation of that expectation, after the width multiplier.
    pub fn std(&self, i: usize) -> f64 {
        match self {
            Self::Normal(scores) => scores[i].std,
            Self::Beta { stds, .. } | Self::Student { stds, .. } => stds[i],
        }
    }

    /// Whether every number can be used.
    pub fn finite(&self) -> bool {
        (0..self.len()).all(|i| self.mean(i).is_finite() && self.std(i).is_finite())
    }

    /// The grid on which the first `places` are decided; only for scores that are [`finite`](Self::finite).
    pub(super) fn winners(&self, among: &[usize], places: usize) -> Winners {
        fn pick<M: Copy>(scores: &[M], among: &[usize]) -> Vec<M> {
            among.iter().map(|&i| scores[i]).collect()
        }
        match self {
            Self::Normal(scores) => Winners::new(&pick(scores, among), places),
            Self::Beta { scores, .. } => Winners::new(&pick(scores, among), places),
            Self::Student { scores, .. } => Winners::new(&pick(scores, among), places),
        }
    }
}
