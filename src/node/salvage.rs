//! A data folder built from what is whole in a damaged one.
//!
//! The records that agree with their checksums are found wherever they stand, also behind the first damaged frame of the
//! write-ahead log. The newest whole snapshot stands for everything up to its position, whatever is lost before it. What
//! follows it is taken as far as it is whole: records after a gap move together, so that the new journal has none.
//!
//! Invariant: nothing is written into the source, no lock and no index either. The result has an identity of its own: it
//! is another history.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io,
    path::Path,
};

use super::{
    audit::{Audit, AuditError, Progress, audit},
    backup::{BackupError, ScratchFolder, copy_subjects, refuse_contents, refuse_inside},
    error::OpenError,
    folder::{Folder, FolderError, io_error},
    places::LOCK,
    recover::{origin, recover, workers},
    snapshot_file::SnapshotFile,
    subjects::{Mask, key::SubjectKey},
};
use crate::{
    engine::{State, TRAFFIC},
    journal::{self, JournalReader, LossPolicy, PageScan, RebuildPlan},
};

/// Positions of which nothing is left, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first one.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

/// A folder that was salvaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// Contents of the new folder.
    pub audit: Audit,
    /// Positions that were committed and of which nothing whole is left.
    pub gaps: Vec<Gap>,
    /// Number of lost events by kind, "unknown" if the kind cannot be read.
    pub lost: BTreeMap<String, u64>,
    /// Position of the snapshot that the new folder begins from, or 0 if it has none.
    pub snapshot: u64,
    /// Lost events that the snapshot holds: they count, and only their records are gone.
    pub held_by_snapshot: u64,
    /// Snapshots that could not be used, and why.
    pub left_out: Vec<String>,
    /// Position of the first record that moved, with the position that it has now; `None` if none did.
    pub moved: Option<(u64, u64)>,
}

/// Builds the folder `target` from what is whole in `source`, which must not be in use and is not changed.
pub fn salvage(source: &Path, target: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Salvaged, BackupError> {
    refuse_inside(target)?;
    refuse_contents(target, "give a new folder")?;
    refuse_in_use(source)?;
    let snapshots = SnapshotFile::open_all(source)?;
    let acknowledged = journal::acknowledged(source)?.unwrap_or(0);
    progress(Progress { doing: "looking through the journal", done: 0, of: 0 });
    let file = source.join("journal.sqlite3");
    let read = |why: io::Error| FolderError::Io { verb: "read", path: file.clone(), source: why };
    let carved = PageScan::open(source, acknowledged).map_err(read)?;
    let (state, left_out) = newest_whole(&snapshots, &carved);
    let held = state.as_ref().map_or(0, State::position);
    let claimed = snapshots.iter().map(|snapshot| snapshot.position).max().unwrap_or(0);
    let end = carved.positions().next_back().unwrap_or(0).max(acknowledged).max(claimed);
    let gaps = gaps(&carved, end);
    if end == 0 {
        let why = OpenError::NothingWhole(source.to_owned());
        return Err(BackupError::Audit(why.into()));
    }
    // Up to the last gap that the snapshot spans records may be missing.
    let spanned = gaps.iter().filter(|gap| gap.first <= held).map(|gap| gap.last.min(held)).max();
    let trimmed = if held == 0 { 0 } else { spanned.unwrap_or(0).max(carved.trimmed()) };
    let outline = RebuildPlan { kept: held, trimmed };

    let scratch = ScratchFolder::make(target)?;
    let beginning = {
        let mut positions = carved.positions();
        let mut next = || loop {
            let Some(position) = positions.next() else { return Ok(None) };
            let record = carved.record(position);
            // Free pages may still hold records that retention has dropped.
            let dropped = |kind: &str| position <= carved.trimmed() && TRAFFIC.contains(&kind);
            if let Some(record) = record.filter(|record| !dropped(&record.kind)) {
                return Ok(Some(record));
            }
        };
        journal::rebuild(&scratch.path, outline, &mut next)?
    };
    let mut left_out = left_out;
    copy_subjects(source, &scratch.path, &mut left_out)?;
    if let Some(key) = SubjectKey::read(&scratch.path).map_err(OpenError::from).map_err(AuditError::from)? {
        journal::record_subjects_key(&scratch.path, key.fingerprint())?;
    }
    if let Some(state) = &state {
        Folder::write_snapshot(&scratch.path, &state.freeze(), &origin(&beginning))?;
    }
    // The new folder must start, so it is recovered here as a service would recover it.
    let reader = JournalReader::open_owned(&scratch.path, LossPolicy::Refused)?;
    let mask = Mask::of(&scratch.path, reader.as_ref()).map_err(AuditError::from)?;
    recover(&scratch.path, reader.as_ref(), mask, workers()).map_err(|why| BackupError::Audit(why.into()))?;
    drop(reader);
    let audit = audit(&scratch.path, false, progress)?;
    scratch.finish()?;
    let (lost, held_by_snapshot) = count_lost(&carved, &gaps, held);
    let moved = carved.positions().filter(|position| *position > held).zip(held + 1..).find(|(was, is)| was != is);
    Ok(Salvaged { audit, gaps, lost, snapshot: held, held_by_snapshot, left_out, moved })
}

/// Refuses a folder that a process owns; without a lock file nobody does.
pub(super) fn refuse_in_use(source: &Path) -> Result<(), BackupError> {
    let path = source.join(LOCK);
    match File::open(&path) {
        Ok(lock) => match lock.try_lock_shared() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(source.to_owned()).into()),
            Err(TryLockError::Error(why)) => Err(io_error("lock", &path)(why).into()),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(io_error("read", &path)(why).into()),
    }
}

