//! A node whose journal does what disks do.

mod ahead;
mod deferred;
mod faulty_journal;
mod forgetting;
mod later_kinds;
mod overload;
mod pages;
mod pseudonyms;
mod refold;
mod refusals;
mod salvage;

use std::sync::atomic::AtomicU8;

use faulty_journal::{CommitFault, FaultyJournal};

use super::*;
use crate::{
    engine::{Change, EventStatus, Request, Subject, UnmatchedReason},
    journal::{AppendError, LossPolicy, ReadError, Record, RecordHandler, RecordRange},
    slot::{Arm, ArmId, ChangeReason, Definition, Goal, RewardKind},
};

/// Observer that counts decisions that are never recorded.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Observer for Counting {
    fn committed(&self, _: usize, _: f64) {}
    fn rewarded(&self, _: &str, _: &str, _: EventStatus) {}
    fn frozen(&self, _: f64) {}
    fn snapshot_saved(&self, _: i64, _: f64, _: u64) {}
    fn unrecorded(&self, decisions: usize) {
        self.0.fetch_add(decisions as u64, Ordering::SeqCst);
    }
    fn rule_failed(&self, _: &str, _: &str, _: u64) {}
    fn slot_deleted(&self, _: &str) {}
}

const DAY_US: i64 = 24 * 3600 * 1_000_000;

struct TestNode {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    weather: Arc<AtomicU8>,
    room: Arc<AtomicU64>,
    slow_us: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
    counting: Arc<Counting>,
    options: Options,
}

fn slot_id() -> SlotId {
    SlotId::parse("slot_id", "offers").unwrap()
}

fn definition() -> Definition {
    let arm = |id: &str| {
        let id = ArmId::parse("arm_id", id).unwrap();
        Arc::new(Arm {
            id,
            attributes: crate::bandit::Features::new(),
            available: true,
            payload: None,
            because: None,
            schedule: crate::slot::Schedule::default(),
        })
    };
    let kind = RewardKind {
        kind: "click".into(),
        weight: 1.0,
        use_value: false,
        cap: Some(1.0),
        winsorize: None,
        role: None,
        joins: None,
    };
    let goal = Goal { kinds: vec![kind], window_us: DAY_US, ..Goal::default() };
    Definition { arms: vec![arm("a"), arm("b")], goal, ..Definition::new(slot_id()) }
}

fn request(request_id: Option<&str>) -> Request {
    Request {
        slot: slot_id(),
        subject: Subject::default(),
        rule_subject: None,
        matches: None,
        context: crate::bandit::Features::new(),
        candidates: Vec::new(),
        count: 0,
        request_id: request_id.map(str::to_owned),
        consent: None,
        explain: false,
        deferred: false,
        client: String::new(),
    }
}

fn click(event_id: &str, decided: &DecisionRecord) -> RewardRequest {
    RewardRequest {
        slot: None,
        event_id: event_id.into(),
        decision: Some(decided.id),
        subject: Subject::default(),
        arm: None,
        kind: "click".into(),
        value: None,
        time_us: None,
        reverses: None,
    }
}

impl TestNode {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { snapshot_every_us: i64::MAX, ..Options::new(folder.path()) };
        let clock = Arc::new(ManualClock::new(1_793_000_000_000_000));
        let room = Arc::new(AtomicU64::new(u64::MAX));
        let (weather, slow_us, written, counting) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        Self { folder, clock, weather, room, slow_us, written, counting, options }
    }

    fn open(&self) -> Node {
        let (weather, room) = (Arc::clone(&self.weather), Arc::clone(&self.room));
        let (slow_us, written) = (Arc::clone(&self.slow_us), Arc::clone(&self.written));
        self.set(CommitFault::Fair);
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let observer: Arc<dyn Observer> = Arc::clone(&self.counting) as _;
        Node::open_with(&self.options, clock, observer, |inner| {
            Box::new(FaultyJournal { inner, weather, room, slow_us, written })
        })
        .unwrap()
    }

    fn set(&self, weather: CommitFault) {
        self.weather.store(weather as u8, Ordering::SeqCst);
    }

    fn unrecorded(&self) -> u64 {
        self.counting.0.load(Ordering::SeqCst)
    }

    /// Number of decisions and rewards in the state that is recovered from the folder.
    fn counted(&self) -> (u64, u64) {
        let counters = recover_state(self.folder.path(), None, 1).unwrap().slot("offers").unwrap().view().counters;
        (counters.decisions, counters.rewards)
    }
}

async fn create(node: &Node) {
    node.change(slot_id(), Change::Create(definition()), ChangeReason::default(), false).await.unwrap();
}

