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

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    duels::Duels,
    event::{Decided, Fallback, Reason},
    packed::tokens::Writer,
    pending::{PendingDecision, ShownArm},
    state::SlotState,
};
use crate::{
    slot::Mode,
    stats::{PairwiseTest, RewardSample, compact},
};

/// Number of holdout shares whose comparisons are kept. The oldest goes first.
const SHARES_MAX: usize = 8;

/// Number of a decision's arms that are compared with each other: those most likely to be shown.
const RIVALS_MAX: usize = 16;

/// Smallest probability of an arm that is compared. A pair with an arm that is hardly ever shown says next to nothing.
const RIVAL_MIN: f32 = 1e-3;

/// Number of decisions over which the cost of exploration is averaged, roughly.
const SPENDING_DECISIONS: f64 = 1_000.0;

/// Treatment that a decision's subject got. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Audience {
    /// The policy, which learned of the decision.
    Policy,
    /// The policy, which did not learn of the decision.
    Analysis,
    /// The baseline.
    Holdout,
}

/// Rewards per decision of subjects that got the policy, and of those that got the baseline. *Persisted.*
///
/// Decisions are compared only with those made while the holdout had the same share. Otherwise a busy season with a
/// smaller holdout would count for the policy.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Share of the holdout, 0 to 1.
    pub share: f64,
    /// Number of the comparison, from 1.
    number: u64,
    /// Rewards of decisions by the policy that it learned of.
    pub policy: RewardSample,
    /// Rewards of decisions by the policy that it did not learn of.
    pub analysis: RewardSample,
    /// Rewards of decisions by the baseline.
    pub holdout: RewardSample,
}

impl Comparison {
    fn group(&mut self, audience: Audience) -> &mut RewardSample {
        match audience {
            Audience::Policy => &mut self.policy,
            Audience::Analysis => &mut self.analysis,
            Audience::Holdout => &mut self.holdout,
        }
    }
}

/// Evaluation data of one pending decision. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Trial {
    /// Number of its comparison and its treatment, or `None` if it is not compared.
    pub(super) compared: Option<(u64, Audience)>,
    /// Value that is subtracted from the first position's reward: the mean of the rewards before it.
    #[serde(with = "compact")]
    pub(super) centre: f64,
    /// Arms that the draw of the first position compares, with their probabilities; the shown one first. Empty if the
    /// position was not drawn.
    pub(super) rivals: Vec<(u32, f32)>,
}

impl Trial {
    /// Writes the bytes that serde would write.
    pub(super) fn write(&self, to: &mut Writer) {
        let Self { compared, centre, rivals } = self;
        to.array(3);
        match compared {
            None => to.nothing(),
            Some(compared) => to.other(compared),
        }
        to.number(*centre);
        to.array(rivals.len());
        for &(arm, propensity) in rivals {
            to.array(2);
            to.uint(arm);
            to.single(propensity);
        }
    }

    /// Returns the decision's contribution to the pairwise test of the shown arm against the rival, in this order.
    fn outcome(&self, rival: f32, reward: f64) -> f64 {
        let own = f64::from(self.rivals.first().map_or(1.0, |shown| shown.1));
        let rival = f64::from(rival);
        (reward - self.centre) * (rival / (own + rival))
    }
}

/// Sums from which the report is computed. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Insight {
    /// Comparisons of policy and holdout, one per share of the holdout, newest last.
    pub comparisons: Vec<Comparison>,
    /// Number of comparisons that were ever made.
    made: u64,
    /// Pairwise tests of the arms.
    pub duels: Duels,
    /// Rewards of the first position, of decisions whose first position the policy drew.
    pub first: RewardSample,
    /// Number of decisions that the policy drew, with exponential decay.
    spending_weight: f64,
    /// Sum of their expected losses against the best guess at the first position, with the same decay.
    spending: f64,
    /// Number of decisions since the last event that counts.
    pub quiet: u64,
    /// Time of that event, or of the first decision if there is none, microseconds since 1970.
    pub quiet_from_us: i64,
    /// Time of the last decision, microseconds since 1970.
    pub decided_us: i64,
    /// Number of decisions for which the model's scores were unusable.
    pub model_fallbacks: u64,
}

