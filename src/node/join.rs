//! Join of a journal's decisions and rewards, made by the engine itself.
//!
//! The journal is folded by a state that only keeps accounts ([`State::accounting`]). What a decision was, and what its
//! events said, waits here as bytes for as long as the decision waits in the engine, and is handed out when the engine
//! tells that it no longer does. Where old records were dropped, the changes of slots that outlived them are folded, and
//! then the rest.
//!
//! Invariant: each decision that is selected is handed out once, in the order in which they leave; memory is bounded by
//! what may wait in the engine.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use super::{
    OpenError,
    audit::Progress,
    codec::{self, Decoded},
    subjects::Mask,
};
use crate::{
    bandit::Features,
    engine::{
        Body, DecisionId, DecisionOutcome, DecisionRecord, Event, EventClass, EventEffect, EventStatus, Hash128,
        Ledger, RewardEvent, SHOPPER, SLOT_RENAMED, ShopperEvent, SlotShard, State, Step, TRAFFIC, event_key,
        whole_event_id,
    },
    journal::{JournalReader, ReadError, RecordRange, Stored},
    slot::{ArmId, Definition, SlotId, suggestion},
};

/// Records between two reports of progress.
const REPORT_EVERY: u64 = 4_096;

/// Selection of the decisions that are handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Slot of the decisions, or `None` for all slots.
    pub slot: Option<SlotId>,
    /// Earliest time of a decision, microseconds since 1970.
    pub from_us: i64,
    /// Time before which decisions were made, microseconds since 1970.
    pub until_us: i64,
}

impl Default for Selection {
    /// All.
    fn default() -> Self {
        Self { slot: None, from_us: i64::MIN, until_us: i64::MAX }
    }
}

/// A decision with its rewards.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedDecision {
    /// Time of the decision, microseconds since 1970.
    pub at_us: i64,
    /// The decision.
    pub decided: Arc<DecisionRecord>,
    /// Reward that the slot counted for each arm shown, in order, or `None` if the slot was reset or deleted
    /// before the decision was applied, and so counted nothing of it.
    pub rewards: Option<Vec<f64>>,
    /// The events that were accepted for it, in order.
    pub events: Vec<JoinedEvent>,
    /// Definition of the slot that decided, or `None` if its revision is no longer kept.
    pub definition: Option<Arc<Definition>>,
    /// `true` if the reward window and the grace period were over. No reward could come any more, but rewards may be reversed for
    /// the reversal window.
    pub complete: bool,
}

impl JoinedDecision {
    /// Returns the candidates with their features as the decision used them. They are empty if every arm of the slot was a
    /// candidate, no profile was used, and the arms were the slot's own.
    pub fn candidates(&self) -> Cow<'_, [(ArmId, Features)]> {
        let decided = &*self.decided;
        let matched = |arm: &ArmId| decided.matched_features(arm, self.definition.as_deref());
        if decided.matches.is_none() && decided.catalogue_arms.is_empty() {
            return Cow::Borrowed(&decided.candidates);
        }
        let from_request = decided.candidates.iter().map(|(arm, own)| (arm, Some(own)));
        let of_slot = self.definition.iter().filter(|_| decided.candidates.is_empty());
        let of_slot = of_slot.flat_map(|definition| &definition.arms);
        let available = of_slot.filter(|arm| arm.available && arm.schedule.holds(decided.id.at_us()));
        let of_slot = available.map(|arm| &arm.id).chain(decided.catalogue_candidates());
        let all = from_request.chain(of_slot.map(|arm| (arm, None)));
        all.map(|(arm, own)| (arm.clone(), matched(arm).or(own.cloned()).unwrap_or_default())).collect()
    }

    /// Returns the arm of the candidate of this index, or `None` if it cannot be known any more.
    pub fn candidate(&self, index: usize) -> Option<&ArmId> {
        self.decided.candidate(index, self.definition.as_deref())
    }
}

