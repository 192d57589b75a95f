//! Spans of calls and their export over OTLP, by the SDK of OpenTelemetry.
//!
//! A call is a span if its caller sampled its trace, or, without a caller's trace, by a ratio. Finished spans go to a
//! thread of the SDK, in batches.
//!
//! Deliberately not here: probes and scrapes, which come every few seconds and would hide the calls.

use std::time::Duration;

use axum::{
    extract::MatchedPath,
    http::{HeaderMap, Request, Uri},
};
use opentelemetry::{
    Context, Key, KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{Span as _, SpanKind, Status, TraceId, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::{
    SpanExporter, WithExportConfig as _, WithTonicConfig as _, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span},
};
use tonic::Code;

use super::body::CallCodes;
use crate::{access::role_of_method, server::health::is_service};

/// Name of the service, if the environment gives none in `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES`.
const SERVICE: &str = "slotwise";
/// Longest time for the spans that wait when the service stops.
const FLUSH: Duration = Duration::from_secs(5);
/// Name that the conventions of OpenTelemetry give to a method that is not known.
const OTHER: &str = "_OTHER";
/// Methods of HTTP that the service answers.
const HTTP_METHODS: [&str; 4] = ["GET", "HEAD", "OPTIONS", "POST"];
/// Paths of probes and scrapes.
const PROBES: [&str; 4] = ["/livez", "/readyz", "/healthz", "/metrics"];
/// Opening of the paths of probes over gRPC.
const HEALTH: &str = "/grpc.health.";

/// Exporter of spans to a collector.
#[derive(Debug, Clone)]
pub(super) struct OtlpExporter {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    propagator: TraceContextPropagator,
}

/// Span of a call that is exported.
#[derive(Debug)]
pub(super) struct OtlpSpan {
    span: Span,
    /// The call is one of gRPC.
    is_grpc: bool,
}

impl OtlpExporter {
    /// Checks the address of a collector.
    pub(super) fn check(endpoint: &str) -> Result<(), String> {
        let uri: Option<Uri> = endpoint.parse().ok();
        let scheme = uri.as_ref().filter(|uri| uri.host().is_some()).and_then(Uri::scheme_str);
        match scheme {
            Some("http" | "https") => Ok(()),
            _ => Err(format!(
                "cannot send traces to '{endpoint}' (the setting traces.endpoint, --traces-endpoint): write a URL, as in http://127.0.0.1:4317"
            )),
        }
    }

    /// Opens the export to the collector at `endpoint`, which need not be there yet. `ratio` is that of the calls whose
    /// caller says nothing of a trace.
    pub(super) fn open(endpoint: &str, ratio: f64) -> Result<Self, String> {
        Self::check(endpoint)?;
        let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
        if endpoint.starts_with("https") {
            exporter = exporter.with_tls_config(ClientTlsConfig::new().with_native_roots());
        }
        let exporter = exporter.build().map_err(|why| format!("cannot send traces to {endpoint}: {why}"))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
            .with_resource(resource())
            .build();
        Ok(Self { tracer: provider.tracer(SERVICE), provider, propagator: TraceContextPropagator::new() })
    }

    /// Begins the span of a call, or returns `None` for a call that is not sampled.
    pub(super) fn begin<B>(&self, request: &Request<B>) -> Option<OtlpSpan> {
        let path = request.uri().path();
        if PROBES.contains(&path) || path.starts_with(HEALTH) {
            return None;
        }
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let operation = Operation::of(request.method().as_str(), path, route);
        let parent = self.propagator.extract_with_context(&Context::new(), &Headers(request.headers()));
        let span = self
            .tracer
            .span_builder(operation.name)
            .with_kind(SpanKind::Server)
            .with_attributes(operation.attributes)
            .start_with_context(&self.tracer, &parent);
        span.is_recording().then_some(OtlpSpan { span, is_grpc: operation.is_grpc })
    }

    /// Sends the spans that wait.
    pub(super) fn flush(&self) {
        if let Err(why) = self.provider.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%why, "some spans of calls were not sent to the collector of traces");
        }
    }
}

/// Description of this process: what the environment says, and the name of the service if it says none.
fn resource() -> Resource {
    let detected = Resource::builder().build();
    let name = detected.get_ref(&Key::from_static_str("service.name")).map(ToString::to_string).unwrap_or_default();
    let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    // The SDK calls a process without a name `unknown_service:` and the name of its file.
    if name.is_empty() || name.starts_with("unknown_service") {
        return resource.with_service_name(SERVICE).build();
    }
    resource.build()
}

