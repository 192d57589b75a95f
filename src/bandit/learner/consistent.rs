//! Consistency of a learner that was read from outside.

use super::{ArmSummary, Learner};
use crate::{
    bandit::model::is_budget,
    stats::{Inconsistency, ensure},
};

/// Largest number of encoders, as each model can have one of its own.
const ENCODERS_MAX: usize = 64;

impl Learner {
    /// Checks that the learner may be the result of observations of at most this number of arms, up to the time `until_us`,
    /// microseconds since 1970. One that passes can decide and learn without any further check.
    ///
    /// # Errors
    ///
    /// Parts of the learner do not fit together, or numbers are out of their ranges.
    pub fn check_consistency(&self, arms: usize, until_us: i64) -> Result<(), Inconsistency> {
        ensure(self.feature_encoders.len() <= ENCODERS_MAX, "there are more encoders than models")?;
        for of_rows in &self.feature_encoders {
            ensure(is_budget(of_rows.budget), "an encoder has a budget that no model can have")?;
            of_rows.encoder.check_consistency(of_rows.budget)?;
        }
        self.portfolio.check_consistency(&self.feature_encoders, arms)?;
        ensure(self.arms.len() <= arms, "arms that have no name were learned")?;
        let times = 0..=until_us;
        let is_summary = |arm: &ArmSummary| arm.is_consistent() && times.contains(&arm.faded_at_us);
        ensure(self.arms.iter().all(is_summary), "the summary of an arm is no distribution")?;
        let cursor = self.cursor as usize;
        ensure(cursor < self.arms.len().max(1), "the arm that fades next is not there")?;
        // Rounding may take the weight of nothing below zero.
        let totals = self.weight > -1.0 && self.weight.is_finite() && self.within >= 0.0 && self.within.is_finite();
        ensure(totals && times.contains(&self.learned_at_us), "the total of the arms is no number")?;
        ensure(self.since_pooled <= 1 << 30, "the arms' priors were never estimated")
    }
}
