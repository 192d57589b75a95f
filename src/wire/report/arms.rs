//! Conversion of the reports of single arms.

use super::super::proto;
use crate::{
    engine::{ArmReport, FloorAdvice, IfEverybody, WithheldBecause, WithheldFigure},
    slot::{ArmId, FieldError},
};

pub(super) fn encode_arm(arm: ArmReport) -> proto::ArmReport {
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
        where_shown: (shown > 0).then_some(proto::WhereShown {
            mean,
            low,
            high,
            effective_decisions: effective_observations,
        }),
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

pub(super) fn decode_arm(arm: proto::ArmReport) -> Result<ArmReport, FieldError> {
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
        where_shown: _,
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
