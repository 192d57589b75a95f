//! Changes of slots that are more than one call of the node: updates by mask, availability by the stream, the safe
//! choice of many slots.
//!
//! Invariants: each change is durable before the next one is begun; a call that fails says what was done before.

use std::{collections::HashMap, sync::Arc};

use prost_types::FieldMask;
use tonic::{Status, Streaming};

use super::{
    Api, decode_slot,
    difference::differences,
    error, mask,
    proto::{SetArmAvailabilityRequest, StreamArmAvailabilityResponse},
    simulated::Caller,
    slots::parse_slot,
};
use crate::{
    engine::{Change, ChangeError, SlotView},
    node::{ChangeFailure, WriteError},
    slot::{Actor, Definition, FieldError, SlotId, Why},
};

/// How often an update without a revision is tried again when another change came between.
const UPDATE_TRIES: usize = 100;

impl Api {
    pub(super) fn view(&self, slot: &SlotId) -> Result<Arc<SlotView>, Status> {
        let node = self.node()?;
        node.slot(slot).ok_or_else(|| error::slot_not_found("slot_id", slot, &node.suggest(slot.as_str())))
    }

    pub(super) async fn change(
        &self,
        caller: Caller,
        slot: &SlotId,
        change: Change,
        why: Why,
        validate_only: bool,
    ) -> Result<Arc<SlotView>, Status> {
        let node = self.node()?;
        caller.may_change(node, slot, &change)?;
        let changed = node.change(slot.clone(), change, why, validate_only).await;
        changed.map_err(|e| error::change(e, "slot_id"))
    }

    /// Makes a slot what is wanted, as far as the mask goes.
    pub(super) async fn update(
        &self,
        caller: Caller,
        wanted: &Definition,
        revision: u64,
        mask: Option<&FieldMask>,
        why: &Why,
        validate_only: bool,
    ) -> Result<Arc<SlotView>, Status> {
        let edit =
            |current: &Definition| mask::masked(current, wanted.clone(), mask).map(Some).map_err(|e| error::field(&e));
        // Without a mask nothing of the current one is left, so it need not be the one that was read.
        let edited = self.edit(caller, &wanted.id, (revision, mask.is_some()), why, validate_only, edit).await?;
        edited.ok_or_else(|| error::slot_not_found("slot.slot_id", &wanted.id, ""))
    }

    /// Makes of a slot what `edit` makes of its definition; none where that is nothing. Where the edit was made from a
    /// revision (0: from any), and whether it is one of what the slot is now.
    async fn edit(
        &self,
        caller: Caller,
        slot: &SlotId,
        (revision, of_current): (u64, bool),
        why: &Why,
        validate_only: bool,
        edit: impl Fn(&Definition) -> Result<Option<Definition>, Status>,
    ) -> Result<Option<Arc<SlotView>>, Status> {
        let node = self.node()?;
        let mut tries = UPDATE_TRIES;
        loop {
            tries -= 1;
            let current = node
                .slot(slot)
                .ok_or_else(|| error::slot_not_found("slot.slot_id", slot, &node.suggest(slot.as_str())))?;
            let Some(definition) = edit(&current.definition)? else { return Ok(None) };
            let from = if revision == 0 && of_current { current.revision } else { revision };
            let change = Change::Update { definition, revision: from };
            caller.may_change(node, slot, &change)?;
            match node.change(slot.clone(), change, why.clone(), validate_only).await {
                Ok(view) => return Ok(Some(view)),
                // Somebody else was quicker, and this caller does not care from what it starts.
                Err(ChangeFailure::Refused(ChangeError::Stale { .. })) if revision == 0 && tries > 0 => {}
                Err(ChangeFailure::Refused(ChangeError::Stale { current, change, at_us, why, .. })) => {
                    let last = error::Last { revision: current, change: &change, at_us, why: &why };
                    return Err(error::stale(slot, from, &last, &self.changed_since(slot, from)));
                }
                Err(why) => return Err(error::change(why, "slot.slot_id")),
            }
        }
    }

