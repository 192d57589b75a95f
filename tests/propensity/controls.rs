//! Random slots with every combination of controls and rules: a million decisions, compared with their frequencies.

use std::{collections::BTreeMap, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    bandit::{Features, LinearSpec, ModelSpec, Policy, Sharing, Value},
    engine::{
        Body, DecideOptions, DecisionId, DecisionRecord, Event, Request, RequestCandidate, RewardEvent, SlotView,
        State, Subject, decide, hash,
    },
    slot::{
        Arm, ArmId, Baseline, ChangeReason, Comparand, Controls, Definition, Effect, ExplorationPreset, HeadStart,
        Mode, OnError, ProbabilityBounds, Rule, SlotId, WarmUp,
    },
};

/// Number of random slots. With [`DECISIONS`] of each they make a million decisions.
const SLOTS: u64 = 224;
const DECISIONS: u64 = 4_500;

/// Largest accepted deviation of a comparison, in standard errors. All comparisons together (224 slots with at most
/// some two hundred each) raise a false alarm in fewer than one run in 500.
const DEVIATIONS_MAX: f64 = 5.5;

fn slot_id() -> SlotId {
    SlotId::parse("slot_id", "offers").unwrap()
}

fn arm_id(i: usize) -> ArmId {
    ArmId::parse("arm_id", &format!("arm{i}")).unwrap()
}

fn with_probability<T>(rng: &mut StdRng, p: f64, some: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    rng.random_bool(p).then(|| some(rng))
}

fn rules(rng: &mut StdRng, arms: usize) -> Vec<Rule> {
    let conditions = [
        "arm.price > 3.0",
        "arm.brand == 'x'",
        "context.loyalty == 'gold' && arm.brand != 'y'",
        "context.loyalty == 'silver'",
        "arm.price < context.budget",
        "has(arm.sale) && arm.sale",
        "",
    ];
    let count = rng.random_range(0..5);
    (0..count)
        .map(|n| {
            let when = conditions[rng.random_range(0..conditions.len())];
            let effect = match rng.random_range(0..8) {
                0 => Effect::Exclude,
                1 => Effect::Evidence {
                    confidence: rng.random_range(0.5..0.9),
                    than: if rng.random_bool(0.5) {
                        Comparand::Others
                    } else {
                        Comparand::Reward(rng.random_range(0.1..0.5))
                    },
                },
                2 => Effect::Pin { position: rng.random_range(1..4) },
                3 => Effect::Boost { factor: rng.random_range(0.3..2.0) },
                4 => Effect::ProbabilityBounds {
                    floor: with_probability(rng, 0.7, |rng| rng.random_range(0.0..0.9 / arms as f64)),
                    ceiling: with_probability(rng, 0.7, |rng| rng.random_range(0.3..1.0)),
                },
                5 => Effect::Quota {
                    attribute: "brand".into(),
                    top: rng.random_range(2..5),
                    min_values: Some(rng.random_range(1..3)),
                    max_per_value: with_probability(rng, 0.5, |rng| rng.random_range(1..3)),
                },
                6 => Effect::MaxMoves { positions: rng.random_range(0..3) },
                _ => Effect::Boost { factor: rng.random_range(0.8..1.2) },
            };
            // The rule excludes one arm only, because a slot without arms has nothing to compare.
            let when = if matches!(effect, Effect::Exclude) { "arm.id == 'arm0'" } else { when };
            let on_error = if rng.random_bool(0.5) { OnError::Ignore } else { OnError::Exclude };
            Rule { name: format!("rule {n}"), when: when.into(), effect, on_error, paused: rng.random_bool(0.1) }
        })
        .collect()
}

fn controls(rng: &mut StdRng, arms: usize) -> Controls {
    let preset = with_probability(rng, 0.3, |rng| {
        [
            ExplorationPreset::Cautious,
            ExplorationPreset::Balanced,
            ExplorationPreset::Curious,
            ExplorationPreset::EvenSplit,
        ][rng.random_range(0..4)]
    });
    let policies = [
        Policy::ThompsonSampling,
        Policy::ThompsonSampling,
        Policy::epsilon_greedy(Some(0.3)),
        Policy::square_cb(Some(20.0)),
        Policy::Greedy,
        Policy::FixedOrder,
    ];
    let floor = with_probability(rng, 0.5, |rng| rng.random_range(0.0..1.2 / arms as f64).min(1.0));
    let ceiling = with_probability(rng, 0.4, |rng| rng.random_range(0.3..1.0));
    Controls {
        exploration: if preset.is_none() { with_probability(rng, 0.5, |rng| rng.random_range(0.0..2.0)) } else { None },
        preset,
        floor: floor.map(|floor| floor.min(ceiling.unwrap_or(1.0))),
        ceiling,
        policy: with_probability(rng, 0.6, |rng| policies[rng.random_range(0..policies.len())]),
        arm_bounds: if rng.random_bool(0.3) {
            let share = ProbabilityBounds { floor: Some(rng.random_range(0.0..0.3)), ceiling: Some(1.0) };
            [(arm_id(rng.random_range(0..arms)), share)].into()
        } else {
            BTreeMap::new()
        },
        warm_up: with_probability(rng, 0.1, |_| WarmUp { views: 1_000_000, rewards: 0, patience: None }),
        head_start: with_probability(rng, 0.3, |rng| HeadStart {
            views: rng.random_range(1..60),
            floor: rng.random_range(0.0..0.3),
            limit: rng.random_range(0.0..0.6),
        }),
        mode: with_probability(rng, 0.3, |rng| {
            [Mode::On, Mode::Shadow, Mode::Test(rng.random_range(0.3..0.9))][rng.random_range(0..3)]
        }),
        baseline: with_probability(rng, 0.6, |rng| {
            [Baseline::CallersOrder, Baseline::Arm(arm_id(arms - 1)), Baseline::Uniform][rng.random_range(0..3)].clone()
        }),
        holdout: Some(if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.05..0.5) }),
        analysis: with_probability(rng, 0.3, |rng| rng.random_range(0.0..1.0)),
        ..Controls::default()
    }
}

