//! What was seen, added up.

use std::collections::{BTreeMap, BTreeSet};

use super::{BeforeAfter, Estimate, PreviewArm, PreviewRule};
use crate::{
    engine::{
        decide::foresee::{Foreseen, Slate},
        decision_record::Fallback,
        view::SlotView,
    },
    slot::ArmId,
    stats::math,
};

/// A sum over decisions, with what its standard error needs.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    total: f64,
    /// Of what would be expected without drawing.
    squares: f64,
    /// The variance of the sum that comes of drawing.
    noise: f64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.squares += other.squares;
        self.noise += other.noise;
    }

    /// The mean over `n` decisions.
    fn estimate(self, n: f64) -> Estimate {
        if n <= 0.0 {
            return Estimate::default();
        }
        let value = self.total / n;
        let variance = (self.squares / n - value * value).max(0.0) * n / (n - 1.0).max(1.0);
        Estimate { value, standard_error: (variance / n + self.noise / (n * n)).sqrt() }
    }
}

/// The mean of some draws, and the variance of that mean where it can be told.
fn mean(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|value| math::square(value - mean)).sum();
    (mean, if n > 1.0 { squares / (n - 1.0) / n } else { 0.0 })
}

/// What some requests that are alike would be answered with, on one side of the change.
pub(super) struct Half<'a> {
    /// What they would be answered with.
    pub(super) seen: Foreseen<'a>,
    /// For each, the probability of getting the baseline.
    pub(super) control: Vec<f64>,
    /// What the policy chooses is shown.
    pub(super) shows: bool,
}

impl Half<'_> {
    /// For each, the probability of being shown the baseline.
    fn baseline(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.control.iter().map(|control| if self.shows { *control } else { 1.0 })
    }

    /// The expected reward of each, and the variance of what the policy's part of it has by drawing.
    fn rewards(seen: &Foreseen<'_>, baseline: impl Iterator<Item = f64>) -> (Vec<f64>, f64) {
        let (policy, noise) = mean(seen.policy.iter().map(|slate| slate.expected));
        (baseline.map(|c| c * seen.baseline.expected + (1.0 - c) * policy).collect(), noise)
    }
}

/// Some requests that are alike.
pub(super) type Seen<'a> = BeforeAfter<Half<'a>>;

#[derive(Debug, Clone, Copy, Default)]
struct OfArm {
    all: Sum,
    policy: Sum,
}

#[derive(Debug, Clone, Copy, Default)]
struct OfRule {
    fired: f64,
    kept_out: f64,
    failed: f64,
}

/// One side of the change.
#[derive(Debug, Clone, Default)]
struct Side {
    decisions: f64,
    unknown: f64,
    nothing_eligible: f64,
    scales_floors: f64,
    arms: BTreeMap<ArmId, OfArm>,
    rules: Vec<OfRule>,
    reward: Sum,
    cost: Sum,
}

/// What a part of a preview saw.
#[derive(Debug, Clone)]
pub struct PreviewTally {
    sides: BeforeAfter<Side>,
    change: Sum,
}

impl Side {
    fn add(&mut self, half: &Half<'_>) {
        let n = half.control.len() as f64;
        let seen = &half.seen;
        self.decisions += n;
        if seen.unknown {
            self.unknown += n;
        }
        if seen.forced == Some(Fallback::NoEligibleArm) {
            self.nothing_eligible += n;
        }
        if seen.scales_floors {
            self.scales_floors += n;
        }
        self.add_arms(half, seen);
        self.add_rules(half, seen);
        let (rewards, noise) = Half::rewards(seen, half.baseline());
        let policy: f64 = half.baseline().map(|c| 1.0 - c).sum();
        let squares: f64 = half.baseline().map(|c| (1.0 - c) * (1.0 - c)).sum();
        // The squares of means of draws are too large by their variance.
        let drawn = |of: Sum| Sum { noise: policy * policy * noise, squares: of.squares - squares * noise, ..of };
        self.reward.add(drawn(sum(rewards.iter().copied())));
        if seen.forced.is_none() {
            let (shown, _) = mean(seen.policy.iter().map(|slate| slate.expected));
            self.cost.add(drawn(sum(half.baseline().map(|c| (1.0 - c) * (seen.best - shown)))));
        }
    }

