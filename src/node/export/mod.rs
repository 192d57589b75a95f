//! Export: a table of decisions for those who evaluate them.
//!
//! * [`columns`]: what a row holds, in one table that all formats, the help and the document are made from.
//! * [`rows`]: how rows are written; `parquet`: how they are written as Parquet, a feature of the build.
//!
//! The join is the engine's own ([`join`]).

mod columns;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;

use std::{
    io::{self, Write},
    sync::Arc,
};

use super::{JoinError, Progress, Selection, SubjectNames, join};
use crate::journal::JournalReader;
pub use columns::column_help;
use rows::Rows;

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// JSON, one object a line.
    Jsonl,
    /// CSV (RFC 4180) with a header; lists are written as JSON.
    Csv,
    /// Apache Parquet, compressed with Snappy. Lists and objects are columns of JSON.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Style of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportStyle {
    /// Format.
    pub format: ExportFormat,
    /// `true` to put an apostrophe before texts that a spreadsheet would run, in CSV.
    pub spreadsheet_safe: bool,
}

/// Counts of the rows that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportCounts {
    /// Number of rows.
    pub rows: u64,
    /// Number of those whose rewards are complete.
    pub complete: u64,
}

/// Writes the selected decisions of a journal. `names` gives subjects their ids; without it their pseudonyms are written.
///
/// # Errors
///
/// The journal cannot be read, has no such slot, or `to` takes no more.
pub fn write_export(
    reader: &JournalReader,
    selection: &Selection,
    names: Option<&SubjectNames>,
    style: ExportStyle,
    to: impl Write + Send,
    progress: &mut dyn FnMut(Progress),
) -> Result<ExportCounts, JoinError<io::Error>> {
    let mut written = ExportCounts::default();
    let mut rows = Rows::begin(style, to).map_err(JoinError::Taker)?;
    join(reader, selection, progress, &mut |mut joined| {
        written.rows += 1;
        written.complete += u64::from(joined.complete);
        if let Some(names) = names {
            let subject = names.names(&joined.decided.subject);
            Arc::make_mut(&mut joined.decided).subject = subject;
        }
        rows.write(&joined)
    })?;
    rows.finish().map_err(JoinError::Taker)?;
    Ok(written)
}
