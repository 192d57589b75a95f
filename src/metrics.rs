//! Metrics in Prometheus' text format: base units in the names, bounded labels.

use std::sync::{Arc, PoisonError, RwLock};

use prometheus::{
    Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

use crate::{
    engine::RewardOutcome,
    node::{Node, Observer},
};

/// Slots with at most this many arms get a label per arm.
const ARM_LABELS_MAX: usize = 50;

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Seconds from a decoded `Decide` or `BatchDecide` request to its answer.
    pub decide_seconds: Histogram,
    decisions: IntCounterVec,
    arms_shown: IntCounterVec,
    rewards: IntCounterVec,
    append_seconds: Histogram,
    committed: prometheus::IntCounter,
    pending: IntGaugeVec,
    snapshot_age: IntGauge,
    snapshot_us: RwLock<Option<i64>>,
}

/// A registry with every metric of ours in it.
///
/// # Errors
///
/// Only if two of them had the same name: a bug, and the first test of this file would tell.
pub fn metrics() -> Result<Arc<Metrics>, prometheus::Error> {
    let registry = Registry::new();
    let micro = |from: f64| prometheus::exponential_buckets(from, 2.0, 16);
    let metrics = Metrics {
        decide_seconds: add(
            &registry,
            Histogram::with_opts(
                HistogramOpts::new(
                    "slotwise_decide_duration_seconds",
                    "From a decoded Decide or BatchDecide request to its answer.",
                )
                .buckets(micro(4e-6)?),
            )?,
        )?,
        decisions: add(
            &registry,
            IntCounterVec::new(
                Opts::new("slotwise_decisions_total", "Decisions by slot and outcome (decided, holdout, a fallback)."),
                &["slot", "outcome"],
            )?,
        )?,
        arms_shown: add(
            &registry,
            IntCounterVec::new(
                Opts::new("slotwise_arms_shown_total", "Arms shown, for slots with at most 50 arms."),
                &["slot", "arm"],
            )?,
        )?,
        rewards: add(
            &registry,
            IntCounterVec::new(
                Opts::new(
                    "slotwise_rewards_total",
                    "Reward events by slot, kind (of the slot's goal, or other) and result.",
                ),
                &["slot", "kind", "result"],
            )?,
        )?,
        append_seconds: add(
            &registry,
            Histogram::with_opts(
                HistogramOpts::new("slotwise_journal_append_duration_seconds", "One group commit: write and fsync.")
                    .buckets(micro(3.2e-5)?),
            )?,
        )?,
        committed: add(
            &registry,
            prometheus::IntCounter::new("slotwise_journal_events_total", "Events committed to the journal.")?,
        )?,
        pending: add(
            &registry,
            IntGaugeVec::new(
                Opts::new("slotwise_pending_decisions", "Decisions that may still be rewarded."),
                &["slot"],
            )?,
        )?,
        snapshot_age: add(
            &registry,
            IntGauge::new("slotwise_snapshot_age_seconds", "Since the newest snapshot; -1 where there is none.")?,
        )?,
        snapshot_us: RwLock::new(None),
        registry,
    };
    let build =
        IntGaugeVec::new(Opts::new("slotwise_build_info", "Always 1; the version is the label."), &["version"])?;
    add(&metrics.registry, build)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(Arc::new(metrics))
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

impl Metrics {
    /// Counts a decision.
    pub fn decided(&self, answer: &crate::node::Answer) {
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

    /// Everything, as text; gauges are read from the node now.
    pub fn render(&self, node: Option<&Node>) -> Result<String, prometheus::Error> {
        self.pending.reset();
        if let Some(node) = node {
            for view in node.slots() {
                let pending = i64::try_from(view.pending).unwrap_or(i64::MAX);
                self.pending.with_label_values(&[view.definition.id.as_str()]).set(pending);
            }
        }
        let saved = *self.snapshot_us.read().unwrap_or_else(PoisonError::into_inner);
        let age = saved.zip(node).map(|(us, node)| (node.now_us() - us) / 1_000_000);
        self.snapshot_age.set(age.unwrap_or(-1));
        TextEncoder::new().encode_to_string(&self.registry.gather())
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

    fn snapshot_saved(&self, now_us: i64) {
        *self.snapshot_us.write().unwrap_or_else(PoisonError::into_inner) = Some(now_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_s_metrics_are_there() {
        let metrics = metrics().unwrap();
        metrics.decide_seconds.observe(1e-5);
        metrics.committed(3, 1e-3);
        metrics.rewarded("offers", "click", RewardOutcome::Late);
        let text = metrics.render(None).unwrap();
        for line in [
            "slotwise_decide_duration_seconds_count 1",
            "slotwise_journal_append_duration_seconds_sum 0.001",
            "slotwise_rewards_total{kind=\"click\",result=\"late\",slot=\"offers\"} 1",
            "slotwise_snapshot_age_seconds -1",
            "slotwise_build_info{version=",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
