//! The embedded journal: one SQLite file.
//!
//! One connection writes, in WAL mode with `synchronous = FULL`, so a commit is one
//! append to the log and one fsync. Checkpoints run on a thread of their own, which
//! keeps them out of the commit path. SQLite does not checksum its pages: every
//! record carries a CRC-32 over its position and all its columns.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::{AppendError, Each, Journal, ReadError, Record};

/// Marks the file as ours ("SLOT").
const APPLICATION_ID: i64 = 0x534c_4f54;
/// The version of the table.
const FORMAT: i64 = 1;
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

/// A journal in one SQLite file, `journal.sqlite3`.
#[derive(Debug)]
pub struct SqliteJournal {
    file: PathBuf,
    connection: Connection,
    last: u64,
    poisoned: bool,
    commits: u32,
    checkpointer: Option<(Sender<()>, JoinHandle<()>)>,
}

impl SqliteJournal {
    /// Opens the journal in `folder`, or makes one.
    pub fn open(folder: &Path) -> Result<Self, ReadError> {
        let file = folder.join("journal.sqlite3");
        let why = |why: rusqlite::Error| ReadError::Open { file: file.clone(), why: why.to_string() };
        let connection = Connection::open(&file).map_err(why)?;
        connection.busy_timeout(BUSY).map_err(why)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(why)?;
        if version > FORMAT {
            return Err(ReadError::Version { file, found: version, known: FORMAT });
        }
        connection.pragma_update(None, "journal_mode", "WAL").map_err(why)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(why)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(why)?;
        connection
            .execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 PRAGMA application_id = {APPLICATION_ID};
                 PRAGMA user_version = {FORMAT};
                 CREATE TABLE IF NOT EXISTS events (
                     position INTEGER PRIMARY KEY,
                     at_us INTEGER NOT NULL,
                     kind TEXT NOT NULL,
                     slot TEXT NOT NULL,
                     decision_id TEXT,
                     checksum INTEGER NOT NULL,
                     body BLOB NOT NULL
                 ) STRICT;
                 COMMIT;"
            ))
            .map_err(why)?;
        let last: Option<i64> =
            connection.query_row("SELECT max(position) FROM events", [], |row| row.get(0)).map_err(why)?;
        let last = last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0);
        let checkpointer = checkpointer(&file).map_err(why)?;
        Ok(Self { file, connection, last, poisoned: false, commits: 0, checkpointer: Some(checkpointer) })
    }

    fn commit(&mut self, records: &[Record]) -> rusqlite::Result<u64> {
        let transaction = self.connection.transaction()?;
        let mut position = self.last;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO events (position, at_us, kind, slot, decision_id, checksum, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            for record in records {
                position += 1;
                let sum = checksum(
                    position,
                    record.at_us,
                    record.kind,
                    &record.slot,
                    record.decision.as_deref(),
                    &record.body,
                );
                insert.execute(params![
                    i64::try_from(position).unwrap_or(i64::MAX),
                    record.at_us,
                    record.kind,
                    record.slot,
                    record.decision,
                    i64::from(sum),
                    record.body
                ])?;
            }
        }
        transaction.commit()?;
        Ok(position)
    }

    fn bound_log(&mut self) {
        self.commits = self.commits.wrapping_add(1);
        if self.commits.is_multiple_of(LOOK_EVERY)
            && std::fs::metadata(log_file(&self.file)).is_ok_and(|log| log.len() > RESTART_BYTES)
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
            }
        }
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

/// Starts the thread that moves what is committed from the write-ahead log into the file.
fn checkpointer(file: &Path) -> rusqlite::Result<(Sender<()>, JoinHandle<()>)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    let log = log_file(file);
    let (stop, stopped) = channel::<()>();
    let thread = std::thread::spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(CHECKPOINT_EVERY) {
            let bytes = std::fs::metadata(&log).map_or(0, |log| log.len());
            if bytes > CHECKPOINT_BYTES {
                // Passive: waits for nobody. If it cannot finish, the log grows, and the next look tries again.
                let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                if let Err(why) = done {
                    tracing::warn!(%why, "a checkpoint of the journal failed; it will be tried again");
                }
            }
        }
    });
    Ok((stop, thread))
}

fn checksum(position: u64, at_us: i64, kind: &str, slot: &str, decision: Option<&str>, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.to_be_bytes());
    hasher.update(&at_us.to_be_bytes());
    for text in [kind, slot, decision.unwrap_or("")] {
        hasher.update(text.as_bytes());
        hasher.update(&[0]);
    }
    hasher.update(body);
    hasher.finalize()
}

