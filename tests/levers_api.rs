//! Controls, rules and availability as a client sets them: a real server, a real client, and a free port.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

mod support;

use std::collections::{HashMap, HashSet};

use prost_types::{FieldMask, Timestamp};
use slotwise::wire::proto::{
    Arm, ArmAvailability, Baseline, Controls, EvidenceEffect, ExcludeEffect, FieldChange, GetRevisionRequest,
    GetSlotRequest, ListRevisionsRequest, Mode, PinEffect, RemoveArmsRequest, Revision, RollbackSlotRequest, Rule,
    Schedule, SetArmAvailabilityRequest, SetSafeChoiceRequest, Slot, Stickiness, SubjectCapEffect, TestMode,
    UnavailableBecause, UpdateSlotRequest, UpsertArmsRequest, baseline, mode, rule, stickiness,
};
use support::{Clients, Server, decide, slot, started};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

#[track_caller]
fn check(status: &Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let named = status.get_details_bad_request().map(|bad| bad.field_violations[0].field.clone());
    assert_eq!(named.as_deref(), Some(field), "{}", status.message());
}

async fn head(clients: &mut Clients, slot: &str) -> Slot {
    clients.slots.get_slot(GetSlotRequest { slot_id: slot.into() }).await.unwrap().into_inner().slot.unwrap()
}

/// Returns a slot with its arms.
async fn get(clients: &mut Clients, slot: &str) -> Slot {
    Slot { arms: clients.arms(slot).await, ..head(clients, slot).await }
}

async fn revisions(clients: &mut Clients, slot: &str) -> Vec<Revision> {
    let list = ListRevisionsRequest { slot_id: slot.into(), page_size: 200, page_token: String::new() };
    clients.slots.list_revisions(list).await.unwrap().into_inner().revisions
}

fn masked(slot: Slot, paths: &[&str]) -> UpdateSlotRequest {
    UpdateSlotRequest {
        slot: Some(slot),
        update_mask: Some(FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() }),
        ..UpdateSlotRequest::default()
    }
}

fn change(path: &str, before: &str, after: &str) -> FieldChange {
    FieldChange { path: path.into(), before: before.into(), after: after.into() }
}

#[tokio::test]
async fn every_revision_says_who_changed_what_and_why() {
    let (_folder, server, mut clients) = started().await;
    let made = clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let update = UpdateSlotRequest {
        author: "ann".into(),
        reason: "a dial".into(),
        ..masked(
            Slot {
                slot_id: "offers".into(),
                controls: Some(Controls { floor: Some(0.1), ..Controls::default() }),
                ..Slot::default()
            },
            &["controls.floor"],
        )
    };
    clients.slots.update_slot(update).await.unwrap();
    let pause = SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        changes: vec![ArmAvailability {
            arm_id: "a".into(),
            available: Some(false),
            because: UnavailableBecause::OutOfStock.into(),
            schedule: None,
        }],
        author: "bob".into(),
        ..SetArmAvailabilityRequest::default()
    };
    clients.slots.set_arm_availability(pause).await.unwrap();
    assert_eq!(clients.arms("offers").await[0].unavailable_because(), UnavailableBecause::OutOfStock);

    let found = revisions(&mut clients, "offers").await;
    let who: Vec<_> = found.iter().map(|r| (r.revision, r.author.as_str(), r.reason.as_str())).collect();
    assert_eq!(who, [(3, "bob", ""), (2, "ann", "a dial"), (1, "", "")]);
    assert_eq!(
        found[0].diff,
        [
            change("arms[\"a\"].available", "true", "false"),
            change("arms[\"a\"].unavailable_because", "", "out_of_stock")
        ]
    );
    assert_eq!(found[1].diff, [change("controls.floor", "", "0.1")]);
    assert_eq!(found[2].diff, []);
    assert!(found.iter().all(|revision| revision.time.is_some_and(|time| time.seconds > 1_700_000_000)));

    let ask = |revision| GetRevisionRequest { slot_id: "offers".into(), revision };
    let second = clients.slots.get_revision(ask(2)).await.unwrap().into_inner().revision.unwrap();
    assert_eq!(second, found[1]);
    let first = clients.slots.get_revision(ask(1)).await.unwrap().into_inner().revision.unwrap();
    assert_eq!(first.slot.unwrap(), made, "the slot as it was then");
    let gone = clients.slots.get_revision(ask(9)).await.unwrap_err();
    check(&gone, "revision");
    assert!(gone.message().contains("the slot is at 3"), "{}", gone.message());
    server.stop().await;
}