    /// The fields of a slot that differ from what they were at a revision, if that is kept.
    fn changed_since(&self, slot: &SlotId, revision: u64) -> Vec<String> {
        let Ok(view) = self.view(slot) else { return Vec::new() };
        let then = view.revisions.iter().find(|kept| kept.number == revision);
        let differences = then.map(|then| differences(&then.definition, &view.definition)).unwrap_or_default();
        differences.into_iter().map(|difference| difference.path).collect()
    }

    /// Sets the availability of some of a slot's arms; also says of how many.
    pub(super) async fn set_availability(
        &self,
        caller: Caller,
        actor: &Actor,
        request: SetArmAvailabilityRequest,
    ) -> Result<(Arc<SlotView>, usize), Status> {
        let SetArmAvailabilityRequest { slot_id, available, reason, changes, author, validate_only } = request;
        let slot = parse_slot(&slot_id)?;
        let available = decode_slot::availability(available, changes).map_err(|e| error::field(&e))?;
        let arms = available.len();
        let change = Change::SetAvailability(available);
        let why = Why { author, reason, actor: actor.clone() };
        Ok((self.change(caller, &slot, change, why, validate_only).await?, arms))
    }

    pub(super) async fn stream_availability(
        &self,
        caller: Caller,
        actor: &Actor,
        mut requests: Streaming<SetArmAvailabilityRequest>,
    ) -> Result<StreamArmAvailabilityResponse, Status> {
        let draining = self.draining();
        let mut revisions = HashMap::new();
        let (mut messages, mut arms) = (0_usize, 0_usize);
        loop {
            let next = tokio::select! {
                next = requests.message() => next,
                () = draining.cancelled() => Err(error::write(&WriteError::Stopped)),
            };
            let done = match next {
                Ok(None) => break,
                Ok(Some(request)) if request.validate_only => Err(error::field(&FieldError::new(
                    "validate_only",
                    "cannot be in a stream; try the message with SetArmAvailability",
                ))),
                Ok(Some(request)) => self.set_availability(caller, actor, request).await,
                Err(status) => Err(status),
            };
            let (view, named) = done.map_err(|status| error::of_message(&status, messages))?;
            revisions.insert(view.definition.id.to_string(), view.revision);
            (messages, arms) = (messages + 1, arms + named);
        }
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(StreamArmAvailabilityResponse { messages: count(messages), arms: count(arms), revisions })
    }

    /// Turns the safe choice of one slot, or of all, on or off; answers with the revisions of those that it changed.
    pub(super) async fn safe_choice(
        &self,
        caller: Caller,
        slot: Option<SlotId>,
        on: bool,
        why: &Why,
    ) -> Result<HashMap<String, u64>, Status> {
        let edit = |current: &Definition| {
            let mut definition = current.clone();
            definition.controls.safe_choice = on.then_some(true);
            Ok((current.controls.safe_choice() != on).then_some(definition))
        };
        if let Some(slot) = slot {
            self.view(&slot)?;
            let changed = self.edit(caller, &slot, (0, true), why, false, edit).await?;
            return Ok(changed.map(|view| (slot.to_string(), view.revision)).into_iter().collect());
        }
        let (node, mut revisions) = (self.node()?, HashMap::new());
        // Before any is changed.
        caller.may_change_all(node)?;
        for view in node.slots() {
            let slot = &view.definition.id;
            match self.edit(caller, slot, (0, true), why, false, edit).await {
                Ok(None) => {}
                Ok(Some(view)) => drop(revisions.insert(slot.to_string(), view.revision)),
                // It was deleted since.
                Err(status) if status.code() == tonic::Code::NotFound => {}
                Err(status) => return Err(error::of_slot(&status, slot, revisions.len())),
            }
        }
        Ok(revisions)
    }
}
