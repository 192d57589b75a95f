//! What a slot has learned, in figures for people.

use super::{
    counters::{Counters, Tally},
    view::SlotView,
};
use crate::{
    bandit::ArmSummary,
    slot::ArmId,
    stats::{BetaScore, Marginal, StudentScore, Winners},
};

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
    /// The arms of the slot in its order, then others that were shown.
    pub arms: Vec<ArmReport>,
}

impl SlotReport {
    /// The reward of all that was shown, per decision.
    pub fn reward_per_decision(&self) -> f64 {
        per(self.counters.reward_sum, self.counters.decisions)
    }

    /// The same for the holdout.
    pub fn holdout_reward_per_decision(&self) -> f64 {
        per(self.counters.holdout_reward_sum, self.counters.holdout_decisions)
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
    /// The sum of its rewards as they came.
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
}

/// Reports on a slot: its arms' mean rewards, context left aside.
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
    let tally = |arm: &ArmId| view.tallies.get(view.arms.learned(arm.as_str())? as usize).copied();
    let tallies: Vec<Tally> = arms.iter().map(|(arm, _)| tally(arm).unwrap_or_default()).collect();
    let shown_in_all: u64 = tallies.iter().map(|t| t.shown).sum();
    let chances = if unit {
        chances(&summaries[..own].iter().map(|s| BetaScore::new(&s.rate, 1.0)).collect::<Vec<_>>())
    } else {
        let score = |s: &ArmSummary| StudentScore::new(s.value.mean(), s.value.spread(), s.value.degrees());
        chances(&summaries[..own].iter().map(score).collect::<Vec<_>>())
    };
    let arms = arms
        .into_iter()
        .zip(summaries)
        .zip(tallies)
        .enumerate()
        .map(|(i, (((arm, available), s), Tally { shown, reward_sum, .. }))| {
            let (mean, low, high) = if unit {
                (s.rate.mean(), s.rate.quantile(0.025), s.rate.quantile(0.975))
            } else {
                (s.value.mean(), s.value.quantile(0.025), s.value.quantile(0.975))
            };
            ArmReport {
                arm,
                shown,
                share: if shown_in_all > 0 { shown as f64 / shown_in_all as f64 } else { 0.0 },
                reward_sum,
                learned_sum: s.reward_sum,
                mean,
                low,
                high,
                chance_best: chances.get(i).copied().unwrap_or(0.0),
                available,
            }
        })
        .collect();
    SlotReport {
        slot: definition.id.to_string(),
        revision: view.revision,
        model: definition.model.name().to_owned(),
        models: view.learner.weights().map(|(name, weight)| (name.to_owned(), weight)).collect(),
        changes_found: view.learner.takeovers(),
        dimensions: view.learner.dimensions(),
        exposures: view.exposures.clone(),
        counters: view.counters,
        arms,
    }
}

fn chances<M: Marginal>(scores: &[M]) -> Vec<f64> {
    let mut out = vec![0.0; scores.len()];
    Winners::new(scores, 1).probabilities(&vec![true; scores.len()], &mut out);
    out
}
