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

use super::{closed::Told, packed, state::SlotState};
use crate::slot::limits::{DECISIONS_TOTAL_MAX, RECENT_TOTAL_MAX, REQUEST_MEMORY_US, REWARDS_TOTAL_MAX};

/// Number of events after which the horizons move.
const STEP: u64 = 4_096;

/// Kind of an event, as far as the limits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// A decision.
    Decision,
    /// A reward event.
    Reward,
    /// Any other event.
    Other,
}

impl Traffic {
    /// Returns the kind for an event's kind in the journal.
    pub fn of_kind(kind: &str) -> Self {
        match kind {
            "decided" => Self::Decision,
            "rewarded" => Self::Reward,
            _ => Self::Other,
        }
    }
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
}

/// Times of every 4,096th event of a kind, oldest first. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Times {
    count: u64,
    at_us: VecDeque<i64>,
}

impl Times {
    /// Counts an event of a kind of which at most `total` are remembered. Returns `true` if the horizons moved.
    pub fn pass(&mut self, at_us: i64, total: u64) -> bool {
        self.count += 1;
        if !self.count.is_multiple_of(STEP) {
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
pub(super) struct Totals {
    decisions: Times,
    rewards: Times,
}

impl Totals {
    /// Number of times that the horizons may have moved.
    pub(super) fn steps(&self) -> u64 {
        self.decisions.count / STEP + self.rewards.count / STEP
    }

    /// Counts an event. Returns the horizons by which every slot must be swept now, if they moved.
    pub(super) fn pass(&mut self, at_us: i64, traffic: Traffic) -> Option<Horizons> {
        let moved = match traffic {
            Traffic::Decision => self.decisions.pass(at_us, DECISIONS_TOTAL_MAX),
            Traffic::Reward => self.rewards.pass(at_us, REWARDS_TOTAL_MAX),
            Traffic::Other => false,
        };
        let horizons = Horizons {
            decisions_us: self.decisions.since_us(DECISIONS_TOTAL_MAX),
            recent_us: self.decisions.since_us(RECENT_TOTAL_MAX),
            rewards_us: self.rewards.since_us(REWARDS_TOTAL_MAX),
        };
        (moved && horizons != Horizons::default()).then_some(horizons)
    }
}

/// Numbers of the items that a slot remembers, or has forgotten. *Persisted* where they cannot be counted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parts {
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
}

impl Parts {
    /// Returns each number with its name.
    pub fn named(&self) -> [(&'static str, u64); 5] {
        let Self { pending_decisions, finished_decisions, event_ids, requests, exposures } = *self;
        [
            ("pending_decisions", pending_decisions),
            ("finished_decisions", finished_decisions),
            ("event_ids", event_ids),
            ("requests", requests),
            ("exposures", exposures),
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
        }
    }
}

impl SlotState {
    /// Returns the numbers of the items that the slot remembers.
    pub fn remembered(&self) -> Parts {
        Parts {
            pending_decisions: self.pending.len() as u64,
            finished_decisions: self.finished.len() as u64,
            event_ids: self.memory.queue().len() as u64,
            requests: self.requests.len() as u64,
            exposures: self.past.queue().len() as u64,
        }
    }

    /// Forgets everything that is older than the horizons of the whole process.
    pub(super) fn sweep(&mut self, at_us: i64, horizons: Horizons, mut told: Option<&mut Told<'_>>) {
        let Horizons { decisions_us, recent_us, rewards_us } = horizons;
        let in_time_us = at_us.saturating_sub(self.definition.goal.patience_us());
        while let Some(ordinal) = self.pending.next_before(decisions_us) {
            self.learn(at_us, ordinal);
            if let Some(packed) = self.pending.drop_oldest(in_time_us) {
                self.forgotten.pending_decisions += u64::from(packed::at_us(&packed) >= in_time_us);
                self.finish(at_us, &packed, told.as_deref_mut());
            }
        }
        while self.finished.next_before(rewards_us).is_some() {
            if let Some(packed) = self.finished.drop_oldest(at_us) {
                self.forgotten.finished_decisions += 1;
                self.tell(at_us, &packed, told.as_deref_mut());
            }
        }
        self.forgotten.event_ids += self.memory.forget_before(rewards_us);
        self.forgotten.exposures += self.past.forget_before(recent_us);
        while let Some(Some((made_us, oldest))) = self.requests.get(self.requests.first())
            && *made_us < recent_us
        {
            self.request_arms -= oldest.chosen.len();
            self.forgotten.requests += u64::from(*made_us >= at_us - REQUEST_MEMORY_US);
            self.requests.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_since_which_so_many_events_came_is_known_to_a_step() {
        let mut times = Times::default();
        let total = 10 * STEP;
        for n in 1..=25 * STEP {
            times.pass(i64::try_from(n).unwrap(), total);
            let since = u64::try_from(times.since_us(total)).unwrap();
            let remembered = n - since;
            assert!(since == 0 || (total - STEP..total + STEP).contains(&remembered), "{n}: {remembered}");
            assert!(since > 0 || n < total + STEP, "{n}");
        }
        assert_eq!(times.at_us.len(), 10);
    }
}
