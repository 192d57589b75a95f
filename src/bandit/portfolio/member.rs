//! Models of a portfolio with their evidence.

use serde::{Deserialize, Serialize};

use super::observation::ObservationReceipt;
use crate::{
    bandit::{
        linear::{Linear, LinearDesign, Sharing},
        model::{Design, Model},
        score::Forecast,
        spec::MemberSpec,
    },
    stats::math::{exp, ln, power},
};

/// Greatest distance of a model from the best in log evidence, nats. It lets a model that becomes right take over within
/// tens of decisions, however long it was wrong.
pub(super) const GAP_MAX: f64 = 30.0;
/// Weight below which a model is not worth its cost in a decision, nor a challenger of its own.
pub(in crate::bandit) const NEGLIGIBLE: f64 = 0.01;

/// Model of a portfolio with its evidence. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::bandit) struct PortfolioMember {
    pub(in crate::bandit) spec: MemberSpec,
    /// Index of the model's feature encoder.
    pub(in crate::bandit) feature_encoder: usize,
    pub(in crate::bandit) model: Model,
    /// Log evidence relative to the best model, nats, 0 or below.
    pub(super) evidence: f64,
    /// Number of the takeover that put the model in its place, or 0 if it is the original.
    pub(super) takeover: u32,
    /// Id of the challenger that the model belonged to, or 0 if none.
    pub(super) was: u32,
    /// Squared error of its forecasts.
    #[serde(default)]
    pub(super) error: SquaredError,
    /// Log evidence that the model won against the heaviest one over the last few hundred observations, nats.
    #[serde(default)]
    pub(super) ground: f64,
    /// Says that this is a copy for decisions, which the model has no part in, without its posteriors.
    #[serde(skip)]
    pub(super) withheld: bool,
}

/// Number of observations over which a model's ground is counted.
pub(super) const GROUND: f64 = 300.0;

/// Mean squared error of a model's forecasts of rewards that are no rates. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct SquaredError {
    weight: f64,
    sum: f64,
}

/// Number of forecasts that the variance about the arms' means counts as in the variance of the errors.
const ERROR_GUESS: f64 = 10.0;

impl SquaredError {
    /// Returns whether the error may be that of a stream of forecasts.
    pub(super) fn is_consistent(&self) -> bool {
        [self.weight, self.sum].iter().all(|sum| *sum >= 0.0 && sum.is_finite())
    }

    /// Adds the error of a forecast of the reward `y` for this number of observations.
    pub(super) fn observe(&mut self, y: f64, forecast: Forecast, copies: f64) {
        self.weight += copies;
        self.sum += copies * forecast.squared_error(y);
    }

    /// Replaces the error for the reward `y` by that for `y + delta`, where fading has left `retained` of it.
    pub(super) fn revise(&mut self, retained: f64, forecast: &Forecast, y: f64, delta: f64) {
        self.sum += retained * (forecast.squared_error(y + delta) - forecast.squared_error(y));
        self.sum = self.sum.max(0.0);
    }

    /// Variance of the errors, reward², where `guess` is the variance of a reward about its arm's mean.
    pub(super) fn variance(&self, guess: f64) -> f64 {
        (ERROR_GUESS * guess + self.sum) / (ERROR_GUESS + self.weight)
    }

    pub(super) fn fade(&mut self, retained: f64) {
        self.weight *= retained;
        self.sum *= retained;
    }
}

impl PortfolioMember {
    /// Returns whether the model can score the candidates of a slot that learned about `arms` arms.
    pub(super) fn applies(&self, arms: usize) -> bool {
        match (&self.model, self.spec.design) {
            (_, Design::Linear(LinearDesign { sharing: Sharing::Opposed, .. })) if arms > 2 => false,
            (model, _) => model.linear().is_none_or(Linear::adds),
        }
    }

    /// Returns whether the model made the forecast of this receipt.
    pub(super) fn expected(&self, receipt: &ObservationReceipt) -> bool {
        receipt.takeovers >= self.takeover
    }

    /// Returns whether the model learned the observation of this receipt.
    pub(super) fn knows(&self, receipt: &ObservationReceipt) -> bool {
        self.expected(receipt) || (self.was > 0 && self.was == receipt.challenger)
    }

    /// Fraction that the model retains of an observation of which the slot retains `retained`.
    pub(super) fn retained(&self, retained: f64) -> f64 {
        let faster = power(retained, self.spec.half_life_divisor).max(f64::MIN_POSITIVE);
        if self.spec.half_life_factor > 1 { exp(ln(faster) / f64::from(self.spec.half_life_factor)) } else { faster }
    }
}

/// Returns `ln Σ exp` over pairs of log weight and log score, minus that of the weights alone, or `None` without pairs.
pub(super) fn ln_mixture(parts: &[(f64, f64)]) -> Option<f64> {
    let ln_sum = |value: &dyn Fn(&(f64, f64)) -> f64| {
        let top = parts.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
        top + ln(parts.iter().map(|part| exp(value(part) - top)).sum::<f64>())
    };
    (!parts.is_empty()).then(|| ln_sum(&|(weight, score)| weight + score) - ln_sum(&|(weight, _)| *weight))
}
