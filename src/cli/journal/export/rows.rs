//! Rows as JSON lines or as CSV.

use std::io::{self, BufWriter, Write};

use csv::{Terminator, Writer, WriterBuilder};

use super::{
    Format,
    columns::{COLUMNS, Cell},
};
use crate::node::Joined;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 64 * 1024;

/// Writes rows in a format.
pub(super) enum Rows<W: Write> {
    Jsonl(BufWriter<W>),
    Csv(Box<Writer<W>>),
}

impl<W: Write> Rows<W> {
    /// Begins: with the header, where there is one.
    pub(super) fn begin(format: Format, to: W) -> io::Result<Self> {
        match format {
            Format::Jsonl => Ok(Self::Jsonl(BufWriter::with_capacity(BUFFER, to))),
            Format::Csv => {
                // RFC 4180 ends lines so.
                let mut writer =
                    WriterBuilder::new().terminator(Terminator::CRLF).buffer_capacity(BUFFER).from_writer(to);
                writer.write_record(COLUMNS.iter().map(|column| column.name))?;
                Ok(Self::Csv(Box::new(writer)))
            }
        }
    }

    /// Writes a row.
    pub(super) fn write(&mut self, joined: &Joined) -> io::Result<()> {
        match self {
            Self::Jsonl(to) => json_line(joined, to),
            Self::Csv(writer) => {
                for column in COLUMNS {
                    match (column.cell)(joined) {
                        Cell::Missing => writer.write_field("")?,
                        Cell::Text(text) => writer.write_field(&*text)?,
                        Cell::Json(json) => writer.write_field(json)?,
                    }
                }
                // Ends the row.
                Ok(writer.write_record(None::<&[u8]>)?)
            }
        }
    }

    /// Writes what is gathered.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Jsonl(mut to) => to.flush(),
            Self::Csv(mut writer) => writer.flush(),
        }
    }
}

fn json_line(joined: &Joined, to: &mut impl Write) -> io::Result<()> {
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
