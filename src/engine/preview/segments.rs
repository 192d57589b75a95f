//! Effects of a change by the values of the context's features.

use std::collections::BTreeMap;

use super::{
    BeforeAfter, Estimate,
    sides::{GroupForecast, SideForecast},
    sums::DecisionSum,
};
use crate::{
    bandit::Features,
    engine::{slot_state::segment_label, view::SlotView},
    slot::ArmId,
};

/// Arms of a value that a preview names: those with the largest shares before or after.
const ARMS_MAX: usize = 3;
/// Decisions with a value from which on it is reported.
const DECISIONS_MIN: f64 = 30.0;

/// Effects of a change on the decisions with one value of a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewSegment {
    /// Name of the feature.
    pub feature: String,
    /// The value as text.
    pub value: String,
    /// Number of past decisions with the value.
    pub decisions: u64,
    /// Expected reward per decision, in the goal's units.
    pub expected_reward: BeforeAfter<Estimate>,
    /// Change of the expected reward.
    pub expected_reward_change: Estimate,
    /// Showings per decision of the three arms that have the most before or after the change.
    pub arms: Vec<(ArmId, BeforeAfter<f64>)>,
}

/// Sums by the values of the features that the slot follows.
#[derive(Debug, Clone, Default)]
pub(super) struct SegmentSums {
    /// Sums by feature and value. Only values that are followed have any.
    values: BTreeMap<(String, String), ValueSums>,
}

/// Sums over the decisions with one value.
#[derive(Debug, Clone, Default)]
struct ValueSums {
    decisions: f64,
    rewards: BeforeAfter<DecisionSum>,
    change: DecisionSum,
    arms: BTreeMap<ArmId, BeforeAfter<f64>>,
}

impl SegmentSums {
    /// Creates sums for the values that the slot follows.
    pub(super) fn new(view: &SlotView) -> Self {
        let features = view.evaluation.segments.features().iter();
        let values = features.flat_map(|feature| {
            let labels = feature.values.iter().filter_map(|value| value.label.clone());
            labels.map(|label| ((feature.name.clone(), label), ValueSums::default()))
        });
        Self { values: values.collect() }
    }

    /// Adds the forecasts for a group of requests with this context.
    pub(super) fn add(&mut self, group: &GroupForecast<'_>, context: &Features) {
        for (name, value) in context {
            let Some(label) = segment_label(value) else { continue };
            if let Some(sums) = self.values.get_mut(&(name.clone(), label.to_owned())) {
                sums.add(group);
            }
        }
    }

    /// Adds the sums of another part.
    pub(super) fn merge(&mut self, other: Self) {
        for (own, more) in self.values.values_mut().zip(other.values.into_values()) {
            own.decisions += more.decisions;
            own.rewards.before.add(more.rewards.before);
            own.rewards.after.add(more.rewards.after);
            own.change.add(more.change);
            for (arm, showings) in more.arms {
                let sums = own.arms.entry(arm).or_default();
                sums.before += showings.before;
                sums.after += showings.after;
            }
        }
    }

    /// Returns the effects for the values that enough decisions have.
    pub(super) fn segments(&self) -> Vec<PreviewSegment> {
        let enough = self.values.iter().filter(|(_, sums)| sums.decisions >= DECISIONS_MIN);
        enough.map(|((feature, value), sums)| sums.segment(feature.clone(), value.clone())).collect()
    }
}

impl ValueSums {
    fn add(&mut self, group: &GroupForecast<'_>) {
        let (before, after) = (group.before.rewards(), group.after.rewards());
        self.decisions += before.len() as f64;
        self.rewards.before.add(group.before.reward_sum());
        self.rewards.after.add(group.after.reward_sum());
        self.change.add(DecisionSum::of(after.iter().zip(&before).map(|(after, before)| after - before)));
        self.add_arms(&group.before, |sums| &mut sums.before);
        self.add_arms(&group.after, |sums| &mut sums.after);
    }

    fn add_arms(&mut self, side: &SideForecast<'_>, of: fn(&mut BeforeAfter<f64>) -> &mut f64) {
        for (arm, showings) in side.mean_showings() {
            if let Some(sums) = self.arms.get_mut(arm) {
                *of(sums) += showings;
            } else {
                *of(self.arms.entry(arm.clone()).or_default()) += showings;
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of at most 10,000")]
    fn segment(&self, feature: String, value: String) -> PreviewSegment {
        let per_decision = |of: &f64| of / self.decisions;
        let mut arms: Vec<(ArmId, BeforeAfter<f64>)> =
            self.arms.iter().map(|(arm, sums)| (arm.clone(), sums.map(per_decision))).collect();
        let most = |sums: &BeforeAfter<f64>| sums.before.max(sums.after);
        arms.sort_by(|a, b| most(&b.1).total_cmp(&most(&a.1)));
        arms.truncate(ARMS_MAX);
        PreviewSegment {
            feature,
            value,
            decisions: self.decisions as u64,
            expected_reward: self.rewards.map(|sum| sum.estimate(self.decisions)),
            expected_reward_change: self.change.estimate(self.decisions),
            arms,
        }
    }
}
