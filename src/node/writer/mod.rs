//! The one thread that writes: commits batches, applies them, publishes what changed.

mod changes;
mod confirm;
mod drafts;
mod exit;
mod forget;
mod imports;
mod items;
mod publish;
mod rewards;
mod shoppers;

pub use rewards::RewardRequest;
pub use shoppers::ShopperRequest;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Shared, Stopwatch, WriteError,
    admission::{GRACE_AFTER_FULL, PORTION_MIN},
    codec, disk_space,
    exposures::Exposures,
    folder::Folder,
    queue::{BatchLimits, QueuedBatch, RewardReply, SoloCommand, TakenCounts, WakeCondition, WakeReason},
    recover,
    saver::Saver,
};
use crate::{
    engine::{Body, CatalogueLimits, ChangeError, DecisionRecord, Event, EventEffect, RewardAnswer, State, TRAFFIC},
    journal::{AppendError, Journal, Record},
    slot::SlotId,
};

/// Time that decisions without a waiting caller may be gathered before they are committed.
const LINGER: Duration = Duration::from_millis(5);
/// Time after which an idle writer looks whether a snapshot is due, or the disk has free space again.
const IDLE: Duration = Duration::from_millis(500);
/// Time after which an idle writer looks again while it drops old records.
const TRIMMING: Duration = Duration::from_millis(100);

