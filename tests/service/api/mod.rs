//! The API as a client sees it: a real server, a real client, and a free port.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

mod alerts;
mod catalogue;
mod figures;
mod identity;
mod requests;

use std::{collections::HashMap, time::Duration};

use crate::support::{self, InProcessServer, click, decide, http_get, slot, started};
use prost_types::FieldMask;
use slotwise::wire::proto::{
    Arm, BatchDecideRequest, Candidate, Consent, Controls, DecideRequest, DeleteSlotRequest, Fallback,
    GetSlotReportRequest, GetSlotRequest, ListRevisionsRequest, ListSlotsRequest, Policy, RecordRewardsRequest,
    RemoveArmsRequest, ResetSlotRequest, RewardEvent, RewardKind, RewardStatus, RollbackSlotRequest,
    SetArmAvailabilityRequest, Slot, SlotKind, SquareCbPolicy, UpdateSlotRequest, UpsertArmsRequest, policy,
};
use tonic::Code;

#[tokio::test]
async fn a_slot_is_created_updated_rolled_back_reset_and_deleted() {
    let (_folder, server, mut clients) = started().await;
    let made = clients.create(slot("offers", &["a", "b"])).await.unwrap();
    assert_eq!((made.revision, made.kind()), (1, SlotKind::Offer));

    let update = UpdateSlotRequest {
        slot: Some(Slot {
            slot_id: "offers".into(),
            controls: Some(Controls { floor: Some(0.1), exploration: Some(0.0), ..Controls::default() }),
            ..Slot::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["controls.floor".into()] }),
        reason: "show everything now and then".into(),
        validate_only: true,
        author: "ann".into(),
    };
    let validated = clients.slots.update_slot(update.clone()).await.unwrap().into_inner().slot.unwrap();
    assert_eq!((validated.revision, validated.controls.unwrap().floor), (2, Some(0.1)));
    let get = GetSlotRequest { slot_id: "offers".into() };
    let now = clients.slots.get_slot(get.clone()).await.unwrap().into_inner().slot.unwrap();
    assert_eq!(now, made, "validate_only changes nothing");
    let update = UpdateSlotRequest { validate_only: false, ..update };
    let updated = clients.slots.update_slot(update).await.unwrap().into_inner();
    assert_eq!((updated.arm_count, updated.available_arm_count), (2, 2));
    let controls = updated.slot.unwrap().controls.unwrap();
    assert_eq!(
        (controls.floor, controls.exploration),
        (Some(0.1), None),
        "the update changes only the fields of its mask"
    );

    let square_cb = policy::Policy::SquareCb(SquareCbPolicy { gamma: Some(20.0) });
    let policy = Some(Policy { policy: Some(square_cb) });
    let update = UpdateSlotRequest {
        slot: Some(Slot {
            slot_id: "offers".into(),
            controls: Some(Controls { floor: Some(0.7), policy, ..Controls::default() }),
            ..Slot::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["controls.policy".into()] }),
        validate_only: true,
        ..UpdateSlotRequest::default()
    };
    let validated = clients.slots.update_slot(update).await.unwrap().into_inner().slot.unwrap();
    assert_eq!(
        validated.controls.unwrap(),
        Controls { policy, ..controls.clone() },
        "the update changes only the fields of its mask"
    );

    let arms = vec![Arm { arm_id: "c".into(), ..Arm::default() }];
    let upsert = UpsertArmsRequest { slot_id: "offers".into(), arms, ..UpsertArmsRequest::default() };
    assert_eq!(clients.slots.upsert_arms(upsert).await.unwrap().into_inner().arm_count, 3);
    let remove =
        RemoveArmsRequest { slot_id: "offers".into(), arm_ids: vec!["a".into()], ..RemoveArmsRequest::default() };
    assert_eq!(clients.slots.remove_arms(remove).await.unwrap().into_inner().arm_count, 2);
    let available = SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        available: HashMap::from([("b".into(), false)]),
        ..SetArmAvailabilityRequest::default()
    };
    let off = clients.slots.set_arm_availability(available).await.unwrap().into_inner();
    assert_eq!((off.arm_count, off.available_arm_count), (2, 1));
    assert_eq!(clients.arms("offers").await[0].available, Some(false));
    for _ in 0..20 {
        assert_eq!(clients.decide(decide("offers")).await.unwrap().arms[0].arm_id, "c");
    }

    let rollback = RollbackSlotRequest {
        slot_id: "offers".into(),
        revision: 1,
        reason: "undo".into(),
        ..RollbackSlotRequest::default()
    };
    let back = clients.slots.rollback_slot(rollback).await.unwrap().into_inner();
    assert_eq!((back.slot.unwrap().revision, back.arm_count), (6, 2));
    assert_eq!(clients.arms("offers").await[1].available, Some(false), "the arm stays out of stock");
    let list = ListRevisionsRequest { slot_id: "offers".into(), page_size: 4, page_token: String::new() };
    let first = clients.slots.list_revisions(list.clone()).await.unwrap().into_inner();
    let list = ListRevisionsRequest { page_token: first.next_page_token, ..list };
    let second = clients.slots.list_revisions(list).await.unwrap().into_inner();
    let changes: Vec<_> =
        first.revisions.iter().chain(&second.revisions).map(|r| (r.revision, r.change.as_str())).collect();
    assert_eq!(
        changes,
        [
            (6, "rolled back to 1"),
            (5, "availability"),
            (4, "arms removed"),
            (3, "arms upserted"),
            (2, "updated"),
            (1, "created")
        ]
    );
    assert_eq!(second.revisions[0].reason, "show everything now and then");

    let reset =
        ResetSlotRequest { slot_id: "offers".into(), reason: "start over".into(), ..ResetSlotRequest::default() };
    clients.slots.reset_slot(reset).await.unwrap();
    let ask = GetSlotReportRequest { slot_id: "offers".into(), ..Default::default() };
    let report = clients.insight.get_slot_report(ask).await.unwrap().into_inner().report.unwrap();
    assert_eq!((report.decisions, report.revision), (0, 7));

    let delete = DeleteSlotRequest { slot_id: "offers".into(), ..DeleteSlotRequest::default() };
    clients.slots.delete_slot(delete).await.unwrap();
    assert_eq!(clients.slots.get_slot(get).await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn slots_are_listed_in_pages() {
    let (_folder, server, mut clients) = started().await;
    for id in ["e", "c", "a", "d", "b"] {
        clients.create(slot(id, &["x"])).await.unwrap();
    }
    let mut token = String::new();
    let mut found = Vec::new();
    loop {
        let page = ListSlotsRequest { page_size: 2, page_token: token };
        let page = clients.slots.list_slots(page).await.unwrap().into_inner();
        found.extend(page.slots.into_iter().map(|slot| slot.slot_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["a", "b", "c", "d", "e"]);
    server.stop().await;
}

#[tokio::test]
async fn a_reward_changes_the_very_next_decision_and_a_refund_takes_it_back() {
    let (_folder, server, mut clients) = started().await;
    let mut definition = slot("offers", &["a"]);
    let buy =
        RewardKind { kind: "buy".into(), weight: 1.0, use_value: true, cap: None, winsorize: None, role: 0, joins: 0 };
    definition.goal.get_or_insert_default().kinds.push(buy);
    clients.create(definition).await.unwrap();
    let first = clients.decide(decide("offers")).await.unwrap();
    let before = clients.decide(decide("offers")).await.unwrap().arms[0].expected_reward;
    let buy = RewardEvent { kind: "buy".into(), value: Some(80.0), ..click("e1", &first) };
    assert_eq!(clients.reward(buy).await.unwrap().status(), RewardStatus::Accepted);
    let after = clients.decide(decide("offers")).await.unwrap().arms[0].expected_reward;
    assert!(after > before + 10.0, "{before} {after}");
    let refund = RewardEvent { reverses_event_id: "e1".into(), ..click("e2", &first) };
    assert_eq!(clients.reward(refund).await.unwrap().status(), RewardStatus::Accepted);
    let refunded = clients.decide(decide("offers")).await.unwrap().arms[0].expected_reward;
    assert!(refunded.abs() < 1e-9, "{refunded}");
    server.stop().await;
}

/// A report that is read while nothing happens shows what the slot knows by then.
#[tokio::test]
async fn a_report_fades_while_nothing_happens() {
    let (_folder, server, mut clients) = started().await;
    let mut offers = slot("offers", &["a", "b"]);
    offers.controls.as_mut().unwrap().half_life = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    clients.create(offers).await.unwrap();
    for i in 0..20 {
        let decision = clients.decide(decide("offers")).await.unwrap();
        clients.reward(click(&format!("e{i}"), &decision)).await.unwrap();
    }
    let mut observations = async || {
        let request = GetSlotReportRequest { slot_id: "offers".into(), ..GetSlotReportRequest::default() };
        let report = clients.insight.get_slot_report(request).await.unwrap().into_inner().report.unwrap();
        report.arms.iter().map(|arm| arm.effective_observations).sum::<f64>()
    };
    let before = observations().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    // A fifteenth of the half-life leaves 95 %.
    let left = observations().await / before;
    assert!((0.5..0.98).contains(&left), "{left} of {before} observations are left");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_answers_each_batch_in_order() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a"])).await.unwrap();
    let decision = clients.decide(decide("offers")).await.unwrap();
    let batches: Vec<_> = (0..200)
        .map(|i| RecordRewardsRequest { events: (0..=i % 3).map(|j| click(&format!("e{i}-{j}"), &decision)).collect() })
        .collect();
    let mut answers = clients.feedback.stream_rewards(tokio_stream::iter(batches)).await.unwrap().into_inner();
    for i in 0..200 {
        let results = answers.message().await.unwrap().unwrap().results;
        assert_eq!(results.len(), i % 3 + 1, "batch {i}");
        assert!(results.iter().all(|r| r.status() == RewardStatus::Accepted), "batch {i}: {results:?}");
    }
    assert!(answers.message().await.unwrap().is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_request_id_and_an_event_id_hold_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    let mut definition = slot("offers", &["a", "b", "c", "d"]);
    definition.arms[0].payload = Some(prost_types::Struct::default());
    clients.create(definition).await.unwrap();
    let request = DecideRequest { request_id: "r1".into(), count: 4, ..decide("offers") };
    let first = clients.decide(request.clone()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(clients.decide(request.clone()).await.unwrap(), first);
    }
    let twice = BatchDecideRequest {
        requests: vec![DecideRequest { request_id: "r0".into(), ..decide("offers") }; 2],
        distinct_arms: false,
    };
    let twice: Vec<_> = clients.decide_all(twice).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(twice[0], twice[1], "a batch with the same request twice makes one decision");
    // Retries may come all at once. They still get one decision.
    let other = DecideRequest { request_id: "r2".into(), ..request.clone() };
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (mut clients, other) = (clients.clone(), other.clone());
            async move { clients.decide(other).await.unwrap() }
        })
        .collect();
    let mut all = Vec::new();
    let mut set = tokio::task::JoinSet::new();
    for task in tasks {
        set.spawn(task);
    }
    while let Some(done) = set.join_next().await {
        all.push(done.unwrap());
    }
    assert!(all.iter().all(|decision| *decision == all[0]));

    let event = RewardEvent { arm_id: "a".into(), ..click("e1", &first) };
    assert_eq!(clients.reward(event.clone()).await.unwrap().status(), RewardStatus::Accepted);
    server.stop().await;

    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    assert_eq!(clients.decide(request).await.unwrap(), first, "the decision is the same after a restart");
    assert_eq!(clients.reward(event).await.unwrap().status(), RewardStatus::Duplicate);
    server.stop().await;
}

#[tokio::test]
async fn a_slot_without_arms_answers_with_a_fallback_and_a_batch_shows_distinct_arms() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("empty", &[])).await.unwrap();
    let all = DecideRequest { count: 1_000, ..decide("empty") };
    assert_eq!(clients.decide(all).await.unwrap().arms.len(), 0, "a count above the number of arms shows all of them");
    let nothing = clients.decide(decide("empty")).await.unwrap();
    assert_eq!((nothing.fallback(), nothing.arms.len()), (Fallback::NoEligibleArm, 0));
    assert!(!nothing.decision_id.is_empty());

    clients.create(slot("page", &["a", "b", "c"])).await.unwrap();
    for _ in 0..20 {
        let batch = BatchDecideRequest { requests: vec![decide("page"); 4], distinct_arms: true };
        let responses: Vec<_> = clients.decide_all(batch).await.into_iter().map(Result::unwrap).collect();
        let mut arms: Vec<_> = responses[..3].iter().map(|r| r.arms[0].arm_id.clone()).collect();
        arms.sort();
        assert_eq!(arms, ["a", "b", "c"]);
        assert_eq!(responses[3].fallback(), Fallback::NoEligibleArm);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_open_catalogue_learns_arms_that_only_requests_name() {
    let (_folder, server, mut clients) = started().await;
    clients.create(Slot { open_catalogue: true, ..slot("search", &[]) }).await.unwrap();
    let candidates: Vec<_> = ["x", "y"].map(|id| Candidate { arm_id: id.into(), features: HashMap::new() }).into();
    let request = DecideRequest { candidates, consent: Consent::None.into(), ..decide("search") };
    for i in 0..30 {
        let decision = clients.decide(request.clone()).await.unwrap();
        if decision.arms[0].arm_id == "y" {
            clients.reward(click(&format!("e{i}"), &decision)).await.unwrap();
        }
    }
    // A decision without a reward counts once it is written, a moment after it is answered.
    let mut tries = 0;
    let report = loop {
        let ask = GetSlotReportRequest { slot_id: "search".into(), ..Default::default() };
        let report = clients.insight.get_slot_report(ask).await.unwrap().into_inner().report.unwrap();
        tries += 1;
        if report.decisions == 30 || tries > 1_000 {
            break report;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let shown: u64 = report.arms.iter().map(|arm| arm.shown).sum();
    assert_eq!((report.decisions, shown), (30, 30));
    assert!(report.arms.iter().any(|arm| arm.arm_id == "y" && arm.mean > 0.5 && !arm.available));
    server.stop().await;
}

#[tokio::test]
async fn an_explanation_lists_eligibility_and_probability_of_each_arm() {
    let (_folder, server, mut clients) = started().await;
    let mut definition = slot("offers", &["a", "b", "c"]);
    definition.arms[1].available = Some(false);
    clients.create(definition).await.unwrap();
    let explained = clients.decide(DecideRequest { explain: true, ..decide("offers") }).await.unwrap();
    let explanation = explained.explanation.unwrap();
    let of = |i: usize| (explanation.candidates[i].eligible, explanation.candidates[i].propensity);
    assert_eq!((of(0), of(1), of(2)), ((true, 0.5), (false, 0.0), (true, 0.5)));
    assert!(explanation.summary.contains(&explained.arms[0].arm_id), "{}", explanation.summary);
    server.stop().await;
}

#[tokio::test]
async fn health_reflection_and_metrics_are_served() {
    use tonic_reflection::pb::{v1, v1alpha};
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a"])).await.unwrap();
    let decision = clients.decide(decide("offers")).await.unwrap();
    clients.reward(click("e1", &decision)).await.unwrap();

    let channel = support::channel(&server.address).await;
    let ask = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut reflection = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let mut answers = reflection.server_reflection_info(tokio_stream::iter([ask])).await.unwrap().into_inner();
    let listed = format!("{:?}", answers.message().await.unwrap().unwrap());
    for service in ["DecisionService", "FeedbackService", "SlotService", "InsightService"] {
        assert!(listed.contains(&format!("slotwise.v1.{service}")), "{listed}");
    }
    let ask = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = old.server_reflection_info(tokio_stream::iter([ask])).await.unwrap().into_inner();
    assert!(format!("{:?}", answers.message().await.unwrap().unwrap()).contains("slotwise.v1.DecisionService"));

    let metrics = http_get(&server.http, "/metrics").await;
    for line in [
        "slotwise_decisions_total{outcome=\"decided\",slot=\"offers\"} 1",
        "slotwise_arms_shown_total{arm=\"a\",slot=\"offers\"} 1",
        "slotwise_rewards_total{kind=\"click\",result=\"accepted\",slot=\"offers\"} 1",
        "slotwise_pending_decisions{slot=\"offers\"} 1",
        "slotwise_decide_duration_seconds_count 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(http_get(&server.http, "/healthz").await.contains("200 OK"));
    server.stop().await;
}
