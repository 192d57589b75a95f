//! What differs is told by path, and nothing else is.

use super::*;
use crate::{
    bandit::{Features, ModelSpec, Policy, Value},
    slot::{
        ArmId, Baseline, Effect, ExplorationPreset, Mode, OnError, ProbabilityBounds, Rule, Schedule, SlotId,
        Stickiness, Unavailable, WarmUp, examples,
    },
};

fn arm_id(id: &str) -> ArmId {
    ArmId::parse("arm_id", id).unwrap()
}

fn arm(id: &str) -> Arc<Arm> {
    Arc::new(Arm {
        id: arm_id(id),
        attributes: Features::new(),
        available: true,
        payload: None,
        because: None,
        schedule: Schedule::default(),
    })
}

fn definition(arms: &[&str]) -> Definition {
    let id = SlotId::parse("slot_id", "offers").unwrap();
    Definition { arms: arms.iter().map(|id| arm(id)).collect(), ..Definition::new(id) }
}

/// Each difference as a line.
fn told(before: &Definition, after: &Definition) -> Vec<String> {
    let line = |Difference { path, before, after }| format!("{path}: {before} -> {after}");
    differences(before, after).into_iter().map(line).collect()
}

#[track_caller]
fn check(edit: impl Fn(&mut Definition), want: &[&str]) {
    let before = definition(&["a", "b"]);
    let mut after = before.clone();
    edit(&mut after);
    assert_eq!(told(&before, &after), want);
    // And the other way round, by the same paths.
    let paths = |lines: Vec<String>| {
        let mut paths: Vec<String> = lines.iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(told(&after, &before)), paths(want.iter().map(|&line| line.to_owned()).collect()));
}

#[test]
fn a_field_is_told_by_the_name_that_the_contract_gives_it() {
    check(|_| {}, &[]);
    check(|d| d.display_name = "Offers".into(), &["display_name:  -> Offers"]);
    check(|d| d.goal.window_us = 3_600_000_000, &["goal.window: 1day -> 1h"]);
    check(|d| d.controls.floor = Some(0.25), &["controls.floor:  -> 0.25"]);
    check(|d| d.controls.preset = Some(ExplorationPreset::EvenSplit), &["controls.exploration_stop:  -> even_split"]);
    check(|d| d.controls.mode = Some(Mode::Test(0.2)), &["controls.mode:  -> test, share 0.2"]);
    check(|d| d.controls.baseline = Some(Baseline::Arm(arm_id("b"))), &["controls.baseline:  -> arm_id b"]);
    check(|d| d.controls.stickiness = Some(Stickiness::For(60_000_000)), &["controls.stickiness:  -> for 1m"]);
    check(
        |d| d.controls.policy = Some(Policy::SquareCb { gamma: 2.5 }),
        &["controls.policy:  -> square_cb, gamma 2.5"],
    );
    let share = ProbabilityBounds { floor: Some(0.1), ceiling: None };
    check(|d| d.controls.arm_bounds = [(arm_id("a"), share)].into(), &["controls.arm_shares[\"a\"].floor:  -> 0.1"]);
    check(
        |d| d.controls.warm_up = Some(WarmUp { views: 9, rewards: 2, patience: None }),
        &["controls.warm_up.views:  -> 9", "controls.warm_up.rewards:  -> 2"],
    );
    check(
        |d| d.model = ModelSpec::beta_bernoulli(None, Some(3.0)),
        &[
            "model.portfolio.dimension_budget: 256 -> ",
            "model.beta_bernoulli.prior_a:  -> 1",
            "model.portfolio.compute_budget: 4000000 -> ",
            "model.beta_bernoulli.prior_b:  -> 3",
            "model.portfolio.detect_changes: true -> ",
        ],
    );
}

#[test]
fn rules_go_by_their_names_and_their_order_is_told() {
    let rule = |name: &str, effect| Rule {
        name: name.into(),
        when: "context.gold".into(),
        effect,
        on_error: OnError::Ignore,
        paused: false,
    };
    check(
        |d| d.rules.push(rule("no gifts", Effect::Pin { position: 2 })),
        &[
            "rules[\"no gifts\"].when:  -> context.gold",
            "rules[\"no gifts\"].pin.position:  -> 2",
            "rules[\"no gifts\"].on_error:  -> ignore",
            "rules[\"no gifts\"].paused:  -> false",
        ],
    );
    let mut before = definition(&[]);
    before.rules = vec![rule("a", Effect::Exclude), rule("b", Effect::Pin { position: 2 })];
    let mut after = before.clone();
    after.rules.reverse();
    after.rules[0].effect = Effect::Pin { position: 3 };
    assert_eq!(told(&before, &after), ["rules[\"b\"].pin.position: 2 -> 3", "rules: a, b -> b, a"]);
}

