//! Deferred decisions through a node: their records are read from the journal when they are confirmed.

use super::*;
use crate::{
    bandit::Features,
    engine::{SHOWN, ShopperEffect, ShopperEvent, ShopperItem},
    node::ShopperRequest,
    slot::{Consent, Controls, Stickiness},
};

fn deferred_request(id: &str) -> Request {
    let subject = Subject { id: id.into(), session_id: String::new() };
    Request { subject, deferred: true, ..request(None) }
}

async fn defer(node: &Node, id: &str) -> Arc<DecisionRecord> {
    let mut answers = node.decide(vec![deferred_request(id)], false, &|| false).await.unwrap();
    answers.remove(0).unwrap().decided
}

fn event(event_id: &str, kind: &str, who: &str, decision: Option<&DecisionRecord>, items: &[&str]) -> ShopperRequest {
    let item = |id: &&str| ShopperItem {
        item: ArmId::parse("item", id).unwrap(),
        quantity: None,
        value: None,
        attributes: Features::new(),
    };
    let event = ShopperEvent {
        event_id: event_id.into(),
        kind: kind.into(),
        subject: Subject { id: who.into(), session_id: String::new() },
        consent: Consent::Full,
        withdrawn: Subject::default(),
        simulated: false,
        items: items.iter().map(item).collect(),
        attributes: Features::new(),
        query: String::new(),
        value: None,
        currency: None,
        viewed_through: None,
        decisions: decision.map(|decided| decided.id).into_iter().collect(),
        time_us: 0,
        reverses: None,
        keep_us: 0,
    };
    ShopperRequest { event, time_us: None, consent: Some(Consent::Full) }
}

async fn report(node: &Node, event: ShopperRequest, validate_only: bool) -> ShopperEffect {
    node.record_shoppers(vec![event], validate_only).unwrap().await.unwrap().remove(0)
}

fn decisions(node: &Node) -> u64 {
    node.slot(&slot_id()).unwrap().counters.decisions
}

fn joined(effect: &ShopperEffect) -> usize {
    effect.slots.values().map(|join| join.joined.len()).sum()
}

#[tokio::test]
async fn a_deferred_decision_is_confirmed_by_its_id_by_its_subject_and_by_a_reward_also_after_a_restart() {
    let world = TestNode::new();
    let node = world.open();
    create(&node).await;
    let [by_id, by_item, by_reward, by_opening, never] = ["ann", "bob", "cid", "dan", "eve"].map(str::to_owned);
    let by_id = defer(&node, &by_id).await;
    let by_item = (defer(&node, &by_item).await, "bob");
    let by_reward = defer(&node, &by_reward).await;
    let by_opening = defer(&node, &by_opening).await;
    let never = defer(&node, &never).await;
    assert_eq!(reward(&node, "first", &by_reward).await.unwrap(), EventStatus::Accepted, "a reward in the same batch");
    assert_eq!(decisions(&node), 1);
    let seen = event("s1", SHOWN, "", Some(&by_id), &[]);
    let foreseen = report(&node, seen.clone(), true).await;
    assert_eq!((joined(&foreseen), decisions(&node)), (1, 1), "a check changes nothing");
    node.shutdown();
    drop(node);

    let node = world.open();
    assert_eq!(joined(&report(&node, seen, false).await), 1);
    assert_eq!(decisions(&node), 2);
    let arm = by_item.0.chosen[0].arm.to_string();
    let other = if arm == "a" { "b" } else { "a" };
    assert_eq!(joined(&report(&node, event("s2", SHOWN, by_item.1, None, &[other]), false).await), 0, "not its item");
    assert_eq!(joined(&report(&node, event("s3", SHOWN, "nobody", None, &[&arm]), false).await), 0, "not its subject");
    assert_eq!(decisions(&node), 2);
    assert_eq!(joined(&report(&node, event("s4", "click", by_item.1, None, &[&arm]), false).await), 1);
    assert_eq!(decisions(&node), 3);
    report(&node, event("s5", "email_open", "", Some(&by_opening), &[]), false).await;
    assert_eq!(decisions(&node), 4);
    // Other kinds say nothing about what was seen.
    report(&node, event("s6", "bounce", "", Some(&never), &[]), false).await;
    assert_eq!(decisions(&node), 4);
    assert_eq!(reward(&node, "again", &by_id).await.unwrap(), EventStatus::Accepted);
    assert_eq!(decisions(&node), 4, "a decision is confirmed once");
    world.clock.advance(8 * DAY_US);
    assert_eq!(joined(&report(&node, event("s7", SHOWN, "", Some(&never), &[]), false).await), 0, "it has expired");
    assert_eq!(decisions(&node), 4);
    let recalled = node.recall(never.id, None).await.unwrap();
    assert_eq!(recalled.decided.chosen, never.chosen, "an unconfirmed decision can be explained");
    node.shutdown();
    assert_eq!(world.counted().0, 4);
}

#[tokio::test]
async fn what_was_not_confirmed_was_not_shown_to_anybody() {
    let world = TestNode::new();
    let node = world.open();
    // Shoppers of the holdout do not stick, and who is in it depends on the folder's key.
    let controls = Controls { stickiness: Some(Stickiness::For(DAY_US)), holdout: Some(0.0), ..Controls::default() };
    let sticky = Definition { controls, ..definition() };
    node.change(slot_id(), Change::Create(sticky), ChangeReason::default(), false).await.unwrap();
    let first = defer(&node, "ann").await;
    let second = defer(&node, "ann").await;
    assert_eq!((first.sticky, second.sticky), (None, None));
    report(&node, event("s1", SHOWN, "", Some(&first), &[]), false).await;
    let third = defer(&node, "ann").await;
    assert_eq!(third.sticky, Some(first.id), "now it was shown");
    node.shutdown();
}

/// The journal keeps records for a limited time.
#[tokio::test]
async fn a_decision_whose_record_is_gone_cannot_be_confirmed_and_nothing_else_is_lost() {
    let mut world = TestNode::new();
    world.options.retention_us = Some(3_600_000_000);
    world.options.snapshot_every_us = 60_000_000;
    let node = world.open();
    create(&node).await;
    let old = defer(&node, "ann").await;
    for _ in 0..200 {
        world.clock.advance(120_000_000);
        let decided = decide_one(&node, None).await.unwrap();
        reward(&node, &format!("e{}", decided.id), &decided).await.unwrap();
        if node.recall(old.id, None).await.is_err() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(node.recall(old.id, None).await.is_err(), "its retention is over");
    let before = decisions(&node);
    assert_eq!(joined(&report(&node, event("s1", SHOWN, "", Some(&old), &[]), false).await), 0);
    let next = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "last", &next).await.unwrap(), EventStatus::Accepted);
    assert_eq!(decisions(&node), before + 1);
    node.shutdown();
}