/// Reason why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeFailure {
    /// The change is not valid.
    #[error(transparent)]
    Refused(#[from] ChangeError),
    /// The change could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

pub(super) use changes::{ChangeCommand, ChangeEachCommand, DraftCommand};
use confirm::DeferredBatch;
pub(super) use drafts::DraftStepCommand;
use exit::CloseOnExit;
pub(super) use imports::ImportCommand;
pub(super) use items::ItemsCommand;
pub(super) use shoppers::ItemArms;
use shoppers::{WaitingShoppers, answer_shoppers};

/// A batch of rewards whose callers wait: for each event the outcome that is known already, or `None` if the next
/// applied event is its own.
type WaitingRewards = (Vec<Option<RewardAnswer>>, RewardReply);

/// Callers that wait for the outcomes of a batch.
#[derive(Default)]
struct WaitingCallers {
    rewards: Vec<WaitingRewards>,
    shoppers: Vec<WaitingShoppers>,
}

/// The writer's side of a node.
pub(super) struct Writer {
    pub(super) state: State,
    pub(super) journal: Box<dyn Journal>,
    /// Locked for as long as the writer lives.
    pub(super) folder: Folder,
    pub(super) shared: Arc<Shared>,
    pub(super) saver: Saver,
    /// `true` if decisions are answered when they are durable. Decisions that are not durable are then dropped.
    pub(super) durable_decisions: bool,
    /// Catching up after a full disk: `Some` from then until no decision waits.
    pub(super) catch_up: Option<CatchUp>,
    /// Slots of which a view for decisions alone is published. `true` for those that had an event since the writer last
    /// looked.
    pub(super) partly_published: BTreeMap<SlotId, bool>,
    /// Arms of the items that shopper events name.
    pub(super) items: ItemArms,
    /// Limits of the item catalogue.
    pub(super) catalogue: CatalogueLimits,
    /// Exposures ahead of the journal, to which those of confirmed decisions are added.
    pub(super) exposures: Arc<Exposures>,
}

/// Pace of the waiting decisions once a full disk has free space again.
#[derive(Debug)]
pub(super) struct CatchUp {
    /// Time since the disk was last known to be full.
    since: Stopwatch,
    /// Number of decisions that nobody asks for and that are written at once.
    unasked: usize,
}

impl Writer {
    /// Works until the queue stops, then takes a last snapshot.
    pub(super) fn run(mut self) {
        // Should anything here panic, the node must not go on as if its writer were there.
        let _guard = CloseOnExit(Arc::clone(&self.shared));
        let mut looked = self.shared.stopwatch();
        loop {
            let patience = if self.saver.trimming() { TRIMMING } else { IDLE };
            let wake = match (self.durable_decisions, self.is_in_grace() || self.holds_decisions()) {
                (true, _) => WakeCondition::AtOnce,
                (false, true) => WakeCondition::Never,
                (false, false) => WakeCondition::After(LINGER),
            };
            match self.shared.queue.wait(patience, wake) {
                WakeReason::Stop => break,
                WakeReason::RecoveryTask => self.step(),
                WakeReason::Idle => {}
            }
            if looked.seconds() >= IDLE.as_secs_f64() {
                looked = self.shared.stopwatch();
                self.look_for_room();
                self.look_at_files();
                self.shared.observer.log_blocked(self.journal.blocked_log_bytes());
                self.shared.observer.names_dropped(self.shared.names_dropped.swap(0, Ordering::Relaxed));
                self.shared.doubt.look(&*self.shared.clock, self.folder.path());
                self.publish_idle();
            }
            self.saver.save_if_due(&self.state, recover::origin(&self.journal.point()));
            self.trim();
        }
        self.finish();
    }

    /// Returns `true` if decisions wait for free space on the disk.
    fn holds_decisions(&self) -> bool {
        self.shared.is_full() || self.catch_up.is_some() && !disk_space::is_ample(self.journal.file())
    }

    /// Returns `true` if decisions without a waiting caller let refused rewards and changes, sent again, pass first.
    fn is_in_grace(&self) -> bool {
        self.catch_up.as_ref().is_some_and(|after| after.since.seconds() < GRACE_AFTER_FULL.as_secs_f64())
    }

    /// Notes that the disk is full now.
    fn begin_after_full(&mut self) {
        self.catch_up = Some(CatchUp { since: self.shared.stopwatch(), unasked: PORTION_MIN });
    }

    /// Limits of the next batch. The section "Overload" of [`admission`](super::admission) gives the reasons.
    fn portion(&mut self) -> BatchLimits {
        let events = self.shared.queue.portion();
        if self.shared.is_full() {
            self.begin_after_full();
        }
        let unasked = match &self.catch_up {
            Some(_) if self.is_in_grace() => 0,
            Some(after) => after.unasked.min(events),
            None => events,
        };
        BatchLimits { events, unasked, decisions: self.durable_decisions || !self.holds_decisions() }
    }

    /// Writes the next batch, then does what is to be done alone.
    fn step(&mut self) {
        let begun = self.shared.stopwatch();
        let portion = self.portion();
        let QueuedBatch { decisions, counts, rewards, shoppers, single, refused } = self.shared.queue.take(portion);
        for reply in refused {
            reply.refuse(WriteError::Journal(AppendError::Full { file: self.journal.file().to_owned() }));
        }
        let at_us = self.now_us();
        let mut events: Vec<Event> =
            decisions.into_iter().map(|decided| decision_event(at_us, self.state.under_present_id(decided))).collect();
        let mut batch = DeferredBatch::new(&events);
        let rewards: Vec<WaitingRewards> = rewards
            .into_iter()
            .map(|(rewards, reply)| (self.resolve_all(rewards, at_us, &mut batch, &mut events), reply))
            .collect();
        let (previews, shoppers): (Vec<_>, Vec<_>) = shoppers.into_iter().partition(|batch| batch.validate_only);
        let shoppers = self.resolve_shoppers(shoppers, at_us, &mut batch, &mut events);
        if !events.is_empty() || !rewards.is_empty() || !shoppers.is_empty() {
            self.commit(&events, &counts, WaitingCallers { rewards, shoppers });
            self.shared.queue.measure(events.len(), begun.seconds());
        }
        for preview in previews {
            self.preview_shoppers(preview);
        }
        match single {
            None => {}
            Some(SoloCommand::Change(change)) => self.change(*change),
            Some(SoloCommand::ChangeEach(change)) => self.change_each(*change),
            Some(SoloCommand::Items(change)) => self.change_items(*change),
            Some(SoloCommand::DraftStep(step)) => self.step_draft(*step),
            Some(SoloCommand::Import(import)) => self.import(*import),
            Some(SoloCommand::Draft(draft)) => self.answer_draft(*draft),
            Some(SoloCommand::Settle(reply)) => drop(reply.send(())),
            Some(SoloCommand::Forget(events, reply)) => drop(reply.send(self.forget(&events))),
            Some(SoloCommand::ReadLearning(slot, reply)) => drop(reply.send(self.state.learning_of(&slot))),
            Some(SoloCommand::ListForgotten(most, reply)) => drop(reply.send(self.list_forgotten(most))),
        }
        if portion.unasked > 0 && !self.shared.is_full() {
            if self.shared.queue.waiting().decisions == 0 {
                self.catch_up = None;
            } else if let Some(after) = &mut self.catch_up {
                after.unasked = after.unasked.saturating_mul(2);
            }
        }
    }

    fn now_us(&self) -> i64 {
        self.shared.clock.now_us().max(self.state.at_us())
    }

    /// Writes the events and then makes them true. Returns what became of each.
    fn write(&mut self, events: &[Event]) -> Result<Vec<EventEffect>, WriteError> {
        let records: Vec<Record> = events.iter().map(codec::encode).collect();
        let begun = self.shared.stopwatch();
        self.journal.append(&records).map_err(|why| self.not_written(why))?;
        self.shared.observer.committed(events.len(), begun.seconds());
        self.shared.report_full(None);
        let (mut touched, sweeps) = (BTreeSet::new(), self.state.sweeps());
        let applied = events
            .iter()
            .map(|event| {
                let applied = self.state.apply(event);
                touched.extend(event.body.slot().cloned());
                if let Body::SlotRenamed { slot, .. } = &event.body {
                    touched.insert(slot.clone());
                }
                if let Body::ItemsChanged(_) = &event.body {
                    touched.extend(self.publish_items());
                }
                if let EventEffect::Shopper(effect) = &applied {
                    touched.extend(effect.slots.keys().cloned());
                    self.publish_profiles(effect);
                } else if applied == EventEffect::Change {
                    self.items.clear();
                } else if let Body::Decided(decided) = &event.body
                    && decided.expire_us.is_some()
                    && let Some(slot) = self.state.slot(decided.slot.as_str())
                {
                    self.exposures.add_confirmed(event.at_us, decided, slot.definition());
                }
                applied
            })
            .collect();
        // A sweep forgets in slots that had no event, too.
        if self.state.sweeps() > sweeps {
            let remembers = |slot: &SlotId| self.shared.views.get(slot).map(|view| view.remembered);
            let changed = |slot: &SlotId, now| remembers(slot).is_some_and(|before| before != now);
            let swept = self.state.slots().filter(|(slot, state)| changed(slot, state.remembered()));
            touched.extend(swept.map(|(slot, _)| slot.clone()));
        }
        for slot in touched {
            self.publish(&slot);
        }
        Ok(applied)
    }

    /// Want of room passes, and so does another program that writes; after any other failure nothing is written any more.
    fn not_written(&self, why: AppendError) -> WriteError {
        match why {
            AppendError::Full { .. } => self.shared.report_full(Some(&why.to_string())),
            AppendError::Busy { .. } => {
                tracing::warn!(%why, "rewards and changes are refused until the other program ends its transaction");
            }
            AppendError::Engine { .. } | AppendError::Poisoned { .. } => self.shared.fail(&why.to_string()),
        }
        WriteError::Journal(why)
    }

    /// Tries whether there is room again, where there was none.
    fn look_for_room(&mut self) {
        if !self.shared.is_full() {
            return;
        }
        self.begin_after_full();
        let QueuedBatch { decisions, counts, .. } = self.shared.queue.take_decisions(1);
        if decisions.is_empty() {
            match self.journal.probe() {
                Ok(()) => self.shared.report_full(None),
                Err(why) => drop(self.not_written(why)),
            }
            return;
        }
        // A decision that waits needs room as a reward does: the best trial there is.
        let at_us = self.now_us();
        let events: Vec<Event> =
            decisions.into_iter().map(|decided| decision_event(at_us, self.state.under_present_id(decided))).collect();
        self.commit(&events, &counts, WaitingCallers::default());
    }

    /// Looks whether the journal's files are still in their place.
    fn look_at_files(&mut self) {
        if !self.shared.failed()
            && let Err(why) = self.journal.check_files()
        {
            self.shared.fail(&why.to_string());
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

    /// Writes a batch and tells its callers.
    fn commit(&mut self, events: &[Event], counts: &TakenCounts, waiting: WaitingCallers) {
        let written = self.write(events);
        match &written {
            Ok(applied) => {
                self.observe(events, applied);
                self.shared.queue.settle(counts, &Ok(()));
            }
            Err(why) => self.not_committed(why, counts),
        }
        let mut outcomes = written.as_ref().ok().into_iter().flatten().filter_map(|applied| match applied {
            EventEffect::Reward(answer) => Some(answer.clone()),
            EventEffect::Change | EventEffect::Decision | EventEffect::Shopper(_) => None,
        });
        for (known, reply) in waiting.rewards {
            let results = match &written {
                Err(why) => Err(why.clone()),
                Ok(_) => known
                    .into_iter()
                    .map(|known| known.or_else(|| outcomes.next()))
                    .collect::<Option<Vec<_>>>()
                    .ok_or(WriteError::Stopped),
            };
            // A caller that no longer waits does not need the answer.
            drop(reply.send(results));
        }
        answer_shoppers(waiting.shoppers, written);
    }

    /// Keeps the decisions of a batch that could not be written, where they may be later; tells everybody who waits
    /// that there is no room.
    ///
    /// Callers hear of it only after everything that waits was taken from the queue, so that what a caller sends next is
    /// not refused for the same failure.
    fn not_committed(&mut self, why: &WriteError, counts: &TakenCounts) {
        let (rewards, singles) =
            if self.shared.failed() { Default::default() } else { self.shared.queue.drain_express() };
        if self.shared.failed() || self.durable_decisions {
            let unasked = self.shared.queue.settle(counts, &Err(why.clone()));
            self.shared.observer.unrecorded(unasked);
        } else {
            self.shared.queue.keep();
        }
        for reply in rewards {
            reply.refuse(why.clone());
        }
        for single in singles {
            self.refuse_single(single, why);
        }
    }

    fn observe(&self, events: &[Event], applied: &[EventEffect]) {
        for (event, applied) in events.iter().zip(applied) {
            if let (Body::Rewarded(rewarded), EventEffect::Reward(answer)) = (&event.body, applied) {
                let slot = self.state.slot(rewarded.slot.as_str());
                let known = slot.is_some_and(|slot| slot.definition().goal.kind(&rewarded.kind).is_some());
                let kind = if known { rewarded.kind.as_str() } else { "other" };
                self.shared.observer.rewarded(rewarded.slot.as_str(), kind, answer.status);
            }
            if let EventEffect::Shopper(effect) = applied {
                self.observe_shopper(effect);
            }
        }
    }
}

/// Returns the event that records a new decision.
fn decision_event(at_us: i64, decided: Arc<DecisionRecord>) -> Event {
    let body = if decided.expire_us.is_some() { Body::Deferred(decided) } else { Body::Decided(decided) };
    Event { at_us, body }
}
