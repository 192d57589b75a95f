//! Metrics in Prometheus' text format: base units in the names, bounded labels.

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

use crate::{
    engine::{Parts, RewardOutcome, SlotView},
    node::{DiskUse, Node, Observer},
};

/// Slots with at most this many arms get a label per arm.
const ARM_LABELS_MAX: usize = 50;
/// Deleted slots whose series may still be there until the next scrape.
const DELETED_MAX: usize = 500;

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
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
    refused: IntCounterVec,
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

/// A registry with every metric of ours in it.
///
/// # Errors
///
/// Only if two of them had the same name: a bug, and the first test of this file would tell.
#[expect(clippy::too_many_lines, reason = "an entry for each metric")]
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
    gauges("slotwise_build_info", &["version"], "Always 1; the version is the label.")?
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1);
    // Memory, processor time, open files and threads of this process, under the names that every dashboard knows.
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let metrics = Metrics {
        decide_seconds: histogram(
            "slotwise_decide_duration_seconds",
            4e-6,
            "From a decoded Decide or BatchDecide request to its answer.",
        )?,
        decisions: counters(
            "slotwise_decisions_total",
            &["slot", "outcome"],
            "Decisions by slot and outcome (decided, holdout, a fallback).",
        )?,
        arms_shown: counters(
            "slotwise_arms_shown_total",
            &["slot", "arm"],
            "Arms shown, for slots with at most 50 arms.",
        )?,
        ignored: counters(
            "slotwise_ignored_total",
            &["slot", "what"],
            "What was left out of requests: candidates that the slot does not know, features without a value.",
        )?,
        rewards: counters(
            "slotwise_rewards_total",
            &["slot", "kind", "result"],
            "Reward events by slot, kind (of the slot's goal, or other) and result.",
        )?,
        append_seconds: histogram(
            "slotwise_journal_append_duration_seconds",
            3.2e-5,
            "One group commit: write and fsync.",
        )?,
        committed: counter("slotwise_journal_events_total", "Events committed to the journal.")?,
        names_dropped: counter(
            "slotwise_subject_ids_dropped_total",
            "Ids of subjects and sessions that were not kept beside their pseudonyms, because too many waited or they could not be written.",
        )?,
        unrecorded: counter(
            "slotwise_decisions_unrecorded_total",
            "Decisions that were answered and will never be in the journal: it took no more, or had no room for too long.",
        )?,
        rule_failures: counters(
            "slotwise_rule_failures_total",
            &["slot", "rule"],
            "Conditions of rules that failed while they were evaluated, say because a request lacked a feature.",
        )?,
        pending: gauges("slotwise_pending_decisions", &["slot"], "Decisions that may still be rewarded.")?,
        pending_bytes: gauges(
            "slotwise_pending_decisions_bytes",
            &["slot"],
            "What those take in memory, their indices among it.",
        )?,
        waiting: gauges(
            "slotwise_journal_waiting",
            &["what"],
            "What waits to be written: decisions that were answered, reward events and changes that were not.",
        )?,
        waiting_bytes: gauge("slotwise_journal_waiting_decisions_bytes", "Memory that waiting decisions take.")?,
        waiting_max: gauge(
            "slotwise_journal_waiting_decisions_max",
            "Decisions that may wait, by the measured rate of writing; beyond it new ones are refused.",
        )?,
        waiting_seconds: add(
            &registry,
            Gauge::new(
                "slotwise_journal_waiting_seconds",
                "Since the oldest waiting decision was answered; 0 if none waits.",
            )?,
        )?,
        refused: counters(
            "slotwise_refused_total",
            &["what"],
            "Decisions, reward events and changes that were refused with RESOURCE_EXHAUSTED because too much waits.",
        )?,
        remembered: gauges(
            "slotwise_remembered",
            &["part"],
            "What all slots together remember, by part: decisions that wait for rewards, decisions whose rewards may be taken back, ids of events, requests, exposures.",
        )?,
        forgotten: gauges(
            "slotwise_forgotten_early",
            &["part"],
            "What the slots that there are forgot before its time because there was too much of it, by part.",
        )?,
        disk: gauges(
            "slotwise_disk_bytes",
            &["file"],
            "What the data folder takes (journal, its write-ahead log, snapshots).",
        )?,
        disk_full: gauge(
            "slotwise_disk_full",
            "1 while rewards and changes are refused for want of room on the disk.",
        )?,
        log_blocked: gauge(
            "slotwise_journal_log_blocked_bytes",
            "Bytes of the journal's write-ahead log that cannot be moved into its file because another program reads them.",
        )?,
        clock_doubt: gauge(
            "slotwise_clock_doubt_seconds",
            "How far the clock is ahead of the time that is used, or, below 0, behind the journal; 0 unless by more than a day.",
        )?,
        failed: gauge("slotwise_journal_failed", "1 once nothing is written any more until a restart.")?,
        pause_seconds: histogram(
            "slotwise_snapshot_pause_seconds",
            1e-5,
            "How long nothing was written because the state was held still for a snapshot.",
        )?,
        snapshot_age: gauge("slotwise_snapshot_age_seconds", "Since the newest snapshot; -1 where there is none.")?,
        snapshot_us: RwLock::new(None),
        deleted: Mutex::default(),
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
        for (what, count) in [("candidate", answer.ignored_candidates.len()), ("feature", ignored_features)] {
            if count > 0 {
                self.ignored.with_label_values(&[slot, what]).inc_by(count as u64);
            }
        }
        if answer.view.arms.names().len() <= ARM_LABELS_MAX {
            for chosen in &decided.chosen {
                self.arms_shown.with_label_values(&[slot, chosen.arm.as_str()]).inc();
            }
        }
    }

    /// Counts a reward event that no slot could be found for, or that was refused at the door.
    pub fn not_journalled(&self, result: &str) {
        self.rewards.with_label_values(&["", "other", result]).inc();
    }

    /// Sets the gauges of what all slots together remember, and of what they forgot early.
    fn set_parts(&self, slots: &[Arc<SlotView>]) {
        let all = |of: fn(&SlotView) -> Parts| slots.iter().map(|view| of(view)).fold(Parts::default(), Parts::plus);
        let parts = [(all(|view| view.remembered), &self.remembered), (all(|view| view.forgotten), &self.forgotten)];
        for (of, gauges) in parts {
            for (part, count) in of.named() {
                gauges.with_label_values(&[part]).set(gauge(count));
            }
        }
    }

    /// Everything, as text; gauges are read from the node now.
    pub fn render(&self, node: Option<&Node>) -> Result<String, prometheus::Error> {
        self.pending.reset();
        self.pending_bytes.reset();
        if let Some(node) = node {
            let slots = node.slots();
            self.forget_what_is_gone(&slots);
            self.set_parts(&slots);
            for view in slots {
                let slot = &[view.definition.id.as_str()];
                self.pending.with_label_values(slot).set(gauge(view.pending as u64));
                self.pending_bytes.with_label_values(slot).set(gauge(view.pending_bytes));
            }
            let waiting = node.waiting();
            for (what, count) in
                [("decisions", waiting.decisions), ("events", waiting.events), ("changes", waiting.changes)]
            {
                self.waiting.with_label_values(&[what]).set(gauge(count as u64));
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

/// Removes the series of `vector` whose labels are not `kept`.
fn retain(vector: &IntCounterVec, kept: impl Fn(&HashMap<&str, &str>) -> bool) {
    for family in vector.collect() {
        for metric in family.get_metric() {
            let labels: HashMap<&str, &str> = metric.get_label().iter().map(|l| (l.name(), l.value())).collect();
            if !kept(&labels) {
                // It is there, unless another scrape removed it.
                let _ = vector.remove(&labels);
            }
        }
    }
}

impl Metrics {
    /// Counters with a label for the slot. A new one belongs here, or its series outlive their slots.
    fn counters_by_slot(&self) -> [&IntCounterVec; 5] {
        [&self.decisions, &self.arms_shown, &self.ignored, &self.rewards, &self.rule_failures]
    }

    /// Removes the series of slots that are not among `slots`, and of rules that theirs have no longer: a call that was
    /// under way when its slot was deleted may have counted after that.
    fn forget_what_is_gone(&self, slots: &[Arc<SlotView>]) {
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let slots: HashMap<&str, &SlotView> =
            slots.iter().map(|view| (view.definition.id.as_str(), view.as_ref())).collect();
        let kept = |labels: &HashMap<&str, &str>| {
            // An event for no slot is counted under an empty one.
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

    fn rewarded(&self, slot: &str, kind: &str, outcome: RewardOutcome) {
        let result = match outcome {
            RewardOutcome::Accepted => "accepted",
            RewardOutcome::Duplicate => "duplicate",
            RewardOutcome::Late => "late",
            RewardOutcome::Unmatched(_) => "unmatched",
            RewardOutcome::Rejected(_) => "rejected",
        };
        self.rewards.with_label_values(&[slot, kind, result]).inc();
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

    fn refused(&self, what: &str, count: usize) {
        self.refused.with_label_values(&[what]).inc_by(count as u64);
    }

    fn rule_failed(&self, slot: &str, rule: &str, times: u64) {
        self.rule_failures.with_label_values(&[slot, rule]).inc_by(times);
    }

    fn slot_deleted(&self, slot: &str) {
        let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        deleted.insert(slot.to_owned());
        // Every scrape removes what is gone; where nobody scrapes, this does. One pass over all series is for many slots.
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
