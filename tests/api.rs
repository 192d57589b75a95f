//! The API as a client sees it: a real server, a real client, port 0.

mod support;

use std::collections::HashMap;

use prost_types::FieldMask;
use slotwise::wire::proto::{
    Arm, BatchDecideRequest, Candidate, Consent, Controls, DecideRequest, DeleteSlotRequest, Fallback, FeatureValue,
    GetSlotReportRequest, GetSlotRequest, Goal, LinearModel, ListRevisionsRequest, ListSlotsRequest, Model,
    RecordRewardsRequest, RemoveArmsRequest, ResetSlotRequest, RewardEvent, RewardKind, RewardStatus,
    RollbackSlotRequest, SetArmAvailabilityRequest, Slot, SlotKind, Subject, TextList, UpdateSlotRequest,
    UpsertArmsRequest, feature_value::Value, model,
};
use support::{Clients, Server, click, context, decide, number, slot, text};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

async fn started() -> (tempfile::TempDir, Server, Clients) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let clients = server.clients().await;
    (folder, server, clients)
}

#[track_caller]
fn check(status: &Status, code: Code, field: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let named = status.get_details_bad_request().map(|bad| bad.field_violations[0].field.clone());
    assert_eq!(named.as_deref(), Some(field), "{}", status.message());
    assert!(status.get_details_error_info().is_some(), "{status:?}");
}

#[tokio::test]
async fn a_slot_lives_through_its_whole_life() {
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
    };
    let would_be = clients.slots.update_slot(update.clone()).await.unwrap().into_inner().slot.unwrap();
    assert_eq!((would_be.revision, would_be.controls.unwrap().floor), (2, Some(0.1)));
    let get = GetSlotRequest { slot_id: "offers".into() };
    let now = clients.slots.get_slot(get.clone()).await.unwrap().into_inner().slot.unwrap();
    assert_eq!(now, made, "validate_only changes nothing");
    let update = UpdateSlotRequest { validate_only: false, ..update };
    let updated = clients.slots.update_slot(update).await.unwrap().into_inner().slot.unwrap();
    let controls = updated.controls.unwrap();
    assert_eq!((controls.floor, controls.exploration), (Some(0.1), None), "only what the mask names");
    assert_eq!(updated.arms.len(), 2);

    let arms = vec![Arm { arm_id: "c".into(), ..Arm::default() }];
    let upsert = UpsertArmsRequest { slot_id: "offers".into(), arms, reason: String::new() };
    assert_eq!(clients.slots.upsert_arms(upsert).await.unwrap().into_inner().slot.unwrap().arms.len(), 3);
    let remove = RemoveArmsRequest { slot_id: "offers".into(), arm_ids: vec!["a".into()], reason: String::new() };
    assert_eq!(clients.slots.remove_arms(remove).await.unwrap().into_inner().slot.unwrap().arms.len(), 2);
    let available = SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        available: HashMap::from([("b".into(), false)]),
        reason: String::new(),
    };
    let off = clients.slots.set_arm_availability(available).await.unwrap().into_inner().slot.unwrap();
    assert_eq!(off.arms[0].available, Some(false));
    for _ in 0..20 {
        assert_eq!(clients.decide(decide("offers")).await.unwrap().arms[0].arm_id, "c");
    }

    let rollback = RollbackSlotRequest { slot_id: "offers".into(), revision: 1, reason: "undo".into() };
    let back = clients.slots.rollback_slot(rollback).await.unwrap().into_inner().slot.unwrap();
    assert_eq!((back.revision, back.arms.len()), (6, 2));
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

    let reset = ResetSlotRequest { slot_id: "offers".into(), reason: "start over".into() };
    clients.slots.reset_slot(reset).await.unwrap();
    let ask = GetSlotReportRequest { slot_id: "offers".into() };
    let report = clients.insight.get_slot_report(ask).await.unwrap().into_inner().report.unwrap();
    assert_eq!((report.decisions, report.revision), (0, 7));

    let delete = DeleteSlotRequest { slot_id: "offers".into(), reason: String::new() };
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

