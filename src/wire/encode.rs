//! Encoding of decisions, explanations and requests.

use prost_types::{Duration, Timestamp};

use super::{
    enums::{ApiEnum as _, encode_enum},
    proto,
    slots::page_of,
};
use crate::{
    bandit::{Features, Value},
    engine::{
        ChosenArm, DecisionRecord, Explanation, RecalledExplanation, Request, RequestCandidate, SlotView, Subject,
    },
    node::{Answer, RecalledDecision, payload_to_struct},
    slot::{ArmId, limits::EXPLAINED_MAX},
};

/// Converts a position or a count to the 32 bits of a message. The limits of both are far below.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(crate) fn encode_timestamp(us: i64) -> Timestamp {
    let nanos = i32::try_from(us.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Timestamp { seconds: us.div_euclid(1_000_000), nanos }
}

pub(crate) fn encode_duration(us: i64) -> Duration {
    let nanos = i32::try_from(us % 1_000_000 * 1_000).unwrap_or(0);
    Duration { seconds: us / 1_000_000, nanos }
}

pub(crate) fn encode_features(features: &Features) -> std::collections::HashMap<String, proto::FeatureValue> {
    features.iter().map(|(name, value)| (name.clone(), encode_value(value))).collect()
}

fn encode_value(value: &Value) -> proto::FeatureValue {
    use proto::feature_value::Value as Out;
    let value = match value {
        Value::Number(number) => Out::Number(*number),
        Value::Text(text) => Out::Text(text.clone()),
        Value::Flag(flag) => Out::Flag(*flag),
        Value::Texts(values) => Out::Texts(proto::TextList { values: values.clone() }),
        Value::Vector(values) => Out::Vector(proto::Vector { values: values.clone() }),
    };
    proto::FeatureValue { value: Some(value) }
}

pub(crate) fn answer(answer: Answer) -> proto::DecideResponse {
    let Answer { decided, explanation, view, ignored_candidates } = answer;
    let ignored_candidates = ignored_candidates.iter().map(ArmId::to_string).collect();
    proto::DecideResponse { ignored_candidates, ..decision(&decided, explanation, Some(&view)) }
}

/// Encodes a decision, with the payloads that the slot has now, if it still exists.
pub(crate) fn decision(
    decided: &DecisionRecord,
    explained: Option<Explanation>,
    view: Option<&SlotView>,
) -> proto::DecideResponse {
    proto::DecideResponse {
        decision_id: decided.id.to_string(),
        arms: decided.chosen.iter().enumerate().map(|(i, c)| encode_chosen(i, c, view)).collect(),
        holdout: decided.holdout,
        exploring: decided.exploring(),
        fallback: encode_enum(decided.fallback),
        revision: decided.revision,
        model: decided.model.clone(),
        explanation: explained.map(encode_explanation),
        sticky: decided.sticky.is_some(),
        shadow_arms: decided.shadow_slate.iter().enumerate().map(|(i, c)| encode_chosen(i, c, view)).collect(),
        analysis: decided.analysis,
        ignored_candidates: Vec::new(),
        ignored_features: Vec::new(),
        expire_time: decided.expire_us.map(encode_timestamp),
    }
}

fn encode_chosen(index: usize, chosen: &ChosenArm, view: Option<&SlotView>) -> proto::ChosenArm {
    let payload = view.and_then(|view| view.arm(chosen.arm.as_str())?.payload.as_ref());
    proto::ChosenArm {
        arm_id: chosen.arm.to_string(),
        position: narrow(index + 1),
        propensity: chosen.propensity,
        expected_reward: chosen.expected_reward,
        baseline_position: chosen.baseline_position,
        reason: chosen.reason.number(),
        payload: payload.map(payload_to_struct),
    }
}

