//! The queue by itself: who passes whom, and what is refused.

use std::collections::HashMap;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{
    engine::{DecisionId, Subject},
    node::admission::{DECISIONS_MAX, DECISIONS_MIN},
};

const ALL: BatchLimits = BatchLimits { events: 100, unasked: 100, decisions: true };
/// A batch without decisions that no reward needs.
const NO_OTHERS: BatchLimits = BatchLimits { unasked: 0, ..ALL };

fn decided(slot: u32, n: u64, subject: &str) -> Arc<DecisionRecord> {
    let name = SlotId::parse("slot_id", &format!("s{slot}")).unwrap();
    let subject = Subject { id: subject.into(), session_id: String::new() };
    Arc::new(DecisionRecord { subject, ..DecisionRecord::empty(name, DecisionId::new(slot, 1_000_000, n)) })
}

fn reward(of: Option<&DecisionRecord>, slot: u32, subject: &str) -> RewardRequest {
    RewardRequest {
        slot: Some(SlotId::parse("slot_id", &format!("s{slot}")).unwrap()),
        event_id: "e".into(),
        decision: of.map(|decided| decided.id),
        subject: Subject { id: subject.into(), session_id: String::new() },
        arm: None,
        kind: "click".into(),
        value: None,
        time_us: None,
        reverses: None,
    }
}

fn number_of(slot: &SlotId) -> Option<u32> {
    slot.as_str()[1..].parse().ok()
}

fn push_reward(queue: &Queue, rewards: Vec<RewardRequest>) {
    queue.push_rewards(rewards, oneshot::channel().0, number_of).unwrap();
}

#[test]
fn a_reward_of_an_idle_slot_is_taken_before_a_thousand_decisions_of_a_busy_one() {
    let queue = Queue::default();
    for n in 0..1_000 {
        queue.push_decisions(vec![decided(1, n, "")], Vec::new(), false).unwrap();
    }
    push_reward(&queue, vec![reward(Some(&decided(2, 7, "")), 2, "")]);
    let taken = queue.take(ALL);
    assert_eq!((taken.rewards.len(), taken.decisions.len()), (1, 100));
    assert_eq!(queue.waiting().decisions, 1_000, "what is taken waits until it is written");
    queue.settle(&taken.counts, &Ok(()));
    assert_eq!((queue.waiting().decisions, queue.waiting().events), (900, 0));
}

#[test]
fn a_reward_comes_after_its_decision_and_what_was_decided_in_its_slot_before() {
    let queue = Queue::default();
    let busy: Vec<_> = (0..500).map(|n| decided(1, n, "ann")).collect();
    queue.push_decisions(busy.clone(), Vec::new(), false).unwrap();
    let other: Vec<_> = (0..30).map(|n| decided(2, n, if n == 9 { "bob" } else { "eve" })).collect();
    queue.push_decisions(other.clone(), Vec::new(), false).unwrap();
    push_reward(&queue, vec![reward(Some(&other[19]), 2, "")]);
    push_reward(&queue, vec![reward(None, 2, "bob")]);
    let taken = queue.take(BatchLimits { unasked: 0, events: 25, ..ALL });
    assert_eq!(taken.rewards.len(), 2);
    assert_eq!(taken.decisions[..20], other[..20]);
    queue.settle(&taken.counts, &Ok(()));
    // One that needs more than a portion waits for the rest, and no later one of its slot passes it.
    push_reward(&queue, vec![reward(Some(&busy[150]), 1, "")]);
    push_reward(&queue, vec![reward(Some(&decided(1, 9_999, "")), 1, "")]);
    push_reward(&queue, vec![reward(None, 2, "nobody")]);
    let first = queue.take(ALL);
    assert_eq!((first.rewards.len(), first.rewards[0].0[0].subject.id.as_str()), (1, "nobody"));
    queue.settle(&first.counts, &Ok(()));
    assert_eq!(queue.take(ALL).rewards.len(), 2);
}