/// Every malformed message is refused with the field it is about, and changes nothing.
#[tokio::test]
async fn bad_input_is_refused_by_its_field_and_changes_nothing() {
    let (_folder, server, mut clients) = started().await;
    let before = clients.create(slot("offers", &["apple", "pear"])).await.unwrap();

    let candidate = |id: &str| Candidate { arm_id: id.into(), features: HashMap::new() };
    let decides: Vec<(DecideRequest, Code, &str)> = vec![
        (decide(""), Code::InvalidArgument, "slot_id"),
        (decide("of fers"), Code::InvalidArgument, "slot_id"),
        (decide("ofers"), Code::NotFound, "slot_id"),
        (DecideRequest { count: 100_000, ..decide("offers") }, Code::InvalidArgument, "count"),
        (DecideRequest { consent: 17, ..decide("offers") }, Code::InvalidArgument, "consent"),
        (DecideRequest { request_id: "x".repeat(129), ..decide("offers") }, Code::InvalidArgument, "request_id"),
        (DecideRequest { request_id: "ä".into(), ..decide("offers") }, Code::InvalidArgument, "request_id"),
        (
            DecideRequest {
                subject: Some(Subject { id: "\u{7}".into(), session_id: String::new() }),
                ..decide("offers")
            },
            Code::InvalidArgument,
            "subject.id",
        ),
        (
            DecideRequest { candidates: vec![candidate("aple")], ..decide("offers") },
            Code::InvalidArgument,
            "candidates[0].arm_id",
        ),
        (
            DecideRequest { candidates: vec![candidate("apple"), candidate("")], ..decide("offers") },
            Code::InvalidArgument,
            "candidates[1].arm_id",
        ),
        (
            DecideRequest { candidates: vec![candidate("apple"), candidate("apple")], ..decide("offers") },
            Code::InvalidArgument,
            "candidates[1].arm_id",
        ),
        (
            DecideRequest {
                candidates: (0..10_000).map(|i| candidate(&format!("a{i}"))).collect(),
                ..decide("offers")
            },
            Code::InvalidArgument,
            "candidates",
        ),
        (
            DecideRequest { context: context(&[("x", number(f64::NAN))]), ..decide("offers") },
            Code::InvalidArgument,
            "context[\"x\"]",
        ),
        (
            DecideRequest { context: context(&[("x", number(1e300))]), ..decide("offers") },
            Code::InvalidArgument,
            "context[\"x\"]",
        ),
        (
            DecideRequest { context: context(&[("x", FeatureValue { value: None })]), ..decide("offers") },
            Code::InvalidArgument,
            "context[\"x\"]",
        ),
        (
            DecideRequest { context: context(&[("", number(1.0))]), ..decide("offers") },
            Code::InvalidArgument,
            "context",
        ),
        (
            DecideRequest { context: context(&[("w", text(&"w".repeat(300)))]), ..decide("offers") },
            Code::InvalidArgument,
            "context[\"w\"]",
        ),
        (
            DecideRequest {
                context: context(&[(
                    "w",
                    FeatureValue { value: Some(Value::Texts(TextList { values: vec!["a".into(); 65] })) },
                )]),
                ..decide("offers")
            },
            Code::InvalidArgument,
            "context[\"w\"]",
        ),
        (
            DecideRequest { context: (0..201).map(|i| (format!("f{i}"), number(1.0))).collect(), ..decide("offers") },
            Code::InvalidArgument,
            "context",
        ),
    ];
    for (request, code, field) in decides {
        let batch = BatchDecideRequest { requests: vec![decide("offers"), request.clone()], distinct_arms: false };
        check(&clients.decide(request).await.unwrap_err(), code, field);
        check(&clients.decisions.batch_decide(batch).await.unwrap_err(), code, &format!("requests[1].{field}"));
    }
    check(
        &clients.decisions.batch_decide(BatchDecideRequest::default()).await.unwrap_err(),
        Code::InvalidArgument,
        "requests",
    );

    let kind = |kind: &str, weight| RewardKind { kind: kind.into(), weight, use_value: false, cap: None };
    let with = |edit: &dyn Fn(&mut Slot)| {
        let mut slot = slot("offers", &["apple", "pear"]);
        edit(&mut slot);
        slot
    };
    let controls = |edit: &dyn Fn(&mut Controls)| with(&|slot| edit(slot.controls.get_or_insert_default()));
    let goal = |goal: Goal| with(&move |slot| slot.goal = Some(goal.clone()));
    let duration = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let slots: Vec<(Slot, &str)> = vec![
        (with(&|s| s.slot_id.clear()), "slot.slot_id"),
        (with(&|s| s.kind = 9), "slot.kind"),
        (with(&|s| s.display_name = "x".repeat(300)), "slot.display_name"),
        (with(&|s| s.arms[1].arm_id = "apple".into()), "slot.arms[1].arm_id"),
        (with(&|s| s.arms[1].arm_id = "no good".into()), "slot.arms[1].arm_id"),
        (
            with(&|s| drop(s.arms[0].attributes.insert("p".into(), number(f64::INFINITY)))),
            "slot.arms[0].attributes[\"p\"]",
        ),
        (with(&|s| s.default_arm_id = "plum".into()), "slot.default_arm_id"),
        (with(&|s| s.count = 5_000), "slot.count"),
        (controls(&|c| c.floor = Some(1.5)), "slot.controls.floor"),
        (controls(&|c| c.floor = Some(f64::NAN)), "slot.controls.floor"),
        (controls(&|c| (c.floor, c.ceiling) = (Some(0.5), Some(0.4))), "slot.controls.floor"),
        (controls(&|c| c.ceiling = Some(0.0)), "slot.controls.ceiling"),
        (controls(&|c| c.exploration = Some(-1.0)), "slot.controls.exploration"),
        (controls(&|c| c.holdout = Some(2.0)), "slot.controls.holdout"),
        (controls(&|c| c.half_life = duration(1)), "slot.controls.half_life"),
        (goal(Goal { kinds: vec![kind("", 1.0)], ..Goal::default() }), "slot.goal.kinds[0].kind"),
        (goal(Goal { kinds: vec![kind("a", 1.0), kind("a", 2.0)], ..Goal::default() }), "slot.goal.kinds[1].kind"),
        (goal(Goal { kinds: vec![kind("a", f64::NAN)], ..Goal::default() }), "slot.goal.kinds[0].weight"),
        (goal(Goal { default_reward: f64::INFINITY, ..Goal::default() }), "slot.goal.default_reward"),
        (goal(Goal { window: duration(0), ..Goal::default() }), "slot.goal.window"),
        (goal(Goal { window: duration(i64::MAX), ..Goal::default() }), "slot.goal.window"),
        (goal(Goal { aggregation: 7, ..Goal::default() }), "slot.goal.aggregation"),
        (
            with(&|s| {
                let linear = LinearModel { prior_precision: Some(0.0), dimension_budget: None };
                s.model = Some(Model { model: Some(model::Model::Linear(linear)) });
            }),
            "slot.model.linear.prior_precision",
        ),
    ];
    for (slot, field) in slots {
        let create = clients.create(Slot { slot_id: slot.slot_id.replace("offers", "fresh"), ..slot.clone() }).await;
        check(&create.unwrap_err(), Code::InvalidArgument, field);
        let update = UpdateSlotRequest { slot: Some(slot), ..UpdateSlotRequest::default() };
        check(&clients.slots.update_slot(update).await.unwrap_err(), Code::InvalidArgument, field);
    }
    check(&clients.create(slot("offers", &["x"])).await.unwrap_err(), Code::AlreadyExists, "slot.slot_id");
    let unmaskable = UpdateSlotRequest {
        slot: Some(slot("offers", &["apple"])),
        update_mask: Some(FieldMask { paths: vec!["arms.0".into()] }),
        ..UpdateSlotRequest::default()
    };
    check(&clients.slots.update_slot(unmaskable).await.unwrap_err(), Code::InvalidArgument, "update_mask");
    let stale = UpdateSlotRequest {
        slot: Some(Slot { revision: 7, ..slot("offers", &["x"]) }),
        ..UpdateSlotRequest::default()
    };
    let stale = clients.slots.update_slot(stale).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    assert!(stale.get_details_precondition_failure().is_some());
    let gone = RemoveArmsRequest { slot_id: "offers".into(), arm_ids: vec!["appel".into()], reason: String::new() };
    let gone = clients.slots.remove_arms(gone).await.unwrap_err();
    check(&gone, Code::InvalidArgument, "arm_ids[0]");
    assert!(gone.message().contains("did you mean 'apple'"), "{}", gone.message());

    // Bytes that are no such message.
    let garbage = reqwest_like(&server.address, "/slotwise.v1.DecisionService/Decide", &[0xff; 40]).await;
    assert_ne!(garbage, Code::Ok);

    let after = clients.slots.get_slot(GetSlotRequest { slot_id: "offers".into() }).await.unwrap().into_inner();
    assert_eq!(after.slot.unwrap(), before, "nothing changed");
    let ask = GetSlotReportRequest { slot_id: "offers".into() };
    let report = clients.insight.get_slot_report(ask).await.unwrap().into_inner().report.unwrap();
    assert_eq!(report.decisions, 0, "not one decision of a failed batch was recorded");
    assert_eq!(clients.decide(decide("offers")).await.unwrap().arms.len(), 1, "and it goes on");
    server.stop().await;
}

