//! `slotwise journal export`: a table of decisions for those who evaluate them. A file gets its name when it is whole.

use std::{
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;

use super::{
    super::{CommandResult, Data, output, progress::Meter, say, terminal::Escaping},
    time,
};
use crate::{
    journal::JournalReader,
    node::{ExportCounts, ExportFormat, ExportStyle, JoinError, Selection, SubjectNames, column_help, write_export},
    slot::SlotId,
};

/// Flags of `journal export`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = column_help())]
pub(super) struct Export {
    #[command(flatten)]
    data: Data,
    /// Export decisions of this slot only.
    #[arg(long)]
    slot: Option<String>,
    /// Export decisions made at or after this time: a date, or a time in RFC 3339; UTC.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    from: Option<i64>,
    /// Export decisions made before this time.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    until: Option<i64>,
    /// Format of the output.
    #[arg(long, default_value = "jsonl")]
    format: FormatName,
    /// CSV only: put an apostrophe before each text that a spreadsheet would run as a formula (it begins with = + - @, a
    /// tab or a line break). Off by default, since other programs take the apostrophe for a part of the id.
    #[arg(long)]
    spreadsheet_safe: bool,
    /// Write the pseudonyms of subjects and sessions, which the journal holds, instead of their ids.
    #[arg(long)]
    pseudonyms: bool,
    /// File to write; without it, standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long, requires = "output")]
    force: bool,
}

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// JSON, one object a line.
    Jsonl,
    /// CSV (RFC 4180) with a header; lists are written as JSON.
    Csv,
    /// Apache Parquet; lists and objects are columns of JSON. Only if built with `--features parquet`.
    Parquet,
}

impl FormatName {
    #[cfg_attr(feature = "parquet", expect(clippy::unnecessary_wraps, reason = "other builds have no Parquet"))]
    fn format(self) -> Result<ExportFormat, &'static str> {
        match self {
            Self::Jsonl => Ok(ExportFormat::Jsonl),
            Self::Csv => Ok(ExportFormat::Csv),
            #[cfg(feature = "parquet")]
            Self::Parquet => Ok(ExportFormat::Parquet),
            #[cfg(not(feature = "parquet"))]
            Self::Parquet => Err("this program was built without Parquet; build it with --features parquet"),
        }
    }
}

impl Export {
    pub(super) fn run(self) -> CommandResult {
        let slot = self.slot.as_deref().map(|slot| SlotId::parse("--slot", slot)).transpose()?;
        let selection =
            Selection { slot, from_us: self.from.unwrap_or(i64::MIN), until_us: self.until.unwrap_or(i64::MAX) };
        let reader = JournalReader::open(&self.data.data)?;
        let style = ExportStyle { format: self.format.format()?, spreadsheet_safe: self.spreadsheet_safe };
        let names = if self.pseudonyms { None } else { Some(SubjectNames::of(&self.data.data)) };
        if self.pseudonyms && reader.subjects_key()?.is_none() {
            return Err("this folder was written before there were pseudonyms and holds ids; start the service once, which gives it a key".into());
        }
        let Some(output) = self.output else {
            let stdout = io::stdout();
            let written = if stdout.is_terminal() {
                write(&reader, &selection, names.as_ref(), style, Escaping(stdout))
            } else {
                write(&reader, &selection, names.as_ref(), style, stdout)
            };
            return match written {
                // The reader of the pipe has closed it.
                Err(JoinError::Taker(why)) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                Err(JoinError::Taker(why)) => Err(format!("cannot write to standard output: {why}").into()),
                done => Ok(done.map(drop)?),
            };
        };
        let ExportCounts { rows, complete } =
            write_file(&reader, &selection, names.as_ref(), style, &output, self.force)?;
        say(format_args!("wrote {rows} decisions, {complete} of them complete, to {}", output.display()));
        Ok(())
    }
}

/// Writes the selected decisions of a journal, as `slotwise journal export --pseudonyms` does. Returns their number.
///
/// # Errors
///
/// The journal cannot be read, has no such slot, or `to` takes no more.
pub fn export(
    reader: &JournalReader,
    selection: &Selection,
    format: ExportFormat,
    to: impl Write + Send,
) -> Result<u64, JoinError<io::Error>> {
    Ok(write(reader, selection, None, ExportStyle { format, spreadsheet_safe: false }, to)?.rows)
}

/// Writes a file under a scratch name, and gives it its own when it is whole.
fn write_file(
    reader: &JournalReader,
    selection: &Selection,
    names: Option<&SubjectNames>,
    style: ExportStyle,
    path: &Path,
    force: bool,
) -> Result<ExportCounts, Box<dyn std::error::Error + Send + Sync>> {
    let output = output::open(path, force)?;
    let written = write(reader, selection, names, style, &output.file).map_err(|why| match why {
        JoinError::Taker(why) => format!("cannot write {}: {why}", path.display()).into(),
        why @ (JoinError::Read(_) | JoinError::Open(_) | JoinError::NoSlot { .. }) => {
            Box::<dyn std::error::Error + Send + Sync>::from(why)
        }
    })?;
    output.finish()?;
    Ok(written)
}

fn write(
    reader: &JournalReader,
    selection: &Selection,
    names: Option<&SubjectNames>,
    style: ExportStyle,
    to: impl Write + Send,
) -> Result<ExportCounts, JoinError<io::Error>> {
    let mut meter = Meter::new();
    write_export(reader, selection, names, style, to, &mut |progress| meter.show(progress))
}
