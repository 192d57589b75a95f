//! `kill -9` at random moments under load: nothing that was acknowledged is missing, and nothing counts twice.
//!
//! The test runs the real program, loads it over gRPC, kills it, restarts it on the same folder and checks what was
//! acknowledged. Sometimes it kills the program again during the start, or lets it live long enough to be killed while
//! it writes a snapshot. Beside rewards and changes it sends deferred decisions, shopper events and subjects to be
//! forgotten. At the end it replays the whole journal with one worker and with several, and counts the
//! posteriors of one slot from the raw records in another way. Twenty kills by default; `SLOTWISE_KILLS=200 cargo test
//! --test crash` makes more.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

mod overload;
mod shoppers;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::sys::signal::Signal;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use shoppers::{CAMPAIGN, ShopperCalls, assert_campaign_is_kept, assert_shoppers_are_kept, send_messages};
use slotwise::{
    engine::{Body, snapshot},
    node::{decode_event, fold, recover_state},
    wire::proto::{
        BetaBernoulliModel, Controls, DecideRequest, Learning, ListRevisionsRequest, Model, RecordRewardsRequest,
        RewardEvent, RewardStatus, Slot, UpdateSlotRequest, model,
    },
};
use support::{Clients, Process, click, context, decide, number, serve_command, slot, text};

const ARMS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Slot whose posteriors are counted from the raw records.
const RATES: &str = "rates";

/// Calls that the service acknowledged.
#[derive(Default)]
struct AcknowledgedCalls {
    /// Events by id, as they were sent.
    events: BTreeMap<String, RewardEvent>,
    /// Reasons of the slot's changes.
    changes: BTreeSet<String>,
    /// Events of the slot `rates`.
    counted: BTreeSet<String>,
}

/// Sends shoppers one after another until the service is gone.
async fn send_shoppers(address: String, name: String, acknowledged: Arc<Mutex<AcknowledgedCalls>>) {
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
            // Every value differs, because a change to the present value makes no revision.
            let exploration = slotwise::engine::hash("test", &[reason.as_bytes()]).fraction();
            let controls = Controls { exploration: Some(exploration), ..Controls::default() };
            let update = UpdateSlotRequest {
                slot: Some(Slot { controls: Some(controls), ..slot("offers", &ARMS) }),
                update_mask: Some(prost_types::FieldMask { paths: vec!["controls.exploration".into()] }),
                reason: reason.clone(),
                ..UpdateSlotRequest::default()
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
        let Ok(decision) = clients.decide(decide(RATES)).await else { return };
        if i % 3 == 0 {
            let event = click(&format!("{name}-{i}-rate"), &decision);
            match clients.reward(event.clone()).await {
                Ok(result) if result.status() == RewardStatus::Accepted => {
                    acknowledged.lock().unwrap().counted.insert(event.event_id);
                }
                // More than a second has passed, so the window is closed.
                Ok(result) => assert_eq!(result.status(), RewardStatus::Late, "{}", result.message),
                Err(_) => return,
            }
        }
    }
}

/// Returns a slot without features that learns a decision's reward when its window of one second closes. Its posteriors
/// can therefore be counted from the records.
fn rates_slot() -> Slot {
    let mut rates = slot(RATES, &ARMS);
    let goal = rates.goal.as_mut().unwrap();
    goal.window = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    goal.grace_period = Some(prost_types::Duration::default());
    goal.learning = Learning::AtClose.into();
    rates.model = Some(Model { model: Some(model::Model::BetaBernoulli(BetaBernoulliModel::default())) });
    rates
}

