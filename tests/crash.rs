//! Kill −9 at random moments under load: nothing acknowledged is missing, nothing is double.
//!
//! A supervisor runs the real program, loads it over gRPC, kills it, restarts it on the
//! same folder and checks what was acknowledged. Twenty kills by default; more with
//! `SLOTWISE_KILLS=200 cargo test --test crash`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::sys::signal::Signal;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    engine::{Body, snapshot},
    node::{decode_event, fold, recovered},
    wire::proto::{
        Controls, DecideRequest, ListRevisionsRequest, RecordRewardsRequest, RewardEvent, RewardStatus, Slot,
        UpdateSlotRequest,
    },
};
use support::{Clients, Process, click, context, decide, number, slot, text};

const ARMS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What the service said was done.
#[derive(Default)]
struct Acknowledged {
    /// Events by id, as sent.
    events: BTreeMap<String, RewardEvent>,
    /// Reasons of changes.
    changes: BTreeSet<String>,
}

/// One shopper after another, until the service is gone.
async fn load(address: String, name: String, acknowledged: Arc<Mutex<Acknowledged>>) {
    let mut clients = Clients::connect(&address).await;
    for i in 0_u32.. {
        let request = DecideRequest {
            context: context(&[("age", number(f64::from(i % 60))), ("device", text(["web", "app"][i as usize % 2]))]),
            request_id: if i % 3 == 0 { format!("{name}-{i}") } else { String::new() },
            ..decide("offers")
        };
        let Ok(decision) = clients.decide(request).await else { return };
        if i % 4 == 3 {
            let reason = format!("{name}-{i}");
            // No two alike: a change to what is so already would be none.
            let exploration = slotwise::engine::hash("test", &[reason.as_bytes()]).fraction();
            let controls = Controls { exploration: Some(exploration), ..Controls::default() };
            let update = UpdateSlotRequest {
                slot: Some(Slot { controls: Some(controls), ..slot("offers", &ARMS) }),
                update_mask: Some(prost_types::FieldMask { paths: vec!["controls.exploration".into()] }),
                reason: reason.clone(),
                validate_only: false,
            };
            match clients.slots.update_slot(update).await {
                Ok(_) => drop(acknowledged.lock().unwrap().changes.insert(reason)),
                Err(_) => return,
            }
        }
        let events: Vec<_> = (0..=i % 3).map(|j| click(&format!("{name}-{i}-{j}"), &decision)).collect();
        let Ok(answer) = clients.feedback.record_rewards(RecordRewardsRequest { events: events.clone() }).await else {
            return;
        };
        for (event, result) in events.into_iter().zip(answer.into_inner().results) {
            assert_eq!(result.status(), RewardStatus::Accepted, "{}", result.message);
            acknowledged.lock().unwrap().events.insert(event.event_id.clone(), event);
        }
    }
}

/// Every acknowledged event is known (sent again, it is a duplicate), every acknowledged change stands in the history.
async fn check(address: &str, events: Vec<RewardEvent>, changes: &BTreeSet<String>) {
    let mut clients = Clients::connect(address).await;
    for batch in events.chunks(500) {
        let request = RecordRewardsRequest { events: batch.to_vec() };
        let results = clients.feedback.record_rewards(request).await.unwrap().into_inner().results;
        assert_eq!(results.len(), batch.len());
        for (event, result) in batch.iter().zip(results) {
            assert_eq!(result.status(), RewardStatus::Duplicate, "{} was acknowledged and is gone", event.event_id);
        }
    }
    let list = ListRevisionsRequest { slot_id: "offers".into(), page_size: 200, page_token: String::new() };
    let found = clients.slots.list_revisions(list).await.unwrap().into_inner().revisions;
    // A slot keeps its last 200 revisions; those that are older cannot be asked for.
    if found.len() < 200 {
        let reasons: BTreeSet<_> = found.into_iter().map(|revision| revision.reason).collect();
        assert!(changes.is_subset(&reasons), "{:?} were acknowledged and are gone", changes.difference(&reasons));
    }
}

