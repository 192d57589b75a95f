//! Delays of rewards, and how long silence must last before it counts as the default reward.

use serde::{Deserialize, Serialize};

use crate::stats::QuantileSketch;

/// Share of all delays so far that must be shorter than a silence before it counts as the default reward.
const SILENCE_SHARE: f64 = 0.95;

/// Quantiles of the delays of a slot's rewards. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct DelayModel {
    /// Times from a decision to the first event that counts for an arm that it showed, microseconds.
    delays: QuantileSketch,
    /// Time of the newest decision that was ever rewarded, microseconds since 1970.
    watermark_us: i64,
    /// Times from a decision to the watermark at the moment its first event arrived, microseconds.
    lags: QuantileSketch,
}

impl Default for DelayModel {
    fn default() -> Self {
        Self { delays: QuantileSketch::new(), watermark_us: i64::MIN, lags: QuantileSketch::new() }
    }
}

impl DelayModel {
    /// Observes the first event, at `at_us`, of an arm that a decision at `decided_us` showed.
    pub(in crate::engine) fn observe(&mut self, at_us: i64, decided_us: i64) {
        self.delays.observe((at_us - decided_us) as f64);
        self.lags.observe(self.watermark_us.saturating_sub(decided_us).max(0) as f64);
        self.watermark_us = self.watermark_us.max(decided_us);
    }

    /// Time within which most rewards arrive, microseconds; at most the reward window.
    pub(in crate::engine) fn patience_us(&self, window_us: i64) -> i64 {
        most(&self.delays, window_us)
    }

    /// Returns the time before which decisions without events have been silent for long enough: longer than 95 % of
    /// all delays so far, or overtaken by rewards of later decisions by more than 95 % of all lags so far. Where rewards
    /// are reported in batches, a batch thereby ends the silence of all decisions that it covers.
    pub(in crate::engine) fn silent_before_us(&self, at_us: i64, window_us: i64) -> i64 {
        let by_delay_us = at_us.saturating_sub(most(&self.delays, window_us));
        by_delay_us.max(self.watermark_us.saturating_sub(most(&self.lags, window_us)))
    }
}

/// Returns the 95 % quantile of the sketch, at most the reward window, in microseconds. If the sketch is empty, returns
/// the window.
#[expect(clippy::cast_possible_truncation, reason = "a quantile of microseconds is one")]
fn most(sketch: &QuantileSketch, window_us: i64) -> i64 {
    sketch.quantile(SILENCE_SHARE).map_or(window_us, |us| (us.ceil() as i64).min(window_us))
}
