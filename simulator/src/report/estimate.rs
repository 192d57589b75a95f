//! Means with their standard errors.

use serde::{Deserialize, Serialize};

/// A point of a curve: a mean over replications.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The mean, or `None` if no decision of the kind fell into the bucket.
    pub mean: Option<f64>,
    /// Standard error of the mean, or `None` with fewer than two replications.
    pub standard_error: Option<f64>,
}
