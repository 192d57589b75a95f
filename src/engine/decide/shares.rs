//! What rules and controls ask of probabilities and places, as constraints of a slate.
//!
//! Deliberately not here: whom a rule is about; see [`steering`](super::steering).

use std::collections::HashMap;

use super::candidates::Candidate;
use crate::{
    bandit::{Constraints, Features, Pin, Quota, Value},
    engine::view::SlotView,
    slot::{Controls, Effect, ProbabilityBounds},
};

/// The bounds of probabilities, and what else rules say of places.
pub(super) struct Shares<'a> {
    pub(super) view: &'a SlotView,
    pub(super) candidates: &'a [Candidate<'a>],
    /// By their index among the candidates.
    pub(super) eligible: &'a [usize],
}

impl Shares<'_> {
    fn floors<'c>(&self, controls: &Controls, constraints: &'c mut Constraints) -> &'c mut [f64] {
        if constraints.floors.is_empty() {
            constraints.floors = vec![controls.floor(); self.eligible.len()];
        }
        &mut constraints.floors
    }

    fn ceilings<'c>(&self, controls: &Controls, constraints: &'c mut Constraints) -> &'c mut [f64] {
        if constraints.ceilings.is_empty() {
            constraints.ceilings = vec![controls.ceiling(); self.eligible.len()];
        }
        &mut constraints.ceilings
    }

    /// Of single arms.
    pub(super) fn of_arms(&self, controls: &Controls, constraints: &mut Constraints) {
        if controls.arm_bounds.is_empty() {
            return;
        }
        for (at, &i) in self.eligible.iter().enumerate() {
            let Some(&ProbabilityBounds { floor, ceiling }) = controls.arm_bounds.get(self.candidates[i].arm) else {
                continue;
            };
            if let Some(floor) = floor {
                self.floors(controls, constraints)[at] = floor;
            }
            if let Some(ceiling) = ceiling {
                self.ceilings(controls, constraints)[at] = ceiling;
            }
        }
    }

    /// What a rule of this effect asks, of the eligible that it is about.
    pub(super) fn obey(&self, effect: &Effect, yes: Vec<bool>, controls: &Controls, constraints: &mut Constraints) {
        match effect {
            Effect::ProbabilityBounds { min, max } => {
                for at in (0..yes.len()).filter(|&at| yes[at]) {
                    if let Some(min) = *min {
                        let floor = &mut self.floors(controls, constraints)[at];
                        *floor = floor.max(min);
                    }
                    if let Some(max) = *max {
                        let ceiling = &mut self.ceilings(controls, constraints)[at];
                        *ceiling = ceiling.min(max);
                    }
                }
            }
            Effect::Pin { position } => {
                constraints.pins.push(Pin { position: position.saturating_sub(1) as usize, to: yes });
            }
            Effect::MaxMoves { positions } => {
                if constraints.windows.is_empty() {
                    constraints.windows = vec![None; self.eligible.len()];
                }
                let most = *positions as usize;
                for at in (0..yes.len()).filter(|&at| yes[at]) {
                    // The eligible stand in the caller's order: what is not eligible leaves no gap.
                    let (first, last) = constraints.windows[at].unwrap_or((0, usize::MAX));
                    constraints.windows[at] = Some((first.max(at.saturating_sub(most)), last.min(at + most)));
                }
            }
            Effect::Quota { attribute, top, min_values, max_per_value } => {
                let mut ids: HashMap<String, u32> = HashMap::new();
                let values = (0..yes.len())
                    .map(|at| {
                        let candidate = &self.candidates[self.eligible[at]];
                        let value = value(candidate, attribute).filter(|_| yes[at])?;
                        let fresh = u32::try_from(ids.len()).unwrap_or(u32::MAX);
                        Some(*ids.entry(value).or_insert(fresh))
                    })
                    .collect();
                constraints.quotas.push(Quota {
                    values,
                    top: *top as usize,
                    min_values: min_values.map(|n| n as usize),
                    max_per_value: max_per_value.map(|n| n as usize),
                });
            }
            Effect::Exclude
            | Effect::Evidence { .. }
            | Effect::Boost { .. }
            | Effect::SubjectCap { .. }
            | Effect::DayCap { .. } => {}
        }
    }

    /// New arms are guaranteed their share, inside the limit of all.
    pub(super) fn head_start(&self, controls: &Controls, constraints: &mut Constraints) {
        let Some(start) = controls.head_start else { return };
        let new = |&at: &usize| {
            let shown =
                self.candidates[self.eligible[at]].learned.and_then(|arm| self.view.arm_counters.get(arm as usize));
            shown.is_none_or(|tally| tally.shown < start.views)
        };
        let new: Vec<usize> = (0..self.eligible.len()).filter(new).collect();
        if new.is_empty() || new.len() == self.eligible.len() {
            // Where all are new none is ahead of another.
            return;
        }
        let share = start.floor.min(start.limit / new.len() as f64);
        for at in new {
            let ceiling = constraints.ceilings.get(at).copied().unwrap_or(controls.ceiling());
            let floor = &mut self.floors(controls, constraints)[at];
            *floor = floor.max(share.min(ceiling));
        }
    }
}

/// An attribute's value as text, the request's before the arm's; of a list its first word.
fn value(candidate: &Candidate<'_>, attribute: &str) -> Option<String> {
    let of = |features: Option<&Features>| features.and_then(|features| features.get(attribute)).cloned();
    match of(candidate.features).or_else(|| of(candidate.attributes))? {
        Value::Number(number) => Some(number.to_string()),
        Value::Text(text) => Some(text),
        Value::Flag(flag) => Some(flag.to_string()),
        Value::Texts(texts) => texts.into_iter().next(),
        Value::Vector(_) => None,
    }
}
