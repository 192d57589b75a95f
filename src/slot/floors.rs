//! Probability bounds that leave the policy nothing to decide.
//!
//! Floors that sum to more than 1, or ceilings that sum to less, give every arm the same probability for ever, whatever
//! is learned. Each number is within its limits, so that only the sum over the slot's arms tells.
//!
//! Only arms that are available count, because a catalogue may hold far more arms than are on sale at a time. A request
//! may name fewer candidates than the slot has arms: it gets as much of each floor as there is room for.

use std::sync::Arc;

use super::{Arm, Definition, FieldError, HeadStart, ProbabilityBounds};
use crate::bandit::Policy;

/// Greatest floor of an arm by default.
const DEFAULT_FLOOR: f64 = 0.02;
/// Greatest part of the decisions that default floors take together.
const DEFAULT_FLOORS_SUM: f64 = 0.1;

/// Tolerance for the rounding of a sum of thousands of floors.
const ROUNDING: f64 = 1e-9;

/// Returns the sum as a text with six decimals at most.
fn sum_text(sum: f64) -> String {
    let text = format!("{sum:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Definition {
    /// Floors and ceilings of those of the slot's arms that are available.
    fn bounds(&self, arms: &[Arc<Arm>]) -> (Vec<f64>, Vec<f64>) {
        let controls = &self.controls;
        let available = arms.iter().filter(|arm| arm.available);
        available
            .map(|arm| {
                let own = controls.arm_bounds.get(&arm.id).copied().unwrap_or_default();
                (own.floor.unwrap_or(controls.floor()), own.ceiling.unwrap_or(controls.ceiling()))
            })
            .unzip()
    }

    /// Returns the floor of each of `eligible` arms that has none of its own, where `room` is the probability that floors of
    /// single arms leave.
    ///
    /// If the control is omitted, it is `min(0.02, 0.1 · room / eligible)`: enough to tell what each arm would earn if everybody
    /// got it, for at most a tenth of the decisions. It is 0 for a policy that is chosen because it never explores.
    pub fn floor(&self, eligible: usize, room: f64) -> f64 {
        let never_explores = matches!(self.controls.policy(), Policy::Greedy | Policy::LinUcb | Policy::FixedOrder);
        match self.controls.floor {
            Some(floor) => floor,
            None if self.default_floor && !never_explores => {
                let each = DEFAULT_FLOORS_SUM * room.clamp(0.0, 1.0) / eligible.max(1) as f64;
                each.min(DEFAULT_FLOOR).min(self.controls.ceiling())
            }
            None => 0.0,
        }
    }

    /// Sum of the floors of those of the slot's arms that are available. Default floors leave room for the others, so they do
    /// not count.
    pub fn floors_sum(&self, arms: &[Arc<Arm>]) -> f64 {
        self.bounds(arms).0.iter().sum()
    }

    /// Checks that the floors of the slot's arms, whether its own or those that it takes from the catalogue, leave the policy
    /// something to decide.
    pub fn check_floors(&self, arms: &[Arc<Arm>]) -> Result<(), FieldError> {
        let (mut floors, _) = self.bounds(arms);
        let sum: f64 = floors.iter().sum();
        let controls = &self.controls;
        if sum > 1.0 + ROUNDING {
            let message = format!(
                "floors sum to {} over {} arms: nothing is left to learn with; they must leave room within 1",
                sum_text(sum),
                floors.len()
            );
            return Err(FieldError::new(self.field_of_floors(arms.len()), message));
        }
        let Some(start) = controls.head_start else { return Ok(()) };
        let sum = sum + largest_head_start(&mut floors, start);
        if sum > 1.0 + ROUNDING {
            let message = format!(
                "floors sum to {} while arms are new: nothing is left to learn with; lower the head start's floor or limit, or the other floors",
                sum_text(sum)
            );
            return Err(FieldError::new("controls.head_start.floor", message));
        }
        Ok(())
    }

    /// Checks that the ceilings leave the policy something to decide.
    ///
    /// A slot that is filled arm by arm passes through sums below 1, so only a definition that is given as a whole has to
    /// pass this check.
    pub fn check_ceilings(&self) -> Result<(), FieldError> {
        let (_, ceilings) = self.bounds(&self.arms);
        let sum: f64 = ceilings.iter().sum();
        if ceilings.len() < 2 || self.open_catalogue || sum >= 1.0 - ROUNDING {
            return Ok(());
        }
        let message = format!(
            "ceilings sum to {} over {} arms: nothing is left to learn with; they must add up to 1 or more",
            sum_text(sum),
            ceilings.len()
        );
        let own = self.controls.arm_bounds.values().any(|share| share.ceiling.is_some());
        let field = if self.controls.ceiling.is_none() && own { "controls.arm_bounds" } else { "controls.ceiling" };
        Err(FieldError::new(field, message))
    }

    /// Field that most of the floors come from.
    fn field_of_floors(&self, arms: usize) -> &'static str {
        let own: f64 = self.controls.arm_bounds.values().filter_map(|ProbabilityBounds { floor, .. }| *floor).sum();
        let all = self.controls.floor();
        if all > 0.0 && own <= all * arms as f64 { "controls.floor" } else { "controls.arm_bounds" }
    }
}

