//! Counters of a slot. Nothing is learned from them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::answer::EventStatus;

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
    /// Number of decisions of which nothing is learned because their subject had reached the subject limit.
    #[serde(default)]
    pub decisions_over_subject_limit: u64,
}

/// Counters of an arm. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ArmCounters {
    /// Number of times that it was shown, at any position.
    pub shown: u64,
    /// Sum of its rewards.
    pub reward_sum: f64,
    /// Number of its showings with an event that counts.
    pub rewarded: u64,
}

/// Counters of a slot and of its arms. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(in crate::engine) struct SlotCounters {
    /// Counters of the slot.
    pub(in crate::engine) slot: Counters,
    /// Counters of each arm that was ever shown, by its index in the learner.
    pub(in crate::engine) arms: Arc<Vec<ArmCounters>>,
}

impl SlotCounters {
    /// Counters of an arm.
    pub(in crate::engine) fn arm_mut(&mut self, arm: u32) -> &mut ArmCounters {
        counters_of(Arc::make_mut(&mut self.arms), arm)
    }

    /// Counts a decision that showed these arms, each with the default reward.
    pub(in crate::engine) fn add_decision(
        &mut self,
        holdout: bool,
        arms: impl ExactSizeIterator<Item = u32>,
        default_reward: f64,
    ) {
        let shown = arms.len();
        self.slot.decisions += 1;
        self.slot.holdout_decisions += u64::from(holdout);
        for arm in arms {
            let counters = self.arm_mut(arm);
            counters.shown += 1;
            counters.reward_sum += default_reward;
        }
        let silence = shown as f64 * default_reward;
        self.slot.shown += shown as u64;
        self.slot.reward_sum += silence;
        if holdout {
            self.slot.holdout_reward_sum += silence;
        }
    }

    /// Mean number of arms that a decision showed, at least 1.
    pub(in crate::engine) fn shown_per_decision(&self) -> f64 {
        (self.slot.shown as f64 / self.slot.decisions.max(1) as f64).max(1.0)
    }

    /// Adds a change of a shown arm's reward.
    pub(in crate::engine) fn add_reward(&mut self, holdout: bool, arm: u32, more: f64) {
        self.slot.reward_sum += more;
        if holdout {
            self.slot.holdout_reward_sum += more;
        }
        self.arm_mut(arm).reward_sum += more;
    }

    /// Counts the answer to a reward event.
    pub(in crate::engine) fn add_event(&mut self, status: EventStatus) {
        match status {
            EventStatus::Accepted | EventStatus::Reversed => self.slot.rewards += 1,
            EventStatus::Duplicate => self.slot.duplicates += 1,
            EventStatus::Late => self.slot.late += 1,
            EventStatus::Unmatched(_) => self.slot.unmatched += 1,
            EventStatus::Rejected(_) => self.slot.rejected += 1,
        }
    }
}

/// Counters of an arm in a list that grows as needed.
pub(super) fn counters_of(list: &mut Vec<ArmCounters>, arm: u32) -> &mut ArmCounters {
    let arm = arm as usize;
    if list.len() <= arm {
        list.resize(arm + 1, ArmCounters::default());
    }
    &mut list[arm]
}
