//! Slots that start from what another has learned, against a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use slotwise::{
    node::{fold, recover_state},
    wire::proto::{
        CloneSlotRequest, CreateSlotRequest, GetSlotReportRequest, RecordRewardsRequest, ResetArmRequest, StartFrom,
        TryDecideRequest,
    },
};
use tonic::Code;

use crate::support::{Clients, click, decide, program, slot, started};

/// Expected reward of an arm in a slot, as a decision would see it.
async fn expected(clients: &mut Clients, slot_id: &str, arm: &str) -> f64 {
    let request = TryDecideRequest { request: Some(decide(slot_id)) };
    let tried = clients.insight.try_decide(request).await.unwrap().into_inner().decision.unwrap();
    let candidates = tried.explanation.unwrap().candidates;
    candidates.iter().find(|candidate| candidate.arm_id == arm).unwrap().mean
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_knows_what_its_slot_knew_and_a_start_takes_what_both_have() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("page", &["a", "b"])).await.unwrap();
    for n in 0..200 {
        let decided = clients.decide(decide("page")).await.unwrap();
        if decided.arms[0].arm_id == "b" {
            let events = vec![click(&format!("e{n}"), &decided)];
            clients.feedback.record_rewards(RecordRewardsRequest { events }).await.unwrap();
        }
    }
    let learned = expected(&mut clients, "page", "b").await;
    assert!(learned > 0.6, "{learned}");
    let clone = CloneSlotRequest { slot_id: "page".into(), new_slot_id: "email".into(), ..Default::default() };
    let cloned = clients.slots.clone_slot(clone.clone()).await.unwrap().into_inner();
    assert_eq!((cloned.slot.unwrap().slot_id.as_str(), cloned.arm_count), ("email", 2));
    assert!((expected(&mut clients, "email", "b").await - learned).abs() < 0.02);
    let report = GetSlotReportRequest { slot_id: "email".into(), ..Default::default() };
    assert_eq!(clients.insight.get_slot_report(report).await.unwrap().into_inner().report.unwrap().decisions, 0);
    assert_eq!(clients.slots.clone_slot(clone).await.unwrap_err().code(), Code::AlreadyExists);

    let from = |slot_id: &str| Some(StartFrom { slot_id: slot_id.into(), weight: Some(0.5) });
    let create = |id: &str, start_from| CreateSlotRequest {
        slot: Some(slot(id, &["b", "new"])),
        start_from,
        ..Default::default()
    };
    let unknown = clients.slots.create_slot(create("block", from("pag"))).await.unwrap_err();
    assert!(unknown.message().starts_with("start_from.slot_id: "), "{unknown:?}");
    clients.slots.create_slot(create("block", from("page"))).await.unwrap();
    assert!(expected(&mut clients, "block", "b").await > 0.5);

    let run = |args: &[&str]| {
        let output = program().args(args).args(["--target", &server.address]).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let run = |args: &[&str]| tokio::task::block_in_place(|| run(args));
    let (done, said) = run(&["slots", "clone", "page", "plain", "--without-learning"]);
    assert!(done && said.contains("has learned nothing"), "{said}");
    let nothing = expected(&mut clients, "plain", "b").await;
    assert!(nothing < learned - 0.05, "{nothing} against {learned}");
    assert!(run(&["slots", "clone", "page", "weighted", "--weight", "0.2"]).0);
    let (done, said) = run(&["slots", "reset-arm", "email", "b"]);
    assert!(done && said.contains("forgotten what it learned of b"), "{said}");
    assert!(expected(&mut clients, "email", "b").await < learned - 0.05);
    let reset = ResetArmRequest { slot_id: "email".into(), arm_id: "z".into(), ..Default::default() };
    assert!(clients.slots.reset_arm(reset).await.unwrap_err().message().starts_with("arm_id: "));
    server.stop().await;
    let folded = fold(folder.path(), 1).unwrap();
    assert!(folded == fold(folder.path(), 3).unwrap(), "three workers");
    assert!(folded == recover_state(folder.path(), None, 2).unwrap(), "from the snapshot");
}
