//! Metrics and probes on the HTTP port.

use std::sync::Arc;

use axum::{Router, http::StatusCode, response::IntoResponse as _, routing::get};

use crate::{metrics::Metrics, wire::Api};

/// Returns the routes of metrics and probes.
pub(super) fn routes(metrics: Arc<Metrics>, api: Api) -> Router {
    let (health, ready) = (api.clone(), api.clone());
    Router::new()
        .route(
            "/metrics",
            get(async move || match metrics.render(api.current()) {
                Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
                Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
            }),
        )
        .route("/healthz", get(async move || readiness(&health)))
        .route("/readyz", get(async move || readiness(&ready)))
        // Any answer shows that the process lives. Readiness, which decides whether it gets requests, has the other
        // paths.
        .route("/livez", get(async || (StatusCode::OK, "alive\n")))
}

fn readiness(api: &Api) -> (StatusCode, &'static str) {
    if !api.serving() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not serving\n");
    }
    let doubtful = api.current().is_some_and(|node| node.clock_doubt_seconds() != 0);
    (StatusCode::OK, if doubtful { "serving, degraded: the clock and the journal disagree\n" } else { "serving\n" })
}
