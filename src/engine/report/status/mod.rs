//! Status of a slot: a word for programs, and a sentence for people who do not read figures.
//!
//! The first stage that holds: needs attention, shadow mode, warming up, who wants what, confident, leading, settled, no difference,
//! learning.
//!
//! Invariant: at most 5 % of all slots are ever wrongly called "confident", over their whole lives and however often one
//! looks. The word is used if
//!
//! * one arm is the best with a chance of 95 % by what the arms would earn if everybody got them, and earns more than each other
//!   arm that may be shown by more standard errors than an asymptotic confidence sequence is wide; or
//! * the evidence that the arm is better than each of the K arms that may be shown exceeds K/2.5 %, where each pair is
//!   compared by its [`PairwiseTest`](crate::stats::PairwiseTest). The test compares arms where both may be shown, so if the
//!   policy can tell shoppers apart the arm must also be the best with that chance; or
//! * the interval of the policy's lift over the holdout lies above 0, and the value remaining is [`NEGLIGIBLE`]. An
//!   interval of 95 % errs upwards with probability 2.5 %.
//!
//! Deliberately not here: translations of the sentences.

mod troubles;

use super::{
    AmountFormat, ArmReport, IfEverybody, SlotReport, WhoWantsWhat,
    everybody::{beliefs, confident_errors, is_plain},
    segments::WANTED,
};
use crate::{
    engine::view::SlotView,
    slot::{Mode, WarmUp},
    stats::{
        NormalScore,
        math::{self, square},
        normal_quantile,
    },
};

/// Probability that the pairwise tests declare an arm the best that is not.
const ALPHA: f64 = 0.025;

/// Chance to be the best from which on an arm leads.
const SURE: f64 = 0.95;

/// Half-width of a report's intervals for one look, in standard errors.
const ONE_LOOK: f64 = 1.96;

/// Value remaining, as a part of the leader's mean reward, up to which it is negligible.
const NEGLIGIBLE: f64 = 0.05;

/// Progress of a slot, from its first decision to a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotStage {
    /// Everybody gets the baseline, and the policy's choice is only recorded.
    Shadow,
    /// All arms have equal probabilities until each had its chance, or nothing was decided yet.
    WarmingUp,
    /// The best arm is not known yet.
    Learning,
    /// One arm is better than every other, or the policy is better than the holdout and little is left to gain.
    Confident,
    /// One arm is the best with a chance of 95 %, at this look.
    Leading,
    /// Different arms are the best for different shoppers.
    WhoWantsWhat,
    /// No arm is better than the leader by more than a negligible amount, and some are worse.
    Settled,
    /// All arms are alike, within a negligible amount.
    NoDifference,
    /// Something keeps the slot from learning or deciding.
    NeedsAttention,
}

impl SlotStage {
    /// All stages, in the order in which they are tried.
    pub const ALL: [Self; 9] = [
        Self::NeedsAttention,
        Self::Shadow,
        Self::WarmingUp,
        Self::WhoWantsWhat,
        Self::Confident,
        Self::Leading,
        Self::Settled,
        Self::NoDifference,
        Self::Learning,
    ];

    /// Word for the stage.
    pub fn word(self) -> &'static str {
        match self {
            Self::Shadow => "shadow mode",
            Self::WarmingUp => "warming up",
            Self::Learning => "learning",
            Self::Confident => "confident",
            Self::Leading => "leading",
            Self::WhoWantsWhat => "who wants what",
            Self::Settled => "settled",
            Self::NoDifference => "no difference",
            Self::NeedsAttention => "needs attention",
        }
    }
}

/// Status of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Stage of the slot.
    pub stage: SlotStage,
    /// Explanation in one sentence, with figures.
    pub sentence: String,
}

impl Status {
    fn new(stage: SlotStage, sentence: impl Into<String>) -> Self {
        Self { stage, sentence: sentence.into() }
    }
}

