//! Overload: more traffic than the disk can write. The tests hold the waiting, the refusals and the order.

use std::{
    collections::BTreeMap,
    sync::atomic::AtomicUsize,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    engine::Body,
    node::{admission::DECISIONS_MIN, deciding::TURN_LOOK, recover::workers},
};

/// Time after which a test gives up on what should happen; none asserts how long anything takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// The slots of [`TestNode`] beside which others are idle.
fn other_id() -> SlotId {
    SlotId::parse("slot_id", "idle").unwrap()
}

async fn create_other(node: &Node) {
    let definition = Definition { id: other_id(), ..definition() };
    node.change(other_id(), Change::Create(definition), ChangeReason::default(), false).await.unwrap();
}

/// A reward of the idle slot, as the journal and the callers were when it was pushed.
struct Pushed {
    event_id: String,
    /// Decisions that had been answered before.
    answered: u64,
    /// Last position that had been written by then.
    written: u64,
}

/// Position of each reward by its event id, and the number of decisions before it.
fn places_of_rewards(folder: &std::path::Path) -> BTreeMap<String, (u64, u64)> {
    let (mut places, mut decisions) = (BTreeMap::new(), 0);
    let read = JournalReader::open(folder).unwrap().each(RecordRange::default(), &mut |stored| {
        if let Body::Rewarded(event) = decode_event(stored.body)?.body {
            places.insert(event.event_id, (stored.position, decisions));
        } else if stored.kind == "decided" {
            decisions += 1;
        }
        Ok(())
    });
    read.unwrap();
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_rate_decisions_are_refused_and_rewards_of_an_idle_slot_pass_them() {
    let world = TestNode::new();
    let node = Arc::new(world.open());
    create(&node).await;
    create_other(&node).await;
    let idle = node.decide(vec![Request { slot: other_id(), ..request(None) }], false, &|| false).await.unwrap();
    let idle = Arc::clone(&idle[0].as_ref().unwrap().decided);
    // Some 200 records a second, and more decisions.
    world.slow_us.store(5_000, Ordering::SeqCst);
    let made = Arc::new(AtomicU64::new(1));
    let (mut refused, mut most) = (0, 0);
    let (rewarding, answered, written) = (Arc::clone(&node), Arc::clone(&made), Arc::clone(&world.written));
    let rewards = tokio::spawn(async move {
        let mut pushed = Vec::new();
        for i in 0..10 {
            let (event_id, answered) = (format!("e{i}"), answered.load(Ordering::SeqCst));
            let outcome = rewarding.record(vec![click(&event_id, &idle)]).unwrap();
            pushed.push(Pushed { event_id, answered, written: written.load(Ordering::SeqCst) });
            assert_eq!(outcome.await.unwrap().remove(0).status, EventStatus::Accepted);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        pushed
    });
    let flood = async {
        while refused <= 20 || !rewards.is_finished() {
            match node.decide(vec![request(None); 60], false, &|| false).await {
                Ok(answers) => {
                    made.fetch_add(answers.len() as u64, Ordering::SeqCst);
                }
                Err(WriteError::Busy) => {
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err(other) => panic!("{other}"),
            }
            most = most.max(node.waiting().decisions);
        }
    };
    tokio::time::timeout(PATIENCE, flood).await.expect("decisions are refused, and rewards are not");
    let now = node.waiting();
    assert!(
        (DECISIONS_MIN..1_500).contains(&now.decisions_max),
        "on its way to a second of the measured rate: {now:?}"
    );
    assert!(most <= 2_048 && now.decisions <= 2_048, "never more than was assumed at first: {most}, {now:?}");
    world.slow_us.store(0, Ordering::SeqCst);
    let pushed = rewards.await.unwrap();
    node.shutdown();
    drop(node);
    let places = places_of_rewards(world.folder.path());
    let mut passed_most = 0;
    for Pushed { event_id, answered, written } in pushed {
        let (position, decisions_before) = places[&event_id];
        // The commit that was on its way, and its own: a tenth of a second each at the rate that is assumed at first.
        let between = position - written;
        assert!(between <= 2 * 112, "{event_id}: {between} records were written before it");
        passed_most = passed_most.max(answered.saturating_sub(decisions_before));
    }
    assert!(passed_most > 0, "decisions that were answered before a reward are written after it");
    let state = recover_state(world.folder.path(), None, 1).unwrap();
    let decisions: u64 =
        ["offers", "idle"].map(|slot| state.slot(slot).unwrap().view().counters.decisions).iter().sum();
    let made = made.load(Ordering::SeqCst);
    assert_eq!((decisions, world.unrecorded()), (made, 0), "what was answered is there");
}

/// Room for a few hundred records, and thousands of decisions that wait for it: rewards and changes have it first.
#[tokio::test]
async fn rewards_and_changes_have_scarce_room_first() {
    let world = TestNode::new();
    let node = world.open();
    create(&node).await;
    let first = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "e0", &first).await.unwrap(), EventStatus::Accepted);
    world.set(CommitFault::Full);
    assert!(reward(&node, "full", &first).await.is_err());
    for _ in 0..200 {
        node.decide(vec![request(None); 100], false, &|| false).await.unwrap();
    }
    assert_eq!(node.waiting().decisions, 20_000);
    world.room.store(300, Ordering::SeqCst);
    world.set(CommitFault::Fair);
    for i in 1..=100 {
        assert_eq!(reward(&node, &format!("e{i}"), &first).await.unwrap(), EventStatus::Accepted, "event {i}");
        let Some(off) = node.slot(&slot_id()).map(|view| Arc::clone(&view.definition)) else { panic!() };
        if i % 50 == 0 {
            let definition = Definition { display_name: format!("{i}"), ..(*off).clone() };
            let change = Change::Update { definition, revision: 0 };
            node.change(slot_id(), change, ChangeReason::default(), false).await.unwrap();
        }
    }
    world.room.store(u64::MAX, Ordering::SeqCst);
    tokio::time::timeout(Duration::from_mins(1), async {
        while node.waiting().decisions > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the decisions that waited are written in the end");
    drop(node);
    assert_eq!((world.counted(), world.unrecorded()), ((20_001, 101), 0));
}

#[tokio::test]
async fn what_a_full_disk_keeps_from_being_saved_is_said_when_the_node_stops() {
    let world = TestNode::new();
    let node = world.open();
    create(&node).await;
    let first = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "e1", &first).await.unwrap(), EventStatus::Accepted);
    world.set(CommitFault::Full);
    assert!(reward(&node, "e2", &first).await.is_err());
    for _ in 0..7 {
        decide_one(&node, None).await.unwrap();
    }
    node.shutdown();
    assert_eq!((node.unsaved(), world.unrecorded()), (7, 7));
    drop(node);
    world.set(CommitFault::Fair);
    assert_eq!(world.counted(), (1, 1));
}

#[tokio::test]
async fn a_leap_of_ten_years_does_not_move_the_journal_s_time_unless_it_is_accepted() {
    const TEN_YEARS_US: i64 = 3_650 * DAY_US;
    let world = TestNode::new();
    let node = world.open();
    create(&node).await;
    let begun_us = node.now_us();
    world.clock.leap(TEN_YEARS_US);
    let wrong = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "e1", &wrong).await.unwrap(), EventStatus::Accepted);
    assert_eq!(node.clock_doubt_seconds(), TEN_YEARS_US / 1_000_000);
    world.clock.leap(-TEN_YEARS_US);
    world.clock.advance(1_000_000);
    assert_eq!((node.now_us() - begun_us, node.clock_doubt_seconds()), (1_000_000, 0));
    assert_eq!(reward(&node, "e2", &wrong).await.unwrap(), EventStatus::Accepted);
    world.clock.leap(TEN_YEARS_US);
    assert!(node.clock_doubt_seconds() == 0 || node.now_us() - begun_us == 1_000_000);
    accept_clock(world.folder.path()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), async {
        while node.now_us() - begun_us < TEN_YEARS_US {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the writer finds that it was accepted");
    let late = decide_one(&node, None).await.unwrap();
    reward(&node, "e3", &late).await.unwrap();
    drop(node);
    // A start that finds the journal ahead of the clock says so, goes on, and asks.
    world.clock.accept();
    world.clock.leap(-TEN_YEARS_US);
    let node = world.open();
    assert!(node.clock_doubt_seconds() < -300_000_000, "{}", node.clock_doubt_seconds());
    let after = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "e4", &after).await.unwrap(), EventStatus::Accepted);
    drop(node);
    accept_clock(world.folder.path()).unwrap();
    assert_eq!(world.open().clock_doubt_seconds(), 0);
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(accept_clock(elsewhere.path()).unwrap_err().to_string().contains("no data folder"));
}

