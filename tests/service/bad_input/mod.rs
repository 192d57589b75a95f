//! Malformed input of every message: the error names the field, and nothing has changed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

mod texts;

use std::collections::HashMap;

use crate::support::{self, Clients, click, context, decide, number, slot, started, text};
use prost_types::FieldMask;
use slotwise::wire::proto::{
    Arm, BatchDecideRequest, Candidate, Controls, DecideRequest, EpsilonGreedyPolicy, FeatureValue,
    GetSlotReportRequest, GetSlotRequest, Goal, LinearModel, Model, Policy, RecordRewardsRequest, RemoveArmsRequest,
    RewardEvent, RewardKind, RewardStatus, SetArmAvailabilityRequest, Slot, SquareCbPolicy, Subject, TextList,
    UpdateSlotRequest, UpsertArmsRequest, feature_value::Value, model, policy,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

#[track_caller]
fn assert_refused(status: &Status, code: Code, field: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let named = status.get_details_bad_request().map(|bad| bad.field_violations[0].field.clone());
    assert_eq!(named.as_deref(), Some(field), "{}", status.message());
    assert!(status.get_details_error_info().is_some(), "{status:?}");
}

/// Asserts that a refused call left the slot as it was and that the slot still decides.
async fn assert_unchanged(clients: &mut Clients, before: Slot) {
    let after = clients.slots.get_slot(GetSlotRequest { slot_id: "offers".into() }).await.unwrap().into_inner();
    assert_eq!(after.slot.unwrap(), before, "the slot did not change");
    let ask = GetSlotReportRequest { slot_id: "offers".into(), ..Default::default() };
    let report = clients.insight.get_slot_report(ask).await.unwrap().into_inner().report.unwrap();
    assert_eq!(report.decisions, 0, "no decision of a failed batch was recorded");
    assert_eq!(clients.decide(decide("offers")).await.unwrap().arms.len(), 1, "the slot still decides");
}

fn invalid_decide_requests() -> Vec<(DecideRequest, Code, &'static str)> {
    let candidate = |id: &str| Candidate { arm_id: id.into(), features: HashMap::new() };
    vec![
        (decide(""), Code::InvalidArgument, "slot_id"),
        (decide("of fers"), Code::InvalidArgument, "slot_id"),
        (decide("ofers"), Code::NotFound, "slot_id"),
        (DecideRequest { consent: 17, ..decide("offers") }, Code::InvalidArgument, "consent"),
        (DecideRequest { request_id: "x".repeat(257), ..decide("offers") }, Code::InvalidArgument, "request_id"),
        (DecideRequest { request_id: "a\n".into(), ..decide("offers") }, Code::InvalidArgument, "request_id"),
        (
            DecideRequest {
                subject: Some(Subject { id: "\u{7}".into(), session_id: String::new() }),
                ..decide("offers")
            },
            Code::InvalidArgument,
            "subject.id",
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
    ]
}

#[tokio::test]
async fn a_bad_decide_is_refused_alone_and_in_a_batch() {
    let (_folder, server, mut clients) = started().await;
    let before = clients.create(slot("offers", &["apple", "pear"])).await.unwrap();
    for (request, code, field) in invalid_decide_requests() {
        let batch = BatchDecideRequest { requests: vec![request.clone(); 2], distinct_arms: false };
        assert_refused(&clients.decide(request).await.unwrap_err(), code, field);
        for outcome in clients.decide_all(batch).await {
            assert_refused(&outcome.unwrap_err(), code, field);
        }
    }
    assert_refused(
        &clients.decisions.batch_decide(BatchDecideRequest::default()).await.unwrap_err(),
        Code::InvalidArgument,
        "requests",
    );
    assert_unchanged(&mut clients, before).await;
    server.stop().await;
}

/// Returns a payload of `depth` lists inside each other.
fn nested_payload(depth: usize) -> prost_types::Struct {
    use prost_types::{ListValue, Value as Json, value::Kind};
    let list = |inner: Json| Json { kind: Some(Kind::ListValue(ListValue { values: vec![inner] })) };
    let deep = (0..depth).fold(Json { kind: Some(Kind::NullValue(0)) }, |inner, _| list(inner));
    prost_types::Struct { fields: [("deep".to_owned(), deep)].into() }
}

fn epsilon_greedy(epsilon: f64) -> policy::Policy {
    policy::Policy::EpsilonGreedy(EpsilonGreedyPolicy { epsilon: Some(epsilon) })
}

fn square_cb(gamma: f64) -> policy::Policy {
    policy::Policy::SquareCb(SquareCbPolicy { gamma: Some(gamma) })
}

fn invalid_slots() -> Vec<(Slot, &'static str)> {
    let kind = |kind: &str, weight| RewardKind {
        kind: kind.into(),
        weight,
        use_value: false,
        cap: None,
        winsorize: None,
        role: 0,
        joins: 0,
    };
    let with = |edit: &dyn Fn(&mut Slot)| {
        let mut slot = slot("offers", &["apple", "pear"]);
        edit(&mut slot);
        slot
    };
    let controls = |edit: &dyn Fn(&mut Controls)| with(&|slot| edit(slot.controls.get_or_insert_default()));
    let policy = |policy| controls(&move |c| c.policy = Some(Policy { policy: Some(policy) }));
    let goal = |goal: Goal| with(&move |slot| slot.goal = Some(goal.clone()));
    let duration = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    vec![
        (with(&|s| s.slot_id.clear()), "slot.slot_id"),
        (with(&|s| s.kind = 9), "slot.kind"),
        (with(&|s| s.display_name = "x".repeat(300)), "slot.display_name"),
        (with(&|s| s.arms[1].arm_id = "apple".into()), "slot.arms[1].arm_id"),
        (with(&|s| s.arms[1].arm_id = "no\tgood".into()), "slot.arms[1].arm_id"),
        (
            with(&|s| drop(s.arms[0].attributes.insert("p".into(), number(f64::INFINITY)))),
            "slot.arms[0].attributes[\"p\"]",
        ),
        (with(&|s| s.arms[0].payload = Some(nested_payload(20))), "slot.arms[0].payload"),
        (with(&|s| s.default_arm_id = "plum".into()), "slot.default_arm_id"),
        (with(&|s| s.count = 5_000), "slot.count"),
        (controls(&|c| c.floor = Some(1.5)), "slot.controls.floor"),
        (controls(&|c| c.floor = Some(f64::NAN)), "slot.controls.floor"),
        (controls(&|c| (c.floor, c.ceiling) = (Some(0.5), Some(0.4))), "slot.controls.floor"),
        (controls(&|c| c.ceiling = Some(0.0)), "slot.controls.ceiling"),
        (controls(&|c| c.exploration = Some(-1.0)), "slot.controls.exploration"),
        (controls(&|c| c.holdout = Some(2.0)), "slot.controls.holdout"),
        (controls(&|c| c.half_life = duration(1)), "slot.controls.half_life"),
        (policy(epsilon_greedy(1.5)), "slot.controls.policy.epsilon_greedy.epsilon"),
        (policy(epsilon_greedy(f64::NAN)), "slot.controls.policy.epsilon_greedy.epsilon"),
        (policy(square_cb(0.0)), "slot.controls.policy.square_cb.gamma"),
        (policy(square_cb(f64::INFINITY)), "slot.controls.policy.square_cb.gamma"),
        (goal(Goal { kinds: vec![kind("", 1.0)], ..Goal::default() }), "slot.goal.kinds[0].kind"),
        (goal(Goal { kinds: vec![kind("a", 1.0), kind("a", 2.0)], ..Goal::default() }), "slot.goal.kinds[1].kind"),
        (goal(Goal { kinds: vec![kind("a", f64::NAN)], ..Goal::default() }), "slot.goal.kinds[0].weight"),
        (goal(Goal { default_reward: f64::INFINITY, ..Goal::default() }), "slot.goal.default_reward"),
        (goal(Goal { window: duration(0), ..Goal::default() }), "slot.goal.window"),
        (goal(Goal { window: duration(i64::MAX), ..Goal::default() }), "slot.goal.window"),
        (goal(Goal { aggregation: 7, ..Goal::default() }), "slot.goal.aggregation"),
        (
            with(&|s| {
                let linear = LinearModel { prior_precision: Some(0.0), ..LinearModel::default() };
                s.model = Some(Model { model: Some(model::Model::Linear(linear)) });
            }),
            "slot.model.linear.prior_precision",
        ),
    ]
}

#[tokio::test]
async fn a_bad_slot_is_refused_when_made_and_when_updated() {
    let (_folder, server, mut clients) = started().await;
    let before = clients.create(slot("offers", &["apple", "pear"])).await.unwrap();
    for (slot, field) in invalid_slots() {
        let create = clients.create(Slot { slot_id: slot.slot_id.replace("offers", "fresh"), ..slot.clone() }).await;
        assert_refused(&create.unwrap_err(), Code::InvalidArgument, field);
        let update = UpdateSlotRequest { slot: Some(slot), ..UpdateSlotRequest::default() };
        assert_refused(&clients.slots.update_slot(update).await.unwrap_err(), Code::InvalidArgument, field);
    }
    assert_refused(&clients.create(slot("offers", &["x"])).await.unwrap_err(), Code::AlreadyExists, "slot.slot_id");
    let unmaskable = UpdateSlotRequest {
        slot: Some(slot("offers", &["apple"])),
        update_mask: Some(FieldMask { paths: vec!["arms.0".into()] }),
        ..UpdateSlotRequest::default()
    };
    assert_refused(&clients.slots.update_slot(unmaskable).await.unwrap_err(), Code::InvalidArgument, "update_mask");
    let stale = UpdateSlotRequest {
        slot: Some(Slot { revision: 7, ..slot("offers", &["x"]) }),
        ..UpdateSlotRequest::default()
    };
    let stale = clients.slots.update_slot(stale).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    assert!(stale.get_details_precondition_failure().is_some());
    let gone =
        RemoveArmsRequest { slot_id: "offers".into(), arm_ids: vec!["appel".into()], ..RemoveArmsRequest::default() };
    let gone = clients.slots.remove_arms(gone).await.unwrap_err();
    assert_refused(&gone, Code::InvalidArgument, "arm_ids[0]");
    assert!(gone.message().contains("did you mean 'apple'"), "{}", gone.message());
    assert_unchanged(&mut clients, before).await;
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let (_folder, server, mut clients) = started().await;
    let before = clients.create(slot("offers", &["apple", "pear"])).await.unwrap();
    let garbage = raw_call(&server.address, "/slotwise.v1.DecisionService/Decide", &[0xff; 40]).await;
    assert_refused(&garbage, Code::InvalidArgument, "subject");
    assert_unchanged(&mut clients, before).await;
    server.stop().await;
}

/// A caller may choose any name for a feature, an arm or a path. The error names it in a shortened form.
#[tokio::test]
async fn long_names_and_deep_payloads_are_invalid_arguments_that_name_the_field() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["apple", "pear"])).await.unwrap();
    let long = "k".repeat(5_000);
    let short = format!("{}…", "k".repeat(80));
    let empty = FeatureValue { value: None };
    let context = DecideRequest { context: context(&[(&long, empty)]), ..decide("offers") };
    assert_refused(
        &clients.decide(context).await.unwrap_err(),
        Code::InvalidArgument,
        &format!("context[\"{short}\"]"),
    );
    let availability = SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        available: HashMap::from([(long.clone(), false)]),
        ..SetArmAvailabilityRequest::default()
    };
    let refused = clients.slots.set_arm_availability(availability).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, &format!("available[\"{short}\"]"));
    let masked = UpdateSlotRequest {
        slot: Some(slot("offers", &["apple"])),
        update_mask: Some(FieldMask { paths: vec![long.clone()] }),
        ..UpdateSlotRequest::default()
    };
    let refused = clients.slots.update_slot(masked).await.unwrap_err();
    assert_refused(&refused, Code::InvalidArgument, "update_mask");
    assert!(refused.message().contains(&short) && refused.message().len() < 300, "{}", refused.message());
    for depth in [20, 200] {
        let deep = Arm { arm_id: "apple".into(), payload: Some(nested_payload(depth)), ..Arm::default() };
        let arms = vec![Arm { arm_id: "plum".into(), ..Arm::default() }, deep];
        let upsert = UpsertArmsRequest { slot_id: "offers".into(), arms, ..UpsertArmsRequest::default() };
        let refused = clients.slots.upsert_arms(upsert).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, "arms[1].payload");
    }
    server.stop().await;
}

