//! Constraints of a slate: what rules and controls require of probabilities and positions.

use std::collections::HashMap;

use super::{
    candidates::CandidateArm,
    eligible::EligibleSet,
    rules::{RuleStep, rule_index},
};
use crate::{
    bandit::{Constraints, Features, Pin, Quota, Value},
    engine::view::SlotView,
    slot::{Controls, Effect, ProbabilityBounds},
};

/// Rounding that a sum of thousands of floors may carry.
const FLOORS_ROUNDING: f64 = 1e-9;

/// Returns the constraints of a slate of the eligible candidates.
pub(super) fn slate_constraints(view: &SlotView, set: &EligibleSet<'_>) -> Constraints {
    let controls = &view.definition.controls;
    let mut builder = ConstraintsBuilder { view, set, controls, constraints: Constraints::default() };
    builder.add_arm_bounds();
    for (at, rule) in set.matching_rules(RuleStep::Slate) {
        builder.add_rule(&rule.effect, set.match_flags(at));
    }
    builder.add_head_start();
    builder.add_default_floors();
    let mut constraints = builder.constraints;
    constraints.quotas.extend(set.caps.quotas(&set.indices));
    constraints
}

/// Returns whether the floors of the eligible candidates come to more than 1, so that the draw scales them down.
pub(super) fn floors_exceed_one(view: &SlotView, set: &EligibleSet<'_>, constraints: &Constraints) -> bool {
    let candidates = set.indices.len();
    let sum = match constraints.floors.as_slice() {
        [] => candidates as f64 * view.definition.floor(candidates, 1.0),
        floors => floors.iter().sum(),
    };
    sum > 1.0 + FLOORS_ROUNDING
}

/// Returns the constraints of a slate that only the shared caps constrain.
pub(super) fn cap_constraints(set: &EligibleSet<'_>) -> Constraints {
    Constraints { quotas: set.caps.quotas(&set.indices), ..Constraints::default() }
}

/// Returns the indices of the rules that have an effect on a slate of the policy, ascending.
pub(super) fn policy_rules(set: &EligibleSet<'_>) -> Vec<u32> {
    let boosts = set.matching_rules(RuleStep::Boost);
    let mut rules: Vec<u32> = boosts.chain(set.matching_rules(RuleStep::Slate)).map(|(at, _)| rule_index(at)).collect();
    rules.sort_unstable();
    rules
}

struct ConstraintsBuilder<'a> {
    view: &'a SlotView,
    set: &'a EligibleSet<'a>,
    controls: &'a Controls,
    constraints: Constraints,
}

