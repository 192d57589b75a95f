//! What a report comes to: a word, and a sentence for people who do not read figures.
//!
//! The first that holds: needs attention, shadow mode, warming up, confident, settled, learning.
//!
//! "Confident" is said wrongly, that is of a slot in which it is not so, in at most 5 % of all slots, over
//! their whole lives and however often one looks. It is said where either
//!
//! * the evidence that one arm is better than each of the others that may be shown exceeds K/2.5 % (K of them may be
//!   shown), each pair compared by its [`PairwiseTest`](crate::stats::PairwiseTest); or
//! * the policy's lift over the holdout lies above 0 by its interval, and what another arm could still add
//!   is [`NEGLIGIBLE`]; an interval of 95 % is wrong upwards half as often as it is wrong.
//!
//! Deliberately not here: how to say it in other languages; the word is for programs.

use std::fmt::Write as _;

use super::{ArmReport, SlotReport};
use crate::{
    engine::view::SlotView,
    slot::{Mode, WarmUp},
    stats::math,
};

/// How often one arm is taken for the best that is not.
const ALPHA: f64 = 0.025;

/// What could be added is negligible below this part of the leader's mean reward.
const NEGLIGIBLE: f64 = 0.05;

/// Decisions without a reward that are no cause for alarm.
const QUIET_MIN: u64 = 1_000;

/// Nor are so many times as many as a reward takes on average: at a steady rate that is a chance of 2·10⁻⁹.
const QUIET_TIMES: f64 = 20.0;

/// Events below which their fate says little.
const EVENTS_MIN: u64 = 100;

/// Decisions without a usable model that are no cause for alarm, and the part of all.
const FALLBACKS_MIN: u64 = 10;
const FALLBACKS_PART: f64 = 0.01;

const MINUTE_US: i64 = 60_000_000;

/// How far a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nobody gets what the policy would choose.
    Watching,
    /// All arms are shown alike until each had its chance, or nothing was decided yet.
    WarmingUp,
    /// It is not known yet which arm is best.
    Learning,
    /// One arm is better than every other, or the policy better than the holdout with next to nothing left to gain.
    Confident,
    /// No arm is better than the leader by more than is negligible.
    NoDifference,
    /// Something keeps it from learning or deciding.
    NeedsAttention,
}

impl Stage {
    /// All of them, as they come first.
    pub const ALL: [Self; 6] =
        [Self::NeedsAttention, Self::Watching, Self::WarmingUp, Self::Confident, Self::NoDifference, Self::Learning];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Watching => "shadow mode",
            Self::WarmingUp => "warming up",
            Self::Learning => "learning",
            Self::Confident => "confident",
            Self::NoDifference => "settled",
            Self::NeedsAttention => "needs attention",
        }
    }
}

/// A word and its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The word.
    pub stage: Stage,
    /// The sentence, with its figures.
    pub sentence: String,
}

/// What the figures come to; `leader` is the place of the arm that is likeliest to be the best.
pub(super) fn status(view: &SlotView, report: &SlotReport, leader: Option<usize>) -> Status {
    let said = |stage, sentence| Status { stage, sentence };
    let troubles = troubles(view, report);
    if !troubles.is_empty() {
        return said(Stage::NeedsAttention, format!("Needs attention: {}.", troubles.join("; ")));
    }
    if view.definition.controls.mode() == Mode::Shadow {
        let sentence = "Shadow mode: everybody gets the baseline, and what the policy would have chosen is recorded.";
        return said(Stage::Watching, sentence.into());
    }
    let Some(leader) = leader.and_then(|leader| report.arms.get(leader)).filter(|_| report.counters.decisions > 0)
    else {
        return said(Stage::WarmingUp, "Warming up: nothing was decided yet.".into());
    };
    if let Some(sentence) = warming_up(view, report) {
        return said(Stage::WarmingUp, sentence);
    }
    let words = Words { unit: view.definition.goal.within_unit() };
    let held =
        report.lift.map_or(String::new(), |lift| format!("; the holdout has {}", words.amount(lift.holdout_mean)));
    let left = report.value_remaining.unwrap_or(0.0);
    let little = report.value_remaining_relative.is_some_and(|part| part <= NEGLIGIBLE);
    if let Some(best) = best_arm(view, report) {
        let sentence =
            format!("Confident: '{}' is better than every other arm, with {}{held}.", best.arm, words.range(best));
        return said(Stage::Confident, sentence);
    }
    if let (true, Some(lift)) = (little, report.lift)
        && let Some((low, high)) = lift.interval
        && low > 0.0
    {
        let sentence = format!(
            "Confident: decisions earn {}, the holdout {}, a difference of {} to {}; another arm could add at most {} (95 % sure).",
            words.amount(lift.mean),
            words.amount(lift.holdout_mean),
            words.amount(low),
            words.amount(high),
            words.amount(left)
        );
        return said(Stage::Confident, sentence);
    }
    if little {
        let sentence = format!(
            "Settled: no arm is better than '{}' with {} by more than {} (95 % sure){held}.",
            leader.arm,
            words.range(leader),
            words.amount(left)
        );
        return said(Stage::NoDifference, sentence);
    }
    let sentence = format!(
        "Learning: '{}' leads with {}{held}. Another arm could still add at most {} (95 % sure).",
        leader.arm,
        words.range(leader),
        words.amount(left)
    );
    said(Stage::Learning, sentence)
}

