//! Ends of runs against a live server, and their reports: overload, a signal, a panic, a conflicting slot.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{
    gate::{Direction, Gate, Holdback},
    live::{command, file, loaded, named, play_until, until},
    server::with_server,
};
use slotwise::{
    client::Client,
    slot::{Arm, ArmId, ChangeReason, Definition, SlotId},
};
use slotwise_simulator::{
    environment::Traffic,
    live::{LiveError, LiveOptions, LiveRunError, Tempo},
    report::CheckOutcome,
    run::episode::RunProgress,
};
use tokio::{runtime::Handle, task::block_in_place};
use tokio_util::sync::CancellationToken;

/// Observer that runs a function when a given number of decisions was requested.
struct ActionAtDecision<F>(u64, AtomicU64, F);

impl<F: Fn() + Sync> RunProgress for ActionAtDecision<F> {
    fn begin(&self, _: u64, _: u64) {}
    fn advance(&self, decisions: u64) {
        let before = self.1.fetch_add(decisions, Ordering::Relaxed);
        if (before..before + decisions).contains(&(self.0 - 1)) {
            self.2();
        }
    }
    fn replication(&self) {}
    fn end(&self) {}
}

fn at<F: Fn() + Sync>(decision: u64, then: F) -> ActionAtDecision<F> {
    ActionAtDecision(decision, AtomicU64::new(0), then)
}

fn one(target: &str, name: &str) -> LiveOptions {
    LiveOptions { at_once: NonZeroUsize::MIN, tempo: Some(Tempo::Rate(150.0)), ..named(target, name) }
}

fn go_on() -> CancellationToken {
    CancellationToken::new()
}

/// The gate holds back every answer until all visits are due. There is room for five requests: two visits of two
/// policies, and one policy of a third visit.
#[test]
fn a_visit_that_there_is_no_room_for_is_asked_of_no_policy_and_that_is_told() {
    with_server(false, async |server, mut client| {
        let gate = Gate::before(&server.grpc);
        let loaded = loaded(&["horizon=100", "replications=1", "check=[]"]);
        let options = LiveOptions { backlog_max: NonZeroUsize::new(5).unwrap(), ..one(&gate.address, "room") };
        let report = play_until(&loaded, options, &at(200, || gate.open()), &go_on()).unwrap();
        for policy in &report.policies {
            assert_eq!(policy.failures, [("SHED".to_owned(), 98)].into(), "{}", policy.name);
            assert_eq!(policy.latency.unwrap().count, 100, "what is shed counts as waited for");
        }
        let note = "196 of 200 decisions (98.00 %) were not answered: rewards, regret and shares are of the others";
        let notes = report.live.unwrap().notes;
        assert!(notes.iter().any(|told| told == note), "{notes:?}");
        assert!(client.list_slots().await.unwrap().is_empty());
    });
}

/// The observer stops everything for 30 ms at each visit. The last one is sent later by the sum of these, and its
/// latency contains all of that.
#[test]
fn what_the_simulator_itself_is_late_by_is_told_apart() {
    const VISITS: u32 = 100;
    const STANDS: Duration = Duration::from_millis(30);
    struct Slow;
    impl RunProgress for Slow {
        fn begin(&self, _: u64, _: u64) {}
        fn advance(&self, _: u64) {
            thread::sleep(STANDS);
        }
        fn replication(&self) {}
        fn end(&self) {}
    }
    with_server(false, async |server, _| {
        let loaded = loaded(&[&format!("horizon={VISITS}"), "replications=1", "check=[]"]);
        let report = play_until(&loaded, one(&server.grpc, "lag"), &Slow, &go_on()).unwrap();
        let live = report.live.unwrap();
        let due_ms = Traffic::new(&loaded.scenario, report.seed, 0).last().unwrap().now.at_us / live.speed / 1e3;
        let late_ms = 0.998 * (f64::from(VISITS - 1) * STANDS.as_secs_f64() * 1e3 - due_ms);
        let (lag, latency) = (live.lag.unwrap(), report.policies[0].latency.unwrap());
        assert!(late_ms > 100.0 && lag.max_ms >= late_ms, "{lag:?} {late_ms}");
        assert!(latency.max_ms >= late_ms && lag.count == 2 * u64::from(VISITS), "{latency:?} {lag:?}");
        let told = live.notes.iter().any(|note| note.contains(" late or later by the simulator itself, "));
        assert!(told, "{:?}", live.notes);
    });
}