    fn add_arms(&mut self, half: &Half<'_>, seen: &Foreseen<'_>) {
        let n = half.control.len() as f64;
        let over = |of: fn(f64) -> f64| half.baseline().map(of).sum::<f64>();
        let (base, policy) = (over(|c| c), over(|c| 1.0 - c));
        let (bb, bp, pp) = (over(|c| c * c), over(|c| c * (1.0 - c)), over(|c| (1.0 - c) * (1.0 - c)));
        for (at, &(i, shown)) in seen.baseline.showings.iter().enumerate() {
            let (drawn, noise) = mean(seen.policy.iter().map(|slate: &Slate| slate.showings[at].1));
            let all = Sum {
                total: base * shown + policy * drawn,
                // The square of a mean of draws is too large by its variance.
                squares: bb * shown * shown + 2.0 * bp * shown * drawn + pp * (drawn * drawn - noise),
                noise: policy * policy * noise,
            };
            let alone = Sum { total: n * drawn, squares: n * (drawn * drawn - noise), noise: n * n * noise };
            self.add_arm(seen.arms[i], all, alone);
        }
        if let Some(default) = seen.default {
            let certain = Sum { total: n, squares: n, noise: 0.0 };
            self.add_arm(default, certain, certain);
        }
    }

    fn add_arm(&mut self, arm: &ArmId, all: Sum, policy: Sum) {
        if let Some(of) = self.arms.get_mut(arm) {
            of.all.add(all);
            of.policy.add(policy);
        } else {
            self.arms.insert(arm.clone(), OfArm { all, policy });
        }
    }

    fn add_rules(&mut self, half: &Half<'_>, seen: &Foreseen<'_>) {
        let n = half.control.len() as f64;
        let policy: f64 = half.control.iter().map(|c| 1.0 - c).sum();
        let mut add = |rule: u32, to: fn(&mut OfRule) -> &mut f64, amount: f64| {
            if let Some(rule) = self.rules.get_mut(rule as usize) {
                *to(rule) += amount;
            }
        };
        for &rule in &seen.fired_by_policy {
            add(rule, |of| &mut of.fired, if seen.fired.contains(&rule) { n } else { policy });
        }
        seen.kept_out.iter().for_each(|&rule| add(rule, |of| &mut of.kept_out, n));
        seen.failed.iter().for_each(|&rule| add(rule, |of| &mut of.failed, n));
    }

    fn merge(&mut self, other: Self) {
        self.decisions += other.decisions;
        self.unknown += other.unknown;
        self.nothing_eligible += other.nothing_eligible;
        self.scales_floors += other.scales_floors;
        for (arm, of) in other.arms {
            let mine = self.arms.entry(arm).or_default();
            mine.all.add(of.all);
            mine.policy.add(of.policy);
        }
        for (mine, of) in self.rules.iter_mut().zip(other.rules) {
            mine.fired += of.fired;
            mine.kept_out += of.kept_out;
            mine.failed += of.failed;
        }
        self.reward.add(other.reward);
        self.cost.add(other.cost);
    }

    fn part(&self, of: f64) -> f64 {
        if self.decisions > 0.0 { of / self.decisions } else { 0.0 }
    }
}

fn sum(values: impl Iterator<Item = f64>) -> Sum {
    let mut sum = Sum::default();
    for value in values {
        sum.add(Sum { total: value, squares: value * value, noise: 0.0 });
    }
    sum
}

impl PreviewTally {
    pub(super) fn new(views: &BeforeAfter<&SlotView>) -> Self {
        let side =
            |view: &&SlotView| Side { rules: vec![OfRule::default(); view.rules.rules().len()], ..Side::default() };
        Self { sides: views.map(side), change: Sum::default() }
    }

