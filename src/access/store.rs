//! File of the keys in a data folder, which the service and the command line share.
//!
//! The file is replaced as a whole, under a lock, so that a reader sees all of a change or none of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::key::{AccessKey, AccessKeyStatus, KeyDraft, NewKey};

/// Name of the file in the data folder.
pub const KEY_FILE: &str = "access-keys.json";
/// Name of the file while it is written.
const SCRATCH: &str = "access-keys.json.new";
/// Name of the file that is locked while the keys change.
const LOCK: &str = "access-keys.lock";
/// Names of all files of the keys.
pub const KEY_FILES: [&str; 3] = [KEY_FILE, SCRATCH, LOCK];
/// Greatest number of keys, revoked ones included.
const KEYS_MAX: usize = 10_000;
/// Version of the file's format.
const VERSION: u32 = 1;

/// Reason why the keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("cannot {verb} {}: {source}", file.display())]
    Io {
        /// Operation that failed.
        verb: &'static str,
        /// The file.
        file: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The file does not hold keys.
    #[error("{} is damaged or of a newer version: {why}; put it back from a backup, or remove it and create new keys", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Mistake in the file.
        why: String,
    },
    /// The wish cannot be fulfilled.
    #[error("{0}")]
    Refused(String),
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    version: u32,
    keys: Vec<AccessKey>,
}

/// Keys of a data folder.
#[derive(Debug, Clone)]
pub struct KeyStore {
    folder: PathBuf,
}

/// Mark of the file's content, which changes with every change of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFileMark {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

fn io_error(verb: &'static str, file: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    move |source| KeyFileError::Io { verb, file: file.to_owned(), source }
}

