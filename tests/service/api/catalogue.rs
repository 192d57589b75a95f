//! Catalogues too large for one message, read and changed by clients with the usual limits, and updates that must leave
//! operational settings alone.
//!
//! `SLOTWISE_CATALOGUE=10000` sets the number of arms.

use std::{collections::HashMap, path::Path};

use prost::Message;
use slotwise::wire::proto::{
    DecideResult, FeatureValue, GetRevisionRequest, ListArmsRequest, Mode, PreviewSlotChangeRequest,
    SetSafeChoiceRequest, ShadowMode, UnavailableBecause, decide_result, feature_value::Value, mode,
};

use super::*;

/// Largest size, in bytes, of an answer that lists no single arms.
const SMALL_ANSWER_BYTES: usize = 8 * 1024;

#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn arm_count() -> usize {
    std::env::var("SLOTWISE_CATALOGUE").map_or(5_000, |size| size.parse().unwrap())
}

fn text_payload(text: String) -> prost_types::Struct {
    let value = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(text)) };
    prost_types::Struct { fields: [("text".to_owned(), value)].into() }
}

fn arm(i: usize) -> Arm {
    Arm { arm_id: format!("arm{i:05}"), payload: Some(text_payload("x".repeat(1_000))), ..Arm::default() }
}

/// Returns the bytes of all records in a journal that is in use. File sizes are no measure, because a checkpoint moves
/// bytes from one file to another.
fn record_bytes(folder: &Path) -> u64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let journal = rusqlite::Connection::open_with_flags(folder.join("journal.sqlite3"), flags).unwrap();
    let bytes: i64 = journal.query_row("SELECT sum(length(body)) FROM events", [], |row| row.get(0)).unwrap();
    u64::try_from(bytes).unwrap()
}

/// Returns the number of commits in a journal that is in use. Each has a row in the table of the chain.
fn commits(folder: &Path) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let journal = rusqlite::Connection::open_with_flags(folder.join("journal.sqlite3"), flags).unwrap();
    journal.query_row("SELECT count(*) FROM batches", [], |row| row.get(0)).unwrap()
}

fn assert_small(answer: &impl Message) {
    assert!(answer.encoded_len() < SMALL_ANSWER_BYTES, "{} bytes", answer.encoded_len());
}

