//! Free space on the disk.

use std::path::Path;

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
    let log_bytes = std::fs::metadata(log).map_or(0, |log| log.len());
    let allowed = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX).saturating_sub(log_bytes);
    Some(system.f_bavail.saturating_mul(system.f_frsize).min(allowed))
}
