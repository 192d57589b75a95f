//! Errors that the HTTP port's libraries make by themselves, such as those of an unknown path, of a method that a path
//! does not take or of a form without a field: programs get them as problem details, and people as pages.
//!
//! Answers of the probes stay as they are, because what probes the service reads the code alone.

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, Limited};

use super::{console, problem::HttpProblem};

/// Bytes of a text that are taken over. The libraries' sentences are much shorter.
const TEXT_MAX: usize = 4_096;
/// Paths of the probes.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/livez"];

/// Returns the title of an error, as problem details of the API name it.
fn title(code: StatusCode) -> &'static str {
    match code {
        StatusCode::NOT_FOUND => "NOT_FOUND",
        StatusCode::METHOD_NOT_ALLOWED => "METHOD_NOT_ALLOWED",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "UNSUPPORTED_MEDIA_TYPE",
        StatusCode::PAYLOAD_TOO_LARGE => "OUT_OF_RANGE",
        code if code.is_server_error() => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

/// Returns what to do about an error that came without a text.
fn advice(code: StatusCode, method: &Method) -> String {
    match code {
        StatusCode::NOT_FOUND => {
            "there is nothing at this path; the console is at /, and calls are POST /v1/{Method}, as /openapi.json lists them"
                .to_owned()
        }
        StatusCode::METHOD_NOT_ALLOWED => format!("this path does not take {method}; the header allow says what it takes"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "the content is of a type or packed in a way that this path does not take".to_owned(),
        StatusCode::PAYLOAD_TOO_LARGE => "the content is too long".to_owned(),
        code => code.canonical_reason().unwrap_or("the request failed").to_lowercase(),
    }
}

/// Returns `true` if an answer is a bare text, or empty.
fn is_bare(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    kind.as_bytes().starts_with(b"text/plain")
}

/// Returns `true` if a person reads the answer: a browser asks for pages by name.
fn wants_page(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|kinds: &HeaderValue| {
        kinds.to_str().is_ok_and(|kinds| kinds.split(',').any(|kind| kind.trim_start().starts_with("text/html")))
    })
}

/// Gives an error that is a bare text its form.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let (method, page) = (request.method().clone(), wants_page(request.headers()));
    let is_probe = PROBES.contains(&request.uri().path());
    let response = next.run(request).await;
    let code = response.status();
    let is_error = code.is_client_error() || code.is_server_error();
    if !is_error || is_probe || !is_bare(response.headers()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = text_of(body).await;
    let text = if text.is_empty() { advice(code, &method) } else { text };
    let mut explained = if page {
        console::problem_page(code, &text).await
    } else {
        HttpProblem::new(code, title(code), text).into_response()
    };
    if let Some(allowed) = parts.headers.get(header::ALLOW) {
        explained.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    explained
}

/// Returns the text of a body, or an empty one if it is too long or no text.
async fn text_of(body: Body) -> String {
    let read = Limited::new(body, TEXT_MAX).collect().await.map(http_body_util::Collected::to_bytes);
    let bytes: Bytes = read.unwrap_or_default();
    String::from_utf8(bytes.to_vec()).map(|text| text.trim().to_owned()).unwrap_or_default()
}
