//! Tests of the stages' words.

use super::*;

#[test]
fn every_stage_has_a_word_of_its_own() {
    let words: std::collections::BTreeSet<&str> = SlotStage::ALL.iter().map(|stage| stage.word()).collect();
    assert_eq!(words.len(), SlotStage::ALL.len());
}
