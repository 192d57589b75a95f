//! The slot that is created for a set: an offer with an arm per class, with every other setting at its default.

use std::{collections::BTreeSet, sync::Arc};

use slotwise::{
    bandit::Features,
    slot::{Arm, ArmId, Controls, Definition, FieldError, Goal, Learning, RewardKind, SlotId, SlotKind},
};

use super::{ReplayError, ReplayOptions, RowTiming};
use crate::{dataset::Dataset, learning::service::ROUND_US};

/// The kind of a reward of 1.
pub const CORRECT: &str = "correct";
/// The kind of a reward of 0.
pub const WRONG: &str = "wrong";

/// Returns the arms of a set's classes, by index: the classes' names if all of them are valid and different ids,
/// otherwise `class-0`, `class-1` and so on.
pub fn arms(dataset: &Dataset) -> Vec<String> {
    let names = dataset.classes();
    let distinct: BTreeSet<&String> = names.iter().collect();
    if distinct.len() == names.len() && names.iter().all(|name| ArmId::parse("arm_id", name).is_ok()) {
        return names.to_vec();
    }
    (0..names.len()).map(|i| format!("class-{i}")).collect()
}

/// Returns the slot's id.
fn slot_id(options: &ReplayOptions, dataset: &Dataset, seed: u64) -> Result<SlotId, FieldError> {
    match &options.slot {
        Some(name) if options.seeds.len() > 1 => SlotId::parse("--slot", &format!("{name}-{seed}")),
        Some(name) => SlotId::parse("--slot", name),
        None => {
            let allowed = |c: char| if c.is_ascii_alphanumeric() || "._:-".contains(c) { c } else { '-' };
            // The id with the words around the name stays below its limit of 128.
            let name: String = dataset.name().chars().map(allowed).take(90).collect();
            SlotId::parse("slot_id", &format!("replay-{name}-{seed}"))
        }
    }
}

/// Returns the slot's goal with the time at which rewards are learned.
fn when(options: &ReplayOptions, dataset: &Dataset) -> Result<Goal, ReplayError> {
    Ok(match options.at_close {
        None => {
            let goal = Goal::default();
            let batch = options.variant.delay.filter(|_| options.timing != RowTiming::Shuffled);
            // Rewards that wait for rows that are hours apart still count.
            let wait_us = batch.map_or(Ok(0), |batch| options.timing.delay_us(dataset, batch.get()))?;
            Goal { window_us: goal.window_us.max(wait_us), ..goal }
        }
        Some(rounds) => {
            let window_us = i64::from(rounds) * ROUND_US;
            // No event is reported late, so that a window ends at its end.
            Goal { learning: Learning::AtClose, window_us, grace_period_us: Some(0), ..Goal::default() }
        }
    })
}

/// Returns the slot for a set and a seed.
pub fn definition(options: &ReplayOptions, dataset: &Dataset, seed: u64) -> Result<Definition, ReplayError> {
    let arm = |id: String| {
        let id = ArmId::parse("arm_id", &id)?;
        Ok(Arc::new(Arm {
            id,
            attributes: Features::new(),
            available: true,
            payload: None,
            because: None,
            schedule: slotwise::slot::Schedule::default(),
        }))
    };
    let kind = |kind: &str, weight| RewardKind {
        kind: kind.to_owned(),
        weight,
        use_value: false,
        cap: Some(1.0),
        winsorize: None,
        role: None,
        joins: None,
    };
    // Rewards are kinds and not values, so that every reward is known to lie in [0, 1].
    let kinds = vec![kind(CORRECT, 1.0), RewardKind { cap: None, ..kind(WRONG, 0.0) }];
    let definition = Definition {
        display_name: format!("Replay, seed {seed}"),
        kind: SlotKind::Offer,
        arms: arms(dataset).into_iter().map(arm).collect::<Result<_, FieldError>>()?,
        goal: Goal { kinds, default_reward: 0.0, ..when(options, dataset)? },
        model: options.model,
        controls: Controls {
            policy: Some(options.policy),
            exploration: options.exploration,
            holdout: Some(0.0),
            // Learning is measured without the floor by which reports measure arms.
            floor: Some(0.0),
            ..Controls::default()
        },
        ..Definition::new(slot_id(options, dataset, seed)?)
    };
    definition.check()?;
    Ok(definition)
}
