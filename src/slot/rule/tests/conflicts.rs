//! Conflicts of rules, found when the rules are set.

use std::sync::Arc;

use expect_test::expect;

use super::{arm, features, rule, text};
use crate::{
    bandit::Value,
    slot::{
        Arm, Controls, FieldError,
        limits::RULES_MAX,
        rule::{Effect, OnError, Rule, RuleBook, check_rules},
    },
};

fn arms() -> Vec<Arc<Arm>> {
    let brands = ["acme", "acme", "bolt", "core"];
    (1..)
        .zip(brands)
        .map(|(i, brand)| {
            arm(&format!("a{i}"), features([("brand", text(brand)), ("price", Value::Number(f64::from(10 * i)))]))
        })
        .collect()
}

fn named(name: &str, when: &str, effect: Effect) -> Rule {
    Rule { name: name.into(), effect, ..rule(when) }
}

fn floor(floor: f64) -> Controls {
    Controls { floor: Some(floor), ..Controls::default() }
}

fn check(rules: &[Rule]) -> Result<(), FieldError> {
    check_rules(rules, &arms(), false, &floor(0.0))
}

fn refused(rules: &[Rule]) -> String {
    check(rules).unwrap_err().to_string()
}

const PIN: Effect = Effect::Pin { position: 1 };

#[test]
fn rules_are_counted_and_named_apart() {
    let rules: Vec<_> = (0..=RULES_MAX).map(|i| named(&i.to_string(), "context.vip", Effect::Exclude)).collect();
    assert_eq!(check(&rules[1..]), Ok(()));
    assert_eq!(check(&rules).unwrap_err().field, "rules");
    let twice = [named("a", "context.vip", Effect::Exclude), named("a", "context.new", PIN)];
    expect!["rules[1].name: 'a' is the name of rules[0] too; choose another"].assert_eq(&refused(&twice));
    let bad = [named("a", "context.vip", Effect::Exclude), named("b", "ctx.new", PIN)];
    expect!["rules[1].when: line 1, column 1: 'ctx' is not known; a rule reads context, subject and arm; did you mean 'context'?"].assert_eq(&refused(&bad));
}

#[test]
fn two_pins_on_one_position_are_refused_where_both_would_apply() {
    for (a, b) in
        [("", ""), ("context.vip", " context.vip"), ("arm.brand == 'acme'", "arm.price > 30"), ("", "arm.id == 'a1'")]
    {
        let error = check(&[named("first", a, PIN), named("second", b, PIN)]).unwrap_err();
        assert_eq!(error.field, "rules[1].pin.position", "{a} {b}");
        assert!(error.message.contains("'first' (rules[0])"), "{error}");
    }
    for (a, b) in [("context.vip", "!context.vip"), ("", "context.vip"), ("arm.brand == 'acme'", "arm.price > 300")] {
        assert_eq!(check(&[named("first", a, PIN), named("second", b, PIN)]), Ok(()), "{a} {b}");
    }
    let paused = Rule { paused: true, ..named("first", "", PIN) };
    assert_eq!(check(&[paused, named("second", "", PIN)]), Ok(()));
    assert_eq!(check(&[named("first", "", PIN), named("second", "", Effect::Pin { position: 2 })]), Ok(()));
}

fn share(name: &str, when: &str, floor: Option<f64>, ceiling: Option<f64>) -> Rule {
    named(name, when, Effect::ProbabilityBounds { floor, ceiling })
}

#[test]
fn floors_that_sum_to_more_than_one_are_refused() {
    expect!["rules[1].bounds.floor: with 'acme' (rules[0]), 'bolt' (rules[1]) the floors of the arms come to 1.1000, above 1; lower them"].assert_eq(&refused(&[
        share("acme", "arm.brand == 'acme'", Some(0.4), None),
        share("bolt", "arm.brand == 'bolt'", Some(0.3), None),
    ]));
    let fit =
        [share("acme", "arm.brand == 'acme'", Some(0.4), None), share("bolt", "arm.brand == 'bolt'", Some(0.2), None)];
    assert_eq!(check(&fit), Ok(()));
    // The greater of two floors counts, not their sum.
    let nested = [share("all", "", Some(0.25), None), share("acme", "arm.price > 0", Some(0.25), None)];
    assert_eq!(check(&nested), Ok(()));
    let sometimes = [share("a", "context.vip", Some(0.25), None), share("b", "context.new", Some(0.25), None)];
    assert_eq!(check(&sometimes), Ok(()));
    expect!["rules[1].bounds.floor: with the floors of the other arms they come to 1.1000, above 1; lower one"]
        .assert_eq(&check_rules(&fit, &arms(), false, &floor(0.1)).unwrap_err().to_string());
    assert_eq!(check_rules(&[], &arms(), false, &floor(0.9)), Ok(()));
}

#[test]
fn a_floor_above_a_ceiling_is_refused() {
    expect![
        "rules[0].bounds.floor: is 0.5, but 'cap' (rules[1]) allows 'a1' 0.4 at most; lower one or raise the other"
    ]
    .assert_eq(&refused(&[
        share("push", "arm.id == 'a1'", Some(0.5), None),
        share("cap", "arm.brand == 'acme'", None, Some(0.4)),
    ]));
    let apart =
        [share("push", "arm.id == 'a3'", Some(0.5), None), share("cap", "arm.brand == 'acme'", None, Some(0.4))];
    assert_eq!(check(&apart), Ok(()));
}

