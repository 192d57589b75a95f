//! Audit of a data folder: checks that it holds what it says. A service may write the folder meanwhile.
//!
//! Every record is read, its checksum verified, and decoded; positions must be contiguous, and columns must say what
//! the event says. Every snapshot must be whole, and the journal must reach back and forth to what it needs. With a
//! fold, the state that the journal gives at a snapshot's position must be the snapshot's, byte for byte.
//!
//! Invariant: nothing is changed.

use std::{
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
};

use super::{
    codec::{self, Decoded, SkippedEvent},
    error::OpenError,
    folder::{FolderError, io_error},
    recover::{origin, refuse_foreign, replay_by, workers},
    snapshot_file::SnapshotFile,
    subjects::Mask,
};
use crate::{
    engine::{
        State,
        snapshot::{self, SnapshotError},
    },
    journal::{JournalReader, ReadError, RecordRange, Stored},
    slot::SlotId,
};

/// Records between two reports of progress.
const REPORT_EVERY: u64 = 4_096;
/// Number of times that the folder is read again because the service moved on meanwhile: once is rare, twice a very fast
/// service.
pub(super) const TRIES: usize = 3;

/// Progress of a task that may take long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Name of the task, as in "reading the journal".
    pub doing: &'static str,
    /// Number of steps that are done.
    pub done: u64,
    /// Total number of steps, or 0 if unknown.
    pub of: u64,
}

/// A snapshot that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditedSnapshot {
    /// Position of the snapshot.
    pub position: u64,
    /// Length of the file.
    pub bytes: u64,
    /// The fold of the journal gives the same, byte for byte; false: it was not asked for, or began there.
    pub compared: bool,
}

/// Contents of a data folder, all verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Records.
    pub records: u64,
    /// Last position up to which only changes of slots are kept.
    pub trimmed: u64,
    /// The last position.
    pub last: u64,
    /// The length of the journal's file.
    pub journal_bytes: u64,
    /// Newest first.
    pub snapshots: Vec<AuditedSnapshot>,
    /// Positions of snapshots of an older format, newest first. A start does not read them.
    pub older: Vec<u64>,
}

/// Damage or inconsistency of a data folder.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The journal cannot be read, or is damaged.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A snapshot is not what the journal gives.
    #[error("the snapshot {} differs from the state that the journal gives at position {position}, from byte {byte} on; keep both, and restore a backup that verifies", snapshot.display())]
    Differs {
        /// The file.
        snapshot: PathBuf,
        /// Position of the snapshot.
        position: u64,
        /// The first byte that is another.
        byte: u64,
    },
    /// The state cannot be written down to be compared.
    #[error("cannot encode the state at position {position}: {source}")]
    Encode {
        /// Position of the snapshot.
        position: u64,
        /// Reason.
        source: rmp_serde::encode::Error,
    },
}

impl From<ReadError> for AuditError {
    fn from(why: ReadError) -> Self {
        Self::Open(why.into())
    }
}

impl From<FolderError> for AuditError {
    fn from(why: FolderError) -> Self {
        Self::Open(why.into())
    }
}

/// Verifies all that a data folder holds; with `fold`, also that the journal gives what the snapshots hold.
pub fn audit(folder: &Path, fold: bool, progress: &mut dyn FnMut(Progress)) -> Result<Audit, AuditError> {
    audit_folder(folder, fold, false, progress)
}

