//! Models: posteriors of all arms of a slot, with a likelihood.

mod consistent;

pub(super) use consistent::is_budget;

use serde::{Deserialize, Serialize};

use super::{
    encoder::{EncodedRow, Encoder},
    hurdle::Hurdle,
    linear::{Linear, LinearDesign, PooledRewards, Scoring},
    score::{Expectation, Forecast, LEAST, RewardScale, Scores},
};
use crate::stats::{Beta, BetaScore, NormalInverseGamma, SparseVector, StudentScore, WinnerCache};

/// Model with all its parameters, as a slot's [`ModelSpec`](super::ModelSpec) gives it once the goal is known.
/// *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Design {
    /// Reward that is linear in the features.
    Linear(LinearDesign),
    /// Rate per arm, without features.
    BetaBernoulli {
        /// Parameter a of the prior.
        prior_a: f64,
        /// Parameter b of the prior.
        prior_b: f64,
    },
    /// Rate of rewards above zero, by a linear model of log odds, times their value.
    Hurdle(LinearDesign),
    /// Mean and noise variance per arm, without features.
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

/// Posteriors of all arms of a slot. An arm beyond the stored ones has its prior. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Model {
    /// See [`Linear`].
    Linear(Linear),
    /// See [`Beta`].
    BetaBernoulli {
        /// Prior of every arm.
        prior: Beta,
        /// Posteriors, one per arm.
        arms: Vec<Beta>,
        /// Cache of the winner probabilities of their scores.
        #[serde(skip)]
        cache: WinnerCache<BetaScore>,
    },
    /// See [`Hurdle`].
    Hurdle(Hurdle),
    /// See [`NormalInverseGamma`].
    NormalInverseGamma {
        /// Prior of every arm.
        prior: NormalInverseGamma,
        /// Posteriors, one per arm.
        arms: Vec<NormalInverseGamma>,
        /// Cache of the winner probabilities of their scores.
        #[serde(skip)]
        cache: WinnerCache<StudentScore>,
    },
}

/// Reward of an observation.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeenReward {
    /// Reward of the arm.
    pub(super) y: f64,
    /// Probability that the arm was seen, in units of the first position's; see
    /// [`ClickModel::weights`](super::ClickModel::weights).
    pub(super) weight: f64,
    /// Number of equal observations that `y` and `weight` are the sums of.
    pub(super) count: f64,
    /// Scale of the rewards.
    pub(super) scale: RewardScale,
}

/// Change of an observation's reward.
#[derive(Debug, Clone, Copy)]
pub(super) struct RewardRevision {
    /// Reward before the change.
    pub(super) y: f64,
    /// Difference that the change adds to the reward.
    pub(super) delta: f64,
    /// Weight of the observation when it was learned.
    pub(super) weight: f64,
    /// Fraction of the observation that fading has left, (0, 1].
    pub(super) retained: f64,
}

