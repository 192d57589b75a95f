//! Which decision a request id was given, so that a retry gets the same.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dashmap::DashMap;

use crate::{
    engine::{Decided, Key, hash},
    slot::limits::{REQUEST_MEMORY_US, REQUESTS_MAX},
};

/// Requests of all slots together that are remembered here; the state itself keeps
/// [`REQUESTS_MAX`] of each.
const TOTAL_MAX: usize = 10 * REQUESTS_MAX;

/// Slot number and request id.
type RequestKey = (u32, Key);

/// The decisions of the last ten minutes by request id, as far as answering again needs them.
#[derive(Debug, Default)]
pub(super) struct Requests {
    decisions: DashMap<RequestKey, (i64, Arc<Decided>)>,
    order: Mutex<VecDeque<(i64, RequestKey)>>,
}

/// The right to add decisions: one caller at a time has it.
pub(super) struct Claims<'a> {
    decisions: &'a DashMap<RequestKey, (i64, Arc<Decided>)>,
    order: MutexGuard<'a, VecDeque<(i64, RequestKey)>>,
}

fn key(slot: u32, request_id: &str) -> RequestKey {
    (slot, hash("request", &[request_id.as_bytes()]))
}

impl Requests {
    /// The decision that this request was given, if it may still be repeated.
    pub(super) fn get(&self, slot: u32, request_id: &str, now_us: i64) -> Option<Arc<Decided>> {
        let entry = self.decisions.get(&key(slot, request_id))?;
        (entry.0 >= now_us - REQUEST_MEMORY_US).then(|| Arc::clone(&entry.1))
    }

    /// The right to add; nobody else adds while it is held.
    pub(super) fn claims(&self) -> Claims<'_> {
        Claims { decisions: &self.decisions, order: self.order.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Claims<'_> {
    /// Whether this decision's request was given another one.
    pub(super) fn taken(&self, slot: u32, decided: &Decided, now_us: i64) -> bool {
        let Some(request_id) = &decided.request_id else { return false };
        let entry = self.decisions.get(&key(slot, request_id));
        entry.is_some_and(|entry| entry.0 >= now_us - REQUEST_MEMORY_US)
    }

    /// Remembers a decision, where it has a request id; forgets those that are too old or too many.
    pub(super) fn claim(&mut self, slot: u32, decided: &Decided, now_us: i64) {
        let Some(request_id) = &decided.request_id else { return };
        let key = key(slot, request_id);
        self.decisions.insert(key, (now_us, Arc::new(decided.answer())));
        self.order.push_back((now_us, key));
        while let Some(&(made_us, key)) = self.order.front()
            && (made_us < now_us - REQUEST_MEMORY_US || self.order.len() > TOTAL_MAX)
        {
            self.order.pop_front();
            // A request that was decided anew since then stays.
            self.decisions.remove_if(&key, |_, (at_us, _)| *at_us == made_us);
        }
    }

    /// Forgets decisions that did not come about.
    pub(super) fn release(&mut self, decisions: &[(u32, Arc<Decided>)]) {
        for (slot, decided) in decisions {
            if let Some(request_id) = &decided.request_id {
                self.decisions.remove_if(&key(*slot, request_id), |_, (_, have)| have.id == decided.id);
            }
        }
    }
}