/// Returns the greatest probability that head starts add to the floors, whichever and however many arms are new. If all
/// arms are new, none has a head start over another.
fn largest_head_start(floors: &mut [f64], HeadStart { floor, limit, .. }: HeadStart) -> f64 {
    floors.sort_by(f64::total_cmp);
    let mut most = 0.0_f64;
    let mut sum = 0.0;
    let sums: Vec<f64> = floors
        .iter()
        .map(|floor| {
            sum += floor;
            sum
        })
        .collect();
    for new in 1..floors.len() {
        let each = floor.min(limit / new as f64);
        // The arms with the least floors gain most.
        let gaining = floors[..new].partition_point(|floor| *floor < each);
        if gaining > 0 {
            most = most.max(gaining as f64 * each - sums[gaining - 1]);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::{ArmId, Controls, SlotId};

    fn definition(arms: usize, controls: Controls) -> Definition {
        let arm = |i: usize| Arc::new(Arm::new(ArmId::parse("arm_id", &format!("a{i}")).unwrap()));
        let id = SlotId::parse("slot_id", "offers").unwrap();
        Definition { arms: (0..arms).map(arm).collect(), controls, ..Definition::new(id) }
    }

    #[track_caller]
    fn refused(definition: &Definition, field: &str, sum: &str) {
        let error = definition.check().unwrap_err();
        assert_eq!(error.field, field);
        assert!(error.message.contains(&format!("floors sum to {sum}")), "{}", error.message);
        assert!(error.message.contains("nothing is left to learn with"), "{}", error.message);
    }

    fn share(floor: f64) -> ProbabilityBounds {
        ProbabilityBounds { floor: Some(floor), ceiling: None }
    }

    #[test]
    fn floors_that_leave_nothing_to_learn_with_are_refused() {
        let floor = |floor| Controls { floor: Some(floor), ..Controls::default() };
        refused(&definition(3, floor(0.5)), "controls.floor", "1.5");
        refused(&definition(11, floor(0.1)), "controls.floor", "1.1");
        assert_eq!(definition(10, floor(0.1)).check(), Ok(()), "an even split may be meant");
        let id = |i: usize| ArmId::parse("arm_id", &format!("a{i}")).unwrap();
        let own = Controls { arm_bounds: [(id(0), share(0.7))].into(), ..floor(0.2) };
        refused(&definition(3, own.clone()), "controls.arm_bounds", "1.1");
        assert_eq!(definition(2, own).check(), Ok(()));
        let both = Controls { arm_bounds: [(id(0), share(0.6)), (id(1), share(0.6))].into(), ..Controls::default() };
        refused(&definition(3, both), "controls.arm_bounds", "1.2");
    }

    #[test]
    fn an_arm_that_is_not_on_sale_needs_no_room() {
        let mut stock = definition(3, Controls { floor: Some(0.4), ..Controls::default() });
        Arc::make_mut(&mut stock.arms[1]).available = false;
        assert_eq!(stock.check(), Ok(()));
    }

    #[test]
    fn a_head_start_must_leave_room_as_well() {
        let with = |floor, share, limit| Controls {
            floor: Some(floor),
            head_start: Some(HeadStart { views: 100, floor: share, limit }),
            ..Controls::default()
        };
        refused(&definition(4, with(0.2, 0.5, 0.5)), "controls.head_start.floor", "1.1");
        assert_eq!(definition(4, with(0.2, 0.4, 0.4)).check(), Ok(()));
        assert_eq!(definition(4, with(0.0, 0.5, 1.0)).check(), Ok(()));
        assert_eq!(definition(1, with(0.9, 1.0, 1.0)).check(), Ok(()), "a single arm is ahead of none");
    }

    #[test]
    fn ceilings_that_leave_nothing_to_learn_with_are_told() {
        let ceiling = |ceiling| Controls { ceiling: Some(ceiling), ..Controls::default() };
        let error = definition(3, ceiling(0.3)).check_ceilings().unwrap_err();
        assert_eq!(error.field, "controls.ceiling");
        assert!(error.message.contains("ceilings sum to 0.9"), "{}", error.message);
        assert_eq!(definition(4, ceiling(0.3)).check_ceilings(), Ok(()));
        assert_eq!(definition(1, ceiling(0.3)).check_ceilings(), Ok(()));
    }
}
