//! The rows that `slotwise journal export` writes: JSON lines, or CSV whose lists and objects are JSON.
//!
//! A row becomes a decision by its first position: what stood there, the propensity of that, and the reward of that arm.
//! Positions below it are conditional on what stands above, and are not evaluated. What was not drawn by a model is left
//! out: the holdout's (there the baseline decided, mostly with certainty), what a subject was given again, and
//! fallbacks. That leaves whole subjects and moments out, whatever was shown to them, so what is left is evaluated
//! without bias.
//!
//! A reward is known when the last event that counts for its arm came. Rows without such an event are silent.
//!
//! Deliberately not here: later positions, and which arms a slot had at which revision, which an export does not say: an
//! empty list of candidates stands for all arms of the log.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::Value as Json;
use slotwise::{
    bandit::{Features, Value},
    engine::Subject,
    slot::{ArmId, limits::ARMS_MAX, limits::NUMBER_MAX, suggestion},
};

use super::{
    CELLS_MAX, Form, LeftOut, Log, LogError, LoggedArm, Offered, ROWS_MAX, Row, Wanted, earliest, name_of, room,
    source::{self, Lines},
    table::Table,
};
use crate::dataset::Place;

/// The columns that are read, those with texts first.
const TEXTS: [&str; 6] = ["slot", "time", "subject_id", "session_id", "fallback", "sticky"];
const JSONS: [&str; 10] =
    ["holdout", "context", "candidates", "taken", "arms", "propensities", "reasons", "rewards", "events", "complete"];

/// A row of an export, as far as it is read.
#[derive(Debug, Deserialize)]
struct Line {
    slot: String,
    time: String,
    subject_id: Option<String>,
    session_id: Option<String>,
    fallback: Option<IgnoredAny>,
    sticky: Option<IgnoredAny>,
    holdout: bool,
    #[serde(deserialize_with = "features")]
    context: Features,
    candidates: Vec<Candidate>,
    taken: Vec<String>,
    arms: Vec<String>,
    propensities: Vec<f64>,
    reasons: Vec<String>,
    rewards: Option<Vec<f64>>,
    events: Vec<Heard>,
    complete: bool,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    arm: String,
    #[serde(deserialize_with = "features")]
    features: Features,
}

#[derive(Debug, Deserialize)]
struct Heard {
    time: String,
    arm: Option<String>,
    reversed: bool,
    reverses: Option<IgnoredAny>,
}

/// A feature's value, as the export writes it.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a number, a text, yes or no, or a list of numbers or of texts")]
enum PlainValue {
    Flag(bool),
    Number(f64),
    Text(String),
    Vector(Vec<f32>),
    Texts(Vec<String>),
}

fn features<'de, D: Deserializer<'de>>(from: D) -> Result<Features, D::Error> {
    let plain = BTreeMap::<String, PlainValue>::deserialize(from)?;
    let value = |value| match value {
        PlainValue::Flag(flag) => Value::Flag(flag),
        PlainValue::Number(number) => Value::Number(number),
        PlainValue::Text(text) => Value::Text(text),
        PlainValue::Vector(numbers) if numbers.is_empty() => Value::Texts(Vec::new()),
        PlainValue::Vector(numbers) => Value::Vector(numbers),
        PlainValue::Texts(texts) => Value::Texts(texts),
    };
    Ok(plain.into_iter().map(|(name, of)| (name, value(of))).collect())
}

/// What stands at a field that cannot be used.
struct Wrong {
    field: &'static str,
    why: String,
}

fn wrong(field: &'static str, why: impl Into<String>) -> Wrong {
    Wrong { field, why: why.into() }
}

/// Reads the rows at `path`.
pub(super) fn read(path: &Path, wanted: &Wanted) -> Result<Log, LogError> {
    let unread = |source| LogError::Read { file: path.to_owned(), source };
    let mut text = source::open(path).map_err(unread)?;
    let json = source::begins_object(&mut *text).map_err(unread)?;
    let mut taking = Taking::new(wanted);
    if json {
        json_lines(path, text, &mut taking)?;
    } else {
        csv_rows(path, &mut taking)?;
    }
    taking.log(path)
}

fn json_lines(path: &Path, text: Box<dyn std::io::BufRead>, taking: &mut Taking<'_>) -> Result<(), LogError> {
    let mut lines = Lines::new(text);
    let broken = |place, why: String| LogError::Broken { file: path.to_owned(), place, why };
    loop {
        let number = lines.number + 1;
        let Some(text) = lines.next().map_err(|why| broken(Place::Line(number), why))? else { return Ok(()) };
        if text.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(text).map_err(|why| {
            let place = Place::Column { line: number, column: why.column() };
            let why = why.to_string();
            // The place stands before it already.
            let why = why.split(" at line ").next().unwrap_or_default();
            broken(place, format!("{why}; is it a whole row of `slotwise journal export`?"))
        })?;
        taking.take(line).map_err(|Wrong { field, why }| broken(Place::Line(number), format!("{field}: {why}")))?;
    }
}

