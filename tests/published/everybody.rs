//! Coverage of the figures "if everybody got it": the 95 % interval holds the truth in 95 of 100 slots, wherever it is
//! shown.
//!
//! Three segments want different arms, so the policy shows each arm to other shoppers, and the mean where an arm was
//! shown is not what it would earn if everybody got it. The truth is the mean over the segments, which follows from the
//! table of rates alone. In the long run, with `SLOTWISE_PUBLISHED_RUNS=300`, each cell has that many slots of
//! 50,000 decisions; with 100 to 299 they have 10,000.

use std::{fmt, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, LogNormal};
use slotwise::{
    bandit::{ModelSpec, Policy, Value},
    engine::{
        Body, Change, DecideOptions, DecisionId, Event, IfEverybody, Request, RewardEvent, State, Subject, decide,
        hash, plan, report,
    },
    evaluate::tails::binomial_interval,
    slot::{Arm, ArmId, ChangeReason, Controls, Definition, Goal, RewardKind, SlotId},
};

use super::runs;

const SECOND_US: i64 = 1_000_000;
const ARMS: [&str; 3] = ["a", "b", "c"];
const SEGMENTS: [&str; 3] = ["new", "loyal", "idle"];

/// Click rates by segment and arm.
const CLICK_RATES: [[f64; 3]; 3] = [[0.04, 0.10, 0.06], [0.16, 0.08, 0.10], [0.05, 0.05, 0.03]];
/// Purchase rates by segment and arm, and the mean value of a purchase by arm.
const PURCHASE_RATES: [[f64; 3]; 3] = [[0.04, 0.08, 0.05], [0.10, 0.05, 0.07], [0.03, 0.04, 0.03]];
const PURCHASE_VALUES: [f64; 3] = [30.0, 25.0, 35.0];
/// Standard deviation of the logarithm of a purchase's value.
const VALUE_SPREAD: f64 = 0.8;

/// Slots whose figures are judged, by what they have in common.
#[derive(Debug, Clone, Copy)]
struct JudgedSlot {
    policy: Policy,
    floor: f64,
    money: bool,
    /// The portfolio of a new slot, instead of one linear model.
    default_model: bool,
}

impl fmt::Display for JudgedSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, floor, money, default_model } = self;
        let rewards = if *money { "money" } else { "clicks" };
        let model = if *default_model { "portfolio" } else { "linear" };
        write!(f, "{rewards:6}, {:17}, floor {floor:.2}, {model}", policy.name())
    }
}

/// Figures of a kind of slots after a number of decisions.
#[derive(Debug, Clone, Copy, Default)]
struct FigureCounts {
    shown: u64,
    covered: u64,
}

/// Returns what the arms would earn if everybody got them.
fn truths(money: bool) -> [f64; 3] {
    std::array::from_fn(|arm| {
        let mean = |rates: &[[f64; 3]; 3]| rates.iter().map(|rates| rates[arm]).sum::<f64>() / 3.0;
        if money { mean(&PURCHASE_RATES) * PURCHASE_VALUES[arm] } else { mean(&CLICK_RATES) }
    })
}

fn definition(kind: JudgedSlot, slot: &SlotId) -> Definition {
    let purchase = RewardKind {
        kind: "purchase".into(),
        weight: 1.0,
        use_value: true,
        cap: None,
        winsorize: None,
        role: None,
        joins: None,
    };
    let goal = Goal { window_us: 60 * SECOND_US, grace_period_us: Some(0), ..Goal::default() };
    Definition {
        arms: ARMS.iter().map(|id| Arc::new(Arm::new(ArmId::parse("arm_id", id).unwrap()))).collect(),
        goal: if kind.money { Goal { kinds: vec![purchase], ..goal } } else { goal },
        model: if kind.default_model { ModelSpec::default() } else { ModelSpec::linear(None, None) },
        controls: Controls {
            holdout: Some(0.0),
            policy: Some(kind.policy),
            floor: Some(kind.floor),
            ..Controls::default()
        },
        ..Definition::new(slot.clone())
    }
}

