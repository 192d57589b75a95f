//! Imports: a slot learns decisions of the past, also across a kill of the service.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use serde_json::{Value, json};
use slotwise::node::{Clock as _, SystemClock, time_text};

use crate::{
    json::{HttpAnswer, send},
    support::{Clients, Process, slot},
};

async fn call(http: &str, method: &str, body: &Value) -> HttpAnswer {
    let head = format!("POST /v1/{method} HTTP/1.1\r\ncontent-type: application/json");
    send(http, &head, body.to_string().as_bytes()).await
}

/// Part of a log in which phones want `a` and other devices `b`.
fn part(number: u32) -> Value {
    let an_hour_ago = time_text(SystemClock::default().now_us() - 3_600_000_000);
    let row = |i: usize| {
        let (device, arm) = (["phone", "desktop"][i % 2], ["a", "b"][i / 2 % 2]);
        let reward = f64::from(u8::from((device == "phone") == (arm == "a")));
        json!({"time": an_hour_ago, "context": {"device": {"text": device}}, "armId": arm, "propensity": 0.5, "reward": reward})
    };
    let observations: Vec<Value> = (0..200).map(row).collect();
    json!({"slotId": "offers", "importId": "old", "part": number, "observations": observations})
}

/// Probability with which a device would be shown `a`; nothing is recorded.
async fn share_of_a(http: &str, device: &str) -> f64 {
    let request = json!({"slotId": "offers", "context": {"device": {"text": device}}, "explain": true});
    let tried = call(http, "TryDecide", &json!({ "request": request })).await;
    let candidates = tried.body["decision"]["explanation"]["candidates"].as_array().unwrap().clone();
    let of_a = candidates.iter().find(|candidate| candidate["armId"] == "a").unwrap();
    of_a["propensity"].as_f64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_starts_warm_from_an_import_and_keeps_it_across_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    assert!((0.3..0.7).contains(&share_of_a(&process.http, "phone").await));
    for number in 1..=3 {
        let answer = call(&process.http, "ImportObservations", &part(number)).await;
        assert_eq!((answer.status, &answer.body["parts"]), (200, &json!(number)), "{answer:?}");
    }
    let (phone, desktop) = (share_of_a(&process.http, "phone").await, share_of_a(&process.http, "desktop").await);
    assert!(phone > 0.9 && desktop < 0.1, "{phone} and {desktop}");
    drop(process);

    let process = Process::start(folder.path());
    let http = &process.http;
    assert_eq!(share_of_a(http, "phone").await.to_bits(), phone.to_bits(), "the fold learns the same");
    let again = call(http, "ImportObservations", &part(3)).await;
    assert_eq!((&again.body["repeated"], &again.body["observations"]), (&json!(true), &json!("600")), "{again:?}");
    assert_eq!(share_of_a(http, "phone").await.to_bits(), phone.to_bits(), "a repetition is not learned");
    let report = call(http, "GetSlotReport", &json!({"slotId": "offers"})).await;
    assert_eq!(report.body["report"].get("decisions"), None, "no decision was made: {report:?}");

    let mut wrong = part(4);
    for (field, value, path) in [
        ("armId", json!("c"), "observations[7].arm_id"),
        ("propensity", json!(0.0), "observations[7].propensity"),
        ("reward", json!("NaN"), "observations[7].reward"),
        ("time", json!("2100-01-01T00:00:00Z"), "observations[7].time"),
    ] {
        let right = wrong["observations"][7][field].clone();
        wrong["observations"][7][field] = value;
        let refused = call(http, "ImportObservations", &wrong).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (400, &json!(path)), "{refused:?}");
        wrong["observations"][7][field] = right;
    }
    let mut jumps = part(9);
    let refused = call(http, "ImportObservations", &jumps).await;
    assert!(refused.body["detail"].as_str().unwrap().contains("send 4 next"), "{refused:?}");
    jumps["slotId"] = json!("nowhere");
    assert_eq!(call(http, "ImportObservations", &jumps).await.status, 404);
    assert_eq!(call(http, "ImportObservations", &wrong).await.status, 200);
}
