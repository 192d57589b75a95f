//! Sums of a preview over past decisions, and the estimates that follow from them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    BeforeAfter, Estimate, PreviewArm, PreviewRule,
    segments::{PreviewSegment, SegmentSums},
    sides::{GroupForecast, SideForecast},
    sums::{DecisionSum, DrawMean},
    unknown::{UnknownReward, was_shown},
};
use crate::{
    bandit::Features,
    engine::{decide::forecast::ForecastSlate, decision_record::Fallback, view::SlotView},
    slot::ArmId,
};

/// Showings of one arm.
#[derive(Debug, Clone, Copy, Default)]
struct ArmSums {
    /// Showings to all subjects.
    all: DecisionSum,
    /// Showings to the subjects who get the policy's choice.
    policy: DecisionSum,
}

impl ArmSums {
    fn add(&mut self, other: Self) {
        self.all.add(other.all);
        self.policy.add(other.policy);
    }
}

/// Effects of one rule, in decisions or candidates.
#[derive(Debug, Clone, Copy, Default)]
struct RuleSums {
    /// Decisions in which the rule has an effect.
    effective: f64,
    /// Candidates that the rule excludes.
    excluded: f64,
    /// Decisions in which the rule cannot be evaluated.
    failed: f64,
}

/// Sums of one side of the change.
#[derive(Debug, Clone, Default)]
struct SideTally {
    decisions: f64,
    unknown_arms: f64,
    nothing_eligible: f64,
    scaled_floors: f64,
    arms: BTreeMap<ArmId, ArmSums>,
    rules: Vec<RuleSums>,
    reward: DecisionSum,
    cost: DecisionSum,
    /// Showings of arms that were never shown before, and their part of the expected reward.
    unknown: f64,
    unknown_reward: f64,
}

/// Sums of one part of a preview.
#[derive(Debug, Clone)]
pub struct PreviewTally {
    sides: BeforeAfter<SideTally>,
    change: DecisionSum,
    segments: SegmentSums,
}

impl SideTally {
    fn new(view: &SlotView) -> Self {
        Self { rules: vec![RuleSums::default(); view.rules.rules().len()], ..Self::default() }
    }

    fn add(&mut self, side: &SideForecast<'_>) {
        let n = side.requests();
        let forecast = &side.forecast;
        self.decisions += n;
        if forecast.unknown_arm {
            self.unknown_arms += n;
        }
        if forecast.fallback == Some(Fallback::NoEligibleArm) {
            self.nothing_eligible += n;
        }
        if forecast.scales_floors {
            self.scaled_floors += n;
        }
        self.add_arms(side);
        self.add_rules(side);
        let (drawn, policy) = (side.policy_reward(), side.policy_shown());
        self.reward.add(side.reward_sum());
        let draws = forecast.policy.len().max(1) as f64;
        let drawn_unknown = |of: fn(&ForecastSlate) -> f64| forecast.policy.iter().map(of).sum::<f64>() / draws;
        let base: f64 = side.baseline_shown().sum();
        self.unknown += base * forecast.baseline.unknown + policy * drawn_unknown(|slate| slate.unknown);
        self.unknown_reward +=
            base * forecast.baseline.unknown_reward + policy * drawn_unknown(|slate| slate.unknown_reward);
        if forecast.fallback.is_none() {
            let costs = side.baseline_shown().map(|c| (1.0 - c) * (forecast.best_reward - drawn.mean));
            self.cost.add(side.with_draws(DecisionSum::of(costs)));
        }
    }

