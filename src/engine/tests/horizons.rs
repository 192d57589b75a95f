//! Tests of how long things are remembered, and of the answers after that.

use super::*;
use crate::{
    engine::{
        hash,
        pending::{
            DecisionQueue, EvaluationRecord, EventRecord, EventRole, LazyEvaluation, PENDING_LIMITS, PendingDecision,
            SegmentKeys, ShownArm, event_key, subject_keys,
        },
    },
    slot::limits::{EVENT_MEMORY_US, PENDING_BYTES_MAX, REQUEST_MEMORY_US, REQUESTS_MAX, SHOWINGS_MAX},
};

const MINUTE_US: i64 = 60_000_000;

fn joined(event_id: &str, time_us: i64) -> RewardEvent {
    let subject = Subject { id: "ann".into(), session_id: String::new() };
    RewardEvent { time_us, subject, arm: Some(arm_id("a")), ..rewarded(event_id, None, "click", None) }
}

fn for_ann() -> Request {
    Request { subject: Subject { id: "ann".into(), session_id: String::new() }, ..request() }
}

/// An event that was joined by its subject is known for a day, although its decision's window is an hour. Sent again,
/// it does not count for a newer decision. An older event is late.
#[test]
fn an_event_without_a_decision_counts_once_after_its_decision_is_gone() {
    let mut world = StateHarness::new(definition(&["a"]));
    world.decide(for_ann());
    let time_us = world.at_us;
    assert_eq!(world.send(joined("e1", time_us)), EventStatus::Accepted);
    let snapshot = |world: &mut StateHarness| {
        let bytes = snapshot::encode(&world.state).unwrap();
        world.state = snapshot::decode(&bytes).unwrap();
    };
    for hours in [0, 2, 10, 11] {
        world.at_us += hours * HOUR_US;
        world.decide(for_ann());
        snapshot(&mut world);
        // An event without a time would join the decision that was just made.
        let now_us = world.at_us;
        assert_eq!(world.send(joined("e1", now_us)), EventStatus::Duplicate, "{hours}");
    }
    assert_eq!(world.counters().rewards, 1);
    world.at_us = time_us + EVENT_MEMORY_US + 61 * 24 * HOUR_US;
    world.decide(for_ann());
    assert_eq!(world.send(joined("e2", world.at_us)), EventStatus::Accepted, "which forgets what is older");
    assert_eq!(world.send(joined("e1", time_us)), EventStatus::Late);
    assert_eq!(world.counters().rewards, 2);
}

#[test]
fn an_event_of_a_forgotten_decision_is_late() {
    let mut world = StateHarness::new(definition(&["a"]));
    let decided = world.decide(request());
    assert_eq!(world.reward("e1", &decided, "click", None), EventStatus::Accepted);
    let silent = world.decide(request());
    world.at_us += HOUR_US + 10 * MINUTE_US + 1;
    world.decide(request());
    assert_eq!(world.reward("e1", &decided, "click", None), EventStatus::Duplicate, "it may be taken back");
    assert_eq!(world.reward("e5", &decided, "click", None), EventStatus::Late, "the window closed");
    assert_eq!(world.reward("e6", &silent, "click", None), EventStatus::Late);
    world.at_us += 61 * 24 * HOUR_US;
    let newer = world.decide(request());
    assert_eq!(world.reward("e1", &decided, "click", None), EventStatus::Late, "it may not be taken back");
    assert_eq!(world.reverse("e2", &decided, "e1"), EventStatus::Late);
    assert_eq!(world.reverse("e3", &newer, "nothing"), EventStatus::Unmatched(UnmatchedReason::Reversed));
    let unknown = DecisionRecord { id: DecisionId::new(newer.id.slot(), world.at_us, 77), ..(*newer).clone() };
    assert_eq!(world.reward("e4", &unknown, "click", None), EventStatus::Unmatched(UnmatchedReason::Decision));
}

/// A decision made `at_us` that is as large as the limit on bytes assumes.
fn pending(count: u64, at_us: i64, arms: u32) -> PendingDecision {
    let shown = |arm| ShownArm {
        arm,
        rows: None,
        swap_probability: 0.25,
        seen: false,
        counted_at_ln_decay: None,
        reward: 0.0,
        learned: None,
        counted: Vec::new(),
    };
    PendingDecision {
        id: DecisionId::new(1, at_us, count),
        at_us,
        first_score: None,
        segments: SegmentKeys::default(),
        holdout: false,
        frozen: false,
        rows: Vec::new(),
        shown: (0..arms).map(shown).collect(),
        events: Vec::new(),
        subjects: [hash("subject", &[&count.to_be_bytes()])].into_iter().collect(),
        evaluation: LazyEvaluation::Decoded(EvaluationRecord {
            comparison: None,
            by_policy: true,
            centre: 0.0,
            compared_arms: Vec::new(),
            client: 0,
        }),
    }
}

