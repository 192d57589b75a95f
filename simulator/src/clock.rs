//! Measured durations, for people. Only this module reads a clock.
//!
//! Deliberately not here: time that decisions depend on. In this process that time is virtual, see
//! [`crate::learning::service`].

use std::time::{Duration, Instant};

/// Measures a duration.
#[derive(Debug, Clone, Copy)]
pub struct RunStopwatch(Instant);

impl RunStopwatch {
    /// Starts a stopwatch.
    #[expect(clippy::disallowed_methods, reason = "a duration for people, not a fact")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the duration since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Returns the seconds since the start.
    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
