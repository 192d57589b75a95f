//! One check and what came of it.

use serde::{Deserialize, Serialize};

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// It holds, with the confidence that was asked for.
    Pass,
    /// It does not, with the same confidence.
    Fail,
    /// Chance could explain either.
    Inconclusive,
    /// It cannot be measured here (latency in process).
    Skipped,
}

/// One check and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The check's own name, or one made of its parts: "lift of default over uniform ≥ 0.1".
    pub name: String,
    /// The metric, as the scenario writes it.
    pub metric: String,
    /// The policy it is about.
    pub policy: String,
    /// The policy it is compared with.
    pub over: Option<String>,
    /// The lower bound that was asked for.
    pub min: Option<f64>,
    /// The upper bound that was asked for.
    pub max: Option<f64>,
    /// How sure the outcome has to be, 0 to 1.
    pub confidence: f64,
    /// What came of it.
    pub outcome: CheckOutcome,
    /// What was measured; none: it was not.
    pub estimate: Option<f64>,
    /// The interval's lower end, at the check's own confidence before Holm's correction; none: no spread is known.
    pub low: Option<f64>,
    /// The interval's upper end.
    pub high: Option<f64>,
    /// How likely what was measured is, or what speaks even more against it, if the truth were on the other side of
    /// the bound: one-sided, before Holm's correction.
    pub p_value: Option<f64>,
    /// The same after Holm's correction over all checks of the run; the outcome is decided by it.
    pub p_adjusted: Option<f64>,
    /// Where inconclusive: with so many replications it would be told with probability 0.8, if the truth is what was
    /// measured. None: no number would do, or it is told already.
    pub replications_needed: Option<u64>,
    /// What came of it, as one sentence.
    pub sentence: String,
}
