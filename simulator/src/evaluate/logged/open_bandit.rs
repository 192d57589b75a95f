//! The Open Bandit Dataset's format: one row for each item shown at a position, in order of time.
//!
//! The columns `timestamp`, `item_id`, `position`, `click` and `propensity_score` are required. Every `user_feature_*`
//! becomes a feature of the context: a number if all of its values are numbers, else a word. The position becomes a
//! feature too, as a word, because an item's reward depends on its position. `user-item_affinity_K` is the user's
//! affinity to item K, and becomes that candidate's feature `affinity`. A second file may describe the items:
//! `item_id`, and attributes of any names. Other columns are not read.
//!
//! A row is a decision of its own with one arm, as in the dataset's own library: the propensity is that of the item at
//! its position. A click is known at once.
//!
//! # Source
//!
//! Saito, Aihara, Matsutani and Narita, "Open Bandit Dataset and Pipeline" (`NeurIPS` Datasets and Benchmarks 2021),
//! section 3.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use slotwise::{
    bandit::{Features, Value},
    engine::Subject,
    slot::{
        ArmId,
        limits::{ARMS_MAX, COUNT_MAX, NUMBER_MAX, WORD_BYTES_MAX},
    },
};

use super::{
    FileFormat, LeftOutCounts, Log, LogError, LogSelection, LoggedArm, LoggedRow, OfferedArms, ROWS_MAX, file_name,
    has_room, keep_earliest, table::LogTable, time,
};

const NEEDED: [&str; 5] = ["timestamp", "item_id", "position", "click", "propensity_score"];
const AFFINITY_COLUMN: &str = "user-item_affinity_";
const USER_COLUMN: &str = "user_feature_";

/// Cells of one column. Each distinct text is stored once.
#[derive(Debug, Default)]
struct TextColumn {
    list: Vec<String>,
    index: HashMap<String, usize>,
}

impl TextColumn {
    fn add(&mut self, text: &str) -> usize {
        if let Some(&known) = self.index.get(text) {
            return known;
        }
        self.list.push(text.to_owned());
        self.index.insert(text.to_owned(), self.list.len() - 1);
        self.list.len() - 1
    }

    /// The feature value of each text: numbers if all texts are numbers, else words. An empty text is a missing
    /// feature, `None`.
    fn values(&self) -> Vec<Option<Value>> {
        let number = |text: &String| text.parse().ok().filter(|number: &f64| number.abs() <= NUMBER_MAX);
        let numbers = self.list.iter().filter(|text| !text.is_empty()).all(|text| number(text).is_some());
        let value =
            |text: &String| if numbers { number(text).map(Value::Number) } else { Some(Value::Text(text.clone())) };
        self.list.iter().map(|text| if text.is_empty() { None } else { value(text) }).collect()
    }
}

/// A row whose texts are still numbers of their columns' lists.
struct IndexedRow {
    at_us: i64,
    arm: usize,
    position: u32,
    click: f64,
    propensity: f64,
    user: Vec<usize>,
    affinities: Vec<(usize, f64)>,
}

/// Places of the columns.
struct OpenBanditColumns {
    needed: [usize; 5],
    user: Vec<(String, usize)>,
    affinities: Vec<(String, usize)>,
}

impl OpenBanditColumns {
    fn new(table: &LogTable<'_>) -> Self {
        let starting = |with: &str| {
            let named = table.header().iter().enumerate().filter(|(_, name)| name.starts_with(with));
            named.map(|(place, name)| (name.clone(), place)).collect::<Vec<_>>()
        };
        let affinities = starting(AFFINITY_COLUMN)
            .into_iter()
            .map(|(name, place)| (name.strip_prefix(AFFINITY_COLUMN).unwrap_or_default().to_owned(), place));
        Self {
            needed: NEEDED.map(|name| table.place(name).unwrap_or_default()),
            user: starting(USER_COLUMN),
            affinities: affinities.collect(),
        }
    }
}