/// A slot with 400 arms and no holdout, which would get the baseline without a look at the deadline.
async fn create_long(node: &Node) -> Request {
    let arms = Arc::clone(&definition().arms[0]);
    let arm = |i: usize| Arc::new(Arm { id: ArmId::parse("arm_id", &format!("arm{i}")).unwrap(), ..(*arms).clone() });
    let mut definition = Definition { arms: (0..400).map(arm).collect(), ..definition() };
    definition.controls.holdout = Some(0.0);
    node.change(slot_id(), Change::Create(definition), ChangeReason::default(), false).await.unwrap();
    Request { count: 400, ..request(None) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_is_looked_at_within_a_decision() {
    let world = TestNode::new();
    let node = world.open();
    let long = create_long(&node).await;
    // The deadline passes after some positions of the slate.
    let looks = AtomicUsize::new(0);
    let answers = node.decide(vec![long.clone()], false, &|| looks.fetch_add(1, Ordering::SeqCst) > 20).await.unwrap();
    let decided = Arc::clone(&answers[0].as_ref().unwrap().decided);
    assert_eq!((decided.fallback, decided.chosen.len()), (Some(crate::engine::Fallback::Deadline), 400));
    let looked = looks.load(Ordering::SeqCst);
    assert!((20..40).contains(&looked), "{looked}");
    assert!(decided.chosen.iter().all(|chosen| chosen.propensity.to_bits() == 1.0_f64.to_bits()), "the caller's order");
    // A page of those goes on to its end, each as soon as it is asked.
    let answers = node.decide(vec![long; 30], false, &|| true).await.unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().decided.fallback.is_some()));
}

