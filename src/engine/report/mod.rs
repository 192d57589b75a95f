//! What a slot has learned, in figures for people.
//!
//! * [`report`]: the figures.
//! * [`Status`]: what they come to, in a word and a sentence.
//!
//! Arms are judged with context left aside. Posteriors say what is believed of them now; lift and the word
//! "confident" rest on intervals and evidence that hold however often one looks (see
//! [`stats`](crate::stats)).

mod status;

pub use status::{Stage, Status};

use super::{
    slot_state::{ArmCounters, Counters, HoldoutComparison},
    view::SlotView,
};
use crate::{
    bandit::ArmSummary,
    slot::ArmId,
    stats::{
        BetaScore, Interval, Marginal, RewardSample, StudentScore, Winners,
        best::{RateScore, RewardBelief, ValueScore, expected_losses, value_remaining},
        mean_difference,
    },
};

/// How often an interval or a quantile may be wrong.
const ALPHA: f64 = 0.05;

/// A slot's report; rewards in reward units.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotReport {
    /// The slot's id.
    pub slot: String,
    /// Its revision.
    pub revision: u64,
    /// What decides: "portfolio", or its one model.
    pub model: String,
    /// The models that decide and the probability of each, heaviest first.
    pub models: Vec<(String, f64)>,
    /// How often the world was found to have changed.
    pub changes_found: u32,
    /// Dimensions that features take so far; 0 without features.
    pub dimensions: u32,
    /// How often each position is looked at, in units of the first; empty without a position-based click model.
    pub exposures: Vec<f64>,
    /// What was counted.
    pub counters: Counters,
    /// Since when rewards are paid by the goal as it is, if there were decisions before; sums and means per decision are
    /// those since then.
    pub goal_sums: Option<GoalChange>,
    /// The arms of the slot in its order, then others that were shown.
    pub arms: Vec<ArmReport>,
    /// All who got the policy against the holdout, while that had its present share; none: either had no decision yet.
    pub lift: Option<Lift>,
    /// The same for the analysis slice alone.
    pub analysis_lift: Option<Lift>,
    /// What a decision of the policy was lately expected to earn less than the best guess would have, for the first
    /// position; none: the policy decided nothing yet.
    pub exploration_cost: Option<f64>,
    /// With probability 95 %, no other arm that may be shown is better than the leader by more than this, context left
    /// aside; none: fewer than two may be shown.
    pub value_remaining: Option<f64>,
    /// That as a part of the leader's mean; none where that mean is 0 or there is none.
    pub value_remaining_relative: Option<f64>,
    /// What all of it comes to.
    pub status: Status,
}

/// Change of a slot's goal after which its sums begin again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GoalChange {
    /// The revision that changed the goal.
    pub revision: u64,
    /// When that was, microseconds since 1970.
    pub at_us: i64,
    /// Decisions since then that showed something.
    pub decisions: u64,
    /// The rewards of all that they showed, added up.
    pub reward_sum: f64,
    /// Of those decisions, the holdout's.
    pub holdout_decisions: u64,
    /// And their rewards.
    pub holdout_reward_sum: f64,
}

/// What a group of decisions earned against the holdout, reward per decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lift {
    /// How many decisions.
    pub decisions: u64,
    /// Their mean.
    pub mean: f64,
    /// How many of the holdout.
    pub holdout_decisions: u64,
    /// The holdout's mean.
    pub holdout_mean: f64,
    /// How much the first mean lies above the second.
    pub difference: f64,
    /// The interval that holds that difference at all times with probability 95 %, however often one looks; none: there
    /// were too few rewards to say.
    pub interval: Option<(f64, f64)>,
    /// The difference as a part of the holdout's mean; none where that is 0.
    pub relative: Option<f64>,
}

impl Lift {
    fn of(group: &RewardSample, comparison: &HoldoutComparison, unit: bool, default: f64) -> Option<Self> {
        let holdout = &comparison.holdout;
        if group.count == 0 || holdout.count == 0 {
            return None;
        }
        let difference_of_means = group.mean() - holdout.mean();
        let interval = mean_difference(group, holdout, unit, default, ALPHA);
        Some(Self {
            decisions: group.count,
            mean: group.mean(),
            holdout_decisions: holdout.count,
            holdout_mean: holdout.mean(),
            difference: difference_of_means,
            interval: interval.map(|Interval { low, high }| (low, high)),
            relative: part(difference_of_means, holdout.mean()),
        })
    }
}

