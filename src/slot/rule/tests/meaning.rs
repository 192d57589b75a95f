//! Meanings of conditions, derived by hand.

use super::{arm, features, rule, text, words};
use crate::{
    bandit::{Features, Value},
    slot::rule::{RequestFacts, Rule, RuleBook, RuleTarget, Verdict},
};

fn context() -> Features {
    features([
        ("loyalty", text("gold")),
        ("basket", Value::Number(49.5)),
        ("visits", Value::Number(3.0)),
        ("vip", Value::Flag(true)),
        ("tags", words(&["shoes", "sale", "men"])),
        ("none", words(&[])),
        ("vector", Value::Vector(vec![0.5, 2.0])),
        ("page-type", text("home")),
        ("größe", text("Ä")),
    ])
}

fn attributes() -> Features {
    features([
        ("discount", Value::Number(0.25)),
        ("price", Value::Number(40.0)),
        ("brand", text("acme")),
        ("tags", words(&["sale", "new"])),
        ("needs", text("loyalty")),
    ])
}

fn verdict(when: &str) -> Verdict {
    let rule = rule(when);
    assert_eq!(rule.check(), Ok(()), "{when}");
    let arms = [arm("a1", attributes())];
    let book = RuleBook::new(&[rule], &arms);
    let facts = RequestFacts { context: &context(), subject_id: "s-1", session_id: "" };
    book.judge(&facts, &[RuleTarget { arm: &arms[0].id, position: Some(0), own: None }]).verdict(0, 0)
}

proptest::proptest! {
    // A hundred would parse for seconds.
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_arm_s_id_in_a_condition_is_that_arm_s(ids in crate::slot::any_ids()) {
        let arms: Vec<_> = ids.iter().map(|id| arm(id, Features::new())).collect();
        let literal = serde_json::to_string(&ids[0]).unwrap();
        for when in [format!("arm.id == {literal}"), format!("arm.id in [{literal}]")] {
            let rule = rule(&when);
            assert_eq!(rule.check(), Ok(()), "{when}");
            let book = RuleBook::new(&[rule], &arms);
            let facts = RequestFacts { context: &context(), subject_id: &ids[0], session_id: &ids[1] };
            for (i, arm) in arms.iter().enumerate() {
                let target = RuleTarget { arm: &arm.id, position: Some(i), own: None };
                let want = if i == 0 { Verdict::Yes } else { Verdict::No };
                assert_eq!(book.judge(&facts, &[target]).verdict(0, 0), want, "{when} of {}", arm.id);
            }
        }
    }
}

#[track_caller]
fn check(want: Verdict, conditions: &[&str]) {
    for when in conditions {
        assert_eq!(verdict(when), want, "{when}");
    }
}

#[test]
fn an_empty_condition_always_holds() {
    check(Verdict::Yes, &["", "  \n", "true"]);
    check(Verdict::No, &["false"]);
}

#[test]
fn conditions_hold_as_marketers_expect() {
    check(
        Verdict::Yes,
        &[
            "context.loyalty == 'gold'",
            "context.loyalty == \"gold\" && arm.discount > 0.2",
            "context.vip",
            "!(context.loyalty in ['silver', 'bronze'])",
            "arm.id == 'a1' && subject.id == 's-1'",
            "'sale' in arm.tags && 'sale' in context.tags",
            "context.basket > arm.price",
            "arm.price * (1 - arm.discount) < 31",
            "arm.brand.startsWith('ac') && arm.brand.endsWith('me') && arm.brand.contains('cm')",
            "context.tags.exists(tag, tag in arm.tags)",
            "context.tags.all(tag, size(tag) >= 3)",
            "context.tags.exists_one(tag, tag.startsWith('s') && tag.endsWith('e'))",
            "context.tags.filter(tag, tag.startsWith('s')) == ['shoes', 'sale']",
            "size(context.tags.map(tag, tag + '!')) == 3 && context.tags.map(t, t + '!')[1] == 'sale!'",
            "context['page-type'] == 'home' && context[\"größe\"] == 'Ä'",
            "'page-type' in context && !('other' in context)",
            "arm.needs in context && context[arm.needs] == 'gold'",
            "context.visits > 5 ? false : arm.price < 50",
            "// the new season\ncontext.vip",
        ],
    );
    check(
        Verdict::No,
        &[
            "context.loyalty == 'Gold'",
            "context.loyalty != 'gold'",
            "!context.vip",
            "arm.id in []",
            "context.none == context.tags",
        ],
    );
}

#[test]
fn whole_literals_are_compared_and_computed_with_features() {
    check(
        Verdict::Yes,
        &[
            "arm.price > 10",
            "arm.price == 40",
            "arm.price in [30, 40]",
            "arm.price + 2 == 42",
            "100 - arm.price * 2 == 20",
            "arm.price / 3 > 13.3",
            "-arm.price < -39",
            "context.visits % 2 == 1",
            "size(context.tags) + arm.price == 43",
            "context.vector[0] == 0.5 && context.vector[1] == 2",
            "context.tags[size(context.tags) - 1] == 'men'",
            "10 / 4 == 2 && 10 / 4.0 == 2.5 && size(context.tags) / 2 == 1",
            "double('2.5') == 2.5 && int(arm.discount * 10) == 2 && int('7') == 7",
            "0x1F == 31 && 5u == 5",
        ],
    );
}

