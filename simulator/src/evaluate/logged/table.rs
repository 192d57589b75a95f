//! Reader of CSV with a header, whose errors name the place in the file.

use std::{collections::HashMap, io::BufRead, path::Path};

use csv::{Reader, ReaderBuilder, StringRecord};

use super::{LogError, source};
use crate::dataset::FilePlace;

/// A table that is read row by row.
pub(super) struct LogTable<'a> {
    file: &'a Path,
    csv: Reader<Box<dyn BufRead>>,
    header: Vec<String>,
    places: HashMap<String, usize>,
    record: StringRecord,
    line: u64,
}

impl<'a> LogTable<'a> {
    /// Opens a table and reads its header, which must contain the `needed` columns. Columns without a name are ignored.
    pub(super) fn open(file: &'a Path, needed: &[&str]) -> Result<Self, LogError> {
        let text = source::open(file).map_err(|source| LogError::Read { file: file.to_owned(), source })?;
        let csv = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        let mut table =
            Self { file, csv, header: Vec::new(), places: HashMap::new(), record: StringRecord::new(), line: 1 };
        if !table.next()? {
            return Err(
                table.line_error(format!("there is none; the first line names the columns: {}", needed.join(", ")))
            );
        }
        table.header = table.record.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
        for (place, name) in table.header.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if table.places.insert(name.clone(), place).is_some() {
                return Err(table.column_error(place, format!("'{name}' stands in the header twice; rename one")));
            }
        }
        let missing: Vec<&str> = needed.iter().filter(|name| !table.places.contains_key(**name)).copied().collect();
        if !missing.is_empty() {
            let (columns, are) = if missing.len() == 1 { ("column", "is") } else { ("columns", "are") };
            let missing: Vec<String> = missing.iter().map(|name| format!("'{name}'")).collect();
            let missing = missing.join(", ");
            return Err(
                table.line_error(format!("the {columns} {missing} {are} missing; needed are {}", needed.join(", ")))
            );
        }
        Ok(table)
    }

    /// Reads the next record. Returns `false` at the end of the table.
    pub(super) fn next(&mut self) -> Result<bool, LogError> {
        let more = self.csv.read_record(&mut self.record).map_err(|why| {
            let line = why.position().map_or(self.line + 1, csv::Position::line);
            let why = if let csv::ErrorKind::Io(why) = why.kind() {
                source::unreadable(why)
            } else if let csv::ErrorKind::Utf8 { .. } = why.kind() {
                "is not UTF-8; save the file as UTF-8".to_owned()
            } else {
                why.to_string()
            };
            self.broken(FilePlace::Line(line), why)
        })?;
        self.line = self.record.position().filter(|_| more).map_or(self.line, csv::Position::line);
        if more && !self.header.is_empty() && self.record.len() != self.header.len() {
            let (have, want) = (self.record.len(), self.header.len());
            return Err(self.line_error(format!("has {have} columns, the header has {want}; quote what has a comma")));
        }
        Ok(more)
    }

    /// Names of the columns.
    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// The place of a column, counted from 0.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// A cell of the record, or an empty text beyond its end.
    pub(super) fn cell(&self, place: usize) -> &str {
        self.record.get(place).unwrap_or_default()
    }

    pub(super) fn line_error(&self, why: String) -> LogError {
        self.broken(FilePlace::Line(self.line), why)
    }

    /// An error about a column, counted from 0.
    pub(super) fn column_error(&self, column: usize, why: String) -> LogError {
        self.broken(FilePlace::Column { line: self.line, column: column + 1 }, why)
    }

    fn broken(&self, place: FilePlace, why: String) -> LogError {
        LogError::Broken { file: self.file.to_owned(), place, why }
    }
}
