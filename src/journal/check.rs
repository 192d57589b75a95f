//! Check that a journal, the watermark beside it and the snapshots belong together. Nothing is changed.

use std::{collections::HashSet, fs::File, path::Path};

use rusqlite::Connection;

use super::{
    ReadError,
    chain::ChainPoint,
    quiet,
    rows::{self, Extent, Identity},
    wal::Frames,
    watermark::{self, Watermark},
};

/// Policy for a journal whose end may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LossPolicy {
    /// Refuse the journal.
    #[default]
    Refused,
    /// Use the records that are there. An operator accepted that later ones may be lost.
    Accepted,
}

/// A journal whose files belong together.
#[derive(Debug, Clone, Copy)]
pub(super) struct JournalSummary {
    pub(super) format: i64,
    pub(super) extent: Extent,
    /// Identity, or `None` in a format that has none.
    pub(super) identity: Option<Identity>,
}

/// Checks the journal of a connection against the watermark that was read before the connection was opened. Returns
/// `None` if the journal is empty and nothing was acknowledged.
pub(super) fn check(
    connection: &Connection,
    folder: &Path,
    file: &Path,
    watermark: Option<&Watermark>,
    loss: LossPolicy,
) -> Result<Option<JournalSummary>, ReadError> {
    let acknowledged = watermark.map_or(0, |watermark| watermark.position);
    let format = rows::format(connection, file)?;
    if format == 0 {
        return if acknowledged == 0 || loss == LossPolicy::Accepted {
            Ok(None)
        } else {
            Err(short(file, 0, acknowledged))
        };
    }
    let extent = rows::extent(connection, file)?;
    let identity = rows::identity(connection, file)?;
    let last_batch = if identity.is_some() { rows::last_batch(connection, file)? } else { None };
    if let Some(Watermark { position, point }) = watermark {
        // A position of another journal says nothing about the end of this one.
        points_of_one_journal(file, identity.as_ref(), *position, point.as_ref(), &watermark::path(folder))?;
    }
    if extent.last < acknowledged && loss == LossPolicy::Refused {
        return Err(short(file, extent.last, acknowledged));
    }
    if let Some(batch) = last_batch {
        if batch.last > extent.last {
            return Err(short(file, extent.last, batch.last));
        }
        if batch.last < extent.last {
            return Err(ReadError::Chain { file: file.to_owned(), position: batch.last + 1 });
        }
    } else if identity.is_some() {
        return Err(ReadError::Chain { file: file.to_owned(), position: extent.last });
    }
    if let Some(Watermark { position, point }) = watermark {
        agree(connection, file, identity.as_ref(), extent, *position, point.as_ref(), &watermark::path(folder))?;
    }
    Ok(Some(JournalSummary { format, extent, identity }))
}

fn short(file: &Path, last: u64, acknowledged: u64) -> ReadError {
    ReadError::Short { file: file.to_owned(), last, acknowledged }
}

/// Refuses a journal without a watermark, because its end may be lost. A journal of the first format never had one.
pub(super) fn require_watermark(
    folder: &Path,
    file: &Path,
    checked: Option<&JournalSummary>,
    watermark: Option<&Watermark>,
    loss: LossPolicy,
) -> Result<(), ReadError> {
    let last = checked.map_or(0, |checked| checked.extent.last);
    let young = match checked {
        None => quiet::length(file) == 0 && quiet::length(&quiet::log_file(file)) == 0,
        Some(checked) => checked.format < 2 || (checked.format == 2 && last == 0),
    };
    if watermark.is_some() || young || loss == LossPolicy::Accepted {
        return Ok(());
    }
    Err(ReadError::Unmarked { file: file.to_owned(), last, watermark: watermark::path(folder) })
}

/// Refuses a file beside the journal that names another journal, or another history of this one.
pub(super) fn agree(
    connection: &Connection,
    file: &Path,
    identity: Option<&Identity>,
    extent: Extent,
    position: u64,
    point: Option<&ChainPoint>,
    other: &Path,
) -> Result<(), ReadError> {
    let Some((identity, point)) = points_of_one_journal(file, identity, position, point, other)? else { return Ok(()) };
    // A position beyond the journal's end has nothing to compare with. Before the dropped records only their last batch is kept.
    if position > extent.last || position < identity.begun {
        return Ok(());
    }
    match rows::hash_at(connection, file, position)? {
        Some(hash) if hash == point.hash => Ok(()),
        None if position < extent.trimmed => Ok(()),
        Some(_) | None => Err(ReadError::OtherHistory { file: file.to_owned(), other: other.to_owned(), position }),
    }
}

/// Refuses a file beside the journal that names another journal. Returns what is to be compared of their histories, or
/// `None` if one of them has none.
fn points_of_one_journal<'a>(
    file: &Path,
    identity: Option<&'a Identity>,
    position: u64,
    point: Option<&'a ChainPoint>,
    other: &Path,
) -> Result<Option<(&'a Identity, &'a ChainPoint)>, ReadError> {
    let other_journal = |ours: String, theirs: String| ReadError::OtherJournal {
        file: file.to_owned(),
        ours,
        other: other.to_owned(),
        theirs,
        position,
    };
    let (identity, point) = match (identity, point) {
        (None, None) => return Ok(None),
        // The file was written before the journal got its identity, and the chain covers only later records.
        (Some(identity), None) if position <= identity.begun && identity.begun > 0 => return Ok(None),
        (Some(identity), None) => {
            return Err(other_journal(
                identity.journal.to_string(),
                "of an older version, without an identity,".into(),
            ));
        }
        (None, Some(point)) => {
            return Err(other_journal("of an older version, without an identity".into(), point.journal.to_string()));
        }
        (Some(identity), Some(point)) => (identity, point),
    };
    if identity.journal != point.journal {
        return Err(other_journal(identity.journal.to_string(), point.journal.to_string()));
    }
    Ok(Some((identity, point)))
}

/// Refuses a file that has fewer pages than it should have, and whose write-ahead log does not have the others.
pub(super) fn refuse_cut(connection: &Connection, file: &Path, last: u64) -> Result<(), ReadError> {
    let engine =
        |why: rusqlite::Error| ReadError::Engine { file: file.to_owned(), position: last, why: why.to_string() };
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(engine);
    let (pages, size) = (pragma("page_count")?, pragma("page_size")?);
    let (pages, size) = (u64::try_from(pages).unwrap_or(0), u64::try_from(size).unwrap_or(1).max(1));
    let bytes = quiet::length(file);
    if bytes >= pages * size {
        return Ok(());
    }
    let log = File::open(quiet::log_file(file)).and_then(|log| Frames::read(&log)).unwrap_or_default();
    let in_log: HashSet<u64> = log.committed().map(|frame| u64::from(frame.page)).collect();
    if (bytes / size + 1..=pages).all(|page| in_log.contains(&page)) {
        return Ok(());
    }
    Err(ReadError::Cut { file: file.to_owned(), bytes, expected: pages * size, last })
}
