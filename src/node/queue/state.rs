//! State of the queue behind its lock, and the choice of the next batch.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::{
    BatchLimits, EventReply, ExpressEntry, ExpressItem, QueuedBatch, WriteError,
    admission::{self, DECISION_BYTES_MAX, WAIT_MAX, WriterPace},
    lanes::Lanes,
};

/// State of the queue, guarded by its lock.
#[derive(Debug, Default)]
pub(super) struct QueueState {
    pub(super) lanes: Lanes,
    pub(super) express: VecDeque<ExpressEntry>,
    pub(super) events: usize,
    pub(super) event_bytes: usize,
    pub(super) singles: usize,
    pub(super) pace: WriterPace,
    /// Decisions are taken that are neither settled nor kept.
    pub(super) writing: bool,
    pub(super) stopping: bool,
    pub(super) closed: bool,
}

impl QueueState {
    pub(super) fn open(&self) -> Result<(), WriteError> {
        if self.closed || self.stopping { Err(WriteError::Stopped) } else { Ok(()) }
    }

    pub(super) fn admits(&self, decisions: usize, bytes: usize) -> Result<(), WriteError> {
        let fits = self.lanes.is_empty()
            || self.lanes.len() + decisions <= self.pace.decisions()
                && self.lanes.bytes() + bytes <= DECISION_BYTES_MAX
                && self.lanes.oldest().is_none_or(|at| at.elapsed() <= WAIT_MAX);
        if fits { Ok(()) } else { Err(WriteError::Busy) }
    }

    /// Divides a batch of `most` decisions among the slots whose decisions the express lane waits for.
    ///
    /// Returns the number of decisions that each slot may have written. A slot that needs less than an equal share
    /// gets all that it needs, and the others divide the rest equally (max-min fairness). So a reward of an idle slot
    /// never waits until the many decisions of a busy slot are written.
    fn divide_batch(&self, most: usize) -> HashMap<u32, usize> {
        let mut last_tickets: BTreeMap<u32, u64> = BTreeMap::new();
        for (&slot, &ticket) in self.express.iter().flat_map(|passenger| &passenger.after) {
            // Slots that came first get a share if there are more slots than places.
            if last_tickets.len() < most || last_tickets.contains_key(&slot) {
                let last_ticket = last_tickets.entry(slot).or_default();
                *last_ticket = ticket.max(*last_ticket);
            }
        }
        let mut needs: Vec<(usize, u32)> =
            last_tickets.into_iter().map(|(slot, ticket)| (self.lanes.count_up_to(slot, ticket), slot)).collect();
        needs.sort_unstable();
        let (slots, mut left) = (needs.len(), most);
        let share_of = |(place, (need, slot)): (usize, (usize, u32))| {
            let share = need.min(left.div_ceil(slots - place));
            left -= share;
            (slot, share)
        };
        needs.into_iter().enumerate().map(share_of).collect()
    }

    pub(super) fn take(&mut self, portion: BatchLimits) -> QueuedBatch {
        let mut taken = QueuedBatch::default();
        let divide_batch = if portion.decisions { self.divide_batch(portion.events) } else { HashMap::new() };
        // Slots of which a reward must wait: no later one may pass it.
        let mut held: HashSet<u32> = HashSet::new();
        let (mut events, mut at) = (0, 0);
        while let Some(passenger) = self.express.get(at) {
            if taken.single.is_some() || events > 0 && events + passenger.events > portion.events {
                break;
            }
            let free = passenger.after.keys().all(|slot| !held.contains(slot));
            let mut met = free;
            for (&slot, &ticket) in passenger.after.iter().filter(|_| free && portion.decisions) {
                let share = divide_batch.get(&slot).copied().unwrap_or(0);
                met &= self.lanes.take_up_to(slot, ticket, share, &mut taken.counts, &mut taken.decisions);
            }
            let waits_for = |(&slot, &ticket): (&u32, &u64)| ticket > 0 && self.lanes.waits(slot, ticket);
            if !portion.decisions && passenger.after.iter().any(waits_for) {
                met = false;
            }
            if !met && portion.decisions {
                held.extend(passenger.after.keys());
                at += 1;
                continue;
            }
            let Some(passenger) = self.express.remove(at) else { break };
            self.events -= passenger.events;
            self.event_bytes -= passenger.bytes;
            match passenger.what {
                ExpressItem::Rewards(rewards, reply) if met => {
                    events += passenger.events;
                    taken.rewards.push((rewards, reply));
                }
                ExpressItem::Shoppers(batch) if met => {
                    events += passenger.events;
                    taken.shoppers.push(batch);
                }
                ExpressItem::Rewards(_, reply) => taken.refused.push(EventReply::Rewards(reply)),
                ExpressItem::Shoppers(batch) => taken.refused.push(EventReply::Shoppers(batch.reply)),
                // A look into the past that finds decisions unwritten sees what is written.
                ExpressItem::SoloCommand(single) => {
                    self.singles -= 1;
                    taken.single = Some(single);
                }
            }
        }
        if portion.decisions {
            // Prefixes that rewards need must not keep the oldest waiting for ever.
            let least = portion.unasked.min(admission::PORTION_MIN / 4);
            let left = portion.events.saturating_sub(taken.decisions.len()).min(portion.unasked).max(least);
            self.lanes.take_oldest(left, &mut taken.counts, &mut taken.decisions);
        }
        self.writing = !taken.decisions.is_empty();
        taken
    }
}
