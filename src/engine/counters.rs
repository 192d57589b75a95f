//! What a slot counts; nothing is learned from it.

use serde::{Deserialize, Serialize};

/// What was counted of a slot. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Decisions that showed something.
    pub decisions: u64,
    /// Of those, the holdout's.
    pub holdout_decisions: u64,
    /// Arms shown, at any position.
    pub shown: u64,
    /// Events accepted.
    pub rewards: u64,
    /// The rewards of all that was shown, added up.
    pub reward_sum: f64,
    /// Of those, the holdout's.
    pub holdout_reward_sum: f64,
    /// Accepted events of kinds that are not part of the goal.
    pub other_kinds: u64,
    /// Events whose id was accepted before.
    pub duplicates: u64,
    /// Events after the window.
    pub late: u64,
    /// Events that matched nothing.
    pub unmatched: u64,
    /// Events that could not be counted as they were.
    pub rejected: u64,
}

/// What was counted of an arm. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How often it was shown, at any position.
    pub shown: u64,
    /// The sum of its rewards as they came.
    pub reward_sum: f64,
    /// How many of its showings have an event that counts.
    pub rewarded: u64,
}
