//! Shopper events against a real server: one report reaches every slot and the shopper's profile.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::{fs, sync::Arc};

use slotwise::{
    bandit::Value,
    client::{CallOptions, Client, EventOutcome, EventReport, ReportedItem, RewardStatus},
    engine::{Request, State, Subject, snapshot},
    node::{fold, recover_state},
    slot::{Arm, ArmId, ChangeReason, Consent, Controls, Definition, Goal, RewardKind, SlotId, SlotKind},
    wire::proto::{RecordEventsRequest, ShopperEvent, event_service_client::EventServiceClient},
};
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::support::{self, InProcessServer, program, started};

fn slot_id(id: &str) -> SlotId {
    SlotId::parse("slot", id).unwrap()
}

fn definition(id: &str, simulated: bool) -> Definition {
    let arm = |(id, category): (&str, &str)| {
        let mut arm = Arm::new(ArmId::parse("arm", id).unwrap());
        arm.attributes.insert("category".into(), Value::Text(category.into()));
        Arc::new(arm)
    };
    let kind = |kind: &str, use_value: bool| RewardKind {
        kind: kind.into(),
        weight: 1.0,
        use_value,
        cap: None,
        winsorize: None,
        role: None,
        joins: None,
    };
    let kinds = vec![kind("click", false), kind("purchase", true)];
    Definition {
        kind: SlotKind::Block,
        arms: [("boots", "shoes"), ("cap", "hats"), ("parka", "coats")].map(arm).to_vec(),
        goal: Goal { kinds, currency: Some("EUR".into()), ..Goal::default() },
        controls: Controls { holdout: Some(0.0), simulated: Some(simulated), ..Controls::default() },
        ..Definition::new(slot_id(id))
    }
}

fn subject(id: &str, session_id: &str) -> Subject {
    Subject { id: id.into(), session_id: session_id.into() }
}

/// Starts a server with two slots for real shoppers and one for simulated ones.
async fn shop() -> (tempfile::TempDir, InProcessServer, Client) {
    let (folder, server, _) = started().await;
    let mut client = Client::connect(&server.address).await.unwrap();
    for (id, simulated) in [("page", false), ("email", false), ("sim", true)] {
        client.create_slot(&definition(id, simulated), &ChangeReason::default(), false).await.unwrap();
    }
    (folder, server, client)
}

async fn show(client: &mut Client, slot: &str, who: &Subject) -> String {
    let request = Request { subject: who.clone(), ..Request::new(slot_id(slot)) };
    client.decide(&request).await.unwrap().id
}

/// Returns an event with full consent.
fn event(id: &str, kind: &str, who: &Subject, items: &[&str]) -> EventReport {
    EventReport {
        consent: Some(Consent::Full),
        items: items.iter().map(|item| ReportedItem::new(*item)).collect(),
        ..EventReport::new(id, kind, who.clone())
    }
}

async fn record(client: &mut Client, event: EventReport) -> EventOutcome {
    client.record_shopper_events(vec![event]).await.unwrap().remove(0)
}

/// Slots and rewards of an outcome, in order.
fn rewards(outcome: &EventOutcome) -> Vec<(&str, &str, f64)> {
    outcome.joined.iter().map(|one| (one.slot_id.as_str(), one.arm_id.as_str(), one.reward)).collect()
}

