//! Counters of shopper events, and gauges of profiles and items.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{add, gauge};
use crate::engine::{EventStatus, ProfileCounts, ShopperEffect};

/// Metrics of shopper events.
#[derive(Debug)]
pub(super) struct ShopperMetrics {
    events: IntCounterVec,
    profiles: IntGaugeVec,
    bytes: IntGauge,
    items: IntGauge,
    items_bytes: IntGauge,
}

impl ShopperMetrics {
    /// Creates the metrics and adds them to a registry.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let events = Opts::new(
            "slotwise_shopper_events_total",
            "Shopper events by result: joined (a decision was rewarded), profile (only a profile took it), duplicate, unmatched, rejected, unmapped (of another system, and no shopper event).",
        );
        let profiles = Opts::new(
            "slotwise_profiles",
            "Profiles of sessions, of visitors (customers who bought nothing) and of buyers.",
        );
        let bytes = IntGauge::new("slotwise_profiles_bytes", "Memory of all profiles.")?;
        Ok(Self {
            events: add(registry, IntCounterVec::new(events, &["result"])?)?,
            profiles: add(registry, IntGaugeVec::new(profiles, &["kind"])?)?,
            bytes: add(registry, bytes)?,
            items: add(registry, IntGauge::new("slotwise_items", "Items of the catalogue.")?)?,
            items_bytes: add(registry, IntGauge::new("slotwise_items_bytes", "Memory of all items.")?)?,
        })
    }

    /// Counts an event that was written.
    pub(super) fn count(&self, effect: &ShopperEffect) {
        let is_known = |answer: &crate::engine::RewardAnswer| answer.status == EventStatus::Duplicate;
        let known = effect.slots.values().flat_map(|join| &join.remarks).any(|(_, answer)| is_known(answer));
        let result = if effect.slots.values().any(|join| !join.accepted.is_empty()) {
            "joined"
        } else if effect.repeats.is_some() || known {
            "duplicate"
        } else if effect.profiles.updated || effect.profiles.dropped {
            "profile"
        } else {
            "unmatched"
        };
        self.count_result(result);
    }

    /// Counts an event by its result.
    pub(super) fn count_result(&self, result: &str) {
        self.events.with_label_values(&[result]).inc();
    }

    /// Sets the gauges of profiles.
    pub(super) fn set_profiles(&self, counts: ProfileCounts) {
        let ProfileCounts { sessions, visitors, buyers, bytes } = counts;
        for (kind, count) in [("sessions", sessions), ("visitors", visitors), ("buyers", buyers)] {
            self.profiles.with_label_values(&[kind]).set(gauge(count));
        }
        self.bytes.set(gauge(bytes));
    }

    /// Sets the gauges of the item catalogue.
    pub(super) fn set_items(&self, items: usize, bytes: u64) {
        self.items.set(gauge(items as u64));
        self.items_bytes.set(gauge(bytes));
    }
}
