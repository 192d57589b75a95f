//! Counters of refusals.

use prometheus::{IntCounterVec, Opts, Registry};

use super::{Metrics, add};

/// Counters of what was refused.
#[derive(Debug)]
pub(super) struct RefusalCounters {
    /// Decisions, reward events and changes beyond what may wait, by kind.
    pub(super) items: IntCounterVec,
    /// Calls whose key or token was not taken, by reason.
    pub(super) calls: IntCounterVec,
}

impl RefusalCounters {
    /// Creates the counters and adds them to a registry.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters =
            |name: &str, label: &str, help: &str| add(registry, IntCounterVec::new(Opts::new(name, help), &[label])?);
        Ok(Self {
            items: counters(
                "slotwise_refused_total",
                "kind",
                "Decisions, reward events and changes that were refused with RESOURCE_EXHAUSTED because too many wait.",
            )?,
            calls: counters(
                "slotwise_calls_refused_total",
                "reason",
                "Calls that were refused for their key or token, by the reason of the error's ErrorInfo.",
            )?,
        })
    }
}

impl Metrics {
    /// Counts a request that was answered with the baseline because decisions come too fast.
    pub fn baseline_on_overload(&self, slot: &str) {
        self.decisions.with_label_values(&[slot, "overload"]).inc();
    }

    /// Counts a reward event that was not journalled: no slot was found for it, or it was refused on arrival.
    pub fn not_journalled(&self, result: &str) {
        self.rewards.with_label_values(&["", "other", result]).inc();
    }

    /// Counts a call that was refused for its key or token.
    pub fn call_refused(&self, reason: &str) {
        self.refusals.calls.with_label_values(&[reason]).inc();
    }

    /// Counts a shopper event that was answered without the journal.
    pub fn event_not_journalled(&self, result: &str) {
        self.shoppers.count_result(result);
    }
}
