//! Evaluation data of a slot: sums from which the report compares the policy with the holdout and the arms with each
//! other, states the cost of exploration, and warns of trouble. Nothing is learned from them.
//!
//! Invariants:
//!
//! * The sums follow from decisions and rewards in their order, also while the slot learns nothing.
//! * A reward that comes late, is corrected or is reversed changes its decision's contribution by the difference.
//! * Only a reset, or a goal that pays for something else, starts the sums again.
//!
//! Deliberately not here: conclusions from the sums; see [`report`](super::report()).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    calibration::RewardCalibration,
    comparison::HoldoutComparison,
    design::SlotDesign,
    everybody::{EverybodySums, ScoredDecision, ScoredIndex},
    feature_watch::FeatureWatch,
    pairwise::ArmPairs,
    segments::{SegmentGroup, SegmentTable},
    shadow::ShadowCounts,
    traffic_watch::TrafficWatch,
};
use crate::{
    engine::{
        decision_record::{DecisionRecord, Fallback, Reason},
        pending::{
            EvaluationRecord, FirstScore, PendingDecision, SegmentKeys, ShownArm, Treatment, subject_group,
            subject_keys,
        },
    },
    slot::Mode,
    stats::{GroupedSample, PairwiseTest, RewardSample, ScoredArm},
};

/// Number of holdout shares whose comparisons are kept. The oldest goes first.
const COMPARISONS_MAX: usize = 8;

/// Number of a decision's arms that are compared with each other: those most likely to be shown.
const COMPARED_ARMS_MAX: usize = 16;

/// Smallest probability of an arm that is compared. A pair with an arm that is hardly ever shown says next to nothing.
const COMPARED_PROBABILITY_MIN: f32 = 1e-3;

/// Number of decisions over which the cost of exploration is averaged, roughly.
const EXPLORATION_COST_DECISIONS: f64 = 1_000.0;

/// Sums from which the report is computed. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EvaluationData {
    /// Comparisons of policy and holdout, one per share of the holdout, newest last.
    pub comparisons: Vec<HoldoutComparison>,
    /// Number of comparisons that were ever made.
    comparisons_made: u64,
    /// Pairwise tests of the arms.
    pub arm_pairs: ArmPairs,
    /// Rewards of the first position, of decisions whose first position the policy drew.
    pub first_position: RewardSample,
    /// Number of decisions that the policy drew, with exponential decay.
    exploration_weight: f64,
    /// Sum of their expected losses against the best guess at the first position, with the same decay.
    exploration_loss: f64,
    /// Number of decisions since the last event that counts.
    pub decisions_since_event: u64,
    /// Time of that event, or of the first decision if there is none, microseconds since 1970.
    pub last_event_us: i64,
    /// Time of the last decision, microseconds since 1970.
    pub last_decision_us: i64,
    /// Number of decisions for which the model's scores were unusable.
    pub model_fallbacks: u64,
    /// Sums of what each arm would earn if everybody got it.
    pub everybody: EverybodySums,
    /// Sums by the values of context features.
    pub segments: SegmentTable,
    /// Rewards of all decisions by the policy, also of those that repeat an earlier one.
    pub visits: GroupedSample,
    /// Rewards against the model's expectations, lately.
    pub calibration: RewardCalibration,
    /// Features of the context as they come.
    pub feature_watch: FeatureWatch,
    /// Arms that the policy would have shown in shadow mode.
    pub shadow: ShadowCounts,
    /// Traffic by client, and decisions whose floors had to be scaled down.
    pub traffic: TrafficWatch,
}

/// Data about a decision that are kept until its rewards are known.
pub(in crate::engine) struct DecisionEvaluation {
    pub(in crate::engine) record: EvaluationRecord,
    /// Score of the first position, if the policy drew that.
    pub(in crate::engine) first_score: Option<FirstScore>,
    pub(in crate::engine) keys: SegmentKeys,
    /// Expected reward that the decision gave up against the best guess.
    pub(in crate::engine) exploration_cost: f64,
}

impl EvaluationData {
    /// Mean expected loss per decision of the policy against the best guess, lately, or `None` if it has made no
    /// decision.
    pub fn exploration_cost(&self) -> Option<f64> {
        (self.exploration_weight > 0.0).then(|| self.exploration_loss / self.exploration_weight)
    }

    /// Returns the comparison made while the holdout had this share.
    pub fn comparison(&self, share: f64) -> Option<&HoldoutComparison> {
        self.comparisons.iter().find(|c| c.share.total_cmp(&share).is_eq())
    }

