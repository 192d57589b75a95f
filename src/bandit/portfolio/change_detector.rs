//! Page's test for rewards that stay far below their expectation.

use serde::{Deserialize, Serialize};

use super::super::score::Forecast;

/// Log likelihood ratio, in nats, at which the detector raises an alarm.
const ALARM: f64 = 10.0;
/// Drop that the detector tests for: the odds of a reward fall to e⁻³ of what the models expect, or a reward that is no
/// rate falls by one standard deviation. Models are overconfident, but by less than that.
const DROP: (f64, f64) = (3.0, 1.0);
/// Greatest expected rate that the detector assumes, as no reward is that certain.
const EXPECTED_MAX: f64 = 0.97;
/// Number of observations before the detector compares rewards with expectations.
const CALIBRATED: u64 = 200;

/// Detector of abrupt drops of the rewards. *Persisted.*
///
/// # Source
///
/// Page, "Continuous Inspection Schemes" (1954), §2.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct ChangeDetector {
    /// Page's statistic, nats: the log likelihood ratio of a drop of the rewards against none.
    pub(super) alarm: f64,
    /// Number of observations so far.
    observations: u64,
}

impl ChangeDetector {
    /// Returns whether the detector may have seen a stream of rewards.
    pub(super) fn is_consistent(&self) -> bool {
        self.alarm >= 0.0 && self.alarm.is_finite() && self.observations <= 1 << 60
    }

    /// Counts an observation, whether or not its reward is tested.
    pub(super) fn count_observation(&mut self) {
        self.observations += 1;
    }

    /// Tests the reward `y` against the least expectation of the models. Returns whether it raises the alarm.
    pub(super) fn observe(&mut self, expected: Forecast, y: f64) -> bool {
        if self.observations < CALIBRATED {
            return false;
        }
        self.alarm = (self.alarm + expected.ln_drop(y, DROP, EXPECTED_MAX)).max(0.0);
        self.alarm >= ALARM
    }

    /// Revises the reward `y` of an observation by `delta`. Only a reward that was better than what was tested counts, because a
    /// reward that is taken back later is no drop.
    pub(super) fn revise(&mut self, expected: Forecast, y: f64, delta: f64) {
        let ln_drop = |y| expected.ln_drop(y, DROP, EXPECTED_MAX);
        self.alarm = (self.alarm + (ln_drop(y + delta) - ln_drop(y)).min(0.0)).max(0.0);
    }
}
