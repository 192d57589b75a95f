//! One decision, repeated: its frequencies are the logged propensities.

use std::{collections::BTreeMap, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::StandardNormal;
use slotwise::{
    bandit::{Features, LinearSpec, Link, ModelSpec, Policy, Value},
    engine::{
        Body, DecideOptions, Decision, DecisionId, Event, Explanation, Reason, Request, RewardEvent, SlotView, State,
        Subject, decide, hash,
    },
    slot::{Arm, ArmId, ChangeReason, Definition, SlotId},
};
use statrs::distribution::{ChiSquared, ContinuousCDF as _};

const ARMS: usize = 8;
const FLOOR: f64 = 0.02;
const DRAWS: usize = 1_000_000;

fn slot_id() -> SlotId {
    SlotId::parse("slot_id", "offers").unwrap()
}

fn context(hour: f64, device: &str) -> Features {
    [("hour".to_owned(), Value::Number(hour)), ("device".to_owned(), Value::Text(device.to_owned()))].into()
}

fn decide_number(view: &SlotView, count: u64, hour: f64, explain: bool) -> Decision {
    let request = Request { context: context(hour, "web"), explain, ..Request::new(slot_id()) };
    let options =
        DecideOptions::new(DecisionId::new(view.number, 0, count), hash("test", &[&count.to_be_bytes()]).word());
    decide(view, request, options)
}

/// Returns a slot of eight arms that has learned for a while from rewards that depend on arm and context.
fn view_of_learned_slot(model: ModelSpec, policy: Policy) -> SlotView {
    let mut definition = Definition::new(slot_id());
    definition.model = model;
    definition.controls.policy = Some(policy);
    definition.controls.floor = Some(FLOOR);
    let arm = |i: usize| Arm {
        id: ArmId::parse("arm_id", &format!("arm{i}")).unwrap(),
        attributes: Features::new(),
        available: true,
        payload: None,
        because: None,
        schedule: slotwise::slot::Schedule::default(),
    };
    definition.arms = (0..ARMS).map(|i| Arc::new(arm(i))).collect();
    let mut state = State::default();
    let mut at_us = 0;
    let mut apply = |state: &mut State, body| {
        at_us += 1_000;
        state.apply(&Event { at_us, body });
    };
    apply(&mut state, Body::SlotCreated { definition: Arc::new(definition), why: ChangeReason::default() });
    let mut rng = StdRng::seed_from_u64(51);
    for i in 0..400_u64 {
        let view = state.slot("offers").unwrap().view();
        let hour = f64::from(u32::try_from(i % 24).unwrap());
        let decided = Arc::new(decide_number(&view, i, hour, false).decided);
        apply(&mut state, Body::Decided(Arc::clone(&decided)));
        let arm: f64 = decided.chosen[0].arm.as_str()[3..].parse().unwrap();
        if rng.random_bool(0.2 + 0.03 * arm + 0.01 * hour) {
            let event = RewardEvent {
                slot: slot_id(),
                event_id: format!("e{i}"),
                decision: Some(decided.id),
                subject: Subject::default(),
                arm: None,
                kind: "click".into(),
                value: None,
                time_us: 0,
                reverses: None,
            };
            apply(&mut state, Body::Rewarded(Box::new(event)));
        }
    }
    state.slot("offers").unwrap().view()
}

/// Compares frequencies with the logged propensities; returns the p-value of Pearson's chi-squared test.
fn p_value(observed: &[u64; ARMS], probability: &[f64; ARMS]) -> f64 {
    let total: u64 = observed.iter().sum();
    let statistic: f64 = observed
        .iter()
        .zip(probability)
        .map(|(&n, p)| (n as f64 - total as f64 * p).powi(2) / (total as f64 * p))
        .sum();
    ChiSquared::new((ARMS - 1) as f64).unwrap().sf(statistic)
}

/// Repeats one decision. Returns how often each arm came and its logged propensity.
fn repeat_decision(view: &SlotView, times: u64) -> ([u64; ARMS], [f64; ARMS]) {
    let (mut observed, mut logged) = ([0; ARMS], [f64::NAN; ARMS]);
    for i in 0..times {
        let decided = decide_number(view, 1_000_000 + i, 13.0, false).decided;
        let chosen = &decided.chosen[0];
        let arm: usize = chosen.arm.as_str()[3..].parse().unwrap();
        observed[arm] += 1;
        assert!(
            logged[arm].is_nan() || logged[arm].to_bits() == chosen.propensity.to_bits(),
            "the propensity of an arm is the same each time"
        );
        logged[arm] = chosen.propensity;
    }
    (observed, logged)
}

fn assert_frequencies_match(model: ModelSpec, policy: Policy, times: u64) {
    let view = view_of_learned_slot(model, policy);
    let (observed, logged) = repeat_decision(&view, times);
    assert!((logged.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{logged:?}");
    assert!(logged.iter().all(|&p| p >= FLOOR), "{logged:?}");
    assert!(
        logged.iter().any(|&p| p > 0.2) && logged.iter().any(|&p| p < 0.1),
        "the probabilities differ enough for a test: {logged:?}"
    );
    // The seed is fixed. A fresh one would fail once in a thousand runs.
    let p = p_value(&observed, &logged);
    println!("{}, {}: {times} decisions, chi-squared p = {p:.4}, logged {logged:.4?}", model.name(), policy.name());
    assert!(p > 0.001, "p = {p}: {observed:?} against {logged:?}");
}

/// Decisions of each slot: as many as `SLOTWISE_DRAWS` says.
fn times() -> u64 {
    std::env::var("SLOTWISE_DRAWS").map_or(150_000, |times| times.parse().unwrap())
}

/// The default slot decides many times, and a linear model's probabilities are compared with brute force: one
/// optimistic draw per arm around the mean of the explanation, N(mean + ½·std, (0.8·std)²), where the largest wins, and
/// the floor by its formula. With m draws a frequency is off by at most 0.5/√m. Five of those over 8 arms are one false alarm in
/// 200,000.
#[test]
fn decisions_draw_arms_as_often_as_they_say() {
    assert_frequencies_match(ModelSpec::default(), Policy::default(), times());
    let linear = ModelSpec::Linear(LinearSpec { link: Some(Link::Identity), ..LinearSpec::default() });
    let view = view_of_learned_slot(linear, Policy::default());
    let candidates = decide_number(&view, 0, 13.0, true).explanation.unwrap().candidates;
    let mut rng = StdRng::seed_from_u64(52);
    let mut wins = [0_u32; ARMS];
    for _ in 0..DRAWS {
        let scores = candidates.iter().map(|c| c.mean + c.std * (0.5 + 0.8 * rng.sample::<f64, _>(StandardNormal)));
        let best = scores.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
        wins[best] += 1;
    }
    for (candidate, wins) in candidates.iter().zip(wins) {
        let brute = FLOOR + (1.0 - ARMS as f64 * FLOOR) * f64::from(wins) / DRAWS as f64;
        let tolerance = 5.0 * 0.5 / (DRAWS as f64).sqrt();
        assert!((candidate.propensity - brute).abs() < tolerance, "{candidate:?} against {brute}");
    }
}

#[test]
fn models_without_features_draw_as_often_as_they_say() {
    assert_frequencies_match(ModelSpec::beta_bernoulli(None, None), Policy::default(), times());
    assert_frequencies_match(ModelSpec::normal_inverse_gamma(None, None, None, None), Policy::default(), times());
}

#[test]
fn other_policies_draw_as_often_as_they_say() {
    assert_frequencies_match(ModelSpec::default(), Policy::EpsilonGreedy { epsilon: 0.3 }, times());
    assert_frequencies_match(ModelSpec::default(), Policy::SquareCb { gamma: 50.0 }, times());
}

/// A policy that needs no scores still has the floor, an explanation and a best guess. The first arm has the
/// probability that the floors of the other seven leave.
#[test]
fn a_policy_has_floor_and_explanation_like_any_other() {
    let view = view_of_learned_slot(ModelSpec::default(), Policy::FixedOrder);
    let decision = decide_number(&view, 0, 13.0, true);
    let explanation = decision.explanation.unwrap();
    for (i, candidate) in explanation.candidates.iter().enumerate() {
        let want = if i == 0 { 1.0 - 7.0 * FLOOR } else { FLOOR };
        assert!((candidate.propensity - want).abs() < 1e-12, "{i}: {candidate:?}");
        assert!(candidate.std > 0.0, "every candidate has a score: {candidate:?}");
    }
    let best = (1..ARMS)
        .fold(0, |best, i| if candidate_mean(&explanation, i) > candidate_mean(&explanation, best) { i } else { best });
    let mut seen = BTreeMap::new();
    for i in 0..2_000 {
        let Decision { decided, explanation, .. } = decide_number(&view, i, 13.0, true);
        let arm: usize = decided.chosen[0].arm.as_str()[3..].parse().unwrap();
        let reason = decided.chosen[0].reason;
        assert_eq!(reason == Reason::BestGuess, arm == best, "{decided:?}");
        assert_eq!(decided.exploring(), arm != best);
        seen.insert(format!("{reason:?}"), explanation.unwrap().summary);
    }
    assert_eq!(seen.len(), 3, "there are three reasons, the policy, the best guess and the floor: {seen:?}");
    assert!(seen["Exploring"].contains("drawn by the policy fixed_order"), "{seen:?}");
}

fn candidate_mean(explanation: &Explanation, i: usize) -> f64 {
    explanation.candidates[i].mean
}
