//! Decisions by request id, so that a retry gets the same decision.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dashmap::DashMap;

use crate::{
    engine::{DecisionRecord, Hash128, hash},
    slot::limits::{REQUEST_MEMORY_US, REQUESTS_MAX},
};

/// Requests of all slots together that are remembered here; the state itself keeps
/// [`REQUESTS_MAX`] of each.
const TOTAL_MAX: usize = 4 * REQUESTS_MAX;

/// The decision that a request id was given.
#[derive(Debug, Clone)]
pub(super) struct RequestDecision {
    /// Time of the decision, microseconds since 1970.
    at_us: i64,
    /// The slot's number.
    pub(super) slot: u32,
    /// The decision.
    pub(super) decided: Arc<DecisionRecord>,
}

/// The decisions of the last ten minutes by request id, as far as answering again needs them. A request id is one of the
/// whole service, so that its use for another slot is noticed.
#[derive(Debug, Default)]
pub(super) struct RequestIndex {
    decisions: DashMap<Hash128, RequestDecision>,
    order: Mutex<VecDeque<(i64, Hash128)>>,
}

/// The right to add decisions: one caller at a time has it.
pub(super) struct RequestClaims<'a> {
    decisions: &'a DashMap<Hash128, RequestDecision>,
    order: MutexGuard<'a, VecDeque<(i64, Hash128)>>,
}

fn key(request_id: &str) -> Hash128 {
    hash("request", &[request_id.as_bytes()])
}

impl RequestIndex {
    /// The decision that this request was given, if it may still be repeated.
    pub(super) fn get(&self, request_id: &str, now_us: i64) -> Option<RequestDecision> {
        let entry = self.decisions.get(&key(request_id))?;
        (entry.at_us >= now_us - REQUEST_MEMORY_US).then(|| entry.clone())
    }

    /// The right to add; nobody else adds while it is held.
    pub(super) fn claims(&self) -> RequestClaims<'_> {
        RequestClaims { decisions: &self.decisions, order: self.order.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl RequestClaims<'_> {
    /// Returns `true` if this decision's request was given another one that `counts`.
    pub(super) fn taken(
        &self,
        decided: &DecisionRecord,
        now_us: i64,
        counts: impl Fn(&RequestDecision) -> bool,
    ) -> bool {
        let Some(request_id) = &decided.request_id else { return false };
        let entry = self.decisions.get(&key(request_id));
        entry.is_some_and(|entry| entry.at_us >= now_us - REQUEST_MEMORY_US && counts(&entry))
    }

    /// Remembers a decision, where it has a request id; forgets those that are too old or too many.
    pub(super) fn claim(&mut self, slot: u32, decided: &DecisionRecord, now_us: i64) {
        let Some(request_id) = &decided.request_id else { return };
        let key = key(request_id);
        let newer = self.decisions.get(&key).is_some_and(|entry| entry.at_us > now_us);
        if !newer {
            self.decisions.insert(key, RequestDecision { at_us: now_us, slot, decided: Arc::new(decided.answer()) });
        }
        self.order.push_back((now_us, key));
        while let Some(&(made_us, key)) = self.order.front()
            && (made_us < now_us - REQUEST_MEMORY_US || self.order.len() > TOTAL_MAX)
        {
            self.order.pop_front();
            // A request that was decided again since then stays.
            self.decisions.remove_if(&key, |_, entry| entry.at_us == made_us);
        }
    }

    /// Forgets decisions that the queue refused.
    pub(super) fn release(&mut self, decisions: &[(u32, Arc<DecisionRecord>)]) {
        for (_, decided) in decisions {
            if let Some(request_id) = &decided.request_id {
                self.decisions.remove_if(&key(request_id), |_, entry| entry.decided.id == decided.id);
            }
        }
    }
}
