//! `SlotService.PreviewSlotChange`: the effect of a change that is not made.

use std::sync::Arc;

use tonic::Status;

use super::{
    Api,
    access::CallAccess,
    decode_slot, encode_slot, error, mask,
    proto::{
        ArmPreview, Estimate, PreviewSlotChangeRequest, PreviewSlotChangeResponse, RewardRange, RulePreview,
        SegmentPreview, SegmentShare,
    },
};
use crate::{
    engine::{
        self, BeforeAfter, Change, ChangeError, PREVIEW_DECISIONS_MAX, PreviewArm, PreviewRule, PreviewSegment,
        SlotPreview, SlotView, UnknownReward,
    },
    node::{ChangeFailure, HindsightError},
    slot::{FieldError, SlotId},
};

/// Number of attempts at a preview without a revision, if another change comes between.
const TRIES: usize = 10;
/// Greatest number of arms of a preview.
const ARMS_MAX: usize = 1_000;

/// Returns the arms with the largest shares, in their own order, and the number of arms that are left out.
fn largest_arms(arms: Vec<PreviewArm>) -> (Vec<PreviewArm>, usize) {
    let left_out = arms.len().saturating_sub(ARMS_MAX);
    if left_out == 0 {
        return (arms, 0);
    }
    let share = |arm: &PreviewArm| arm.all.before.value.max(arm.all.after.value);
    let mut order: Vec<usize> = (0..arms.len()).collect();
    order.sort_by(|&a, &b| share(&arms[b]).total_cmp(&share(&arms[a])));
    let kept: std::collections::HashSet<usize> = order.into_iter().take(ARMS_MAX).collect();
    let arms = arms.into_iter().enumerate().filter(|(i, _)| kept.contains(i)).map(|(_, arm)| arm);
    (arms.collect(), left_out)
}

#[expect(clippy::unnecessary_wraps, reason = "the message's fields are options")]
fn estimate(estimate: engine::Estimate) -> Option<Estimate> {
    Some(Estimate { value: estimate.value, standard_error: estimate.standard_error })
}

impl Api {
    /// Previews a change of a slot.
    pub(super) async fn preview_change(
        &self,
        slot: &SlotId,
        change: Change,
        decisions: u32,
    ) -> Result<PreviewSlotChangeResponse, Status> {
        let count = decision_count(decisions)?;
        let previewed = self.node()?.preview(slot.clone(), change, count).await;
        previewed.map(encode_previewed).map_err(error::hindsight)
    }

    pub(super) async fn preview(
        &self,
        access: &CallAccess,
        request: PreviewSlotChangeRequest,
    ) -> Result<PreviewSlotChangeResponse, Status> {
        let PreviewSlotChangeRequest { slot, update_mask, decisions } = request;
        let count = decision_count(decisions)?;
        let mask = update_mask.filter(|mask| !mask.paths.is_empty());
        let draft = decode_slot::draft(slot).map_err(|e| error::field(&e))?;
        let (node, id, revision) = (self.node()?, &draft.settings.id, draft.revision);
        access.check_slot(id)?;
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let current =
                node.slot(id).ok_or_else(|| error::slot_not_found("slot.slot_id", id, &access.near(node, id)))?;
            let definition = mask::apply_mask(&current.definition, &draft, mask.as_ref());
            // A stale revision is a more useful error than what is wrong with the fields.
            let made_of_older = revision != 0 && revision != current.revision;
            let (definition, wrong) = match definition {
                Ok(definition) => (definition, None),
                Err(why) if made_of_older => ((*current.definition).clone(), Some(error::field(&why))),
                Err(why) => return Err(error::field(&why)),
            };
            let from = if revision == 0 { current.revision } else { revision };
            let change = Change::Update { definition, revision: from };
            match node.preview(id.clone(), change, count).await {
                Ok(previewed) => return wrong.map_or_else(|| Ok(encode_previewed(previewed)), Err),
                // Another change came first. The next attempt finds out whether it matters to this caller.
                Err(HindsightError::Change(ChangeFailure::Refused(ChangeError::Stale { current: newest, .. })))
                    if tries > 0 && (revision == 0 || newest != current.revision) => {}
                Err(why) => return Err(error::hindsight(why)),
            }
        }
    }
}

