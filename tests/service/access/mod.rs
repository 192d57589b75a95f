//! Keys, roles and what they reach, on both ports of a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

mod commands;
mod limits;
mod simulated;
mod tls;
mod web;

use std::{collections::BTreeSet, path::Path, time::Duration};

use prost_reflect::DescriptorPool;
use serde_json::{Value, json};
use slotwise::{
    access::{KeyDraft, KeyStore, Role, SlotPattern, role_of_method},
    client::{CallOptions, Client, ClientError},
    wire::proto::{
        DESCRIPTORS, GetSlotRequest, ListRevisionsRequest, RecordRewardsRequest, RewardStatus,
        feedback_service_client::FeedbackServiceClient,
    },
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Request};

use crate::{
    json::{HttpAnswer, send},
    support::{Clients, InProcessServer, PATIENCE, channel, click, decide, http_get, slot, started},
};

/// Longest time until a running service takes a change of the keys.
const TAKEN: Duration = Duration::from_secs(1);

/// Creates a key in the folder of a service that may run.
pub(crate) fn create(folder: &Path, name: &str, roles: &[Role], slots: &[&str]) -> String {
    let slots = slots.iter().map(|pattern| pattern.parse::<SlotPattern>().unwrap()).collect();
    let roles = roles.iter().copied().collect();
    create_draft(folder, KeyDraft { name: name.into(), roles, slots, ..KeyDraft::default() })
}

fn create_draft(folder: &Path, draft: KeyDraft) -> String {
    KeyStore::new(folder).create(draft, 0).unwrap().text
}

/// Calls a method over JSON, with a key if one is given.
pub(crate) async fn call(http: &str, method: &str, key: Option<&str>, body: &Value) -> HttpAnswer {
    let key = key.map_or(String::new(), |key| format!("\r\nauthorization: Bearer {key}"));
    let head = format!("POST /v1/{method} HTTP/1.1\r\ncontent-type: application/json{key}");
    send(http, &head, body.to_string().as_bytes()).await
}

