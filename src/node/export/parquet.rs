//! Rows as Parquet: one column each, texts as UTF-8, lists and objects as JSON.

use std::{
    io::{self, Write},
    sync::Arc,
};

use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as PhysicalType},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};

use super::columns::{COLUMNS, Cell, ExportColumn};
use crate::node::JoinedDecision;

/// Rows that are gathered into one group at most.
const GROUP_ROWS: usize = 50_000;
/// Bytes of texts from which on a group is written.
const GROUP_BYTES: usize = 16 * 1024 * 1024;

/// Values of a column. A value that is missing is `None`.
enum ColumnValues {
    Texts(Vec<Option<ByteArray>>),
    Numbers(Vec<Option<f64>>),
    Flags(Vec<Option<bool>>),
}

/// Writer of a Parquet file.
pub(super) struct ParquetRows<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<ColumnValues>,
    rows: usize,
    bytes: usize,
}

fn is_number(column: &ExportColumn) -> bool {
    column.kind.starts_with("number")
}

fn is_flag(column: &ExportColumn) -> bool {
    column.kind.starts_with("flag")
}

fn is_text(column: &ExportColumn) -> bool {
    column.kind.starts_with("text")
}

fn empty(column: &ExportColumn) -> ColumnValues {
    if is_number(column) {
        ColumnValues::Numbers(Vec::new())
    } else if is_flag(column) {
        ColumnValues::Flags(Vec::new())
    } else {
        ColumnValues::Texts(Vec::new())
    }
}

/// Returns the column of the file's schema.
fn field(column: &ExportColumn) -> Result<Arc<Type>, parquet::errors::ParquetError> {
    let (physical, logical) = if is_number(column) {
        (PhysicalType::DOUBLE, None)
    } else if is_flag(column) {
        (PhysicalType::BOOLEAN, None)
    } else {
        (PhysicalType::BYTE_ARRAY, Some(if is_text(column) { LogicalType::String } else { LogicalType::Json }))
    };
    let field = Type::primitive_type_builder(column.name, physical).with_repetition(Repetition::OPTIONAL);
    Ok(Arc::new(field.with_logical_type(logical).build()?))
}

fn gather<T>(values: &[Option<T>]) -> (Vec<T>, Vec<i16>)
where
    T: Clone,
{
    (values.iter().flatten().cloned().collect(), values.iter().map(|value| i16::from(value.is_some())).collect())
}

impl<W: Write + Send> ParquetRows<W> {
    /// Begins a file.
    pub(super) fn begin(to: W) -> io::Result<Self> {
        let fields = COLUMNS.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        let schema = Type::group_type_builder("decision").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("slotwise ", env!("CARGO_PKG_VERSION")).to_owned());
        let writer = SerializedFileWriter::new(to, Arc::new(schema), Arc::new(properties.build()))?;
        Ok(Self { writer, columns: COLUMNS.iter().map(empty).collect(), rows: 0, bytes: 0 })
    }

    /// Adds a row.
    pub(super) fn write(&mut self, joined: &JoinedDecision) -> io::Result<()> {
        for (column, values) in COLUMNS.iter().zip(&mut self.columns) {
            let text = match (column.cell)(joined) {
                Cell::Missing => None,
                Cell::Text(text) => Some(text.into_owned()),
                Cell::Json(json) => Some(json),
            };
            match values {
                ColumnValues::Texts(texts) => {
                    self.bytes += text.as_ref().map_or(0, String::len);
                    texts.push(text.map(|text| ByteArray::from(text.into_bytes())));
                }
                ColumnValues::Numbers(numbers) => numbers.push(text.and_then(|text| text.parse().ok())),
                ColumnValues::Flags(flags) => flags.push(text.map(|text| text == "true")),
            }
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> io::Result<()> {
        let mut group = self.writer.next_row_group()?;
        for (column, values) in COLUMNS.iter().zip(&mut self.columns) {
            let values = std::mem::replace(values, empty(column));
            let Some(mut to) = group.next_column()? else { break };
            match (to.untyped(), values) {
                (ColumnWriter::ByteArrayColumnWriter(to), ColumnValues::Texts(texts)) => {
                    let (texts, levels) = gather(&texts);
                    to.write_batch(&texts, Some(&levels), None)?;
                }
                (ColumnWriter::DoubleColumnWriter(to), ColumnValues::Numbers(numbers)) => {
                    let (numbers, levels) = gather(&numbers);
                    to.write_batch(&numbers, Some(&levels), None)?;
                }
                (ColumnWriter::BoolColumnWriter(to), ColumnValues::Flags(flags)) => {
                    let (flags, levels) = gather(&flags);
                    to.write_batch(&flags, Some(&levels), None)?;
                }
                // The schema and the values are made from the same table of columns.
                _ => return Err(io::Error::other(format!("the column {} has another type", column.name))),
            }
            to.close()?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// Writes what is gathered, and the end of the file.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.writer.finish()?;
        self.writer.inner_mut().flush()
    }
}
