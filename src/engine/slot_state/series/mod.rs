//! Counts, values and rewards over time, from which charts are drawn.
//!
//! Time is cut into steps of five minutes for the last 48 hours, hours for the last 90 days, and days for three years, in UTC. A step that
//! is too old for its resolution is added to the next coarser one, so every count stands in one place.
//!
//! Invariants:
//!
//! * Everything about a decision counts in the step in which the decision was made, whenever its rewards arrive. So the
//!   ratios of a step are those of its decisions.
//! * The memory is bounded: see [`SERIES_CELLS_MAX`]. What leaves first is the oldest of the finest resolution.
//!
//! Deliberately not here: names of arms and of features, and ratios.

mod counts;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::counts::TOTALS_CELLS;
pub use self::counts::{OTHER_ARMS, SERIES_ARMS_MAX, SeriesArm, SeriesCounts, SeriesKind, SeriesTotals, SeriesValue};
use crate::engine::{chunked_queue::ChunkedQueue, pending::SegmentKeys};

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// Greatest number of kinds that a slot counts by name.
const KINDS_MAX: usize = 64;
/// Greatest number of cells of a slot: counts of an arm, a kind or a value in one step. A cell takes 24 bytes.
pub const SERIES_CELLS_MAX: u64 = 400_000;
/// Number of cells that all slots share: each may have this number divided by the number of slots.
pub const SERIES_CELLS_TOTAL: u64 = 8_000_000;
/// Number of cells that a slot may have whatever the number of slots.
pub const SERIES_CELLS_MIN: u64 = 2_000;

/// Length of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeriesStep {
    /// Five minutes, for the last 48 hours.
    FiveMinutes,
    /// One hour, for the last 90 days.
    Hour,
    /// One day, for the last three years.
    Day,
}

impl SeriesStep {
    /// All lengths, the finest first.
    pub const ALL: [Self; 3] = [Self::FiveMinutes, Self::Hour, Self::Day];

    /// Length, microseconds.
    pub fn us(self) -> i64 {
        match self {
            Self::FiveMinutes => 5 * MINUTE_US,
            Self::Hour => HOUR_US,
            Self::Day => DAY_US,
        }
    }

    /// Time for which steps of this length are kept, microseconds.
    pub fn kept_us(self) -> i64 {
        match self {
            Self::FiveMinutes => 48 * HOUR_US,
            Self::Hour => 90 * DAY_US,
            Self::Day => 3 * 366 * DAY_US,
        }
    }

    /// Returns the start of the step that a time lies in, microseconds since 1970.
    pub fn start_us(self, at_us: i64) -> i64 {
        at_us - at_us.rem_euclid(self.us())
    }
}

/// Steps of one length, oldest first, cheap to copy.
type StepQueue = ChunkedQueue<Arc<SeriesCounts>>;

/// Counts of a slot over time. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TimeSeries {
    #[serde(serialize_with = "write_steps", deserialize_with = "read_steps")]
    steps: [StepQueue; 3],
    /// Names of the kinds in the order in which they were met.
    kinds: Arc<Vec<String>>,
    cells: u64,
}

/// Decision that is counted.
pub(in crate::engine) struct SeriesDecision<'a> {
    pub(in crate::engine) holdout: bool,
    /// Arms that it showed, by their indices in the learner.
    pub(in crate::engine) arms: &'a [u32],
    /// Reward of each arm while nothing is known of it.
    pub(in crate::engine) default_reward: f64,
    pub(in crate::engine) keys: SegmentKeys,
    pub(in crate::engine) exploration_cost: f64,
}

/// Change of the reward of a shown arm.
pub(in crate::engine) struct SeriesReward {
    pub(in crate::engine) arm: u32,
    pub(in crate::engine) more: f64,
    pub(in crate::engine) holdout: bool,
    pub(in crate::engine) keys: SegmentKeys,
}

impl TimeSeries {
    /// Names of the kinds, by their indices.
    pub fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// Number of cells that are kept.
    pub fn cells(&self) -> u64 {
        self.cells
    }

