//! A node and what its folder holds of the subjects that it served.

use std::{fs, path::Path};

use super::*;
use crate::{
    engine::{Body, DecisionId, Event, UnmatchedReason},
    journal::JournalReader,
    node::subjects::{key::KEY_FILE, table::TABLE_FILE},
    slot::{Effect, OnError, Rule},
};

const ID: &str = "ann.of.green.gables@example.com";
const SESSION: &str = "the-session-of-ann";

fn subject(id: &str, session_id: &str) -> Subject {
    Subject { id: id.into(), session_id: session_id.into() }
}

/// The files of a folder that hold the id, the session's id or a part of them.
fn files_that_tell(folder: &Path) -> Vec<String> {
    let tells =
        |bytes: &[u8]| [ID, SESSION].iter().any(|id| bytes.windows(id.len()).any(|window| window == id.as_bytes()));
    let mut found: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && tells(&fs::read(path).unwrap()))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    found
}

async fn decide_for(node: &Node, subject: Subject) -> Arc<DecisionRecord> {
    let request = Request { subject, ..request(None) };
    node.decide(vec![request], false, &|| false).await.unwrap().remove(0).unwrap().decided
}

/// A click that names no decision: the latest one that showed the arm to the subject gets it.
async fn click_of(node: &Node, event_id: &str, subject: Subject, decided: &DecisionRecord) -> EventStatus {
    let arm = Some(decided.chosen[0].arm.clone());
    let event = RewardRequest { slot: Some(slot_id()), decision: None, subject, arm, ..click(event_id, decided) };
    node.record(vec![event]).unwrap().await.unwrap().remove(0).status
}

#[tokio::test]
async fn a_folder_holds_the_ids_of_subjects_in_their_table_only_and_in_no_file_once_they_are_forgotten() {
    let world = TestNode::new();
    let node = world.open();
    create(&node).await;
    let decided = decide_for(&node, subject(ID, SESSION)).await;
    assert!(decided.subject.id.starts_with('~'), "{:?}", decided.subject);
    assert_eq!(click_of(&node, "e1", subject(ID, ""), &decided).await, EventStatus::Accepted);
    assert_eq!(click_of(&node, "e2", subject("", SESSION), &decided).await, EventStatus::Accepted);
    let nobody = EventStatus::Unmatched(UnmatchedReason::Subject);
    assert_eq!(click_of(&node, "e3", subject(SESSION, ID), &decided).await, nobody, "each in its own place");
    let recalled = node.recall(decided.id, None).await.unwrap();
    assert_eq!(recalled.decided.subject, subject(ID, SESSION), "people see the ids");
    node.shutdown();
    drop(node);
    let names = |folder: &Path| -> usize { fs::read_dir(folder).unwrap().count() };
    assert!(names(world.folder.path()) >= 5, "journal, snapshot, key and table among them");
    assert_eq!(files_that_tell(world.folder.path()), [TABLE_FILE]);

    let target = tempfile::tempdir().unwrap();
    let copied = backup(world.folder.path(), &target.path().join("b"), &mut |_| {}).unwrap();
    assert_eq!(copied.left_out, Vec::<String>::new());
    assert_eq!(files_that_tell(&target.path().join("b")), [TABLE_FILE]);

    let node = world.open();
    assert_eq!(click_of(&node, "e4", subject(ID, ""), &decided).await, EventStatus::Accepted, "after a restart, too");
    for named in [subject(ID, SESSION), subject(SESSION, ID)] {
        let gone = node.subjects.unnamed_pseudonym(&named);
        node.subjects.forget(&[&gone.id, &gone.session_id]).unwrap();
    }
    assert_eq!(files_that_tell(world.folder.path()), Vec::<String>::new());
    let recalled = node.recall(decided.id, None).await.unwrap();
    assert_eq!(recalled.decided.subject, decided.subject, "its pseudonym is all that is left");
    drop(node);
    assert_eq!(files_that_tell(world.folder.path()), Vec::<String>::new());
    audit(world.folder.path(), true, &mut |_| {}).unwrap();
}

