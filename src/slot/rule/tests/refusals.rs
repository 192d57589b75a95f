//! Refusals of conditions when they are set, and their messages.

use std::fmt::Write as _;

use expect_test::expect;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::rule;
use crate::slot::limits::{RULE_BYTES_MAX, RULE_NESTING_MAX};

fn message(when: &str) -> String {
    let error = rule(when).check().unwrap_err();
    assert_eq!(error.field, "when");
    error.message
}

fn messages(conditions: &[&str]) -> String {
    conditions.iter().fold(String::new(), |mut all, when| {
        writeln!(all, "{when}\n    {}", message(when)).unwrap();
        all
    })
}

#[test]
fn unknown_names_are_refused_at_their_place() {
    expect![[r#"
        ctx.loyalty == 'gold'
            line 1, column 1: 'ctx' is not known; a rule reads context, subject and arm; did you mean 'context'?
        'ä' == 'ö' ||
          arms.price > 5
            line 2, column 3: 'arms' is not known; a rule reads context, subject and arm; did you mean 'arm'?
        loyalty == 'gold'
            line 1, column 1: 'loyalty' is not known; a rule reads context, subject and arm
        subject.loyalty == 'gold'
            line 1, column 9: subject has id and session_id only; what else is known of a person is in context
        subject.session == 'x'
            line 1, column 9: subject has id and session_id only; what else is known of a person is in context; did you mean 'session_id'?
        context == 'gold'
            line 1, column 1: 'context' holds several values; name one, as in context.id
        context.customer.loyalty == 'gold'
            line 1, column 18: a value has no members; a name with a dot is written as in context["a.b"]
        context.name.starts_with('x')
            line 1, column 14: there is no function starts_with(); a rule may use size, startsWith, endsWith, contains, has, all, exists, exists_one, existsOne, filter, map, double, int; did you mean 'startsWith'?
        lower(context.name) == 'x'
            line 1, column 1: there is no function lower(); a rule may use size, startsWith, endsWith, contains, has, all, exists, exists_one, existsOne, filter, map, double, int
        context.tags.exists(t, tt == 'x')
            line 1, column 24: 'tt' is not known; a rule reads context, subject and arm; did you mean 't'?
        context.tags.exists(arm, true)
            line 1, column 21: the name 'arm' is taken; choose another
        context.tags.exists(t, arm.tags.exists(t, true))
            line 1, column 40: the name 't' is taken; choose another
        context.tags.exists('x')
            line 1, column 14: exists() is called on a list with a name and a condition, as in context.tags.exists(tag, tag == "new")
        has(context)
            line 1, column 5: has() asks for a member, as in has(context.loyalty); or write "loyalty" in context
        math.abs(arm.price) > 1
            line 1, column 6: there is no function abs(); a rule may use size, startsWith, endsWith, contains, has, all, exists, exists_one, existsOne, filter, map, double, int; did you mean 'all'?
    "#]].assert_eq(&messages(&[
        "ctx.loyalty == 'gold'",
        "'ä' == 'ö' ||\n  arms.price > 5",
        "loyalty == 'gold'",
        "subject.loyalty == 'gold'",
        "subject.session == 'x'",
        "context == 'gold'",
        "context.customer.loyalty == 'gold'",
        "context.name.starts_with('x')",
        "lower(context.name) == 'x'",
        "context.tags.exists(t, tt == 'x')",
        "context.tags.exists(arm, true)",
        "context.tags.exists(t, arm.tags.exists(t, true))",
        "context.tags.exists('x')",
        "has(context)",
        "math.abs(arm.price) > 1",
    ]));
}

