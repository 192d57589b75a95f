//! Summary of an arm's rewards without their contexts.

use serde::{Deserialize, Serialize};

use super::model::RewardRevision;
use crate::stats::{
    Beta, Interval, NormalInverseGamma, RewardInterval, RewardSums, math, rate_interval, reward_interval,
};

/// Summary of an arm's rewards without their contexts. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// Sum of the rewards.
    pub reward_sum: f64,
    /// Posterior of the mean reward, for rewards in [0, 1].
    pub rate: Beta,
    /// Posterior of the mean reward, for any rewards.
    pub value: NormalInverseGamma,
    /// Sums from which the interval of the mean reward follows, or `None` in a snapshot that was written without them.
    #[serde(default)]
    pub(super) sums: Option<RewardSums>,
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
            sums: Some(RewardSums::default()),
            faded_at_us: at_us,
            ln_retained: 0.0,
        }
    }

    /// Returns whether the summary may be that of a stream of rewards.
    pub(super) fn is_consistent(&self) -> bool {
        self.reward_sum.is_finite()
            && self.rate.is_consistent()
            && self.value.is_consistent()
            && self.ln_retained <= 0.0
            && self.ln_retained.is_finite()
    }

    /// Weight of the observations that is not forgotten.
    pub fn weight(&self) -> f64 {
        self.rate.weight()
    }

    /// Interval of the mean of rewards in [0, 1].
    pub fn rate_interval(&self) -> Interval {
        let weight = self.weight();
        let showings = self.sums.as_ref().map_or(weight, RewardSums::showings);
        // The sums are worth fewer showings than were made; each of those counts with the mean of all.
        let share = if weight > 0.0 { (self.rate.successes() / weight).clamp(0.0, 1.0) } else { 0.0 };
        rate_interval(share * showings, showings)
    }

    /// Interval of the mean of any rewards.
    pub fn reward_interval(&self) -> RewardInterval {
        reward_interval(&self.sums.unwrap_or_default())
    }

    /// Returns the summary of fewer independent showings that say as much, by this factor: the design effect of subjects who come
    /// back.
    #[must_use]
    pub fn thinned(mut self, design_effect: f64) -> Self {
        if design_effect <= 1.0 {
            return self;
        }
        self.rate.forget(1.0 / design_effect);
        self.value.forget(1.0 / design_effect);
        self.sums = self.sums.map(|sums| sums.thinned(design_effect));
        self
    }

    pub(super) fn observe(&mut self, y: f64, weight: f64) {
        self.reward_sum += y;
        self.rate.observe_part(weight, y.clamp(0.0, 1.0));
        self.value.observe_part(weight, y / weight);
        if let Some(sums) = &mut self.sums {
            sums.observe(weight, y);
        }
    }

    pub(super) fn revise(&mut self, revision: RewardRevision) {
        let RewardRevision { y, delta, weight, retained } = revision;
        self.reward_sum += delta;
        self.rate.revise(retained, (y + delta).clamp(0.0, 1.0) - y.clamp(0.0, 1.0));
        self.value.revise(retained * weight, y / weight, delta / weight);
        if let Some(sums) = &mut self.sums {
            sums.revise(retained, y, delta);
        }
    }

    pub(super) fn forget(&mut self, at_us: i64, retained: f64) {
        self.faded_at_us = at_us;
        self.ln_retained += math::ln(retained);
        self.rate.forget(retained);
        self.value.forget(retained);
        if let Some(sums) = &mut self.sums {
            sums.forget(retained);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A summary from before the sums has the interval of its rate, and too few rewards for one of money, for ever.
    #[test]
    fn a_summary_from_before_the_sums_stays_without_them() {
        let mut old = serde_json::to_value(ArmSummary::default()).unwrap();
        old.as_object_mut().unwrap().remove("sums");
        let mut summary: ArmSummary = serde_json::from_value(old).unwrap();
        for i in 0..200_u32 {
            summary.observe(f64::from(i % 2), 1.0);
        }
        summary.revise(RewardRevision { y: 1.0, delta: -1.0, weight: 1.0, retained: 1.0 });
        assert!(matches!(summary.reward_interval(), RewardInterval::TooFew { .. }));
        assert_eq!(summary.rate_interval(), rate_interval(99.0, 200.0));
    }

    /// Observations that fade by a half-life count in part, and the interval is that of as many unfaded showings as
    /// have the same variance.
    #[test]
    fn faded_rates_have_the_interval_of_the_showings_that_they_are_worth() {
        let mut summary = ArmSummary::default();
        for i in 0..4_000_u32 {
            summary.observe(f64::from(u8::from(i % 10 == 0)), 1.0);
            summary.forget(i64::from(i), 0.995);
        }
        let Interval { low, high } = summary.rate_interval();
        // Σρ is 199, and twice that the number of showings.
        let want = rate_interval(2.0 * summary.rate.successes(), 2.0 * summary.weight());
        assert!((low - want.low).abs() < 1e-9 && (high - want.high).abs() < 1e-9, "{low} {high} {want:?}");
        assert!((summary.weight() - 199.0).abs() < 1e-3, "{}", summary.weight());
    }
}
