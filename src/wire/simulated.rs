//! Simulated traffic: what was invented must not be learned, nor change anything, where people are shown something.
//!
//! Invariants: whoever calls with the header [`SIMULATED`] reaches slots with `controls.simulated` alone, in every call
//! that decides, reports or changes; and no slot that it makes or changes is ever without. Everybody else reaches all
//! slots, and anybody may read. What a slot is counts as it is when the call comes.
//!
//! Deliberately not here: authentication. The header is a simulator's own word, which keeps it from mistakes.

use std::{cell::OnceCell, collections::HashMap, sync::Arc};

use tonic::{Status, metadata::MetadataMap};

use super::error;
use crate::{
    engine::{self, Change, SlotView},
    node::{Node, RewardRequest},
    slot::{Definition, SlotId},
};

/// The header by which a caller says that its shoppers are simulated.
pub(super) const SIMULATED: &str = "slotwise-simulated";

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody real.
    Real,
    /// A simulator.
    Simulated,
}

fn of_definition(definition: &Definition) -> Result<(), Status> {
    if definition.controls.simulated() { Ok(()) } else { Err(error::simulated(&definition.id)) }
}

/// That a slot is for simulated traffic. One that does not exist is refused for that, elsewhere.
fn of_slot(node: &Node, slot: &SlotId) -> Result<(), Status> {
    node.slot(slot).map_or(Ok(()), |view| of_definition(&view.definition))
}

impl Caller {
    /// Of a call with these headers.
    pub(super) fn of(metadata: &MetadataMap) -> Self {
        if metadata.contains_key(SIMULATED) { Self::Simulated } else { Self::Real }
    }

    /// That it may ask for this decision.
    pub(super) fn may_ask(self, node: &Node, request: &engine::Request) -> Result<(), Status> {
        match self {
            Self::Real => Ok(()),
            Self::Simulated => of_slot(node, &request.slot),
        }
    }

    /// That it may make this change: of a slot for simulated traffic, to one for simulated traffic.
    pub(super) fn may_change(self, node: &Node, slot: &SlotId, change: &Change) -> Result<(), Status> {
        if self == Self::Real {
            return Ok(());
        }
        match change {
            Change::Create(definition) => of_definition(definition),
            Change::Update { definition, .. } => {
                of_slot(node, slot)?;
                of_definition(definition)
            }
            Change::Rollback(revision) => {
                of_slot(node, slot)?;
                let view = node.slot(slot);
                let then = view.iter().flat_map(|view| view.revisions.iter()).find(|kept| kept.number == *revision);
                then.map_or(Ok(()), |then| of_definition(&then.definition))
            }
            Change::Delete
            | Change::UpsertArms(_)
            | Change::MergeArms(_)
            | Change::SetSafeChoice(_)
            | Change::RemoveArms(_)
            | Change::SetAvailability(_)
            | Change::Reset => of_slot(node, slot),
        }
    }

    /// That it may change every slot there is.
    pub(super) fn may_change_all(self, node: &Node) -> Result<(), Status> {
        match self {
            Self::Real => Ok(()),
            Self::Simulated => node.slots().iter().try_for_each(|view| of_definition(&view.definition)),
        }
    }
}

/// Which events of a batch may be counted.
pub(super) struct Reporting<'a> {
    caller: Caller,
    node: &'a Node,
    /// Slots by their numbers, once one is asked for.
    by_number: OnceCell<HashMap<u32, Arc<SlotView>>>,
}

impl<'a> Reporting<'a> {
    /// Of this caller.
    pub(super) fn new(caller: Caller, node: &'a Node) -> Self {
        Self { caller, node, by_number: OnceCell::new() }
    }

    /// Why an event may not be counted, if so.
    pub(super) fn refusal(&self, reward: &RewardRequest) -> Option<String> {
        if self.caller == Caller::Real {
            return None;
        }
        let refused = |field: &str, status: Status| format!("{field}: {}", status.message());
        if let Some(slot) = &reward.slot
            && let Err(status) = of_slot(self.node, slot)
        {
            return Some(refused("slot_id", status));
        }
        // A number that no slot has is of one that was deleted or reset: nothing is counted for it.
        let view = self.numbers().get(&reward.decision?.slot())?;
        of_definition(&view.definition).err().map(|status| refused("decision_id", status))
    }

    fn numbers(&self) -> &HashMap<u32, Arc<SlotView>> {
        self.by_number.get_or_init(|| self.node.slots().into_iter().map(|view| (view.number, view)).collect())
    }
}
