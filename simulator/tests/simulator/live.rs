//! Replays against a live server: a real one, on a free port, with a folder of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::{num::NonZeroUsize, path::PathBuf};

use crate::support::server::with_server;
use slotwise_simulator::{
    dataset::Dataset,
    learning::replay::{NoReplayProgress, ReplayOptions, Spread, Variant, replay},
};

const ROUNDS: usize = 400;

fn digits() -> Dataset {
    let stem: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "data", "digits"].iter().collect();
    Dataset::read(&stem).unwrap()
}

/// The server draws from its own randomness, so its loss is one more draw from the distribution over draws and orders
/// that twenty seeds show in process. A fresh draw is off from the mean of twenty by s·√(1 + 1/20); six of those is a
/// false alarm once in a hundred thousand runs (Student's t with 19 degrees). It is about ±.23 about .56. The last bound excludes
/// that both are wrong together, through their common loop: uniform choice has .90, and .80 lies six deviations above
/// what was seen.
#[test]
fn a_live_server_learns_as_well_as_the_engine_in_process() {
    with_server(false, async |server, mut client| {
        let digits = digits();
        let live = ReplayOptions { target: Some(server.grpc), rounds: Some(ROUNDS), ..ReplayOptions::default() };
        let here = ReplayOptions { target: None, seeds: (0..20).collect(), ..live.clone() };
        let here = replay(&here, &digits, &mut NoReplayProgress, None).await.unwrap();
        let losses: Vec<f64> = here.runs.iter().map(|run| run.loss).collect();
        let spread = Spread::new(&losses);
        let std = spread.standard_error.unwrap() * 20_f64.sqrt();

        let report = replay(&live, &digits, &mut NoReplayProgress, None).await.unwrap();
        let [run] = report.runs.as_slice() else { panic!("one run per seed: {report:?}") };
        let tolerance = 6.0 * std * (1.0_f64 + 1.0 / 20.0).sqrt();
        assert!((run.loss - spread.mean).abs() < tolerance, "{run:?} against {spread} ± {tolerance}");
        assert!(run.loss < 0.80 && spread.mean < 0.70, "{run:?} {spread}");
        assert!(tolerance < 0.3 && run.fallbacks == 0 && report.service == "grpc", "{tolerance} {report:?}");

        assert!(client.list_slots().await.unwrap().is_empty(), "the slot is gone afterwards");
    });
}

#[test]
fn a_slot_that_is_there_is_replaced_only_when_asked() {
    with_server(true, async |server, mut client| {
        let digits = digits();
        let keep =
            ReplayOptions { target: Some(server.grpc), rounds: Some(20), keep: true, ..ReplayOptions::default() };
        let first = replay(&keep, &digits, &mut NoReplayProgress, None).await.unwrap();
        let report = client.report("replay-digits-0").await.unwrap();
        let (counters, rewards) = (report.counters, first.runs[0].rewards);
        assert_eq!((counters.decisions, counters.rewards), (20, 20), "it was kept, and heard of every reward");
        assert!(counters.reward_sum.to_string() == rewards.to_string() && rewards < 20, "{counters:?} {rewards}");

        let refused = replay(&keep, &digits, &mut NoReplayProgress, None).await.unwrap_err().to_string();
        let want =
            "slot 'replay-digits-0' exists already; delete it first with --replace, or choose another name with --slot";
        assert_eq!(refused, want);

        let replace = ReplayOptions { replace: true, ..keep.clone() };
        replay(&replace, &digits, &mut NoReplayProgress, None).await.unwrap();
        let report = client.report("replay-digits-0").await.unwrap();
        assert_eq!(report.counters.decisions, 20, "it began anew");

        let named = ReplayOptions { slot: Some("mine".into()), seeds: vec![1, 2], ..replace };
        replay(&named, &digits, &mut NoReplayProgress, None).await.unwrap();
        let slots = client.list_slots().await.unwrap();
        let names: Vec<&str> = slots.iter().map(|slot| slot.definition.id.as_str()).collect();
        assert_eq!(names, ["mine-1", "mine-2", "replay-digits-0"]);
    });
}

/// A shop's slot is not replaced, and the created slot is for simulated traffic.
#[test]
fn a_replay_touches_only_slots_for_simulated_traffic() {
    with_server(true, async |server, mut client| {
        let digits = digits();
        let keep = ReplayOptions {
            target: Some(server.grpc),
            rounds: Some(20),
            keep: true,
            replace: true,
            ..ReplayOptions::default()
        };
        replay(&keep, &digits, &mut NoReplayProgress, None).await.unwrap();
        let (mut definition, _) = client.get_slot("replay-digits-0").await.unwrap();
        assert!(definition.controls.simulated());
        definition.controls.simulated = Some(false);
        client.update_slot(&definition, 0, &slotwise::slot::ChangeReason::default(), false).await.unwrap();
        let refused = replay(&keep, &digits, &mut NoReplayProgress, None).await.unwrap_err().to_string();
        assert!(refused.starts_with("slot 'replay-digits-0' is for real shoppers, "), "{refused}");
        assert_eq!(client.report("replay-digits-0").await.unwrap().counters.decisions, 20, "what it learned is there");
    });
}

/// The first two batches of 8 arrive within 20 rounds. With silent zeros only the right decisions among them are
/// rewarded.
#[test]
fn a_live_server_hears_late_and_only_what_is_sent() {
    with_server(true, async |server, mut client| {
        let drift = Variant { drift: true, delay: NonZeroUsize::new(8) };
        let late = ReplayOptions {
            target: Some(server.grpc),
            rounds: Some(20),
            keep: true,
            variant: drift,
            ..ReplayOptions::default()
        };
        replay(&late, &digits(), &mut NoReplayProgress, None).await.unwrap();
        assert_eq!(client.report("replay-digits-0").await.unwrap().counters.rewards, 16);

        let silent = ReplayOptions { silent_zeros: true, replace: true, variant: Variant::PLAIN, ..late };
        let report = replay(&silent, &digits(), &mut NoReplayProgress, None).await.unwrap();
        let counters = client.report("replay-digits-0").await.unwrap().counters;
        assert_eq!((counters.rewards, report.silent_zeros), (report.runs[0].rewards as u64, true));
        assert!(counters.rewards < 20, "{counters:?}");
    });
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Port 1 is reserved, and nobody listens there.
    let options = ReplayOptions { target: Some("http://127.0.0.1:1".into()), ..ReplayOptions::default() };
    let refused = runtime.block_on(replay(&options, &digits(), &mut NoReplayProgress, None)).unwrap_err().to_string();
    assert!(refused.starts_with("no Slotwise answers at http://127.0.0.1:1;"), "{refused}");
}
