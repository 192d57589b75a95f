//! Rewards of the policy and of the holdout.

use serde::{Deserialize, Serialize};

use crate::{engine::pending::Treatment, stats::GroupedSample};

/// Rewards per decision of subjects that got the policy, and of those that got the baseline. *Persisted.*
///
/// Decisions are compared only with those made while the holdout had the same share. Otherwise a busy season with a
/// smaller holdout would count for the policy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HoldoutComparison {
    /// Share of the holdout, 0 to 1.
    pub share: f64,
    /// Number of the comparison, from 1.
    pub(super) number: u64,
    /// Rewards of decisions by the policy that it learned of.
    pub policy: GroupedSample,
    /// Rewards of decisions by the policy that it did not learn of.
    pub analysis: GroupedSample,
    /// Rewards of decisions by the baseline.
    pub holdout: GroupedSample,
}

impl HoldoutComparison {
    pub(super) fn sample(&mut self, treatment: Treatment) -> &mut GroupedSample {
        match treatment {
            Treatment::Policy => &mut self.policy,
            Treatment::Analysis => &mut self.analysis,
            Treatment::Holdout => &mut self.holdout,
        }
    }
}
