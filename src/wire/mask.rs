//! Update masks, and what an update without one leaves alone.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use prost_types::FieldMask;

use super::{decode::Decode, decode_slot::SlotDraft};
use crate::{
    engine::ArmDraft,
    slot::{Arm, ArmId, Definition, FieldError, shorten, suggestion},
};

/// Paths that a mask may name, for suggestions.
const PATHS: [&str; 38] = [
    "display_name",
    "kind",
    "arms",
    "arms.arm_id",
    "open_catalogue",
    "default_arm_id",
    "count",
    "goal",
    "goal.kinds",
    "goal.default_reward",
    "goal.window",
    "goal.learning",
    "goal.click_model",
    "goal.grace_period",
    "goal.reversal_window",
    "goal.aggregation",
    "model",
    "controls",
    "controls.exploration",
    "controls.floor",
    "controls.ceiling",
    "controls.half_life",
    "controls.holdout",
    "controls.freeze_learning",
    "controls.safe_choice",
    "controls.policy",
    "controls.exploration_stop",
    "controls.arm_bounds",
    "controls.warm_up",
    "controls.head_start",
    "controls.mode",
    "controls.baseline",
    "controls.salt",
    "controls.analysis",
    "controls.stickiness",
    "controls.simulated",
    "rules",
    "default_consent",
];

/// Returns `current` with the fields that the mask names taken from the draft; without a mask, with all fields but the
/// arms and those that operations own and the draft leaves unset.
pub(super) fn masked(current: &Definition, draft: &SlotDraft, mask: Option<&FieldMask>) -> Decode<Definition> {
    let wanted = &draft.settings;
    let Some(mask) = mask else { return without_mask(current, draft) };
    let mut result = current.clone();
    for path in &mask.paths {
        match path.as_str() {
            "display_name" => result.display_name.clone_from(&wanted.display_name),
            "kind" => result.kind = wanted.kind,
            "arms" => result.arms = arms(current, draft, false)?,
            "arms.arm_id" => result.arms = arms(current, draft, true)?,
            "open_catalogue" => result.open_catalogue = wanted.open_catalogue,
            "default_arm_id" => result.default_arm.clone_from(&wanted.default_arm),
            "count" => result.count = wanted.count,
            "goal" => result.goal = wanted.goal.clone(),
            "goal.kinds" => result.goal.kinds.clone_from(&wanted.goal.kinds),
            "goal.default_reward" => result.goal.default_reward = wanted.goal.default_reward,
            "goal.window" => result.goal.window_us = wanted.goal.window_us,
            "goal.learning" => result.goal.learning = wanted.goal.learning,
            "goal.click_model" => result.goal.click_model = wanted.goal.click_model,
            "goal.grace_period" => result.goal.grace_period_us = wanted.goal.grace_period_us,
            "goal.reversal_window" => result.goal.reversal_window_us = wanted.goal.reversal_window_us,
            "goal.aggregation" => result.goal.aggregation = wanted.goal.aggregation,
            "model" => result.model = wanted.model,
            "controls" => result.controls = wanted.controls.clone(),
            "controls.exploration" => result.controls.exploration = wanted.controls.exploration,
            "controls.floor" => result.controls.floor = wanted.controls.floor,
            "controls.ceiling" => result.controls.ceiling = wanted.controls.ceiling,
            "controls.half_life" => result.controls.half_life_us = wanted.controls.half_life_us,
            "controls.holdout" => result.controls.holdout = wanted.controls.holdout,
            "controls.freeze_learning" => result.controls.freeze_learning = wanted.controls.freeze_learning,
            "controls.safe_choice" => result.controls.safe_choice = wanted.controls.safe_choice,
            "controls.policy" => result.controls.policy = wanted.controls.policy,
            "controls.exploration_stop" => result.controls.preset = wanted.controls.preset,
            "controls.arm_bounds" => result.controls.arm_bounds.clone_from(&wanted.controls.arm_bounds),
            "controls.warm_up" => result.controls.warm_up = wanted.controls.warm_up,
            "controls.head_start" => result.controls.head_start = wanted.controls.head_start,
            "controls.mode" => result.controls.mode = wanted.controls.mode,
            "controls.baseline" => result.controls.baseline.clone_from(&wanted.controls.baseline),
            "controls.salt" => result.controls.salt.clone_from(&wanted.controls.salt),
            "controls.analysis" => result.controls.analysis = wanted.controls.analysis,
            "controls.stickiness" => result.controls.stickiness = wanted.controls.stickiness,
            "controls.simulated" => result.controls.simulated = wanted.controls.simulated,
            "rules" => result.rules.clone_from(&wanted.rules),
            "default_consent" => result.default_consent = wanted.default_consent,
            other => {
                let message = format!(
                    "'{}' cannot be updated; see UpdateSlotRequest.update_mask for what can{}",
                    shorten(other),
                    suggestion(other, PATHS.into_iter())
                );
                return Err(FieldError::new("update_mask", message));
            }
        }
    }
    Ok(result)
}

fn without_mask(current: &Definition, draft: &SlotDraft) -> Decode<Definition> {
    let (mut result, now) = (draft.settings.clone(), &current.controls);
    result.arms.clone_from(&current.arms);
    let controls = &mut result.controls;
    controls.safe_choice = controls.safe_choice.or(now.safe_choice);
    controls.mode = controls.mode.or(now.mode);
    controls.freeze_learning = controls.freeze_learning.or(now.freeze_learning);
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

/// Returns the arms of a draft; what it does not name stays as it is. With `by_id`, an arm that is given by nothing but
/// its id stays as it is in all.
fn arms(current: &Definition, draft: &SlotDraft, by_id: bool) -> Decode<Vec<Arc<Arm>>> {
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
    fn every_suggested_path_is_taken_and_a_misspelt_one_is_answered_with_it() {
        let slot = Definition::new(SlotId::parse("slot_id", "s").unwrap());
        let draft = SlotDraft { settings: slot.clone(), arms: Vec::new(), bare: Vec::new(), revision: 0 };
        let mask = |path: &str| Some(FieldMask { paths: vec![path.to_owned()] });
        for path in PATHS {
            assert!(masked(&slot, &draft, mask(path).as_ref()).is_ok(), "{path}");
        }
        let error = masked(&slot, &draft, mask("controls.polcy").as_ref()).unwrap_err().to_string();
        assert!(error.contains("did you mean 'controls.policy'"), "{error}");
    }
}