    /// Returns the pairwise test of the arm with index `a` in the learner against `b`.
    pub fn pairwise_test(&self, a: u32, b: u32) -> Option<PairwiseTest> {
        self.arm_pairs.test(a, b)
    }

    /// Starts the sums of rewards again, because another goal pays them from now on.
    pub(in crate::engine) fn restart_for_goal(&mut self) {
        // Decisions from before find no comparison any more.
        self.comparisons.clear();
        (self.arm_pairs, self.first_position) = (ArmPairs::default(), RewardSample::default());
        self.everybody = EverybodySums::default();
        self.segments.restart();
        self.visits = GroupedSample::default();
        self.calibration = RewardCalibration::default();
        self.traffic.restart_clients();
        (self.exploration_weight, self.exploration_loss) = (0.0, 0.0);
    }

    /// Returns the number of the comparison for this share of the holdout, creating it if necessary.
    fn comparison_number(&mut self, share: f64) -> u64 {
        if let Some(known) = self.comparison(share) {
            return known.number;
        }
        if self.comparisons.len() >= COMPARISONS_MAX {
            self.comparisons.remove(0);
        }
        self.comparisons_made += 1;
        self.comparisons.push(HoldoutComparison {
            share,
            number: self.comparisons_made,
            ..HoldoutComparison::default()
        });
        self.comparisons_made
    }

    fn sample(&mut self, (number, treatment): (u64, Treatment)) -> Option<&mut GroupedSample> {
        self.comparisons.iter_mut().find(|c| c.number == number).map(|c| c.sample(treatment))
    }

    /// Adds a decision of a subject in this group with its rewards while nothing is known of them.
    fn add_rewards(&mut self, record: &EvaluationRecord, group: usize, total: f64, first: f64) {
        if let Some(sample) = record.comparison.and_then(|of| self.sample(of)) {
            sample.add(group, total);
        }
        if record.by_policy {
            self.visits.add(group, total);
        }
        let Some((&(shown, _), rivals)) = record.compared_arms.split_first() else { return };
        self.first_position.add(first);
        self.arm_pairs.update_tests(shown, rivals, |test, p, second| {
            let y = record.contribution(p, first);
            test.add(if second { -y } else { y });
        });
    }

    /// Revises the total reward of a decision. `first` is the first position's reward before and after, if that
    /// changed.
    fn revise_rewards(
        &mut self,
        record: &EvaluationRecord,
        group: usize,
        total: (f64, f64),
        first: Option<(f64, f64)>,
    ) {
        // A comparison that was dropped for newer ones is not found, and not revised.
        if let Some(sample) = record.comparison.and_then(|of| self.sample(of)) {
            sample.revise(group, total.0, total.1);
        }
        if record.by_policy {
            self.visits.revise(group, total.0, total.1);
        }
        let (Some((before, after)), Some((&(shown, _), rivals))) = (first, record.compared_arms.split_first()) else {
            return;
        };
        self.first_position.revise(before, after);
        self.arm_pairs.update_tests(shown, rivals, |test, p, second| {
            let (before, after) = (record.contribution(p, before), record.contribution(p, after));
            if second {
                test.revise(-before, -after);
            } else {
                test.revise(before, after);
            }
        });
    }

    /// Gives the places of removed arms to newer ones, if all places are taken.
    pub(in crate::engine) fn free_arm_places(&mut self, design: &SlotDesign) {
        let ids = design.arms_in_effect().iter().map(|arm| arm.id.as_str());
        let there: BTreeSet<u32> = ids.filter_map(|id| design.arms.learned(id)).collect();
        self.arm_pairs.free_places(|arm| there.contains(&arm));
    }

    /// Counts the context of a decision, and returns the keys of its segments.
    fn count_context(&mut self, at_us: i64, decided: &DecisionRecord) -> SegmentKeys {
        self.feature_watch.note(at_us, &decided.context);
        self.shadow.add(decided);
        self.segments.count(&decided.context)
    }