/// Pauses an arm of the slot `offers` in a call with the given request id.
async fn pause_as(clients: &mut Clients, arm: &str, request_id: &str) {
    let changes = vec![ArmAvailability { arm_id: arm.into(), available: Some(false), ..ArmAvailability::default() }];
    let pause = SetArmAvailabilityRequest { slot_id: "offers".into(), changes, ..SetArmAvailabilityRequest::default() };
    let mut request = tonic::Request::new(pause);
    request.metadata_mut().insert("x-request-id", request_id.parse().unwrap());
    clients.slots.set_arm_availability(request).await.unwrap();
}

#[tokio::test]
async fn every_revision_says_from_where_and_with_which_request_id_it_came() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    pause_as(&mut clients, "a", "call-7").await;
    let found = revisions(&mut clients, "offers").await;
    let actors: Vec<_> = found.iter().map(|revision| revision.actor.clone().unwrap()).collect();
    assert_eq!(actors[0].request_id, "call-7");
    assert!(actors[1].request_id.len() == 32, "one was made up for the call that carried none: {actors:?}");
    assert!(actors.iter().all(|actor| actor.origin.starts_with("127.0.0.1:") && actor.principal.is_empty()));

    // Two messages of a stock feed become one revision, although each is a call of its own.
    pause_as(&mut clients, "b", "call-8").await;
    let merged = revisions(&mut clients, "offers").await;
    assert_eq!((merged.len(), merged[0].actor.clone().unwrap().request_id.as_str()), (2, "call-8"));
    server.stop().await;

    let server = Server::start(folder.path()).await;
    let mut clients = server.clients().await;
    assert_eq!(revisions(&mut clients, "offers").await, merged, "the journal and the snapshot keep it");
    server.stop().await;
}

#[tokio::test]
async fn a_stale_update_says_who_changed_what_when() {
    let (_folder, server, mut clients) = started().await;
    let made = clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let mut theirs = get(&mut clients, "offers").await;
    theirs.display_name = "Theirs".into();
    theirs.arms[0].available = Some(false);
    let update = UpdateSlotRequest {
        author: "ann".into(),
        reason: "sold out".into(),
        ..masked(theirs, &["display_name", "arms"])
    };
    clients.slots.update_slot(update).await.unwrap();
    let mut ours = made;
    ours.count = 2;
    let update = UpdateSlotRequest { slot: Some(ours), author: "bob".into(), ..UpdateSlotRequest::default() };
    for validate_only in [true, false] {
        let update = UpdateSlotRequest { validate_only, ..update.clone() };
        let stale = clients.slots.update_slot(update).await.unwrap_err();
        assert_eq!(stale.code(), Code::Aborted);
        for words in [
            "at revision 2",
            "made from 1",
            "ann",
            "sold out",
            "20",
            "display_name, arms[\"a\"].available",
            "read the slot again",
        ] {
            assert!(stale.message().contains(words), "{words} in {}", stale.message());
        }
        assert!(stale.get_details_precondition_failure().is_some());
    }
    assert_eq!(get(&mut clients, "offers").await.count, 0);
    server.stop().await;
}

