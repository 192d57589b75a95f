//! Tests of the sentences that marketers read.

use super::*;
use crate::slot::ArmId;

fn chosen(arm: &str, reason: Reason) -> ChosenArm {
    ChosenArm {
        arm: ArmId::parse("arm_id", arm).unwrap(),
        propensity: 0.8488,
        expected_reward: 0.254_1,
        baseline_position: 1,
        swap_probability: 0.0,
        reason,
    }
}

fn summary(first: Option<&ChosenArm>) -> Summary<'_> {
    Summary {
        first,
        shadow_first: None,
        fallback: None,
        model: "linear",
        policy: Policy::ThompsonSampling,
        matched_rules: &[],
    }
}

#[test]
fn a_summary_says_what_was_shown_and_why() {
    let gift = chosen("gift", Reason::BestGuess);
    let said = summary(Some(&gift)).sentences();
    assert_eq!(said, "Shown: 'gift', the best guess. Expected reward 0.2541, probability 84.9 % (model: linear).");
    let gift = chosen("gift", Reason::Fallback);
    let said = Summary { fallback: Some(Fallback::SafeChoice), ..summary(Some(&gift)) }.sentences();
    assert_eq!(said, "Shown: 'gift', because the slot's safe choice is on.");
    let said = summary(None).sentences();
    assert_eq!(said, "Nothing was shown: no arm was eligible, and the slot has no default arm.");
}

#[test]
fn a_summary_names_the_policy_s_choice_in_shadow_mode_and_the_rules() {
    let (gift, voucher) = (chosen("gift", Reason::Shadow), chosen("voucher", Reason::Exploring));
    let rules = ["no vouchers".to_owned(), "cap".to_owned()];
    let summary = Summary { shadow_first: Some(&voucher), matched_rules: &rules, ..summary(Some(&gift)) };
    let said = summary.sentences();
    assert!(
        said.starts_with("Shown: 'gift', the first of the baseline, because the slot is in shadow mode."),
        "{said}"
    );
    assert!(said.contains("the policy would have shown 'voucher' first."), "{said}");
    assert!(said.ends_with("Rules that applied: 'no vouchers', 'cap'."), "{said}");
}

#[test]
fn small_parts_are_not_written_as_nothing() {
    assert_eq!((percent(0.000_4).as_str(), percent(0.0).as_str()), ("less than 0.1 %", "0.0 %"));
}
