//! Traces: calls that carry a W3C trace context say so in the log, and calls are exported as spans if that is set up.
//!
//! A call with a header `traceparent` is answered within a span of the log, so that each line that is logged meanwhile
//! has the trace's id. Its end is a line of the level debug, under the target `slotwise::calls`. A call without the
//! header costs nothing unless spans are exported.
//!
//! * `parent`: the header, as the log has it.
//! * `body`: bodies of answers, at whose end the span of a call ends.
//! * `otlp`: spans and their export to a collector of OpenTelemetry, a feature of the build. Other builds have `absent`.
//!
//! Invariant: an export holds up no call. Finished spans wait in a bounded queue, and those that find it full are dropped.

#[cfg(not(feature = "otlp"))]
mod absent;
mod body;
#[cfg(feature = "otlp")]
mod otlp;
mod parent;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::http::{Request, Response};
use tokio_util::either::Either;
use tower::{Layer, Service};
use tracing::Instrument as _;

#[cfg(not(feature = "otlp"))]
use absent::{AbsentExporter as CallExporter, AbsentSpan as CallSpan};
use body::{CallCodes, OpenSpan, SpannedBody};
#[cfg(feature = "otlp")]
use otlp::{OtlpExporter as CallExporter, OtlpSpan as CallSpan};
use parent::TraceParent;

use crate::{config::TraceSettings, wire::CallSlot};

/// Exporter of the spans of calls, or nothing if spans go nowhere.
#[derive(Debug, Clone)]
pub(super) struct SpanExport(Option<CallExporter>);

impl SpanExport {
    /// Opens the export. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// The settings ask for what cannot be, in one line.
    pub(super) fn open(settings: &TraceSettings) -> Result<Self, String> {
        let Some(endpoint) = &settings.endpoint else { return Ok(Self(None)) };
        CallExporter::open(endpoint, settings.ratio).map(|exporter| Self(Some(exporter)))
    }

    /// Checks the settings, as [`open`](Self::open) does.
    pub(super) fn check(settings: &TraceSettings) -> Result<(), String> {
        settings.endpoint.as_deref().map_or(Ok(()), CallExporter::check)
    }

    /// Sends the spans that wait, for some seconds at most. Blocks.
    pub(super) fn flush(&self) {
        if let Some(exporter) = &self.0 {
            exporter.flush();
        }
    }
}

/// Layer that puts calls into the spans of their traces.
#[derive(Debug, Clone)]
pub(super) struct TraceLayer(pub(super) SpanExport);

/// Service whose calls are put into the spans of their traces.
#[derive(Debug, Clone)]
pub(super) struct TracedService<S> {
    inner: S,
    export: SpanExport,
}

impl<S> Layer<S> for TraceLayer {
    type Service = TracedService<S>;

    fn layer(&self, inner: S) -> TracedService<S> {
        TracedService { inner, export: self.0.clone() }
    }
}

/// Future of a call within a span.
type Traced<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

impl<S, B, R> Service<Request<B>> for TracedService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: SpannedBody + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Traced<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let parent = TraceParent::of(request.headers());
        let span = self.export.0.as_ref().and_then(|exporter| exporter.begin(&request));
        let log = match (&parent, &span) {
            (None, None) => return Either::Left(self.inner.call(request)),
            (Some(parent), _) => {
                let path = request.uri().path();
                tracing::info_span!(target: "slotwise::calls", "call", trace_id = %parent.trace, parent_id = %parent.span, path)
            }
            (None, Some(span)) => {
                let path = request.uri().path();
                tracing::info_span!(target: "slotwise::calls", "call", trace_id = %span.trace_id(), path)
            }
        };
        let slot = CallSlot::default();
        request.extensions_mut().insert(slot.clone());
        let open = span.map(|span| OpenSpan::new(span, slot.clone()));
        let answered = log.in_scope(|| self.inner.call(request));
        let logged = async move {
            let answer = answered.await;
            let Ok(answer) = answer else {
                tracing::debug!(target: "slotwise::calls", "not answered");
                return answer;
            };
            let codes = CallCodes::of(&answer);
            let slot = slot.id();
            tracing::debug!(target: "slotwise::calls", status = codes.http, grpc = codes.grpc, slot, "answered");
            Ok(match open {
                None => answer,
                Some(open) => answer.map(|body| body.until_end(open.with_codes(codes))),
            })
        };
        Either::Right(Box::pin(logged.instrument(log)))
    }
}
