//! Forecasts for a group of equal requests, before and after the change.

use super::{
    BeforeAfter,
    sums::{DecisionSum, DrawMean},
};
use crate::{engine::decide::forecast::RequestForecast, slot::ArmId, stats::math};

/// Forecast for a group of equal requests on one side of the change.
pub(super) struct SideForecast<'a> {
    /// Forecast of the answer to each request of the group.
    pub(super) forecast: RequestForecast<'a>,
    /// Probability of each request's subject to get the baseline.
    pub(super) control: Vec<f64>,
    /// Shows the policy's choice. `false` in shadow mode.
    pub(super) shows_policy: bool,
}

impl SideForecast<'_> {
    /// Returns the number of requests.
    pub(super) fn requests(&self) -> f64 {
        self.control.len() as f64
    }

    /// Returns the probability of each request to be shown the baseline.
    pub(super) fn baseline_shown(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.control.iter().map(|control| if self.shows_policy { *control } else { 1.0 })
    }

    /// Returns the mean expected reward of the slates that the policy draws.
    pub(super) fn policy_reward(&self) -> DrawMean {
        DrawMean::new(self.forecast.policy.iter().map(|slate| slate.expected_reward))
    }

    /// Returns the expected reward of each request.
    pub(super) fn rewards(&self) -> Vec<f64> {
        let policy = self.policy_reward().mean;
        let baseline = self.forecast.baseline.expected_reward;
        self.baseline_shown().map(|c| c * baseline + (1.0 - c) * policy).collect()
    }

    /// Returns the expected number of requests that are shown what the policy draws.
    pub(super) fn policy_shown(&self) -> f64 {
        self.baseline_shown().map(|c| 1.0 - c).sum()
    }

    /// Returns a sum over what the policy draws with the variance of the drawing.
    pub(super) fn with_draws(&self, sum: DecisionSum) -> DecisionSum {
        let (policy, variance) = (self.policy_shown(), self.policy_reward().variance);
        let squares: f64 = self.baseline_shown().map(|c| math::square(1.0 - c)).sum();
        // The square of a mean of draws is too large by the variance of that mean.
        DecisionSum { draw_variance: policy * policy * variance, squares: sum.squares - squares * variance, ..sum }
    }

    /// Returns the sum of the expected rewards.
    pub(super) fn reward_sum(&self) -> DecisionSum {
        self.with_draws(DecisionSum::of(self.rewards().into_iter()))
    }

    /// Returns each arm with its expected number of showings over all requests.
    pub(super) fn mean_showings(&self) -> impl Iterator<Item = (&ArmId, f64)> {
        let forecast = &self.forecast;
        let (base, policy): (f64, f64) = (self.baseline_shown().sum(), self.policy_shown());
        let draws = forecast.policy.len().max(1) as f64;
        let of_arms = forecast.baseline.showings.iter().enumerate().map(move |(at, &(candidate, shown))| {
            let drawn: f64 = forecast.policy.iter().map(|slate| slate.showings[at].1).sum();
            (forecast.arms[candidate], base * shown + policy * drawn / draws)
        });
        of_arms.chain(forecast.default_arm.map(|arm| (arm, self.requests())))
    }
}

/// Forecast for a group of equal requests on both sides of the change.
pub(super) type GroupForecast<'a> = BeforeAfter<SideForecast<'a>>;
