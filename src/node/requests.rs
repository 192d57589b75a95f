//! Decisions by request id, including those that are not applied to the state yet. So a retry gets the same decision.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dashmap::DashMap;

use crate::{
    engine::{DecisionRecord, Hash128, hash},
    slot::limits::{REQUEST_MEMORY_US, REQUESTS_MAX},
};

/// Number of requests of all slots together that are remembered here. The state itself keeps [`REQUESTS_MAX`] of each slot.
const TOTAL_MAX: usize = 4 * REQUESTS_MAX;

/// Decision of a request.
#[derive(Debug, Clone)]
pub(super) struct RequestDecision {
    /// Time of the decision, microseconds since 1970.
    at_us: i64,
    /// Number of the slot.
    pub(super) slot: u32,
    /// Decision, as far as a repetition is answered from it.
    pub(super) decided: Arc<DecisionRecord>,
}

/// Index of the decisions of the last ten minutes by request id. All slots share the ids, so that the use of an id for
/// another slot is noticed.
#[derive(Debug, Default)]
pub(super) struct RequestIndex {
    decisions: DashMap<Hash128, RequestDecision>,
    order: Mutex<VecDeque<(i64, Hash128)>>,
}

/// Claims of request ids for new decisions. One caller at a time holds them.
pub(super) struct RequestClaims<'a> {
    decisions: &'a DashMap<Hash128, RequestDecision>,
    order: MutexGuard<'a, VecDeque<(i64, Hash128)>>,
}

fn key(request_id: &str) -> Hash128 {
    hash("request", &[request_id.as_bytes()])
}

impl RequestIndex {
    /// Returns the decision of a request, or `None` if there is none that may still be repeated.
    pub(super) fn get(&self, request_id: &str, now_us: i64) -> Option<RequestDecision> {
        let entry = self.decisions.get(&key(request_id))?;
        (entry.at_us >= now_us - REQUEST_MEMORY_US).then(|| entry.clone())
    }

    /// Locks the index for new decisions.
    pub(super) fn claims(&self) -> RequestClaims<'_> {
        RequestClaims { decisions: &self.decisions, order: self.order.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl RequestClaims<'_> {
    /// Returns whether the decision's request already has another decision that `counts`.
    pub(super) fn is_claimed(
        &self,
        decided: &DecisionRecord,
        now_us: i64,
        counts: impl Fn(&RequestDecision) -> bool,
    ) -> bool {
        let Some(request_id) = &decided.request_id else { return false };
        let entry = self.decisions.get(&key(request_id));
        entry.is_some_and(|entry| entry.at_us >= now_us - REQUEST_MEMORY_US && counts(&entry))
    }

    /// Remembers a decision with a request id, and forgets decisions that are too old or too many.
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

    /// Forgets decisions that were not recorded.
    pub(super) fn release(&mut self, decisions: &[(u32, Arc<DecisionRecord>)]) {
        for (_, decided) in decisions {
            if let Some(request_id) = &decided.request_id {
                self.decisions.remove_if(&key(request_id), |_, entry| entry.decided.id == decided.id);
            }
        }
    }
}
