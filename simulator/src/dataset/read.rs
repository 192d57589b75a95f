//! Reading and validation of the two files of a [`Dataset`].

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    path::Path,
};

use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use slotwise::slot::limits::{ARMS_MAX, FEATURES_MAX, NAME_BYTES_MAX, NUMBER_MAX, WORD_BYTES_MAX};

use super::{Dataset, DatasetCell, DatasetError, DatasetFiles, FilePlace, ROWS_MAX};

/// The used keys of `NAME.json`.
#[derive(Deserialize)]
struct DatasetDescription {
    name: Option<String>,
    rows: usize,
    n_actions: usize,
    classes: Vec<String>,
}

/// Kind of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnKind {
    Numbers,
    CategoryWords,
}

fn broken(file: &Path, place: FilePlace, why: String) -> DatasetError {
    DatasetError::Broken { file: file.to_owned(), place, why }
}

pub(super) fn dataset(files: &DatasetFiles) -> Result<Dataset, DatasetError> {
    let description = description(&files.description)?;
    let file = File::open(&files.rows).map_err(|source| DatasetError::Read { file: files.rows.clone(), source })?;
    let csv = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(MultiGzDecoder::new(file));
    let mut table = CsvTable { file: &files.rows, csv, record: StringRecord::new(), line: 0 };
    let header = table.header()?;
    let mut words = CategoryWords::default();
    let mut cells = Vec::new();
    let mut labels = Vec::new();
    while table.next()? {
        if labels.len() >= ROWS_MAX {
            return Err(table.line(format!("is row {} of the set; at most {ROWS_MAX} are allowed", labels.len() + 1)));
        }
        labels.push(table.row(&header, &description, &mut words, &mut cells)?);
    }
    if labels.len() != description.rows {
        let (have, want, json) = (labels.len(), description.rows, files.description.display());
        return Err(table.line(format!(
            "the set ends after {have} rows, but {json} says {want}; correct `rows` there, or bring the whole file"
        )));
    }
    Ok(Dataset {
        name: description.name.filter(|name| !name.is_empty()).unwrap_or_else(|| files.name.clone()),
        classes: description.classes,
        columns: header.into_iter().map(|(name, _)| name).collect(),
        words: words.list,
        cells,
        labels,
    })
}

fn description(file: &Path) -> Result<DatasetDescription, DatasetError> {
    let text = fs::read_to_string(file).map_err(|source| DatasetError::Read { file: file.to_owned(), source })?;
    let description: DatasetDescription = serde_json::from_str(&text).map_err(|why| {
        let place = FilePlace::Column { line: why.line() as u64, column: why.column() };
        let why = why.to_string();
        // The message already begins with the place.
        let why = why.split(" at line ").next().unwrap_or_default();
        broken(file, place, format!("{why}; needed are rows, n_actions and classes"))
    })?;
    let fail = |field, why| Err(broken(file, FilePlace::Field(field), why));
    let (arms, names) = (description.n_actions, description.classes.len());
    if arms == 0 || arms > ARMS_MAX {
        return fail("n_actions", format!("is {arms}; must be from 1 to {ARMS_MAX}"));
    }
    if arms != names {
        return fail("classes", format!("has {names} names, but n_actions is {arms}; name each class once"));
    }
    if description.rows == 0 {
        return fail("rows", "is 0; a set needs at least one row".to_owned());
    }
    Ok(description)
}

/// The words seen so far, each with its index.
#[derive(Default)]
struct CategoryWords {
    list: Vec<String>,
    index: HashMap<String, u32>,
}

impl CategoryWords {
    fn cell(&mut self, word: &str) -> DatasetCell {
        if let Some(&known) = self.index.get(word) {
            return DatasetCell::Word(known);
        }
        // Rows times features, both bounded, are fewer than 2^32.
        let fresh = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.index.insert(word.to_owned(), fresh);
        self.list.push(word.to_owned());
        DatasetCell::Word(fresh)
    }
}

/// The file of the rows, with the record that was read last.
struct CsvTable<'a> {
    file: &'a Path,
    csv: csv::Reader<MultiGzDecoder<File>>,
    record: StringRecord,
    line: u64,
}

