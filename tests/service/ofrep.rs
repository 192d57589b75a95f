//! OpenFeature's protocol over HTTP: flags, bulk evaluations and errors, as its SDKs read them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use serde_json::{Value, json};
use slotwise::{
    access::{KeyDraft, KeyStore, Role},
    config::{Config, Limits},
    wire::proto::{
        ExplainDecisionRequest, GetSlotReportRequest, RecordRewardsRequest, RewardEvent, SetArmAvailabilityRequest,
        Slot, feature_value::Value as Feature,
    },
};

use crate::{
    json::{HttpAnswer, send},
    support::{Clients, InProcessServer, PATIENCE, slot, started},
};

/// Evaluates the flag of a slot.
async fn evaluate(http: &str, key: &str, body: &Value) -> HttpAnswer {
    evaluate_text(http, key, &body.to_string()).await
}

async fn evaluate_text(http: &str, key: &str, body: &str) -> HttpAnswer {
    let head = format!("POST /ofrep/v1/evaluate/flags/{key} HTTP/1.1\r\ncontent-type: application/json; charset=utf-8");
    send(http, &head, body.as_bytes()).await
}

/// Evaluates all flags, with more headers.
async fn bulk(http: &str, headers: &str, body: &Value) -> HttpAnswer {
    let head = format!("POST /ofrep/v1/evaluate/flags HTTP/1.1\r\ncontent-type: application/json{headers}");
    send(http, &head, body.to_string().as_bytes()).await
}

fn tag(answer: &HttpAnswer) -> String {
    let line = answer.headers.lines().find_map(|line| line.strip_prefix("etag: "));
    line.unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

async fn decisions(clients: &mut Clients, slot_id: &str) -> u64 {
    let report = GetSlotReportRequest { slot_id: slot_id.into(), ..GetSlotReportRequest::default() };
    clients.insight.get_slot_report(report).await.unwrap().into_inner().report.unwrap().decisions
}

/// Waits until a slot has that many decisions. They are applied after they were answered.
async fn until_decisions(clients: &mut Clients, slot_id: &str, wanted: u64) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while decisions(clients, slot_id).await != wanted {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "{slot_id} never had {wanted} decisions");
}