fn csv_rows(path: &Path, taking: &mut Taking<'_>) -> Result<(), LogError> {
    let needed: Vec<&str> = TEXTS.into_iter().chain(JSONS).collect();
    let mut table = Table::open(path, &needed)?;
    let place = |table: &Table<'_>, name: &str| table.place(name).unwrap_or_default();
    while table.next()? {
        let mut row = serde_json::Map::new();
        for name in TEXTS {
            let cell = table.cell(place(&table, name));
            row.insert(name.to_owned(), if cell.is_empty() { Json::Null } else { cell.into() });
        }
        for name in JSONS {
            let at = place(&table, name);
            let cell = table.cell(at);
            let value = if cell.is_empty() { Ok(Json::Null) } else { serde_json::from_str(cell) };
            let value = value.map_err(|why| table.column(at, format!("{name}: {why} of the cell")))?;
            row.insert(name.to_owned(), value);
        }
        let line: Line = serde_path_to_error::deserialize(Json::Object(row)).map_err(|why| {
            let path = why.path().to_string();
            let column = path.split(['.', '[']).next().and_then(|name| table.place(name));
            let why = format!("{path}: {}; is it a whole row of `slotwise journal export`?", why.inner());
            column.map_or_else(|| table.whole_line(why.clone()), |column| table.column(column, why.clone()))
        })?;
        taking
            .take(line)
            .map_err(|Wrong { field, why }| table.column(place(&table, field), format!("{field}: {why}")))?;
    }
    Ok(())
}

/// A row, its arms by name.
struct Named {
    at_us: i64,
    subject: Subject,
    context: Features,
    /// Empty: all but those taken.
    candidates: Vec<(String, Features)>,
    taken: Vec<String>,
    arm: String,
    propensity: f64,
    reward: f64,
    told_us: Option<i64>,
}

/// Takes rows in.
struct Taking<'a> {
    wanted: &'a Wanted,
    slots: BTreeSet<String>,
    arms: BTreeSet<String>,
    rows: Vec<Named>,
    left_out: LeftOut,
    incomplete: u64,
    slates: u64,
}

fn time(field: &'static str, text: &str) -> Result<i64, Wrong> {
    let since = humantime::parse_rfc3339(text).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .ok_or_else(|| wrong(field, format!("'{text}' is no time in UTC, as in 2026-11-21T08:30:00Z")))
}

impl<'a> Taking<'a> {
    fn new(wanted: &'a Wanted) -> Self {
        let (slots, arms) = (BTreeSet::new(), BTreeSet::new());
        Self { wanted, slots, arms, rows: Vec::new(), left_out: LeftOut::default(), incomplete: 0, slates: 0 }
    }

    fn take(&mut self, line: Line) -> Result<(), Wrong> {
        if !self.slots.contains(&line.slot) {
            self.slots.insert(line.slot.clone());
        }
        if self.wanted.slot.as_ref().is_some_and(|slot| *slot != line.slot) {
            self.left_out.not_asked_for += 1;
            return Ok(());
        }
        let at_us = time("time", &line.time)?;
        let (Some(arm), Some(&propensity)) = (line.arms.first(), line.propensities.first()) else {
            self.left_out.fallback += 1;
            return Ok(());
        };
        if line.arms.len() != line.propensities.len() {
            let (arms, propensities) = (line.arms.len(), line.propensities.len());
            return Err(wrong(
                "propensities",
                format!("there are {propensities} for {arms} arms; there must be one each"),
            ));
        }
        if !(0.0..=1.0).contains(&propensity) {
            return Err(wrong("propensities", format!("the first is {propensity}; it must be from 0 to 1")));
        }
        let rewards = line.rewards.as_ref().map(|rewards| rewards.first().copied());
        let reward = match rewards {
            Some(Some(reward)) if reward.abs() <= NUMBER_MAX => Some(reward),
            Some(_) => return Err(wrong("rewards", "there must be a number for each arm")),
            None => None,
        };
        // Told by its reason: a slot that watches shows its baseline too.
        let drawn = line.reasons.first().is_none_or(|reason| reason != "watching");
        let left_out = &mut self.left_out;
        let count = if line.holdout || !drawn {
            Some(&mut left_out.holdout)
        } else if line.sticky.is_some() {
            Some(&mut left_out.sticky)
        } else if line.fallback.is_some() {
            Some(&mut left_out.fallback)
        } else if reward.is_none() {
            Some(&mut left_out.uncounted)
        } else if self.wanted.complete && !line.complete {
            Some(&mut left_out.incomplete)
        } else if propensity == 0.0 {
            Some(&mut left_out.zero_propensity)
        } else {
            None
        };
        let (Some(reward), None) = (reward, &count) else {
            if let Some(count) = count {
                *count += 1;
            }
            return Ok(());
        };
        if !room(&mut self.rows, self.wanted.rows, ROWS_MAX, |row| row.at_us) {
            return Err(wrong(
                "time",
                format!("this is row {} of the log; at most {ROWS_MAX} are allowed", ROWS_MAX + 1),
            ));
        }
        let counts = |heard: &&Heard| {
            !heard.reversed && heard.reverses.is_none() && heard.arm.as_ref().is_none_or(|of| of == arm)
        };
        let mut told_us = None;
        for heard in line.events.iter().filter(counts) {
            told_us = told_us.max(Some(time("events", &heard.time)?.max(at_us)));
        }
        self.incomplete += u64::from(!line.complete);
        self.slates += u64::from(line.arms.len() > 1);
        let candidates: Vec<_> = line.candidates.into_iter().map(|given| (given.arm, given.features)).collect();
        let shown = arm.clone();
        if !candidates.is_empty() && !candidates.iter().any(|(id, _)| *id == shown) {
            return Err(wrong("arms", format!("'{shown}' is none of the row's candidates")));
        }
        for id in candidates.iter().map(|(id, _)| id).chain(&line.taken).chain([&shown]) {
            if !self.arms.contains(id) {
                ArmId::parse("arms", id).map_err(|why| wrong("arms", why.message))?;
                self.arms.insert(id.clone());
            }
        }
        if self.arms.len() > ARMS_MAX {
            return Err(wrong("arms", format!("there are more than {ARMS_MAX} different ones by here")));
        }
        let subject =
            Subject { id: line.subject_id.unwrap_or_default(), session_id: line.session_id.unwrap_or_default() };
        self.rows.push(Named {
            at_us,
            subject,
            context: line.context,
            candidates,
            taken: line.taken,
            arm: shown,
            propensity,
            reward,
            told_us,
        });
        Ok(())
    }

