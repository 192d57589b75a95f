//! A marketer's day at a live server. Each control is previewed, changed and taken back, and nothing that was learned is
//! lost.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a test stops at the first thing that is wrong"
)]

mod day;
mod steps;
use std::path::Path;

use crate::support::{self, Clients, Process, program};
use day::MarketersDay;
use slotwise::{
    engine::{Body, Event, State},
    journal::{JournalReader, RecordRange},
    node::{decode_event, recover_state},
    slot::{ChangeReason, SlotId},
};
use steps::STEPS;

const SLOT: &str = "home-offer";
const AUTHOR: &str = "mara";

/// Replays the journal twice: with the slot's changes, and without them.
fn replay_with_and_without_changes(folder: &Path) -> (State, State) {
    let whole = recover_state(folder, None, 1).unwrap();
    let mut without = State::default();
    let mut changes = 0;
    JournalReader::open(folder)
        .unwrap()
        .each(RecordRange::default(), &mut |stored| {
            let event: Event = decode_event(stored.body).unwrap();
            let is_change = matches!(event.body, Body::SlotPatched { .. } | Body::AvailabilitySet { .. });
            changes += u32::from(is_change);
            // An empty change takes its place, so that time passes in the same way.
            let empty_change = |slot: &SlotId| Body::AvailabilitySet {
                slot: slot.clone(),
                available: Vec::new(),
                why: ChangeReason::default(),
            };
            let body = if is_change { empty_change(event.body.slot().unwrap()) } else { event.body };
            without.apply(&Event { body, ..event });
            Ok(())
        })
        .unwrap();
    assert!(changes >= 8, "the slot was changed {changes} times");
    (whole, without)
}

/// Creates the slot from a template, with a model that reads no context: in a day of seconds, beliefs then change only by
/// what is counted.
fn apply_template(folder: &Path, address: &str) {
    let file = folder.join("offer.toml");
    let path = file.to_str().unwrap();
    let run = |words: &[&str]| {
        let output = program().args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["slots", "new", SLOT, "--template", "offer", "--file", path]);
    let document = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, document.replace("kind = \"offer\"", "kind = \"offer\"\nmodel = \"beta_bernoulli\""))
        .unwrap();
    run(&["slots", "apply", "-f", path, "--reason", "created", "--author", AUTHOR, "--target", address]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marketers_day_changes_every_control_and_loses_nothing_that_was_learned() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    apply_template(folder.path(), &server.address);
    let mut day = MarketersDay::begin(Clients::connect(&server.address).await);
    // During the warm-up, everybody outside the holdout gets an even split until each arm was shown a hundred times.
    let first = day.send_shoppers(300).await;
    for decision in first.iter().filter(|decision| !decision.holdout && decision.arms[0].arm_id != "quarter-off") {
        let p = decision.arms[0].propensity;
        let even = (p - 0.25).abs() < 1e-9 || (p - 1.0 / 3.0).abs() < 1e-9;
        day.expect(even, || format!("no even split during the warm-up: {decision:?}"));
    }
    day.send_shoppers(5_000).await;
    for step in &STEPS {
        day.play(step).await;
    }
    day.check_history().await;
    assert!(day.failures.is_empty(), "{:#?}", day.failures);

    // The slot has learned what it would have learned if nobody had changed anything.
    drop(server);
    let (whole, without) = replay_with_and_without_changes(folder.path());
    let learner = |state: &State| state.slot(SLOT).unwrap().learner().clone();
    assert_eq!(learner(&whole), learner(&without));
}
