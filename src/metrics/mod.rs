//! Metrics in Prometheus' text format. Names carry base units, and the number of label values is bounded.

mod figures;
mod refusals;
mod retain;
mod shoppers;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector, process_collector::ProcessCollector,
};

use self::{figures::FigureGauges, refusals::RefusalCounters, retain::retain, shoppers::ShopperMetrics};
use crate::{
    engine::{EventStatus, MemoryCounts, ProfileCounts, ShopperEffect, SlotView},
    node::{DiskUse, Node, Observer},
};

/// Greatest number of arms of a slot whose arms get labels of their own.
const ARM_LABELS_MAX: usize = 50;
/// Number of deleted slots whose series may still be there until the next scrape.
const DELETED_MAX: usize = 500;

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    /// Gauges of what slots earn, and of their alerts.
    figures: FigureGauges,
    registry: Registry,
    /// Seconds from a decoded `Decide` or `BatchDecide` request to its answer.
    pub decide_seconds: Histogram,
    decisions: IntCounterVec,
    arms_shown: IntCounterVec,
    ignored: IntCounterVec,
    rewards: IntCounterVec,
    append_seconds: Histogram,
    committed: IntCounter,
    unrecorded: IntCounter,
    rule_failures: IntCounterVec,
    pending: IntGaugeVec,
    pending_bytes: IntGaugeVec,
    remembered: IntGaugeVec,
    forgotten: IntGaugeVec,
    waiting: IntGaugeVec,
    waiting_bytes: IntGauge,
    waiting_max: IntGauge,
    waiting_seconds: Gauge,
    refusals: RefusalCounters,
    shoppers: ShopperMetrics,
    disk: IntGaugeVec,
    disk_full: IntGauge,
    log_blocked: IntGauge,
    names_dropped: IntCounter,
    clock_doubt: IntGauge,
    failed: IntGauge,
    pause_seconds: Histogram,
    snapshot_age: IntGauge,
    snapshot_us: RwLock<Option<i64>>,
    deleted: Mutex<HashSet<String>>,
}

