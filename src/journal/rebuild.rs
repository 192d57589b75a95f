//! A new journal made of records that were found in a damaged one.

use std::{io, path::Path};

use rusqlite::{Connection, params};

use super::{
    ChainPoint, JournalId, ReadError,
    carve::SalvagedRecord,
    chain::BatchHasher,
    rows::{Identity, checksum, retention_checksum, stored},
    sqlite::{file_in, insert_batch, make_tables},
    watermark::WatermarkFile,
};

/// Records of a batch of the new journal.
const BATCH: u64 = 1_024;

/// Plan of a journal that is built from the records that were salvaged from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildPlan {
    /// Last position up to which records keep their positions, and may have holes up to `trimmed`; a snapshot holds their effects.
    /// The records after it move together.
    pub kept: u64,
    /// Last position up to which records may be missing.
    pub trimmed: u64,
}

/// Source of the next record by position; it returns `None` at the end.
pub type NextRecord<'a> = dyn FnMut() -> io::Result<Option<SalvagedRecord>> + 'a;

/// Makes a journal in `folder`, with an identity of its own. Returns the point of its history at which what was kept
/// ends: snapshots of it must say so.
pub fn rebuild(folder: &Path, outline: RebuildPlan, next: &mut NextRecord<'_>) -> Result<ChainPoint, ReadError> {
    let file = file_in(folder);
    let why = |why: rusqlite::Error| ReadError::Open { file: file.clone(), why: why.to_string() };
    let io = |why: io::Error| ReadError::Open { file: file.clone(), why: why.to_string() };
    let identity = Identity { journal: JournalId::random(), begun: outline.kept };
    let mut connection = Connection::open(&file).map_err(why)?;
    make_tables(&mut connection, &identity).map_err(why)?;
    let beginning = identity.beginning();
    let (mut hash, mut last) = (beginning.hash, outline.kept);
    let mut ended = false;
    while !ended {
        let transaction = connection.transaction().map_err(why)?;
        let mut link = BatchHasher::new(&hash, last + 1);
        let first = last + 1;
        for _ in 0..BATCH {
            let Some(mut record) = next().map_err(io)? else {
                ended = true;
                break;
            };
            if record.position > outline.kept {
                last += 1;
                record.position = last;
                link.add(&record.stored());
            }
            insert(&transaction, &record).map_err(why)?;
        }
        if last >= first {
            hash = link.finish();
            insert_batch(&transaction, first, last, &hash).map_err(why)?;
        }
        transaction.commit().map_err(why)?;
    }
    if outline.trimmed > 0 {
        let insert = "INSERT INTO retention (id, trimmed, checksum) VALUES (1, ?, ?)";
        let sum = i64::from(retention_checksum(outline.trimmed));
        connection.execute(insert, params![stored(outline.trimmed), sum]).map_err(why)?;
    }
    connection.close().map_err(|(_, failed)| why(failed))?;
    std::fs::File::open(&file).and_then(|file| file.sync_all()).map_err(io)?;
    let point = ChainPoint { journal: identity.journal, position: last, hash };
    WatermarkFile::begin(folder, &point).map_err(|why| ReadError::Watermark { folder: folder.to_owned(), why })?;
    Ok(beginning)
}

fn insert(connection: &Connection, record: &SalvagedRecord) -> rusqlite::Result<()> {
    let SalvagedRecord { position, at_us, kind, slot, decision, body } = record;
    let sum = i64::from(checksum(&record.stored()));
    let insert =
        "INSERT INTO events (position, at_us, kind, slot, decision_id, checksum, body) VALUES (?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(insert)?.execute(params![stored(*position), at_us, kind, slot, decision, sum, body])?;
    Ok(())
}
