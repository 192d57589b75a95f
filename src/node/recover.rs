//! Recovery of the state from a data folder.
//!
//! One thread reads the journal and verifies it; the slots are folded by workers beside it, each slot by one
//! of them, in journal order. The state is the same for any number of workers, bit for bit.

use std::{
    num::NonZero,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use super::{
    codec::{self, Decoded},
    error::OpenError,
    folder::Folder,
    snapshot_file::{self, OlderSnapshot, SnapshotFile},
    subjects::Mask,
};
use crate::{
    engine::{
        Body, Event, EventClass, FORGOTTEN, ITEMS_CHANGED, LEARNING_COPIED, LearningSeed, Ledger, SHOPPER,
        SLOT_RENAMED, SlotShard, SlotState, State, Step, TRAFFIC,
        snapshot::{FrozenState, Origin},
    },
    journal::{ChainPoint, JournalId, JournalReader, LossPolicy, ReadError, RecordHandler, RecordRange, Stored},
    slot::{ChangeReason, SlotId},
};

/// Events that a worker is handed at a time.
const BATCH: usize = 256;
/// Batches that may wait for a worker: the reader is never far ahead.
const WAITING: usize = 16;
/// Number of workers beyond which nothing is gained, because there is one reader.
const WORKERS_MAX: usize = 16;
/// Events between two lines of progress in the log.
const PROGRESS: u64 = 1_000_000;

/// Task of a worker for one event.
enum RecoveryTask {
    /// Read it and apply it. Where it stands, and its bytes.
    Read(u64, Step, Vec<u8>),
    /// Apply it.
    Apply(Step, Box<Body>),
    /// Sweep the slots, after an event of any of them.
    Sweep(Step),
    /// Hand out what a slot has learned.
    Learning(SlotId, SyncSender<Option<LearningSeed>>),
    /// Hand out the slot that an event renames.
    Take(Step, SlotId, SyncSender<Option<Box<SlotState>>>),
    /// Put in the slot that an event renamed, under its new id.
    Put(Step, Box<SlotState>, SlotId, ChangeReason),
    /// Let a slot start from what another has learned, with this weight.
    Start(SlotId, Box<Option<LearningSeed>>, f64),
}

/// Number of workers: one for each core, up to [`WORKERS_MAX`].
pub(super) fn workers() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX)
}

/// Applies what a worker is sent; in the end its slots, or the position of an event that cannot be read and why.
fn work(mut slots: SlotShard, mask: Mask, batches: &Receiver<Vec<RecoveryTask>>) -> Result<SlotShard, (u64, String)> {
    for work in batches.iter().flatten() {
        match work {
            RecoveryTask::Read(position, step, body) => {
                let mut event = codec::decode(&body).map_err(|why| (position, why.into()))?;
                mask.apply(&mut event);
                slots.apply(step, &event.body, None);
            }
            RecoveryTask::Apply(step, body) => drop(slots.apply(step, &body, None)),
            RecoveryTask::Sweep(step) => slots.sweep(step, None),
            // A reader that is gone does not need the answer.
            RecoveryTask::Learning(slot, reply) => drop(reply.send(slots.learning_of(&slot))),
            RecoveryTask::Take(step, slot, reply) => drop(reply.send(slots.take_renamed(step, &slot))),
            RecoveryTask::Put(step, state, to, why) => slots.put_renamed(step, state, &to, &why),
            RecoveryTask::Start(slot, seed, weight) => slots.start_from(&slot, (*seed).as_ref(), weight),
        }
    }
    Ok(slots)
}

/// The reader's side: the ledger, and what is gathered for each worker.
struct Reader {
    ledger: Ledger,
    workers: Vec<(SyncSender<Vec<RecoveryTask>>, Vec<RecoveryTask>)>,
}