    fn log(mut self, path: &Path) -> Result<Log, LogError> {
        let file = || path.to_owned();
        match &self.wanted.slot {
            Some(slot) if !self.slots.contains(slot) => {
                let suggestion = suggestion(slot, self.slots.iter().map(String::as_str));
                return Err(LogError::NoSlot { file: file(), slot: slot.clone(), suggestion });
            }
            None if self.slots.len() > 1 => {
                return Err(LogError::Slots { file: file(), slots: self.slots.into_iter().collect() });
            }
            Some(_) | None => {}
        }
        if let Some(wanted) = self.wanted.rows {
            earliest(&mut self.rows, wanted, |row| row.at_us);
        }
        // Before any row is given a list of all arms but a few.
        let (rows, arms) = (self.rows.len(), self.arms.len());
        if rows.saturating_mul(arms) > CELLS_MAX {
            return Err(LogError::Size { file: file(), rows, arms });
        }
        let place: BTreeMap<&str, usize> = self.arms.iter().enumerate().map(|(i, id)| (id.as_str(), i)).collect();
        // Every name was put there when it was met.
        let of = |id: &str| place.get(id).copied().unwrap_or_default();
        let mut arms = Vec::with_capacity(self.arms.len());
        for id in &self.arms {
            let Ok(id) = ArmId::parse("arms", id) else { continue };
            arms.push(LoggedArm { id, attributes: Features::new() });
        }
        let silent = silent(&self.rows);
        let row = |row: Named| {
            let offered = match (row.candidates.is_empty(), row.taken.is_empty()) {
                (true, true) => Offered::All,
                (true, false) => {
                    let left = self.arms.iter().filter(|id| !row.taken.contains(id));
                    Offered::Listed(left.map(|id| (of(id), Features::new())).collect())
                }
                (false, _) => {
                    let left = row.candidates.into_iter().filter(|(id, _)| !row.taken.contains(id));
                    Offered::Listed(left.map(|(id, own)| (of(&id), own)).collect())
                }
            };
            Row {
                at_us: row.at_us,
                subject: row.subject,
                context: Arc::new(row.context),
                offered,
                arm: of(&row.arm),
                propensity: row.propensity,
                reward: row.reward,
                // What is worth as much as silence may be taken for it.
                told_us: row.told_us.or_else(|| (row.reward.to_bits() != silent.to_bits()).then_some(row.at_us)),
                position: 1,
            }
        };
        Ok(Log {
            name: name_of(path),
            form: Form::Journal,
            rows: self.rows.into_iter().map(row).collect(),
            arms,
            left_out: self.left_out,
            incomplete: self.incomplete,
            slates: self.slates,
            silent,
        })
    }
}

/// The reward of rows of which nothing was heard, where it is the same for all of them; else 0.
fn silent(rows: &[Named]) -> f64 {
    let mut silent = rows.iter().filter(|row| row.told_us.is_none()).map(|row| row.reward);
    let Some(first) = silent.next() else { return 0.0 };
    if silent.all(|other| other.to_bits() == first.to_bits()) { first } else { 0.0 }
}
