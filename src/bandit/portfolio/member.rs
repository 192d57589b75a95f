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

/// No model falls further behind the best in log evidence, nats: so one whose time has come takes over within
/// tens of decisions, however long it was wrong.
pub(super) const GAP_MAX: f64 = 30.0;
/// A weight below this is not worth its cost in a decision, nor a challenger of its model.
pub(in crate::bandit) const NEGLIGIBLE: f64 = 0.01;

/// A model with its evidence. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::bandit) struct PortfolioMember {
    pub(in crate::bandit) spec: MemberSpec,
    /// The index of its feature_encoder.
    pub(in crate::bandit) feature_encoder: usize,
    pub(in crate::bandit) model: Model,
    /// Log evidence, nats, relative to the best: 0 or below.
    pub(super) evidence: f64,
    /// The takeover that put the model in its place; 0: none.
    pub(super) takeover: u32,
    /// The challenger that it was; 0: none.
    pub(super) was: u32,
}

impl PortfolioMember {
    /// Whether it has anything to say of a slot that learned of so many arms.
    pub(super) fn applies(&self, arms: usize) -> bool {
        match (&self.model, self.spec.design) {
            (_, Design::Linear(LinearDesign { sharing: Sharing::Opposed, .. })) if arms > 2 => false,
            (Model::Linear(linear), _) => linear.adds(),
            (Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. }, _) => true,
        }
    }

    /// Whether the model in its place was there, and is who expected what this receipt says.
    pub(super) fn expected(&self, receipt: &ObservationReceipt) -> bool {
        receipt.takeovers >= self.takeover
    }

    /// Whether the model in its place learned the observation of this receipt.
    pub(super) fn knows(&self, receipt: &ObservationReceipt) -> bool {
        self.expected(receipt) || (self.was > 0 && self.was == receipt.challenger)
    }

    /// What is left to its model of what `retained` is left of in the slot.
    pub(super) fn retained(&self, retained: f64) -> f64 {
        power(retained, self.spec.half_life_divisor).max(f64::MIN_POSITIVE)
    }
}

/// `ln Σ exp` of pairs of log weight and log score, over that of the weights alone; none of none.
pub(super) fn ln_mixture(parts: &[(f64, f64)]) -> Option<f64> {
    let ln_sum = |value: &dyn Fn(&(f64, f64)) -> f64| {
        let top = parts.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
        top + ln(parts.iter().map(|part| exp(value(part) - top)).sum::<f64>())
    };
    (!parts.is_empty()).then(|| ln_sum(&|(weight, score)| weight + score) - ln_sum(&|(weight, _)| *weight))
}