/// Reads the log at `path`.
pub(super) fn read(path: &Path, wanted: &LogSelection) -> Result<Log, LogError> {
    let mut table = LogTable::open(path, &NEEDED)?;
    let columns = OpenBanditColumns::new(&table);
    let mut items = TextColumn::default();
    let mut attributes = BTreeMap::new();
    if let Some(file) = &wanted.items {
        attributes = read_items(file)?;
        for id in attributes.keys() {
            items.add(id);
        }
    }
    let affine: Vec<usize> = columns.affinities.iter().map(|(item, _)| items.add(item)).collect();
    let mut user = Vec::new();
    user.resize_with(columns.user.len(), TextColumn::default);
    let (mut raw, mut left_out) = (Vec::new(), LeftOutCounts::default());
    while table.next()? {
        let row = read_row(&table, &columns, &affine, &mut items, &mut user)?;
        if wanted.position.is_some_and(|position| position != row.position) {
            left_out.not_asked_for += 1;
        } else if row.propensity <= 0.0 {
            left_out.zero_propensity += 1;
        } else if has_room(&mut raw, wanted.rows, ROWS_MAX, |row: &IndexedRow| row.at_us) {
            raw.push(row);
        } else {
            let number = raw.len() + 1;
            return Err(table.line_error(format!("is row {number} of the log; at most {ROWS_MAX} are allowed")));
        }
        if items.list.len() > ARMS_MAX {
            return Err(
                table.line_error(format!("names the {}th item; at most {ARMS_MAX} are allowed", items.list.len()))
            );
        }
    }
    if let Some(wanted) = wanted.rows {
        keep_earliest(&mut raw, wanted, |row: &IndexedRow| row.at_us);
    }
    let (arms, place) = arms(&items.list, &attributes);
    let values: Vec<Vec<Option<Value>>> = user.iter().map(TextColumn::values).collect();
    let mut contexts: HashMap<(Vec<usize>, u32), Arc<Features>> = HashMap::new();
    let mut rows = Vec::with_capacity(raw.len());
    for row in raw {
        let IndexedRow { at_us, arm, position, click, propensity, user, affinities } = row;
        let context = contexts.entry((user, position)).or_insert_with_key(|(user, position)| {
            let of_user = columns.user.iter().zip(user.iter().zip(&values));
            let mut context: Features = of_user
                .filter_map(|((name, _), (&text, values))| Some((name.clone(), values[text].clone()?)))
                .collect();
            context.insert("position".to_owned(), Value::Text(position.to_string()));
            Arc::new(context)
        });
        let offered = if columns.affinities.is_empty() {
            OfferedArms::All
        } else {
            OfferedArms::Affinities(affinities.into_iter().map(|(item, value)| (place[item], value)).collect())
        };
        rows.push(LoggedRow {
            at_us,
            subject: Subject::default(),
            context: Arc::clone(context),
            offered,
            arm: place[arm],
            propensity,
            reward: click,
            known_us: Some(at_us),
            position,
        });
    }
    Ok(Log {
        name: file_name(path),
        form: FileFormat::OpenBandit,
        arms,
        rows,
        left_out,
        incomplete: 0,
        slates: 0,
        default_reward: 0.0,
    })
}

/// The arms in order of their ids, numeric ids by size, and the place of each item among them.
fn arms(items: &[String], attributes: &BTreeMap<String, Features>) -> (Vec<LoggedArm>, Vec<usize>) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&item| (items[item].parse::<u64>().unwrap_or(u64::MAX), &items[item]));
    let mut place = vec![0; items.len()];
    let mut arms = Vec::with_capacity(items.len());
    for item in order {
        // Every id was checked when it was read.
        let Ok(id) = ArmId::parse("item_id", &items[item]) else { continue };
        place[item] = arms.len();
        arms.push(LoggedArm { id, attributes: attributes.get(&items[item]).cloned().unwrap_or_default() });
    }
    (arms, place)
}

