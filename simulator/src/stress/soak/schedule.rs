//! Due times: decisions at a planned rate, and the clicks that follow from answers.
//!
//! Invariant: the speed of answers moves no decision.
//!
//! Deliberately not here: the clock. Times count from the start of the run, and `now` is an argument.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::Duration,
};

use slotwise::environment::SplitMix64;

use super::shop::Click;

/// A due request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DueRequest {
    /// The decision with this number.
    Decision(u64),
    /// A click of the decision with this number.
    Click(u64, Click),
}

/// Due time of a click, the number of its decision, and the click. The earliest is the smallest.
#[derive(Debug, PartialEq, Eq)]
struct PendingClick(Duration, u64, Click);

impl Ord for PendingClick {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl PartialOrd for PendingClick {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Due times of decisions and clicks.
///
/// Decision k comes at a random point of [k, k + 1) / rate. Every second therefore has as many decisions as the rate
/// says, and they are not in step with anything that the server does at regular times.
#[derive(Debug)]
pub struct RequestSchedule {
    rate: f64,
    decisions: u64,
    /// Time and number of the next decision, or `None` after the last.
    next: Option<(Duration, u64)>,
    random: SplitMix64,
    clicks: BinaryHeap<Reverse<PendingClick>>,
}

impl RequestSchedule {
    /// Schedules `rate` decisions per second, above 0, for `duration`, and at least one.
    pub fn new(rate: f64, duration: Duration) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1; saturates")]
        let decisions = (rate * duration.as_secs_f64()).round().max(1.0) as u64;
        // Any seed is good enough.
        let mut schedule = Self { rate, decisions, next: None, random: SplitMix64::new(0), clicks: BinaryHeap::new() };
        schedule.next = schedule.decision(0);
        schedule
    }

    fn decision(&mut self, k: u64) -> Option<(Duration, u64)> {
        let at_s = (k as f64 + self.random.fraction()) / self.rate;
        // A time beyond the range of a duration never comes.
        (k < self.decisions).then(|| (Duration::try_from_secs_f64(at_s).unwrap_or(Duration::MAX), k))
    }

    /// Number of planned decisions.
    pub fn decisions(&self) -> u64 {
        self.decisions
    }

    /// Adds a click of decision `k` that is due at `at`.
    pub fn add(&mut self, at: Duration, k: u64, click: Click) {
        self.clicks.push(Reverse(PendingClick(at, k, click)));
    }

    /// The time at which the next request is due, or `None` if there is none.
    pub fn next_at(&self) -> Option<Duration> {
        let click = self.clicks.peek().map(|Reverse(PendingClick(at, ..))| *at);
        let decision = self.next.map(|(at, _)| at);
        match (decision, click) {
            (Some(decision), Some(click)) => Some(decision.min(click)),
            (decision, click) => decision.or(click),
        }
    }

    /// Removes the next request if it is due by `now`, and returns it with its due time.
    pub fn take_due(&mut self, now: Duration) -> Option<(Duration, DueRequest)> {
        let at = self.next_at().filter(|at| *at <= now)?;
        if let Some((decision_at, k)) = self.next
            && decision_at == at
        {
            self.next = self.decision(k + 1);
            return Some((at, DueRequest::Decision(k)));
        }
        self.clicks.pop().map(|Reverse(PendingClick(at, k, click))| (at, DueRequest::Click(k, click)))
    }

    /// Drops every request that was not taken yet.
    pub fn clear(&mut self) {
        self.next = None;
        self.clicks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn click(decision: &str) -> Click {
        Click { decision: decision.to_owned(), after: Duration::ZERO }
    }

    #[test]
    fn each_decision_comes_in_an_interval_of_its_own() {
        let mut schedule = RequestSchedule::new(250.0, Duration::from_secs(4));
        let mut taken = Vec::new();
        while let Some((at, due)) = schedule.take_due(Duration::MAX) {
            taken.push((at.as_secs_f64() * 250.0, due));
        }
        assert_eq!((taken.len(), schedule.decisions()), (1000, 1000));
        for (k, (at, due)) in taken.iter().enumerate() {
            assert_eq!(*due, DueRequest::Decision(k as u64));
            assert!((k as f64..k as f64 + 1.0 + 1e-6).contains(at), "{k}: {at}");
        }
        assert!(schedule.next_at().is_none());
        assert_eq!(RequestSchedule::new(0.1, Duration::from_secs(1)).decisions(), 1, "never none at all");
    }

    #[test]
    fn clicks_and_decisions_come_in_the_order_of_their_times() {
        let mut schedule = RequestSchedule::new(1.0, Duration::from_secs(3));
        let at = Duration::from_millis;
        schedule.add(at(2500), 1, click("late"));
        schedule.add(at(0), 2, click("early"));
        schedule.add(at(9000), 3, click("last"));
        let taken: Vec<(Duration, DueRequest)> = std::iter::from_fn(|| schedule.take_due(Duration::MAX)).collect();
        assert!(taken.is_sorted_by_key(|(at, _)| *at) && taken.len() == 6, "{taken:?}");
        assert_eq!(taken[0], (at(0), DueRequest::Click(2, click("early"))));
        assert_eq!(taken[5], (at(9000), DueRequest::Click(3, click("last"))));
    }

    #[test]
    fn nothing_is_taken_before_it_is_due() {
        let mut schedule = RequestSchedule::new(1.0, Duration::from_secs(1));
        let due = schedule.next_at().unwrap();
        assert_eq!(schedule.take_due(due.saturating_sub(Duration::from_nanos(1))), None);
        schedule.add(due + Duration::from_secs(5), 0, click("a"));
        assert_eq!(schedule.take_due(due), Some((due, DueRequest::Decision(0))));
        assert_eq!(schedule.take_due(due), None);
        schedule.clear();
        assert_eq!(schedule.take_due(Duration::MAX), None);
    }
}
