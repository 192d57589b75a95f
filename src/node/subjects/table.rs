//! Table of ids by pseudonym: `subjects.sqlite3`.
//!
//! A thread of its own writes it in batches; callers hand it what they saw through a bounded queue and never wait. What
//! finds no room in the queue, or no room on the disk, is left out: the id is shown as its pseudonym until it is seen
//! again. Rows that nobody saw for longer than the retention leave.
//!
//! Invariant: what leaves the table is overwritten, in the file and in its write-ahead log.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::key::{PseudonymBytes, to_bytes};
use crate::{
    engine::Subject,
    journal::{ReadError, open_to_read},
};

/// Name of the table's file in the data folder.
pub(in crate::node) const TABLE_FILE: &str = "subjects.sqlite3";
/// Messages that may wait for the thread; with the longest ids they take some megabytes.
const QUEUE: usize = 16_384;
/// Rows of one transaction.
const BATCH: usize = 4_096;
/// Time that rows may gather before they are written.
const LINGER: Duration = Duration::from_millis(200);
/// Time that a reader waits for what was remembered just now.
const PATIENCE: Duration = Duration::from_secs(1);
/// Places of what was remembered lately: half a megabyte. Two subjects of one place only cost a row written again.
const RECENT: usize = 65_536;
/// Rows that are looked at together when old ones leave.
const PURGE_STEP: i64 = 20_000;
const DAY_US: i64 = 24 * 3600 * 1_000_000;

const SCHEMA: &str = "
    PRAGMA secure_delete = ON;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS names (
        pseudonym BLOB PRIMARY KEY,
        id TEXT NOT NULL,
        seen INTEGER NOT NULL
    ) STRICT;";

enum TableMessage {
    Seen { pseudonym: PseudonymBytes, id: Box<str>, day: i64 },
    Forget(Vec<PseudonymBytes>, SyncSender<Result<(), String>>),
    Settle(SyncSender<()>),
}

/// The table of a node.
#[derive(Debug)]
pub(in crate::node) struct SubjectTable {
    queue: Option<SyncSender<TableMessage>>,
    thread: Option<JoinHandle<()>>,
    /// Pseudonyms that were handed on today, by their first bytes.
    recent: Box<[AtomicU64]>,
    dropped: Arc<AtomicU64>,
    names: Mutex<Option<Names>>,
}

/// Lookups in the table.
#[derive(Debug)]
pub(in crate::node) struct Names(Connection);

fn said(why: impl std::fmt::Display) -> String {
    why.to_string()
}

/// Opens the table to write it; makes it where it is not there, for its owner's eyes only.
fn open(file: &Path) -> Result<Connection, String> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(file).map_err(said)?;
    let connection = Connection::open(file).map_err(said)?;
    connection.busy_timeout(PATIENCE).map_err(said)?;
    connection.execute_batch(SCHEMA).map_err(said)?;
    Ok(connection)
}

