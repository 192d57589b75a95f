//! The data folder: its lock for one process at a time, and the writing of its snapshots.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    places::{self, BESIDE, FolderContents, LOCK, PROBES},
    snapshot_file::{snapshots, verify_snapshot},
};
use crate::engine::snapshot::{FrozenState, Origin, SnapshotError};

/// Number of snapshots that are kept: the newest, and the one before should it be damaged.
const SNAPSHOTS: usize = 2;
/// Number of times that a start tries to get the lock: a command that reads holds it for a moment to test it.
const LOCK_TRIES: u32 = 10;
/// Time between two tries.
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// Reason why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("the data folder {} is in use by another process; stop that one, or choose another folder with --data", .0.display())]
    InUse(PathBuf),
    /// The folder holds files of other programs.
    #[error("the folder {} is neither empty nor a data folder of this program (it holds '{}'); choose a new or an empty folder with --data", folder.display(), file.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// A file in it.
        file: PathBuf,
    },
    /// A file of it is marked as read-only.
    #[error("cannot write {}: the file is marked as read-only; make it writable (chmod u+w), or choose another folder with --data", .0.display())]
    ReadOnly(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// Operation that failed, as in "read".
        verb: &'static str,
        /// File of the operation.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A snapshot is of a newer version, or cannot be used.
    #[error("cannot use the snapshot {}: {source}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// Description of the fault.
        source: SnapshotError,
    },
    /// A snapshot holds another position than its name says.
    #[error("the snapshot {} holds position {position}, but its file name gives another one", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The position that it holds.
        position: u64,
    },
}

pub(super) fn io_error(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |source| FolderError::Io { verb, path: path.to_owned(), source }
}

/// The data folder, locked for as long as this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The lock goes with the file handle, also when the process is killed.
    _lock: File,
    /// Files and folders that were made to examine the folder, and are removed if it is refused.
    made: Vec<PathBuf>,
}

/// Makes a folder, durably: its name is durable once the folder that it stands in is.
fn make_folder(path: &Path) -> Result<(), FolderError> {
    fs::create_dir_all(path).map_err(io_error("make the data folder", path))?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(io_error("sync", parent))?;
    }
    Ok(())
}

/// Takes the lock of a folder, or returns `None` if another process has it.
fn take_lock(path: &Path) -> Result<Option<File>, FolderError> {
    let lock =
        OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(io_error("write", path))?;
    for attempt in 0..LOCK_TRIES {
        if attempt > 0 {
            std::thread::sleep(LOCK_AGAIN);
        }
        match lock.try_lock() {
            // A start that was refused may have removed the file that it made meanwhile.
            Ok(()) if lock.metadata().map_err(io_error("read", path))?.nlink() == 0 => return Ok(None),
            Ok(()) => return Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(io_error("lock", path)(source)),
        }
    }
    Ok(None)
}

impl Folder {
    /// Locks the folder; makes it where it is not there. Until it is [kept](Self::keep), nothing else is changed, and
    /// what was made goes again with this value.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let mut made = Vec::new();
        if path.is_dir() {
            if let FolderContents::Foreign(file) = places::contents(path).map_err(io_error("list", path))? {
                return Err(FolderError::Foreign { folder: path.to_owned(), file });
            }
        } else {
            make_folder(path)?;
            made.push(path.to_owned());
        }
        let lock_path = path.join(LOCK);
        if !lock_path.exists() {
            made.push(lock_path.clone());
        }
        match take_lock(&lock_path)? {
            Some(lock) => Ok(Self { path: path.to_owned(), _lock: lock, made }),
            None => Err(FolderError::InUse(path.to_owned())),
        }
    }

    /// Takes the folder for good: sees that it can be written, and removes what a start or a snapshot that was cut short
    /// left behind.
    pub(super) fn keep(&mut self) -> Result<(), FolderError> {
        self.prove_writable()?;
        self.made.clear();
        self.remove_scratch()
    }

    /// Path of the folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes, syncs and renames a file, and opens for writing what is there: a service that finds out with the first
    /// reward that it cannot is worse than one that does not start.
    fn prove_writable(&self) -> Result<(), FolderError> {
        let ours = ["journal.sqlite3", "journal.mark"].into_iter().chain(BESIDE).map(|name| self.path.join(name));
        for path in ours.filter(|path| path.exists()) {
            if fs::metadata(&path).map_err(io_error("read", &path))?.permissions().readonly() {
                return Err(FolderError::ReadOnly(path));
            }
            OpenOptions::new().write(true).open(&path).map_err(io_error("write", &path))?;
        }
        let [probe, renamed] = PROBES.map(|name| self.path.join(name));
        let write = || {
            let mut file = File::create(&probe)?;
            file.write_all(b"slotwise")?;
            file.sync_all()
        };
        match write() {
            Ok(()) => {}
            // A full disk is waited for while the service runs.
            Err(why) if is_full(&why) => {
                tracing::warn!(%why, folder = %self.path.display(), "the disk is full");
                return Ok(());
            }
            Err(why) => return Err(io_error("write", &probe)(why)),
        }
        fs::rename(&probe, &renamed).map_err(io_error("rename", &probe))?;
        fs::remove_file(&renamed).map_err(io_error("remove", &renamed))?;
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(io_error("sync", &self.path))
    }

    /// Removes what was being written when a process ended.
    fn remove_scratch(&self) -> Result<(), FolderError> {
        for entry in fs::read_dir(&self.path).map_err(io_error("list", &self.path))? {
            let path = entry.map_err(io_error("list", &self.path))?.path();
            if path.file_name().is_some_and(places::is_scratch) {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Writes a snapshot: whole or not at all. Returns its length, bytes.
    pub(super) fn write_snapshot(path: &Path, frozen: &FrozenState, origin: &Origin) -> Result<u64, FolderError> {
        let name = places::snapshot_name(frozen.position());
        let (target, scratch) = (path.join(&name), path.join(format!("{name}.new")));
        let write = || -> io::Result<u64> {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(&scratch)?);
            let mut length = 0;
            for section in frozen.sections(origin) {
                let section = section.map_err(io::Error::other)?;
                file.write_all(&section)?;
                length += section.len() as u64;
            }
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            Ok(length)
        };
        let length = write().map_err(|why| {
            // A part of a snapshot is of no use, and may be what fills the disk.
            let _ = fs::remove_file(&scratch);
            io_error("write", &scratch)(why)
        })?;
        fs::rename(&scratch, &target).map_err(io_error("rename", &scratch))?;
        // The name is durable once its folder is.
        File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error("sync", path))?;
        Ok(length)
    }

    /// The position of the oldest snapshot that is kept, if there are as many as are kept and it is whole: what the
    /// journal must go back to.
    pub(super) fn covered(path: &Path) -> Result<u64, FolderError> {
        let snapshots = snapshots(path)?;
        let Some((position, oldest)) = snapshots.get(SNAPSHOTS - 1) else { return Ok(0) };
        match verify_snapshot(oldest) {
            Ok(()) => Ok(*position),
            // Not damage: the next snapshot takes its place.
            Err(FolderError::Snapshot { source: SnapshotError::Older(_), .. }) => Ok(0),
            Err(why) => Err(why),
        }
    }

    /// Drops all but the newest snapshots.
    pub(super) fn prune(path: &Path) -> Result<(), FolderError> {
        for (_, path) in snapshots(path)?.into_iter().skip(SNAPSHOTS) {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The lock before the folder it is in; a folder that holds something by now stays.
        for path in self.made.iter().rev() {
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
}

/// Returns `true` if a write failed for want of room.
fn is_full(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
