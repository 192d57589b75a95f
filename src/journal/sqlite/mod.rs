//! The embedded journal: one SQLite file.
//!
//! One connection writes, in WAL mode with `synchronous = FULL`, so a commit is one
//! append to the log and one fsync. Checkpoints run on a thread of their own, which
//! keeps them out of the commit path. SQLite does not checksum its pages: every
//! record carries a CRC-32 over its position and all its columns, every batch a hash
//! over the batch before it and its records, and a watermark beside the file says what
//! was acknowledged.
//!
//! A commit that finds no room is rolled back and may be tried again: its frames lie
//! behind the log's last commit, and the next one overwrites them. Any other failure
//! poisons, a failed fsync above all: the kernel may have dropped what it could not write.

mod checkpoints;

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, atomic::Ordering, mpsc::Sender},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, params};

use super::{
    AppendError, Journal, JournalReader, ReadError, Record, RecordHandler, Stored,
    chain::{BatchHasher, ChainHash, ChainPoint, JournalId, beginning},
    check::LossPolicy,
    quiet::{length, log_file},
    rows::{
        self, APPLICATION_ID, Extent, FORMAT, Identity, TABLES, checksum, identity_checksum, retention_checksum, stored,
    },
    stretch::{self, Cursor},
    subjects::{self, KeyRecord},
    watermark::{self, WatermarkFile},
};
use checkpoints::{CheckpointStatus, checkpointer, has_no_space, is_write, record_lasting_failure};

/// Bytes of the log beyond which the writer itself finishes a checkpoint, so that the log begins again: under
/// steady writing the checkpointer never quite catches up. A log that grew further is cut back to this.
const RESTART_BYTES: u64 = 128 * 1024 * 1024;
/// Number of commits between two looks at the log's length.
const LOOK_EVERY: u32 = 256;
/// Time that a start waits for another program that holds the journal.
const BUSY_AT_START: Duration = Duration::from_secs(10);
/// Time that a commit waits for another program that holds the journal. All writes wait with it.
const BUSY: Duration = Duration::from_millis(250);
/// Time between two checks that the journal's files are still in their place.
const CHECK_FILES_EVERY: Duration = Duration::from_secs(1);

/// A journal in one SQLite file, `journal.sqlite3`.
#[derive(Debug)]
pub struct SqliteJournal {
    file: PathBuf,
    connection: Connection,
    extent: Extent,
    identity: Identity,
    /// Hash of the chain at the last position.
    hash: ChainHash,
    watermark: WatermarkFile,
    poisoned: bool,
    commits: u32,
    told: Arc<CheckpointStatus>,
    checkpointer: Option<(Sender<()>, JoinHandle<()>)>,
    /// Files that must stay where they are, with device and inode.
    files: Vec<(PathBuf, (u64, u64))>,
    files_checked: Instant,
}

/// The journal's file in a folder.
pub(super) fn file_in(folder: &Path) -> PathBuf {
    folder.join("journal.sqlite3")
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long ago the files were looked at is no fact that is stored anywhere"
)]
fn instant() -> Instant {
    Instant::now()
}

impl SqliteJournal {
    /// Opens the journal in `folder`, or makes one. A journal that is refused is left as it was; `loss` is the policy for
    /// one whose end may be lost.
    pub fn open(folder: &Path, loss: LossPolicy) -> Result<Self, ReadError> {
        let file = file_in(folder);
        let why = |why: rusqlite::Error| ReadError::Open { file: file.clone(), why: why.to_string() };
        let io = |why: io::Error| ReadError::Open { file: file.clone(), why: why.to_string() };
        let unwritable = |why: io::Error| ReadError::Watermark { folder: folder.to_owned(), why };
        // Everything is verified before the first byte is written.
        let found = JournalReader::open_owned(folder, loss)?;
        let (last, mut identity) = found.as_ref().map_or((0, None), |found| (found.last(), found.full_identity()));
        drop(found);
        let upgrade = identity.is_none();
        let identity = *identity.get_or_insert_with(|| Identity { journal: JournalId::random(), begun: last });
        if upgrade && last == 0 {
            // The watermark is written before the journal, because a journal without a watermark has lost it.
            WatermarkFile::begin(folder, &identity.beginning()).map_err(unwritable)?;
        }
        let mut connection = Connection::open(&file).map_err(why)?;
        connection.busy_timeout(BUSY_AT_START).map_err(why)?;
        for (name, value) in [("journal_mode", "WAL"), ("synchronous", "FULL"), ("wal_autocheckpoint", "0")] {
            connection.pragma_update(None, name, value).map_err(why)?;
        }
        connection.pragma_update(None, "journal_size_limit", stored(RESTART_BYTES)).map_err(why)?;
        if upgrade {
            make_tables(&mut connection, &identity).map_err(why)?;
        }
        let extent = rows::extent(&connection, &file)?;
        let hash = rows::hash_at(&connection, &file, extent.last)?;
        let hash = hash.ok_or_else(|| ReadError::Chain { file: file.clone(), position: extent.last })?;
        let point = ChainPoint { journal: identity.journal, position: extent.last, hash };
        let watermark = WatermarkFile::begin(folder, &point).map_err(unwritable)?;
        connection.busy_timeout(BUSY).map_err(why)?;
        let told = Arc::default();
        let checkpointer = checkpointer(&file, Arc::clone(&told)).map_err(why)?;
        let files = [file.clone(), log_file(&file), watermark::path(folder)];
        let files = files.into_iter().map(|path| inode(&path).map(|inode| (path, inode)));
        let files = files.collect::<io::Result<_>>().map_err(io)?;
        Ok(Self {
            file,
            connection,
            extent,
            identity,
            hash,
            watermark,
            poisoned: false,
            commits: 0,
            told,
            checkpointer: Some(checkpointer),
            files,
            files_checked: instant(),
        })
    }