impl ConstraintsBuilder<'_> {
    fn candidate(&self, place: usize) -> &CandidateArm<'_> {
        &self.set.candidates[self.set.indices[place]]
    }

    /// Floors of the eligible candidates. A default floor is NaN until all others are known.
    fn floors(&mut self) -> &mut [f64] {
        if self.constraints.floors.is_empty() {
            let all = self.controls.floor.unwrap_or(f64::NAN);
            self.constraints.floors = vec![all; self.set.indices.len()];
        }
        &mut self.constraints.floors
    }

    /// Gives the candidates without a floor of their own the default, as far as the others leave room.
    fn add_default_floors(&mut self) {
        let floors = &mut self.constraints.floors;
        let room = 1.0 - floors.iter().filter(|floor| !floor.is_nan()).sum::<f64>();
        let default = self.view.definition.floor(floors.len(), room);
        for floor in floors.iter_mut().filter(|floor| floor.is_nan()) {
            *floor = default;
        }
    }

    fn ceilings(&mut self) -> &mut [f64] {
        if self.constraints.ceilings.is_empty() {
            self.constraints.ceilings = vec![self.controls.ceiling(); self.set.indices.len()];
        }
        &mut self.constraints.ceilings
    }

    /// Adds the probability bounds that the controls set for single arms.
    fn add_arm_bounds(&mut self) {
        if self.controls.arm_bounds.is_empty() {
            return;
        }
        for place in 0..self.set.indices.len() {
            let bounds = self.controls.arm_bounds.get(self.candidate(place).arm);
            let Some(&ProbabilityBounds { floor, ceiling }) = bounds else { continue };
            if let Some(floor) = floor {
                self.floors()[place] = floor;
            }
            if let Some(ceiling) = ceiling {
                self.ceilings()[place] = ceiling;
            }
        }
    }

    /// Adds the constraint of a rule with this effect. `matches` tells for each eligible candidate whether the rule
    /// matches it.
    fn add_rule(&mut self, effect: &Effect, matches: Vec<bool>) {
        match effect {
            Effect::ProbabilityBounds { floor, ceiling } => self.add_rule_bounds(*floor, *ceiling, &matches),
            Effect::Pin { position } => {
                self.constraints.pins.push(Pin { position: position.saturating_sub(1) as usize, to: matches });
            }
            Effect::MaxMoves { positions } => self.add_max_moves(*positions as usize, &matches),
            Effect::Quota { attribute, top, min_values, max_per_value } => {
                let quota = Quota {
                    values: self.quota_values(attribute, &matches),
                    top: *top as usize,
                    min_values: min_values.map(|n| n as usize),
                    max_per_value: max_per_value.map(|n| n as usize),
                };
                self.constraints.quotas.push(quota);
            }
            Effect::Exclude
            | Effect::Evidence { .. }
            | Effect::Boost { .. }
            | Effect::SubjectCap { .. }
            | Effect::DayCap { .. } => {}
        }
    }

    fn add_rule_bounds(&mut self, least: Option<f64>, most: Option<f64>, matches: &[bool]) {
        for place in (0..matches.len()).filter(|&place| matches[place]) {
            if let Some(least) = least {
                let floor = &mut self.floors()[place];
                *floor = floor.max(least);
            }
            if let Some(most) = most {
                let ceiling = &mut self.ceilings()[place];
                *ceiling = ceiling.min(most);
            }
        }
    }

    fn add_max_moves(&mut self, positions: usize, matches: &[bool]) {
        if self.constraints.windows.is_empty() {
            self.constraints.windows = vec![None; self.set.indices.len()];
        }
        for place in (0..matches.len()).filter(|&place| matches[place]) {
            // The eligible candidates stand in the caller's order. An excluded candidate leaves no gap.
            let (first, last) = self.constraints.windows[place].unwrap_or((0, usize::MAX));
            let window = (first.max(place.saturating_sub(positions)), last.min(place + positions));
            self.constraints.windows[place] = Some(window);
        }
    }

    /// Returns a number for each distinct value of the attribute, or `None` for a candidate that does not count.
    fn quota_values(&self, attribute: &str, matches: &[bool]) -> Vec<Option<u32>> {
        let mut numbers: HashMap<String, u32> = HashMap::new();
        (0..matches.len())
            .map(|place| {
                let value = attribute_text(self.candidate(place), attribute).filter(|_| matches[place])?;
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                Some(*numbers.entry(value).or_insert(next))
            })
            .collect()
    }

    /// Raises the floors of new arms to their head start, within the limit for all new arms together.
    fn add_head_start(&mut self) {
        let Some(start) = self.controls.head_start else { return };
        let is_new = |&place: &usize| {
            let tally = self.candidate(place).learned.and_then(|arm| self.view.arm_counters.get(arm as usize));
            tally.is_none_or(|tally| tally.shown < start.views)
        };
        let new: Vec<usize> = (0..self.set.indices.len()).filter(is_new).collect();
        if new.is_empty() || new.len() == self.set.indices.len() {
            // A head start of all arms would put none ahead of another.
            return;
        }
        let head_start = start.floor.min(start.limit / new.len() as f64);
        for place in new {
            let ceiling = self.constraints.ceilings.get(place).copied().unwrap_or(self.controls.ceiling());
            let floor = &mut self.floors()[place];
            *floor = floor.max(head_start.min(ceiling));
        }
    }
}

/// Returns an attribute of a candidate as text: the feature of the request, or else the attribute of the arm. Of a list it
/// is the first word.
fn attribute_text(candidate: &CandidateArm<'_>, attribute: &str) -> Option<String> {
    let value = |features: Option<&Features>| features.and_then(|features| features.get(attribute)).cloned();
    match value(candidate.features).or_else(|| value(candidate.attributes))? {
        Value::Number(number) => Some(number.to_string()),
        Value::Text(text) => Some(text),
        Value::Flag(flag) => Some(flag.to_string()),
        Value::Texts(texts) => texts.into_iter().next(),
        Value::Vector(_) => None,
    }
}