/// One call pauses 100,000 arms in ten slots, and the next decision respects it.
#[tokio::test]
async fn a_hundred_thousand_arms_are_paused_in_one_call() {
    const SLOTS: usize = 10;
    const ARMS: usize = 10_000;
    let (_folder, server, mut clients) = started().await;
    let slots: Vec<String> = (0..SLOTS).map(|i| format!("slot{i}")).collect();
    let arms: Vec<String> = (0..ARMS).map(|i| format!("arm{i}")).collect();
    let ids: Vec<&str> = arms.iter().map(String::as_str).collect();
    for id in &slots {
        let mut clients = clients.clone();
        let mut big = slot(id, &ids);
        // The safe choice makes decisions cheap, and how they are made is not the subject here.
        big.controls = Some(Controls { safe_choice: Some(true), ..Controls::default() });
        clients.create(big).await.unwrap();
    }
    let messages: Vec<_> = slots
        .iter()
        .map(|id| SetArmAvailabilityRequest {
            slot_id: id.clone(),
            available: arms.iter().map(|arm| (arm.clone(), arm == "arm7777")).collect(),
            author: "the stock".into(),
            ..SetArmAvailabilityRequest::default()
        })
        .collect();
    let done = clients.slots.stream_arm_availability(tokio_stream::iter(messages)).await.unwrap().into_inner();
    assert_eq!((done.messages, done.arms), (10, 100_000));
    assert_eq!(done.revisions, slots.iter().map(|id| (id.clone(), 2)).collect::<HashMap<_, _>>());
    for id in &slots {
        let decision = clients.decide(decide(id)).await.unwrap();
        assert_eq!(decision.arms.iter().map(|arm| arm.arm_id.as_str()).collect::<Vec<_>>(), ["arm7777"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_fails_says_where_and_what_was_applied() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    clients.create(slot("search", &["x"])).await.unwrap();
    let message = |slot: &str, arm: &str| SetArmAvailabilityRequest {
        slot_id: slot.into(),
        available: [(arm.to_owned(), false)].into(),
        ..SetArmAvailabilityRequest::default()
    };
    let messages =
        vec![message("offers", "a"), message("search", "x"), message("offers", "bb"), message("offers", "b")];
    let failed = clients.slots.stream_arm_availability(tokio_stream::iter(messages)).await.unwrap_err();
    check(&failed, "messages[2].available[\"bb\"]");
    assert!(failed.message().contains("the 2 messages before it were applied"), "{}", failed.message());
    assert!(failed.message().contains("did you mean 'b'"), "{}", failed.message());
    assert_eq!(get(&mut clients, "offers").await.arms.iter().map(Arm::available).collect::<Vec<_>>(), [false, true]);
    assert_eq!(get(&mut clients, "search").await.arms[0].available, Some(false));

    let nowhere = clients.slots.stream_arm_availability(tokio_stream::iter(vec![message("ofers", "a")])).await;
    let nowhere = nowhere.unwrap_err();
    assert_eq!(nowhere.code(), Code::NotFound);
    assert!(nowhere.message().contains("no message was applied"), "{}", nowhere.message());
    let tried = SetArmAvailabilityRequest { validate_only: true, ..message("offers", "b") };
    let tried = clients.slots.stream_arm_availability(tokio_stream::iter(vec![tried])).await.unwrap_err();
    check(&tried, "messages[0].validate_only");
    let none = tokio_stream::iter(Vec::<SetArmAvailabilityRequest>::new());
    assert_eq!(clients.slots.stream_arm_availability(none).await.unwrap().into_inner().messages, 0);
    server.stop().await;
}

#[tokio::test]
async fn availability_by_schedule_and_by_arm_is_kept_and_cleared() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let day = |day: i64| Some(Timestamp { seconds: 4_000_000_000 + 86_400 * day, nanos: 0 });
    let set = |changes: Vec<ArmAvailability>| SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        changes,
        ..SetArmAvailabilityRequest::default()
    };
    let arm = |id: &str, schedule| ArmAvailability { arm_id: id.into(), schedule, ..ArmAvailability::default() };
    let winter = Some(Schedule { from: day(0), until: day(30) });
    let set_it = set(vec![arm("a", winter)]);
    clients.slots.set_arm_availability(set_it.clone()).await.unwrap();
    let scheduled = get(&mut clients, "offers").await;
    assert_eq!((scheduled.arms[0].schedule, scheduled.arms[0].available), (winter, Some(true)));
    let again = clients.slots.set_arm_availability(set_it).await.unwrap().into_inner().slot.unwrap();
    assert_eq!(again.revision, scheduled.revision, "it was so already");
    let pause = set(vec![ArmAvailability { available: Some(false), ..arm("a", None) }]);
    clients.slots.set_arm_availability(pause).await.unwrap();
    let kept = get(&mut clients, "offers").await;
    assert_eq!((kept.arms[0].schedule, kept.arms[0].available), (winter, Some(false)), "what is unset stays");
    let cleared = set(vec![arm("a", Some(Schedule::default()))]);
    clients.slots.set_arm_availability(cleared).await.unwrap();
    let cleared = get(&mut clients, "offers").await;
    assert_eq!((cleared.arms[0].schedule, cleared.arms[0].available), (None, Some(false)));

    let backwards = set(vec![arm("b", Some(Schedule { from: day(1), until: day(1) }))]);
    let refused = clients.slots.set_arm_availability(backwards).await.unwrap_err();
    check(&refused, "available[\"b\"].until");
    let unknown = set(vec![ArmAvailability { because: 9, ..arm("b", None) }]);
    check(&clients.slots.set_arm_availability(unknown).await.unwrap_err(), "changes[0].because");
    let mut twice = set(vec![arm("b", None)]);
    twice.available.insert("b".into(), true);
    check(&clients.slots.set_arm_availability(twice).await.unwrap_err(), "changes");
    check(&clients.slots.set_arm_availability(set(Vec::new())).await.unwrap_err(), "available");
    server.stop().await;
}

#[tokio::test]
async fn the_safe_choice_goes_on_and_off_for_one_slot_and_for_all() {
    let (_folder, server, mut clients) = started().await;
    for id in ["a-slot", "b-slot", "c-slot"] {
        clients.create(slot(id, &["x", "y"])).await.unwrap();
    }
    let before = get(&mut clients, "b-slot").await;
    let safe = |slot: &str, on| SetSafeChoiceRequest {
        slot_id: slot.into(),
        on,
        reason: "the shop is on fire".into(),
        author: "ann".into(),
    };
    let one = clients.slots.set_safe_choice(safe("b-slot", true)).await.unwrap().into_inner();
    assert_eq!(one.revisions, [("b-slot".to_owned(), 2)].into());
    let all = clients.slots.set_safe_choice(safe("", true)).await.unwrap().into_inner();
    assert_eq!(all.revisions, [("a-slot".to_owned(), 2), ("c-slot".to_owned(), 2)].into(), "only those that were not");
    for id in ["a-slot", "b-slot", "c-slot"] {
        assert_eq!(get(&mut clients, id).await.controls.unwrap().safe_choice, Some(true));
        for _ in 0..10 {
            let decision = clients.decide(decide(id)).await.unwrap();
            assert_eq!(decision.fallback(), slotwise::wire::proto::Fallback::SafeChoice);
        }
    }
    let off = clients.slots.set_safe_choice(safe("", false)).await.unwrap().into_inner();
    assert_eq!(off.revisions.len(), 3);
    let after = get(&mut clients, "b-slot").await;
    assert_eq!(after, Slot { revision: 3, ..before }, "as if nothing had been");
    assert!(clients.slots.set_safe_choice(safe("", false)).await.unwrap().into_inner().revisions.is_empty());
    let nowhere = clients.slots.set_safe_choice(safe("d-slot", true)).await.unwrap_err();
    assert_eq!(nowhere.code(), Code::NotFound);
    let newest = &revisions(&mut clients, "b-slot").await[0];
    assert_eq!((newest.author.as_str(), newest.reason.as_str()), ("ann", "the shop is on fire"));
    assert_eq!(newest.diff, [change("controls.safe_choice", "true", "")]);
    server.stop().await;
}

#[tokio::test]
async fn what_is_only_validated_changes_nothing() {
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
    let would_be = clients.slots.upsert_arms(upsert).await.unwrap().into_inner();
    assert_eq!((would_be.arm_count, would_be.slot.unwrap().revision), (4, 3));
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
    let would_be = clients.slots.set_arm_availability(available).await.unwrap().into_inner();
    assert_eq!((would_be.arm_count, would_be.available_arm_count), (3, 2));
    let rollback = RollbackSlotRequest {
        slot_id: "offers".into(),
        revision: 1,
        validate_only: true,
        ..RollbackSlotRequest::default()
    };
    assert_eq!(clients.slots.rollback_slot(rollback).await.unwrap().into_inner().arm_count, 2);
    assert_eq!(head(&mut clients, "offers").await, made);
    assert_eq!(revisions(&mut clients, "offers").await.len(), 2);
    let bad = RollbackSlotRequest {
        slot_id: "offers".into(),
        revision: 7,
        validate_only: true,
        ..RollbackSlotRequest::default()
    };
    check(&clients.slots.rollback_slot(bad).await.unwrap_err(), "revision");
    server.stop().await;
}

/// A mask that names one control is checked with the whole slot, not by itself.
#[tokio::test]
async fn levers_are_set_one_by_one_and_come_back_as_they_were_set() {
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
        clients.slots.update_slot(masked(wanted.clone(), &[path])).await.unwrap();
    }
    let now = get(&mut clients, "offers").await;
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
        (controls(&|c| c.exploration_stop = 9), "controls.exploration_stop", "slot.controls.exploration_stop"),
        (controls(&|c| c.salt = Some("x".repeat(200))), "controls.salt", "slot.controls.salt"),
        (rules(vec![Rule { name: "none".into(), ..Rule::default() }]), "rules", "slot.rules[0].effect"),
        (
            rules(vec![rule("a", evidence(0.9)), Rule { on_error: 7, ..rule("b", evidence(0.9)) }]),
            "rules",
            "slot.rules[1].on_error",
        ),
    ] {
        check(&clients.slots.update_slot(masked(slot, &[path])).await.unwrap_err(), field);
    }
    server.stop().await;
}
