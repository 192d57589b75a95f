//! Rewards against what the model expected of them.

use serde::{Deserialize, Serialize};

/// Number of decisions over which calibration is averaged, roughly.
const CALIBRATION_DECISIONS: f64 = 2_000.0;

/// Rewards of the first position against what the model expected, over the last two thousand decisions or so. *Persisted.*
///
/// A decision counts once, when its silence is learned or would be, with the reward that it has then. So decisions with and without a
/// reward count in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RewardCalibration {
    /// Number of decisions, with exponential decay.
    pub decisions: f64,
    /// Sum of the expected rewards, with the same decay.
    pub expected: f64,
    /// Sum of the differences of reward and expectation.
    pub residual: f64,
    /// Sum of the squares of these differences.
    pub squares: f64,
}

impl RewardCalibration {
    pub(super) fn add(&mut self, expected: f64, reward: f64) {
        let kept = 1.0 - 1.0 / CALIBRATION_DECISIONS;
        let residual = reward - expected;
        for (sum, more) in [
            (&mut self.decisions, 1.0),
            (&mut self.expected, expected),
            (&mut self.residual, residual),
            (&mut self.squares, residual * residual),
        ] {
            *sum = kept * *sum + more;
        }
    }
}
