//! Exporter of a program that was built without OpenTelemetry: there is none, and the setting that asks for one is refused.

use axum::http::Request;

use super::body::CallCodes;

/// Exporter that no program has.
#[derive(Debug, Clone)]
pub(super) enum AbsentExporter {}

/// Span that no call has.
#[derive(Debug)]
pub(super) enum AbsentSpan {}

impl AbsentExporter {
    pub(super) fn open(endpoint: &str, _ratio: f64) -> Result<Self, String> {
        Err(Self::check(endpoint).err().unwrap_or_default())
    }

    pub(super) fn check(endpoint: &str) -> Result<(), String> {
        Err(format!(
            "cannot send traces to {endpoint} (the setting traces.endpoint, --traces-endpoint): this program was built without OpenTelemetry; build it with `cargo build --profile dist --features otlp`"
        ))
    }

    pub(super) fn begin<B>(&self, _request: &Request<B>) -> Option<AbsentSpan> {
        match *self {}
    }

    pub(super) fn flush(&self) {
        match *self {}
    }
}

impl AbsentSpan {
    pub(super) fn trace_id(&self) -> &'static str {
        match *self {}
    }

    pub(super) fn end(&mut self, _codes: Option<CallCodes>, _slot: Option<&str>) {
        match *self {}
    }
}
