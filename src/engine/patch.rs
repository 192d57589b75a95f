//! Patch: the difference between two definitions of a slot, as an event holds it.
//!
//! A change of one arm out of ten thousand writes one arm. Lists (arms, rules) are written as pieces: a stretch of the
//! previous list, or one new element. The pieces therefore contain the order, and nothing is named twice.
//!
//! Invariant: `Patch::between(before, after).apply(before)` equals `after`, bit for bit.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use crate::slot::{Arm, ArmId, Controls, Definition, ProbabilityBounds, Rule};

/// Piece of a list after a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece<T> {
    /// A stretch of the previous list.
    Kept {
        /// Index of its first element, from 0.
        start: u32,
        /// Length of the stretch.
        length: u32,
    },
    /// A new or changed element.
    New(T),
}

/// Difference between two definitions of one slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// New definition without its arms, its rules and its arms' probability bounds.
    pub settings: Definition,
    /// New arms.
    pub arms: Vec<Piece<Arc<Arm>>>,
    /// New rules.
    pub rules: Vec<Piece<Rule>>,
    /// Arms whose probability bounds were set, or removed where there is `None`.
    pub arm_bounds: Vec<(ArmId, Option<ProbabilityBounds>)>,
}

impl Patch {
    /// Returns the patch that turns `before` into `after`.
    pub fn between(before: &Definition, after: &Definition) -> Self {
        let shares = (&before.controls.arm_bounds, &after.controls.arm_bounds);
        let set = shares.1.iter().filter(|&(arm, share)| shares.0.get(arm) != Some(share));
        let removed = shares.0.keys().filter(|&arm| !shares.1.contains_key(arm));
        let set = set.map(|(arm, share)| (arm.clone(), Some(*share)));
        Self {
            settings: without_lists(after),
            arms: pieces(&before.arms, &after.arms, |arm| &arm.id, |a, b| Arc::ptr_eq(a, b) || a == b),
            rules: pieces(&before.rules, &after.rules, |rule| &rule.name, PartialEq::eq),
            arm_bounds: set.chain(removed.map(|arm| (arm.clone(), None))).collect(),
        }
    }

    /// Returns `true` if applying the patch to `before` would return `before`.
    pub fn changes_nothing(&self, before: &Definition) -> bool {
        let all = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let whole = |start: u32, length: u32, all: u32| start == 0 && length == all;
        let arms = match self.arms[..] {
            [] => before.arms.is_empty(),
            [Piece::Kept { start, length }] => whole(start, length, all(before.arms.len())),
            _ => false,
        };
        let rules = match self.rules[..] {
            [] => before.rules.is_empty(),
            [Piece::Kept { start, length }] => whole(start, length, all(before.rules.len())),
            _ => false,
        };
        arms && rules && self.arm_bounds.is_empty() && self.settings == without_lists(before)
    }

    /// Applies the patch to `before` and returns the result.
    pub fn apply(&self, before: &Definition) -> Definition {
        let mut after = self.settings.clone();
        after.arms = joined(&before.arms, &self.arms);
        after.rules = joined(&before.rules, &self.rules);
        after.controls.arm_bounds.clone_from(&before.controls.arm_bounds);
        for (arm, share) in &self.arm_bounds {
            match share {
                Some(share) => drop(after.controls.arm_bounds.insert(arm.clone(), *share)),
                None => drop(after.controls.arm_bounds.remove(arm)),
            }
        }
        after
    }
}

/// Returns a definition without its arms, its rules and its arms' probability bounds.
pub(super) fn without_lists(definition: &Definition) -> Definition {
    let Definition {
        id,
        display_name,
        kind,
        arms: _,
        open_catalogue,
        from_catalogue,
        default_arm,
        count,
        goal,
        model,
        controls,
        default_consent,
        rules: _,
        default_floor,
    } = definition;
    Definition {
        id: id.clone(),
        display_name: display_name.clone(),
        kind: *kind,
        arms: Vec::new(),
        open_catalogue: *open_catalogue,
        from_catalogue: from_catalogue.clone(),
        default_arm: default_arm.clone(),
        count: *count,
        goal: goal.clone(),
        model: *model,
        controls: Controls { arm_bounds: std::collections::BTreeMap::new(), ..controls.clone() },
        default_consent: *default_consent,
        default_floor: *default_floor,
        rules: Vec::new(),
    }
}

