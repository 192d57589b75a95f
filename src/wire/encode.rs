//! From the domain to messages.

use prost_types::{Duration, Timestamp};

use super::{proto, slots::page_of};
use crate::{
    bandit::{Features, Value},
    engine::{Chosen, Decided, Explanation, Fallback, Reason, Recalled, Request, RequestCandidate, SlotView, Subject},
    node::{Answer, RecalledDecision, payload_to_struct},
    slot::{ArmId, Consent},
};

/// Positions and counts in messages are 32 bits wide; their limits are far below.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn timestamp(us: i64) -> Timestamp {
    let nanos = i32::try_from(us.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Timestamp { seconds: us.div_euclid(1_000_000), nanos }
}

pub(super) fn duration(us: i64) -> Duration {
    let nanos = i32::try_from(us % 1_000_000 * 1_000).unwrap_or(0);
    Duration { seconds: us / 1_000_000, nanos }
}

pub(super) fn features(features: &Features) -> std::collections::HashMap<String, proto::FeatureValue> {
    features.iter().map(|(name, v)| (name.clone(), value(v))).collect()
}

fn value(value: &Value) -> proto::FeatureValue {
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

pub(super) fn answer(answer: Answer) -> proto::DecideResponse {
    let Answer { decided, explanation, view, ignored_candidates } = answer;
    let ignored_candidates = ignored_candidates.iter().map(ArmId::to_string).collect();
    proto::DecideResponse { ignored_candidates, ..decision(&decided, explanation, Some(&view)) }
}

/// A decision, with the payloads of the slot as it is where it still is.
pub(super) fn decision(decided: &Decided, how: Option<Explanation>, view: Option<&SlotView>) -> proto::DecideResponse {
    proto::DecideResponse {
        decision_id: decided.id.to_string(),
        arms: decided.chosen.iter().enumerate().map(|(i, c)| chosen(i, c, view)).collect(),
        holdout: decided.holdout,
        exploring: decided.exploring(),
        fallback: match decided.fallback {
            None => proto::Fallback::Unspecified,
            Some(Fallback::NoEligibleArm) => proto::Fallback::NoEligibleArm,
            Some(Fallback::SafeChoice) => proto::Fallback::SafeChoice,
            Some(Fallback::Model) => proto::Fallback::Model,
            Some(Fallback::Deadline) => proto::Fallback::Deadline,
        }
        .into(),
        revision: decided.revision,
        model: decided.model.clone(),
        explanation: how.map(explanation),
        sticky: decided.sticky.is_some(),
        would: decided.would.iter().enumerate().map(|(i, c)| chosen(i, c, view)).collect(),
        analysis: decided.analysis,
        ignored_candidates: Vec::new(),
        ignored_features: Vec::new(),
    }
}

fn chosen(index: usize, chosen: &Chosen, view: Option<&SlotView>) -> proto::ChosenArm {
    let payload = view.and_then(|view| view.arm(chosen.arm.as_str())?.payload.as_ref());
    proto::ChosenArm {
        arm_id: chosen.arm.to_string(),
        position: narrow(index + 1),
        propensity: chosen.propensity,
        expected_reward: chosen.expected_reward,
        baseline_position: chosen.baseline_position,
        reason: match chosen.reason {
            Reason::BestGuess => proto::Reason::BestGuess,
            Reason::Exploring => proto::Reason::Exploring,
            Reason::Floor => proto::Reason::Floor,
            Reason::Holdout => proto::Reason::Holdout,
            Reason::Fallback => proto::Reason::Fallback,
            Reason::Rule => proto::Reason::Rule,
            Reason::Sticky => proto::Reason::Sticky,
            Reason::Watching => proto::Reason::Watching,
        }
        .into(),
        payload: payload.map(payload_to_struct),
    }
}

/// Candidates that an explanation tells.
const EXPLAINED_MAX: usize = 200;

fn explanation(explanation: Explanation) -> proto::Explanation {
    let Explanation { summary, mut candidates, fired } = explanation;
    let left_out = candidates.len().saturating_sub(EXPLAINED_MAX);
    if left_out > 0 {
        let mut largest: Vec<f64> = candidates.iter().map(|candidate| candidate.propensity).collect();
        largest.sort_by(|a, b| b.total_cmp(a));
        let least = largest[EXPLAINED_MAX - 1];
        // Of those that are alike, the first.
        let mut alike = EXPLAINED_MAX - largest.iter().take_while(|&&propensity| propensity > least).count();
        candidates.retain(|candidate| {
            let is_alike = candidate.propensity.total_cmp(&least).is_eq();
            let stays = candidate.propensity > least || (is_alike && alike > 0);
            alike -= usize::from(is_alike && stays);
            stays
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
        rules_fired: fired,
        candidates_left_out: narrow(left_out),
    }
}

/// How a past decision came about.
pub(super) fn recollection(recollection: RecalledDecision) -> proto::ExplainDecisionResponse {
    let RecalledDecision { decided, at_us, recalled: Recalled { explanation, revision_kept }, view } = recollection;
    let candidate =
        |(arm, own): &(ArmId, Features)| proto::Candidate { arm_id: arm.to_string(), features: features(own) };
    let candidates = page_of(decided.candidates.iter().map(candidate), usize::MAX);
    proto::ExplainDecisionResponse {
        candidates_left_out: narrow(decided.candidates.len() - candidates.len()),
        effects_as_of_now: explanation.candidates.iter().any(|candidate| !candidate.moved_by.is_empty()),
        decision: Some(decision(&decided, Some(explanation), view.as_deref())),
        slot_id: decided.slot.to_string(),
        time: Some(timestamp(at_us)),
        subject: Some(subject(&decided.subject)),
        context: features(&decided.context),
        candidates,
        taken_arm_ids: decided.taken.iter().map(ArmId::to_string).collect(),
        request_id: decided.request_id.clone().unwrap_or_default(),
        sticky_decision_id: decided.sticky.map(|id| id.to_string()).unwrap_or_default(),
        seed: decided.seed,
        best_expected: decided.best_expected,
        revision_kept,
    }
}

pub(super) fn consent(consent: Option<Consent>) -> proto::Consent {
    match consent {
        None => proto::Consent::Unspecified,
        Some(Consent::Full) => proto::Consent::Full,
        Some(Consent::SessionOnly) => proto::Consent::SessionOnly,
        Some(Consent::None) => proto::Consent::None,
    }
}

/// A request, from the client's side.
pub(super) fn request(request: &Request) -> proto::DecideRequest {
    let candidate =
        |c: &RequestCandidate| proto::Candidate { arm_id: c.arm.to_string(), features: features(&c.features) };
    proto::DecideRequest {
        slot_id: request.slot.to_string(),
        subject: Some(subject(&request.subject)),
        context: features(&request.context),
        candidates: request.candidates.iter().map(candidate).collect(),
        count: request.count,
        request_id: request.request_id.clone().unwrap_or_default(),
        consent: consent(request.consent).into(),
        explain: request.explain,
    }
}

pub(super) fn subject(subject: &Subject) -> proto::Subject {
    proto::Subject { id: subject.id.clone(), session_id: subject.session_id.clone() }
}