impl SubjectTable {
    /// Opens the table in a folder and starts its thread.
    pub(in crate::node) fn open(folder: &Path, retention_us: Option<i64>) -> Result<Self, String> {
        let file = folder.join(TABLE_FILE);
        let connection = open(&file)?;
        let names = Names::beside(&file)?;
        let (queue, messages) = sync_channel(QUEUE);
        let keep_days = retention_us.map(|us| us.div_euclid(DAY_US) + 1);
        let dropped = Arc::<AtomicU64>::default();
        let of_worker = Arc::clone(&dropped);
        let worker = Worker { file, connection, keep_days, purged: i64::MIN, healthy: true, dropped: of_worker };
        let thread = std::thread::Builder::new()
            .name("slotwise-subjects".into())
            .spawn(move || worker.run(&messages))
            .map_err(said)?;
        let recent = (0..RECENT).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { queue: Some(queue), thread: Some(thread), recent, dropped, names: Mutex::new(Some(names)) })
    }

    /// Cache entry of a pseudonym, and the value that it has if the pseudonym was seen on a day.
    fn recent(&self, pseudonym: &PseudonymBytes, day: i64) -> (&AtomicU64, u64) {
        let [a, b, c, d, e, f, g, h, ..] = *pseudonym;
        let word = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let place = usize::try_from(word % RECENT as u64).unwrap_or(0);
        (&self.recent[place], word.wrapping_add(day.cast_unsigned()) | 1)
    }

    /// Remembers the id behind a pseudonym, once a day; never waits.
    pub(in crate::node) fn remember(&self, pseudonym: PseudonymBytes, id: &str, day: i64) {
        let (place, mark) = self.recent(&pseudonym, day);
        if place.load(Ordering::Relaxed) == mark {
            return;
        }
        let seen = TableMessage::Seen { pseudonym, id: id.into(), day };
        if self.queue.as_ref().is_some_and(|queue| queue.try_send(seen).is_ok()) {
            place.store(mark, Ordering::Relaxed);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the count of ids that were left out, which goes on counting.
    pub(in crate::node) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Waits until what was remembered so far is written, or the patience is over.
    pub(in crate::node) fn settle(&self) {
        let (done, settled) = sync_channel(1);
        if self.queue.as_ref().is_some_and(|queue| queue.try_send(TableMessage::Settle(done)).is_ok()) {
            // Ids that are not in the table by then are shown as pseudonyms.
            let _ = settled.recv_timeout(PATIENCE);
        }
    }

    pub(in crate::node) fn names(&self, subject: &Subject) -> Subject {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.as_ref().map_or_else(|| subject.clone(), |names| names.names(subject))
    }

    /// Takes rows out of the table for good; answers when they are gone.
    pub(in crate::node) fn forget(&self, rows: Vec<PseudonymBytes>) -> Result<(), String> {
        let gone = || "the thread of the table has stopped".to_owned();
        let (done, answer) = sync_channel(1);
        let places: Vec<&AtomicU64> = rows.iter().map(|row| self.recent(row, 0).0).collect();
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(TableMessage::Forget(rows, done)).map_err(|_| gone())?;
        let forgotten = answer.recv().map_err(|_| gone())?;
        // A subject that comes again is remembered again.
        for place in places {
            place.store(0, Ordering::Relaxed);
        }
        forgotten
    }
}

impl Drop for SubjectTable {
    fn drop(&mut self) {
        // The last one to close the file tidies it up, and must be the one that writes.
        drop(self.names.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has cost names and nothing else.
            let _ = thread.join();
        }
    }
}

struct Worker {
    file: PathBuf,
    connection: Connection,
    /// Days for which a row stays after it was seen last, or `None` for ever.
    keep_days: Option<i64>,
    /// The day on which old rows left last.
    purged: i64,
    healthy: bool,
    dropped: Arc<AtomicU64>,
}

impl Worker {
    fn run(mut self, messages: &Receiver<TableMessage>) {
        while let Ok(first) = messages.recv() {
            let (mut rows, mut next) = (Vec::new(), Some(first));
            loop {
                match next.take() {
                    Some(TableMessage::Seen { pseudonym, id, day }) => rows.push((pseudonym, id, day)),
                    Some(TableMessage::Settle(done)) => {
                        self.write(&mut rows);
                        let _ = done.send(());
                        break;
                    }
                    Some(TableMessage::Forget(gone, done)) => {
                        self.write(&mut rows);
                        let _ = done.send(self.forget(&gone).map_err(said));
                        break;
                    }
                    None => break,
                }
                if rows.len() >= BATCH {
                    break;
                }
                next = messages.recv_timeout(LINGER).ok();
            }
            self.write(&mut rows);
        }
        // A folder without a write-ahead log can be copied file by file.
        let _ = truncate_log(&self.connection);
    }

    /// Writes rows, and drops old ones once a day. What fails is left out.
    fn write(&mut self, rows: &mut Vec<(PseudonymBytes, Box<str>, i64)>) {
        let Some(today) = rows.iter().map(|(.., day)| *day).max() else { return };
        let done = self.insert(rows).and_then(|()| self.purge(today));
        let count = rows.len() as u64;
        rows.clear();
        match done {
            Ok(()) => self.healthy = true,
            Err(why) => {
                self.dropped.fetch_add(count, Ordering::Relaxed);
                if self.healthy {
                    tracing::warn!(%why, file = %self.file.display(), "ids of subjects could not be kept; their decisions show pseudonyms");
                }
                self.healthy = false;
            }
        }
    }

    fn insert(&mut self, rows: &[(PseudonymBytes, Box<str>, i64)]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO names (pseudonym, id, seen) VALUES (?, ?, ?)
                 ON CONFLICT (pseudonym) DO UPDATE SET seen = excluded.seen WHERE excluded.seen > seen",
            )?;
            for (pseudonym, id, day) in rows {
                insert.execute(params![pseudonym, id, day])?;
            }
        }
        transaction.commit()
    }

    fn purge(&mut self, today: i64) -> rusqlite::Result<()> {
        let Some(keep_days) = self.keep_days.filter(|_| today > self.purged) else { return Ok(()) };
        let last: i64 = self.connection.query_row("SELECT ifnull(max(rowid), 0) FROM names", [], |row| row.get(0))?;
        let mut at = 0;
        let mut gone = 0;
        while at <= last {
            // Rows are deleted in steps, so that the write-ahead log stays small.
            let drop = "DELETE FROM names WHERE rowid > ? AND rowid <= ? AND seen < ?";
            gone += self.connection.execute(drop, params![at, at + PURGE_STEP, today - keep_days])?;
            at += PURGE_STEP;
        }
        self.purged = today;
        if gone > 0 { self.rewrite() } else { Ok(()) }
    }

    fn forget(&mut self, rows: &[PseudonymBytes]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for row in rows {
            transaction.prepare_cached("DELETE FROM names WHERE pseudonym = ?")?.execute([row])?;
        }
        transaction.commit()?;
        self.rewrite()
    }

    /// Writes the table again, into pages that never held anything else. `secure_delete` overwrites a row where it stands
    /// and every page that is given up, but not the copies that stay behind when pages are merged; nor does VACUUM,
    /// which fills up its pages with bytes of the memory.
    fn rewrite(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(
            "ALTER TABLE names RENAME TO names_before;
             CREATE TABLE names (pseudonym BLOB PRIMARY KEY, id TEXT NOT NULL, seen INTEGER NOT NULL) STRICT;
             INSERT INTO names SELECT pseudonym, id, seen FROM names_before ORDER BY rowid;
             DROP TABLE names_before;",
        )?;
        transaction.commit()?;
        truncate_log(&self.connection)
    }
}

