//! The data folder: one process at a time, and the snapshots in it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::engine::{
    State,
    snapshot::{self, SnapshotError},
};

/// How many snapshots are kept: the newest, and the one before should it be damaged.
const SNAPSHOTS: usize = 2;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("the data folder {} is in use by another process; stop that one, or choose another folder with --data", .0.display())]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A snapshot is of a newer version.
    #[error("cannot read the snapshot {}: {source}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SnapshotError,
    },
}

fn io_error(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |source| FolderError::Io { verb, path: path.to_owned(), source }
}

/// The data folder, locked for as long as this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The lock goes with the file handle, also when the process is killed.
    _lock: File,
}

impl Folder {
    /// Locks the folder; makes it where it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        fs::create_dir_all(path).map_err(io_error("make the data folder", path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io_error("write", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {
                let folder = Self { path: path.to_owned(), _lock: lock };
                folder.remove_scratch()?;
                Ok(folder)
            }
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(FolderError::Io { verb: "lock", path: lock_path, source }),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what a snapshot that was cut short left behind.
    fn remove_scratch(&self) -> Result<(), FolderError> {
        for entry in fs::read_dir(&self.path).map_err(io_error("list", &self.path))? {
            let path = entry.map_err(io_error("list", &self.path))?.path();
            if path.extension().is_some_and(|extension| extension == "new") {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }

    /// The snapshots by position, newest first.
    fn snapshots(&self) -> Result<Vec<(u64, PathBuf)>, FolderError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(io_error("list", &self.path))? {
            let path = entry.map_err(io_error("list", &self.path))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let position = name.strip_prefix("snapshot-").and_then(|rest| rest.strip_suffix(".bin"));
            if let Some(position) = position.and_then(|digits| digits.parse().ok()) {
                found.push((position, path));
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// The newest whole snapshot, and the highest position that any of them, whole or not, claims was durable.
    pub(super) fn newest_snapshot(&self) -> Result<(State, u64), FolderError> {
        let snapshots = self.snapshots()?;
        let claimed = snapshots.first().map_or(0, |(position, _)| *position);
        for (position, path) in snapshots {
            let bytes = fs::read(&path).map_err(io_error("read", &path))?;
            match snapshot::decode(&bytes) {
                Ok(state) if state.position() == position => return Ok((state, claimed)),
                Ok(state) => {
                    tracing::warn!(path = %path.display(), position = state.position(), "a snapshot is of another position than its name says; going back to the one before");
                }
                Err(source @ SnapshotError::Version(_)) => return Err(FolderError::Newer { path, source }),
                Err(why) => {
                    tracing::warn!(path = %path.display(), %why, "a snapshot cannot be used; going back to the one before");
                }
            }
        }
        Ok((State::default(), claimed))
    }

    /// Writes a snapshot: whole or not at all.
    pub(super) fn write_snapshot(path: &Path, state: &State) -> Result<(), FolderError> {
        let name = format!("snapshot-{:020}.bin", state.position());
        let (target, scratch) = (path.join(&name), path.join(format!("{name}.new")));
        let bytes = snapshot::encode(state).map_err(|e| io_error("encode", &target)(io::Error::other(e)))?;
        let written = File::create(&scratch).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        if let Err(why) = written {
            // A part of a snapshot is of no use, and may be what fills the disk.
            let _ = fs::remove_file(&scratch);
            return Err(io_error("write", &scratch)(why));
        }
        fs::rename(&scratch, &target).map_err(io_error("rename", &scratch))?;
        // The name is durable once its folder is.
        File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error("sync", path))
    }

    /// Drops all but the newest snapshots.
    pub(super) fn prune(&self) -> Result<(), FolderError> {
        for (_, path) in self.snapshots()?.into_iter().skip(SNAPSHOTS) {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
        Ok(())
    }
}
