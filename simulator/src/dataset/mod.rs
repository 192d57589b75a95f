//! A classification set, read and validated: rows of named values, each with the index of its class.
//!
//! On disk it is a pair of files in one folder. `NAME.json` has `rows`, `n_actions` and `classes` (their names), and
//! may have more keys. `NAME.csv.gz` has a header. Its first column is `label`, the index of the row's class. Columns
//! `n_*` hold numbers, and columns `c_*` hold words, of which `?` is one like any other. An empty cell is a missing
//! feature.
//!
//! Invariants:
//!
//! * Every label is the index of a class.
//! * Every value is valid as a feature of the service.
//!
//! Deliberately not here: the order of the rows, and their use.

mod error;
mod read;

use std::path::{Path, PathBuf};

use slotwise::bandit::{Features, Value};

pub use error::{DatasetError, FilePlace};

/// Maximum of rows. A slot with more than a million decisions forgets the oldest before their window is over.
pub const ROWS_MAX: usize = 1_000_000;

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum DatasetCell {
    Missing,
    Number(f64),
    /// An index into the set's words.
    Word(u32),
}

/// A classification set.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    name: String,
    classes: Vec<String>,
    /// Names of the features, with their prefix.
    columns: Vec<String>,
    words: Vec<String>,
    /// Values, row by row.
    cells: Vec<DatasetCell>,
    labels: Vec<usize>,
}

/// Paths of the two files of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetFiles {
    /// Path of `NAME.csv.gz`.
    pub rows: PathBuf,
    /// Path of `NAME.json`.
    pub description: PathBuf,
    /// `NAME`, without its folder.
    pub name: String,
}

impl DatasetFiles {
    /// Returns the paths from the path of either file, or of both without their endings.
    pub fn at_stem(path: &Path) -> Self {
        let text = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = text.strip_suffix(".csv.gz").or_else(|| text.strip_suffix(".json")).unwrap_or(&text).to_owned();
        let sibling = |ending: &str| path.with_file_name(format!("{name}{ending}"));
        Self { rows: sibling(".csv.gz"), description: sibling(".json"), name }
    }
}

impl Dataset {
    /// Reads the set at `path`: either of its files, or both without their endings.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        read::dataset(&DatasetFiles::at_stem(path))
    }

    /// Returns the set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the names of the classes, by index.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Returns the index of a row's class.
    ///
    /// # Panics
    ///
    /// Panics if the row is beyond the last one, which is a bug in the caller.
    pub fn label(&self, row: usize) -> usize {
        self.labels[row]
    }

    /// Returns the names of the features, with their prefix.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns a column's numbers, row by row, with `None` for what is none. `None` if there is no such column of numbers.
    pub fn numbers(&self, column: &str) -> Option<Vec<Option<f64>>> {
        let at = self.columns.iter().position(|name| name == column)?;
        let number = |row: &[DatasetCell]| match row[at] {
            DatasetCell::Number(number) => Some(number),
            DatasetCell::Missing | DatasetCell::Word(_) => None,
        };
        let numbers: Vec<Option<f64>> = self.cells.chunks(self.columns.len()).map(number).collect();
        numbers.iter().any(Option::is_some).then_some(numbers)
    }

    /// Returns a row's values by name, as they stand in the file.
    ///
    /// # Panics
    ///
    /// Panics if the row is beyond the last one, which is a bug in the caller.
    pub fn features(&self, row: usize) -> Features {
        let width = self.columns.len();
        let cells = &self.cells[row * width..(row + 1) * width];
        let value = |cell: &DatasetCell| match *cell {
            DatasetCell::Missing => None,
            DatasetCell::Number(number) => Some(Value::Number(number)),
            DatasetCell::Word(word) => Some(Value::Text(self.words[word as usize].clone())),
        };
        self.columns.iter().zip(cells).filter_map(|(name, cell)| Some((name.clone(), value(cell)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_named_by_either_file_or_their_common_stem() {
        let want = DatasetFiles {
            rows: "some/set.v2.csv.gz".into(),
            description: "some/set.v2.json".into(),
            name: "set.v2".to_owned(),
        };
        for path in ["some/set.v2.csv.gz", "some/set.v2.json", "some/set.v2"] {
            assert_eq!(DatasetFiles::at_stem(Path::new(path)), want, "{path}");
        }
    }
}
