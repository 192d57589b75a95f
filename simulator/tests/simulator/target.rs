//! Scenarios against a real server, on a free port. They agree with the results in process, and do not touch slots of
//! others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::{
    fs,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::support::{
    gate::Gate,
    live::{self, command, file, loaded, options, play, play_until},
    server::with_server,
};
use slotwise::{
    client::{CallOptions, Client},
    engine::Request,
    slot::{Arm, ArmId, ChangeReason, Definition, SlotId},
};
use slotwise_simulator::{
    environment::Traffic,
    live::{LiveError, LiveOptions, LiveRunError, Tempo, run_live},
    report::{CheckOutcome, RunReport, RunTarget, RunVerdict},
    run::episode::{NoRunProgress, RunProgress},
    run::run,
};
use tokio::{runtime::Handle, task::block_in_place};
use tokio_util::sync::CancellationToken;

fn slot(id: &str) -> SlotId {
    SlotId::parse("slot", id).unwrap()
}

/// The two means are over replications, with the same shoppers or others, whose draws differ. Their difference is
/// within five of its standard errors except once in 150 fresh runs (Student's t with 3 degrees of freedom for the live
/// one's; the bound is then twice as wide as what a shop without learning would be off by).
#[test]
fn live_and_in_process_agree() {
    with_server(false, async |server, mut client| {
        let loaded = loaded(&[]);
        let here = run(&live::loaded(&["replications=20"]), None, NonZeroUsize::MIN, &NoRunProgress).unwrap();
        let live = play(&loaded, options(&server.grpc)).unwrap();
        for (here, live) in here.policies.iter().zip(&live.policies) {
            let (a, b) = (here.reward_per_decision, live.reward_per_decision);
            let error = a.standard_error.unwrap().hypot(b.standard_error.unwrap());
            assert!((a.mean - b.mean).abs() < 5.0 * error.max(0.004), "{}: {a:?} and {b:?}", live.name);
            assert!(error < 0.03, "{a:?} and {b:?}");
            // Given rewards are the expected ones except for the shoppers' coins, 1,200 of them.
            let given = live.given_per_decision.mean - b.mean;
            assert!(given.abs() < 5.0 * 0.5 / 1200_f64.sqrt(), "{given}");
            assert!((0.0..1.0).contains(&live.regret_per_decision.mean) && live.failures.is_empty(), "{live:?}");
            let events = live.events;
            assert_eq!((events.happened, events.arrived), (events.accepted, events.accepted), "{events:?}");
            assert_eq!(live.latency.unwrap().count, 1200);
            assert_eq!(live.event_latency.unwrap().count, events.accepted);
            assert!(live.latency.unwrap().p50_ms > 0.0);
            assert!(live.propensity.iter().map(|bin| bin.count).sum::<u64>() > 0, "no propensity was seen");
        }
        let [default, uniform] = &live.policies[..] else { panic!("two policies") };
        assert!(default.reward_per_decision.mean > uniform.reward_per_decision.mean + 0.05, "it learns");
        let counted = |report: &RunReport| report.checks.iter().map(|check| check.outcome).collect::<Vec<_>>();
        assert_eq!(
            (counted(&live), live.verdict),
            (vec![CheckOutcome::Pass; 3], RunVerdict::Holds),
            "{:?}",
            live.checks
        );
        assert_eq!(counted(&here)[2], CheckOutcome::Skipped, "in process there is no latency");
        assert_eq!((live.target, live.replications), (RunTarget::Live, 4));
        let told = live.live.as_ref().unwrap();
        assert!((told.rate - 300.0).abs() < 1e-6 && told.at_once == 2, "{told:?}");
        assert!(told.notes.iter().all(|note| note.contains("by the simulator itself")), "{told:?}");
        assert_eq!(told.lag.unwrap().count, 2400);
        assert!(client.list_slots().await.unwrap().is_empty(), "the slots are gone afterwards");
    });
}