#[test]
fn missing_values_and_values_of_a_wrong_type_fail() {
    check(
        Verdict::Failed,
        &[
            "context.unknown == 'x'",
            "arm.unknown > 1",
            "subject.session_id == ''",
            "context.loyalty > 5",
            "context.loyalty + 1 == 2",
            "context.basket",
            "context.basket.startsWith('4')",
            "context.tags[3] == 'x'",
            "context.tags[-1] == 'x'",
            "context.vector[0.5] == 2.0",
            "context.visits % 0 == 1",
            "1 / 0 == 1",
            "size(context.vip) == 1",
            "'x' in context.loyalty",
            "context.none[0] == 'x'",
            "double(context.loyalty) > 1",
            "context[arm.brand] == 1",
            "context[arm.price] == 1",
            "int(arm.price * 1e300) == 1",
        ],
    );
    check(
        Verdict::Yes,
        &[
            "!has(context.unknown) && has(context.loyalty) && !has(subject.session_id)",
            "has(arm.price) && has(arm.id) && !has(arm.unknown)",
            "context.loyalty != 5",
            "arm.price / 0 > 1",
        ],
    );
}

#[test]
fn one_side_of_and_and_or_decides_whatever_the_other_does() {
    check(
        Verdict::No,
        &["context.vip && !context.vip && context.unknown", "context.unknown && context.loyalty == 'x'"],
    );
    check(Verdict::No, &["context.unknown && arm.price > 100", "arm.unknown && context.basket < arm.price"]);
    check(Verdict::No, &["!(context.unknown || context.vip)", "(context.unknown && false) || false"]);
    check(Verdict::Yes, &["context.unknown || context.vip", "context.vip || context.unknown"]);
    check(Verdict::Failed, &["context.unknown && arm.price > 10", "context.unknown || arm.price > 100"]);
    check(Verdict::Yes, &["context.tags.exists(t, t == 'men' || context.unknown)"]);
    check(Verdict::No, &["context.tags.all(t, t == 'shoes' && context.unknown)"]);
    check(Verdict::Failed, &["context.tags.exists_one(t, t == 'men' || context.unknown)"]);
}

fn judge(rules: &[Rule], own: Option<&Features>, position: Option<usize>) -> Vec<Verdict> {
    let arms = [arm("a1", attributes())];
    let book = RuleBook::new(rules, &arms);
    let facts = RequestFacts { context: &context(), subject_id: "", session_id: "" };
    let verdicts = book.judge(&facts, &[RuleTarget { arm: &arms[0].id, position, own }]);
    (0..rules.len()).map(|rule| verdicts.verdict(rule, 0)).collect()
}

#[test]
fn features_of_an_arm_in_the_request_take_precedence_over_the_slot_s() {
    let rules =
        ["arm.price > 30", "arm.stock == 0", "arm.brand == 'acme'", "arm.price > context.basket", "arm.id == 'a1'"];
    let rules = rules.map(rule);
    let own = features([("price", Value::Number(20.0)), ("stock", Value::Number(0.0)), ("id", text("other"))]);
    let (no, yes, failed) = (Verdict::No, Verdict::Yes, Verdict::Failed);
    assert_eq!(judge(&rules, None, Some(0)), [yes, failed, yes, no, yes]);
    assert_eq!(judge(&rules, Some(&own), Some(0)), [no, yes, yes, no, yes]);
    assert_eq!(judge(&rules, Some(&own), None), [no, yes, failed, no, yes]);
    assert_eq!(judge(&rules, None, None), [failed, failed, failed, failed, yes]);
}

#[test]
fn a_paused_rule_never_holds() {
    let paused = Rule { paused: true, ..rule("") };
    assert_eq!(judge(&[rule(""), paused], None, Some(0)), [Verdict::Yes, Verdict::No]);
}

#[test]
fn a_rule_that_does_not_compile_fails() {
    assert_eq!(judge(&[rule("context.loyalty ==")], None, Some(0)), [Verdict::Failed]);
}

#[test]
fn verdicts_tell_which_targets_a_rule_concerns() {
    let arms = [30.0, 50.0, 70.0].map(|price| arm(&format!("a{price}"), features([("price", Value::Number(price))])));
    let book = RuleBook::new(
        &["context.vip", "arm.price > 40", "!context.vip", "arm.stock > 1", "arm.price > context.basket"].map(rule),
        &arms,
    );
    let facts = RequestFacts { context: &context(), subject_id: "", session_id: "" };
    let targets: Vec<_> =
        arms.iter().enumerate().map(|(i, arm)| RuleTarget { arm: &arm.id, position: Some(i), own: None }).collect();
    let verdicts = book.judge(&facts, &targets);
    let matched: Vec<Vec<usize>> = (0..5).map(|rule| verdicts.matched(rule).collect()).collect();
    assert_eq!(matched, [vec![0, 1, 2], vec![1, 2], vec![], vec![], vec![1, 2]]);
    assert_eq!([0, 1, 2, 3, 4, 5].map(|rule| verdicts.concerns(rule)), [true, true, false, true, true, false]);
    assert_eq!([0, 1, 2, 3, 4, 5].map(|rule| verdicts.failures(rule)), [0, 0, 0, 3, 0, 0]);
    assert_eq!(verdicts.verdict(0, 3), Verdict::No);
    assert!(!book.judge(&facts, &[]).concerns(0));
}