/// The state of the newest snapshot that is whole and belongs to the journal, and what is wrong with newer ones.
fn newest_whole(snapshots: &[SnapshotFile], carved: &PageScan) -> (Option<State>, Vec<String>) {
    let mut left_out = Vec::new();
    for snapshot in snapshots {
        let foreign = match (snapshot.origin(), carved.identity()) {
            (Ok(origin), Some(ours)) => origin.journal != ours.0,
            _ => false,
        };
        if foreign {
            left_out.push(format!("{} belongs to another journal", snapshot.path.display()));
            continue;
        }
        if snapshot.position < carved.trimmed() {
            left_out.push(format!("{} is older than what the journal still holds", snapshot.path.display()));
            continue;
        }
        match snapshot.state() {
            Ok(state) if state.position() == snapshot.position => return (Some(state), left_out),
            Ok(_) => left_out.push(format!("{} holds another position", snapshot.path.display())),
            Err(why) => left_out.push(why.to_string()),
        }
    }
    (None, left_out)
}

/// The positions that were committed, may not have been dropped, and were not found.
fn gaps(carved: &PageScan, end: u64) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut expected = carved.trimmed() + 1;
    for position in carved.positions().filter(|position| *position > carved.trimmed()).chain([end + 1]) {
        if position > expected {
            gaps.push(Gap { first: expected, last: position - 1 });
        }
        expected = position + 1;
    }
    gaps
}

/// Counts the lost events by kind, and those of them that the snapshot up to `held` has.
fn count_lost(carved: &PageScan, gaps: &[Gap], held: u64) -> (BTreeMap<String, u64>, u64) {
    let (mut lost, mut in_snapshot) = (BTreeMap::new(), 0);
    for position in gaps.iter().flat_map(|gap| gap.first..=gap.last) {
        let kind = carved.kind_of_damaged(position).filter(|kind| !kind.is_empty()).unwrap_or("unknown");
        *lost.entry(kind.to_owned()).or_default() += 1;
        in_snapshot += u64::from(position <= held);
    }
    (lost, in_snapshot)
}
