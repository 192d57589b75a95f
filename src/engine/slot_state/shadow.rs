//! Counts of what the policy would have shown in shadow mode.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{engine::decision_record::DecisionRecord, slot::ArmId};

/// Greatest number of arms that are counted one by one: the first ones that would have been shown.
const ARMS_MAX: usize = 64;

/// Counts of the first positions of shadow slates. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ShadowCounts {
    /// Number of decisions.
    pub decisions: u64,
    /// Number of those that showed what the policy would have shown.
    pub agreed: u64,
    /// Sum of the expected rewards of what the policy would have shown.
    pub expected: f64,
    /// Sum of the expected rewards of what was shown.
    pub shown_expected: f64,
    /// Number of decisions by the arm that the policy would have shown.
    pub arms: BTreeMap<ArmId, u64>,
}

impl ShadowCounts {
    /// Adds a decision, if it was made in shadow mode.
    pub(in crate::engine) fn add(&mut self, decided: &DecisionRecord) {
        let (Some(shadow), Some(shown)) = (decided.shadow_slate.first(), decided.chosen.first()) else { return };
        self.decisions += 1;
        self.agreed += u64::from(shadow.arm == shown.arm);
        self.expected += shadow.expected_reward;
        self.shown_expected += shown.expected_reward;
        if let Some(count) = self.arms.get_mut(&shadow.arm) {
            *count += 1;
        } else if self.arms.len() < ARMS_MAX {
            self.arms.insert(shadow.arm.clone(), 1);
        }
    }
}
