//! Sums from which the report says what each arm would earn if everybody got it.
//!
//! Invariants:
//!
//! * A decision counts for every arm that was scored, with the scores and propensities that were recorded with it.
//! * Until the first position's reward is known, the model's expectation stands for it. A decision without events counts as
//!   unrewarded once its silence is learned, or would be.
//! * Decisions fade by the slot's half-life.
//!
//! Deliberately not here: which decisions count; see [`EvaluationData`](super::EvaluationData).

use serde::{Deserialize, Serialize};

use super::segments::SegmentTable;
use crate::{
    engine::pending::{FirstScore, SegmentKeys},
    stats::{DoublyRobustSums, GROUPS, RewardNoise, ScoredArm, math},
};

/// Greatest number of arms that have sums: those that were shown first.
pub const FIGURES_MAX: u32 = 256;

/// Number of half-lives after which the unit of the weights changes, so that they stay in range.
const UNIT_HALF_LIVES: f64 = 256.0;

/// Sums over decisions by the policy, per arm. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EverybodySums {
    /// Sums of each arm, by its index in the learner.
    arms: Vec<Option<DoublyRobustSums>>,
    noise: RewardNoise,
    /// Base-2 logarithm of the weight of a decision made now.
    log_weight: f64,
    /// Base-2 logarithm of the weight that counts as 1.
    log_unit: f64,
    /// Time of the last decision, microseconds since 1970, or 0 if there was none.
    at_us: i64,
    /// Number of decisions whose reward is known.
    settled: u64,
    /// Weight of the decisions, and weighted sum of what showing each arm by a floor of 1 would cost.
    floors_weight: f64,
    floors_cost: f64,
}

/// Arm of a decision, by its index in the learner, as it was scored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::engine) struct ScoredIndex {
    pub(in crate::engine) arm: u32,
    pub(in crate::engine) scored: ScoredArm,
}

/// Decision whose first position the policy drew.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct ScoredDecision<'a> {
    /// Arms that are known to the learner, as they were scored.
    pub(in crate::engine) scored: &'a [ScoredIndex],
    /// Number of eligible arms.
    pub(in crate::engine) eligible: usize,
    /// Arm at the first position, by its index in the learner.
    pub(in crate::engine) first: u32,
    /// Group of the subject.
    pub(in crate::engine) group: u8,
    pub(in crate::engine) keys: SegmentKeys,
}

impl EverybodySums {
    /// Sums of an arm, by its index in the learner.
    pub fn arm(&self, arm: u32) -> Option<&DoublyRobustSums> {
        self.arms.get(arm as usize)?.as_ref()
    }

    /// Noise of single rewards.
    pub fn noise(&self) -> &RewardNoise {
        &self.noise
    }

    /// Number of decisions that count, of which the reward is known.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// Expected reward per decision that a floor would cost, per unit of the floor, or `None` before the first decision.
    pub fn floor_cost(&self) -> Option<f64> {
        (self.floors_weight > 0.0).then(|| self.floors_cost / self.floors_weight)
    }

    /// Lets earlier decisions fade up to `at_us`.
    fn advance(&mut self, at_us: i64, half_life_us: i64, segments: &mut SegmentTable) {
        if self.at_us > 0 {
            self.log_weight += (at_us - self.at_us).max(0) as f64 / half_life_us.max(1) as f64;
        }
        self.at_us = self.at_us.max(at_us);
        let over = self.log_weight - self.log_unit;
        if over < UNIT_HALF_LIVES {
            return;
        }
        let units = (over / UNIT_HALF_LIVES).floor() * UNIT_HALF_LIVES;
        self.log_unit += units;
        let factor = math::exp2(-units);
        self.arms.iter_mut().flatten().for_each(|arm| arm.scale(factor));
        segments.scale(factor);
        self.noise.scale(factor);
        self.floors_weight *= factor;
        self.floors_cost *= factor;
    }

    /// Adds a decision to these sums and to those of its segments. Returns the score that [`settle`](Self::settle) needs, or
    /// `None` if the first arm has no sums, and the decision's keys with the weights of the arm that it shows first.
    pub(in crate::engine) fn add(
        &mut self,
        (at_us, half_life_us): (i64, i64),
        ScoredDecision { scored, eligible, first, group, keys }: ScoredDecision<'_>,
        segments: &mut SegmentTable,
    ) -> (Option<FirstScore>, SegmentKeys) {
        self.advance(at_us, half_life_us, segments);
        let fading = math::exp2(self.log_weight - self.log_unit);
        let (mut score, mut shown_keys) = (None, keys);
        let mean: f64 = scored.iter().map(|of| of.scored.propensity * of.scored.expected).sum();
        self.floors_weight += fading;
        self.floors_cost += fading * scored.iter().map(|of| mean - of.scored.expected).sum::<f64>();
        for &ScoredIndex { arm, scored: of_arm } in scored.iter().filter(|of| of.arm < FIGURES_MAX) {
            let at = arm as usize;
            if self.arms.len() <= at {
                self.arms.resize(at + 1, None);
            }
            let sums = self.arms[at].get_or_insert_with(|| DoublyRobustSums::new(eligible));
            let weight = sums.add(of_arm, fading, usize::from(group) % GROUPS);
            let levels = segments.add_score(keys, (arm, eligible), of_arm, fading);
            if arm == first {
                shown_keys = levels;
                #[expect(clippy::cast_possible_truncation, reason = "the numbers are single precision")]
                let single = |number: f64| number as f32;
                score = Some(FirstScore {
                    settled: false,
                    arm,
                    group,
                    expected: single(of_arm.expected),
                    propensity: single(of_arm.propensity),
                    stabilised: single(weight.stabilised),
                    log_weight: self.log_weight,
                });
            }
        }
        segments.add_draw(keys, first, fading);
        (score, shown_keys)
    }

    /// Replaces the reward `before` of a decision's first position, or the expectation if it was not known, by `after`, here and
    /// in the decision's segments.
    pub(in crate::engine) fn settle(
        &mut self,
        (score, keys): (&FirstScore, SegmentKeys),
        before: f64,
        after: f64,
        segments: &mut SegmentTable,
    ) {
        let weight = score.weight(self.log_unit);
        let before = score.settled.then_some(before);
        let scored = score.scored();
        let Some(sums) = self.arms.get_mut(score.arm as usize).and_then(Option::as_mut) else { return };
        let scores = (scored.score(before), scored.score(Some(after)));
        let group = usize::from(score.group) % GROUPS;
        sums.revise(weight, group, scores.0, scores.1);
        segments.revise_score(keys, score.arm, weight.fading, scores);
        if let Some(before) = before {
            self.noise.revise(weight.fading, group, &scored, before, after);
        } else {
            self.settled += 1;
            self.noise.add(weight.fading, group, &scored, after);
        }
    }
}
