//! Which decision a request id was given, so that a retry gets the same.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use dashmap::{DashMap, mapref::entry::Entry};

use crate::{
    engine::{Decided, Key, hash},
    slot::limits::{REQUEST_MEMORY_US, REQUESTS_MAX},
};

/// Requests of all slots together that are remembered here; the state itself keeps
/// [`REQUESTS_MAX`] of each.
const TOTAL_MAX: usize = 10 * REQUESTS_MAX;

/// Slot number and request id.
type RequestKey = (u32, Key);

/// The decisions of the last ten minutes by request id.
#[derive(Debug, Default)]
pub(super) struct Requests {
    decisions: DashMap<RequestKey, (i64, Arc<Decided>)>,
    order: Mutex<VecDeque<(i64, RequestKey)>>,
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

    /// Remembers a decision, unless another was made for the same request meanwhile: then that one counts, and is returned.
    pub(super) fn claim(&self, slot: u32, decided: &Arc<Decided>, now_us: i64) -> Option<Arc<Decided>> {
        let key = key(slot, decided.request_id.as_deref()?);
        match self.decisions.entry(key) {
            Entry::Occupied(mut entry) => {
                if entry.get().0 >= now_us - REQUEST_MEMORY_US {
                    return Some(Arc::clone(&entry.get().1));
                }
                entry.insert((now_us, Arc::clone(decided)));
            }
            Entry::Vacant(entry) => {
                entry.insert((now_us, Arc::clone(decided)));
            }
        }
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.push_back((now_us, key));
        while let Some(&(made_us, key)) = order.front()
            && (made_us < now_us - REQUEST_MEMORY_US || order.len() > TOTAL_MAX)
        {
            order.pop_front();
            // A request that was decided anew since then stays.
            self.decisions.remove_if(&key, |_, (at_us, _)| *at_us == made_us);
        }
        None
    }

    /// Takes back a claim whose decision was not recorded.
    pub(super) fn release(&self, slot: u32, decided: &Arc<Decided>) {
        if let Some(request_id) = &decided.request_id {
            self.decisions.remove_if(&key(slot, request_id), |_, (_, claimed)| Arc::ptr_eq(claimed, decided));
        }
    }
}
