//! The dsjson log of Vowpal Wabbit, which Azure Personalizer also writes: each line is a decision with its outcome.
//!
//! A row becomes a decision by its first action: `_label_Action` (or the first of `a`), `_label_probability` (or the
//! first of `p`), and the reward −`_label_cost`. The context is `c` without `_multi`; the candidates are `c._multi`.
//! Namespaces are joined to names with a dot: `{"User": {"age": 30}}` is the feature `User.age`.
//!
//! An action's id is its `id`, the `id` of its namespace `i`, its `_tag`, or else its features, written out.
//!
//! Left out and counted, each for itself, are dangling rewards (a `RewardValue` without the decision that it is for),
//! decisions that were never confirmed (`DeferredAction`), and other lines without an outcome (`_label_cost`), such as
//! a trainer's checkpoints.

use std::path::Path;

use serde_json::{Map, Value as Json};
use slotwise::{
    bandit::{Features, Value},
    engine::{Subject, hash},
    slot::limits::{FEATURES_MAX, ID_BYTES_MAX, NAME_BYTES_MAX, NUMBER_MAX, VECTOR_MAX, WORD_BYTES_MAX, WORDS_MAX},
};

use super::{
    FileFormat, Log, LogError, LogSelection,
    gather::{FieldProblem, GatheredRow, LogGatherer, field_problem},
    source::{self, LineReader},
    time,
};
use crate::dataset::FilePlace;

/// Greatest depth of nested objects. Deeper ones are not read.
const DEPTH_MAX: usize = 8;

/// Reads the log at `path`.
pub(super) fn read(path: &Path, wanted: &LogSelection) -> Result<Log, LogError> {
    let mut text = source::open(path).map_err(|source| LogError::Read { file: path.to_owned(), source })?;
    source::begins_object(&mut *text).map_err(|source| LogError::Read { file: path.to_owned(), source })?;
    let mut lines = LineReader::new(text);
    let broken = |place, why: String| LogError::Broken { file: path.to_owned(), place, why };
    let mut gatherer = LogGatherer::new(wanted);
    loop {
        let number = lines.number + 1;
        let Some(text) = lines.next().map_err(|why| broken(FilePlace::Line(number), why))? else { break };
        if text.trim().is_empty() {
            continue;
        }
        let line: Map<String, Json> = serde_json::from_str(text).map_err(|why| {
            let place = FilePlace::Column { line: number, column: why.column() };
            let why = why.to_string();
            broken(place, why.split(" at line ").next().unwrap_or_default().to_owned())
        })?;
        let located = |FieldProblem { field, why }| broken(FilePlace::Line(number), format!("{field}: {why}"));
        match decision_of(&line).map_err(located)? {
            DsjsonLine::Decision(given) => gatherer.add(*given).map_err(located)?,
            DsjsonLine::DanglingReward => gatherer.left_out.dangling += 1,
            DsjsonLine::Unconfirmed => gatherer.left_out.unconfirmed += 1,
            DsjsonLine::WithoutOutcome => gatherer.left_out.without_outcome += 1,
        }
    }
    gatherer.log(path, FileFormat::Dsjson)
}

/// Content of a line.
enum DsjsonLine {
    /// Decision with its outcome.
    Decision(Box<GatheredRow>),
    /// Reward whose decision is not in the line.
    DanglingReward,
    /// Decision that was deferred, and that nobody confirmed.
    Unconfirmed,
    /// Line without an outcome.
    WithoutOutcome,
}

