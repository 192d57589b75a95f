//! The rows that `slotwise journal export` writes: JSON lines, or CSV whose lists and objects are JSON.
//!
//! A row becomes a decision by its first position: the arm shown there, its propensity and its reward. Lower positions
//! are conditional on those above and are not evaluated.
//!
//! Decisions that no model drew are left out: those of the holdout (the baseline decided, mostly with certainty),
//! repetitions for the same subject, and fallbacks. Whole subjects and moments are left out, whatever was shown to
//! them, so the rest is evaluated without bias.
//!
//! A reward is known when the last event that counts for its arm arrived. A row without such an event has the default
//! reward.
//!
//! Deliberately not here: later positions, and the arms that a slot had at each revision. An export does not list them,
//! so an empty list of candidates stands for all arms of the log.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::Value as Json;
use slotwise::{
    bandit::{Features, Value},
    engine::Subject,
    slot::limits::NUMBER_MAX,
};

use super::{
    FileFormat, Log, LogError, LogSelection,
    gather::{FieldProblem, GatheredRow, LogGatherer, field_problem},
    source::{self, LineReader},
    table::LogTable,
};
use crate::dataset::FilePlace;

/// Columns that are read: texts in the first list, JSON in the second.
const TEXTS: [&str; 6] = ["slot", "time", "subject_id", "session_id", "fallback", "sticky"];
const JSONS: [&str; 10] = [
    "holdout",
    "context",
    "candidates",
    "already_shown",
    "arms",
    "propensities",
    "reasons",
    "rewards",
    "events",
    "complete",
];

/// The fields of an exported row that are read.
#[derive(Debug, Deserialize)]
struct ExportedRow {
    decision_id: Option<String>,
    slot: String,
    #[serde(deserialize_with = "time_text")]
    time: String,
    subject_id: Option<String>,
    session_id: Option<String>,
    fallback: Option<IgnoredAny>,
    sticky: Option<IgnoredAny>,
    holdout: bool,
    #[serde(deserialize_with = "features")]
    context: Features,
    candidates: Vec<ExportedCandidate>,
    already_shown: Vec<String>,
    arms: Vec<String>,
    propensities: Vec<f64>,
    reasons: Vec<String>,
    rewards: Option<Vec<f64>>,
    events: Vec<ExportedEvent>,
    complete: bool,
}

#[derive(Debug, Deserialize)]
struct ExportedCandidate {
    arm: String,
    #[serde(deserialize_with = "features")]
    features: Features,
}

#[derive(Debug, Deserialize)]
struct ExportedEvent {
    #[serde(deserialize_with = "time_text")]
    time: String,
    arm: Option<String>,
    reversed: bool,
    reverses: Option<IgnoredAny>,
}

/// A feature's value as the export writes it.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a number, a text, yes or no, or a list of numbers or of texts")]
enum ExportedValue {
    Flag(bool),
    Number(f64),
    Text(String),
    Vector(Vec<f32>),
    Texts(Vec<String>),
}

/// Time as programs write it: a text, or a number that counts since 1970.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a time, as a text or as a number that counts since 1970")]
enum ExportedTime {
    Text(String),
    Number(serde_json::Number),
}

fn time_text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match ExportedTime::deserialize(from)? {
        ExportedTime::Text(text) => text,
        ExportedTime::Number(number) => number.to_string(),
    })
}

fn features<'de, D: Deserializer<'de>>(from: D) -> Result<Features, D::Error> {
    let plain = BTreeMap::<String, ExportedValue>::deserialize(from)?;
    let value = |value| match value {
        ExportedValue::Flag(flag) => Value::Flag(flag),
        ExportedValue::Number(number) => Value::Number(number),
        ExportedValue::Text(text) => Value::Text(text),
        ExportedValue::Vector(numbers) if numbers.is_empty() => Value::Texts(Vec::new()),
        ExportedValue::Vector(numbers) => Value::Vector(numbers),
        ExportedValue::Texts(texts) => Value::Texts(texts),
    };
    Ok(plain.into_iter().map(|(name, of)| (name, value(of))).collect())
}