/// Decisions that show many arms reach the limit on bytes long before the limit on their number.
#[test]
fn decisions_beyond_the_limit_on_bytes_leave_early_and_their_rewards_are_late() {
    let mut queue = DecisionQueue::default();
    let arms = 1_000;
    let mut made = 0_u64;
    while queue.next_expired(0, PENDING_LIMITS).is_none() {
        queue.insert(&pending(made, 1_000 * i64::try_from(made + 1).unwrap(), arms));
        made += 1;
    }
    assert!(queue.bytes() > PENDING_BYTES_MAX && made < 50_000, "{made} take {} bytes", queue.bytes());
    let id = |count: u64| DecisionId::new(1, 1_000 * i64::try_from(count + 1).unwrap(), count);
    queue.drop_oldest(0);
    assert!(queue.bytes() <= PENDING_BYTES_MAX && queue.next_expired(0, PENDING_LIMITS).is_none());
    assert!(queue.find(id(0)).is_none() && queue.may_have_dropped(id(0).at_us()));
    assert!(queue.find(id(1)).is_some() && !queue.may_have_dropped(id(1).at_us()));
    while queue.len() > 0 {
        queue.drop_oldest(0);
    }
    assert_eq!(queue.bytes(), 0, "what is counted for a decision goes with it");
}

/// The indices are compared with plain maps, over decisions that share subjects and arms, change and leave.
#[test]
fn pending_decisions_are_found_by_id_event_and_subject() {
    let mut rng = StdRng::seed_from_u64(8);
    let mut queue = DecisionQueue::default();
    let mut plain: BTreeMap<u64, PendingDecision> = BTreeMap::new();
    let subject = |n: u32| Subject { id: format!("s{n}"), session_id: String::new() };
    for step in 0..4_000_u64 {
        let mut decision = pending(step, i64::try_from(step).unwrap(), rng.random_range(1..4));
        let who = subject(rng.random_range(0..50));
        decision.subjects = subject_keys(&who).collect();
        let ordinal = queue.added();
        queue.insert(&decision);
        plain.insert(ordinal, decision);
        if rng.random_bool(0.5) {
            let ordinals: Vec<u64> = plain.keys().copied().collect();
            let ordinal = ordinals[rng.random_range(0..ordinals.len())];
            let mut changed = queue.get(ordinal).unwrap();
            assert_eq!(changed, plain[&ordinal]);
            let event = hash("event", &[&step.to_be_bytes()]);
            changed.events.push(EventRecord { event, role: EventRole::Reward(0), content: None });
            queue.put(ordinal, &changed);
            plain.insert(ordinal, changed);
        }
        while plain.len() > 700 || (step > 3_000 && !plain.is_empty() && rng.random_bool(0.6)) {
            queue.drop_oldest(i64::MAX);
            plain.pop_first();
        }
    }
    let known: Vec<_> = plain.iter().flat_map(|(&o, d)| d.events.iter().map(move |known| (o, known))).collect();
    assert!(plain.len() > 100 && known.len() > 20, "{} decisions, {} events", plain.len(), known.len());
    for (&ordinal, decision) in &plain {
        assert_eq!(queue.find(decision.id), Some(ordinal));
    }
    for (ordinal, known) in known {
        assert_eq!(queue.find_event(known.event), Some((ordinal, known.role)), "{known:?}");
    }
    assert_eq!(queue.find_event(hash("event", &[b"none"])), None);
    for n in 0..50 {
        let keys: Vec<_> = subject_keys(&subject(n)).collect();
        for arm in 0..3 {
            let shows = |decision: &PendingDecision| decision.shown.iter().any(|shown| shown.arm == arm);
            for until_us in [0, 3_200, 3_500, 3_800, 3_990, i64::MAX] {
                let fits = |decision: &PendingDecision| *decision.subjects == keys && shows(decision);
                let mut newest_first = plain.iter().rev().filter(|(_, d)| fits(d));
                let latest = newest_first.find(|(_, d)| d.at_us <= until_us).map(|(&o, _)| o);
                assert_eq!(latest_joined(&queue, &subject(n), arm, until_us), latest, "{n} {arm} {until_us}");
            }
        }
    }
}

