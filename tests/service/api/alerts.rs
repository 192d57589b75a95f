//! Alerts of a real server about what its callers do: an arm that is resumed, and clients by their keys.

use std::collections::HashMap;

use slotwise::{
    access::{KeyDraft, KeyStore, Role},
    engine::Body,
    journal::{JournalReader, RecordRange},
    node::decode_event,
    wire::proto::{AlertKind, Controls, ListAlertsRequest, SetArmAvailabilityRequest, Slot},
};

use super::{
    http_get,
    support::{Clients, decide, slot, started},
};
use crate::{json::send, support::PATIENCE};

async fn set_available(clients: &mut Clients, arm: &str, available: bool) {
    let available = HashMap::from([(arm.to_owned(), available)]);
    let request =
        SetArmAvailabilityRequest { slot_id: "offers".into(), available, ..SetArmAvailabilityRequest::default() };
    clients.slots.set_arm_availability(request).await.unwrap();
}

async fn alerts(clients: &mut Clients) -> Vec<(AlertKind, String)> {
    let request = ListAlertsRequest { slot_id: "offers".into() };
    let listed = clients.insight.list_alerts(request).await.unwrap().into_inner().alerts;
    listed.into_iter().map(|alert| (alert.kind(), alert.sentence)).collect()
}

#[tokio::test]
async fn floors_that_an_arm_s_return_makes_too_high_are_listed() {
    let (_folder, server, mut clients) = started().await;
    let controls = Controls { floor: Some(0.5), ..Controls::default() };
    let mut definition = Slot { controls: Some(controls), ..slot("offers", &["a", "b", "c"]) };
    definition.arms[2].available = Some(false);
    clients.create(definition).await.unwrap();
    assert_eq!(alerts(&mut clients).await, []);
    set_available(&mut clients, "c", true).await;
    let found = alerts(&mut clients).await;
    assert!(
        matches!(found.as_slice(), [(AlertKind::FloorsAboveOne, sentence)] if sentence.contains("1.50")),
        "{found:?}"
    );
    let metrics = http_get(&server.http, "/metrics").await;
    assert!(metrics.contains(r#"slotwise_alerts{alert="floors_above_one",slot="offers"} 1"#), "{metrics}");
    set_available(&mut clients, "a", false).await;
    assert_eq!(alerts(&mut clients).await, []);
    server.stop().await;
}

/// The journal names the client of each decision by its key, from which the alert about clients without events follows.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_a_decision_is_recorded() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let draft = KeyDraft { name: "shop".into(), roles: [Role::Decide].into(), ..KeyDraft::default() };
    let key = KeyStore::new(folder.path()).create(draft, 0).unwrap().text;
    let until_asked_for = async {
        while clients.decide(decide("offers")).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, until_asked_for).await.expect("keys are asked for");
    let head = format!("POST /v1/Decide HTTP/1.1\r\ncontent-type: application/json\r\nauthorization: Bearer {key}");
    assert_eq!(send(&server.http, &head, br#"{"slotId": "offers"}"#).await.status, 200);
    server.stop().await;
    let mut found = Vec::new();
    let reader = JournalReader::open(folder.path()).unwrap();
    reader
        .each(RecordRange::default(), &mut |stored| {
            if let Body::Decided(decided) = decode_event(stored.body)?.body {
                found.push(decided.client.clone());
            }
            Ok(())
        })
        .unwrap();
    let (last, before) = found.split_last().unwrap();
    assert!(last == "shop" && before.iter().all(String::is_empty), "{found:?}");
}