/// As a part of a whole that is not 0.
fn part(of: f64, whole: f64) -> Option<f64> {
    (whole.abs() > 0.0).then(|| of / whole.abs())
}

impl SlotReport {
    /// The reward of all that was shown, per decision.
    pub fn reward_per_decision(&self) -> f64 {
        match &self.goal_sums {
            Some(sums) => per(sums.reward_sum, sums.decisions),
            None => per(self.counters.reward_sum, self.counters.decisions),
        }
    }

    /// The same for the holdout.
    pub fn holdout_reward_per_decision(&self) -> f64 {
        match &self.goal_sums {
            Some(sums) => per(sums.holdout_reward_sum, sums.holdout_decisions),
            None => per(self.counters.holdout_reward_sum, self.counters.holdout_decisions),
        }
    }
}

fn per(sum: f64, count: u64) -> f64 {
    if count > 0 { sum / count as f64 } else { 0.0 }
}

/// An arm's report.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmReport {
    /// The arm.
    pub arm: ArmId,
    /// How often it was shown.
    pub shown: u64,
    /// Its part of all that was shown.
    pub share: f64,
    /// How often it was shown since the goal paid something else; as often as it was shown if it never did.
    pub shown_since_goal: u64,
    /// The sum of the rewards of those showings as they came.
    pub reward_sum: f64,
    /// The sum of its rewards as they were learned: winsorized where the goal says so, and not before it says so.
    pub learned_sum: f64,
    /// The posterior mean of its reward per showing.
    pub mean: f64,
    /// The 2.5 % quantile of that mean.
    pub low: f64,
    /// The 97.5 % quantile.
    pub high: f64,
    /// The probability that its mean is the highest of the slot's arms.
    pub chance_best: f64,
    /// It is in the slot and may be shown.
    pub available: bool,
    /// How many of its showings have an event that counts.
    pub rewarded: u64,
    /// What it is expected to lose, per showing, against knowing which arm is best; 0 for one that may not be shown.
    pub expected_loss: f64,
    /// How many observations its posterior rests on, those that faded counted in part.
    pub effective_observations: f64,
}

