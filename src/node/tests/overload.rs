//! More than the disk can write: what waits, what is refused, and who passes whom.

use std::time::{Duration, Instant};

use super::*;
use crate::node::admission::DECISIONS_MIN;

/// The slots of [`World`] beside which others are idle.
fn other_id() -> SlotId {
    SlotId::parse("slot_id", "idle").unwrap()
}

async fn create_other(node: &Node) {
    let definition = Definition { id: other_id(), ..definition() };
    node.change(other_id(), Change::Create(definition), Why::default(), false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_rate_decisions_are_refused_and_rewards_of_an_idle_slot_pass_them() {
    let world = World::new();
    let node = Arc::new(world.open());
    create(&node).await;
    create_other(&node).await;
    let idle = node.decide(vec![Request { slot: other_id(), ..request(None) }], false, &|| false).await.unwrap();
    let idle = Arc::clone(&idle[0].as_ref().unwrap().decided);
    // Some 200 records a second, and more decisions.
    world.slow_us.store(5_000, Ordering::SeqCst);
    let (mut made, mut refused, mut most) = (1, 0, 0);
    let begun = Instant::now();
    let mut rewards = tokio::task::JoinSet::new();
    let rewarding = Arc::clone(&node);
    rewards.spawn(async move {
        let mut longest = Duration::ZERO;
        for i in 0..10 {
            let asked = Instant::now();
            assert_eq!(reward(&rewarding, &format!("e{i}"), &idle).await.unwrap(), RewardOutcome::Accepted);
            longest = longest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        longest
    });
    loop {
        match node.decide(vec![request(None); 60], false, &|| false).await {
            Ok(answers) => made += answers.len(),
            Err(WriteError::Busy) => {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(other) => panic!("{other}"),
        }
        most = most.max(node.waiting().decisions);
        if refused > 20 || begun.elapsed() > Duration::from_secs(15) {
            break;
        }
    }
    assert!(refused > 20, "{refused} of {made}: {:?}", node.waiting());
    let now = node.waiting();
    assert!(
        (DECISIONS_MIN..1_500).contains(&now.decisions_max),
        "on its way to a second of the measured rate: {now:?}"
    );
    assert!(most <= 2_048 && now.decisions <= 2_048, "never more than was assumed at first: {most}, {now:?}");
    let longest = rewards.join_next().await.unwrap().unwrap();
    assert!(longest < Duration::from_millis(1_500), "{longest:?}");
    world.slow_us.store(0, Ordering::SeqCst);
    node.shutdown();
    drop(node);
    let state = recovered(world.folder.path(), 1).unwrap();
    let decisions: u64 =
        ["offers", "idle"].map(|slot| state.slot(slot).unwrap().view().counters.decisions).iter().sum();
    assert_eq!((decisions, world.unrecorded()), (made as u64, 0), "what was answered is there");
}

/// Room for a few hundred records, and thousands of decisions that wait for it: rewards and changes have it first.
#[tokio::test]
async fn rewards_and_changes_have_scarce_room_first() {
    let world = World::new();
    let node = world.open();
    create(&node).await;
    let first = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "e0", &first).await.unwrap(), RewardOutcome::Accepted);
    world.set(Weather::Full);
    assert!(reward(&node, "full", &first).await.is_err());
    for _ in 0..200 {
        node.decide(vec![request(None); 100], false, &|| false).await.unwrap();
    }
    assert_eq!(node.waiting().decisions, 20_000);
    world.room.store(300, Ordering::SeqCst);
    world.set(Weather::Fair);
    for i in 1..=100 {
        assert_eq!(reward(&node, &format!("e{i}"), &first).await.unwrap(), RewardOutcome::Accepted, "event {i}");
        let Some(off) = node.slot(&slot_id()).map(|view| view.definition.clone()) else { panic!() };
        if i % 50 == 0 {
            let definition = Definition { display_name: format!("{i}"), ..(*off).clone() };
            let change = Change::Update { definition, revision: 0 };
            node.change(slot_id(), change, Why::default(), false).await.unwrap();
        }
    }
    world.room.store(u64::MAX, Ordering::SeqCst);
    tokio::time::timeout(Duration::from_secs(60), async {
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
    let world = World::new();
    let node = world.open();
    create(&node).await;
    let first = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "e1", &first).await.unwrap(), RewardOutcome::Accepted);
    world.set(Weather::Full);
    assert!(reward(&node, "e2", &first).await.is_err());
    for _ in 0..7 {
        decide_one(&node, None).await.unwrap();
    }
    node.shutdown();
    assert_eq!((node.unsaved(), world.unrecorded()), (7, 7));
    drop(node);
    world.set(Weather::Fair);
    assert_eq!(world.counted(), (1, 1));
}

#[tokio::test]
async fn a_leap_of_ten_years_does_not_move_the_journal_s_time_unless_it_is_accepted() {
    const TEN_YEARS_US: i64 = 3_650 * DAY_US;
    let world = World::new();
    let node = world.open();
    create(&node).await;
    let begun_us = node.now_us();
    world.clock.leap(TEN_YEARS_US);
    let wrong = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "e1", &wrong).await.unwrap(), RewardOutcome::Accepted);
    assert_eq!(node.clock_doubt_seconds(), TEN_YEARS_US / 1_000_000);
    world.clock.leap(-TEN_YEARS_US);
    world.clock.advance(1_000_000);
    assert_eq!((node.now_us() - begun_us, node.clock_doubt_seconds()), (1_000_000, 0));
    assert_eq!(reward(&node, "e2", &wrong).await.unwrap(), RewardOutcome::Accepted);
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
    assert_eq!(reward(&node, "e4", &after).await.unwrap(), RewardOutcome::Accepted);
    drop(node);
    accept_clock(world.folder.path()).unwrap();
    assert_eq!(world.open().clock_doubt_seconds(), 0);
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(accept_clock(elsewhere.path()).unwrap_err().to_string().contains("no data folder"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_is_looked_at_within_a_decision_and_long_calls_take_turns() {
    let world = World::new();
    let node = Arc::new(world.open());
    let arms = definition().arms[0].clone();
    let arm = |i: usize| Arc::new(Arm { id: ArmId::parse("arm_id", &format!("arm{i}")).unwrap(), ..(*arms).clone() });
    let definition = Definition { arms: (0..400).map(arm).collect(), ..definition() };
    node.change(slot_id(), Change::Create(definition), Why::default(), false).await.unwrap();
    let long = Request { count: 400, ..request(None) };
    // It passes after some positions of the slate.
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let answers = node.decide(vec![long.clone()], false, &|| looks.fetch_add(1, Ordering::SeqCst) > 20).await.unwrap();
    let decided = Arc::clone(&answers[0].as_ref().unwrap().decided);
    assert_eq!((decided.fallback, decided.chosen.len()), (Some(crate::engine::Fallback::Deadline), 400));
    let looked = looks.load(Ordering::SeqCst);
    assert!((20..40).contains(&looked), "{looked}");
    assert!(decided.chosen.iter().all(|chosen| chosen.propensity == 1.0), "the caller's order");
    // A page of those goes on to its end, each as soon as it is asked.
    let begun = Instant::now();
    let answers = node.decide(vec![long.clone(); 30], false, &|| true).await.unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().decided.fallback.is_some()));
    // While calls of that kind hold every core that they may, a short one is answered.
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (node, long) = (Arc::clone(&node), long.clone());
        others.spawn(async move { node.decide(vec![long; 4], false, &move || begun.elapsed().as_secs() > 4).await });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let asked = Instant::now();
    node.decide(vec![Request { count: 1, ..request(None) }], false, &|| false).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    while let Some(done) = others.join_next().await {
        done.unwrap().unwrap();
    }
}
