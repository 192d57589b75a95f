//! Sums since the slot's goal changed.
//!
//! Rewards of a goal that paid for clicks and rewards of one that pays for money cannot be added. So the sums start
//! again with the change, and decisions from before it never count in them, even if their events arrive later. Counts
//! of decisions, showings and events continue, and so does learning: only an explicit reset forgets.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::counters::{ArmCounters, counters_of};
use crate::engine::pending::{DecisionPlace, QueueKind};

/// Sums since the slot's goal changed. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GoalSums {
    /// Revision that changed the goal.
    pub revision: u64,
    /// Time of the change, microseconds since 1970.
    pub at_us: i64,
    /// Ordinal of the first decision since the change, among all decisions.
    first: u64,
    /// Number of decisions since the change that showed something.
    pub decisions: u64,
    /// Number of those decisions that were in the holdout.
    pub holdout_decisions: u64,
    /// Sum of the rewards of everything that they showed.
    pub reward_sum: f64,
    /// Part of that sum that belongs to the holdout.
    pub holdout_reward_sum: f64,
    /// Counters per arm, by its index in the learner.
    pub arm_counters: Vec<ArmCounters>,
    /// Learned rewards of decisions from before the change, per arm, by its index in the learner.
    learned_before: Vec<f64>,
}

impl GoalSums {
    /// Counters of an arm.
    pub fn arm(&self, arm: u32) -> ArmCounters {
        self.arm_counters.get(arm as usize).copied().unwrap_or_default()
    }

    /// Learned rewards of an arm that belong to decisions from before the change.
    pub fn learned_before(&self, arm: u32) -> f64 {
        self.learned_before.get(arm as usize).copied().unwrap_or(0.0)
    }
}

/// Change of a shown arm's reward.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct RewardChange {
    pub(in crate::engine) arm: u32,
    /// Difference of the reward.
    pub(in crate::engine) more: f64,
    /// Difference of the number of showings with an event that counts.
    pub(in crate::engine) rewarded: i64,
}

/// Sums since the slot's goal changed, if it ever did. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::engine) struct SumsSinceGoal(Option<Arc<GoalSums>>);

impl SumsSinceGoal {
    /// Starts the sums again: a revision at `at_us` changed the goal. `first` is the ordinal of the next decision, and
    /// `learned` the learned rewards per arm so far.
    pub(in crate::engine) fn restart(&mut self, revision: u64, at_us: i64, first: u64, learned: Vec<f64>) {
        self.0 = Some(Arc::new(GoalSums { revision, at_us, first, learned_before: learned, ..GoalSums::default() }));
    }

    /// The sums, or `None` if the goal never changed.
    pub(in crate::engine) fn shared(&self) -> Option<Arc<GoalSums>> {
        self.0.clone()
    }

    /// Returns `true` if the decision at a place, made at `decided_us`, was made under an earlier goal.
    pub(in crate::engine) fn precedes(&self, place: DecisionPlace, decided_us: i64) -> bool {
        match place.queue {
            QueueKind::Pending => self.precedes_pending(place.ordinal),
            QueueKind::Finished => self.0.as_ref().is_some_and(|sums| decided_us <= sums.at_us),
        }
    }

    /// Returns `true` if the pending decision of this ordinal was made under an earlier goal.
    pub(in crate::engine) fn precedes_pending(&self, ordinal: u64) -> bool {
        self.0.as_ref().is_some_and(|sums| ordinal < sums.first)
    }

    /// Adds a decision that showed these arms, each with the default reward.
    pub(in crate::engine) fn add_decision(
        &mut self,
        holdout: bool,
        arms: impl Iterator<Item = u32>,
        default_reward: f64,
    ) {
        let Some(sums) = &mut self.0 else { return };
        let sums = Arc::make_mut(sums);
        sums.decisions += 1;
        sums.holdout_decisions += u64::from(holdout);
        for arm in arms {
            sums.reward_sum += default_reward;
            if holdout {
                sums.holdout_reward_sum += default_reward;
            }
            let counters = counters_of(&mut sums.arm_counters, arm);
            counters.shown += 1;
            counters.reward_sum += default_reward;
        }
    }

    /// Adds a change of a shown arm's reward. Its decision must not [precede](Self::precedes) the goal.
    pub(in crate::engine) fn add_change(&mut self, holdout: bool, change: RewardChange) {
        let Some(sums) = &mut self.0 else { return };
        let sums = Arc::make_mut(sums);
        sums.reward_sum += change.more;
        if holdout {
            sums.holdout_reward_sum += change.more;
        }
        let counters = counters_of(&mut sums.arm_counters, change.arm);
        counters.reward_sum += change.more;
        counters.rewarded = counters.rewarded.saturating_add_signed(change.rewarded);
    }

    /// Notes a learned reward of a decision that [precedes](Self::precedes) the goal.
    pub(in crate::engine) fn add_learned_before(&mut self, arm: u32, more: f64) {
        let Some(sums) = &mut self.0 else { return };
        let before = &mut Arc::make_mut(sums).learned_before;
        if before.len() <= arm as usize {
            before.resize(arm as usize + 1, 0.0);
        }
        before[arm as usize] += more;
    }
}
