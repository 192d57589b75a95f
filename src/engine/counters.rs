//! Counters of a slot. Nothing is learned from them.

use serde::{Deserialize, Serialize};

/// Counters of a slot. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Number of decisions that showed something.
    pub decisions: u64,
    /// Number of those decisions that were in the holdout.
    pub holdout_decisions: u64,
    /// Number of arms shown, at any position.
    pub shown: u64,
    /// Number of accepted events.
    pub rewards: u64,
    /// Sum of the rewards of everything that was shown.
    pub reward_sum: f64,
    /// Part of that sum that belongs to the holdout.
    pub holdout_reward_sum: f64,
    /// Number of accepted events of kinds that are not part of the goal.
    pub other_kinds: u64,
    /// Number of events whose id was accepted before.
    pub duplicates: u64,
    /// Number of events after the window.
    pub late: u64,
    /// Number of events that matched nothing.
    pub unmatched: u64,
    /// Number of events that could not be counted as they were.
    pub rejected: u64,
}

/// Counters of an arm. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Number of times that it was shown, at any position.
    pub shown: u64,
    /// Sum of its rewards.
    pub reward_sum: f64,
    /// Number of its showings with an event that counts.
    pub rewarded: u64,
}
