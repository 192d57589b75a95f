//! Overload that a caller sees: the baseline where the request takes it, and errors where it does not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::time::Duration;

use slotwise::wire::proto::{BatchDecideRequest, Candidate, DecideRequest, Fallback, SetArmAvailabilityRequest};
use tonic::Code;

use crate::support::{Clients, PATIENCE, Process, decide, http_get, slot};

/// Longer than a decision may wait to be written.
const BEYOND_WAITING: Duration = Duration::from_millis(2_200);

fn patient(slot: &str, arms: &[&str]) -> DecideRequest {
    let candidate = |arm: &&str| Candidate { arm_id: (*arm).to_owned(), ..Candidate::default() };
    DecideRequest {
        candidates: arms.iter().map(candidate).collect(),
        count: 5,
        baseline_on_overload: true,
        ..decide(slot)
    }
}

/// Another program holds the journal, so that decisions cannot be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_takes_the_baseline_gets_it_under_overload_and_nothing_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("offers", &["a", "b", "c"])).await.unwrap();
    let sold_out = SetArmAvailabilityRequest {
        slot_id: "offers".into(),
        available: [("b".to_owned(), false)].into(),
        ..Default::default()
    };
    clients.slots.set_arm_availability(sold_out).await.unwrap();
    let calm = clients.decide(patient("offers", &["c", "b", "a"])).await.unwrap();
    assert!(!calm.decision_id.is_empty() && calm.fallback() == Fallback::Unspecified, "{calm:?}");

    let other = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    clients.decide(decide("offers")).await.unwrap();
    tokio::time::sleep(BEYOND_WAITING).await;
    assert_eq!(clients.decide(decide("offers")).await.unwrap_err().code(), Code::ResourceExhausted);
    for _ in 0..3 {
        let answer = clients.decide(patient("offers", &["c", "b", "a"])).await.unwrap();
        let arms: Vec<&str> = answer.arms.iter().map(|arm| arm.arm_id.as_str()).collect();
        assert_eq!(arms, ["c", "a"], "the caller's order without what may not be shown");
        assert_eq!((answer.fallback(), answer.decision_id.as_str()), (Fallback::Overload, ""), "{answer:?}");
    }
    assert_eq!(clients.decide(patient("nowhere", &[])).await.unwrap_err().code(), Code::NotFound);
    let none = clients.decide(patient("offers", &["b"])).await.unwrap();
    assert_eq!((none.fallback(), none.arms.len()), (Fallback::NoEligibleArm, 0), "{none:?}");
    let requests = vec![decide("offers"), patient("offers", &["a"]), patient("offers", &["a", "c"])];
    let results = clients.decide_all(BatchDecideRequest { requests, distinct_arms: true }).await;
    assert_eq!(results[0].as_ref().unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(results[1].as_ref().unwrap().arms[0].arm_id, "a");
    assert_eq!(results[2].as_ref().unwrap().arms[0].arm_id, "c", "no arm twice on a page");
    let whole = BatchDecideRequest { requests: vec![decide("offers")], distinct_arms: false };
    let refused = clients.decisions.batch_decide(whole).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);

    other.execute_batch("COMMIT").unwrap();
    let mut waited = Duration::ZERO;
    while clients.decide(decide("offers")).await.is_err() {
        waited += Duration::from_millis(50);
        assert!(waited < PATIENCE, "decisions go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let metrics = http_get(&process.http, "/metrics").await;
    assert!(metrics.contains(r#"slotwise_decisions_total{outcome="overload",slot="offers"} 6"#), "{metrics}");
}
