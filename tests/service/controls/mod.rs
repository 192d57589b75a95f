//! Controls, rules and availability as a client sets them: a real server, a real client, and a free port.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

mod availability;
mod history;
use std::collections::HashSet;

use crate::support::{self, Clients, decide, slot, started};
use prost_types::FieldMask;
use slotwise::wire::proto::{
    Arm, Baseline, Controls, EvidenceEffect, ExcludeEffect, Fallback, FieldChange, GetSlotRequest,
    ListRevisionsRequest, Mode, PinEffect, RemoveArmsRequest, Revision, RollbackSlotRequest, Rule,
    SetArmAvailabilityRequest, SetSafeChoiceRequest, Slot, Stickiness, SubjectCapEffect, TestMode, UpdateSlotRequest,
    UpsertArmsRequest, baseline, mode, rule, stickiness,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

#[track_caller]
fn assert_names_field(status: &Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let named = status.get_details_bad_request().map(|bad| bad.field_violations[0].field.clone());
    assert_eq!(named.as_deref(), Some(field), "{}", status.message());
}

async fn get_without_arms(clients: &mut Clients, slot: &str) -> Slot {
    clients.slots.get_slot(GetSlotRequest { slot_id: slot.into() }).await.unwrap().into_inner().slot.unwrap()
}

/// Returns a slot with its arms.
async fn get_with_arms(clients: &mut Clients, slot: &str) -> Slot {
    Slot { arms: clients.arms(slot).await, ..get_without_arms(clients, slot).await }
}

async fn revisions(clients: &mut Clients, slot: &str) -> Vec<Revision> {
    let list = ListRevisionsRequest { slot_id: slot.into(), page_size: 200, page_token: String::new() };
    clients.slots.list_revisions(list).await.unwrap().into_inner().revisions
}

fn masked_update(slot: Slot, paths: &[&str]) -> UpdateSlotRequest {
    UpdateSlotRequest {
        slot: Some(slot),
        update_mask: Some(FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() }),
        ..UpdateSlotRequest::default()
    }
}

fn field_change(path: &str, before: &str, after: &str) -> FieldChange {
    FieldChange { path: path.into(), before: before.into(), after: after.into() }
}

#[tokio::test]
async fn the_safe_choice_goes_on_and_off_for_one_slot_and_for_all() {
    let (_folder, server, mut clients) = started().await;
    for id in ["a-slot", "b-slot", "c-slot"] {
        clients.create(slot(id, &["x", "y"])).await.unwrap();
    }
    let before = get_with_arms(&mut clients, "b-slot").await;
    let safe = |slot: &str, on| SetSafeChoiceRequest {
        slot_id: slot.into(),
        on,
        reason: "the shop is on fire".into(),
        author: "ann".into(),
    };
    let one = clients.slots.set_safe_choice(safe("b-slot", true)).await.unwrap().into_inner();
    assert_eq!(one.revisions, [("b-slot".to_owned(), 2)].into());
    let all = clients.slots.set_safe_choice(safe("", true)).await.unwrap().into_inner();
    assert_eq!(
        all.revisions,
        [("a-slot".to_owned(), 2), ("c-slot".to_owned(), 2)].into(),
        "only the slots that were not on the safe choice get a revision"
    );
    for id in ["a-slot", "b-slot", "c-slot"] {
        assert_eq!(get_with_arms(&mut clients, id).await.controls.unwrap().safe_choice, Some(true));
        for _ in 0..10 {
            let decision = clients.decide(decide(id)).await.unwrap();
            assert_eq!(decision.fallback(), Fallback::SafeChoice);
        }
    }
    let off = clients.slots.set_safe_choice(safe("", false)).await.unwrap().into_inner();
    assert_eq!(off.revisions.len(), 3);
    let after = get_with_arms(&mut clients, "b-slot").await;
    assert_eq!(after, Slot { revision: 3, ..before }, "apart from its revision the slot is as it was before");
    assert!(clients.slots.set_safe_choice(safe("", false)).await.unwrap().into_inner().revisions.is_empty());
    let nowhere = clients.slots.set_safe_choice(safe("d-slot", true)).await.unwrap_err();
    assert_eq!(nowhere.code(), Code::NotFound);
    let newest = &revisions(&mut clients, "b-slot").await[0];
    assert_eq!((newest.author.as_str(), newest.reason.as_str()), ("ann", "the shop is on fire"));
    assert_eq!(newest.diff, [field_change("controls.safe_choice", "true", "")]);
    server.stop().await;
}

