//! Record of the key with which the events of a journal name subjects. It stands in the journal's own file, so that a
//! journal and a key that do not belong together are noticed.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{ReadError, rows::stored, sqlite::file_in};

/// Key by which the events of a journal know subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRecord {
    /// Check value of the key.
    pub fingerprint: [u8; 8],
    /// Last position before the first event that may need the key. Events up to there know subjects by their ids.
    pub begun: u64,
}

fn failed(file: &Path, why: impl std::fmt::Display) -> ReadError {
    ReadError::Open { file: file.to_owned(), why: why.to_string() }
}

fn checksum(KeyRecord { fingerprint, begun }: &KeyRecord) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"subjects");
    hasher.update(fingerprint);
    hasher.update(&begun.to_be_bytes());
    hasher.finalize()
}

/// The record in a journal, or `None` if there is none.
pub(super) fn read(connection: &Connection, file: &Path) -> Result<Option<KeyRecord>, ReadError> {
    let find = || -> rusqlite::Result<Option<(Vec<u8>, i64, i64)>> {
        let count = "SELECT count(*) FROM sqlite_schema WHERE name = 'subjects'";
        if connection.query_row(count, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(None);
        }
        let select = "SELECT fingerprint, begun, checksum FROM subjects";
        connection.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
    };
    let Some((fingerprint, begun, sum)) = find().map_err(|why| failed(file, why))? else { return Ok(None) };
    let record = || {
        let record = KeyRecord { fingerprint: fingerprint.try_into().ok()?, begun: u64::try_from(begun).ok()? };
        (i64::from(checksum(&record)) == sum).then_some(record)
    };
    let damaged = "what it says of the key of its subjects is damaged; restore it from a backup";
    record().map(Some).ok_or_else(|| failed(file, damaged))
}

/// Writes the record into a journal, durably, and replaces an earlier one.
pub(super) fn write(connection: &Connection, file: &Path, record: &KeyRecord) -> Result<(), ReadError> {
    let write = || -> rusqlite::Result<()> {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS subjects (
                id INTEGER PRIMARY KEY CHECK (id = 1),
                fingerprint BLOB NOT NULL,
                begun INTEGER NOT NULL,
                checksum INTEGER NOT NULL
            ) STRICT",
        )?;
        let KeyRecord { fingerprint, begun } = record;
        let insert = "INSERT OR REPLACE INTO subjects (id, fingerprint, begun, checksum) VALUES (1, ?, ?, ?)";
        transaction.execute(insert, params![fingerprint, stored(*begun), i64::from(checksum(record))])?;
        transaction.commit()
    };
    write().map_err(|why| failed(file, why))
}

/// Records the key by which all events of a journal that was just built know subjects, durably.
pub fn record_subjects_key(folder: &Path, fingerprint: [u8; 8]) -> Result<(), ReadError> {
    let file = file_in(folder);
    let connection = Connection::open(&file).map_err(|why| failed(&file, why))?;
    write(&connection, &file, &KeyRecord { fingerprint, begun: 0 })
}