    /// Record of the key by which the events know subjects, or `None` if no event needs one yet.
    pub fn subjects_key(&self) -> Result<Option<KeyRecord>, ReadError> {
        subjects::read(&self.connection, &self.file)
    }

    /// Records the key by which the events from here on know subjects, durably. A journal keeps its key for good, unless
    /// the key was lost: then the new one takes its place.
    pub fn set_subjects_key(&mut self, record: &KeyRecord) -> Result<(), ReadError> {
        subjects::write(&self.connection, &self.file, record)
    }

    fn commit(&mut self, records: &[Record]) -> rusqlite::Result<(u64, ChainHash)> {
        let transaction = self.connection.transaction()?;
        let (first, mut position) = (self.extent.last + 1, self.extent.last);
        let mut link = BatchHasher::new(&self.hash, first);
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO events (position, at_us, kind, slot, decision_id, checksum, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            for record in records {
                position += 1;
                let Record { at_us, kind, slot, decision, body } = record;
                let as_stored = Stored { position, at_us: *at_us, kind, slot, decision: decision.as_deref(), body };
                let sum = checksum(&as_stored);
                link.add(&as_stored);
                insert.execute(params![stored(position), at_us, kind, slot, decision, i64::from(sum), body])?;
            }
        }
        let hash = link.finish();
        insert_batch(&transaction, first, position, &hash)?;
        transaction.commit()?;
        Ok((position, hash))
    }

    /// Classifies a failed write: after a full disk or another program in the way it may be tried again; else it is final.
    fn failed(&mut self, why: &rusqlite::Error) -> AppendError {
        let file = self.file.clone();
        // A transaction that could not be rolled back forbids any further one.
        if self.connection.is_autocommit() {
            match why.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => return AppendError::Full { file },
                // A quota, or a limit on a file's size, looks like any other failed write.
                Some(ErrorCode::SystemIoFailure) if is_write(why) && has_no_space(&self.file) => {
                    return AppendError::Full { file };
                }
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return AppendError::Busy { file },
                _ => {}
            }
        }
        self.poisoned = true;
        AppendError::Engine { file, why: why.to_string() }
    }

    fn check_health(&mut self) -> Result<(), AppendError> {
        let sick = self.told.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(why) = sick {
            self.poisoned = true;
            return Err(AppendError::Engine { file: self.file.clone(), why });
        }
        if self.poisoned {
            return Err(AppendError::Poisoned { file: self.file.clone() });
        }
        Ok(())
    }

    fn bound_log(&mut self) {
        self.commits = self.commits.wrapping_add(1);
        if self.commits.is_multiple_of(LOOK_EVERY) && length(&log_file(&self.file)) > RESTART_BYTES {
            // The next checkpoint does what this one cannot, and nothing durable depends on it. It must not wait for a
            // reader either, because rewards wait for this thread.
            let done = self
                .connection
                .busy_timeout(Duration::ZERO)
                .and_then(|()| self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())));
            let done = self.connection.busy_timeout(BUSY).and(done);
            if let Err(why) = done {
                tracing::warn!(%why, "the journal's write-ahead log could not be reset");
                record_lasting_failure(&self.told, &why);
            }
        }
    }

    /// The last position up to `up_to` of a record that was written before `before_us`. Times ascend with positions.
    fn last_before(&self, before_us: i64, up_to: u64) -> rusqlite::Result<u64> {
        let mut select = self.connection.prepare_cached("SELECT at_us FROM events WHERE position = ?")?;
        let (mut low, mut high) = (self.extent.trimmed, up_to.min(self.extent.last));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let at_us: i64 = select.query_row([stored(middle)], |row| row.get(0))?;
            if at_us < before_us {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(low)
    }

    fn drop_until(&mut self, kinds: &[&str], until: u64) -> rusqlite::Result<()> {
        let trimmed = self.extent.trimmed;
        let transaction = self.connection.transaction()?;
        for kind in kinds {
            let delete = "DELETE FROM events WHERE position > ? AND position <= ? AND kind = ?";
            transaction.prepare_cached(delete)?.execute(params![stored(trimmed), stored(until), kind])?;
        }
        let sum = i64::from(retention_checksum(until));
        let keep = "INSERT OR REPLACE INTO retention (id, trimmed, checksum) VALUES (1, ?, ?)";
        transaction.prepare_cached(keep)?.execute(params![stored(until), sum])?;
        // The last batch that ends there or before stays, because the chain of the remaining records begins with its
        // hash.
        let batches = "DELETE FROM batches WHERE last < (SELECT max(last) FROM batches WHERE last <= ?)";
        transaction.prepare_cached(batches)?.execute([stored(until)])?;
        transaction.commit()
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.checkpointer.take() {
            drop(stop);
            // The thread only runs checkpoints, so a panic there has lost nothing.
            let _ = thread.join();
        }
    }
}

