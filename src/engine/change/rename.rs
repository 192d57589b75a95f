//! Planning of another id for a slot.

use super::ChangeError;
use crate::{
    engine::{event::Body, slot_state::SlotState, state::State},
    slot::{ChangeReason, FieldError, SlotId, limits::FORMER_IDS_MAX},
};

/// Returns the event that gives a slot another id.
pub(super) fn plan_rename(state: &State, now: &SlotState, to: SlotId, why: ChangeReason) -> Result<Body, ChangeError> {
    let slot = now.definition().id.clone();
    if slot == to {
        return Err(FieldError::new("new_slot_id", format!("'{to}' is the slot's id already")).into());
    }
    if state.slot(to.as_str()).is_some() {
        return Err(ChangeError::Exists(to));
    }
    if now.former_ids().len() >= FORMER_IDS_MAX {
        let message =
            format!("the slot '{slot}' was renamed {FORMER_IDS_MAX} times, and no slot can be renamed more often");
        return Err(ChangeError::Full(message));
    }
    Ok(Body::SlotRenamed { slot, to, why })
}
