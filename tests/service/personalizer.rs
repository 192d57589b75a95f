//! The shape of Personalizer's API over HTTP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use serde_json::{Value, json};
use slotwise::{
    access::{KeyDraft, KeyStore, Role},
    wire::proto::{ExplainDecisionRequest, GetSlotReportRequest, Goal, RewardKind, Slot, SlotReport},
};

use crate::{
    json::{HttpAnswer, send},
    support::{Clients, slot, started},
};

/// Calls `/slots/{slot}/personalizer/{path}`.
async fn call(http: &str, path: &str, headers: &str, body: &Value) -> HttpAnswer {
    let (slot, rest) = path.split_once('/').unwrap();
    let head = format!("POST /slots/{slot}/personalizer/{rest} HTTP/1.1\r\ncontent-type: application/json{headers}");
    send(http, &head, body.to_string().as_bytes()).await
}

async fn post(http: &str, path: &str, body: &Value) -> HttpAnswer {
    call(http, path, "", body).await
}

/// Returns a slot with rewards as Personalizer has them, which takes any action.
fn personalizer_slot(id: &str) -> Slot {
    let kind = RewardKind { kind: "reward".into(), weight: 1.0, use_value: true, ..RewardKind::default() };
    let goal = Goal { kinds: vec![kind], ..Goal::default() };
    Slot { open_catalogue: true, goal: Some(goal), ..slot(id, &[]) }
}

async fn report(clients: &mut Clients, slot_id: &str) -> SlotReport {
    let report = GetSlotReportRequest { slot_id: slot_id.into(), ..GetSlotReportRequest::default() };
    clients.insight.get_slot_report(report).await.unwrap().into_inner().report.unwrap()
}