/// The arm that is better than each of the others that may be shown, if the evidence says so.
fn best_arm<'a>(view: &SlotView, report: &'a SlotReport) -> Option<&'a ArmReport> {
    let may: Vec<(&ArmReport, u32)> = report
        .arms
        .iter()
        .filter(|arm| arm.available)
        .map(|arm| view.arms.learned(arm.arm.as_str()).map(|learned| (arm, learned)))
        .collect::<Option<Vec<_>>>()?;
    if may.len() < 2 {
        return None;
    }
    let goal = &view.definition.goal;
    let (unit, default) = (goal.within_unit(), goal.default_reward);
    let enough = math::ln(may.len() as f64 / ALPHA);
    let beats = |a: u32, b: u32| {
        view.evaluation
            .pairwise_test(a, b)
            .is_some_and(|test| test.evidence(unit, &view.evaluation.first_position, default) >= enough)
    };
    // One that is not better than the first is not the best; mostly that settles it.
    let best = may.iter().find(|(_, a)| may.iter().all(|(_, b)| a == b || beats(*a, *b)))?;
    Some(best.0)
}

fn warming_up(view: &SlotView, report: &SlotReport) -> Option<String> {
    let warm_up = view.definition.controls.warm_up?;
    let counted = |arm: &ArmReport| {
        let tally = view.arms.learned(arm.arm.as_str()).and_then(|arm| view.arm_counters.get(arm as usize));
        tally.map_or((0, 0), |tally| (tally.shown, tally.rewarded))
    };
    let available = report.arms.iter().filter(|arm| arm.available).map(|arm| (counted(arm), arm));
    let ((shown, rewarded), arm) = available
        .filter(|((shown, rewarded), _)| warm_up.lasts(*shown, *rewarded))
        .min_by_key(|(counted, _)| *counted)?;
    let WarmUp { views, rewards, .. } = warm_up;
    let at_most = if rewards > 0 { format!(", or {} showings", warm_up.views_at_most()) } else { String::new() };
    Some(format!(
        "Warming up: all arms are shown alike until each has {views} showings and {rewards} of them rewarded{at_most}; '{}' has {} and {}.",
        arm.arm, shown, rewarded
    ))
}

/// What keeps a slot from learning or deciding.
fn troubles(view: &SlotView, report: &SlotReport) -> Vec<String> {
    let definition = &*view.definition;
    let (controls, counters, evaluation) = (&definition.controls, &report.counters, &*view.evaluation);
    let mut found = Vec::new();
    if controls.safe_choice() {
        found.push("the safe choice is on, so everybody gets the baseline".to_owned());
    }
    if controls.freeze_learning() {
        found.push("learning is frozen".to_owned());
    }
    let available = report.arms.iter().filter(|arm| arm.available).count();
    if available < 2 && !definition.open_catalogue {
        let count = if available == 0 { "no arm" } else { "only one arm" };
        found.push(format!("{count} may be shown, and there is nothing to choose from"));
    }
    let floors = definition.floors_sum();
    if floors > 1.0 + 1e-9 {
        found.push(format!("floors sum to {floors:.2}, so every arm is shown alike and nothing is left to learn with"));
    }
    let rewarded: u64 = report.arms.iter().map(|arm| arm.rewarded).sum();
    let before = counters.decisions.saturating_sub(evaluation.decisions_since_event);
    let usual = before as f64 / (rewarded as f64).max(1.0);
    let patience_us = 2 * view.patience_us.max(MINUTE_US);
    let quiet_us = evaluation.last_decision_us.saturating_sub(evaluation.last_event_us);
    let many = evaluation.decisions_since_event > QUIET_MIN
        && (rewarded == 0 || evaluation.decisions_since_event as f64 > QUIET_TIMES * usual);
    if many && quiet_us > patience_us {
        found.push(format!(
            "no event that counts came for {} decisions; are rewards still reported, with the goal's kinds?",
            evaluation.decisions_since_event
        ));
    }
    let lost = counters.unmatched + counters.late + counters.rejected;
    let events = lost + counters.rewards;
    if events >= EVENTS_MIN && 2 * lost > events {
        let mut text = format!("{lost} of {events} reward events could not be counted:");
        let fates = [("unmatched", counters.unmatched), ("late", counters.late), ("rejected", counters.rejected)];
        for (i, (fate, count)) in fates.iter().filter(|(_, count)| *count > 0).enumerate() {
            // Writing to a string does not fail.
            let _ = write!(text, "{} {count} {fate}", if i > 0 { "," } else { "" });
        }
        found.push(text);
    } else if counters.rewards >= EVENTS_MIN && 2 * counters.other_kinds > counters.rewards {
        found.push(format!(
            "{} of {} reward events are of kinds that are not part of the goal",
            counters.other_kinds, counters.rewards
        ));
    }
    let part = FALLBACKS_PART * counters.decisions as f64;
    if evaluation.model_fallbacks >= FALLBACKS_MIN && evaluation.model_fallbacks as f64 > part {
        found.push(format!("the model's numbers could not be used in {} decisions", evaluation.model_fallbacks));
    }
    found
}

/// How amounts are written.
#[derive(Clone, Copy)]
struct Words {
    /// They are rates.
    unit: bool,
}

impl Words {
    fn amount(self, value: f64) -> String {
        if self.unit { format!("{} %", digits(100.0 * value)) } else { digits(value) }
    }

    fn range(self, arm: &ArmReport) -> String {
        format!("{} ({} to {})", self.amount(arm.mean), self.amount(arm.low), self.amount(arm.high))
    }
}

/// At least two digits that count, and no more behind the point than that takes.
fn digits(value: f64) -> String {
    match value.abs() {
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        0.001.. => format!("{value:.4}"),
        _ if value.abs() > 0.0 => format!("{value:.1e}"),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests;