fn encode_explanation(explanation: Explanation) -> proto::Explanation {
    let Explanation { summary, mut candidates, matched_rules } = explanation;
    let left_out = candidates.len().saturating_sub(EXPLAINED_MAX);
    if left_out > 0 {
        let mut largest: Vec<f64> = candidates.iter().map(|candidate| candidate.propensity).collect();
        largest.sort_by(|a, b| b.total_cmp(a));
        let least = largest[EXPLAINED_MAX - 1];
        // The first candidates are kept of those that have the least probability that still fits.
        let mut room_for_equal = EXPLAINED_MAX - largest.iter().take_while(|&&propensity| propensity > least).count();
        candidates.retain(|candidate| {
            let is_equal = candidate.propensity.total_cmp(&least).is_eq();
            let kept = candidate.propensity > least || (is_equal && room_for_equal > 0);
            room_for_equal -= usize::from(is_equal && kept);
            kept
        });
    }
    let candidate = |c: crate::engine::CandidateExplanation| proto::CandidateExplanation {
        arm_id: c.arm.to_string(),
        eligible: c.ineligible_because.is_none(),
        ineligible_because: c.ineligible_because.unwrap_or_default(),
        mean: c.mean,
        std: c.std,
        propensity: c.propensity,
        moved_by: c.moved_by.into_iter().map(|(feature, effect)| proto::FeatureEffect { feature, effect }).collect(),
    };
    proto::Explanation {
        summary,
        candidates: candidates.into_iter().map(candidate).collect(),
        matched_rules,
        candidates_left_out: narrow(left_out),
    }
}

/// Encodes the explanation of a past decision.
pub(crate) fn recalled_decision(recalled: RecalledDecision) -> proto::ExplainDecisionResponse {
    let RecalledDecision { decided, at_us, recalled: RecalledExplanation { explanation, revision_kept }, view } =
        recalled;
    let candidate =
        |(arm, own): &(ArmId, Features)| proto::Candidate { arm_id: arm.to_string(), features: encode_features(own) };
    let candidates = page_of(decided.candidates.iter().map(candidate), usize::MAX);
    proto::ExplainDecisionResponse {
        candidates_left_out: narrow(decided.candidates.len() - candidates.len()),
        effects_as_of_now: explanation.candidates.iter().any(|candidate| !candidate.moved_by.is_empty()),
        decision: Some(decision(&decided, Some(explanation), view.as_deref())),
        slot_id: decided.slot.to_string(),
        time: Some(encode_timestamp(at_us)),
        subject: Some(subject(&decided.subject)),
        context: encode_features(&decided.context),
        candidates,
        already_shown_arm_ids: decided.already_shown.iter().map(ArmId::to_string).collect(),
        request_id: decided.request_id.clone().unwrap_or_default(),
        sticky_decision_id: decided.sticky.map(|id| id.to_string()).unwrap_or_default(),
        seed: decided.seed,
        best_expected: decided.best_expected,
        revision_kept,
    }
}

/// Encodes a recent decision, with its subject if the caller may see it.
pub(super) fn recent_decision(at_us: i64, decided: &DecisionRecord, sees_subject: bool) -> proto::RecentDecision {
    proto::RecentDecision {
        decision: Some(decision(decided, None, None)),
        time: Some(encode_timestamp(at_us)),
        context: encode_features(&decided.context),
        subject: sees_subject.then(|| subject(&decided.subject)),
    }
}

/// Encodes a request, for the client.
pub(crate) fn request(request: &Request) -> proto::DecideRequest {
    let candidate =
        |c: &RequestCandidate| proto::Candidate { arm_id: c.arm.to_string(), features: encode_features(&c.features) };
    proto::DecideRequest {
        slot_id: request.slot.to_string(),
        subject: Some(subject(&request.subject)),
        context: encode_features(&request.context),
        candidates: request.candidates.iter().map(candidate).collect(),
        count: request.count,
        request_id: request.request_id.clone().unwrap_or_default(),
        consent: encode_enum(request.consent),
        explain: request.explain,
        deferred: request.deferred,
        baseline_on_overload: false,
    }
}

pub(crate) fn subject(subject: &Subject) -> proto::Subject {
    proto::Subject { id: subject.id.clone(), session_id: subject.session_id.clone() }
}
