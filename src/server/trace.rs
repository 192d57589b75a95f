//! Traces: calls that carry a W3C trace context say so in the log.
//!
//! A call with a header `traceparent` is answered within a span, so that each line that is logged meanwhile has the
//! trace's id. Its end is a line of the level debug, under the target `slotwise::calls`. A call without the header
//! costs nothing.
//!
//! Deliberately not here: the export of spans.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use axum::http::{HeaderMap, Request, Response};
use tokio_util::either::Either;
use tower::{Layer, Service};
use tracing::Instrument as _;

/// Header with the trace of a call.
const TRACE_PARENT: &str = "traceparent";

/// Layer that puts calls into the spans of their traces.
#[derive(Debug, Clone, Copy)]
pub(super) struct TraceLayer;

/// Service whose calls are put into the spans of their traces.
#[derive(Debug, Clone)]
pub(super) struct TracedService<S>(S);

impl<S> Layer<S> for TraceLayer {
    type Service = TracedService<S>;

    fn layer(&self, inner: S) -> TracedService<S> {
        TracedService(inner)
    }
}

/// Future of a call within a span.
type Traced<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

impl<S, B, R> Service<Request<B>> for TracedService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Traced<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(parent) = TraceParent::of(request.headers()) else { return Either::Left(self.0.call(request)) };
        let path = request.uri().path().to_owned();
        let span = tracing::info_span!(target: "slotwise::calls", "call", trace_id = %parent.trace, parent_id = %parent.span, path);
        let answered = span.in_scope(|| self.0.call(request));
        let logged = async move {
            let answer = answered.await;
            if let Ok(answer) = &answer {
                let grpc = answer.headers().get("grpc-status").and_then(|code| code.to_str().ok());
                tracing::debug!(target: "slotwise::calls", status = answer.status().as_u16(), grpc, "answered");
            } else {
                tracing::debug!(target: "slotwise::calls", "not answered");
            }
            answer
        };
        Either::Right(Box::pin(logged.instrument(span)))
    }
}

/// Trace that a call belongs to, and the span of its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TraceParent {
    trace: HexId,
    span: HexId,
}

/// Id in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HexId(String);

impl fmt::Display for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HexId {
    /// Reads an id of a number of digits, of which one is not 0.
    fn parse(text: &str, digits: usize) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (text.len() == digits && is_hex && text.bytes().any(|byte| byte != b'0')).then(|| Self(text.to_owned()))
    }
}

impl TraceParent {
    /// Returns the trace of a call, or `None` if it has none that can be read.
    ///
    /// Source: W3C Trace Context, "Traceparent Header": version, trace, span and flags. Later versions may add fields.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(TRACE_PARENT)?.to_str().ok()?;
        let mut fields = text.split('-');
        let version = fields.next()?;
        let is_known = version.len() == 2 && version != "ff" && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        let trace = HexId::parse(fields.next()?, 32)?;
        let span = HexId::parse(fields.next()?, 16)?;
        let flags = fields.next()?;
        let is_whole = flags.len() == 2 && (version != "00" || fields.next().is_none());
        (is_known && is_whole).then_some(Self { trace, span })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_trace_is_read_as_its_standard_says() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(TRACE_PARENT.parse().unwrap(), HeaderValue::from_str(text).unwrap())]);
            TraceParent::of(&headers)
        };
        let want = TraceParent { trace: HexId(trace.into()), span: HexId(span.into()) };
        assert_eq!(read(&format!("00-{trace}-{span}-01")), Some(want.clone()));
        assert_eq!(read(&format!("cc-{trace}-{span}-01-more")), Some(want));
        for wrong in [
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{span}"),
            format!("00-{trace}x-{span}-01"),
            String::new(),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
        assert_eq!(TraceParent::of(&HeaderMap::new()), None);
    }
}
