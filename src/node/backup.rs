//! A data folder copied while it is in use, and put back.
//!
//! The snapshots first, then the journal: so the journal always holds what a snapshot claims. The copy is made under
//! a scratch name, verified, made durable and only then given its own: a folder of that name is a whole backup.
//!
//! Deliberately not here: backups that hold only what is new.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    audit::{Audit, AuditError, Progress, TRIES, audit, audit_what_starts, reaches},
    error::OpenError,
    folder::{FolderError, io_error},
    places::data_folder_around,
    snapshot_file::SnapshotFile,
    subjects::{
        key::SubjectKey,
        table::{Names, TABLE_FILE},
    },
};
use crate::journal::{JournalReader, ReadError};

/// Ending of the name of a copy that is not complete yet.
const PARTIAL: &str = "partial";

/// Reason why a folder was not copied.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there already.
    #[error("the folder {} is not empty; {hint}", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// Advice on what to do.
        hint: &'static str,
    },
    /// The place is within a data folder.
    #[error("{} would be inside the data folder {}; give a place outside of it", output.display(), data.display())]
    Inside {
        /// Target that would be written.
        output: PathBuf,
        /// The data folder.
        data: PathBuf,
    },
    /// Another copy to the same place is being made, or was cut short.
    #[error("{} exists: another copy is being made, or was cut short; if none is being made, remove it", .0.display())]
    ScratchFolder(PathBuf),
    /// The folder is a copy that was cut short.
    #[error("{} is a backup that was cut short; take another one", .0.display())]
    Partial(PathBuf),
    /// The place has no name.
    #[error("{} does not end in a folder name; give the path of the folder to create", .0.display())]
    Nameless(PathBuf),
    /// No subject of the folder was forgotten.
    #[error("no subject was forgotten in {}; forget one first, with `slotwise privacy forget`", .0.display())]
    NobodyForgotten(PathBuf),
    /// Retention has dropped decisions from which models learned.
    #[error("the journal in {} has dropped decisions and events up to position {trimmed}, from which models learned; --as-retained folds what is left, and loses what they learned before", folder.display())]
    Trimmed {
        /// The folder.
        folder: PathBuf,
        /// Last position whose decisions and events may be gone.
        trimmed: u64,
    },
    /// The folder cannot be read, or the copy failed its audit.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl From<ReadError> for BackupError {
    fn from(why: ReadError) -> Self {
        Self::Audit(why.into())
    }
}

impl From<FolderError> for BackupError {
    fn from(why: FolderError) -> Self {
        Self::Audit(why.into())
    }
}

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySummary {
    /// Contents of the copy.
    pub audit: Audit,
    /// Faults of the snapshots that were left out. The journal and the other snapshots do without them.
    pub left_out: Vec<String>,
}

/// Copies the state of a data folder, which may be in use, to `target`: a new folder, or an empty one.
pub fn backup(data: &Path, target: &Path, progress: &mut dyn FnMut(Progress)) -> Result<CopySummary, BackupError> {
    refuse_inside(target)?;
    refuse_contents(target, "give a new folder for each backup")?;
    copy(data, target, progress)
}

/// Verifies a backup and makes the data folder `data` of it, which must not be there, or be empty. A damaged snapshot that
/// a service would start without is left out.
pub fn restore(backup: &Path, data: &Path, progress: &mut dyn FnMut(Progress)) -> Result<CopySummary, BackupError> {
    if backup.extension().is_some_and(|extension| extension == PARTIAL) {
        return Err(BackupError::Partial(backup.to_owned()));
    }
    refuse_inside(data)?;
    refuse_contents(data, "move it away first, or give another folder with --data")?;
    audit_what_starts(backup, progress)?;
    copy(backup, data, progress)
}

/// Refuses a place within a data folder: what is written there would be taken for a part of it, or replace one.
pub(super) fn refuse_inside(output: &Path) -> Result<(), BackupError> {
    match data_folder_around(output) {
        Some(data) => Err(BackupError::Inside { output: output.to_owned(), data }),
        None => Ok(()),
    }
}