    fn add_arms(&mut self, side: &SideForecast<'_>) {
        let (n, forecast) = (side.requests(), &side.forecast);
        // Sums of c, 1 − c, c², c·(1 − c) and (1 − c)² over the requests, where c is the probability of the baseline.
        let sum_of = |term: fn(f64) -> f64| side.baseline_shown().map(term).sum::<f64>();
        let (base, policy) = (sum_of(|c| c), sum_of(|c| 1.0 - c));
        let (bb, bp, pp) = (sum_of(|c| c * c), sum_of(|c| c * (1.0 - c)), sum_of(|c| (1.0 - c) * (1.0 - c)));
        for (at, &(candidate, shown)) in forecast.baseline.showings.iter().enumerate() {
            let showings = forecast.policy.iter().map(|slate: &ForecastSlate| slate.showings[at].1);
            let DrawMean { mean: drawn, variance } = DrawMean::new(showings);
            let all = DecisionSum {
                total: base * shown + policy * drawn,
                // The square of a mean of draws is too large by the variance of that mean.
                squares: bb * shown * shown + 2.0 * bp * shown * drawn + pp * (drawn * drawn - variance),
                draw_variance: policy * policy * variance,
            };
            let alone = DecisionSum {
                total: n * drawn,
                squares: n * (drawn * drawn - variance),
                draw_variance: n * n * variance,
            };
            self.add_arm(forecast.arms[candidate], ArmSums { all, policy: alone });
        }
        if let Some(default) = forecast.default_arm {
            let certain = DecisionSum { total: n, squares: n, draw_variance: 0.0 };
            self.add_arm(default, ArmSums { all: certain, policy: certain });
        }
    }

    fn add_arm(&mut self, arm: &ArmId, more: ArmSums) {
        if let Some(sums) = self.arms.get_mut(arm) {
            sums.add(more);
        } else {
            self.arms.insert(arm.clone(), more);
        }
    }

    fn add_rules(&mut self, side: &SideForecast<'_>) {
        let n = side.requests();
        let policy: f64 = side.control.iter().map(|c| 1.0 - c).sum();
        let forecast = &side.forecast;
        let mut add = |rule: u32, field: fn(&mut RuleSums) -> &mut f64, amount: f64| {
            if let Some(sums) = self.rules.get_mut(rule as usize) {
                *field(sums) += amount;
            }
        };
        for &rule in &forecast.rules_for_policy {
            let amount = if forecast.rules_for_everybody.contains(&rule) { n } else { policy };
            add(rule, |sums| &mut sums.effective, amount);
        }
        forecast.exclusions.iter().for_each(|&rule| add(rule, |sums| &mut sums.excluded, n));
        forecast.failed_rules.iter().for_each(|&rule| add(rule, |sums| &mut sums.failed, n));
    }

    fn merge(&mut self, other: Self) {
        self.decisions += other.decisions;
        self.unknown_arms += other.unknown_arms;
        self.nothing_eligible += other.nothing_eligible;
        self.scaled_floors += other.scaled_floors;
        for (arm, sums) in other.arms {
            self.arms.entry(arm).or_default().add(sums);
        }
        for (own, other) in self.rules.iter_mut().zip(other.rules) {
            own.effective += other.effective;
            own.excluded += other.excluded;
            own.failed += other.failed;
        }
        self.reward.add(other.reward);
        self.cost.add(other.cost);
        self.unknown += other.unknown;
        self.unknown_reward += other.unknown_reward;
    }

    /// Returns how much of the expected reward rests on arms that were never shown.
    fn unknown(&self, view: &SlotView) -> UnknownReward {
        let known = self.per_decision(self.reward.total) - self.per_decision(self.unknown_reward);
        UnknownReward::new(view, self.per_decision(self.unknown), known)
    }

    /// Returns the effects of a rule per decision, or `None` if the view has no rule of this name.
    fn rule(&self, view: &SlotView, name: &str) -> Option<RuleSums> {
        let at = view.rules.rules().iter().position(|rule| rule.name == name)?;
        let RuleSums { effective, excluded, failed } = self.rules.get(at).copied().unwrap_or_default();
        Some(RuleSums {
            effective: self.per_decision(effective),
            excluded: self.per_decision(excluded),
            failed: self.per_decision(failed),
        })
    }

    /// Returns `amount` per decision.
    fn per_decision(&self, amount: f64) -> f64 {
        if self.decisions > 0.0 { amount / self.decisions } else { 0.0 }
    }
}

impl PreviewTally {
    pub(super) fn new(views: &BeforeAfter<&SlotView>) -> Self {
        Self {
            sides: views.map(|view| SideTally::new(view)),
            change: DecisionSum::default(),
            segments: SegmentSums::new(views.before),
        }
    }

    pub(super) fn add(&mut self, group: &GroupForecast<'_>, context: &Features) {
        self.segments.add(group, context);
        self.sides.before.add(&group.before);
        self.sides.after.add(&group.after);
        let (before, after) = (group.before.rewards(), group.after.rewards());
        self.change.add(DecisionSum::of(after.iter().zip(&before).map(|(after, before)| after - before)));
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.sides.before.merge(other.sides.before);
        self.sides.after.merge(other.sides.after);
        self.change.add(other.change);
        self.segments.merge(other.segments);
    }