/// Calls a method with raw bytes for a message, and returns the code of the answer.
async fn reqwest_like(address: &str, path: &'static str, bytes: &[u8]) -> Code {
    use slotwise::wire::proto::DecideResponse;
    let mut client = tonic::client::Grpc::new(support::channel(address).await);
    client.ready().await.unwrap();
    // A message whose one field holds the bytes where the API has a string that must be UTF-8.
    let message = prost_types::Any { type_url: String::new(), value: bytes.to_vec() };
    let codec = tonic_prost::ProstCodec::<prost_types::Any, DecideResponse>::default();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
    client.unary(tonic::Request::new(message), path, codec).await.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn one_bad_event_does_not_fail_its_batch() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a"])).await.unwrap();
    clients.create(slot("others", &["a"])).await.unwrap();
    let decision = clients.decide(decide("offers")).await.unwrap();
    let good = |id: &str| click(id, &decision);
    let far = prost_types::Timestamp { seconds: 99_999_999_999, nanos: 0 };
    let cases: Vec<(RewardEvent, RewardStatus, &str)> = vec![
        (good("e1"), RewardStatus::Accepted, ""),
        (good("e1"), RewardStatus::Duplicate, ""),
        (good(""), RewardStatus::Rejected, "event_id"),
        (RewardEvent { kind: String::new(), ..good("e2") }, RewardStatus::Rejected, "kind"),
        (RewardEvent { value: Some(f64::NAN), ..good("e2") }, RewardStatus::Rejected, "value"),
        (RewardEvent { time: Some(far), ..good("e2") }, RewardStatus::Rejected, "time"),
        (RewardEvent { arm_id: "b".into(), ..good("e2") }, RewardStatus::Unmatched, "arm_id"),
        (RewardEvent { slot_id: "others".into(), ..good("e2") }, RewardStatus::Unmatched, "slot_id"),
        (
            RewardEvent { slot_id: "nowhere".into(), decision_id: String::new(), ..named("e2") },
            RewardStatus::Unmatched,
            "slot_id",
        ),
        (RewardEvent { decision_id: "no-such".into(), ..good("e2") }, RewardStatus::Unmatched, "decision_id"),
        (RewardEvent { decision_id: String::new(), ..good("e2") }, RewardStatus::Rejected, "slot_id"),
        (
            RewardEvent { decision_id: String::new(), slot_id: "offers".into(), ..good("e2") },
            RewardStatus::Rejected,
            "subject",
        ),
        (RewardEvent { reverses_event_id: "e9".into(), ..good("e2") }, RewardStatus::Unmatched, "reverses_event_id"),
        (good("e3"), RewardStatus::Accepted, ""),
    ];
    let request = RecordRewardsRequest { events: cases.iter().map(|(event, ..)| event.clone()).collect() };
    let results = clients.feedback.record_rewards(request).await.unwrap().into_inner().results;
    for ((event, status, field), result) in cases.iter().zip(results) {
        assert_eq!(result.status(), *status, "{event:?}: {}", result.message);
        assert!(result.message.starts_with(field), "{event:?}: {}", result.message);
    }
    let empty = clients.feedback.record_rewards(RecordRewardsRequest::default()).await.unwrap_err();
    check(&empty, Code::InvalidArgument, "events");
    server.stop().await;
}