    /// Adds a decision at `at_us`, which is not before that of the last. There are `slots` slots.
    pub(in crate::engine) fn add_decision(&mut self, at_us: i64, decision: &SeriesDecision<'_>, slots: u64) {
        let [fine, ..] = &mut self.steps;
        let start_us = SeriesStep::FiveMinutes.start_us(at_us);
        if fine.next().checked_sub(1).and_then(|last| fine.get(last)).is_none_or(|last| last.start_us < start_us) {
            fine.push(Arc::new(SeriesCounts::starting_at(start_us)));
            self.cells += TOTALS_CELLS;
            self.expire(at_us, slots);
        }
        let SeriesDecision { holdout, arms, default_reward, keys, exploration_cost } = *decision;
        let reward = arms.len() as f64 * default_reward;
        self.change(at_us, |counts| {
            let totals = &mut counts.totals;
            totals.decisions += 1;
            totals.holdout_decisions += u64::from(holdout);
            totals.exploration_cost += exploration_cost;
            totals.reward += reward;
            totals.holdout_reward += if holdout { reward } else { 0.0 };
            for &arm in arms {
                if let Some(of) = counts.arm_mut(arm) {
                    of.showings += 1;
                    of.reward += default_reward;
                }
            }
            for key in keys.iter() {
                if let Some(of) = counts.value_mut(key) {
                    of.decisions += 1;
                    of.reward += reward;
                }
            }
        });
    }

    /// Adds a change of a reward of a decision that was made at `decided_us`.
    pub(in crate::engine) fn add_reward(&mut self, decided_us: i64, change: &SeriesReward) {
        let SeriesReward { arm, more, holdout, keys } = *change;
        if more == 0.0 {
            return;
        }
        self.change(decided_us, |counts| {
            counts.totals.reward += more;
            counts.totals.holdout_reward += if holdout { more } else { 0.0 };
            if let Some(of) = counts.arm_mut(arm) {
                of.reward += more;
            }
            for key in keys.iter() {
                if let Some(of) = counts.value_mut(key) {
                    of.reward += more;
                }
            }
        });
    }

    /// Adds `events` events (−1 for one that is taken back) of a kind, of this value together, to a decision that was made at
    /// `decided_us`.
    pub(in crate::engine) fn add_event(&mut self, decided_us: i64, arm: u32, kind: &str, events: i64, value: f64) {
        let at = self.kinds.iter().position(|known| known == kind).or_else(|| {
            let room = self.kinds.len() < KINDS_MAX;
            room.then(|| {
                Arc::make_mut(&mut self.kinds).push(kind.to_owned());
                self.kinds.len() - 1
            })
        });
        let Some(at) = at.and_then(|at| u16::try_from(at).ok()) else { return };
        self.change(decided_us, |counts| {
            if let Some(of) = counts.kind_mut(arm, at) {
                of.events += events;
                of.value += value;
            }
        });
    }

    /// Changes the counts of the step in which a decision was made, if they are kept.
    fn change(&mut self, decided_us: i64, change: impl FnOnce(&mut SeriesCounts)) {
        for (queue, step) in self.steps.iter_mut().zip(SeriesStep::ALL) {
            let start_us = step.start_us(decided_us);
            let Some(ordinal) = find(queue, start_us) else { continue };
            let Some(counts) = queue.get_mut(ordinal) else { continue };
            let counts = Arc::make_mut(counts);
            let before = counts.cells();
            change(counts);
            self.cells += counts.cells() - before;
            return;
        }
    }

    /// Adds steps that are too old for their resolution to coarser ones, and the oldest ones of the finest if there are too many
    /// cells.
    fn expire(&mut self, at_us: i64, slots: u64) {
        let most = (SERIES_CELLS_TOTAL / slots.max(1)).clamp(SERIES_CELLS_MIN, SERIES_CELLS_MAX);
        for (level, step) in SeriesStep::ALL.into_iter().enumerate() {
            loop {
                let queue = &self.steps[level];
                let last = queue.next().saturating_sub(1);
                let oldest = queue.get(queue.first()).filter(|_| queue.first() < last);
                let too_old = |counts: &Arc<SeriesCounts>| counts.start_us < at_us.saturating_sub(step.kept_us());
                if !oldest.is_some_and(|oldest| too_old(oldest) || self.cells > most) {
                    break;
                }
                self.coarsen(level);
            }
        }
    }