/// Reads the log at `path`.
pub(super) fn read(path: &Path, wanted: &LogSelection) -> Result<Log, LogError> {
    let unread = |source| LogError::Read { file: path.to_owned(), source };
    let mut text = source::open(path).map_err(unread)?;
    let json = source::begins_object(&mut *text).map_err(unread)?;
    let mut gatherer = LogGatherer::new(wanted);
    if json {
        json_lines(path, text, &mut gatherer)?;
    } else {
        csv_rows(path, &mut gatherer)?;
    }
    gatherer.log(path, FileFormat::Journal)
}

fn json_lines(path: &Path, text: Box<dyn std::io::BufRead>, gatherer: &mut LogGatherer<'_>) -> Result<(), LogError> {
    let mut lines = LineReader::new(text);
    let broken = |place, why: String| LogError::Broken { file: path.to_owned(), place, why };
    loop {
        let number = lines.number + 1;
        let Some(text) = lines.next().map_err(|why| broken(FilePlace::Line(number), why))? else { return Ok(()) };
        if text.trim().is_empty() {
            continue;
        }
        let line: ExportedRow = serde_json::from_str(text).map_err(|why| {
            let place = FilePlace::Column { line: number, column: why.column() };
            let why = why.to_string();
            // The message repeats the place, which the error already names.
            let why = why.split(" at line ").next().unwrap_or_default();
            broken(place, format!("{why}; is it a whole row of `slotwise journal export`?"))
        })?;
        gatherer
            .take(line)
            .map_err(|FieldProblem { field, why }| broken(FilePlace::Line(number), format!("{field}: {why}")))?;
    }
}

fn csv_rows(path: &Path, gatherer: &mut LogGatherer<'_>) -> Result<(), LogError> {
    let needed: Vec<&str> = TEXTS.into_iter().chain(JSONS).collect();
    let mut table = LogTable::open(path, &needed)?;
    let place = |table: &LogTable<'_>, name: &str| table.place(name).unwrap_or_default();
    while table.next()? {
        let mut row = serde_json::Map::new();
        for name in TEXTS {
            let cell = table.cell(place(&table, name));
            row.insert(name.to_owned(), if cell.is_empty() { Json::Null } else { cell.into() });
        }
        if let Some(at) = table.place("decision_id") {
            row.insert("decision_id".to_owned(), table.cell(at).into());
        }
        for name in JSONS {
            let at = place(&table, name);
            let cell = table.cell(at);
            let value = if cell.is_empty() { Ok(Json::Null) } else { serde_json::from_str(cell) };
            let value = value.map_err(|why| table.column_error(at, format!("{name}: {why} of the cell")))?;
            row.insert(name.to_owned(), value);
        }
        let line: ExportedRow = serde_path_to_error::deserialize(Json::Object(row)).map_err(|why| {
            let path = why.path().to_string();
            let column = path.split(['.', '[']).next().and_then(|name| table.place(name));
            let why = format!("{path}: {}; is it a whole row of `slotwise journal export`?", why.inner());
            column.map_or_else(|| table.line_error(why.clone()), |column| table.column_error(column, why.clone()))
        })?;
        gatherer.take(line).map_err(|FieldProblem { field, why }| {
            table.column_error(place(&table, field), format!("{field}: {why}"))
        })?;
    }
    Ok(())
}

fn time(field: &'static str, text: &str) -> Result<i64, FieldProblem> {
    super::time::microseconds(text)
        .ok_or_else(|| field_problem(field, format!("'{text}' is no time; {}", super::time::FORMS)))
}

/// First position of an exported decision.
struct FirstPosition {
    arm: String,
    propensity: f64,
    /// Reward of the arm, or `None` if the slot counted none of the decision.
    reward: Option<f64>,
}