fn named(event_id: &str) -> RewardEvent {
    RewardEvent {
        event_id: event_id.into(),
        kind: "click".into(),
        subject: Some(Subject { id: "ann".into(), session_id: String::new() }),
        arm_id: "a".into(),
        ..RewardEvent::default()
    }
}

#[tokio::test]
async fn a_reward_changes_the_very_next_decision_and_a_refund_takes_it_back() {
    let (_folder, server, mut clients) = started().await;
    let mut definition = slot("offers", &["a"]);
    let buy = RewardKind { kind: "buy".into(), weight: 1.0, use_value: true, cap: None };
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
    let server = Server::start(folder.path()).await;
    let mut clients = server.clients().await;
    let mut definition = slot("offers", &["a", "b", "c", "d"]);
    definition.arms[0].payload = Some(prost_types::Struct::default());
    clients.create(definition).await.unwrap();
    let request = DecideRequest { request_id: "r1".into(), count: 4, ..decide("offers") };
    let first = clients.decide(request.clone()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(clients.decide(request.clone()).await.unwrap(), first);
    }
    // All at once, as retries come: still one decision.
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

    let server = Server::start(folder.path()).await;
    let mut clients = server.clients().await;
    assert_eq!(clients.decide(request).await.unwrap(), first, "the same decision after a restart");
    assert_eq!(clients.reward(event).await.unwrap().status(), RewardStatus::Duplicate);
    server.stop().await;
}