async fn earned(client: &mut Client, slot: &str) -> f64 {
    client.report(slot).await.unwrap().arms.iter().map(|arm| arm.reward_sum).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_reported_once_and_its_refund_takes_it_back_in_every_slot() {
    let (_folder, server, mut client) = shop().await;
    let anna = subject("anna", "s1");
    for slot in ["page", "email"] {
        show(&mut client, slot, &anna).await;
    }
    let mut order = event("order-1", "purchase", &anna, &["boots", "cap"]);
    order.items[0].value = Some(80.0);
    order.items[1].value = Some(20.0);
    order.currency = Some("EUR".into());
    let foreseen = client.check_shopper_events(vec![order.clone()]).await.unwrap().remove(0);
    let outcome = record(&mut client, order.clone()).await;
    assert_eq!(outcome.status, RewardStatus::Accepted);
    assert!(outcome.profile_updated && outcome.message.is_empty(), "{outcome:?}");
    let wanted = [("email", "boots", 80.0), ("email", "cap", 20.0), ("page", "boots", 80.0), ("page", "cap", 20.0)];
    assert_eq!(rewards(&outcome), wanted);
    assert_eq!(rewards(&foreseen), wanted, "a check foresees it");
    assert!((earned(&mut client, "page").await - 100.0).abs() < 1e-9);

    assert_eq!(record(&mut client, order.clone()).await.status, RewardStatus::Duplicate);
    let other = EventReport { kind: "click".into(), ..order };
    let reused = record(&mut client, other).await;
    assert_eq!(reused.status, RewardStatus::Duplicate);
    assert!(reused.message.starts_with("event_id: "), "{}", reused.message);

    let refund = EventReport { reverses_event_id: Some("order-1".into()), ..event("refund-1", "purchase", &anna, &[]) };
    let outcome = record(&mut client, refund).await;
    let taken: f64 = outcome.joined.iter().map(|one| one.reward).sum();
    assert!((taken + 200.0).abs() < 1e-9, "{taken}");
    for slot in ["page", "email"] {
        assert!(earned(&mut client, slot).await.abs() < 1e-9);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_in_one_slot_shows_in_the_features_of_another_and_consent_is_kept() {
    let (folder, server, mut client) = shop().await;
    let anna = subject("anna", "s1");
    show(&mut client, "page", &anna).await;
    record(&mut client, event("c1", "click", &anna, &["boots"])).await;
    let id = show(&mut client, "email", &anna).await;
    let explained = client.explain_decision(&id).await.unwrap();
    let context: Vec<&str> = explained.context.keys().map(String::as_str).collect();
    assert_eq!(context, ["customer.interest", "customer.kind", "session.interest", "session.stage"]);
    // Without a stated consent the service's default holds, which keeps nothing of the customer.
    let bob = subject("bob", "s2");
    let unstated = EventReport { consent: None, ..event("c2", "click", &bob, &["cap"]) };
    assert!(record(&mut client, unstated).await.profile_updated);
    let id = show(&mut client, "page", &bob).await;
    let context = client.explain_decision(&id).await.unwrap().context;
    assert!(context.contains_key("session.interest") && !context.contains_key("customer.kind"), "{context:?}");
    // Consent that is withdrawn drops what was kept at once.
    let none = EventReport { consent: Some(Consent::None), ..event("c3", "click", &anna, &["cap"]) };
    let outcome = record(&mut client, none).await;
    assert!(outcome.profile_updated && outcome.joined.is_empty(), "{outcome:?}");
    let id = show(&mut client, "email", &anna).await;
    assert!(client.explain_decision(&id).await.unwrap().context.is_empty());
    // The ids of shoppers stand in no file but the table of names.
    server.stop().await;
    let journal = fs::read(folder.path().join("journal.sqlite3")).unwrap();
    assert!(!journal.windows(4).any(|bytes| bytes == b"anna"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_events_are_answered_one_by_one_and_change_nothing() {
    let (_folder, server, mut client) = shop().await;
    let anna = subject("anna", "s1");
    let good = || event("g", "click", &anna, &["boots"]);
    let long = "x".repeat(300);
    let cases = [
        (EventReport { event_id: String::new(), ..good() }, "event_id: "),
        (EventReport { kind: String::new(), ..good() }, "kind: "),
        (EventReport { query: long.clone(), ..good() }, "query: "),
        (EventReport { currency: Some("euro".into()), ..good() }, "currency: "),
        (EventReport { value: Some(f64::NAN), ..good() }, "value: "),
        (EventReport { items: vec![ReportedItem::new(""); 2], ..good() }, "items[0].item_id: "),
        (EventReport { items: vec![ReportedItem::new("a"); 201], ..good() }, "items: "),
        (
            EventReport { items: vec![ReportedItem { value: Some(1e13), ..ReportedItem::new("a") }], ..good() },
            "items[0].value: ",
        ),
        (EventReport { decision_ids: vec![long], ..good() }, "decision_ids[0]: "),
        (EventReport { time_us: Some(250_000_000_000_000_000), ..good() }, "time: "),
        (EventReport { subject: Subject::default(), ..good() }, "subject: "),
    ];
    let wanted: Vec<&str> = cases.iter().map(|(_, field)| *field).collect();
    let events: Vec<EventReport> = cases.into_iter().map(|(event, _)| event).collect();
    for (outcome, field) in client.record_shopper_events(events).await.unwrap().into_iter().zip(wanted) {
        assert!(matches!(&outcome.status, RewardStatus::Rejected(_)), "{field} {outcome:?}");
        assert!(outcome.message.starts_with(field) && !outcome.message.contains('\n'), "{field} {outcome:?}");
    }
    let mut raw = EventServiceClient::connect(server.address.clone()).await.unwrap();
    for events in [Vec::new(), vec![ShopperEvent::default(); 501]] {
        let refused = raw.record_events(RecordEventsRequest { events, validate_only: false }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    // A decision of nobody, and one that no slot of the goal counts.
    let unknown = EventReport { decision_ids: vec!["nonsense".into()], ..good() };
    assert!(matches!(record(&mut client, unknown).await.status, RewardStatus::Unmatched(_)));
    let id = show(&mut client, "page", &anna).await;
    let uncounted = EventReport { decision_ids: vec![id], ..event("u", "hug", &Subject::default(), &["boots"]) };
    let outcome = record(&mut client, uncounted).await;
    assert!(matches!(&outcome.status, RewardStatus::Unmatched(why) if why.contains("'hug'")), "{outcome:?}");
    assert!(earned(&mut client, "page").await.abs() < 1e-9);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_shoppers_reach_only_simulated_slots_and_profiles() {
    let (_folder, server, mut client) = shop().await;
    let options = CallOptions { simulated: true, ..CallOptions::default() };
    let mut simulator = Client::connect_with(&server.address, &options).await.unwrap();
    let anna = subject("anna", "s1");
    for slot in ["page", "sim"] {
        show(&mut client, slot, &anna).await;
    }
    let outcome = record(&mut simulator, event("c1", "click", &anna, &["boots"])).await;
    assert_eq!(rewards(&outcome), [("sim", "boots", 1.0)]);
    let id = show(&mut client, "page", &anna).await;
    assert!(client.explain_decision(&id).await.unwrap().context.is_empty());
    let id = show(&mut client, "sim", &anna).await;
    assert!(client.explain_decision(&id).await.unwrap().context.contains_key("session.interest"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_is_answered_in_order_and_survives_a_restart_byte_for_byte() {
    let (folder, server, mut client) = shop().await;
    let mut raw = EventServiceClient::connect(server.address.clone()).await.unwrap();
    let anna = subject("anna", "s1");
    show(&mut client, "page", &anna).await;
    let requests: Vec<RecordEventsRequest> = (0..40)
        .map(|i| {
            let one = |n: i32| ShopperEvent {
                event_id: format!("e{i}-{n}"),
                subject: Some(slotwise::wire::proto::Subject { id: "anna".into(), session_id: format!("s{}", i % 7) }),
                consent: slotwise::wire::proto::Consent::Full.into(),
                kind: ["click", "view", "purchase"][usize::try_from(n).unwrap()].into(),
                items: vec![slotwise::wire::proto::EventItem {
                    item_id: "boots".into(),
                    value: Some(3.5),
                    quantity: None,
                }],
                ..ShopperEvent::default()
            };
            RecordEventsRequest { events: (0..3).map(one).collect(), validate_only: false }
        })
        .collect();
    let mut answers = raw.stream_events(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let mut results = Vec::new();
    while let Some(answer) = answers.next().await {
        results.extend(answer.unwrap().results);
    }
    assert_eq!(results.len(), 120);
    assert!(results.iter().all(|result| result.profile_updated));
    server.stop().await;
    let data = folder.path().to_owned();
    let bytes = |state: &State| snapshot::encode(state).unwrap();
    let folded = fold(&data, 1).unwrap();
    assert_eq!(folded.profiles().unwrap().counts().buyers, 1);
    assert!(bytes(&folded) == bytes(&fold(&data, 3).unwrap()), "three workers");
    assert!(bytes(&folded) == bytes(&recover_state(&data, None, 2).unwrap()), "from the snapshot");
    let server = InProcessServer::start(folder.path()).await;
    let mut client = Client::connect(&server.address).await.unwrap();
    let id = show(&mut client, "email", &anna).await;
    let context = client.explain_decision(&id).await.unwrap().context;
    assert_eq!(context.get("customer.kind"), Some(&Value::Text("buyer".into())), "profiles are there after a restart");
    let again = record(&mut client, event("e0-0", "click", &anna, &["boots"])).await;
    assert_eq!(again.status, RewardStatus::Duplicate, "and so are the ids");
    let metrics = support::http_get(&server.http, "/metrics").await;
    for line in ["slotwise_profiles{kind=\"buyers\"} 1", "slotwise_shopper_events_total{result=\"duplicate\"} 1"] {
        assert!(metrics.contains(line), "{line}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_events_is_checked_line_by_line() {
    let (folder, server, mut client) = shop().await;
    show(&mut client, "page", &subject("anna", "s1")).await;
    let file = folder.path().join("plan.jsonl");
    let lines = [
        r#"{"eventId": "a", "kind": "click", "subject": {"id": "anna", "sessionId": "s1"}, "consent": "CONSENT_FULL", "items": [{"itemId": "boots"}]}"#,
        r#"{"eventId": "b", "kind": "view", "subject": {"sessionId": "s1"}, "items": [{"itemId": "boots"}]}"#,
        r#"{"eventId": "c", "kin": "view"}"#,
        r#"{"eventId": "d", "kind": "purchase", "subject": {"sessionId": "s1"}, "consent": "CONSENT_NONE"}"#,
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    let run = |target: &str, file: &std::path::Path| {
        program().args(["events", "check", "--target", target]).arg(file).output().unwrap()
    };
    let output = tokio::task::block_in_place(|| run(&server.address, &file));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("slot page: 1 rewards, 1 in all"), "{text}");
    assert!(text.contains("4 events: 1 join a decision, 1 only change a profile, 2 do nothing"), "{text}");
    assert!(text.contains("line 3: not an event: ") && text.contains("line 4: purchase unmatched: "), "{text}");
    let output = tokio::task::block_in_place(|| {
        program().args(["events", "check", "-o", "json", "--target", &server.address]).arg(&file).output().unwrap()
    });
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let statuses: Vec<_> = report["events"].as_array().unwrap().iter().map(|event| &event["status"]).collect();
    assert_eq!(statuses, ["accepted", "accepted", "malformed", "unmatched"], "{report}");
    assert_eq!((&report["events"][3]["line"], &report["without_effect"]), (&4.into(), &2.into()), "{report}");
    assert_eq!(report["events"][0]["rewards"][0]["arm_id"], "boots", "{report}");
    assert_eq!(report["slots"][0]["slot_id"], "page", "{report}");
    assert!(earned(&mut client, "page").await.abs() < 1e-9, "nothing was recorded");
    fs::write(&file, lines[0]).unwrap();
    assert!(tokio::task::block_in_place(|| run(&server.address, &file)).status.success());
    server.stop().await;
}