/// An event that was accepted for a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedEvent {
    /// The event.
    pub event: RewardEvent,
    /// `true` if another event reversed it.
    pub reversed: bool,
}

/// Reason why a join failed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError<E: std::error::Error> {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The key of the folder's subjects cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal never heard of the slot.
    #[error("the journal knows no slot '{slot}'{suggestion}")]
    NoSlot {
        /// The slot.
        slot: SlotId,
        /// Slot id that the caller may have meant.
        suggestion: String,
    },
    /// The caller's handler failed and takes no more decisions.
    #[error(transparent)]
    Taker(E),
}

/// Reason why reading stops early.
enum JoinStop<E> {
    Unreadable(String),
    Taker(E),
}

/// Decisions and events of a slot, as the journal holds them, that wait until the engine reports their rewards.
#[derive(Default)]
struct JoinInput {
    /// Selected decisions.
    decisions: HashMap<DecisionId, WaitingDecision>,
    events: HashMap<Hash128, Box<[u8]>>,
}

/// Selected decision, as the journal holds it.
struct WaitingDecision {
    body: Box<[u8]>,
    definition: Option<Arc<Definition>>,
}

impl JoinInput {
    /// Returns the decision with its rewards, or `None` if it is not selected.
    fn close(&mut self, closed: DecisionOutcome, mask: Mask) -> Result<Option<JoinedDecision>, String> {
        let DecisionOutcome { id, rewards, events: keys, complete } = closed;
        let mut events = Vec::with_capacity(keys.len());
        let decision = self.decisions.remove(&id);
        for (key, status) in keys {
            let Some(body) = self.events.remove(&key).filter(|_| decision.is_some()) else { continue };
            let mut event = codec::decode(&body)?;
            mask.apply(&mut event);
            if let Body::Rewarded(mut event) = event.body {
                // Parts of one shopper event have the id that its caller gave it.
                event.event_id.truncate(whole_event_id(&event.event_id).len());
                event.reverses = event.reverses.as_deref().map(whole_event_id).map(str::to_owned);
                events.push(JoinedEvent { event: *event, reversed: status == EventStatus::Reversed });
            }
        }
        let Some(WaitingDecision { body, definition }) = decision else { return Ok(None) };
        let mut event = codec::decode(&body)?;
        mask.apply(&mut event);
        let Body::Decided(decided) = event.body else { return Ok(None) };
        Ok(Some(JoinedDecision { at_us: event.at_us, decided, rewards, events, definition, complete }))
    }
}

struct Join<'a, E> {
    selection: &'a Selection,
    /// Ids of the selected slot, or `None` for all slots.
    spans: Option<Vec<IdSpan>>,
    mask: Mask,
    ledger: Ledger,
    slots: SlotShard,
    waiting: BTreeMap<SlotId, JoinInput>,
    /// Slots that were ever created, including deleted ones.
    known: BTreeSet<SlotId>,
    each: &'a mut dyn FnMut(JoinedDecision) -> Result<(), E>,
}

/// Hands a decision on that was closed.
fn hand_out<E>(
    waiting: &mut JoinInput,
    closed: DecisionOutcome,
    mask: Mask,
    each: &mut dyn FnMut(JoinedDecision) -> Result<(), E>,
) -> Result<(), JoinStop<E>> {
    match waiting.close(closed, mask).map_err(JoinStop::Unreadable)? {
        Some(joined) => each(joined).map_err(JoinStop::Taker),
        None => Ok(()),
    }
}