/// Plays a slot and returns, for each of the numbers of decisions in `looks`, whether each arm's interval holds the
/// truth, or `None` for an arm whose figure is withheld.
fn play(kind: JudgedSlot, seed: u64, looks: &[u32]) -> Vec<[Option<bool>; 3]> {
    let slot = SlotId::parse("slot_id", "shop").unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut state = State::default();
    let mut at_us = 1_793_000_000_000_000;
    let created = plan(&state, &slot, Change::Create(definition(kind, &slot)), &ChangeReason::default());
    state.apply(&Event { at_us, body: created.unwrap().unwrap() });
    let truths = truths(kind.money);
    let rates = if kind.money { PURCHASE_RATES } else { CLICK_RATES };
    // The mean of exp(σz) is exp(σ²/2).
    let values =
        PURCHASE_VALUES.map(|mean| LogNormal::new(mean.ln() - VALUE_SPREAD * VALUE_SPREAD / 2.0, VALUE_SPREAD));
    let values = values.map(Result::unwrap);
    let mut judged = Vec::new();
    for i in 1..=looks.iter().copied().max().unwrap_or(0) {
        at_us += 10 * SECOND_US;
        let segment = rng.random_range(0..3);
        let mut request = Request::new(slot.clone());
        request.subject = Subject { id: format!("{seed}-{i}"), session_id: String::new() };
        request.context.insert("segment".into(), Value::Text(SEGMENTS[segment].into()));
        let random = hash("coverage", &[&seed.to_be_bytes(), &i.to_be_bytes()]);
        let decided = {
            // The view shares the state's sums, which would be copied if it were still there as they change.
            let view = state.slot("shop").unwrap().view();
            let id = DecisionId::new(view.number, at_us, random.other_word());
            Arc::new(decide(&view, request, DecideOptions::new(id, random.word())).decided)
        };
        state.apply(&Event { at_us, body: Body::Decided(Arc::clone(&decided)) });
        let arm = ARMS.iter().position(|arm| *arm == decided.chosen[0].arm.as_str()).unwrap();
        if rng.random_bool(rates[segment][arm]) {
            let event = RewardEvent {
                slot: slot.clone(),
                event_id: format!("e{i}"),
                decision: Some(decided.id),
                subject: Subject::default(),
                arm: None,
                kind: if kind.money { "purchase" } else { "click" }.into(),
                value: kind.money.then(|| values[arm].sample(&mut rng)),
                time_us: at_us,
                reverses: None,
            };
            state.apply(&Event { at_us, body: Body::Rewarded(Box::new(event)) });
        }
        if looks.contains(&i) {
            let figures = report(&state.slot("shop").unwrap().view()).arms;
            judged.push(std::array::from_fn(|arm| match figures[arm].if_everybody {
                IfEverybody::Known { low, high, .. } => Some(low <= truths[arm] && truths[arm] <= high),
                IfEverybody::Withheld(_) => None,
            }));
        }
    }
    judged
}

/// Plays slots of a kind, and asserts that their intervals hold the truth at least as often as `least` says, as far as
/// their number tells.
fn assert_covers(kind: JudgedSlot, looks: &[u32], slots: u64, least: f64) {
    let mut counts = vec![FigureCounts::default(); looks.len()];
    for slot in 0..slots {
        for (count, arms) in counts.iter_mut().zip(play(kind, 5_000 + slot, looks)) {
            count.shown += arms.iter().flatten().count() as u64;
            count.covered += arms.iter().flatten().filter(|covered| **covered).count() as u64;
        }
    }
    for (look, FigureCounts { shown, covered }) in looks.iter().zip(counts) {
        let (low, high) = binomial_interval(covered, shown.max(1), 0.025);
        println!(
            "{kind}, after {look:6} decisions: shown {:.0} %, covered {:.1} % [{:.1}, {:.1}] of {shown}",
            100.0 * shown as f64 / (3 * slots) as f64,
            100.0 * covered as f64 / shown.max(1) as f64,
            100.0 * low,
            100.0 * high,
        );
        assert!(shown == 0 || high >= least, "{kind}, after {look} decisions: {covered} of {shown}");
    }
}

/// The least coverage that is allowed, where a figure is shown.
const COVERED_MIN: f64 = 0.93;

#[test]
fn figures_if_everybody_got_it_hold_the_truth() {
    let slots = runs(12);
    let long = slots >= 100;
    let looks: &[u32] = match slots {
        ..100 => &[1_000, 4_000],
        100..300 => &[1_000, 10_000],
        300.. => &[1_000, 10_000, 50_000],
    };
    for money in [false, true] {
        // The default of γ is for rewards within [0, 1].
        let gamma = if money { Policy::GAMMA / 25.0 } else { Policy::GAMMA };
        for policy in [Policy::ThompsonSampling, Policy::square_cb(Some(gamma))] {
            for floor in [0.0, 0.01, 0.05] {
                let kind = JudgedSlot { policy, floor, money, default_model: false };
                // One cell of each kind of reward is played by default.
                if long || (floor > 0.02 && policy == Policy::ThompsonSampling) {
                    assert_covers(kind, looks, slots, COVERED_MIN);
                }
            }
        }
    }
}

/// The portfolio of a new slot, whose figures follow from the scores of several models.
#[test]
fn figures_of_the_default_model_hold_the_truth() {
    let slots = runs(4);
    let long = slots >= 100;
    let looks: &[u32] = if long { &[1_000, 10_000] } else { &[1_000] };
    for money in [false, true] {
        let kind = JudgedSlot { policy: Policy::ThompsonSampling, floor: 0.02, money, default_model: true };
        assert_covers(kind, looks, slots, COVERED_MIN);
    }
}
