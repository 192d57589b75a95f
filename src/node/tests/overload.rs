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
