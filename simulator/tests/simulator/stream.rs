//! The stream against a service that records its calls: the order of decisions and rewards.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use crate::support;

use slotwise::{
    bandit::Value,
    engine::Request,
    slot::{Definition, SlotId},
};
use slotwise_simulator::{
    dataset::Dataset,
    learning::replay::{
        NoReplayProgress, ReplayRun, RowTiming, setup,
        stream::{StreamPlan, stream},
    },
    learning::service::{BanditService, Reward, ServiceChoice, ServiceError},
};

/// Service that always shows `b`, and records each row that it decides for and each reward as decision=value.
#[derive(Default)]
struct Scribe {
    decisions: usize,
    heard: Vec<String>,
}

impl BanditService for Scribe {
    async fn create(&mut self, _: Definition, _: bool) -> Result<(), ServiceError> {
        Ok(())
    }

    async fn decide(&mut self, request: Request) -> Result<ServiceChoice, ServiceError> {
        let Some(Value::Text(row)) = request.context.get("c_word") else {
            return Err(ServiceError::Nothing(request.slot));
        };
        self.heard.push(row.clone());
        let decision = format!("d{}", self.decisions);
        self.decisions += 1;
        Ok(ServiceChoice { decision, arm: "b".to_owned(), propensity: 1.0, fallback: false })
    }

    async fn reward(&mut self, reward: Reward) -> Result<(), ServiceError> {
        let kind = if reward.value > 0.0 { setup::CORRECT } else { setup::WRONG };
        assert_eq!((reward.kind.as_str(), reward.slot.as_str()), (kind, "slot"));
        assert!(reward.event.ends_with(&format!("-{}", reward.decision)), "{reward:?}");
        self.heard.push(format!("{}={}", reward.decision, reward.value));
        Ok(())
    }

    async fn delete(&mut self, _: &SlotId) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// Streams 8 of 10 rows of three classes. Seed 0 shows them in the order 6 3 2 9 8 1 4 7 (as another implementation
/// gives it) and therefore with the labels a b b a, a b c a.
fn run(variant: &str, silent_zeros: bool) -> (String, ReplayRun) {
    let folder = tempfile::tempdir().unwrap();
    let rows =
        [(2, "r0"), (1, "r1"), (1, "r2"), (1, "r3"), (2, "r4"), (2, "r5"), (0, "r6"), (0, "r7"), (0, "r8"), (0, "r9")];
    support::write_set(folder.path(), "tiny", 3, &rows);
    let dataset = &Dataset::read(&folder.path().join("tiny")).unwrap();
    let (slot, arms) = (&SlotId::parse("slot_id", "slot").unwrap(), &setup::arms(dataset));
    let (variant, timing) = (variant.parse().unwrap(), &RowTiming::Shuffled);
    let plan = StreamPlan { dataset, slot, arms, seed: 0, rounds: 8, variant, silent_zeros, timing };
    let mut scribe = Scribe::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = runtime.block_on(stream(&mut scribe, &plan, &mut NoReplayProgress)).unwrap();
    (scribe.heard.join(" "), run)
}

#[track_caller]
fn check(variant: &str, silent_zeros: bool, want: &str) {
    assert_eq!(run(variant, silent_zeros).0, want);
}

/// `b` is right in rounds 1, 2 and 5.
#[test]
fn every_reward_comes_right_after_its_decision_also_of_zero() {
    check("plain", false, "r6 d0=0 r3 d1=1 r2 d2=1 r9 d3=0 r8 d4=0 r1 d5=1 r4 d6=0 r7 d7=0");
}

#[test]
fn a_silent_zero_is_no_event() {
    check("plain", true, "r6 r3 d1=1 r2 d2=1 r9 r8 r1 d5=1 r4 r7");
    check("delay3", true, "r6 r3 r2 d1=1 d2=1 r9 r8 r1 d5=1 r4 r7");
}

/// Round 4 is the first in which the right arms are b c a b for the labels a b c a. Round 5 is wrong now, and rounds 4
/// and 7 are right.
#[test]
fn from_the_middle_on_the_next_arm_is_right() {
    check("drift", false, "r6 d0=0 r3 d1=1 r2 d2=1 r9 d3=0 r8 d4=1 r1 d5=0 r4 d6=0 r7 d7=1");
}

/// Batches of 3 arrive before rounds 3 and 6. The rewards of rounds 6 and 7 would arrive before round 9.
#[test]
fn delayed_rewards_come_batch_by_batch_and_the_last_batch_never() {
    check("delay3", false, "r6 r3 r2 d0=0 d1=1 d2=1 r9 r8 r1 d3=0 d4=0 d5=1 r4 r7");
}

/// The second batch of 4 is complete after round 7, but there is no round 8 before which it could arrive.
#[test]
fn a_batch_that_ends_with_the_stream_never_arrives() {
    check("delay4", false, "r6 r3 r2 r9 d0=0 d1=1 d2=1 d3=0 r8 r1 r4 r7");
    check("delay8", false, "r6 r3 r2 r9 r8 r1 r4 r7");
}

#[test]
fn drift_and_delay_go_together() {
    check("drift+delay4", false, "r6 r3 r2 r9 d0=0 d1=1 d2=1 d3=0 r8 r1 r4 r7");
    check("drift+delay3", false, "r6 r3 r2 d0=0 d1=1 d2=1 r9 r8 r1 d3=0 d4=1 d5=0 r4 r7");
}

/// The loss counts what was chosen, not what has arrived.
#[test]
fn the_loss_does_not_wait_for_rewards() {
    for silent_zeros in [false, true] {
        let (_, plain) = run("plain", silent_zeros);
        assert_eq!((plain.rewards, plain.loss.to_string().as_str()), (3, "0.625"));
        assert_eq!(run("delay4", silent_zeros).1, plain);
        assert_eq!((plain.loss_last_20_percent.to_string().as_str(), plain.fallbacks), ("1", 0), "rounds 6 and 7");
    }
    let (_, drift) = run("drift", false);
    assert_eq!((drift.rewards, drift.loss_last_20_percent.to_string().as_str()), (4, "0.5"));
}