/// Each kind of dirt occurs, and each event counts as it does in process: the slot counts every event that it received
/// in time, once. An event that names no decision joins the subject's latest decision that showed the arm, which may be
/// another than the one that caused it. Kinds therefore have no cap here, so that the event counts the same wherever it
/// joins.
#[test]
fn dirty_events_are_told_by_the_wire_as_they_are_in_process() {
    with_server(true, async |server, _| {
        let dirty =
            "behaviour.dirty={ lost = 0.1, duplicated = 0.2, late = 0.1, reordered = 0.3, reordered_by = \"5min\" }";
        let override_ = "behaviour.override={ share = 0.1, arm = \"poor\" }";
        let counted = "check=[{ metric = \"counted_error\", max = 1e-9 }, \
                       { metric = \"counted_error\", policy = \"uniform\", max = 1e-9 }]";
        // The window is so long that delayed events on a busy machine are still in time.
        let set = [dirty, override_, counted, "horizon=200", "replications=2", "slot.goal.window=\"4h\""];
        let live = play(&loaded(&set), options(&server.grpc)).unwrap();
        for policy in &live.policies {
            let events = policy.events;
            assert!(events.lost > 0 && events.duplicates > 0 && events.late > 0, "{events:?}");
            // The editor's choice was not drawn, except by chance.
            assert!(events.unmatched > 0 && events.rejected == 0, "{events:?}");
            let answered = events.accepted + events.duplicates + events.late + events.unmatched;
            assert_eq!(events.arrived, answered);
        }
        for check in &live.checks {
            assert!(check.outcome == CheckOutcome::Pass && check.estimate.unwrap() < 1e-9, "{check:?}");
        }

        let nameless = "behaviour.dirty={ without_decision = 1.0 }";
        let kinds = "slot.goal.kinds=[{ kind = \"click\", weight = 1.0 }]";
        let set = [nameless, kinds, counted, "horizon=200", "replications=2", "slot.goal.window=\"4h\""];
        let options = LiveOptions { slots: Some("nameless".into()), ..options(&server.grpc) };
        let live = play(&loaded(&set), options).unwrap();
        for policy in &live.policies {
            let events = policy.events;
            assert!(events.accepted > 50 && events.accepted == events.happened, "{events:?}");
        }
        for check in &live.checks {
            assert!(check.outcome == CheckOutcome::Pass && check.estimate.unwrap() < 1e-9, "{check:?}");
        }
    });
}

/// Arms that are out of stock, retired or not launched yet are not shown, and launched ones are; all through the API.
#[test]
fn the_catalogue_changes_on_the_server_too() {
    with_server(false, async |server, _| {
        let checks = "check=[{ metric = \"share\", state = \"out_of_stock\", max = 0 }, { metric = \"share\", state = \"retired\", max = 0 }, \
                      { metric = \"share\", arm = \"poor\", from = 0.6, policy = \"uniform\", min = 0.01 }, \
                      { metric = \"share\", arm = \"poor\", until = 0.4, policy = \"uniform\", max = 0 }]";
        let set = [
            "catalogue.arms.good.out_of_stock=[{ from = 0.3, until = 0.6 }]",
            "catalogue.arms.fair.retire=0.7",
            "catalogue.arms.poor.launch=0.5",
            "faults=[{ at = 0.5, kind = \"reset\" }]",
            "horizon=200",
            checks,
        ];
        let live = play(&loaded(&set), options(&server.grpc)).unwrap();
        let sentences: Vec<_> = live.checks.iter().map(|check| &check.sentence).collect();
        assert!(live.checks.iter().all(|check| check.outcome == CheckOutcome::Pass), "{sentences:?}");
        let good = live.policies[0].shares.iter().find(|share| share.arm == "good").unwrap();
        assert!(good.share > 0.2, "it was shown before and after: {good:?}");
    });
}

