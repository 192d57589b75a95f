//! The real program under more load than it can write, and killed there.
//!
//! Three clients request batches of a hundred decisions as fast as they can while others send rewards. The test runs a
//! few seconds by default and then checks order and counts. With `SLOTWISE_OVERLOAD=1` it runs a minute and also holds
//! memory and latencies against their bounds. `SLOTWISE_BINARY` names another program to load, for example an optimised
//! one.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and places of some thousand measurements"
)]

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use slotwise::wire::proto::{BatchDecideRequest, decide_result};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    support::{PATIENCE, http_get},
    *,
};

/// Span of answered decisions that a crash may lose, according to docs/operating/safety.md.
const LOST_SPAN: Duration = Duration::from_secs(2);
/// Time that an answer may take from the service to the test's clock on a busy machine.
const SLACK: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "the flag that makes the run longer")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn batch_of_a_hundred() -> BatchDecideRequest {
    let pairs: Vec<(String, f64)> = (0..12).map(|i| (format!("number{i}"), f64::from(i) / 3.0)).collect();
    let context: HashMap<_, _> = pairs.into_iter().map(|(name, value)| (name, number(value))).collect();
    let request = DecideRequest { context, ..decide("busy") };
    BatchDecideRequest { requests: vec![request; 100], ..BatchDecideRequest::default() }
}

/// Answers and refusals that one client received.
#[derive(Default)]
struct ClientLog {
    answered: Vec<(String, Instant)>,
    refused: usize,
}

#[expect(clippy::disallowed_methods, reason = "a test measures")]
fn now() -> Instant {
    Instant::now()
}

