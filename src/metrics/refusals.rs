//! Counters of refusals.

use prometheus::{IntCounterVec, Opts, Registry};

use super::add;

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
