//! Numbers that are known up to chance.

use serde::{Deserialize, Serialize};

/// A point of a curve: a mean over replications.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The mean; none: no decision of the kind fell into the bucket.
    pub mean: Option<f64>,
    /// Its standard error; none with fewer than two replications.
    pub standard_error: Option<f64>,
}
