//! Tests of the report as text.

use super::*;
use crate::slot::ArmId;

#[test]
fn a_lift_is_said_with_its_interval_or_that_there_is_none() {
    let lift = Lift {
        decisions: 900,
        mean: 0.041,
        holdout_decisions: 100,
        holdout_mean: 0.032,
        difference: 0.009,
        interval: Some((-0.004, 0.022)),
        relative: Some(0.281_25),
    };
    let rates = AmountFormat { percent: true, currency: None };
    let want = "policy against holdout: 4.10 % (900 decisions) against 3.20 % (100), a difference of 0.90 % (+28.1 %), \
                between -0.40 % and 2.20 % with 95 % at all times";
    assert_eq!(against_holdout("policy", &lift, &rates), want);
    let unsure = against_holdout("policy", &Lift { interval: None, relative: None, ..lift }, &rates);
    assert!(unsure.ends_with("0.90 %, too few rewards for an interval"), "{unsure}");
}

#[test]
fn an_arm_without_an_interval_says_how_many_rewards_it_takes() {
    let arm = ArmReport {
        arm: ArmId::parse("arm_id", "b").unwrap(),
        shown: 700,
        share: 0.7,
        shown_since_goal: 700,
        reward_sum: 30.5,
        learned_sum: 30.5,
        mean: 0.04,
        interval: None,
        rewards_needed: 57,
        chance_best: 0.9,
        available: true,
        rewarded: 28,
        expected_loss: Some(0.001),
        effective_observations: 700.0,
        if_everybody: IfEverybody::Known { mean: 0.035, low: 0.02, high: 0.05, effective_decisions: 300.0 },
    };
    let money = AmountFormat { percent: false, currency: Some("EUR".to_owned()) };
    assert_eq!(if_everybody(&arm.if_everybody, &money), "0.04 EUR (0.02 EUR to 0.05 EUR)");
    assert_eq!(interval(&arm, &money), "too few (28 of 57)");
    assert_eq!(interval(&ArmReport { rewarded: 60, ..arm.clone() }, &money), "too few");
    let known = ArmReport { interval: Some((0.03, 0.05)), rewards_needed: 0, ..arm };
    assert_eq!(interval(&known, &money), "0.03 EUR to 0.05 EUR");
    assert_eq!(interval(&ArmReport { shown: 0, ..known }, &money), "");
}

#[test]
fn bars_are_as_long_as_their_part() {
    assert_eq!(bar(0.0), "");
    assert_eq!(bar(0.5), "█".repeat(10));
    assert_eq!(bar(1.0), "█".repeat(20));
    assert_eq!(bar(0.05 / 8.0), "▏");
}