#[tokio::test]
async fn consent_is_looked_at_before_any_id_is_kept() {
    let world = TestNode::new();
    let node = world.open();
    create(&node).await;
    for consent in [Consent::None, Consent::SessionOnly] {
        let request = Request { subject: subject(ID, ""), consent: Some(consent), ..request(None) };
        let decided = node.decide(vec![request], false, &|| false).await.unwrap().remove(0).unwrap().decided;
        assert_eq!(decided.subject, Subject::default());
    }
    // The table is written by a thread that ends with the node.
    drop(node);
    assert_eq!(files_that_tell(world.folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn the_conditions_of_rules_and_their_previews_see_the_ids_that_callers_send() {
    let world = TestNode::new();
    let node = world.open();
    let not_for_ann = Rule {
        name: "not for ann".into(),
        when: format!("subject.id == '{ID}' && arm.id == 'a'"),
        effect: Effect::Exclude,
        on_error: OnError::Ignore,
        paused: false,
    };
    let definition = Definition { rules: vec![not_for_ann.clone()], ..definition() };
    node.change(slot_id(), Change::Create(definition.clone()), ChangeReason::default(), false).await.unwrap();
    for i in 0..20 {
        world.clock.advance(i + 1);
        assert_eq!(decide_for(&node, subject(ID, "")).await.matched_rules, ["not for ann"]);
        assert!(decide_for(&node, subject("bob", "")).await.matched_rules.is_empty());
    }
    let paused = Definition { rules: vec![Rule { paused: true, ..not_for_ann }], ..definition };
    let (preview, ..) = node.preview(slot_id(), Change::Update { definition: paused, revision: 0 }, 0).await.unwrap();
    assert_eq!(preview.rules[0].fires.before, Some(0.5), "of the decisions, half were ann's");
}

#[tokio::test]
async fn a_journal_with_ids_is_read_and_its_decisions_are_joined_by_subject() {
    let world = TestNode::new();
    let at_us = world.clock.now_us();
    let mut decided = DecisionRecord::empty(slot_id(), DecisionId::new(1, at_us, 7));
    decided.subject = subject(ID, SESSION);
    decided.chosen = vec![crate::engine::ChosenArm {
        arm: ArmId::parse("arm_id", "a").unwrap(),
        propensity: 1.0,
        expected_reward: 0.0,
        baseline_position: 1,
        swap_probability: 0.0,
        reason: crate::engine::Reason::BestGuess,
    }];
    let created = Body::SlotCreated { definition: Arc::new(definition()), why: ChangeReason::default() };
    let bodies = [created, Body::Decided(Arc::new(decided.clone()))];
    let records = bodies.map(|body| encode_event(&Event { at_us, body }));
    // The folder is as a program without pseudonyms left it.
    SqliteJournal::open(world.folder.path(), LossPolicy::Refused).unwrap().append(&records).unwrap();
    let by_ids = fold(world.folder.path(), 1).unwrap();
    save_snapshot(world.folder.path(), &by_ids.freeze()).unwrap();

    let node = world.open();
    assert_eq!(click_of(&node, "e1", subject(ID, ""), &decided).await, EventStatus::Accepted);
    assert_eq!(click_of(&node, "e2", subject("", SESSION), &decided).await, EventStatus::Accepted);
    drop(node);
    audit(world.folder.path(), true, &mut |_| {}).unwrap();
    let reader = JournalReader::open(world.folder.path()).unwrap();
    let mut joined = Vec::new();
    let mut each = |one: JoinedDecision| -> Result<(), std::fmt::Error> {
        joined.push(one.events.len());
        Ok(())
    };
    join(&reader, &Selection::default(), &mut |_| {}, &mut each).unwrap();
    assert_eq!(joined, [2]);
}

#[tokio::test]
async fn without_its_key_a_folder_is_neither_served_nor_verified_nor_exported() {
    let world = TestNode::new();
    let node = world.open();
    create(&node).await;
    drop(node);
    fs::remove_file(world.folder.path().join(KEY_FILE)).unwrap();
    let wants = |told: String| assert!(told.contains(KEY_FILE) && told.contains("is missing"), "{told}");
    let clock: Arc<dyn Clock> = Arc::clone(&world.clock) as _;
    wants(Node::open(&world.options, clock, Arc::new(Unobserved)).unwrap_err().to_string());
    wants(audit(world.folder.path(), false, &mut |_| {}).unwrap_err().to_string());
    let target = tempfile::tempdir().unwrap();
    wants(backup(world.folder.path(), &target.path().join("b"), &mut |_| {}).unwrap_err().to_string());
    assert!(!world.folder.path().join(KEY_FILE).exists(), "no other key is made");
}

#[tokio::test]
async fn a_damaged_or_foreign_key_is_refused_and_moved_aside_once_its_loss_is_accepted() {
    let foreign = TestNode::new();
    drop(foreign.open());
    let foreign = fs::read(foreign.folder.path().join(KEY_FILE)).unwrap();
    for (content, word) in [(foreign, "another data folder"), (b"slotwise-subjects-key-1 \xff".to_vec(), "damaged")] {
        let mut world = TestNode::new();
        let node = world.open();
        create(&node).await;
        let before = decide_for(&node, subject(ID, "")).await;
        assert_eq!(reward(&node, "e0", &before).await.unwrap(), EventStatus::Accepted);
        drop(node);
        let file = world.folder.path().join(KEY_FILE);
        fs::write(&file, &content).unwrap();
        let clock: Arc<dyn Clock> = Arc::clone(&world.clock) as _;
        let refused = Node::open(&world.options, clock, Arc::new(Unobserved)).unwrap_err().to_string();
        assert!(refused.contains(word) && refused.contains("--accept-loss"), "{refused}");
        assert_eq!(fs::read(&file).unwrap(), content, "a refusal changes nothing");

        world.options.loss = LossPolicy::Accepted;
        let node = world.open();
        let after = decide_for(&node, subject(ID, "")).await;
        assert_ne!(after.subject, before.subject, "{word}");
        assert_eq!(click_of(&node, "e1", subject(ID, ""), &after).await, EventStatus::Accepted);
        assert_eq!(fs::read(world.folder.path().join("subjects.key.aside")).unwrap(), content, "the file stays");
        node.shutdown();
        drop(node);
        world.options.loss = LossPolicy::Refused;
        drop(world.open());
        audit(world.folder.path(), true, &mut |_| {}).unwrap();
    }
}

#[tokio::test]
async fn with_a_new_key_a_folder_is_what_its_journal_gives_and_shoppers_begin_anew() {
    let mut world = TestNode::new();
    let at_us = world.clock.now_us();
    let created = Body::SlotCreated { definition: Arc::new(definition()), why: ChangeReason::default() };
    let mut old = DecisionRecord::empty(slot_id(), DecisionId::new(1, at_us, 7));
    old.subject = subject("bob", "");
    let bodies = [created, Body::Decided(Arc::new(old))];
    let records = bodies.map(|body| encode_event(&Event { at_us, body }));
    // Ids of a program without pseudonyms, then pseudonyms of the key that is lost.
    SqliteJournal::open(world.folder.path(), LossPolicy::Refused).unwrap().append(&records).unwrap();
    let node = world.open();
    let before = decide_for(&node, subject(ID, SESSION)).await;
    assert_eq!(click_of(&node, "e1", subject(ID, ""), &before).await, EventStatus::Accepted);
    node.shutdown();
    drop(node);
    audit(world.folder.path(), true, &mut |_| {}).unwrap();
    fs::remove_file(world.folder.path().join(KEY_FILE)).unwrap();

    world.options.loss = LossPolicy::Accepted;
    let node = world.open();
    let nobody = EventStatus::Unmatched(UnmatchedReason::Subject);
    assert_eq!(click_of(&node, "e2", subject(ID, ""), &before).await, nobody, "she is not known again");
    assert_eq!(reward(&node, "e3", &before).await.unwrap(), EventStatus::Accepted, "her decision is");
    let after = decide_for(&node, subject(ID, SESSION)).await;
    assert_ne!(after.subject, before.subject);
    assert_eq!(click_of(&node, "e4", subject(ID, ""), &after).await, EventStatus::Accepted);
    node.shutdown();
    drop(node);
    world.options.loss = LossPolicy::Refused;
    drop(world.open());
    audit(world.folder.path(), true, &mut |_| {}).unwrap();
}