async fn decide_one(node: &Node, request_id: Option<&str>) -> Result<Arc<DecisionRecord>, WriteError> {
    let mut answers = node.decide(vec![request(request_id)], false, &|| false).await?;
    Ok(answers.remove(0).unwrap().decided)
}

async fn reward(node: &Node, event_id: &str, decided: &DecisionRecord) -> Result<EventStatus, WriteError> {
    Ok(node.record(vec![click(event_id, decided)])?.await?.remove(0).status)
}

#[tokio::test]
async fn without_room_decisions_wait_rewards_are_refused_and_all_goes_on_by_itself() {
    let world = TestNode::new();
    let node = world.open();
    create(&node).await;
    let first = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "e1", &first).await.unwrap(), EventStatus::Accepted);
    world.set(CommitFault::Full);
    let second = decide_one(&node, Some("r2")).await.unwrap();
    for _ in 0..3 {
        let refused = reward(&node, "e2", &second).await.unwrap_err();
        assert!(matches!(refused, WriteError::Journal(AppendError::Full { .. })), "{refused}");
    }
    let change = node.change(slot_id(), Change::Reset, ChangeReason::default(), false).await.unwrap_err();
    assert!(matches!(change, ChangeFailure::Write(WriteError::Journal(AppendError::Full { .. }))), "{change}");
    let would_be = node.change(slot_id(), Change::Reset, ChangeReason::default(), true).await;
    assert!(would_be.is_ok(), "what would only be looked at needs no room");
    assert!(*node.full().borrow() && node.failure().borrow().is_none());
    assert_eq!(decide_one(&node, Some("r2")).await.unwrap().id, second.id, "a retry is answered as before");

    world.set(CommitFault::Fair);
    // No request comes in: the writer finds out by itself that there is room again.
    let mut full = node.full();
    tokio::time::timeout(std::time::Duration::from_secs(20), full.wait_for(|full| !full)).await.unwrap().unwrap();
    assert_eq!(reward(&node, "e2", &second).await.unwrap(), EventStatus::Accepted, "its decision is written first");
    node.shutdown();
    assert!(node.stopped());
    drop(node);
    assert_eq!((world.counted(), world.unrecorded()), ((2, 2), 0));
}

#[tokio::test]
async fn without_room_a_durable_decision_is_refused_and_a_retry_is_decided_anew() {
    let mut world = TestNode::new();
    world.options.durable_decisions = true;
    let node = world.open();
    create(&node).await;
    world.set(CommitFault::Full);
    let refused = decide_one(&node, Some("r1")).await.unwrap_err();
    assert!(matches!(refused, WriteError::Journal(AppendError::Full { .. })), "{refused}");
    world.set(CommitFault::Fair);
    let decided = decide_one(&node, Some("r1")).await.unwrap();
    assert_eq!(reward(&node, "e1", &decided).await.unwrap(), EventStatus::Accepted, "it is recorded");
    drop(node);
    assert_eq!((world.counted(), world.unrecorded()), ((1, 1), 0));
}

#[tokio::test]
async fn after_a_failed_sync_or_a_panic_nothing_is_written_and_decisions_are_counted_as_unrecorded() {
    for weather in [CommitFault::Sick, CommitFault::Panic] {
        let world = TestNode::new();
        let node = world.open();
        create(&node).await;
        let first = decide_one(&node, None).await.unwrap();
        assert_eq!(reward(&node, "e1", &first).await.unwrap(), EventStatus::Accepted);
        world.set(weather);
        let lost = reward(&node, "e2", &first).await.unwrap_err();
        let unknown = matches!(lost, WriteError::Journal(AppendError::Engine { .. }) | WriteError::Unanswered);
        assert!(unknown, "whether it was written is not known: {lost}");
        let mut failure = node.failure();
        let why = failure.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        assert!(why.contains(if weather == CommitFault::Sick { "fsync failed" } else { "panicked" }), "{why}");
        // The disk recovers; the node does not trust it.
        world.set(CommitFault::Fair);
        let refused = reward(&node, "e3", &first).await.unwrap_err();
        assert!(matches!(refused, WriteError::Failed(_)), "{refused}");
        assert!(node.change(slot_id(), Change::Reset, ChangeReason::default(), false).await.is_err());
        let before = world.unrecorded();
        let second = decide_one(&node, Some("r")).await.unwrap();
        assert_eq!(decide_one(&node, Some("r")).await.unwrap().id, second.id);
        assert_eq!(world.unrecorded(), before + 1, "{weather:?}");
        node.shutdown();
        assert!(!node.stopped());
        drop(node);
        let node = world.open();
        assert_eq!(reward(&node, "e1", &first).await.unwrap(), EventStatus::Duplicate);
        assert_eq!(reward(&node, "e2", &first).await.unwrap(), EventStatus::Accepted);
        drop(node);
        assert_eq!(world.counted(), (1, 2));
    }
}