/// No answer comes before the server has decided twenty times. A sender that waited for answers would wait for ever.
/// The first of the twenty waited at least from its due time until the twentieth.
#[test]
fn a_slow_server_delays_no_arrival_and_all_waiting_is_counted() {
    const HELD: usize = 20;
    with_server(true, async |server, mut client| {
        let gate = Gate::before(&server.grpc);
        let loaded = loaded(&["horizon=100", "replications=1", "check=[]", "policies.uniform.skip=true"]);
        let options = LiveOptions {
            tempo: Some(Tempo::Rate(75.0)),
            slots: Some("gate".into()),
            at_once: NonZeroUsize::MIN,
            ..LiveOptions::new(&gate.address)
        };
        let opens = async {
            let decided = async |client: &mut Client| {
                client.report("gate-default-0").await.map_or(0, |report| report.counters.decisions)
            };
            while decided(&mut client).await < HELD as u64 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            gate.open();
        };
        let runtime = Handle::current();
        let live_episode = {
            let loaded = loaded.clone();
            tokio::task::spawn_blocking(move || {
                run_live(&loaded, None, options, &runtime, &NoRunProgress, &CancellationToken::new()).unwrap()
            })
        };
        let (report, ()) = tokio::join!(live_episode, opens);
        let report = report.unwrap();
        let (policy, speed) = (&report.policies[0], report.live.as_ref().unwrap().speed);
        let due_ms: Vec<f64> =
            Traffic::new(&loaded.scenario, report.seed, 0).map(|visit| visit.now.at_us / speed / 1e3).collect();
        let latency = policy.latency.unwrap();
        assert_eq!((latency.count, policy.failures.len()), (100, 0), "{policy:?}");
        let waited = |k: usize| 0.998 * (due_ms[HELD - 1] - due_ms[k]);
        assert!(latency.max_ms >= waited(0), "{latency:?} {}", waited(0));
        // Ten of a hundred are above the ninetieth percentile: of the first twenty, those from the eleventh on.
        assert!(latency.p90_ms >= waited(10) && waited(10) > 20.0, "{latency:?} {}", waited(10));
    });
}

#[test]
fn what_is_not_for_simulation_is_left_alone() {
    with_server(true, async |server, mut client| {
        let loaded = loaded(&["horizon=100", "replications=2", "check=[]"]);
        let why = ChangeReason::default();
        // A shop's own slot has one of the names, the last that a run would create.
        let arms = vec![Arc::new(Arm::new(ArmId::parse("arm", "a").unwrap()))];
        let shops = Definition { arms, ..Definition::new(slot("shop-uniform-1")) };
        client.create_slot(&shops, &why, false).await.unwrap();
        for replace in [false, true] {
            let options = LiveOptions { slots: Some("shop".into()), replace, ..options(&server.grpc) };
            let refused = play(&loaded, options).unwrap_err();
            assert!(matches!(&refused, LiveRunError::Server(LiveError::Foreign(id)) if *id == shops.id), "{refused}");
            assert!(refused.to_string().contains("left alone; choose other names with --slot"), "{refused}");
        }
        assert_eq!(client.list_slots().await.unwrap().len(), 1, "none was made");
        assert_eq!(client.get_slot("shop-uniform-1").await.unwrap().1, 1, "and it was not changed");

        // The server refuses simulated shoppers there, and learns nothing of them.
        let call_options = CallOptions { simulated: true, ..CallOptions::default() };
        let mut simulated = Client::connect_with(&server.grpc, &call_options).await.unwrap();
        let request = Request::new(shops.id.clone());
        let refused = simulated.decide_in_full(&request).await.unwrap_err().to_string();
        assert!(refused.contains("is for real shoppers"), "{refused}");
        assert_eq!(client.report("shop-uniform-1").await.unwrap().counters.decisions, 0);
        client.decide_in_full(&request).await.unwrap();
        assert_eq!(client.report("shop-uniform-1").await.unwrap().counters.decisions, 1, "real ones are welcome");

        // Slots of an earlier run are replaced on request.
        let keep = LiveOptions { slots: Some("left".into()), keep: true, ..options(&server.grpc) };
        play(&loaded, keep.clone()).unwrap();
        let kept = client.get_slot("left-default-1").await.unwrap().0;
        assert!(kept.controls.simulated() && kept.goal.window_us < 3_600_000_000, "{kept:?}");
        let refused = play(&loaded, keep.clone()).unwrap_err();
        assert!(matches!(&refused, LiveRunError::Server(LiveError::Exists(_))), "{refused}");
        play(&loaded, LiveOptions { replace: true, keep: false, ..keep }).unwrap();
        assert_eq!(client.list_slots().await.unwrap().len(), 1, "the shop's own");
    });
}