#[test]
fn conditions_that_never_hold_or_fail_are_refused_by_their_types() {
    expect![[r"
        'gold'
            line 1, column 1: this is a text; a rule's condition needs true or false
        5
            line 1, column 1: this is a number; a rule's condition needs true or false
        arm.price + 1
            line 1, column 11: this is a number; a rule's condition needs true or false
        context.vip && 5
            line 1, column 16: this is a number; a rule's condition needs true or false
        size(arm.tags)
            line 1, column 1: this is a number; a rule's condition needs true or false
        ['a', 'b']
            line 1, column 1: this is a list; a rule's condition needs true or false
        context.vip ? 'a' : 'b'
            line 1, column 13: this is a text; a rule's condition needs true or false
        1 < 'a'
            line 1, column 3: a number has no order with a text
        'gold' == 5
            line 1, column 8: a text never equals a number
        [1] < [2]
            line 1, column 5: a list has no order with a list
        !5
            line 1, column 2: this is a number; ! needs true or false
        -'a' == context.x
            line 1, column 2: this is a text; a minus needs a number
        'a' - 'b' == context.x
            line 1, column 1: this is a text; - needs a number
        true + context.x == 5
            line 1, column 6: true or false and a value do not add up
        1 + 'a' == context.x
            line 1, column 3: a number and a text do not add up
        'a'[0] == context.x
            line 1, column 1: this is a text; an index needs a list
        [1]['a'] == 1
            line 1, column 5: this is a text; a place in a list needs a number
        'x' in 'xyz'
            line 1, column 8: this is a text; what stands behind in needs a list
        5 in context
            line 1, column 1: this is a number; a member's name needs a text
        size(5) == 1
            line 1, column 1: size() is of a text or a list, not of a number
        'abc'.contains(5)
            line 1, column 16: this is a number; contains() needs a text
        double(true) == 1.0
            line 1, column 1: double() is of a number or a text, not of true or false
        context.loyalty == null
            line 1, column 20: nothing is ever null here; ask with has(), as in has(context.loyalty)
        b'x' == context.x
            line 1, column 1: bytes are not a feature's value; write a text without the b
        {'a': 1} == context.x
            line 1, column 1: maps cannot be written in a rule; compare with == and join with ||
        Message{a: 1} == context.x
            line 1, column 8: messages cannot be written in a rule
        arm.price == 9007199254740993
            line 1, column 14: the number is too large; at most 9007199254740992 is exact
    "]]
    .assert_eq(&messages(&[
        "'gold'",
        "5",
        "arm.price + 1",
        "context.vip && 5",
        "size(arm.tags)",
        "['a', 'b']",
        "context.vip ? 'a' : 'b'",
        "1 < 'a'",
        "'gold' == 5",
        "[1] < [2]",
        "!5",
        "-'a' == context.x",
        "'a' - 'b' == context.x",
        "true + context.x == 5",
        "1 + 'a' == context.x",
        "'a'[0] == context.x",
        "[1]['a'] == 1",
        "'x' in 'xyz'",
        "5 in context",
        "size(5) == 1",
        "'abc'.contains(5)",
        "double(true) == 1.0",
        "context.loyalty == null",
        "b'x' == context.x",
        "{'a': 1} == context.x",
        "Message{a: 1} == context.x",
        "arm.price == 9007199254740993",
    ]));
}

#[test]
fn invalid_expressions_are_refused_at_the_place_of_the_error() {
    expect![[r#"
        context.loyalty = 'gold'
            line 1, column 17: a single = means nothing here; compare with ==
        context.loyalty ==
            line 1, column 19: the expression ends too early
        context.vip and arm.price > 5
            line 1, column 13: 'and' is written &&
        context.vip &&
        	not arm.new
            line 2, column 6: 'not' is written !, right before what is negated
        context.vip & arm.new
            line 1, column 13: a single & means nothing here; 'and' is written &&
        context.vip | arm.new
            line 1, column 13: a single | means nothing here; 'or' is written ||
        (context.vip
            line 1, column 13: the expression ends too early
        context.vip)
            line 1, column 12: ')' is not expected here
        context.loyalty == 'gold
            line 1, column 20: the text is not closed: a ' is missing
        context.loyalty == 'go\ld'
            line 1, column 20: the text has an unknown escape; write \\ for a backslash
        context.größe == 'XL'
            line 1, column 11: 'ö' may stand in a text only; write a name that has it as in context["name"]
        arm.price > 5 €
            line 1, column 15: '€' is not expected here
        context.vip ? true
            line 1, column 19: the expression ends too early
        if context.vip
            line 1, column 4: a rule is a condition; leave the 'if' out
        arm.price > 10000000000000000000
            line 1, column 13: the number is too large
        arm.`x-y` == 1
            line 1, column 4: a name in ` is written as in context["name"]
        context.?loyalty == 'gold'
            line 1, column 8: what may be missing is asked for with has(), as in has(context.loyalty)
    "#]]
    .assert_eq(&messages(&[
        "context.loyalty = 'gold'",
        "context.loyalty ==",
        "context.vip and arm.price > 5",
        "context.vip &&\n\tnot arm.new",
        "context.vip & arm.new",
        "context.vip | arm.new",
        "(context.vip",
        "context.vip)",
        "context.loyalty == 'gold",
        "context.loyalty == 'go\\ld'",
        "context.größe == 'XL'",
        "arm.price > 5 €",
        "context.vip ? true",
        "if context.vip",
        "arm.price > 10000000000000000000",
        "arm.`x-y` == 1",
        "context.?loyalty == 'gold'",
    ]));
    assert_eq!(message("\u{0}"), "line 1, column 1: '\\0' is not expected here");
}

#[test]
fn hostile_conditions_are_refused_and_nothing_else_happens() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(300), close.repeat(300));
    for when in [
        deep("(", ")"),
        deep("[", "]"),
        deep("{1:", "}"),
        deep("size(", ")"),
        "(".repeat(RULE_BYTES_MAX),
        "a.".repeat(2_000) + "b",
        "1+".repeat(2_000) + "1",
        "-1".repeat(2_000),
        "1 in ".repeat(800) + "[]",
        "a?b:".repeat(1_000) + "c",
        "context.a == '".to_owned() + &"x".repeat(RULE_BYTES_MAX),
        "context.a.all(a, context.a.all(b, context.a.all(c, a + b + c == '')))".into(),
        "context.a.map(a, context.a.map(b, a + b)).map(a, a.map(b, context.a.map(c, b + c))).size() > 0".into(),
        format!("context.a.exists(a, {})", ["a == 'x'"; 100].join(" || ")),
        format!("[{}].exists(a, [{}].exists(b, a == b))", ["1"; 400].join(","), ["2"; 400].join(",")),
    ] {
        let shown: String = when.chars().take(60).collect();
        assert!(rule(&when).check().is_err(), "{shown}");
    }
}

#[test]
fn long_and_deep_but_honest_conditions_are_allowed() {
    let nested = format!("{}context.vip{}", "(".repeat(RULE_NESTING_MAX), ")".repeat(RULE_NESTING_MAX));
    let listed = format!("arm.id in [{}]", (0..300).map(|i| format!("'arm-{i:04}'")).collect::<Vec<_>>().join(", "));
    let joined = vec!["context.page == 'home'"; 150].join(" || ");
    let not = format!("{}context.vip", "!".repeat(31));
    for when in [nested, listed, joined, not, "context.a.exists(a, a in arm.tags && a != 'x')".into()] {
        assert_eq!(rule(&when).check(), Ok(()), "{when}");
    }
}

#[test]
fn the_check_of_any_text_ends_and_names_a_place_in_the_text() {
    let mut rng = StdRng::seed_from_u64(5);
    let pieces = [
        "context", "subject", "arm", ".", "loyalty", "id", "(", ")", "[", "]", "{", "}", "'a'", "\"", "'", "\\", "r'",
        "'''", " ", "\n", "&&", "||", "!", "-", "+", "*", "/", "%", "?", ":", ",", "==", "<", "in", "1", "2.5", "0x",
        "1e", "null", "true", "has", "size", "exists", "map", "x", "`", "ä", "€", "\u{0}", "//", ".?", "b'", "u", "=",
        "&", "@", "#",
    ];
    let mut allowed = 0;
    for _ in 0..20_000 {
        let when: String = (0..rng.random_range(1..14)).map(|_| pieces[rng.random_range(0..pieces.len())]).collect();
        match rule(&when).check() {
            Ok(()) => allowed += 1,
            Err(error) => {
                let line = error.message.strip_prefix("line ").and_then(|rest| rest.split(',').next());
                let line: usize =
                    line.and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{when:?}: {error}"));
                assert!((1..=when.matches('\n').count() + 1).contains(&line), "{when:?}: {error}");
            }
        }
    }
    assert!(allowed > 50, "{allowed}");
}
