//! Figures of the single arms: counts, beliefs about their mean rewards, and the comparison of the arms.

use super::{
    ALPHA,
    everybody::{EverybodyBelief, IfEverybody, SHOWINGS_MIN, beliefs, is_plain},
};
use crate::{
    bandit::ArmSummary,
    engine::{ArmCounters, view::SlotView},
    slot::ArmId,
    stats::{
        BetaScore, Interval, Marginal, NormalScore, RewardInterval, StudentScore, Winners,
        best::{RateScore, RewardBelief, ValueScore, expected_losses, value_remaining},
    },
};

/// Report of one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmReport {
    /// Id of the arm.
    pub arm: ArmId,
    /// Number of showings.
    pub shown: u64,
    /// Part of the showings of all arms.
    pub share: f64,
    /// Number of showings since the goal changed to pay something else. Equal to `shown` if it never did.
    pub shown_since_goal: u64,
    /// Sum of the rewards of those showings, as they were reported.
    pub reward_sum: f64,
    /// Sum of the rewards as they were learned: winsorized from the moment on that the goal asks for it.
    pub learned_sum: f64,
    /// Posterior mean of the reward per showing.
    pub mean: f64,
    /// Interval that holds the mean with 95 % where it was shown, or `None` while there are too few rewards to tell.
    pub interval: Option<(f64, f64)>,
    /// Number of rewards that an interval would take, judged by the spread of those so far, or 0 if there is an interval.
    pub rewards_needed: u64,
    /// Probability that the arm's mean reward is the highest among the slot's arms.
    pub chance_best: f64,
    /// Belongs to the slot and may be shown.
    pub available: bool,
    /// Number of showings since the goal changed that have an event of the goal's kinds.
    pub rewarded: u64,
    /// Expected loss per showing of always showing the arm, compared with knowing the best arm, or `None` for an arm that may
    /// not be shown, and while so little is known of the arms that the loss exceeds what the leader earns.
    pub expected_loss: Option<f64>,
    /// Number of observations behind the posterior, where faded observations count in part.
    pub effective_observations: f64,
    /// Figure of what the arm would earn if everybody got it.
    pub if_everybody: IfEverybody,
}

impl ArmReport {
    /// Mean reward if everybody got the arm, or where it was shown if that is not known.
    pub fn best_known_mean(&self) -> f64 {
        match self.if_everybody {
            IfEverybody::Known { mean, .. } => mean,
            IfEverybody::Withheld(_) => self.mean,
        }
    }
}

/// Reports of all arms, and the comparison of those that may be shown.
pub(super) struct ArmFigures {
    /// Arms of the slot in its order, then other arms that were shown.
    pub(super) arms: Vec<ArmReport>,
    /// Index of the arm that is the likeliest best, or `None` if no arm may be shown.
    pub(super) leader: Option<usize>,
    /// Upper bound, with probability 95 %, of the amount by which another available arm is better than the leader. `None`
    /// if fewer than two arms may be shown, and if it exceeds what the leader earns.
    pub(super) value_remaining: Option<f64>,
}

/// Arm that a report lists.
struct ListedArm {
    id: ArmId,
    available: bool,
    summary: ArmSummary,
    counts: ArmCounts,
    /// Index of the arm in the learner, or `None` if it was never shown.
    learned: Option<u32>,
}

impl ListedArm {
    /// Returns whether the arm's rewards of money suffice for an interval.
    fn has_interval(&self) -> bool {
        matches!(self.summary.reward_interval(), RewardInterval::Known(_))
    }
}

/// Counts of one arm.
struct ArmCounts {
    all: ArmCounters,
    since_goal: ArmCounters,
    /// Learned rewards of decisions that were made before the goal changed.
    learned_before: f64,
}

/// Comparison of the arms, by their indices in the report.
struct Standings {
    chances: Vec<f64>,
    losses: Vec<Option<f64>>,
    leader: Option<usize>,
    value_remaining: Option<f64>,
}

