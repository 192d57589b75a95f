//! Arms that were never shown, so that what they earn is unknown.

use crate::{engine::view::SlotView, slot::ArmId, stats::RewardInterval};

/// Part of the expected reward that rests on arms which were never shown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UnknownReward {
    /// Part of what is shown that is such arms.
    pub share: f64,
    /// Expected reward if they earn nothing, and if they earn as much as the best known arm may; `None` if there are none.
    pub range: Option<(f64, f64)>,
}

impl UnknownReward {
    /// Returns how an expected reward rests on arms that were never shown, where `share` of what is shown is such arms and the others
    /// earn `known`.
    pub(super) fn new(view: &SlotView, share: f64, known: f64) -> Self {
        if share <= 0.0 {
            return Self::default();
        }
        let least = view.definition.goal.default_reward;
        Self { share, range: Some((known + share * least, known + share * most_possible(view).max(least))) }
    }
}

/// Returns whether an arm was ever shown.
pub(super) fn was_shown(view: &SlotView, arm: &ArmId) -> bool {
    let learned = view.arms.learned(arm.as_str());
    learned.and_then(|arm| view.arm_counters.get(arm as usize)).is_some_and(|counters| counters.shown > 0)
}

/// Returns the mean reward that the best arm may have: the largest upper end of the known arms' intervals, or 1 for rates of which no
/// arm is known.
fn most_possible(view: &SlotView) -> f64 {
    let goal = &view.definition.goal;
    let names = view.arms.names().iter();
    let known = names.filter(|arm| was_shown(view, arm)).filter_map(|arm| {
        let summary = view.learner.summary(view.arms.learned(arm.as_str())?)?;
        if goal.within_unit() {
            return Some(summary.rate_interval().high);
        }
        match summary.reward_interval() {
            RewardInterval::Known(interval) => Some(interval.high),
            RewardInterval::TooFew { .. } => Some(summary.value.mean()),
        }
    });
    let most = known.fold(f64::NEG_INFINITY, f64::max);
    if most.is_finite() {
        most
    } else if goal.within_unit() {
        1.0
    } else {
        goal.default_reward
    }
}