/// Creates a slot of [`arm_count`] arms with 1 kB of payload each, in several calls.
async fn create_catalogue(clients: &mut support::Clients) {
    let arms: Vec<Arm> = (0..arm_count()).map(arm).collect();
    let mut parts = arms.chunks(2_500);
    let mut first = slot("offers", &[]);
    first.arms = parts.next().unwrap().to_vec();
    first.kind = SlotKind::Ranking.into();
    clients.create(first).await.unwrap();
    for part in parts {
        let upsert =
            UpsertArmsRequest { slot_id: "offers".into(), arms: part.to_vec(), ..UpsertArmsRequest::default() };
        assert_small(&clients.slots.upsert_arms(upsert).await.unwrap().into_inner());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_grows_with_the_catalogue_and_no_small_change_is_a_large_record() {
    let (folder, server, mut clients) = started().await;
    create_catalogue(&mut clients).await;
    let all = u32::try_from(arm_count()).unwrap();
    let got = clients.slots.get_slot(GetSlotRequest { slot_id: "offers".into() }).await.unwrap().into_inner();
    assert_eq!((got.arm_count, got.available_arm_count), (all, all));
    assert_small(&got);
    let listed = clients.slots.list_slots(ListSlotsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.arm_counts[0].arms, all);
    assert_small(&listed);
    let ids: Vec<String> = clients.arms("offers").await.into_iter().map(|arm| arm.arm_id).collect();
    assert_eq!(ids, (0..arm_count()).map(|i| arm(i).arm_id).collect::<Vec<_>>());
    let page = ListArmsRequest { slot_id: "offers".into(), page_size: 1_000, ..ListArmsRequest::default() };
    let page = clients.slots.list_arms(page).await.unwrap().into_inner();
    assert!(page.arms.len() > 500 && page.encoded_len() <= 2 * 1024 * 1024 + 64, "{}", page.encoded_len());

    let before = record_bytes(folder.path());
    for i in 0..10 {
        let available = HashMap::from([(arm(i).arm_id, false)]);
        let pause = SetArmAvailabilityRequest {
            slot_id: "offers".into(),
            available,
            reason: format!("{i}"),
            ..SetArmAvailabilityRequest::default()
        };
        assert_small(&clients.slots.set_arm_availability(pause).await.unwrap().into_inner());
        let changed = Arm { payload: Some(text_payload("changed".into())), ..arm(100 + i) };
        let upsert =
            UpsertArmsRequest { slot_id: "offers".into(), arms: vec![changed], ..UpsertArmsRequest::default() };
        assert_small(&clients.slots.upsert_arms(upsert).await.unwrap().into_inner());
        let named = Slot { slot_id: "offers".into(), display_name: format!("name {i}"), ..Slot::default() };
        let update_mask = Some(FieldMask { paths: vec!["display_name".into()] });
        let update = UpdateSlotRequest { slot: Some(named), update_mask, ..UpdateSlotRequest::default() };
        assert_small(&clients.slots.update_slot(update).await.unwrap().into_inner());
    }
    let grown = record_bytes(folder.path()).saturating_sub(before);
    println!("{} bytes of the journal for each of 30 small changes of {all} arms", grown / 30);
    assert!(grown > 0 && grown < 30 * 2 * 1024, "30 small changes took {grown} bytes");

    // A change of all arms is shown as a number, not arm by arm.
    let all_paused = (0..arm_count()).map(|i| (arm(i).arm_id, false)).collect();
    let pause = SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        available: all_paused,
        ..SetArmAvailabilityRequest::default()
    };
    assert_small(&clients.slots.set_arm_availability(pause).await.unwrap().into_inner());
    let list = ListRevisionsRequest { slot_id: "offers".into(), page_size: 200, ..ListRevisionsRequest::default() };
    let history = clients.slots.list_revisions(list).await.unwrap().into_inner();
    assert!(history.encoded_len() < 200 * 1024, "{}", history.encoded_len());
    assert!(history.revisions.iter().all(|revision| revision.slot.as_ref().unwrap().arms.is_empty()));
    assert_eq!(history.revisions[0].arm_count, all);
    assert!(history.revisions[0].diff[0].after.contains("changed"), "{:?}", history.revisions[0].diff);
    // Read the revision at which the last part was added.
    let made = arm_count().div_ceil(2_500) as u64;
    let ask = GetRevisionRequest { slot_id: "offers".into(), revision: made };
    assert_small(&clients.slots.get_revision(ask).await.unwrap().into_inner());
    let then = ListArmsRequest { slot_id: "offers".into(), revision: made, ..ListArmsRequest::default() };
    let then = clients.slots.list_arms(then).await.unwrap().into_inner();
    assert_eq!((then.revision, then.arms[0].available), (made, Some(true)));

    let ask = GetSlotReportRequest { slot_id: "offers".into(), ..GetSlotReportRequest::default() };
    let report = clients.insight.get_slot_report(ask.clone()).await.unwrap().into_inner();
    let page = report.report.unwrap();
    assert_eq!((page.arms.len(), page.arm_count), (1_000, all));
    let ask = GetSlotReportRequest { page_token: report.next_page_token, ..ask };
    let second = clients.insight.get_slot_report(ask).await.unwrap().into_inner().report.unwrap();
    assert_eq!(second.arms[0].arm_id, arm(1_000).arm_id);

    let named = Slot { slot_id: "offers".into(), count: 3, ..Slot::default() };
    let update_mask = Some(FieldMask { paths: vec!["count".into()] });
    let preview = PreviewSlotChangeRequest { slot: Some(named), update_mask, decisions: 0 };
    let preview = clients.slots.preview_slot_change(preview).await.unwrap().into_inner();
    assert_eq!((preview.arms.len(), preview.arms_left_out), (1_000, all - 1_000));

    let rollback = RollbackSlotRequest { slot_id: "offers".into(), revision: made, ..RollbackSlotRequest::default() };
    assert_small(&clients.slots.rollback_slot(rollback).await.unwrap().into_inner());
    let remove = RemoveArmsRequest {
        slot_id: "offers".into(),
        arm_ids: (1..arm_count()).map(|i| arm(i).arm_id).collect(),
        ..RemoveArmsRequest::default()
    };
    assert_small(&clients.slots.remove_arms(remove).await.unwrap().into_inner());
    let wrong = ListArmsRequest { slot_id: "offers".into(), page_token: "abc".into(), ..ListArmsRequest::default() };
    assert_eq!(clients.slots.list_arms(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn all_slots_get_the_safe_choice_in_one_commit_or_none_does() {
    let (folder, server, mut clients) = started().await;
    let ids: Vec<String> = (0..150).map(|i| format!("slot{i:03}")).collect();
    for id in &ids {
        clients.create(slot(id, &["a"])).await.unwrap();
    }
    let safe = |reason: &str| SetSafeChoiceRequest { on: true, reason: reason.into(), ..Default::default() };
    let refused = clients.slots.set_safe_choice(safe(&"x".repeat(2_000))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let ask = |id: &str| ListRevisionsRequest { slot_id: id.into(), page_size: 1, ..Default::default() };
    for id in &ids {
        let newest = clients.slots.list_revisions(ask(id)).await.unwrap().into_inner().revisions.remove(0);
        assert_eq!(newest.revision, 1);
    }
    let before = commits(folder.path());
    let done = clients.slots.set_safe_choice(safe("fire")).await.unwrap().into_inner();
    assert_eq!((done.changed, done.revisions.len()), (150, 100));
    assert_eq!(commits(folder.path()) - before, 1, "a crash leaves all slots changed or none");
    assert!(done.revisions.contains_key("slot000") && !done.revisions.contains_key("slot100"));
    let mut times = std::collections::BTreeSet::new();
    for id in &ids {
        let newest = clients.slots.list_revisions(ask(id)).await.unwrap().into_inner().revisions.remove(0);
        times.insert(newest.time.map(|time| (time.seconds, time.nanos)));
        assert_eq!(newest.slot.unwrap().controls.unwrap().safe_choice, Some(true));
    }
    assert_eq!(times.len(), 1, "one time");
    server.stop().await;
}

/// An update keeps what operations switched, unless its mask names the field.
#[tokio::test]
async fn an_update_leaves_what_operations_own() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let shadow = Some(Mode { mode: Some(mode::Mode::Shadow(ShadowMode {})) });
    let operated = Slot {
        slot_id: "offers".into(),
        controls: Some(Controls { mode: shadow, freeze_learning: Some(true), ..Controls::default() }),
        ..Slot::default()
    };
    let paths = |paths: &[&str]| Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
    let update_mask = paths(&["controls.mode", "controls.freeze_learning"]);
    let update = UpdateSlotRequest { slot: Some(operated), update_mask, ..UpdateSlotRequest::default() };
    clients.slots.update_slot(update).await.unwrap();
    let safe = SetSafeChoiceRequest { slot_id: "offers".into(), on: true, ..SetSafeChoiceRequest::default() };
    clients.slots.set_safe_choice(safe).await.unwrap();
    let paused = Arm {
        available: Some(false),
        unavailable_because: UnavailableBecause::OutOfStock.into(),
        ..support::arms(&["a"]).remove(0)
    };
    let upsert =
        UpsertArmsRequest { slot_id: "offers".into(), arms: vec![paused.clone()], ..UpsertArmsRequest::default() };
    clients.slots.upsert_arms(upsert).await.unwrap();

    // Send the same slot again, as a product feed or a deployment pipeline does.
    let unmasked = UpdateSlotRequest {
        slot: Some(Slot { display_name: "Offers".into(), ..slot("offers", &["a", "b"]) }),
        ..UpdateSlotRequest::default()
    };
    let updated = clients.slots.update_slot(unmasked).await.unwrap().into_inner().slot.unwrap();
    let controls = updated.controls.unwrap();
    assert_eq!((controls.safe_choice, controls.freeze_learning), (Some(true), Some(true)));
    assert_eq!((controls.mode, updated.display_name.as_str()), (shadow, "Offers"));
    let again = UpsertArmsRequest {
        slot_id: "offers".into(),
        arms: vec![Arm { payload: Some(text_payload("new".into())), ..support::arms(&["a"]).remove(0) }],
        ..UpsertArmsRequest::default()
    };
    clients.slots.upsert_arms(again).await.unwrap();
    let masked = |arms: Vec<Arm>, path: &str| UpdateSlotRequest {
        slot: Some(Slot { slot_id: "offers".into(), arms, ..Slot::default() }),
        update_mask: paths(&[path]),
        ..UpdateSlotRequest::default()
    };
    clients.slots.update_slot(masked(support::arms(&["b", "a"]), "arms.arm_id")).await.unwrap();
    let arms = clients.arms("offers").await;
    assert_eq!(
        arms[1],
        Arm { payload: Some(text_payload("new".into())), ..paused.clone() },
        "an arm that is named by its id alone stays as it was"
    );
    clients.slots.update_slot(masked(support::arms(&["a", "b"]), "arms")).await.unwrap();
    assert_eq!(clients.arms("offers").await[0], paused, "the arm was replaced and is still out of stock");
    let named = vec![Arm { available: Some(true), ..support::arms(&["a"]).remove(0) }];
    clients.slots.update_slot(masked(named, "arms")).await.unwrap();
    let arms = clients.arms("offers").await;
    assert_eq!((arms.len(), arms[0].available), (1, Some(true)), "a mask that names the arms sets them");

    let other = UpdateSlotRequest { slot: Some(slot("offers", &["x"])), ..UpdateSlotRequest::default() };
    let refused = clients.slots.update_slot(other).await.unwrap_err();
    assert!(refused.message().starts_with("slot.arms: are not those of the slot"), "{}", refused.message());
    let unknown = clients.slots.update_slot(masked(support::arms(&["a", "x"]), "arms.arm_id")).await.unwrap_err();
    assert!(unknown.message().starts_with("slot.arms[1].arm_id"), "{}", unknown.message());
    let controls = UpdateSlotRequest {
        slot: Some(Slot { slot_id: "offers".into(), ..Slot::default() }),
        update_mask: paths(&["controls"]),
        ..UpdateSlotRequest::default()
    };
    let cleared = clients.slots.update_slot(controls).await.unwrap().into_inner().slot.unwrap();
    assert_eq!(cleared.controls.unwrap().safe_choice, None, "a mask that names the controls sets them");
    server.stop().await;
}

/// A decision whose answer no client could receive must be refused before it is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_larger_than_a_client_takes_is_refused_before_it_is_decided() {
    let (folder, server, mut clients) = started().await;
    let large = |i: usize| Arm {
        arm_id: format!("arm{i:03}"),
        payload: Some(text_payload("x".repeat(16_000))),
        ..Arm::default()
    };
    let mut offers = slot("offers", &[]);
    offers.arms = (0..400).map(large).collect();
    offers.kind = SlotKind::Ranking.into();
    clients.create(offers).await.unwrap();
    let recorded = |folder: &Path| -> i64 {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let journal = rusqlite::Connection::open_with_flags(folder.join("journal.sqlite3"), flags).unwrap();
        journal.query_row("SELECT count(*) FROM events WHERE kind = 'decided'", [], |row| row.get(0)).unwrap()
    };
    let of = |count: u32| DecideRequest { count, ..decide("offers") };
    let fits = clients.decide(of(200)).await.unwrap();
    assert!(fits.encoded_len() > 3 << 20, "{}", fits.encoded_len());
    let refused = clients.decide(of(400)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let said = "count: is 400, and the answer may come to 64";
    assert!(refused.message().starts_with(said) && refused.message().contains("3670016"), "{}", refused.message());

    let few: Vec<_> = (0..300).map(|i| Candidate { arm_id: format!("arm{i:03}"), ..Default::default() }).collect();
    let candidates = DecideRequest { candidates: few[..150].to_vec(), ..of(400) };
    assert_eq!(
        clients.decide(candidates).await.unwrap().arms.len(),
        150,
        "a slate has at most as many arms as candidates"
    );
    let candidates = DecideRequest { candidates: few, ..of(400) };
    assert_eq!(clients.decide(candidates).await.unwrap_err().code(), Code::InvalidArgument);

    let batch = BatchDecideRequest { requests: vec![of(100), of(100), of(100), of(3)], ..Default::default() };
    let results = clients.decisions.batch_decide(batch).await.unwrap().into_inner().results;
    let arms = |result: &DecideResult| match result.result.as_ref().unwrap() {
        decide_result::Result::Response(response) => response.arms.len(),
        decide_result::Result::Status(status) => {
            assert!(status.message.contains("with the requests before it"), "{}", status.message);
            0
        }
    };
    assert_eq!(results.iter().map(arms).collect::<Vec<_>>(), [100, 100, 0, 3]);

    // The ids of unknown candidates, which the answer names, count too.
    let mut unknown: Vec<_> =
        (1..5_000).map(|i| Candidate { arm_id: format!("{i:x>100}"), ..Default::default() }).collect();
    unknown.push(Candidate { arm_id: "arm000".into(), ..Default::default() });
    let request = DecideRequest { candidates: unknown, ..of(1) };
    let batch = BatchDecideRequest { requests: vec![request; 8], ..Default::default() };
    let answer = clients.decisions.batch_decide(batch).await.unwrap().into_inner();
    assert!(answer.encoded_len() < 4 << 20, "{}", answer.encoded_len());
    assert_eq!(answer.results.iter().map(arms).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 1, 0, 0]);
    let event = click("e1", &fits);
    clients.reward(event).await.unwrap();
    server.stop().await;
    assert_eq!(recorded(folder.path()), 11, "a refused decision is not recorded");
}

/// Explanations count with the longest names that they may hold, whichever arm is drawn.
#[tokio::test(flavor = "multi_thread")]
async fn explanations_count_in_the_size_of_an_answer() {
    let (_folder, server, mut clients) = started().await;
    let mut offers = slot("offers", &[]);
    offers.arms = (0..60).map(|i| Arm { arm_id: format!("{i:a>250}"), ..Arm::default() }).collect();
    clients.create(offers).await.unwrap();
    let long = |i: usize| {
        let word = Value::Text(format!("{i:w>256}"));
        (format!("{i:n>128}"), FeatureValue { value: Some(word) })
    };
    let request = |explain: bool| DecideRequest { context: (0..8).map(long).collect(), explain, ..decide("offers") };
    // The slot learns, so that there are effects to explain.
    for i in 0..40 {
        let decision = clients.decide(request(false)).await.unwrap();
        clients.reward(click(&format!("e{i}"), &decision)).await.unwrap();
    }
    let batch = |explain: bool| BatchDecideRequest { requests: vec![request(explain); 100], ..Default::default() };
    let plain = clients.decisions.batch_decide(batch(false)).await.unwrap().into_inner();
    assert!(plain.results.iter().all(|one| matches!(one.result, Some(decide_result::Result::Response(_)))));
    let explained = clients.decisions.batch_decide(batch(true)).await.unwrap().into_inner();
    assert!(explained.encoded_len() < 4 << 20, "{}", explained.encoded_len());
    let refusals = explained.results.iter().filter_map(|one| match one.result.as_ref().unwrap() {
        decide_result::Result::Status(status) => Some(status.message.clone()),
        decide_result::Result::Response(response) => {
            let explanation = response.explanation.as_ref().unwrap();
            assert!(explanation.candidates.iter().any(|candidate| candidate.moved_by.len() > 1));
            None
        }
    });
    let refusals: Vec<String> = refusals.collect();
    assert!((50..100).contains(&refusals.len()), "{}", refusals.len());
    assert!(refusals[0].starts_with("explain: is true, and the explanation may take"), "{}", refusals[0]);
    server.stop().await;
}
