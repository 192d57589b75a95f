//! Troubles that keep a slot from learning or deciding.

use std::fmt::Write as _;

use crate::engine::{report::SlotReport, view::SlotView};

/// Decisions without a rewarded event below which silence is no trouble.
const QUIET_DECISIONS_MIN: u64 = 1_000;

/// Multiple of the usual number of decisions per rewarded showing below which silence is no trouble. At a steady rate a
/// longer silence has probability 2·10⁻⁹.
const QUIET_TIMES: f64 = 20.0;

/// Events below which the part of them that counted is no trouble.
const EVENTS_MIN: u64 = 100;

/// Decisions without a usable model below which they are no trouble.
const FALLBACKS_MIN: u64 = 10;

/// Part of all decisions below which those without a usable model are no trouble.
const FALLBACKS_PART: f64 = 0.01;

/// Rounding that a sum of many floors may carry.
const FLOORS_ROUNDING: f64 = 1e-9;

const MINUTE_US: i64 = 60_000_000;

/// Returns a clause for each trouble of the slot.
pub(super) fn troubles(view: &SlotView, report: &SlotReport) -> Vec<String> {
    let mut found = control_troubles(view, report);
    found.extend(silence(view, report));
    found.extend(lost_events(report));
    found.extend(unusable_model(view, report));
    found
}

/// Returns the troubles that the definition itself causes.
fn control_troubles(view: &SlotView, report: &SlotReport) -> Vec<String> {
    let definition = &view.definition;
    let controls = &definition.controls;
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
    let floors = definition.floors_sum(view.arms_in_effect());
    if floors > 1.0 + FLOORS_ROUNDING {
        found.push(format!(
            "the floors add up to {floors:.2}, more than 1, so every arm is shown equally often and nothing is left to learn with"
        ));
    }
    found
}

/// Returns the trouble of rewards that have stopped, or `None`.
fn silence(view: &SlotView, report: &SlotReport) -> Option<String> {
    let evaluation = &*view.evaluation;
    let rewarded: u64 = report.arms.iter().map(|arm| arm.rewarded).sum();
    let before = report.counters.decisions.saturating_sub(evaluation.decisions_since_event);
    let usual = before as f64 / (rewarded as f64).max(1.0);
    let patience_us = 2 * view.patience_us.max(MINUTE_US);
    let quiet_us = evaluation.last_decision_us.saturating_sub(evaluation.last_event_us);
    let many = evaluation.decisions_since_event > QUIET_DECISIONS_MIN
        && (rewarded == 0 || evaluation.decisions_since_event as f64 > QUIET_TIMES * usual);
    (many && quiet_us > patience_us).then(|| {
        format!(
            "no event that counts came for {} decisions; are rewards still reported, with the goal's kinds?",
            evaluation.decisions_since_event
        )
    })
}

/// Returns the trouble of reward events that do not count, or `None`.
fn lost_events(report: &SlotReport) -> Option<String> {
    let counters = &report.counters;
    let lost = counters.unmatched + counters.late + counters.rejected;
    let events = lost + counters.rewards;
    if events >= EVENTS_MIN && 2 * lost > events {
        let mut text = format!("{lost} of {events} reward events could not be counted:");
        let statuses = [("unmatched", counters.unmatched), ("late", counters.late), ("rejected", counters.rejected)];
        for (i, (status, count)) in statuses.iter().filter(|(_, count)| *count > 0).enumerate() {
            // Writing to a string does not fail.
            let _ = write!(text, "{} {count} {status}", if i > 0 { "," } else { "" });
        }
        return Some(text);
    }
    (counters.rewards >= EVENTS_MIN && 2 * counters.other_kinds > counters.rewards).then(|| {
        format!(
            "{} of {} reward events are of kinds that are not part of the goal",
            counters.other_kinds, counters.rewards
        )
    })
}

/// Returns the trouble of a model whose numbers are often unusable, or `None`.
fn unusable_model(view: &SlotView, report: &SlotReport) -> Option<String> {
    let fallbacks = view.evaluation.model_fallbacks;
    let part = FALLBACKS_PART * report.counters.decisions as f64;
    (fallbacks >= FALLBACKS_MIN && fallbacks as f64 > part)
        .then(|| format!("the model's numbers could not be used in {fallbacks} decisions"))
}
