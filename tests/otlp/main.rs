//! Spans of calls, as a collector of OpenTelemetry gets them from a service that was built with the feature `otlp`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

#[path = "../support/mod.rs"]
mod support;

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use slotwise::{
    config::{Config, TraceSettings},
    wire::proto::{GetSlotRequest, ListDecisionsRequest},
};
use tokio::{net::TcpListener, sync::Mutex, task::JoinHandle};
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use support::{Clients, InProcessServer, decide, exchange, serve_command, slot};

/// Span id of every caller of these tests.
const CALLER: &str = "00f067aa0ba902b7";

/// Collector that keeps the spans it gets, with the name of the service that sent them.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_spans {
            let service = text(&of_resource.resource.unwrap().attributes, "service.name");
            let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().await.extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts a collector, and returns it with its address and its task.
    async fn start() -> (Self, String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        let served = tonic::transport::Server::builder().add_service(service);
        #[expect(clippy::disallowed_methods, reason = "the test aborts it")]
        let task = tokio::spawn(async move {
            served.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
        });
        (collector, address, task)
    }

    /// Returns the spans by the first digit of their traces, which stands for all digits.
    async fn by_trace(&self) -> BTreeMap<char, Vec<Span>> {
        let mut traces: BTreeMap<char, Vec<Span>> = BTreeMap::new();
        for (service, span) in self.0.lock().await.iter() {
            assert_eq!(service, "slotwise");
            traces.entry(hex(&span.trace_id).chars().next().unwrap()).or_default().push(span.clone());
        }
        traces
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Returns an attribute as a text, or an empty one if there is none.
fn text(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == key).and_then(|found| found.value.as_ref());
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => other.map(|value| format!("{value:?}")).unwrap_or_default(),
    }
}

fn parent(trace: char, flags: &str) -> String {
    format!("00-{}-{CALLER}-{flags}", trace.to_string().repeat(32))
}

/// Returns a call of gRPC with a trace.
fn traced<T>(message: T, trace: char, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("traceparent", parent(trace, flags).parse().unwrap());
    request.metadata_mut().insert("tracestate", "shop=7".parse().unwrap());
    request
}

/// Starts a service that sends its spans to a collector.
async fn service(endpoint: String, ratio: f64) -> (tempfile::TempDir, InProcessServer, Clients) {
    let folder = tempfile::tempdir().unwrap();
    let traces = TraceSettings { endpoint: Some(endpoint), ratio };
    let config = Config { data: folder.path().to_owned(), traces, ..Config::default() };
    let server = InProcessServer::start_with(config).await;
    let mut clients = server.clients().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    (folder, server, clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_spans_of_their_callers_traces() {
    let (collector, endpoint, task) = Collector::start().await;
    // No call becomes a span by itself.
    let (_folder, server, mut clients) = service(endpoint, 0.0).await;

    clients.decisions.decide(traced(decide("offers"), 'a', "01")).await.unwrap();
    clients.decisions.decide(traced(decide("nowhere"), 'b', "01")).await.unwrap_err();
    clients.decisions.decide(traced(decide("offers"), 'c', "00")).await.unwrap();
    clients.decisions.decide(decide("offers")).await.unwrap();
    let requests = tokio_stream::iter(vec![decide("offers"), decide("offers")]);
    let answers = clients.decisions.stream_decide(traced(requests, 'd', "01")).await.unwrap().into_inner();
    assert_eq!(answers.collect::<Vec<_>>().await.len(), 2);
    let request = ListDecisionsRequest { slot_id: "offers".into(), ..ListDecisionsRequest::default() };
    clients.insight.list_decisions(traced(request, 'e', "01")).await.unwrap();
    for (trace, path, body) in [('1', "/v1/Decide", r#"{"slotId": "offers"}"#), ('2', "/v1/Nothing", "{}")] {
        let head =
            format!("POST {path} HTTP/1.1\r\ncontent-type: application/json\r\ntraceparent: {}", parent(trace, "01"));
        exchange(&server.http, &head, body.as_bytes()).await;
    }
    for path in ["/slots/offers", "/livez"] {
        let head = format!("GET {path} HTTP/1.1\r\ntraceparent: {}", parent('3', "01"));
        exchange(&server.http, &head, b"").await;
    }

    // Spans are sent every five seconds, and those that wait when the service stops are sent then.
    server.stop().await;
    let traces = collector.by_trace().await;
    task.abort();
    let mut described = Vec::new();
    for (trace, spans) in &traces {
        for span in spans {
            assert_eq!(hex(&span.trace_id), trace.to_string().repeat(32));
            assert_eq!(hex(&span.parent_span_id), CALLER, "{span:?}");
            assert_ne!(hex(&span.span_id), CALLER);
            assert_eq!(span.kind(), SpanKind::Server);
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
            let attribute = |key: &str| text(&span.attributes, key);
            let code = attribute("rpc.grpc.status_code") + &attribute("http.response.status_code");
            described.push(format!("{trace} {} {code} {}", span.name, attribute("slotwise.slot")));
        }
    }
    assert_eq!(
        described,
        [
            "1 POST /v1/Decide 200 offers",
            "2 POST /v1/{method} 404 ",
            "3 GET /slots/{slot} 200 offers",
            "a slotwise.v1.DecisionService/Decide 0 offers",
            "b slotwise.v1.DecisionService/Decide 5 nowhere",
            "d slotwise.v1.DecisionService/StreamDecide 0 offers",
            "e slotwise.v1.InsightService/ListDecisions 0 offers",
        ]
    );
    assert_eq!(traces[&'a'][0].trace_state, "shop=7");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_a_trace_become_spans_by_the_ratio() {
    let (collector, endpoint, task) = Collector::start().await;
    let (_folder, server, mut clients) = service(endpoint, 1.0).await;
    for _ in 0..100 {
        clients.decide(decide("offers")).await.unwrap();
    }
    server.stop().await;
    task.abort();
    let spans = collector.0.lock().await;
    let decides = spans.iter().filter(|(_, span)| span.name == "slotwise.v1.DecisionService/Decide");
    assert_eq!(decides.clone().count(), 100);
    assert!(decides.clone().all(|(_, span)| span.parent_span_id.is_empty()));
    // The service asked for its health until it was ready, and that is no span.
    assert!(!spans.iter().any(|(_, span)| span.name.contains("ealth")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_holds_up_no_call_and_no_end() {
    // The port was free a moment ago, and its number is not given to another program so soon.
    let endpoint = format!("http://{}", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let (folder, server, mut clients) = service(endpoint, 1.0).await;
    // More than the queue of spans takes.
    for _ in 0..2_500 {
        clients.decide(decide("offers")).await.unwrap();
    }
    server.stop().await;

    let server = InProcessServer::start(folder.path()).await;
    let request = GetSlotRequest { slot_id: "offers".into() };
    server.clients().await.slots.get_slot(request).await.unwrap();
    server.stop().await;
}

#[test]
fn the_standard_variables_name_the_collector() {
    for (variables, endpoint) in [
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")][..], Some("http://collector:4317")),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"), ("OTEL_SDK_DISABLED", "true")], None),
        (
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"), ("SLOTWISE_TRACES_ENDPOINT", "http://own:1")],
            Some("http://own:1"),
        ),
        (&[], None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = serve_command(folder.path());
        let output = command.arg("--print-config").envs(variables.iter().copied()).output().unwrap();
        let printed: toml::Table = toml::from_str(std::str::from_utf8(&output.stdout).unwrap()).unwrap();
        assert_eq!(printed["traces"].get("endpoint").and_then(toml::Value::as_str), endpoint, "{variables:?}");
    }
}
