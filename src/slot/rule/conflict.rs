//! Conflicts of rules with each other and with the arms.
//!
//! A rule is *certain* if its condition reads neither context nor subject, so that its verdicts on the definition's arms
//! hold in every request. Rules are compared before there is a request where they are certain, and probability bounds also
//! where they are certain in all requests in which one condition on context and subject holds.
//!
//! Deliberately not here: errors of a single rule, which [`Rule::check`] finds.

use std::{collections::BTreeMap, sync::Arc};

use super::{Effect, OnError, Rule, RuleBook, Verdict, node::Expression};
use crate::slot::{Arm, Controls, FieldError, limits::RULES_MAX};

/// Tolerance for the rounding of sums of floors and ceilings.
const ROUNDING: f64 = 1e-9;

/// Checks that a slot's rules do not conflict with each other or with its arms.
///
/// `open_catalogue` says that requests may name arms that are not among `arms`. `controls` gives the probability bounds
/// of the slot.
pub fn check_rules(
    rules: &[Rule],
    arms: &[Arc<Arm>],
    open_catalogue: bool,
    controls: &Controls,
) -> Result<(), FieldError> {
    if rules.len() > RULES_MAX {
        return Err(FieldError::new("rules", format!("has {} rules; at most {RULES_MAX} are allowed", rules.len())));
    }
    let mut names = BTreeMap::new();
    for (i, rule) in rules.iter().enumerate() {
        rule.check().map_err(|error| error.within(&format!("rules[{i}]")))?;
        if let Some(first) = names.insert(rule.name.as_str(), i) {
            let message = format!("'{}' is the name of rules[{first}] too; choose another", rule.name);
            return Err(FieldError::new(format!("rules[{i}].name"), message));
        }
    }
    RuleBook::new(rules, arms).check(open_catalogue, controls)
}

impl RuleBook {
    /// Checks that rules that are valid by themselves do not conflict; see [`check_rules`].
    pub fn check(&self, open_catalogue: bool, controls: &Controls) -> Result<(), FieldError> {
        self.check_pins()?;
        self.check_bounds(controls)?;
        self.check_exclusions(open_catalogue)
    }

    fn active(&self) -> impl Iterator<Item = (usize, &Rule)> {
        self.rules().iter().enumerate().filter(|(_, rule)| !rule.paused)
    }

