//! Page's test: whether rewards stay far below what was expected of them.

use serde::{Deserialize, Serialize};

use super::super::score::Forecast;

/// A change of the world is told from chance once it is so much likelier, nats.
const ALARM: f64 = 10.0;
/// The change that is watched for: the odds of a reward fall to e⁻³ of what the models expect; or the reward by one
/// standard deviation, where it is no rate. Models are overconfident, by less than that.
const DROP: (f64, f64) = (3.0, 1.0);
/// A rate is never taken to have been expected to be greater: nothing is that certain.
const EXPECTED_MAX: f64 = 0.97;
/// Observations before models are held to what they expect.
const CALIBRATED: u64 = 200;

/// Watches the rewards for a change of the world. *Persisted.*
///
/// # Source
///
/// Page, "Continuous Inspection Schemes" (1954), §2.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct ChangeDetector {
    /// Page's statistic, nats: how much likelier a drop of the rewards is than none.
    pub(super) alarm: f64,
    /// How many observations it has met.
    observations: u64,
}

impl ChangeDetector {
    /// Meets an observation, which it is told of or not.
    pub(super) fn count_observation(&mut self) {
        self.observations += 1;
    }

    /// Whether the reward `y`, of which at least this was expected, raises the alarm.
    pub(super) fn observe(&mut self, expected: Forecast, y: f64) -> bool {
        if self.observations < CALIBRATED {
            return false;
        }
        self.alarm = (self.alarm + expected.ln_drop(y, DROP, EXPECTED_MAX)).max(0.0);
        self.alarm >= ALARM
    }
}
