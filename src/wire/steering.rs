//! Changes of slots that several calls share: updates with a mask, streams of availability, the safe choice of all
//! slots.
//!
//! Invariants:
//!
//! * Each change is durable before the next one of the same call begins.
//! * A call that fails says what it changed before.

use std::{collections::BTreeMap, sync::Arc};

use prost_types::FieldMask;
use tonic::{Status, Streaming};

use super::{
    Api,
    access::CallAccess,
    decode_slot::{self, SlotDraft},
    difference::differences,
    error, mask,
    proto::{SetArmAvailabilityRequest, SetSafeChoiceResponse, StreamArmAvailabilityResponse},
    slots::parse_slot,
    stream::next_message,
};
use crate::{
    engine::{Change, ChangeError, SlotView},
    node::ChangeFailure,
    slot::{Actor, ChangeReason, FieldError, SlotId},
};

/// Number of attempts at an update without a revision, if another change comes between.
const UPDATE_TRIES: usize = 100;
/// Greatest number of slots that the answer about a change of all slots names.
const SLOTS_NAMED_MAX: usize = 100;
/// Greatest number of slots that the answer to a stream names.
const SLOTS_STREAMED_MAX: usize = 1_000;

impl Api {
    /// Returns the published view of a slot that the caller may reach.
    pub(super) fn view(&self, access: &CallAccess, slot: &SlotId) -> Result<Arc<SlotView>, Status> {
        access.check_slot(slot)?;
        let node = self.node()?;
        node.slot(slot).ok_or_else(|| error::slot_not_found("slot_id", slot, &access.near(node, slot)))
    }

    pub(super) async fn change(
        &self,
        access: &CallAccess,
        slot: &SlotId,
        change: Change,
        why: ChangeReason,
        validate_only: bool,
    ) -> Result<Arc<SlotView>, Status> {
        let node = self.node()?;
        access.check_change(node, slot, &change)?;
        let changed = node.change(slot.clone(), change, why, validate_only).await;
        changed.map_err(|e| error::change(e, "slot_id"))
    }

    /// Changes the fields of a slot that the mask names.
    pub(super) async fn update(
        &self,
        access: &CallAccess,
        draft: &SlotDraft,
        mask: Option<&FieldMask>,
        why: &ChangeReason,
        validate_only: bool,
    ) -> Result<Arc<SlotView>, Status> {
        let (node, slot, revision) = (self.node()?, &draft.settings.id, draft.revision);
        access.check_slot(slot)?;
        let mut tries = UPDATE_TRIES;
        loop {
            tries -= 1;
            let current =
                node.slot(slot).ok_or_else(|| error::slot_not_found("slot.slot_id", slot, &access.near(node, slot)))?;
            let definition = mask::apply_mask(&current.definition, draft, mask);
            // A stale revision is a more useful error than what is wrong with the fields.
            let made_of_older = revision != 0 && revision != current.revision;
            let (definition, wrong) = match definition {
                Ok(definition) => (definition, None),
                Err(why) if made_of_older => ((*current.definition).clone(), Some(error::field(&why))),
                Err(why) => return Err(error::field(&why)),
            };
            let from = if revision == 0 { current.revision } else { revision };
            let change = Change::Update { definition, revision: from };
            access.check_change(node, slot, &change)?;
            match node.change(slot.clone(), change, why.clone(), validate_only).await {
                Ok(view) => return wrong.map_or(Ok(view), Err),
                // Another change came first. The next attempt finds out whether it matters to this caller.
                Err(ChangeFailure::Refused(ChangeError::Stale { current: newest, .. }))
                    if tries > 0 && (revision == 0 || newest != current.revision) => {}
                Err(ChangeFailure::Refused(ChangeError::Stale { current, change, at_us, why, .. })) => {
                    let latest = error::LatestChange { revision: current, change: &change, at_us, why: &why };
                    return Err(error::stale(slot, from, &latest, &self.changed_since(slot, from)));
                }
                Err(why) => return Err(error::change(why, "slot.slot_id")),
            }
        }
    }

    /// Returns the paths of the fields that changed since a revision, or nothing if the revision is not kept.
    fn changed_since(&self, slot: &SlotId, revision: u64) -> Vec<String> {
        let Some(view) = self.current().and_then(|node| node.slot(slot)) else { return Vec::new() };
        let then = view.revisions.iter().find(|kept| kept.number == revision);
        let differences = then.map(|then| differences(&then.definition, &view.definition)).unwrap_or_default();
        differences.into_iter().map(|difference| difference.path).collect()
    }

    /// Sets the availability of arms of a slot. Returns the slot and the number of arms.
    pub(super) async fn set_availability(
        &self,
        access: &CallAccess,
        actor: &Actor,
        request: SetArmAvailabilityRequest,
    ) -> Result<(Arc<SlotView>, usize), Status> {
        let SetArmAvailabilityRequest { slot_id, available, reason, changes, author, validate_only } = request;
        let slot = parse_slot(&slot_id)?;
        let available = decode_slot::availability(available, changes).map_err(|e| error::field(&e))?;
        let arms = available.len();
        let change = Change::SetAvailability(available);
        let why = ChangeReason { author, reason, actor: actor.clone() };
        Ok((self.change(access, &slot, change, why, validate_only).await?, arms))
    }

    pub(super) async fn stream_availability(
        &self,
        access: &CallAccess,
        actor: &Actor,
        mut requests: Streaming<SetArmAvailabilityRequest>,
    ) -> Result<StreamArmAvailabilityResponse, Status> {
        let draining = self.draining();
        let mut revisions = BTreeMap::new();
        let (mut messages, mut arms) = (0_usize, 0_usize);
        loop {
            let done = match next_message(&mut requests, &draining).await {
                Ok(None) => break,
                Ok(Some(request)) if request.validate_only => Err(error::field(&FieldError::new(
                    "validate_only",
                    "cannot be in a stream; try the message with SetArmAvailability",
                ))),
                Ok(Some(request)) => self.set_availability(access, actor, request).await,
                Err(status) => Err(status),
            };
            let (view, named) = done.map_err(|status| error::in_message(&status, messages))?;
            revisions.insert(view.definition.id.to_string(), view.revision);
            (messages, arms) = (messages + 1, arms + named);
        }
        let slots = count(revisions.len());
        let revisions = revisions.into_iter().take(SLOTS_STREAMED_MAX).collect();
        Ok(StreamArmAvailabilityResponse { messages: count(messages), arms: count(arms), revisions, slots })
    }

    /// Turns the safe choice of one slot, or of all, on or off. Either all of them change or none does.
    pub(super) async fn safe_choice(
        &self,
        access: &CallAccess,
        slot: Option<SlotId>,
        on: bool,
        why: ChangeReason,
    ) -> Result<SetSafeChoiceResponse, Status> {
        let (node, change) = (self.node()?, Change::SetSafeChoice(on));
        match &slot {
            Some(slot) => {
                self.view(access, slot)?;
                access.check_change(node, slot, &change)?;
            }
            None => access.check_change_of_all(node)?,
        }
        let changed = node.change_each(slot, change, why).await.map_err(|e| error::change(e, "slot_id"))?;
        let first = changed.iter().take(SLOTS_NAMED_MAX);
        Ok(SetSafeChoiceResponse {
            revisions: first.map(|(slot, revision)| (slot.to_string(), *revision)).collect(),
            changed: count(changed.len()),
        })
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
