//! Conversion of reports to messages and back.

use super::{encode::encode_timestamp, enums::ApiEnum as _, proto};
use crate::{
    bandit::FeatureNote,
    engine::{
        ArmReport, Counters, FloorAdvice, GoalChange, IfEverybody, Lift, SlotReport, SlotStage, Status,
        WithheldBecause, WithheldFigure,
    },
    slot::{ArmId, FieldError},
};

/// Encodes a report.
pub(crate) fn encode(report: SlotReport) -> proto::SlotReport {
    let (reward_per_decision, holdout_reward_per_decision) =
        (report.reward_per_decision(), report.holdout_reward_per_decision());
    let SlotReport {
        slot,
        revision,
        model,
        models,
        changes_found,
        dimensions,
        exposures,
        counters: c,
        goal_sums,
        arms,
        lift,
        analysis_lift,
        exploration_cost,
        value_remaining,
        value_remaining_relative,
        feature_notes,
        status: Status { stage, sentence },
    } = report;
    proto::SlotReport {
        slot_id: slot,
        arm_count: u32::try_from(arms.len()).unwrap_or(u32::MAX),
        decisions: c.decisions,
        rewards: c.rewards,
        reward_per_decision,
        arms: arms.into_iter().map(encode_arm).collect(),
        revision,
        model,
        models: models.into_iter().map(|(model, weight)| proto::ModelWeight { model, weight }).collect(),
        changes_found,
        position_exposures: exposures,
        dimensions,
        holdout_decisions: c.holdout_decisions,
        holdout_reward_per_decision,
        duplicate_rewards: c.duplicates,
        late_rewards: c.late,
        unmatched_rewards: c.unmatched,
        other_kind_rewards: c.other_kinds,
        rejected_rewards: c.rejected,
        decisions_over_subject_limit: c.decisions_over_subject_limit,
        status: stage.number(),
        status_sentence: sentence,
        lift: lift.map(encode_lift),
        analysis_lift: analysis_lift.map(encode_lift),
        exploration_cost,
        value_remaining,
        value_remaining_relative,
        goal_change: goal_sums.map(|change| proto::GoalChange {
            revision: change.revision,
            time: Some(encode_timestamp(change.at_us)),
            decisions: change.decisions,
            holdout_decisions: change.holdout_decisions,
        }),
        feature_notes: feature_notes.into_iter().map(encode_note).collect(),
    }
}

fn encode_note((feature, note): (String, FeatureNote)) -> proto::FeatureNote {
    let (feature_use, value) = match note {
        FeatureNote::IdLike => (proto::FeatureUse::IdLike, None),
        FeatureNote::LeftOut => (proto::FeatureUse::LeftOut, None),
        FeatureNote::NumberAsText => (proto::FeatureUse::NumberAsText, None),
        FeatureNote::Sentinel(value) => (proto::FeatureUse::Sentinel, Some(value)),
    };
    proto::FeatureNote { feature, r#use: feature_use.into(), value, sentence: note.reason() }
}

/// Decodes a note. A use that this program does not know is left out.
fn decode_note(note: proto::FeatureNote) -> Option<(String, FeatureNote)> {
    let decoded = match note.r#use() {
        proto::FeatureUse::Unspecified => return None,
        proto::FeatureUse::IdLike => FeatureNote::IdLike,
        proto::FeatureUse::LeftOut => FeatureNote::LeftOut,
        proto::FeatureUse::NumberAsText => FeatureNote::NumberAsText,
        proto::FeatureUse::Sentinel => FeatureNote::Sentinel(note.value?),
    };
    Some((note.feature, decoded))
}

fn encode_arm(arm: ArmReport) -> proto::ArmReport {
    let ArmReport {
        arm,
        shown,
        share,
        shown_since_goal,
        reward_sum,
        learned_sum,
        mean,
        interval,
        rewards_needed,
        chance_best,
        available,
        rewarded,
        expected_loss,
        effective_observations,
        if_everybody,
    } = arm;
    let (low, high) = interval.unzip();
    proto::ArmReport {
        arm_id: arm.to_string(),
        shown,
        share,
        reward_sum,
        mean,
        low,
        high,
        chance_best,
        available,
        learned_sum,
        rewarded,
        expected_loss,
        effective_observations,
        shown_since_goal,
        rewards_needed,
        if_everybody: Some(encode_if_everybody(&if_everybody)),
    }
}

fn encode_if_everybody(figure: &IfEverybody) -> proto::IfEverybody {
    match figure {
        IfEverybody::Known { mean, low, high, effective_decisions } => proto::IfEverybody {
            mean: Some(*mean),
            low: Some(*low),
            high: Some(*high),
            effective_decisions: *effective_decisions,
            ..proto::IfEverybody::default()
        },
        IfEverybody::Withheld(WithheldFigure { because, model_guess, floor }) => proto::IfEverybody {
            withheld_because: match because {
                WithheldBecause::NotShown => proto::WithheldBecause::NotShown,
                WithheldBecause::TooLittleOverlap => proto::WithheldBecause::TooLittleOverlap,
                WithheldBecause::NoRewards => proto::WithheldBecause::NoRewards,
                WithheldBecause::TooManyArms => proto::WithheldBecause::TooManyArms,
            }
            .into(),
            model_guess: *model_guess,
            floor_needed: floor.map(|advice| advice.floor),
            floor_cost_per_1000: floor.map(|advice| advice.cost_per_1000),
            ..proto::IfEverybody::default()
        },
    }
}