/// Returns `true` if there is no such file. Whether the folder can be used is found out by its owner.
fn is_missing(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl KeyStore {
    /// Returns the keys' store in a data folder. Nothing is read or written yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Returns `true` if a key was ever created in the folder, even if the file of the keys is gone since.
    pub fn had_keys(&self) -> bool {
        self.folder.join(LOCK).exists()
    }

    fn file(&self) -> PathBuf {
        self.folder.join(KEY_FILE)
    }

    /// Returns the mark of the file, or `None` if there is no file.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Io`].
    pub fn mark(&self) -> Result<Option<KeyFileMark>, KeyFileError> {
        match fs::metadata(self.file()) {
            Ok(file) => Ok(Some(KeyFileMark {
                inode: file.ino(),
                length: file.size(),
                modified: (file.mtime(), file.mtime_nsec()),
            })),
            Err(why) if is_missing(&why) => Ok(None),
            Err(why) => Err(io_error("read", &self.file())(why)),
        }
    }

    /// Reads the keys, or returns `None` if none was ever created. From the first key on every call needs one.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Io`] and [`KeyFileError::Damaged`].
    pub fn read(&self) -> Result<Option<Vec<AccessKey>>, KeyFileError> {
        let file = self.file();
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(why) if is_missing(&why) => return Ok(None),
            Err(why) => return Err(io_error("read", &file)(why)),
        };
        let damaged = |why: String| KeyFileError::Damaged { file: file.clone(), why };
        let KeyFile { version, keys } = serde_json::from_str(&text).map_err(|why| damaged(why.to_string()))?;
        if version != VERSION {
            return Err(damaged(format!("it has version {version}, and this program reads {VERSION}")));
        }
        Ok(Some(keys))
    }

    /// Creates a key. Its name must be that of no other active key.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] of each kind.
    pub fn create(&self, draft: KeyDraft, now_us: i64) -> Result<NewKey, KeyFileError> {
        let new = draft.create(now_us).map_err(KeyFileError::Refused)?;
        self.change(|keys| {
            let taken = |key: &&AccessKey| key.name == new.key.name && key.status(now_us) == AccessKeyStatus::Active;
            if let Some(key) = keys.iter().find(taken) {
                let message =
                    format!("the key {} has the name '{}' already; choose another name", key.id, new.key.name);
                return Err(KeyFileError::Refused(message));
            }
            if keys.len() >= KEYS_MAX {
                // Keys that ended long ago make room; the journal names who made a change by the key's name.
                let Some(oldest) = keys.iter().position(|key| key.status(now_us) != AccessKeyStatus::Active) else {
                    return Err(KeyFileError::Refused(format!("there are {KEYS_MAX} keys; revoke some first")));
                };
                keys.remove(oldest);
            }
            keys.push(new.key.clone());
            Ok(())
        })?;
        Ok(new)
    }

    /// Revokes the key with this id or name. Returns the key.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] of each kind.
    pub fn revoke(&self, id_or_name: &str, now_us: i64) -> Result<AccessKey, KeyFileError> {
        self.change(|keys| {
            let active = |key: &AccessKey| key.status(now_us) == AccessKeyStatus::Active;
            let by_id = keys.iter().position(|key| key.id == id_or_name);
            let found = by_id.or_else(|| keys.iter().position(|key| key.name == id_or_name && active(key)));
            let Some(at) = found else {
                let message = format!("there is no active key '{id_or_name}'; `slotwise keys list` lists them");
                return Err(KeyFileError::Refused(message));
            };
            let key = &mut keys[at];
            key.revoked_us = key.revoked_us.or(Some(now_us));
            Ok(key.clone())
        })
    }

    /// Changes the keys under the lock, and replaces the file: whole and durable, or not at all.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<AccessKey>) -> Result<T, KeyFileError>,
    ) -> Result<T, KeyFileError> {
        let (file, scratch, lock) = (self.file(), self.folder.join(SCRATCH), self.folder.join(LOCK));
        fs::create_dir_all(&self.folder).map_err(io_error("make the folder", &self.folder))?;
        let private = || {
            let mut options = OpenOptions::new();
            options.create(true).write(true).mode(0o600);
            options
        };
        let lock_file = private().truncate(false).open(&lock).map_err(io_error("write", &lock))?;
        // The lock goes with the handle, at the end of this function.
        lock_file.lock().map_err(io_error("lock", &lock))?;
        let mut keys = self.read()?.unwrap_or_default();
        let changed = change(&mut keys)?;
        let write = || -> io::Result<()> {
            let mut out = private().truncate(true).open(&scratch)?;
            serde_json::to_writer_pretty(&mut out, &KeyFile { version: VERSION, keys })?;
            out.write_all(b"\n")?;
            out.sync_all()?;
            fs::rename(&scratch, &file)?;
            // The name is durable once its folder is.
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(io_error("write", &file))?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::access::Role;

    fn draft(name: &str) -> KeyDraft {
        KeyDraft { name: name.into(), roles: [Role::View].into(), ..KeyDraft::default() }
    }

    #[test]
    fn keys_are_created_listed_and_revoked_and_only_the_owner_may_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::new(folder.path());
        assert_eq!(store.read().unwrap(), None);
        let first = store.create(draft("first"), 10).unwrap();
        let mark = store.mark().unwrap();
        let second = store.create(draft("second"), 20).unwrap();
        assert_ne!(store.mark().unwrap(), mark);
        assert_eq!(store.read().unwrap().unwrap(), [first.key.clone(), second.key.clone()]);
        let mode = fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        assert_eq!(store.revoke("first", 30).unwrap().revoked_us, Some(30));
        assert_eq!(store.revoke(&first.key.id, 40).unwrap().revoked_us, Some(30), "the first time counts");
        let statuses: Vec<_> = store.read().unwrap().unwrap().iter().map(|key| key.status(50)).collect();
        assert_eq!(statuses, [AccessKeyStatus::Revoked, AccessKeyStatus::Active]);
        let gone = store.revoke("first", 50).unwrap_err().to_string();
        assert!(gone.contains("no active key 'first'") && gone.contains("keys list"), "{gone}");

        let taken = store.create(draft("second"), 60).unwrap_err().to_string();
        assert!(taken.contains("has the name 'second' already"), "{taken}");
        store.create(draft("first"), 60).unwrap();
    }

    #[test]
    fn a_damaged_file_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::new(folder.path());
        for content in ["", "{", "{\"version\": 2, \"keys\": []}", "[]"] {
            fs::write(folder.path().join(KEY_FILE), content).unwrap();
            for error in [store.read().unwrap_err(), store.create(draft("a"), 0).unwrap_err()] {
                let error = error.to_string();
                assert!(error.contains("access-keys.json is damaged") && !error.contains('\n'), "{error}");
            }
            assert_eq!(fs::read_to_string(folder.path().join(KEY_FILE)).unwrap(), content);
        }
    }

    #[test]
    fn keys_that_are_created_at_once_are_all_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::new(folder.path());
        std::thread::scope(|scope| {
            for i in 0..8 {
                let store = &store;
                scope.spawn(move || store.create(draft(&format!("key {i}")), 0).unwrap());
            }
        });
        assert_eq!(store.read().unwrap().unwrap().len(), 8);
    }
}
