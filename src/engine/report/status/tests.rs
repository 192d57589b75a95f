//! Tests of amounts in sentences and of the stages' words.

use super::*;

#[test]
fn amounts_have_at_least_two_significant_digits() {
    let rate = AmountFormat { percent: true };
    assert_eq!(rate.amount(0.041_234), "4.12 %");
    assert_eq!(rate.amount(0.4), "40.0 %");
    assert_eq!(rate.amount(0.000_041), "0.0041 %");
    let money = AmountFormat { percent: false };
    assert_eq!(money.amount(-12.345), "-12.3");
    assert_eq!(money.amount(0.0), "0");
    assert_eq!(money.amount(0.000_012), "1.2e-5");
}

#[test]
fn every_stage_has_a_word_of_its_own() {
    let words: std::collections::BTreeSet<&str> = SlotStage::ALL.iter().map(|stage| stage.word()).collect();
    assert_eq!(words.len(), SlotStage::ALL.len());
}