/// Computes the figures of all arms of a slot.
pub(super) fn arm_figures(view: &SlotView) -> ArmFigures {
    let unit = view.definition.goal.within_unit();
    let arms = listed_arms(view);
    let learned: Vec<Option<u32>> = arms.iter().map(|arm| arm.learned).collect();
    let everybody = beliefs(view, &learned);
    let own = view.arms_in_effect().len();
    let plain = is_plain(view);
    // The posterior of money is sure of itself after the first purchase. Until the rewards of every arm suffice for an
    // interval, the arms are compared as widely as the noise of all of them together asks for.
    let few = !unit && arms[..own].iter().any(|arm| arm.available && !arm.has_interval());
    let known = ((!plain || few) && view.evaluation.everybody.settled() > 0).then_some(&everybody[..own]);
    let Standings { chances, losses, leader, value_remaining } = standings(&arms[..own], known, arms.len(), unit);
    let shown_in_all: u64 = arms.iter().map(|arm| arm.counts.all.shown).sum();
    let reports =
        arms.into_iter().zip(everybody).zip(losses).enumerate().map(|(i, ((arm, everybody), expected_loss))| {
            let ListedArm { id, available, summary, counts: ArmCounts { all, since_goal, learned_before }, .. } = arm;
            let mean = if unit { summary.rate.mean() } else { summary.value.mean() };
            let (interval, rewards_needed) = interval_around(mean, &summary, unit);
            ArmReport {
                arm: id,
                shown: all.shown,
                share: if shown_in_all > 0 { all.shown as f64 / shown_in_all as f64 } else { 0.0 },
                shown_since_goal: since_goal.shown,
                reward_sum: since_goal.reward_sum,
                learned_sum: summary.reward_sum - learned_before,
                mean,
                interval,
                rewards_needed,
                chance_best: chances.get(i).copied().unwrap_or(0.0),
                available,
                rewarded: since_goal.rewarded,
                expected_loss,
                effective_observations: summary.weight(),
                if_everybody: match interval {
                    Some((low, high)) if plain && summary.weight() >= SHOWINGS_MIN => {
                        IfEverybody::Known { mean, low, high, effective_decisions: summary.weight() }
                    }
                    _ => everybody.shown.of_shown_arm(all.shown),
                },
            }
        });
    let mut arms: Vec<ArmReport> = reports.collect();
    let most = leader.map_or(0.0, |leader| arms[leader].best_known_mean().abs());
    // A loss above the leader's reward comes from how little is known of the arms, and measures nothing.
    for arm in &mut arms {
        arm.expected_loss = arm.expected_loss.filter(|loss| *loss <= most);
    }
    ArmFigures { arms, leader, value_remaining: value_remaining.filter(|value| *value <= most) }
}

/// Returns the interval of an arm's mean reward, which also holds `mean`, or else the number of rewards that it would take.
fn interval_around(mean: f64, summary: &ArmSummary, unit: bool) -> (Option<(f64, f64)>, u64) {
    let interval = if unit { RewardInterval::Known(summary.rate_interval()) } else { summary.reward_interval() };
    match interval {
        RewardInterval::Known(Interval { low, high }) => (Some((low.min(mean), high.max(mean))), 0),
        // A number of rewards is far below 2^53, and a cast keeps to the range of the type.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number above 0")]
        RewardInterval::TooFew { needed } => (None, needed.ceil() as u64),
    }
}

