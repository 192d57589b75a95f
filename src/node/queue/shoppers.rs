//! Shopper events in the queue.

use std::collections::BTreeMap;

use super::{ExpressEntry, ExpressItem, Queue, RewardReply, admission, lanes::Lanes};
use crate::{
    engine::{DecisionId, ShopperEffect, ShopperEvent, Subject},
    node::{WriteError, writer::ShopperRequest},
};

/// Channel to the caller that waits for the effects of a batch of shopper events.
pub(in crate::node) type ShopperReply = tokio::sync::oneshot::Sender<Result<Vec<ShopperEffect>, WriteError>>;

/// Batch of shopper events whose caller waits.
#[derive(Debug)]
pub(in crate::node) struct ShopperBatch {
    pub(in crate::node) events: Vec<ShopperRequest>,
    /// `true` if the caller only asks for the effect that the events would have.
    pub(in crate::node) validate_only: bool,
    pub(in crate::node) reply: ShopperReply,
}

/// Channel to a caller whose events cannot be written now.
#[derive(Debug)]
pub(in crate::node) enum EventReply {
    Rewards(RewardReply),
    Shoppers(ShopperReply),
}

impl EventReply {
    /// Tells the caller why nothing was written. A caller that no longer waits does not need the answer.
    pub(in crate::node) fn refuse(self, why: WriteError) {
        match self {
            Self::Rewards(reply) => drop(reply.send(Err(why))),
            Self::Shoppers(reply) => drop(reply.send(Err(why))),
        }
    }
}

impl Queue {
    /// Takes a batch of shopper events.
    pub(in crate::node) fn push_shoppers(&self, batch: ShopperBatch) -> Result<(), WriteError> {
        let (events, bytes) = (batch.events.len(), batch.events.iter().map(event_bytes).sum());
        let mut inner = self.lock();
        inner.open()?;
        let fits =
            inner.events + events <= admission::EVENTS_MAX && inner.event_bytes + bytes <= admission::EVENT_BYTES_MAX;
        if inner.events > 0 && !fits {
            return Err(WriteError::Busy);
        }
        let mut after = BTreeMap::new();
        for ShopperRequest { event, .. } in &batch.events {
            inner.lanes.tickets_of_event(&event.decisions, &event.subject, &mut after);
        }
        inner.events += events;
        inner.event_bytes += bytes;
        inner.express.push_back(ExpressEntry { after, events, bytes, what: ExpressItem::Shoppers(batch) });
        self.arrived.notify_one();
        Ok(())
    }
}

impl Lanes {
    /// Raises the tickets of the slots whose waiting decisions a shopper event may belong to: those that it names, or the
    /// newest one for its subject in each slot.
    fn tickets_of_event(&self, decisions: &[DecisionId], subject: &Subject, after: &mut BTreeMap<u32, u64>) {
        let mut raise = |slot: u32, ticket: Option<u64>| {
            if let Some(ticket) = ticket {
                let latest = after.entry(slot).or_insert(0);
                *latest = ticket.max(*latest);
            }
        };
        for &id in decisions {
            raise(id.slot(), self.ticket_of(id));
        }
        if decisions.is_empty() {
            for slot in self.waiting_slots() {
                raise(slot, self.ticket_of_subject(slot, subject));
            }
        }
    }
}

/// Approximate bytes that a waiting shopper event takes in memory.
fn event_bytes(request: &ShopperRequest) -> usize {
    let ShopperEvent { event_id, kind, items, attributes, query, decisions, subject, .. } = &request.event;
    let features = |features: &crate::bandit::Features| 160 * features.len();
    let items: usize = items.iter().map(|item| 128 + item.item.as_str().len() + features(&item.attributes)).sum();
    size_of::<ShopperRequest>()
        + event_id.len()
        + kind.len()
        + query.len()
        + 16 * decisions.len()
        + subject.id.len()
        + subject.session_id.len()
        + features(attributes)
        + items
}
