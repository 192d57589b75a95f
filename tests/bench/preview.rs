//! Time that a preview takes.
//!
//! `cargo bench --bench preview`. The slot has ten arms and has learned from 5,000 decisions. It is previewed with
//! 10,000 past decisions whose contexts of three numbers and three words all differ, by one thread and by one per core,
//! as the service does. One change shares its scores with the present slot (a floor); another does not (a different
//! width for the Beta posteriors).
#![allow(
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench: its counts are small"
)]

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use criterion::Criterion;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    bandit::{Features, ModelSpec, Value},
    engine::{
        Body, Change, DecideOptions, DecisionId, DecisionRecord, Event, Previewer, Request, RewardEvent, SlotView,
        State, Subject, decide, hash, plan,
    },
    slot::{Arm, ArmId, ChangeReason, Controls, Definition, Goal, RewardKind, SlotId},
};

const ARMS: usize = 10;
const LEARNED: u64 = 5_000;
const PREVIEWED: u64 = 10_000;

fn slot_id() -> SlotId {
    SlotId::parse("slot_id", "offers").unwrap()
}

fn context(rng: &mut StdRng) -> Features {
    let numbers = (0..3).map(|i| (format!("number{i}"), Value::Number(rng.random_range(-2.0..2.0))));
    let mut features: Features = numbers.collect();
    features.extend((0..3).map(|i| (format!("word{i}"), Value::Text(format!("w{}", rng.random_range(0..4))))));
    features
}

type DecisionHistory = Vec<(i64, Arc<DecisionRecord>)>;

/// Returns a slot that has learned, and its past decisions.
fn learned_slot(model: ModelSpec) -> (State, DecisionHistory) {
    let arm = |i: usize| Arc::new(Arm::new(ArmId::parse("arm_id", &format!("arm-{i}")).unwrap()));
    let kind = RewardKind {
        kind: "click".into(),
        weight: 1.0,
        use_value: false,
        cap: Some(1.0),
        winsorize: None,
        role: None,
        joins: None,
    };
    let goal = Goal { kinds: vec![kind], ..Goal::default() };
    let controls = Controls { holdout: Some(0.1), ..Controls::default() };
    let definition =
        Definition { arms: (0..ARMS).map(arm).collect(), goal, model, controls, ..Definition::new(slot_id()) };
    let (mut state, mut rng, mut past) = (State::default(), StdRng::seed_from_u64(5), DecisionHistory::new());
    let made = Body::SlotCreated { definition: Arc::new(definition), why: ChangeReason::default() };
    state.apply(&Event { at_us: 0, body: made });
    let mut view = state.slot("offers").unwrap().view();
    for i in 0..LEARNED + PREVIEWED {
        let at_us = i64::try_from(i).unwrap() * 1_000_000;
        let subject = Subject { id: format!("s{}", i % 3_000), session_id: String::new() };
        let request = Request { context: context(&mut rng), subject, ..Request::new(slot_id()) };
        let random = hash("bench", &[&i.to_be_bytes()]);
        let id = DecisionId::new(view.number, at_us, random.other_word());
        let options = DecideOptions::new(id, random.word());
        let decided = Arc::new(decide(&view, request, options).decided);
        if i >= LEARNED {
            past.push((at_us, decided));
            continue;
        }
        state.apply(&Event { at_us, body: Body::Decided(Arc::clone(&decided)) });
        let rate = 0.1 + 0.03 * f64::from(decided.chosen[0].arm.as_str().as_bytes()[4] - b'0');
        if rng.random_bool(rate) {
            let event = RewardEvent {
                slot: slot_id(),
                event_id: format!("e{i}"),
                decision: Some(id),
                subject: Subject::default(),
                arm: None,
                kind: "click".into(),
                value: None,
                time_us: at_us,
                reverses: None,
            };
            state.apply(&Event { at_us, body: Body::Rewarded(Box::new(event)) });
        }
        view = state.slot("offers").unwrap().view();
    }
    (state, past)
}

fn changed_view(state: &State, edit: impl FnOnce(&mut Controls)) -> SlotView {
    let mut definition = (**state.slot("offers").unwrap().definition()).clone();
    edit(&mut definition.controls);
    let change = Change::Update { definition, revision: 0 };
    let body = plan(state, &slot_id(), change, &ChangeReason::default()).unwrap().unwrap();
    let mut only = state.only(&slot_id());
    only.apply(&Event { at_us: state.at_us(), body });
    only.slot("offers").unwrap().view()
}

/// Runs the preview on several threads, as the node does.
fn preview_by_threads(previewer: &Previewer<'_>, threads: usize) -> f64 {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= previewer.parts() {
                return done;
            }
            done.push((part, previewer.part(part)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap());
        }
        done
    });
    done.sort_by_key(|(part, _)| *part);
    previewer.finish(done.into_iter().map(|(_, tally)| tally).collect()).expected_reward.after.value
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("preview by 10,000 past decisions, 10 arms, 6 features");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(8));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for (name, model) in [("portfolio", ModelSpec::default()), ("beta", ModelSpec::beta_bernoulli(None, None))] {
        let (state, past) = learned_slot(model);
        let before = state.slot("offers").unwrap().view();
        let weights: Vec<String> = before.learner.weights().map(|(name, w)| format!("{name} {w:.2}")).collect();
        println!("{name}: {}", weights.join(", "));
        let floor = changed_view(&state, |controls| controls.floor = Some(0.02));
        let width = changed_view(&state, |controls| controls.exploration = Some(0.5));
        for (change, after) in [("floor", &floor), ("width", &width)] {
            for threads in if cores > 1 { vec![1, cores] } else { vec![1] } {
                group.bench_function(format!("{name}, {change}, {threads} threads"), |bencher| {
                    bencher.iter(|| {
                        let previewer = Previewer::new(&before, after, &past, black_box(0));
                        preview_by_threads(&previewer, threads)
                    });
                });
            }
        }
    }
    group.finish();
    criterion.final_summary();
}