impl OtlpSpan {
    pub(super) fn trace_id(&self) -> TraceId {
        self.span.span_context().trace_id()
    }

    /// Ends the span with the codes of the answer, or `None` for a call whose client left before it had one.
    pub(super) fn end(&mut self, codes: Option<CallCodes>, slot: Option<&str>) {
        if let Some(slot) = slot {
            self.span.set_attribute(KeyValue::new("slotwise.slot", slot.to_owned()));
        }
        let cancelled = CallCodes { http: 499, grpc: Some(Code::Cancelled as i32) };
        let CallCodes { http, grpc } = codes.unwrap_or(cancelled);
        let failed = if self.is_grpc {
            if let Some(code) = grpc {
                self.span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code)));
            }
            grpc.is_some_and(is_failure)
        } else {
            self.span.set_attribute(KeyValue::new("http.response.status_code", i64::from(http)));
            http >= 500
        };
        if failed {
            self.span.set_status(Status::error(""));
        }
        self.span.end();
    }
}

/// Returns `true` if a code of gRPC says that the service failed, and not its caller.
///
/// Source: OpenTelemetry, "Semantic conventions for gRPC", status of server spans.
fn is_failure(code: i32) -> bool {
    match Code::from_i32(code) {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => false,
    }
}

/// Headers of a request, as the propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// Name and attributes of a call's span. Names are few, whatever callers send.
struct Operation {
    name: String,
    attributes: Vec<KeyValue>,
    is_grpc: bool,
}

impl Operation {
    fn of(method: &str, path: &str, route: Option<&str>) -> Self {
        let method = if HTTP_METHODS.contains(&method) { method } else { OTHER }.to_owned();
        // Calls of gRPC-Web have the paths of gRPC.
        if let Some((service, name)) =
            path.trim_start_matches('/').split_once('/').filter(|(name, _)| name.contains('.'))
        {
            let is_known =
                is_service(service) && role_of_method(name).is_some() || service.starts_with("grpc.reflection.");
            let (service, name) = if is_known { (service, name) } else { (OTHER, OTHER) };
            let attributes = vec![
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.service", service.to_owned()),
                KeyValue::new("rpc.method", name.to_owned()),
            ];
            return Self { name: format!("{service}/{name}"), attributes, is_grpc: true };
        }
        let call = path.strip_prefix("/v1/").filter(|call| role_of_method(call).is_some());
        let route = call.map_or(route, |_| Some(path));
        let name = route.map_or_else(|| method.clone(), |route| format!("{method} {route}"));
        let mut attributes =
            vec![KeyValue::new("http.request.method", method), KeyValue::new("url.path", path.to_owned())];
        attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
        Self { name, attributes, is_grpc: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_few_names() {
        for (method, path, route, name) in [
            ("POST", "/slotwise.v1.DecisionService/Decide", None, "slotwise.v1.DecisionService/Decide"),
            ("POST", "/slotwise.v1.DecisionService/Nothing", None, "_OTHER/_OTHER"),
            ("POST", "/shop.v1.Anything/Decide", Some("/{service}/{method}"), "_OTHER/_OTHER"),
            ("POST", "/v1/Decide", Some("/v1/{method}"), "POST /v1/Decide"),
            ("POST", "/v1/Nothing", Some("/v1/{method}"), "POST /v1/{method}"),
            ("GET", "/slots/offers/arms", Some("/slots/{slot}/arms"), "GET /slots/{slot}/arms"),
            ("GET", "/nowhere", None, "GET"),
            ("BREW", "/nowhere", None, "_OTHER"),
        ] {
            assert_eq!(Operation::of(method, path, route).name, name, "{method} {path}");
        }
    }

    #[test]
    fn a_collector_has_a_url() {
        for right in ["http://127.0.0.1:4317", "https://collector.example"] {
            assert_eq!(OtlpExporter::check(right), Ok(()), "{right}");
        }
        for wrong in ["", "127.0.0.1:4317", "collector", "ftp://collector", "http://"] {
            let why = OtlpExporter::check(wrong).unwrap_err();
            assert!(why.contains("http://127.0.0.1:4317") && !why.contains('\n'), "{wrong}: {why}");
        }
    }
}