/// Determines the status from the figures of a report. `leader` is the index of the arm that is the likeliest best.
pub(super) fn status(view: &SlotView, report: &SlotReport, leader: Option<usize>) -> Status {
    let troubles = troubles::troubles(view, report);
    if !troubles.is_empty() {
        return Status::new(SlotStage::NeedsAttention, format!("Needs attention: {}.", troubles.join("; ")));
    }
    if view.definition.controls.mode() == Mode::Shadow {
        return Status::new(SlotStage::Shadow, shadow_sentence(report, &AmountFormat::new(view)));
    }
    let Some(leader) = leader.and_then(|leader| report.arms.get(leader)).filter(|_| report.counters.decisions > 0)
    else {
        return Status::new(SlotStage::WarmingUp, "Warming up: nothing was decided yet.");
    };
    if let Some(sentence) = warming_up(view, report) {
        return Status::new(SlotStage::WarmingUp, sentence);
    }
    let amounts = AmountFormat::new(view);
    if let Some(found) = &report.who_wants_what {
        return Status::new(SlotStage::WhoWantsWhat, who_wants_what_sentence(found, &amounts));
    }
    confident(view, report, leader, &amounts).unwrap_or_else(|| undecided(report, leader, &amounts))
}

/// Returns the sentence of a slot in shadow mode.
fn shadow_sentence(report: &SlotReport, amounts: &AmountFormat) -> String {
    /// Number of arms that the sentence names.
    const NAMED: usize = 3;
    let Some(shadow) = &report.shadow else {
        return "Shadow mode: everybody gets the baseline, and what the policy would have chosen is recorded."
            .to_owned();
    };
    let arms = shadow.arms.iter().take(NAMED).map(|(arm, part)| format!("'{arm}' in {:.0} %", 100.0 * part));
    format!(
        "Shadow mode: everybody gets the baseline. In {} decisions the policy would have shown {} first. The model expects {} of that and {} of what was shown; this is not measured.",
        shadow.decisions,
        arms.collect::<Vec<_>>().join(", "),
        amounts.amount(shadow.expected),
        amounts.amount(shadow.shown_expected)
    )
}

/// Returns the status of a slot with a result, or `None` if it has none yet.
fn confident(view: &SlotView, report: &SlotReport, leader: &ArmReport, amounts: &AmountFormat) -> Option<Status> {
    if let Some(best) = best_arm(view, report) {
        let sentence = format!(
            "Confident: '{}' is better than every other arm, with {}{}.",
            best.arm,
            range(amounts, best),
            holdout_clause(report, amounts)
        );
        return Some(Status::new(SlotStage::Confident, sentence));
    }
    let lift = report.lift.filter(|_| little_remains(report))?;
    let (low, high) = lift.interval.filter(|(low, _)| *low > 0.0)?;
    let sentence = format!(
        "Confident: decisions earn {}, the holdout {}, a difference of {} to {}; no arm is better than '{}' by more than {} (95 % sure).",
        amounts.amount(lift.mean),
        amounts.amount(lift.holdout_mean),
        amounts.amount(low),
        amounts.amount(high),
        leader.arm,
        amounts.amount(report.value_remaining?)
    );
    Some(Status::new(SlotStage::Confident, sentence))
}

