//! The one thread that writes: commits batches, applies them, publishes what changed.

mod changes;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Shared, WriteError, codec, folder::Folder, saver::Saver};
use crate::{
    engine::{
        Applied, Body, ChangeError, Decided, DecisionId, Event, RewardOutcome, Rewarded, State, Subject, TRAFFIC,
        Unmatched,
    },
    journal::{AppendError, Journal, Record},
    slot::{ArmId, SlotId},
};

/// Events of one commit: enough to make the fsync cheap per event, few enough to keep a reward's wait short.
const BATCH_MAX: usize = 4_096;
/// How long decisions that nobody waits for may be gathered before they are committed.
const LINGER: Duration = Duration::from_millis(5);
/// How often the writer looks whether a snapshot is due, or there is room again, when nothing comes.
const IDLE: Duration = Duration::from_millis(500);
/// The same while it drops what is old.
const TRIMMING: Duration = Duration::from_millis(100);
/// Decisions that are kept for a disk without room to have some again: ten seconds of full load.
const BACKLOG_MAX: usize = 65_536;

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

pub(super) use changes::{ChangeCommand, DraftCommand, Drafted};

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Record decisions; whoever waits is told when they are durable.
    Decided(Vec<Arc<Decided>>, Option<oneshot::Sender<Result<(), WriteError>>>),
    /// Record reward events.
    Rewards(Vec<RewardRequest>, oneshot::Sender<Result<Vec<RewardOutcome>, WriteError>>),
    /// Change a slot.
    Change(Box<ChangeCommand>),
    /// Say how a slot would be after a change.
    Draft(Box<DraftCommand>),
    /// Finish.
    Stop,
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
    /// Locked for as long as the writer lives.
    pub(super) _folder: Folder,
    pub(super) shared: Arc<Shared>,
    pub(super) saver: Saver,
    /// Decisions that were answered and found no room on the disk, oldest first.
    pub(super) backlog: VecDeque<Event>,
    /// Decisions are answered when they are durable: none is kept that was not.
    pub(super) durable_decisions: bool,
}

impl Writer {
    /// Works until it is told to stop, or every sender is gone; then takes a last snapshot.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        // Should anything here panic, the node must not go on as if its writer were there.
        let _guard = PanicGuard(Arc::clone(&self.shared));
        let mut next = None;
        loop {
            let patience = if self.saver.trimming() { TRIMMING } else { IDLE };
            let command = match next.take() {
                Some(command) => Some(command),
                None => match commands.recv_timeout(patience) {
                    Ok(command) => Some(command),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            match command {
                None => self.look_for_room(),
                Some(Command::Stop) => break,
                Some(Command::Change(change)) => self.change(*change),
                Some(Command::Draft(draft)) => self.tell_draft(*draft),
                Some(gathered @ (Command::Decided(..) | Command::Rewards(..))) => {
                    let mut batch = Batch::default();
                    self.add(&mut batch, gathered);
                    next = self.gather(&mut batch, commands);
                    self.commit(batch);
                }
            }
            self.saver.save_if_due(&self.state);
            self.trim();
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
                Ok(other @ (Command::Change(_) | Command::Draft(_) | Command::Stop)) => return Some(other),
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
            Command::Change(_) | Command::Draft(_) | Command::Stop => {}
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
        self.journal.append(&records).map_err(|why| self.not_written(why))?;
        self.shared.observer.committed(events.len(), begun.seconds());
        self.shared.tell_full(None);
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

    /// Want of room passes; after any other failure nothing is written any more.
    fn not_written(&self, why: AppendError) -> WriteError {
        match why {
            AppendError::Full { .. } => self.shared.tell_full(Some(&why.to_string())),
            AppendError::Engine { .. } | AppendError::Poisoned { .. } => self.shared.fail(&why.to_string()),
        }
        WriteError::Journal(why)
    }

    /// Writes the decisions that found no room, before anything that came after them.
    fn write_backlog(&mut self) -> Result<(), WriteError> {
        while !self.backlog.is_empty() {
            let some = self.backlog.len().min(BATCH_MAX);
            let events: Vec<Event> = self.backlog.iter().take(some).cloned().collect();
            self.write(&events)?;
            self.backlog.drain(..some);
        }
        Ok(())
    }

    /// Keeps the decisions of a batch that could not be written, where they may be later.
    fn keep(&mut self, events: Vec<Event>) {
        let decided = events.into_iter().filter(|event| matches!(event.body, Body::Decided(_)));
        if self.durable_decisions {
            // Whoever waits for them is told.
            return;
        }
        self.backlog.extend(decided);
        // They were answered, and may be rewarded: those rewards will match nothing.
        let most = if self.shared.failed() { 0 } else { BACKLOG_MAX };
        let over = self.backlog.len().saturating_sub(most);
        self.backlog.drain(..over);
        self.shared.observer.unrecorded(over);
    }

    /// Tries whether there is room again, where there was none.
    fn look_for_room(&mut self) {
        if !self.shared.is_full() || self.write_backlog().is_err() || !self.shared.is_full() {
            return;
        }
        match self.journal.probe() {
            Ok(()) => self.shared.tell_full(None),
            Err(why) => drop(self.not_written(why)),
        }
    }

    fn trim(&mut self) {
        let now_us = self.now_us();
        if !self.shared.failed()
            && let Err(why) = self.saver.trim(&mut *self.journal, &TRAFFIC, now_us)
        {
            self.shared.fail(&why.to_string());
        }
    }

    fn publish(&self, slot: &SlotId) {
        match self.state.slot(slot.as_str()) {
            Some(state) => drop(self.shared.views.insert(slot.clone(), Arc::new(state.view()))),
            None => {
                self.shared.views.remove(slot);
                self.shared.observer.slot_deleted(slot.as_str());
            }
        }
    }

    fn commit(&mut self, batch: Batch) {
        let written = self.write_backlog().and_then(|()| self.write(&batch.events));
        match &written {
            Ok(applied) => self.observe(&batch.events, applied),
            Err(_) => self.keep(batch.events),
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

    fn finish(mut self) {
        if !self.backlog.is_empty() && self.write_backlog().is_err() {
            self.shared.observer.unrecorded(self.backlog.len());
            tracing::error!(decisions = self.backlog.len(), "decisions found no room on the disk and are not recorded");
        }
        self.saver.finish(&self.state);
        self.shared.stopped.store(true, Ordering::SeqCst);
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
