//! The current catalogue: which arms are in the slot and in stock, and what the slot knows of it.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use slotwise::{
    engine::{Availability, Change},
    slot::{Arm, ArmId, Unavailable},
};

use crate::{
    environment::Environment,
    scenario::{Scenario, time::Moment},
};

/// State of every arm, by its index in the environment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CurrentCatalogue {
    /// Flags of the arms that are in the slot.
    pub present: Vec<bool>,
    /// Flags of the arms that are really in stock.
    pub in_stock: Vec<bool>,
    /// Flags of the arms that the slot believes to be in stock.
    pub known_in_stock: Vec<bool>,
    /// Index of the step at which each arm joined, or `None` if it was there from the start.
    pub launched: Vec<Option<u64>>,
    /// Stock changes that the slot has not received yet: time, arm, and whether it is in stock.
    unreported: VecDeque<(f64, usize, bool)>,
    /// Arms with a schedule of their own for presence or stock.
    scheduled: Vec<usize>,
    period: u64,
}

impl CurrentCatalogue {
    /// Returns the catalogue at the start.
    pub(crate) fn new(environment: &Environment<'_>, start: Moment) -> Self {
        let arms = environment.arms();
        let own = |i: &usize| {
            let arm = &arms[*i];
            arm.launch.is_some() || arm.retire.is_some() || !arm.out_of_stock.is_empty()
        };
        let in_stock: Vec<bool> = (0..arms.len()).map(|i| environment.in_stock(i, start)).collect();
        Self {
            present: arms.iter().map(|arm| arm.present(start)).collect(),
            known_in_stock: in_stock.clone(),
            in_stock,
            launched: vec![None; arms.len()],
            unreported: VecDeque::new(),
            scheduled: (0..arms.len()).filter(own).collect(),
            period: environment.stock_period(start),
        }
    }

    /// Returns the arms in the slot, as the slot knows them.
    pub(crate) fn arms(&self, environment: &Environment<'_>) -> Vec<Arc<Arm>> {
        (0..self.present.len()).filter(|&i| self.present[i]).map(|i| self.arm(environment, i)).collect()
    }

    fn arm(&self, environment: &Environment<'_>, i: usize) -> Arc<Arm> {
        let arm = &environment.arms()[i].arm;
        if self.known_in_stock[i] { Arc::clone(arm) } else { Arc::new(Arm { available: false, ..(**arm).clone() }) }
    }

    /// Advances to `now` and returns the changes that the slot receives.
    pub(crate) fn advance(&mut self, scenario: &Scenario, environment: &Environment<'_>, now: Moment) -> Vec<Change> {
        let mut changes = Vec::new();
        let (mut joined, mut left): (Vec<Arm>, Vec<ArmId>) = (Vec::new(), Vec::new());
        let period = environment.stock_period(now);
        let all = 0..self.present.len();
        let moved: Vec<usize> = if period == self.period { self.scheduled.clone() } else { all.collect() };
        self.period = period;
        let told_after_us = scenario.catalogue.stock_outs.as_ref().map_or(0.0, |outs| outs.told_after.us);
        for i in moved {
            let in_stock = environment.in_stock(i, now);
            if in_stock != self.in_stock[i] {
                self.in_stock[i] = in_stock;
                self.unreported.push_back((now.at_us + told_after_us, i, in_stock));
            }
            let present = environment.arms()[i].present(now);
            if present != self.present[i] {
                self.present[i] = present;
                if present {
                    self.launched[i] = Some(now.index);
                    joined.push((*self.arm(environment, i)).clone());
                } else {
                    left.push(environment.arms()[i].arm.id.clone());
                }
            }
        }
        if !joined.is_empty() {
            changes.push(Change::UpsertArms(joined));
        }
        if !left.is_empty() {
            changes.push(Change::RemoveArms(left));
        }
        let mut available: Vec<(ArmId, Availability)> = Vec::new();
        while self.unreported.front().is_some_and(|(at_us, ..)| *at_us <= now.at_us) {
            let Some((_, i, in_stock)) = self.unreported.pop_front() else { break };
            self.known_in_stock[i] = in_stock;
            if self.present[i] {
                let id = &environment.arms()[i].arm.id;
                available.retain(|(known, _)| known != id);
                let because = (!in_stock).then_some(Unavailable::OutOfStock);
                available.push((id.clone(), Availability { because, ..Availability::new(in_stock) }));
            }
        }
        if !available.is_empty() {
            changes.push(Change::SetAvailability(available));
        }
        changes
    }

    /// Returns whether the slot may show an arm that can also be bought.
    pub(crate) fn eligible(&self, i: usize) -> bool {
        self.present[i] && self.in_stock[i] && self.known_in_stock[i]
    }

    /// Returns whether a slot that received all changes may show an arm.
    pub(crate) fn may_show(&self, i: usize) -> bool {
        self.present[i] && self.known_in_stock[i]
    }

    /// Returns this catalogue with these arms as they are in another one.
    pub(crate) fn with(&self, arms: &[usize], of: &Self) -> Self {
        let mut catalogue = self.clone();
        for &i in arms {
            catalogue.present[i] = of.present[i];
            catalogue.in_stock[i] = of.in_stock[i];
            catalogue.known_in_stock[i] = of.known_in_stock[i];
            catalogue.launched[i] = of.launched[i];
        }
        catalogue
    }

    /// Adds everything that is in another catalogue.
    pub(crate) fn or(&mut self, other: &Self) {
        for i in 0..self.present.len() {
            self.present[i] |= other.present[i];
            self.in_stock[i] |= other.in_stock[i];
            self.known_in_stock[i] |= other.known_in_stock[i];
            self.launched[i] = self.launched[i].or(other.launched[i]);
        }
    }
}

/// Returns the arms that changes are about, by their index in the environment.
pub(crate) fn changed_arms(environment: &Environment<'_>, changes: &[Change]) -> Vec<usize> {
    let named: HashSet<&ArmId> = changes
        .iter()
        .flat_map(|change| match change {
            Change::UpsertArms(arms) => arms.iter().map(|arm| &arm.id).collect::<Vec<_>>(),
            Change::RemoveArms(arms) => arms.iter().collect(),
            Change::SetAvailability(arms) => arms.iter().map(|(arm, _)| arm).collect(),
            Change::ResetArm(arm) => vec![arm],
            Change::Create(_)
            | Change::CreateFrom(..)
            | Change::Update { .. }
            | Change::Delete
            | Change::Rollback(_)
            | Change::MergeArms(_)
            | Change::ImportLearning(..)
            | Change::Rename(_)
            | Change::SetSafeChoice(_)
            | Change::Reset => Vec::new(),
        })
        .collect();
    (0..environment.arms().len()).filter(|&i| named.contains(&environment.arms()[i].arm.id)).collect()
}