fn rank_request(event: &str) -> Value {
    json!({
        "contextFeatures": [{"time": "morning"}, {"user": {"loyal": true}}],
        "actions": [{"id": "pasta", "features": [{"price": 9}]}, {"id": "soup", "features": []}, {"id": "cake"}],
        "excludedActions": ["soup"], "eventId": event, "deferActivation": false
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rank_is_a_decision_and_its_first_reward_counts() {
    let (_folder, server, mut clients) = started().await;
    clients.create(personalizer_slot("menu")).await.unwrap();
    let http = &server.http;
    let ranked = post(http, "menu/v1.0/rank", &rank_request("e-1")).await;
    assert_eq!(ranked.status, 201, "{ranked:?}");
    let chosen = ranked.body["rewardActionId"].as_str().unwrap();
    let ranking = ranked.body["ranking"].as_array().unwrap();
    assert_eq!((ranking.len(), ranking[0]["id"].as_str(), &ranked.body["eventId"]), (3, Some(chosen), &json!("e-1")));
    assert_eq!(ranking[2], json!({"id": "soup", "probability": 0.0}), "an excluded action is never chosen");
    let sum: f64 = ranking.iter().map(|action| action["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{ranking:?}");

    let again = post(http, "menu/v1.0/rank", &rank_request("e-1")).await;
    assert_eq!((again.status, &again.body["rewardActionId"]), (201, &ranked.body["rewardActionId"]), "{again:?}");
    assert_eq!(again.body["ranking"][0], ranking[0]);
    assert!(again.body["ranking"][1]["probability"].is_null(), "{again:?}");

    for _ in 0..2 {
        let activated = send(http, "POST /slots/menu/personalizer/v1.0/events/e-1/activate HTTP/1.1", b"").await;
        assert_eq!(activated.status, 204, "{activated:?}");
    }
    for value in [0.75, 0.75, 0.1] {
        let rewarded = post(http, "menu/v1.0/events/e-1/reward", &json!({ "value": value })).await;
        assert_eq!(rewarded.status, 204, "{rewarded:?}");
    }
    let known = report(&mut clients, "menu").await;
    assert_eq!(
        (known.decisions, known.other_kind_rewards),
        (1, 0),
        "it counted already, and a repetition changes nothing"
    );
    let arm = known.arms.iter().find(|arm| arm.arm_id == chosen).unwrap();
    assert!((arm.reward_sum - 0.75).abs() < 1e-12, "{arm:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_id_of_the_service_is_that_of_the_decision() {
    let (_folder, server, mut clients) = started().await;
    clients.create(personalizer_slot("menu")).await.unwrap();
    clients.create(personalizer_slot("other")).await.unwrap();
    let ranked = post(&server.http, "menu/v1.1-preview.3/rank", &json!({"actions": [{"id": "a"}, {"id": "b"}]})).await;
    let event = ranked.body["eventId"].as_str().unwrap();
    let explain = ExplainDecisionRequest { slot_id: "menu".into(), decision_id: event.into() };
    let told = clients.insight.explain_decision(explain).await.unwrap().into_inner().decision.unwrap();
    assert_eq!(ranked.body["rewardActionId"], told.arms[0].arm_id.as_str());
    let reward = json!({"value": 1});
    let elsewhere = post(&server.http, &format!("other/v1.0/events/{event}/reward"), &reward).await;
    assert_eq!(
        (elsewhere.status, &elsewhere.body["error"]["code"]),
        (404, &json!("ResourceNotFound")),
        "{elsewhere:?}"
    );
    assert_eq!(post(&server.http, &format!("menu/v1.0/events/{event}/reward"), &reward).await.status, 204);
    assert_eq!(report(&mut clients, "menu").await.rewards, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rank_that_defers_its_activation_counts_once_it_is_activated() {
    let (_folder, server, mut clients) = started().await;
    clients.create(personalizer_slot("menu")).await.unwrap();
    let deferred = json!({"actions": [{"id": "a"}, {"id": "b"}], "deferActivation": true});
    let named = json!({"actions": [{"id": "a"}, {"id": "b"}], "deferActivation": true, "eventId": "d-1"});
    assert_eq!(post(&server.http, "menu/v1.0/rank", &named).await.status, 201);
    let made = post(&server.http, "menu/v1.0/rank", &deferred).await.body;
    let event = made["eventId"].as_str().unwrap();
    assert_eq!(report(&mut clients, "menu").await.decisions, 0);
    for _ in 0..2 {
        let activated = post(&server.http, &format!("menu/v1.0/events/{event}/activate"), &json!({})).await;
        assert_eq!(activated.status, 204, "{activated:?}");
    }
    assert_eq!(report(&mut clients, "menu").await.decisions, 1);
    assert_eq!(post(&server.http, "menu/v1.0/events/d-1/activate", &json!({})).await.status, 204);
    assert_eq!(report(&mut clients, "menu").await.decisions, 2, "also by the caller's id");
    let rewarded = post(&server.http, &format!("menu/v1.0/events/{event}/reward"), &json!({"value": 1})).await;
    assert_eq!(rewarded.status, 204, "{rewarded:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_places_show_different_actions_with_a_reward_each() {
    let (_folder, server, mut clients) = started().await;
    clients.create(personalizer_slot("home")).await.unwrap();
    let http = &server.http;
    let request = json!({
        "contextFeatures": [{"device": "phone"}],
        "actions": [{"id": "a", "features": []}, {"id": "b", "features": []}, {"id": "c", "features": []}],
        "slots": [
            {"id": "top", "features": [{"size": "large"}], "excludedActions": ["c"], "baselineAction": "b"},
            {"id": "side", "features": [], "excludedActions": [], "baselineAction": "a"}
        ],
        "eventId": "m-1"
    });
    let ranked = post(http, "home/v1.1-preview.3/multislot/rank", &request).await;
    assert_eq!((ranked.status, &ranked.body["eventId"]), (201, &json!("m-1")), "{ranked:?}");
    let slots = ranked.body["slots"].as_array().unwrap();
    assert_eq!((&slots[0]["id"], &slots[1]["id"]), (&json!("top"), &json!("side")));
    assert_ne!(slots[0]["rewardActionId"], slots[1]["rewardActionId"]);
    assert_ne!(slots[0]["rewardActionId"], "c", "{ranked:?}");
    let path = "home/v1.1-preview.3/multislot/events/m-1";
    let reward = json!({"reward": [{"slotId": "top", "value": 1.0}, {"slotId": "side", "value": 0.5}]});
    assert_eq!(post(http, &format!("{path}/reward"), &reward).await.status, 204);
    assert_eq!(post(http, &format!("{path}/activate"), &json!({})).await.status, 204);
    let known = report(&mut clients, "home").await;
    assert_eq!((known.decisions, known.rewards), (2, 2));
    let sum: f64 = known.arms.iter().map(|arm| arm.reward_sum).sum();
    assert!((sum - 1.5).abs() < 1e-12, "{known:?}");
    let unknown = json!({"reward": [{"slotId": "bottom", "value": 1.0}]});
    assert_eq!(post(http, &format!("{path}/reward"), &unknown).await.status, 404);

    // A place in error keeps all from being decided.
    let mut wrong = request.clone();
    wrong["slots"][1]["features"] = json!([{"note": "x".repeat(300)}]);
    wrong["eventId"] = json!("m-2");
    let refused = post(http, "home/v1.1-preview.3/multislot/rank", &wrong).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(report(&mut clients, "home").await.decisions, 2);
    let made = json!({"actions": [{"id": "a"}], "slots": [{"id": "top"}]});
    let made = post(http, "home/v1.1-preview.3/multislot/rank", &made).await.body;
    let path = format!("home/v1.1-preview.3/multislot/events/{}/reward", made["eventId"].as_str().unwrap());
    assert_eq!(post(http, &path, &json!({"reward": [{"slotId": "top", "value": 1}]})).await.status, 204);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_has_the_shape_of_that_api() {
    let (folder, server, mut clients) = started().await;
    clients.create(personalizer_slot("menu")).await.unwrap();
    clients.create(slot("offers", &["a"])).await.unwrap();
    let http = &server.http;
    let actions = json!([{"id": "a"}]);
    let deferred = json!({"actions": actions, "slots": [{"id": "top"}], "deferActivation": true});
    let nested = json!({"actions": [{"id": "a", "features": [{"x": [1, "b"]}]}]});
    let value = json!({"value": 1});
    for (path, body, status, code, words) in [
        ("menu/v1.0/rank", &json!({}), 400, "BadRequest", "missing field `actions`"),
        ("menu/v1.0/rank", &json!({"actions": []}), 400, "BadRequest", "1 to 200"),
        ("menu/v1.0/multislot/rank", &deferred, 400, "BadRequest", "deferActivation"),
        ("menu/v1.0/rank", &nested, 400, "BadRequest", "'x' is a list"),
        ("men/v1.0/rank", &json!({"actions": actions}), 404, "ResourceNotFound", "did you mean 'menu'"),
        ("offers/v1.0/rank", &json!({"actions": [{"id": "z"}]}), 400, "BadRequest", "no action is eligible"),
        ("menu/v1.0/events/never/reward", &value, 404, "ResourceNotFound", "there is no event 'never'"),
        ("menu/v1.0/events/never/activate", &value, 404, "ResourceNotFound", "there is no event 'never'"),
        ("menu/v1.0/events/never/reward", &json!({"value": "x"}), 400, "BadRequest", "the body"),
        ("offers/v1.0/events/never/reward", &value, 400, "BadRequest", "no kind 'reward'"),
    ] {
        let answer = post(http, path, body).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &json!(code)), "{path} {body}: {answer:?}");
        assert!(answer.body["error"]["message"].as_str().unwrap().contains(words), "{path} {body}: {answer:?}");
    }
    assert_eq!(report(&mut clients, "menu").await.decisions, 0, "an error changes nothing");
    let simple =
        send(http, "POST /slots/menu/personalizer/v1.0/rank HTTP/1.1\r\ncontent-type: text/plain", b"{}").await;
    assert_eq!(simple.status, 415, "a page of another site may send this");

    // The key stands in the header of that API's clients.
    let store = KeyStore::new(folder.path());
    let draft = |role: Role| KeyDraft { name: role.name().into(), roles: [role].into(), ..KeyDraft::default() };
    let keys = [Role::Decide, Role::Record].map(|role| store.create(draft(role), 0).unwrap().text);
    let rank = json!({"actions": actions, "eventId": "k"});
    for _ in 0..50 {
        if post(http, "menu/v1.0/rank", &rank).await.status == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let with = |key: &String| format!("\r\nocp-apim-subscription-key: {key}");
    let mut statuses = Vec::new();
    for key in &keys {
        statuses.push(call(http, "menu/v1.0/rank", &with(key), &rank).await.status);
        statuses.push(call(http, "menu/v1.0/events/k/reward", &with(key), &value).await.status);
    }
    assert_eq!(statuses, [201, 403, 403, 204]);
    server.stop().await;
}
