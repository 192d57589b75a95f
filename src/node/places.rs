//! Names of the files in a data folder, and where other files may be written.
//!
//! Invariant: only files whose full name is one of ours are written, renamed or removed.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use crate::access::KEY_FILES;

use super::subjects::{
    key::{KEY_FILE, KEY_SCRATCH},
    table::TABLE_FILE,
};

/// File that the owner of the folder holds a lock on.
pub(super) const LOCK: &str = "lock";
/// Files that a start writes to see whether it can: made under the first name, renamed to the second.
pub(super) const PROBES: [&str; 2] = ["journal.probe", "journal.probe.new"];
/// Files whose presence makes a folder a data folder.
const JOURNAL: [&str; 2] = ["journal.sqlite3", "journal.mark"];
/// Files that SQLite keeps beside the journal.
pub(super) const BESIDE: [&str; 3] = ["journal.sqlite3-wal", "journal.sqlite3-shm", "journal.sqlite3-journal"];
/// Folder that file systems put into their root: no file of anybody.
const OF_THE_FILE_SYSTEM: &str = "lost+found";
/// Digits of the position in a snapshot's name.
const DIGITS: usize = 20;

/// Name of the snapshot at a position.
pub(super) fn snapshot_name(position: u64) -> String {
    format!("snapshot-{position:0DIGITS$}.bin")
}

/// Position in a snapshot's name, or `None` if it is not the name of a snapshot.
pub(super) fn snapshot_position(name: &OsStr) -> Option<u64> {
    let digits = name.to_str()?.strip_prefix("snapshot-")?.strip_suffix(".bin")?;
    let all_digits = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok() } else { None }
}

/// Returns `true` for files that were being written when the process ended, and are of no use.
pub(super) fn is_scratch(name: &OsStr) -> bool {
    let snapshot = name.to_str().and_then(|name| name.strip_suffix(".new")).map(OsStr::new);
    snapshot.is_some_and(|name| snapshot_position(name).is_some())
        || PROBES.iter().chain(&[KEY_SCRATCH]).any(|file| name == *file)
}

/// Returns `true` for files that only a data folder has.
fn is_telling(name: &OsStr) -> bool {
    snapshot_position(name).is_some() || JOURNAL.iter().any(|file| name == *file)
}

/// Files of the subjects: the key, and the table of ids with what SQLite keeps beside it.
const SUBJECTS: [&str; 5] =
    [KEY_FILE, TABLE_FILE, "subjects.sqlite3-wal", "subjects.sqlite3-shm", "subjects.sqlite3-journal"];

fn is_ours(name: &OsStr) -> bool {
    let beside = || BESIDE.iter().chain(&SUBJECTS).chain(&KEY_FILES).any(|file| name == *file);
    is_telling(name) || is_scratch(name) || name == LOCK || beside()
}

/// Contents of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FolderContents {
    /// The folder is empty, or holds only files of a start that was cut short.
    Empty,
    /// A data folder.
    Ours,
    /// Other files, of which this is one.
    Foreign(PathBuf),
}

/// Looks what a folder holds.
pub(super) fn contents(folder: &Path) -> io::Result<FolderContents> {
    let (mut telling, mut foreign) = (false, None);
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        telling |= is_telling(&name);
        if !is_ours(&name) && name != OF_THE_FILE_SYSTEM {
            foreign = foreign.or(Some(PathBuf::from(name)));
        }
    }
    Ok(match foreign {
        _ if telling => FolderContents::Ours,
        Some(name) => FolderContents::Foreign(name),
        None => FolderContents::Empty,
    })
}

/// Returns `true` if the folder is the data folder of a service, or a backup of one.
fn is_data_folder(folder: &Path) -> bool {
    JOURNAL.iter().any(|file| folder.join(file).symlink_metadata().is_ok())
}

/// The data folder that a file or folder which is to be written would be in, or `None` if it would be in none. Links and
/// relative paths are followed.
pub fn data_folder_around(output: &Path) -> Option<PathBuf> {
    // The place of the name itself, and the place that a link of that name leads to.
    let parent = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A folder that is not there yet is made within the first one that is.
    let existing = parent.ancestors().find_map(|folder| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        folder.canonicalize().ok()
    });
    let leads_to = output.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
    [existing, leads_to]
        .into_iter()
        .flatten()
        .find_map(|place| place.ancestors().find(|folder| is_data_folder(folder)).map(Path::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_names_are_ours() {
        let name = snapshot_name(147);
        assert_eq!(name, "snapshot-00000000000000000147.bin");
        assert_eq!(snapshot_position(OsStr::new(&name)), Some(147));
        for other in [
            "snapshot-147.bin",
            "snapshot-+0000000000000000147.bin",
            "snapshot-00000000000000000147.bin.bak",
            "my-snapshot-00000000000000000147.bin",
        ] {
            assert_eq!(snapshot_position(OsStr::new(other)), None, "{other}");
            assert!(!is_ours(OsStr::new(other)), "{other}");
        }
        assert!(is_scratch(OsStr::new("snapshot-00000000000000000147.bin.new")));
        for other in ["thesis.new", "snapshot-147.bin.new", "journal.sqlite3.new", ".new"] {
            assert!(!is_scratch(OsStr::new(other)), "{other}");
        }
    }

    #[test]
    fn an_output_within_a_data_folder_is_found_through_links_and_relative_paths() {
        let folder = tempfile::tempdir().unwrap();
        let (data, other) = (folder.path().join("data"), folder.path().join("other"));
        fs::create_dir_all(data.join("below")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(data.join("journal.sqlite3"), "").unwrap();
        std::os::unix::fs::symlink(&data, other.join("link")).unwrap();
        std::os::unix::fs::symlink(data.join("journal.sqlite3"), other.join("file")).unwrap();
        let canonical = data.canonicalize().unwrap();
        for inside in [
            data.join("out.jsonl"),
            data.join("journal.sqlite3"),
            data.join("below/out.jsonl"),
            data.join("not/yet/there"),
            other.join("link/out.jsonl"),
            other.join("../data/out.jsonl"),
            other.join("file"),
        ] {
            assert_eq!(data_folder_around(&inside).as_ref(), Some(&canonical), "{}", inside.display());
        }
        for outside in [other.join("out.jsonl"), folder.path().join("data.backup"), data.clone()] {
            assert_eq!(data_folder_around(&outside), None, "{}", outside.display());
        }
    }

    #[test]
    fn a_folder_is_empty_ours_or_foreign() {
        let folder = tempfile::tempdir().unwrap();
        let touch = |name: &str| fs::write(folder.path().join(name), "").unwrap();
        assert_eq!(contents(folder.path()).unwrap(), FolderContents::Empty);
        touch("lock");
        fs::create_dir(folder.path().join("lost+found")).unwrap();
        assert_eq!(contents(folder.path()).unwrap(), FolderContents::Empty);
        touch("thesis.new");
        assert_eq!(contents(folder.path()).unwrap(), FolderContents::Foreign("thesis.new".into()));
        touch("journal.sqlite3");
        assert_eq!(contents(folder.path()).unwrap(), FolderContents::Ours);
    }
}
