//! Figures by the values of context features: who gets what, what it earns, and who wants what.
//!
//! Intervals hold for all values of all features at once: each has a part of the 5 % by which they may be wrong.

use super::{
    ALPHA, Lift,
    everybody::{SHOWINGS_MIN, is_plain},
    reward_range,
};
use crate::{
    engine::{
        slot_state::{EverybodySums, SegmentFeature, SegmentValue},
        view::SlotView,
    },
    slot::ArmId,
    stats::{DoublyRobustFigure, DoublyRobustSums, NormalScore, Winners, math::square, normal_quantile},
};

/// Chance that all arms are the best of their segments from which on they are what shoppers want, for one look.
pub(super) const WANTED: f64 = 0.9;
/// Chance from which on two arms differ if all get the same.
const SURE: f64 = 0.95;
/// Showings whose noise is added to a figure's.
const CAUTION_SHOWINGS: f64 = 3.0;
/// Effective showings from which on an arm's figure is compared.
const COMPARED_MIN: f64 = 10.0;
/// Decisions with a value from which on it is reported.
const DECISIONS_MIN: u64 = 30;

/// Figures by the values of one feature.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSegments {
    /// Name of the feature.
    pub feature: String,
    /// Number of decisions that had it.
    pub decisions: u64,
    /// Values in the order in which they were met, then all others together.
    pub values: Vec<SegmentValueReport>,
}

/// Figures of the decisions with one value of a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentValueReport {
    /// The value as text, or `None` for all values that are not reported one by one.
    pub value: Option<String>,
    /// Number of decisions.
    pub decisions: u64,
    /// Mean reward of the policy's decisions, or `None` if there are none.
    pub reward_per_decision: Option<f64>,
    /// Lift of the policy over the holdout, with an interval that holds for all values of all features at once.
    pub lift: Option<Lift>,
    /// `true` if the policy earns less than the holdout here.
    pub worse_than_holdout: bool,
    /// Arms that were scored.
    pub arms: Vec<SegmentArmReport>,
}

/// Figures of an arm among the decisions with one value.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentArmReport {
    /// Id of the arm.
    pub arm: ArmId,
    /// Number of decisions that showed it first.
    pub shown: u64,
    /// Part of the decisions that showed it first.
    pub share: f64,
    /// Reward per decision if everybody with the value got it, with an interval that holds for all values of all features at once;
    /// `None` if it was shown too seldom to tell.
    pub if_everybody: Option<(f64, f64, f64)>,
    /// Chance that it is the best for these shoppers, or 0 if it may not be shown or its figure is not known well enough to compare.
    pub chance_best: f64,
}

/// Different arms for shoppers with different values of a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct WhoWantsWhat {
    /// Name of the feature.
    pub feature: String,
    /// Values for which the best arm is known, with that arm.
    pub wants: Vec<(String, ArmId)>,
    /// Mean reward if everybody got the best arm of their value.
    pub together: f64,
    /// Arm that is the best if all get the same.
    pub single: ArmId,
    /// Mean reward of that arm if everybody got it.
    pub single_mean: f64,
    /// Other arms that may be the best if all get the same: with 95 %, for one look at one arm, they do not differ.
    pub single_rivals: Vec<ArmId>,
}

/// Arm of a value that can be compared with others.
struct ComparedArm {
    arm: u32,
    figure: DoublyRobustFigure,
}

/// Number of values of all features, among which the chance to err is divided.
fn value_count(view: &SlotView) -> usize {
    let features = view.evaluation.segments.features();
    features.iter().map(|feature| feature.all_values().filter(|value| is_reported(value)).count()).sum::<usize>().max(1)
}

fn is_reported(value: &SegmentValue) -> bool {
    value.decisions >= DECISIONS_MIN
}

/// Design effect of the figures of a segment. Much of what subjects have in common is their segment, so it is that of the noise.
fn design_effect(view: &SlotView) -> f64 {
    view.evaluation.everybody.noise().design_effect()
}

/// Computes the figures of the values of all followed features.
pub fn segments(view: &SlotView) -> Vec<FeatureSegments> {
    let (values, design) = (value_count(view), design_effect(view));
    let of_value = |value: &SegmentValue| value_report(view, value, values, design);
    let features = view.evaluation.segments.features().iter();
    features
        .map(|feature| FeatureSegments {
            feature: feature.name.clone(),
            decisions: feature.decisions,
            values: feature.all_values().map(of_value).collect(),
        })
        .collect()
}

