//! Sums since the slot's goal changed.
//!
//! Rewards of a goal that paid for clicks and rewards of one that pays for money cannot be added. So the sums start
//! again with the change, and decisions from before it never count in them, even if their events arrive later. Counts
//! of decisions, showings and events continue, and so does learning: only an explicit reset forgets.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    counters::Tally,
    event::Decided,
    finished::{Place, Queue},
    pending::PendingDecision,
    state::SlotState,
};
use crate::slot::Goal;

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
    /// Tallies per arm, by its index in the learner.
    pub tallies: Vec<Tally>,
    /// Learned rewards of decisions from before the change, per arm, by its index in the learner.
    learned_before: Vec<f64>,
}

impl GoalSums {
    /// Tally of an arm.
    pub fn tally(&self, arm: u32) -> Tally {
        self.tallies.get(arm as usize).copied().unwrap_or_default()
    }

    /// Learned rewards of an arm that belong to decisions from before the change.
    pub fn learned_before(&self, arm: u32) -> f64 {
        self.learned_before.get(arm as usize).copied().unwrap_or(0.0)
    }

    fn tally_mut(&mut self, arm: u32) -> &mut Tally {
        let arm = arm as usize;
        if self.tallies.len() <= arm {
            self.tallies.resize(arm + 1, Tally::default());
        }
        &mut self.tallies[arm]
    }
}

/// Change of a shown arm's reward.
#[derive(Debug, Clone, Copy)]
pub(super) struct RewardChange {
    pub(super) arm: u32,
    /// Difference of the reward.
    pub(super) more: f64,
    /// Difference of the number of showings with an event that counts.
    pub(super) rewarded: i64,
}

impl SlotState {
    /// Starts the sums again if the goal that replaces `before` pays for something else.
    pub(super) fn begin_goal(&mut self, at_us: i64, before: &Goal) {
        if self.definition.goal.pays_as(before) || self.counters.decisions == 0 {
            return;
        }
        let arms = 0..u32::try_from(self.arms.names().len()).unwrap_or(u32::MAX);
        let learned = |arm: u32| self.learner.summary(arm).map_or(0.0, |summary| summary.reward_sum);
        self.goal_sums = Some(Arc::new(GoalSums {
            revision: self.revision,
            at_us,
            first: self.pending.made(),
            learned_before: arms.map(learned).collect(),
            ..GoalSums::default()
        }));
        Arc::make_mut(&mut self.insight).begin_goal();
    }

    /// Returns `true` if a decision was made under an earlier goal.
    pub(super) fn of_earlier_goal(&self, at: Place, decision: &PendingDecision) -> bool {
        self.goal_sums.as_ref().is_some_and(|sums| match at.queue {
            Queue::Pending => at.ordinal < sums.first,
            Queue::Finished => decision.at_us <= sums.at_us,
        })
    }

    /// Adds a decision that showed these arms to the sums.
    pub(super) fn sum_decided(&mut self, decided: &Decided, arms: impl Iterator<Item = u32>) {
        let Some(sums) = &mut self.goal_sums else { return };
        let (sums, silence) = (Arc::make_mut(sums), self.definition.goal.default_reward);
        sums.decisions += 1;
        sums.holdout_decisions += u64::from(decided.holdout);
        for arm in arms {
            sums.reward_sum += silence;
            if decided.holdout {
                sums.holdout_reward_sum += silence;
            }
            let tally = sums.tally_mut(arm);
            tally.shown += 1;
            tally.reward_sum += silence;
        }
    }

    /// Adds a change of a shown arm's reward to the sums, unless its decision was made under an earlier goal.
    pub(super) fn sum_change(&mut self, at: Place, decision: &PendingDecision, change: RewardChange) {
        if self.of_earlier_goal(at, decision) {
            return;
        }
        let Some(sums) = &mut self.goal_sums else { return };
        let sums = Arc::make_mut(sums);
        sums.reward_sum += change.more;
        if decision.holdout {
            sums.holdout_reward_sum += change.more;
        }
        let tally = sums.tally_mut(change.arm);
        tally.reward_sum += change.more;
        tally.rewarded = tally.rewarded.saturating_add_signed(change.rewarded);
    }

    /// Notes a learned reward of a decision, if that was made under an earlier goal.
    pub(super) fn sum_learned(&mut self, at: Place, decision: &PendingDecision, arm: u32, more: f64) {
        if self.of_earlier_goal(at, decision) {
            self.add_learned_before(arm, more);
        }
    }

    /// Notes a learned silence of a pending decision, if that was made under an earlier goal.
    pub(super) fn sum_learned_silence(&mut self, ordinal: u64, arm: u32, more: f64) {
        if self.goal_sums.as_ref().is_some_and(|sums| ordinal < sums.first) {
            self.add_learned_before(arm, more);
        }
    }

    fn add_learned_before(&mut self, arm: u32, more: f64) {
        let Some(sums) = &mut self.goal_sums else { return };
        let before = &mut Arc::make_mut(sums).learned_before;
        if before.len() <= arm as usize {
            before.resize(arm as usize + 1, 0.0);
        }
        before[arm as usize] += more;
    }
}
