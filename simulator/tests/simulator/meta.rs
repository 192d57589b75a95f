//! Tests of the determinism test: equal runs are equal, and a difference is found at its place.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::{num::NonZeroU64, path::PathBuf, process::Command};

use slotwise::{
    engine::Request,
    slot::{Definition, SlotId},
};
use slotwise_simulator::{
    dataset::Dataset,
    learning::replay::{
        NoReplayProgress, ReplayOptions, RowTiming, Variant, setup,
        stream::{StreamPlan, stream},
    },
    learning::service::{BanditService, InProcess, Reward, ServiceChoice, ServiceError},
    stress::meta::{
        EqualRuns, Recorder, RunComparison, RunDifference, RunResult, meta, record::RecordKind, side_by_side,
    },
};

const ROUNDS: usize = 120;
const EVERY: NonZeroU64 = NonZeroU64::new(50).unwrap();

fn stem() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", "digits"].iter().collect()
}

/// An engine that flips the reward of one round.
struct Flipped {
    engine: InProcess<Recorder>,
    /// Round whose reward is flipped, or `None` for no round.
    round: Option<usize>,
    rewards: usize,
}

impl BanditService for Flipped {
    async fn create(&mut self, definition: Definition, replace: bool) -> Result<(), ServiceError> {
        self.engine.create(definition, replace).await
    }

    async fn decide(&mut self, request: Request) -> Result<ServiceChoice, ServiceError> {
        self.engine.decide(request).await
    }

    async fn reward(&mut self, mut reward: Reward) -> Result<(), ServiceError> {
        if self.round == Some(self.rewards) {
            let kind = if reward.kind == setup::CORRECT { setup::WRONG } else { setup::CORRECT };
            reward = Reward { kind: kind.to_owned(), value: 1.0 - reward.value, ..reward };
        }
        self.rewards += 1;
        self.engine.reward(reward).await
    }

    async fn delete(&mut self, slot: &SlotId) -> Result<(), ServiceError> {
        self.engine.delete(slot).await
    }
}

/// Streams the set with the draws of `seed`, with one round's reward flipped.
fn run(recorder: Recorder, seed: u64, round: Option<usize>) -> RunResult {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let dataset = Dataset::read(&stem()).unwrap();
    let definition = setup::definition(&ReplayOptions::default(), &dataset, 0).unwrap();
    let (slot, arms) = (definition.id.clone(), setup::arms(&dataset));
    let mut service = Flipped { engine: InProcess::witnessed(seed, recorder), round, rewards: 0 };
    Ok(runtime.block_on(async {
        service.create(definition, false).await?;
        let plan = StreamPlan {
            dataset: &dataset,
            slot: &slot,
            arms: &arms,
            seed: 0,
            rounds: ROUNDS,
            variant: Variant::PLAIN,
            silent_zeros: false,
            timing: &RowTiming::Shuffled,
        };
        stream(&mut service, &plan, &mut NoReplayProgress).await?;
        Ok(service.engine)
    }))
}

fn equal(verdict: RunComparison) -> EqualRuns {
    match verdict {
        RunComparison::Equal(equal) => equal,
        RunComparison::Differs(difference) => panic!("{difference}"),
    }
}

/// The record that differs, and the two bytes.
fn differs(verdict: &RunComparison) -> (RecordKind, [Option<u8>; 2]) {
    let &RunComparison::Differs(RunDifference::Byte { what, bytes, .. }) = verdict else { panic!("{verdict:?}") };
    (what, bytes)
}

/// One event creates the slot, and each round is a decision and a reward. 120 decisions pass 50 twice.
#[test]
fn a_seed_gives_the_same_bytes_twice() {
    let dataset = Dataset::read(&stem()).unwrap();
    let options = ReplayOptions { rounds: Some(ROUNDS), ..ReplayOptions::default() };
    let first = equal(meta(&options, &dataset, EVERY, &mut NoReplayProgress).unwrap());
    assert_eq!((first.events, first.snapshots), (1 + 2 * ROUNDS as u64, 3));
    assert!(first.event_bytes > 100 * first.events && first.snapshot_bytes > 100_000, "{first}");
    assert_eq!(first, equal(meta(&options, &dataset, EVERY, &mut NoReplayProgress).unwrap()));
    let other = ReplayOptions { seeds: vec![1], ..options };
    assert_ne!(first.digest, equal(meta(&other, &dataset, EVERY, &mut NoReplayProgress).unwrap()).digest);
}

#[test]
fn every_policy_gives_the_same_bytes_twice() {
    use slotwise::bandit::{ModelSpec, Policy};
    let dataset = Dataset::read(&stem()).unwrap();
    for policy in [Policy::Uniform, Policy::epsilon_greedy(None), Policy::LinUcb, Policy::square_cb(None)] {
        let model = ModelSpec::linear(None, None);
        let options =
            ReplayOptions { rounds: Some(ROUNDS), policy, model, silent_zeros: true, ..ReplayOptions::default() };
        let equal = equal(meta(&options, &dataset, EVERY, &mut NoReplayProgress).unwrap());
        assert!(equal.snapshots == 3 && equal.events < 1 + 2 * ROUNDS as u64, "zeros are silent: {equal}");
    }
}

/// Event 1 creates the slot and is the same on both sides. The first decision's draw has the other seed.
#[test]
fn another_seed_on_one_side_is_found_at_the_first_decision() {
    let verdict = side_by_side(EVERY, |recorder| run(recorder, 0, None), |recorder| run(recorder, 1, None)).unwrap();
    assert_eq!(differs(&verdict).0, RecordKind::Event { number: 2, kind: "decided" });
}

/// Round 73, counted from 0, is the events 2 + 2·73 and the next one.
#[test]
fn one_flipped_reward_is_found_where_it_is() {
    let flipped = |side: Option<usize>, other: Option<usize>| {
        side_by_side(EVERY, |recorder| run(recorder, 0, side), |recorder| run(recorder, 0, other)).unwrap()
    };
    let (what, [left, right]) = differs(&flipped(None, Some(73)));
    assert_eq!(what, RecordKind::Event { number: 149, kind: "rewarded" });
    assert!(left != right && left.is_some() && right.is_some(), "{left:?} {right:?}");
    assert_eq!(differs(&flipped(Some(73), None)), (what, [right, left]), "whichever side it is on");
    equal(flipped(Some(73), Some(73)));
}

/// A run that fails by itself is not a difference. The other run is given up.
#[test]
fn a_run_that_fails_is_named() {
    let fails = |_| Ok(Err(ServiceError::NotFound(SlotId::parse("slot_id", "gone").unwrap()).into()));
    let why = side_by_side(EVERY, |recorder| run(recorder, 0, None), fails).unwrap_err().to_string();
    assert_eq!(why, "run 2: slot 'gone' is not there (any more)");
}

#[test]
fn the_command_says_what_is_equal_and_what_cannot_be_run() {
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator"));
        let output = command.arg("meta").arg(stem()).args(more).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, out, _) = run(&["--rounds", "30", "--model", "linear", "--policy", "lin_ucb"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("digits, seed 0, twice: 61 events (") && out.contains(" and 1 snapshot ("), "{out}");
    let (code, out, err) = run(&["--rounds", "2000"]);
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.starts_with("error: 2000 rounds are more than the 1797 rows of digits; "), "{err}");
}