/// Clamps a reward to [0, 1], as a [`Beta`] learns it.
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
    /// Creates the model with its prior.
    pub fn new(design: Design) -> Self {
        match design {
            Design::Linear(design) => Self::Linear(Linear::new(design)),
            Design::BetaBernoulli { prior_a, prior_b } => Self::BetaBernoulli {
                prior: Beta::new(prior_a, prior_b),
                arms: Vec::new(),
                cache: WinnerCache::default(),
            },
            Design::Hurdle(design) => Self::Hurdle(Hurdle::new(Linear::new(design))),
            Design::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
                let prior = NormalInverseGamma::new(prior_mean, prior_strength, prior_shape, prior_scale);
                Self::NormalInverseGamma { prior, arms: Vec::new(), cache: WinnerCache::default() }
            }
        }
    }

    /// The model's row of features, or an empty row if the model has none.
    pub(super) fn expand(&self, encoder: &Encoder, row: &EncodedRow) -> SparseVector {
        match self {
            Self::Linear(linear) => linear.expand(encoder, row),
            Self::Hurdle(hurdle) => hurdle.rate().expand(encoder, row),
            Self::BetaBernoulli { .. } | Self::NormalInverseGamma { .. } => SparseVector::default(),
        }
    }

    /// Returns whether the scores depend on features.
    pub(super) fn has_features(&self) -> bool {
        self.linear().is_some()
    }

    /// Linear part of the model, or `None` if it has none.
    pub(super) fn linear(&self) -> Option<&Linear> {
        match self {
            Self::Linear(linear) => Some(linear),
            Self::Hurdle(hurdle) => Some(hurdle.rate()),
            Self::BetaBernoulli { .. } | Self::NormalInverseGamma { .. } => None,
        }
    }

    /// Linear part of the model, or `None` if it has none.
    pub(super) fn linear_mut(&mut self) -> Option<&mut Linear> {
        match self {
            Self::Linear(linear) => Some(linear),
            Self::Hurdle(hurdle) => Some(hurdle.rate_mut()),
            Self::BetaBernoulli { .. } | Self::NormalInverseGamma { .. } => None,
        }
    }

    /// Returns a copy of a linear model with all arms at their prior, and of any other model as it is.
    pub(super) fn without_posteriors(&self) -> Self {
        match self {
            Self::Linear(linear) => Self::Linear(linear.without_posteriors()),
            other @ (Self::Hurdle(_) | Self::BetaBernoulli { .. } | Self::NormalInverseGamma { .. }) => other.clone(),
        }
    }

    /// Returns the model's expectation of the arm's reward at `x`.
    pub(super) fn expect(&self, arm: u32, x: &SparseVector, scale: RewardScale) -> Expectation {
        let unit = scale == RewardScale::Unit;
        match self {
            Self::Linear(linear) => linear.expect(arm, x, scale),
            Self::BetaBernoulli { prior, arms, .. } => {
                let posterior = arms.get(arm as usize).unwrap_or(prior);
                let (mean, std) = (posterior.mean(), posterior.variance().sqrt());
                let of = |rate: f64| Forecast::rate(rate.max(0.0), unit);
                Expectation { mean: of(mean), least: of(mean - LEAST * std) }
            }
            Self::Hurdle(hurdle) => {
                let (mean, std) = hurdle.expect(arm, x);
                let noise = scale.noise().unwrap_or(1.0);
                let of = |mean: f64| Forecast::normal(mean, noise + std * std, unit);
                Expectation { mean: of(mean), least: of((mean - LEAST * std).max(0.0)) }
            }
            Self::NormalInverseGamma { prior, arms, .. } => {
                let posterior = arms.get(arm as usize).unwrap_or(prior);
                let variance = match scale.noise() {
                    Some(noise) => noise * (1.0 + 1.0 / posterior.strength()),
                    None => posterior.predictive_variance(),
                };
                let of = |mean| Forecast::normal(mean, variance, unit);
                Expectation { mean: of(posterior.mean()), least: of(posterior.mean() - LEAST * posterior.spread()) }
            }
        }
    }

    /// Gives the arms the prior that level and spread of all arms make; see [`Linear::follow`].
    pub(super) fn follow(&mut self, pooled: &PooledRewards) {
        match self {
            Self::Linear(linear) => linear.follow(pooled),
            Self::Hurdle(hurdle) => hurdle.follow(),
            Self::BetaBernoulli { .. } | Self::NormalInverseGamma { .. } => {}
        }
    }

    /// Learns the arm's reward at `x`. Returns the model's expectation from before.
    pub(super) fn learn(&mut self, arm: u32, x: &SparseVector, reward: SeenReward) -> Expectation {
        if let Self::Linear(linear) = self {
            return linear.learn(arm, x, reward);
        }
        let SeenReward { y, weight, scale, count: _ } = reward;
        let before = self.expect(arm, x, scale);
        match self {
            Self::Linear(_) => {}
            Self::Hurdle(hurdle) => hurdle.observe(arm, x, y, weight),
            Self::BetaBernoulli { prior, arms, .. } => entry(arms, *prior, arm).observe_part(weight, unit(y)),
            Self::NormalInverseGamma { prior, arms, .. } => entry(arms, *prior, arm).observe_part(weight, y / weight),
        }
        before
    }

    /// Revises the reward of an observation.
    pub(super) fn revise(&mut self, arm: u32, x: &SparseVector, revision: RewardRevision) {
        let RewardRevision { y, delta, weight, retained } = revision;
        match self {
            Self::Linear(linear) => linear.revise(arm, x, revision),
            Self::Hurdle(hurdle) => hurdle.revise(arm, x, revision),
            Self::BetaBernoulli { prior, arms, .. } => {
                entry(arms, *prior, arm).revise(retained, unit(y + delta) - unit(y));
            }
            Self::NormalInverseGamma { prior, arms, .. } => {
                entry(arms, *prior, arm).revise(retained * weight, y / weight, delta / weight);
            }
        }
    }

    /// Lets the arm's observations fade to `retained` of their weight, which was the fraction `portion` of the slot's.
    pub(super) fn forget(&mut self, arm: u32, retained: f64, portion: f64) {
        match self {
            Self::Linear(linear) => linear.forget(arm, retained, portion),
            Self::Hurdle(hurdle) => hurdle.forget(arm, retained, portion),
            Self::BetaBernoulli { arms, .. } => {
                arms.iter_mut().skip(arm as usize).take(1).for_each(|posterior| posterior.forget(retained));
            }
            Self::NormalInverseGamma { arms, .. } => {
                arms.iter_mut().skip(arm as usize).take(1).for_each(|posterior| posterior.forget(retained));
            }
        }
    }

    /// Returns one score per arm, with its spread multiplied by the width. An unknown arm has the prior's score.
    ///
    /// `rows` holds one row for all arms or one row for each, and no row if the model uses no features.
    pub fn scores(&self, arms: &[Option<u32>], rows: &[SparseVector], scoring: Scoring<'_>) -> Scores {
        let width = scoring.width;
        match self {
            Self::Linear(linear) => linear.scores(arms, rows, scoring),
            Self::Hurdle(hurdle) => hurdle.scores(arms, rows, scoring),
            Self::BetaBernoulli { prior, arms: posteriors, cache } => {
                let of = |arm: &Option<u32>| arm.and_then(|a| posteriors.get(a as usize)).unwrap_or(prior);
                Scores::Beta {
                    scores: cache.scores(arms.len(), |i, known| BetaScore::known_or_new(of(&arms[i]), width, known)),
                    cache: cache.clone(),
                }
            }
            Self::NormalInverseGamma { prior, arms: posteriors, cache } => {
                let of = |arm: &Option<u32>| arm.and_then(|a| posteriors.get(a as usize)).unwrap_or(prior);
                let score = |p: &NormalInverseGamma, known: Option<&StudentScore>| {
                    StudentScore::known_or_new(p.mean(), width * p.spread(), p.degrees(), known)
                };
                Scores::Student {
                    scores: cache.scores(arms.len(), |i, known| score(of(&arms[i]), known)),
                    cache: cache.clone(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