impl Insight {
    /// Mean expected loss per decision of the policy against the best guess, lately, or `None` if it has made no
    /// decision.
    pub fn exploration_cost(&self) -> Option<f64> {
        (self.spending_weight > 0.0).then(|| self.spending / self.spending_weight)
    }

    /// Returns the comparison made while the holdout had this share.
    pub fn comparison(&self, share: f64) -> Option<&Comparison> {
        self.comparisons.iter().find(|c| c.share.total_cmp(&share).is_eq())
    }

    /// Returns the pairwise test of the arm with index `a` in the learner against `b`.
    pub fn duel(&self, a: u32, b: u32) -> Option<PairwiseTest> {
        self.duels.get(a, b)
    }

    /// Starts the sums of rewards again, because another goal pays them from now on.
    pub(super) fn begin_goal(&mut self) {
        // Decisions from before find no comparison any more.
        self.comparisons.clear();
        (self.duels, self.first) = (Duels::default(), RewardSample::default());
        (self.spending_weight, self.spending) = (0.0, 0.0);
    }

    /// Returns the number of the comparison for this share of the holdout, creating it if necessary.
    fn number(&mut self, share: f64) -> u64 {
        if let Some(known) = self.comparison(share) {
            return known.number;
        }
        if self.comparisons.len() >= SHARES_MAX {
            self.comparisons.remove(0);
        }
        self.made += 1;
        self.comparisons.push(Comparison { share, number: self.made, ..Comparison::default() });
        self.made
    }

    fn group(&mut self, (number, audience): (u64, Audience)) -> Option<&mut RewardSample> {
        self.comparisons.iter_mut().find(|c| c.number == number).map(|c| c.group(audience))
    }

    /// Adds a decision with its rewards while nothing is known of them.
    fn begin(&mut self, trial: &Trial, total: f64, first: f64) {
        if let Some(group) = trial.compared.and_then(|of| self.group(of)) {
            group.add(total);
        }
        let Some((&(shown, _), rivals)) = trial.rivals.split_first() else { return };
        self.first.add(first);
        self.duels.each(shown, rivals, |duel, p, second| {
            let y = trial.outcome(p, first);
            duel.add(if second { -y } else { y });
        });
    }

    /// Revises the total reward of a decision. `first` is the first position's reward before and after, if that
    /// changed.
    fn revise(&mut self, trial: &Trial, total: (f64, f64), first: Option<(f64, f64)>) {
        // A comparison that was dropped for newer ones is not found, and not revised.
        if let Some(group) = trial.compared.and_then(|of| self.group(of)) {
            group.revise(total.0, total.1);
        }
        let (Some((before, after)), Some((&(shown, _), rivals))) = (first, trial.rivals.split_first()) else { return };
        self.first.revise(before, after);
        self.duels.each(shown, rivals, |duel, p, second| {
            let (before, after) = (trial.outcome(p, before), trial.outcome(p, after));
            if second {
                duel.revise(-before, -after);
            } else {
                duel.revise(before, after);
            }
        });
    }
}

impl SlotState {
    /// Gives the places of removed arms to newer ones, if all places are taken.
    pub(super) fn make_room(&mut self) {
        if !self.insight.duels.full() {
            return;
        }
        let there: BTreeSet<u32> =
            self.definition.arms.iter().filter_map(|arm| self.arms.learned(arm.id.as_str())).collect();
        Arc::make_mut(&mut self.insight).duels.make_room(|arm| there.contains(&arm));
    }

    /// Adds a decision that showed `shown`, and returns its evaluation data.
    pub(super) fn judge_decided(&mut self, at_us: i64, decided: &Decided, shown: &[ShownArm]) -> Trial {
        let (trial, drawn) = self.trial(decided, shown);
        let silence = self.definition.goal.default_reward;
        let insight = Arc::make_mut(&mut self.insight);
        insight.begin(&trial, shown.len() as f64 * silence, silence);
        if insight.decided_us == 0 {
            insight.quiet_from_us = at_us;
        }
        insight.decided_us = at_us;
        insight.quiet += 1;
        insight.model_fallbacks += u64::from(decided.fallback == Some(Fallback::Model));
        if let (true, Some(first)) = (drawn, decided.chosen.first()) {
            let kept = 1.0 - 1.0 / SPENDING_DECISIONS;
            insight.spending_weight = kept * insight.spending_weight + 1.0;
            insight.spending = kept * insight.spending + (decided.best_expected - first.expected_reward).max(0.0);
        }
        trial
    }