/// Calls a method with arbitrary bytes instead of a message, and returns the status.
async fn raw_call(address: &str, path: &'static str, bytes: &[u8]) -> Status {
    use slotwise::wire::proto::DecideResponse;
    let mut client = tonic::client::Grpc::new(support::channel(address).await);
    client.ready().await.unwrap();
    // Field 2 of `Any` is bytes; field 2 of `DecideRequest` is the subject.
    let message = prost_types::Any { type_url: String::new(), value: bytes.to_vec() };
    let codec = tonic_prost::ProstCodec::<prost_types::Any, DecideResponse>::default();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
    client.unary(tonic::Request::new(message), path, codec).await.unwrap_err()
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
            RewardEvent { slot_id: "nowhere".into(), decision_id: String::new(), ..event_by_subject("e2") },
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
    assert_eq!(results.len(), cases.len());
    for ((event, status, field), result) in cases.iter().zip(results) {
        assert_eq!(result.status(), *status, "{event:?}: {}", result.message);
        assert!(result.message.starts_with(field), "{event:?}: {}", result.message);
    }
    let empty = clients.feedback.record_rewards(RecordRewardsRequest::default()).await.unwrap_err();
    assert_refused(&empty, Code::InvalidArgument, "events");
    server.stop().await;
}

fn event_by_subject(event_id: &str) -> RewardEvent {
    RewardEvent {
        event_id: event_id.into(),
        kind: "click".into(),
        subject: Some(Subject { id: "ann".into(), session_id: String::new() }),
        arm_id: "a".into(),
        ..RewardEvent::default()
    }
}
