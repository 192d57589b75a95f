//! Models of a portfolio with their evidence.

use serde::{Deserialize, Serialize};

use super::observation::ObservationReceipt;
use crate::{
    bandit::{
        linear::{LinearDesign, Sharing},
        model::{Design, Model},
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
}

impl PortfolioMember {
    /// Returns whether the model can score the candidates of a slot that learned about `arms` arms.
    pub(super) fn applies(&self, arms: usize) -> bool {
        match (&self.model, self.spec.design) {
            (_, Design::Linear(LinearDesign { sharing: Sharing::Opposed, .. })) if arms > 2 => false,
            (Model::Linear(linear), _) => linear.adds(),
            (Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. }, _) => true,
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
        power(retained, self.spec.half_life_divisor).max(f64::MIN_POSITIVE)
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
