//! Update masks.

use prost_types::FieldMask;

use super::decode::Decode;
use crate::slot::{Definition, FieldError, shorten};

/// `current` with the fields that the mask names taken from `wanted`; all of them without a mask.
pub(super) fn masked(current: &Definition, wanted: Definition, mask: Option<&FieldMask>) -> Decode<Definition> {
    let Some(mask) = mask else { return Ok(wanted) };
    let mut result = current.clone();
    for path in &mask.paths {
        match path.as_str() {
            "display_name" => result.display_name.clone_from(&wanted.display_name),
            "kind" => result.kind = wanted.kind,
            "arms" => result.arms.clone_from(&wanted.arms),
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
            "controls.exploration_stop" => result.controls.stop = wanted.controls.stop,
            "controls.arm_shares" => result.controls.arm_shares.clone_from(&wanted.controls.arm_shares),
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
                let message =
                    format!("'{}' cannot be updated; see UpdateSlotRequest.update_mask for what can", shorten(other));
                return Err(FieldError::new("update_mask", message));
            }
        }
    }
    Ok(result)
}