/// Decodes a figure. A reason that this program does not know counts as too little overlap.
fn decode_if_everybody(figure: proto::IfEverybody) -> IfEverybody {
    if let (Some(mean), Some(low), Some(high)) = (figure.mean, figure.low, figure.high) {
        return IfEverybody::Known { mean, low, high, effective_decisions: figure.effective_decisions };
    }
    let because = match figure.withheld_because() {
        proto::WithheldBecause::NotShown => WithheldBecause::NotShown,
        proto::WithheldBecause::Unspecified | proto::WithheldBecause::TooLittleOverlap => {
            WithheldBecause::TooLittleOverlap
        }
        proto::WithheldBecause::NoRewards => WithheldBecause::NoRewards,
        proto::WithheldBecause::TooManyArms => WithheldBecause::TooManyArms,
    };
    let advice = figure.floor_needed.zip(figure.floor_cost_per_1000);
    IfEverybody::Withheld(WithheldFigure {
        because,
        model_guess: figure.model_guess,
        floor: advice.map(|(floor, cost_per_1000)| FloorAdvice { floor, cost_per_1000 }),
    })
}

fn encode_lift(lift: Lift) -> proto::Lift {
    let Lift { decisions, mean, holdout_decisions, holdout_mean, difference, interval, relative } = lift;
    let (low, high) = interval.unzip();
    proto::Lift { decisions, mean, holdout_decisions, holdout_mean, difference, low, high, relative }
}

/// Decodes a report.
pub(crate) fn decode(report: proto::SlotReport) -> Result<SlotReport, FieldError> {
    let proto::SlotReport {
        slot_id,
        decisions,
        rewards,
        reward_per_decision,
        arms,
        revision,
        model,
        dimensions,
        holdout_decisions,
        holdout_reward_per_decision,
        duplicate_rewards,
        late_rewards,
        unmatched_rewards,
        other_kind_rewards,
        rejected_rewards,
        decisions_over_subject_limit,
        models,
        changes_found,
        position_exposures: exposures,
        status,
        status_sentence: sentence,
        lift,
        analysis_lift,
        exploration_cost,
        value_remaining,
        value_remaining_relative,
        goal_change,
        feature_notes,
        arm_count: _,
    } = report;
    let arms = arms.into_iter().map(decode_arm).collect::<Result<Vec<ArmReport>, FieldError>>()?;
    let counters = Counters {
        decisions,
        holdout_decisions,
        shown: arms.iter().map(|arm| arm.shown).sum(),
        rewards,
        reward_sum: reward_per_decision * decisions as f64,
        holdout_reward_sum: holdout_reward_per_decision * holdout_decisions as f64,
        other_kinds: other_kind_rewards,
        duplicates: duplicate_rewards,
        late: late_rewards,
        unmatched: unmatched_rewards,
        rejected: rejected_rewards,
        decisions_over_subject_limit,
    };
    let goal_sums = goal_change.map(|change| GoalChange {
        revision: change.revision,
        at_us: change.time.map_or(0, |time| time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000),
        decisions: change.decisions,
        reward_sum: reward_per_decision * change.decisions as f64,
        holdout_decisions: change.holdout_decisions,
        holdout_reward_sum: holdout_reward_per_decision * change.holdout_decisions as f64,
    });
    let stage = SlotStage::from_number(status).ok_or_else(|| {
        FieldError::new("status", format!("is {status}, which this program does not know; use a newer one"))
    })?;
    Ok(SlotReport {
        slot: slot_id,
        revision,
        model,
        models: models.into_iter().map(|m| (m.model, m.weight)).collect(),
        changes_found,
        dimensions,
        exposures,
        counters,
        goal_sums,
        arms,
        lift: lift.map(decode_lift),
        analysis_lift: analysis_lift.map(decode_lift),
        exploration_cost,
        value_remaining,
        value_remaining_relative,
        feature_notes: feature_notes.into_iter().filter_map(decode_note).collect(),
        status: Status { stage, sentence },
    })
}

fn decode_arm(arm: proto::ArmReport) -> Result<ArmReport, FieldError> {
    let proto::ArmReport {
        arm_id,
        shown,
        share,
        reward_sum,
        mean,
        low,
        high,
        chance_best,
        available,
        learned_sum,
        rewarded,
        expected_loss,
        effective_observations,
        shown_since_goal,
        rewards_needed,
        if_everybody,
    } = arm;
    Ok(ArmReport {
        arm: ArmId::parse("arm_id", &arm_id)?,
        shown,
        share,
        shown_since_goal,
        reward_sum,
        learned_sum,
        mean,
        interval: low.zip(high),
        rewards_needed,
        chance_best,
        available,
        rewarded,
        expected_loss,
        effective_observations,
        if_everybody: decode_if_everybody(if_everybody.unwrap_or_default()),
    })
}

fn decode_lift(lift: proto::Lift) -> Lift {
    let proto::Lift { decisions, mean, holdout_decisions, holdout_mean, difference, low, high, relative } = lift;
    Lift { decisions, mean, holdout_decisions, holdout_mean, difference, interval: low.zip(high), relative }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            expected_loss: 0.001,
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
}
