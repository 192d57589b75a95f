//! A database opened without changing anything on the disk.
//!
//! An ordinary connection, also a read-only one, makes or rewrites the `-shm` file, and SQLite may move the log into the
//! file and remove it when the connection closes, up to the first frame that is not whole. A quiet connection keeps the
//! index of the log in memory, takes no lock and never checkpoints. It must therefore only be used while no process
//! writes, or by a reader who tries again when the files changed under it.

use std::{
    fmt::Write as _,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::ReadError;

/// The write-ahead log of a database.
pub(super) fn log_file(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Length of a file, or 0 if there is none.
pub(super) fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

/// Opens the database `file`, with its write-ahead log where it has one, and changes nothing, now or later.
pub(super) fn open(file: &Path) -> Result<Connection, ReadError> {
    let why = |why: rusqlite::Error| ReadError::Open { file: file.to_owned(), why: why.to_string() };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let log = length(&log_file(file));
    if log == 0 {
        // No index is needed, because there is no log. SQLite would create an empty one.
        return Connection::open_with_flags(immutable(file), flags | OpenFlags::SQLITE_OPEN_URI).map_err(why);
    }
    if length(file) == 0 {
        // SQLite removes the log of an empty database, even where it may only read.
        let why = format!(
            "it is empty, but {log} bytes of events stand in its write-ahead log beside it; try `slotwise journal salvage`"
        );
        return Err(ReadError::Open { file: file.to_owned(), why });
    }
    let connection = Connection::open_with_flags_and_vfs(file, flags, c"unix-none").map_err(why)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(why)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(why)?;
    Ok(connection)
}

/// The database as a URI that says that nobody changes it.
fn immutable(file: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in file.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri.push_str("?immutable=1");
    uri
}
