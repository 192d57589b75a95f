//! Pace of a slot's decisions, by which a time can be given in decisions.

use serde::{Deserialize, Serialize};

/// Time over which the pace is measured, microseconds.
const SPAN_US: i64 = 1_000_000;
/// Precision of the time in a decision's id, microseconds.
const ID_TIME_US: i64 = 1_000;

/// Decisions per microsecond, lately. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(in crate::engine) struct DecisionPace {
    /// Time since which decisions are counted, microseconds since 1970, or 0 before the first.
    since_us: i64,
    decisions: u64,
    per_us: f64,
}

impl DecisionPace {
    /// Counts a decision.
    pub(in crate::engine) fn add(&mut self, at_us: i64) {
        if self.since_us == 0 {
            self.since_us = at_us;
        }
        self.decisions += 1;
        let span_us = at_us - self.since_us;
        if span_us >= SPAN_US {
            self.per_us = self.decisions as f64 / span_us as f64;
            (self.since_us, self.decisions) = (at_us, 0);
        }
    }

    /// Returns the number of decisions that were made while one waited this long from when it was made, as far as its id tells,
    /// until it was applied.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, at least 0")]
    pub(in crate::engine) fn made_while(&self, waited_us: i64) -> u64 {
        (self.per_us * (waited_us - ID_TIME_US).max(0) as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_given_in_decisions_of_the_last_second() {
        let mut pace = DecisionPace::default();
        assert_eq!(pace.made_while(5_000_000), 0);
        for i in 0..2_000 {
            pace.add(1_793_000_000_000_000 + 10_000 * i);
        }
        // A hundred a second, counted over a second and a hundredth.
        let made = pace.made_while(4_001_000);
        assert!((396..=404).contains(&made), "{made}");
        assert_eq!(pace.made_while(900), 0);
    }
}
