//! Numbers that are known up to chance.

use serde::{Deserialize, Serialize};

/// A number with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The best guess: a mean over replications, unless its field says otherwise.
    pub mean: f64,
    /// Its standard error; none: one replication tells nothing of the spread.
    pub standard_error: Option<f64>,
    /// The interval's lower end; none without a spread.
    pub low: Option<f64>,
    /// The interval's upper end.
    pub high: Option<f64>,
    /// The interval's confidence, 0 to 1.
    pub confidence: f64,
}

/// A point of a curve: a mean over replications.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The mean; none: no decision of the kind fell into the bucket.
    pub mean: Option<f64>,
    /// Its standard error; none with fewer than two replications.
    pub standard_error: Option<f64>,
}
