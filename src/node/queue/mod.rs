//! The queue before the writer: decisions in one lane per slot, and an express lane for rewards and changes.
//!
//! Invariants:
//!
//! * The decisions of a slot are written in the order in which they were pushed.
//! * A reward is never taken before the decisions that it must come after: the decision that it names, and without
//!   one the decisions of its slot up to the last one of its subject.
//! * Rewards of one slot are taken in the order in which they were pushed.
//! * What is taken stays in the queue until the writer says that it was written, so a full disk loses none of it.
//!
//! The limits are explained in [`admission`](super::admission).

mod lanes;
mod shoppers;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    WriteError,
    admission::{self, CHANGES_MAX, QueueLoad},
    writer::{
        ChangeCommand, ChangeEachCommand, DraftCommand, DraftStepCommand, ImportCommand, ItemsCommand, RewardRequest,
    },
};
use crate::{
    engine::{DecisionId, DecisionRecord, Event, ForgottenEntry, LearningProvenance, LearningSeed, RewardAnswer},
    slot::SlotId,
};
pub(super) use lanes::{DecisionReply, TakenCounts};
pub(super) use shoppers::{EventReply, ShopperBatch, ShopperReply};
use state::QueueState;

/// Channel to the caller that waits for the outcomes of a batch of rewards.
pub(super) type RewardReply = oneshot::Sender<Result<Vec<RewardAnswer>, WriteError>>;

/// Channel to the caller that waits for what a slot has learned.
pub(super) type LearningReply = oneshot::Sender<Option<(LearningProvenance, LearningSeed)>>;

/// Command that the writer carries out alone, outside of any batch.
#[derive(Debug)]
pub(super) enum SoloCommand {
    /// Change a slot.
    Change(Box<ChangeCommand>),
    /// Make the same change of several slots.
    ChangeEach(Box<ChangeEachCommand>),
    /// Change the item catalogue.
    Items(Box<ItemsCommand>),
    /// Take a step of a draft.
    DraftStep(Box<DraftStepCommand>),
    /// Learn a part of an import.
    Import(Box<ImportCommand>),
    /// Tell how a slot would be after a change.
    Draft(Box<DraftCommand>),
    /// Tell that the decisions of a slot that were pushed before are written.
    Settle(oneshot::Sender<()>),
    /// Write that subjects were forgotten.
    Forget(Vec<Event>, oneshot::Sender<Result<(), WriteError>>),
    /// Hand out what a slot has learned, or `None` if there is no such slot.
    ReadLearning(SlotId, LearningReply),
    /// List at most this number of subjects that were forgotten, the latest first.
    ListForgotten(usize, oneshot::Sender<Vec<ForgottenEntry>>),
}

/// Payload of an entry of the express lane, which passes waiting decisions.
#[derive(Debug)]
enum ExpressItem {
    Rewards(Vec<RewardRequest>, RewardReply),
    Shoppers(ShopperBatch),
    SoloCommand(SoloCommand),
}

/// An entry of the express lane.
#[derive(Debug)]
struct ExpressEntry {
    /// Tickets by slot number. The slot's decisions up to its ticket must be written before; 0 if none must.
    after: BTreeMap<u32, u64>,
    events: usize,
    bytes: usize,
    what: ExpressItem,
}

/// Limits of the batch that the writer takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchLimits {
    /// Number of reward events, and number of decisions, at most.
    pub(super) events: usize,
    /// Number of decisions that nobody waits for, at most.
    pub(super) unasked: usize,
    /// `true` if decisions are written at all. If `false`, rewards that would have to come after them are refused.
    pub(super) decisions: bool,
}

/// A batch that the writer took from the queue.
#[derive(Debug, Default)]
pub(super) struct QueuedBatch {
    /// Decisions, which come before all rewards of the batch.
    pub(super) decisions: Vec<Arc<DecisionRecord>>,
    /// Number of these decisions by slot.
    pub(super) counts: TakenCounts,
    pub(super) rewards: Vec<(Vec<RewardRequest>, RewardReply)>,
    pub(super) shoppers: Vec<ShopperBatch>,
    /// Done after the rest is written.
    pub(super) single: Option<SoloCommand>,
    /// Callers whose events belong to decisions that cannot be written now.
    pub(super) refused: Vec<EventReply>,
}

/// Reason why the writer was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WakeReason {
    /// The queue has something to take.
    RecoveryTask,
    /// Patience ran out and the queue is empty.
    Idle,
    /// The queue is to be emptied, and then the writer ends.
    Stop,
}

