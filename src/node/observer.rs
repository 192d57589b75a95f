//! Observer of a node, for metrics.

use std::fmt;

use crate::engine::{EventStatus, ProfileCounts, ShopperEffect};

/// Observer that learns what a node does, for metrics.
pub trait Observer: Send + Sync + fmt::Debug {
    /// `events` were committed in one go, which took `seconds`.
    fn committed(&self, events: usize, seconds: f64);
    /// A reward event was dealt with; `kind` is one of its slot's goal, or "other".
    fn rewarded(&self, slot: &str, kind: &str, outcome: EventStatus);
    /// The state was held still for a snapshot, which took `seconds`: nothing was written meanwhile.
    fn frozen(&self, seconds: f64);
    /// A snapshot of `bytes` bytes was saved, which took `seconds` beside the traffic.
    fn snapshot_saved(&self, now_us: i64, seconds: f64, bytes: u64);
    /// Decisions were answered that will never be in the journal.
    fn unrecorded(&self, decisions: usize);
    /// `count` decisions, events or changes (`what`) were refused because too much waits.
    fn refused(&self, what: &str, count: usize) {
        let _ = (what, count);
    }
    /// Bytes of the journal's write-ahead log that cannot be moved into its file, because another program reads them.
    fn log_blocked(&self, _bytes: u64) {}
    /// `ids` of subjects and sessions were not kept, because too many waited or they could not be written; their
    /// decisions show pseudonyms.
    fn names_dropped(&self, ids: u64) {
        let _ = ids;
    }
    /// A shopper event was dealt with.
    fn shopper_event(&self, effect: &ShopperEffect) {
        let _ = effect;
    }
    /// Numbers of the profiles that are kept.
    fn profiles(&self, counts: ProfileCounts) {
        let _ = counts;
    }
    /// The item catalogue has this number of items, which take this number of bytes.
    fn items(&self, items: usize, bytes: u64) {
        let _ = (items, bytes);
    }
    /// The condition of a rule failed `count` times while it was evaluated.
    fn rule_failed(&self, slot: &str, rule: &str, times: u64);
    /// A slot was deleted, and is not published any more.
    fn slot_deleted(&self, slot: &str);
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn committed(&self, _: usize, _: f64) {}
    fn rewarded(&self, _: &str, _: &str, _: EventStatus) {}
    fn frozen(&self, _: f64) {}
    fn snapshot_saved(&self, _: i64, _: f64, _: u64) {}
    fn unrecorded(&self, _: usize) {}
    fn rule_failed(&self, _: &str, _: &str, _: u64) {}
    fn slot_deleted(&self, _: &str) {}
}