/// Starts a server whose bulk evaluations cover these slots.
async fn with_bulk(patterns: &[&str]) -> (tempfile::TempDir, InProcessServer, Clients) {
    let folder = tempfile::tempdir().unwrap();
    let bulk_slots = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
    let config = Config { data: folder.path().to_owned(), bulk_slots, ..Config::default() };
    let server = InProcessServer::start_with(config).await;
    let clients = server.clients().await;
    (folder, server, clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_is_a_recorded_decision_of_its_slot() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let context = json!({"targetingKey": "ann", "device": "phone", "basket": {"value": 42.5}, "none": null});
    let flag = evaluate(&server.http, "offers", &json!({ "context": context })).await;
    assert!(flag.status == 200 && flag.headers.contains("content-type: application/json"), "{flag:?}");
    let mut keys: Vec<&str> = flag.body.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["key", "metadata", "reason", "value", "variant"]);
    assert_eq!((&flag.body["key"], &flag.body["reason"]), (&json!("offers"), &json!("SPLIT")));
    assert_eq!(flag.body["value"], flag.body["variant"], "an arm without a payload is its id");

    let id = flag.body["metadata"]["decisionId"].as_str().unwrap();
    let told =
        clients.insight.explain_decision(ExplainDecisionRequest { slot_id: String::new(), decision_id: id.into() });
    let told = told.await.unwrap().into_inner();
    assert_eq!(told.subject.unwrap().id, "ann");
    assert_eq!(told.context["device"].value, Some(Feature::Text("phone".into())));
    assert_eq!(told.context["basket.value"].value, Some(Feature::Number(42.5)));
    assert_eq!(told.context.len(), 2);
    let shown = &told.decision.unwrap().arms[0];
    assert_eq!(flag.body["variant"], shown.arm_id.as_str());
    let propensity = flag.body["metadata"]["propensity"].as_f64().unwrap();
    assert_eq!(propensity.to_bits(), shown.propensity.to_bits());
    assert_eq!(flag.body["metadata"]["revision"], 1);

    // Four ways to target no subject.
    for body in ["", "{}", r#"{"context": {}}"#, r#"{"context": {"targetingKey": ""}}"#] {
        let flag = evaluate_text(&server.http, "offers", body).await;
        assert_eq!(flag.status, 200, "{body}: {flag:?}");
    }
    until_decisions(&mut clients, "offers", 5).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_are_values_and_a_slate_is_a_list() {
    let (_folder, server, mut clients) = started().await;
    for (id, payload) in
        [("on", json!({"value": true})), ("three", json!({"value": 3})), ("text", json!({"title": "A"}))]
    {
        let created = json!({"slot": {"slotId": id, "arms": [{"armId": "only", "payload": payload}]}});
        let head = "POST /v1/CreateSlot HTTP/1.1\r\ncontent-type: application/json";
        assert_eq!(send(&server.http, head, created.to_string().as_bytes()).await.status, 200);
    }
    assert_eq!(evaluate(&server.http, "on", &json!({})).await.body["value"], json!(true));
    assert_eq!(evaluate(&server.http, "text", &json!({})).await.body["value"], json!({"title": "A"}));
    // A number has a point, by which Python tells a float.
    let three = evaluate(&server.http, "three", &json!({})).await;
    assert_eq!(three.body["value"].to_string(), "3.0", "{three:?}");
    assert_eq!(three.body["metadata"]["propensity"].to_string(), "1.0", "{three:?}");

    clients.create(Slot { count: 2, ..slot("block", &["a", "b", "c"]) }).await.unwrap();
    let block = evaluate(&server.http, "block", &json!({})).await;
    let list = block.body["value"].as_array().unwrap();
    assert_eq!(list.len(), 2, "{block:?}");
    assert_eq!(list[0]["armId"], block.body["variant"]);
    assert_eq!((&list[1]["position"], &list[1]["value"]), (&json!(2), &list[1]["armId"]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_has_the_code_of_the_protocol() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let long = "x".repeat(300);
    for (key, body, status, code, words) in [
        ("offer", "{}", 404, "FLAG_NOT_FOUND", "did you mean 'offers'"),
        ("no%20slot", "{}", 404, "FLAG_NOT_FOUND", "slot_id"),
        ("offers", "{", 400, "PARSE_ERROR", "no JSON"),
        ("offers", "[]", 400, "PARSE_ERROR", "an object"),
        ("offers", r#"{"context": []}"#, 400, "INVALID_CONTEXT", "must be an object"),
        ("offers", r#"{"context": {"targetingKey": 1}}"#, 400, "INVALID_CONTEXT", "targetingKey"),
        ("offers", r#"{"context": {"targetingKey": "\u0007"}}"#, 400, "INVALID_CONTEXT", "subject.id"),
        ("offers", r#"{"context": {"a": [1, "b"]}}"#, 400, "INVALID_CONTEXT", "'a' is a list"),
        ("offers", &format!(r#"{{"context": {{"a": "{long}"}}}}"#), 400, "INVALID_CONTEXT", "context["),
        ("offers", r#"{"context": {"a": 1e13}}"#, 400, "INVALID_CONTEXT", "context["),
    ] {
        let answer = evaluate_text(&server.http, key, body).await;
        assert_eq!((answer.status, answer.body["errorCode"].as_str()), (status, Some(code)), "{body}: {answer:?}");
        assert!(answer.body["errorDetails"].as_str().unwrap().contains(words), "{body}: {answer:?}");
        assert_eq!(answer.body["key"], key.replace("%20", " "), "{answer:?}");
    }
    let simple = send(&server.http, "POST /ofrep/v1/evaluate/flags/offers HTTP/1.1\r\ncontent-type: text/plain", b"{}");
    assert_eq!(simple.await.body["errorCode"], "PARSE_ERROR", "a page of another site may send this");
    assert_eq!(decisions(&mut clients, "offers").await, 0, "an error changes nothing");

    let nothing = [("a".to_owned(), false), ("b".to_owned(), false)].into();
    let change = SetArmAvailabilityRequest { slot_id: "offers".into(), available: nothing, ..Default::default() };
    clients.slots.set_arm_availability(change).await.unwrap();
    let answer = evaluate(&server.http, "offers", &json!({})).await;
    assert_eq!((answer.status, answer.body["errorCode"].as_str()), (400, Some("GENERAL")), "{answer:?}");

    let draft = KeyDraft { name: "view".into(), roles: [Role::View].into(), ..KeyDraft::default() };
    let key = KeyStore::new(folder.path()).create(draft, 0).unwrap().text;
    let (mut without, mut with) = (0, 0);
    for _ in 0..50 {
        without = evaluate(&server.http, "offers", &json!({})).await.status;
        with = bulk(&server.http, &format!("\r\nauthorization: Bearer {key}"), &json!({})).await.status;
        if without == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!((without, with), (401, 403), "a key to read decides nothing");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_is_refused_with_the_time_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { bytes_in_flight: 2_000, ..Limits::default() };
    let config = Config { data: folder.path().to_owned(), limits, ..Config::default() };
    let server = InProcessServer::start_with(config).await;
    let answer = evaluate(&server.http, "offers", &json!({"context": {"a": "x".repeat(3_000)}})).await;
    assert!(answer.status == 429 && answer.headers.contains("retry-after: 1"), "{answer:?}");
    assert_eq!(answer.body["errorCode"], "GENERAL");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_evaluation_defers_the_decisions_of_the_slots_that_allow_it() {
    let (_folder, server, mut clients) = with_bulk(&["home-*"]).await;
    for id in ["home-b", "offers", "home-a"] {
        clients.create(slot(id, &["a", "b"])).await.unwrap();
    }
    let context = json!({"context": {"targetingKey": "ann", "device": "phone"}});
    let first = bulk(&server.http, "", &context).await;
    assert_eq!(first.status, 200, "{first:?}");
    let flags = first.body["flags"].as_array().unwrap();
    let keys: Vec<&str> = flags.iter().map(|flag| flag["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["home-a", "home-b"]);
    for flag in flags {
        assert!(flag["variant"].is_string() && flag["value"].is_string(), "{flag}");
        let metadata = &flag["metadata"];
        assert_eq!(
            (&flag["reason"], &metadata["deferred"], &metadata["revision"]),
            (&json!("SPLIT"), &json!(true), &json!(1))
        );
        assert!(metadata["propensity"].is_number() && metadata["decisionId"].is_string(), "{flag}");
    }
    let known = tag(&first);
    for header in [known.clone(), format!("W/{known}"), format!("\"other\", {known}")] {
        let again = bulk(&server.http, &format!("\r\nif-none-match: {header}"), &context).await;
        assert!(again.status == 304 && again.body.is_null() && tag(&again) == known, "{again:?}");
    }
    for id in ["home-a", "home-b", "offers"] {
        assert_eq!(decisions(&mut clients, id).await, 0, "{id}");
    }
    // A reward event of the kind "shown" confirms a flag, and so does one of a kind of the goal.
    let of_flag = |flag: &Value, kind: &str| RewardEvent {
        event_id: format!("{kind}-{}", flag["key"]),
        decision_id: flag["metadata"]["decisionId"].as_str().unwrap().to_owned(),
        kind: kind.to_owned(),
        ..RewardEvent::default()
    };
    let events = vec![of_flag(&flags[0], "shown"), of_flag(&flags[1], "click")];
    clients.feedback.record_rewards(RecordRewardsRequest { events }).await.unwrap();
    for id in ["home-a", "home-b"] {
        assert_eq!(decisions(&mut clients, id).await, 1, "{id}");
    }
    // A change that shows is a new answer.
    let change = SetArmAvailabilityRequest {
        slot_id: "home-a".into(),
        available: [(flags[0]["variant"].as_str().unwrap().to_owned(), false)].into(),
        ..Default::default()
    };
    clients.slots.set_arm_availability(change).await.unwrap();
    let changed = bulk(&server.http, &format!("\r\nif-none-match: {known}"), &context).await;
    assert!(changed.status == 200 && tag(&changed) != known, "{changed:?}");
    assert_ne!(changed.body["flags"][0]["variant"], flags[0]["variant"]);

    // A slot without an eligible arm fails alone, and a wrong context fails all.
    let nothing = [("a".to_owned(), false), ("b".to_owned(), false)].into();
    let change = SetArmAvailabilityRequest { slot_id: "home-a".into(), available: nothing, ..Default::default() };
    clients.slots.set_arm_availability(change).await.unwrap();
    let partly = bulk(&server.http, "", &context).await.body;
    assert_eq!(partly["flags"][0]["errorCode"], "GENERAL", "{partly}");
    assert_eq!((&partly["flags"][0]["key"], &partly["flags"][1]["key"]), (&json!("home-a"), &json!("home-b")));
    let wrong = bulk(&server.http, "", &json!({"context": {"a": "x".repeat(300)}})).await;
    assert_eq!((wrong.status, wrong.body["errorCode"].as_str()), (400, Some("INVALID_CONTEXT")), "{wrong:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_is_an_error_of_the_service() {
    let (_folder, server, mut clients) = with_bulk(&["*"]).await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let nested = format!("{{\"context\": {}1{}}}", "{\"a\":".repeat(2_000), "}".repeat(2_000));
    let bodies: [&[u8]; 8] = [
        b"null",
        b"\xff\xfe",
        b"{\"context\": {\"\": 1}}",
        b"{\"context\": {\"a\": 1e400}}",
        b"{\"context\": {\"a\": \"\\ud800\"}}",
        b"{\"context\": {\"a\": [[]]}}",
        b"{\"context\": {\"targetingKey\": {}}}",
        nested.as_bytes(),
    ];
    for path in ["/ofrep/v1/evaluate/flags/offers", "/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/%00"] {
        for body in bodies {
            let head = format!("POST {path} HTTP/1.1\r\ncontent-type: application/json");
            let answer = send(&server.http, &head, body).await;
            assert!((400..500).contains(&answer.status), "{path} {body:?}: {answer:?}");
            assert!(answer.body["errorCode"].is_string(), "{path} {body:?}: {answer:?}");
        }
    }
    server.stop().await;
}
