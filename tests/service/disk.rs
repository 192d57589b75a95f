//! Disks that fail under the real program.
//!
//! While the disk is full, decisions continue, nothing that must be durable is acknowledged, and writing resumes by
//! itself once there is space. After any other failure nothing is written until a restart, and every probe and every
//! refused call says so.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

use std::{
    collections::BTreeSet,
    io::Read as _,
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{self, Clients, Process, assert_all_known, click, decide, http_get, serve_command, slot};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use slotwise::{
    engine::Body,
    journal::{JournalReader, RecordRange},
    node::decode_event,
    wire::proto::{Arm, BatchDecideRequest, RewardStatus, UpsertArmsRequest},
};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_types::StatusExt as _;

/// First limit on the size of a file, in blocks of 1024 bytes.
const BLOCKS: u64 = 512;

/// Starts the program with a limit on the size of its files. To the program this is a full disk, and the test can lift
/// it.
fn start_limited(folder: &std::path::Path) -> Process {
    start_limited_with(folder, Stdio::null())
}

fn start_limited_with(folder: &std::path::Path, log: Stdio) -> Process {
    let real = serve_command(folder);
    let mut limited = Command::new("bash");
    // The signal that the limit sends is ignored, so that the write fails instead.
    limited
        .args(["-c", &format!("trap '' XFSZ; ulimit -S -f {BLOCKS}; exec \"$@\""), "bash"])
        .arg(real.get_program())
        .args(real.get_args());
    limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    Process::start_command(limited)
}

fn lift_limit(process: &Process) {
    raise_limit(process, 1 << 30);
}

/// Raises the limit on the size of a file from its first value to `bytes`.
fn raise_limit(process: &Process, bytes: u64) {
    let pid = Pid::from_raw(i32::try_from(process.child.id()).unwrap());
    let limit = Rlimit { current: Some(bytes), maximum: None };
    let before = prlimit(pid, Resource::Fsize, limit).unwrap();
    assert_eq!(before.current, Some(BLOCKS * 1024));
}

async fn is_serving(address: &str, service: &str) -> bool {
    let mut health = HealthClient::new(support::channel(address).await);
    let request = HealthCheckRequest { service: service.into() };
    health.check(request).await.unwrap().into_inner().status() == ServingStatus::Serving
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_writes_are_refused_decisions_continue_and_free_space_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start_limited(folder.path());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let (mut acknowledged, mut decisions) = (Vec::new(), BTreeSet::new());
    let refused = loop {
        let decision = clients.decide(decide("offers")).await.unwrap();
        decisions.insert(decision.decision_id.clone());
        let event = click(&format!("e{}", acknowledged.len()), &decision);
        match clients.reward(event.clone()).await {
            Ok(result) => {
                assert_eq!(result.status(), RewardStatus::Accepted, "{}", result.message);
                acknowledged.push(event);
            }
            Err(refused) => break refused,
        }
        assert!(acknowledged.len() < 20_000, "the limit was never reached");
    };
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "DISK_FULL");
    assert!(details.retry_info().is_some());

    // Decisions continue from the published state, while changes are refused as rewards are.
    for _ in 0..50 {
        decisions.insert(clients.decide(decide("offers")).await.unwrap().decision_id);
    }
    let refused = clients.create(slot("others", &["a"])).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(
        is_serving(&process.address, "").await && is_serving(&process.address, "slotwise.v1.DecisionService").await
    );
    assert!(!is_serving(&process.address, "slotwise.v1.FeedbackService").await);
    assert!(!is_serving(&process.address, "slotwise.v1.SlotService").await);
    assert!(process.child.try_wait().unwrap().is_none(), "it runs");

    lift_limit(&process);
    let mut waited = 0;
    while !is_serving(&process.address, "slotwise.v1.FeedbackService").await {
        waited += 1;
        assert!(waited < 100, "it did not notice that there is space");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let again = clients.create(slot("others", &["a"])).await.unwrap();
    assert_eq!(again.slot_id, "others");
    let decision = clients.decide(decide("offers")).await.unwrap();
    decisions.insert(decision.decision_id.clone());
    let event = click("after", &decision);
    assert_eq!(clients.reward(event.clone()).await.unwrap().status(), RewardStatus::Accepted);
    acknowledged.push(event);

    process.signal(nix::sys::signal::Signal::SIGKILL);
    process.child.wait().unwrap();
    assert_all_known(folder.path(), &acknowledged).await;
    let mut recorded = BTreeSet::new();
    let reader = JournalReader::open(folder.path()).unwrap();
    reader
        .each(RecordRange::default(), &mut |stored| {
            if let Body::Decided(decided) = decode_event(stored.body)?.body {
                assert!(recorded.insert(decided.id.to_string()), "{} stands there twice", decided.id);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(recorded, decisions, "every decision is recorded, also those that were made while the disk was full");
}

/// Another program writes into the journal. The next commit fails, and the service cannot know whether the file is
/// still sound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_commit_health_and_log_report_it_and_only_decisions_continue() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let decision = clients.decide(decide("offers")).await.unwrap();
    let event = click("e1", &decision);
    assert_eq!(clients.reward(event.clone()).await.unwrap().status(), RewardStatus::Accepted);
    let other = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    other.execute("INSERT INTO events VALUES (4, 0, 'foreign', '', NULL, 0, x'00')", []).unwrap();
    let unknown = clients.reward(click("e2", &decision)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unknown, "{unknown}");
    assert_eq!(unknown.get_error_details().error_info().unwrap().reason, "COMMIT_UNKNOWN");
    let refused = clients.reward(click("e3", &decision)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(clients.create(slot("others", &["a"])).await.is_err());
    assert_eq!(clients.decide(decide("offers")).await.unwrap().arms.len(), 1, "decisions continue");
    for service in ["", "slotwise.v1.DecisionService", "slotwise.v1.FeedbackService", "slotwise.v1.SlotService"] {
        let mut waited = 0;
        while is_serving(&process.address, service).await {
            waited += 1;
            assert!(waited < 100, "{service} is still said to serve");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let metrics = http_get(&process.http, "/metrics").await;
    assert!(metrics.contains("slotwise_journal_failed 1"), "{metrics}");
    assert!(metrics.contains("slotwise_decisions_unrecorded_total 1"), "{metrics}");
    assert!(http_get(&process.http, "/healthz").await.starts_with("HTTP/1.1 503"));

    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(!process.child.wait().unwrap().success());
    let mut log = String::new();
    process.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("writes nothing until it is restarted") && log.contains("UNIQUE constraint"), "{log}");
    assert_eq!(log.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{log}");

    let refused = serve_command(folder.path()).output().unwrap();
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && error.contains("position 4"), "the foreign record is found: {error}");
    other.execute("DELETE FROM events WHERE position = 4", []).unwrap();
    drop(other);
    assert_all_known(folder.path(), &[event]).await;
}

/// Another program holds the journal for a while. Writes are refused with a delay after which to retry, and everything
/// resumes by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_another_program_holds_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let first = clients.decide(decide("offers")).await.unwrap();
    assert_eq!(clients.reward(click("e1", &first)).await.unwrap().status(), RewardStatus::Accepted);
    let other = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let second = clients.decide(decide("offers")).await.unwrap();
    for _ in 0..3 {
        // All writes wait with this one.
        let busy = tokio::time::timeout(Duration::from_secs(5), clients.reward(click("e2", &second))).await;
        let busy = busy.expect("it is refused soon").unwrap_err();
        assert_eq!(busy.code(), Code::Unavailable, "{busy}");
        let details = busy.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "JOURNAL_BUSY");
        assert!(details.retry_info().is_some());
    }
    let refused = clients.create(slot("others", &["a"])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(
        is_serving(&process.address, "").await && is_serving(&process.address, "slotwise.v1.FeedbackService").await
    );
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(clients.reward(click("e2", &second)).await.unwrap().status(), RewardStatus::Accepted);
    assert_eq!(clients.create(slot("others", &["a"])).await.unwrap().slot_id, "others");
    assert!(http_get(&process.http, "/metrics").await.contains("slotwise_decisions_unrecorded_total 0"));
}

/// Another program reads the journal and keeps its transaction open. The write-ahead log cannot be emptied, and the
/// gauge shows it until the transaction ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_another_program_holds_is_shown_by_the_gauge() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    assert_eq!(blocked_bytes(&process).await, 0);
    let other = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM events;").unwrap();
    let value = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue("x".repeat(15_000))) };
    let payload = prost_types::Struct { fields: [("text".to_owned(), value)].into() };
    for part in 0..4 {
        let arm = |i: u32| Arm { arm_id: format!("{part}-{i}"), payload: Some(payload.clone()), ..Arm::default() };
        let arms = (0..150).map(arm).collect();
        let upsert = UpsertArmsRequest { slot_id: "offers".into(), arms, ..UpsertArmsRequest::default() };
        clients.slots.upsert_arms(upsert).await.unwrap();
    }
    let mut waited = 0;
    while blocked_bytes(&process).await < 4 << 20 {
        waited += 1;
        assert!(waited < 100, "the gauge does not show the log that is held");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    other.execute_batch("COMMIT").unwrap();
    while blocked_bytes(&process).await > 0 {
        waited += 1;
        assert!(waited < 200, "the gauge still shows a log that no program holds");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn blocked_bytes(process: &Process) -> u64 {
    let metrics = http_get(&process.http, "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with("slotwise_journal_log_blocked_bytes "));
    line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

/// The journal is removed while it is written. No restart could find what would be acknowledged from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_removed_while_it_runs_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let decision = clients.decide(decide("offers")).await.unwrap();
    assert_eq!(clients.reward(click("e1", &decision)).await.unwrap().status(), RewardStatus::Accepted);
    for name in ["journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    // The service checks by itself, without any call.
    let mut waited = 0;
    while is_serving(&process.address, "").await {
        waited += 1;
        assert!(waited < 100, "it did not notice within five seconds");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = clients.reward(click("e2", &decision)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(!process.child.wait().unwrap().success());
    let mut log = String::new();
    process.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("journal.sqlite3") && log.contains("removed or replaced"), "{log}");
}

/// A program that is stopped on a full disk says what it could not save, and exits with a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_stopped_on_a_full_disk_names_what_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start_limited_with(folder.path(), Stdio::piped());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let first = clients.decide(decide("offers")).await.unwrap();
    for i in 0.. {
        if clients.reward(click(&format!("e{i}"), &first)).await.is_err() {
            break;
        }
    }
    for _ in 0..30 {
        clients.decide(decide("offers")).await.unwrap();
    }
    process.signal(nix::sys::signal::Signal::SIGTERM);
    let status = process.child.wait().unwrap();
    let (mut log, mut said) = (String::new(), String::new());
    process.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    process.child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!status.success(), "{log}");
    assert!(!said.contains("everything is saved"), "{said}");
    assert!(log.contains("error: stopped, but 30 decisions that were answered are not saved"), "{log}");
}

/// A disk that was full has a little space again, and 20,000 decisions wait for it. Rewards are taken while they wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scarce_space_after_a_full_disk_goes_to_rewards_first() {
    let folder = tempfile::tempdir().unwrap();
    let process = start_limited(folder.path());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let first = clients.decide(decide("offers")).await.unwrap();
    let mut events = 0;
    while clients.reward(click(&format!("e{events}"), &first)).await.is_ok() {
        events += 1;
    }
    for _ in 0..200 {
        let batch = BatchDecideRequest { requests: vec![decide("offers"); 100], ..BatchDecideRequest::default() };
        clients.decide_all(batch).await.into_iter().for_each(|decided| drop(decided.unwrap()));
    }
    // Less than these decisions need.
    raise_limit(&process, BLOCKS * 1024 + (1 << 20));
    let mut waited = 0;
    while clients.reward(click(&format!("f{waited}"), &first)).await.is_err() {
        waited += 1;
        assert!(waited < 500, "no reward is taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for i in 0..20 {
        let taken = clients.reward(click(&format!("g{i}"), &first)).await.unwrap();
        assert_eq!(taken.status(), RewardStatus::Accepted);
    }
    let metrics = http_get(&process.http, "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with(r#"slotwise_journal_waiting{kind="decisions"} "#));
    let waiting: u64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(waiting > 19_000, "{waiting} decisions wait while rewards are taken");
}