/// Returns the number of past decisions that a request asks for.
fn decision_count(decisions: u32) -> Result<usize, Status> {
    let count = usize::try_from(decisions).unwrap_or(usize::MAX);
    if count > PREVIEW_DECISIONS_MAX {
        let message = format!("is {decisions}; at most {PREVIEW_DECISIONS_MAX} are looked at");
        return Err(error::field(&FieldError::new("decisions", message)));
    }
    Ok(count)
}

/// Encodes a preview with the fields that differ between the slot as it is and as it would be.
fn encode_previewed(
    (preview, before, after): (SlotPreview, Arc<SlotView>, Arc<SlotView>),
) -> PreviewSlotChangeResponse {
    let (diff, diff_left_out) = encode_slot::changed_fields(&before.definition, &after.definition);
    PreviewSlotChangeResponse { diff, diff_left_out, ..encode_preview(preview) }
}

/// Encodes a preview without the changed fields.
fn encode_preview(preview: SlotPreview) -> PreviewSlotChangeResponse {
    let SlotPreview {
        decisions_used,
        decisions_per_day,
        arms,
        expected_reward,
        expected_reward_change,
        unknown,
        exploration_cost_per_1000: cost,
        rules,
        segments,
        warnings,
    } = preview;
    let range = |of: UnknownReward| of.range.map(|(low, high)| RewardRange { low, high });
    let arm = |PreviewArm { arm, all, policy, never_shown }: PreviewArm| ArmPreview {
        never_shown,
        arm_id: arm.to_string(),
        share_before: estimate(all.before),
        share_after: estimate(all.after),
        policy_share_before: estimate(policy.before),
        policy_share_after: estimate(policy.after),
    };
    let rule = |PreviewRule { name, fires, keeps_out }: PreviewRule| {
        let BeforeAfter { before: matched_before, after: matched_after } = fires;
        let BeforeAfter { before: excluded_before, after: excluded_after } = keeps_out;
        RulePreview { name, matched_before, matched_after, excluded_before, excluded_after }
    };
    let share = |(arm, shown): (crate::slot::ArmId, BeforeAfter<f64>)| SegmentShare {
        arm_id: arm.to_string(),
        share_before: shown.before,
        share_after: shown.after,
    };
    let segment =
        |PreviewSegment { feature, value, decisions, expected_reward, expected_reward_change, arms }| SegmentPreview {
            feature,
            value,
            decisions: u32::try_from(decisions).unwrap_or(u32::MAX),
            expected_reward_before: estimate(expected_reward.before),
            expected_reward_after: estimate(expected_reward.after),
            expected_reward_change: estimate(expected_reward_change),
            arms: arms.into_iter().map(share).collect(),
        };
    let (arms, arms_left_out) = largest_arms(arms);
    PreviewSlotChangeResponse {
        arms_left_out: u32::try_from(arms_left_out).unwrap_or(u32::MAX),
        diff_left_out: 0,
        arms: arms.into_iter().map(arm).collect(),
        expected_reward_before: estimate(expected_reward.before),
        expected_reward_after: estimate(expected_reward.after),
        expected_reward_change: estimate(expected_reward_change),
        exploration_cost_per_1000_before: estimate(cost.before),
        exploration_cost_per_1000_after: estimate(cost.after),
        unknown_share_before: unknown.before.share,
        unknown_share_after: unknown.after.share,
        range_before: range(unknown.before),
        range_after: range(unknown.after),
        decisions_per_day,
        rules: rules.into_iter().map(rule).collect(),
        warnings,
        decisions_used: u32::try_from(decisions_used).unwrap_or(u32::MAX),
        diff: Vec::new(),
        segments: segments.into_iter().map(segment).collect(),
    }
}