#[tokio::test]
async fn nothing_to_show_is_answered_and_a_batch_can_be_distinct() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("empty", &[])).await.unwrap();
    let nothing = clients.decide(decide("empty")).await.unwrap();
    assert_eq!((nothing.fallback(), nothing.arms.len()), (Fallback::NoEligibleArm, 0));
    assert!(!nothing.decision_id.is_empty());

    clients.create(slot("page", &["a", "b", "c"])).await.unwrap();
    for _ in 0..20 {
        let batch = BatchDecideRequest { requests: vec![decide("page"); 4], distinct_arms: true };
        let responses = clients.decisions.batch_decide(batch).await.unwrap().into_inner().responses;
        let mut arms: Vec<_> = responses[..3].iter().map(|r| r.arms[0].arm_id.clone()).collect();
        arms.sort();
        assert_eq!(arms, ["a", "b", "c"]);
        assert_eq!(responses[3].fallback(), Fallback::NoEligibleArm);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_open_catalogue_learns_arms_it_never_heard_of() {
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
    let ask = GetSlotReportRequest { slot_id: "search".into() };
    let report = clients.insight.get_slot_report(ask).await.unwrap().into_inner().report.unwrap();
    let shown: u64 = report.arms.iter().map(|arm| arm.shown).sum();
    assert_eq!((report.decisions, shown), (30, 30));
    assert!(report.arms.iter().any(|arm| arm.arm_id == "y" && arm.mean > 0.5 && !arm.available));
    server.stop().await;
}

#[tokio::test]
async fn explanations_say_who_was_eligible_and_how_likely() {
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
async fn health_reflection_and_metrics_are_there() {
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

async fn http_get(address: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
