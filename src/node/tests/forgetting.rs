//! Subjects that are forgotten: no file leads to them, and they come back as others.

use std::fs;

use super::*;
use crate::{
    bandit::{Features, Value},
    engine::{ShopperEvent, ShopperItem},
    node::{ForgetSummary, HeldRecord, ShopperRequest},
    slot::{Consent, Controls, Stickiness},
};

const ID: &str = "shopper-of-the-test@example.com";
const SESSION: &str = "visit-of-the-shopper";

pub(super) fn subject(id: &str, session_id: &str) -> Subject {
    Subject { id: id.into(), session_id: session_id.into() }
}

pub(super) async fn decide_for(node: &Node, who: Subject) -> Arc<DecisionRecord> {
    let request = Request { subject: who, ..request(None) };
    node.decide(vec![request], false, &|| false).await.unwrap().remove(0).unwrap().decided
}

pub(super) async fn click_by(node: &Node, event_id: &str, who: Subject, arm: &ArmId) -> EventStatus {
    let click = RewardRequest {
        slot: Some(slot_id()),
        event_id: event_id.into(),
        decision: None,
        subject: who,
        arm: Some(arm.clone()),
        kind: "click".into(),
        value: None,
        time_us: None,
        reverses: None,
    };
    node.record(vec![click]).unwrap().await.unwrap().remove(0).status
}

/// Lets a shopper buy a pair of shoes.
pub(super) async fn buy_shoes(node: &Node, event_id: &str, who: Subject) {
    let item = ShopperItem {
        item: ArmId::parse("item", "a").unwrap(),
        quantity: None,
        value: None,
        attributes: Features::new(),
    };
    let event = ShopperEvent {
        event_id: event_id.into(),
        kind: "purchase".into(),
        subject: who,
        consent: Consent::Full,
        withdrawn: Subject::default(),
        simulated: false,
        items: vec![item],
        attributes: [("category".to_owned(), Value::Text("shoes".into()))].into(),
        query: String::new(),
        value: Some(9.0),
        currency: None,
        viewed_through: None,
        decisions: Vec::new(),
        time_us: 0,
        reverses: None,
        keep_us: 0,
    };
    let request = ShopperRequest { event, time_us: None, consent: Some(Consent::Full) };
    node.record_shoppers(vec![request], false).unwrap().await.unwrap();
}

/// Kinds of everything that is held of a subject.
async fn held(node: &Node, who: &Subject) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    let mut each = |_, record| {
        kinds.push(match record {
            HeldRecord::Profile(_) => "profile",
            HeldRecord::Decision(_) => "decision",
            HeldRecord::Reward(_) => "reward",
            HeldRecord::Shopper(_) => "event",
        });
        true
    };
    node.export_subject(who, &mut each).await.unwrap();
    kinds
}

