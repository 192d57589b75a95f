//! Decoding of requests and events. Every field is checked, and every error names its field.

use std::collections::{BTreeSet, HashMap, HashSet};

use prost_types::{Duration, Timestamp};

use super::{enums::decode_enum, proto};
use crate::{
    bandit::{Features, Value},
    engine::{DecisionId, Request, RequestCandidate, Subject},
    node::RewardRequest,
    slot::{
        ArmId, FieldError, SlotId, check_features, check_name, check_token,
        limits::{AHEAD_US_MAX, BATCH_MAX, CANDIDATES_MAX, COUNT_MAX, FEATURES_MAX, NAME_BYTES_MAX, NUMBER_MAX},
        shorten, shorten_key,
    },
};

/// Result of decoding. The error names the field at fault.
pub(crate) type FieldResult<T> = Result<T, FieldError>;

/// Number of candidates up to which comparing each with each is quicker than hashing them.
const PAIRWISE_MAX: usize = 32;
/// Greatest number of features without a value that an answer names: as many as a context and a candidate may have.
const IGNORED_FEATURES_MAX: usize = 2 * FEATURES_MAX;

fn optional(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

pub(crate) fn decode_features(field: &str, features: HashMap<String, proto::FeatureValue>) -> FieldResult<Features> {
    let mut missing = BTreeSet::new();
    let decoded = features_with_value(field, "", features, &mut missing)?;
    match missing.first() {
        Some(name) => Err(FieldError::new(
            format!("{field}[{}]", shorten_key(name)),
            "has no value; set one of number, text, flag, texts, vector",
        )),
        None => Ok(decoded),
    }
}

/// Returns the features that have a value. The names of the others are added to `missing`, each after `prefix`.
fn features_with_value(
    field: &str,
    prefix: &str,
    features: HashMap<String, proto::FeatureValue>,
    missing: &mut BTreeSet<String>,
) -> FieldResult<Features> {
    if features.len() > FEATURES_MAX {
        let message = format!("has {} features; at most {FEATURES_MAX} are allowed", features.len());
        return Err(FieldError::new(field, message));
    }
    let mut decoded = Features::new();
    for (name, proto::FeatureValue { value }) in features {
        if let Some(value) = value {
            decoded.insert(name, decode_value(value));
        } else {
            check_name(field, &name)?;
            missing.insert(format!("{prefix}{name}"));
        }
    }
    check_features(field, &decoded)?;
    Ok(decoded)
}

fn decode_value(value: proto::feature_value::Value) -> Value {
    use proto::feature_value::Value as In;
    match value {
        In::Number(number) => Value::Number(number),
        In::Text(text) => Value::Text(text),
        In::Flag(flag) => Value::Flag(flag),
        In::Texts(proto::TextList { values }) => Value::Texts(values),
        In::Vector(proto::Vector { values }) => Value::Vector(values),
    }
}

pub(super) fn decode_subject(subject: Option<proto::Subject>) -> FieldResult<Subject> {
    let proto::Subject { id, session_id } = subject.unwrap_or_default();
    for (field, text) in [("subject.id", &id), ("subject.session_id", &session_id)] {
        if !text.is_empty() {
            check_token(field, text)?;
        }
    }
    Ok(Subject { id, session_id })
}

/// Decodes a time to microseconds since 1970.
pub(crate) fn decode_timestamp(field: &str, time: Timestamp) -> FieldResult<i64> {
    let Timestamp { seconds, nanos } = time;
    let in_range = (0..253_402_300_800).contains(&seconds) && (0..1_000_000_000).contains(&nanos);
    if !in_range {
        return Err(FieldError::new(field, "must be a time from 1970 to 9999"));
    }
    Ok(seconds * 1_000_000 + i64::from(nanos) / 1_000)
}

/// Decodes a duration to microseconds.
pub(crate) fn decode_duration(field: &str, duration: Duration) -> FieldResult<i64> {
    let Duration { seconds, nanos } = duration;
    seconds
        .checked_mul(1_000_000)
        .and_then(|us| us.checked_add(i64::from(nanos) / 1_000))
        .ok_or_else(|| FieldError::new(field, "is too long"))
}

/// Decoded request for a decision.
#[derive(Debug, Clone)]
pub(crate) struct DecodedRequest {
    /// Request without the features that have no value.
    pub(crate) request: Request,
    /// Names of the features that have no value.
    pub(crate) ignored_features: Vec<String>,
    /// Takes the baseline instead of an error if decisions come too fast.
    pub(crate) baseline_on_overload: bool,
}

/// Decodes the requests of a batch, each with a result of its own, and the batch's `distinct_arms`.
pub(crate) fn batch_requests(
    message: proto::BatchDecideRequest,
) -> FieldResult<(Vec<FieldResult<DecodedRequest>>, bool)> {
    let proto::BatchDecideRequest { requests, distinct_arms } = message;
    if requests.is_empty() || requests.len() > BATCH_MAX {
        let message = format!("has {} requests; 1 to {BATCH_MAX} are allowed", requests.len());
        return Err(FieldError::new("requests", message));
    }
    Ok((requests.into_iter().map(request).collect(), distinct_arms))
}

/// Decodes a request for a decision.
pub(crate) fn request(message: proto::DecideRequest) -> FieldResult<DecodedRequest> {
    let proto::DecideRequest {
        slot_id,
        subject,
        context,
        candidates,
        count,
        request_id,
        consent,
        explain,
        deferred,
        baseline_on_overload,
    } = message;
    if !request_id.is_empty() {
        check_token("request_id", &request_id)?;
    }
    if count > COUNT_MAX {
        return Err(FieldError::new("count", format!("is {count}; at most {COUNT_MAX} arms are returned")));
    }
    let mut missing = BTreeSet::new();
    let request = Request {
        slot: SlotId::parse("slot_id", &slot_id)?,
        subject: decode_subject(subject)?,
        rule_subject: None,
        context: features_with_value("context", "", context, &mut missing)?,
        candidates: decode_candidates(candidates, &mut missing)?,
        count,
        request_id: optional(request_id),
        consent: decode_enum("consent", consent)?,
        explain,
        client: String::new(),
        matches: None,
        deferred,
    };
    let ignored_features = missing.into_iter().take(IGNORED_FEATURES_MAX).collect();
    Ok(DecodedRequest { request, ignored_features, baseline_on_overload })
}

fn decode_candidates(
    candidates: Vec<proto::Candidate>,
    missing: &mut BTreeSet<String>,
) -> FieldResult<Vec<RequestCandidate>> {
    if candidates.len() > CANDIDATES_MAX {
        let message = format!("has {} candidates; at most {CANDIDATES_MAX} are allowed", candidates.len());
        return Err(FieldError::new("candidates", message));
    }
    let candidates: Vec<RequestCandidate> = candidates
        .into_iter()
        .enumerate()
        .map(|(i, proto::Candidate { arm_id, features: own })| {
            Ok(RequestCandidate {
                arm: ArmId::parse("arm_id", &arm_id).map_err(|e| e.within(&format!("candidates[{i}]")))?,
                features: if own.is_empty() {
                    Features::new()
                } else {
                    features_with_value(&format!("candidates[{i}].features"), "candidate.", own, missing)?
                },
            })
        })
        .collect::<FieldResult<_>>()?;
    if let Some(i) = first_repeated(&candidates) {
        let message = format!("'{}' stands in the request twice", shorten(candidates[i].arm.as_str()));
        return Err(FieldError::new(format!("candidates[{i}].arm_id"), message));
    }
    Ok(candidates)
}

/// Returns the index of the first candidate that repeats an earlier one.
fn first_repeated(candidates: &[RequestCandidate]) -> Option<usize> {
    if candidates.len() <= PAIRWISE_MAX {
        return (1..candidates.len()).find(|&i| candidates[..i].iter().any(|before| before.arm == candidates[i].arm));
    }
    let mut seen = HashSet::with_capacity(candidates.len());
    candidates.iter().position(|candidate| !seen.insert(&candidate.arm))
}

/// Reason why an event does not become a reward request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RewardRejection {
    /// A field is missing or out of its range.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The decision's id is well formed and was not made by this service, so the event is unmatched.
    #[error("decision_id: no decision '{0}' was ever made here")]
    UnknownDecision(String),
}

