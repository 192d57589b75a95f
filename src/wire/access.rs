//! Access of a call: what its caller may reach.
//!
//! Invariants:
//!
//! * The role of a call was checked before it came here, by its path. A slot is checked here, because only the message names it.
//! * A caller that may not reach a slot learns nothing of it, not even whether it exists.
//! * The key of a stream is looked at again for each message.

use std::sync::Arc;

use tonic::{Request, Status, metadata::MetadataMap};

use super::{call_slot::CallSlot, error, simulated::CallerKind};
use crate::{
    access::{Caller, Role},
    engine::{self, Change},
    node::Node,
    slot::{SlotId, limits::ACTOR_BYTES_MAX},
};

/// Caller of a call, or nothing where the service asks for no keys, and whether its shoppers are simulated.
#[derive(Debug, Clone)]
pub(super) struct CallAccess {
    kind: CallerKind,
    caller: Option<Arc<Caller>>,
    /// Place for the call's slot, or `None` if nobody asks for it.
    slot: Option<CallSlot>,
}

impl CallAccess {
    /// Returns the access of a call.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let extensions = request.extensions();
        let access = Self::new(request.metadata(), extensions.get::<Arc<Caller>>().cloned());
        Self { slot: extensions.get::<CallSlot>().cloned(), ..access }
    }

    /// Returns the access of the service itself, when it does later what somebody was allowed to ask for.
    pub(super) fn of_service() -> Self {
        Self { kind: CallerKind::Real, caller: None, slot: None }
    }

    fn new(metadata: &MetadataMap, caller: Option<Arc<Caller>>) -> Self {
        Self { kind: CallerKind::from_metadata(metadata), caller, slot: None }
    }

    /// Kind of the call's shoppers.
    pub(super) fn kind(&self) -> CallerKind {
        self.kind
    }

    /// Name that the caller authenticated as, or an empty text. A name that is too long for the journal is cut.
    pub(super) fn client(&self) -> &str {
        let name = self.caller.as_ref().map_or("", |caller| caller.principal());
        let end = (0..=name.len().min(ACTOR_BYTES_MAX)).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
        &name[..end]
    }

    /// Returns `true` if the caller may see who a shopper is.
    pub(super) fn sees_subjects(&self) -> bool {
        self.caller.as_ref().is_none_or(|caller| caller.has(Role::Tune))
    }

    /// Returns `true` if the caller may copy who all shoppers are, as an export does.
    pub(super) fn exports_subjects(&self) -> bool {
        self.caller.as_ref().is_none_or(|caller| caller.has(Role::Admin))
    }

    /// Returns `true` if the caller may reach a slot.
    pub(super) fn reaches(&self, slot: &str) -> bool {
        self.caller.as_ref().is_none_or(|caller| caller.reaches(slot))
    }

    /// Checks that the caller may reach a slot.
    pub(super) fn check_slot(&self, slot: &SlotId) -> Result<(), Status> {
        self.check_current()?;
        if let Some(place) = &self.slot {
            place.note(slot.as_str());
        }
        match &self.caller {
            Some(caller) if !caller.reaches(slot.as_str()) => {
                Err(error::slot_out_of_reach(caller.principal(), slot.as_str()))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the caller has a role beside the one that the call needs.
    pub(super) fn check_role(&self, role: Role) -> Result<(), Status> {
        match &self.caller {
            Some(caller) if !caller.has(role) => Err(error::role_missing(caller.principal(), role.name())),
            _ => Ok(()),
        }
    }

    /// Checks that the caller may reach every slot.
    pub(super) fn check_all_slots(&self) -> Result<(), Status> {
        match &self.caller {
            Some(caller) if !caller.reaches_all() => Err(error::slot_out_of_reach(caller.principal(), "*")),
            _ => Ok(()),
        }
    }

    /// Checks that the caller's key is still taken. A stream may outlive it.
    pub(super) fn check_current(&self) -> Result<(), Status> {
        match &self.caller {
            Some(caller) if caller.is_revoked() => {
                Err(error::unauthenticated("KEY_REVOKED", "the key was revoked or has expired"))
            }
            _ => Ok(()),
        }
    }

    /// Returns the question about the slot that may have been meant, or an empty text for a caller that does not reach all slots.
    pub(super) fn near(&self, node: &Node, slot: &SlotId) -> String {
        if self.check_all_slots().is_ok() { node.suggest(slot.as_str()) } else { String::new() }
    }

    /// Checks that the call may ask for a decision.
    pub(super) fn check_request(&self, node: &Node, request: &engine::Request) -> Result<(), Status> {
        self.check_slot(&request.slot)?;
        self.kind.check_request(node, request)
    }

    /// Checks that the call may make a change.
    pub(super) fn check_change(&self, node: &Node, slot: &SlotId, change: &Change) -> Result<(), Status> {
        self.check_slot(slot)?;
        self.kind.check_change(node, slot, change)
    }

    /// Checks that the call may change all slots.
    pub(super) fn check_change_of_all(&self, node: &Node) -> Result<(), Status> {
        self.check_all_slots()?;
        self.kind.check_change_of_all(node)
    }
}
