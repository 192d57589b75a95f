//! A disk without room, under the real program: decisions go on, nothing that must be durable is acknowledged, and
//! writing goes on by itself once there is room.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

mod support;

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use slotwise::{
    engine::Body,
    journal::JournalReader,
    node::decode_event,
    wire::proto::{RecordRewardsRequest, RewardEvent, RewardStatus},
};
use support::{Clients, Process, click, decide, serve_command, slot};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_types::StatusExt as _;

/// What a file may grow to at first, in blocks of 1024 bytes.
const BLOCKS: u64 = 512;

/// The program with a limit on the size of its files, which is what a full disk looks like and can be lifted.
fn start_limited(folder: &std::path::Path) -> Process {
    let real = serve_command(folder);
    let mut limited = Command::new("bash");
    // The signal that the limit sends is ignored, so that the write fails instead.
    limited
        .args(["-c", &format!("trap '' XFSZ; ulimit -S -f {BLOCKS}; exec \"$@\""), "bash"])
        .arg(real.get_program())
        .args(real.get_args());
    limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    Process::start_command(limited)
}

fn lift_limit(process: &Process) {
    let pid = Pid::from_raw(i32::try_from(process.child.id()).unwrap());
    let limit = Rlimit { current: Some(1 << 30), maximum: None };
    let before = prlimit(pid, Resource::Fsize, limit).unwrap();
    assert_eq!(before.current, Some(BLOCKS * 1024));
}

async fn serving(address: &str, service: &str) -> bool {
    let mut health = HealthClient::new(support::channel(address).await);
    let request = HealthCheckRequest { service: service.into() };
    health.check(request).await.unwrap().into_inner().status() == ServingStatus::Serving
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_must_be_durable_decides_on_and_recovers_by_itself() {
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

    // Decisions go on, and are answered from the same journal's state; changes are refused as rewards are.
    for _ in 0..50 {
        decisions.insert(clients.decide(decide("offers")).await.unwrap().decision_id);
    }
    let refused = clients.create(slot("others", &["a"])).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(serving(&process.address, "").await && serving(&process.address, "slotwise.v1.DecisionService").await);
    assert!(!serving(&process.address, "slotwise.v1.FeedbackService").await);
    assert!(!serving(&process.address, "slotwise.v1.SlotService").await);
    assert!(process.child.try_wait().unwrap().is_none(), "it runs");

    lift_limit(&process);
    let mut waited = 0;
    while !serving(&process.address, "slotwise.v1.FeedbackService").await {
        waited += 1;
        assert!(waited < 100, "it did not notice that there is room");
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
    all_there(folder.path(), &acknowledged).await;
    let mut recorded = BTreeSet::new();
    let reader = JournalReader::open(folder.path()).unwrap();
    reader
        .each(0, &mut |stored| {
            if let Body::Decided(decided) = decode_event(stored.body)?.body {
                assert!(recorded.insert(decided.id.to_string()), "{} stands there twice", decided.id);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(recorded, decisions, "those made while there was no room among them");
}

/// Started again, the program knows every one of these events.
async fn all_there(folder: &std::path::Path, acknowledged: &[RewardEvent]) {
    let process = Process::start(folder);
    let mut clients = Clients::connect(&process.address).await;
    for batch in acknowledged.chunks(500) {
        let request = RecordRewardsRequest { events: batch.to_vec() };
        let results = clients.feedback.record_rewards(request).await.unwrap().into_inner().results;
        assert_eq!(results.len(), batch.len());
        assert!(results.iter().all(|result| result.status() == RewardStatus::Duplicate));
    }
}