#[test]
fn rules_that_leave_nothing_to_show_are_refused() {
    let cheap = named("cheap", "arm.price <= 20", Effect::Exclude);
    let dear = named("dear", "arm.price > 20", Effect::Exclude);
    assert_eq!(check(std::slice::from_ref(&cheap)), Ok(()));
    let both = [cheap, dear];
    expect![
        "rules[1].when: 'cheap' (rules[0]), 'dear' (rules[1]) leave no arm of the slot to show; narrow or pause one"
    ]
    .assert_eq(&refused(&both));
    assert_eq!(check_rules(&both, &arms(), true, &floor(0.0)), Ok(()));
    assert_eq!(check_rules(&[named("all", "", Effect::Exclude)], &[], false, &floor(0.0)), Ok(()));
    assert_eq!(check(&[named("all", "", Effect::Exclude)]).unwrap_err().field, "rules[0].when");
    assert_eq!(check(&[named("some", "context.vip", Effect::Exclude)]), Ok(()));
    // Stock comes with the request's candidates.
    assert_eq!(check(&[named("stock", "!has(arm.stock) || arm.stock == 0", Effect::Exclude)]), Ok(()));
    let broken = Rule { on_error: OnError::Exclude, ..named("broken", "arm.brand > 5", Effect::Boost { factor: 2.0 }) };
    assert_eq!(check(&[broken]).unwrap_err().field, "rules[0].when");
}

#[test]
fn a_pin_of_an_arm_that_another_rule_excludes_is_refused() {
    expect!["rules[1].when: the rule pins arms to position 1 that 'no acme' (rules[0]) excludes; narrow or pause one"]
        .assert_eq(&refused(&[
            named("no acme", "arm.brand == 'acme'", Effect::Exclude),
            named("top", "arm.id == 'a1'", PIN),
        ]));
    let left = [named("no a1", "arm.id == 'a1'", Effect::Exclude), named("top", "arm.brand == 'acme'", PIN)];
    assert_eq!(check(&left), Ok(()));
}

#[test]
fn probably_unintended_rules_cause_warnings() {
    let quota = Effect::Quota { attribute: "colour".into(), top: 10, min_values: Some(3), max_per_value: None };
    let rules = [
        named("late", "context.vip", Effect::Pin { position: 4 }),
        named("colours", "context.vip", quota.clone()),
        named("typo", "arm.brand == 'akme'", Effect::Exclude),
        Rule { paused: true, ..named("paused", "arm.brand == 'akme'", quota) },
    ];
    expect![[r"
        Rule 'late' pins position 4, but a decision shows 3 unless the request asks for more.
        Rule 'colours' counts values of 'colour', which no arm of the slot has; only a request's candidates can bring it.
        Rule 'typo' matches no arm of the slot."]].assert_eq(&RuleBook::new(&rules, &arms()).warnings(3).join("\n"));
    assert_eq!(RuleBook::new(&rules[..1], &arms()).warnings(4), Vec::<String>::new());
}

#[test]
fn floors_that_apply_together_whenever_a_condition_holds_must_leave_room() {
    let least = |min| Effect::ProbabilityBounds { floor: Some(min), ceiling: None };
    let everyone = [named("all", "context.country == 'DE'", least(0.3))];
    expect!["rules[0].bounds.floor: with 'all' (rules[0]) the floors of the arms come to 1.2000, above 1; lower them"]
        .assert_eq(&refused(&everyone));
    assert_eq!(check(&[named("all", "context.country == 'DE'", least(0.25))]), Ok(()));

    // Two arms with 0.3 each and one with 0.5, where the second rule's condition implies the first one's.
    let acme = named("acme", "context.vip && arm.brand == 'acme'", least(0.3));
    let bolt = |condition: &str, min| named("bolt", &format!("{condition} && arm.brand == 'bolt'"), least(min));
    for condition in ["context.vip", "context.vip && subject.id == 'ann'"] {
        let both = [acme.clone(), bolt(condition, 0.5)];
        assert_eq!(check(&both).unwrap_err().field, "rules[1].bounds.floor", "{condition}");
        assert_eq!(check(&[acme.clone(), bolt(condition, 0.4)]), Ok(()), "{condition}");
    }
    // Conditions that need not hold together are left to the preview, and so are those on both arm and request.
    assert_eq!(check(&[acme.clone(), bolt("context.new", 0.5)]), Ok(()));
    assert_eq!(check(&[acme.clone(), named("dear", "arm.price > context.budget", least(0.5))]), Ok(()));
    // A rule without a condition applies in all of these requests too.
    assert_eq!(check(&[acme, named("a3", "arm.id == 'a3'", least(0.5))]).unwrap_err().field, "rules[1].bounds.floor");
    let ceiling = Effect::ProbabilityBounds { floor: None, ceiling: Some(0.2) };
    let crossed = [named("most", "context.vip", ceiling), named("least", "context.vip && arm.id == 'a1'", least(0.25))];
    assert!(refused(&crossed).contains("allows 'a1' 0.2 at most"), "{}", refused(&crossed));
}