/// Returns a slot with random arms, controls and rules that has learned for a while.
fn random_slot(rng: &mut StdRng) -> (SlotView, Request) {
    let arms = rng.random_range(2..8);
    let arm = |i: usize, rng: &mut StdRng| {
        let mut attributes: Features = [
            ("price".to_owned(), Value::Number(rng.random_range(1.0..6.0))),
            ("brand".to_owned(), Value::Text(["x", "y", "z"][rng.random_range(0..3)].into())),
        ]
        .into();
        if rng.random_bool(0.5) {
            attributes.insert("sale".into(), Value::Flag(rng.random_bool(0.5)));
        }
        Arc::new(Arm { attributes, available: i == 0 || rng.random_bool(0.95), ..Arm::new(arm_id(i)) })
    };
    let linear = |sharing| ModelSpec::Linear(LinearSpec { sharing, ..LinearSpec::default() });
    let models = [
        ModelSpec::beta_bernoulli(None, None),
        ModelSpec::beta_bernoulli(None, None),
        ModelSpec::normal_inverse_gamma(None, None, None, None),
        linear(Some(Sharing::Disjoint)),
        linear(Some(Sharing::Shared)),
        ModelSpec::default(),
    ];
    let definition = loop {
        let definition = Definition {
            arms: (0..arms).map(|i| arm(i, rng)).collect(),
            model: models[rng.random_range(0..models.len())],
            controls: controls(rng, arms),
            rules: rules(rng, arms),
            ..Definition::new(slot_id())
        };
        // A random definition may contradict itself, and is then drawn again.
        if definition.check().is_ok() {
            break definition;
        }
    };
    let context: Features = [
        ("loyalty".to_owned(), Value::Text(["gold", "silver"][rng.random_range(0..2)].into())),
        ("budget".to_owned(), Value::Number(rng.random_range(1.0..6.0))),
    ]
    .into();
    let mut request = Request { context, count: rng.random_range(1..5), ..Request::new(slot_id()) };
    if rng.random_bool(0.3) {
        let candidate = |i: usize| RequestCandidate { arm: arm_id(i), features: Features::new() };
        request.candidates = (0..arms).rev().map(candidate).collect();
    }
    let mut state = State::default();
    let mut at_us = 0;
    let mut apply = |state: &mut State, body| {
        at_us += 1_000;
        state.apply(&Event { at_us, body });
    };
    apply(&mut state, Body::SlotCreated { definition: Arc::new(definition), why: ChangeReason::default() });
    for i in 0..rng.random_range(20..120_u64) {
        let view = state.slot("offers").unwrap().view();
        let decided = Arc::new(decide_number(&view, request.clone(), 1 << 40 | i));
        apply(&mut state, Body::Decided(Arc::clone(&decided)));
        let rewarded: Vec<ArmId> =
            decided.chosen.iter().filter(|_| rng.random_bool(0.35)).map(|chosen| chosen.arm.clone()).collect();
        for arm in rewarded {
            let event = RewardEvent {
                slot: slot_id(),
                event_id: format!("{i}-{arm}"),
                decision: Some(decided.id),
                subject: Subject::default(),
                arm: Some(arm),
                kind: "click".into(),
                value: None,
                time_us: 0,
                reverses: None,
            };
            apply(&mut state, Body::Rewarded(Box::new(event)));
        }
    }
    (state.slot("offers").unwrap().view(), request)
}

fn decide_number(view: &SlotView, request: Request, count: u64) -> DecisionRecord {
    let options =
        DecideOptions::new(DecisionId::new(view.number, 0, count), hash("test", &[&count.to_be_bytes()]).word());
    decide(view, request, options).decided
}