    /// Arms that a certain rule matches.
    fn certainly(&self, rule: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.arms().len()).filter(move |&arm| self.certain(rule, arm) == Some(Verdict::Yes))
    }

    /// Returns whether both rules certainly apply in the same request.
    fn clash(&self, a: usize, b: usize) -> bool {
        let when = |rule: usize| self.rules().get(rule).map(|rule| rule.when.trim());
        let matches = |rule| when(rule) == Some("") || self.certainly(rule).next().is_some();
        when(a) == when(b) || (matches(a) && matches(b))
    }

    fn check_pins(&self) -> Result<(), FieldError> {
        let mut pins = Vec::new();
        for (i, rule) in self.active() {
            let Effect::Pin { position } = rule.effect else { continue };
            let at = format!("rules[{i}].pin.position");
            let other = pins.iter().find(|&&(other, taken)| taken == position && self.clash(other, i));
            if let Some((other, _)) = other {
                let message = format!(
                    "is {position}, which '{}' (rules[{other}]) pins as well; choose another position, or conditions \
                     that exclude each other",
                    self.name(*other)
                );
                return Err(FieldError::new(at, message));
            }
            pins.push((i, position));
        }
        Ok(())
    }

    fn name(&self, rule: usize) -> &str {
        self.rules().get(rule).map_or("", |rule| rule.name.as_str())
    }

    /// Checks the bounds that apply together in every request, and those that apply together in every request in which the
    /// condition of one of the rules on context and subject holds.
    fn check_bounds(&self, controls: &Controls) -> Result<(), FieldError> {
        self.check_bounds_where(&[], controls)?;
        let mut checked: Vec<&[Expression]> = Vec::new();
        for (i, rule) in self.active() {
            let condition = self.request_condition(i);
            let sets_floor = matches!(rule.effect, Effect::ProbabilityBounds { floor: Some(_), .. });
            if sets_floor && !condition.is_empty() && !checked.contains(&condition) {
                self.check_bounds_where(condition, controls)?;
                checked.push(condition);
            }
        }
        Ok(())
    }

    /// Checks the bounds that apply together in every request in which `condition` holds.
    fn check_bounds_where(&self, condition: &[Expression], controls: &Controls) -> Result<(), FieldError> {
        // Each arm has its greatest floor, its least ceiling and the rules that set them.
        let arms = self.arms().len();
        let mut least: Vec<Option<(f64, usize)>> = vec![None; arms];
        let mut most: Vec<Option<(f64, usize)>> = vec![None; arms];
        let mut last = None;
        for (i, rule) in self.active() {
            let Effect::ProbabilityBounds { floor, ceiling } = rule.effect else { continue };
            for arm in (0..arms).filter(|&arm| self.certain_where(i, arm, condition) == Some(Verdict::Yes)) {
                if let (Some(floor), Some(least)) = (floor, least.get_mut(arm)) {
                    last = Some(i);
                    if least.is_none_or(|(other, _)| floor > other) {
                        *least = Some((floor, i));
                    }
                }
                if let (Some(ceiling), Some(most)) = (ceiling, most.get_mut(arm))
                    && most.is_none_or(|(other, _)| ceiling < other)
                {
                    *most = Some((ceiling, i));
                }
            }
        }
        for ((least, most), arm) in least.iter().zip(&most).zip(self.arms()) {
            if let (Some((floor, a)), Some((ceiling, b))) = (least, most)
                && floor > ceiling
            {
                let message = format!(
                    "is {floor}, but '{}' (rules[{b}]) allows '{}' {ceiling} at most; lower one or raise the other",
                    self.name(*b),
                    arm.id
                );
                return Err(FieldError::new(format!("rules[{a}].bounds.floor"), message));
            }
        }
        let share = |arm: &Arm| controls.arm_bounds.get(&arm.id).copied().unwrap_or_default();
        for (least, arm) in least.iter().zip(self.arms()) {
            let ceiling = share(arm).ceiling.unwrap_or(controls.ceiling());
            if let Some((floor, a)) = least
                && *floor > ceiling
            {
                let message = format!(
                    "is {floor}, above the ceiling {ceiling} that the controls set for '{}'; lower one or raise the other",
                    arm.id
                );
                return Err(FieldError::new(format!("rules[{a}].bounds.floor"), message));
            }
        }
        let floor = |arm: &Arm| share(arm).floor.unwrap_or(controls.floor());
        let sum: f64 = least
            .iter()
            .zip(self.arms())
            .map(|(least, arm)| least.map_or(floor(arm), |(least, _)| least.max(floor(arm))))
            .sum();
        let Some(last) = last else {
            // The floor of all arms is reduced if there is too little probability left; floors of single arms are not.
            if !controls.arm_bounds.is_empty() && sum > 1.0 + ROUNDING {
                let message = format!("and the floor of the other arms come to {sum:.4}, above 1; lower one");
                return Err(FieldError::new("controls.arm_bounds", message));
            }
            return Ok(());
        };
        let shares: f64 = least.iter().flatten().map(|(floor, _)| floor).sum();
        if shares > 1.0 + ROUNDING {
            let mut setters: Vec<usize> = least.iter().flatten().map(|(_, rule)| *rule).collect();
            setters.sort_unstable();
            setters.dedup();
            let message =
                format!("with {} the floors of the arms come to {shares:.4}, above 1; lower them", self.list(&setters));
            return Err(FieldError::new(format!("rules[{last}].bounds.floor"), message));
        }
        if sum > 1.0 + ROUNDING {
            let message = format!("with the floors of the other arms they come to {sum:.4}, above 1; lower one");
            return Err(FieldError::new(format!("rules[{last}].bounds.floor"), message));
        }
        Ok(())
    }

    /// Returns the names of rules as a list.
    fn list(&self, rules: &[usize]) -> String {
        rules.iter().map(|&rule| format!("'{}' (rules[{rule}])", self.name(rule))).collect::<Vec<_>>().join(", ")
    }

    /// Returns the rule that excludes an arm from every decision, or `None`.
    fn excluded_by(&self, arm: usize) -> Option<usize> {
        let excludes = |(i, rule): &(usize, &Rule)| match self.certain(*i, arm) {
            Some(Verdict::Yes) => rule.effect == Effect::Exclude,
            Some(Verdict::Failed) => rule.on_error == OnError::Exclude,
            Some(Verdict::No) | None => false,
        };
        self.active().find(excludes).map(|(i, _)| i)
    }

    fn check_exclusions(&self, open_catalogue: bool) -> Result<(), FieldError> {
        let excluded: Vec<Option<usize>> = (0..self.arms().len()).map(|arm| self.excluded_by(arm)).collect();
        if !open_catalogue && !excluded.is_empty() && excluded.iter().all(Option::is_some) {
            let mut by: Vec<usize> = excluded.into_iter().flatten().collect();
            by.sort_unstable();
            by.dedup();
            let last = by.last().copied().unwrap_or_default();
            let message = format!("{} leave no arm of the slot to show; narrow or pause one", self.list(&by));
            return Err(FieldError::new(format!("rules[{last}].when"), message));
        }
        for (i, rule) in self.active() {
            let Effect::Pin { position } = rule.effect else { continue };
            let by: Option<Vec<usize>> = self.certainly(i).map(|arm| excluded.get(arm).copied().flatten()).collect();
            let open = (0..self.arms().len()).any(|arm| self.certain(i, arm).is_none()) || open_catalogue;
            if let Some(by) = by
                && let Some(first) = by.first()
                && !open
            {
                let message = format!(
                    "the rule pins arms to position {position} that '{}' (rules[{first}]) excludes; narrow or pause one",
                    self.name(*first)
                );
                return Err(FieldError::new(format!("rules[{i}].when"), message));
            }
        }
        Ok(())
    }

    /// Returns warnings, in whole sentences, about rules that are allowed but probably unintended. `count` is the number of
    /// arms per decision.
    pub fn warnings(&self, count: u32) -> Vec<String> {
        let mut warnings = Vec::new();
        for (i, rule) in self.active() {
            let name = &rule.name;
            if let Effect::Pin { position } = &rule.effect
                && *position > count
            {
                warnings.push(format!(
                    "Rule '{name}' pins position {position}, but a decision shows {count} unless the request asks for more."
                ));
            }
            let lacks = |attribute: &str| self.arms().iter().all(|arm| !arm.attributes.contains_key(attribute));
            if let Effect::Quota { attribute, .. } = &rule.effect
                && !self.arms().is_empty()
                && lacks(attribute)
            {
                warnings.push(format!(
                    "Rule '{name}' counts values of '{attribute}', which no arm of the slot has; only a request's \
                     candidates can bring it."
                ));
            }
            let none = (0..self.arms().len()).all(|arm| self.certain(i, arm) == Some(Verdict::No));
            if none && !self.arms().is_empty() {
                warnings.push(format!("Rule '{name}' matches no arm of the slot."));
            }
        }
        warnings
    }
}
