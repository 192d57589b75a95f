//! What a decision reads of a slot.

use std::{collections::HashMap, sync::Arc};

use super::{
    counters::{Counters, Tally},
    fading::Faded,
    goal_sums::GoalSums,
    horizons::Parts,
    insight::Insight,
};
use crate::{
    bandit::Learner,
    slot::{Arm, ArmId, Definition, Revision, RuleBook},
};

/// The arms of a slot by id: where they stand in its order, and which index they are learned under.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ArmTable {
    names: Vec<ArmId>,
    by_id: HashMap<ArmId, (u32, Option<u32>)>,
    /// By their place in the slot's order.
    in_order: Vec<u32>,
}

impl ArmTable {
    /// The table of `definition` for arms that are learned under the indices of `names`; those of
    /// the definition that are not among them come at the end.
    pub(super) fn new(mut names: Vec<ArmId>, definition: &Definition) -> Self {
        let mut by_id: HashMap<ArmId, (u32, Option<u32>)> =
            names.iter().enumerate().map(|(i, name)| (name.clone(), (index(i), None))).collect();
        let mut in_order = Vec::with_capacity(definition.arms.len());
        for (position, arm) in definition.arms.iter().enumerate() {
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

    /// Whether it is the table of this definition: its arms are the same ones in the same order.
    pub(super) fn is_of(&self, definition: &Definition) -> bool {
        let here = |(arm, &learned): (&Arc<Arm>, &u32)| self.names.get(learned as usize) == Some(&arm.id);
        self.in_order.len() == definition.arms.len() && definition.arms.iter().zip(&self.in_order).all(here)
    }

    /// The ids by the index they are learned under.
    pub fn names(&self) -> &[ArmId] {
        &self.names
    }

    /// The index that an arm is learned under; none: never heard of.
    pub fn learned(&self, arm: &str) -> Option<u32> {
        self.find(arm).map(|(learned, _)| learned)
    }

    /// That, and its place in the slot's order; none: not in the slot.
    pub(super) fn find(&self, arm: &str) -> Option<(u32, Option<usize>)> {
        self.by_id.get(arm).map(|&(learned, position)| (learned, position.map(|p| p as usize)))
    }

    /// The same of the arm at this place in the slot's order.
    pub fn learned_at(&self, position: usize) -> Option<u32> {
        self.in_order.get(position).copied()
    }

    /// Its place in the slot's order; none: not in the slot.
    pub fn position(&self, arm: &str) -> Option<usize> {
        self.find(arm).and_then(|(_, position)| position)
    }

    /// The index of an arm that may be new.
    pub(super) fn intern(&mut self, arm: &ArmId) -> u32 {
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

/// A table as a snapshot holds it: the names, from which and the definition it is made anew. *Persisted.*
pub(super) mod names {
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

/// Indices of arms fit in 32 bits by their limit.
fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}

/// A slot as published: cheap to make from the state, and never changed.
#[derive(Debug, Clone)]
pub struct SlotView {
    /// The slot's number.
    pub number: u32,
    /// The current revision's number.
    pub revision: u64,
    /// Its definition.
    pub definition: Arc<Definition>,
    /// Its arms by id.
    pub arms: Arc<ArmTable>,
    /// What it learned.
    pub learner: Arc<Learner>,
    /// What was counted.
    pub counters: Counters,
    /// What was counted of each arm, by the index it is learned under.
    pub tallies: Arc<Vec<Tally>>,
    /// What was counted since the goal changed; `None` if it never did.
    pub goal_sums: Option<Arc<GoalSums>>,
    /// What it learned, as it was when it was last read.
    pub(super) faded: Faded,
    /// What it is judged by.
    pub insight: Arc<Insight>,
    /// Rewards most often come within this time, microseconds.
    pub patience_us: i64,
    /// How often each position is looked at, in units of the first; empty without a position-based click model.
    pub exposures: Vec<f64>,
    /// Its revisions, oldest first.
    pub revisions: Arc<Vec<Revision>>,
    /// Its rules, compiled.
    pub rules: Arc<RuleBook>,
    /// Decisions that wait for rewards.
    pub pending: usize,
    /// What they take in memory, bytes.
    pub pending_bytes: u64,
    /// Memory that decisions take that are remembered for what takes their rewards back, bytes.
    pub finished_bytes: u64,
    /// What it remembers.
    pub remembered: Parts,
    /// What was forgotten before its time because there was too much.
    pub forgotten: Parts,
}

impl SlotView {
    /// An arm of the slot.
    pub fn arm(&self, arm: &str) -> Option<&Arm> {
        self.arms.position(arm).map(|position| self.definition.arms[position].as_ref())
    }
}
