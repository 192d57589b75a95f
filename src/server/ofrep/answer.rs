//! Evaluations: a decision in the form of the protocol, and the errors of one.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use prost_types::Struct;
use serde_json::{Map, Value, json};
use tonic::Status;

use crate::{
    engine::SlotView,
    node::payload_from_struct,
    server::problem::HttpProblem,
    wire::proto::{ChosenArm, DecideResponse, Fallback, Reason},
};

/// Code of a failed evaluation.
///
/// `TARGETING_KEY_MISSING` is not among them: a subject without a key is anonymous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagFailureCode {
    ParseError,
    InvalidContext,
    FlagNotFound,
    General,
}

impl FlagFailureCode {
    fn name(self) -> &'static str {
        match self {
            Self::ParseError => "PARSE_ERROR",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::General => "GENERAL",
        }
    }
}

/// Failed evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FlagFailure {
    status: StatusCode,
    code: FlagFailureCode,
    /// Description of what is wrong and what to do.
    details: String,
    /// Key of the flag, or an empty text if the failure is of all.
    key: String,
    /// Time after which it may be tried again, seconds.
    retry_after_s: Option<u64>,
}

impl FlagFailure {
    pub(super) fn new(status: StatusCode, code: FlagFailureCode, details: String) -> Self {
        Self { status, code, details, key: String::new(), retry_after_s: None }
    }

    /// Returns the failure of the flag of this key.
    pub(super) fn with_key(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    /// Returns `true` if the context is at fault.
    pub(super) fn is_of_context(&self) -> bool {
        self.code == FlagFailureCode::InvalidContext
    }

    /// Body of the answer. One of a single flag has its key.
    pub(super) fn body(&self) -> Value {
        let mut body = json!({ "errorCode": self.code.name(), "errorDetails": self.details });
        if !self.key.is_empty() {
            body["key"] = Value::String(self.key.clone());
        }
        body
    }

    pub(super) fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (self.status, headers, self.body().to_string()).into_response();
        if let Some(wait) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }
}

impl From<HttpProblem> for FlagFailure {
    fn from(problem: HttpProblem) -> Self {
        let field = problem.field();
        let (status, code) = match problem.status() {
            StatusCode::NOT_FOUND => (StatusCode::NOT_FOUND, FlagFailureCode::FlagNotFound),
            // No slot has a key that is no id of a slot.
            StatusCode::BAD_REQUEST if field == "slot_id" => (StatusCode::NOT_FOUND, FlagFailureCode::FlagNotFound),
            StatusCode::BAD_REQUEST if field.starts_with("context") || field.starts_with("subject") => {
                (StatusCode::BAD_REQUEST, FlagFailureCode::InvalidContext)
            }
            // The SDKs read an error's body with the codes 400, 404 and 500 only.
            StatusCode::UNSUPPORTED_MEDIA_TYPE => (StatusCode::BAD_REQUEST, FlagFailureCode::ParseError),
            other => (other, FlagFailureCode::General),
        };
        let retry_after_s = problem.retry_after_s();
        Self { retry_after_s, ..Self::new(status, code, problem.detail().to_owned()) }
    }
}

impl From<Status> for FlagFailure {
    fn from(status: Status) -> Self {
        HttpProblem::from(status).into()
    }
}

/// Returns the evaluation of a slot's flag from a decision.
///
/// A slot that shows several arms has a list of them as its value, and its variant is the first arm. Metadata have
/// texts, numbers and flags only, because the SDKs drop other values.
pub(super) fn evaluation(view: &SlotView, decided: &DecideResponse) -> Result<Value, FlagFailure> {
    let Some(first) = decided.arms.first() else {
        let message = "no arm of the slot is eligible for this context; see its rules and the availability of its arms";
        return Err(FlagFailure::new(StatusCode::BAD_REQUEST, FlagFailureCode::General, message.to_owned()));
    };
    let value = if view.definition.count() == 1 {
        value(first)?
    } else {
        decided.arms.iter().map(slate_entry).collect::<Result<_, _>>()?
    };
    let mut metadata = Map::new();
    metadata.insert("deferred".into(), decided.expire_time.is_some().into());
    metadata.insert("revision".into(), decided.revision.into());
    metadata.insert("decisionId".into(), decided.decision_id.as_str().into());
    metadata.insert("propensity".into(), first.propensity.into());
    metadata.insert("exploring".into(), decided.exploring.into());
    metadata.insert("holdout".into(), decided.holdout.into());
    metadata.insert("model".into(), decided.model.as_str().into());
    if decided.fallback() != Fallback::Unspecified {
        metadata.insert("fallback".into(), decided.fallback().as_str_name().into());
    }
    Ok(json!({
        "key": view.definition.id.as_str(),
        "reason": reason(decided, first),
        "variant": first.arm_id,
        "value": value,
        "metadata": metadata,
    }))
}

