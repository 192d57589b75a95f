//! The tables of a journal, and how they are read.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{
    ReadError, RecordHandler, Stored,
    chain::{ChainHash, JournalId},
};

/// Marks the file as ours ("SLOT").
pub(super) const APPLICATION_ID: i64 = 0x534c_4f54;
/// Version of the tables that is written. Format 1 had no `retention`; formats 1 and 2 had no `identity` and no
/// `batches`.
pub(super) const FORMAT: i64 = 3;

/// The tables. `retention` has one row once something was dropped. `identity` has one row; the chain of hashes begins
/// after its position `begun`. `batches` has a row for that position, and one for each batch that is kept.
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
    ) STRICT;
    CREATE TABLE IF NOT EXISTS identity (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        journal BLOB NOT NULL,
        begun INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS batches (
        last INTEGER PRIMARY KEY,
        first INTEGER NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;";

/// Extent of a journal's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Last position up to which records were dropped.
    pub(super) trimmed: u64,
    /// Last position.
    pub(super) last: u64,
}

/// Identity of a journal, and the position after which its chain of hashes begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) journal: JournalId,
    pub(super) begun: u64,
}

/// A row of `batches`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchRow {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) hash: ChainHash,
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

/// Checksum of the row of `retention`.
pub(super) fn retention_checksum(trimmed: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"retention");
    hasher.update(&trimmed.to_be_bytes());
    hasher.finalize()
}

/// Checksum of the row of `identity`.
pub(super) fn identity_checksum(identity: &Identity) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"identity");
    hasher.update(&identity.journal.0);
    hasher.update(&identity.begun.to_be_bytes());
    hasher.finalize()
}

/// A position as SQLite stores it.
pub(super) fn stored(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// The format of a journal's file, or 0 if the file is empty. Refuses a file that is no journal, or one of a newer
/// format.
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

fn engine_error(file: &Path, position: u64, why: &rusqlite::Error) -> ReadError {
    ReadError::Engine { file: file.to_owned(), position, why: why.to_string() }
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let count = "SELECT count(*) FROM sqlite_schema WHERE name = ?";
    connection.query_row(count, [name], |row| row.get::<_, i64>(0)).map(|count| count > 0)
}

/// Last position up to which records were dropped, or 0 if none were.
pub(super) fn trimmed(connection: &Connection, file: &Path) -> Result<u64, ReadError> {
    let damaged = |position: u64| ReadError::Checksum { file: file.to_owned(), position };
    let engine = |why: rusqlite::Error| engine_error(file, 0, &why);
    if !has_table(connection, "retention").map_err(engine)? {
        return Ok(0);
    }
    let pair = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let mut select = connection.prepare_cached("SELECT trimmed, checksum FROM retention").map_err(engine)?;
    let Some((trimmed, sum)) = select.query_row([], pair).optional().map_err(engine)? else { return Ok(0) };
    let trimmed = u64::try_from(trimmed).map_err(|_| damaged(0))?;
    if i64::from(retention_checksum(trimmed)) == sum { Ok(trimmed) } else { Err(damaged(trimmed)) }
}

/// Returns the extent of the records.
pub(super) fn extent(connection: &Connection, file: &Path) -> Result<Extent, ReadError> {
    let trimmed = trimmed(connection, file)?;
    let last: Option<i64> = connection
        .query_row("SELECT max(position) FROM events", [], |row| row.get(0))
        .map_err(|why| engine_error(file, 0, &why))?;
    let damaged = |_| ReadError::Checksum { file: file.to_owned(), position: 0 };
    let last = u64::try_from(last.unwrap_or(0)).map_err(damaged)?.max(trimmed);
    Ok(Extent { trimmed, last })
}

/// Identity of the journal, or `None` if it is of a format that has none.
pub(super) fn identity(connection: &Connection, file: &Path) -> Result<Option<Identity>, ReadError> {
    let engine = |why: rusqlite::Error| engine_error(file, 0, &why);
    if !has_table(connection, "identity").map_err(engine)? {
        return Ok(None);
    }
    let row = |row: &Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let select = "SELECT journal, begun, checksum FROM identity";
    let found = connection.query_row(select, [], row).optional().map_err(engine)?;
    let identity = found.and_then(|(journal, begun, sum)| {
        let identity = Identity { journal: JournalId(journal.try_into().ok()?), begun: u64::try_from(begun).ok()? };
        (i64::from(identity_checksum(&identity)) == sum).then_some(identity)
    });
    match identity {
        Some(identity) => Ok(Some(identity)),
        None => Err(ReadError::NoIdentity { file: file.to_owned() }),
    }
}

fn batch(row: &Row<'_>) -> rusqlite::Result<Option<BatchRow>> {
    let (first, last, hash) = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?);
    let batch = || {
        let (first, last) = (u64::try_from(first).ok()?, u64::try_from(last).ok()?);
        Some(BatchRow { first, last, hash: hash.try_into().ok()? })
    };
    Ok(batch())
}

