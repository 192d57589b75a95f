//! Exposures and requests that run ahead of the journal, compared with those that a start reads from it.

use std::collections::BTreeMap;

use super::*;
use crate::{
    engine::DecisionId,
    slot::{Effect, OnError, Rule, Stickiness},
};

/// Facts of a slot that decisions read ahead of the journal.
#[derive(Debug, PartialEq)]
struct FactsAhead {
    /// Showings of each arm, and the decision that is repeated, by subject.
    by_subject: Vec<(BTreeMap<ArmId, u64>, Option<DecisionId>)>,
    /// Showings of the day, by arm.
    shown_today: Vec<u64>,
    /// Decision of each request.
    by_request: Vec<Option<DecisionId>>,
}

impl FactsAhead {
    fn new(node: &Node, subjects: &[Subject], request_ids: &[String]) -> Self {
        let (view, now_us) = (node.slot(&slot_id()).unwrap(), node.now_us());
        let exposure = node.exposures.of_slot(view.number);
        let of_subject = |subject: &Subject| {
            let counts = exposure.count_by_arm(subject, now_us - DAY_US).into_iter();
            let sticky = exposure.find_sticky(subject, Stickiness::For(DAY_US), now_us);
            (counts.map(|(arm, count)| (arm.clone(), count)).collect(), sticky.map(|entry| entry.id))
        };
        let of_request = |id: &String| {
            let found = node.requests.get(id, now_us).filter(|found| found.slot == view.number);
            found.map(|found| found.decided.id)
        };
        Self {
            by_subject: subjects.iter().map(of_subject).collect(),
            shown_today: view.definition.arms.iter().map(|arm| exposure.count_today(&arm.id, now_us)).collect(),
            by_request: request_ids.iter().map(of_request).collect(),
        }
    }
}

fn capped_definition() -> Definition {
    let rule = |name: &str, effect| Rule {
        name: name.into(),
        when: "true".into(),
        effect,
        on_error: OnError::Ignore,
        paused: false,
    };
    let subject_cap = Effect::SubjectCap { count: 1_000, window_us: DAY_US, together: false };
    let day_cap = Effect::DayCap { count: 1_000, together: false };
    Definition { rules: vec![rule("by subject", subject_cap), rule("by day", day_cap)], ..definition() }
}

/// Refusals by a full disk, repeated requests and a reset leave no trace by which the two could differ.
#[tokio::test]
async fn exposures_and_requests_are_those_of_the_state_once_all_is_written() {
    let mut world = TestNode::new();
    world.options.durable_decisions = true;
    let node = world.open();
    node.change(slot_id(), Change::Create(capped_definition()), ChangeReason::default(), false).await.unwrap();
    let request_ids: Vec<String> = (0..40).map(|i| format!("r{i}")).collect();
    let (mut subjects, mut refused) = (Vec::new(), 0);
    for i in 0..240_usize {
        world.set(if i % 20 == 19 { CommitFault::Full } else { CommitFault::Fair });
        let subject = Subject { id: format!("s{}", i % 7), session_id: format!("session {}", i % 31) };
        let request_id = (i % 3 > 0).then(|| request_ids[i * i % 40].as_str());
        // A request id stands for one subject.
        let subject = if request_id.is_some() { Subject::default() } else { subject };
        match node.decide(vec![Request { subject, ..request(request_id) }], false, &|| false).await {
            Ok(mut answers) => subjects.push(answers.remove(0).unwrap().decided.subject.clone()),
            Err(_) => refused += 1,
        }
        world.clock.advance(1_000_000);
        if i == 100 {
            node.change(slot_id(), Change::Reset, ChangeReason::default(), false).await.unwrap();
        }
    }
    assert!(refused > 3, "{refused}");
    let ahead = FactsAhead::new(&node, &subjects, &request_ids);
    assert!(ahead.shown_today.iter().sum::<u64>() > 50, "{ahead:?}");
    assert!(ahead.by_request.iter().flatten().count() > 5, "{ahead:?}");
    world.set(CommitFault::Fair);
    node.shutdown();
    drop(node);
    assert_eq!(FactsAhead::new(&world.open(), &subjects, &request_ids), ahead);
}