/// Counts what the journal holds in its own way: reads the file, keeps a set of event ids and the decisions made.
fn recount(folder: &Path) -> (usize, usize, BTreeSet<String>) {
    let connection = rusqlite::Connection::open(folder.join("journal.sqlite3")).unwrap();
    let mut select = connection.prepare("SELECT body FROM events ORDER BY position").unwrap();
    let (mut decisions, mut accepted, mut updates) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for body in select.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap() {
        match decode_event(&body.unwrap()).unwrap().body {
            Body::Decided(decided) => drop(decisions.insert(decided.id)),
            Body::Rewarded(event) if decisions.contains(&event.decision.unwrap()) => {
                accepted.insert(event.event_id);
            }
            Body::SlotUpdated { reason, .. } => drop(updates.insert(reason)),
            _ => {}
        }
    }
    (decisions.len(), accepted.len(), updates)
}

#[expect(clippy::disallowed_methods, reason = "the flag that makes the run longer")]
fn kills() -> usize {
    std::env::var("SLOTWISE_KILLS").map_or(20, |kills| kills.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_nine() {
    let folder = tempfile::tempdir().unwrap();
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let mut rng = StdRng::seed_from_u64(41);
    let mut process = Process::start(folder.path());
    Clients::connect(&process.address).await.create(slot("offers", &ARMS)).await.unwrap();
    for kill in 0..kills() {
        let mut shoppers = tokio::task::JoinSet::new();
        let before: BTreeSet<String> = acknowledged.lock().unwrap().events.keys().cloned().collect();
        for shopper in 0..4 {
            shoppers.spawn(load(process.address.clone(), format!("k{kill}-s{shopper}"), Arc::clone(&acknowledged)));
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..300))).await;
        // Now and then it is asked to stop, which leaves a snapshot for the kills after it to recover from.
        process.signal(if kill % 5 == 3 { Signal::SIGTERM } else { Signal::SIGKILL });
        process.child.wait().unwrap();
        while let Some(done) = shoppers.join_next().await {
            done.unwrap();
        }
        process = Process::start(folder.path());
        let (events, changes) = {
            let acknowledged = acknowledged.lock().unwrap();
            let fresh =
                acknowledged.events.values().filter(|event| !before.contains(&event.event_id)).cloned().collect();
            (fresh, acknowledged.changes.clone())
        };
        check(&process.address, events, &changes).await;
    }
    let (all, changes): (Vec<RewardEvent>, _) = {
        let acknowledged = acknowledged.lock().unwrap();
        (acknowledged.events.values().cloned().collect(), acknowledged.changes.clone())
    };
    let count = all.len();
    assert!(count > 10 * kills(), "the load must have got somewhere: {count}");
    check(&process.address, all, &changes).await;
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();

    let from_start = fold(folder.path(), 1).unwrap();
    let snapshots = std::fs::read_dir(folder.path()).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_prefix("snapshot-")?.strip_suffix(".bin")?.parse::<u64>().ok()
    });
    let newest = snapshots.max().unwrap();
    assert!(0 < newest && newest < from_start.position(), "recovery is a snapshot and a tail: {newest}");
    let as_recovered = recovered(folder.path(), 2).unwrap();
    assert_eq!(
        snapshot::encode(&from_start).unwrap(),
        snapshot::encode(&as_recovered).unwrap(),
        "the posteriors equal a full replay, bit for bit"
    );
    let (decisions, accepted, updates) = recount(folder.path());
    let counters = from_start.slot("offers").unwrap().view().counters;
    assert_eq!((counters.decisions, counters.rewards), (decisions as u64, accepted as u64), "nothing is double");
    assert!(accepted >= count && changes.is_subset(&updates) && !changes.is_empty());
}
