//! Short soaks of a real server: requests and failures are counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::{num::NonZeroUsize, process::Command, sync::Arc, time::Duration};

use crate::support::server::{LocalServer, with_server};
use slotwise::{
    bandit::ModelSpec,
    slot::{Arm, ArmId, Definition, SlotId},
};
use slotwise_simulator::stress::soak::{LoadLevel, SoakOptions, soak};
use tokio_util::sync::CancellationToken;

/// Two seconds at forty a second, with a sample every half second.
fn options(server: &LocalServer) -> SoakOptions {
    SoakOptions {
        http: Some(server.http.clone()),
        duration: Duration::from_secs(2),
        load: LoadLevel::Rate(40.0),
        sample_every: Duration::from_millis(500),
        peak: Duration::from_millis(300),
        in_flight: NonZeroUsize::new(4).unwrap(),
        ..SoakOptions::new(server.grpc.clone())
    }
}

fn go_on() -> CancellationToken {
    CancellationToken::new()
}

/// 80 decisions bring 8 to 24 clicks on average. None at all has a probability of at most (1 − .1)^80, 1 in 4,600, even
/// if every arm were the least clicked one, and only the arm decides which decisions are clicked.
#[test]
fn a_short_soak_has_no_error_and_counts_what_the_server_counts() {
    with_server(true, async |server, mut client| {
        let options = SoakOptions { keep: true, ..options(&server) };
        let mut lines = Vec::new();
        let report = soak(&options, &go_on(), &mut |line| lines.push(line.to_owned())).await.unwrap();
        let answered = report.decide.answered;
        assert_eq!((report.errors, report.scheduled, answered, report.fallbacks), (0, 80, 80, 0), "{report:?}");
        let counters = client.report("soak").await.unwrap().counters;
        assert_eq!((counters.decisions, counters.rewards), (answered, report.record_rewards.answered));
        assert!((1..=80).contains(&counters.rewards), "{counters:?}");

        // The samples are parts of the whole.
        let sum =
            |of: fn(&slotwise_simulator::stress::soak::SoakSample) -> u64| report.samples.iter().map(of).sum::<u64>();
        assert_eq!(sum(|sample| sample.decide.answered), answered);
        assert_eq!(sum(|sample| sample.record_rewards.answered), counters.rewards);
        assert!(report.samples.len() > 3 && lines.len() > report.samples.len(), "{lines:?}");
        let last = report.samples.last().unwrap();
        assert_eq!(last.pending, Some(80.0), "all of them may still be rewarded");
        assert!(report.memory.is_none() && report.text().contains("memory: too few samples from 600 s on"));

        // The keys are documented, so a program that reads them relies on them.
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let want = "backlog_max decide errors fallbacks memory memory_from_s model notes peak rate record_rewards \
                    samples scheduled seconds slot target window_s";
        assert_eq!(keys.join(" "), want);
        assert_eq!(json["decide"]["failures"].as_object().unwrap().len(), 0);
        assert!(json["decide"]["latencies"]["p99_us"].as_u64().unwrap() > 0);

        // The slot was kept, so a second run does not take its name.
        let again = soak(&options, &go_on(), &mut |_| ()).await.unwrap_err().to_string();
        assert!(again.starts_with("slot 'soak' exists already; "), "{again}");
    });
}

#[test]
fn a_share_is_one_of_what_a_closed_loop_reaches() {
    with_server(false, async |server, mut client| {
        let load = LoadLevel::Share(0.1);
        let model = ModelSpec::beta_bernoulli(None, None);
        let options = SoakOptions { load, model, duration: Duration::from_millis(500), ..options(&server) };
        let report = soak(&options, &go_on(), &mut |_| ()).await.unwrap();
        let peak = report.peak.as_ref().unwrap();
        assert!((report.rate - 0.1 * peak.decisions_per_s).abs() < 1e-9 && peak.decide.answered > 0, "{report:?}");
        assert_eq!((report.errors, report.decide.answered), (0, report.scheduled));
        assert!(client.list_slots().await.unwrap().is_empty(), "the slot is gone afterwards");
    });
}