/// Long calls hold every core that they may, and others of their kind wait, until a short call was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn long_calls_take_turns_and_a_short_one_is_answered_meanwhile() {
    let world = TestNode::new();
    let node = Arc::new(world.open());
    let long = create_long(&node).await;
    let (answered, holding) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let cores = (workers() / 2).max(1);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..cores {
        let (node, long) = (Arc::clone(&node), long.clone());
        let (answered, holding, looks) = (Arc::clone(&answered), Arc::clone(&holding), AtomicUsize::new(0));
        let deadline_passed = move || {
            // The first look is before its turn, and its turn comes at once.
            if looks.fetch_add(1, Ordering::SeqCst) == 1 {
                holding.fetch_add(1, Ordering::SeqCst);
                let begun = Instant::now();
                while !answered.load(Ordering::SeqCst) && begun.elapsed() < 2 * PATIENCE {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            answered.load(Ordering::SeqCst)
        };
        calls.spawn(async move { node.decide(vec![long; 4], false, &deadline_passed).await });
    }
    let until = async |count: &AtomicUsize, wanted: usize| {
        while count.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, until(&holding, cores)).await.expect("long calls hold their cores");
    let looks = Arc::new(AtomicUsize::new(0));
    let (waiting, still_held, looked) = (Arc::clone(&node), Arc::clone(&answered), Arc::clone(&looks));
    let next = long.clone();
    let deadline_passed = move || {
        looked.fetch_add(1, Ordering::SeqCst);
        still_held.load(Ordering::SeqCst)
    };
    let begun = Instant::now();
    calls.spawn(async move { waiting.decide(vec![next; 4], false, &deadline_passed).await });
    tokio::time::timeout(PATIENCE, until(&looks, 10)).await.expect("it looks while it waits for its turn");
    let waited = begun.elapsed();
    let short = Arc::clone(&node);
    let short = tokio::spawn(async move {
        let request = Request { count: 1, ..request(None) };
        short.decide(vec![request], false, &|| false).await.map(|answers| answers.len())
    });
    let short = tokio::time::timeout(PATIENCE, short).await.expect("a short call does not wait for long ones");
    assert_eq!(short.unwrap().unwrap(), 1);
    assert!(calls.try_join_next().is_none(), "no long call has ended");
    answered.store(true, Ordering::SeqCst);
    while let Some(done) = calls.join_next().await {
        assert_eq!(done.unwrap().unwrap().len(), 4);
    }
    // A call that has its turn looks at every position of its slates, which takes no millisecond.
    assert!(waited >= 8 * TURN_LOOK, "ten looks took {waited:?}");
}
