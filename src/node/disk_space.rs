//! Space on the disk: what a data folder takes, and what is free.

use std::{fs, path::Path};

use rustix::process::{Resource, getrlimit};

use super::admission::RESERVE_BYTES;

/// Returns `true` if the disk under the journal has more free space than is reserved for rewards and changes, or if
/// the free space is unknown.
pub(super) fn is_ample(journal: &Path) -> bool {
    free_bytes(journal).is_none_or(|free| free > RESERVE_BYTES)
}

/// Bytes that may still be written beside the journal: the smaller of the file system's free space and of this
/// process's limit on the size of a file. Returns `None` if the file system does not answer.
fn free_bytes(journal: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(journal.parent()?).ok()?;
    let mut log = journal.as_os_str().to_owned();
    log.push("-wal");
    let log_bytes = fs::metadata(log).map_or(0, |log| log.len());
    let allowed = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX).saturating_sub(log_bytes);
    Some(system.f_bavail.saturating_mul(system.f_frsize).min(allowed))
}

/// Bytes that the files of a data folder take on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskUse {
    /// The journal.
    pub journal: u64,
    /// Write-ahead log of the journal.
    pub log: u64,
    /// The snapshots, one that is being written among them.
    pub snapshots: u64,
}

/// Returns the bytes that a data folder takes on the disk. Files that cannot be read count as 0.
pub fn disk_use(path: &Path) -> DiskUse {
    let mut used = DiskUse::default();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let bytes = entry.metadata().map_or(0, |file| file.len());
        match entry.file_name().to_str().unwrap_or_default() {
            "journal.sqlite3" => used.journal += bytes,
            "journal.sqlite3-wal" => used.log += bytes,
            name if name.starts_with("snapshot-") => used.snapshots += bytes,
            _ => {}
        }
    }
    used
}
