//! False alarms over whole lives of slots whose arms are equal, with shoppers who come back.
//!
//! A life is looked at every hundred decisions. An alarm is the status "confident", or an interval of the lift over the holdout that
//! leaves 0 out. In the long run, with `SLOTWISE_PUBLISHED_RUNS=300`, each cell has that many lives.

use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, LogNormal};
use slotwise::{
    bandit::{ModelSpec, Value},
    engine::{
        Body, Change, DecideOptions, DecisionId, Event, Request, RewardEvent, SlotStage, State, Subject, decide, hash,
        plan, report,
    },
    evaluate::tails::binomial_interval,
    slot::{Arm, ArmId, Baseline, ChangeReason, Controls, Definition, Goal, RewardKind, SlotId, Stickiness},
};

use super::runs;

const SECOND_US: i64 = 1_000_000;
const ARMS: [&str; 3] = ["a", "b", "c"];

/// Kind of lives.
#[derive(Debug, Clone, Copy)]
struct LifeKind {
    /// Decisions of one life.
    decisions: u32,
    /// Decisions of one subject.
    visits: u32,
    /// Intra-class correlation of the subjects' behaviour.
    correlation: f64,
    sticky: bool,
    /// Purchases of 3 % with log-normal values, instead of clicks of 10 %.
    money: bool,
    /// The default slot with a feature, instead of the model without context.
    default_slot: bool,
}

/// Alarms that a life ever raised.
#[derive(Debug, Clone, Copy, Default)]
struct LifeAlarms {
    confident: bool,
    lift: bool,
    has_interval: bool,
}

fn definition(kind: LifeKind, slot: &SlotId) -> Definition {
    let money = RewardKind {
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
        goal: if kind.money { Goal { kinds: vec![money], ..goal } } else { goal },
        model: match (kind.default_slot, kind.money) {
            (true, _) => ModelSpec::default(),
            (false, false) => ModelSpec::beta_bernoulli(None, None),
            (false, true) => ModelSpec::normal_inverse_gamma(None, None, None, None),
        },
        controls: Controls {
            holdout: Some(0.3),
            baseline: Some(Baseline::Uniform),
            stickiness: kind.sticky.then_some(Stickiness::For(7 * 86_400 * SECOND_US)),
            ..Controls::default()
        },
        ..Definition::new(slot.clone())
    }
}

/// Plays a life and returns what was ever said in it.
fn live(kind: LifeKind, seed: u64) -> LifeAlarms {
    let slot = SlotId::parse("slot_id", "equal").unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut state = State::default();
    let mut at_us = 1_793_000_000_000_000;
    let created = plan(&state, &slot, Change::Create(definition(kind, &slot)), &ChangeReason::default());
    state.apply(&Event { at_us, body: created.unwrap().unwrap() });
    let subjects = (kind.decisions / kind.visits).max(1);
    let rate = if kind.money { 0.03 } else { 0.1 };
    // A subject always does the same, for good or ill, with the probability of the correlation.
    let habits: Vec<Option<bool>> =
        (0..subjects).map(|_| rng.random_bool(kind.correlation).then(|| rng.random_bool(rate))).collect();
    let values = LogNormal::new(3.0, 1.0).unwrap();
    let mut alarms = LifeAlarms::default();
    for i in 0..kind.decisions {
        at_us += 10 * SECOND_US;
        let subject = rng.random_range(0..subjects);
        let mut request = Request::new(slot.clone());
        request.subject = Subject { id: format!("{seed}-{subject}"), session_id: String::new() };
        if kind.default_slot {
            request.context.insert("segment".into(), Value::Text(["new", "loyal"][subject as usize % 2].into()));
        }
        let random = hash("life", &[&seed.to_be_bytes(), &i.to_be_bytes()]);
        let decided = {
            // The view shares the state's sums, which would be copied if it were still there as they change.
            let current = state.slot("equal").unwrap();
            let view = current.view();
            let id = DecisionId::new(view.number, at_us, random.other_word());
            let exposures = Some(current.exposure());
            let options = DecideOptions { exposures, ..DecideOptions::new(id, random.word()) };
            Arc::new(decide(&view, request, options).decided)
        };
        state.apply(&Event { at_us, body: Body::Decided(Arc::clone(&decided)) });
        let pays = habits[subject as usize].unwrap_or_else(|| rng.random_bool(rate));
        if pays {
            let event = RewardEvent {
                slot: slot.clone(),
                event_id: format!("e{i}"),
                decision: Some(decided.id),
                subject: Subject::default(),
                arm: None,
                kind: if kind.money { "purchase" } else { "click" }.into(),
                value: kind.money.then(|| values.sample(&mut rng)),
                time_us: at_us,
                reverses: None,
            };
            state.apply(&Event { at_us, body: Body::Rewarded(Box::new(event)) });
        }
        if i % 100 == 99 {
            let said = report(&state.slot("equal").unwrap().view());
            alarms.confident |= said.status.stage == SlotStage::Confident;
            let interval = said.lift.and_then(|lift| lift.interval);
            alarms.has_interval |= interval.is_some();
            alarms.lift |= interval.is_some_and(|(low, high)| low > 0.0 || high < 0.0);
        }
    }
    alarms
}