/// The content of a line.
fn decision_of(line: &Map<String, Json>) -> Result<DsjsonLine, FieldProblem> {
    if line.contains_key("_outcomes") {
        return Err(field_problem(
            "_outcomes",
            "a decision with several slots cannot be read; give a log that decides one thing a line",
        ));
    }
    let deferred = line.get("DeferredAction").or_else(|| line.get("_deferred")).and_then(Json::as_bool);
    let Some(cost) = line.get("_label_cost") else {
        let dangling = line.contains_key("RewardValue") || line.contains_key("Observations");
        return Ok(if dangling { DsjsonLine::DanglingReward } else { DsjsonLine::WithoutOutcome });
    };
    if deferred == Some(true) {
        return Ok(DsjsonLine::Unconfirmed);
    }
    let number = |value: &Json, field| {
        value
            .as_f64()
            .filter(|number| number.abs() <= NUMBER_MAX)
            .ok_or_else(|| field_problem(field, "must be a number"))
    };
    let cost = number(cost, "_label_cost")?;
    let first = |list: &str| line.get(list).and_then(Json::as_array).and_then(|list| list.first());
    let propensity = line.get("_label_probability").or_else(|| first("p"));
    let propensity =
        number(propensity.ok_or_else(|| field_problem("_label_probability", "is missing"))?, "_label_probability")?;
    if !(0.0..=1.0).contains(&propensity) {
        return Err(field_problem("_label_probability", format!("is {propensity}; it must be from 0 to 1")));
    }
    let text = line.get("Timestamp").and_then(Json::as_str).ok_or_else(|| field_problem("Timestamp", "is missing"))?;
    let at_us = time::microseconds(text)
        .ok_or_else(|| field_problem("Timestamp", format!("'{text}' is no time; {}", time::FORMS)))?;
    let empty = Map::new();
    let all = line.get("c").and_then(Json::as_object).unwrap_or(&empty);
    let actions = all
        .get("_multi")
        .and_then(Json::as_array)
        .ok_or_else(|| field_problem("c._multi", "is missing: the actions that could be chosen"))?;
    let chosen = line.get("_label_Action").or_else(|| first("a")).and_then(Json::as_u64);
    let chosen = chosen.or_else(|| line.get("_labelIndex").and_then(Json::as_u64).map(|index| index + 1));
    let chosen = chosen.and_then(|action| usize::try_from(action).ok()).and_then(|action| action.checked_sub(1));
    let chosen = chosen.filter(|action| *action < actions.len()).ok_or_else(|| {
        field_problem("_label_Action", format!("must be the number of one of the {} actions, from 1", actions.len()))
    })?;
    let mut candidates: Vec<(String, Features)> = Vec::with_capacity(actions.len());
    for (i, action) in actions.iter().enumerate() {
        let id = action_id(action);
        // Actions that cannot be distinguished become separate arms.
        let id = if candidates.iter().any(|(other, _)| *other == id) {
            format!("{} #{}", truncated(&id, ID_BYTES_MAX - 8), i + 1)
        } else {
            id
        };
        candidates.push((id, features(action)));
    }
    let mut context = all.clone();
    context.remove("_multi");
    let reward = if cost == 0.0 { 0.0 } else { -cost };
    let event = line.get("EventId").and_then(Json::as_str).filter(|id| !id.is_empty());
    Ok(DsjsonLine::Decision(Box::new(GatheredRow {
        decision: event.map(str::to_owned),
        at_us,
        subject: Subject::default(),
        context: features(&Json::Object(context)),
        arm: candidates[chosen].0.clone(),
        candidates,
        taken: Vec::new(),
        propensity,
        reward,
        known_us: (reward != 0.0).then_some(at_us),
    })))
}

/// The id of an action.
fn action_id(action: &Json) -> String {
    let named = [action.get("id"), action.get("i").and_then(|i| i.get("id")), action.get("_tag")];
    let text = |value: &Json| match value {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => None,
    };
    let id = named.into_iter().flatten().find_map(text).unwrap_or_else(|| {
        let own = features(action);
        let parts: Vec<String> = own.iter().map(|(name, value)| format!("{name}={}", plain_text(value))).collect();
        if parts.is_empty() { "no features".to_owned() } else { parts.join(" ") }
    });
    let id: String = id.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if id.len() <= ID_BYTES_MAX {
        return id;
    }
    format!("{}… {:016x}", truncated(&id, ID_BYTES_MAX - 24), hash("dsjson action", &[id.as_bytes()]).word())
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Flag(flag) => flag.to_string(),
        Value::Texts(texts) => texts.join(","),
        Value::Vector(numbers) => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}

/// The longest prefix of a text that fits into `most` bytes.
fn truncated(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The features of nested namespaces.
fn features(of: &Json) -> Features {
    let mut all = Features::new();
    insert_features("", of, DEPTH_MAX, &mut all);
    all
}

fn insert_features(name: &str, value: &Json, depth: usize, all: &mut Features) {
    if all.len() >= FEATURES_MAX || depth == 0 {
        return;
    }
    let feature = match value {
        Json::Null => None,
        Json::Bool(flag) => Some(Value::Flag(*flag)),
        Json::Number(number) => number.as_f64().filter(|number| number.abs() <= NUMBER_MAX).map(Value::Number),
        Json::String(text) => Some(Value::Text(truncated(text, WORD_BYTES_MAX).to_owned())),
        Json::Array(list) => {
            // Personalizer writes a namespace's features as a list of objects.
            for object in list.iter().filter(|element| element.is_object()) {
                insert_features(name, object, depth - 1, all);
            }
            list_value(list)
        }
        Json::Object(object) => {
            for (key, value) in object.iter().filter(|(key, _)| !key.starts_with('_')) {
                let path = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                insert_features(&path, value, depth - 1, all);
            }
            None
        }
    };
    if let Some(feature) = feature
        && !name.is_empty()
    {
        all.insert(truncated(name, NAME_BYTES_MAX).to_owned(), feature);
    }
}

/// The feature of a list of numbers or of texts, or `None` for any other list.
fn list_value(list: &[Json]) -> Option<Value> {
    let numbers: Option<Vec<f64>> =
        list.iter().map(|value| value.as_f64().filter(|number| number.abs() <= NUMBER_MAX)).collect();
    let texts: Option<Vec<&str>> = list.iter().map(Json::as_str).collect();
    match (numbers, texts) {
        (Some(numbers), _) if !numbers.is_empty() && numbers.len() <= VECTOR_MAX => {
            #[expect(clippy::cast_possible_truncation, reason = "vectors are single precision")]
            let single = numbers.iter().map(|number| *number as f32);
            Some(Value::Vector(single.collect()))
        }
        (_, Some(texts)) if !texts.is_empty() => Some(Value::Texts(
            texts.iter().take(WORDS_MAX).map(|text| truncated(text, WORD_BYTES_MAX).to_owned()).collect(),
        )),
        _ => None,
    }
}
