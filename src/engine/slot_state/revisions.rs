//! Encoding of revisions in a snapshot. *Persisted.*
//!
//! Two hundred revisions of a slot with thousands of arms differ in few of them. So every distinct arm is written once,
//! in a table, and a revision names its arms by their places there, which are mostly a few stretches. Rules and
//! probability bounds have tables of their own. Entries are compared by value, so equal states give equal bytes however
//! their memory is shared.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    engine::patch::without_lists,
    slot::{Actor, Arm, ArmId, ChangeReason, Definition, ProbabilityBounds, Revision, Rule},
};

#[derive(Serialize, Deserialize)]
struct PersistedRevisions {
    arms: Vec<Arc<Arm>>,
    rules: Vec<Rule>,
    bounds: Vec<BTreeMap<ArmId, ProbabilityBounds>>,
    revisions: Vec<PersistedRevision>,
}

#[derive(Serialize, Deserialize)]
struct PersistedRevision {
    number: u64,
    at_us: i64,
    author: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Actor::is_empty")]
    actor: Actor,
    change: String,
    /// Definition without its arms, rules and probability bounds.
    definition: Definition,
    /// Places in the table of arms, as stretches of a first place and a length.
    arm_stretches: Vec<(u32, u32)>,
    /// Places in the table of rules.
    rules: Vec<u32>,
    /// Place in the table of probability bounds.
    bounds: Option<u32>,
    own_bytes: u64,
}

/// Table of distinct values. `K` is a key that all versions of a value share.
struct DistinctValues<'a, K, T> {
    values: Vec<&'a T>,
    known: HashMap<K, Vec<u32>>,
}

impl<'a, K: std::hash::Hash + Eq, T> DistinctValues<'a, K, T> {
    fn new() -> Self {
        Self { values: Vec::new(), known: HashMap::new() }
    }

    /// Returns the place of a value, adding it if necessary.
    fn place(&mut self, key: K, value: &'a T, same: impl Fn(&T, &T) -> bool) -> Option<u32> {
        let versions = self.known.entry(key).or_default();
        // The newest version comes first, because most values are unchanged.
        if let Some(&place) = versions.iter().rev().find(|&&place| same(self.values[place as usize], value)) {
            return Some(place);
        }
        let place = u32::try_from(self.values.len()).ok()?;
        self.values.push(value);
        versions.push(place);
        Some(place)
    }
}

fn add(stretches: &mut Vec<(u32, u32)>, place: u32) {
    match stretches.last_mut() {
        Some((first, length)) if *first + *length == place => *length += 1,
        _ => stretches.push((place, 1)),
    }
}

pub(in crate::engine) fn serialize<S: Serializer>(revisions: &[Revision], serializer: S) -> Result<S::Ok, S::Error> {
    let many = || serde::ser::Error::custom("a slot has more arms than can be counted");
    let (mut arms, mut rules, mut bounds) = (DistinctValues::new(), DistinctValues::new(), DistinctValues::new());
    let mut persisted = Vec::with_capacity(revisions.len());
    for Revision { number, at_us, why, change, definition, own_bytes } in revisions {
        let mut arm_stretches = Vec::new();
        for arm in &definition.arms {
            let place = arms.place(&arm.id, arm, |have: &Arc<Arm>, arm| Arc::ptr_eq(have, arm) || have == arm);
            add(&mut arm_stretches, place.ok_or_else(many)?);
        }
        let mut rule_places = Vec::with_capacity(definition.rules.len());
        for rule in &definition.rules {
            rule_places.push(rules.place(&rule.name, rule, PartialEq::eq).ok_or_else(many)?);
        }
        let arm_bounds = Some(&definition.controls.arm_bounds).filter(|bounds| !bounds.is_empty());
        let bounds_place = arm_bounds.map(|of| bounds.place((), of, PartialEq::eq).ok_or_else(many)).transpose()?;
        persisted.push(PersistedRevision {
            number: *number,
            at_us: *at_us,
            author: why.author.clone(),
            reason: why.reason.clone(),
            actor: why.actor.clone(),
            change: change.clone(),
            definition: without_lists(definition),
            arm_stretches,
            rules: rule_places,
            bounds: bounds_place,
            own_bytes: *own_bytes,
        });
    }
    PersistedRevisions {
        arms: arms.values.into_iter().cloned().collect(),
        rules: rules.values.into_iter().cloned().collect(),
        bounds: bounds.values.into_iter().cloned().collect(),
        revisions: persisted,
    }
    .serialize(serializer)
}

pub(in crate::engine) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<Vec<Revision>>, D::Error> {
    let PersistedRevisions { arms: table, rules: rule_table, bounds: bounds_table, revisions } =
        PersistedRevisions::deserialize(deserializer)?;
    let missing =
        |what: &str| serde::de::Error::custom(format!("a revision names {what} that the snapshot does not contain"));
    let revision = |persisted: PersistedRevision| {
        let PersistedRevision {
            number,
            at_us,
            author,
            reason,
            actor,
            change,
            mut definition,
            arm_stretches,
            rules,
            bounds,
            own_bytes,
        } = persisted;
        for (first, length) in arm_stretches {
            let end = (first as usize).saturating_add(length as usize);
            let stretch = table.get(first as usize..end).ok_or_else(|| missing("an arm"))?;
            definition.arms.extend_from_slice(stretch);
        }
        for place in rules {
            let rule = rule_table.get(place as usize).ok_or_else(|| missing("a rule"))?;
            definition.rules.push(rule.clone());
        }
        if let Some(place) = bounds {
            let bounds = bounds_table.get(place as usize).ok_or_else(|| missing("probability bounds"))?;
            definition.controls.arm_bounds.clone_from(bounds);
        }
        let why = ChangeReason { author, reason, actor };
        Ok(Revision { number, at_us, why, change, definition: Arc::new(definition), own_bytes })
    };
    Ok(Arc::new(revisions.into_iter().map(revision).collect::<Result<_, D::Error>>()?))
}
