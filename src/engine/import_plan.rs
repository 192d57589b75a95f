//! Planning of an import: from a part of it to an event, or to the reason why it cannot be.

use super::{
    change::{ChangeError, check_approval},
    event::Body,
    imported::{ImportProgress, ImportedPart},
    state::State,
};
use crate::slot::{
    FieldError,
    limits::{IMPORT_PART_MAX, LEARNED_ARMS_MAX},
    shorten, suggestion,
};

/// Returns the event that learns a part of an import at a time, or `None` if the slot has learned it before.
pub fn plan_import(state: &State, now_us: i64, part: ImportedPart) -> Result<Option<Body>, ChangeError> {
    part.why.check()?;
    let Some(now) = state.slot(part.slot.as_str()) else {
        let suggestion = suggestion(part.slot.as_str(), state.slots().map(|(id, _)| id.as_str()));
        return Err(ChangeError::NotFound { slot: part.slot, suggestion });
    };
    let fail = |field: String, message: String| Err(FieldError::new(field, message).into());
    let learned = now.imports.progress(&part.import_id).map_or(0, |progress| progress.parts);
    if part.part == 0 || part.part > learned + 1 {
        let message =
            format!("is {}; the slot has learned {learned} parts of this import: send {} next", part.part, learned + 1);
        return fail("part".into(), message);
    }
    if part.part <= learned {
        return Ok(None);
    }
    if part.observations.is_empty() || part.observations.len() > IMPORT_PART_MAX {
        let message = format!("has {} entries; 1 to {IMPORT_PART_MAX} are allowed", part.observations.len());
        return fail("observations".into(), message);
    }
    let definition = now.definition();
    if definition.controls.freeze_learning() {
        let message =
            "names a slot whose learning is frozen (controls.freeze_learning), so that it would learn nothing";
        return fail("slot_id".into(), message.into());
    }
    let mut unknown = std::collections::BTreeSet::new();
    for (i, observation) in part.observations.iter().enumerate() {
        if observation.at_us > now_us {
            return fail(format!("observations[{i}].time"), "is in the future, and an import is of the past".into());
        }
        if now.design.arms.learned(observation.arm.as_str()).is_none() {
            unknown.insert(observation.arm.as_str());
        }
        if !definition.open_catalogue && now.design.arms.position(observation.arm.as_str()).is_none() {
            let arm = observation.arm.as_str();
            let near = suggestion(arm, now.arms_in_effect().iter().map(|arm| arm.id.as_str()));
            let message = format!("the slot '{}' has no arm '{}'{near}; add it first", definition.id, shorten(arm));
            return fail(format!("observations[{i}].arm_id"), message);
        }
    }
    if now.design.arms.names().len() + unknown.len() > LEARNED_ARMS_MAX {
        let message = format!("would make more than {LEARNED_ARMS_MAX} arms that the slot has ever learned of");
        return fail("observations".into(), message);
    }
    let (slot, why) = (part.slot.clone(), part.why.clone());
    let body = Body::Imported(Box::new(part));
    check_approval(state, &slot, &body, &why)?;
    Ok(Some(body))
}

impl State {
    /// Progress of an import into a slot, or `None` before its first part.
    pub fn import_progress(&self, slot: &str, import_id: &str) -> Option<&ImportProgress> {
        self.slot(slot)?.imports.progress(import_id)
    }
}
