//! Odds of every funnel step, and the reward of every path through the funnel.
//!
//! A *path* is the set of steps that were taken with a shown arm, as bits: bit j for step j. A step is possible only
//! after the step that it needs. Let `p_j` be the chance of step j once it is possible, and R the goal's reward of a
//! path. Then
//!
//! ```text
//! E[reward | looked at] = Σ_paths R(path) · Π_{j in path} p_j · Π_{j not in path, possible} (1 − p_j)
//! ```
//!
//! The sum has at most 2^6 terms and is exact.

use crate::{
    slot::{Contribution, Goal},
    stats::math,
};

use super::arms::EnvironmentArm;
use super::spec::{
    EnvironmentSpec, FunnelStep, Problem, StepValue, ValueName,
    names::{ShopperFactor, arm_factor, shopper_factor},
};

/// A path through the funnel: the steps that were taken, as bits.
pub type FunnelPath = u8;

/// The odds of one step.
#[derive(Debug, Clone, PartialEq)]
struct Odds {
    /// The step that must be taken before, or `None`.
    after: Option<usize>,
    /// A fixed chance instead of odds, or `None`.
    chance: Option<f64>,
    /// The factors of the odds, as indices into [`Funnel::factors`].
    factors: Vec<usize>,
    /// Log odds by arm, before factors.
    base: Vec<f64>,
    /// Weights by arm and factor, row by row.
    weights: Vec<f64>,
}

/// A factor of the odds that depends on the visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Factor {
    /// The part that depends on the shopper.
    pub shopper: ShopperFactor,
    /// Index of the drift whose level multiplies the factor, or `None`.
    pub drift: Option<usize>,
}

/// The funnel of a replication.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Funnel {
    odds: Vec<Odds>,
    factors: Vec<Factor>,
    paths: Vec<FunnelPath>,
    /// Rewards by arm and path.
    rewards: Vec<f64>,
    /// Reward of an arm with which no step was taken.
    nothing: f64,
}

/// Returns the value of a step's event, before its spread, or `None` if it has none.
pub fn value(step: &FunnelStep, arm: &EnvironmentArm) -> Option<f64> {
    match step.value {
        None => None,
        Some(StepValue::Number(number)) => Some(number),
        Some(StepValue::Of(ValueName::Price)) => arm.price,
        Some(StepValue::Of(ValueName::Margin)) => arm.margin,
    }
}

/// Returns the step that step `i` needs, or `None`.
pub fn needs(steps: &[FunnelStep], i: usize) -> Option<usize> {
    match &steps[i].after {
        Some(after) => steps[..i].iter().position(|step| step.kind == *after),
        None => i.checked_sub(1),
    }
}

/// Returns the goal's reward of a path. `value_of` gives the value of each step's event.
pub fn reward(goal: &Goal, steps: &[FunnelStep], path: FunnelPath, value_of: impl Fn(usize) -> Option<f64>) -> f64 {
    let taken = |i: usize| path & (1 << i) != 0;
    let taken_back = |i: usize| (0..steps.len()).any(|j| taken(j) && steps[j].reverses && needs(steps, j) == Some(i));
    let counted = (0_i64..).zip(0..steps.len()).filter(|&(_, i)| taken(i) && !steps[i].reverses && !taken_back(i));
    goal.reward(counted.map(|(time_us, i)| Contribution { kind: &steps[i].kind, value: value_of(i), time_us }))
}

impl Funnel {
    /// Returns the funnel of these arms.
    pub(super) fn new(spec: EnvironmentSpec<'_>, arms: &[EnvironmentArm], goal: &Goal) -> Result<Self, Problem> {
        let steps = &spec.behaviour.steps;
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
                    let shopper = shopper_factor(spec.shoppers, shopper)?;
                    let arm = arm_factor(spec.catalogue, arm)?;
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
            for (d, drift) in spec.drift.iter().enumerate().filter(|_| i == 0) {
                if let Some(weight) = drift.weight {
                    add(drift.shopper.as_deref(), Some(d), drift.arm.as_deref(), weight)?;
                }
            }
            of.weights = (0..arms.len()).flat_map(|arm| columns.iter().map(move |column| column[arm])).collect();
            odds.push(of);
        }
        let possible = |path: &FunnelPath| {
            (0..steps.len())
                .all(|i| path & (1 << i) == 0 || needs(steps, i).is_none_or(|after| path & (1 << after) != 0))
        };
        let paths: Vec<FunnelPath> = (0..1_u8 << steps.len()).filter(possible).collect();
        let rewards = arms
            .iter()
            .flat_map(|arm| paths.iter().map(|&path| reward(goal, steps, path, |i| value(&steps[i], arm))))
            .collect();
        Ok(Self { odds, factors, paths, rewards, nothing: goal.reward([].into_iter()) })
    }

    /// Returns the factors of the odds. [`chance`](Self::chance) takes the value of each.
    pub(super) fn factors(&self) -> &[Factor] {
        &self.factors
    }

    /// Returns the reward of an arm with which no step was taken.
    pub(super) fn nothing(&self) -> f64 {
        self.nothing
    }

    /// Returns the step that step `i` needs, or `None`.
    pub(super) fn after(&self, i: usize) -> Option<usize> {
        self.odds[i].after
    }

    /// Returns the chance of step `i` with an arm, once it is possible, for these values of the factors.
    pub(super) fn chance(&self, i: usize, arm: usize, values: &[f64]) -> f64 {
        let odds = &self.odds[i];
        if let Some(chance) = odds.chance {
            return chance;
        }
        let row = &odds.weights[arm * odds.factors.len()..(arm + 1) * odds.factors.len()];
        let terms = odds.factors.iter().zip(row).map(|(&factor, weight)| weight * values[factor]);
        math::logistic(odds.base[arm] + terms.sum::<f64>())
    }

    /// Returns the expected reward of an arm that is looked at.
    pub(super) fn expected(&self, arm: usize, values: &[f64]) -> f64 {
        let steps = self.odds.len();
        let mut chances = [0.0; super::spec::STEPS_MAX];
        for (i, chance) in chances.iter_mut().enumerate().take(steps) {
            *chance = self.chance(i, arm, values);
        }
        let rewards = &self.rewards[arm * self.paths.len()..(arm + 1) * self.paths.len()];
        let mut sum = 0.0;
        for (&path, reward) in self.paths.iter().zip(rewards) {
            let mut p = 1.0;
            for (i, odds) in self.odds.iter().enumerate() {
                if path & (1 << i) != 0 {
                    p *= chances[i];
                } else if odds.after.is_none_or(|after| path & (1 << after) != 0) {
                    p *= 1.0 - chances[i];
                }
            }
            sum += p * reward;
        }
        sum
    }

    /// Returns the reward of an arm with which only the first step was taken.
    pub(super) fn first_step(&self, arm: usize) -> f64 {
        let place = self.paths.iter().position(|&path| path == 1).unwrap_or(0);
        self.rewards[arm * self.paths.len() + place]
    }
}

/// Returns the median of the prices, or 1 without any.
fn median_price(arms: &[EnvironmentArm]) -> f64 {
    let mut prices: Vec<f64> = arms.iter().filter_map(|arm| arm.price).collect();
    prices.sort_by(f64::total_cmp);
    prices.get(prices.len() / 2).copied().unwrap_or(1.0)
}