/// The last batch. The beginning of the chain counts as one.
pub(super) fn last_batch(connection: &Connection, file: &Path) -> Result<Option<BatchRow>, ReadError> {
    let select = "SELECT first, last, hash FROM batches ORDER BY last DESC LIMIT 1";
    connection.query_row(select, [], batch).optional().map(Option::flatten).map_err(|why| engine_error(file, 0, &why))
}

/// Hash of the chain at a position, or `None` if no batch that is kept ends there.
pub(super) fn hash_at(connection: &Connection, file: &Path, position: u64) -> Result<Option<ChainHash>, ReadError> {
    let mut select = connection
        .prepare_cached("SELECT first, last, hash FROM batches WHERE last = ?")
        .map_err(|why| engine_error(file, position, &why))?;
    let found = select.query_row([stored(position)], batch).optional();
    Ok(found.map_err(|why| engine_error(file, position, &why))?.flatten().map(|batch| batch.hash))
}

/// The batches from the one that ends at `from`, or first after it, to the one that holds `to`.
pub(super) fn batches(connection: &Connection, file: &Path, from: u64, to: u64) -> Result<Vec<BatchRow>, ReadError> {
    let failed = |why: rusqlite::Error| engine_error(file, from, &why);
    let mut select = connection
        .prepare_cached("SELECT first, last, hash FROM batches WHERE last >= ? ORDER BY last")
        .map_err(failed)?;
    let mut rows = select.query([stored(from)]).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let batch = batch(row).map_err(failed)?;
        let batch = batch.ok_or_else(|| ReadError::Chain { file: file.to_owned(), position: from + 1 })?;
        found.push(batch);
        if batch.last >= to {
            break;
        }
    }
    Ok(found)
}

/// The columns of a record, in the order in which [`record`] wants them.
pub(super) const COLUMNS: &str = "position, at_us, kind, slot, decision_id, checksum, body";

/// Passes the record at a position to `each`. Returns `false` if there is none.
pub(super) fn read(
    connection: &Connection,
    file: &Path,
    position: u64,
    each: &mut RecordHandler<'_>,
) -> Result<bool, ReadError> {
    let failed = |why: rusqlite::Error| engine_error(file, position, &why);
    let select = format!("SELECT {COLUMNS} FROM events WHERE position = ?");
    let mut select = connection.prepare_cached(&select).map_err(failed)?;
    let mut rows = select.query([stored(position)]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(false) };
    let unreadable = |why| ReadError::Reader { file: file.to_owned(), position, why };
    each(&record(row, position, file)?).map_err(unreadable)?;
    Ok(true)
}

/// The record of a row of [`COLUMNS`], its checksum verified.
pub(super) fn record<'a>(row: &'a Row<'_>, position: u64, file: &Path) -> Result<Stored<'a>, ReadError> {
    let damaged = || ReadError::Checksum { file: file.to_owned(), position };
    let columns = || -> Option<(Stored<'_>, i64)> {
        let text = |i: usize| row.get_ref(i).ok()?.as_str_or_null().ok();
        let stored = Stored {
            position,
            at_us: row.get(1).ok()?,
            kind: text(2)??,
            slot: text(3)??,
            decision: text(4)?,
            body: row.get_ref(6).ok()?.as_blob().ok()?,
        };
        Some((stored, row.get(5).ok()?))
    };
    let (record, sum) = columns().ok_or_else(damaged)?;
    if i64::from(checksum(&record)) == sum { Ok(record) } else { Err(damaged()) }
}