/// Returns the figure of an arm for the shoppers of a value, wider while few rewards are known: about as Student's distribution is wider
/// than the normal one.
fn part_figure(of: &DoublyRobustSums, sums: &EverybodySums, design: f64) -> Option<DoublyRobustFigure> {
    let figure = of.part_figure(sums.noise(), design)?;
    let caution = 1.0 + CAUTION_SHOWINGS / figure.effective_showings;
    Some(DoublyRobustFigure { variance: figure.variance * caution, ..figure })
}

fn value_report(view: &SlotView, value: &SegmentValue, values: usize, design: f64) -> SegmentValueReport {
    let alpha = ALPHA / values as f64;
    let compared = compared_arms(view, value, design);
    let chances = chances(&compared);
    let shown: u64 = value.arms.iter().map(|arm| arm.shown).sum();
    let sums = &view.evaluation.everybody;
    let width = normal_quantile(1.0 - alpha / 2.0);
    let arms = value.arms.iter().filter_map(|arm| {
        let id = view.arms.names().get(arm.arm as usize)?;
        let figure = part_figure(&arm.sums, sums, design);
        let known = figure.filter(|figure| arm.shown > 0 && figure.effective_showings >= SHOWINGS_MIN);
        let at = compared.iter().position(|known| known.arm == arm.arm);
        Some(SegmentArmReport {
            arm: id.clone(),
            shown: arm.shown,
            share: if shown > 0 { arm.shown as f64 / shown as f64 } else { 0.0 },
            if_everybody: known.map(|figure| {
                let least = if view.definition.goal.rewards_cannot_be_negative() { 0.0 } else { f64::NEG_INFINITY };
                let half = width * figure.std();
                (figure.mean.max(least), (figure.mean - half).max(least), (figure.mean + half).max(least))
            }),
            chance_best: at.map_or(0.0, |at| chances[at]),
        })
    });
    let (policy, holdout) = (&value.policy, &value.holdout);
    let effects = (visits_design(view), visits_design(view));
    let effective = (policy.thinned(effects.0), holdout.thinned(effects.1));
    let lift = Lift::of_samples((policy, holdout), (&effective.0, &effective.1), reward_range(view), alpha);
    SegmentValueReport {
        value: value.label.clone(),
        decisions: value.decisions,
        reward_per_decision: (policy.count > 0).then(|| policy.mean()),
        worse_than_holdout: lift.and_then(|lift| lift.interval).is_some_and(|(_, high)| high < 0.0),
        lift,
        arms: arms.collect(),
    }
}

fn visits_design(view: &SlotView) -> f64 {
    view.evaluation.visits.design_effect()
}

/// Returns the arms of a value that may be shown and whose figures can be compared.
fn compared_arms(view: &SlotView, value: &SegmentValue, design: f64) -> Vec<ComparedArm> {
    let available: Vec<u32> = view
        .arms_in_effect()
        .iter()
        .filter(|arm| arm.available)
        .filter_map(|arm| view.arms.learned(arm.id.as_str()))
        .collect();
    let sums = &view.evaluation.everybody;
    let of_value = value.arms.iter().filter(|arm| available.contains(&arm.arm));
    of_value
        .filter_map(|arm| {
            let figure = part_figure(&arm.sums, sums, design)?;
            (figure.effective_showings >= COMPARED_MIN).then_some(ComparedArm { arm: arm.arm, figure })
        })
        .collect()
}

/// Returns the chance of each arm to be the best.
fn chances(arms: &[ComparedArm]) -> Vec<f64> {
    let scores: Vec<NormalScore> =
        arms.iter().map(|arm| NormalScore { mean: arm.figure.mean, std: arm.figure.std() }).collect();
    let mut chances = vec![0.0; scores.len()];
    if scores.is_empty() {
        return chances;
    }
    Winners::new(&scores, 1).probabilities(&vec![true; scores.len()], &mut chances);
    chances
}