async fn flood(address: String) -> ClientLog {
    let (mut clients, mut seen) = (Clients::connect(&address).await, ClientLog::default());
    loop {
        match clients.decisions.batch_decide(batch_of_a_hundred()).await {
            Ok(answer) => {
                let at = now();
                for result in answer.into_inner().results {
                    match result.result.unwrap() {
                        decide_result::Result::Response(decision) => seen.answered.push((decision.decision_id, at)),
                        decide_result::Result::Status(status) => panic!("{}", status.message),
                    }
                }
            }
            Err(refused) if refused.code() == Code::ResourceExhausted => {
                let delay = refused.get_error_details().retry_info().and_then(|info| info.retry_delay);
                assert!(delay.is_some(), "a refusal says when to try again: {refused}");
                seen.refused += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // The service is gone.
            Err(other) if matches!(other.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) => return seen,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Decides and rewards in one slot, over and over. Returns the acknowledged events and the time that each took.
async fn decide_and_reward(address: String, slot: &'static str, pause: Duration) -> (Vec<RewardEvent>, Vec<Duration>) {
    let (mut clients, mut done, mut took) = (Clients::connect(&address).await, Vec::new(), Vec::new());
    for i in 0.. {
        tokio::time::sleep(pause).await;
        let decision = match clients.decide(decide(slot)).await {
            Ok(decision) => decision,
            Err(refused) if refused.code() == Code::ResourceExhausted => continue,
            Err(_) => break,
        };
        let (event, begun) = (click(&format!("{slot}-{i}"), &decision), now());
        match clients.reward(event.clone()).await {
            Ok(result) => match result.status() {
                RewardStatus::Accepted => {
                    took.push(begun.elapsed());
                    done.push(event);
                }
                // The window of that slot is short, and a slow machine may exceed it.
                RewardStatus::Late if slot == "busy" => {}
                _ => panic!("{}", result.message),
            },
            Err(_) => break,
        }
    }
    (done, took)
}

/// Sends rewards of one decision of an idle slot that was made before the load began. Returns the time that each took.
async fn reward_idle(
    address: String,
    decision: slotwise::wire::proto::DecideResponse,
    answered: Arc<AtomicUsize>,
) -> Vec<Duration> {
    let (mut clients, mut took) = (Clients::connect(&address).await, Vec::new());
    for i in 0.. {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let begun = now();
        match clients.reward(click(&format!("waiting-{i}"), &decision)).await {
            // A decision keeps at most a thousand events.
            Ok(result) => assert!(i >= 1_000 || result.status() == RewardStatus::Accepted, "{}", result.message),
            Err(_) => break,
        }
        took.push(begun.elapsed());
        answered.store(took.len(), Ordering::SeqCst);
    }
    took
}

fn resident_mb(process: &Process) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Returns the slope of values over their times, per minute, by least squares.
fn slope_per_minute(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let (up, down) =
        points.iter().fold((0.0, 0.0), |(up, down), p| (up + (p.0 - x) * (p.1 - y), down + (p.0 - x) * (p.0 - x)));
    60.0 * up / down
}

fn quantile(took: &mut [Duration], q: f64) -> Duration {
    took.sort();
    took[((took.len() - 1) as f64 * q) as usize]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_overload_the_queue_is_bounded_and_a_kill_loses_no_more_than_it() {
    let long = variable("SLOTWISE_OVERLOAD").is_some();
    let folder = tempfile::tempdir().unwrap();
    let real = serve_command(folder.path());
    let mut command = std::process::Command::new(
        variable("SLOTWISE_BINARY").map_or_else(|| real.get_program().to_owned(), Into::into),
    );
    command.args(real.get_args()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let process = Process::start_command(command);
    let mut clients = Clients::connect(&process.address).await;
    let mut busy = slot("busy", &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    // A finished decision leaves memory, so a window of seconds keeps the warm-up short.
    let goal = busy.goal.as_mut().unwrap();
    goal.window = Some(prost_types::Duration { seconds: 3, nanos: 0 });
    goal.grace_period = Some(prost_types::Duration::default());
    clients.create(busy).await.unwrap();
    clients.create(slot("idle", &["a", "b"])).await.unwrap();
    let idle = clients.decide(decide("idle")).await.unwrap();

    let mut floods = tokio::task::JoinSet::new();
    for _ in 0..3 {
        floods.spawn(flood(process.address.clone()));
    }
    let mut shoppers = tokio::task::JoinSet::new();
    shoppers.spawn(decide_and_reward(process.address.clone(), "busy", Duration::from_millis(100)));
    shoppers.spawn(decide_and_reward(process.address.clone(), "idle", Duration::from_millis(200)));
    let mut idles = tokio::task::JoinSet::new();
    let rewarded = Arc::new(AtomicUsize::new(0));
    idles.spawn(reward_idle(process.address.clone(), idle, Arc::clone(&rewarded)));
    let (begun, length) = (now(), Duration::from_secs(if long { 55 } else { 4 }));
    // `allowed` starts at the limit that holds before the first measurement, and then follows the largest limit seen.
    let (mut memory, mut waited_most, mut allowed) = (Vec::new(), 0.0_f64, 1_024.0_f64);
    while begun.elapsed() < length || rewarded.load(Ordering::SeqCst) < 2 {
        assert!(begun.elapsed() < length + 6 * PATIENCE, "no call is answered");
        tokio::time::sleep(Duration::from_millis(250)).await;
        memory.push((begun.elapsed().as_secs_f64(), resident_mb(&process)));
        let text = http_get(&process.http, "/metrics").await;
        waited_most = waited_most.max(gauge(&text, "slotwise_journal_waiting{kind=\"decisions\"}"));
        allowed = allowed.max(gauge(&text, "slotwise_journal_waiting_decisions_max"));
    }
    let killed = now();
    process.signal(Signal::SIGKILL);
    let (mut answered, mut refused) = (Vec::new(), 0);
    while let Some(seen) = floods.join_next().await {
        let seen = seen.unwrap();
        answered.extend(seen.answered);
        refused += seen.refused;
    }
    let mut idle_took = idles.join_next().await.unwrap().unwrap();
    let mut acknowledged = Vec::new();
    while let Some(done) = shoppers.join_next().await {
        acknowledged.extend(done.unwrap().0);
    }

    // Check order and counts in the raw journal.
    let (mut recorded, mut events) = (BTreeSet::new(), BTreeSet::new());
    let reader = slotwise::journal::JournalReader::open(folder.path()).unwrap();
    let read = reader.each(slotwise::journal::RecordRange::default(), &mut |stored| {
        match decode_event(stored.body)?.body {
            Body::Decided(decided) => assert!(recorded.insert(decided.id.to_string()), "{} twice", decided.id),
            Body::Rewarded(event) => {
                let decision = event.decision.unwrap().to_string();
                assert!(recorded.contains(&decision), "a reward before its decision {decision}");
                events.insert(event.event_id);
            }
            _ => {}
        }
        Ok(())
    });
    read.unwrap();
    assert!(acknowledged.iter().all(|event| events.contains(&event.event_id)), "nothing acknowledged is lost");
    let lost: Vec<_> = answered.iter().filter(|(id, _)| !recorded.contains(id)).collect();
    let oldest = lost.iter().map(|(_, at)| killed.saturating_duration_since(*at)).max().unwrap_or_default();
    // Memory counts only after the warm-up, because until then the allocator grows to its peak.
    let warm_up = if long { 20.0 } else { 1.0 };
    let warm: Vec<_> = memory.iter().copied().filter(|&(at, _)| at >= warm_up).collect();
    let (p99, most) = (quantile(&mut idle_took, 0.99), idle_took.last().copied().unwrap());
    println!(
        "answered {}, pages refused {refused}, lost {} (oldest {oldest:?} before the kill), at most {waited_most} waited of {allowed}; \
         {} rewards of an idle slot, p99 {p99:?}, longest {most:?}; memory {:.0} MB, {:+.2} MB/min after warm-up",
        answered.len(),
        lost.len(),
        idle_took.len(),
        memory.last().unwrap().1,
        slope_per_minute(&warm),
    );
    // Batches that were answered during the last commit are lost with it.
    assert!(lost.len() as f64 <= allowed + 400.0, "{} lost of at most {allowed}", lost.len());
    assert!(!answered.is_empty());
    if long {
        assert!(oldest <= LOST_SPAN + SLACK, "{} lost, the oldest answered {oldest:?} before the kill", lost.len());
        assert!(refused > 0, "the load was not beyond the peak");
        assert!(p99 < Duration::from_secs(1), "{p99:?}");
        assert!(slope_per_minute(&warm) < 1.0, "{:.2} MB/min: {memory:?}", slope_per_minute(&warm));
    }
}

fn gauge(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
    line[name.len()..].trim().parse().unwrap()
}