/// Old records that both snapshots cover are dropped from the journal. A start from either needs only the rest.
#[tokio::test]
async fn what_outlived_its_retention_goes_and_both_snapshots_still_recover() {
    let mut world = TestNode::new();
    world.options.retention_us = Some(2 * DAY_US);
    world.options.snapshot_every_us = 1;
    for day in 0..6_u32 {
        let node = world.open();
        if day == 0 {
            create(&node).await;
        }
        for i in 0..20 {
            let decided = decide_one(&node, None).await.unwrap();
            reward(&node, &format!("e{day}-{i}"), &decided).await.unwrap();
            world.clock.advance(DAY_US / 40);
        }
        node.shutdown();
        drop(node);
        world.clock.advance(DAY_US / 2);
    }
    let node = world.open();
    // RecordHandler look moves the clock: steps of dropping are as far apart as they are.
    let mut trimmed = 0;
    for _ in 0..200 {
        world.clock.advance(200_000);
        let decided = decide_one(&node, None).await.unwrap();
        reward(&node, &format!("e{}", decided.id), &decided).await.unwrap();
        trimmed = JournalReader::open(world.folder.path()).unwrap().trimmed();
        if trimmed > 120 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // 41 records a day but for the first's one more: those of the days before the last two are gone.
    assert!(trimmed > 120, "{trimmed}");
    node.shutdown();
    drop(node);
    let want = crate::engine::snapshot::encode(&recover_state(world.folder.path(), None, 1).unwrap()).unwrap();
    assert!(matches!(fold(world.folder.path(), 1), Err(OpenError::Journal(ReadError::Trimmed { .. }))));
    let snapshots = snapshot_file::snapshots(world.folder.path()).unwrap();
    assert_eq!(snapshots.len(), 2);
    for workers in [1, 3] {
        for (_, path) in &snapshots {
            let state = recover_state(world.folder.path(), Some(path), workers).unwrap();
            assert!(crate::engine::snapshot::encode(&state).unwrap() == want, "{} {workers}", path.display());
        }
    }
    // The newest damaged, the one before does; both damaged, it is said where.
    let flip = |path: &std::path::Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    flip(&snapshots[0].1);
    let again = recover_state(world.folder.path(), None, 1).unwrap();
    assert!(crate::engine::snapshot::encode(&again).unwrap() == want);
    flip(&snapshots[1].1);
    let refused = recover_state(world.folder.path(), None, 1).unwrap_err().to_string();
    assert!(matches!(recover_state(world.folder.path(), None, 1), Err(OpenError::NoSnapshot { .. })), "{refused}");
    for (_, path) in &snapshots {
        assert!(refused.contains(path.to_str().unwrap()) && refused.contains("byte"), "{refused}");
    }
}

/// Time stands still until the clock has caught up: nothing is lost, nothing expires, snapshots go on.
#[tokio::test]
async fn a_clock_that_is_set_back_stops_time_and_nothing_else() {
    let mut world = TestNode::new();
    world.options.snapshot_every_us = 1;
    let node = world.open();
    create(&node).await;
    let before = decide_one(&node, None).await.unwrap();
    world.clock.advance(-3 * DAY_US);
    let after = decide_one(&node, Some("r")).await.unwrap();
    assert_eq!(reward(&node, "e1", &before).await.unwrap(), EventStatus::Accepted);
    assert_eq!(reward(&node, "e2", &after).await.unwrap(), EventStatus::Accepted);
    assert_eq!(reward(&node, "e2", &after).await.unwrap(), EventStatus::Duplicate);
    assert_eq!(decide_one(&node, Some("r")).await.unwrap().id, after.id);
    world.clock.advance(2);
    drop(node);
    assert!(!snapshot_file::snapshots(world.folder.path()).unwrap().is_empty());
    // A restart changes nothing of this, and the journal's times never go back.
    let node = world.open();
    assert_eq!(reward(&node, "e2", &after).await.unwrap(), EventStatus::Duplicate);
    assert_eq!(decide_one(&node, Some("r")).await.unwrap().id, after.id);
    let third = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "e3", &third).await.unwrap(), EventStatus::Accepted);
    drop(node);
    assert_eq!(world.counted(), (3, 3));
    let (mut last_us, mut times) = (i64::MIN, 0);
    let reader = JournalReader::open(world.folder.path()).unwrap();
    let read = reader.each(RecordRange::default(), &mut |stored| {
        assert!(stored.at_us >= last_us);
        (last_us, times) = (stored.at_us, times + 1);
        Ok(())
    });
    assert_eq!((read.unwrap(), times), (9, 9), "a slot, three decisions, three rewards and two duplicates");
}
