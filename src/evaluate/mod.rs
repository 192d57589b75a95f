//! Off-policy evaluation: values of policies, and their confidence intervals, from decisions with logged propensities.
//!
//! * [`off_policy`]: estimators of a policy's value from the weights and rewards of logged decisions.
//! * [`interval`]: confidence intervals of means of few or weighted rewards.
//! * [`tails`]: tail probabilities and quantiles of the distributions under intervals and tests.
//!
//! Invariant: every function is pure. The same terms give the same estimates.
//!
//! Deliberately not here: where logged decisions come from, and the policy that is evaluated.

pub mod interval;
pub mod off_policy;
pub mod tails;

use serde::{Deserialize, Serialize};

/// A number that is known up to chance, with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IntervalEstimate {
    /// The best guess. For a report over replications this is their mean, unless the field says otherwise.
    pub mean: f64,
    /// The standard error of the mean, or `None` if a single replication says nothing about the spread.
    pub standard_error: Option<f64>,
    /// The interval's lower end, or `None` without a spread.
    pub low: Option<f64>,
    /// The interval's upper end, or `None` without a spread.
    pub high: Option<f64>,
    /// The interval's confidence, 0 to 1.
    pub confidence: f64,
}
