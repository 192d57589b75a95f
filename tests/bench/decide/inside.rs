//! Decide inside the engine, without a service around it.

use std::{hint::black_box, sync::Arc};

use criterion::Criterion;
use slotwise::{
    bandit::{Features, ModelSpec, Value},
    engine::{
        Body, DecideOptions, DecisionId, DecisionRecord, Event, Request, RewardEvent, SlotView, State, Subject, decide,
        hash,
    },
    slot::{Arm, ArmId, ChangeReason, Definition, Effect, OnError, Rule, SlotId, SlotKind},
};

use super::served::{CANDIDATES, SHOWN, clicked, number, word};

/// Returns the view of a ranking slot with the same arms as the served one.
fn ranking_after(decisions: u32) -> SlotView {
    let id = SlotId::parse("slot_id", "search").expect("an id");
    let mut definition = Definition { kind: SlotKind::Ranking, ..Definition::new(id.clone()) };
    let arm = |c: usize| Arm::new(ArmId::parse("arm_id", &format!("product-{c:04}")).expect("an id"));
    definition.arms = (0..CANDIDATES).map(|c| Arc::new(arm(c))).collect();
    view_after(definition, decisions)
}

/// Returns the view of a slot that has learned from `decisions` decisions.
fn view_after(definition: Definition, decisions: u32) -> SlotView {
    let id = definition.id.clone();
    let mut state = State::default();
    let apply = |state: &mut State, at_us, body| {
        state.apply(&Event { at_us, body });
    };
    apply(&mut state, 0, Body::SlotCreated { definition: Arc::new(definition), why: ChangeReason::default() });
    for i in 0..decisions {
        let view = state.slot("search").expect("made").view();
        let decided = Arc::new(decide_number(&view, i, SHOWN));
        apply(&mut state, i64::from(i), Body::Decided(Arc::clone(&decided)));
        let number =
            |arm: &ArmId| arm.as_str().rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number");
        for chosen in decided.chosen.iter().filter(|chosen| clicked(i, number(&chosen.arm))) {
            let event = RewardEvent {
                slot: id.clone(),
                event_id: format!("{i}-{}", chosen.arm),
                decision: Some(decided.id),
                subject: Subject::default(),
                arm: Some(chosen.arm.clone()),
                kind: "click".into(),
                value: None,
                time_us: 0,
                reverses: None,
            };
            apply(&mut state, i64::from(i), Body::Rewarded(Box::new(event)));
        }
    }
    state.slot("search").expect("made").view()
}

fn engine_request(i: u32, count: u32) -> Request {
    let mut context = Features::new();
    for n in 0..6 {
        context.insert(format!("number{n}"), Value::Number(number(i, n)));
        context.insert(format!("text{n}"), Value::Text(format!("word{}", word(i, n))));
    }
    Request { context, count, ..Request::new(SlotId::parse("slot_id", "search").expect("an id")) }
}

fn decide_number(view: &SlotView, i: u32, count: u32) -> DecisionRecord {
    let options = DecideOptions::new(
        DecisionId::new(view.number, i64::from(i), u64::from(i)),
        hash("bench", &[&i.to_be_bytes()]).word(),
    );
    decide(view, engine_request(i, count), options).decided
}

pub(crate) fn measure_decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine: decide, linear, 20 arms, 12 features");
    for (name, decisions) in [("fresh", 0), ("after 20,000 decisions", 20_000)] {
        let view = ranking_after(decisions);
        for shown in [1, SHOWN] {
            group.bench_function(format!("{name}, {shown} shown"), |bencher| {
                let mut i = 0_u32;
                bencher.iter(|| {
                    i += 1;
                    decide_number(&view, i, shown)
                });
            });
        }
    }
    group.bench_function("of which making the request", |bencher| bencher.iter(|| engine_request(black_box(7), SHOWN)));
    group.finish();
}

/// Returns twenty rules of the kinds that people write. Most read the arm or the request alone; some compare the two.
fn rules() -> Vec<Rule> {
    let rule = |n: usize, when: &str, effect| Rule {
        name: format!("rule {n}"),
        when: when.into(),
        effect,
        on_error: OnError::Ignore,
        paused: false,
    };
    let boost = || Effect::Boost { factor: 1.1 };
    let share = || Effect::ProbabilityBounds { floor: Some(0.01), ceiling: None };
    let conditions = [
        ("arm.brand == 'b3'", boost()),
        ("arm.price > 40.0 && context.text0 == 'word1'", boost()),
        ("arm.discount > 0.2 && context.text1 == 'word0'", boost()),
        ("context.text2 == 'word2' && arm.category in ['c1', 'c2']", boost()),
        ("arm.brand.startsWith('b')", Effect::Boost { factor: 0.9 }),
        ("arm.sale", share()),
        ("context.number0 > 3.0 && arm.sale", share()),
        ("arm.stock < 3.0", Effect::Exclude),
        ("arm.brand == 'b9' && context.text3 != 'word1'", Effect::Exclude),
        ("context.text4 == 'nothing'", Effect::Exclude),
        ("has(context.vip) && arm.price < 5.0", Effect::Exclude),
        ("arm.price > context.number1 * 50.0", boost()),
        ("arm.price < context.number2", boost()),
        ("context.text5 == 'word0' || arm.discount > 0.4", boost()),
        ("arm.id == 'product-0007'", Effect::ProbabilityBounds { floor: None, ceiling: Some(0.6) }),
        ("subject.id == 'somebody' && arm.sale", Effect::Exclude),
        ("arm.category == 'c4' && context.number3 >= 1.0", boost()),
        ("arm.price >= 10.0 && arm.price <= 30.0", boost()),
        ("!(context.text0 == 'word2') && arm.brand == 'b1'", boost()),
        ("arm.discount > 0.3 && context.text0 == 'word0'", Effect::MaxMoves { positions: 15 }),
    ];
    conditions.into_iter().enumerate().map(|(n, (when, effect))| rule(n, when, effect)).collect()
}

fn attributes(c: u32) -> Features {
    [
        ("brand".to_owned(), Value::Text(format!("b{}", c % 10))),
        ("category".to_owned(), Value::Text(format!("c{}", c % 5))),
        ("price".to_owned(), Value::Number(f64::from(3 + 4 * c))),
        ("discount".to_owned(), Value::Number(f64::from(c % 6) / 10.0)),
        ("stock".to_owned(), Value::Number(f64::from(3 + c % 4))),
        ("sale".to_owned(), Value::Flag(c.is_multiple_of(3))),
    ]
    .into()
}

/// Measures the cost of twenty rules for a cheap model and for the default.
pub(crate) fn measure_rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine: decide, 20 arms, 12 features, one shown");
    for (name, model) in [("beta", ModelSpec::beta_bernoulli(None, None)), ("portfolio", ModelSpec::default())] {
        for (with, rules) in [("no rules", Vec::new()), ("20 rules", rules())] {
            let mut definition = Definition::new(SlotId::parse("slot_id", "search").expect("an id"));
            let arm = |c: u32| Arm {
                attributes: attributes(c),
                ..Arm::new(ArmId::parse("arm_id", &format!("product-{c:04}")).expect("an id"))
            };
            definition.arms = (0..20).map(|c| Arc::new(arm(c))).collect();
            (definition.model, definition.rules) = (model, rules);
            definition.check().expect("holds together");
            let view = view_after(definition, 5_000);
            group.bench_function(format!("{name}, {with}"), |bencher| {
                let mut i = 0_u32;
                bencher.iter(|| {
                    i += 1;
                    decide_number(&view, i, 1)
                });
            });
        }
    }
    group.finish();
}