fn pieces<'a, T: Clone, K: Eq + Hash + 'a>(
    before: &'a [T],
    after: &'a [T],
    key: impl Fn(&'a T) -> &'a K,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<Piece<T>> {
    let mut places: Option<HashMap<&K, usize>> = None;
    let mut pieces: Vec<Piece<T>> = Vec::new();
    let mut next = 0;
    for element in after {
        // Most elements follow the one before them; only the others must be looked up.
        let here = before.get(next).filter(|have| same(have, element)).map(|_| next);
        let place = here.or_else(|| {
            let places =
                places.get_or_insert_with(|| before.iter().enumerate().map(|(i, have)| (key(have), i)).collect());
            let place = places.get(key(element)).copied();
            next = place.map_or(next, |place| place + 1);
            place.filter(|&place| same(&before[place], element))
        });
        let Some(place) = place else {
            pieces.push(Piece::New(element.clone()));
            continue;
        };
        next = place + 1;
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        match pieces.last_mut() {
            Some(Piece::Kept { start, length }) if *start + *length == place => *length += 1,
            _ => pieces.push(Piece::Kept { start: place, length: 1 }),
        }
    }
    pieces
}

/// Returns the list that the pieces make of the previous one. A stretch that is not there is left out.
fn joined<T: Clone>(before: &[T], pieces: &[Piece<T>]) -> Vec<T> {
    let mut after = Vec::with_capacity(before.len());
    for piece in pieces {
        match piece {
            Piece::Kept { start, length } => {
                let (start, end) = (*start as usize, *start as usize + *length as usize);
                after.extend_from_slice(before.get(start..end.min(before.len())).unwrap_or_default());
            }
            Piece::New(element) => after.push(element.clone()),
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

    use super::*;
    use crate::slot::{Effect, OnError, SlotId};

    fn arm(i: usize, version: u32) -> Arc<Arm> {
        let mut arm = Arm::new(ArmId::parse("arm_id", &format!("arm{i}")).unwrap());
        arm.attributes.insert("version".into(), crate::bandit::Value::Number(f64::from(version)));
        Arc::new(arm)
    }

    fn definition(rng: &mut StdRng) -> Definition {
        let mut definition = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
        let mut arms: Vec<usize> = (0..12).filter(|_| rng.random_bool(0.7)).collect();
        if rng.random_bool(0.5) {
            arms.shuffle(rng);
        }
        definition.arms = arms.iter().map(|&i| arm(i, rng.random_range(0..2))).collect();
        for &i in &arms {
            if rng.random_bool(0.5) {
                let share =
                    ProbabilityBounds { floor: Some(f64::from(rng.random_range(0..3_u8)) / 64.0), ceiling: None };
                definition.controls.arm_bounds.insert(arm(i, 0).id.clone(), share);
            }
        }
        let rule = |i: u32| Rule {
            name: format!("rule{i}"),
            when: String::new(),
            effect: Effect::Pin { position: i + 1 },
            on_error: OnError::Ignore,
            paused: i.is_multiple_of(2),
        };
        definition.rules = (0..rng.random_range(0..4)).map(rule).collect();
        definition.display_name = format!("{}", rng.random_range(0..9_u8));
        definition
    }

    #[test]
    fn a_patch_turns_one_definition_into_the_other() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..2_000 {
            let (before, after) = (definition(&mut rng), definition(&mut rng));
            let patch = Patch::between(&before, &after);
            assert_eq!((patch.apply(&before) == after, patch.changes_nothing(&before)), (true, before == after));
            assert!(Patch::between(&before, &before).changes_nothing(&before));
        }
    }

    #[test]
    fn a_patch_holds_no_more_than_what_changed() {
        let mut before = definition(&mut StdRng::seed_from_u64(1));
        before.arms = (0..1_000).map(|i| arm(i, 0)).collect();
        let mut after = before.clone();
        after.arms[500] = arm(500, 1);
        let kept = |start, length| Piece::Kept { start, length };
        let patch = Patch::between(&before, &after);
        assert_eq!(patch.arms, [kept(0, 500), Piece::New(arm(500, 1)), kept(501, 499)]);
        after.arms.remove(500);
        assert_eq!(Patch::between(&before, &after).arms, [kept(0, 500), kept(501, 499)]);
        let moved = after.arms.pop().unwrap();
        after.arms.insert(0, moved);
        assert_eq!(Patch::between(&before, &after).arms, [kept(999, 1), kept(0, 500), kept(501, 498)]);
    }

    #[test]
    fn a_stretch_that_is_not_there_is_left_out() {
        let before = [1, 2, 3];
        let pieces = [Piece::Kept { start: 2, length: u32::MAX }, Piece::New(9), Piece::Kept { start: 7, length: 1 }];
        assert_eq!(joined(&before, &pieces), [3, 9]);
    }
}
