//! Waiting decisions: one lane per slot, one order over all, and the indices by which rewards find theirs.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use tokio::sync::oneshot;

use crate::{
    engine::{DecisionId, DecisionRecord, Subject, hash},
    node::{
        WriteError,
        admission::{DECISION_BYTES_MAX, DECISIONS_MAX},
    },
};

/// Channel to a caller that waits until its decision is durable.
pub(in crate::node) type DecisionReply = oneshot::Sender<Result<(), WriteError>>;

/// Number of decisions that were taken, by slot number.
pub(in crate::node) type TakenCounts = HashMap<u32, usize>;

/// Waiting decision.
#[derive(Debug)]
struct Entry {
    /// Ascends over all lanes, from 1.
    ticket: u64,
    at: Instant,
    decided: Arc<DecisionRecord>,
    bytes: usize,
    reply: Option<DecisionReply>,
}

/// Subject of a slot: the slot's number and a hash of the subject's id or session.
type WaitingSubject = (u32, u64);

/// Waiting decisions of all slots.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    by_slot: HashMap<u32, VecDeque<Entry>>,
    /// Ticket and slot number of every decision, oldest first; those of decisions that have left may still be there.
    order: VecDeque<(u64, u32)>,
    tickets: HashMap<DecisionId, u64>,
    /// The ticket of each subject's newest waiting decision.
    subjects: HashMap<WaitingSubject, u64>,
    last_ticket: u64,
    len: usize,
    bytes: usize,
}

fn waiting_subjects(slot: u32, subject: &Subject) -> impl Iterator<Item = WaitingSubject> + '_ {
    [("waiting id", &subject.id), ("waiting session", &subject.session_id)]
        .into_iter()
        .filter(|(_, id)| !id.is_empty())
        .map(move |(purpose, id)| (slot, hash(purpose, &[id.as_bytes()]).word()))
}

impl Lanes {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns `true` if this many more decisions and bytes would stay within the limits.
    pub(super) fn fit(&self, decisions: usize, bytes: usize) -> bool {
        self.len + decisions <= DECISIONS_MAX && self.bytes + bytes <= DECISION_BYTES_MAX
    }