/// Makes the tables of a journal, or adds those that an older one lacks, and moves them into the file at once: a copy of
/// the file alone then says whose it is.
pub(super) fn make_tables(connection: &mut Connection, identity: &Identity) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {FORMAT};
         {TABLES}"
    ))?;
    let insert = "INSERT INTO identity (id, journal, begun, checksum) VALUES (1, ?, ?, ?)";
    let sum = i64::from(identity_checksum(identity));
    transaction.execute(insert, params![identity.journal.0, stored(identity.begun), sum])?;
    let ChainPoint { position, hash, .. } = identity.beginning();
    insert_batch(&transaction, position, position, &hash)?;
    transaction.commit()?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

pub(super) fn insert_batch(connection: &Connection, first: u64, last: u64, hash: &ChainHash) -> rusqlite::Result<()> {
    let insert = "INSERT INTO batches (last, first, hash) VALUES (?, ?, ?)";
    connection.prepare_cached(insert)?.execute(params![stored(last), stored(first), hash])?;
    Ok(())
}

impl Identity {
    /// The point with which the chain begins.
    pub(super) fn beginning(&self) -> ChainPoint {
        ChainPoint { journal: self.journal, position: self.begun, hash: beginning(self.journal, self.begun) }
    }
}

impl Journal for SqliteJournal {
    fn file(&self) -> &Path {
        &self.file
    }

    fn append(&mut self, records: &[Record]) -> Result<u64, AppendError> {
        self.check_health()?;
        if records.is_empty() {
            return Ok(self.extent.last);
        }
        let (last, hash) = self.commit(records).map_err(|why| self.failed(&why))?;
        (self.extent.last, self.hash) = (last, hash);
        if let Err(why) = self.watermark.write(&self.point()) {
            // The commit stands; without its watermark a damaged end would go unnoticed.
            tracing::warn!(%why, position = last, "the watermark could not be written");
        }
        if self.files_checked.elapsed() >= CHECK_FILES_EVERY {
            self.check_files()?;
        }
        self.bound_log();
        Ok(last)
    }

    fn last(&self) -> u64 {
        self.extent.last
    }

    fn trimmed(&self) -> u64 {
        self.extent.trimmed
    }

    fn point(&self) -> ChainPoint {
        ChainPoint { journal: self.identity.journal, position: self.extent.last, hash: self.hash }
    }

    fn check_files(&mut self) -> Result<(), AppendError> {
        self.files_checked = instant();
        let gone = self.files.iter().find(|(path, opened)| inode(path).ok() != Some(*opened));
        if let Some((path, _)) = gone {
            self.poisoned = true;
            let why = format!(
                "{} was removed or replaced while the service ran; what was written since is in no file that a restart finds",
                path.display()
            );
            return Err(AppendError::Engine { file: self.file.clone(), why });
        }
        Ok(())
    }

    fn blocked_log_bytes(&self) -> u64 {
        self.told.blocked_bytes.load(Ordering::Relaxed)
    }

    fn replay(&mut self, position: u64, each: &mut RecordHandler<'_>) -> Result<u64, ReadError> {
        if position < self.extent.trimmed {
            return Err(ReadError::Trimmed { file: self.file.clone(), trimmed: self.extent.trimmed });
        }
        let mut cursor = Cursor::new(&self.file, self.extent, Some(self.identity), position);
        loop {
            let stretch = stretch::read(&self.connection, &self.file, cursor.at(), self.extent.last, true)?;
            if !cursor.hand_out(&stretch, each)? {
                return Ok(cursor.at());
            }
        }
    }

    fn read(&mut self, position: u64, each: &mut RecordHandler<'_>) -> Result<bool, ReadError> {
        rows::read(&self.connection, &self.file, position, each)
    }

    fn probe(&mut self) -> Result<(), AppendError> {
        self.check_health()?;
        self.drop_until(&[], self.extent.trimmed).map_err(|why| self.failed(&why))
    }

    fn trim(&mut self, kinds: &[&str], before_us: i64, up_to: u64, most: u64) -> Result<bool, AppendError> {
        self.check_health()?;
        let done = self.last_before(before_us, up_to).and_then(|until| {
            let now = until.min(self.extent.trimmed.saturating_add(most));
            if now > self.extent.trimmed {
                self.drop_until(kinds, now)?;
                self.extent.trimmed = now;
            }
            Ok(now < until)
        });
        done.map_err(|why| self.failed(&why))
    }
}

#[cfg(test)]
mod tests;
