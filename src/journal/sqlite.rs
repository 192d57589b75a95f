//! The embedded journal: one SQLite file.
//!
//! One connection writes, in WAL mode with `synchronous = FULL`, so a commit is one
//! append to the log and one fsync. Checkpoints run on a thread of their own, which
//! keeps them out of the commit path. SQLite does not checksum its pages: every
//! record carries a CRC-32 over its position and all its columns, and a mark beside
//! the file says what was acknowledged.
//!
//! A commit that finds no room is rolled back and may be tried again: its frames lie
//! behind the log's last commit, and the next one overwrites them. Any other failure
//! poisons, a failed fsync above all: the kernel may have dropped what it could not write.

use std::{
    fs::{self, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::{
    AppendError, Each, Journal, ReadError, Record, Stored,
    mark::{self, Mark},
    rows::{self, APPLICATION_ID, Extent, FORMAT, TABLES, checksum, retention_checksum, stored},
};

/// How often the checkpointer looks.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);
/// A write-ahead log below this many bytes is left alone.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;
/// Beyond this many bytes the writer itself finishes a checkpoint, so that the log starts anew: under
/// steady writing the checkpointer never quite catches up.
const RESTART_BYTES: u64 = 128 * 1024 * 1024;
/// How many commits pass between two looks at that.
const LOOK_EVERY: u32 = 256;
/// How long a connection waits for the other one.
const BUSY: Duration = Duration::from_secs(10);
/// Room that must be there after a failed write for the failure to have another cause than want of it.
const PROBE_BYTES: usize = 64 * 1024;

/// A journal in one SQLite file, `journal.sqlite3`.
#[derive(Debug)]
pub struct SqliteJournal {
    file: PathBuf,
    connection: Connection,
    extent: Extent,
    mark: Mark,
    poisoned: bool,
    commits: u32,
    /// Why a checkpoint failed for good.
    sick: Arc<Mutex<Option<String>>>,
    checkpointer: Option<(Sender<()>, JoinHandle<()>)>,
}

/// The journal's file in a folder.
pub(super) fn file_in(folder: &Path) -> PathBuf {
    folder.join("journal.sqlite3")
}

impl SqliteJournal {
    /// Opens the journal in `folder`, or makes one.
    pub fn open(folder: &Path) -> Result<Self, ReadError> {
        let file = file_in(folder);
        let why = |why: rusqlite::Error| ReadError::Open { file: file.clone(), why: why.to_string() };
        let io = |why: io::Error| ReadError::Open { file: file.clone(), why: why.to_string() };
        let acknowledged = mark::read(folder).map_err(io)?;
        let lost = acknowledged.unwrap_or(0);
        if lost > 0 && fs::metadata(&file).map_or(0, |file| file.len()) == 0 {
            // Nothing is made in the place of what is gone.
            return Err(ReadError::Short { file, last: 0, acknowledged: lost });
        }
        let connection = Connection::open(&file).map_err(why)?;
        connection.busy_timeout(BUSY).map_err(why)?;
        let format = rows::format(&connection, &file)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(why)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(why)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(why)?;
        if format < FORMAT {
            connection
                .execute_batch(&format!(
                    "BEGIN IMMEDIATE;
                     PRAGMA application_id = {APPLICATION_ID};
                     PRAGMA user_version = {FORMAT};
                     {TABLES}
                     COMMIT;"
                ))
                .map_err(why)?;
        }
        let extent = rows::extent(&connection, &file, lost)?;
        let mark = Mark::open(folder).map_err(io)?;
        if acknowledged.is_none() {
            if extent.last > 0 {
                tracing::warn!(folder = %folder.display(), "there is no whole mark of what was acknowledged beside the journal; a new one is begun");
            }
            mark.sync().and_then(|()| fs::File::open(folder)?.sync_all()).map_err(io)?;
        }
        let sick = Arc::default();
        let checkpointer = checkpointer(&file, Arc::clone(&sick)).map_err(why)?;
        Ok(Self { file, connection, extent, mark, poisoned: false, commits: 0, sick, checkpointer: Some(checkpointer) })
    }

    fn commit(&mut self, records: &[Record]) -> rusqlite::Result<u64> {
        let transaction = self.connection.transaction()?;
        let mut position = self.extent.last;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO events (position, at_us, kind, slot, decision_id, checksum, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            for record in records {
                position += 1;
                let Record { at_us, kind, slot, decision, body } = record;
                let sum =
                    checksum(&Stored { position, at_us: *at_us, kind, slot, decision: decision.as_deref(), body });
                insert.execute(params![stored(position), at_us, kind, slot, decision, i64::from(sum), body])?;
            }
        }
        transaction.commit()?;
        Ok(position)
    }

    /// What a failed write means: no room, after which it may be tried again, or the end.
    fn failed(&mut self, why: &rusqlite::Error) -> AppendError {
        let file = self.file.clone();
        let full = match why.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => true,
            // A quota, or a limit on a file's size, is told as any other failed write.
            Some(ErrorCode::SystemIoFailure) => is_write(why) && no_room(&self.file),
            _ => false,
        };
        // Where the transaction could not be rolled back, nothing may follow it.
        if full && self.connection.is_autocommit() {
            return AppendError::Full { file };
        }
        self.poisoned = true;
        AppendError::Engine { file, why: why.to_string() }
    }

    fn check_health(&mut self) -> Result<(), AppendError> {
        let sick = self.sick.lock().unwrap_or_else(PoisonError::into_inner).take();
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
        if self.commits.is_multiple_of(LOOK_EVERY)
            && fs::metadata(log_file(&self.file)).is_ok_and(|log| log.len() > RESTART_BYTES)
        {
            // What it cannot do now it does at the next look; nothing that is durable depends on it.
            // It must not wait for a reader either: rewards wait for this thread.
            let done = self
                .connection
                .busy_timeout(Duration::ZERO)
                .and_then(|()| self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())));
            let done = self.connection.busy_timeout(BUSY).and(done);
            if let Err(why) = done {
                tracing::warn!(%why, "the journal's write-ahead log could not be started anew");
                tell_if_sick(&self.sick, &why);
            }
        }
    }

    /// The last position up to `up_to` of a record that was taken before `before_us`: times ascend with positions.
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
        transaction.commit()
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.checkpointer.take() {
            drop(stop);
            // It only ever checkpoints: a panic there has lost nothing.
            let _ = thread.join();
        }
    }
}