    /// Time at which the oldest waiting decision came, or `None` if no decision waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let (_, slot) = self.order.front()?;
        self.by_slot.get(slot)?.front().map(|entry| entry.at)
    }

    pub(super) fn push(
        &mut self,
        at: Instant,
        decided: Arc<DecisionRecord>,
        bytes: usize,
        reply: Option<DecisionReply>,
    ) {
        self.last_ticket += 1;
        let (ticket, slot) = (self.last_ticket, decided.id.slot());
        self.tickets.insert(decided.id, ticket);
        for key in waiting_subjects(slot, &decided.subject) {
            self.subjects.insert(key, ticket);
        }
        self.order.push_back((ticket, slot));
        self.len += 1;
        self.bytes += bytes;
        self.by_slot.entry(slot).or_default().push_back(Entry { ticket, at, decided, bytes, reply });
    }

    /// The ticket of a waiting decision.
    pub(super) fn ticket_of(&self, id: DecisionId) -> Option<u64> {
        self.tickets.get(&id).copied()
    }

    /// The ticket of a subject's newest waiting decision in a slot.
    pub(super) fn ticket_of_subject(&self, slot: u32, subject: &Subject) -> Option<u64> {
        waiting_subjects(slot, subject).filter_map(|key| self.subjects.get(&key).copied()).max()
    }

    /// Numbers of the slots whose decisions wait.
    pub(super) fn waiting_slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_slot.keys().copied()
    }

    /// The ticket of a slot's newest waiting decision.
    pub(super) fn last_ticket(&self, slot: u32) -> Option<u64> {
        Some(self.by_slot.get(&slot)?.back()?.ticket)
    }

    /// Returns `true` if a decision of the slot up to this ticket waits.
    pub(super) fn waits(&self, slot: u32, ticket: u64) -> bool {
        self.by_slot.get(&slot).and_then(VecDeque::front).is_some_and(|front| front.ticket <= ticket)
    }

    /// Returns the number of waiting decisions of a slot up to a ticket.
    pub(super) fn count_up_to(&self, slot: u32, ticket: u64) -> usize {
        self.by_slot.get(&slot).map_or(0, |lane| lane.partition_point(|entry| entry.ticket <= ticket))
    }

    /// Takes decisions of a slot up to a ticket, until `share` of the slot's decisions are taken in this batch.
    /// Returns whether all decisions up to the ticket are taken now.
    pub(super) fn take_up_to(
        &self,
        slot: u32,
        ticket: u64,
        share: usize,
        counts: &mut TakenCounts,
        into: &mut Vec<Arc<DecisionRecord>>,
    ) -> bool {
        if !self.waits(slot, ticket) {
            return true;
        }
        let (Some(lane), taken) = (self.by_slot.get(&slot), counts.entry(slot).or_insert(0)) else { return true };
        let due = self.count_up_to(slot, ticket);
        let until = due.min(share);
        if until > *taken {
            into.extend(lane.range(*taken..until).map(|entry| Arc::clone(&entry.decided)));
            *taken = until;
        }
        *taken >= due
    }

    /// Takes the oldest decisions of all slots that are not taken yet, at most `most`.
    pub(super) fn take_oldest(&self, most: usize, counts: &mut TakenCounts, into: &mut Vec<Arc<DecisionRecord>>) {
        let mut left = most;
        for (ticket, slot) in &self.order {
            if left == 0 {
                return;
            }
            let (Some(lane), taken) = (self.by_slot.get(slot), counts.entry(*slot).or_insert(0)) else { continue };
            if let Some(entry) = lane.get(*taken).filter(|entry| entry.ticket == *ticket) {
                into.push(Arc::clone(&entry.decided));
                *taken += 1;
                left -= 1;
            }
        }
    }

    /// Removes decisions that were taken and tells their callers `result`. Returns how many had no caller that waited.
    pub(super) fn settle(&mut self, counts: &TakenCounts, result: &Result<(), WriteError>) -> usize {
        let mut unasked = 0;
        for (&slot, &count) in counts {
            for _ in 0..count {
                match self.pop(slot).and_then(|entry| entry.reply) {
                    // A caller that no longer waits does not need the answer.
                    Some(reply) => drop(reply.send(result.clone())),
                    None => unasked += 1,
                }
            }
        }
        self.tidy();
        unasked
    }

    /// Drops the oldest decision.
    pub(super) fn drop_oldest(&mut self) {
        if let Some(&(_, slot)) = self.order.front() {
            self.pop(slot);
            self.tidy();
        }
    }

    /// Drops all decisions; returns how many had no caller that waited.
    pub(super) fn clear(&mut self) -> usize {
        let unasked = self.by_slot.values().flatten().filter(|entry| entry.reply.is_none()).count();
        *self = Self { last_ticket: self.last_ticket, ..Self::default() };
        unasked
    }

    fn pop(&mut self, slot: u32) -> Option<Entry> {
        let entry = self.by_slot.get_mut(&slot)?.pop_front()?;
        self.len -= 1;
        self.bytes -= entry.bytes;
        self.tickets.remove(&entry.decided.id);
        for key in waiting_subjects(slot, &entry.decided.subject) {
            if self.subjects.get(&key) == Some(&entry.ticket) {
                self.subjects.remove(&key);
            }
        }
        if self.by_slot.get(&slot).is_some_and(VecDeque::is_empty) {
            self.by_slot.remove(&slot);
        }
        Some(entry)
    }

    fn has_left(&self, ticket: u64, slot: u32) -> bool {
        self.by_slot.get(&slot).and_then(VecDeque::front).is_none_or(|front| front.ticket > ticket)
    }

    /// Forgets places in the order of decisions that have left.
    fn tidy(&mut self) {
        while self.order.front().is_some_and(|&(ticket, slot)| self.has_left(ticket, slot)) {
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.len + 1_024 {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|&(ticket, slot)| !self.has_left(ticket, slot));
            self.order = order;
        }
    }
}
