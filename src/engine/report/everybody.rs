//! Figures of what each arm would earn per decision if everybody got it.
//!
//! A figure is shown if the arm has overlap to tell, and withheld otherwise: its interval would hold, but it would be too
//! wide to use.

use crate::{
    engine::{
        slot_state::{EverybodySums, FIGURES_MAX},
        view::SlotView,
    },
    slot::{Effect, Rule},
    stats::{DoublyRobustFigure, DoublyRobustSums, FLOORS, NormalScore, math::square, normal_cdf},
};

/// Effective showings from which on a figure is shown.
pub(super) const SHOWINGS_MIN: f64 = 30.0;
/// Greatest half-width of a figure that is shown, as a part of the largest figure.
const HALF_WIDTH_MAX: f64 = 0.5;
/// Showings whose noise is added to a figure's, because the noise of few rewards is not known well.
const CAUTION_SHOWINGS: f64 = 10.0;
/// Half-width of the figures' intervals for one look, in standard errors.
const ONE_LOOK: f64 = 1.96;
/// Number of decisions within which a floor must make the figure known.
pub(super) const FLOOR_DECISIONS: f64 = 10_000.0;
/// Number of rewards of money from which on the posteriors of a slot's arms are taken for what they say.
const MONEY_REWARDS_MIN: u64 = 20;
/// Spread of the reward of an arm that nothing is known of, for rewards within [0, 1].
const UNKNOWN_RATE: f64 = 0.3;

/// Figure of what an arm would earn per decision, at the first position, if everybody got it.
#[derive(Debug, Clone, PartialEq)]
pub enum IfEverybody {
    /// Figure with its interval of 95 %, for one look.
    Known {
        /// Estimate of the mean reward.
        mean: f64,
        /// Lower end of the interval.
        low: f64,
        /// Upper end of the interval.
        high: f64,
        /// Number of showings to everybody that would say as much.
        effective_decisions: f64,
    },
    /// The log cannot tell.
    Withheld(WithheldFigure),
}

/// Reason why a figure is withheld, and what would help.
#[derive(Debug, Clone, PartialEq)]
pub struct WithheldFigure {
    /// Reason.
    pub because: WithheldBecause,
    /// The model's guess, which is not measured: the mean of its expectations over recent contexts.
    pub model_guess: Option<f64>,
    /// Floor that would make the figure known within 10,000 decisions.
    pub floor: Option<FloorAdvice>,
}

/// Floor that would make a figure known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloorAdvice {
    /// Floor of every arm's probability.
    pub floor: f64,
    /// Expected reward that the floor gives up per 1,000 decisions, above 0.
    pub cost_per_1000: f64,
}

/// Reason why a figure is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithheldBecause {
    /// The policy has not drawn the arm yet.
    NotShown,
    /// The arm was shown too seldom where it looked worse to tell what it earns there.
    TooLittleOverlap,
    /// No reward and no silence is known yet.
    NoRewards,
    /// Figures are kept for the first arms of a slot only.
    TooManyArms,
}

impl WithheldBecause {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::NotShown, Self::TooLittleOverlap, Self::NoRewards, Self::TooManyArms];

    /// Reason as a clause.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotShown => "not shown yet",
            Self::TooLittleOverlap => "not enough overlap to tell",
            Self::NoRewards => "no rewards yet",
            Self::TooManyArms => "kept for the first 256 arms only",
        }
    }
}

/// Belief about an arm's mean reward over everybody, and the figure that is shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EverybodyBelief {
    pub(super) shown: IfEverybody,
    /// Belief by which arms are compared, also if the figure is withheld.
    pub(super) belief: NormalScore,
}

/// Returns whether the policy cannot tell shoppers apart: it has no features, and its rules hold for everybody alike. Then
/// everybody got an arm with the same probability, so what it earned where it was shown is what it would earn if everybody got it.
pub(super) fn is_plain(view: &SlotView) -> bool {
    let alike =
        |(i, rule): (usize, &Rule)| !matches!(rule.effect, Effect::SubjectCap { .. }) && view.rules.reads_arms_alone(i);
    view.learner.dimensions() <= 1 && view.definition.rules.iter().enumerate().all(alike)
}

/// Returns whether a slot for money has so few rewards that its posteriors are surer of themselves than they allow.
fn has_few_rewards(view: &SlotView) -> bool {
    !view.definition.goal.within_unit()
        && view.arm_counters.iter().map(|counters| counters.rewarded).sum::<u64>() < MONEY_REWARDS_MIN
}

