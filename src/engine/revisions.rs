//! Revisions as a snapshot holds them: every distinct arm once. *Persisted.*
//!
//! Two hundred revisions of a slot with thousands of arms differ in a few of them.
//! Arms are told apart by value, so equal states give equal bytes however their
//! memory is shared.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::slot::{Actor, Arm, ArmId, Definition, Revision, Why};

#[derive(Serialize, Deserialize)]
struct Persisted {
    arms: Vec<Arc<Arm>>,
    revisions: Vec<PersistedRevision>,
}

#[derive(Serialize, Deserialize)]
struct PersistedRevision {
    number: u64,
    at_us: i64,
    #[serde(default)]
    author: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Actor::is_empty")]
    actor: Actor,
    change: String,
    /// Without its arms.
    definition: Definition,
    /// Indices into the arms above.
    arms: Vec<u32>,
}

pub(super) fn serialize<S: Serializer>(revisions: &[Revision], serializer: S) -> Result<S::Ok, S::Error> {
    let mut persisted = Persisted { arms: Vec::new(), revisions: Vec::new() };
    let mut known: HashMap<&ArmId, Vec<u32>> = HashMap::new();
    for Revision { number, at_us, why, change, definition } in revisions {
        let mut arms = Vec::with_capacity(definition.arms.len());
        for arm in &definition.arms {
            let versions = known.entry(&arm.id).or_default();
            // The newest version first: most arms are as they were.
            let same = |&&index: &&u32| {
                let have = &persisted.arms[index as usize];
                Arc::ptr_eq(have, arm) || have == arm
            };
            let index = if let Some(&index) = versions.iter().rev().find(same) {
                index
            } else {
                let index = u32::try_from(persisted.arms.len()).map_err(serde::ser::Error::custom)?;
                persisted.arms.push(Arc::clone(arm));
                versions.push(index);
                index
            };
            arms.push(index);
        }
        let definition = Definition { arms: Vec::new(), ..(**definition).clone() };
        persisted.revisions.push(PersistedRevision {
            number: *number,
            at_us: *at_us,
            author: why.author.clone(),
            reason: why.reason.clone(),
            actor: why.actor.clone(),
            change: change.clone(),
            definition,
            arms,
        });
    }
    persisted.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Vec<Revision>>, D::Error> {
    let Persisted { arms: table, revisions } = Persisted::deserialize(deserializer)?;
    let revision = |persisted: PersistedRevision| {
        let PersistedRevision { number, at_us, author, reason, actor, change, mut definition, arms } = persisted;
        let arm = |index: u32| table.get(index as usize).cloned();
        definition.arms = arms
            .into_iter()
            .map(arm)
            .collect::<Option<_>>()
            .ok_or_else(|| serde::de::Error::custom("a revision names an arm that is not there"))?;
        Ok(Revision { number, at_us, why: Why { author, reason, actor }, change, definition: Arc::new(definition) })
    };
    Ok(Arc::new(revisions.into_iter().map(revision).collect::<Result<_, D::Error>>()?))
}
