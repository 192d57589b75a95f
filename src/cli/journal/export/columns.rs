//! Columns of the export: one table, from which rows, help and the document come.

use std::{borrow::Cow, fmt::Write as _};

use serde::{Serialize, Serializer};

use super::super::time;
use crate::{
    bandit::{Features, Value},
    engine::{Chosen, Fallback, Reason},
    node::{JoinedDecision, JoinedEvent},
    slot::ArmId,
};

/// A cell of a row.
pub(super) enum Cell<'a> {
    /// Null in JSON, empty in CSV.
    Missing,
    /// A text.
    Text(Cow<'a, str>),
    /// JSON: a number, a flag, a list or an object.
    Json(String),
}

/// A column.
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Type of the column in JSON; in CSV a list or an object is that JSON as text.
    pub(super) kind: &'static str,
    pub(super) meaning: &'static str,
    pub(super) cell: for<'a> fn(&'a JoinedDecision) -> Cell<'a>,
}

const fn column(
    name: &'static str,
    kind: &'static str,
    meaning: &'static str,
    cell: for<'a> fn(&'a JoinedDecision) -> Cell<'a>,
) -> Column {
    Column { name, kind, meaning, cell }
}

/// The columns, in order.
pub(super) const COLUMNS: &[Column] = &[
    column("decision_id", "text", "The decision.", |row| text(row.decided.id.to_string())),
    column("slot", "text", "Its slot.", |row| text(row.decided.slot.as_str())),
    column("time", "text", "When it was made: RFC 3339, UTC, microseconds.", |row| text(time::text(row.at_us))),
    column("revision", "number", "The slot's revision that it was made from.", |row| json(&row.decided.revision)),
    column("model", "text or null", "The model that decided.", |row| optional(&row.decided.model)),
    column("subject_id", "text or null", "Whom it was for, as far as consent went.", |row| {
        optional(&row.decided.subject.id)
    }),
    column("session_id", "text or null", "The session, as far as consent went.", |row| {
        optional(&row.decided.subject.session_id)
    }),
    column("holdout", "flag", "The subject was in the holdout: the baseline decided.", |row| {
        json(&row.decided.holdout)
    }),
    column(
        "fallback",
        "text or null",
        "Why no model decided: no_eligible_arm, safe_choice, model or deadline.",
        |row| row.decided.fallback.map_or(Cell::Missing, |fallback| text(fallback_name(fallback))),
    ),
    column("seed", "text", "The seed of the draw, 64 bits in decimal: more than a double holds.", |row| {
        text(row.decided.seed.to_string())
    }),
    column("request_id", "text or null", "The caller's id of the request.", |row| {
        optional(row.decided.request_id.as_deref().unwrap_or_default())
    }),
    column("context", "object", "The features of the request as used, by name.", |row| {
        json(&FeatureCell(&row.decided.context))
    }),
    column(
        "candidates",
        "list",
        "What the request could choose from, each {arm, features}; empty: every arm that the slot had available at this revision.",
        |row| {
            let candidate = |(arm, features)| Candidate { arm: ArmId::as_str(arm), features: FeatureCell(features) };
            json(&row.decided.candidates.iter().map(|(arm, own)| candidate((arm, own))).collect::<Vec<_>>())
        },
    ),
    column("taken", "list", "Arms left out because the same call had shown them in another slot.", |row| {
        json(&row.decided.taken.iter().map(ArmId::as_str).collect::<Vec<_>>())
    }),
    column("arms", "list", "The arms shown, best position first; the lists below are in this order.", |row| {
        each(row, |chosen| chosen.arm.as_str())
    }),
    column(
        "propensities",
        "list",
        "The probability with which each was drawn for its position, given the positions above; the product is the slate's.",
        |row| each(row, |chosen| chosen.propensity),
    ),
    column("expected_rewards", "list", "The mean reward that the model expected of each.", |row| {
        each(row, |chosen| chosen.expected_reward)
    }),
    column(
        "reasons",
        "list",
        "Why each stood there: best_guess, exploring, floor, rule, holdout, sticky, watching or fallback.",
        |row| each(row, |chosen| reason_name(chosen.reason)),
    ),
    column("baseline_positions", "list", "The place of each in the baseline, from 1; 0: none.", |row| {
        each(row, |chosen| chosen.baseline_position)
    }),
    column(
        "overlaps",
        "list",
        "The probability of the other order of each and the arm above it, given the two; 0 where it was not asked for.",
        |row| each(row, |chosen| chosen.overlap),
    ),
    column(
        "best_expected",
        "number",
        "The largest expected reward of what could have stood first; 0 where no model decided.",
        |row| json(&row.decided.best_expected),
    ),
    column(
        "would",
        "list",
        "What the policy would have chosen, where the slot only watches, each {arm, propensity, expected_reward}, best position first.",
        |row| json(&row.decided.would.iter().map(ShadowCell::new).collect::<Vec<_>>()),
    ),
    column("analysis", "flag", "The subject was in the analysis slice: nothing was learned of it.", |row| {
        json(&row.decided.analysis)
    }),
    column(
        "sticky",
        "text or null",
        "The decision that this one repeats for its subject, with the propensities of that draw.",
        |row| row.decided.sticky.map_or(Cell::Missing, |first| text(first.to_string())),
    ),
    column("rules_fired", "list", "The names of the rules that had an effect.", |row| json(&row.decided.fired)),
    column(
        "rewards",
        "list or null",
        "The reward of each that the slot counted by its goal: duplicates and what was taken back left out, caps applied, no value winsorized. Null: nothing was counted, the slot was reset or deleted first.",
        |row| row.rewards.as_ref().map_or(Cell::Missing, json),
    ),
    column("reward", "number or null", "Their sum.", |row| {
        row.rewards
            .as_ref()
            .map_or(Cell::Missing, |rewards| json(&rewards.iter().fold(0.0, |sum, reward| sum + reward)))
    }),
    column(
        "events",
        "list",
        "The events that were accepted, in order of arrival, each {event_id, kind, value, time, arm, reversed, reverses}: reversed says that another took it back, reverses which one it took back.",
        |row| json(&row.events.iter().map(|event| EventCell::new(row, event)).collect::<Vec<_>>()),
    ),
    column(
        "complete",
        "flag",
        "The window and the grace period were over: no more reward could come, though for the reversal window some may be taken back. False: the journal ended, the slot was reset or deleted, or too many decisions waited, before they were.",
        |row| json(&row.complete),
    ),
];