/// Comparison of arms by what they would earn if everybody got them, valid however often one looks.
pub(in crate::engine) struct EverybodyComparison<'a> {
    view: &'a SlotView,
}

impl<'a> EverybodyComparison<'a> {
    /// Creates the comparison, or returns `None` for a slot whose posterior says the same, and before any reward is known.
    pub(in crate::engine) fn new(view: &'a SlotView) -> Option<Self> {
        let unlike = !is_plain(view) || has_few_rewards(view);
        (unlike && view.evaluation.everybody.settled() > 0).then_some(Self { view })
    }

    /// Returns the belief about an arm, as wide as a statement that is looked at all the time asks for.
    fn beliefs(&self, arms: &[Option<u32>]) -> Vec<NormalScore> {
        let wider = confident_errors(2, self.view.evaluation.everybody.settled()) / ONE_LOOK;
        let all = beliefs(self.view, arms).into_iter();
        all.map(|arm| NormalScore { mean: arm.belief.mean, std: wider * arm.belief.std }).collect()
    }

    /// Probability that an arm would earn more than `reward`.
    pub(in crate::engine) fn exceeds(&self, arm: Option<u32>, reward: f64) -> f64 {
        let belief = self.beliefs(&[arm])[0];
        normal_cdf((belief.mean - reward) / belief.std)
    }

    /// Probability that an arm would earn more than the best of the others, or 1 if there are none.
    pub(in crate::engine) fn beats_all(&self, arm: Option<u32>, others: &[Option<u32>]) -> f64 {
        let arms: Vec<Option<u32>> = std::iter::once(arm).chain(others.iter().copied()).collect();
        let all = self.beliefs(&arms);
        let Some(rival) = all[1..].iter().copied().max_by(|a, b| a.mean.total_cmp(&b.mean)) else { return 1.0 };
        let std = (square(all[0].std) + square(rival.std)).sqrt();
        normal_cdf((all[0].mean - rival.mean) / std)
    }
}

/// Returns the beliefs of these arms, by their indices in the learner, in the same order.
pub(super) fn beliefs(view: &SlotView, arms: &[Option<u32>]) -> Vec<EverybodyBelief> {
    let sums = &view.evaluation.everybody;
    let design = mean_design_effect(sums, arms);
    let figure = |of: &DoublyRobustSums| cautious_figure(of, sums, of.design_effect().unwrap_or(design));
    let of_arms: Vec<Option<&DoublyRobustSums>> = arms.iter().map(|arm| arm.and_then(|arm| sums.arm(arm))).collect();
    let figures: Vec<Option<DoublyRobustFigure>> = of_arms.iter().map(|of| of.and_then(figure)).collect();
    let known = figures.iter().flatten().filter(|figure| figure.effective_showings >= SHOWINGS_MIN);
    let largest = known.map(|figure| figure.mean).fold(f64::NEG_INFINITY, f64::max);
    let goal = &view.definition.goal;
    let scale = FigureScale {
        largest: if largest > 0.0 { largest } else { f64::NAN },
        least: if goal.rewards_cannot_be_negative() { 0.0 } else { f64::NEG_INFINITY },
    };
    let guesses: Vec<f64> = of_arms.iter().flatten().filter_map(|of| of.guess()).collect();
    // Before any figure is known the largest guess gives the unit of the rewards.
    let size = if largest.is_finite() { largest.abs() } else { guesses.iter().fold(0.0, |most, g| g.abs().max(most)) };
    let spread = if goal.within_unit() { UNKNOWN_RATE } else { size };
    let spread = if spread.is_finite() && spread > 0.0 { spread } else { 1.0 };
    let level = if guesses.is_empty() { 0.0 } else { guesses.iter().sum::<f64>() / guesses.len() as f64 };
    let each = arms.iter().zip(&of_arms).zip(&figures);
    each.map(|((arm, of), figure)| {
        let belief = match figure.as_ref() {
            Some(figure) if figure.std() <= spread => NormalScore { mean: figure.mean, std: figure.std() },
            // The error of an arm that is never drawn has no bound, so the model's guess stands in, as wide as rewards are.
            _ => NormalScore { mean: of.and_then(DoublyRobustSums::guess).unwrap_or(level), std: spread },
        };
        let was_shown =
            arm.and_then(|arm| view.arm_counters.get(arm as usize)).is_some_and(|counters| counters.shown > 0);
        let figure = figure.as_ref().filter(|_| was_shown);
        let shown = scale.shown(sums, *arm, of.filter(|_| was_shown), figure);
        EverybodyBelief { shown, belief }
    })
    .collect()
}

