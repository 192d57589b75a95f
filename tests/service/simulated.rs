//! A simulator may touch only slots for simulated traffic on a server that has real shoppers too: a real server, a real
//! client, and a free port.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::{collections::HashMap, sync::Arc};

use crate::support::{self, Clients, decide, started};
use slotwise::{
    client::{CallOptions, Client, ClientError, RewardStatus},
    engine::{Availability, Request, RewardEvent, Subject},
    slot::{Arm, ArmId, ChangeReason, Controls, Definition, SlotId},
    wire::proto::{
        self, BatchDecideRequest, DecideResult, RecordRewardsRequest, RewardStatus as Status,
        SetArmAvailabilityRequest, decide_result,
    },
};
use tonic::Code;
use tonic_types::StatusExt as _;

fn arm(id: &str) -> ArmId {
    ArmId::parse("arm", id).unwrap()
}

fn definition(id: &str, simulated: Option<bool>) -> Definition {
    let arms = ["a", "b"].map(|id| Arc::new(Arm::new(arm(id)))).to_vec();
    let controls = Controls { simulated, holdout: Some(0.0), ..Controls::default() };
    Definition { arms, controls, ..Definition::new(SlotId::parse("slot", id).unwrap()) }
}

/// Returns a request with the header of a simulator.
fn marked<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("slotwise-simulated", "run 7".parse().unwrap());
    request
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, ClientError>) {
    let why = result.unwrap_err();
    let ClientError::Refused(status) = &why else { panic!("{why}") };
    assert_eq!(status.code(), Code::FailedPrecondition, "{why}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "SIMULATED_TRAFFIC");
    assert!(why.to_string().contains("controls.simulated"), "{why}");
}

/// Starts a server with a slot of a shop, "offers", and one for simulated traffic, "sim". Returns clients of the shop
/// and of a simulator.
async fn shop_and_simulator() -> (tempfile::TempDir, support::InProcessServer, Clients, Client, Client) {
    let (folder, server, clients) = started().await;
    let mut shop = Client::connect(&server.address).await.unwrap();
    let options = CallOptions { simulated: true, ..CallOptions::default() };
    let simulator = Client::connect_with(&server.address, &options).await.unwrap();
    shop.create_slot(&definition("offers", None), &ChangeReason::default(), false).await.unwrap();
    shop.create_slot(&definition("sim", Some(true)), &ChangeReason::default(), false).await.unwrap();
    (folder, server, clients, shop, simulator)
}

/// Simulated rewards are learned only by a slot for simulated traffic.
#[tokio::test(flavor = "multi_thread")]
async fn simulated_shoppers_need_a_slot_that_is_for_them() {
    let (_folder, server, mut clients, mut shop, mut simulator) = shop_and_simulator().await;
    let ask = |slot: &str| Request::new(SlotId::parse("slot", slot).unwrap());
    assert_refused(simulator.decide(&ask("offers")).await);
    simulator.decide(&ask("sim")).await.unwrap();
    let batch = |slots: &[&str]| {
        marked(BatchDecideRequest { requests: slots.iter().map(|slot| decide(slot)).collect(), distinct_arms: false })
    };
    let results = clients.decisions.batch_decide(batch(&["sim", "offers", "sim"])).await.unwrap().into_inner().results;
    let refused = |result: &DecideResult| match result.result.as_ref().unwrap() {
        decide_result::Result::Response(_) => None,
        decide_result::Result::Status(status) => Some(Code::from(status.code)),
    };
    let refused: Vec<_> = results.iter().map(refused).collect();
    assert_eq!(refused, [None, Some(Code::FailedPrecondition), None], "each request of the batch is checked by itself");
    for slot in ["offers", "sim"] {
        shop.decide(&ask(slot)).await.unwrap();
    }
    // A slot that does not exist is not found, for a simulator too.
    assert!(simulator.decide(&ask("other")).await.unwrap_err().not_found());
    server.stop().await;
}

/// Each event is checked by itself, by the slot that it names and by the slot of the decision that it names, in a
/// stream too.
#[tokio::test(flavor = "multi_thread")]
async fn simulated_events_for_real_decisions_are_rejected_one_by_one() {
    let (_folder, server, mut clients, mut shop, mut simulator) = shop_and_simulator().await;
    let subject = Subject { id: "ann".into(), ..Subject::default() };
    let mut decisions = HashMap::new();
    for slot in ["offers", "sim"] {
        let mut request = Request::new(SlotId::parse("slot", slot).unwrap());
        request.subject = subject.clone();
        decisions.insert(slot, shop.decide_in_full(&request).await.unwrap().decided);
    }
    let event = |id: &str, of: &str, named: &str, by_id: bool| {
        let decided = &decisions[of];
        RewardEvent {
            slot: SlotId::parse("slot", named).unwrap(),
            event_id: id.to_owned(),
            decision: by_id.then_some(decided.id),
            subject: subject.clone(),
            arm: Some(decided.chosen[0].arm.clone()),
            kind: "click".to_owned(),
            value: None,
            time_us: decided.id.at_us() + 2_000,
            reverses: None,
        }
    };
    let events = [
        event("1", "sim", "sim", true),
        event("2", "offers", "offers", true),
        event("3", "sim", "sim", false),
        event("4", "offers", "offers", false),
        // The slot that the event names counts, and the slot of its decision.
        event("5", "offers", "sim", true),
        event("6", "sim", "offers", true),
        event("1", "sim", "sim", true),
    ];
    let mut statuses = Vec::new();
    for status in simulator.record_events(&events).await.unwrap() {
        statuses.push(match status {
            RewardStatus::Accepted => "accepted".to_owned(),
            RewardStatus::Duplicate => "duplicate".to_owned(),
            RewardStatus::Rejected(why) => {
                assert!(why.contains("slot 'offers' is for real shoppers"), "{why}");
                why.split(' ').nth(1).unwrap().to_owned()
            }
            other @ (RewardStatus::Late(_) | RewardStatus::Unmatched(_)) => format!("{other:?}"),
        });
    }
    let want = ["accepted", "slot_id:", "accepted", "slot_id:", "decision_id:", "slot_id:", "duplicate"];
    assert_eq!(statuses, want);
    let counted = async |shop: &mut Client, slot: &str| shop.report(slot).await.unwrap().counters;
    let offers = counted(&mut shop, "offers").await;
    assert_eq!(
        (offers.rewards, offers.unmatched, offers.rejected),
        (0, 0, 0),
        "the events changed no counter of the slot"
    );
    assert_eq!(counted(&mut shop, "sim").await.rewards, 2);

    let message = |id: &str| RecordRewardsRequest {
        events: vec![proto::RewardEvent {
            event_id: id.to_owned(),
            decision_id: decisions["offers"].id.to_string(),
            kind: "click".to_owned(),
            ..proto::RewardEvent::default()
        }],
    };
    let stream = marked(tokio_stream::iter([message("7")]));
    let mut answers = clients.feedback.stream_rewards(stream).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answer.results[0].status(), Status::Rejected, "{answer:?}");
    assert!(answer.results[0].message.starts_with("decision_id: slot 'offers' is for real"), "{answer:?}");
    // The event of a real shopper is accepted, even under the same id.
    let real = clients.feedback.record_rewards(message("7")).await.unwrap().into_inner();
    assert_eq!(real.results[0].status(), Status::Accepted, "{real:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulator_makes_and_changes_only_slots_for_simulated_traffic() {
    let (_folder, server, mut clients, mut shop, mut simulator) = shop_and_simulator().await;
    let (why, to) = (ChangeReason::default(), Availability::new(false));
    assert_refused(simulator.create_slot(&definition("new", None), &why, false).await);
    assert_refused(simulator.create_slot(&definition("new", Some(false)), &why, true).await);
    assert_refused(simulator.update_slot(&definition("offers", Some(true)), 0, &why, false).await);
    assert_refused(simulator.update_slot(&definition("sim", None), 0, &why, false).await);
    assert_refused(simulator.upsert_arms("offers", &[Arm::new(arm("c"))], &why).await);
    assert_refused(simulator.remove_arms("offers", &[arm("a")], &why).await);
    assert_refused(simulator.set_arm_availability("offers", &[(arm("a"), to)], &why).await);
    assert_refused(simulator.set_safe_choice(Some("offers"), true, &why).await);
    assert_refused(simulator.set_safe_choice(None, true, &why).await);
    assert_refused(simulator.reset_slot("offers", &why).await);
    assert_refused(simulator.rollback_slot("offers", 1, &why).await);
    assert_refused(simulator.delete_slot("offers", &why).await);
    let out = |slot: &str| SetArmAvailabilityRequest {
        slot_id: slot.to_owned(),
        available: [("a".to_owned(), false)].into(),
        ..SetArmAvailabilityRequest::default()
    };
    let stream = marked(tokio_stream::iter([out("sim"), out("offers")]));
    let status = clients.slots.stream_arm_availability(stream).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert!(status.message().contains("messages[1]") && status.message().contains("was applied"), "{status:?}");
    let (offers, revision) = shop.get_slot("offers").await.unwrap();
    assert_eq!((offers, revision), (definition("offers", None), 1), "the slot is as it was");

    // All these calls succeed in a slot for simulated traffic.
    simulator.create_slot(&definition("new", Some(true)), &why, false).await.unwrap();
    let renamed = Definition { display_name: "Renamed".to_owned(), ..definition("new", Some(true)) };
    simulator.update_slot(&renamed, 0, &why, false).await.unwrap();
    simulator.upsert_arms("new", &[Arm::new(arm("c"))], &why).await.unwrap();
    simulator.remove_arms("new", &[arm("c")], &why).await.unwrap();
    simulator.set_arm_availability("new", &[(arm("a"), to)], &why).await.unwrap();
    simulator.set_safe_choice(Some("new"), true, &why).await.unwrap();
    simulator.reset_slot("new", &why).await.unwrap();
    simulator.rollback_slot("new", 1, &why).await.unwrap();

    // A simulator cannot roll back to a revision at which the slot was for real shoppers.
    let (_, at) = shop.get_slot("new").await.unwrap();
    shop.update_slot(&definition("new", None), 0, &why, false).await.unwrap();
    shop.update_slot(&definition("new", Some(true)), 0, &why, false).await.unwrap();
    assert_refused(simulator.rollback_slot("new", at + 1, &why).await);
    simulator.rollback_slot("new", at, &why).await.unwrap();
    simulator.delete_slot("new", &why).await.unwrap();
    shop.delete_slot("offers", &why).await.unwrap();
    assert_eq!(simulator.set_safe_choice(None, true, &why).await.unwrap().1, 1, "one slot is left");
    assert!(simulator.delete_slot("offers", &why).await.unwrap_err().not_found());
    server.stop().await;
}