/// Every request takes 300 ms to the server. Six replications cannot show fewer than a hundredth of a request.
#[test]
fn a_latency_that_is_too_long_fails_the_run() {
    with_server(false, async |server, _| {
        let late = Holdback::Late(Duration::from_millis(300));
        let gate =
            Gate::with(
                &server.grpc,
                move |number, way| if number > 0 && way == Direction::Request { late } else { Holdback::Free },
            );
        let file = file();
        let fails = "check=[{ metric = \"p99_latency\", max = 3 }]";
        let set = ["--set", "horizon=100", "--set", fails, "--replications", "6", "--threads", "6", "--rate", "600"];
        let folder = tempfile::tempdir().unwrap();
        let json = folder.path().join("r.json").to_str().unwrap().to_owned();
        let arguments = [&["run", &file, "--target", &gate.address, "--json", &json][..], &set].concat();
        let (code, out, err) = block_in_place(|| command(&arguments));
        assert_eq!(code, Some(1), "{out}{err}");
        let report: slotwise_simulator::report::RunReport =
            serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        let check = &report.checks[0];
        assert!(check.outcome == CheckOutcome::Fail && check.estimate.unwrap() > 300.0, "{check:?}");
        assert!(out.contains(&check.sentence), "{out}");
    });
}

/// A run of half a minute has two replications, of which one panics.
#[test]
fn a_panic_leaves_no_slot() {
    with_server(false, async |server, mut client| {
        let loaded = loaded(&["horizon=2000", "replications=2", "check=[]"]);
        let panics = at(50, || panic!("as the test wants"));
        let played =
            catch_unwind(AssertUnwindSafe(|| play_until(&loaded, named(&server.grpc, "panic"), &panics, &go_on())));
        let said = played.unwrap_err().downcast_ref::<&str>().map(ToString::to_string);
        assert_eq!(said.as_deref(), Some("as the test wants"));
        assert!(client.list_slots().await.unwrap().is_empty());
    });
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_and_takes_its_slots_away() {
    for signal in ["TERM", "INT"] {
        with_server(false, async |server, mut client| {
            let file = file();
            let mut run = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator"))
                .args(["run", &file, "--target", &server.grpc, "--rate", "150", "--threads", "1"])
                .args(["--set", "horizon=2000", "--replications", "2"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            until(async || client.report("sim-live-uniform-0").await.is_ok_and(|of| of.counters.decisions > 10)).await;
            let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", run.id())]).status().unwrap();
            assert!(sent.success());
            let ended = block_in_place(|| run.wait()).unwrap();
            // The played part does not decide the checks.
            assert_eq!(ended.code(), Some(4), "{signal}: {ended}");
            assert!(client.list_slots().await.unwrap().is_empty(), "{signal}");
        });
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_replay_and_takes_its_slot_away() {
    for (signal, keep) in [("TERM", false), ("INT", false), ("TERM", true)] {
        with_server(false, async |server, mut client| {
            let digits: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "data", "digits"].iter().collect();
            let mut replay = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator"));
            replay.arg("replay").arg(digits).args(["--target", &server.grpc, "--seeds", "9"]);
            replay.args(keep.then_some("--keep")).stdout(Stdio::piped()).stderr(Stdio::piped());
            let replay = replay.spawn().unwrap();
            until(async || client.report("replay-digits-0").await.is_ok_and(|of| of.counters.decisions > 10)).await;
            let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", replay.id())]).status().unwrap();
            assert!(sent.success());
            let ended = block_in_place(|| replay.wait_with_output()).unwrap();
            let said = String::from_utf8(ended.stderr).unwrap();
            assert!(said.contains("stopped during the pass of seed 0; nothing is said of a part"), "{said}");
            assert!(!ended.status.success() && ended.stdout.is_empty(), "{signal}: {}", ended.status);
            let left = client.list_slots().await.unwrap().len();
            assert_eq!(left, usize::from(keep), "{signal}");
        });
    }
}

/// Another client creates the last of a run's slots after the run has checked that they are free and before it creates
/// them.
#[test]
fn a_slot_that_cannot_be_made_takes_those_before_it_away() {
    struct Quicker(String);
    impl RunProgress for Quicker {
        fn begin(&self, _: u64, _: u64) {
            let arms = vec![Arc::new(Arm::new(ArmId::parse("arm", "a").unwrap()))];
            let slot = Definition { arms, ..Definition::new(SlotId::parse("slot", "quick-uniform-0").unwrap()) };
            Handle::current().block_on(async {
                let mut client = Client::connect(&self.0).await.unwrap();
                client.create_slot(&slot, &ChangeReason::default(), false).await.unwrap();
            });
        }
        fn advance(&self, _: u64) {}
        fn replication(&self) {}
        fn end(&self) {}
    }
    with_server(false, async |server, mut client| {
        let loaded = loaded(&["horizon=100", "replications=1", "check=[]"]);
        let quicker = Quicker(server.grpc.clone());
        let refused = play_until(&loaded, one(&server.grpc, "quick"), &quicker, &go_on()).unwrap_err();
        let LiveRunError::Replication { why: LiveError::Exists(id), .. } = &refused else { panic!("{refused}") };
        assert_eq!(id.as_str(), "quick-uniform-0");
        let left: Vec<_> =
            client.list_slots().await.unwrap().into_iter().map(|slot| slot.definition.id.to_string()).collect();
        assert_eq!(left, ["quick-uniform-0"], "that of somebody else");
    });
}
