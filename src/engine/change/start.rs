//! Start of a new slot from what another slot has learned.

use super::{ChangeError, check_learned, check_models};
use crate::{
    engine::{event::Body, state::State},
    slot::{ChangeReason, Definition, FieldError, SlotId, suggestion},
};

/// Slot whose learning a new slot starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct StartFrom {
    /// The slot.
    pub slot: SlotId,
    /// Weight of each of its observations, above 0 and at most 1.
    pub weight: f64,
}

/// Returns the event that follows the creation of a slot that starts from what another has learned.
pub fn plan_start(slot: &SlotId, from: &StartFrom, why: &ChangeReason) -> Body {
    let StartFrom { slot: from, weight } = from.clone();
    Body::LearningCopied { slot: slot.clone(), from, weight, why: why.clone() }
}

/// Checks that a new slot can start from what another has learned.
pub(super) fn check_start(state: &State, definition: &Definition, from: &StartFrom) -> Result<(), ChangeError> {
    if !(from.weight > 0.0 && from.weight <= 1.0) {
        return Err(FieldError::new("start_from.weight", "must be above 0 and at most 1").into());
    }
    let Some(source) = state.slot(from.slot.as_str()) else {
        let near = suggestion(from.slot.as_str(), state.slots().map(|(id, _)| id.as_str()));
        return Err(FieldError::new("start_from.slot_id", format!("there is no slot '{}'{near}", from.slot)).into());
    };
    if source.definition().controls.simulated() != definition.controls.simulated() {
        let message = "one of the slots is for simulated traffic and the other is not";
        return Err(FieldError::new("start_from.slot_id", message).into());
    }
    let pays_alike = source.definition().goal.within_unit() == definition.goal.within_unit();
    if !pays_alike {
        let message = "one of the goals pays rates and the other values, so that what was learned means something else";
        return Err(FieldError::new("start_from.slot_id", message).into());
    }
    check_learned(source, definition)?;
    check_models(source, definition)
}
