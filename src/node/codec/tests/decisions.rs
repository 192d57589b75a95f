//! Tests of the records of decisions.

use super::*;
use crate::engine::LearningFile;

/// Returns a decision in which no field has its default.
pub(super) fn decided() -> DecisionRecord {
    let chosen = |arm: &str, reason| ChosenArm {
        arm: arm_id(arm),
        propensity: 0.25,
        expected_reward: 1.5,
        baseline_position: 3,
        swap_probability: 0.125,
        reason,
    };
    let every = [
        Reason::BestGuess,
        Reason::Exploring,
        Reason::Floor,
        Reason::Holdout,
        Reason::Fallback,
        Reason::Rule,
        Reason::Sticky,
        Reason::Shadow,
    ];
    DecisionRecord {
        catalogue_arms: ["sneaker", "boot"].map(|arm| ArmId::parse("arm_id", arm).unwrap()).to_vec(),
        slot: slot_id(),
        id: DecisionId::new(3, 7, 11),
        request_id: Some("r1".into()),
        subject: Subject { id: "ann".into(), session_id: "s1".into() },
        context: [("age".to_owned(), crate::bandit::Value::Number(3.0))].into(),
        candidates: vec![(arm_id("a"), [("near".to_owned(), crate::bandit::Value::Flag(true))].into())],
        already_shown: vec![arm_id("t")],
        chosen: every.iter().enumerate().map(|(i, reason)| chosen(&format!("a{i}"), *reason)).collect(),
        holdout: true,
        fallback: Some(Fallback::Deadline),
        revision: 9,
        model: "linear".into(),
        seed: u64::MAX,
        best_expected: -2.5,
        shadow_slate: vec![chosen("w", Reason::Exploring), chosen("x", Reason::BestGuess)],
        analysis: true,
        sticky: Some(DecisionId::new(3, 5, 2)),
        matched_rules: vec!["no gifts".into(), "cap".into()],
        scored: vec![
            ScoredCandidate { candidate: 300, mean: 0.5, std: 0.25, propensity: 0.75 },
            ScoredCandidate { candidate: 0, mean: -1.0, std: 2.0, propensity: 0.0 },
        ],
        excluded: vec![ExcludedCandidate { candidate: 4, rule: 1 }, ExcludedCandidate { candidate: 5, rule: 0 }],
        request_fingerprint: u64::MAX,
        client: "shop".into(),
        scaled_floors: true,
        expire_us: Some(1_793_000_000_000_001),
        matches: Some(vec![
            CandidateMatch { candidate: 0, affinity: 255, price: Some(-7), seen: true, bought: false },
            CandidateMatch { candidate: 300, affinity: 0, price: None, seen: false, bought: true },
        ]),
    }
}

/// File of what a slot of this definition has learned: nothing.
pub(super) fn learning_of(definition: Arc<Definition>) -> Arc<LearningFile> {
    let slot = definition.id.clone();
    let mut state = State::default();
    state.apply(&Event { at_us: 7, body: Body::SlotCreated { definition, why: why() } });
    let (source, seed) = state.learning_of(&slot).unwrap();
    Arc::new(LearningFile::write(&source, &seed).unwrap())
}

#[test]
fn every_field_of_a_decision_survives_its_record() {
    let event = Event { at_us: 7, body: Body::Decided(Arc::new(decided())) };
    assert_eq!(decode(&encode(&event).body), Ok(event));
    let rewarded = RewardEvent {
        slot: slot_id(),
        event_id: "e1".into(),
        decision: Some(DecisionId::new(3, 7, 11)),
        subject: Subject::default(),
        arm: Some(arm_id("a")),
        kind: "click".into(),
        value: Some(0.0),
        time_us: 8,
        reverses: Some("e0".into()),
    };
    let event = Event { at_us: 8, body: Body::Rewarded(Box::new(rewarded)) };
    assert_eq!(decode(&encode(&event).body), Ok(event));
}