    /// Adds a decision that showed `shown`. A slot that only keeps accounts does not need the context.
    pub(in crate::engine) fn add_decision(
        &mut self,
        at_us: i64,
        decided: &DecisionRecord,
        shown: &[ShownArm],
        design: &SlotDesign,
        accounting: bool,
    ) -> DecisionEvaluation {
        let client = self.traffic.add(at_us, decided);
        let (record, drawn) = self.record(decided, shown, design, client);
        let silence = design.definition.goal.default_reward;
        let total = shown.len() as f64 * silence;
        let subjects: Vec<_> = subject_keys(&decided.subject).collect();
        let group = subject_group(&subjects, decided.id);
        self.add_rewards(&record, usize::from(group), total, silence);
        let mut keys = if accounting { SegmentKeys::default() } else { self.count_context(at_us, decided) };
        if let Some(of) = segment_group(&record) {
            self.segments.add_reward(keys, of, total);
        }
        if self.last_decision_us == 0 {
            self.last_event_us = at_us;
        }
        self.last_decision_us = at_us;
        self.decisions_since_event += 1;
        self.model_fallbacks += u64::from(decided.fallback == Some(Fallback::Model));
        let (mut first_score, mut exploration_cost) = (None, 0.0);
        if let (true, Some(first)) = (drawn, decided.chosen.first()) {
            if !accounting {
                (first_score, keys) = self.score_everybody(at_us, (decided, group, keys), shown, design);
            }
            exploration_cost = (decided.best_expected - first.expected_reward).max(0.0);
            let kept = 1.0 - 1.0 / EXPLORATION_COST_DECISIONS;
            self.exploration_weight = kept * self.exploration_weight + 1.0;
            self.exploration_loss = kept * self.exploration_loss + exploration_cost;
        }
        DecisionEvaluation { record, first_score, keys, exploration_cost }
    }

    /// Adds a decision whose first position the policy drew to the figures of all arms that were scored. Returns the score of the first,
    /// and the keys with the weights of it.
    fn score_everybody(
        &mut self,
        at_us: i64,
        (decided, group, keys): (&DecisionRecord, u8, SegmentKeys),
        shown: &[ShownArm],
        design: &SlotDesign,
    ) -> (Option<FirstScore>, SegmentKeys) {
        let (Some(arms), Some(first)) = (candidate_arms(decided, design), shown.first()) else { return (None, keys) };
        let width = design.definition.controls.exploration();
        let known = decided.scored.iter().filter(|scored| scored.mean != 0.0 || scored.std != 0.0);
        let scored: Vec<ScoredIndex> = known
            .filter_map(|scored| {
                let arm = arms(scored.candidate as usize)?;
                let expected = f64::from(scored.mean);
                // Without a width there is no spread to read, so the reward itself is the scale.
                let spread = if width > 0.0 { f64::from(scored.std) } else { expected.abs() };
                Some(ScoredIndex { arm, scored: ScoredArm { expected, spread, propensity: scored.propensity.into() } })
            })
            .collect();
        let half_life_us = design.definition.controls.half_life_us();
        let decision =
            ScoredDecision { scored: &scored, eligible: decided.scored.len(), first: first.arm, group, keys };
        self.everybody.add((at_us, half_life_us), decision, &mut self.segments)
    }

    /// Counts the reward of a decision's first position in the figures, or replaces it.
    pub(in crate::engine) fn settle_first(&mut self, first: (&FirstScore, SegmentKeys), before: f64, after: f64) {
        self.everybody.settle(first, before, after, &mut self.segments);
    }

    /// Compares the reward of a decision's first position with what the model expected.
    pub(in crate::engine) fn calibrate(&mut self, score: &FirstScore, reward: f64) {
        self.calibration.add(score.expected.into(), reward);
    }

    /// Notes that an event that counts arrived for a decision with this evaluation data.
    pub(in crate::engine) fn note_event(&mut self, at_us: i64, record: Option<&EvaluationRecord>) {
        (self.decisions_since_event, self.last_event_us) = (0, at_us);
        self.traffic.note_event(at_us, record.map_or(0, |record| record.client));
    }

    /// Revises the sums after the reward at `place` of a decision changed from `before` to its present value.
    pub(in crate::engine) fn revise_decision(
        &mut self,
        decision: &PendingDecision,
        record: &EvaluationRecord,
        place: usize,
        before: f64,
    ) {
        let after = decision.shown[place].reward;
        let total: f64 = decision.shown.iter().map(|shown| shown.reward).sum();
        let first = (place == 0).then_some((before, after));
        let total_before = total - after + before;
        let group = subject_group(&decision.subjects, decision.id);
        self.revise_rewards(record, usize::from(group), (total_before, total), first);
        if let Some(of) = segment_group(record) {
            self.segments.revise_reward(decision.segments, of, total_before, total);
        }
    }