#[test]
fn a_reward_does_not_wait_for_the_many_decisions_that_a_reward_of_another_slot_needs() {
    let queue = Queue::default();
    let busy: Vec<_> = (0..900).map(|n| decided(1, n, "")).collect();
    queue.push_decisions(busy.clone(), Vec::new(), false).unwrap();
    let idle = decided(2, 1, "");
    queue.push_decisions(vec![Arc::clone(&idle)], Vec::new(), false).unwrap();
    push_reward(&queue, vec![reward(Some(&busy[899]), 1, "")]);
    push_reward(&queue, vec![reward(Some(&idle), 2, "")]);
    let taken = queue.take(NO_OTHERS);
    assert_eq!(taken.rewards.len(), 1, "the reward of the idle slot");
    assert_eq!(taken.rewards[0].0[0].decision, Some(idle.id));
    assert_eq!((taken.counts[&1], taken.counts[&2]), (99, 1), "the busy slot has the rest of the batch");
    queue.settle(&taken.counts, &Ok(()));
    // Nine more batches write what the busy slot's reward needs: nobody waits for ever.
    let mut batches = 0;
    while queue.waiting().events > 0 {
        let taken = queue.take(NO_OTHERS);
        queue.settle(&taken.counts, &Ok(()));
        batches += 1;
    }
    assert_eq!(batches, 9);
}

#[test]
fn more_slots_than_places_in_a_batch_are_written_in_turn() {
    let queue = Queue::default();
    let each: Vec<_> = (1..=250).map(|slot| decided(slot, 1, "")).collect();
    queue.push_decisions(each.clone(), Vec::new(), false).unwrap();
    for decided in &each {
        push_reward(&queue, vec![reward(Some(decided), decided.id.slot(), "")]);
    }
    for expected in [100, 100, 50] {
        let taken = queue.take(NO_OTHERS);
        assert_eq!(taken.rewards.len(), expected);
        queue.settle(&taken.counts, &Ok(()));
    }
}

#[test]
fn decisions_beyond_the_measured_second_the_bytes_or_the_age_are_refused() {
    let queue = Queue::default();
    queue.measure(1, 1_000.0);
    assert_eq!(queue.waiting().decisions_max, 1_024, "a commit that had nothing to wait for says nothing");
    queue.push_decisions(vec![decided(1, 0, "")], Vec::new(), false).unwrap();
    queue.measure(1, 1_000.0);
    let most = queue.waiting().decisions_max;
    assert_eq!(most, DECISIONS_MIN);
    let batch = |n: usize| (0..n).map(|i| decided(1, i as u64 + 1, "")).collect::<Vec<_>>();
    assert!(matches!(queue.push_decisions(batch(most), Vec::new(), false), Err(WriteError::Busy)));
    assert!(matches!(queue.admits(most), Err(WriteError::Busy)));
    assert_eq!(queue.waiting().decisions, 1, "all or none");
    queue.push_decisions(batch(most - 1), Vec::new(), false).unwrap();
    // A full disk takes no notice of the rate, and drops the oldest.
    assert_eq!(queue.push_decisions(batch(DECISIONS_MAX), Vec::new(), true).unwrap(), most);
    let waiting = queue.waiting();
    assert!(
        waiting.decisions == DECISIONS_MAX && waiting.decision_bytes <= admission::DECISION_BYTES_MAX,
        "{waiting:?}"
    );
    let taken = queue.take(ALL);
    let busy = queue.push_decisions(batch(1), Vec::new(), true);
    assert!(matches!(busy, Err(WriteError::Busy)), "what is being written does not make way");
    queue.settle(&taken.counts, &Ok(()));
    let rewards = |n: usize| vec![reward(None, 1, ""); n];
    push_reward(&queue, rewards(admission::EVENTS_MAX));
    let refused = queue.push_rewards(rewards(1), oneshot::channel().0, number_of);
    assert!(matches!(refused, Err(WriteError::Busy)));
    assert_eq!(queue.close(), DECISIONS_MAX - 100);
    assert!(matches!(queue.push_decisions(batch(1), Vec::new(), false), Err(WriteError::Stopped)));
}