/// Waits until a call without a key is refused.
async fn until_keys_are_asked_for(http: &str) {
    let waited = tokio::time::timeout(TAKEN, async {
        while call(http, "ListSlots", None, &json!({})).await.status != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("keys are asked for within a second");
}

async fn with_key(server: &InProcessServer, key: &str) -> Client {
    let options = CallOptions { key: Some(key.to_owned()), ..CallOptions::default() };
    Client::connect_with(&server.address, &options).await.unwrap()
}

fn code(error: &ClientError) -> Code {
    let ClientError::Refused(status) = error else { panic!("{error}") };
    status.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_key_on_every_call_needs_one() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    assert_eq!(call(&server.http, "ListSlots", None, &json!({})).await.status, 200);

    let key = create(folder.path(), "shop", &[Role::Decide, Role::View], &[]);
    until_keys_are_asked_for(&server.http).await;
    let refused = clients.decide(decide("offers")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    assert!(refused.message().contains("authorization: Bearer"), "{refused}");
    let unknown = format!("{}x", &key[..key.len() - 1]);
    for wrong in ["sw_a_b", "nonsense", unknown.as_str()] {
        let answer = call(&server.http, "ListSlots", Some(wrong), &json!({})).await;
        assert_eq!((answer.status, answer.body["reason"].as_str()), (401, Some("KEY_UNKNOWN")), "{answer:?}");
    }
    let mut shop = with_key(&server, &key).await;
    shop.report("offers").await.unwrap();
    let answer = call(&server.http, "Decide", Some(&key), &json!({"slotId": "offers"})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // The other way to send it.
    let head = format!("POST /v1/ListSlots HTTP/1.1\r\ncontent-type: application/json\r\nx-api-key: {key}");
    assert_eq!(send(&server.http, &head, b"{}").await.status, 200);

    // Probes are open; metrics, the description of the API and reflection are not.
    for (path, status) in [("/livez", "200"), ("/readyz", "200"), ("/metrics", "401"), ("/openapi.json", "401")] {
        assert!(http_get(&server.http, path).await.starts_with(&format!("HTTP/1.1 {status}")), "{path}");
    }
    let head = format!("GET /metrics HTTP/1.1\r\nx-api-key: {key}");
    let answer = send(&server.http, &head, b"").await;
    assert_eq!(answer.status, 200);
    // Removing the file opens nothing.
    std::fs::remove_file(folder.path().join("access-keys.json")).unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(call(&server.http, "ListSlots", None, &json!({})).await.status, 401);
    server.stop().await;
    // A start without the file opens nothing either.
    let server = InProcessServer::start(folder.path()).await;
    assert_eq!(call(&server.http, "ListSlots", None, &json!({})).await.status, 401);
    server.stop().await;
}

/// A name of elsewhere that leads to the machine reaches no page and no call.
#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_http_port_answers_to_names_of_the_machine_only() {
    let (folder, server, _clients) = started().await;
    let statuses = async |host: &str| {
        let mut found = Vec::new();
        for path in ["GET /", "GET /metrics", "POST /v1/ListSlots"] {
            let head = format!("{path} HTTP/1.1\r\ncontent-type: application/json\r\nhost: {host}");
            found.push(send(&server.http, &head, b"{}").await.status);
        }
        found
    };
    assert_eq!(statuses("localhost:8080").await, [200, 200, 200]);
    assert_eq!(statuses("evil.example:8080").await, [403, 403, 403]);
    create(folder.path(), "shop", &[Role::View], &[]);
    until_keys_are_asked_for(&server.http).await;
    assert_eq!(statuses("slots.example").await, [303, 401, 401]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_each_role_may_make_the_calls_of_its_role_and_no_others() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let keys: Vec<(Role, String)> =
        Role::ALL.into_iter().map(|role| (role, create(folder.path(), role.name(), &[role], &[]))).collect();
    until_keys_are_asked_for(&server.http).await;
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let methods = pool.services().filter(|service| service.package_name() == "slotwise.v1");
    let methods: Vec<_> = methods.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    let mut tried = 0;
    for method in &methods {
        let needed = role_of_method(method.name()).unwrap_or_else(|| panic!("{} has no role", method.name()));
        for (role, key) in &keys {
            let allowed = *role == needed || *role == Role::Admin;
            // Streams answer 501 after the check of the role.
            let answer = call(&server.http, method.name(), Some(key), &json!({})).await;
            let denied = answer.status == 403;
            assert_eq!(denied, !allowed, "{} with the role {}: {answer:?}", method.name(), role.name());
            if denied {
                assert_eq!(answer.body["reason"], "ROLE_MISSING", "{answer:?}");
                assert!(answer.body["detail"].as_str().unwrap().contains(needed.name()), "{answer:?}");
            }
            tried += 1;
        }
    }
    assert_eq!(tried, methods.len() * Role::ALL.len());
    assert!(methods.len() >= 28, "{}", methods.len());
    server.stop().await;
}

/// A request of each call that names the slot `offers`, by its method.
fn requests_about_offers(decision: &str) -> Vec<(&'static str, Value)> {
    let slot = json!({"slotId": "offers"});
    let changed = json!({"slot": {"slotId": "offers", "displayName": "x"}, "updateMask": "displayName"});
    vec![
        ("Decide", slot.clone()),
        ("GetSlot", slot.clone()),
        ("ListArms", slot.clone()),
        ("ListRevisions", slot.clone()),
        ("GetRevision", json!({"slotId": "offers", "revision": "1"})),
        ("PreviewSlotChange", changed.clone()),
        ("GetSlotReport", slot.clone()),
        ("GetTimeSeries", slot.clone()),
        ("GetSegments", slot.clone()),
        ("ListAlerts", slot.clone()),
        ("ListFeatures", slot.clone()),
        ("ListDecisions", slot.clone()),
        ("ExplainDecision", json!({"slotId": "offers", "decisionId": decision})),
        ("ExplainDecision", json!({"decisionId": decision})),
        ("TryDecide", json!({"request": {"slotId": "offers"}})),
        ("CreateSlot", json!({"slot": {"slotId": "offers", "arms": [{"armId": "a"}]}})),
        ("UpdateSlot", changed),
        ("UpsertArms", json!({"slotId": "offers", "arms": [{"armId": "c"}]})),
        ("RemoveArms", json!({"slotId": "offers", "armIds": ["a"]})),
        ("SetArmAvailability", json!({"slotId": "offers", "available": {"a": false}})),
        ("SetSafeChoice", json!({"slotId": "offers", "on": true})),
        ("SetSafeChoice", json!({"on": true})),
        // A shopper event reaches every slot.
        ("RecordEvents", json!({"events": [{"eventId": "e1", "kind": "view", "subject": {"id": "ann"}}]})),
        // An item concerns every slot.
        ("UpsertItems", json!({"items": [{"itemId": "a"}]})),
        ("RemoveItems", json!({"itemIds": ["a"]})),
        ("SetItemAvailability", json!({"available": {"a": false}})),
        ("ListItems", json!({})),
        ("RollbackSlot", json!({"slotId": "offers", "revision": "1"})),
        ("CloneSlot", json!({"slotId": "offers", "newSlotId": "search-like-offers"})),
        ("CreateSlot", json!({"slot": {"slotId": "search-new"}, "startFrom": {"slotId": "offers"}})),
        ("RenameSlot", json!({"slotId": "offers", "newSlotId": "search-offers"})),
        ("RenameSlot", json!({"slotId": "search-home", "newSlotId": "offers-2"})),
        ("ResetArm", json!({"slotId": "offers", "armId": "a"})),
        // The records of a subject belong to no slot alone.
        ("ForgetSubject", json!({"subject": {"id": "ann"}})),
        ("ListForgotten", json!({})),
        ("CreateDraft", json!({"change": {"rollback": {"slotId": "offers", "revision": "1"}}})),
        ("ListDrafts", slot.clone()),
        ("GetDraft", json!({"slotId": "offers", "draftId": 1})),
        ("PreviewDraft", json!({"slotId": "offers", "draftId": 1})),
        ("ApproveDraft", json!({"slotId": "offers", "draftId": 1})),
        ("ApplyDraft", json!({"slotId": "offers", "draftId": 1})),
        ("DiscardDraft", json!({"slotId": "offers", "draftId": 1})),
        ("ImportObservations", json!({"slotId": "offers", "importId": "i", "part": 1})),
        ("DeleteSlot", slot.clone()),
        ("ResetSlot", slot),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_reaches_the_slots_of_its_patterns_alone() {
    let (folder, server, mut clients) = started().await;
    for id in ["offers", "search-home"] {
        clients.create(slot(id, &["a", "b"])).await.unwrap();
    }
    let decided = clients.decide(decide("offers")).await.unwrap();
    let key = create(folder.path(), "search", &[Role::Admin], &["search-*"]);
    let all = create(folder.path(), "all", &[Role::Admin], &[]);
    until_keys_are_asked_for(&server.http).await;
    let http = &server.http;

    let before = call(http, "GetSlot", Some(&all), &json!({"slotId": "offers"})).await.body;
    let requests = requests_about_offers(&decided.decision_id);
    let streams = [
        "StreamDecide",
        "StreamRewards",
        "StreamEvents",
        "StreamArmAvailability",
        "StreamItems",
        "ComparePolicies",
        "StreamExport",
        "ExportLearning",
        "ImportLearning",
        "ExportSubject",
    ];
    let per_entry = ["BatchDecide", "RecordRewards", "ListSlots", "GetSystemState"];
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let services = pool.services().filter(|service| service.package_name() == "slotwise.v1");
    let methods: BTreeSet<String> = services
        .flat_map(|service| service.methods().map(|method| method.name().to_owned()).collect::<Vec<_>>())
        .collect();
    let covered: BTreeSet<String> =
        requests.iter().map(|(name, _)| *name).chain(streams).chain(per_entry).map(str::to_owned).collect();
    assert_eq!(methods, covered, "every call is tried");
    for (method, body) in &requests {
        let answer = call(http, method, Some(&key), body).await;
        assert_eq!(
            (answer.status, answer.body["reason"].as_str()),
            (403, Some("SLOT_OUT_OF_REACH")),
            "{method}: {answer:?}"
        );
        let unknown = body.to_string().replace("offers", "nowhere");
        let other = call(http, method, Some(&key), &serde_json::from_str(&unknown).unwrap()).await;
        if unknown.contains("nowhere") && *method != "ExplainDecision" {
            assert_eq!(other.status, 403, "{method}: an unknown slot is refused alike: {other:?}");
        }
    }
    assert_eq!(call(http, "GetSlot", Some(&all), &json!({"slotId": "offers"})).await.body, before, "nothing changed");

    let batch = json!({"requests": [{"slotId": "offers"}, {"slotId": "search-home"}]});
    let results = call(http, "BatchDecide", Some(&key), &batch).await.body["results"].clone();
    assert_eq!(results[0]["status"]["code"], 7, "{results}");
    assert!(results[1]["response"]["decisionId"].is_string(), "{results}");
    let events = json!({"events": [
        {"eventId": "e1", "decisionId": decided.decision_id, "kind": "click"},
        {"eventId": "e2", "slotId": "offers", "subject": {"id": "ann"}, "armId": "a", "kind": "click"},
    ]});
    let results = call(http, "RecordRewards", Some(&key), &events).await.body["results"].clone();
    for (i, field) in [(0, "decision_id"), (1, "slot_id")] {
        assert_eq!(results[i]["status"], "REWARD_STATUS_REJECTED", "{results}");
        let message = results[i]["message"].as_str().unwrap();
        assert!(message.starts_with(field) && message.contains("may not reach the slot 'offers'"), "{message}");
    }
    let listed = call(http, "ListSlots", Some(&key), &json!({})).await.body;
    assert_eq!(listed["slots"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["slots"][0]["slotId"], "search-home");
    assert_eq!(call(http, "GetSlotReport", Some(&key), &json!({"slotId": "search-home"})).await.status, 200);

    // The calls that stream, over gRPC.
    let with = |message| {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        request
    };
    let denied = |refused: Result<(), tonic::Status>, what: &str| {
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied, "{what}");
    };
    let compare = slotwise::wire::proto::ComparePoliciesRequest { slot_id: "offers".into(), ..Default::default() };
    denied(clients.insight.compare_policies(with_as(&with, compare)).await.map(drop), "ComparePolicies");
    for slot_id in ["offers", ""] {
        let export = slotwise::wire::proto::StreamExportRequest { slot_id: slot_id.into(), ..Default::default() };
        denied(clients.insight.stream_export(with_as(&with, export)).await.map(drop), "StreamExport");
    }
    let availability = slotwise::wire::proto::SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        available: [("a".to_owned(), false)].into(),
        ..Default::default()
    };
    let changes = tokio_stream::iter([availability]);
    denied(clients.slots.stream_arm_availability(with_as(&with, changes)).await.map(drop), "StreamArmAvailability");
    server.stop().await;
}

/// Adds the headers of `with` to a message of any type.
fn with_as<T>(with: &impl Fn(()) -> Request<()>, message: T) -> Request<T> {
    let (metadata, extensions, ()) = with(()).into_parts();
    Request::from_parts(metadata, extensions, message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_within_a_second_and_its_stream_ends() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let decided = clients.decide(decide("offers")).await.unwrap();
    let key = create(folder.path(), "shop", &[Role::Record], &[]);
    until_keys_are_asked_for(&server.http).await;

    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    let mut feedback = FeedbackServiceClient::new(channel(&server.address).await);
    let mut answers = feedback.stream_rewards(request).await.unwrap().into_inner();
    let batch = |id: &str| RecordRewardsRequest { events: vec![click(id, &decided)] };
    sender.send(batch("e1")).await.unwrap();
    let first = answers.next().await.unwrap().unwrap();
    assert_eq!(first.results[0].status(), RewardStatus::Accepted);

    KeyStore::new(folder.path()).revoke("shop", 1).unwrap();
    let events = json!({"events": [{"eventId": "e2", "decisionId": decided.decision_id, "kind": "click"}]});
    let refused = tokio::time::timeout(TAKEN, async {
        loop {
            let answer = call(&server.http, "RecordRewards", Some(&key), &events).await;
            if answer.status == 401 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let refused = refused.await.expect("refused within a second");
    assert_eq!(refused.body["reason"], "KEY_REVOKED", "{refused:?}");
    sender.send(batch("e3")).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, answers.next()).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::Unauthenticated);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_author_of_a_change_is_who_authenticated() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let key = create(folder.path(), "anna's laptop", &[Role::Tune, Role::View], &[]);
    until_keys_are_asked_for(&server.http).await;
    let body = json!({"slotId": "offers", "available": {"a": false}, "author": "somebody else", "reason": "out"});
    assert_eq!(call(&server.http, "SetArmAvailability", Some(&key), &body).await.status, 200);
    let mut request = Request::new(ListRevisionsRequest { slot_id: "offers".into(), ..Default::default() });
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    let revisions = clients.slots.list_revisions(request).await.unwrap().into_inner().revisions;
    let actor = revisions[0].actor.as_ref().unwrap();
    assert_eq!((actor.principal.as_str(), revisions[0].author.as_str()), ("anna's laptop", "somebody else"));
    assert!(actor.origin.starts_with("127.0.0.1:"), "{actor:?}");
    server.stop().await;
}

/// A client that has no key is refused by each service of the gRPC port.
#[tokio::test(flavor = "multi_thread")]
async fn no_service_of_the_grpc_port_answers_without_a_key() {
    let folder = tempfile::tempdir().unwrap();
    create(folder.path(), "admin", &[Role::Admin], &[]);
    let server = InProcessServer::start(folder.path()).await;
    let mut clients = Clients::connect(&server.address).await;
    let unauthenticated = |status: tonic::Status| assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    unauthenticated(clients.decide(decide("offers")).await.unwrap_err());
    unauthenticated(clients.slots.get_slot(GetSlotRequest { slot_id: "offers".into() }).await.unwrap_err());
    let reward = RecordRewardsRequest::default();
    unauthenticated(clients.feedback.record_rewards(reward).await.unwrap_err());
    let report = slotwise::wire::proto::GetSlotReportRequest::default();
    unauthenticated(clients.insight.get_slot_report(report).await.unwrap_err());
    let mut reflection =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(channel(&server.address).await);
    let none = tokio_stream::iter(Vec::<tonic_reflection::pb::v1::ServerReflectionRequest>::new());
    unauthenticated(reflection.server_reflection_info(none).await.unwrap_err());
    server.stop().await;
}
