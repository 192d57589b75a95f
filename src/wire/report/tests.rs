//! Tests of the conversion of reports.

use super::*;
use crate::engine::{Alert, AlertKind, FloorAdvice, IfEverybody, WithheldBecause, WithheldFigure};

#[test]
fn a_report_survives_its_message() {
    let lift = Lift {
        decisions: 900,
        mean: 0.041,
        holdout_decisions: 100,
        holdout_mean: 0.032,
        difference: 0.009,
        interval: Some((-0.004, 0.02)),
        relative: Some(0.28),
    };
    let arm = ArmReport {
        arm: ArmId::parse("arm_id", "b").unwrap(),
        shown: 700,
        share: 0.7,
        shown_since_goal: 600,
        reward_sum: 30.5,
        learned_sum: 29.5,
        mean: 0.04,
        interval: Some((0.03, 0.05)),
        rewards_needed: 0,
        chance_best: 0.9,
        available: true,
        rewarded: 28,
        expected_loss: Some(0.001),
        effective_observations: 650.5,
        if_everybody: IfEverybody::Known { mean: 0.035, low: 0.02, high: 0.05, effective_decisions: 300.0 },
    };
    let withheld = WithheldBecause::ALL.map(|because| ArmReport {
        if_everybody: IfEverybody::Withheld(WithheldFigure {
            because,
            model_guess: Some(0.03),
            floor: Some(FloorAdvice { floor: 0.02, cost_per_1000: 0.7 }),
        }),
        ..arm.clone()
    });
    for stage in SlotStage::ALL {
        let report = SlotReport {
            slot: "offers".into(),
            revision: 7,
            model: "portfolio".into(),
            models: vec![("linear".into(), 1.0)],
            changes_found: 1,
            dimensions: 9,
            exposures: vec![1.0, 0.5],
            counters: Counters { decisions: 1_024, shown: 4_200, reward_sum: 64.0, ..Counters::default() },
            deferred: DeferredCounts { made: 9, confirmed: 4, expired: 3 },
            goal_sums: (stage == SlotStage::Learning).then_some(GoalChange {
                revision: 5,
                at_us: 1_793_000_000_123_456,
                decisions: 512,
                reward_sum: 32.0,
                holdout_decisions: 64,
                holdout_reward_sum: 0.0,
            }),
            arms: [arm.clone(), ArmReport { interval: None, rewards_needed: 57, ..arm.clone() }]
                .into_iter()
                .chain(withheld.clone())
                .collect(),
            lift: Some(lift),
            analysis_lift: Some(Lift { interval: None, relative: None, ..lift }),
            exploration_cost: Some(0.002),
            floor: 0.02,
            currency: Some("EUR".into()),
            rates: false,
            who_wants_what: Some(WhoWantsWhat {
                feature: "segment".into(),
                wants: vec![("new".into(), arm.arm.clone())],
                together: 0.4,
                single: arm.arm.clone(),
                single_mean: 0.3,
                single_rivals: vec![arm.arm.clone()],
            }),
            ratio_check: Some(RatioCheck { set: 0.1, realised: 0.11, p_value: 0.2 }),
            design_effect: 1.5,
            shadow: Some(ShadowReport {
                decisions: 40,
                agreed: 0.25,
                expected: 0.3,
                shown_expected: 0.2,
                arms: vec![(arm.arm.clone(), 1.0)],
            }),
            alerts: vec![Alert {
                kind: AlertKind::EventStopped,
                about: "click".into(),
                sentence: "none came".into(),
                advice: "look".into(),
            }],
            value_remaining: None,
            value_remaining_relative: Some(0.1),
            feature_notes: vec![
                ("age".into(), FeatureNote::Sentinel(-999.0)),
                ("price".into(), FeatureNote::NumberAsText),
                ("user".into(), FeatureNote::IdLike),
                ("zone".into(), FeatureNote::LeftOut),
            ],
            status: Status { stage, sentence: "Learning.".into() },
        };
        assert_eq!(decode(encode(report.clone())).unwrap(), report);
    }
}