/// Counts, for each arm, the closed decisions with a click and those without, by plain maps over the raw records.
fn count_rates(folder: &Path) -> (BTreeMap<String, (f64, f64)>, BTreeSet<String>) {
    const WINDOW_US: i64 = 1_000_000;
    let connection = rusqlite::Connection::open(folder.join("journal.sqlite3")).unwrap();
    let mut select = connection.prepare("SELECT at_us, body FROM events WHERE slot = ? ORDER BY position").unwrap();
    let rows = select.query_map([RATES], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).unwrap();
    let (mut made, mut clicked, mut ids, mut last_us) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new(), 0);
    for row in rows {
        let (at_us, body) = row.unwrap();
        last_us = at_us;
        match decode_event(&body).unwrap().body {
            Body::Decided(decided) => {
                made.insert(decided.id, (at_us, decided.chosen[0].arm.to_string()));
            }
            Body::Rewarded(event) => {
                ids.insert(event.event_id);
                let decision = event.decision.unwrap();
                if made.get(&decision).is_some_and(|(made_us, _)| at_us - made_us <= WINDOW_US) {
                    clicked.insert(decision);
                }
            }
            _ => {}
        }
    }
    let mut arms: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (id, (_, arm)) in made.into_iter().filter(|(_, (made_us, _))| *made_us < last_us - WINDOW_US) {
        let (with, without) = arms.entry(arm).or_default();
        *(if clicked.contains(&id) { with } else { without }) += 1.0;
    }
    (arms, ids)
}

/// Asserts that every acknowledged event is known (it is a duplicate when sent again) and that every acknowledged
/// change stands in the history.
async fn assert_acknowledged_is_kept(address: &str, events: Vec<RewardEvent>, changes: &BTreeSet<String>) {
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
    // A slot keeps its last 200 revisions, so older ones cannot be listed.
    if found.len() < 200 {
        let reasons: BTreeSet<_> = found.into_iter().map(|revision| revision.reason).collect();
        assert!(changes.is_subset(&reasons), "{:?} were acknowledged and are gone", changes.difference(&reasons));
    }
}

/// Counts the journal's records in another way: reads the file and keeps a set of event ids and of decisions.
fn recount(folder: &Path) -> (usize, usize, BTreeSet<String>) {
    let connection = rusqlite::Connection::open(folder.join("journal.sqlite3")).unwrap();
    let mut select = connection.prepare("SELECT body FROM events WHERE slot = 'offers' ORDER BY position").unwrap();
    let (mut decisions, mut accepted, mut updates) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for body in select.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap() {
        match decode_event(&body.unwrap()).unwrap().body {
            Body::Decided(decided) => drop(decisions.insert(decided.id)),
            Body::Rewarded(event) if decisions.contains(&event.decision.unwrap()) => {
                accepted.insert(event.event_id);
            }
            Body::SlotPatched { why, .. } => drop(updates.insert(why.reason)),
            _ => {}
        }
    }
    (decisions.len(), accepted.len(), updates)
}