/// Returns the metrics of a process, in a registry of their own.
///
/// # Errors
///
/// If two metrics have the same name. This would be a bug, and the first test of this module would show it.
#[expect(clippy::too_many_lines, reason = "one entry for each metric")]
pub fn metrics() -> Result<Arc<Metrics>, prometheus::Error> {
    let registry = Registry::new();
    let histogram = |name: &str, from: f64, help: &str| {
        let buckets = prometheus::exponential_buckets(from, 2.0, 16)?;
        add(&registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
    };
    let counters =
        |name: &str, labels: &[&str], help: &str| add(&registry, IntCounterVec::new(Opts::new(name, help), labels)?);
    let counter = |name: &str, help: &str| add(&registry, IntCounter::new(name, help)?);
    let gauges =
        |name: &str, labels: &[&str], help: &str| add(&registry, IntGaugeVec::new(Opts::new(name, help), labels)?);
    let gauge = |name: &str, help: &str| add(&registry, IntGauge::new(name, help)?);
    gauges("slotwise_build_info", &["version"], "Always 1. The label is the version of the program.")?
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1);
    // Memory, processor time, open files and threads of this process, under the names that every dashboard knows.
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let metrics = Metrics {
        decide_seconds: histogram(
            "slotwise_decide_duration_seconds",
            4e-6,
            "Seconds from a decoded Decide or BatchDecide request to its answer.",
        )?,
        decisions: counters(
            "slotwise_decisions_total",
            &["slot", "outcome"],
            "Decisions by slot and outcome: decided, holdout, or the fallback.",
        )?,
        arms_shown: counters(
            "slotwise_arms_shown_total",
            &["slot", "arm"],
            "Arms shown, for slots with at most 50 arms.",
        )?,
        ignored: counters(
            "slotwise_ignored_total",
            &["slot", "kind"],
            "Parts of requests that were left out: candidates that the slot does not know, features without a value.",
        )?,
        rewards: counters(
            "slotwise_rewards_total",
            &["slot", "kind", "result"],
            "Reward events by slot, kind and result. The kind is one of the slot's goal, or other.",
        )?,
        append_seconds: histogram(
            "slotwise_journal_append_duration_seconds",
            3.2e-5,
            "Seconds of one group commit: write and fsync.",
        )?,
        committed: counter("slotwise_journal_events_total", "Events committed to the journal.")?,
        names_dropped: counter(
            "slotwise_subject_ids_dropped_total",
            "Ids of subjects and sessions that were not stored beside their pseudonyms, because too many waited or the write failed.",
        )?,
        unrecorded: counter(
            "slotwise_decisions_unrecorded_total",
            "Decisions that were answered and will never be in the journal, because it failed or had no room for too long.",
        )?,
        rule_failures: counters(
            "slotwise_rule_failures_total",
            &["slot", "rule"],
            "Conditions of rules that failed while they were evaluated, for instance because a request lacked a feature.",
        )?,
        pending: gauges(
            "slotwise_pending_decisions",
            &["slot"],
            "Pending decisions: those that may still be rewarded.",
        )?,
        pending_bytes: gauges(
            "slotwise_pending_decisions_bytes",
            &["slot"],
            "Memory of the pending decisions, with their indices.",
        )?,
        waiting: gauges(
            "slotwise_journal_waiting",
            &["kind"],
            "Items that wait to be written: decisions, which were answered already, reward events and changes.",
        )?,
        waiting_bytes: gauge(
            "slotwise_journal_waiting_decisions_bytes",
            "Memory of the decisions that wait to be written.",
        )?,
        waiting_max: gauge(
            "slotwise_journal_waiting_decisions_max",
            "Greatest number of decisions that may wait, by the measured rate of writing. Beyond it new ones are refused.",
        )?,
        waiting_seconds: add(
            &registry,
            Gauge::new(
                "slotwise_journal_waiting_seconds",
                "Seconds since the oldest waiting decision was answered; 0 if none waits.",
            )?,
        )?,
        refusals: RefusalCounters::new(&registry)?,
        shoppers: ShopperMetrics::new(&registry)?,
        remembered: gauges(
            "slotwise_remembered",
            &["part"],
            "Entries that all slots together remember, by part: pending decisions, finished decisions whose rewards may be taken back, ids of events, requests, exposures.",
        )?,
        forgotten: gauges(
            "slotwise_forgotten_early",
            &["part"],
            "Entries that the present slots forgot early because there were too many of them, by part.",
        )?,
        disk: gauges(
            "slotwise_disk_bytes",
            &["file"],
            "Bytes of the data folder, by file: journal, write-ahead log, snapshots.",
        )?,
        disk_full: gauge(
            "slotwise_disk_full",
            "1 while rewards and changes are refused because the disk is full, else 0.",
        )?,
        log_blocked: gauge(
            "slotwise_journal_log_blocked_bytes",
            "Bytes of the journal's write-ahead log that cannot be moved into its file because another program reads them.",
        )?,
        clock_doubt: gauge(
            "slotwise_clock_doubt_seconds",
            "Seconds by which the clock is ahead of the time that is used, or, if negative, behind the journal; 0 unless it is more than a day.",
        )?,
        failed: gauge(
            "slotwise_journal_failed",
            "1 after the journal failed, so that nothing is written until a restart, else 0.",
        )?,
        pause_seconds: histogram(
            "slotwise_snapshot_pause_seconds",
            1e-5,
            "Seconds during which nothing was written because a snapshot copied the state.",
        )?,
        snapshot_age: gauge("slotwise_snapshot_age_seconds", "Seconds since the newest snapshot; -1 if none.")?,
        snapshot_us: RwLock::new(None),
        deleted: Mutex::default(),
        figures: FigureGauges::new(&registry)?,
        registry: registry.clone(),
    };
    Ok(Arc::new(metrics))
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

impl Metrics {
    /// Counts a decision, and the features of its request that were left out.
    pub fn decided(&self, answer: &crate::node::Answer, ignored_features: usize) {
        use crate::engine::Fallback;
        let decided = &answer.decided;
        let outcome = match decided.fallback {
            None if decided.holdout => "holdout",
            None => "decided",
            Some(Fallback::NoEligibleArm) => "no_eligible_arm",
            Some(Fallback::SafeChoice) => "safe_choice",
            Some(Fallback::Model) => "model_fallback",
            Some(Fallback::Deadline) => "deadline",
        };
        let slot = decided.slot.as_str();
        self.decisions.with_label_values(&[slot, outcome]).inc();
        for (kind, count) in [("candidate", answer.ignored_candidates.len()), ("feature", ignored_features)] {
            if count > 0 {
                self.ignored.with_label_values(&[slot, kind]).inc_by(count as u64);
            }
        }
        if answer.view.arms.names().len() <= ARM_LABELS_MAX {
            for chosen in &decided.chosen {
                self.arms_shown.with_label_values(&[slot, chosen.arm.as_str()]).inc();
            }
        }
    }

    /// Sets the gauges of the entries that all slots together remember, and of those that they forgot early.
    fn set_parts(&self, slots: &[Arc<SlotView>]) {
        let sum = |get: fn(&SlotView) -> MemoryCounts| {
            slots.iter().map(|view| get(view)).fold(MemoryCounts::default(), MemoryCounts::plus)
        };
        let sums = [(sum(|view| view.remembered), &self.remembered), (sum(|view| view.forgotten), &self.forgotten)];
        for (parts, gauges) in sums {
            for (part, count) in parts.named() {
                gauges.with_label_values(&[part]).set(gauge(count));
            }
        }
    }

    /// Returns all metrics as text. Gauges are read from the node at this moment.
    pub fn render(&self, node: Option<&Node>) -> Result<String, prometheus::Error> {
        self.pending.reset();
        self.pending_bytes.reset();
        if let Some(node) = node {
            let slots = node.slots();
            self.forget_deleted(&slots);
            self.set_parts(&slots);
            self.figures.set(&slots);
            for view in slots {
                let slot = &[view.definition.id.as_str()];
                self.pending.with_label_values(slot).set(gauge(view.pending as u64));
                self.pending_bytes.with_label_values(slot).set(gauge(view.pending_bytes));
            }
            let waiting = node.waiting();
            for (kind, count) in
                [("decisions", waiting.decisions), ("events", waiting.events), ("changes", waiting.changes)]
            {
                self.waiting.with_label_values(&[kind]).set(gauge(count as u64));
            }
            self.waiting_bytes.set(gauge(waiting.decision_bytes as u64));
            self.waiting_max.set(gauge(waiting.decisions_max as u64));
            self.waiting_seconds.set(waiting.oldest_seconds);
            let DiskUse { journal, log, snapshots } = node.disk_use();
            for (file, bytes) in [("journal", journal), ("write_ahead_log", log), ("snapshots", snapshots)] {
                self.disk.with_label_values(&[file]).set(gauge(bytes));
            }
            self.clock_doubt.set(node.clock_doubt_seconds());
            self.disk_full.set(i64::from(*node.full().borrow()));
            self.failed.set(i64::from(node.failure().borrow().is_some()));
        }
        let saved = *self.snapshot_us.read().unwrap_or_else(PoisonError::into_inner);
        let age = saved.zip(node).map(|(us, node)| (node.now_us() - us) / 1_000_000);
        self.snapshot_age.set(age.unwrap_or(-1));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Metrics {
    /// Returns the counters with a label for the slot. A counter that is missing here keeps the series of deleted slots.
    fn counters_by_slot(&self) -> [&IntCounterVec; 5] {
        [&self.decisions, &self.arms_shown, &self.ignored, &self.rewards, &self.rule_failures]
    }

    /// Removes the series of slots that are not among `slots`, and of rules that these slots no longer have. A call that
    /// was under way when its slot was deleted may have counted after the deletion.
    fn forget_deleted(&self, slots: &[Arc<SlotView>]) {
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let slots: HashMap<&str, &SlotView> =
            slots.iter().map(|view| (view.definition.id.as_str(), view.as_ref())).collect();
        let kept = |labels: &HashMap<&str, &str>| {
            // An event without a slot is counted under an empty slot label.
            let Some(slot) = labels.get("slot").filter(|slot| !slot.is_empty()) else { return true };
            let Some(view) = slots.get(slot) else { return false };
            labels.get("rule").is_none_or(|rule| view.definition.rules.iter().any(|have| have.name == **rule))
        };
        for vector in self.counters_by_slot() {
            retain(vector, kept);
        }
    }

    /// Removes the series of these slots.
    fn forget(&self, deleted: &HashSet<String>) {
        for vector in self.counters_by_slot() {
            retain(vector, |labels| labels.get("slot").is_none_or(|&slot| !deleted.contains(slot)));
        }
    }
}

impl Observer for Metrics {
    fn committed(&self, events: usize, seconds: f64) {
        self.append_seconds.observe(seconds);
        self.committed.inc_by(events as u64);
    }

    fn rewarded(&self, slot: &str, kind: &str, outcome: EventStatus) {
        let result = match outcome {
            EventStatus::Accepted | EventStatus::Reversed => "accepted",
            EventStatus::Duplicate => "duplicate",
            EventStatus::Late => "late",
            EventStatus::Unmatched(_) => "unmatched",
            EventStatus::Rejected(_) => "rejected",
        };
        self.rewards.with_label_values(&[slot, kind, result]).inc();
    }

    fn shopper_event(&self, effect: &ShopperEffect) {
        self.shoppers.count(effect);
    }

    fn profiles(&self, counts: ProfileCounts) {
        self.shoppers.set_profiles(counts);
    }

    fn items(&self, items: usize, bytes: u64) {
        self.shoppers.set_items(items, bytes);
    }

    fn frozen(&self, seconds: f64) {
        self.pause_seconds.observe(seconds);
    }

    fn log_blocked(&self, bytes: u64) {
        self.log_blocked.set(gauge(bytes));
    }

    fn names_dropped(&self, ids: u64) {
        self.names_dropped.inc_by(ids);
    }

    fn unrecorded(&self, decisions: usize) {
        self.unrecorded.inc_by(decisions as u64);
    }

    fn refused(&self, kind: &str, count: usize) {
        self.refusals.items.with_label_values(&[kind]).inc_by(count as u64);
    }

    fn rule_failed(&self, slot: &str, rule: &str, times: u64) {
        self.rule_failures.with_label_values(&[slot, rule]).inc_by(times);
    }

    fn slot_deleted(&self, slot: &str) {
        let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        deleted.insert(slot.to_owned());
        // Every scrape removes the series of deleted slots. This removes them, many at a time, if nobody scrapes.
        if deleted.len() >= DELETED_MAX {
            self.forget(&std::mem::take(&mut *deleted));
        }
    }

    fn snapshot_saved(&self, now_us: i64, seconds: f64, bytes: u64) {
        if bytes > 0 {
            tracing::info!(bytes, seconds, "a snapshot was saved");
        }
        *self.snapshot_us.write().unwrap_or_else(PoisonError::into_inner) = Some(now_us);
    }
}
