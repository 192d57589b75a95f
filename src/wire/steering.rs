//! Changes of slots that several calls share: updates by mask, availability by the stream, the safe choice of many
//! slots.
//!
//! Invariants: each change is durable before the next one is begun; a call that fails says what was done before.

use std::{collections::BTreeMap, sync::Arc};

use prost_types::FieldMask;
use tonic::{Status, Streaming};

use super::{
    Api,
    decode_slot::{self, SlotDraft},
    difference::differences,
    error, mask,
    proto::{SetArmAvailabilityRequest, SetSafeChoiceResponse, StreamArmAvailabilityResponse},
    simulated::Caller,
    slots::parse_slot,
};
use crate::{
    engine::{Change, ChangeError, SlotView},
    node::{ChangeFailure, WriteError},
    slot::{Actor, ChangeReason, FieldError, SlotId},
};

/// How often an update without a revision is tried again when another change came between.
const UPDATE_TRIES: usize = 100;
/// Slots that an answer about a change of all of them names.
const SLOTS_NAMED_MAX: usize = 100;
/// Slots that the answer to a stream names.
const SLOTS_STREAMED_MAX: usize = 1_000;

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
        why: ChangeReason,
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
        draft: &SlotDraft,
        mask: Option<&FieldMask>,
        why: &ChangeReason,
        validate_only: bool,
    ) -> Result<Arc<SlotView>, Status> {
        let (node, slot, revision) = (self.node()?, &draft.settings.id, draft.revision);
        let mut tries = UPDATE_TRIES;
        loop {
            tries -= 1;
            let current = node
                .slot(slot)
                .ok_or_else(|| error::slot_not_found("slot.slot_id", slot, &node.suggest(slot.as_str())))?;
            let definition = mask::masked(&current.definition, draft, mask);
            // Whoever starts from an older revision is told that first.
            let made_of_older = revision != 0 && revision != current.revision;
            let (definition, wrong) = match definition {
                Ok(definition) => (definition, None),
                Err(why) if made_of_older => ((*current.definition).clone(), Some(error::field(&why))),
                Err(why) => return Err(error::field(&why)),
            };
            let from = if revision == 0 { current.revision } else { revision };
            let change = Change::Update { definition, revision: from };
            caller.may_change(node, slot, &change)?;
            match node.change(slot.clone(), change, why.clone(), validate_only).await {
                Ok(view) => return wrong.map_or(Ok(view), Err),
                // Somebody else was quicker; whether that matters to this caller is seen from what the slot is now.
                Err(ChangeFailure::Refused(ChangeError::Stale { current: newest, .. }))
                    if tries > 0 && (revision == 0 || newest != current.revision) => {}
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
        let why = ChangeReason { author, reason, actor: actor.clone() };
        Ok((self.change(caller, &slot, change, why, validate_only).await?, arms))
    }

    pub(super) async fn stream_availability(
        &self,
        caller: Caller,
        actor: &Actor,
        mut requests: Streaming<SetArmAvailabilityRequest>,
    ) -> Result<StreamArmAvailabilityResponse, Status> {
        let draining = self.draining();
        let mut revisions = BTreeMap::new();
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
        let slots = count(revisions.len());
        let revisions = revisions.into_iter().take(SLOTS_STREAMED_MAX).collect();
        Ok(StreamArmAvailabilityResponse { messages: count(messages), arms: count(arms), revisions, slots })
    }

    /// Turns the safe choice of one slot, or of all, on or off: all at once, or none.
    pub(super) async fn safe_choice(
        &self,
        caller: Caller,
        slot: Option<SlotId>,
        on: bool,
        why: ChangeReason,
    ) -> Result<SetSafeChoiceResponse, Status> {
        let (node, change) = (self.node()?, Change::SetSafeChoice(on));
        match &slot {
            Some(slot) => {
                self.view(slot)?;
                caller.may_change(node, slot, &change)?;
            }
            None => caller.may_change_all(node)?,
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
