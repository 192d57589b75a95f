//! Columns of the export. Rows, help and the document come from this one table.

use std::{borrow::Cow, fmt::Write as _};

use serde::{Serialize, Serializer};

use crate::{
    bandit::{Features, Value},
    engine::{ChosenArm, Fallback, Reason, ScoredCandidate},
    node::{JoinedDecision, JoinedEvent, time_text},
    slot::ArmId,
};

/// Cell of a row.
pub(super) enum Cell<'a> {
    /// Null in JSON, empty in CSV.
    Missing,
    /// Text.
    Text(Cow<'a, str>),
    /// JSON: a number, a flag, a list or an object.
    Json(String),
}

/// Column of the export.
pub(super) struct ExportColumn {
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
) -> ExportColumn {
    ExportColumn { name, kind, meaning, cell }
}

/// Columns in the order of the export.
pub(super) const COLUMNS: &[ExportColumn] = &[
    column("decision_id", "text", "Id of the decision.", |row| text(row.decided.id.to_string())),
    column("slot", "text", "Slot of the decision.", |row| text(row.decided.slot.as_str())),
    column("time", "text", "Time of the decision: RFC 3339, UTC, microseconds.", |row| text(time_text(row.at_us))),
    column("revision", "number", "Revision of the slot that decided.", |row| json(&row.decided.revision)),
    column("model", "text or null", "Name of the model that decided.", |row| optional(&row.decided.model)),
    column("subject_id", "text or null", "Subject of the decision, as far as consent went.", |row| {
        optional(&row.decided.subject.id)
    }),
    column("session_id", "text or null", "Session of the decision, as far as consent went.", |row| {
        optional(&row.decided.subject.session_id)
    }),
    column("holdout", "flag", "True if the subject was in the holdout and got the baseline.", |row| {
        json(&row.decided.holdout)
    }),
    column(
        "fallback",
        "text or null",
        "Reason why no model decided: no_eligible_arm, safe_choice, model or deadline.",
        |row| row.decided.fallback.map_or(Cell::Missing, |fallback| text(fallback_name(fallback))),
    ),
    column("seed", "text", "Seed of the draw, in decimal. It has 64 bits, which is more than a double holds.", |row| {
        text(row.decided.seed.to_string())
    }),
    column("request_id", "text or null", "Caller's id of the request.", |row| {
        optional(row.decided.request_id.as_deref().unwrap_or_default())
    }),
    column("context", "object", "Features of the request as used, by name.", |row| {
        json(&FeatureCell(&row.decided.context))
    }),
    column(
        "candidates",
        "list",
        "Candidates of the request, each {arm, features}, with the features of its match with the shopper's profile. Empty means every arm that the slot had available at this revision, and no profile. Of arms from the item catalogue those with scores or an exclusion are listed.",
        |row| {
            let candidate =
                |(arm, features)| CandidateCell { arm: ArmId::as_str(arm), features: FeatureCell(features) };
            let listed = row.candidates();
            json(&listed.iter().map(|(arm, features)| candidate((arm, features))).collect::<Vec<_>>())
        },
    ),
    column("already_shown", "list", "Arms left out because the same call had shown them in another slot.", |row| {
        json(&row.decided.already_shown.iter().map(ArmId::as_str).collect::<Vec<_>>())
    }),
    column(
        "arms",
        "list",
        "Arms shown, best position first. The next five lists and rewards are in this order.",
        |row| each(row, |chosen| chosen.arm.as_str()),
    ),
    column(
        "propensities",
        "list",
        "Probability with which each arm was drawn for its position, given the arms above it. The product is the propensity of the slate.",
        |row| each(row, |chosen| chosen.propensity),
    ),
    column("expected_rewards", "list", "Mean reward that the model expected of each arm.", |row| {
        each(row, |chosen| chosen.expected_reward)
    }),
    column(
        "reasons",
        "list",
        "Reason why each arm stood there: best_guess, exploring, floor, rule, holdout, sticky, shadow or fallback.",
        |row| each(row, |chosen| reason_name(chosen.reason)),
    ),
    column("baseline_positions", "list", "Position of each arm in the baseline, from 1; 0 if it had none.", |row| {
        each(row, |chosen| chosen.baseline_position)
    }),
    column(
        "swap_probabilities",
        "list",
        "Probability of the opposite order of each arm and the arm above it, given the two; 0 if it was not computed.",
        |row| each(row, |chosen| chosen.swap_probability),
    ),
    column(
        "scored",
        "list",
        "Candidates that were scored, each {arm, mean, std, propensity}: the mean and the standard deviation of its expected reward, and its probability of the first position. At most 64, those with the largest probabilities. arm is null if the revision that decided is no longer kept.",
        |row| json(&row.decided.scored.iter().map(|of| ScoredCell::new(row, of)).collect::<Vec<_>>()),
    ),
    column(
        "best_expected",
        "number",
        "Largest expected reward of the arms that could have stood first; 0 if no model decided.",
        |row| json(&row.decided.best_expected),
    ),
    column(
        "shadow_arms",
        "list",
        "Arms that the policy would have chosen in shadow mode, each {arm, propensity, expected_reward}, best position first.",
        |row| json(&row.decided.shadow_slate.iter().map(ShadowCell::new).collect::<Vec<_>>()),
    ),
    column("analysis", "flag", "True if the subject was in the analysis slice, so that nothing was learned.", |row| {
        json(&row.decided.analysis)
    }),
    column(
        "sticky",
        "text or null",
        "Decision that this one repeats for its subject. The propensities are those of that decision's draw.",
        |row| row.decided.sticky.map_or(Cell::Missing, |first| text(first.to_string())),
    ),
    column("matched_rules", "list", "Names of the rules that had an effect.", |row| json(&row.decided.matched_rules)),
    column(
        "rewards",
        "list or null",
        "Reward of each arm that the slot counted by its goal: without duplicates and reversed events, with caps, without winsorization. Null means that nothing was counted because the slot was reset or deleted first.",
        |row| row.rewards.as_ref().map_or(Cell::Missing, json),
    ),
    column("reward", "number or null", "Sum of rewards.", |row| {
        row.rewards
            .as_ref()
            .map_or(Cell::Missing, |rewards| json(&rewards.iter().fold(0.0, |sum, reward| sum + reward)))
    }),
    column(
        "events",
        "list",
        "Events that were accepted, in order of arrival, each {event_id, kind, value, time, arm, reversed, reverses}. reversed is true if another event took this one back; reverses is the id of the event that this one took back.",
        |row| json(&row.events.iter().map(|event| EventCell::new(row, event)).collect::<Vec<_>>()),
    ),
    column(
        "complete",
        "flag",
        "True if the window and the grace period were over: no more reward could come, though for the reversal window some may be taken back. False if the journal ended, the slot was reset or deleted, or too many decisions waited, before they were over.",
        |row| json(&row.complete),
    ),
];

