//! Errors of data sets: always one line that names the file, the place in it, and what to do.

use std::{fmt, io, path::PathBuf};

/// Reason why a data set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file of the set cannot be opened or read.
    #[error("cannot read {}: {source}; a data set is a pair of files in one folder, NAME.csv.gz and NAME.json", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file has invalid content.
    #[error("{}, {place}: {why}", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// The place in the file.
        place: FilePlace,
        /// Explanation of the error, and what to do.
        why: String,
    },
}

/// A place in a file; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePlace {
    /// A line.
    Line(u64),
    /// A character or, in a table, a column of a line.
    Column {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
    },
    /// A field of a JSON object.
    Field(&'static str),
}

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Column { line, column } => write!(f, "line {line}, column {column}"),
            Self::Field(field) => write!(f, "field {field}"),
        }
    }
}
