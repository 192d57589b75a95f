//! Differences name each changed field by its path, and no other field.

use super::*;
use crate::{
    bandit::{Features, ModelSpec, Policy, Value},
    slot::{
        Approval, ArmId, Baseline, Effect, ExplorationPreset, Mode, OnError, ProbabilityBounds, Rule, Schedule, SlotId,
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

/// Returns each difference as a line.
fn lines(before: &Definition, after: &Definition) -> Vec<String> {
    let line = |FieldDifference { path, before, after }| format!("{path}: {before} -> {after}");
    differences(before, after).into_iter().map(line).collect()
}

#[track_caller]
fn check(edit: impl Fn(&mut Definition), want: &[&str]) {
    let before = definition(&["a", "b"]);
    let mut after = before.clone();
    edit(&mut after);
    assert_eq!(lines(&before, &after), want);
    // The opposite change has the same paths.
    let paths = |lines: Vec<String>| {
        let mut paths: Vec<String> = lines.iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(lines(&after, &before)), paths(want.iter().map(|&line| line.to_owned()).collect()));
}

#[test]
fn a_difference_has_the_name_of_its_field_in_the_api() {
    check(|_| {}, &[]);
    check(|d| d.display_name = "Offers".into(), &["display_name:  -> Offers"]);
    check(|d| d.goal.window_us = 3_600_000_000, &["goal.window: 1day -> 1h"]);
    check(|d| d.controls.floor = Some(0.25), &["controls.floor:  -> 0.25"]);
    let approval = |changes: &[&str]| {
        let changes = changes.iter().map(|&name| name.to_owned()).collect();
        Some(Approval { changes, draft_lifetime_us: None })
    };
    check(|d| d.controls.approval = approval(&["goal", "reset"]), &["controls.approval.changes:  -> goal, reset"]);
    check(|d| d.controls.approval = approval(&[]), &["controls.approval.changes:  -> every change"]);
    check(|d| d.controls.preset = Some(ExplorationPreset::EvenSplit), &["controls.exploration_preset:  -> even_split"]);
    check(|d| d.controls.mode = Some(Mode::Test(0.2)), &["controls.mode:  -> test, share 0.2"]);
    check(|d| d.controls.baseline = Some(Baseline::Arm(arm_id("b"))), &["controls.baseline:  -> arm_id b"]);
    check(|d| d.controls.subject_limit = Some(9), &["controls.subject_limit:  -> 9"]);
    check(|d| d.controls.stickiness = Some(Stickiness::For(60_000_000)), &["controls.stickiness:  -> for 1m"]);
    check(
        |d| d.controls.policy = Some(Policy::SquareCb { gamma: 2.5 }),
        &["controls.policy:  -> square_cb, gamma 2.5"],
    );
    let share = ProbabilityBounds { floor: Some(0.1), ceiling: None };
    check(|d| d.controls.arm_bounds = [(arm_id("a"), share)].into(), &["controls.arm_bounds[\"a\"].floor:  -> 0.1"]);
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
fn rules_are_compared_by_name_and_their_order_is_a_difference() {
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
    assert_eq!(lines(&before, &after), ["rules[\"b\"].pin.position: 2 -> 3", "rules: a, b -> b, a"]);
}

#[test]
fn arms_are_compared_by_id() {
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
fn a_change_of_many_arms_is_given_as_counts() {
    let ids: Vec<String> = (0..1_000).map(|i| format!("arm{i}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let before = definition(&ids);
    let mut after = definition(&ids[10..]);
    after.arms.push(arm("fresh"));
    for arm in &mut after.arms[..100] {
        Arc::make_mut(arm).available = false;
    }
    assert_eq!(lines(&before, &after), ["arms: 1000 arms -> 991 arms: 100 changed, 1 added, 10 removed"]);
}

#[test]
fn values_that_differ_after_the_cut_are_a_difference() {
    let long = |end: &str| format!("{}{end}", "x".repeat(300));
    let mut before = definition(&["a"]);
    Arc::make_mut(&mut before.arms[0]).attributes.insert("text".into(), Value::Text(long("a")));
    let mut after = before.clone();
    Arc::make_mut(&mut after.arms[0]).attributes.insert("text".into(), Value::Text(long("b")));
    let found = differences(&before, &after);
    assert_eq!(found.len(), 1);
    assert!(found[0].after.ends_with('…') && found[0].after.chars().count() == VALUE_MAX + 1, "{found:?}");
}

/// Every field has a line, so different definitions never look alike.
#[test]
fn every_two_different_definitions_have_a_difference() {
    let examples = examples();
    for a in &examples {
        for b in &examples {
            assert_eq!(differences(a, b).is_empty(), a == b, "{a:?}\n{b:?}");
        }
    }
}