/// Returns the figure of an arm with the noise of all arms' rewards, wider while few rewards are known.
fn cautious_figure(of: &DoublyRobustSums, sums: &EverybodySums, design_effect: f64) -> Option<DoublyRobustFigure> {
    let figure = of.figure(sums.noise(), design_effect)?;
    let caution = 1.0 + CAUTION_SHOWINGS / figure.effective_showings;
    Some(DoublyRobustFigure { variance: figure.variance * caution, ..figure })
}

impl IfEverybody {
    /// Returns the figure of an arm that was shown `shown` times. The policy need not have drawn it: a baseline, a rule or the
    /// holdout may have shown it.
    pub(super) fn of_shown_arm(self, shown: u64) -> Self {
        match self {
            Self::Withheld(withheld) if shown > 0 && withheld.because == WithheldBecause::NotShown => {
                Self::Withheld(WithheldFigure { because: WithheldBecause::TooLittleOverlap, ..withheld })
            }
            figure @ (Self::Known { .. } | Self::Withheld(_)) => figure,
        }
    }
}

/// Scale of the figures that are shown.
struct FigureScale {
    /// Largest figure, or NaN if none is above 0.
    largest: f64,
    /// Least mean reward that is possible.
    least: f64,
}

impl FigureScale {
    fn shown(
        &self,
        sums: &EverybodySums,
        arm: Option<u32>,
        of: Option<&DoublyRobustSums>,
        figure: Option<&DoublyRobustFigure>,
    ) -> IfEverybody {
        let narrow = |figure: &&DoublyRobustFigure| {
            figure.effective_showings >= SHOWINGS_MIN && figure.half_width() <= HALF_WIDTH_MAX * self.largest
        };
        if let Some(figure) = figure.filter(narrow) {
            let DoublyRobustFigure { mean, effective_showings, .. } = *figure;
            let possible = |reward: f64| reward.max(self.least);
            let (low, high) = (possible(mean - figure.half_width()), possible(mean + figure.half_width()));
            return IfEverybody::Known { mean: possible(mean), low, high, effective_decisions: effective_showings };
        }
        let because = match (arm, of, figure) {
            (Some(FIGURES_MAX..), _, _) => WithheldBecause::TooManyArms,
            (_, None, _) => WithheldBecause::NotShown,
            (_, Some(_), None) => WithheldBecause::NoRewards,
            (_, Some(_), Some(_)) => WithheldBecause::TooLittleOverlap,
        };
        IfEverybody::Withheld(WithheldFigure {
            because,
            model_guess: of.and_then(DoublyRobustSums::guess),
            floor: of.and_then(|of| self.floor(sums, of)),
        })
    }

    /// Returns the least floor that makes the figure of an arm known within [`FLOOR_DECISIONS`].
    fn floor(&self, sums: &EverybodySums, of: &DoublyRobustSums) -> Option<FloorAdvice> {
        let narrow = |floor: &usize| {
            let half_width = of.half_width_at(*floor, FLOOR_DECISIONS, sums.noise());
            half_width.is_some_and(|half_width| half_width <= HALF_WIDTH_MAX * self.largest)
        };
        let floor = FLOORS[(0..FLOORS.len()).find(narrow)?];
        Some(FloorAdvice { floor, cost_per_1000: (1_000.0 * floor * sums.floor_cost()?).max(0.0) })
    }
}

/// Mean design effect of the arms that have one, or 1.
fn mean_design_effect(sums: &EverybodySums, arms: &[Option<u32>]) -> f64 {
    let effects: Vec<f64> =
        arms.iter().filter_map(|arm| sums.arm((*arm)?)?.design_effect()).filter(|effect| effect.is_finite()).collect();
    if effects.is_empty() { 1.0 } else { effects.iter().sum::<f64>() / effects.len() as f64 }
}

/// Returns how many standard errors two figures must be apart so that "confident" is rarely ever wrong, for this number of arms
/// and of decisions, however often one looks.
///
/// An asymptotic confidence sequence is 3 standard errors wide near 10,000 decisions, 3.3 near 2,000 and 4.6 near 500; each further arm
/// is one more chance to err.
pub(super) fn confident_errors(arms: usize, decisions: u64) -> f64 {
    let rivals = arms.saturating_sub(1).max(1) as f64;
    let early = 6_000.0 / (decisions.max(1) as f64);
    (square(3.0) + early + 2.0 * crate::stats::math::ln(rivals)).sqrt()
}
