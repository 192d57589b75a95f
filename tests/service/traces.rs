//! Traces of callers in the service's log.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::io::Read as _;

use serde_json::Value;
use tonic::Request;

use crate::{
    json::send,
    support::{Clients, Process, decide, serve_command, slot},
};

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_trace_are_logged_with_its_id_on_both_ports() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve_command(folder.path());
    command.args(["--log", "warn,slotwise::calls=debug", "--log-format", "json"]);
    let mut process = Process::start_command(command);
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &["a"])).await.unwrap();

    let parent = |trace: char| format!("00-{}-00f067aa0ba902b7-01", trace.to_string().repeat(32));
    let head = format!("POST /v1/Decide HTTP/1.1\r\ncontent-type: application/json\r\ntraceparent: {}", parent('a'));
    assert_eq!(send(&process.http, &head, br#"{"slotId": "offers"}"#).await.status, 200);
    for (trace, slot) in [('b', "offers"), ('c', "nowhere")] {
        let mut request = Request::new(decide(slot));
        request.metadata_mut().insert("traceparent", parent(trace).parse().unwrap());
        assert_eq!(clients.decisions.decide(request).await.is_ok(), slot == "offers");
    }
    // A call without a trace, and one whose trace cannot be read.
    clients.decide(decide("offers")).await.unwrap();
    let mut request = Request::new(decide("offers"));
    request.metadata_mut().insert("traceparent", "00-nonsense".parse().unwrap());
    clients.decisions.decide(request).await.unwrap();

    process.signal(nix::sys::signal::Signal::SIGTERM);
    let mut log = String::new();
    process.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let called: Vec<String> = lines
        .iter()
        .filter(|line| line["target"] == "slotwise::calls")
        .map(|line| {
            let span = &line["span"];
            assert_eq!(span["parent_id"], "00f067aa0ba902b7", "{line}");
            let (trace, path) = (span["trace_id"].as_str().unwrap(), span["path"].as_str().unwrap());
            let fields = &line["fields"];
            format!("{} {path} {} {} {}", &trace[..1], fields["status"], fields["grpc"], fields["slot"])
        })
        .collect();
    assert_eq!(
        called,
        [
            "a /v1/Decide 200 null \"offers\"",
            "b /slotwise.v1.DecisionService/Decide 200 null \"offers\"",
            "c /slotwise.v1.DecisionService/Decide 200 5 \"nowhere\"",
        ],
        "{log}"
    );
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_program_without_opentelemetry_refuses_to_send_traces() {
    for print in [&["--print-config"][..], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = serve_command(folder.path());
        command.args(["--traces-endpoint", "http://127.0.0.1:4317"]).args(print);
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.lines().count() == 1 && error.contains("--features otlp"), "{error}");
    }
}