impl ExportedRow {
    /// Returns the first position, or `None` if the decision showed nothing.
    fn first_position(&self) -> Result<Option<FirstPosition>, FieldProblem> {
        let (Some(arm), Some(&propensity)) = (self.arms.first(), self.propensities.first()) else { return Ok(None) };
        if self.arms.len() != self.propensities.len() {
            let (arms, propensities) = (self.arms.len(), self.propensities.len());
            return Err(field_problem(
                "propensities",
                format!("there are {propensities} for {arms} arms; there must be one each"),
            ));
        }
        if !(0.0..=1.0).contains(&propensity) {
            return Err(field_problem("propensities", format!("the first is {propensity}; it must be from 0 to 1")));
        }
        let rewards = self.rewards.as_ref().map(|rewards| rewards.first().copied());
        let reward = match rewards {
            Some(Some(reward)) if reward.abs() <= NUMBER_MAX => Some(reward),
            Some(_) => return Err(field_problem("rewards", "there must be a number for each arm")),
            None => None,
        };
        Ok(Some(FirstPosition { arm: arm.clone(), propensity, reward }))
    }

    /// Returns the time at which the last event that counts for an arm arrived, or `None` if there is no such event.
    fn last_event_us(&self, arm: &str, decided_us: i64) -> Result<Option<i64>, FieldProblem> {
        let counts = |event: &&ExportedEvent| {
            !event.reversed && event.reverses.is_none() && event.arm.as_ref().is_none_or(|of| of == arm)
        };
        let mut last_us = None;
        for event in self.events.iter().filter(counts) {
            last_us = last_us.max(Some(time("events", &event.time)?.max(decided_us)));
        }
        Ok(last_us)
    }
}

impl LogGatherer<'_> {
    fn take(&mut self, line: ExportedRow) -> Result<(), FieldProblem> {
        if !self.slots.contains(&line.slot) {
            self.slots.insert(line.slot.clone());
        }
        if self.wanted.slot.as_ref().is_some_and(|slot| *slot != line.slot) {
            self.left_out.not_asked_for += 1;
            return Ok(());
        }
        let at_us = time("time", &line.time)?;
        if line.decision_id.as_ref().is_some_and(|id| !id.is_empty() && !self.is_first(id)) {
            return Ok(());
        }
        let Some(first) = line.first_position()? else {
            self.left_out.fallback += 1;
            return Ok(());
        };
        let count = self.left_out_count(&line, &first);
        let (Some(reward), None) = (first.reward, &count) else {
            if let Some(count) = count {
                *count += 1;
            }
            return Ok(());
        };
        let known_us = line.last_event_us(&first.arm, at_us)?;
        self.incomplete += u64::from(!line.complete);
        self.slates += u64::from(line.arms.len() > 1);
        let candidates: Vec<_> = line.candidates.into_iter().map(|given| (given.arm, given.features)).collect();
        let subject =
            Subject { id: line.subject_id.unwrap_or_default(), session_id: line.session_id.unwrap_or_default() };
        self.add(GatheredRow {
            decision: None,
            at_us,
            subject,
            context: line.context,
            candidates,
            taken: line.already_shown,
            arm: first.arm,
            propensity: first.propensity,
            reward,
            known_us,
        })
    }

    /// Returns the count of the reason why a decision is left out, or `None` if it is evaluated.
    fn left_out_count(&mut self, line: &ExportedRow, first: &FirstPosition) -> Option<&mut u64> {
        // The reason tells these apart, because a slot in shadow mode shows its baseline too.
        let drawn = line.reasons.first().is_none_or(|reason| reason != "shadow");
        let left_out = &mut self.left_out;
        if line.holdout || !drawn {
            Some(&mut left_out.holdout)
        } else if line.sticky.is_some() {
            Some(&mut left_out.sticky)
        } else if line.fallback.is_some() {
            Some(&mut left_out.fallback)
        } else if first.reward.is_none() {
            Some(&mut left_out.uncounted)
        } else if self.wanted.complete && !line.complete {
            Some(&mut left_out.incomplete)
        } else if first.propensity == 0.0 {
            Some(&mut left_out.zero_propensity)
        } else {
            None
        }
    }
}
