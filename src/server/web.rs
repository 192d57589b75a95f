//! The HTTP port for web pages and programs: keys, other origins, compression, and gRPC-Web.
//!
//! ```text
//! trace -> host -> CORS -> compression -> keys -> JSON, metrics, probes | gRPC-Web
//!                                      -> console
//! ```
//!
//! CORS comes first, because a browser asks whether it may call without sending the key. An origin is allowed if the configuration
//! or a publishable key names it.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, ServiceExt as _};
use tower_http::{
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate as _, SizeAbove},
    },
    cors::{AllowOrigin, CorsLayer},
    decompression::RequestDecompressionLayer,
};

use super::{
    access::AccessControl, bare_errors, calls::CallLimits, incoming, json::EVENT_STREAM, problem::HttpProblem,
    trace::TraceLayer,
};
use crate::config::Config;

/// Time for which a browser may keep an answer about CORS, seconds.
const CORS_AGE_S: u64 = 600;
/// Smallest answer that is compressed, bytes.
const COMPRESSED_MIN: u16 = 1_024;

/// Headers that a page of another origin may send.
const ASKED: [&str; 12] = [
    "authorization",
    "content-type",
    "x-api-key",
    "x-request-id",
    "x-grpc-web",
    "x-user-agent",
    "grpc-timeout",
    "if-none-match",
    "ocp-apim-subscription-key",
    "slotwise-simulated",
    "traceparent",
    "tracestate",
];
/// Headers of an answer that such a page may read.
const SHOWN: [&str; 5] = ["grpc-status", "grpc-message", "grpc-status-details-bin", "retry-after", "etag"];

/// Returns the services of the API as gRPC-Web, which browsers can call, under the limits of all calls.
pub(super) fn grpc_web(services: Routes, limits: &CallLimits) -> Router {
    let service = limits.layer(services.prepare());
    let service = GrpcWebLayer::new().layer(service);
    let answer = async move |request: Request| {
        let request = request.map(tonic::body::Body::new);
        match service.clone().oneshot(request).await {
            Ok(response) => response.map(axum::body::Body::new),
            Err(never) => match never {},
        }
    };
    Router::new().route("/{service}/{method}", axum::routing::post(answer))
}

/// Pages of the HTTP port.
pub(super) struct WebPages {
    /// JSON, metrics and probes.
    pub(super) pages: Router,
    pub(super) grpc_web: Router,
    /// Pages for people, whose visitors sign in.
    pub(super) console: Router,
}

/// Puts admission, compression and CORS around the pages of the HTTP port.
pub(super) fn around(
    WebPages { pages, grpc_web, console }: WebPages,
    access: &AccessControl,
    config: &Config,
    trace: TraceLayer,
) -> Router {
    let check = HostCheck { access: access.clone(), insecure_public: config.insecure_public };
    let pages = pages.layer(RequestDecompressionLayer::new().gzip(true));
    // Messages of gRPC-Web are framed, and may be compressed themselves. Events must not wait for more to compress.
    let large = SizeAbove::new(COMPRESSED_MIN)
        .and(NotForContentType::new("application/grpc"))
        .and(NotForContentType::new(EVENT_STREAM));
    pages
        .merge(grpc_web)
        .layer(from_fn_with_state(access.clone(), admit))
        .merge(console)
        .layer(from_fn(bare_errors::explain))
        .layer(CompressionLayer::new().gzip(true).compress_when(large))
        .layer(cors(access.clone(), config.cors_origins.clone()))
        .layer(from_fn(incoming::answer_handshake))
        .layer(from_fn_with_state(check, check_host))
        .layer(trace)
}

fn cors(access: AccessControl, origins: Vec<String>) -> CorsLayer {
    let names = |names: &[&'static str]| names.iter().map(|&name| HeaderName::from_static(name)).collect::<Vec<_>>();
    let origins: Arc<[String]> = origins.into();
    let allowed = move |origin: &HeaderValue, _: &Parts| {
        origin.to_str().is_ok_and(|origin| origins.iter().any(|known| known == origin) || access.knows_origin(origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(names(&ASKED))
        .expose_headers(names(&SHOWN))
        .max_age(std::time::Duration::from_secs(CORS_AGE_S))
}

/// Names the host of a request in one place: HTTP/2 has it in the address. Where no key is asked for and only the machine itself
/// can reach the port, a name that leads here from elsewhere would let a page of another site act as one of ours; it is refused.
async fn check_host(State(check): State<HostCheck>, mut request: Request, next: Next) -> Response {
    if let (None, Some(authority)) = (request.headers().get(header::HOST), request.uri().authority())
        && let Ok(host) = HeaderValue::try_from(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    if check.insecure_public || check.access.is_required() || is_loopback_host(request.headers()) {
        return next.run(request).await;
    }
    let message = "without keys the service is for this machine: call it as http://localhost or by its number";
    HttpProblem::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message).into_response()
}

/// Settings by which hosts are checked.
#[derive(Debug, Clone)]
struct HostCheck {
    access: AccessControl,
    insecure_public: bool,
}

/// Returns `true` if a request names the machine by `localhost` or by a number, or names none.
fn is_loopback_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Admits a call, and hands its caller on.
async fn admit(State(access): State<AccessControl>, mut request: Request, next: Next) -> Response {
    match access.admit(request.uri().path(), request.headers()) {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(refused) if request.headers().get(header::CONTENT_TYPE).is_some_and(is_grpc) => {
            refused.status.into_http::<axum::body::Body>()
        }
        Err(refused) => HttpProblem::from(refused.status).into_response(),
    }
}

fn is_grpc(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"application/grpc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_only_names_of_the_machine_are_answered() {
        for (host, allowed) in [
            ("localhost:8080", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("10.0.0.7", true),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            assert_eq!(is_loopback_host(&headers), allowed, "{host}");
        }
    }
}
