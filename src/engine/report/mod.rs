//! Report of a slot: figures of what it has learned, for people.
//!
//! * [`report`] computes the figures.
//! * [`Status`] sums them up in a word and a sentence.
//!
//! Each arm has two figures. "Where it was shown" describes the log. "If everybody got it" is what the arm would earn over
//! all contexts, and arms are compared by it. The lift and the word "confident" hold however often one looks (see
//! [`stats`](crate::stats)).

mod alerts;
mod amounts;
mod arms;
mod everybody;
mod lift;
mod ratio;
mod segments;
mod shop;
mod status;

pub use alerts::{Alert, AlertKind, alerts};
pub use amounts::AmountFormat;
pub use arms::ArmReport;
pub(super) use everybody::EverybodyComparison;
pub use everybody::{FloorAdvice, IfEverybody, WithheldBecause, WithheldFigure};
pub use lift::Lift;
pub use ratio::RatioCheck;
pub use segments::{FeatureSegments, SegmentArmReport, SegmentValueReport, WhoWantsWhat, segments};
pub use shop::{ArmPeriod, KindCount, PeriodFigures, period_figures, rewards_since};
pub use status::{SlotStage, Status};

use self::{
    arms::{ArmFigures, arm_figures},
    lift::RewardRange,
};
use super::{Counters, DeferredCounts, HoldoutComparison, view::SlotView};
use crate::{
    bandit::FeatureNote,
    slot::{ArmId, Mode},
    stats::GroupedSample,
};

/// Probability that an interval or a quantile is wrong.
const ALPHA: f64 = 0.05;

/// Report of a slot. Rewards are in the goal's units.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotReport {
    /// Id of the slot.
    pub slot: String,
    /// Number of the slot's revision.
    pub revision: u64,
    /// Name of the model that decides, for example "portfolio".
    pub model: String,
    /// Names of the models that decide and the probability of each, heaviest first.
    pub models: Vec<(String, f64)>,
    /// Number of times that the change detector raised an alarm.
    pub changes_found: u32,
    /// Number of dimensions that the features take so far, or 0 without features.
    pub dimensions: u32,
    /// Probability that a shopper looks at each position, relative to the first. Empty without a position-based click
    /// model.
    pub exposures: Vec<f64>,
    /// Counts of decisions, showings and events.
    pub counters: Counters,
    /// Numbers of deferred decisions. Those that were confirmed are among the decisions.
    pub deferred: DeferredCounts,
    /// Change of the goal after which the sums began again, or `None` if no decision was made under another goal. Sums
    /// and means per decision are those since then.
    pub goal_sums: Option<GoalChange>,
    /// Arms of the slot in its order, then other arms that were shown.
    pub arms: Vec<ArmReport>,
    /// Lift of all decisions by the policy over the holdout, while the holdout had its present share. `None` if either
    /// group has no decision yet.
    pub lift: Option<Lift>,
    /// Lift of the analysis slice alone over the holdout.
    pub analysis_lift: Option<Lift>,
    /// Expected reward that a recent decision of the policy gave up at the first position compared with the best guess,
    /// or `None` if the policy has decided nothing yet.
    pub exploration_cost: Option<f64>,
    /// Value remaining: upper bound, with probability 95 %, of the amount by which another available arm's mean is higher
    /// than the leader's. `None` if fewer than two arms may be shown, in shadow mode, and while it exceeds what
    /// the leader earns.
    pub value_remaining: Option<f64>,
    /// Value remaining as a part of the leader's mean, or `None` if either is missing or that mean is 0.
    pub value_remaining_relative: Option<f64>,
    /// Floor of every arm's probability that is in effect.
    pub floor: f64,
    /// Currency of the rewards, or `None` if they are no money.
    pub currency: Option<String>,
    /// Rewards lie within [0, 1], so that means are rates.
    pub rates: bool,
    /// Different arms for different shoppers, where that is shown.
    pub who_wants_what: Option<WhoWantsWhat>,
    /// Check of the holdout's realised share, or `None` without a holdout or with too few decisions.
    pub ratio_check: Option<RatioCheck>,
    /// Number of times by which subjects who come back make a mean's variance larger than the number of decisions says, at
    /// least 1.
    pub design_effect: f64,
    /// Arms that the policy would have shown in shadow mode, or `None` if the slot was never in it.
    pub shadow: Option<ShadowReport>,
    /// Alerts that somebody should look at.
    pub alerts: Vec<Alert>,
    /// Features that are not used as they were sent, by name, at most 100.
    pub feature_notes: Vec<(String, FeatureNote)>,
    /// Summary in a word and a sentence.
    pub status: Status,
}

/// Arms that the policy would have shown in shadow mode, at the first position.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowReport {
    /// Number of decisions in shadow mode.
    pub decisions: u64,
    /// Part of them that showed what the policy would have shown.
    pub agreed: f64,
    /// Mean reward that the model expected of what it would have shown. It is not measured.
    pub expected: f64,
    /// Mean reward that the model expected of what was shown.
    pub shown_expected: f64,
    /// Arms that it would have shown, each with its part of the decisions, the largest part first.
    pub arms: Vec<(ArmId, f64)>,
}

/// Maximum number of a report's notes on features.
const FEATURE_NOTES_MAX: usize = 100;

/// Change of a slot's goal after which its sums began again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GoalChange {
    /// Number of the revision that changed the goal.
    pub revision: u64,
    /// Time of the change, microseconds since 1970.
    pub at_us: i64,
    /// Number of decisions since then that showed something.
    pub decisions: u64,
    /// Sum of the rewards of those decisions.
    pub reward_sum: f64,
    /// Number of those decisions that were the holdout's.
    pub holdout_decisions: u64,
    /// Sum of the rewards of the holdout's decisions.
    pub holdout_reward_sum: f64,
}