impl Reader {
    fn take(&mut self, stored: &Stored<'_>) -> Result<(), String> {
        if [SHOPPER, FORGOTTEN, ITEMS_CHANGED].contains(&stored.kind) {
            return self.take_for_all(stored);
        }
        let (step, work) = if TRAFFIC.contains(&stored.kind) {
            let step = self.ledger.skip(stored.at_us, EventClass::from_kind(stored.kind));
            (step, RecoveryTask::Read(stored.position, step, stored.body.to_vec()))
        } else {
            match codec::read(stored.body)? {
                Decoded::Event(Event { at_us, body }) if stored.kind == LEARNING_COPIED => {
                    return self.take_copy(at_us, &body);
                }
                Decoded::Event(Event { at_us, body }) if stored.kind == SLOT_RENAMED => {
                    return self.take_rename(at_us, &body);
                }
                Decoded::Event(event) => {
                    let step = self.ledger.step(event.at_us, &event.body);
                    (step, RecoveryTask::Apply(step, Box::new(event.body)))
                }
                // Position and time go on; no slot hears of it.
                Decoded::Skipped(skipped) => {
                    self.ledger.skip(skipped.at_us, EventClass::Other);
                    return Ok(());
                }
            }
        };
        if stored.position.is_multiple_of(PROGRESS) {
            tracing::info!(position = stored.position, "reading the journal");
        }
        let part = SlotShard::index_of(stored.slot, self.workers.len());
        let (_, batch) = &mut self.workers[part];
        batch.push(work);
        let full = batch.len() >= BATCH;
        if step.sweeps() {
            self.workers.iter_mut().for_each(|(_, batch)| batch.push(RecoveryTask::Sweep(step)));
        }
        if full { self.send(part) } else { Ok(()) }
    }

    /// Hands an event to every worker, because it may concern every slot.
    fn take_for_all(&mut self, stored: &Stored<'_>) -> Result<(), String> {
        let body = codec::decode(stored.body)?.body;
        let step = self.ledger.step(stored.at_us, &body);
        for part in 0..self.workers.len() {
            let batch = &mut self.workers[part].1;
            batch.push(RecoveryTask::Apply(step, Box::new(body.clone())));
            if step.sweeps() {
                batch.push(RecoveryTask::Sweep(step));
            }
            if batch.len() >= BATCH {
                self.send(part)?;
            }
        }
        Ok(())
    }

    /// Moves what one slot has learned to another, which may belong to another worker: waits until the first worker has
    /// applied everything before.
    fn take_copy(&mut self, at_us: i64, body: &Body) -> Result<(), String> {
        let step = self.ledger.step(at_us, body);
        let Body::LearningCopied { slot, from, weight, why: _ } = body else { return Ok(()) };
        let part_of = |slot: &SlotId| SlotShard::index_of(slot.as_str(), self.workers.len());
        let (source, target) = (part_of(from), part_of(slot));
        let (reply, learning) = sync_channel(1);
        self.workers[source].1.push(RecoveryTask::Learning(from.clone(), reply));
        self.send(source)?;
        let seed = learning.recv().map_err(|_| "the worker that applies it has stopped".to_owned())?;
        self.workers[target].1.push(RecoveryTask::Start(slot.clone(), Box::new(seed), *weight));
        if step.sweeps() {
            self.workers.iter_mut().for_each(|(_, batch)| batch.push(RecoveryTask::Sweep(step)));
        }
        Ok(())
    }

    /// Moves a slot that got another id, which may belong to another worker.
    fn take_rename(&mut self, at_us: i64, body: &Body) -> Result<(), String> {
        let step = self.ledger.step(at_us, body);
        let Body::SlotRenamed { slot, to, why } = body else { return Ok(()) };
        let part_of = |slot: &SlotId| SlotShard::index_of(slot.as_str(), self.workers.len());
        let (source, target) = (part_of(slot), part_of(to));
        let (reply, taken) = sync_channel(1);
        self.workers[source].1.push(RecoveryTask::Take(step, slot.clone(), reply));
        self.send(source)?;
        let taken = taken.recv().map_err(|_| "the worker that applies it has stopped".to_owned())?;
        if let Some(state) = taken {
            self.workers[target].1.push(RecoveryTask::Put(step, state, to.clone(), why.clone()));
        }
        if step.sweeps() {
            self.workers.iter_mut().for_each(|(_, batch)| batch.push(RecoveryTask::Sweep(step)));
        }
        Ok(())
    }

