//! Approval: changes that are refused until a second person approved them.

use super::ChangeError;
use crate::{
    engine::{
        event::Body,
        slot_state::{SlotState, upsert_arms},
        state::State,
    },
    slot::{
        APPROVAL_CHANGE, AVAILABILITY_CHANGE, ChangeReason, DELETE_CHANGE, Definition, FieldError, IMPORT_CHANGE,
        RENAME_CHANGE, RESET_CHANGE, SlotId, changes_between,
    },
};

/// Checks that a change needs no approval, and that who demands approval is known.
pub(in crate::engine) fn check_approval(
    state: &State,
    slot: &SlotId,
    body: &Body,
    why: &ChangeReason,
) -> Result<(), ChangeError> {
    let before = state.slot(slot.as_str()).map(SlotState::definition);
    let demand = before.and_then(|before| before.controls.approval.as_ref());
    let wanted = match body {
        Body::SlotCreated { definition, .. } => definition.controls.approval.as_ref(),
        Body::SlotPatched { patch, .. } => patch.settings.controls.approval.as_ref(),
        Body::SlotUpdated { .. }
        | Body::SlotDeleted { .. }
        | Body::SlotRenamed { .. }
        | Body::ArmsUpserted { .. }
        | Body::ArmsRemoved { .. }
        | Body::AvailabilitySet { .. }
        | Body::SlotReset { .. }
        | Body::ArmReset { .. }
        | Body::LearningCopied { .. }
        | Body::LearningImported(_)
        | Body::SubjectForgotten(_)
        | Body::Draft(_)
        | Body::Imported(_)
        | Body::Decided(_)
        | Body::Deferred(_)
        | Body::Rewarded(_)
        | Body::ItemsChanged(_)
        | Body::Shopper(_) => demand,
    };
    if wanted.is_some() && wanted != demand && why.actor.principal.is_empty() {
        let message = "needs callers that are known, and this call came without a key: nobody could say that a second person approves; create keys first with slotwise keys create";
        return Err(FieldError::new(format!("slot.{APPROVAL_CHANGE}"), message).into());
    }
    let (Some(before), Some(demand)) = (before, demand) else { return Ok(()) };
    let names = change_names(before, body);
    let changes: Vec<String> = demand.demanded(&names).into_iter().map(str::to_owned).collect();
    if changes.iter().any(|change| change == IMPORT_CHANGE) {
        return Err(ChangeError::ImportNeedsApproval(slot.clone()));
    }
    if changes.is_empty() { Ok(()) } else { Err(ChangeError::NeedsApproval { slot: slot.clone(), changes }) }
}

/// Returns the names of the changes that an event makes of a definition.
pub(in crate::engine) fn change_names(before: &Definition, body: &Body) -> Vec<&'static str> {
    match body {
        Body::SlotPatched { patch, .. } => changes_between(before, &patch.apply(before)),
        Body::SlotUpdated { definition, .. } => changes_between(before, definition),
        Body::ArmsUpserted { arms, .. } => {
            let mut after = before.clone();
            upsert_arms(&mut after.arms, arms);
            changes_between(before, &after)
        }
        Body::ArmsRemoved { .. } => vec!["arms"],
        Body::AvailabilitySet { .. } => vec![AVAILABILITY_CHANGE],
        Body::SlotReset { .. } | Body::ArmReset { .. } => vec![RESET_CHANGE],
        Body::SlotDeleted { .. } => vec![DELETE_CHANGE],
        Body::SlotRenamed { .. } => vec![RENAME_CHANGE],
        Body::LearningImported(_) | Body::Imported(_) => vec![IMPORT_CHANGE],
        Body::SlotCreated { .. }
        | Body::LearningCopied { .. }
        | Body::SubjectForgotten(_)
        | Body::Draft(_)
        | Body::Decided(_)
        | Body::Deferred(_)
        | Body::Rewarded(_)
        | Body::ItemsChanged(_)
        | Body::Shopper(_) => Vec::new(),
    }
}
