//! Backups of a service under load: everything that was acknowledged before a backup began is in it.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::sys::signal::Signal;
use slotwise::{
    journal::JournalReader,
    wire::proto::{RecordRewardsRequest, RewardEvent, RewardStatus},
};

use super::{
    ARMS, assert_success, backup, restore,
    support::{Clients, PATIENCE, Process, click, context, decide, number, serve_command, slot, text},
    verify,
};

/// Sends shoppers one after another until the service is gone.
async fn send_shoppers(address: String, name: String, acknowledged: Arc<Mutex<Vec<RewardEvent>>>) {
    let mut clients = Clients::connect(&address).await;
    for i in 0_u32.. {
        let mut request = decide("offers");
        request.context =
            context(&[("age", number(f64::from(i % 60))), ("device", text(["web", "app"][i as usize % 2]))]);
        let Ok(decision) = clients.decide(request).await else { return };
        let events: Vec<_> = (0..=i % 3).map(|j| click(&format!("{name}-{i}-{j}"), &decision)).collect();
        let Ok(answer) = clients.feedback.record_rewards(RecordRewardsRequest { events: events.clone() }).await else {
            return;
        };
        assert!(answer.into_inner().results.iter().all(|result| result.status() == RewardStatus::Accepted));
        acknowledged.lock().unwrap().extend(events);
    }
}

async fn assert_all_known(address: &str, acknowledged: &[RewardEvent]) {
    let mut clients = Clients::connect(address).await;
    for batch in acknowledged.chunks(500) {
        let request = RecordRewardsRequest { events: batch.to_vec() };
        let results = clients.feedback.record_rewards(request).await.unwrap().into_inner().results;
        for (event, result) in batch.iter().zip(results) {
            assert_eq!(result.status(), RewardStatus::Duplicate, "{} was acknowledged and is gone", event.event_id);
        }
    }
}

async fn wait_until(mut done: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("what was waited for did not happen");
}

fn trimmed(data: &Path) -> u64 {
    JournalReader::open(data).unwrap().trimmed()
}

/// Takes three backups under load; each is restored, served from and verified by a full replay.
async fn backed_up_under_load(retention: &str) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("slotwise.toml");
    fs::write(&config, format!("snapshot_interval = \"1s\"\nretention = \"{retention}\"\n")).unwrap();
    let data = folder.path().join("data");
    let mut command = serve_command(&data);
    command.arg("--config").arg(&config).stderr(std::process::Stdio::null());
    let process = Process::start_command(command);
    Clients::connect(&process.address).await.create(slot("offers", &ARMS)).await.unwrap();
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut shoppers = tokio::task::JoinSet::new();
    for shopper in 0..2 {
        shoppers.spawn(send_shoppers(process.address.clone(), format!("s{shopper}"), Arc::clone(&acknowledged)));
    }
    // The three backups are taken before the first snapshot, after it, and once retention has dropped old records.
    let trims = retention != "forever";
    for round in 0..3 {
        let have = acknowledged.lock().unwrap().len();
        wait_until(|| acknowledged.lock().unwrap().len() > have + 100).await;
        if round == 1 {
            wait_until(|| {
                fs::read_dir(&data).unwrap().any(|file| file.unwrap().path().extension().is_some_and(|e| e == "bin"))
            })
            .await;
        }
        if round == 2 && trims {
            wait_until(|| trimmed(&data) > 0).await;
        }
        let target = folder.path().join(format!("backup-{round}"));
        let before = acknowledged.lock().unwrap().clone();
        let line = assert_success(&backup(&data, &target));
        assert!(line.lines().count() == 1 && line.contains("positions ") && line.contains("snapshot"), "{line}");
        assert!(!trims || round < 2 || trimmed(&target) > 0, "dropped records are not in the copy");
        let (last, after) = (JournalReader::open(&target).unwrap().last(), JournalReader::open(&data).unwrap().last());
        assert!(before.len() as u64 <= last && last <= after, "{} {last} {after}", before.len());

        let restored = folder.path().join(format!("restored-{round}"));
        let restored_lines = assert_success(&restore(&target, &restored));
        assert!(restored_lines.lines().count() == 2 && restored_lines.contains("keys"), "{restored_lines}");
        let found = assert_success(&verify(&restored, true));
        assert!(found.contains(&format!("to {last}")), "{found}");
        let (snapshots, compared) = (found.matches("snapshot at").count(), found.matches("byte for byte").count());
        assert!(snapshots >= usize::from(round > 0), "{found}");
        // The replay of a journal without its beginning starts from a snapshot, which it cannot check.
        assert!(if trimmed(&target) == 0 { compared == snapshots } else { compared < snapshots }, "{found}");
        let again = Process::start(&restored);
        assert_all_known(&again.address, &before).await;
        again.signal(Signal::SIGTERM);
        drop(again);
        assert_success(&verify(&data, false));
    }
    process.signal(Signal::SIGKILL);
    while let Some(done) = shoppers.join_next().await {
        done.unwrap();
    }
    assert_success(&verify(&data, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_holds_all_that_was_acknowledged_before_it_began() {
    backed_up_under_load("forever").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_holds_all_that_was_acknowledged_while_old_records_are_dropped() {
    backed_up_under_load("1s").await;
}
