//! Limits on what all slots together remember.
//!
//! Each slot has limits of its own, but there may be thousands of slots. So the ledger, which sees every event in
//! journal order, also keeps horizons: the times since which the newest decisions and reward events of the whole
//! process arrived. Every slot forgets what is older. A slot's share thereby follows its traffic: a busy slot among
//! thousands of quiet ones remembers nearly as much as if it were alone, and the oldest items go first, in whichever
//! slot they are.
//!
//! Invariants:
//!
//! * The horizons follow from the journal alone, not from what slots hold. So the fold is the same for any number of
//!   workers.
//! * Whenever a horizon moves, every slot is swept, including those without traffic. So no total is exceeded by more
//!   than one step of events.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::slot::limits::{DECISIONS_TOTAL_MAX, DEFERRED_TOTAL_MAX, RECENT_TOTAL_MAX, REWARDS_TOTAL_MAX};

/// Number of events after which the horizons move.
const STEP: u64 = 4_096;

/// Class of an event, as far as the limits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventClass {
    /// A decision.
    Decision,
    /// A deferred decision.
    Deferred,
    /// A reward event, or a shopper event that may be one.
    Reward,
    /// Any other event.
    Other,
}

/// Times since which slots may remember items, microseconds since 1970, or 0 for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_field_names, reason = "the common ending is their unit")]
pub struct Horizons {
    /// Horizon of pending decisions.
    pub(super) decisions_us: i64,
    /// Horizon of repeatable requests and of exposure.
    pub(super) recent_us: i64,
    /// Horizon of event ids and of finished decisions.
    pub(super) rewards_us: i64,
    /// Horizon of deferred decisions.
    pub(super) deferred_us: i64,
}

/// Times of every 4,096th event of a kind, oldest first. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EventTimes {
    counted: u64,
    at_us: VecDeque<i64>,
}

impl EventTimes {
    /// Counts an event of a kind of which at most `total` are remembered. Returns `true` if the horizons moved.
    pub fn count(&mut self, at_us: i64, total: u64) -> bool {
        self.counted += 1;
        if !self.counted.is_multiple_of(STEP) {
            return false;
        }
        self.at_us.push_back(at_us);
        while self.at_us.len() as u64 > total / STEP {
            self.at_us.pop_front();
        }
        true
    }

    /// Returns the time since which the newest `total` events arrived, or 0 if there were fewer.
    pub fn since_us(&self, total: u64) -> i64 {
        let steps = usize::try_from(total / STEP).unwrap_or(usize::MAX);
        self.at_us.len().checked_sub(steps).and_then(|at| self.at_us.get(at)).copied().unwrap_or(0)
    }
}

/// Times of the newest events of all slots. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct RecentTimes {
    decisions: EventTimes,
    rewards: EventTimes,
    #[serde(default)]
    deferred: EventTimes,
}

impl RecentTimes {
    /// Number of times that the horizons may have moved.
    pub(super) fn steps(&self) -> u64 {
        self.decisions.counted / STEP + self.rewards.counted / STEP + self.deferred.counted / STEP
    }

    /// Counts an event. Returns the horizons by which every slot must be swept now, if they moved.
    pub(super) fn count(&mut self, at_us: i64, class: EventClass) -> Option<Horizons> {
        let moved = match class {
            EventClass::Decision => self.decisions.count(at_us, DECISIONS_TOTAL_MAX),
            EventClass::Deferred => self.deferred.count(at_us, DEFERRED_TOTAL_MAX),
            EventClass::Reward => self.rewards.count(at_us, REWARDS_TOTAL_MAX),
            EventClass::Other => false,
        };
        let horizons = Horizons {
            decisions_us: self.decisions.since_us(DECISIONS_TOTAL_MAX),
            recent_us: self.decisions.since_us(RECENT_TOTAL_MAX),
            rewards_us: self.rewards.since_us(REWARDS_TOTAL_MAX),
            deferred_us: self.deferred.since_us(DEFERRED_TOTAL_MAX),
        };
        (moved && horizons != Horizons::default()).then_some(horizons)
    }
}

/// Numbers of the items that a slot remembers, or has forgotten. *Persisted* where they cannot be counted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryCounts {
    /// Pending decisions.
    pub pending_decisions: u64,
    /// Finished decisions: those whose rewards may still be reversed.
    pub finished_decisions: u64,
    /// Ids of events that named no decision.
    pub event_ids: u64,
    /// Requests that may be repeated.
    pub requests: u64,
    /// Decisions that are remembered by subject, for stickiness and caps.
    pub exposures: u64,
    /// Learned decisions that are remembered by subject, for the subject limit.
    pub learned_subjects: u64,
    /// Sessions that came without a subject's id, for the group of a shopper who logs in.
    pub sessions: u64,
    /// Subjects that keep the group of such a session.
    pub logins: u64,
    /// Deferred decisions that may still be confirmed.
    #[serde(default)]
    pub deferred_decisions: u64,
}

impl MemoryCounts {
    /// Returns each number with its name.
    pub fn named(&self) -> [(&'static str, u64); 9] {
        let Self {
            pending_decisions,
            finished_decisions,
            event_ids,
            requests,
            exposures,
            learned_subjects,
            sessions,
            logins,
            deferred_decisions,
        } = *self;
        [
            ("pending_decisions", pending_decisions),
            ("finished_decisions", finished_decisions),
            ("event_ids", event_ids),
            ("requests", requests),
            ("exposures", exposures),
            ("learned_subjects", learned_subjects),
            ("sessions", sessions),
            ("logins", logins),
            ("deferred_decisions", deferred_decisions),
        ]
    }

    /// Returns the sums of both slots' numbers.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            pending_decisions: self.pending_decisions + other.pending_decisions,
            finished_decisions: self.finished_decisions + other.finished_decisions,
            event_ids: self.event_ids + other.event_ids,
            requests: self.requests + other.requests,
            exposures: self.exposures + other.exposures,
            learned_subjects: self.learned_subjects + other.learned_subjects,
            sessions: self.sessions + other.sessions,
            logins: self.logins + other.logins,
            deferred_decisions: self.deferred_decisions + other.deferred_decisions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_newest_events_is_known_to_a_step() {
        let mut times = EventTimes::default();
        let total = 10 * STEP;
        for n in 1..=25 * STEP {
            times.count(i64::try_from(n).unwrap(), total);
            let since = u64::try_from(times.since_us(total)).unwrap();
            let remembered = n - since;
            assert!(since == 0 || (total - STEP..total + STEP).contains(&remembered), "{n}: {remembered}");
            assert!(since > 0 || n < total + STEP, "{n}");
        }
        assert_eq!(times.at_us.len(), 10);
    }
}