fn log_file(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// SQLite's extended code of a write that failed, as against a sync or a read.
fn is_write(why: &rusqlite::Error) -> bool {
    why.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE)
}

/// Whether a file beside the journal cannot grow as the write-ahead log would have to.
fn no_room(file: &Path) -> bool {
    let probe = file.with_extension("probe");
    let tried = OpenOptions::new().create(true).write(true).truncate(true).open(&probe).and_then(|mut file_| {
        file_.seek(SeekFrom::Start(fs::metadata(log_file(file))?.len()))?;
        file_.write_all(&vec![0; PROBE_BYTES])
    });
    // It is of no use to anyone, and the next probe truncates it.
    let _ = fs::remove_file(&probe);
    tried.is_err_and(|why| {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(why.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    })
}

/// A checkpoint that finds no room, or somebody in its way, is tried again; any other failure is the disk's.
fn tell_if_sick(sick: &Mutex<Option<String>>, why: &rusqlite::Error) {
    if !matches!(
        why.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    ) && !is_write(why)
    {
        *sick.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("a checkpoint failed: {why}"));
    }
}

/// Starts the thread that moves what is committed from the write-ahead log into the file.
fn checkpointer(file: &Path, sick: Arc<Mutex<Option<String>>>) -> rusqlite::Result<(Sender<()>, JoinHandle<()>)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    let log = log_file(file);
    let (stop, stopped) = channel::<()>();
    let thread = std::thread::spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(CHECKPOINT_EVERY) {
            let bytes = fs::metadata(&log).map_or(0, |log| log.len());
            if bytes > CHECKPOINT_BYTES {
                // Passive: waits for nobody. If it cannot finish, the log grows, and the next look tries again.
                let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                if let Err(why) = done {
                    tracing::warn!(%why, "a checkpoint of the journal failed");
                    tell_if_sick(&sick, &why);
                }
            }
        }
    });
    Ok((stop, thread))
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
        let last = self.commit(records).map_err(|why| self.failed(&why))?;
        self.extent.last = last;
        if let Err(why) = self.mark.write(last) {
            // The commit stands; without its mark a damaged end would go unnoticed.
            tracing::warn!(%why, position = last, "what was acknowledged could not be marked");
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

    fn replay(&mut self, position: u64, each: &mut Each<'_>) -> Result<u64, ReadError> {
        if position < self.extent.trimmed {
            return Err(ReadError::Trimmed { file: self.file.clone(), trimmed: self.extent.trimmed });
        }
        rows::each(&self.connection, &self.file, self.extent, position, each)
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