    /// Effects by the values of the context's features.
    pub(super) fn segments(&self) -> Vec<PreviewSegment> {
        self.segments.segments()
    }

    /// Expected reward per decision.
    pub(super) fn reward(&self) -> BeforeAfter<Estimate> {
        self.sides.map(|side| side.reward.estimate(side.decisions))
    }

    /// Cost of exploring per decision.
    pub(super) fn cost(&self) -> BeforeAfter<Estimate> {
        self.sides.map(|side| side.cost.estimate(side.decisions))
    }

    /// Arms that were never shown, as far as the expected reward rests on them.
    pub(super) fn unknown(&self, views: &BeforeAfter<&SlotView>) -> BeforeAfter<UnknownReward> {
        BeforeAfter { before: self.sides.before.unknown(views.before), after: self.sides.after.unknown(views.after) }
    }

    /// Change of the expected reward per decision.
    pub(super) fn change(&self) -> Estimate {
        self.change.estimate(self.sides.after.decisions)
    }

    /// Share of decisions in which nothing is eligible.
    pub(super) fn nothing_eligible(&self) -> BeforeAfter<f64> {
        self.sides.map(|side| side.per_decision(side.nothing_eligible))
    }

    /// Share of decisions in which the floors add up to more than 1 and are scaled down.
    pub(super) fn scaled_floors(&self) -> BeforeAfter<f64> {
        self.sides.map(|side| side.per_decision(side.scaled_floors))
    }

    /// Share of requests that name an arm that the slot does not know after the change.
    pub(super) fn unknown_arms(&self) -> f64 {
        let side = &self.sides.after;
        side.per_decision(side.unknown_arms)
    }

    /// Share of decisions in which a rule of the slot cannot be evaluated after the change.
    pub(super) fn failed(&self, rule: usize) -> f64 {
        let side = &self.sides.after;
        side.rules.get(rule).map_or(0.0, |rule| side.per_decision(rule.failed))
    }

    /// Estimates for each arm: the arms after the change in their order, those that it removes, then other candidates.
    pub(super) fn arms(&self, views: &BeforeAfter<&SlotView>) -> Vec<PreviewArm> {
        let ids = |view: &SlotView| -> Vec<ArmId> { view.arms_in_effect().iter().map(|arm| arm.id.clone()).collect() };
        let candidates = self.sides.after.arms.keys().chain(self.sides.before.arms.keys()).cloned();
        let mut listed = BTreeSet::new();
        let all = ids(views.after).into_iter().chain(ids(views.before)).chain(candidates);
        let showings = |arm: &ArmId, select: fn(&ArmSums) -> DecisionSum| {
            self.sides.map(|side| {
                side.arms.get(arm).map_or(Estimate::default(), |sums| select(sums).estimate(side.decisions))
            })
        };
        all.filter(|arm| listed.insert(arm.clone()))
            .map(|arm| PreviewArm {
                all: showings(&arm, |of| of.all),
                policy: showings(&arm, |of| of.policy),
                never_shown: !was_shown(views.after, &arm),
                arm,
            })
            .collect()
    }

    /// Estimates for each rule: the rules after the change in their order, then those that it removes.
    pub(super) fn rules(&self, views: &BeforeAfter<&SlotView>) -> Vec<PreviewRule> {
        let names = |view: &SlotView| -> Vec<String> { view.rules.rules().iter().map(|r| r.name.clone()).collect() };
        let mut listed = BTreeSet::new();
        let all = names(views.after).into_iter().chain(names(views.before));
        all.filter(|name| listed.insert(name.clone()))
            .map(|name| {
                let before = self.sides.before.rule(views.before, &name);
                let after = self.sides.after.rule(views.after, &name);
                PreviewRule {
                    fires: BeforeAfter { before, after }.map(|sums| sums.map(|sums| sums.effective)),
                    keeps_out: BeforeAfter { before, after }.map(|sums| sums.map_or(0.0, |sums| sums.excluded)),
                    name,
                }
            })
            .collect()
    }
}
