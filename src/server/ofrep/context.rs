//! Evaluation contexts: for whom a flag is evaluated, and where.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::answer::{FlagFailure, FlagFailureCode};
use crate::{
    server::features::{FeatureMap, add_features},
    wire::proto::Subject,
};

/// Attribute of the context that is the id of the subject.
const TARGETING_KEY: &str = "targetingKey";
/// Attribute of the context that is the id of the subject's session, and no feature.
const SESSION_ID: &str = "sessionId";

/// Context of an evaluation.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct EvaluationContext {
    pub(super) subject: Subject,
    pub(super) features: FeatureMap,
}

fn invalid(message: String) -> FlagFailure {
    FlagFailure::new(StatusCode::BAD_REQUEST, FlagFailureCode::InvalidContext, message)
}

/// Reads the context of a request. One without a targeting key is of an anonymous subject.
pub(super) fn read_context(body: &[u8]) -> Result<EvaluationContext, FlagFailure> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(EvaluationContext::default());
    }
    let body: Value = serde_json::from_slice(body).map_err(|why| {
        let message = format!("the body is no JSON: {why}");
        FlagFailure::new(StatusCode::BAD_REQUEST, FlagFailureCode::ParseError, message)
    })?;
    let Value::Object(mut body) = body else {
        let message = "the body must be an object with a context".to_owned();
        return Err(FlagFailure::new(StatusCode::BAD_REQUEST, FlagFailureCode::ParseError, message));
    };
    let mut context = match body.remove("context") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(context)) => context,
        Some(_) => return Err(invalid("context: must be an object".to_owned())),
    };
    let subject =
        Subject { id: take_text(&mut context, TARGETING_KEY)?, session_id: take_text(&mut context, SESSION_ID)? };
    let mut features = FeatureMap::new();
    add_features(&context, &mut features).map_err(|why| invalid(format!("context: {why}")))?;
    Ok(EvaluationContext { subject, features })
}

/// Takes a text out of the context, or an empty one if it has none.
fn take_text(context: &mut Map<String, Value>, name: &str) -> Result<String, FlagFailure> {
    match context.remove(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(format!("context.{name}: must be a text"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::proto::feature_value::Value as Feature;

    #[test]
    fn the_targeting_key_is_the_subject_and_the_rest_are_features() {
        let body = br#"{"context": {"targetingKey": "ann", "sessionId": "s1", "device": "phone"}, "later": 1}"#;
        let context = read_context(body).unwrap();
        assert_eq!(context.subject, Subject { id: "ann".into(), session_id: "s1".into() });
        assert_eq!(context.features.len(), 1);
        assert_eq!(context.features["device"].value, Some(Feature::Text("phone".into())));
    }

    #[test]
    fn a_context_without_a_targeting_key_is_of_an_anonymous_subject() {
        for body in ["", "{}", r#"{"context": {}}"#, r#"{"context": null}"#, r#"{"context": {"targetingKey": null}}"#] {
            assert_eq!(read_context(body.as_bytes()).unwrap(), EvaluationContext::default(), "{body}");
        }
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        for (body, code, words) in [
            ("{", "PARSE_ERROR", "no JSON"),
            ("[]", "PARSE_ERROR", "an object"),
            (r#"{"context": 1}"#, "INVALID_CONTEXT", "context: must be an object"),
            (r#"{"context": {"targetingKey": 7}}"#, "INVALID_CONTEXT", "context.targetingKey: must be a text"),
            (r#"{"context": {"a": [1, "b"]}}"#, "INVALID_CONTEXT", "context: 'a' is a list"),
        ] {
            let failure = read_context(body.as_bytes()).unwrap_err().body();
            assert_eq!(failure["errorCode"], code, "{body}");
            assert!(failure["errorDetails"].as_str().unwrap().contains(words), "{failure}");
        }
    }
}