    /// Takes the oldest step of a resolution out and adds it to the next coarser one.
    fn coarsen(&mut self, level: usize) {
        let Some(oldest) = self.steps[level].pop() else { return };
        self.cells -= oldest.cells();
        let Some(step) = SeriesStep::ALL.get(level + 1) else { return };
        let start_us = step.start_us(oldest.start_us);
        let queue = &mut self.steps[level + 1];
        let last = queue.next().checked_sub(1).and_then(|last| queue.get(last));
        if last.is_none_or(|last| last.start_us < start_us) {
            queue.push(Arc::new(SeriesCounts::starting_at(start_us)));
            self.cells += TOTALS_CELLS;
        }
        let last = queue.next() - 1;
        if let Some(counts) = queue.get_mut(last) {
            let counts = Arc::make_mut(counts);
            let before = counts.cells();
            counts.add(&oldest);
            self.cells += counts.cells() - before;
        }
    }

    /// Returns the counts of the steps of this length that start from `from_us` on and before `until_us`, oldest first. Steps without
    /// decisions are left out, and so is what is kept in coarser steps only.
    pub fn between(&self, from_us: i64, until_us: i64, step: SeriesStep) -> Vec<SeriesCounts> {
        let mut found: Vec<SeriesCounts> = Vec::new();
        // The coarser steps are older, but a step that both resolutions hold a part of is one.
        for (queue, own) in self.steps.iter().zip(SeriesStep::ALL).rev().filter(|(_, own)| *own <= step) {
            let first = first_from(queue, if own == step { from_us } else { step.start_us(from_us) });
            for counts in (first..queue.next()).filter_map(|ordinal| queue.get(ordinal)) {
                let start_us = step.start_us(counts.start_us);
                if start_us >= until_us {
                    break;
                }
                if start_us < from_us {
                    continue;
                }
                if found.last().is_none_or(|last| last.start_us < start_us) {
                    found.push(SeriesCounts::starting_at(start_us));
                }
                if let Some(of) = found.iter_mut().rev().find(|of| of.start_us == start_us) {
                    of.add(counts);
                }
            }
        }
        found
    }

    /// Returns the end of the step that a time lies in, at the resolution in which that step is kept, or `None` if no decision of
    /// that step is kept.
    pub fn step_end_us(&self, at_us: i64) -> Option<i64> {
        let holds = |(queue, step): &(&StepQueue, SeriesStep)| find(queue, step.start_us(at_us)).is_some();
        let (_, step) = self.steps.iter().zip(SeriesStep::ALL).find(holds)?;
        Some(step.start_us(at_us) + step.us())
    }

    /// Returns the counts of all steps that start from `from_us` on and before `until_us`, in the finest resolution that is kept.
    pub fn total_between(&self, from_us: i64, until_us: i64) -> SeriesCounts {
        let mut total = SeriesCounts::starting_at(from_us);
        for queue in &self.steps {
            let first = first_from(queue, from_us);
            for counts in (first..queue.next()).filter_map(|ordinal| queue.get(ordinal)) {
                if counts.start_us >= until_us {
                    break;
                }
                total.add(counts);
            }
        }
        total
    }
}

/// Returns the ordinal of the first step that starts at `start_us` or later.
fn first_from(queue: &StepQueue, start_us: i64) -> u64 {
    let (mut low, mut high) = (queue.first(), queue.next());
    while low < high {
        let middle = low.midpoint(high);
        if queue.get(middle).is_some_and(|counts| counts.start_us < start_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Returns the ordinal of the step that starts at `start_us`.
fn find(queue: &StepQueue, start_us: i64) -> Option<u64> {
    let at = first_from(queue, start_us);
    queue.get(at).is_some_and(|counts| counts.start_us == start_us).then_some(at)
}

/// Ordinal of the first step of each length, and the steps.
type WrittenSteps = [(u64, Vec<Arc<SeriesCounts>>); 3];

fn write_steps<S: Serializer>(steps: &[StepQueue; 3], to: S) -> Result<S::Ok, S::Error> {
    let written: WrittenSteps = steps.each_ref().map(|queue| (queue.first(), queue.iter().cloned().collect()));
    written.serialize(to)
}

fn read_steps<'de, D: Deserializer<'de>>(from: D) -> Result<[StepQueue; 3], D::Error> {
    let written = WrittenSteps::deserialize(from)?;
    Ok(written.map(|(first, steps)| {
        let mut queue = StepQueue::starting_at(first);
        for counts in steps {
            queue.push(counts);
        }
        queue
    }))
}