/// Returns the protocol's reason for a decision.
fn reason(decided: &DecideResponse, first: &ChosenArm) -> &'static str {
    match decided.fallback() {
        Fallback::SafeChoice | Fallback::NoEligibleArm => return "STATIC",
        Fallback::Model | Fallback::Deadline | Fallback::Overload => return "UNKNOWN",
        Fallback::Unspecified => {}
    }
    match first.reason() {
        Reason::Rule => "TARGETING_MATCH",
        Reason::BestGuess | Reason::Exploring | Reason::Floor | Reason::Holdout | Reason::Sticky => "SPLIT",
        Reason::Shadow => "STATIC",
        Reason::Fallback | Reason::Unspecified => "UNKNOWN",
    }
}

/// Returns the value of an arm: its payload, or its id if it has none. A payload with the one field `value` is that
/// value, so that flags may be texts, numbers and booleans.
fn value(arm: &ChosenArm) -> Result<Value, FlagFailure> {
    let Some(payload) = &arm.payload else { return Ok(Value::String(arm.arm_id.clone())) };
    let mut payload = json_of(payload)?;
    if payload.len() == 1
        && let Some(value) = payload.remove("value")
    {
        return Ok(value);
    }
    Ok(Value::Object(payload))
}

/// Returns a payload as JSON. Each number is written with a point, because SDKs of typed languages tell floats by it.
fn json_of(payload: &Struct) -> Result<Map<String, Value>, FlagFailure> {
    let internal = |why: String| FlagFailure::new(StatusCode::INTERNAL_SERVER_ERROR, FlagFailureCode::General, why);
    Ok(payload_from_struct(payload.clone()).map_err(|why| internal(why.to_string()))?.into_iter().collect())
}

/// Returns an arm of a slate, with what a reward of it needs.
fn slate_entry(arm: &ChosenArm) -> Result<Value, FlagFailure> {
    let (id, position) = (&arm.arm_id, arm.position);
    Ok(json!({ "armId": id, "position": position, "propensity": arm.propensity, "value": value(arm)? }))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::{node::payload_to_struct, slot::Payload};

    fn arm(payload: Option<Value>) -> ChosenArm {
        let fields = payload.map(|payload| payload.as_object().unwrap().clone().into_iter().collect::<Payload>());
        ChosenArm { arm_id: "a".into(), payload: fields.as_ref().map(payload_to_struct), ..ChosenArm::default() }
    }

    #[test]
    fn the_value_of_an_arm_is_its_payload_or_its_id() {
        for (payload, text) in [
            (None, r#""a""#),
            (Some(json!({"title": "A", "price": 3})), r#"{"price":3.0,"title":"A"}"#),
            (Some(json!({"value": 3})), "3.0"),
            (Some(json!({"value": true})), "true"),
            (Some(json!({"value": 1, "unit": "EUR"})), r#"{"unit":"EUR","value":1.0}"#),
            (Some(json!({})), "{}"),
        ] {
            assert_eq!(value(&arm(payload)).unwrap().to_string(), text);
        }
    }

    #[test]
    fn errors_of_the_api_have_the_codes_of_the_protocol() {
        for (code, status, name) in [
            (Code::NotFound, 404, "FLAG_NOT_FOUND"),
            (Code::PermissionDenied, 403, "GENERAL"),
            (Code::Unavailable, 503, "GENERAL"),
            (Code::Internal, 500, "GENERAL"),
        ] {
            let failure = FlagFailure::from(Status::new(code, "why")).with_key("k");
            assert_eq!(failure.status.as_u16(), status);
            assert_eq!(failure.body(), json!({"key": "k", "errorCode": name, "errorDetails": "why"}));
        }
        let reason = |fallback: Fallback, reason: Reason, id: &str| {
            let arm = ChosenArm { reason: reason.into(), ..ChosenArm::default() };
            let decided =
                DecideResponse { fallback: fallback.into(), decision_id: id.into(), ..DecideResponse::default() };
            super::reason(&decided, &arm)
        };
        assert_eq!(reason(Fallback::Unspecified, Reason::Exploring, "d"), "SPLIT");
        assert_eq!(reason(Fallback::Unspecified, Reason::BestGuess, "d"), "SPLIT");
        assert_eq!(reason(Fallback::Unspecified, Reason::Rule, "d"), "TARGETING_MATCH");
        assert_eq!(reason(Fallback::SafeChoice, Reason::Fallback, "d"), "STATIC");
    }
}