/// Files of a folder that hold a text, in any page and in any log.
fn files_with(folder: &std::path::Path, text: &str) -> Vec<String> {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let holding = files.filter(|file| file.file_type().unwrap().is_file() && holds(&fs::read(file.path()).unwrap()));
    holding.map(|file| file.file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_subject_leaves_no_trace_in_any_file_and_comes_back_as_somebody_else() {
    let world = TestNode::new();
    let node = world.open();
    let controls = Controls { stickiness: Some(Stickiness::For(DAY_US)), holdout: Some(0.5), ..Controls::default() };
    let sticky = Definition { controls, ..definition() };
    node.change(slot_id(), Change::Create(sticky), ChangeReason::default(), false).await.unwrap();
    let who = subject(ID, SESSION);
    let before_login = decide_for(&node, subject("", SESSION)).await;
    let first = decide_for(&node, who.clone()).await;
    let other_session = decide_for(&node, subject(ID, "second-visit-of-the-shopper")).await;
    let bystander = decide_for(&node, subject("bob", "visit-of-bob")).await;
    let arm = first.chosen[0].arm.clone();
    assert_eq!(click_by(&node, "e1", who.clone(), &arm).await, EventStatus::Accepted);
    buy_shoes(&node, "e2", who.clone()).await;
    let kinds = held(&node, &who).await;
    assert_eq!(kinds.iter().filter(|kind| **kind == "profile").count(), 1, "{kinds:?}");
    assert_eq!(kinds[1..], ["decision", "decision", "decision", "reward", "event"]);
    node.subjects.settle();
    assert!(!files_with(world.folder.path(), ID).is_empty(), "the test can see the id");

    let why = ChangeReason::new("dpo", "ticket 7");
    let forgotten = node.forget_subject(&subject(ID, ""), why.clone()).await.unwrap();
    assert_eq!(forgotten, ForgetSummary { records: 4, sessions: 2 });
    for gone in [ID, SESSION, "second-visit-of-the-shopper"] {
        assert_eq!(files_with(world.folder.path(), gone), Vec::<String>::new(), "{gone}");
    }
    assert!(node.shared.profiles.is_empty());
    assert_eq!(held(&node, &who).await, Vec::<&str>::new());
    let recalled = node.recall(first.id, None).await.unwrap().decided;
    assert_eq!(recalled.subject, first.subject, "a pseudonym is all that is left");
    let nobody = EventStatus::Unmatched(UnmatchedReason::Subject);
    assert_eq!(click_by(&node, "e3", subject(ID, ""), &arm).await, nobody);
    // The events of others are as they were, and a reward that names its decision still counts.
    assert_eq!(click_by(&node, "e4", subject("bob", ""), &bystander.chosen[0].arm).await, EventStatus::Accepted);
    assert_eq!(reward(&node, "e5", &other_session).await.unwrap(), EventStatus::Accepted);

    let again = decide_for(&node, who.clone()).await;
    assert_ne!(again.subject.id, first.subject.id);
    assert_eq!(again.sticky, None, "a stranger");
    assert_eq!(click_by(&node, "e6", who.clone(), &again.chosen[0].arm).await, EventStatus::Accepted);
    node.shutdown();
    drop(node);
    assert!(recover_state(world.folder.path(), None, 1).unwrap() == fold(world.folder.path(), 3).unwrap());

    // A restart keeps it, and the same subject can be forgotten once more.
    let node = world.open();
    assert_eq!(decide_for(&node, who.clone()).await.subject.id, again.subject.id);
    let listed = node.forgotten_subjects(10).await.unwrap();
    assert_eq!(listed.len(), 3, "the subject and its sessions");
    assert!(listed.iter().any(|entry| entry.origin.id == first.subject.id));
    // The reward that belonged to nobody came with the id, and so it belongs to the stranger.
    let kinds: Vec<&str> = held(&node, &who).await.into_iter().filter(|kind| *kind != "profile").collect();
    assert_eq!(kinds, ["reward", "decision", "reward", "decision"]);
    assert_eq!(node.forget_subject(&who, why).await.unwrap().records, kinds.len() as u64);
    assert_ne!(decide_for(&node, who).await.subject.id, again.subject.id);
    node.shutdown();
    let _ = before_login;
}

/// Learning is a sum over all shoppers, and stays. A decision that waits for its silence is never learned.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_more_is_learned_of_a_forgotten_subject() {
    let world = TestNode::new();
    let node = world.open();
    create(&node).await;
    let first = decide_for(&node, subject(ID, "")).await;
    reward(&node, "e1", &first).await.unwrap();
    let weight = |node: &Node| -> f64 {
        let learner = Arc::clone(&node.slot(&slot_id()).unwrap().learner);
        (0..2).map(|arm| learner.summary(arm).map_or(0.0, crate::bandit::ArmSummary::weight)).sum()
    };
    let learned = weight(&node);
    assert!((learned - 1.0).abs() < 1e-9);
    decide_for(&node, subject(ID, "")).await;
    node.forget_subject(&subject(ID, ""), ChangeReason::default()).await.unwrap();
    world.clock.advance(3 * DAY_US);
    let stranger = decide_for(&node, Subject::default()).await;
    reward(&node, "e2", &stranger).await.unwrap();
    let after = weight(&node);
    // With the silence in between it would be three.
    assert!((1.7..2.1).contains(&after), "{after}");
    node.shutdown();
}