/// Moves the write-ahead log into the file and empties it.
fn truncate_log(connection: &Connection) -> rusqlite::Result<()> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(rusqlite::Error::ExecuteReturnedResults) }
}

impl Names {
    /// Opens the table that a thread of this process writes.
    fn beside(file: &Path) -> Result<Self, String> {
        let connection = Connection::open(file).map_err(said)?;
        connection.busy_timeout(PATIENCE).map_err(said)?;
        connection.pragma_update(None, "query_only", true).map_err(said)?;
        Ok(Self(connection))
    }

    /// Opens the table in a folder that is only read. Nothing in the folder changes, unless a process owns it, whose own
    /// files then serve.
    pub(in crate::node) fn open(folder: &Path) -> Result<Self, String> {
        let connection = open_to_read(folder, &folder.join(TABLE_FILE))
            .map_err(|why| if let ReadError::Open { why, .. } = why { why } else { why.to_string() })?;
        connection.busy_timeout(PATIENCE).map_err(said)?;
        connection.prepare("SELECT id FROM names WHERE pseudonym = ?").map_err(said)?;
        Ok(Self(connection))
    }

    pub(in crate::node) fn names(&self, Subject { id, session_id }: &Subject) -> Subject {
        Subject { id: self.name(id), session_id: self.name(session_id) }
    }

    /// The id behind a pseudonym; any other text stays, and so does a pseudonym whose id is not known.
    fn name(&self, text: &str) -> String {
        let Some(bytes) = to_bytes(text) else { return text.to_owned() };
        let find = || -> rusqlite::Result<Option<String>> {
            let mut select = self.0.prepare_cached("SELECT id FROM names WHERE pseudonym = ?")?;
            select.query_row([bytes], |row| row.get(0)).optional()
        };
        find().ok().flatten().unwrap_or_else(|| text.to_owned())
    }

    /// Writes a copy of the table into another folder, durably but for the folder itself.
    pub(in crate::node) fn copy_to(&self, folder: &Path) -> Result<(), String> {
        let target = folder.join(TABLE_FILE);
        let name = target.to_str().ok_or("its path is not UTF-8")?;
        self.0.execute("VACUUM INTO ?", [name]).map_err(said)?;
        let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        let file = std::fs::File::open(&target).map_err(said)?;
        file.set_permissions(owner).and_then(|()| file.sync_all()).map_err(said)
    }
}