/// Returns the decision of a queue that an event of a subject joins.
fn latest_joined(queue: &DecisionQueue, subject: &Subject, arm: u32, until_us: i64) -> Option<u64> {
    let by_id = queue.find_latest_by_id(subject, arm, until_us);
    by_id.or_else(|| queue.find_latest_by_session(subject, arm, until_us))
}

/// A robot has a thousand times as many decisions as are kept for joining. The newest ones can be joined while they
/// wait, also after the queue was read from a snapshot.
#[test]
fn only_the_newest_decisions_of_a_subject_and_arm_are_joined() {
    let mut queue = DecisionQueue::default();
    let robot = Subject { id: "robot".into(), session_id: "s".into() };
    let count = 100_000;
    let at_us = |ordinal: u64| 1_000 * i64::try_from(ordinal + 1).unwrap();
    for ordinal in 0..count {
        let subjects = subject_keys(&robot).collect();
        queue.insert(&PendingDecision { subjects, ..pending(ordinal, at_us(ordinal), 2) });
    }
    let mut restored = DecisionQueue::default();
    restored.start_at(queue.queue().first());
    queue.queue().iter().for_each(|decision| assert!(restored.restore(decision.as_bytes())));
    let first_joined = count - SHOWINGS_MAX as u64;
    for queue in [&mut queue, &mut restored] {
        for arm in 0..2 {
            assert_eq!(latest_joined(queue, &robot, arm, i64::MAX), Some(count - 1));
            for ordinal in first_joined..count {
                assert_eq!(latest_joined(queue, &robot, arm, at_us(ordinal) + 999), Some(ordinal));
            }
            assert_eq!(latest_joined(queue, &robot, arm, at_us(first_joined) - 1), None);
        }
        for _ in 0..count - 10 {
            queue.drop_oldest(i64::MAX);
        }
        assert_eq!(latest_joined(queue, &robot, 0, at_us(count - 10) - 1), None);
        assert_eq!(latest_joined(queue, &robot, 0, at_us(count - 10)), Some(count - 10));
    }
}

/// A page was loaded again before the click on it was reported: the click belongs to the first page. A click belongs to
/// a later page only if it precedes every page, by a clock that is a little behind.
#[test]
fn an_event_joins_the_newest_decision_that_was_there_when_it_happened() {
    let mut world = StateHarness::new(definition(&["a"]));
    let before_us = world.at_us - MINUTE_US;
    let first = world.decide(for_ann());
    let clicked_us = world.at_us + 1_000;
    world.at_us += MINUTE_US;
    let second = world.decide(for_ann());
    let sent = [("e1", clicked_us, &first), ("e2", world.at_us, &second), ("e3", before_us, &second)];
    for (event, time_us, decided) in sent {
        assert_eq!(world.send(joined(event, time_us)), EventStatus::Accepted, "{event}");
        let pending = &world.state.slot("offers").unwrap().decisions.pending;
        let key = event_key(event);
        assert_eq!(pending.find_event(key).map(|known| known.0), pending.find(decided.id), "{event}");
    }
    let long_before_us = world.at_us - 12 * MINUTE_US;
    assert_eq!(world.send(joined("e4", long_before_us)), EventStatus::Unmatched(UnmatchedReason::Subject));
}

#[test]
fn requests_are_remembered_for_ten_minutes_and_not_without_bound() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    for i in 0..20 {
        world.at_us += MINUTE_US;
        world.decide(Request { request_id: Some(format!("r{i}")), ..request() });
    }
    let ids = |world: &StateHarness| -> Vec<String> {
        let requests: Vec<_> = world.state.slot("offers").unwrap().requests().map(|(_, d)| Arc::clone(d)).collect();
        requests.iter().map(|decided| decided.request_id.clone().unwrap()).collect()
    };
    let want: Vec<String> = (19 - REQUEST_MEMORY_US / MINUTE_US..20).map(|i| format!("r{i}")).collect();
    assert_eq!(ids(&world), want);
    let restored = snapshot::decode(&snapshot::encode(&world.state).unwrap()).unwrap();
    assert!(restored == world.state);
    assert!(REQUESTS_MAX > want.len());
}