/// Returns the feature by whose values different arms are the best, or `None` if none is shown to be.
///
/// All arms that are named must be the best of their values with a chance of 90 %, corrected for the number of pairs of values that are
/// looked at, and what is gained over the best single arm must be more than its error.
pub(super) fn who_wants_what(view: &SlotView) -> Option<WhoWantsWhat> {
    if is_plain(view) || view.definition.count() > 1 {
        return None;
    }
    let design = design_effect(view);
    let pairs = (value_count(view) as f64 / 2.0).max(1.0);
    let error = (1.0 - WANTED) / pairs;
    let features = view.evaluation.segments.features().iter();
    let found = features.filter_map(|feature| of_feature(view, feature, design, error));
    found.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, found)| found)
}

/// Returns what the values of a feature want, with the gain over the best single arm in standard errors. `error` is the chance that an
/// arm that is named is not the best of its value.
fn of_feature(view: &SlotView, feature: &SegmentFeature, design: f64, error: f64) -> Option<(f64, WhoWantsWhat)> {
    let values: Vec<&SegmentValue> = feature.all_values().filter(|value| is_reported(value)).collect();
    let weight: f64 = values.iter().map(|value| value.weight).sum();
    let compared: Vec<Vec<ComparedArm>> = values.iter().map(|value| compared_arms(view, value, design)).collect();
    let best_of =
        |arms: &[ComparedArm]| (0..arms.len()).max_by(|&a, &b| arms[a].figure.mean.total_cmp(&arms[b].figure.mean));
    let best: Vec<usize> = compared.iter().map(|arms| best_of(arms)).collect::<Option<_>>()?;
    let errors = compared.iter().zip(&best).map(|(arms, &at)| 1.0 - chances(arms)[at]);
    let mut surest: Vec<(f64, usize)> = errors.zip(0..).collect();
    surest.retain(|&(_, i)| values[i].label.is_some() && compared[i].len() > 1);
    surest.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Values are named as long as all of them together are sure.
    let mut sum = 0.0;
    surest.retain(|(of_value, _)| {
        sum += of_value;
        sum <= error
    });
    let mut known: Vec<usize> = surest.into_iter().map(|(_, i)| i).collect();
    known.sort_unstable();
    let named = |&i: &usize| {
        let arm = view.arms.names().get(compared[i][best[i]].arm as usize)?;
        Some((values[i].label.clone()?, arm.clone()))
    };
    let wants: Vec<(String, ArmId)> = known.iter().map(named).collect::<Option<_>>()?;
    if weight <= 0.0 || wants.iter().all(|(_, arm)| *arm == wants[0].1) {
        return None;
    }
    // The best single arm among those that are known for every value.
    let figure = |arms: &[ComparedArm], arm: u32| arms.iter().find(|known| known.arm == arm).map(|known| known.figure);
    let over_all = |arm: u32| -> Option<(f64, f64)> {
        let mut sums = (0.0, 0.0);
        for (value, arms) in values.iter().zip(&compared) {
            let (share, known) = (value.weight / weight, figure(arms, arm)?);
            sums = (sums.0 + share * known.mean, sums.1 + square(share) * known.variance);
        }
        Some(sums)
    };
    let everywhere: Vec<((f64, f64), u32)> =
        compared.first()?.iter().filter_map(|known| Some((over_all(known.arm)?, known.arm))).collect();
    let &((single_mean, single_variance), single) = everywhere.iter().max_by(|a, b| a.0.0.total_cmp(&b.0.0))?;
    let close =
        |(mean, variance): (f64, f64)| single_mean - mean < normal_quantile(SURE) * (single_variance + variance).sqrt();
    let rivals = everywhere.iter().filter(|(of, arm)| *arm != single && close(*of));
    let single_rivals = rivals.filter_map(|(_, arm)| view.arms.names().get(*arm as usize).cloned()).collect();
    let (mut together, mut variance) = (0.0, 0.0);
    for ((value, arms), &at) in values.iter().zip(&compared).zip(&best) {
        let share = value.weight / weight;
        together += share * arms[at].figure.mean;
        if arms[at].arm != single {
            variance += square(share) * (arms[at].figure.variance + figure(arms, single)?.variance);
        }
    }
    let errors = (together - single_mean) / variance.sqrt();
    let wants_what = WhoWantsWhat {
        feature: feature.name.clone(),
        wants,
        together,
        single: view.arms.names().get(single as usize)?.clone(),
        single_mean,
        single_rivals,
    };
    (errors >= normal_quantile(WANTED)).then_some((errors, wants_what))
}