impl CsvTable<'_> {
    /// Reads the next record. Returns false after the last one.
    fn next(&mut self) -> Result<bool, DatasetError> {
        match self.csv.read_record(&mut self.record) {
            Ok(more) => {
                self.line = self.record.position().filter(|_| more).map_or(self.line, csv::Position::line);
                Ok(more)
            }
            Err(why) => {
                let line = why.position().map_or(self.line + 1, csv::Position::line);
                let why = if let csv::ErrorKind::Io(why) = why.kind() {
                    format!("cannot be unpacked ({why}); is it a whole gzip file?")
                } else if let csv::ErrorKind::Utf8 { .. } = why.kind() {
                    "is not UTF-8; save the file as UTF-8".to_owned()
                } else {
                    why.to_string()
                };
                Err(broken(self.file, FilePlace::Line(line), why))
            }
        }
    }

    fn line(&self, why: String) -> DatasetError {
        broken(self.file, FilePlace::Line(self.line), why)
    }

    /// Returns an error about a column, counted from 0.
    fn column(&self, column: usize, why: String) -> DatasetError {
        broken(self.file, FilePlace::Column { line: self.line, column: column + 1 }, why)
    }

    fn header(&mut self) -> Result<Vec<(String, ColumnKind)>, DatasetError> {
        if !self.next()? {
            let why = "there is none; the first line names the columns: label, then n_* and c_*".to_owned();
            return Err(broken(self.file, FilePlace::Line(1), why));
        }
        if self.record.len() > FEATURES_MAX + 1 {
            let features = self.record.len() - 1;
            return Err(self.line(format!("names {features} features; at most {FEATURES_MAX} are allowed")));
        }
        let mut columns = Vec::with_capacity(self.record.len());
        let mut seen = BTreeSet::new();
        for (i, name) in self.record.iter().enumerate() {
            let kind = match (i, name.get(..2)) {
                (0, _) if name == "label" => continue,
                (0, _) => {
                    return Err(self.column(i, format!("is '{name}'; the first column must be 'label'")));
                }
                (_, Some("n_")) => ColumnKind::Numbers,
                (_, Some("c_")) => ColumnKind::CategoryWords,
                _ => {
                    let why = format!("'{name}' says neither n_ (a number) nor c_ (a word); rename the column");
                    return Err(self.column(i, why));
                }
            };
            if name.len() > NAME_BYTES_MAX {
                return Err(self.column(i, format!("the name has more than {NAME_BYTES_MAX} bytes; shorten it")));
            }
            if !seen.insert(name) {
                return Err(self.column(i, format!("'{name}' stands in the header twice; rename one")));
            }
            columns.push((name.to_owned(), kind));
        }
        Ok(columns)
    }

    /// Adds the record's values and returns its label.
    fn row(
        &self,
        header: &[(String, ColumnKind)],
        description: &DatasetDescription,
        words: &mut CategoryWords,
        cells: &mut Vec<DatasetCell>,
    ) -> Result<usize, DatasetError> {
        let (have, want) = (self.record.len(), header.len() + 1);
        if have != want {
            return Err(self.line(format!("has {have} columns, the header has {want}; quote a word that has a comma")));
        }
        let label = &self.record[0];
        let arms = description.n_actions;
        let label = label.parse().ok().filter(|&label: &usize| label < arms).ok_or_else(|| {
            self.column(
                0,
                format!("the label '{label}' is not the index of a class; it must be from 0 to {}", arms - 1),
            )
        })?;
        for (i, (name, kind)) in header.iter().enumerate() {
            let text = &self.record[i + 1];
            cells.push(match kind {
                _ if text.is_empty() => DatasetCell::Missing,
                ColumnKind::Numbers => match text.parse() {
                    Ok(number) if f64::abs(number) <= NUMBER_MAX => DatasetCell::Number(number),
                    Ok(_) => {
                        let why = format!("'{text}' in {name} is beyond what is allowed, {NUMBER_MAX:e} in size");
                        return Err(self.column(i + 1, why));
                    }
                    Err(_) => {
                        let why = format!(
                            "'{text}' in {name} is not a number; leave a missing one empty, or name the column c_"
                        );
                        return Err(self.column(i + 1, why));
                    }
                },
                ColumnKind::CategoryWords if text.len() > WORD_BYTES_MAX => {
                    let why = format!("the word in {name} has more than {WORD_BYTES_MAX} bytes; shorten it");
                    return Err(self.column(i + 1, why));
                }
                ColumnKind::CategoryWords => words.cell(text),
            });
        }
        Ok(label)
    }
}
