//! How long something takes, for people: the one place where a clock is read.
//!
//! Deliberately not here: time as a fact. In process that is virtual, see [`crate::learning::service`].

use std::time::{Duration, Instant};

/// Measures a duration.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    #[expect(clippy::disallowed_methods, reason = "a duration for people, not a fact")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since it began.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Seconds since it began.
    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