#[expect(clippy::disallowed_methods, reason = "the flag that makes the run longer")]
fn kill_count() -> usize {
    std::env::var("SLOTWISE_KILLS").map_or(20, |kills| kills.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_nine() {
    let folder = tempfile::tempdir().unwrap();
    let acknowledged = Arc::new(Mutex::new(AcknowledgedCalls::default()));
    let campaign = Arc::new(Mutex::new(ShopperCalls::default()));
    let mut rng = StdRng::seed_from_u64(41);
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "snapshot_interval = \"1s\"\nlog = \"error\"").unwrap();
    let command = || {
        let mut command = serve_command(folder.path());
        command.arg("--config").arg(config.path());
        command
    };
    let mut process = Process::start_command(command());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &ARMS)).await.unwrap();
    clients.create(rates_slot()).await.unwrap();
    clients.create(slot(CAMPAIGN, &ARMS)).await.unwrap();
    for kill in 0..kill_count() {
        let mut shoppers = tokio::task::JoinSet::new();
        let before: BTreeSet<String> = acknowledged.lock().unwrap().events.keys().cloned().collect();
        for shopper in 0..4 {
            shoppers.spawn(send_shoppers(
                process.address.clone(),
                format!("k{kill}-s{shopper}"),
                Arc::clone(&acknowledged),
            ));
        }
        let events_before = campaign.lock().unwrap().known();
        shoppers.spawn(send_messages(process.address.clone(), format!("k{kill}"), Arc::clone(&campaign)));
        // Every sixth process lives long enough to write snapshots.
        let life = if kill % 6 == 5 { 1_000..1_200 } else { 20..300 };
        tokio::time::sleep(Duration::from_millis(rng.random_range(life))).await;
        // Every fifth process is asked to stop, which leaves a snapshot from which later starts recover.
        process.signal(if kill % 5 == 3 { Signal::SIGTERM } else { Signal::SIGKILL });
        process.child.wait().unwrap();
        while let Some(done) = shoppers.join_next().await {
            done.unwrap();
        }
        if rng.random_bool(0.3) {
            let mut starting = command().spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..25))).await;
            starting.kill().unwrap();
            starting.wait().unwrap();
        }
        process = Process::start_command(command());
        let (events, changes) = {
            let acknowledged = acknowledged.lock().unwrap();
            let fresh =
                acknowledged.events.values().filter(|event| !before.contains(&event.event_id)).cloned().collect();
            (fresh, acknowledged.changes.clone())
        };
        assert_acknowledged_is_kept(&process.address, events, &changes).await;
        let events = campaign.lock().unwrap().except(&events_before);
        assert_shoppers_are_kept(&process.address, events, &campaign).await;
    }
    let (all, changes): (Vec<RewardEvent>, _) = {
        let acknowledged = acknowledged.lock().unwrap();
        (acknowledged.events.values().cloned().collect(), acknowledged.changes.clone())
    };
    let count = all.len();
    assert!(count > 10 * kill_count(), "only {count} events were acknowledged");
    assert_acknowledged_is_kept(&process.address, all, &changes).await;
    let events = campaign.lock().unwrap().except(&BTreeSet::new());
    assert_shoppers_are_kept(&process.address, events, &campaign).await;
    // A snapshot may have been taken after the last event, and recovery must have events to apply.
    let mut clients = Clients::connect(&process.address).await;
    let decision = clients.decide(decide("offers")).await.unwrap();
    assert_eq!(clients.reward(click("last", &decision)).await.unwrap().status(), RewardStatus::Accepted);
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();

    let from_start = fold(folder.path(), 1).unwrap();
    let (arms, ids) = count_rates(folder.path());
    assert!(acknowledged.lock().unwrap().counted.is_subset(&ids), "an acknowledged event is not in the journal");
    let view = from_start.slot(RATES).unwrap().view();
    for (arm, (with, without)) in &arms {
        let rate = view.learner.summary(view.arms.learned(arm).unwrap()).unwrap().rate;
        let mean = (1.0 + with) / (2.0 + with + without);
        assert!((rate.mean() - mean).abs() < 1e-9, "{arm}: {} and {mean}", rate.mean());
        assert!((rate.weight() - with - without).abs() < 1e-6, "{arm}: {} and {}", rate.weight(), with + without);
    }
    assert!(arms.values().all(|(with, without)| with.min(*without) > 1.0), "{arms:?}");
    let snapshots = std::fs::read_dir(folder.path()).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_prefix("snapshot-")?.strip_suffix(".bin")?.parse::<u64>().ok()
    });
    let newest = snapshots.max().unwrap();
    assert!(
        0 < newest && newest < from_start.position(),
        "the newest snapshot is at {newest}, so recovery has no tail to apply"
    );
    let as_recovered = recover_state(folder.path(), None, 2).unwrap();
    let bytes = snapshot::encode(&from_start).unwrap();
    assert!(bytes == snapshot::encode(&as_recovered).unwrap(), "the posteriors equal a full replay, bit for bit");
    let by_several = fold(folder.path(), 3).unwrap();
    assert!(bytes == snapshot::encode(&by_several).unwrap(), "several workers give the same posteriors");
    assert_campaign_is_kept(folder.path(), &from_start, &campaign.lock().unwrap());
    let (decisions, accepted, updates) = recount(folder.path());
    let counters = from_start.slot("offers").unwrap().view().counters;
    assert_eq!(
        (counters.decisions, counters.rewards),
        (decisions as u64, accepted as u64),
        "every decision and every reward counts once"
    );
    assert!(accepted >= count && changes.is_subset(&updates) && !changes.is_empty());
}