/// A server without the slot refuses every decision, and every click matches nothing.
#[test]
fn what_the_server_refuses_is_counted_by_its_name() {
    with_server(false, async |server, mut client| {
        let options = options(&server);
        let slot_is_taken_away = async {
            while client.delete_slot("soak", &slotwise::slot::ChangeReason::default()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let (go_on, mut quiet) = (go_on(), |_: &str| ());
        let (report, ()) = tokio::join!(soak(&options, &go_on, &mut quiet), slot_is_taken_away);
        let report = report.unwrap();
        let refused = report.decide.failures["NOT_FOUND"];
        assert!(refused > 0 && report.decide.answered + refused == 80, "{report:?}");
        let clicks = &report.record_rewards.failures;
        assert!(clicks.keys().all(|why| why == "REWARD_STATUS_UNMATCHED"), "{clicks:?}");
        assert_eq!(report.errors, refused + report.record_rewards.failed() + 1, "and the slot cannot be deleted");
        assert!(report.notes.iter().any(|note| note.starts_with("slot 'soak' could not be deleted: ")));
        assert!(report.text().contains(&format!("\nDecide: NOT_FOUND {refused}\n")), "{}", report.text());
    });
}

/// Far more requests come than one at a time can be answered. Those that are not sent count as errors.
#[test]
fn a_surplus_is_shed_and_counted() {
    with_server(false, async |server, _| {
        let options = SoakOptions {
            load: LoadLevel::Rate(20_000.0),
            duration: Duration::from_millis(200),
            backlog_max: Some(NonZeroUsize::MIN),
            http: Some("http://127.0.0.1:1".into()),
            ..options(&server)
        };
        let report = soak(&options, &go_on(), &mut |_| ()).await.unwrap();
        let shed = report.decide.failures["SHED"];
        assert!(shed > 0 && report.decide.answered > 0, "{report:?}");
        assert_eq!((report.scheduled, report.decide.answered + shed), (4000, 4000));
        let note = "cannot read http://127.0.0.1:1/metrics: ";
        assert!(report.notes.iter().filter(|n| n.starts_with(note)).count() == 1, "said once: {:?}", report.notes);
        assert!(report.samples.iter().all(|sample| sample.resident_bytes.is_none()));
    });
}

#[test]
fn a_soak_that_is_stopped_ends_and_takes_its_slot_away() {
    with_server(false, async |server, mut client| {
        let options = SoakOptions { duration: Duration::from_hours(1), ..options(&server) };
        let stop = go_on();
        let mut at_the_first_sample = |line: &str| {
            if line.contains(" decisions/s") {
                stop.cancel();
            }
        };
        let report = soak(&options, &stop, &mut at_the_first_sample).await.unwrap();
        assert!(report.scheduled == 144_000 && report.decide.answered < 144_000, "{report:?}");
        assert_eq!((report.errors, report.notes), (0, vec!["stopped before its end".to_owned()]));
        assert!(client.list_slots().await.unwrap().is_empty());
    });
}

/// A shop's slot is never replaced. The run's own slot becomes a shop's, and nothing more reaches it.
#[test]
fn a_soak_touches_only_a_slot_for_simulated_traffic() {
    with_server(true, async |server, mut client| {
        let why = slotwise::slot::ChangeReason::default();
        let arms = vec![Arc::new(Arm::new(ArmId::parse("arm", "a").unwrap()))];
        let shops = Definition { arms, ..Definition::new(SlotId::parse("slot", "shop").unwrap()) };
        client.create_slot(&shops, &why, false).await.unwrap();
        let theirs = SoakOptions { slot: "shop".to_owned(), replace: true, ..options(&server) };
        let refused = soak(&theirs, &go_on(), &mut |_| ()).await.unwrap_err().to_string();
        assert!(refused.starts_with("slot 'shop' is for real shoppers, "), "{refused}");
        assert_eq!(client.get_slot("shop").await.unwrap().1, 1, "it is as it was");

        let options = options(&server);
        let becomes_the_shops = async {
            let mut definition = loop {
                match client.get_slot("soak").await {
                    Ok((definition, _)) => break definition,
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            };
            assert!(definition.controls.simulated());
            while client.report("soak").await.unwrap().counters.decisions < 40 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            definition.controls.simulated = Some(false);
            client.update_slot(&definition, 0, &why, false).await.unwrap();
        };
        let (go_on, mut quiet) = (go_on(), |_: &str| ());
        let (report, ()) = tokio::join!(soak(&options, &go_on, &mut quiet), becomes_the_shops);
        let report = report.unwrap();
        let refused = report.decide.failures["FAILED_PRECONDITION"];
        assert!(report.decide.answered >= 40 && report.decide.answered + refused == 80, "{report:?}");
        // Clicks come up to 3 s after their decision, so some of about forty come after the change.
        let clicks = &report.record_rewards.failures;
        assert!(clicks.keys().all(|why| why == "REWARD_STATUS_REJECTED") && !clicks.is_empty(), "{clicks:?}");
        let note = "slot 'soak' could not be deleted: slot 'soak' is for real shoppers, ";
        assert!(report.notes.iter().any(|told| told.starts_with(note)), "{:?}", report.notes);
    });
}

#[test]
fn what_cannot_be_soaked_is_told_in_a_line_with_its_own_exit_code() {
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator"));
        // Port 1 is reserved, and nobody listens there.
        let output = command.args(["soak", "--target", "http://127.0.0.1:1"]).args(more).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, err) = run(&[]);
    assert!(code == Some(3) && err.starts_with("error: no Slotwise answers at http://127.0.0.1:1;"), "{code:?} {err}");
    let (code, err) = run(&["--window", "20s"]);
    assert_eq!(
        (code, err.as_str()),
        (Some(3), "error: --window: clicks come up to 3 s after their decision; give at least 30s\n")
    );
    for usage in [["--rate", "0"], ["--share", "1.5"], ["--duration", "soon"], ["--in-flight", "0"]] {
        assert_eq!(run(&usage).0, Some(2), "{usage:?}");
    }
    assert_eq!(run(&["--rate", "5", "--share", "0.5"]).0, Some(2), "one or the other");
}
