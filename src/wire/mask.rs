//! Update masks, and updates without one.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use prost_reflect::{DynamicMessage, ReflectMessage as _};
use prost_types::FieldMask;

use super::{decode::FieldResult, decode_slot::SlotDraft, schema};
use crate::{
    engine::ArmDraft,
    slot::{Arm, ArmId, Definition, FieldError, shorten, suggestion},
};

/// Fields of a slot that no change touches.
const FIXED: [&str; 2] = ["slot_id", "revision"];

/// Fields of a slot whose own fields a mask may name.
const OPEN: [&str; 2] = ["goal", "controls"];

/// Returns all paths that a mask may name, for suggestions.
fn allowed_paths() -> Vec<String> {
    let mut paths = vec!["arms.arm_id".to_owned()];
    for field in schema::slot_descriptor().fields().filter(|field| !FIXED.contains(&field.name())) {
        paths.push(field.name().to_owned());
        if let (true, Some(message)) = (OPEN.contains(&field.name()), field.kind().as_message()) {
            paths.extend(message.fields().map(|inner| format!("{}.{}", field.name(), inner.name())));
        }
    }
    paths
}

/// Returns `current` with the draft's values of the fields that the mask names. Without a mask these are all fields
/// except the arms, and except the fields that operations own and the draft leaves unset.
pub(super) fn apply_mask(current: &Definition, draft: &SlotDraft, mask: Option<&FieldMask>) -> FieldResult<Definition> {
    let Some(mask) = mask else { return apply_without_mask(current, draft) };
    let (mut result, wanted) = (schema::settings_of(current), schema::dynamic(&draft.message));
    let mut all_arms = current.arms.clone();
    for path in &mask.paths {
        match path.as_str() {
            "arms" => all_arms = arms(current, draft, false)?,
            "arms.arm_id" => all_arms = arms(current, draft, true)?,
            other => {
                copy_path(&mut result, &wanted, other).ok_or_else(|| unknown_path(other))?;
            }
        }
    }
    Ok(Definition { arms: all_arms, ..schema::definition_of(&result)? })
}

/// Copies a field by its path, or clears it if the source has it unset. Returns `None` if a mask may not name it.
fn copy_path(to: &mut DynamicMessage, from: &DynamicMessage, path: &str) -> Option<()> {
    let Some((parent, child)) = path.split_once('.') else {
        return (!FIXED.contains(&path)).then(|| copy_field(to, from, path))?;
    };
    if !OPEN.contains(&parent) {
        return None;
    }
    let from = from.get_field_by_name(parent)?;
    copy_field(to.get_field_by_name_mut(parent)?.as_message_mut()?, from.as_message()?, child)
}

fn copy_field(to: &mut DynamicMessage, from: &DynamicMessage, name: &str) -> Option<()> {
    let field = from.descriptor().get_field_by_name(name)?;
    if from.has_field(&field) {
        to.set_field(&field, from.get_field(&field).into_owned());
    } else {
        to.clear_field(&field);
    }
    Some(())
}

fn unknown_path(path: &str) -> FieldError {
    let message = format!(
        "'{}' cannot be updated; see UpdateSlotRequest.update_mask for what can{}",
        shorten(path),
        suggestion(path, allowed_paths().iter().map(String::as_str))
    );
    FieldError::new("update_mask", message)
}

fn apply_without_mask(current: &Definition, draft: &SlotDraft) -> FieldResult<Definition> {
    let (mut result, now) = (draft.settings.clone(), &current.controls);
    result.arms.clone_from(&current.arms);
    let controls = &mut result.controls;
    controls.safe_choice = controls.safe_choice.or(now.safe_choice);
    controls.mode = controls.mode.or(now.mode);
    controls.freeze_learning = controls.freeze_learning.or(now.freeze_learning);
    controls.approval = controls.approval.take().or_else(|| now.approval.clone());
    let mut seen = HashSet::new();
    for (i, ArmDraft { arm, .. }) in draft.arms.iter().enumerate() {
        if !seen.insert(&arm.id) {
            let message = format!("'{}' stands in the slot twice", shorten(arm.id.as_str()));
            return Err(FieldError::new(format!("slot.arms[{i}].arm_id"), message));
        }
        arm.check().map_err(|e| e.within(&format!("slot.arms[{i}]")))?;
    }
    if !draft.arms.is_empty() && arms(current, draft, false)? != current.arms {
        let message = "are not those of the slot, and an update without a mask leaves the arms alone; name arms in update_mask, or use UpsertArms and RemoveArms";
        return Err(FieldError::new("slot.arms", message));
    }
    Ok(result)
}

/// Returns the arms of a draft. Availability and schedule that it leaves unset stay as they are. With `by_id`, an arm
/// that is given with nothing but its id stays as it is in every field.
fn arms(current: &Definition, draft: &SlotDraft, by_id: bool) -> FieldResult<Vec<Arc<Arm>>> {
    let known: HashMap<&ArmId, &Arc<Arm>> = current.arms.iter().map(|arm| (&arm.id, arm)).collect();
    let mut arms = Vec::with_capacity(draft.arms.len());
    for (i, (arm, bare)) in draft.arms.iter().zip(&draft.bare).enumerate() {
        let now = known.get(&arm.arm.id).copied();
        match now {
            Some(now) if by_id && *bare => {
                arms.push(Arc::clone(now));
                continue;
            }
            None if by_id && *bare => {
                let message = "is not one of the slot's arms, and nothing but its id is given; set available to add it";
                return Err(FieldError::new(format!("slot.arms[{i}].arm_id"), message));
            }
            _ => {}
        }
        let wanted = arm.clone().onto(now.map(AsRef::as_ref));
        arms.push(now.filter(|now| ***now == wanted).map_or_else(|| Arc::new(wanted.clone()), Arc::clone));
    }
    Ok(arms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::SlotId;

    #[test]
    fn every_suggested_path_is_accepted_and_a_misspelt_one_is_answered_with_a_suggestion() {
        let slot = Definition::new(SlotId::parse("slot_id", "s").unwrap());
        let draft = super::super::decode_slot::draft(Some(super::super::encode_slot::settings(&slot, 0))).unwrap();
        let mask = |path: &str| Some(FieldMask { paths: vec![path.to_owned()] });
        for path in allowed_paths() {
            assert!(apply_mask(&slot, &draft, mask(&path).as_ref()).is_ok(), "{path}");
        }
        for path in ["slot_id", "revision", "model.linear", "controls.", "controls.policy.uniform", "goal.floor"] {
            assert!(apply_mask(&slot, &draft, mask(path).as_ref()).is_err(), "{path}");
        }
        let error = apply_mask(&slot, &draft, mask("controls.polcy").as_ref()).unwrap_err().to_string();
        assert!(error.contains("did you mean 'controls.policy'"), "{error}");
    }
}
