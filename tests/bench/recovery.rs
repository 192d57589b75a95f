//! Time of a start, pause of a snapshot, and memory of a pending decision.
//!
//! `cargo bench --bench recovery`. The slot has 20 arms and a linear model of 32 dimensions. A million decisions are
//! all pending, and a tenth of them are rewarded. The bench first writes the journal with the real encoder. Then it
//! replays the journal from its beginning with one worker and with two, freezes the state, saves it, and recovers it
//! from the snapshot and a tail of 10,000 events. Each step runs three times, and the median is printed.
//! `SLOTWISE_DECISIONS` sets a smaller number of decisions.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench: it reads the clock and prints"
)]

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    bandit::{Features, ModelSpec, Value},
    engine::{
        Body, DecideOptions, DecisionId, DecisionRecord, Event, Request, RewardEvent, State, Subject, decide, snapshot,
    },
    journal::{Journal as _, LossPolicy, SqliteJournal},
    node::{encode_event, fold, recover_state, save_snapshot},
    slot::{Arm, ArmId, ChangeReason, Definition, Goal, RewardKind, SlotId},
};

/// Time between two decisions in microseconds. A million of them span 14 hours, well within the window.
const STEP_US: i64 = 50_000;
const ARMS: usize = 20;
const START_US: i64 = 1_793_000_000_000_000;
/// Decisions per reward.
const REWARDED: u64 = 10;
/// Decisions that the engine really makes. The journal repeats these with other ids.
const MADE: usize = 4_096;
/// Events after the snapshot.
const TAIL: u64 = 10_000;
const BATCH: usize = 4_096;
const RUNS: usize = 3;

fn definition(model: ModelSpec) -> Definition {
    let arm = |i: usize| {
        let id = ArmId::parse("arm_id", &format!("arm-{i}")).unwrap();
        Arc::new(Arm {
            id,
            attributes: Features::new(),
            available: true,
            payload: None,
            because: None,
            schedule: slotwise::slot::Schedule::default(),
        })
    };
    let kind = RewardKind {
        kind: "click".into(),
        weight: 1.0,
        use_value: false,
        cap: Some(1.0),
        winsorize: None,
        role: None,
        joins: None,
    };
    let goal = Goal { kinds: vec![kind], window_us: 7 * 24 * 3_600_000_000, ..Goal::default() };
    let id = SlotId::parse("slot_id", "offers").unwrap();
    Definition { arms: (0..ARMS).map(arm).collect(), goal, model, ..Definition::new(id) }
}

/// Draws a context of three numbers and seven words of four values each: 32 dimensions with the intercept.
fn context(rng: &mut StdRng) -> Features {
    let numbers = (0..3).map(|i| (format!("number{i}"), Value::Number(rng.random_range(-2.0..2.0))));
    let mut features: Features = numbers.collect();
    features.extend((0..7).map(|i| (format!("word{i}"), Value::Text(format!("w{}", rng.random_range(0..4))))));
    features
}

fn creation(definition: &Arc<Definition>) -> Event {
    Event {
        at_us: START_US,
        body: Body::SlotCreated { definition: Arc::clone(definition), why: ChangeReason::default() },
    }
}

fn reward(slot: &SlotId, decision: DecisionId, event_id: String, at_us: i64) -> Event {
    let rewarded = RewardEvent {
        slot: slot.clone(),
        event_id,
        decision: Some(decision),
        subject: Subject::default(),
        arm: None,
        kind: "click".into(),
        value: None,
        time_us: at_us,
        reverses: None,
    };
    Event { at_us, body: Body::Rewarded(Box::new(rewarded)) }
}

/// Lets the engine decide while it learns, so that each decision records the scores of every candidate as in
/// production.
fn decisions(definition: &Arc<Definition>, rng: &mut StdRng) -> Vec<DecisionRecord> {
    let mut state = State::default();
    state.apply(&creation(definition));
    (0..MADE)
        .map(|i| {
            let at_us = START_US + i64::try_from(i).unwrap() * STEP_US;
            let view = state.slot("offers").unwrap().view();
            let options = DecideOptions::new(DecisionId::new(1, at_us, rng.random()), rng.random());
            let request = Request { context: context(rng), ..Request::new(definition.id.clone()) };
            let decided = decide(
                &view,
                request,
                DecideOptions { exposures: Some(state.slot("offers").unwrap().exposure()), ..options },
            )
            .decided;
            state.apply(&Event { at_us, body: Body::Decided(Arc::new(decided.clone())) });
            if rng.random_bool(1.0 / REWARDED as f64) {
                state.apply(&reward(&definition.id, decided.id, format!("made-{i}"), at_us));
            }
            decided
        })
        .collect()
}