/// Decodes a reward event.
pub(crate) fn reward(event: proto::RewardEvent, now_us: i64) -> Result<RewardRequest, RewardRejection> {
    let proto::RewardEvent { event_id, decision_id, slot_id, subject, arm_id, kind, value, time, reverses_event_id } =
        event;
    check_token("event_id", &event_id)?;
    let subject = decode_subject(subject)?;
    let slot = if slot_id.is_empty() { None } else { Some(SlotId::parse("slot_id", &slot_id)?) };
    let arm = if arm_id.is_empty() { None } else { Some(ArmId::parse("arm_id", &arm_id)?) };
    if kind.is_empty() || kind.len() > NAME_BYTES_MAX {
        return Err(FieldError::new("kind", format!("must have 1 to {NAME_BYTES_MAX} bytes")).into());
    }
    if value.is_some_and(|value| !value.is_finite() || value.abs() > NUMBER_MAX) {
        return Err(FieldError::new("value", format!("must be a number from -{NUMBER_MAX} to {NUMBER_MAX}")).into());
    }
    let time_us = time.map(|time| decode_timestamp("time", time)).transpose()?;
    if time_us.is_some_and(|time_us| time_us > now_us.saturating_add(AHEAD_US_MAX)) {
        return Err(FieldError::new("time", "is more than a day ahead of the service's clock").into());
    }
    if !reverses_event_id.is_empty() {
        check_token("reverses_event_id", &reverses_event_id)?;
    }
    let decision = if decision_id.is_empty() {
        None
    } else {
        check_token("decision_id", &decision_id)?;
        match DecisionId::parse(&decision_id) {
            Some(id) => Some(id),
            None => return Err(RewardRejection::UnknownDecision(shorten(&decision_id))),
        }
    };
    if decision.is_none() {
        let anonymous = subject == Subject::default();
        let need = |field: &str, why: &str| {
            Err(FieldError::new(field, format!("is needed {why}; or give the decision_id")).into())
        };
        if slot.is_none() {
            return need("slot_id", "without a decision_id");
        }
        if reverses_event_id.is_empty() && anonymous {
            return need("subject", "without a decision_id");
        }
        if reverses_event_id.is_empty() && arm.is_none() {
            return need("arm_id", "without a decision_id");
        }
    }
    Ok(RewardRequest {
        slot,
        event_id,
        decision,
        subject,
        arm,
        kind,
        value,
        time_us,
        reverses: optional(reverses_event_id),
    })
}
