//! CSV with the columns that a log needs at least: time, arm, propensity and reward. Every other column is a feature of
//! the context.
//!
//! A context column holds numbers if every cell that is not empty is a number; an empty cell is a missing feature. All
//! arms of the log could be chosen at every row.

use std::path::Path;

use slotwise::{
    bandit::{Features, Value},
    engine::Subject,
    slot::limits::NUMBER_MAX,
};

use super::{
    FileFormat, Log, LogError, LogSelection,
    gather::{FieldProblem, GatheredRow, LogGatherer, field_problem},
    table::LogTable,
    time,
};

/// The format in words, for error messages.
pub(super) const AS_CSV: &str = "CSV with the columns time, arm, propensity and reward, and any others as context";

/// Required columns, each with its alternative names.
const NEEDED: [(&str, &[&str]); 4] = [
    ("time", &["timestamp", "ts", "date", "datetime", "created_at", "event_time"]),
    ("arm", &["arm_id", "action", "action_id", "variant", "treatment", "offer"]),
    ("propensity", &["propensity_score", "probability", "action_prob", "prob", "pscore", "p"]),
    ("reward", &["click", "clicked", "conversion", "converted", "outcome"]),
];

/// Columns that are no features, each with its alternative names.
const OTHERS: [(&str, &[&str]); 3] =
    [("decision_id", &["event_id"]), ("subject_id", &["user_id", "customer_id"]), ("session_id", &[])];

/// The place of a column in the header, by its own name or else by an alternative one.
fn find(header: &[String], (name, others): (&str, &[&str])) -> Option<usize> {
    let is = |wanted: &str| header.iter().position(|column| column.eq_ignore_ascii_case(wanted));
    is(name).or_else(|| others.iter().find_map(|other| is(other)))
}

/// The required columns that a header lacks.
pub(super) fn missing(header: &[String]) -> Vec<&'static str> {
    NEEDED.into_iter().filter(|column| find(header, *column).is_none()).map(|(name, _)| name).collect()
}

/// Places of the columns.
struct CsvColumns {
    needed: [usize; 4],
    others: [Option<usize>; 3],
    /// Place and name of each context column, and `true` if it holds numbers.
    context: Vec<(usize, String, bool)>,
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.abs() <= NUMBER_MAX)
}

impl CsvColumns {
    /// Reads the header, and every cell to see which columns hold numbers.
    fn read(path: &Path) -> Result<Self, LogError> {
        let mut table = LogTable::open(path, &[])?;
        let lacking = missing(table.header());
        if !lacking.is_empty() {
            return Err(table.line_error(format!("the header has no {}; needed is {AS_CSV}", lacking.join(" and no "))));
        }
        let header = table.header().to_vec();
        let needed = NEEDED.map(|column| find(&header, column).unwrap_or_default());
        let others = OTHERS.map(|column| find(&header, column));
        let taken = |place: &usize| needed.contains(place) || others.contains(&Some(*place));
        let mut context: Vec<(usize, String, bool)> =
            (0..header.len()).filter(|place| !taken(place)).map(|place| (place, header[place].clone(), true)).collect();
        // A column without a name is an index that some program wrote.
        context.retain(|(_, name, _)| !name.is_empty());
        while table.next()? {
            for (place, _, numbers) in &mut context {
                let cell = table.cell(*place).trim();
                *numbers = *numbers && (cell.is_empty() || number(cell).is_some());
            }
        }
        Ok(Self { needed, others, context })
    }

    fn row(&self, table: &LogTable<'_>) -> Result<GatheredRow, (usize, FieldProblem)> {
        let [at_time, at_arm, at_propensity, at_reward] = self.needed;
        let [decision, subject, session] =
            self.others.map(|place| place.map(|place| table.cell(place).trim().to_owned()).unwrap_or_default());
        let time = table.cell(at_time);
        let at_us = time::microseconds(time)
            .ok_or_else(|| (at_time, field_problem("time", format!("'{time}' is no time; {}", time::FORMS))))?;
        let of = |place: usize, field: &'static str| {
            let cell = table.cell(place).trim();
            let value = number(cell).or_else(|| flag(cell).map(f64::from));
            value.ok_or_else(|| (place, field_problem(field, format!("'{cell}' is no number"))))
        };
        let (propensity, reward) = (of(at_propensity, "propensity")?, of(at_reward, "reward")?);
        if !(0.0..=1.0).contains(&propensity) {
            return Err((
                at_propensity,
                field_problem("propensity", format!("is {propensity}; it must be from 0 to 1")),
            ));
        }
        let mut context = Features::new();
        for (place, name, numbers) in &self.context {
            let cell = table.cell(*place).trim();
            let value = match (cell.is_empty(), numbers) {
                (true, _) => continue,
                (false, true) => number(cell).map(Value::Number),
                (false, false) => flag(cell).map(Value::Flag),
            };
            context.insert(name.clone(), value.unwrap_or_else(|| Value::Text(cell.to_owned())));
        }
        Ok(GatheredRow {
            decision: (!decision.is_empty()).then_some(decision),
            at_us,
            subject: Subject { id: subject, session_id: session },
            context,
            candidates: Vec::new(),
            taken: Vec::new(),
            arm: table.cell(at_arm).trim().to_owned(),
            propensity,
            reward,
            known_us: (reward != 0.0).then_some(at_us),
        })
    }
}

/// Reads the log at `path`.
pub(super) fn read(path: &Path, wanted: &LogSelection) -> Result<Log, LogError> {
    let columns = CsvColumns::read(path)?;
    let mut table = LogTable::open(path, &[])?;
    let mut gatherer = LogGatherer::new(wanted);
    while table.next()? {
        let located = |(place, FieldProblem { field, why }): (usize, FieldProblem)| {
            table.column_error(place, format!("{field}: {why}"))
        };
        let given = columns.row(&table).map_err(located)?;
        gatherer.add(given).map_err(|wrong| located((columns.needed[1], wrong)))?;
    }
    gatherer.log(path, FileFormat::Csv)
}