/// Showings of one arm at one position, below the same arms above it.
#[derive(Debug, Default, Clone, Copy)]
struct ArmFrequency {
    times: u64,
    /// Logged propensity of the latest showing. It is the same each time, unless draws are joint.
    propensity: f64,
}

/// The condition of a position, within which its draws have one distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct PositionCondition {
    holdout: bool,
    /// The slate was only recorded in shadow mode, and another one was shown.
    shadow: bool,
    above: Vec<ArmId>,
}

/// Decisions under one condition, and how often each arm came.
#[derive(Debug, Default)]
struct PositionDraws {
    decisions: u64,
    arms: BTreeMap<ArmId, ArmFrequency>,
}

/// Compares, for every position of every slate and given the arms above it, how often each arm came with its logged
/// propensity. Returns the number of comparisons.
fn compare_frequencies(slot: u64) -> usize {
    let mut rng = StdRng::seed_from_u64(slot);
    let (view, request) = random_slot(&mut rng);
    // A joint draw computes new propensities for each decision, so they differ from one decision to the next.
    let drawn_jointly = view.learner.weights().any(|(name, _)| name.starts_with("shared"))
        || matches!(view.definition.model, ModelSpec::Linear(LinearSpec { sharing: Some(Sharing::Shared), .. }));
    let mut places = BTreeMap::<PositionCondition, PositionDraws>::new();
    // Showings at the first position in excess of the expectation, and the variance of that excess.
    let mut first = BTreeMap::<(bool, u32), (f64, f64)>::new();
    for n in 0..DECISIONS {
        let decided = decide_number(&view, request.clone(), n);
        for (shadow, chosen) in [(false, &decided.chosen), (true, &decided.shadow_slate)] {
            let mut above = Vec::new();
            for chosen in chosen {
                assert!(chosen.propensity > 0.0 && chosen.propensity <= 1.0 + 1e-12, "{slot}: {chosen:?}");
                let condition = PositionCondition { holdout: decided.holdout, shadow, above: above.clone() };
                let draws = places.entry(condition).or_default();
                draws.decisions += 1;
                let seen = draws.arms.entry(chosen.arm.clone()).or_default();
                let same = seen.times == 0 || seen.propensity.to_bits() == chosen.propensity.to_bits();
                assert!(same || drawn_jointly, "{slot}: {chosen:?} below {above:?} was {}", seen.propensity);
                *seen = ArmFrequency { times: seen.times + 1, propensity: chosen.propensity };
                above.push(chosen.arm.clone());
            }
        }
        let leads = if decided.shadow_slate.is_empty() { &decided.chosen } else { &decided.shadow_slate };
        let place_of = |i: u32| match request.candidates.get(i as usize) {
            Some(candidate) => &candidate.arm,
            None => &view.definition.arms[i as usize].id,
        };
        let mut total = 0.0;
        for scored in &decided.scored {
            let p = f64::from(scored.propensity);
            let came = f64::from(u8::from(leads.first().is_some_and(|c| c.arm == *place_of(scored.candidate))));
            let cell = first.entry((decided.holdout, scored.candidate)).or_default();
            *cell = (cell.0 + came - p, cell.1 + p * (1.0 - p));
            total += p;
        }
        assert!(decided.scored.is_empty() || (total - 1.0).abs() < 1e-5, "{slot}: {:?}", decided.scored);
    }
    let mut comparisons = 0;
    for ((holdout, arm), (more, variance)) in first {
        comparisons += 1;
        assert!(
            more.abs() <= DEVIATIONS_MAX * variance.sqrt() + 1e-3 * DECISIONS as f64 * 1e-4 + 0.5,
            "{slot}: {holdout} {arm} {more} {variance}"
        );
    }
    if drawn_jointly {
        return comparisons;
    }
    for (condition, draws) in places {
        let all: f64 = draws.arms.values().map(|seen| seen.propensity).sum();
        assert!(all <= 1.0 + 1e-9, "{slot}: {draws:?} under {condition:?} add up to {all}");
        for (arm, seen) in &draws.arms {
            let (n, p) = (draws.decisions as f64, seen.propensity);
            let error = (n * p * (1.0 - p)).sqrt();
            comparisons += 1;
            // The count of a rare arm is not normal, so three showings more or less are always allowed.
            let far = (seen.times as f64 - n * p).abs() - 3.0;
            assert!(far <= DEVIATIONS_MAX * error, "{slot}: {arm} under {condition:?}: {} of {n}, {p}", seen.times);
        }
    }
    comparisons
}

#[test]
fn propensities_are_exact_through_any_combination_of_controls() {
    let half = |first: u64| (first..SLOTS).step_by(2).map(compare_frequencies).sum::<usize>();
    let comparisons: usize = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        half(0) + other.join().unwrap()
    });
    println!("{SLOTS} slots, {} decisions, {comparisons} comparisons", SLOTS * DECISIONS);
    assert!(comparisons > 1_000);
}