/// Returns the status of a slot whose best arm is not proven.
fn undecided(report: &SlotReport, leader: &ArmReport, amounts: &AmountFormat) -> Status {
    let holdout = holdout_clause(report, amounts);
    if leader.chance_best >= SURE && matches!(leader.if_everybody, IfEverybody::Known { .. }) {
        let sentence = format!(
            "Leading: '{}' is the best arm with a chance of {:.0} %, with {}{holdout}.",
            leader.arm,
            // Never a certainty.
            (100.0 * leader.chance_best).min(99.0),
            range(amounts, leader)
        );
        return Status::new(SlotStage::Leading, sentence);
    }
    if are_alike(report, leader) {
        let sentence = format!(
            "No difference: all arms are alike, within {} of '{}' with {} (95 % sure){holdout}.",
            amounts.amount(NEGLIGIBLE * leader.best_known_mean().abs()),
            leader.arm,
            range(amounts, leader)
        );
        return Status::new(SlotStage::NoDifference, sentence);
    }
    if let Some(remaining) = report.value_remaining.filter(|_| little_remains(report)) {
        let sentence = format!(
            "Settled: no arm is better than '{}' with {} by more than {} (95 % sure){holdout}.",
            leader.arm,
            range(amounts, leader),
            amounts.amount(remaining)
        );
        return Status::new(SlotStage::Settled, sentence);
    }
    if !leads(report, leader) {
        let sentence = format!("Learning: it is too early to tell which arm is the best{holdout}.");
        return Status::new(SlotStage::Learning, sentence);
    }
    let remaining = report.value_remaining.map_or_else(
        || "It is too early to tell what another arm could add".to_owned(),
        |value| format!("Another arm could still add at most {} (95 % sure)", amounts.amount(value)),
    );
    let sentence = format!("Learning: '{}' leads with {}{holdout}. {remaining}.", leader.arm, range(amounts, leader));
    Status::new(SlotStage::Learning, sentence)
}

/// Returns whether an arm was shown and is likelier to be the best than each other arm that may be shown.
fn leads(report: &SlotReport, leader: &ArmReport) -> bool {
    /// Difference of chances up to which two arms are equally likely.
    const EQUAL: f64 = 1e-6;
    let others = report.arms.iter().filter(|arm| arm.available && arm.arm != leader.arm);
    leader.shown > 0 && others.into_iter().all(|arm| arm.chance_best < leader.chance_best - EQUAL)
}

/// Returns the sentence about different arms for different shoppers.
fn who_wants_what_sentence(found: &WhoWantsWhat, amounts: &AmountFormat) -> String {
    let wants = found.wants.iter().map(|(value, arm)| format!("'{arm}' for {} = {value}", found.feature));
    let rivals = found.single_rivals.iter().map(|arm| format!(" or '{arm}'"));
    format!(
        "Who wants what: {} ({:.0} % sure of all); together {}, best single arm {} ('{}'{}).",
        wants.collect::<Vec<_>>().join(", "),
        100.0 * WANTED,
        amounts.amount(found.together),
        amounts.amount(found.single_mean),
        found.single,
        rivals.collect::<String>()
    )
}

/// Returns whether all arms that may be shown are shown to differ from the leader by a negligible amount at most, in either
/// direction, with 95 % for all of them together.
fn are_alike(report: &SlotReport, leader: &ArmReport) -> bool {
    let available: Vec<&ArmReport> = report.arms.iter().filter(|arm| arm.available).collect();
    let negligible = NEGLIGIBLE * leader.best_known_mean().abs();
    let rivals = available.len().saturating_sub(1).max(1) as f64;
    let errors = normal_quantile(1.0 - 0.025 / rivals);
    let figure = |arm: &ArmReport| match arm.if_everybody {
        IfEverybody::Known { mean, low, high, .. } => Some(NormalScore { mean, std: (high - low) / (2.0 * ONE_LOOK) }),
        IfEverybody::Withheld(_) => None,
    };
    let Some(own) = figure(leader).filter(|_| available.len() > 1) else { return false };
    let is_alike = |arm: &ArmReport| {
        figure(arm).is_some_and(|other| {
            let std = (square(own.std) + square(other.std)).sqrt();
            (own.mean - other.mean).abs() + errors * std <= negligible
        })
    };
    available.iter().filter(|arm| arm.arm != leader.arm).all(|arm| is_alike(arm))
}

/// Returns whether the value remaining is negligible.
fn little_remains(report: &SlotReport) -> bool {
    report.value_remaining_relative.is_some_and(|part| part <= NEGLIGIBLE)
}

/// Returns the clause about the holdout's mean reward, or an empty text without a holdout.
fn holdout_clause(report: &SlotReport, amounts: &AmountFormat) -> String {
    report.lift.map_or(String::new(), |lift| format!("; the holdout has {}", amounts.amount(lift.holdout_mean)))
}

