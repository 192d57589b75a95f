//! Items of the catalogue that a slot takes for its arms, and the limits on them.

use std::{borrow::Cow, sync::Arc};

use super::{ChangeError, check_learned_count, check_models};
use crate::{
    engine::{
        items::{ChangedItem, ItemTable},
        slot_state::SlotState,
        state::State,
    },
    slot::{Arm, Definition, FieldError, ItemFilter, limits::ARMS_MAX},
};

/// Returns the arms that a slot of this definition has beside these items. `now` is the slot as it is, if there is one, whose
/// arms are returned if its filter is the same.
pub(super) fn arms_of<'a>(
    now: Option<&'a SlotState>,
    items: &ItemTable,
    wanted: &'a Definition,
) -> Result<Cow<'a, [Arc<Arm>]>, FieldError> {
    if !wanted.takes_items() {
        return Ok(Cow::Borrowed(&wanted.arms));
    }
    if let Some(now) = now.filter(|now| now.definition().from_catalogue == wanted.from_catalogue) {
        return Ok(Cow::Borrowed(now.arms_in_effect()));
    }
    let filter = ItemFilter::parse("from_catalogue", &wanted.from_catalogue)?;
    Ok(Cow::Owned(items.taken_by(&filter).collect()))
}

/// Checks the items that a slot takes for its arms. Items may have raised the sum of its floors above 1 before; then a change
/// that does not raise it further is accepted.
pub(super) fn check_items_taken(
    now: Option<&SlotState>,
    wanted: &Definition,
    arms: &[Arc<Arm>],
) -> Result<(), FieldError> {
    if !wanted.takes_items() {
        return Ok(());
    }
    if arms.len() > ARMS_MAX {
        let message = format!(
            "takes {} items of the catalogue, and a slot has at most {ARMS_MAX} arms; narrow the filter",
            arms.len()
        );
        return Err(FieldError::new("from_catalogue", message));
    }
    let sum = wanted.floors_sum(arms);
    let before = now.map_or(0.0, |now| now.definition().floors_sum(now.arms_in_effect()));
    if sum > 1.0 && sum <= before { Ok(()) } else { wanted.check_floors(arms) }
}

/// Checks that arms of a slot may be changed by the slot itself. The error names `call`, which changes items.
pub(super) fn check_own_arms(slot: &Definition, field: &str, call: &str) -> Result<(), FieldError> {
    if !slot.takes_items() {
        return Ok(());
    }
    let message = format!(
        "the slot '{}' takes its arms from the item catalogue (from_catalogue); call {call}, which holds for every slot",
        slot.id
    );
    Err(FieldError::new(field, message))
}

/// Checks the limits of every slot that takes arms from the catalogue, after a change of items. A slot that gains no arm by
/// it is within them.
pub(in crate::engine) fn check_slots(state: &State, changed: &[ChangedItem]) -> Result<(), ChangeError> {
    for (id, slot) in state.slots() {
        let Some(arms) = slot.design.arms_after(changed) else { continue };
        let in_slot = |why: &str| FieldError::new("items", format!("slot '{id}' (from_catalogue): {why}"));
        if arms.len() > ARMS_MAX && arms.len() > slot.arms_in_effect().len() {
            let why = format!(
                "would take {} items for its arms, and a slot has at most {ARMS_MAX}; narrow its filter first, or leave items out",
                arms.len()
            );
            return Err(in_slot(&why).into());
        }
        let known = &slot.design.arms;
        let fresh = arms.iter().filter(|arm| known.learned(arm.id.as_str()).is_none()).count();
        check_learned_count(known.names().len(), fresh).map_err(|why| in_slot(&why.message))?;
        check_models(slot.learner(), slot.definition(), arms.len()).map_err(|why| in_slot(&why.message))?;
    }
    Ok(())
}
