//! Check of the holdout's realised share against the one that is set.

use crate::{
    engine::view::SlotView,
    stats::{AssignedCounts, ratio_p_value},
};

/// p-value below which the shares do not fit, however often one looks.
const MISMATCH: f64 = 0.001;

/// Realised share of the holdout against the one that is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatioCheck {
    /// Share of subjects that is set.
    pub set: f64,
    /// Share of decisions that was realised.
    pub realised: f64,
    /// p-value of "subjects are assigned with the share that is set", which holds however often one looks.
    pub p_value: f64,
}

impl RatioCheck {
    /// Returns whether decisions or events of one of the groups must be missing.
    pub fn is_mismatch(&self) -> bool {
        self.p_value < MISMATCH
    }
}

/// Checks the decisions that were made while the holdout had its present share.
pub(super) fn ratio_check(view: &SlotView) -> Option<RatioCheck> {
    let set = view.definition.controls.control_share();
    let comparison = view.evaluation.comparison(set)?;
    let policy = comparison.policy.with(&comparison.analysis);
    let all = policy.with(&comparison.holdout);
    let mut groups: Vec<AssignedCounts> =
        all.groups().iter().map(|of| AssignedCounts { all: of.count, assigned: 0.0 }).collect();
    for (group, of) in groups.iter_mut().zip(comparison.holdout.groups()) {
        group.assigned = of.count;
    }
    let p_value = ratio_p_value(&groups, set)?;
    let realised = comparison.holdout.sample.count as f64 / all.sample.count as f64;
    Some(RatioCheck { set, realised, p_value })
}
