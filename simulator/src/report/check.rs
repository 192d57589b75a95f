//! A check of a scenario and its result.

use serde::{Deserialize, Serialize};

/// Outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// The check holds with the required confidence.
    Pass,
    /// The check fails with the required confidence.
    Fail,
    /// Chance could explain either outcome.
    Inconclusive,
    /// The metric cannot be measured in this run (latency in process).
    Skipped,
}

/// Report of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Name of the check: its own, or one made of its parts, such as "lift of default over uniform ≥ 0.1".
    pub name: String,
    /// Metric, as the scenario writes it.
    pub metric: String,
    /// Policy that the check is about.
    pub policy: String,
    /// Policy that it is compared with.
    pub over: Option<String>,
    /// Lower bound that the check requires.
    pub min: Option<f64>,
    /// Upper bound that the check requires.
    pub max: Option<f64>,
    /// Confidence that the outcome requires, from 0 to 1.
    pub confidence: f64,
    /// Outcome of the check.
    pub outcome: CheckOutcome,
    /// Measured value, or `None` if nothing was measured.
    pub estimate: Option<f64>,
    /// Lower end of the interval, at the check's own confidence before Holm's correction, or `None` if the spread is
    /// unknown.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
    /// Probability of the measured value, or of one that speaks even more against the check's side, if the truth were
    /// on the other side of the bound. It is one-sided, before Holm's correction.
    pub p_value: Option<f64>,
    /// The p-value after Holm's correction over all checks of the run, which decides the outcome.
    pub p_adjusted: Option<f64>,
    /// Number of replications that would decide an inconclusive check with probability 0.8, if the measured value is
    /// the truth. It is `None` if no number would, or if the check is decided already.
    pub replications_needed: Option<u64>,
    /// The result as one sentence.
    pub sentence: String,
}
