//! Counts of one step.

use serde::{Deserialize, Serialize};

/// Greatest number of arms that a step counts one by one. The others are counted together.
pub const SERIES_ARMS_MAX: usize = 64;
/// Greatest number of pairs of an arm and a kind that a step counts.
const ARM_KINDS_MAX: usize = 256;
/// Cells that the totals of a step are counted as.
pub(super) const TOTALS_CELLS: u64 = 4;
/// Index that stands for all arms that are not counted one by one.
pub const OTHER_ARMS: u32 = u32::MAX;

/// Totals of a step. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SeriesTotals {
    /// Number of decisions that showed something.
    pub decisions: u64,
    /// Number of those that were the holdout's.
    pub holdout_decisions: u64,
    /// Sum of the rewards of everything that was shown.
    pub reward: f64,
    /// Part of that sum that belongs to the holdout.
    pub holdout_reward: f64,
    /// Expected reward that the policy's decisions gave up against the best guess.
    pub exploration_cost: f64,
}

/// Counts of an arm in a step. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeriesArm {
    /// Arm, by its index in the learner, or [`OTHER_ARMS`].
    pub arm: u32,
    /// Number of showings.
    pub showings: u64,
    /// Sum of their rewards.
    pub reward: f64,
}

/// Counts of a kind of event of an arm in a step. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeriesKind {
    /// Arm, by its index in the learner, or [`OTHER_ARMS`].
    pub arm: u32,
    /// Kind, by its index in the names that the series keeps.
    pub kind: u16,
    /// Number of events that count and were not reversed.
    pub events: i64,
    /// Sum of their values.
    pub value: f64,
}

/// Counts of a value of a followed feature in a step. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeriesValue {
    /// Number of the feature.
    pub feature: u8,
    /// Place of the value.
    pub place: u8,
    /// Number of decisions.
    pub decisions: u64,
    /// Sum of their rewards.
    pub reward: f64,
}

/// Counts of one step. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SeriesCounts {
    /// Start of the step, microseconds since 1970.
    pub start_us: i64,
    /// Totals.
    pub totals: SeriesTotals,
    /// Counts of the arms that were shown.
    pub arms: Vec<SeriesArm>,
    /// Counts of the events by arm and kind.
    pub kinds: Vec<SeriesKind>,
    /// Counts of the values of the followed features.
    pub values: Vec<SeriesValue>,
}

impl SeriesCounts {
    pub(super) fn starting_at(start_us: i64) -> Self {
        Self { start_us, ..Self::default() }
    }

    pub(super) fn cells(&self) -> u64 {
        TOTALS_CELLS + (self.arms.len() + self.kinds.len() + self.values.len()) as u64
    }

    pub(super) fn arm_mut(&mut self, arm: u32) -> Option<&mut SeriesArm> {
        let known = |arms: &[SeriesArm], arm: u32| arms.iter().position(|known| known.arm == arm);
        let at = known(&self.arms, arm).or_else(|| {
            let arm = if self.arms.len() < SERIES_ARMS_MAX { arm } else { OTHER_ARMS };
            known(&self.arms, arm).or_else(|| {
                self.arms.push(SeriesArm { arm, showings: 0, reward: 0.0 });
                Some(self.arms.len() - 1)
            })
        })?;
        self.arms.get_mut(at)
    }

    pub(super) fn kind_mut(&mut self, arm: u32, kind: u16) -> Option<&mut SeriesKind> {
        let known =
            |kinds: &[SeriesKind], arm: u32| kinds.iter().position(|known| (known.arm, known.kind) == (arm, kind));
        let at = known(&self.kinds, arm).or_else(|| {
            let arm = if self.kinds.len() < ARM_KINDS_MAX { arm } else { OTHER_ARMS };
            known(&self.kinds, arm).or_else(|| {
                self.kinds.push(SeriesKind { arm, kind, events: 0, value: 0.0 });
                Some(self.kinds.len() - 1)
            })
        })?;
        self.kinds.get_mut(at)
    }

    pub(super) fn value_mut(&mut self, (feature, place): (u8, u8)) -> Option<&mut SeriesValue> {
        let known = self.values.iter().position(|known| (known.feature, known.place) == (feature, place));
        let at = known.unwrap_or_else(|| {
            self.values.push(SeriesValue { feature, place, decisions: 0, reward: 0.0 });
            self.values.len() - 1
        });
        self.values.get_mut(at)
    }

    /// Adds the counts of another step.
    pub fn add(&mut self, other: &Self) {
        let SeriesTotals { decisions, holdout_decisions, reward, holdout_reward, exploration_cost } = other.totals;
        self.totals.decisions += decisions;
        self.totals.holdout_decisions += holdout_decisions;
        self.totals.reward += reward;
        self.totals.holdout_reward += holdout_reward;
        self.totals.exploration_cost += exploration_cost;
        for of in &other.arms {
            if let Some(own) = self.arm_mut(of.arm) {
                own.showings += of.showings;
                own.reward += of.reward;
            }
        }
        for of in &other.kinds {
            if let Some(own) = self.kind_mut(of.arm, of.kind) {
                own.events += of.events;
                own.value += of.value;
            }
        }
        for of in &other.values {
            if let Some(own) = self.value_mut((of.feature, of.place)) {
                own.decisions += of.decisions;
                own.reward += of.reward;
            }
        }
    }
}
