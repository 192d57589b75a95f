//! Counts of the calls of one method: answers, their latencies, and failures by name.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::{CreationError, Histogram};
use serde::Serialize;

/// Longest latency that is recorded exactly, to three digits. It is longer than a call may take.
const LATENCY_US_MAX: u64 = 60_000_000;
const DIGITS: u8 = 3;

/// Failures by name: a gRPC code, a status of a reward event, or a word of the simulator.
pub type Failures = BTreeMap<String, u64>;

/// Latencies in microseconds, from the due time of a request to its answer, or 0 without any answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latencies {
    /// The median.
    pub p50_us: u64,
    /// The 99th percentile.
    pub p99_us: u64,
    /// The 99.9th percentile.
    pub p999_us: u64,
    /// The longest latency.
    pub max_us: u64,
}

/// Summary of the calls of a method over some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallSummary {
    /// Number of successful calls.
    pub answered: u64,
    /// Latencies of the successful calls.
    pub latencies: Latencies,
    /// All other calls.
    pub failures: Failures,
}

impl CallSummary {
    /// Returns the number of failed calls.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// Running counts of latencies and failures.
#[derive(Debug, Clone, PartialEq)]
pub struct CallCounts {
    latencies: Histogram<u64>,
    failures: Failures,
}

impl CallCounts {
    /// Returns empty counts.
    pub fn new() -> Result<Self, CreationError> {
        let latencies = Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS)?;
        Ok(Self { latencies, failures: Failures::new() })
    }

    /// Counts a successful call.
    pub fn answered(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(us.max(1));
    }

    /// Counts a failed call.
    pub fn failed(&mut self, why: &str) {
        *self.failures.entry(why.to_owned()).or_default() += 1;
    }

    /// Returns the number of latencies.
    pub fn count(&self) -> u64 {
        self.latencies.len()
    }

    /// Returns the quantile of the latencies at `part`, microseconds, or 0 without any.
    pub fn quantile_us(&self, part: f64) -> u64 {
        self.latencies.value_at_quantile(part)
    }

    /// Returns the longest latency, microseconds.
    pub fn max_us(&self) -> u64 {
        self.latencies.max()
    }

    /// Returns the failures by name.
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Adds the counts of another instance.
    pub fn add(&mut self, other: &Self) {
        // Histograms of the same bounds can always be added.
        let _ = self.latencies.add(&other.latencies);
        for (why, count) in &other.failures {
            *self.failures.entry(why.clone()).or_default() += count;
        }
    }

    fn calls(&self) -> CallSummary {
        let latencies = Latencies {
            p50_us: self.quantile_us(0.5),
            p99_us: self.quantile_us(0.99),
            p999_us: self.quantile_us(0.999),
            max_us: self.max_us(),
        };
        CallSummary { answered: self.count(), latencies, failures: self.failures.clone() }
    }

    /// Moves all counts into `all`.
    fn drain_into(&mut self, all: &mut Self) {
        all.add(self);
        self.latencies.reset();
        self.failures.clear();
    }
}

/// Counts of the calls of a method that several tasks share.
#[derive(Debug)]
pub struct CallTally(Mutex<CallWindows>);

#[derive(Debug)]
struct CallWindows {
    /// Counts since the last look.
    recent: CallCounts,
    /// Counts before the last look.
    before: CallCounts,
}

impl CallTally {
    /// Returns empty counts.
    pub fn new() -> Result<Self, CreationError> {
        Ok(Self(Mutex::new(CallWindows { recent: CallCounts::new()?, before: CallCounts::new()? })))
    }

    fn counts<T>(&self, with: impl FnOnce(&mut CallWindows) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a successful call.
    pub fn answered(&self, latency: Duration) {
        self.counts(|counts| counts.recent.answered(latency));
    }

    /// Counts a failed call.
    pub fn failed(&self, why: &str) {
        self.counts(|counts| counts.recent.failed(why));
    }

    /// Returns the counts since the last look.
    pub fn look(&self) -> CallSummary {
        self.counts(|CallWindows { recent, before }| {
            let calls = recent.calls();
            recent.drain_into(before);
            calls
        })
    }

    /// Returns all counts since the start.
    pub fn all(&self) -> CallSummary {
        self.counts(|CallWindows { recent, before }| {
            recent.drain_into(before);
            before.calls()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The latencies are 1 to 1000 ms, and the 500th, 990th, 999th and last latency are expected; three digits are within 1 in 1000.
    #[test]
    fn quantiles_are_those_of_the_answers_since_the_last_look() {
        let tally = CallTally::new().unwrap();
        (1..=1000).for_each(|ms| tally.answered(Duration::from_millis(ms)));
        tally.failed("UNAVAILABLE");
        let CallSummary { answered, latencies, failures } = tally.look();
        assert_eq!((answered, failures), (1000, [("UNAVAILABLE".to_owned(), 1)].into()));
        let close = |us: u64, ms: u64| us.abs_diff(ms * 1000) <= ms;
        assert!(close(latencies.p50_us, 500) && close(latencies.p99_us, 990), "{latencies:?}");
        assert!(close(latencies.p999_us, 999) && close(latencies.max_us, 1000), "{latencies:?}");
        let none = tally.look();
        assert_eq!((none.answered, none.failed(), none.latencies.p50_us), (0, 0, 0));
    }

    #[test]
    fn the_total_is_the_sum_of_all_looks_and_later_calls() {
        let tally = CallTally::new().unwrap();
        tally.answered(Duration::from_hours(1));
        tally.failed("SHED");
        tally.look();
        tally.answered(Duration::ZERO);
        tally.failed("SHED");
        tally.failed("NOT_FOUND");
        let all = tally.all();
        assert_eq!((all.answered, all.failed(), all.failures["SHED"]), (2, 3, 2));
        assert_eq!(all.latencies.p50_us, 1, "a clock may be coarser than an answer is fast");
        assert!(all.latencies.max_us >= LATENCY_US_MAX, "beyond the bound is at the bound");
        assert_eq!(tally.all(), all);
    }
}