pub(super) fn refuse_contents(folder: &Path, hint: &'static str) -> Result<(), BackupError> {
    match fs::read_dir(folder) {
        Ok(entries) => match entries.count() {
            0 => Ok(()),
            _ => Err(BackupError::NotEmpty { folder: folder.to_owned(), hint }),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(io_error("list", folder)(why).into()),
    }
}

fn copy(source: &Path, target: &Path, progress: &mut dyn FnMut(Progress)) -> Result<CopySummary, BackupError> {
    let scratch = ScratchFolder::make(target)?;
    let mut tries = 1;
    let left_out = loop {
        let (positions, mut left_out) = copy_snapshots(source, &scratch.path)?;
        progress(Progress { doing: "copying the journal", done: 0, of: 0 });
        JournalReader::open(source)?.copy_to(&scratch.path)?;
        copy_subjects(source, &scratch.path, &mut left_out)?;
        let trimmed = JournalReader::open(&scratch.path)?.trimmed();
        // The service may have taken a snapshot meanwhile, and dropped what is in it.
        if reaches(trimmed, positions.into_iter()) {
            break left_out;
        }
        if tries == TRIES {
            let damaged = if left_out.is_empty() { "none reaches so far".to_owned() } else { left_out.join("; ") };
            return Err(AuditError::from(OpenError::NoSnapshot { folder: source.to_owned(), trimmed, damaged }).into());
        }
        tries += 1;
        scratch.clear()?;
    };
    let audit = audit(&scratch.path, false, progress)?;
    scratch.finish()?;
    Ok(CopySummary { audit, left_out })
}

/// Copies the key of the subjects and, where it is there, the table of their ids.
pub(super) fn copy_subjects(source: &Path, target: &Path, left_out: &mut Vec<String>) -> Result<(), BackupError> {
    if let Some(key) = SubjectKey::read(source).map_err(OpenError::from).map_err(AuditError::from)? {
        key.write(target).map_err(OpenError::from).map_err(AuditError::from)?;
    }
    let table = source.join(TABLE_FILE);
    if table.exists()
        && let Err(why) = Names::open(source).and_then(|names| names.copy_to(target))
    {
        left_out.push(format!("the ids of subjects, {}: {why}; decisions show pseudonyms", table.display()));
    }
    Ok(())
}

/// Copies the snapshots that are whole, durably; the positions of those, and what is wrong with the others.
fn copy_snapshots(source: &Path, target: &Path) -> Result<(Vec<u64>, Vec<String>), BackupError> {
    let (mut positions, mut left_out) = (Vec::new(), Vec::new());
    for snapshot in SnapshotFile::open_all(source)? {
        if let Err(why) = snapshot.verify() {
            left_out.push(why.to_string());
            continue;
        }
        let Some(name) = snapshot.path.file_name() else { continue };
        let path = target.join(name);
        let write = || -> Result<(), FolderError> {
            let mut from = snapshot.rewound()?;
            let mut to = File::create(&path).map_err(io_error("write", &path))?;
            io::copy(&mut from, &mut to).and_then(|_| to.sync_all()).map_err(io_error("write", &path))
        };
        write()?;
        positions.push(snapshot.position);
    }
    Ok((positions, left_out))
}

/// A folder under its scratch name; removed when it is dropped unfinished.
pub(super) struct ScratchFolder {
    pub(super) path: PathBuf,
    target: PathBuf,
    parent: PathBuf,
}

impl ScratchFolder {
    pub(super) fn make(target: &Path) -> Result<Self, BackupError> {
        let mut name: OsString = target.file_name().ok_or_else(|| BackupError::Nameless(target.to_owned()))?.into();
        name.push(".");
        name.push(PARTIAL);
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&parent).map_err(io_error("make", &parent))?;
        let path = target.with_file_name(name);
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self { path, target: target.to_owned(), parent }),
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Err(BackupError::ScratchFolder(path)),
            Err(why) => Err(io_error("make", &path)(why).into()),
        }
    }

    fn clear(&self) -> Result<(), FolderError> {
        fs::remove_dir_all(&self.path).and_then(|()| fs::create_dir(&self.path)).map_err(io_error("clear", &self.path))
    }

    /// Makes it durable and gives it its name.
    pub(super) fn finish(self) -> Result<(), FolderError> {
        let sync =
            |folder: &Path| File::open(folder).and_then(|file| file.sync_all()).map_err(io_error("sync", folder));
        sync(&self.path)?;
        // Onto an empty folder, or none.
        fs::rename(&self.path, &self.target).map_err(io_error("rename the finished copy to", &self.target))?;
        sync(&self.parent)
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // Finished, it no longer has this name.
        let _ = fs::remove_dir_all(&self.path);
    }
}
