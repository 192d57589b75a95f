//! The table of events, and how it is read.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Each, ReadError, Stored};

/// Marks the file as ours ("SLOT").
pub(super) const APPLICATION_ID: i64 = 0x534c_4f54;
/// The version of the tables that is written. 1 had no `retention`.
pub(super) const FORMAT: i64 = 2;

/// The tables. `retention` has one row once something was dropped.
pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS events (
        position INTEGER PRIMARY KEY,
        at_us INTEGER NOT NULL,
        kind TEXT NOT NULL,
        slot TEXT NOT NULL,
        decision_id TEXT,
        checksum INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS retention (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        trimmed INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;";

/// Where the records of a journal are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Up to here records were dropped.
    pub(super) trimmed: u64,
    /// The last one.
    pub(super) last: u64,
}

/// The checksum of a record: over its position and all its columns.
pub(super) fn checksum(stored: &Stored<'_>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&stored.position.to_be_bytes());
    hasher.update(&stored.at_us.to_be_bytes());
    for text in [stored.kind, stored.slot, stored.decision.unwrap_or("")] {
        hasher.update(text.as_bytes());
        hasher.update(&[0]);
    }
    hasher.update(stored.body);
    hasher.finalize()
}

/// The checksum of what `retention` says.
pub(super) fn retention_checksum(trimmed: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"retention");
    hasher.update(&trimmed.to_be_bytes());
    hasher.finalize()
}

/// A position as SQLite stores it.
pub(super) fn stored(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// The version of a file that is a journal; 0: it is empty. Refuses what is none, or newer.
pub(super) fn format(connection: &Connection, file: &Path) -> Result<i64, ReadError> {
    let open = |why: rusqlite::Error| ReadError::Open { file: file.to_owned(), why: why.to_string() };
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(open);
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = connection.query_row(tables, [], |row| row.get(0)).map_err(open)?;
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    if tables == 0 && application == 0 && version == 0 {
        return Ok(0);
    }
    if application != APPLICATION_ID || version < 1 {
        let why = format!("it is a database of another program (application id {application:#x})");
        return Err(ReadError::Open { file: file.to_owned(), why });
    }
    if version > FORMAT {
        return Err(ReadError::Version { file: file.to_owned(), found: version, known: FORMAT });
    }
    Ok(version)
}

/// Where the records are; `acknowledged` is the last position known to have been.
pub(super) fn extent(connection: &Connection, file: &Path, acknowledged: u64) -> Result<Extent, ReadError> {
    let damaged = |position: u64| ReadError::Checksum { file: file.to_owned(), position };
    let engine = |why: rusqlite::Error| ReadError::Engine { file: file.to_owned(), position: 0, why: why.to_string() };
    let has_retention = "SELECT count(*) FROM sqlite_schema WHERE name = 'retention'";
    let has_retention: i64 = connection.query_row(has_retention, [], |row| row.get(0)).map_err(engine)?;
    let retention = if has_retention == 0 {
        None
    } else {
        let pair = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let select = "SELECT trimmed, checksum FROM retention";
        connection.query_row(select, [], pair).optional().map_err(engine)?
    };
    let trimmed = match retention {
        None => 0,
        Some((trimmed, sum)) => {
            let trimmed = u64::try_from(trimmed).map_err(|_| damaged(0))?;
            if i64::from(retention_checksum(trimmed)) != sum {
                return Err(damaged(trimmed));
            }
            trimmed
        }
    };
    let last: Option<i64> =
        connection.query_row("SELECT max(position) FROM events", [], |row| row.get(0)).map_err(engine)?;
    let last = u64::try_from(last.unwrap_or(0)).map_err(|_| damaged(0))?.max(trimmed);
    if last < acknowledged {
        return Err(ReadError::Short { file: file.to_owned(), last, acknowledged });
    }
    Ok(Extent { trimmed, last })
}

/// Hands every record after `position` and up to the extent's last to `each`, in order. Up to where records were
/// dropped there may be holes, after it there are none.
pub(super) fn each(
    connection: &Connection,
    file: &Path,
    extent: Extent,
    position: u64,
    each: &mut Each<'_>,
) -> Result<u64, ReadError> {
    let mut at = position;
    let failed = |at: u64, why: &rusqlite::Error| ReadError::Engine {
        file: file.to_owned(),
        position: at,
        why: why.to_string(),
    };
    let hole = |expected: u64, found: u64| ReadError::Hole { file: file.to_owned(), expected, found };
    let mut select = connection
        .prepare_cached(
            "SELECT position, at_us, kind, slot, decision_id, checksum, body FROM events WHERE position > ? AND position <= ? ORDER BY position",
        )
        .map_err(|why| failed(at, &why))?;
    let mut rows = select.query([stored(position), stored(extent.last)]).map_err(|why| failed(at, &why))?;
    while let Some(row) = rows.next().map_err(|why| failed(at, &why))? {
        let found = row.get::<_, i64>(0).map_err(|why| failed(at, &why))?;
        let found = u64::try_from(found).unwrap_or(0);
        let expected = at.max(extent.trimmed) + 1;
        if found <= at || (found > extent.trimmed && found != expected) {
            return Err(hole(expected, found));
        }
        let damaged = || ReadError::Checksum { file: file.to_owned(), position: found };
        let columns = || -> Option<(Stored<'_>, i64)> {
            let text = |i: usize| row.get_ref(i).ok()?.as_str_or_null().ok();
            let stored = Stored {
                position: found,
                at_us: row.get(1).ok()?,
                kind: text(2)??,
                slot: text(3)??,
                decision: text(4)?,
                body: row.get_ref(6).ok()?.as_blob().ok()?,
            };
            Some((stored, row.get(5).ok()?))
        };
        let (record, sum) = columns().ok_or_else(damaged)?;
        if i64::from(checksum(&record)) != sum {
            return Err(damaged());
        }
        each(&record).map_err(|why| ReadError::Reader { file: file.to_owned(), position: found, why })?;
        at = found;
    }
    let at = at.max(extent.trimmed.min(extent.last));
    if at < extent.last {
        return Err(hole(at + 1, extent.last));
    }
    Ok(at)
}
