//! Reading of a journal in chunks. Each chunk is a transaction of its own, and nothing is handed out while one is open.
//!
//! A handler of records may be slow, or stand still like a pipe that nobody reads. A transaction that waited for it
//! would keep the write-ahead log from being moved into the file, and the log would grow without bound. Therefore a
//! chunk of records is read and verified, the transaction ends, and only then are the records handed out.

use std::path::Path;

use rusqlite::Connection;

use super::{
    ReadError, RecordHandler, Stored,
    chain::{BatchHasher, ChainHash},
    rows::{self, BatchRow, COLUMNS, Extent, Identity, record, stored},
};

/// Number of records in a chunk.
const RECORDS: usize = 1_024;
/// Bytes of bodies after which a chunk ends.
const BYTES: usize = 4 * 1024 * 1024;

/// Record of a chunk.
#[derive(Debug)]
pub(super) struct ChunkRecord {
    position: u64,
    at_us: i64,
    kind: String,
    slot: String,
    decision: Option<String>,
    body: Vec<u8>,
}

impl ChunkRecord {
    pub(super) fn new(stored: &Stored<'_>) -> Self {
        Self {
            position: stored.position,
            at_us: stored.at_us,
            kind: stored.kind.to_owned(),
            slot: stored.slot.to_owned(),
            decision: stored.decision.map(str::to_owned),
            body: stored.body.to_vec(),
        }
    }

    pub(super) fn stored(&self) -> Stored<'_> {
        Stored {
            position: self.position,
            at_us: self.at_us,
            kind: &self.kind,
            slot: &self.slot,
            decision: self.decision.as_deref(),
            body: &self.body,
        }
    }
}

/// Records that were read in one transaction, verified one by one, with the batches that they belong to.
#[derive(Debug)]
pub(super) struct RecordChunk {
    records: Vec<ChunkRecord>,
    batches: Vec<BatchRow>,
    trimmed: u64,
}

/// Reads the records after `position`, up to `up_to`, as many as fit into a chunk.
pub(super) fn read(
    connection: &Connection,
    file: &Path,
    position: u64,
    up_to: u64,
    chained: bool,
) -> Result<RecordChunk, ReadError> {
    let failed = |why: rusqlite::Error| ReadError::Engine { file: file.to_owned(), position, why: why.to_string() };
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let trimmed = rows::trimmed(&transaction, file)?;
    let mut stretch = RecordChunk { records: Vec::new(), batches: Vec::new(), trimmed };
    let select = format!("SELECT {COLUMNS} FROM events WHERE position > ? AND position <= ? ORDER BY position");
    let mut select = transaction.prepare_cached(&select).map_err(failed)?;
    let mut rows = select.query([stored(position), stored(up_to)]).map_err(failed)?;
    let mut bytes = 0;
    while bytes < BYTES && stretch.records.len() < RECORDS {
        let at = stretch.records.last().map_or(position, |record| record.position);
        let failed =
            |why: rusqlite::Error| ReadError::Engine { file: file.to_owned(), position: at, why: why.to_string() };
        let Some(row) = rows.next().map_err(failed)? else { break };
        let found = u64::try_from(row.get::<_, i64>(0).map_err(failed)?).unwrap_or(0);
        let record = ChunkRecord::new(&record(row, found, file)?);
        bytes += record.body.len();
        stretch.records.push(record);
    }
    if let Some(last) = stretch.records.last()
        && chained
    {
        stretch.batches = rows::batches(&transaction, file, position, last.position)?;
    }
    Ok(stretch)
}

/// Place of a reader within a journal: what was handed out, and what is needed to verify the rest.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    file: &'a Path,
    /// Extent of the journal when the reader was opened.
    extent: Extent,
    identity: Option<Identity>,
    /// Position of the last record that was handed out.
    at: u64,
    /// Batch that is being read, with the hash of its records so far.
    open: Option<(BatchHasher, BatchRow)>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(file: &'a Path, extent: Extent, identity: Option<Identity>, position: u64) -> Self {
        Self { file, extent, identity, at: position, open: None }
    }

    /// Position of the last record that was handed out.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Returns `true` if chunks must come with their batches.
    pub(super) fn is_chained(&self) -> bool {
        self.identity.is_some()
    }

    /// Hands out a chunk that was read after [`at`](Self::at). Returns `false` at the end.
    pub(super) fn hand_out(&mut self, stretch: &RecordChunk, each: &mut RecordHandler<'_>) -> Result<bool, ReadError> {
        let file = || self.file.to_owned();
        if stretch.trimmed > self.extent.trimmed && self.at < stretch.trimmed {
            return Err(ReadError::Overtaken { file: file(), position: self.at, trimmed: stretch.trimmed });
        }
        let Some(last) = stretch.records.last() else {
            let at = self.at.max(self.extent.trimmed.min(self.extent.last));
            if at < self.extent.last {
                return Err(ReadError::Hole { file: file(), expected: at + 1, found: self.extent.last });
            }
            self.at = at;
            return Ok(false);
        };
        let end = last.position;
        for held in &stretch.records {
            let (record, found) = (held.stored(), held.position);
            let expected = self.at.max(self.extent.trimmed) + 1;
            if found <= self.at || (found > self.extent.trimmed && found != expected) {
                return Err(ReadError::Hole { file: self.file.to_owned(), expected, found });
            }
            self.verify(&record, &stretch.batches)?;
            each(&record).map_err(|why| ReadError::Reader { file: self.file.to_owned(), position: found, why })?;
            self.at = found;
        }
        Ok(end < self.extent.last)
    }

    /// Adds a record to the hash of its batch, and compares the hash at the batch's end. Batches of which records were
    /// dropped, or which are not read from their beginning, cannot be verified.
    fn verify(&mut self, record: &Stored<'_>, batches: &[BatchRow]) -> Result<(), ReadError> {
        let position = record.position;
        let Some(identity) = self.identity else { return Ok(()) };
        if position <= self.extent.trimmed.max(identity.begun) {
            return Ok(());
        }
        let broken = || ReadError::Chain { file: self.file.to_owned(), position };
        if self.open.is_none() {
            let at = batches.partition_point(|batch| batch.last < position);
            let batch = *batches.get(at).filter(|batch| batch.first <= position).ok_or_else(broken)?;
            if batch.first < position {
                return Ok(());
            }
            let before = at.checked_sub(1).and_then(|before| batches.get(before));
            let before: ChainHash = before.filter(|b| b.last + 1 == position).ok_or_else(broken)?.hash;
            self.open = Some((BatchHasher::new(&before, position), batch));
        }
        if let Some((link, batch)) = &mut self.open {
            link.add(record);
            if position == batch.last
                && let Some((link, batch)) = self.open.take()
                && link.finish() != batch.hash
            {
                return Err(ReadError::Chain { file: self.file.to_owned(), position: batch.first });
            }
        }
        Ok(())
    }
}