/// Returns the arm that is better than each of the others that may be shown, or `None` if none is proven to be.
fn best_arm<'a>(view: &SlotView, report: &'a SlotReport) -> Option<&'a ArmReport> {
    let available: Vec<(&ArmReport, u32)> = report
        .arms
        .iter()
        .filter(|arm| arm.available)
        .map(|arm| view.arms.learned(arm.arm.as_str()).map(|learned| (arm, learned)))
        .collect::<Option<Vec<_>>>()?;
    if available.len() < 2 {
        return None;
    }
    let learned: Vec<Option<u32>> = available.iter().map(|(_, learned)| Some(*learned)).collect();
    let beliefs: Vec<NormalScore> = beliefs(view, &learned).into_iter().map(|arm| arm.belief).collect();
    let best = (0..available.len()).max_by(|&a, &b| beliefs[a].mean.total_cmp(&beliefs[b].mean))?;
    let others = || (0..available.len()).filter(|other| *other != best);
    let errors = confident_errors(available.len(), view.evaluation.everybody.settled());
    let far = |other: usize| {
        let std = (square(beliefs[best].std) + square(beliefs[other].std)).sqrt();
        beliefs[best].mean - beliefs[other].mean > errors * std
    };
    let goal = &view.definition.goal;
    let (unit, default) = (goal.within_unit(), goal.default_reward);
    let enough = math::ln(available.len() as f64 / ALPHA);
    let proven = |other: usize| {
        let test = view.evaluation.pairwise_test(available[best].1, available[other].1);
        let rewards = &view.evaluation.first_position;
        test.is_some_and(|test| test.thinned(report.design_effect).evidence(unit, rewards, default) >= enough)
    };
    let arm = available[best].0;
    let leads = matches!(arm.if_everybody, IfEverybody::Known { .. }) && arm.chance_best >= SURE;
    ((leads && others().all(far)) || ((leads || is_plain(view)) && others().all(proven))).then_some(arm)
}

/// Returns the sentence of a slot that warms up, or `None` if it does not.
fn warming_up(view: &SlotView, report: &SlotReport) -> Option<String> {
    let warm_up = view.definition.controls.warm_up?;
    let counts = |arm: &ArmReport| {
        let tally = view.arms.learned(arm.arm.as_str()).and_then(|arm| view.arm_counters.get(arm as usize));
        tally.map_or((0, 0), |tally| (tally.shown, tally.rewarded))
    };
    let available = report.arms.iter().filter(|arm| arm.available).map(|arm| (counts(arm), arm));
    let ((shown, rewarded), arm) = available
        .filter(|((shown, rewarded), _)| warm_up.lasts(*shown, *rewarded))
        .min_by_key(|(counts, _)| *counts)?;
    let WarmUp { views, rewards, .. } = warm_up;
    let at_most = if rewards > 0 { format!(", or {} showings", warm_up.views_at_most()) } else { String::new() };
    Some(format!(
        "Warming up: all arms are shown equally often until each has {views} showings and {rewards} of them rewarded{at_most}; '{}' has {shown} and {rewarded}.",
        arm.arm
    ))
}

/// Returns an arm's mean reward with its interval as text: if everybody got it, or where it was shown if that is not known.
fn range(amounts: &AmountFormat, arm: &ArmReport) -> String {
    if let IfEverybody::Known { mean, low, high, .. } = arm.if_everybody {
        return format!(
            "{} ({} to {}) if everybody got it",
            amounts.amount(mean),
            amounts.amount(low),
            amounts.amount(high)
        );
    }
    if arm.shown == 0 {
        return "no showing yet".to_owned();
    }
    let interval = arm.interval.map_or_else(
        || "too few rewards for an interval".to_owned(),
        |(low, high)| format!("{} to {}", amounts.amount(low), amounts.amount(high)),
    );
    format!("{} ({interval}) where it was shown", amounts.amount(arm.mean))
}

#[cfg(test)]
mod tests;
