//! Conversion of reports to messages and back.

mod arms;
#[cfg(test)]
mod tests;

use self::arms::{decode_arm, encode_arm};
use super::{
    encode::encode_timestamp,
    enums::ApiEnum as _,
    figures::{decode_alert, encode_alert},
    proto,
};
use crate::{
    bandit::FeatureNote,
    engine::{
        ArmReport, Counters, DeferredCounts, GoalChange, Lift, RatioCheck, ShadowReport, SlotReport, SlotStage, Status,
        WhoWantsWhat,
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
        deferred,
        goal_sums,
        arms,
        lift,
        analysis_lift,
        exploration_cost,
        value_remaining,
        value_remaining_relative,
        floor,
        currency,
        rates,
        who_wants_what,
        ratio_check,
        design_effect,
        shadow,
        alerts,
        feature_notes,
        status: Status { stage, sentence },
    } = report;
    let alerts = alerts.into_iter().map(|alert| encode_alert(&slot, alert)).collect();
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
        floor,
        currency: currency.unwrap_or_default(),
        rates,
        who_wants_what: who_wants_what.map(encode_who_wants_what),
        ratio_check: ratio_check.map(|RatioCheck { set, realised, p_value }| proto::RatioCheck {
            set_share: set,
            realised_share: realised,
            p_value,
        }),
        design_effect,
        alerts,
        period: None,
        previous_period: None,
        shadow: shadow.map(encode_shadow),
        deferred: encode_deferred(deferred),
    }
}

fn encode_deferred(DeferredCounts { made, confirmed, expired }: DeferredCounts) -> Option<proto::DeferredCounts> {
    (made > 0).then_some(proto::DeferredCounts { made, confirmed, expired })
}

fn decode_deferred(deferred: Option<proto::DeferredCounts>) -> DeferredCounts {
    let proto::DeferredCounts { made, confirmed, expired } = deferred.unwrap_or_default();
    DeferredCounts { made, confirmed, expired }
}

fn encode_shadow(shadow: ShadowReport) -> proto::ShadowReport {
    let ShadowReport { decisions, agreed, expected, shown_expected, arms } = shadow;
    let arm = |(arm, share): (ArmId, f64)| proto::ShadowArm { arm_id: arm.to_string(), share };
    proto::ShadowReport { decisions, agreed, expected, shown_expected, arms: arms.into_iter().map(arm).collect() }
}

fn decode_shadow(shadow: proto::ShadowReport) -> Result<ShadowReport, FieldError> {
    let proto::ShadowReport { decisions, agreed, expected, shown_expected, arms } = shadow;
    let arm = |arm: proto::ShadowArm| Ok((ArmId::parse("shadow.arms.arm_id", &arm.arm_id)?, arm.share));
    let arms = arms.into_iter().map(arm).collect::<Result<_, FieldError>>()?;
    Ok(ShadowReport { decisions, agreed, expected, shown_expected, arms })
}

fn encode_who_wants_what(found: WhoWantsWhat) -> proto::WhoWantsWhat {
    let WhoWantsWhat { feature, wants, together, single, single_mean, single_rivals } = found;
    let want = |(value, arm): (String, ArmId)| proto::Want { value, arm_id: arm.to_string() };
    proto::WhoWantsWhat {
        feature,
        wants: wants.into_iter().map(want).collect(),
        together,
        single_arm_id: single.to_string(),
        single_mean,
        single_rivals: single_rivals.iter().map(ArmId::to_string).collect(),
    }
}

fn decode_who_wants_what(found: proto::WhoWantsWhat) -> Result<WhoWantsWhat, FieldError> {
    let proto::WhoWantsWhat { feature, wants, together, single_arm_id, single_mean, single_rivals } = found;
    let rivals = single_rivals.iter().map(|arm| ArmId::parse("who_wants_what.single_rivals", arm));
    let want = |want: proto::Want| Ok((want.value, ArmId::parse("who_wants_what.wants.arm_id", &want.arm_id)?));
    Ok(WhoWantsWhat {
        feature,
        wants: wants.into_iter().map(want).collect::<Result<_, FieldError>>()?,
        together,
        single: ArmId::parse("who_wants_what.single_arm_id", &single_arm_id)?,
        single_mean,
        single_rivals: rivals.collect::<Result<_, FieldError>>()?,
    })
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

pub(in crate::wire) fn encode_lift(lift: Lift) -> proto::Lift {
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
        floor,
        currency,
        rates,
        who_wants_what,
        ratio_check,
        design_effect,
        alerts,
        period: _,
        previous_period: _,
        shadow,
        deferred,
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
        deferred: decode_deferred(deferred),
        goal_sums,
        arms,
        lift: lift.map(decode_lift),
        analysis_lift: analysis_lift.map(decode_lift),
        exploration_cost,
        value_remaining,
        value_remaining_relative,
        floor,
        currency: (!currency.is_empty()).then_some(currency),
        rates,
        who_wants_what: who_wants_what.map(decode_who_wants_what).transpose()?,
        ratio_check: ratio_check.map(|check| RatioCheck {
            set: check.set_share,
            realised: check.realised_share,
            p_value: check.p_value,
        }),
        design_effect,
        shadow: shadow.map(decode_shadow).transpose()?,
        alerts: alerts.into_iter().filter_map(decode_alert).collect(),
        feature_notes: feature_notes.into_iter().filter_map(decode_note).collect(),
        status: Status { stage, sentence },
    })
}

pub(in crate::wire) fn decode_lift(lift: proto::Lift) -> Lift {
    let proto::Lift { decisions, mean, holdout_decisions, holdout_mean, difference, low, high, relative } = lift;
    Lift { decisions, mean, holdout_decisions, holdout_mean, difference, interval: low.zip(high), relative }
}
