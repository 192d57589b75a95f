//! `SlotService.PreviewSlotChange`: from a draft to a change that is not made, and what it would do.

use tonic::Status;

use super::{
    Api, decode_slot,
    difference::differences,
    encode_slot, error, mask,
    proto::{ArmPreview, Estimate, PreviewSlotChangeRequest, PreviewSlotChangeResponse, RulePreview},
};
use crate::{
    engine::{self, BeforeAfter, Change, ChangeError, PREVIEW_DECISIONS_MAX, Preview, PreviewArm, PreviewRule},
    node::{ChangeFailure, HindsightError},
    slot::FieldError,
};

/// How often a preview without a revision is tried again when a change came between.
const TRIES: usize = 10;

#[expect(clippy::unnecessary_wraps, reason = "as the message's fields have it")]
fn estimate(estimate: engine::Estimate) -> Option<Estimate> {
    Some(Estimate { value: estimate.value, standard_error: estimate.standard_error })
}

impl Api {
    pub(super) async fn preview(&self, request: PreviewSlotChangeRequest) -> Result<PreviewSlotChangeResponse, Status> {
        let PreviewSlotChangeRequest { slot, update_mask, decisions } = request;
        let count = usize::try_from(decisions).unwrap_or(usize::MAX);
        if count > PREVIEW_DECISIONS_MAX {
            let message = format!("is {decisions}; at most {PREVIEW_DECISIONS_MAX} are looked at");
            return Err(error::field(&FieldError::new("decisions", message)));
        }
        let mask = update_mask.filter(|mask| !mask.paths.is_empty());
        let read = if mask.is_some() { decode_slot::part_of_slot } else { decode_slot::slot };
        let (wanted, revision) = read(slot).map_err(|e| error::field(&e))?;
        let node = self.node()?;
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let current = node
                .slot(&wanted.id)
                .ok_or_else(|| error::slot_not_found("slot.slot_id", &wanted.id, &node.suggest(wanted.id.as_str())))?;
            let definition =
                mask::masked(&current.definition, wanted.clone(), mask.as_ref()).map_err(|e| error::field(&e))?;
            let from = if revision == 0 && mask.is_some() { current.revision } else { revision };
            let change = Change::Update { definition, revision: from };
            match node.preview(wanted.id.clone(), change, count).await {
                Ok((preview, before, after)) => {
                    let found = differences(&before.definition, &after.definition);
                    let diff = found.into_iter().map(encode_slot::difference).collect();
                    return Ok(PreviewSlotChangeResponse { diff, ..encoded(preview) });
                }
                // Somebody else was quicker, and this caller does not care from what it starts.
                Err(HindsightError::Change(ChangeFailure::Refused(ChangeError::Stale { .. })))
                    if revision == 0 && tries > 0 => {}
                Err(why) => return Err(error::hindsight(why)),
            }
        }
    }
}

/// All but the difference.
fn encoded(preview: Preview) -> PreviewSlotChangeResponse {
    let Preview {
        decisions_used,
        decisions_per_day,
        arms,
        expected_reward,
        expected_reward_change,
        exploration_cost_per_day: cost,
        rules,
        warnings,
    } = preview;
    let arm = |PreviewArm { arm, all, policy }: PreviewArm| ArmPreview {
        arm_id: arm.to_string(),
        share_before: estimate(all.before),
        share_after: estimate(all.after),
        policy_share_before: estimate(policy.before),
        policy_share_after: estimate(policy.after),
    };
    let rule = |PreviewRule { name, fires, keeps_out }: PreviewRule| {
        let BeforeAfter { before: keeps_out_before, after: keeps_out_after } = keeps_out;
        RulePreview { name, fires_before: fires.before, fires_after: fires.after, keeps_out_before, keeps_out_after }
    };
    PreviewSlotChangeResponse {
        arms: arms.into_iter().map(arm).collect(),
        expected_reward_before: estimate(expected_reward.before),
        expected_reward_after: estimate(expected_reward.after),
        expected_reward_change: estimate(expected_reward_change),
        exploration_cost_per_day_before: estimate(cost.before),
        exploration_cost_per_day_after: estimate(cost.after),
        decisions_per_day,
        rules: rules.into_iter().map(rule).collect(),
        warnings,
        decisions_used: u32::try_from(decisions_used).unwrap_or(u32::MAX),
        diff: Vec::new(),
    }
}
