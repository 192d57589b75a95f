//! Reports, previews and explanations.

use super::{changes::update_from, connection::Client, error::ClientError};
use crate::{
    bandit::Features,
    engine::{
        BeforeAfter, CandidateExplanation, Estimate, PreviewArm, PreviewRule, PreviewSegment, SlotPreview, SlotReport,
        Subject, UnknownReward,
    },
    slot::{ArmId, Definition, FieldError},
    wire::{
        FieldDifference, decode,
        proto::{self, ExplainDecisionRequest, PreviewSlotChangeRequest},
    },
};

/// Preview of a change of a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangePreview {
    /// Effect of the change.
    pub preview: SlotPreview,
    /// Changed fields.
    pub differences: Vec<FieldDifference>,
    /// Number of changed fields that `differences` leaves out.
    pub differences_left_out: u32,
    /// Number of arms that the preview leaves out: those with the smallest shares.
    pub arms_left_out: u32,
}

/// Explanation of a past decision.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionExplanation {
    /// Id of the decision.
    pub id: String,
    /// Slot of the decision.
    pub slot: String,
    /// Time at which the journal took the decision, microseconds since 1970.
    pub at_us: i64,
    /// Subject of the decision, or `None` if the key does not show it.
    pub subject: Option<Subject>,
    /// Features of the request.
    pub context: Features,
    /// Caller's id of the request, or empty.
    pub request_id: String,
    /// Revision that decided.
    pub revision: u64,
    /// Name of the model that decided.
    pub model: String,
    /// Summary in plain words.
    pub summary: String,
    /// Arms that were shown, best position first.
    pub shown: Vec<ExplainedArm>,
    /// Arms that the policy would have chosen, in shadow mode.
    pub shadow: Vec<ExplainedArm>,
    /// Candidates, each with its score.
    pub candidates: Vec<CandidateExplanation>,
    /// Names of the rules that had an effect.
    pub rules: Vec<String>,
    /// `true` if the subject is in the holdout.
    pub holdout: bool,
    /// `true` if the subject is in the analysis slice, so that nothing was learned.
    pub analysis: bool,
    /// Id of the decision that this one repeats, or empty.
    pub sticky: String,
    /// Reason why the model did not decide, such as `safe_choice`; empty if it did.
    pub fallback: String,
    /// Seed of the draw.
    pub seed: u64,
    /// `true` if the candidates' effects of features are given. They are those of now.
    pub effects: bool,
}

/// Arm of an explained decision.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedArm {
    /// Id of the arm.
    pub arm: String,
    /// Probability with which the arm was drawn, given the arms above it.
    pub propensity: f64,
    /// Expected reward.
    pub expected_reward: f64,
    /// Reason why the arm stands there, in the API's words without their prefix, such as `best_guess`.
    pub reason: String,
}

impl Client {
    /// Reads the report of a slot.
    pub async fn report(&mut self, slot: &str) -> Result<SlotReport, ClientError> {
        Ok(self.period_report(slot, None).await?.report)
    }

    /// Previews the change of a slot from `current` to `wanted` on its last `decisions` decisions; 0 means as many as the
    /// service looks at. The preview is refused if the slot is not at `revision`; 0 skips this check.
    pub async fn preview_slot(
        &mut self,
        current: &Definition,
        wanted: &Definition,
        revision: u64,
        decisions: u32,
    ) -> Result<ChangePreview, ClientError> {
        let (slot, mask) = update_from(current, wanted, revision);
        let request = PreviewSlotChangeRequest { slot: Some(slot), update_mask: Some(mask), decisions };
        let response = self.slots.preview_slot_change(request).await?.into_inner();
        decode_preview(response).map_err(|why| ClientError::Answer(why.to_string()))
    }

    /// Explains a past decision.
    pub async fn explain_decision(&mut self, decision: &str) -> Result<DecisionExplanation, ClientError> {
        let request = ExplainDecisionRequest { decision_id: decision.to_owned(), slot_id: String::new() };
        let response = self.insight.explain_decision(request).await?.into_inner();
        decode_explanation(response).map_err(|why| ClientError::Answer(why.to_string()))
    }
}

fn estimate(estimate: Option<proto::Estimate>) -> Estimate {
    let proto::Estimate { value, standard_error } = estimate.unwrap_or_default();
    Estimate { value, standard_error }
}

fn pair(before: Option<proto::Estimate>, after: Option<proto::Estimate>) -> BeforeAfter<Estimate> {
    BeforeAfter { before: estimate(before), after: estimate(after) }
}

fn decode_segment(segment: proto::SegmentPreview) -> Result<PreviewSegment, FieldError> {
    let proto::SegmentPreview {
        feature,
        value,
        decisions,
        expected_reward_before,
        expected_reward_after,
        expected_reward_change,
        arms,
    } = segment;
    let share = |proto::SegmentShare { arm_id, share_before, share_after }| {
        let shown = BeforeAfter { before: share_before, after: share_after };
        Ok((ArmId::parse("segments.arms.arm_id", &arm_id)?, shown))
    };
    Ok(PreviewSegment {
        feature,
        value,
        decisions: decisions.into(),
        expected_reward: pair(expected_reward_before, expected_reward_after),
        expected_reward_change: estimate(expected_reward_change),
        arms: arms.into_iter().map(share).collect::<Result<_, FieldError>>()?,
    })
}

