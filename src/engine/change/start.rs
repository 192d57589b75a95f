//! Start of a slot from what a slot has learned: another one of the service, or one whose learning came as a file.

use std::sync::Arc;

use super::{ChangeError, arms_of, check_learned, check_models};
use crate::{
    engine::{
        event::Body,
        learning_file::{LearningImport, LearningProvenance},
        slot_state::{LearningSeed, SlotState},
        state::State,
    },
    slot::{Arm, ChangeReason, Definition, FieldError, SlotId, suggestion},
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

fn check_weight(field: &str, weight: f64) -> Result<(), FieldError> {
    if weight > 0.0 && weight <= 1.0 { Ok(()) } else { Err(FieldError::new(field, "must be above 0 and at most 1")) }
}

/// Checks that what was learned means the same in a slot. Errors name `field`, which says where it comes from.
fn check_meaning(
    field: &str,
    source: &LearningProvenance,
    seed: &LearningSeed,
    definition: &Definition,
    arms: &[Arc<Arm>],
) -> Result<(), FieldError> {
    if source.simulated != definition.controls.simulated() {
        let message = "one of the slots is for simulated traffic and the other is not";
        return Err(FieldError::new(field, message));
    }
    if source.pays_rates != definition.goal.within_unit() {
        let message = "one of the goals pays rates and the other values, so that what was learned means something else";
        return Err(FieldError::new(field, message));
    }
    check_learned(seed.arms(), arms)?;
    check_models(seed.learner(), definition, arms.len())
}

/// Checks that a new slot can start from what another has learned.
pub(super) fn check_start(state: &State, definition: &Definition, from: &StartFrom) -> Result<(), ChangeError> {
    check_weight("start_from.weight", from.weight)?;
    let Some((source, seed)) = state.learning_of(&from.slot) else {
        let near = suggestion(from.slot.as_str(), state.slots().map(|(id, _)| id.as_str()));
        return Err(FieldError::new("start_from.slot_id", format!("there is no slot '{}'{near}", from.slot)).into());
    };
    let arms = arms_of(None, state.items(), definition).map_err(|why| why.within("slot"))?;
    Ok(check_meaning("start_from.slot_id", &source, &seed, definition, &arms)?)
}

/// Returns the event that lets a slot start from a file. The slot must have learned nothing from decisions of its own,
/// because those know its arms by indices that the file gives to others.
pub(super) fn plan_learning(now: &SlotState, import: LearningImport) -> Result<Body, ChangeError> {
    check_weight("weight", import.weight)?;
    let decisions = now.decisions.pending.added();
    if decisions > 0 {
        let message = format!(
            "names a slot that has made {decisions} decisions since it began to learn; import into a new slot, or reset this one first"
        );
        return Err(FieldError::new("slot_id", message).into());
    }
    check_meaning("content", import.file.source(), import.file.seed(), now.definition(), now.arms_in_effect())?;
    Ok(Body::LearningImported(Box::new(import)))
}
