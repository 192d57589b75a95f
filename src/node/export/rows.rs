//! Rows as JSON lines, as CSV or as Parquet.

use std::{
    borrow::Cow,
    io::{self, BufWriter, Write},
};

use csv::{Terminator, Writer, WriterBuilder};

use super::{
    ExportFormat, ExportStyle,
    columns::{COLUMNS, Cell},
};
use crate::node::JoinedDecision;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 64 * 1024;

/// Writes rows in a format.
pub(super) enum Rows<W: Write + Send> {
    Jsonl(BufWriter<W>),
    Csv(Box<Writer<W>>, Formulas),
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::ParquetRows<W>>),
}

/// Treatment of texts that a spreadsheet would run as formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Formulas {
    /// Write them unchanged.
    Kept,
    /// An apostrophe stands before them, which a spreadsheet takes for "this is text".
    Quoted,
}

impl Formulas {
    fn cell(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Quoted if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) => Cow::Owned(format!("'{text}")),
            Self::Quoted | Self::Kept => Cow::Borrowed(text),
        }
    }
}

impl<W: Write + Send> Rows<W> {
    /// Begins: with the header, where there is one.
    pub(super) fn begin(style: ExportStyle, to: W) -> io::Result<Self> {
        match style.format {
            ExportFormat::Jsonl => Ok(Self::Jsonl(BufWriter::with_capacity(BUFFER, to))),
            ExportFormat::Csv => {
                // RFC 4180 ends lines so.
                let mut writer =
                    WriterBuilder::new().terminator(Terminator::CRLF).buffer_capacity(BUFFER).from_writer(to);
                writer.write_record(COLUMNS.iter().map(|column| column.name))?;
                let formulas = if style.spreadsheet_safe { Formulas::Quoted } else { Formulas::Kept };
                Ok(Self::Csv(Box::new(writer), formulas))
            }
            #[cfg(feature = "parquet")]
            ExportFormat::Parquet => Ok(Self::Parquet(Box::new(super::parquet::ParquetRows::begin(to)?))),
        }
    }

    /// Writes a row.
    pub(super) fn write(&mut self, joined: &JoinedDecision) -> io::Result<()> {
        match self {
            Self::Jsonl(to) => json_line(joined, to),
            Self::Csv(writer, formulas) => {
                for column in COLUMNS {
                    match (column.cell)(joined) {
                        Cell::Missing => writer.write_field("")?,
                        Cell::Text(text) => writer.write_field(&*formulas.cell(&text))?,
                        Cell::Json(json) => writer.write_field(json)?,
                    }
                }
                // Ends the row.
                Ok(writer.write_record(None::<&[u8]>)?)
            }
            #[cfg(feature = "parquet")]
            Self::Parquet(rows) => rows.write(joined),
        }
    }

    /// Writes what is gathered.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Jsonl(mut to) => to.flush(),
            Self::Csv(mut writer, _) => writer.flush(),
            #[cfg(feature = "parquet")]
            Self::Parquet(rows) => rows.finish(),
        }
    }
}

fn json_line(joined: &JoinedDecision, to: &mut impl Write) -> io::Result<()> {
    let mut before = "{";
    for column in COLUMNS {
        write!(to, "{before}\"{}\":", column.name)?;
        match (column.cell)(joined) {
            Cell::Missing => to.write_all(b"null")?,
            Cell::Text(text) => serde_json::to_writer(&mut *to, &text)?,
            Cell::Json(json) => to.write_all(json.as_bytes())?,
        }
        before = ",";
    }
    to.write_all(b"}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_a_spreadsheet_would_run_is_quoted_on_request() {
        for formula in ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(Formulas::Quoted.cell(formula), format!("'{formula}"));
            assert_eq!(Formulas::Kept.cell(formula), formula);
        }
        for plain in ["", "a=b", "8472-998/XL", "josé@example.com", "'=1"] {
            assert_eq!(Formulas::Quoted.cell(plain), plain);
        }
    }
}