/// Reports on a slot: its arms' mean rewards, context left aside.
#[expect(clippy::too_many_lines, reason = "most of them name the report's fields, once each")]
pub fn report(view: &SlotView) -> SlotReport {
    let definition = &*view.definition;
    let unit = definition.goal.within_unit();
    let own = definition.arms.len();
    let mut arms: Vec<(ArmId, bool)> = definition.arms.iter().map(|arm| (arm.id.clone(), arm.available)).collect();
    arms.extend(
        view.arms.names().iter().filter(|n| view.arms.position(n.as_str()).is_none()).map(|n| (n.clone(), false)),
    );

    let summaries: Vec<ArmSummary> = arms
        .iter()
        .map(|(arm, _)| view.arms.learned(arm.as_str()).and_then(|arm| view.learner.summary(arm)).copied())
        .map(Option::unwrap_or_default)
        .collect();
    let tally = |arm: &ArmId| view.arm_counters.get(view.arms.learned(arm.as_str())? as usize).copied();
    let tallies: Vec<ArmCounters> = arms.iter().map(|(arm, _)| tally(arm).unwrap_or_default()).collect();
    let shown_in_all: u64 = tallies.iter().map(|t| t.shown).sum();
    let since: Vec<(ArmCounters, f64)> = arms
        .iter()
        .zip(&tallies)
        .map(|((arm, _), tally)| match (&view.goal_sums, view.arms.learned(arm.as_str())) {
            (Some(sums), Some(arm)) => (sums.arm(arm), sums.learned_before(arm)),
            (Some(_), None) => (ArmCounters::default(), 0.0),
            (None, _) => (*tally, 0.0),
        })
        .collect();
    let chances = if unit {
        chances(&summaries[..own].iter().map(|s| BetaScore::new(&s.rate, 1.0)).collect::<Vec<_>>())
    } else {
        let score = |s: &ArmSummary| StudentScore::new(s.value.mean(), s.value.spread(), s.value.degrees());
        chances(&summaries[..own].iter().map(score).collect::<Vec<_>>())
    };
    let mut losses = vec![0.0; arms.len()];
    let may: Vec<usize> = (0..own).filter(|&i| arms[i].1).collect();
    let leader = may.iter().copied().max_by(|&a, &b| chances[a].total_cmp(&chances[b]));
    let (of_may, remaining) = if unit {
        judge(&may.iter().map(|&i| RateScore::new(&summaries[i].rate)).collect::<Vec<_>>(), &may, leader)
    } else {
        judge(&may.iter().map(|&i| ValueScore::new(&summaries[i].value)).collect::<Vec<_>>(), &may, leader)
    };
    may.iter().zip(of_may).for_each(|(&i, loss)| losses[i] = loss);
    let arms: Vec<ArmReport> = arms
        .into_iter()
        .zip(summaries)
        .zip(tallies.into_iter().zip(since))
        .enumerate()
        .map(|(i, (((arm, available), s), (ArmCounters { shown, .. }, (since, learned_before))))| {
            let (mean, low, high) = if unit {
                (s.rate.mean(), s.rate.quantile(0.025), s.rate.quantile(0.975))
            } else {
                (s.value.mean(), s.value.quantile(0.025), s.value.quantile(0.975))
            };
            ArmReport {
                arm,
                shown,
                share: if shown_in_all > 0 { shown as f64 / shown_in_all as f64 } else { 0.0 },
                shown_since_goal: since.shown,
                reward_sum: since.reward_sum,
                learned_sum: s.reward_sum - learned_before,
                mean,
                low,
                high,
                chance_best: chances.get(i).copied().unwrap_or(0.0),
                available,
                rewarded: since.rewarded,
                expected_loss: losses[i],
                effective_observations: s.weight(),
            }
        })
        .collect();
    let comparison = view.evaluation.comparison(definition.controls.control_share());
    let default = definition.goal.default_reward * f64::from(definition.count());
    // A slate's rewards add up to more than one arm's.
    let unit_in_all = unit && definition.count() == 1;
    let lift = |group: fn(&HoldoutComparison) -> RewardSample| {
        comparison.and_then(|comparison| Lift::of(&group(comparison), comparison, unit_in_all, default))
    };
    let mut report = SlotReport {
        slot: definition.id.to_string(),
        revision: view.revision,
        model: definition.model.name().to_owned(),
        models: view.learner.weights().map(|(name, weight)| (name.to_owned(), weight)).collect(),
        changes_found: view.learner.takeovers(),
        dimensions: view.learner.dimensions(),
        exposures: view.position_exposures.clone(),
        counters: view.counters,
        goal_sums: view.goal_sums.as_ref().map(|sums| GoalChange {
            revision: sums.revision,
            at_us: sums.at_us,
            decisions: sums.decisions,
            reward_sum: sums.reward_sum,
            holdout_decisions: sums.holdout_decisions,
            holdout_reward_sum: sums.holdout_reward_sum,
        }),
        lift: lift(|of| of.policy.with(of.analysis)),
        analysis_lift: lift(|of| of.analysis),
        exploration_cost: view.evaluation.exploration_cost(),
        value_remaining: remaining,
        value_remaining_relative: remaining.zip(leader).and_then(|(value, leader)| part(value, arms[leader].mean)),
        status: Status { stage: Stage::Learning, sentence: String::new() },
        arms,
    };
    report.status = status::status(view, &report, leader);
    report
}

/// What each of the arms that may be shown is expected to lose, and what another could still add to the leader.
fn judge<B: RewardBelief>(beliefs: &[B], may: &[usize], leader: Option<usize>) -> (Vec<f64>, Option<f64>) {
    let chosen = leader.and_then(|leader| may.iter().position(|&i| i == leader)).filter(|_| may.len() > 1);
    (expected_losses(beliefs), chosen.map(|chosen| value_remaining(beliefs, chosen, 1.0 - ALPHA)))
}

fn chances<M: Marginal>(scores: &[M]) -> Vec<f64> {
    let mut out = vec![0.0; scores.len()];
    Winners::new(scores, 1).probabilities(&vec![true; scores.len()], &mut out);
    out
}
