//! Table of a slot's arms by id.

use std::{collections::HashMap, sync::Arc};

use crate::slot::{Arm, ArmId};

/// Arms of a slot by id, with their positions in the slot's order and their indices in the learner.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ArmTable {
    names: Vec<ArmId>,
    by_id: HashMap<ArmId, (u32, Option<u32>)>,
    /// Indices in the learner, by position in the slot's order.
    in_order: Vec<u32>,
}

impl ArmTable {
    /// Creates the table of a slot's arms, of which those in `names` have their indices in the learner there. Arms that are
    /// not among them get the next indices.
    pub(in crate::engine) fn new(mut names: Vec<ArmId>, arms: &[Arc<Arm>]) -> Self {
        let mut by_id: HashMap<ArmId, (u32, Option<u32>)> =
            names.iter().enumerate().map(|(i, name)| (name.clone(), (index(i), None))).collect();
        let mut in_order = Vec::with_capacity(arms.len());
        for (position, arm) in arms.iter().enumerate() {
            let fresh = index(names.len());
            let entry = by_id.entry(arm.id.clone()).or_insert_with(|| {
                names.push(arm.id.clone());
                (fresh, None)
            });
            entry.1 = Some(index(position));
            in_order.push(entry.0);
        }
        Self { names, by_id, in_order }
    }

    /// Returns `true` if this is the table of these arms in their order.
    pub(in crate::engine) fn is_of(&self, arms: &[Arc<Arm>]) -> bool {
        let here = |(arm, &learned): (&Arc<Arm>, &u32)| self.names.get(learned as usize) == Some(&arm.id);
        self.in_order.len() == arms.len() && arms.iter().zip(&self.in_order).all(here)
    }

    /// Arm ids, by index in the learner.
    pub fn names(&self) -> &[ArmId] {
        &self.names
    }

    /// Returns the index of an arm in the learner, or `None` if it was never seen.
    pub fn learned(&self, arm: &str) -> Option<u32> {
        self.find(arm).map(|(learned, _)| learned)
    }

    /// Returns the index of an arm in the learner, with its position in the slot's order unless it was removed.
    pub(in crate::engine) fn find(&self, arm: &str) -> Option<(u32, Option<usize>)> {
        self.by_id.get(arm).map(|&(learned, position)| (learned, position.map(|p| p as usize)))
    }

    /// Returns the index in the learner of the arm at this position in the slot's order.
    pub fn learned_at(&self, position: usize) -> Option<u32> {
        self.in_order.get(position).copied()
    }

    /// Returns the position of an arm in the slot's order, or `None` if the slot does not have it.
    pub fn position(&self, arm: &str) -> Option<usize> {
        self.find(arm).and_then(|(_, position)| position)
    }

    /// Returns the index of an arm in the learner, adding the arm if it is new.
    pub(in crate::engine) fn intern(&mut self, arm: &ArmId) -> u32 {
        let fresh = index(self.names.len());
        let names = &mut self.names;
        self.by_id
            .entry(arm.clone())
            .or_insert_with(|| {
                names.push(arm.clone());
                (fresh, None)
            })
            .0
    }
}

/// Encoding of a table in a snapshot: its names only, since the rest follows from them and the slot's arms. *Persisted.*
pub(in crate::engine) mod names {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::{ArmTable, HashMap};
    use crate::slot::ArmId;

    pub(in crate::engine) fn serialize<S: Serializer>(table: &ArmTable, serializer: S) -> Result<S::Ok, S::Error> {
        table.names.serialize(serializer)
    }

    pub(in crate::engine) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<ArmTable>, D::Error> {
        Ok(Arc::new(ArmTable { names: Vec::<ArmId>::deserialize(from)?, by_id: HashMap::new(), in_order: Vec::new() }))
    }
}

/// Indices of arms fit in 32 bits because their number is limited.
fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}