/// Returns the events of a slot: its creation, then decisions, and after every tenth decision a reward of an earlier
/// one.
fn events(model: ModelSpec, count: u64) -> impl Iterator<Item = Event> {
    let definition = Arc::new(definition(model));
    let mut rng = StdRng::seed_from_u64(32);
    let slot = definition.id.clone();
    let made = decisions(&definition, &mut rng);
    let first = creation(&definition);
    let mut recent: Vec<DecisionId> = Vec::new();
    let rest = (0..count).flat_map(move |i| {
        let at_us = START_US + (i64::try_from(i).unwrap() + 1) * STEP_US;
        let id = DecisionId::new(1, at_us, rng.random());
        let decided = DecisionRecord {
            id,
            subject: Subject { id: String::new(), session_id: format!("session-{}", i / 5) },
            ..made[rng.random_range(0..MADE)].clone()
        };
        recent.push(id);
        let mut made = vec![Event { at_us, body: Body::Decided(Arc::new(decided)) }];
        if i % REWARDED == REWARDED - 1 {
            // The reward is for one of the last 1,000 decisions, which is at most 50 seconds old.
            let oldest = recent.len().saturating_sub(1_000);
            let decision = recent[rng.random_range(oldest..recent.len())];
            made.push(reward(&slot, decision, format!("event-{i}"), at_us));
        }
        made
    });
    std::iter::once(first).chain(rest)
}

fn append_all(folder: &Path, events: impl Iterator<Item = Event>) -> Duration {
    let begun = Instant::now();
    let mut journal = SqliteJournal::open(folder, LossPolicy::Refused).unwrap();
    let mut batch = Vec::with_capacity(BATCH);
    for event in events {
        batch.push(encode_event(&event));
        if batch.len() == BATCH {
            journal.append(&batch).unwrap();
            batch.clear();
        }
    }
    journal.append(&batch).unwrap();
    begun.elapsed()
}

/// Returns the resident memory of this process in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Returns the median of a few runs in seconds.
fn median(mut run: impl FnMut() -> Duration) -> f64 {
    let mut seconds: Vec<f64> = (0..RUNS).map(|_| run().as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds[RUNS / 2]
}

fn megabytes(folder: &Path, prefix: &str) -> f64 {
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let of = files.filter(|file| file.file_name().to_str().unwrap().starts_with(prefix));
    of.map(|file| file.metadata().unwrap().len()).sum::<u64>() as f64 / 1e6
}

fn main() {
    let decisions: u64 = std::env::var("SLOTWISE_DECISIONS").map_or(1_000_000, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let linear = ModelSpec::linear(None, None);
    let written = append_all(folder.path(), events(linear, decisions));
    println!("{decisions} decisions and {} rewards, linear, d = 32, {ARMS} arms", decisions / REWARDED);
    println!("| what | seconds | |\n| --- | --- | --- |");
    let journal = megabytes(folder.path(), "journal");
    println!("| written to the journal | {:.1} | {journal:.0} MB |", written.as_secs_f64());
    let before = resident();
    let state = fold(folder.path(), 1).unwrap();
    let view = state.slot("offers").unwrap().view();
    assert_eq!(view.pending as u64, decisions, "all wait");
    let (grown, counted) = ((resident() - before) as f64, view.pending_bytes as f64);
    for workers in [1, 2] {
        let seconds = median(|| {
            let begun = Instant::now();
            drop(std::hint::black_box(fold(folder.path(), workers).unwrap()));
            begun.elapsed()
        });
        println!("| recovered from the journal alone, {workers} worker(s) beside the reader | {seconds:.1} | |");
    }
    let pause = median(|| {
        let begun = Instant::now();
        let frozen = state.freeze();
        let taken = begun.elapsed();
        drop(frozen);
        taken
    });
    println!("| held still for a snapshot | {pause:.6} | |");
    let saved = median(|| {
        let begun = Instant::now();
        save_snapshot(folder.path(), &state.freeze()).unwrap();
        begun.elapsed()
    });
    println!("| snapshot written beside the traffic | {saved:.2} | {:.0} MB |", megabytes(folder.path(), "snapshot"));
    let learned = snapshot::encode(&state).unwrap();
    drop(state);
    let seconds = median(|| {
        let begun = Instant::now();
        let again = recover_state(folder.path(), None, 1).unwrap();
        let taken = begun.elapsed();
        assert!(snapshot::encode(&again).unwrap() == learned, "recovery gives the same state");
        taken
    });
    println!("| recovered from the snapshot | {seconds:.2} | |");
    let more = events(linear, decisions + TAIL).skip(usize::try_from(decisions + decisions / REWARDED + 1).unwrap());
    append_all(folder.path(), more);
    let seconds = median(|| {
        let begun = Instant::now();
        drop(std::hint::black_box(recover_state(folder.path(), None, 1).unwrap()));
        begun.elapsed()
    });
    println!("| recovered from the snapshot and a tail of {} | {seconds:.2} | |", TAIL + TAIL / REWARDED);
    println!(
        "a decision that waits: {:.0} bytes as counted, {:.0} of resident memory",
        counted / decisions as f64,
        grown / decisions as f64
    );

    let few = 20_000.min(decisions);
    let folder = tempfile::tempdir().unwrap();
    append_all(folder.path(), events(ModelSpec::default(), few));
    let state = fold(folder.path(), 1).unwrap();
    let bytes = state.slot("offers").unwrap().view().pending_bytes;
    println!("with the default portfolio (of {few}): {:.0} bytes as counted", bytes as f64 / few as f64);
}
