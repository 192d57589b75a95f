//! Races between the requests of a run and a live server. The books are right whichever request arrives first.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::time::Duration;

use crate::support::{
    gate::{Direction, Gate, Holdback},
    live::{loaded, named, play_in_background, until},
    server::with_server,
};
use slotwise::client::Client;
use slotwise_simulator::report::{CheckOutcome, RunReport};

/// A gate for the requests of shoppers. Changes of the slots use the first connection, which is free.
fn of_shoppers(server: &str) -> Gate {
    Gate::with(
        server,
        |number, way| if number > 0 && way == Direction::Request { Holdback::Gate } else { Holdback::Free },
    )
}

/// The slots of a run of two replications.
fn slots(name: &str) -> Vec<String> {
    ["default-0", "default-1", "uniform-0", "uniform-1"].map(|slot| format!("{name}-{slot}")).to_vec()
}

/// The smallest number of decisions that any of a run's slots counted.
async fn decided(client: &mut Client, name: &str) -> u64 {
    let mut fewest = u64::MAX;
    for slot in slots(name) {
        fewest = fewest.min(client.report(&slot).await.map_or(0, |report| report.counters.decisions));
    }
    fewest
}

/// Asserts that the slots counted what they should have, up to rounding.
#[track_caller]
fn check_counted(report: &RunReport) {
    assert_eq!(report.checks.len(), 2);
    for check in &report.checks {
        assert!(check.outcome == CheckOutcome::Pass && check.estimate.unwrap() < 1e-9, "{check:?}");
    }
}

const COUNTED: &str = "check=[{ metric = \"counted_error\", max = 1e-9 }, \
                       { metric = \"counted_error\", policy = \"uniform\", max = 1e-9 }]";

/// Every decision of the first seven tenths is made after the last change of the catalogue, whatever the catalogue was
/// at its visit. Arms launched since then are shown to shoppers who came before the launch, and no catalogue is to
/// blame for that.
#[test]
fn a_decision_that_changes_overtook_is_judged_by_the_catalogue_it_was_made_under() {
    with_server(false, async |server, mut client| {
        let gate = of_shoppers(&server.grpc);
        gate.close();
        let checks = "check=[{ metric = \"share\", state = \"out_of_stock\", policy = \"uniform\", max = 0 }, \
                      { metric = \"share\", state = \"retired\", policy = \"uniform\", max = 0 }]";
        let set = [
            "catalogue.arms.good.out_of_stock=[{ from = 0.3, until = 0.6 }]",
            "catalogue.arms.fair.retire=0.7",
            "catalogue.arms.poor.launch=0.5",
            "horizon=100",
            "replications=2",
            checks,
        ];
        let play_in_background = play_in_background(loaded(&set), named(&gate.address, "catalogue"));
        until(async || {
            let mut told = true;
            for slot in slots("catalogue") {
                let slot = client.get_slot(&slot).await;
                told &= slot.is_ok_and(|(slot, _)| slot.arms.iter().all(|arm| arm.id.as_str() != "fair"));
            }
            told
        })
        .await;
        gate.open();
        let report = play_in_background.await.unwrap().unwrap();
        for check in &report.checks {
            assert_eq!((check.outcome, check.estimate), (CheckOutcome::Pass, Some(0.0)), "{}", check.sentence);
        }
        for policy in &report.policies {
            assert_eq!((policy.latency.unwrap().count, policy.failures.len()), (200, 0));
            let regrets: Vec<f64> = policy.regret_by_bucket.iter().filter_map(|point| point.mean).collect();
            assert!(regrets.len() == 100 && regrets.iter().all(|regret| *regret > -1e-9), "{regrets:?}");
        }
        // One in three should show it; none of a hundred happens once in 10^17 runs.
        let poor = report.policies[1].shares.iter().find(|share| share.arm == "poor").unwrap();
        assert!(poor.by_bucket[..50].iter().flatten().any(|share| *share > 0.0), "{poor:?}");
    });
}

/// The first half is requested before the reset and decided after it, so the slot counts all of it.
#[test]
fn what_a_reset_overtook_is_of_the_slot_after_it() {
    with_server(false, async |server, mut client| {
        let gate = of_shoppers(&server.grpc);
        gate.close();
        let set = ["faults=[{ at = 0.5, kind = \"reset\" }]", "horizon=100", "replications=2", COUNTED];
        let play_in_background = play_in_background(loaded(&set), named(&gate.address, "after"));
        until(async || {
            let mut reset = true;
            for slot in slots("after") {
                reset &= client.get_slot(&slot).await.is_ok_and(|(_, revision)| revision > 1);
            }
            reset
        })
        .await;
        gate.open();
        let report = play_in_background.await.unwrap().unwrap();
        check_counted(&report);
        let events = report.policies[0].events;
        assert!(events.accepted > 10 && events.unmatched == 0, "{events:?}");
    });
}

/// The reset of the middle comes late, so the slot forgets everything decided until then.
#[test]
fn what_overtook_a_reset_is_forgotten_with_what_came_before() {
    with_server(true, async |server, mut client| {
        let gate = Gate::with(&server.grpc, |number, way| {
            if number == 0 && way == Direction::Request { Holdback::Gate } else { Holdback::Free }
        });
        let set = ["faults=[{ at = 0.5, kind = \"reset\" }]", "horizon=100", "replications=2", COUNTED];
        let play_in_background = play_in_background(loaded(&set), named(&gate.address, "before"));
        until(async || decided(&mut client, "before").await > 10).await;
        gate.close();
        until(async || decided(&mut client, "before").await > 80).await;
        gate.open();
        let report = play_in_background.await.unwrap().unwrap();
        check_counted(&report);
        let events = report.policies[0].events;
        assert!(events.accepted > 10 && events.rejected == 0, "{events:?}");
    });
}

/// One connection is slow. A reversal that is sent over another one, or in another batch, would arrive first and
/// reverse nothing.
#[test]
fn what_takes_an_event_back_does_not_overtake_it() {
    with_server(false, async |server, _| {
        let slow = Holdback::Late(Duration::from_millis(150));
        let gate =
            Gate::with(
                &server.grpc,
                move |number, way| if number == 2 && way == Direction::Request { slow } else { Holdback::Free },
            );
        let set = [
            "behaviour.steps=[{ kind = \"click\", delay = { exponential = \"30s\" } }, \
             { kind = \"undo\", chance = 0.5, reverses = true, delay = { exponential = \"30s\" } }]",
            // The window is so long that delayed events are still in time.
            "slot.goal.window=\"6h\"",
            "horizon=150",
            "replications=2",
            COUNTED,
        ];
        let report = play_in_background(loaded(&set), named(&gate.address, "line")).await.unwrap().unwrap();
        check_counted(&report);
        for policy in &report.policies {
            let events = policy.events;
            assert!(events.accepted > 50 && events.accepted == events.happened, "{events:?}");
        }
    });
}