    /// Notes that an event that counts arrived.
    pub(super) fn judge_event(&mut self, at_us: i64) {
        let insight = Arc::make_mut(&mut self.insight);
        (insight.quiet, insight.quiet_from_us) = (0, at_us);
    }

    /// Revises the sums after the reward at `place` of a decision changed from `before` to its present value.
    pub(super) fn judge_settled(&mut self, decision: &PendingDecision, place: usize, before: f64) {
        let Some(trial) = decision.judged.trial() else { return };
        let after = decision.shown[place].reward;
        let total: f64 = decision.shown.iter().map(|shown| shown.reward).sum();
        let first = (place == 0).then_some((before, after));
        Arc::make_mut(&mut self.insight).revise(&trial, (total - after + before, total), first);
    }

    /// Returns the evaluation data of a decision, and whether the policy drew its first position.
    fn trial(&mut self, decided: &Decided, shown: &[ShownArm]) -> (Trial, bool) {
        let controls = &self.definition.controls;
        let reason = decided.chosen.first().map(|first| first.reason);
        let watching = controls.mode() == Mode::Shadow || reason == Some(Reason::Watching);
        let share = controls.control_share();
        let audience = match (decided.holdout, decided.analysis) {
            (true, _) => Audience::Holdout,
            (false, true) => Audience::Analysis,
            (false, false) => Audience::Policy,
        };
        // A decision that did not ask the policy says nothing about either group. If the policy failed, that is its
        // result.
        let asked = matches!(decided.fallback, None | Some(Fallback::Model));
        let compared = (asked && !watching && share > 0.0 && share < 1.0)
            .then(|| (Arc::make_mut(&mut self.insight).number(share), audience));
        let drawn = asked && !watching && audience != Audience::Holdout && decided.sticky.is_none();
        let rivals = if drawn { self.rivals(decided, shown) } else { None };
        let mean = self.insight.first.mean();
        let centre = if self.definition.goal.within_unit() { mean.clamp(0.0, 1.0) } else { mean };
        let drawn = rivals.is_some();
        (Trial { compared, centre, rivals: rivals.unwrap_or_default() }, drawn)
    }

    /// Adds the arms that the draw of the first position could have shown to the pairwise tests. Returns them, the
    /// shown one first, or none of them if the shown one is not among the likeliest. Returns `None` if the first
    /// position was not drawn by its probability.
    fn rivals(&mut self, decided: &Decided, shown: &[ShownArm]) -> Option<Vec<(u32, f32)>> {
        let (own, chosen) = (shown.first()?.arm, decided.chosen.first()?);
        let then = if decided.revision == self.revision {
            None
        } else if let Some(then) = self.revisions.iter().rev().find(|r| r.number == decided.revision) {
            Some(&then.definition)
        } else {
            return Some(Vec::new());
        };
        let learned = |candidate: usize| match then {
            _ if !decided.candidates.is_empty() => self.arms.learned(decided.candidates.get(candidate)?.0.as_str()),
            Some(then) => self.arms.learned(then.arms.get(candidate)?.id.as_str()),
            None => self.arms.learned_at(candidate),
        };
        let might = decided.scored.iter().filter(|scored| scored.propensity > 0.0);
        let mut likeliest: Vec<(u32, f32)> = Vec::with_capacity(decided.scored.len());
        likeliest.extend(might.filter_map(|scored| Some((learned(scored.candidate as usize)?, scored.propensity))));
        let drawn_with = likeliest.iter().find(|(arm, _)| *arm == own).map(|(_, p)| f64::from(*p));
        if drawn_with.is_some_and(|p| (p - chosen.propensity).abs() > 1e-5) {
            return None;
        }
        // The choice of compared arms must not depend on which one was drawn.
        likeliest.retain(|(_, p)| *p >= RIVAL_MIN);
        likeliest.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        likeliest.truncate(RIVALS_MAX);
        Arc::make_mut(&mut self.insight).duels.offer(&likeliest);
        let Some(at) = likeliest.iter().position(|(arm, _)| *arm == own) else { return Some(Vec::new()) };
        likeliest.swap(0, at);
        Some(likeliest)
    }
}
