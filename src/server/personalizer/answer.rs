//! Answers and errors in Personalizer's shape.

use std::{collections::HashMap, fmt};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tonic::Status;

use super::request::{MultiSlotRankRequest, RankRequest};
use crate::{
    server::problem::HttpProblem,
    slot::{FieldError, shorten},
    wire::proto::DecideResponse,
};

/// Error of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PersonalizerError {
    status: StatusCode,
    /// Description of what is wrong and what to do.
    message: String,
    /// Field that is wrong, or an empty text.
    target: String,
    /// Time after which the call may be tried again, seconds.
    retry_after_s: Option<u64>,
}

impl PersonalizerError {
    fn new(status: StatusCode, target: &str, message: String) -> Self {
        Self { status, message, target: target.to_owned(), retry_after_s: None }
    }

    /// Creates the error for a request that cannot be answered.
    pub(super) fn bad_request(target: &str, message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, target, message)
    }

    /// Creates the error for a field that is not what the API takes.
    pub(super) fn of_field(why: &FieldError) -> Self {
        Self::bad_request(&why.field, why.to_string())
    }

    /// Creates the error for something that is not there.
    pub(super) fn not_found(message: String) -> Self {
        Self::new(StatusCode::NOT_FOUND, "", message)
    }

    /// Creates the error for an event that is not known.
    pub(super) fn unknown_event(event: &str) -> Self {
        let event = shorten(event);
        Self::not_found(format!(
            "eventId: there is no event '{event}'; ids of the caller are known for ten minutes, and those that rank made for the slot's window"
        ))
    }

    /// Creates the error for something that is wrong in this program.
    pub(super) fn internal(message: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message.to_owned())
    }

    /// Code of that API, of which the clients name these.
    fn code(&self) -> &'static str {
        if self.status.is_server_error() {
            "InternalServerError"
        } else if self.status == StatusCode::NOT_FOUND {
            "ResourceNotFound"
        } else {
            "BadRequest"
        }
    }
}

impl fmt::Display for PersonalizerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<HttpProblem> for PersonalizerError {
    fn from(problem: HttpProblem) -> Self {
        let retry_after_s = problem.retry_after_s();
        Self { retry_after_s, ..Self::new(problem.status(), problem.field(), problem.detail().to_owned()) }
    }
}

impl From<Status> for PersonalizerError {
    fn from(status: Status) -> Self {
        HttpProblem::from(status).into()
    }
}

impl IntoResponse for PersonalizerError {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code(), "message": self.message });
        if !self.target.is_empty() {
            error["target"] = Value::String(self.target);
        }
        let mut response = answer(self.status, &json!({ "error": error }));
        if let Some(wait) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}

/// Returns the answer of Rank: the chosen action first, then the others by their probability, and last those that
/// could not be chosen.
///
/// A repeated event id gets the same action. The probabilities of the others are then not known any more, and are
/// left out.
pub(super) fn rank(request: &RankRequest, decided: &DecideResponse) -> Result<Response, PersonalizerError> {
    let Some(chosen) = decided.arms.first() else {
        let message = "no action is eligible; a slot without an open catalogue chooses among its own arms only, see ignored actions and the slot's rules";
        return Err(PersonalizerError::bad_request("actions", message.to_owned()));
    };
    let explained = decided.explanation.as_ref();
    let probabilities: HashMap<&str, f64> = explained
        .iter()
        .flat_map(|explained| &explained.candidates)
        .map(|candidate| (candidate.arm_id.as_str(), candidate.propensity))
        .collect();
    let probability = |id: &str| match probabilities.get(id) {
        _ if id == chosen.arm_id => Some(chosen.propensity),
        Some(probability) => Some(*probability),
        // Excluded actions and those that the slot does not know are no candidates.
        None => explained.map(|_| 0.0),
    };
    let mut ranked: Vec<(&str, Option<f64>)> =
        request.actions.iter().map(|action| (action.id.as_str(), probability(&action.id))).collect();
    ranked.sort_by(|a, b| {
        let place = |entry: &(&str, Option<f64>)| entry.0 != chosen.arm_id;
        place(a).cmp(&place(b)).then(b.1.unwrap_or(0.0).total_cmp(&a.1.unwrap_or(0.0)))
    });
    let ranking: Vec<Value> = ranked
        .into_iter()
        .map(|(id, probability)| match probability {
            Some(probability) => json!({ "id": id, "probability": probability }),
            None => json!({ "id": id }),
        })
        .collect();
    let event_id = request.event_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&decided.decision_id);
    let body = json!({ "ranking": ranking, "eventId": event_id, "rewardActionId": chosen.arm_id });
    Ok(answer(StatusCode::CREATED, &body))
}

/// Returns the answer of a multi-slot Rank. A place for which nothing was eligible has no action.
pub(super) fn multi_slot_rank(request: &MultiSlotRankRequest, event_id: &str, decided: &[DecideResponse]) -> Response {
    let slots: Vec<Value> = request
        .places()
        .zip(decided)
        .map(|(place, decided)| match decided.arms.first() {
            Some(chosen) => json!({ "id": place, "rewardActionId": chosen.arm_id }),
            None => json!({ "id": place }),
        })
        .collect();
    answer(StatusCode::CREATED, &json!({ "slots": slots, "eventId": event_id }))
}