/// Returns the arms of the slot in its order, then other arms that were shown, with their counts and beliefs.
fn listed_arms(view: &SlotView) -> Vec<ListedArm> {
    let design_effect = view.evaluation.visits.design_effect();
    let own = view.arms_in_effect().iter().map(|arm| (arm.id.clone(), arm.available));
    let others = view.arms.names().iter().filter(|id| view.arms.position(id.as_str()).is_none());
    own.chain(others.map(|id| (id.clone(), false)))
        .map(|(id, available)| {
            let learned = view.arms.learned(id.as_str());
            let summary = learned.and_then(|learned| view.learner.summary(learned)).copied().unwrap_or_default();
            let summary = summary.thinned(design_effect);
            ListedArm { id, available, summary, counts: arm_counts(view, learned), learned }
        })
        .collect()
}

/// Returns the counts of the arm that is learned under this index.
fn arm_counts(view: &SlotView, learned: Option<u32>) -> ArmCounts {
    let all = learned.and_then(|arm| view.arm_counters.get(arm as usize)).copied().unwrap_or_default();
    let (since_goal, learned_before) = match (&view.goal_sums, learned) {
        (Some(sums), Some(arm)) => (sums.arm(arm), sums.learned_before(arm)),
        (Some(_), None) => (ArmCounters::default(), 0.0),
        (None, _) => (all, 0.0),
    };
    ArmCounts { all, since_goal, learned_before }
}

/// Compares the slot's own arms by what each would earn if everybody got it (`everybody`), or by their posteriors. The report lists `listed` arms.
fn standings(arms: &[ListedArm], everybody: Option<&[EverybodyBelief]>, listed: usize, unit: bool) -> Standings {
    let normal: Option<Vec<NormalScore>> = everybody.map(|all| all.iter().map(|arm| arm.belief).collect());
    let chances = if let Some(normal) = &normal {
        chances_best(normal)
    } else if unit {
        chances_best(&arms.iter().map(|arm| BetaScore::new(&arm.summary.rate, 1.0)).collect::<Vec<_>>())
    } else {
        let score = |ListedArm { summary: ArmSummary { value, .. }, .. }: &ListedArm| {
            StudentScore::new(value.mean(), value.spread(), value.degrees())
        };
        chances_best(&arms.iter().map(score).collect::<Vec<_>>())
    };
    let available: Vec<usize> = (0..arms.len()).filter(|&i| arms[i].available).collect();
    // The first of arms that are equally likely.
    let leader = available.iter().copied().rev().max_by(|&a, &b| chances[a].total_cmp(&chances[b]));
    let (available_losses, value_remaining) = if let Some(normal) = &normal {
        let beliefs: Vec<_> = available.iter().map(|&i| normal[i]).collect();
        losses_and_value_remaining(&beliefs, &available, leader)
    } else if unit {
        let beliefs: Vec<_> = available.iter().map(|&i| RateScore::new(&arms[i].summary.rate)).collect();
        losses_and_value_remaining(&beliefs, &available, leader)
    } else {
        let beliefs: Vec<_> = available.iter().map(|&i| ValueScore::new(&arms[i].summary.value)).collect();
        losses_and_value_remaining(&beliefs, &available, leader)
    };
    let mut losses = vec![None; listed];
    available.iter().zip(available_losses).for_each(|(&i, loss)| losses[i] = Some(loss));
    Standings { chances, losses, leader, value_remaining }
}

/// Returns the expected loss of each available arm, and the value remaining beyond the leader.
fn losses_and_value_remaining<B: RewardBelief>(
    beliefs: &[B],
    available: &[usize],
    leader: Option<usize>,
) -> (Vec<f64>, Option<f64>) {
    let chosen = leader.and_then(|leader| available.iter().position(|&i| i == leader));
    let chosen = chosen.filter(|_| available.len() > 1);
    (expected_losses(beliefs), chosen.map(|chosen| value_remaining(beliefs, chosen, 1.0 - ALPHA)))
}

/// Returns the probability of each score to be the highest.
fn chances_best<M: Marginal>(scores: &[M]) -> Vec<f64> {
    let mut chances = vec![0.0; scores.len()];
    Winners::new(scores, 1).probabilities(&vec![true; scores.len()], &mut chances);
    chances
}