#[test]
fn while_decisions_cannot_be_written_rewards_of_written_ones_go_on() {
    let queue = Queue::default();
    let waiting = decided(1, 1, "");
    queue.push_decisions(vec![Arc::clone(&waiting)], Vec::new(), false).unwrap();
    push_reward(&queue, vec![reward(Some(&waiting), 1, "")]);
    push_reward(&queue, vec![reward(Some(&decided(1, 2, "")), 1, "")]);
    let taken = queue.take(BatchLimits { events: 100, unasked: 0, decisions: false });
    assert_eq!((taken.decisions.len(), taken.rewards.len(), taken.refused.len()), (0, 1, 1));
}

/// Random traffic, portions and failures: the order that was promised, and nothing lost or double.
#[test]
fn whatever_is_taken_when_the_order_holds() {
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let queue = Queue::default();
        let (mut pushed, mut written): (Vec<Arc<DecisionRecord>>, Vec<Arc<DecisionRecord>>) = (Vec::new(), Vec::new());
        let mut needs: HashMap<String, Vec<DecisionId>> = HashMap::new();
        let mut rewarded = Vec::new();
        for round in 0..200 {
            for _ in 0..rng.random_range(0..6) {
                let subject = ["", "ann", "bob"][rng.random_range(0..3)];
                let decided = decided(rng.random_range(1..4), pushed.len() as u64, subject);
                if queue.push_decisions(vec![Arc::clone(&decided)], Vec::new(), false).is_ok() {
                    pushed.push(decided);
                }
            }
            if let Some(of) = pushed.get(rng.random_range(0..pushed.len() + 1)) {
                let named = rng.random::<bool>();
                let mut event = reward(named.then_some(of), of.id.slot(), &of.subject.id);
                event.event_id = format!("{round}");
                let joined = |d: &&Arc<DecisionRecord>| d.id.slot() == of.id.slot() && d.subject == of.subject;
                let last =
                    if named { Some(of) } else { pushed.iter().rfind(joined).filter(|_| !of.subject.id.is_empty()) };
                let until = last.map_or(0, |last| pushed.iter().position(|d| d.id == last.id).unwrap() + 1);
                let before = pushed[..until].iter().filter(|d| d.id.slot() == of.id.slot());
                needs.insert(event.event_id.clone(), before.map(|d| d.id).collect());
                push_reward(&queue, vec![event]);
            }
            let events = rng.random_range(1..12);
            let unasked = rng.random_range(0..=events);
            let taken = queue.take(BatchLimits { events, unasked, decisions: true });
            if rng.random_range(0..4) == 0 && taken.rewards.is_empty() {
                queue.keep();
                continue;
            }
            written.extend(taken.decisions);
            queue.settle(&taken.counts, &Ok(()));
            for event in taken.rewards.into_iter().flat_map(|(rewards, _)| rewards) {
                let missing = needs[&event.event_id].iter().find(|id| !written.iter().any(|d| d.id == **id));
                assert_eq!(missing, None, "seed {seed}, reward {}", event.event_id);
                rewarded.push(event);
            }
        }
        while queue.waiting().decisions + queue.waiting().events > 0 {
            let taken = queue.take(ALL);
            written.extend(taken.decisions);
            queue.settle(&taken.counts, &Ok(()));
            rewarded.extend(taken.rewards.into_iter().flat_map(|(rewards, _)| rewards));
        }
        assert_eq!(rewarded.len(), needs.len(), "seed {seed}");
        for slot in 1..4 {
            let of = |list: &[Arc<DecisionRecord>]| -> Vec<_> {
                list.iter().map(|d| d.id).filter(|id| id.slot() == slot).collect()
            };
            assert_eq!(of(&written), of(&pushed), "seed {seed}, slot {slot}");
            let order = |numbers: Vec<u32>| numbers.is_sorted();
            let of_slot = rewarded.iter().filter(|event| number_of(event.slot.as_ref().unwrap()) == Some(slot));
            assert!(order(of_slot.map(|event| event.event_id.parse().unwrap()).collect()), "seed {seed}, slot {slot}");
        }
    }
}
