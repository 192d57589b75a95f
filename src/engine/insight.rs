//! What is added up for judging a slot: its policy against the holdout, its arms against each other, what exploring
//! costs, and signs of trouble. Nothing is learned from it.
//!
//! Invariants: all of it follows from decisions and rewards in their order, whether or not the slot learns; a reward that
//! comes late, is corrected or taken back changes what its decision added by the difference; only a reset, or a goal that
//! pays something else, begins again.
//!
//! Deliberately not here: what the sums say; see [`report`](super::report()).

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

/// Shares of the holdout whose comparisons are kept; the oldest goes first.
const SHARES_MAX: usize = 8;

/// Arms of one decision that are compared with each other: the likeliest to be shown.
const RIVALS_MAX: usize = 16;

/// An arm less likely than this is compared with none: a pair of which one is hardly ever shown says next to nothing.
const RIVAL_MIN: f32 = 1e-3;

/// What exploring costs is the mean of about so many decisions.
const SPENDING_DECISIONS: f64 = 1_000.0;

/// Who got what. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Audience {
    /// The policy, which learned of it.
    Policy,
    /// The policy, which did not.
    Analysis,
    /// The baseline.
    Holdout,
}

/// The rewards per decision of those who got the policy, and of those who got the baseline. *Persisted.*
///
/// Decisions are compared with those made while the holdout had the same share, so that a busy season in which it was
/// smaller does not count for the policy.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// The holdout's share, 0 to 1.
    pub share: f64,
    /// Its number, from 1.
    number: u64,
    /// Got the policy, which learned of it.
    pub policy: RewardSample,
    /// Got the policy, which did not.
    pub analysis: RewardSample,
    /// Got the baseline.
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

/// How much of a decision a pending one has to remember to be added up. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Trial {
    /// The number of its comparison, and who it was for; none: it is not compared.
    pub(super) compared: Option<(u64, Audience)>,
    /// What the first position's reward is compared with: the mean of those before.
    #[serde(with = "compact")]
    pub(super) centre: f64,
    /// The first position's arms that might have been, with the probability of each; the shown one first. Empty: it
    /// was not drawn.
    pub(super) rivals: Vec<(u32, f32)>,
}

impl Trial {
    /// Writes it as serde does.
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

    /// What its reward adds to the duel of the arm that was shown against the rival, in this order.
    fn outcome(&self, rival: f32, reward: f64) -> f64 {
        let own = f64::from(self.rivals.first().map_or(1.0, |shown| shown.1));
        let rival = f64::from(rival);
        (reward - self.centre) * (rival / (own + rival))
    }
}

/// What was added up. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Insight {
    /// By the holdout's share, the newest last.
    pub comparisons: Vec<Comparison>,
    /// How many there ever were.
    made: u64,
    /// How arms did against each other.
    pub duels: Duels,
    /// The first position's rewards, where it was drawn by the policy.
    pub first: RewardSample,
    /// Decisions that were drawn by the policy, fading.
    spending_weight: f64,
    /// What their first positions were expected to earn less than the best guess, fading alike.
    spending: f64,
    /// Decisions since the last event that counts.
    pub quiet: u64,
    /// When that event came, or the first decision was made; microseconds since 1970.
    pub quiet_from_us: i64,
    /// When the last decision was made, microseconds since 1970.
    pub decided_us: i64,
    /// Decisions for which no model's numbers could be used.
    pub model_fallbacks: u64,
}

impl Insight {
    /// What a decision of the policy was lately expected to earn less than the best guess, reward; none: it decided nothing yet.
    pub fn exploration_cost(&self) -> Option<f64> {
        (self.spending_weight > 0.0).then(|| self.spending / self.spending_weight)
    }

    /// The comparison made while the holdout had this share.
    pub fn comparison(&self, share: f64) -> Option<&Comparison> {
        self.comparisons.iter().find(|c| c.share.total_cmp(&share).is_eq())
    }

    /// How the arm learned as `a` did against `b`.
    pub fn duel(&self, a: u32, b: u32) -> Option<PairwiseTest> {
        self.duels.get(a, b)
    }

    /// Begins again what is added up of rewards: they are paid by another goal from now on.
    pub(super) fn begin_goal(&mut self) {
        // Decisions from before do not find their comparisons any more.
        self.comparisons.clear();
        (self.duels, self.first) = (Duels::default(), RewardSample::default());
        (self.spending_weight, self.spending) = (0.0, 0.0);
    }

    /// The number of the comparison while the holdout has this share, which may be a new one.
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

    /// Takes in what a decision comes to before anything is known of it.
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

    /// What a decision comes to changed; `first` is the first position's reward before and after, if that did.
    fn revise(&mut self, trial: &Trial, total: (f64, f64), first: Option<(f64, f64)>) {
        // One that was set aside for newer ones is revised no more.
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
    /// Arms that are the slot's no more make room for newer ones.
    pub(super) fn make_room(&mut self) {
        if !self.insight.duels.full() {
            return;
        }
        let there: BTreeSet<u32> =
            self.definition.arms.iter().filter_map(|arm| self.arms.learned(arm.id.as_str())).collect();
        Arc::make_mut(&mut self.insight).duels.make_room(|arm| there.contains(&arm));
    }

    /// Takes in a decision that showed `shown`.
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

    /// An event that counts came.
    pub(super) fn judge_event(&mut self, at_us: i64) {
        let insight = Arc::make_mut(&mut self.insight);
        (insight.quiet, insight.quiet_from_us) = (0, at_us);
    }

    /// The reward at `place` of a decision changed from `before` to what it is now.
    pub(super) fn judge_settled(&mut self, decision: &PendingDecision, place: usize, before: f64) {
        let Some(trial) = decision.judged.trial() else { return };
        let after = decision.shown[place].reward;
        let total: f64 = decision.shown.iter().map(|shown| shown.reward).sum();
        let first = (place == 0).then_some((before, after));
        Arc::make_mut(&mut self.insight).revise(&trial, (total - after + before, total), first);
    }

    /// How it is added up, and whether the policy drew the first position.
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
        // Where the policy was not asked, neither group tells anything; where it failed, that is its result.
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

    /// Takes in which arms might have stood first, and returns them, the shown one before the others; empty: it is not among
    /// the likeliest; none: it took its place by something else than the draw of the first position.
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
        // Which are compared must not depend on which was drawn.
        likeliest.retain(|(_, p)| *p >= RIVAL_MIN);
        likeliest.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        likeliest.truncate(RIVALS_MAX);
        Arc::make_mut(&mut self.insight).duels.offer(&likeliest);
        let Some(at) = likeliest.iter().position(|(arm, _)| *arm == own) else { return Some(Vec::new()) };
        likeliest.swap(0, at);
        Some(likeliest)
    }
}
