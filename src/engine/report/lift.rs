//! Comparison of decisions by the policy with those of the holdout.

use super::part_of;
use crate::stats::{GroupedSample, Interval, RewardSample, mean_difference};

/// Rewards per decision of a group of decisions, compared with those of the holdout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lift {
    /// Number of the group's decisions.
    pub decisions: u64,
    /// Mean reward of the group.
    pub mean: f64,
    /// Number of the holdout's decisions.
    pub holdout_decisions: u64,
    /// Mean reward of the holdout.
    pub holdout_mean: f64,
    /// Mean reward of the group less that of the holdout.
    pub difference: f64,
    /// Interval that holds the true difference at all times at once with probability 95 %, however often one looks.
    /// `None` if there were too few rewards.
    pub interval: Option<(f64, f64)>,
    /// Difference as a part of the holdout's mean, or `None` if that mean is 0.
    pub relative: Option<f64>,
}

/// Range of the rewards that a lift compares, and the reward of a decision without events.
#[derive(Debug, Clone, Copy)]
pub(super) struct RewardRange {
    /// All rewards of a decision add up to a number from 0 to 1.
    pub(super) within_unit: bool,
    /// Reward of a decision without events.
    pub(super) default_reward: f64,
}

impl Lift {
    /// Compares a group with the holdout, by intervals that widen for subjects who come back. Returns `None` if either has no
    /// decision yet.
    pub(super) fn new(group: &GroupedSample, holdout: &GroupedSample, range: RewardRange, alpha: f64) -> Option<Self> {
        let effective = (group.effective(), holdout.effective());
        Self::of_samples((&group.sample, &holdout.sample), (&effective.0, &effective.1), range, alpha)
    }

    /// Compares two samples, by the intervals of two others that have as many rewards as say as much.
    pub(super) fn of_samples(
        (group, holdout): (&RewardSample, &RewardSample),
        effective: (&RewardSample, &RewardSample),
        range: RewardRange,
        alpha: f64,
    ) -> Option<Self> {
        if group.count == 0 || holdout.count == 0 {
            return None;
        }
        let difference = group.mean() - holdout.mean();
        let interval = mean_difference(effective.0, effective.1, range.within_unit, range.default_reward, alpha);
        Some(Self {
            decisions: group.count,
            mean: group.mean(),
            holdout_decisions: holdout.count,
            holdout_mean: holdout.mean(),
            difference,
            interval: interval.map(|Interval { low, high }| (low, high)),
            relative: part_of(difference, holdout.mean()),
        })
    }
}