/// Verifies what a service would start from: a damaged snapshot is no fault if another one, or the journal alone, will do.
pub(super) fn audit_what_starts(folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Audit, AuditError> {
    audit_folder(folder, false, true, progress)
}

fn audit_folder(
    folder: &Path,
    fold: bool,
    leave_out: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Audit, AuditError> {
    let mut tries = 1;
    let (snapshots, reader) = loop {
        // Snapshots are opened first, because a journal holds all that earlier snapshots claim.
        let snapshots = SnapshotFile::open_all(folder)?;
        let reader = JournalReader::open(folder)?;
        if reaches(reader.trimmed(), snapshots.iter().map(|snapshot| snapshot.position)) {
            break (snapshots, reader);
        }
        if tries == TRIES {
            let (folder, damaged) = (folder.to_owned(), "none is there that reaches so far".into());
            return Err(OpenError::NoSnapshot { folder, trimmed: reader.trimmed(), damaged }.into());
        }
        tries += 1;
    };
    refuse_foreign(&snapshots, &reader)?;
    if let Some(SnapshotFile { position, .. }) = snapshots.first()
        && *position > reader.last()
    {
        let (folder, last, claimed) = (folder.to_owned(), reader.last(), *position);
        return Err(OpenError::JournalBehind { folder, last, claimed }.into());
    }
    let (mut whole, mut audited, mut older) = (Vec::new(), Vec::new(), Vec::new());
    for snapshot in snapshots {
        match snapshot.verify() {
            Ok(()) => {}
            // One of a newer program is not damaged, and a service would not start beside it.
            Err(why @ FolderError::Snapshot { source: SnapshotError::Version(_), .. }) => return Err(why.into()),
            // A service folds the whole journal instead.
            Err(FolderError::Snapshot { source: SnapshotError::Older(version), path }) => {
                if reader.trimmed() > 0 {
                    return Err(OpenError::OlderSnapshot { path, version, trimmed: reader.trimmed() }.into());
                }
                older.push(snapshot.position);
                continue;
            }
            Err(_) if leave_out => continue,
            Err(why) => return Err(why.into()),
        }
        audited.push(AuditedSnapshot { position: snapshot.position, bytes: snapshot.length()?, compared: false });
        whole.push(snapshot);
    }
    if !reaches(reader.trimmed(), audited.iter().map(|snapshot| snapshot.position)) {
        let (folder, damaged) = (folder.to_owned(), "those that reach so far are damaged".into());
        return Err(OpenError::NoSnapshot { folder, trimmed: reader.trimmed(), damaged }.into());
    }
    reader.require_watermark()?;
    // The key is needed even if nothing is folded: without it the folder cannot be served.
    let mask = Mask::of(folder, Some(&reader))?;
    let records = read_all(&reader, progress)?;
    if fold {
        compare(&reader, &whole, mask, &mut audited, progress)?;
    }
    let file = reader.file();
    let journal_bytes = std::fs::metadata(file).map_err(io_error("read", file))?.len();
    Ok(Audit { records, trimmed: reader.trimmed(), last: reader.last(), journal_bytes, snapshots: audited, older })
}

/// Checks that a state can be recovered: from the journal alone, or from a snapshot at one of these positions.
pub(super) fn reaches(trimmed: u64, mut snapshots: impl Iterator<Item = u64>) -> bool {
    trimmed == 0 || snapshots.any(|position| position >= trimmed)
}

/// Reads and decodes every record; says how many there are. What retention drops meanwhile is passed over: each record is
/// looked at by itself.
fn read_all(reader: &JournalReader, progress: &mut dyn FnMut(Progress)) -> Result<u64, AuditError> {
    let (mut records, mut from) = (0, 0);
    loop {
        let read = reader.each(RecordRange::after(from), &mut |stored| {
            records += 1;
            if stored.position.is_multiple_of(REPORT_EVERY) {
                progress(Progress { doing: "reading the journal", done: stored.position, of: reader.last() });
            }
            check(stored)
        });
        match read {
            Err(ReadError::Overtaken { trimmed, .. }) if trimmed > from && trimmed < reader.last() => from = trimmed,
            done => return Ok(done.map(|_| records)?),
        }
    }
}

/// The event must be readable, and the columns beside it must say what it says.
fn check(stored: &Stored<'_>) -> Result<(), String> {
    let event = match codec::read(stored.body)? {
        Decoded::Event(event) => event,
        Decoded::Skipped(skipped) => return check_skipped(stored, &skipped),
    };
    let decision = event.body.decision().map(|id| id.to_string());
    let wrong = [
        ("at_us", event.at_us != stored.at_us),
        ("kind", event.body.kind() != stored.kind),
        ("slot", event.body.slot().map_or("", SlotId::as_str) != stored.slot),
        ("decision_id", decision.as_deref() != stored.decision),
    ];
    agree(&wrong)
}

/// The columns beside an event of an unknown kind must say what its envelope says.
fn check_skipped(stored: &Stored<'_>, skipped: &SkippedEvent) -> Result<(), String> {
    let SkippedEvent { at_us, kind, slot } = skipped;
    agree(&[("at_us", *at_us != stored.at_us), ("kind", kind != stored.kind), ("slot", slot != stored.slot)])
}

fn agree(wrong: &[(&str, bool)]) -> Result<(), String> {
    match wrong.iter().find(|(_, wrong)| *wrong) {
        Some((column, _)) => Err(format!("the column {column} says something else than the event")),
        None => Ok(()),
    }
}

/// Folds the journal and compares the state with the snapshots on the way; where records were dropped, from the
/// oldest snapshot on.
fn compare(
    reader: &JournalReader,
    snapshots: &[SnapshotFile],
    mask: Mask,
    audited: &mut [AuditedSnapshot],
    progress: &mut dyn FnMut(Progress),
) -> Result<(), AuditError> {
    let of = snapshots.first().map_or(0, |snapshot| snapshot.position);
    let mut state = (reader.trimmed() == 0).then(State::default);
    // A snapshot before what was dropped says nothing any more.
    for (snapshot, audited) in snapshots.iter().zip(audited).rev().filter(|(s, _)| s.position >= reader.trimmed()) {
        // One that knows subjects by their ids is not what the fold gives, which knows them by pseudonyms.
        if mask.is_after(snapshot.position) && state.is_some() {
            continue;
        }
        let Some(before) = state else {
            state = Some(snapshot.state()?);
            continue;
        };
        let from = before.position();
        let folded = replay_by(before, reader.file(), mask, workers(), |each| {
            reader.each(RecordRange { after: from, up_to: snapshot.position }, &mut |stored| {
                if stored.position.is_multiple_of(REPORT_EVERY) {
                    progress(Progress { doing: "folding the journal", done: stored.position, of });
                }
                each(stored)
            })
        })?;
        let point = reader.point_at(snapshot.position)?;
        let origin = point.as_ref().map(origin).unwrap_or_default();
        if let Some(byte) = first_difference(&folded, &origin, snapshot)? {
            return Err(AuditError::Differs { snapshot: snapshot.path.clone(), position: snapshot.position, byte });
        }
        audited.compared = true;
        state = Some(folded);
    }
    Ok(())
}

/// Index at which a state's bytes and a snapshot's first differ, or `None` if they are equal.
fn first_difference(
    state: &State,
    origin: &snapshot::Origin,
    snapshot: &SnapshotFile,
) -> Result<Option<u64>, AuditError> {
    let unreadable = |why| AuditError::from(io_error("read", &snapshot.path)(why));
    let mut file = BufReader::with_capacity(1 << 20, snapshot.rewound()?);
    let (mut at, mut have) = (0, Vec::new());
    for section in snapshot::sections(state, origin) {
        let section = section.map_err(|source| AuditError::Encode { position: snapshot.position, source })?;
        have.clear();
        (&mut file).take(section.len() as u64).read_to_end(&mut have).map_err(unreadable)?;
        if have != section {
            let same = have.iter().zip(&section).take_while(|(a, b)| a == b).count();
            return Ok(Some(at + same as u64));
        }
        at += section.len() as u64;
    }
    have.clear();
    let more = file.take(1).read_to_end(&mut have).map_err(unreadable)?;
    Ok((more > 0).then_some(at))
}