/// Condition under which waiting decisions wake the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WakeCondition {
    /// Immediately, because their callers wait.
    AtOnce,
    /// Decisions wake the writer once they waited this long, or fill a batch.
    After(Duration),
    /// Never: they cannot be written now.
    Never,
}

/// Queue before the writer; the module documentation states its invariants.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<QueueState>,
    arrived: Condvar,
}

#[expect(clippy::disallowed_methods, reason = "how long something waits is no fact that is stored anywhere")]
fn now() -> Instant {
    Instant::now()
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that this many more decisions would be taken now: a cheap look before they are made.
    pub(super) fn admits(&self, decisions: usize) -> Result<(), WriteError> {
        self.lock().admits(decisions, 0)
    }

    /// Takes decisions, all or none. With `full` the disk has no room: then the oldest make way, and their number is
    /// returned. Each of the `replies` belongs to the decision at its index.
    pub(super) fn push_decisions(
        &self,
        decisions: Vec<Arc<DecisionRecord>>,
        replies: Vec<DecisionReply>,
        full: bool,
    ) -> Result<usize, WriteError> {
        let bytes: Vec<usize> = decisions.iter().map(|decided| admission::decision_bytes(decided)).collect();
        let at = now();
        let mut inner = self.lock();
        inner.open()?;
        let bytes_in_all: usize = bytes.iter().sum();
        if !full {
            inner.admits(decisions.len(), bytes_in_all)?;
        } else if inner.writing && !inner.lanes.fit(decisions.len(), bytes_in_all) {
            // A batch that is being written cannot make room.
            return Err(WriteError::Busy);
        }
        let (before, waited_for) = (inner.lanes.len(), !replies.is_empty());
        let mut replies = replies.into_iter();
        for (decided, bytes) in decisions.into_iter().zip(bytes) {
            inner.lanes.push(at, decided, bytes, replies.next());
        }
        let mut dropped = 0;
        while full && !inner.lanes.fit(0, 0) {
            inner.lanes.drop_oldest();
            dropped += 1;
        }
        if before == 0 || waited_for || inner.lanes.len() >= inner.pace.portion() {
            self.arrived.notify_one();
        }
        Ok(dropped)
    }

    /// Takes a batch of rewards; `number_of` finds a slot's number.
    pub(super) fn push_rewards(
        &self,
        rewards: Vec<RewardRequest>,
        reply: RewardReply,
        number_of: impl Fn(&SlotId) -> Option<u32>,
    ) -> Result<(), WriteError> {
        let numbers: Vec<Option<u32>> = rewards
            .iter()
            .map(|reward| reward.decision.map(DecisionId::slot).or_else(|| reward.slot.as_ref().and_then(&number_of)))
            .collect();
        let bytes = rewards.iter().map(event_bytes).sum();
        let mut inner = self.lock();
        inner.open()?;
        let fits = inner.events + rewards.len() <= admission::EVENTS_MAX
            && inner.event_bytes + bytes <= admission::EVENT_BYTES_MAX;
        if inner.events > 0 && !fits {
            return Err(WriteError::Busy);
        }
        let mut after = BTreeMap::new();
        for (reward, number) in rewards.iter().zip(numbers) {
            let Some(number) = number else { continue };
            let ticket = match reward.decision {
                Some(id) => inner.lanes.ticket_of(id),
                None => inner.lanes.ticket_of_subject(number, &reward.subject),
            };
            let latest = after.entry(number).or_insert(0);
            *latest = ticket.unwrap_or(0).max(*latest);
        }
        inner.events += rewards.len();
        inner.event_bytes += bytes;
        let events = rewards.len();
        inner.express.push_back(ExpressEntry { after, events, bytes, what: ExpressItem::Rewards(rewards, reply) });
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes something that is done alone; with `settled` it comes after all decisions of that slot that wait now.
    pub(super) fn push_single(&self, single: SoloCommand, settled: Option<u32>) -> Result<(), WriteError> {
        let mut inner = self.lock();
        inner.open()?;
        if inner.singles >= CHANGES_MAX {
            return Err(WriteError::Busy);
        }
        let ticket = settled.and_then(|slot| Some((slot, inner.lanes.last_ticket(slot)?)));
        let after = ticket.into_iter().collect();
        inner.singles += 1;
        inner.express.push_back(ExpressEntry { after, events: 0, bytes: 0, what: ExpressItem::SoloCommand(single) });
        self.arrived.notify_one();
        Ok(())
    }

    /// Decisions, events and changes that wait, and their limits.
    pub(super) fn waiting(&self) -> QueueLoad {
        let inner = self.lock();
        QueueLoad {
            decisions: inner.lanes.len(),
            decision_bytes: inner.lanes.bytes(),
            decisions_max: inner.pace.decisions(),
            oldest_seconds: inner.lanes.oldest().map_or(0.0, |at| at.elapsed().as_secs_f64()),
            events: inner.events,
            changes: inner.singles,
        }
    }

    /// Takes nothing more; the writer empties the queue and ends.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.arrived.notify_one();
    }

    /// Drops what waits, whose callers learn that nobody can tell them what became of it. Returns how many decisions
    /// that were answered are lost by it.
    pub(super) fn close(&self) -> usize {
        let mut inner = self.lock();
        (inner.stopping, inner.closed) = (true, true);
        inner.express.clear();
        (inner.events, inner.event_bytes, inner.singles) = (0, 0, 0);
        inner.lanes.clear()
    }

    /// Waits until there is something to take, or for `patience`.
    pub(super) fn wait(&self, patience: Duration, wake: WakeCondition) -> WakeReason {
        let begun = now();
        let mut inner = self.lock();
        loop {
            if !inner.express.is_empty() {
                return WakeReason::RecoveryTask;
            }
            let until_due = match (inner.lanes.oldest(), wake) {
                (None, _) | (_, WakeCondition::Never) => None,
                (Some(_), WakeCondition::AtOnce) => Some(Duration::ZERO),
                (Some(_), WakeCondition::After(_)) if inner.stopping || inner.lanes.len() >= inner.pace.portion() => {
                    Some(Duration::ZERO)
                }
                (Some(at), WakeCondition::After(linger)) => Some(linger.saturating_sub(at.elapsed())),
            };
            if until_due.is_some_and(|left| left.is_zero()) {
                return WakeReason::RecoveryTask;
            }
            if inner.stopping {
                return WakeReason::Stop;
            }
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return WakeReason::Idle;
            }
            let sleep = until_due.map_or(left, |due| due.min(left));
            inner = self.arrived.wait_timeout(inner, sleep).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the next batch. Decisions stay in the queue until [`settle`](Self::settle) or [`keep`](Self::keep) is
    /// called for them.
    pub(super) fn take(&self, portion: BatchLimits) -> QueuedBatch {
        self.lock().take(portion)
    }

    /// Takes the oldest decisions and nothing else, at most `most`.
    pub(super) fn take_decisions(&self, most: usize) -> QueuedBatch {
        let (mut inner, mut taken) = (self.lock(), QueuedBatch::default());
        inner.lanes.take_oldest(most, &mut taken.counts, &mut taken.decisions);
        inner.writing = !taken.decisions.is_empty();
        taken
    }

    /// Number of events that the writer should take at once.
    pub(super) fn portion(&self) -> usize {
        self.lock().pace.portion()
    }

    /// Removes decisions that were taken: they were written, or `result` says why they never will be. Returns how many
    /// callers had not waited for them.
    pub(super) fn settle(&self, counts: &TakenCounts, result: &Result<(), WriteError>) -> usize {
        let mut inner = self.lock();
        inner.writing = false;
        inner.lanes.settle(counts, result)
    }

    /// Leaves decisions that were taken where they are, to be taken again.
    pub(super) fn keep(&self) {
        self.lock().writing = false;
    }

    /// Takes in how long a commit took, if more waited than it could take: only then it says what can be written.
    pub(super) fn measure(&self, events: usize, seconds: f64) {
        let mut inner = self.lock();
        if events >= inner.pace.portion() || !inner.lanes.is_empty() || !inner.express.is_empty() {
            inner.pace.measure(events, seconds);
        }
    }

    /// Takes out all rewards and changes that wait, so that the writer can refuse them.
    pub(super) fn drain_express(&self) -> (Vec<EventReply>, Vec<SoloCommand>) {
        let mut inner = self.lock();
        let (mut rewards, mut singles) = (Vec::new(), Vec::new());
        for passenger in std::mem::take(&mut inner.express) {
            match passenger.what {
                ExpressItem::Rewards(_, reply) => rewards.push(EventReply::Rewards(reply)),
                ExpressItem::Shoppers(batch) => rewards.push(EventReply::Shoppers(batch.reply)),
                ExpressItem::SoloCommand(single) => singles.push(single),
            }
        }
        (inner.events, inner.event_bytes, inner.singles) = (0, 0, 0);
        (rewards, singles)
    }
}

/// Approximate bytes that a waiting reward event takes in memory.
fn event_bytes(reward: &RewardRequest) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let subject = reward.subject.id.len() + reward.subject.session_id.len();
    size_of::<RewardRequest>() + reward.event_id.len() + reward.kind.len() + text(&reward.reverses) + subject
}
