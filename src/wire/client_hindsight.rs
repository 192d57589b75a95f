//! Previews and explanations from the other side.

use super::{
    Client, ClientError,
    client_changes::difference,
    decode,
    difference::Difference,
    proto::{self, ExplainDecisionRequest, PreviewSlotChangeRequest},
};
use crate::{
    bandit::Features,
    engine::{BeforeAfter, CandidateExplanation, Estimate, Preview, PreviewArm, PreviewRule, Subject},
    slot::{ArmId, Definition, FieldError},
};

/// What a change would do, as a client gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientPreview {
    /// What it would do.
    pub preview: Preview,
    /// What it changes.
    pub differences: Vec<Difference>,
    /// How many more fields it changes.
    pub differences_left_out: u32,
    /// How many arms are left out of the preview: those with the smallest shares.
    pub arms_left_out: u32,
}

/// How a decision came about, as a client gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientExplanation {
    /// Its id.
    pub id: String,
    /// The slot.
    pub slot: String,
    /// When it was taken into the journal, microseconds since 1970.
    pub at_us: i64,
    /// Whom it was for.
    pub subject: Subject,
    /// The request's features.
    pub context: Features,
    /// The request's own id, or empty.
    pub request_id: String,
    /// The revision that decided.
    pub revision: u64,
    /// The model that decided.
    pub model: String,
    /// In plain words.
    pub summary: String,
    /// What was shown, best position first: each with its propensity, its expected reward, and why it stands there.
    pub shown: Vec<ClientShown>,
    /// What the policy would have chosen, where the slot only watched.
    pub would: Vec<ClientShown>,
    /// The candidates.
    pub candidates: Vec<CandidateExplanation>,
    /// The rules that had an effect.
    pub rules: Vec<String>,
    /// The subject is in the holdout.
    pub holdout: bool,
    /// Nothing was learned of it.
    pub analysis: bool,
    /// The decision that it repeats, or empty.
    pub sticky: String,
    /// Why the model did not decide; empty: it did.
    pub fallback: String,
    /// The seed of the draw.
    pub seed: u64,
    /// What moved the means is known, as of now.
    pub effects: bool,
}

/// An arm that was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientShown {
    /// The arm.
    pub arm: String,
    /// The probability it was drawn with, given those above.
    pub propensity: f64,
    /// The expected reward.
    pub expected_reward: f64,
    /// Why it stands there, by its name in the contract without the prefix: `best_guess`.
    pub reason: String,
}

impl Client {
    /// What would come of making of a slot, which is now `current`, what is `wanted`, by its last `decisions` decisions
    /// (0 for as many as it looks at). From this revision; 0: from whichever it is at.
    pub async fn preview_slot(
        &mut self,
        current: &Definition,
        wanted: &Definition,
        revision: u64,
        decisions: u32,
    ) -> Result<ClientPreview, ClientError> {
        let (slot, mask) = difference(current, wanted, revision);
        let request = PreviewSlotChangeRequest { slot: Some(slot), update_mask: Some(mask), decisions };
        let response = self.slots.preview_slot_change(request).await?.into_inner();
        preview(response).map_err(|why| ClientError::Answer(why.to_string()))
    }

    /// How a decision came about.
    pub async fn explain_decision(&mut self, decision: &str) -> Result<ClientExplanation, ClientError> {
        let request = ExplainDecisionRequest { decision_id: decision.to_owned(), slot_id: String::new() };
        let response = self.insight.explain_decision(request).await?.into_inner();
        explanation(response).map_err(|why| ClientError::Answer(why.to_string()))
    }
}

fn estimate(estimate: Option<proto::Estimate>) -> Estimate {
    let proto::Estimate { value, standard_error } = estimate.unwrap_or_default();
    Estimate { value, standard_error }
}

fn pair(before: Option<proto::Estimate>, after: Option<proto::Estimate>) -> BeforeAfter<Estimate> {
    BeforeAfter { before: estimate(before), after: estimate(after) }
}

fn preview(response: proto::PreviewSlotChangeResponse) -> Result<ClientPreview, FieldError> {
    let proto::PreviewSlotChangeResponse {
        arms,
        expected_reward_before,
        expected_reward_after,
        expected_reward_change,
        exploration_cost_per_day_before,
        exploration_cost_per_day_after,
        decisions_per_day,
        rules,
        warnings,
        decisions_used,
        diff,
        diff_left_out,
        arms_left_out,
    } = response;
    let arm = |arm: proto::ArmPreview| {
        let proto::ArmPreview { arm_id, share_before, share_after, policy_share_before, policy_share_after } = arm;
        Ok(PreviewArm {
            arm: ArmId::parse("arms.arm_id", &arm_id)?,
            all: pair(share_before, share_after),
            policy: pair(policy_share_before, policy_share_after),
        })
    };
    let rule = |rule: proto::RulePreview| {
        let proto::RulePreview { name, fires_before, fires_after, keeps_out_before, keeps_out_after } = rule;
        let fires = BeforeAfter { before: fires_before, after: fires_after };
        PreviewRule { name, fires, keeps_out: BeforeAfter { before: keeps_out_before, after: keeps_out_after } }
    };
    let field = |proto::FieldChange { path, before, after }| Difference { path, before, after };
    let preview = Preview {
        decisions_used: u64::from(decisions_used),
        decisions_per_day,
        arms: arms.into_iter().map(arm).collect::<Result<_, FieldError>>()?,
        expected_reward: pair(expected_reward_before, expected_reward_after),
        expected_reward_change: estimate(expected_reward_change),
        exploration_cost_per_day: pair(exploration_cost_per_day_before, exploration_cost_per_day_after),
        rules: rules.into_iter().map(rule).collect(),
        warnings,
    };
    let differences = diff.into_iter().map(field).collect();
    Ok(ClientPreview { preview, differences, differences_left_out: diff_left_out, arms_left_out })
}

/// A word of the contract without its prefix, in small letters.
fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

/// What was known of a candidate.
pub(super) fn candidate(candidate: proto::CandidateExplanation) -> Result<CandidateExplanation, FieldError> {
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

fn explanation(response: proto::ExplainDecisionResponse) -> Result<ClientExplanation, FieldError> {
    let proto::ExplainDecisionResponse {
        decision,
        slot_id,
        time,
        subject,
        context,
        candidates: _,
        taken_arm_ids: _,
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
        | proto::Fallback::Deadline) => word(other.as_str_name(), "FALLBACK_"),
    };
    let shown = |arm: &proto::ChosenArm| ClientShown {
        arm: arm.arm_id.clone(),
        propensity: arm.propensity,
        expected_reward: arm.expected_reward,
        reason: word(arm.reason().as_str_name(), "REASON_"),
    };
    let how = decision.explanation.clone().unwrap_or_default();
    let proto::Subject { id, session_id } = subject.unwrap_or_default();
    Ok(ClientExplanation {
        slot: slot_id,
        at_us: decode::timestamp("time", time.unwrap_or_default())?,
        subject: Subject { id, session_id },
        context: decode::features("context", context)?,
        request_id,
        revision: decision.revision,
        shown: decision.arms.iter().map(shown).collect(),
        would: decision.would.iter().map(shown).collect(),
        candidates: how.candidates.into_iter().map(candidate).collect::<Result<_, _>>()?,
        rules: how.rules_fired,
        summary: how.summary,
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
