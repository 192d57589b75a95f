//! The odds of every step, and what every way through the funnel is worth.
//!
//! A *way* is the set of steps that were taken with a shown arm, as bits: bit j for step j. A step can only be taken
//! where the one it needs was. With `p_j` the chance of step j once it can be taken, and R the goal's reward of a way,
//!
//! ```text
//! E[reward | looked at] = Σ_ways R(way) · Π_{j in way} p_j · Π_{j not in way, can be taken} (1 − p_j)
//! ```
//!
//! which is a sum of at most 2^6 terms, and exact.

use slotwise::slot::{Contribution, Goal};

use super::arms::EnvironmentArm;
use crate::scenario::{
    FunnelStep, Problem, Scenario, StepValue, ValueName,
    names::{ShopperFactor, arm_factor, shopper_factor},
};

/// A way through the funnel: the steps that were taken, as bits.
pub type Way = u8;

/// The odds of one step.
#[derive(Debug, Clone, PartialEq)]
struct Odds {
    /// The step it needs.
    after: Option<usize>,
    /// Fixed, instead of odds.
    chance: Option<f64>,
    /// What odds depend on about the visit: an index into [`Funnel::factors`].
    factors: Vec<usize>,
    /// Per arm, before factors.
    base: Vec<f64>,
    /// Per arm and factor, row by row.
    weights: Vec<f64>,
}

/// Something about a visit that odds depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Factor {
    /// About the shopper.
    pub shopper: ShopperFactor,
    /// Times the level of the drift of this index.
    pub drift: Option<usize>,
}

/// The funnel of a replication.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Funnel {
    odds: Vec<Odds>,
    factors: Vec<Factor>,
    ways: Vec<Way>,
    /// Per arm and way.
    rewards: Vec<f64>,
    /// Of an arm that nothing was done with.
    nothing: f64,
}

/// The value of a step's event, before its spread; none: it has none.
pub fn value(step: &FunnelStep, arm: &EnvironmentArm) -> Option<f64> {
    match step.value {
        None => None,
        Some(StepValue::Number(number)) => Some(number),
        Some(StepValue::Of(ValueName::Price)) => arm.price,
        Some(StepValue::Of(ValueName::Margin)) => arm.margin,
    }
}

/// The step that another needs.
pub fn needs(steps: &[FunnelStep], i: usize) -> Option<usize> {
    match &steps[i].after {
        Some(after) => steps[..i].iter().position(|step| step.kind == *after),
        None => i.checked_sub(1),
    }
}

/// The goal's reward of a way, where `value_of` gives the value of each step's event.
pub fn reward(goal: &Goal, steps: &[FunnelStep], way: Way, value_of: impl Fn(usize) -> Option<f64>) -> f64 {
    let taken = |i: usize| way & (1 << i) != 0;
    let taken_back = |i: usize| (0..steps.len()).any(|j| taken(j) && steps[j].reverses && needs(steps, j) == Some(i));
    let counted = (0_i64..).zip(0..steps.len()).filter(|&(_, i)| taken(i) && !steps[i].reverses && !taken_back(i));
    goal.reward(counted.map(|(time_us, i)| Contribution { kind: &steps[i].kind, value: value_of(i), time_us }))
}