impl SlotReport {
    /// Mean reward per decision, over all decisions.
    pub fn reward_per_decision(&self) -> f64 {
        match &self.goal_sums {
            Some(sums) => per_decision(sums.reward_sum, sums.decisions),
            None => per_decision(self.counters.reward_sum, self.counters.decisions),
        }
    }

    /// Mean reward per decision of the holdout.
    pub fn holdout_reward_per_decision(&self) -> f64 {
        match &self.goal_sums {
            Some(sums) => per_decision(sums.holdout_reward_sum, sums.holdout_decisions),
            None => per_decision(self.counters.holdout_reward_sum, self.counters.holdout_decisions),
        }
    }
}

/// Returns the mean, or 0 if there was no decision.
fn per_decision(reward_sum: f64, decisions: u64) -> f64 {
    if decisions > 0 { reward_sum / decisions as f64 } else { 0.0 }
}

/// Returns `amount` as a part of `whole`, or `None` if the whole is 0.
fn part_of(amount: f64, whole: f64) -> Option<f64> {
    (whole.abs() > 0.0).then(|| amount / whole.abs())
}

/// Computes the report of a slot.
pub fn report(view: &SlotView) -> SlotReport {
    let definition = &*view.definition;
    let ArmFigures { arms, leader, value_remaining } = arm_figures(view);
    // In shadow mode nothing measures what the arms earn that the baseline does not show.
    let value_remaining = value_remaining.filter(|_| definition.controls.mode() != Mode::Shadow);
    let leader_mean = leader.map(|leader| arms[leader].best_known_mean());
    let mut report = SlotReport {
        slot: definition.id.to_string(),
        revision: view.revision,
        model: definition.model.name().to_owned(),
        models: view.learner.weights().map(|(name, weight)| (name.to_owned(), weight)).collect(),
        changes_found: view.learner.takeovers(),
        dimensions: view.learner.dimensions(),
        exposures: view.position_exposures.clone(),
        counters: view.counters,
        deferred: view.deferred,
        goal_sums: goal_change(view),
        lift: policy_lift(view),
        analysis_lift: lift_of(view, |comparison| comparison.analysis.clone()),
        exploration_cost: view.evaluation.exploration_cost(),
        value_remaining,
        value_remaining_relative: value_remaining.zip(leader_mean).and_then(|(value, mean)| part_of(value, mean)),
        floor: definition.floor(view.arms_in_effect().iter().filter(|arm| arm.available).count(), 1.0),
        currency: definition.goal.currency.clone(),
        rates: definition.goal.within_unit(),
        who_wants_what: segments::who_wants_what(view),
        ratio_check: ratio::ratio_check(view),
        design_effect: view.evaluation.visits.design_effect(),
        shadow: shadow_report(view),
        alerts: alerts(view),
        feature_notes: feature_notes(view),
        status: Status { stage: SlotStage::Learning, sentence: String::new() },
        arms,
    };
    report.status = status::status(view, &report, leader);
    report
}

fn shadow_report(view: &SlotView) -> Option<ShadowReport> {
    let counts = &view.evaluation.shadow;
    let part = |amount: f64| amount / counts.decisions as f64;
    let mut arms: Vec<(ArmId, f64)> =
        counts.arms.iter().map(|(arm, count)| (arm.clone(), part(*count as f64))).collect();
    arms.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    (counts.decisions > 0).then(|| ShadowReport {
        decisions: counts.decisions,
        agreed: part(counts.agreed as f64),
        expected: part(counts.expected),
        shown_expected: part(counts.shown_expected),
        arms,
    })
}

fn feature_notes(view: &SlotView) -> Vec<(String, FeatureNote)> {
    let notes = view.learner.feature_notes().into_iter();
    let each = |(name, notes): (String, Vec<FeatureNote>)| notes.into_iter().map(move |note| (name.clone(), note));
    notes.flat_map(each).take(FEATURE_NOTES_MAX).collect()
}

/// Returns the lift of all decisions by the policy over the holdout, over the decisions that were made while the holdout had its
/// present share, or `None` if either group has no decision.
pub fn policy_lift(view: &SlotView) -> Option<Lift> {
    lift_of(view, |comparison| comparison.policy.with(&comparison.analysis))
}

/// Returns the lift of a group over the holdout, over the decisions that were made while the holdout had its present
/// share.
fn lift_of(view: &SlotView, group: fn(&HoldoutComparison) -> GroupedSample) -> Option<Lift> {
    let comparison = view.evaluation.comparison(view.definition.controls.control_share())?;
    Lift::new(&group(comparison), &comparison.holdout, reward_range(view), ALPHA)
}

/// Returns the range of a decision's rewards.
fn reward_range(view: &SlotView) -> RewardRange {
    let definition = &*view.definition;
    RewardRange {
        // The rewards of several arms can add up to more than 1.
        within_unit: definition.goal.within_unit() && definition.count() == 1,
        default_reward: definition.goal.default_reward * f64::from(definition.count()),
    }
}

/// Returns the change of the goal after which the sums began again, or `None` if there was none.
fn goal_change(view: &SlotView) -> Option<GoalChange> {
    view.goal_sums.as_ref().map(|sums| GoalChange {
        revision: sums.revision,
        at_us: sums.at_us,
        decisions: sums.decisions,
        reward_sum: sums.reward_sum,
        holdout_decisions: sums.holdout_decisions,
        holdout_reward_sum: sums.holdout_reward_sum,
    })
}
