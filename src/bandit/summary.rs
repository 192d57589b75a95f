//! Summary of an arm's rewards without their contexts.

use serde::{Deserialize, Serialize};

use super::model::RewardRevision;
use crate::stats::{Beta, NormalInverseGamma, math};

/// Summary of an arm's rewards without their contexts. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// Sum of the rewards.
    pub reward_sum: f64,
    /// Posterior of the mean reward, for rewards in [0, 1].
    pub rate: Beta,
    /// Posterior of the mean reward, for any rewards.
    pub value: NormalInverseGamma,
    /// Time of the last fading, microseconds since 1970.
    pub(super) faded_at_us: i64,
    /// Logarithm of the product of all fading so far.
    pub(super) ln_retained: f64,
}

impl Default for ArmSummary {
    /// Returns the summary of an arm that was never shown: a flat prior over rates and a weak one over values.
    fn default() -> Self {
        Self::new(0)
    }
}

impl ArmSummary {
    pub(super) fn new(at_us: i64) -> Self {
        Self {
            reward_sum: 0.0,
            rate: Beta::new(1.0, 1.0),
            value: NormalInverseGamma::new(0.0, 0.1, 1.0, 0.25),
            faded_at_us: at_us,
            ln_retained: 0.0,
        }
    }

    /// Weight of the observations that is not forgotten.
    pub fn weight(&self) -> f64 {
        self.rate.weight()
    }

    pub(super) fn observe(&mut self, y: f64, weight: f64) {
        self.reward_sum += y;
        self.rate.observe_part(weight, y.clamp(0.0, 1.0));
        self.value.observe_part(weight, y / weight);
    }

    pub(super) fn revise(&mut self, revision: RewardRevision) {
        let RewardRevision { y, delta, weight, retained } = revision;
        self.reward_sum += delta;
        self.rate.revise(retained, (y + delta).clamp(0.0, 1.0) - y.clamp(0.0, 1.0));
        self.value.revise(retained * weight, y / weight, delta / weight);
    }

    pub(super) fn forget(&mut self, at_us: i64, retained: f64) {
        self.faded_at_us = at_us;
        self.ln_retained += math::ln(retained);
        self.rate.forget(retained);
        self.value.forget(retained);
    }
}
