//! The one thread that writes: commits batches, applies them, publishes what changed.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Shared, WriteError, codec, folder::Folder};
use crate::{
    engine::{
        Applied, Body, Change, ChangeError, Decided, DecisionId, Event, RewardOutcome, Rewarded, SlotView, State,
        Subject, Unmatched, plan,
    },
    journal::{Journal, Record},
    slot::{ArmId, FieldError, SlotId},
};

/// Events of one commit: enough to make the fsync cheap per event, few enough to keep a reward's wait short.
const BATCH_MAX: usize = 4_096;
/// How long decisions that nobody waits for may be gathered before they are committed.
const LINGER: Duration = Duration::from_millis(5);
/// How often the writer looks whether a snapshot is due when nothing comes.
const IDLE: Duration = Duration::from_millis(500);

/// A reward event as it came, before its slot is known.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardRequest {
    /// The slot, where it was named.
    pub slot: Option<SlotId>,
    /// The event's id.
    pub event_id: String,
    /// The decision, where it was named.
    pub decision: Option<DecisionId>,
    /// The subject.
    pub subject: Subject,
    /// The arm, where it was named.
    pub arm: Option<ArmId>,
    /// The kind.
    pub kind: String,
    /// Its value.
    pub value: Option<f64>,
    /// When it happened; none: on arrival.
    pub time_us: Option<i64>,
    /// The event it takes back.
    pub reverses: Option<String>,
}

/// What became of a change: the slot as it is now (for a deletion, as it was), or as it would be.
pub(super) type Changed = Result<Arc<SlotView>, ChangeFailure>;

/// Why a change did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ChangeFailure {
    /// It cannot be.
    #[error(transparent)]
    Refused(#[from] ChangeError),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Record decisions; whoever waits is told when they are durable.
    Decided(Vec<Arc<Decided>>, Option<oneshot::Sender<Result<(), WriteError>>>),
    /// Record reward events.
    Rewards(Vec<RewardRequest>, oneshot::Sender<Result<Vec<RewardOutcome>, WriteError>>),
    /// Change a slot.
    Change(Box<ChangeCommand>),
    /// Finish.
    Stop,
}

/// A change of a slot.
#[derive(Debug)]
pub(super) struct ChangeCommand {
    pub(super) slot: SlotId,
    pub(super) change: Change,
    pub(super) reason: String,
    pub(super) validate_only: bool,
    pub(super) reply: oneshot::Sender<Changed>,
}

/// Who waits for a batch.
enum Waiting {
    Decisions(oneshot::Sender<Result<(), WriteError>>),
    /// For each of its events: the outcome already known, or that the next one applied is its.
    Rewards(Vec<Option<RewardOutcome>>, oneshot::Sender<Result<Vec<RewardOutcome>, WriteError>>),
}

#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    waiting: Vec<Waiting>,
}

/// The writer's side of a node.
pub(super) struct Writer {
    pub(super) state: State,
    pub(super) journal: Box<dyn Journal>,
    pub(super) folder: Folder,
    pub(super) shared: Arc<Shared>,
    pub(super) snapshot_every_us: i64,
    pub(super) snapshot_us: i64,
    pub(super) snapshot_position: u64,
    pub(super) snapshotting: Option<JoinHandle<()>>,
}