/// Plays lives of a kind, and asserts that at most 5 % of them had an alarm, as far as their number tells.
fn assert_few_alarms(kind: LifeKind, lives: u64) {
    let all: Vec<LifeAlarms> = (0..lives).map(|life| live(kind, 1_000 * u64::from(kind.visits) + life)).collect();
    let count = |of: fn(&LifeAlarms) -> bool| all.iter().filter(|life| of(life)).count() as u64;
    let alarms = count(|life| life.confident || life.lift);
    let (low, high) = binomial_interval(alarms, lives, 0.025);
    println!(
        "visits {:3}, correlation {:.1}, sticky {:5}, money {:5}, default slot {:5}: alarms {:.1} % [{:.1}, {:.1}], confident {}, lift {}, with an interval {} of {lives}",
        kind.visits,
        kind.correlation,
        kind.sticky,
        kind.money,
        kind.default_slot,
        100.0 * alarms as f64 / lives as f64,
        100.0 * low,
        100.0 * high,
        count(|life| life.confident),
        count(|life| life.lift),
        count(|life| life.has_interval),
    );
    assert!(low <= 0.05, "{kind:?}: {alarms} of {lives}");
}

/// Plays lives without context. By default two cells are played, with shoppers who come back often.
fn assert_few_alarms_without_context(money: bool) {
    let lives = runs(20);
    let of = |visits, correlation, sticky| LifeKind {
        decisions: if lives >= 100 { 5_000 } else { 3_000 },
        visits,
        correlation,
        sticky,
        money,
        default_slot: false,
    };
    if lives < 100 {
        assert_few_alarms(of(30, 0.2, false), lives);
        // A sticky slot differs in what it shows, not in what its rewards are.
        if !money {
            assert_few_alarms(of(30, 0.2, true), lives);
        }
        return;
    }
    // Shoppers who come back most often come first, because they are the hardest.
    for visits in [100, 30, 10, 1] {
        for correlation in [0.2, 0.1, 0.0] {
            for sticky in [false, true] {
                assert_few_alarms(of(visits, correlation, sticky), lives);
            }
        }
    }
}

#[test]
fn equal_arms_raise_few_alarms_by_clicks_however_often_shoppers_come_back() {
    assert_few_alarms_without_context(false);
}

#[test]
fn equal_arms_raise_few_alarms_by_money_however_often_shoppers_come_back() {
    assert_few_alarms_without_context(true);
}

/// Lives of the default slot with a feature.
#[test]
fn equal_arms_of_the_default_slot_raise_few_alarms() {
    let lives = runs(6);
    let of = |visits, sticky, money| LifeKind {
        decisions: if lives >= 100 { 3_000 } else { 1_500 },
        visits,
        correlation: 0.1,
        sticky,
        money,
        default_slot: true,
    };
    assert_few_alarms(of(30, false, false), lives);
    if lives >= 100 {
        assert_few_alarms(of(1, false, false), lives);
        assert_few_alarms(of(30, true, false), lives);
        assert_few_alarms(of(30, false, true), lives);
    }
}