impl<E> Join<'_, E> {
    fn take(&mut self, stored: &Stored<'_>) -> Result<(), JoinStop<E>> {
        let is_of = |span: &IdSpan| span.slot.as_str() == stored.slot && span.positions.contains(&stored.position);
        let elsewhere = self.spans.as_ref().is_some_and(|spans| !spans.iter().any(is_of));
        if elsewhere && stored.kind != SHOPPER && TRAFFIC.contains(&stored.kind) {
            let step = self.ledger.skip(stored.at_us, EventClass::from_kind(stored.kind));
            return self.sweep(step);
        }
        let event = match codec::read(stored.body).map_err(|why| JoinStop::Unreadable(why.into()))? {
            Decoded::Event(mut event) => {
                self.mask.apply(&mut event);
                event
            }
            Decoded::Skipped(skipped) => {
                self.ledger.skip(skipped.at_us, EventClass::Other);
                return Ok(());
            }
        };
        let step = self.ledger.step(event.at_us, &event.body);
        if let Body::Shopper(shopper) = &event.body {
            self.take_shopper(event.at_us, step, shopper)?;
            return self.sweep(step);
        }
        let Some(slot) = event.body.slot() else {
            // The log keeps the events of a forgotten subject, and they belong to nobody any more.
            self.slots.apply(step, &event.body, None);
            return self.sweep(step);
        };
        if matches!(event.body, Body::SlotCreated { .. }) {
            self.known.insert(slot.clone());
        }
        if let Body::SlotRenamed { slot: from, to, .. } = &event.body
            && step.renames()
        {
            self.known.insert(to.clone());
            if let Some(waiting) = self.waiting.remove(from) {
                self.waiting.insert(to.clone(), waiting);
            }
        }
        let waiting = self.waiting.entry(slot.clone()).or_default();
        if let Body::Decided(decided) = &event.body
            && (self.selection.from_us..self.selection.until_us).contains(&event.at_us)
        {
            let definition = self.slots.slot(slot.as_str()).and_then(|state| state.definition_at(decided.revision));
            waiting.decisions.insert(decided.id, WaitingDecision { body: stored.body.into(), definition });
        }
        let (each, mask, mut done) = (&mut *self.each, self.mask, Ok(()));
        let applied = self.slots.apply(
            step,
            &event.body,
            Some(&mut |closed| {
                if done.is_ok() {
                    done = hand_out(waiting, closed, mask, each);
                }
            }),
        );
        if let (Body::Rewarded(rewarded), EventEffect::Reward(reply)) = (&event.body, applied)
            && reply.status == EventStatus::Accepted
        {
            waiting.events.insert(event_key(&rewarded.event_id), stored.body.into());
        }
        done?;
        self.sweep(step)
    }

    /// Applies a shopper event. The reward events that it stands for wait as if callers had reported them.
    fn take_shopper(&mut self, at_us: i64, step: Step, event: &ShopperEvent) -> Result<(), JoinStop<E>> {
        let (each, mask, mut done) = (&mut *self.each, self.mask, Ok(()));
        let waiting = &mut self.waiting;
        let mut hand_on = |slot: &SlotId, closed| {
            if done.is_ok() {
                done = hand_out(waiting.entry(slot.clone()).or_default(), closed, mask, each);
            }
        };
        let effect = self.slots.apply_shopper(step, event, Some(&mut hand_on));
        for (slot, join) in effect.slots {
            let waiting = self.waiting.entry(slot).or_default();
            for reward in join.accepted {
                let key = event_key(&reward.event_id);
                let stored = codec::encode(&Event { at_us, body: Body::Rewarded(Box::new(reward)) });
                waiting.events.insert(key, stored.body.into());
            }
        }
        done
    }

    /// Sweeps all slots where a step asks for it, and hands out what leaves.
    fn sweep(&mut self, step: Step) -> Result<(), JoinStop<E>> {
        let (each, waiting, mask, mut done) = (&mut *self.each, &mut self.waiting, self.mask, Ok(()));
        self.slots.sweep(
            step,
            Some(&mut |slot, closed| {
                if let (Ok(()), Some(waiting)) = (&done, waiting.get_mut(slot)) {
                    done = hand_out(waiting, closed, mask, each);
                }
            }),
        );
        done
    }

    /// Hands out what still waits at the journal's end.
    fn finish(&mut self) -> Result<(), JoinStop<E>> {
        for (slot, state) in self.slots.iter() {
            let Some(waiting) = self.waiting.get_mut(slot) else { continue };
            for closed in state.open_decisions(self.ledger.at_us()) {
                hand_out(waiting, closed, self.mask, self.each)?;
            }
        }
        Ok(())
    }
}