impl Journal for SqliteJournal {
    fn append(&mut self, records: &[Record]) -> Result<u64, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned { file: self.file.clone() });
        }
        if records.is_empty() {
            return Ok(self.last);
        }
        match self.commit(records) {
            Ok(last) => {
                self.last = last;
                self.bound_log();
                Ok(last)
            }
            Err(why) => {
                self.poisoned = true;
                let file = self.file.clone();
                Err(match why.sqlite_error_code() {
                    Some(ErrorCode::DiskFull) => AppendError::Full { file },
                    _ => AppendError::Engine { file, why: why.to_string() },
                })
            }
        }
    }

    fn last(&self) -> u64 {
        self.last
    }

    fn replay(&mut self, position: u64, each: &mut Each<'_>) -> Result<u64, ReadError> {
        let mut at = position;
        let failed = |file: &Path, at: u64, why: &rusqlite::Error| ReadError::Engine {
            file: file.to_owned(),
            position: at,
            why: why.to_string(),
        };
        let mut select = self
            .connection
            .prepare_cached(
                "SELECT position, at_us, kind, slot, decision_id, checksum, body FROM events WHERE position > ? ORDER BY position",
            )
            .map_err(|why| failed(&self.file, at, &why))?;
        let mut rows =
            select.query([i64::try_from(position).unwrap_or(i64::MAX)]).map_err(|why| failed(&self.file, at, &why))?;
        while let Some(row) = rows.next().map_err(|why| failed(&self.file, at, &why))? {
            let found = row.get::<_, i64>(0).map_err(|why| failed(&self.file, at, &why))?;
            let found = u64::try_from(found).unwrap_or(0);
            if found != at + 1 {
                return Err(ReadError::Hole { file: self.file.clone(), expected: at + 1, found });
            }
            let columns = || -> rusqlite::Result<(i64, String, String, Option<String>, i64)> {
                Ok((row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            };
            let (at_us, kind, slot, decision, expected) = columns().map_err(|why| failed(&self.file, at, &why))?;
            let body = row.get_ref(6).map_err(|why| failed(&self.file, at, &why))?;
            let body = body.as_blob().map_err(|_| ReadError::Checksum { file: self.file.clone(), position: found })?;
            if i64::from(checksum(found, at_us, &kind, &slot, decision.as_deref(), body)) != expected {
                return Err(ReadError::Checksum { file: self.file.clone(), position: found });
            }
            each(found, body).map_err(|why| ReadError::Reader { file: self.file.clone(), position: found, why })?;
            at = found;
        }
        if at < self.last {
            return Err(ReadError::Hole { file: self.file.clone(), expected: at + 1, found: self.last });
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(i: u64) -> Record {
        Record {
            at_us: 1_000 + i64::try_from(i).unwrap(),
            kind: "decided",
            slot: "offers".into(),
            decision: i.is_multiple_of(2).then(|| format!("d{i}")),
            body: i.to_be_bytes().repeat(20),
        }
    }

    fn bodies(journal: &mut SqliteJournal, after: u64) -> Result<Vec<(u64, Vec<u8>)>, ReadError> {
        let mut found = Vec::new();
        journal.replay(after, &mut |position, body| {
            found.push((position, body.to_vec()));
            Ok(())
        })?;
        Ok(found)
    }

    fn filled(folder: &Path) -> SqliteJournal {
        let mut journal = SqliteJournal::open(folder).unwrap();
        assert_eq!(journal.append(&(1..=3).map(record).collect::<Vec<_>>()).unwrap(), 3);
        assert_eq!(journal.append(&(4..=10).map(record).collect::<Vec<_>>()).unwrap(), 10);
        journal
    }

    #[test]
    fn what_was_appended_comes_back_in_order_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path()));
        let mut journal = SqliteJournal::open(folder.path()).unwrap();
        assert_eq!(journal.last(), 10);
        let want: Vec<_> = (1..=10).map(|i| (i, record(i).body)).collect();
        assert_eq!(bodies(&mut journal, 0).unwrap(), want);
        assert_eq!(bodies(&mut journal, 7).unwrap(), want[7..]);
    }

    /// Every column of a record is covered by its checksum, and a missing record is a hole.
    #[test]
    fn damage_is_refused_with_its_position() {
        for (damage, hole) in [
            ("UPDATE events SET body = zeroblob(160) WHERE position = 6", false),
            ("UPDATE events SET at_us = at_us + 1 WHERE position = 6", false),
            ("UPDATE events SET kind = 'rewarded' WHERE position = 6", false),
            ("UPDATE events SET slot = 'offer' WHERE position = 6", false),
            ("UPDATE events SET decision_id = NULL WHERE position = 6", false),
            ("DELETE FROM events WHERE position = 6", true),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut journal = filled(folder.path());
            journal.connection.execute(damage, []).unwrap();
            match bodies(&mut journal, 0) {
                Err(ReadError::Checksum { position: 6, .. }) if !hole => {}
                Err(ReadError::Hole { expected: 6, found: 7, .. }) if hole => {}
                other => panic!("{damage}: {other:?}"),
            }
            assert_eq!(bodies(&mut journal, 6).unwrap().len(), 4, "what follows is whole");
        }
    }

    #[test]
    fn a_failed_commit_leaves_nothing_and_poisons() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = filled(folder.path());
        // A journal that may not grow is what a full disk looks like to SQLite.
        let pages: i64 = journal.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        journal.connection.pragma_update(None, "max_page_count", pages).unwrap();
        let many: Vec<_> = (11..=5_000).map(record).collect();
        assert!(matches!(journal.append(&many), Err(AppendError::Full { .. })));
        assert!(matches!(journal.append(&[record(11)]), Err(AppendError::Poisoned { .. })));
        drop(journal);
        let mut journal = SqliteJournal::open(folder.path()).unwrap();
        assert_eq!(bodies(&mut journal, 0).unwrap().len(), 10);
        assert_eq!(journal.append(&[record(11)]).unwrap(), 11);
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("journal.sqlite3"), "not a database, by a long way, at all").unwrap();
        assert!(matches!(SqliteJournal::open(folder.path()), Err(ReadError::Open { .. })));
    }
}