#[tokio::test]
async fn a_call_that_only_validates_changes_nothing() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let made = clients
        .slots
        .upsert_arms(UpsertArmsRequest {
            slot_id: "offers".into(),
            arms: vec![Arm { arm_id: "c".into(), ..Arm::default() }],
            ..UpsertArmsRequest::default()
        })
        .await
        .unwrap()
        .into_inner()
        .slot
        .unwrap();
    let upsert = UpsertArmsRequest {
        slot_id: "offers".into(),
        arms: vec![Arm { arm_id: "d".into(), ..Arm::default() }],
        validate_only: true,
        ..UpsertArmsRequest::default()
    };
    let validated = clients.slots.upsert_arms(upsert).await.unwrap().into_inner();
    assert_eq!((validated.arm_count, validated.slot.unwrap().revision), (4, 3));
    let remove = RemoveArmsRequest {
        slot_id: "offers".into(),
        arm_ids: vec!["a".into()],
        validate_only: true,
        ..RemoveArmsRequest::default()
    };
    assert_eq!(clients.slots.remove_arms(remove).await.unwrap().into_inner().arm_count, 2);
    let available = SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        available: [("a".to_owned(), false)].into(),
        validate_only: true,
        ..SetArmAvailabilityRequest::default()
    };
    let validated = clients.slots.set_arm_availability(available).await.unwrap().into_inner();
    assert_eq!((validated.arm_count, validated.available_arm_count), (3, 2));
    let rollback = RollbackSlotRequest {
        slot_id: "offers".into(),
        revision: 1,
        validate_only: true,
        ..RollbackSlotRequest::default()
    };
    assert_eq!(clients.slots.rollback_slot(rollback).await.unwrap().into_inner().arm_count, 2);
    assert_eq!(get_without_arms(&mut clients, "offers").await, made);
    assert_eq!(revisions(&mut clients, "offers").await.len(), 2);
    let bad = RollbackSlotRequest {
        slot_id: "offers".into(),
        revision: 7,
        validate_only: true,
        ..RollbackSlotRequest::default()
    };
    assert_names_field(&clients.slots.rollback_slot(bad).await.unwrap_err(), "revision");
    server.stop().await;
}

/// A mask that names one control is checked with the whole slot, not by itself.
#[tokio::test]
async fn controls_are_set_one_by_one_and_read_back_unchanged() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let rule = |name: &str, effect| Rule { name: name.into(), effect: Some(effect), ..Rule::default() };
    let hour = prost_types::Duration { seconds: 3_600, nanos: 0 };
    let window = Some(hour);
    let wanted = Slot {
        slot_id: "offers".into(),
        controls: Some(Controls {
            baseline: Some(Baseline { baseline: Some(baseline::Baseline::ArmId("b".into())) }),
            mode: Some(Mode { mode: Some(mode::Mode::Test(TestMode { share: 0.25 })) }),
            stickiness: Some(Stickiness { stickiness: Some(stickiness::Stickiness::For(hour)) }),
            salt: Some("spring".into()),
            ..Controls::default()
        }),
        rules: vec![
            rule("never", rule::Effect::Exclude(ExcludeEffect {})),
            rule("first", rule::Effect::Pin(PinEffect { position: 1 })),
            rule("cap", rule::Effect::SubjectCap(SubjectCapEffect { count: 3, window, together: true })),
        ]
        .into_iter()
        .map(|rule| Rule { paused: true, ..rule })
        .collect(),
        ..Slot::default()
    };
    let paths = ["controls.baseline", "controls.mode", "controls.stickiness", "controls.salt", "rules"];
    for path in paths {
        clients.slots.update_slot(masked_update(wanted.clone(), &[path])).await.unwrap();
    }
    let now = get_with_arms(&mut clients, "offers").await;
    let (controls, asked) = (now.controls.unwrap(), wanted.controls.clone().unwrap());
    assert_eq!(controls.baseline, asked.baseline);
    assert_eq!(controls.mode, asked.mode);
    assert_eq!(controls.stickiness, asked.stickiness);
    assert_eq!(controls.salt, asked.salt);
    assert_eq!(now.arms.len(), 2);
    let names: HashSet<_> = now.rules.iter().map(|rule| (rule.name.as_str(), rule.paused)).collect();
    assert_eq!(names, [("never", true), ("first", true), ("cap", true)].into());
    assert_eq!(now.rules[2].effect, wanted.rules[2].effect);

    let controls = |edit: &dyn Fn(&mut Controls)| {
        let mut controls = Controls::default();
        edit(&mut controls);
        Slot { slot_id: "offers".into(), controls: Some(controls), ..Slot::default() }
    };
    let rules = |rules: Vec<Rule>| Slot { slot_id: "offers".into(), rules, ..Slot::default() };
    let evidence = |confidence| rule::Effect::Evidence(EvidenceEffect { confidence, than: None });
    for (slot, path, field) in [
        (
            controls(&|c| c.baseline = Some(Baseline { baseline: Some(baseline::Baseline::ArmId("bb".into())) })),
            "controls.baseline",
            "slot.controls.baseline.arm_id",
        ),
        (
            controls(&|c| c.mode = Some(Mode { mode: Some(mode::Mode::Test(TestMode { share: 1.5 })) })),
            "controls.mode",
            "slot.controls.mode.test.share",
        ),
        (controls(&|c| c.analysis = Some(-0.1)), "controls.analysis", "slot.controls.analysis"),
        (controls(&|c| c.subject_limit = Some(1_001)), "controls.subject_limit", "slot.controls.subject_limit"),
        (controls(&|c| c.exploration_preset = 9), "controls.exploration_preset", "slot.controls.exploration_preset"),
        (controls(&|c| c.salt = Some("x".repeat(200))), "controls.salt", "slot.controls.salt"),
        (rules(vec![Rule { name: "none".into(), ..Rule::default() }]), "rules", "slot.rules[0].effect"),
        (
            rules(vec![rule("a", evidence(0.9)), Rule { on_error: 7, ..rule("b", evidence(0.9)) }]),
            "rules",
            "slot.rules[1].on_error",
        ),
    ] {
        assert_names_field(&clients.slots.update_slot(masked_update(slot, &[path])).await.unwrap_err(), field);
    }
    server.stop().await;
}