/// Positions of the journal in which an id was that of a slot.
#[derive(Clone)]
struct IdSpan {
    slot: SlotId,
    positions: Range<u64>,
}

/// Returns the ids of a slot with their positions. A deleted slot counts with the next of its id, a renamed one does not.
fn spans_of(reader: &JournalReader, slot: &SlotId) -> Result<Vec<IdSpan>, ReadError> {
    let mut spans: Vec<IdSpan> = Vec::new();
    let mut open = vec![(slot.clone(), u64::MAX)];
    while let Some((slot, until)) = open.pop() {
        let (mut begins, mut ends) = (Vec::new(), Vec::new());
        for kind in ["slot_created", SLOT_RENAMED, "slot_deleted"] {
            reader.newest(kind, slot.as_str(), usize::MAX, u64::MAX, &mut |stored| {
                match stored.position {
                    position if position >= until => {}
                    position if kind == "slot_deleted" => ends.push(position),
                    position if kind == SLOT_RENAMED => {
                        let Body::SlotRenamed { slot, .. } = codec::decode(stored.body)?.body else { return Ok(()) };
                        begins.push((position, Some(slot)));
                    }
                    position => begins.push((position, None)),
                }
                Ok(())
            })?;
        }
        begins.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
        let mut since = 0;
        for (i, (begin, from)) in begins.iter().enumerate() {
            open.extend(from.clone().map(|from| (from, *begin)));
            let before = begins.get(i + 1).map(|(position, _)| *position);
            if before.is_some_and(|before| !ends.iter().any(|end| (before..*begin).contains(end))) {
                since = *begin;
                break;
            }
        }
        spans.push(IdSpan { slot, positions: since..until });
    }
    Ok(spans)
}

/// Hands every selected decision to `each` with what it came to, as they leave the engine's queue; what still waits at
/// the journal's end comes last, slot by slot.
pub fn join<E: std::error::Error>(
    reader: &JournalReader,
    selection: &Selection,
    progress: &mut dyn FnMut(Progress),
    each: &mut dyn FnMut(JoinedDecision) -> Result<(), E>,
) -> Result<(), JoinError<E>> {
    let (ledger, mut parts) = State::accounting().split(1);
    let slots = parts.pop().unwrap_or_default();
    let (waiting, known) = (BTreeMap::new(), BTreeSet::new());
    let spans = selection.slot.as_ref().map(|slot| spans_of(reader, slot)).transpose()?;
    let mask = Mask::of(reader.folder(), Some(reader))?;
    let mut join = Join { selection, spans, mask, ledger, slots, waiting, known, each };
    let mut taker = None;
    let stopped = |stop, taker: &mut Option<E>| match stop {
        JoinStop::Unreadable(why) => why,
        JoinStop::Taker(why) => {
            *taker = Some(why);
            String::new()
        }
    };
    let mut read = reader.each(RecordRange::default(), &mut |stored| {
        if stored.position.is_multiple_of(REPORT_EVERY) {
            progress(Progress { doing: "reading the journal", done: stored.position, of: reader.last() });
        }
        join.take(stored).map_err(|stop| stopped(stop, &mut taker))
    });
    if let Ok(position) = read {
        let unreadable = |why| ReadError::Reader { file: reader.file().to_owned(), position, why };
        read = join.finish().map(|()| position).map_err(|stop| unreadable(stopped(stop, &mut taker)));
    }
    if let Some(why) = taker {
        return Err(JoinError::Taker(why));
    }
    read?;
    match &selection.slot {
        Some(slot) if !join.known.contains(slot) => {
            let suggestion = suggestion(slot.as_str(), join.known.iter().map(SlotId::as_str));
            Err(JoinError::NoSlot { slot: slot.clone(), suggestion })
        }
        _ => Ok(()),
    }
}
