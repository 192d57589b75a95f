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
        let (concerned, known) = (slot.design.items_of_filter(changed), &slot.design.arms);
        let taken = || concerned.iter().filter(|(_, taken)| taken.is_some());
        let added = taken().filter(|(id, _)| known.position(id.as_str()).is_none()).count();
        let fresh = taken().filter(|(id, _)| known.learned(id.as_str()).is_none()).count();
        let arms = slot.arms_in_effect().len() + added - (concerned.len() - taken().count());
        let in_slot = |why: &str| FieldError::new("items", format!("slot '{id}' (from_catalogue): {why}"));
        if added > 0 && arms > ARMS_MAX {
            let why = format!(
                "would take {arms} items for its arms, and a slot has at most {ARMS_MAX}; narrow its filter first, or leave items out"
            );
            return Err(in_slot(&why).into());
        }
        check_learned_count(known.names().len(), fresh).map_err(|why| in_slot(&why.message))?;
        if !concerned.is_empty() {
            check_models(slot.learner(), slot.definition(), arms).map_err(|why| in_slot(&why.message))?;
        }
    }
    Ok(())
}
