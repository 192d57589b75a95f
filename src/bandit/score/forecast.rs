//! Forecasts of single rewards, and their log scores.

use serde::{Deserialize, Serialize};

use crate::stats::math::{ln, logistic};

/// Least log score of a forecast, as one surprise must not decide which model is right.
const LN_SCORE_MIN: f64 = -14.0;

/// Greatest squared error that counts, in variances, as one surprise says little.
const ERROR_MAX: f64 = 25.0;

/// Forecast of a reward, for the model's evidence once the reward is known. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Probability of 1, or the mean, reward.
    pub(in crate::bandit) at: f64,
    /// Variance, reward², or `None` if `at` is a probability.
    pub(in crate::bandit) variance: Option<f64>,
}

/// Expectation of a reward.
#[derive(Debug, Clone, Copy)]
pub(in crate::bandit) struct Expectation {
    /// Forecast by the posterior mean.
    pub(in crate::bandit) mean: Forecast,
    /// Forecast by the posterior mean minus [`LEAST`] standard deviations, as optimism about a little-known arm is no
    /// promise.
    pub(in crate::bandit) least: Forecast,
}

/// Scale of a slot's rewards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::bandit) enum RewardScale {
    /// Rewards lie in [0, 1], and forecasts are rates.
    Unit,
    /// Rewards of any size. All models' forecasts have the same variance of a reward about its mean, reward², so that they
    /// are compared by their expectations and by how sure they are of them.
    Values(f64),
}

impl RewardScale {
    /// Common variance of a reward about its mean, or `None` for rates.
    pub(in crate::bandit) fn noise(self) -> Option<f64> {
        match self {
            Self::Unit => None,
            Self::Values(noise) => Some(noise),
        }
    }
}

/// Standard deviations by which [`Expectation::least`] lies below the mean.
pub(in crate::bandit) const LEAST: f64 = 2.0;

impl Forecast {
    /// Creates the forecast of a reward that is 1 with probability `p`. `unit` says that rewards are scored as rates.
    pub(in crate::bandit) fn rate(p: f64, unit: bool) -> Self {
        Self { at: p, variance: (!unit).then(|| (p * (1.0 - p)).max(f64::MIN_POSITIVE)) }
    }

    /// Creates the forecast of a normal reward.
    ///
    /// If rewards are 0 or 1 (`unit`), the probability of 1 is the normal's density at 1 divided by the sum of those at 0
    /// and 1, so that the forecast compares with models of rates.
    pub(in crate::bandit) fn normal(mean: f64, variance: f64, unit: bool) -> Self {
        if unit {
            Self { at: logistic((mean - 0.5) / variance), variance: None }
        } else {
            Self { at: mean, variance: Some(variance.max(f64::MIN_POSITIVE)) }
        }
    }

    /// Squared difference of the reward from its forecast, reward², at most [`ERROR_MAX`] of its variances. 0 for a rate.
    pub(in crate::bandit) fn squared_error(&self, y: f64) -> f64 {
        self.variance.map_or(0.0, |variance| ((y - self.at) * (y - self.at)).min(ERROR_MAX * variance))
    }

    /// Returns the forecast for a shopper who sees the arm with probability `weight`.
    pub(in crate::bandit) fn seen(self, weight: f64) -> Self {
        let at = if self.variance.is_none() { (self.at * weight).min(1.0 - f64::EPSILON) } else { self.at * weight };
        Self { at, variance: self.variance.map(|v| v * weight) }
    }

    /// Returns the mean of weighted forecasts with the mean of their variances, or `None` without forecasts.
    pub(in crate::bandit) fn mixture(parts: impl Iterator<Item = (f64, Self)>) -> Option<Self> {
        let (mut total, mut at, mut variance) = (0.0, 0.0, None);
        for (weight, forecast) in parts {
            total += weight;
            at += weight * forecast.at;
            variance = forecast.variance.map(|v| variance.unwrap_or(0.0) + weight * v);
        }
        (total > 0.0).then(|| Self { at: at / total, variance: variance.map(|v: f64| v / total) })
    }

    /// Returns the log likelihood ratio, in nats, of the reward `y` after a drop against the forecast.
    ///
    /// `drop` is the size of the drop, in log odds for rates and in standard deviations for other rewards. Forecast rates
    /// are limited to `max`.
    pub(in crate::bandit) fn ln_drop(&self, y: f64, drop: (f64, f64), max: f64) -> f64 {
        match self.variance {
            None => {
                let (before, y) = (self.at.clamp(f64::EPSILON, max), y.clamp(0.0, 1.0));
                let after = logistic(ln(before / (1.0 - before)) - drop.0);
                y * ln(after / before) + (1.0 - y) * ln((1.0 - after) / (1.0 - before))
            }
            Some(variance) => -drop.1 * (y - self.at) / variance.sqrt() - 0.5 * drop.1 * drop.1,
        }
    }

    /// Log predictive density of the reward `y`, in nats, up to a constant.
    pub(in crate::bandit) fn ln_score(&self, y: f64) -> f64 {
        match self.variance {
            None => {
                let (p, y) = (self.at, y.clamp(0.0, 1.0));
                let part = |share: f64, p: f64| if share > 0.0 { share * ln(p) } else { 0.0 };
                (part(y, p) + part(1.0 - y, 1.0 - p)).max(LN_SCORE_MIN)
            }
            Some(variance) => {
                let residual = y - self.at;
                (-0.5 * residual * residual / variance).max(LN_SCORE_MIN) - 0.5 * ln(variance)
            }
        }
    }
}