    pub(super) fn add(&mut self, seen: &Seen<'_>) {
        self.sides.before.add(&seen.before);
        self.sides.after.add(&seen.after);
        let (rewards, _) = Half::rewards(&seen.after.seen, seen.after.baseline());
        let (were, _) = Half::rewards(&seen.before.seen, seen.before.baseline());
        self.change.add(sum(rewards.iter().zip(&were).map(|(after, before)| after - before)));
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.sides.before.merge(other.sides.before);
        self.sides.after.merge(other.sides.after);
        self.change.add(other.change);
    }

    pub(super) fn reward(&self) -> BeforeAfter<Estimate> {
        self.sides.map(|side| side.reward.estimate(side.decisions))
    }

    /// Of exploring, per decision.
    pub(super) fn cost(&self) -> BeforeAfter<Estimate> {
        self.sides.map(|side| side.cost.estimate(side.decisions))
    }

    pub(super) fn change(&self) -> Estimate {
        self.change.estimate(self.sides.after.decisions)
    }

    /// The share of decisions in which nothing is eligible.
    pub(super) fn nothing_eligible(&self) -> BeforeAfter<f64> {
        self.sides.map(|side| side.part(side.nothing_eligible))
    }

    /// The share of decisions in which the least probabilities come to more than 1, and are scaled down.
    pub(super) fn scales_floors(&self) -> BeforeAfter<f64> {
        self.sides.map(|side| side.part(side.scales_floors))
    }

    /// The share of requests that name arms that the slot as it would be does not know.
    pub(super) fn unknown(&self) -> f64 {
        let side = &self.sides.after;
        side.part(side.unknown)
    }

    /// The share of decisions in which a rule of the slot as it would be cannot be evaluated.
    pub(super) fn failed(&self, rule: usize) -> f64 {
        let side = &self.sides.after;
        side.rules.get(rule).map_or(0.0, |rule| side.part(rule.failed))
    }

    pub(super) fn arms(&self, views: &BeforeAfter<&SlotView>) -> Vec<PreviewArm> {
        let ids = |view: &SlotView| -> Vec<ArmId> { view.definition.arms.iter().map(|arm| arm.id.clone()).collect() };
        let seen = self.sides.after.arms.keys().chain(self.sides.before.arms.keys()).cloned();
        let mut told = BTreeSet::new();
        let all = ids(views.after).into_iter().chain(ids(views.before)).chain(seen);
        let shares = |arm: &ArmId, which: fn(&OfArm) -> Sum| {
            self.sides
                .map(|side| side.arms.get(arm).map_or(Estimate::default(), |of| which(of).estimate(side.decisions)))
        };
        all.filter(|arm| told.insert(arm.clone()))
            .map(|arm| PreviewArm { all: shares(&arm, |of| of.all), policy: shares(&arm, |of| of.policy), arm })
            .collect()
    }

    pub(super) fn rules(&self, views: &BeforeAfter<&SlotView>) -> Vec<PreviewRule> {
        let find = |view: &SlotView, side: &Side, name: &str| {
            let at = view.rules.rules().iter().position(|rule| rule.name == name)?;
            let of = side.rules.get(at).copied().unwrap_or_default();
            Some((side.part(of.fired), side.part(of.kept_out)))
        };
        let mut told = BTreeSet::new();
        let names = |view: &SlotView| -> Vec<String> { view.rules.rules().iter().map(|r| r.name.clone()).collect() };
        let all = names(views.after).into_iter().chain(names(views.before));
        all.filter(|name| told.insert(name.clone()))
            .map(|name| {
                let of = BeforeAfter {
                    before: find(views.before, &self.sides.before, &name),
                    after: find(views.after, &self.sides.after, &name),
                };
                PreviewRule {
                    fires: of.map(|of| of.map(|o| o.0)),
                    keeps_out: of.map(|of| of.map_or(0.0, |o| o.1)),
                    name,
                }
            })
            .collect()
    }
}