/// Reads one record.
fn read_row(
    table: &LogTable<'_>,
    columns: &OpenBanditColumns,
    affine: &[usize],
    items: &mut TextColumn,
    user: &mut [TextColumn],
) -> Result<IndexedRow, LogError> {
    let [at, item, position, click, propensity] = columns.needed;
    let number = |place: usize, what: &str, allowed: &dyn Fn(f64) -> bool, must: &str| {
        let text = table.cell(place);
        text.parse()
            .ok()
            .filter(|&number: &f64| allowed(number))
            .ok_or_else(|| table.column_error(place, format!("{what} is '{text}'; it must be {must}")))
    };
    let at_us = time::microseconds(table.cell(at)).ok_or_else(|| {
        let text = table.cell(at);
        table
            .column_error(at, format!("timestamp is '{text}'; write it in UTC, as in 2019-11-24 00:03:13.442536+00:00"))
    })?;
    let id = table.cell(item);
    ArmId::parse("item_id", id).map_err(|why| table.column_error(item, why.to_string()))?;
    let text = table.cell(position);
    let position = text.parse().ok().filter(|position| (1..=COUNT_MAX).contains(position)).ok_or_else(|| {
        table.column_error(position, format!("position is '{text}'; it must be from 1 to {COUNT_MAX}"))
    })?;
    // Clicks are 0 or 1 in the dataset. Other data in this format has other rewards.
    let click = number(click, "click", &|n| n.abs() <= NUMBER_MAX, "a number, 0 or 1 as a rule")?;
    let propensity = number(propensity, "propensity_score", &|p| (0.0..=1.0).contains(&p), "from 0 to 1")?;
    let mut affinities = Vec::new();
    for ((_, place), &item) in columns.affinities.iter().zip(affine) {
        let value = number(*place, "the affinity", &|n| n.abs() <= NUMBER_MAX, "a number")?;
        if value != 0.0 {
            affinities.push((item, value));
        }
    }
    let mut words = Vec::with_capacity(user.len());
    for ((name, place), texts) in columns.user.iter().zip(user) {
        let text = table.cell(*place);
        if text.len() > WORD_BYTES_MAX {
            return Err(table
                .column_error(*place, format!("the word in {name} has more than {WORD_BYTES_MAX} bytes; shorten it")));
        }
        words.push(texts.add(text));
    }
    Ok(IndexedRow { at_us, arm: items.add(id), position, click, propensity, user: words, affinities })
}

/// The attributes of items, by their ids.
fn read_items(file: &Path) -> Result<BTreeMap<String, Features>, LogError> {
    let mut table = LogTable::open(file, &["item_id"])?;
    let id = table.place("item_id").unwrap_or_default();
    let named = table.header().iter().enumerate().filter(|(place, name)| *place != id && !name.is_empty());
    let columns: Vec<(String, usize)> = named.map(|(place, name)| (name.clone(), place)).collect();
    let mut texts = Vec::new();
    texts.resize_with(columns.len(), TextColumn::default);
    let mut items: Vec<(String, Vec<usize>)> = Vec::new();
    while table.next()? {
        ArmId::parse("item_id", table.cell(id)).map_err(|why| table.column_error(id, why.to_string()))?;
        if items.iter().any(|(known, _)| known == table.cell(id)) {
            return Err(table.column_error(id, format!("the item '{}' stands here twice", table.cell(id))));
        }
        if items.len() >= ARMS_MAX {
            return Err(table.line_error(format!("is item {}; at most {ARMS_MAX} are allowed", items.len() + 1)));
        }
        let row = columns.iter().zip(&mut texts).map(|((_, place), texts)| texts.add(table.cell(*place))).collect();
        items.push((table.cell(id).to_owned(), row));
    }
    let values: Vec<Vec<Option<Value>>> = texts.iter().map(TextColumn::values).collect();
    let features = |row: Vec<usize>| {
        let cells = columns.iter().zip(row.into_iter().zip(&values));
        cells.filter_map(|((name, _), (text, values))| Some((name.clone(), values[text].clone()?))).collect()
    };
    Ok(items.into_iter().map(|(id, row)| (id, features(row))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_holds_numbers_only_if_all_of_it_does() {
        let values = |texts: &[&str]| {
            let mut column = TextColumn::default();
            let places: Vec<usize> = texts.iter().map(|text| column.add(text)).collect();
            let values = column.values();
            places.into_iter().map(|place| values[place].clone()).collect::<Vec<_>>()
        };
        let number = |n| Some(Value::Number(n));
        let word = |w: &str| Some(Value::Text(w.to_owned()));
        assert_eq!(values(&["1.5", "", "-2", "1.5"]), [number(1.5), None, number(-2.0), number(1.5)]);
        assert_eq!(values(&["1.5", "", "a", "inf"]), [word("1.5"), None, word("a"), word("inf")]);
    }
}