/// The columns, for the long help.
pub(super) fn help() -> String {
    let mut help = String::from(
        "One row per decision, in the order in which decisions stop waiting for rewards; those that still wait at the end \
         of the journal come last. Rewards are joined by the engine itself, as the service joined them.\n\nColumns:\n",
    );
    for Column { name, kind, meaning, .. } in COLUMNS {
        // Into memory: there is nothing that could fail.
        let _ = writeln!(help, "  {name} ({kind}): {meaning}");
    }
    help
}

fn text<'a>(text: impl Into<Cow<'a, str>>) -> Cell<'a> {
    Cell::Text(text.into())
}

fn optional(given: &str) -> Cell<'_> {
    if given.is_empty() { Cell::Missing } else { text(given) }
}

fn json<'a>(value: &(impl Serialize + ?Sized)) -> Cell<'a> {
    // FeatureCell values with text keys: there is nothing that could fail.
    serde_json::to_string(value).map_or(Cell::Missing, Cell::Json)
}

fn each<'a, T: Serialize>(row: &'a JoinedDecision, of: impl Fn(&'a Chosen) -> T) -> Cell<'a> {
    json(&row.decided.chosen.iter().map(of).collect::<Vec<T>>())
}

fn fallback_name(fallback: Fallback) -> &'static str {
    match fallback {
        Fallback::NoEligibleArm => "no_eligible_arm",
        Fallback::SafeChoice => "safe_choice",
        Fallback::Model => "model",
        Fallback::Deadline => "deadline",
    }
}

fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::BestGuess => "best_guess",
        Reason::Exploring => "exploring",
        Reason::Floor => "floor",
        Reason::Holdout => "holdout",
        Reason::Fallback => "fallback",
        Reason::Rule => "rule",
        Reason::Sticky => "sticky",
        Reason::Watching => "watching",
    }
}

/// Features as a plain object.
struct FeatureCell<'a>(&'a Features);

impl Serialize for FeatureCell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, ValueCell(value))))
    }
}

struct ValueCell<'a>(&'a Value);

impl Serialize for ValueCell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => number.serialize(serializer),
            Value::Text(text) => text.serialize(serializer),
            Value::Flag(flag) => flag.serialize(serializer),
            Value::Texts(texts) => texts.serialize(serializer),
            Value::Vector(numbers) => numbers.serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct Candidate<'a> {
    arm: &'a str,
    features: FeatureCell<'a>,
}

#[derive(Serialize)]
struct ShadowCell<'a> {
    arm: &'a str,
    propensity: f64,
    expected_reward: f64,
}

impl<'a> ShadowCell<'a> {
    fn new(Chosen { arm, propensity, expected_reward, .. }: &'a Chosen) -> Self {
        Self { arm: arm.as_str(), propensity: *propensity, expected_reward: *expected_reward }
    }
}

#[derive(Serialize)]
struct EventCell<'a> {
    event_id: &'a str,
    kind: &'a str,
    value: Option<f64>,
    time: String,
    arm: Option<&'a str>,
    reversed: bool,
    reverses: Option<&'a str>,
}

impl<'a> EventCell<'a> {
    fn new(row: &'a JoinedDecision, JoinedEvent { event, reversed }: &'a JoinedEvent) -> Self {
        // An event need not name the only arm that was shown.
        let only = match row.decided.chosen.as_slice() {
            [chosen] => Some(&chosen.arm),
            _ => None,
        };
        Self {
            event_id: &event.event_id,
            kind: &event.kind,
            value: event.value,
            time: time::text(event.time_us),
            arm: event.arm.as_ref().or(only).map(ArmId::as_str),
            reversed: *reversed,
            reverses: event.reverses.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document's table has the same rows.
    #[test]
    fn the_document_says_what_the_export_holds() {
        let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating/journal-and-export.md"));
        let rows: Vec<String> =
            COLUMNS.iter().map(|c| format!("| `{}` | {} | {} |", c.name, c.kind, c.meaning)).collect();
        assert!(
            document.contains(&rows.join("\n")),
            "expected in docs/operating/journal-and-export.md:\n{}",
            rows.join("\n")
        );
    }
}