    fn send(&mut self, part: usize) -> Result<(), String> {
        let (worker, batch) = &mut self.workers[part];
        worker.send(std::mem::take(batch)).map_err(|_| "the worker that applies it has stopped".into())
    }
}

/// The state with everything applied that the journal holds after it.
fn replay(state: State, journal: Option<&JournalReader>, mask: Mask, workers: usize) -> Result<State, ReadError> {
    let Some(journal) = journal else { return Ok(state) };
    let from = state.position();
    if from < journal.trimmed() {
        return Err(ReadError::Trimmed { file: journal.file().to_owned(), trimmed: journal.trimmed() });
    }
    replay_by(state, journal.file(), mask, workers, |each| journal.each(RecordRange::after(from), each))
}

/// The state with everything applied that `read` hands out, of this journal and in order.
pub(super) fn replay_by(
    state: State,
    file: &Path,
    mask: Mask,
    workers: usize,
    read: impl FnOnce(&mut RecordHandler<'_>) -> Result<u64, ReadError>,
) -> Result<State, ReadError> {
    let (ledger, parts) = state.split(workers);
    thread::scope(|scope| {
        let mut senders = Vec::new();
        let mut folding = Vec::new();
        for part in parts {
            let (sender, batches) = sync_channel(WAITING);
            senders.push((sender, Vec::new()));
            folding.push(scope.spawn(move || work(part, mask, &batches)));
        }
        let mut reader = Reader { ledger, workers: senders };
        let mut read = read(&mut |stored| reader.take(stored));
        let at = reader.ledger.position();
        for part in 0..reader.workers.len() {
            // A worker that is gone says below why.
            let _ = reader.send(part);
        }
        let Reader { ledger, workers } = reader;
        drop(workers);
        let mut parts = Vec::new();
        let mut first: Option<(u64, String)> = None;
        for folding in folding {
            match folding.join().unwrap_or_else(|_| Err((at, "applying what is before it panicked".into()))) {
                Ok(part) => parts.push(part),
                Err(wrong) if first.as_ref().is_none_or(|first| wrong.0 < first.0) => first = Some(wrong),
                Err(_) => {}
            }
        }
        if let Some((position, why)) = first {
            read = Err(ReadError::Reader { file: file.to_owned(), position, why });
        }
        read.map(|_| State::join(ledger, parts))
    })
}

/// A state, and of the snapshot it came from, where there was one, position and time.
pub(super) type Recovered = (State, Option<(u64, i64)>);

/// Point of the journal that a snapshot records, as the journal gives it.
pub(super) fn origin(point: &ChainPoint) -> Origin {
    Origin { journal: point.journal.0, chain: point.hash }
}

/// Refuses snapshots that belong to another journal, or to another history of this one. One that is damaged says nothing.
pub(super) fn refuse_foreign(snapshots: &[SnapshotFile], journal: &JournalReader) -> Result<(), ReadError> {
    for snapshot in snapshots {
        let Ok(origin) = snapshot.origin() else { continue };
        let position = snapshot.position;
        let point = ChainPoint { journal: JournalId(origin.journal), position, hash: origin.chain };
        journal.refuse_foreign(&snapshot.path, position, Some(&point))?;
    }
    Ok(())
}

/// The newest whole snapshot with the rest of the journal applied. Nothing is changed; `None` stands for a journal that
/// is not there yet.
pub(super) fn recover(
    path: &Path,
    journal: Option<&JournalReader>,
    mask: Mask,
    workers: usize,
) -> Result<Recovered, OpenError> {
    if let Some(journal) = journal {
        refuse_foreign(&SnapshotFile::open_all(path)?, journal)?;
    }
    let mut found = snapshot_file::newest_snapshot(path)?;
    let (last, trimmed) = journal.map_or((0, 0), |journal| (journal.last(), journal.trimmed()));
    if last < found.claimed {
        return Err(OpenError::JournalBehind { folder: path.to_owned(), last, claimed: found.claimed });
    }
    if let Some(OlderSnapshot { path, version }) = found.older {
        if trimmed > 0 {
            return Err(OpenError::OlderSnapshot { path, version, trimmed });
        }
        tracing::info!(
            snapshot = %path.display(),
            version,
            "the snapshot has an older format that is no longer read: the state is folded from the whole journal"
        );
    }
    if let Some(state) = found.state.take_if(|state| mask.is_after(state.position())) {
        if trimmed == 0 {
            // The snapshot knows subjects by their ids. Its events are replayed, so that they join later ones by pseudonym.
            tracing::info!(
                snapshot = state.position(),
                "rebuilding the state from the journal, because the snapshot knows subjects by their ids"
            );
        } else {
            tracing::warn!(
                snapshot = state.position(),
                "the newest snapshot knows subjects by their ids: rewards without a decision id do not find its decisions, and caps and stickiness begin anew"
            );
            found.state = Some(state);
        }
    }
    let snapshot = found.state.as_ref().map(|state| (state.position(), state.at_us()));
    let from = snapshot.map_or(0, |(position, _)| position);
    if from < trimmed {
        let damaged = if found.damaged.is_empty() { "there is none".into() } else { found.damaged.join("; ") };
        return Err(OpenError::NoSnapshot { folder: path.to_owned(), trimmed, damaged });
    }
    let state = replay(found.state.unwrap_or_default(), journal, mask, workers)?;
    tracing::info!(snapshot = from, position = state.position(), slots = state.slots().count(), "recovered");
    Ok((state, snapshot))
}

/// State that the journal in a folder gives when `workers` workers fold it from its beginning, snapshots
/// left aside; for audits and tests. The folder must not be in use, and is not changed.
pub fn fold(folder: &Path, workers: usize) -> Result<State, OpenError> {
    let folder = Folder::open(folder)?;
    let journal = JournalReader::open_owned(folder.path(), LossPolicy::Refused)?;
    let mask = Mask::of(folder.path(), journal.as_ref())?;
    Ok(replay(State::default(), journal.as_ref(), mask, workers)?)
}

/// Returns the state that a node would start from, for audits and tests.
///
/// Begins with `snapshot` and adds the events after it. With `None` it begins with the newest whole snapshot, as a
/// node does. The folder must not be in use, and is not changed.
pub fn recover_state(folder: &Path, snapshot: Option<&Path>, workers: usize) -> Result<State, OpenError> {
    let folder = Folder::open(folder)?;
    let journal = JournalReader::open_owned(folder.path(), LossPolicy::Refused)?;
    let mask = Mask::of(folder.path(), journal.as_ref())?;
    match snapshot {
        None => Ok(recover(folder.path(), journal.as_ref(), mask, workers)?.0),
        Some(snapshot) => Ok(replay(snapshot_file::read_snapshot(snapshot)?, journal.as_ref(), mask, workers)?),
    }
}

/// Writes a snapshot of the journal in a folder, as a node does; for audits, tests and benches.
pub fn save_snapshot(folder: &Path, frozen: &FrozenState) -> Result<u64, OpenError> {
    let point = JournalReader::open(folder)?.point_at(frozen.position())?;
    let origin = point.as_ref().map(origin).unwrap_or_default();
    Ok(Folder::write_snapshot(folder, frozen, &origin)?)
}
