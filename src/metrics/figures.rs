//! Gauges of what slots earn, and of their alerts.

use std::sync::Arc;

use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

use super::add;
use crate::engine::{SlotView, alerts, policy_lift};

/// Greatest number of slots with gauges of their own, so that a scrape stays short: the first ones by id.
pub(super) const SLOTS_MAX: usize = 1_000;

/// Gauges by slot, read when they are scraped.
#[derive(Debug)]
pub(super) struct FigureGauges {
    reward: GaugeVec,
    exploration_cost: GaugeVec,
    lift: GaugeVec,
    alerts: IntGaugeVec,
}

impl FigureGauges {
    /// Creates and registers the gauges.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str| add(registry, GaugeVec::new(Opts::new(name, help), &["slot"])?);
        Ok(Self {
            reward: gauges(
                "slotwise_reward",
                "Sum of the rewards of a slot's decisions, in reward units, since it was created or reset.",
            )?,
            exploration_cost: gauges(
                "slotwise_exploration_cost",
                "Expected reward that a recent decision gave up for exploring, in reward units.",
            )?,
            lift: gauges("slotwise_lift", "Mean reward per decision of the policy less that of the holdout.")?,
            alerts: add(
                registry,
                IntGaugeVec::new(
                    Opts::new("slotwise_alerts", "Alerts of a slot by kind; see ListAlerts for what to do."),
                    &["slot", "alert"],
                )?,
            )?,
        })
    }

    /// Sets the gauges to the slots' present figures, and removes those of other slots.
    pub(super) fn set(&self, slots: &[Arc<SlotView>]) {
        self.reward.reset();
        self.exploration_cost.reset();
        self.lift.reset();
        self.alerts.reset();
        for view in slots.iter().take(SLOTS_MAX) {
            let slot = &[view.definition.id.as_str()];
            self.reward.with_label_values(slot).set(view.counters.reward_sum);
            if let Some(cost) = view.evaluation.exploration_cost() {
                self.exploration_cost.with_label_values(slot).set(cost);
            }
            if let Some(lift) = policy_lift(view) {
                self.lift.with_label_values(slot).set(lift.difference);
            }
            for alert in alerts(view) {
                self.alerts.with_label_values(&[slot[0], alert.kind.name()]).inc();
            }
        }
    }
}
