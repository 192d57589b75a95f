//! Moves committed pages from the write-ahead log into the file, on a thread of its own.

use std::{
    fs::{self, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::journal::quiet::{length, log_file};

/// Time between two looks of the checkpointer.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);
/// A write-ahead log below this many bytes is left alone.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of the log that cannot be moved before this is warned of.
const BLOCKED_WARNING_BYTES: u64 = 64 * 1024 * 1024;
/// Looks between two such warnings: a minute.
const BLOCKED_WARNING_EVERY: u32 = 120;
/// Time that a checkpoint waits for another connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Free bytes after a failed write that show that the failure had another cause than a full disk.
const PROBE_BYTES: usize = 64 * 1024;

/// Status of the checkpointer, for the writer.
#[derive(Debug, Default)]
pub(super) struct CheckpointStatus {
    /// Reason why checkpoints failed for good, or `None`.
    pub(super) failure: Mutex<Option<String>>,
    /// Bytes of the log that could not be moved into the file at the last look.
    pub(super) blocked_bytes: AtomicU64,
}

/// SQLite's extended code of a write that failed, as against a sync or a read.
pub(super) fn is_write(why: &rusqlite::Error) -> bool {
    why.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE)
}

/// Returns `true` if a file beside the journal cannot grow as the write-ahead log would have to.
pub(super) fn has_no_space(file: &Path) -> bool {
    let probe = file.with_extension("probe");
    let tried = OpenOptions::new().create(true).write(true).truncate(true).open(&probe).and_then(|mut file_| {
        file_.seek(SeekFrom::Start(fs::metadata(log_file(file))?.len()))?;
        file_.write_all(&vec![0; PROBE_BYTES])
    });
    // The probe is of no use to anyone, and the next one truncates it.
    let _ = fs::remove_file(&probe);
    tried.is_err_and(|why| {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(why.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    })
}

/// Records a checkpoint's failure if it will last. A full disk, or a program in the way, lets it be tried again; any
/// other failure is one of the disk.
pub(super) fn record_lasting_failure(told: &CheckpointStatus, why: &rusqlite::Error) {
    if !matches!(
        why.sqlite_error_code(),
        // A file that cannot be opened for lack of descriptors says nothing about the disk.
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::CannotOpen)
    ) && !is_write(why)
    {
        *told.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("a checkpoint failed: {why}"));
    }
}

/// Starts the thread that moves committed pages from the write-ahead log into the file.
pub(super) fn checkpointer(file: &Path, told: Arc<CheckpointStatus>) -> rusqlite::Result<(Sender<()>, JoinHandle<()>)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // Reading opens every file that a checkpoint needs, now and not when descriptors have run out.
    connection.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let page = u64::try_from(page).unwrap_or(4_096);
    let log = log_file(file);
    let (stop, stopped) = channel::<()>();
    let thread = std::thread::spawn(move || {
        let mut quiet_looks = 0_u32;
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(CHECKPOINT_EVERY) {
            quiet_looks = quiet_looks.saturating_sub(1);
            if length(&log) <= CHECKPOINT_BYTES {
                told.blocked_bytes.store(0, Ordering::Relaxed);
                continue;
            }
            // Passive: waits for nobody. If it cannot finish, the log grows, and the next look tries again.
            let pair = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
            match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], pair) {
                Ok((frames, moved)) => {
                    let blocked = u64::try_from(frames - moved).unwrap_or(0).saturating_mul(page);
                    told.blocked_bytes.store(blocked, Ordering::Relaxed);
                    if blocked > BLOCKED_WARNING_BYTES && quiet_looks == 0 {
                        quiet_looks = BLOCKED_WARNING_EVERY;
                        tracing::warn!(blocked_bytes = blocked, log = %log.display(), "the journal's write-ahead log grows: another program holds a transaction on the journal open; end that program");
                    }
                }
                Err(why) => {
                    tracing::warn!(%why, "a checkpoint of the journal failed");
                    record_lasting_failure(&told, &why);
                }
            }
        }
    });
    Ok((stop, thread))
}