    /// Returns the evaluation data of a decision, and whether the policy drew its first position.
    fn record(
        &mut self,
        decided: &DecisionRecord,
        shown: &[ShownArm],
        design: &SlotDesign,
        client: u32,
    ) -> (EvaluationRecord, bool) {
        let controls = &design.definition.controls;
        let reason = decided.chosen.first().map(|first| first.reason);
        let shadow = controls.mode() == Mode::Shadow || reason == Some(Reason::Shadow);
        let share = controls.control_share();
        let treatment = match (decided.holdout, decided.analysis) {
            (true, _) => Treatment::Holdout,
            (false, true) => Treatment::Analysis,
            (false, false) => Treatment::Policy,
        };
        // A decision that did not ask the policy says nothing about either group. If the policy failed, that is its
        // result.
        let asked = matches!(decided.fallback, None | Some(Fallback::Model));
        let comparison =
            (asked && !shadow && share > 0.0 && share < 1.0).then(|| (self.comparison_number(share), treatment));
        let drawn = asked && !shadow && treatment != Treatment::Holdout && decided.sticky.is_none();
        let compared_arms = if drawn { self.compared_arms(decided, shown, design) } else { None };
        let mean = self.first_position.mean();
        let centre = if design.definition.goal.within_unit() { mean.clamp(0.0, 1.0) } else { mean };
        let drawn = compared_arms.is_some();
        let by_policy = asked && !shadow && treatment != Treatment::Holdout;
        let compared_arms = compared_arms.unwrap_or_default();
        (EvaluationRecord { comparison, by_policy, centre, compared_arms, client }, drawn)
    }

    /// Adds the arms that the draw of the first position could have shown to the pairwise tests. Returns them, the
    /// shown one first, or none of them if the shown one is not among the likeliest. Returns `None` if the first
    /// position was not drawn by its probability.
    fn compared_arms(
        &mut self,
        decided: &DecisionRecord,
        shown: &[ShownArm],
        design: &SlotDesign,
    ) -> Option<Vec<(u32, f32)>> {
        let (own, chosen) = (shown.first()?.arm, decided.chosen.first()?);
        let Some(learned) = candidate_arms(decided, design) else { return Some(Vec::new()) };
        let possible = decided.scored.iter().filter(|scored| scored.propensity > 0.0);
        let mut likeliest: Vec<(u32, f32)> = Vec::with_capacity(decided.scored.len());
        likeliest.extend(possible.filter_map(|scored| Some((learned(scored.candidate as usize)?, scored.propensity))));
        let drawn_with = likeliest.iter().find(|(arm, _)| *arm == own).map(|(_, p)| f64::from(*p));
        if drawn_with.is_some_and(|p| (p - chosen.propensity).abs() > 1e-5) {
            return None;
        }
        // The choice of compared arms must not depend on which one was drawn.
        likeliest.retain(|(_, p)| *p >= COMPARED_PROBABILITY_MIN);
        likeliest.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        likeliest.truncate(COMPARED_ARMS_MAX);
        self.arm_pairs.add_expected_weights(&likeliest);
        let Some(at) = likeliest.iter().position(|(arm, _)| *arm == own) else { return Some(Vec::new()) };
        likeliest.swap(0, at);
        Some(likeliest)
    }
}

/// Returns the group that a decision's reward is added to in its segments, or `None` for a decision that did not ask the policy.
fn segment_group(record: &EvaluationRecord) -> Option<SegmentGroup> {
    match record.comparison {
        Some((_, Treatment::Holdout)) => Some(SegmentGroup::Holdout),
        _ if record.by_policy => Some(SegmentGroup::Policy),
        _ => None,
    }
}

/// Returns the function from a candidate's index in the decision to the arm's index in the learner, which is `None` for an arm
/// that was never shown. Returns no function if nothing knows the candidates: the decision does not name them, and the
/// revision that decided is no longer kept.
fn candidate_arms<'a>(
    decided: &'a DecisionRecord,
    design: &'a SlotDesign,
) -> Option<impl Fn(usize) -> Option<u32> + use<'a>> {
    let names_them = !decided.candidates.is_empty() || !decided.catalogue_arms.is_empty();
    let then = if names_them || decided.revision == design.revision {
        None
    } else {
        Some(&design.revisions.iter().rev().find(|r| r.number == decided.revision)?.definition)
    };
    Some(move |candidate: usize| match then {
        _ if names_them => design.arms.learned(decided.candidate(candidate, None)?.as_str()),
        Some(then) => design.arms.learned(then.arms.get(candidate)?.id.as_str()),
        None => design.arms.learned_at(candidate),
    })
}