/// Observer that keeps the changes' answers.
#[derive(Default)]
struct NoteCollector(Mutex<Vec<String>>);

impl RunProgress for NoteCollector {
    fn begin(&self, _: u64, _: u64) {}
    fn advance(&self, _: u64) {}
    fn replication(&self) {}
    fn end(&self) {}
    fn note(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// Another client makes a slot the shop's own in the middle of the run. Nothing more is played there from then on.
#[test]
fn a_server_that_refuses_ends_the_run() {
    with_server(false, async |server, mut client| {
        let loaded = loaded(&["horizon=2000", "replications=1", "check=[]", "policies.uniform.skip=true"]);
        let tempo = Some(Tempo::Rate(75.0));
        let options = LiveOptions { slots: Some("mine".into()), tempo, ..options(&server.grpc) };
        let runtime = Handle::current();
        let told = Arc::new(NoteCollector::default());
        let progress = Arc::clone(&told);
        let live_episode = tokio::task::spawn_blocking(move || {
            run_live(&loaded, None, options, &runtime, &*progress, &CancellationToken::new())
        });
        let mut definition = loop {
            assert!(!live_episode.is_finished(), "it plays for half a minute: {:?}", live_episode.await);
            if let Ok((definition, _)) = client.get_slot("mine-default-0").await {
                break definition;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        definition.controls.simulated = Some(false);
        client.update_slot(&definition, 0, &ChangeReason::default(), false).await.unwrap();
        let refused = live_episode.await.unwrap().unwrap_err().to_string();
        assert!(refused.starts_with("replication 0: slot 'mine-default-0', decision "), "{refused}");
        assert!(refused.contains("is for real shoppers"), "{refused}");
        let left = client.get_slot("mine-default-0").await.unwrap().0;
        assert!(!left.controls.simulated(), "what is no longer for simulation is no longer ours to delete");
        let note = "slot 'mine-default-0' could not be deleted: slot 'mine-default-0' is there and not for simulated ";
        let told = told.0.lock().unwrap();
        assert!(told.iter().any(|line| line.starts_with(note)), "and that is told: {told:?}");
    });
}

/// Observer that stops a run at this decision.
struct StopAtDecision(AtomicU64, CancellationToken, u64);

impl RunProgress for StopAtDecision {
    fn begin(&self, _: u64, _: u64) {}
    fn advance(&self, decisions: u64) {
        if self.0.fetch_add(decisions, Ordering::Relaxed) + decisions >= self.2 {
            self.1.cancel();
        }
    }
    fn replication(&self) {}
    fn end(&self) {}
}

#[test]
fn a_run_that_is_stopped_tells_what_was_played_and_takes_its_slots_away() {
    with_server(false, async |server, mut client| {
        let at_once = NonZeroUsize::MIN;
        let options = LiveOptions { tempo: Some(Tempo::Rate(150.0)), at_once, ..options(&server.grpc) };
        let played = |set: &[&str], at: u64| {
            let stop = CancellationToken::new();
            play_until(&loaded(set), options.clone(), &StopAtDecision(AtomicU64::new(0), stop.clone(), at), &stop)
                .unwrap()
        };
        // The scenario has two policies, so 60 visits are 120 decisions.
        let none = played(&[], 120);
        let decided = none.policies[0].latency.unwrap().count;
        assert!((60..300).contains(&decided), "{decided}");
        assert_eq!((none.replications, none.verdict), (1, RunVerdict::Inconclusive), "{:?}", none.checks);
        let note = "stopped before any of 4 replications was through: the figures are of 1 that were under way";
        assert_eq!(none.live.unwrap().notes[0], note);

        let one = played(&["horizon=100", "replications=3"], 240);
        assert_eq!((one.replications, one.policies[0].latency.unwrap().count), (1, 100));
        let note = "stopped after 1 of 3 replications; those under way are left out";
        assert_eq!(one.live.unwrap().notes[0], note);
        assert!(client.list_slots().await.unwrap().is_empty());
    });
}

#[test]
fn what_cannot_be_played_is_told_in_a_line_with_its_exit_code() {
    // Port 1 is reserved, and nobody listens there.
    let nobody = ["--target", "http://127.0.0.1:1"];
    let file = file();
    let run = |more: &[&str]| command(&[&["run", &file], &nobody[..], more].concat());
    let (code, _, err) = run(&[]);
    assert_eq!((code, err.lines().count()), (Some(3), 1), "{err}");
    assert!(
        err.starts_with("error: no Slotwise answers at http://127.0.0.1:1; start one with `slotwise serve`"),
        "{err}"
    );
    let (code, _, err) = run(&["--speed", "4000"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.starts_with("error: --speed: 4000 times as fast as the shop, goal.window of policy 'default' "),
        "{err}"
    );
    let (code, _, err) = command(&[&["run", "restart", "--small"], &nobody[..]].concat());
    assert_eq!(code, Some(2), "{err}");
    assert!(err.starts_with("error: faults: a live server is not restarted from here; run it in process"), "{err}");
    let (code, _, err) = run(&["--slot", "no spaces"]);
    assert_eq!(
        (code, err.starts_with("error: --slot: 'no spaces' cannot begin a slot's id")),
        (Some(2), true),
        "{err}"
    );
    assert_eq!(run(&["--rate", "5", "--speed", "5"]).0, Some(2), "one or the other");
    assert_eq!(run(&["--rate", "0"]).0, Some(2));
    assert_eq!(command(&["run", &file, "--rate", "5"]).0, Some(2), "without a target there is no rate");
}

#[test]
fn every_output_tells_how_long_a_live_server_took() {
    with_server(false, async |server, mut client| {
        let folder = tempfile::tempdir().unwrap();
        let file_of = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let [json, html, junit, markdown] = ["r.json", "r.html", "r.xml", "r.md"].map(file_of);
        let scenario = file();
        let set = ["--set", "horizon=100", "--replications", "2", "--rate", "200", "--threads", "2"];
        let outputs = ["--json", &json, "--html", &html, "--junit", &junit, "--markdown", &markdown];
        let arguments = [&["run", &scenario, "--target", &server.grpc][..], &set, &outputs].concat();
        let (code, out, err) = block_in_place(|| command(&arguments));
        let report: RunReport = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
        assert_eq!(code, Some(i32::from(report.verdict.exit_code())), "{out}{err}");
        assert!(out.starts_with("seed 1\n") && out.contains("default: RecordRewards"), "{out}");
        assert!(out.contains(&format!("\nagainst {}: 200.0 decisions/s, ", server.grpc)), "{out}");
        assert!(err.contains("200.0 decisions/s, "), "{err}");
        assert!(report.live.is_some() && report.policies.iter().all(|policy| policy.latency.unwrap().count == 200));
        let page = fs::read_to_string(&html).unwrap();
        assert!(page.contains("id=\"latency\"") && page.contains("id=\"event-latency\""));
        assert!(page.contains("against a live server") && page.contains("200.0 decisions/s, "));
        assert!(fs::read_to_string(&junit).unwrap().contains("99th percentile of latency"));
        let markdown = fs::read_to_string(&markdown).unwrap();
        assert!(markdown.contains("| default: RecordRewards | "), "{markdown}");
        assert!(client.list_slots().await.unwrap().is_empty());
    });
}
