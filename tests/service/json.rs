//! The JSON form of the API over HTTP, against the same service over gRPC.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use serde_json::{Value, json};
use slotwise::{
    config::{Config, Limits},
    wire::proto::{ExplainDecisionRequest, GetSlotReportRequest, ListRevisionsRequest},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{InProcessServer, PATIENCE, slot, started};

/// Answer over HTTP.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

/// Sends a request as it stands and reads the answer to its end.
pub(crate) async fn send(address: &str, head: &str, body: &[u8]) -> HttpAnswer {
    send_part(address, head, body, body.len()).await
}

/// Sends a request whose head promises a body of `bytes`, and the first part of it.
async fn send_part(address: &str, head: &str, body: &[u8], bytes: usize) -> HttpAnswer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "no end within {PATIENCE:?}");
    let text = String::from_utf8(bytes).unwrap();
    let (headers, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = headers.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    HttpAnswer {
        status,
        headers: headers.to_ascii_lowercase(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

async fn post(address: &str, call: &str, body: &[u8]) -> HttpAnswer {
    send(address, &format!("POST /v1/{call} HTTP/1.1\r\ncontent-type: application/json"), body).await
}

async fn call(address: &str, name: &str, body: &Value) -> HttpAnswer {
    post(address, name, body.to_string().as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_and_its_reward_over_json_are_those_of_grpc() {
    let (_folder, server, mut clients) = started().await;
    let http = &server.http;
    let created = call(
        http,
        "CreateSlot",
        &json!({"slot": {
            "slotId": "offers", "kind": "SLOT_KIND_OFFER",
            "arms": [{"armId": "a", "payload": {"title": "A", "price": 9.5, "tags": ["new", null]}}, {"armId": "b"}],
            "goal": {"kinds": [{"kind": "click", "weight": 1.0}], "window": "3600s"}
        }}),
    )
    .await;
    assert_eq!(created.status, 200, "{created:?}");

    let request = json!({"slot_id": "offers", "subject": {"id": "ann"}, "context": {"device": {"text": "phone"}}});
    let decided = call(http, "Decide", &request).await;
    assert!(decided.status == 200 && decided.headers.contains("content-type: application/json"), "{decided:?}");
    let (id, arm) = (decided.body["decisionId"].as_str().unwrap(), &decided.body["arms"][0]);
    let told =
        clients.insight.explain_decision(ExplainDecisionRequest { slot_id: "offers".into(), decision_id: id.into() });
    let told = told.await.unwrap().into_inner();
    let shown = &told.decision.as_ref().unwrap().arms[0];
    assert_eq!(arm["armId"], shown.arm_id.as_str());
    // The number is written so that it reads back bit for bit.
    assert_eq!(arm["propensity"].as_f64().unwrap().to_bits(), shown.propensity.to_bits());
    if shown.arm_id == "a" {
        assert_eq!(arm["payload"], json!({"title": "A", "price": 9.5, "tags": ["new", null]}));
    }
    assert_eq!(told.context["device"].value, Some(slotwise::wire::proto::feature_value::Value::Text("phone".into())));

    let event =
        json!({"eventId": "click-1", "slotId": "offers", "decisionId": id, "armId": arm["armId"], "kind": "click"});
    let rewarded = call(http, "RecordRewards", &json!({"events": [event]})).await;
    assert_eq!(rewarded.body["results"][0]["status"], "REWARD_STATUS_ACCEPTED", "{rewarded:?}");
    let report =
        clients.insight.get_slot_report(GetSlotReportRequest { slot_id: "offers".into(), ..Default::default() });
    let report = report.await.unwrap().into_inner().report.unwrap();
    assert_eq!((report.decisions, report.rewards), (1, 1));
    let same = call(http, "GetSlotReport", &json!({"slotId": "offers"})).await;
    // Integers of 64 bits are texts, because a number of JavaScript holds 53.
    assert_eq!(
        (&same.body["report"]["decisions"], &same.body["report"]["rewards"]),
        (&json!("1"), &json!("1")),
        "{same:?}"
    );

    // An error within a batch carries details, which have a JSON form too.
    let batch = json!({"requests": [{"slotId": "offers"}, {"slotId": "nobody"}]});
    let batch = call(http, "BatchDecide", &batch).await;
    assert!(batch.status == 200 && batch.body.to_string().contains("SLOT_NOT_FOUND"), "{batch:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_says_what_it_says_over_grpc_in_the_form_of_http() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let http = &server.http;
    let wrong = call(http, "Decide", &json!({"slotId": "offer"})).await;
    assert!(wrong.status == 404 && wrong.headers.contains("content-type: application/problem+json"), "{wrong:?}");
    let over_grpc = clients.decide(crate::support::decide("offer")).await.unwrap_err();
    assert_eq!(wrong.body["detail"], over_grpc.message());
    assert_eq!((&wrong.body["title"], &wrong.body["reason"]), (&json!("NOT_FOUND"), &json!("SLOT_NOT_FOUND")));
    assert_eq!(wrong.body["errors"][0]["field"], "slot_id");

    let of_type = call(http, "Decide", &json!({"slotId": "offers", "candidates": [{"armId": 3}]})).await;
    assert!(of_type.status == 400 && of_type.body["errors"][0]["field"] == "candidates[0].arm_id", "{of_type:?}");
    let many = call(http, "Decide", &json!({"slotId": "offers", "count": 5_000})).await;
    assert!(many.status == 400 && many.body["errors"][0]["field"] == "count", "{many:?}");

    let unknown = call(http, "Decid", &json!({})).await;
    assert!(unknown.status == 404 && unknown.body["detail"].as_str().unwrap().contains("'Decide'"), "{unknown:?}");
    assert_eq!(call(http, "StreamRewards", &json!({})).await.status, 501);
    let got = send(http, "GET /v1/Decide HTTP/1.1", b"").await;
    assert!(got.status == 405 && got.headers.contains("allow: post"), "{got:?}");
    for kind in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"] {
        let simple =
            send(http, &format!("POST /v1/Decide HTTP/1.1\r\n{kind}accept: */*"), br#"{"slotId":"offers"}"#).await;
        assert_eq!(simple.status, 415, "a page of another site may send '{kind}' without asking: {simple:?}");
    }
    let head = "POST /v1/Decide HTTP/1.1\r\ncontent-type: application/json";
    assert_eq!(send_part(http, head, b"{", 9 << 20).await.status, 413);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_over_json_count_against_the_limits_and_name_their_caller() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { bytes_in_flight: 2_000, ..Limits::default() };
    let server =
        InProcessServer::start_with(Config { data: folder.path().to_owned(), limits, ..Config::default() }).await;
    let mut clients = server.clients().await;
    clients.create(slot("offers", &["a"])).await.unwrap();
    let long = json!({"slotId": "offers", "requestId": "x".repeat(3_000)});
    let refused = call(&server.http, "Decide", &long).await;
    assert!(refused.status == 429 && refused.headers.contains("retry-after: 1"), "{refused:?}");
    assert!(refused.body["retry_after_ms"].as_u64().unwrap() > 0, "{refused:?}");

    let head = "POST /v1/SetArmAvailability HTTP/1.1\r\ncontent-type: application/json\r\nx-request-id: shop-77";
    let change = json!({"slotId": "offers", "available": {"a": false}, "author": "ann", "reason": "sold out"});
    let changed = send(&server.http, head, change.to_string().as_bytes()).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let history = clients.slots.list_revisions(ListRevisionsRequest { slot_id: "offers".into(), ..Default::default() });
    let history = format!("{:?}", history.await.unwrap().into_inner());
    assert!(history.contains("shop-77") && history.contains("127.0.0.1:"), "{history}");
    server.stop().await;
}

/// Returns the data of the events of a stream by their names; those of messages have none.
fn events(text: &str) -> Vec<(&str, Value)> {
    let event = |event: &'_ str| -> (String, Value) {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        (field("event: ").to_owned(), serde_json::from_str(field("data: ")).unwrap())
    };
    let named = text.split("\n\n").filter(|event| !event.is_empty()).map(event);
    let name = |name: String| match name.as_str() {
        "" => "",
        "end" => "end",
        "error" => "error",
        other => panic!("{other}"),
    };
    named.map(|(of, data)| (name(of), data)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_answers_comes_as_events() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    for n in 0..3 {
        let decided = clients.decide(crate::support::decide("offers")).await.unwrap();
        // A reward is answered once its decision is in the journal.
        clients.reward(crate::support::click(&format!("click-{n}"), &decided)).await.unwrap();
    }
    // Compressed events would come late, so they are not compressed.
    let head = "POST /v1/StreamExport HTTP/1.1\r\ncontent-type: application/json\r\naccept-encoding: gzip";
    let stream = async |body: &Value| {
        let (head, bytes) = crate::support::exchange(&server.http, head, body.to_string().as_bytes()).await;
        (head, String::from_utf8(crate::support::unchunked(&bytes)).unwrap())
    };
    let (headers, text) = stream(&json!({"slotId": "offers"})).await;
    assert!(headers.starts_with("http/1.1 200") && headers.contains("content-type: text/event-stream"), "{headers}");
    assert!(!headers.contains("content-encoding"), "{headers}");
    let events = events(&text);
    assert_eq!(events.last().unwrap().0, "end", "{text}");
    let parts = events
        .iter()
        .filter(|(name, _)| name.is_empty())
        .map(|(_, data)| data_encoding::BASE64.decode(data["content"].as_str().unwrap().as_bytes()).unwrap());
    let rows = String::from_utf8(parts.flatten().collect()).unwrap();
    assert_eq!(rows.lines().count(), 3, "{rows}");
    assert!(rows.lines().all(|row| serde_json::from_str::<Value>(row).unwrap()["slot"] == "offers"), "{rows}");

    let refused = call(&server.http, "StreamExport", &json!({"slotId": "offer"})).await;
    assert_eq!((refused.status, &refused.body["reason"]), (404, &json!("SLOT_NOT_FOUND")), "{refused:?}");
    server.stop().await;
}

/// No call answers any of these bodies with an error of the service, and the service lives.
#[tokio::test(flavor = "multi_thread")]
async fn no_body_is_an_error_of_the_service() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let document = send(&server.http, "GET /openapi.json HTTP/1.1", b"").await.body;
    let calls: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert!(calls.len() > 20, "{calls:?}");
    let nested = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let bodies: [&[u8]; 12] = [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{\"slotId\": \"offers\"} trailing",
        b"{\"slotId\": \"offers\", \"slot_id\": \"twice\"}",
        b"{\"slotId\": \"\\u0000\\ud800\"}",
        b"{\"slotId\": 1e400}",
        b"\xff\xfe\x00",
        b"{\"slotId\": \"offers\", \"count\": -1, \"context\": {\"x\": {\"number\": \"NaN\"}}}",
        b"{\"slotId\": \"offers\", \"pageToken\": \"abc\", \"pageSize\": 2147483647}",
        nested.as_bytes(),
    ];
    for path in calls {
        let name = path.strip_prefix("/v1/").unwrap();
        for body in bodies {
            let answer = post(&server.http, name, body).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
            assert!((200..500).contains(&answer.status), "{name} {shown}: {answer:?}");
            assert!(answer.status == 200 || answer.body["detail"].is_string(), "{name} {shown}: {answer:?}");
        }
    }
    assert_eq!(call(&server.http, "ListSlots", &json!({})).await.status, 200);
    server.stop().await;
}
