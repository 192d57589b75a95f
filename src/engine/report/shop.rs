//! Figures of a shop over a period: how often shoppers click and buy, and for how much.

use std::collections::BTreeMap;

use crate::{
    engine::{
        slot_state::{OTHER_ARMS, SeriesCounts},
        view::SlotView,
    },
    slot::{ArmId, KindRole},
};

/// Events of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct KindCount {
    /// Name of the kind.
    pub kind: String,
    /// Role of the kind in a shop, or `None` if it has none.
    pub role: Option<KindRole>,
    /// Number of events that count and were not reversed.
    pub events: i64,
    /// Sum of their values.
    pub value: f64,
}

/// Counts of one arm over a period.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmPeriod {
    /// Id of the arm, or `None` for all arms that are not counted one by one.
    pub arm: Option<ArmId>,
    /// Number of showings.
    pub showings: u64,
    /// Sum of their rewards.
    pub reward: f64,
    /// Events by kind.
    pub kinds: Vec<KindCount>,
}

/// Figures of a slot over a period. They are of the decisions made in it, with the events that came for them so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PeriodFigures {
    /// Start of the period, microseconds since 1970.
    pub from_us: i64,
    /// End of the period, microseconds since 1970.
    pub until_us: i64,
    /// Number of decisions that showed something.
    pub decisions: u64,
    /// Number of those that were the holdout's.
    pub holdout_decisions: u64,
    /// Sum of the rewards.
    pub reward: f64,
    /// Part of that sum that belongs to the holdout.
    pub holdout_reward: f64,
    /// Expected reward that was given up for exploring.
    pub exploration_cost: f64,
    /// Events by kind.
    pub kinds: Vec<KindCount>,
    /// Arms that were shown.
    pub arms: Vec<ArmPeriod>,
}

impl PeriodFigures {
    fn role_sum(&self, role: KindRole) -> Option<(f64, f64)> {
        let of_role = || self.kinds.iter().filter(move |kind| kind.role == Some(role));
        of_role().next()?;
        Some(of_role().fold((0.0, 0.0), |sum, kind| (sum.0 + kind.events as f64, sum.1 + kind.value)))
    }

    fn per_decision(&self, amount: f64) -> Option<f64> {
        (self.decisions > 0).then(|| amount / self.decisions as f64)
    }

    /// Mean reward per decision, or `None` without decisions.
    pub fn reward_per_decision(&self) -> Option<f64> {
        self.per_decision(self.reward)
    }

    /// Events with the role [`Click`](KindRole::Click) per decision, or `None` if the goal has none or there was no decision.
    pub fn click_through_rate(&self) -> Option<f64> {
        self.per_decision(self.role_sum(KindRole::Click)?.0)
    }

    /// Conversions and purchases per decision, or `None` if the goal has neither or there was no decision.
    pub fn conversion_rate(&self) -> Option<f64> {
        let (conversions, purchases) = (self.role_sum(KindRole::Conversion), self.role_sum(KindRole::Revenue));
        let events = match (conversions, purchases) {
            (None, None) => return None,
            (conversions, purchases) => conversions.map_or(0.0, |sum| sum.0) + purchases.map_or(0.0, |sum| sum.0),
        };
        self.per_decision(events)
    }

    /// Value of a purchase, or `None` if there was none.
    pub fn average_order_value(&self) -> Option<f64> {
        self.role_sum(KindRole::Revenue).filter(|(events, _)| *events > 0.0).map(|(events, value)| value / events)
    }

    /// Value of the purchases per decision, or `None` if the goal has none or there was no decision.
    pub fn revenue_per_decision(&self) -> Option<f64> {
        self.per_decision(self.role_sum(KindRole::Revenue)?.1)
    }

    /// Refunds per purchase, or `None` if the goal has none or there was no purchase.
    pub fn refund_rate(&self) -> Option<f64> {
        let (refunds, _) = self.role_sum(KindRole::Refund)?;
        self.role_sum(KindRole::Revenue).filter(|(events, _)| *events > 0.0).map(|(events, _)| refunds / events)
    }
}

/// Computes the figures of the decisions made from `from_us` on and before `until_us`. Both are rounded down to five minutes, or to
/// an hour or a day where only these are kept.
///
/// A period begins no earlier than the first step since the goal changed what it pays: rewards of different goals cannot be
/// added.
pub fn period_figures(view: &SlotView, from_us: i64, until_us: i64) -> PeriodFigures {
    let from_us = rewards_since(view).map_or(from_us, |since_us| from_us.max(since_us)).min(until_us);
    let counts = view.series.total_between(from_us, until_us);
    let totals = counts.totals;
    let mut kinds: BTreeMap<u16, (i64, f64)> = BTreeMap::new();
    for kind in &counts.kinds {
        let of = kinds.entry(kind.kind).or_default();
        of.0 += kind.events;
        of.1 += kind.value;
    }
    // Kinds of the goal are reported also if none came.
    let names = view.series.kinds();
    let never = view.definition.goal.kinds.iter().filter(|kind| !names.contains(&kind.kind));
    let kinds = kinds.into_iter().filter_map(|(kind, (events, value))| kind_count(view, kind, events, value));
    let mut kinds: Vec<KindCount> = kinds.collect();
    kinds.extend(never.map(|kind| KindCount { kind: kind.kind.clone(), role: kind.role(), events: 0, value: 0.0 }));
    PeriodFigures {
        from_us,
        until_us,
        decisions: totals.decisions,
        holdout_decisions: totals.holdout_decisions,
        reward: totals.reward,
        holdout_reward: totals.holdout_reward,
        exploration_cost: totals.exploration_cost,
        kinds,
        arms: counts.arms.iter().map(|arm| arm_period(view, &counts, arm.arm)).collect(),
    }
}

/// Returns the time from which on steps hold rewards of the present goal only, or `None` if the goal never changed what it pays.
pub fn rewards_since(view: &SlotView) -> Option<i64> {
    let changed_us = view.goal_sums.as_ref()?.at_us;
    Some(view.series.step_end_us(changed_us).unwrap_or(changed_us))
}

fn kind_count(view: &SlotView, kind: u16, events: i64, value: f64) -> Option<KindCount> {
    let name = view.series.kinds().get(usize::from(kind))?;
    let role = view.definition.goal.kind(name).and_then(crate::slot::RewardKind::role);
    Some(KindCount { kind: name.clone(), role, events, value })
}

/// Returns the counts of an arm within a period.
fn arm_period(view: &SlotView, counts: &SeriesCounts, arm: u32) -> ArmPeriod {
    let own = counts.arms.iter().find(|known| known.arm == arm);
    let kinds = counts.kinds.iter().filter(|kind| kind.arm == arm);
    ArmPeriod {
        arm: if arm == OTHER_ARMS { None } else { view.arms.names().get(arm as usize).cloned() },
        showings: own.map_or(0, |own| own.showings),
        reward: own.map_or(0.0, |own| own.reward),
        kinds: kinds.filter_map(|kind| kind_count(view, kind.kind, kind.events, kind.value)).collect(),
    }
}