#[test]
fn arms_go_by_their_ids() {
    check(
        |d| {
            let arm = Arc::make_mut(&mut d.arms[1]);
            (arm.available, arm.because) = (false, Some(Unavailable::OutOfStock));
            arm.schedule.until_us = Some(1_000_000);
            arm.attributes.insert("price".into(), Value::Number(2.5));
        },
        &[
            "arms[\"b\"].attributes[\"price\"]:  -> 2.5",
            "arms[\"b\"].available: true -> false",
            "arms[\"b\"].unavailable_because:  -> out_of_stock",
            "arms[\"b\"].schedule.until:  -> 1970-01-01T00:00:01.000000Z",
        ],
    );
    check(|d| d.arms.push(arm("c")), &["arms[\"c\"]:  -> available"]);
    check(|d| d.arms.swap(0, 1), &["arms: a, b -> b, a"]);
    check(|d| drop(d.arms.remove(0)), &["arms[\"a\"]: available -> "]);
}

#[test]
fn many_arms_are_told_by_their_number() {
    let ids: Vec<String> = (0..1_000).map(|i| format!("arm{i}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let before = definition(&ids);
    let mut after = definition(&ids[10..]);
    after.arms.push(arm("fresh"));
    for arm in &mut after.arms[..100] {
        Arc::make_mut(arm).available = false;
    }
    assert_eq!(told(&before, &after), ["arms: 1000 arms -> 991 arms: 100 changed, 1 added, 10 removed"]);
}

#[test]
fn what_differs_beyond_what_is_told_of_a_value_differs_all_the_same() {
    let long = |end: &str| format!("{}{end}", "x".repeat(300));
    let mut before = definition(&["a"]);
    Arc::make_mut(&mut before.arms[0]).attributes.insert("text".into(), Value::Text(long("a")));
    let mut after = before.clone();
    Arc::make_mut(&mut after.arms[0]).attributes.insert("text".into(), Value::Text(long("b")));
    let found = differences(&before, &after);
    assert_eq!(found.len(), 1);
    assert!(found[0].after.ends_with('…') && found[0].after.chars().count() == VALUE_MAX + 1, "{found:?}");
}

/// Definitions that are not the same never look the same: every field has its line.
#[test]
fn no_two_different_definitions_are_without_a_difference() {
    let examples = examples();
    for a in &examples {
        for b in &examples {
            assert_eq!(differences(a, b).is_empty(), a == b, "{a:?}\n{b:?}");
        }
    }
}

#[test]
fn lines_are_those_of_the_old_code() {
    let sorted = |lines: Vec<(String, String)>| {
        let mut lines = lines;
        lines.sort();
        lines
    };
    for d in examples() {
        let new = Lines::from_definition(&d);
        let old = old_lines::Lines::of(&d);
        let own = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
        assert_eq!(sorted(new.iter().map(own).collect()), sorted(old.iter().map(own).collect()), "{d:?}");
        for arm in &d.arms {
            let (new, old) = (Lines::from_arm(arm), old_lines::arm_lines(arm));
            assert_eq!(sorted(new.iter().map(own).collect()), sorted(old.iter().map(own).collect()));
        }
    }
}
proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]
    #[test]
    fn odd_lines_are_those_of_the_old_code(ids in crate::slot::any_ids(), text in crate::slot::any_text()) {
        let d = crate::slot::odd_definition(&ids, &text);
        let sorted = |lines: Vec<(String, String)>| { let mut lines = lines; lines.sort(); lines };
        let own = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
        let (new, old) = (Lines::from_definition(&d), old_lines::Lines::of(&d));
        assert_eq!(sorted(new.iter().map(own).collect()), sorted(old.iter().map(own).collect()), "{d:?}");
        for arm in &d.arms {
            let (new, old) = (Lines::from_arm(arm), old_lines::arm_lines(arm));
            assert_eq!(sorted(new.iter().map(own).collect()), sorted(old.iter().map(own).collect()));
        }
    }
}