pub(super) fn decode_preview(response: proto::PreviewSlotChangeResponse) -> Result<ChangePreview, FieldError> {
    let proto::PreviewSlotChangeResponse {
        arms,
        expected_reward_before,
        expected_reward_after,
        expected_reward_change,
        exploration_cost_per_1000_before,
        exploration_cost_per_1000_after,
        decisions_per_day,
        rules,
        warnings,
        decisions_used,
        diff,
        diff_left_out,
        arms_left_out,
        unknown_share_before,
        unknown_share_after,
        range_before,
        range_after,
        segments,
    } = response;
    let unknown = |share: f64, range: Option<proto::RewardRange>| UnknownReward {
        share,
        range: range.map(|range| (range.low, range.high)),
    };
    let arm = |arm: proto::ArmPreview| {
        let proto::ArmPreview {
            arm_id,
            share_before,
            share_after,
            policy_share_before,
            policy_share_after,
            never_shown,
        } = arm;
        Ok(PreviewArm {
            arm: ArmId::parse("arms.arm_id", &arm_id)?,
            all: pair(share_before, share_after),
            policy: pair(policy_share_before, policy_share_after),
            never_shown,
        })
    };
    let rule = |rule: proto::RulePreview| {
        let proto::RulePreview { name, matched_before, matched_after, excluded_before, excluded_after } = rule;
        let fires = BeforeAfter { before: matched_before, after: matched_after };
        PreviewRule { name, fires, keeps_out: BeforeAfter { before: excluded_before, after: excluded_after } }
    };
    let field = |proto::FieldChange { path, before, after }| FieldDifference { path, before, after };
    let preview = SlotPreview {
        decisions_used: u64::from(decisions_used),
        decisions_per_day,
        arms: arms.into_iter().map(arm).collect::<Result<_, FieldError>>()?,
        expected_reward: pair(expected_reward_before, expected_reward_after),
        expected_reward_change: estimate(expected_reward_change),
        unknown: BeforeAfter {
            before: unknown(unknown_share_before, range_before),
            after: unknown(unknown_share_after, range_after),
        },
        exploration_cost_per_1000: pair(exploration_cost_per_1000_before, exploration_cost_per_1000_after),
        rules: rules.into_iter().map(rule).collect(),
        segments: segments.into_iter().map(decode_segment).collect::<Result<_, FieldError>>()?,
        warnings,
    };
    let differences = diff.into_iter().map(field).collect();
    Ok(ChangePreview { preview, differences, differences_left_out: diff_left_out, arms_left_out })
}

/// Returns a value's name in the API without its prefix, in small letters.
fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

/// Decodes the explanation of a candidate.
pub(super) fn decode_candidate(candidate: proto::CandidateExplanation) -> Result<CandidateExplanation, FieldError> {
    let proto::CandidateExplanation { arm_id, eligible, ineligible_because, mean, std, propensity, moved_by } =
        candidate;
    Ok(CandidateExplanation {
        arm: ArmId::parse("candidates.arm_id", &arm_id)?,
        ineligible_because: (!eligible).then_some(ineligible_because),
        mean,
        std,
        propensity,
        moved_by: moved_by.into_iter().map(|effect| (effect.feature, effect.effect)).collect(),
    })
}

fn decode_explanation(response: proto::ExplainDecisionResponse) -> Result<DecisionExplanation, FieldError> {
    let proto::ExplainDecisionResponse {
        decision,
        slot_id,
        time,
        subject,
        context,
        candidates: _,
        already_shown_arm_ids: _,
        request_id,
        sticky_decision_id,
        seed,
        best_expected: _,
        revision_kept: _,
        effects_as_of_now,
        candidates_left_out: _,
    } = response;
    let decision = decision.unwrap_or_default();
    let fallback = match decision.fallback() {
        proto::Fallback::Unspecified => String::new(),
        other @ (proto::Fallback::NoEligibleArm
        | proto::Fallback::SafeChoice
        | proto::Fallback::Model
        | proto::Fallback::Deadline
        | proto::Fallback::Overload) => word(other.as_str_name(), "FALLBACK_"),
    };
    let shown = |arm: &proto::ChosenArm| ExplainedArm {
        arm: arm.arm_id.clone(),
        propensity: arm.propensity,
        expected_reward: arm.expected_reward,
        reason: word(arm.reason().as_str_name(), "REASON_"),
    };
    let explanation = decision.explanation.clone().unwrap_or_default();
    Ok(DecisionExplanation {
        slot: slot_id,
        at_us: decode::decode_timestamp("time", time.unwrap_or_default())?,
        subject: subject.map(|proto::Subject { id, session_id }| Subject { id, session_id }),
        context: decode::decode_features("context", context)?,
        request_id,
        revision: decision.revision,
        shown: decision.arms.iter().map(shown).collect(),
        shadow: decision.shadow_arms.iter().map(shown).collect(),
        candidates: explanation.candidates.into_iter().map(decode_candidate).collect::<Result<_, _>>()?,
        rules: explanation.matched_rules,
        summary: explanation.summary,
        holdout: decision.holdout,
        analysis: decision.analysis,
        sticky: sticky_decision_id,
        fallback,
        seed,
        effects: effects_as_of_now,
        id: decision.decision_id,
        model: decision.model,
    })
}
