//! Tests of rules, caps among them.

use std::collections::BTreeMap;

use super::{
    controls::{DAY_US, request_of, rule, trained_world},
    *,
};
use crate::{
    engine::{Exposure, ExposureScope, decide},
    slot::{Comparand, Effect, OnError, Rule},
};

/// A budget that arms share also counts showings of arms that are no candidates now, and holds within a slate.
#[test]
fn caps_that_arms_share_hold_over_requests_and_within_a_slate() {
    let cap = rule("a and b", "arm.id != 'c'", Effect::DayCap { count: 5, together: true });
    let mut world = trained_world(|d| d.rules = vec![cap]);
    let scope = ExposureScope::from_definition(world.state.slot("offers").unwrap().definition());
    let mut exposure = Exposure::new();
    let mut shown = 0;
    let mut slates = Vec::new();
    for n in 0..8_u64 {
        world.count += 1;
        let view = world.state.slot("offers").unwrap().view();
        let id = DecisionId::new(view.number, world.at_us, world.count);
        let options = DecideOptions::new(id, n);
        let only_b = vec![RequestCandidate { arm: arm_id("b"), features: Features::new() }];
        let request = match n {
            2 => Request { candidates: only_b, ..Request::new(slot_id()) },
            _ => Request { count: 3, ..Request::new(slot_id()) },
        };
        let decided = decide(&view, request, DecideOptions { exposures: Some(&exposure), ..options }).decided;
        exposure.add(world.at_us, &decided, scope);
        shown += decided.chosen.iter().filter(|c| c.arm.as_str() != "c").count();
        slates.push(decided.chosen.len());
    }
    assert_eq!(shown, 5, "{slates:?}");
    assert_eq!(slates, [3, 3, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn caps_hold_by_subject_and_by_day() {
    let caps = vec![
        rule(
            "b twice a day each",
            "arm.id == 'b'",
            Effect::SubjectCap { count: 2, window_us: DAY_US, together: false },
        ),
        rule("c five a day", "arm.id == 'c'", Effect::DayCap { count: 5, together: false }),
    ];
    let mut world = trained_world(|d| d.rules = caps);
    let scope = ExposureScope::from_definition(world.state.slot("offers").unwrap().definition());
    let mut exposure = Exposure::new();
    let mut shown = BTreeMap::<(String, String), u32>::new();
    world.at_us -= world.at_us % DAY_US;
    for n in 0..900_u64 {
        world.at_us += 1_000_000;
        world.count += 1;
        let who = format!("s{}", n % 30);
        let view = world.state.slot("offers").unwrap().view();
        let id = DecisionId::new(view.number, world.at_us, world.count);
        let seed = crate::engine::hash("test", &[&world.count.to_be_bytes()]).word();
        let options = DecideOptions::new(id, seed);
        let decided = decide(&view, request_of(&who), DecideOptions { exposures: Some(&exposure), ..options }).decided;
        exposure.add(world.at_us, &decided, scope);
        *shown.entry((who, decided.chosen[0].arm.to_string())).or_default() += 1;
    }
    let of_arm = |arm: &str| shown.iter().filter(|(at, _)| at.1 == arm).map(|(_, n)| *n).collect::<Vec<_>>();
    assert!(of_arm("b").iter().all(|&n| n == 2), "the best is shown as often as it may: {shown:?}");
    assert_eq!((of_arm("b").len(), of_arm("c").iter().sum::<u32>()), (30, 5));
}

/// A discount is never shown to those who would buy anyway, unless the posterior is sure that it pays.
#[test]
fn evidence_rules_ask_the_posterior_and_not_the_width() {
    let mut world = trained_world(|_| {});
    let evidence = |confidence, than| Effect::Evidence { confidence, than };
    let mut may = |arm: &str, effect: Effect, width| {
        world.update(|d| {
            d.rules = vec![rule("sure", &format!("arm.id == '{arm}'"), effect)];
            d.controls.exploration = Some(width);
        });
        let request = Request { explain: true, ..Request::new(slot_id()) };
        let explained = world.would_decide(request, &[]).explanation.unwrap();
        let candidate = explained.candidates.iter().find(|c| c.arm.as_str() == arm).unwrap();
        candidate.ineligible_because.is_none()
    };
    for width in [0.0, 1.0] {
        assert!(may("b", evidence(0.95, Comparand::Others), width), "b is the best by far");
        assert!(!may("a", evidence(0.95, Comparand::Others), width));
        assert!(may("b", evidence(0.95, Comparand::Reward(0.4)), width));
        assert!(!may("b", evidence(0.95, Comparand::Reward(0.6)), width), "it may be, nobody is sure");
        assert!(!may("a", evidence(0.5, Comparand::Reward(0.6)), width));
    }
}

#[test]
fn rules_exclude_pin_boost_and_share() {
    let mut world = trained_world(|_| {});
    let mut with = |rules: Vec<Rule>, count| {
        world.update(|d| d.rules = rules);
        world.would_decide(Request { count, explain: true, ..Request::new(slot_id()) }, &[])
    };
    let decision = with(vec![rule("no b", "arm.id == 'b'", Effect::Exclude)], 3);
    assert_eq!(decision.decided.chosen.len(), 2);
    assert_eq!(
        (decision.decided.matched_rules.as_slice(), decision.decided.excluded.len()),
        (&["no b".to_owned()][..], 1)
    );
    let why = decision.explanation.unwrap().candidates[1].ineligible_because.clone().unwrap();
    assert!(why.contains("'no b'"), "{why}");
    let decision = with(vec![rule("c second", "arm.id == 'c'", Effect::Pin { position: 2 })], 3);
    let second = &decision.decided.chosen[1];
    assert_eq!((second.arm.as_str(), second.reason), ("c", Reason::Rule));
    assert!((second.propensity - 1.0).abs() < 1e-15);
    let p = |decision: Decision| -> Vec<f64> {
        decision.explanation.unwrap().candidates.iter().map(|c| c.propensity).collect()
    };
    let share = Effect::ProbabilityBounds { floor: Some(0.25), ceiling: Some(0.3) };
    let shares = p(with(vec![rule("a quarter", "arm.id != 'b'", share)], 1));
    assert!(
        shares[0] >= 0.25 && shares[2] >= 0.25 && shares[0] <= 0.3 + 1e-12 && shares[2] <= 0.3 + 1e-12,
        "{shares:?}"
    );
    let plain = p(with(Vec::new(), 1));
    let boosted = with(vec![rule("push a", "arm.id == 'a'", Effect::Boost { factor: 3.0 })], 1);
    let expected = boosted.decided.best_expected;
    let boosted = p(boosted);
    assert!(plain[0] < 0.01 && boosted[0] > 0.95, "{plain:?} {boosted:?}");
    assert!((expected - 0.6).abs() < 0.1, "what is expected is told without the boost: {expected}");
    let buried = p(with(vec![rule("bury b", "arm.id == 'b'", Effect::Boost { factor: 0.1 })], 1));
    assert!(buried[1] < 0.01, "{buried:?}");
}

#[test]
fn rules_that_fail_are_counted_and_mean_what_they_say() {
    let mut world = trained_world(|_| {});
    for (on_error, left) in [(OnError::Ignore, 3), (OnError::Exclude, 0)] {
        world.update(|d| {
            d.rules = vec![Rule { on_error, ..rule("gold", "context.loyalty == 'gold'", Effect::Exclude) }];
        });
        let decision = world.would_decide(Request { count: 3, ..Request::new(slot_id()) }, &[]);
        assert_eq!((decision.decided.chosen.len(), decision.failed_rules), (left, vec![0]), "{on_error:?}");
    }
}
