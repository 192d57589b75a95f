//! Problem details (RFC 9457): an error of the API in the form of HTTP.

use std::collections::HashMap;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Error of a call.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct HttpProblem(Box<HttpProblemDetails>);

#[derive(Debug, Clone, PartialEq, Serialize)]
struct HttpProblemDetails {
    /// Code of HTTP.
    status: u16,
    /// Name of the same error over gRPC, such as `INVALID_ARGUMENT`, which `title` is by RFC 9457.
    title: &'static str,
    /// Description of what is wrong and what to do.
    detail: String,
    /// Reason for programs, such as `SLOT_NOT_FOUND`; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// Fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<HttpProblemField>,
    /// Further facts about the reason.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    metadata: HashMap<String, String>,
    /// Time after which the call may be tried again, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// Field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct HttpProblemField {
    /// Path of the field, such as `arms[0].payload`.
    field: String,
    detail: String,
}

impl HttpProblem {
    /// Creates an error without fields.
    pub(super) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(HttpProblemDetails {
            status: status.as_u16(),
            title,
            detail: detail.into(),
            reason: String::new(),
            errors: Vec::new(),
            metadata: HashMap::new(),
            retry_after_ms: None,
        }))
    }

    /// Code of HTTP.
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Description of what is wrong and what to do.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Path of the first field that is wrong, or an empty text if none is.
    pub(super) fn field(&self) -> &str {
        self.0.errors.first().map_or("", |error| &error.field)
    }

    /// Time after which the call may be tried again, seconds, or `None` if that is unknown.
    pub(super) fn retry_after_s(&self) -> Option<u64> {
        self.0.retry_after_ms.map(|wait| wait.div_ceil(1_000))
    }

    /// Creates the error for something that is wrong in this program.
    pub(super) fn internal(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, name(Code::Internal), why.to_string())
    }

    /// Creates the error for a field that is not what the API takes.
    pub(super) fn of_field(field: String, detail: String) -> Self {
        let errors =
            if field.is_empty() { Vec::new() } else { vec![HttpProblemField { field, detail: detail.clone() }] };
        let mut problem = Self::new(StatusCode::BAD_REQUEST, name(Code::InvalidArgument), detail);
        problem.0.errors = errors;
        problem
    }
}

/// Returns the HTTP code of a gRPC code, by the table in google/rpc/code.proto.
pub(super) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded | Code::Cancelled => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Returns the name of a gRPC code as its documentation writes it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

impl From<Status> for HttpProblem {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let violations = details.bad_request().map_or(&[][..], |bad| &bad.field_violations);
        let field = |violation: &tonic_types::FieldViolation| HttpProblemField {
            field: violation.field.clone(),
            detail: violation.description.clone(),
        };
        let info = details.error_info().cloned();
        let retry = details.retry_info().and_then(|retry| retry.retry_delay);
        Self(Box::new(HttpProblemDetails {
            reason: info.as_ref().map(|info| info.reason.clone()).unwrap_or_default(),
            errors: violations.iter().map(field).collect(),
            metadata: info.map(|info| info.metadata).unwrap_or_default(),
            retry_after_ms: retry.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            ..*Self::new(http_status(status.code()), name(status.code()), status.message()).0
        }))
    }
}

impl IntoResponse for HttpProblem {
    fn into_response(self) -> Response {
        let status = self.status();
        let text = serde_json::to_string(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], text).into_response();
        if let Some(wait) = self.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }
}