impl Writer {
    /// Works until it is told to stop, or every sender is gone; then takes a last snapshot.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        // Should anything here panic, the node must not go on as if its writer were there.
        let _guard = PanicGuard(Arc::clone(&self.shared));
        let mut next = None;
        loop {
            let command = match next.take() {
                Some(command) => command,
                None => match commands.recv_timeout(IDLE) {
                    Ok(command) => command,
                    Err(RecvTimeoutError::Timeout) => {
                        self.snapshot_if_due();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            match command {
                Command::Stop => break,
                Command::Change(change) => self.change(*change),
                gathered @ (Command::Decided(..) | Command::Rewards(..)) => {
                    let mut batch = Batch::default();
                    self.add(&mut batch, gathered);
                    next = self.gather(&mut batch, commands);
                    self.commit(batch);
                }
            }
            self.snapshot_if_due();
        }
        self.finish();
    }

    /// Fills a batch with what is there; what cannot be part of it is returned.
    #[expect(clippy::disallowed_methods, reason = "how long to linger is no fact that is stored anywhere")]
    fn gather(&mut self, batch: &mut Batch, commands: &Receiver<Command>) -> Option<Command> {
        let begun = Instant::now();
        while batch.events.len() < BATCH_MAX {
            // Somebody waits for the disk: commit what is there. Nobody does: linger a little.
            let patience =
                if batch.waiting.is_empty() { LINGER.saturating_sub(begun.elapsed()) } else { Duration::ZERO };
            match commands.recv_timeout(patience) {
                Ok(command @ (Command::Decided(..) | Command::Rewards(..))) => self.add(batch, command),
                Ok(other @ (Command::Change(_) | Command::Stop)) => return Some(other),
                Err(_) => break,
            }
        }
        None
    }

    fn now_us(&self) -> i64 {
        self.shared.clock.now_us().max(self.state.at_us())
    }

    fn add(&mut self, batch: &mut Batch, command: Command) {
        let at_us = batch.events.last().map_or(i64::MIN, |event| event.at_us).max(self.now_us());
        match command {
            Command::Decided(decisions, reply) => {
                batch.events.extend(decisions.into_iter().map(|d| Event { at_us, body: Body::Decided(d) }));
                batch.waiting.extend(reply.map(Waiting::Decisions));
            }
            Command::Rewards(rewards, reply) => {
                let mut known = Vec::with_capacity(rewards.len());
                for reward in rewards {
                    match self.resolve(reward, at_us) {
                        Ok(rewarded) => {
                            known.push(None);
                            batch.events.push(Event { at_us, body: Body::Rewarded(Box::new(rewarded)) });
                        }
                        Err(why) => {
                            let outcome = RewardOutcome::Unmatched(why);
                            self.shared.observer.rewarded("", "other", outcome);
                            known.push(Some(outcome));
                        }
                    }
                }
                batch.waiting.push(Waiting::Rewards(known, reply));
            }
            Command::Change(_) | Command::Stop => {}
        }
    }

    /// Finds the slot that a reward event belongs to.
    fn resolve(&self, reward: RewardRequest, at_us: i64) -> Result<Rewarded, Unmatched> {
        let RewardRequest { slot, event_id, decision, subject, arm, kind, value, time_us, reverses } = reward;
        let slot = match decision {
            Some(id) => {
                let of_decision = self.state.slot_of_number(id.slot()).ok_or(Unmatched::Decision)?;
                if slot.is_some_and(|slot| slot != *of_decision) {
                    return Err(Unmatched::OtherSlot);
                }
                of_decision.clone()
            }
            None => slot.ok_or(Unmatched::Slot)?,
        };
        if self.state.slot(slot.as_str()).is_none() {
            return Err(Unmatched::Slot);
        }
        let time_us = time_us.unwrap_or(at_us);
        Ok(Rewarded { slot, event_id, decision, subject, arm, kind, value, time_us, reverses })
    }

    /// Writes the events and then makes them true.
    fn write(&mut self, events: &[Event]) -> Result<Vec<Applied>, WriteError> {
        let records: Vec<Record> = events.iter().map(codec::encode).collect();
        let begun = self.shared.stopwatch();
        if let Err(why) = self.journal.append(&records) {
            let failure = WriteError::Journal(why);
            self.shared.fail(&failure.to_string());
            return Err(failure);
        }
        self.shared.observer.committed(events.len(), begun.seconds());
        let mut touched = BTreeSet::new();
        let applied = events
            .iter()
            .map(|event| {
                let applied = self.state.apply(event);
                touched.insert(event.body.slot().clone());
                applied
            })
            .collect();
        for slot in touched {
            self.publish(&slot);
        }
        Ok(applied)
    }

    fn publish(&self, slot: &SlotId) {
        match self.state.slot(slot.as_str()) {
            Some(state) => drop(self.shared.views.insert(slot.clone(), Arc::new(state.view()))),
            None => drop(self.shared.views.remove(slot)),
        }
    }

    fn commit(&mut self, batch: Batch) {
        let written = self.write(&batch.events);
        if let Ok(applied) = &written {
            self.observe(&batch.events, applied);
        }
        let mut outcomes = written.as_ref().ok().into_iter().flatten().filter_map(|applied| match applied {
            Applied::Reward(outcome) => Some(*outcome),
            Applied::Change | Applied::Decision => None,
        });
        // Whoever no longer waits does not need the answer.
        for waiting in batch.waiting {
            match waiting {
                Waiting::Decisions(reply) => drop(reply.send(written.as_ref().map(|_| ()).map_err(Clone::clone))),
                Waiting::Rewards(known, reply) => {
                    let results = match &written {
                        Err(why) => Err(why.clone()),
                        Ok(_) => known
                            .into_iter()
                            .map(|known| known.or_else(|| outcomes.next()))
                            .collect::<Option<Vec<_>>>()
                            .ok_or(WriteError::Stopped),
                    };
                    drop(reply.send(results));
                }
            }
        }
    }

    fn observe(&self, events: &[Event], applied: &[Applied]) {
        for (event, applied) in events.iter().zip(applied) {
            if let (Body::Rewarded(rewarded), Applied::Reward(outcome)) = (&event.body, applied) {
                let slot = self.state.slot(rewarded.slot.as_str());
                let known = slot.is_some_and(|slot| slot.definition().goal.kind(&rewarded.kind).is_some());
                let kind = if known { rewarded.kind.as_str() } else { "other" };
                self.shared.observer.rewarded(rewarded.slot.as_str(), kind, *outcome);
            }
        }
    }

    fn change(&mut self, command: ChangeCommand) {
        let ChangeCommand { slot, change, reason, validate_only, reply } = command;
        let result = self.try_change(&slot, change, &reason, validate_only);
        // Whoever no longer waits does not need the answer.
        drop(reply.send(result));
    }

    fn try_change(&mut self, slot: &SlotId, change: Change, reason: &str, validate_only: bool) -> Changed {
        let before = self.state.slot(slot.as_str()).map(|state| Arc::new(state.view()));
        if let Some(body) = plan(&self.state, slot, change, reason)? {
            let event = Event { at_us: self.now_us(), body };
            // What could not be read back must not be written: changes are rare, and this is cheap.
            if let Err(why) = codec::decode(&codec::encode(&event).body) {
                let message = format!("cannot be stored: {why}");
                return Err(ChangeFailure::Refused(ChangeError::Field(FieldError::new("slot", message))));
            }
            if validate_only {
                let mut would_be = self.state.only(slot);
                would_be.apply(&event);
                let after = would_be.slot(slot.as_str()).map(|state| Arc::new(state.view()));
                return after.or(before).ok_or(ChangeFailure::Write(WriteError::Stopped));
            }
            self.write(std::slice::from_ref(&event))?;
        }
        let after = self.state.slot(slot.as_str()).map(|state| Arc::new(state.view()));
        after.or(before).ok_or(ChangeFailure::Write(WriteError::Stopped))
    }

    fn snapshot_if_due(&mut self) {
        let now_us = self.shared.clock.now_us();
        let running = self.snapshotting.as_ref().is_some_and(|thread| !thread.is_finished());
        let due = now_us.saturating_sub(self.snapshot_us) >= self.snapshot_every_us;
        if running || !due || self.state.position() == self.snapshot_position || self.shared.failed() {
            return;
        }
        self.snapshot_us = now_us;
        self.snapshot_position = self.state.position();
        // A copy of what may change and shared pointers to what does not: traffic goes on while it is written.
        let (state, path, shared) = (self.state.clone(), self.folder.path().to_owned(), Arc::clone(&self.shared));
        if let Err(why) = self.folder.prune() {
            tracing::warn!(%why, "old snapshots could not be removed");
        }
        self.snapshotting = Some(std::thread::spawn(move || save(&path, &state, &shared)));
    }

    fn finish(mut self) {
        if let Some(thread) = self.snapshotting.take() {
            // Its own failure was logged; the last snapshot follows here anyway.
            drop(thread.join());
        }
        let saved = self.shared.saved_position.load(Ordering::SeqCst);
        if !self.shared.failed() && self.state.position() != saved {
            save(self.folder.path(), &self.state, &self.shared);
            if let Err(why) = self.folder.prune() {
                tracing::warn!(%why, "old snapshots could not be removed");
            }
        }
        self.shared.stopped.store(true, Ordering::SeqCst);
    }
}

fn save(path: &std::path::Path, state: &State, shared: &Shared) {
    match Folder::write_snapshot(path, state) {
        Ok(()) => {
            shared.saved_position.fetch_max(state.position(), Ordering::SeqCst);
            shared.observer.snapshot_saved(shared.clock.now_us());
        }
        // The journal has everything: recovery takes longer, nothing is lost.
        Err(why) => tracing::error!(%why, "a snapshot could not be written"),
    }
}

/// Marks the node as failed when the writer unwinds.
struct PanicGuard(Arc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the writer panicked; the log above says where");
        }
    }
}