/// Returns the description of the columns for the long help.
pub fn column_help() -> String {
    let mut help = String::from(
        "The export has one row per decision, in the order in which decisions stop waiting for rewards. Decisions that still wait \
         at the end of the journal come last. The engine itself joins the rewards, as the service joined them.\n\nColumns:\n",
    );
    for ExportColumn { name, kind, meaning, .. } in COLUMNS {
        // Writing to a string cannot fail.
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
    // The values are plain and all keys are texts, so this cannot fail.
    serde_json::to_string(value).map_or(Cell::Missing, Cell::Json)
}

fn each<'a, T: Serialize>(row: &'a JoinedDecision, value: impl Fn(&'a ChosenArm) -> T) -> Cell<'a> {
    json(&row.decided.chosen.iter().map(value).collect::<Vec<T>>())
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
        Reason::Shadow => "shadow",
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
struct CandidateCell<'a> {
    arm: &'a str,
    features: FeatureCell<'a>,
}

#[derive(Serialize)]
struct ScoredCell<'a> {
    arm: Option<&'a str>,
    mean: f32,
    std: f32,
    propensity: f32,
}

impl<'a> ScoredCell<'a> {
    fn new(row: &'a JoinedDecision, of: &ScoredCandidate) -> Self {
        let ScoredCandidate { candidate, mean, std, propensity } = *of;
        Self { arm: row.candidate(candidate as usize).map(ArmId::as_str), mean, std, propensity }
    }
}

#[derive(Serialize)]
struct ShadowCell<'a> {
    arm: &'a str,
    propensity: f64,
    expected_reward: f64,
}

impl<'a> ShadowCell<'a> {
    fn new(ChosenArm { arm, propensity, expected_reward, .. }: &'a ChosenArm) -> Self {
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
            time: time_text(event.time_us),
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
