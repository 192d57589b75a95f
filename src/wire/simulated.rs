//! Simulated traffic: calls of a simulator may not affect slots that real shoppers see.
//!
//! Invariants:
//!
//! * A call with the header [`SIMULATED`] that decides, reports or changes reaches only slots with
//!   `controls.simulated`. Any call may read every slot.
//! * A slot that such a call creates or changes has `controls.simulated` afterwards.
//! * The slot's state at the time of the call counts.
//!
//! Deliberately not here: keys. Where the service asks for them, such a call needs the role `simulate`.

use std::{cell::OnceCell, collections::HashMap, sync::Arc};

use tonic::{Status, metadata::MetadataMap};

use super::{access::CallAccess, error};
use crate::{
    engine::{self, Change, SlotView},
    node::{Node, RewardRequest},
    slot::{Definition, SlotId},
};

/// Header with which a caller says that its shoppers are simulated.
pub(crate) const SIMULATED: &str = "slotwise-simulated";

/// Kind of caller, by the shoppers that its calls are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallerKind {
    /// Real shoppers.
    Real,
    /// Shoppers of a simulator.
    Simulated,
}

fn check_definition(definition: &Definition) -> Result<(), Status> {
    if definition.controls.simulated() { Ok(()) } else { Err(error::simulated(&definition.id)) }
}

/// Checks that a slot is for simulated traffic. A slot that does not exist passes, because the call itself refuses it.
fn check_slot(node: &Node, slot: &SlotId) -> Result<(), Status> {
    node.slot(slot).map_or(Ok(()), |view| check_definition(&view.definition))
}

impl CallerKind {
    /// Returns the kind of a call by its headers.
    pub(super) fn from_metadata(metadata: &MetadataMap) -> Self {
        if metadata.contains_key(SIMULATED) { Self::Simulated } else { Self::Real }
    }

    /// Checks that a call of this kind may ask for a decision.
    pub(super) fn check_request(self, node: &Node, request: &engine::Request) -> Result<(), Status> {
        match self {
            Self::Real => Ok(()),
            Self::Simulated => check_slot(node, &request.slot),
        }
    }

    /// Checks that a call of this kind may make a change. The slot must be for simulated traffic before and after it.
    pub(super) fn check_change(self, node: &Node, slot: &SlotId, change: &Change) -> Result<(), Status> {
        if self == Self::Real {
            return Ok(());
        }
        match change {
            Change::Create(definition) | Change::CreateFrom(definition, _) => check_definition(definition),
            Change::Update { definition, .. } => {
                check_slot(node, slot)?;
                check_definition(definition)
            }
            Change::Rollback(revision) => {
                check_slot(node, slot)?;
                let view = node.slot(slot);
                let then = view.iter().flat_map(|view| view.revisions.iter()).find(|kept| kept.number == *revision);
                then.map_or(Ok(()), |then| check_definition(&then.definition))
            }
            Change::Delete
            | Change::UpsertArms(_)
            | Change::MergeArms(_)
            | Change::SetSafeChoice(_)
            | Change::RemoveArms(_)
            | Change::SetAvailability(_)
            | Change::ResetArm(_)
            | Change::ImportLearning(..)
            | Change::Rename(_)
            | Change::Reset => check_slot(node, slot),
        }
    }

    /// Checks that a call of this kind may change all slots.
    pub(super) fn check_change_of_all(self, node: &Node) -> Result<(), Status> {
        match self {
            Self::Real => Ok(()),
            Self::Simulated => node.slots().iter().try_for_each(|view| check_definition(&view.definition)),
        }
    }
}

/// Filter of the events that a call may report.
pub(super) struct EventFilter<'a> {
    access: &'a CallAccess,
    node: &'a Node,
    /// Slots by their numbers, filled at the first use.
    slots_by_number: OnceCell<HashMap<u32, Arc<SlotView>>>,
}

impl<'a> EventFilter<'a> {
    /// Creates the filter of one call.
    pub(super) fn new(access: &'a CallAccess, node: &'a Node) -> Self {
        Self { access, node, slots_by_number: OnceCell::new() }
    }

    /// Returns the reason why an event may not be counted, or `None` if it may.
    pub(super) fn refusal(&self, reward: &RewardRequest) -> Option<String> {
        let simulated = self.access.kind() == CallerKind::Simulated;
        let everywhere = self.access.check_all_slots().is_ok();
        if everywhere && !simulated {
            return None;
        }
        let refused = |field: &str, status: Status| format!("{field}: {}", status.message());
        let check = |view: &SlotView| {
            self.access.check_slot(&view.definition.id)?;
            if simulated { check_definition(&view.definition) } else { Ok(()) }
        };
        if let Some(slot) = &reward.slot {
            let checked = self.access.check_slot(slot).and_then(|()| match self.node.slot(slot) {
                Some(view) => check(&view),
                None => Ok(()),
            });
            if let Err(status) = checked {
                return Some(refused("slot_id", status));
            }
        }
        // A number without a slot belongs to a slot that was deleted or reset, for which nothing is counted.
        let view = self.slots_by_number().get(&reward.decision?.slot())?;
        check(view).err().map(|status| refused("decision_id", status))
    }

    fn slots_by_number(&self) -> &HashMap<u32, Arc<SlotView>> {
        self.slots_by_number.get_or_init(|| self.node.slots().into_iter().map(|view| (view.number, view)).collect())
    }
}