impl Funnel {
    /// The funnel of these arms.
    pub(super) fn new(scenario: &Scenario, arms: &[EnvironmentArm], goal: &Goal) -> Result<Self, Problem> {
        let steps = &scenario.behaviour.steps;
        let median = median_price(arms);
        let mut factors: Vec<Factor> = Vec::new();
        let mut odds = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            let mut of = Odds {
                after: needs(steps, i),
                chance: step.chance,
                factors: Vec::new(),
                base: arms.iter().map(|arm| step.log_odds + if i == 0 { arm.appeal } else { 0.0 }).collect(),
                weights: Vec::new(),
            };
            let mut columns: Vec<Vec<f64>> = Vec::new();
            let mut add =
                |shopper: Option<&str>, drift: Option<usize>, arm: Option<&str>, weight: f64| -> Result<(), Problem> {
                    let shopper = shopper_factor(&scenario.shoppers, shopper)?;
                    let arm = arm_factor(&scenario.catalogue, arm)?;
                    let column = arms.iter().map(|of| weight * of.factor(&arm, median));
                    if shopper == ShopperFactor::Always && drift.is_none() {
                        of.base.iter_mut().zip(column).for_each(|(base, more)| *base += more);
                        return Ok(());
                    }
                    let factor = Factor { shopper, drift };
                    let place = factors.iter().position(|known| *known == factor).unwrap_or_else(|| {
                        factors.push(factor);
                        factors.len() - 1
                    });
                    if let Some(at) = of.factors.iter().position(|known| *known == place) {
                        columns[at].iter_mut().zip(column).for_each(|(have, more)| *have += more);
                    } else {
                        of.factors.push(place);
                        columns.push(column.collect());
                    }
                    Ok(())
                };
            for term in &step.terms {
                add(term.shopper.as_deref(), None, term.arm.as_deref(), term.weight)?;
            }
            for (d, drift) in scenario.drift.iter().enumerate().filter(|_| i == 0) {
                if let Some(weight) = drift.weight {
                    add(drift.shopper.as_deref(), Some(d), drift.arm.as_deref(), weight)?;
                }
            }
            of.weights = (0..arms.len()).flat_map(|arm| columns.iter().map(move |column| column[arm])).collect();
            odds.push(of);
        }
        let possible = |way: &Way| {
            (0..steps.len()).all(|i| way & (1 << i) == 0 || needs(steps, i).is_none_or(|after| way & (1 << after) != 0))
        };
        let ways: Vec<Way> = (0..1_u8 << steps.len()).filter(possible).collect();
        let rewards = arms
            .iter()
            .flat_map(|arm| ways.iter().map(|&way| reward(goal, steps, way, |i| value(&steps[i], arm))))
            .collect();
        Ok(Self { odds, factors, ways, rewards, nothing: goal.reward([].into_iter()) })
    }

    /// What odds depend on; [`chance`](Self::chance) is given the value of each.
    pub(super) fn factors(&self) -> &[Factor] {
        &self.factors
    }

    /// The reward of an arm that nothing was done with.
    pub(super) fn nothing(&self) -> f64 {
        self.nothing
    }

    /// The step that step `i` needs.
    pub(super) fn after(&self, i: usize) -> Option<usize> {
        self.odds[i].after
    }

    /// The chance of step `i` with an arm, once it can be taken, where factors have these values.
    pub(super) fn chance(&self, i: usize, arm: usize, values: &[f64]) -> f64 {
        let odds = &self.odds[i];
        if let Some(chance) = odds.chance {
            return chance;
        }
        let row = &odds.weights[arm * odds.factors.len()..(arm + 1) * odds.factors.len()];
        let terms = odds.factors.iter().zip(row).map(|(&factor, weight)| weight * values[factor]);
        logistic(odds.base[arm] + terms.sum::<f64>())
    }

    /// The expected reward of an arm that is looked at.
    pub(super) fn expected(&self, arm: usize, values: &[f64]) -> f64 {
        let steps = self.odds.len();
        let mut chances = [0.0; crate::scenario::STEPS_MAX];
        for (i, chance) in chances.iter_mut().enumerate().take(steps) {
            *chance = self.chance(i, arm, values);
        }
        let rewards = &self.rewards[arm * self.ways.len()..(arm + 1) * self.ways.len()];
        let mut sum = 0.0;
        for (&way, reward) in self.ways.iter().zip(rewards) {
            let mut p = 1.0;
            for (i, odds) in self.odds.iter().enumerate() {
                if way & (1 << i) != 0 {
                    p *= chances[i];
                } else if odds.after.is_none_or(|after| way & (1 << after) != 0) {
                    p *= 1.0 - chances[i];
                }
            }
            sum += p * reward;
        }
        sum
    }

    /// The reward of an arm with which only the first step was taken.
    pub(super) fn first_step(&self, arm: usize) -> f64 {
        let place = self.ways.iter().position(|&way| way == 1).unwrap_or(0);
        self.rewards[arm * self.ways.len() + place]
    }
}

fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// The median of the prices; 1 without any.
fn median_price(arms: &[EnvironmentArm]) -> f64 {
    let mut prices: Vec<f64> = arms.iter().filter_map(|arm| arm.price).collect();
    prices.sort_by(f64::total_cmp);
    prices.get(prices.len() / 2).copied().unwrap_or(1.0)
}
