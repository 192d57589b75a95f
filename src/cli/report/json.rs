//! The report as JSON, with the API's field names.

use serde_json::{Value, json};

use super::super::figures::alert_json;
use crate::{
    client::PeriodReport,
    engine::{
        ArmReport, GoalChange, IfEverybody, KindCount, Lift, PeriodFigures, RatioCheck, ShadowReport, WhoWantsWhat,
        WithheldFigure,
    },
    slot::ArmId,
    wire::time_text,
};

fn if_everybody_json(figure: &IfEverybody) -> Value {
    match figure {
        IfEverybody::Known { mean, low, high, effective_decisions } => {
            json!({"mean": mean, "low": low, "high": high, "effective_decisions": effective_decisions})
        }
        IfEverybody::Withheld(WithheldFigure { because, model_guess, floor }) => json!({
            "withheld_because": because.reason(),
            "model_guess": model_guess,
            "floor_needed": floor.map(|advice| advice.floor),
            "floor_cost_per_1000": floor.map(|advice| advice.cost_per_1000),
        }),
    }
}

pub(in crate::cli) fn lift_json(lift: &Lift) -> Value {
    json!({
        "decisions": lift.decisions,
        "mean": lift.mean,
        "holdout_decisions": lift.holdout_decisions,
        "holdout_mean": lift.holdout_mean,
        "difference": lift.difference,
        "low": lift.interval.map(|(low, _)| low),
        "high": lift.interval.map(|(_, high)| high),
        "relative": lift.relative,
    })
}

fn kinds_json(kinds: &[KindCount]) -> Value {
    let kind = |kind: &KindCount| json!({"kind": kind.kind, "events": kind.events, "value": kind.value});
    kinds.iter().map(kind).collect()
}

fn period_json(figures: &PeriodFigures) -> Value {
    json!({
        "from": time_text(figures.from_us),
        "until": time_text(figures.until_us),
        "decisions": figures.decisions,
        "holdout_decisions": figures.holdout_decisions,
        "reward": figures.reward,
        "holdout_reward": figures.holdout_reward,
        "exploration_cost": figures.exploration_cost,
        "reward_per_decision": figures.reward_per_decision(),
        "click_through_rate": figures.click_through_rate(),
        "conversion_rate": figures.conversion_rate(),
        "average_order_value": figures.average_order_value(),
        "revenue_per_decision": figures.revenue_per_decision(),
        "refund_rate": figures.refund_rate(),
        "kinds": kinds_json(&figures.kinds),
        "arms": figures.arms.iter().map(|arm| json!({
            "arm_id": arm.arm.as_ref().map(ArmId::as_str),
            "showings": arm.showings,
            "reward": arm.reward,
            "kinds": kinds_json(&arm.kinds),
        })).collect::<Vec<_>>(),
    })
}

fn arm_json(arm: &ArmReport) -> Value {
    json!({
        "arm_id": arm.arm.as_str(),
        "shown": arm.shown,
        "share": arm.share,
        "shown_since_goal": arm.shown_since_goal,
        "reward_sum": arm.reward_sum,
        "learned_sum": arm.learned_sum,
        "mean": arm.mean,
        "low": arm.interval.map(|(low, _)| low),
        "high": arm.interval.map(|(_, high)| high),
        "rewards_needed": arm.rewards_needed,
        "chance_best": arm.chance_best,
        "available": arm.available,
        "rewarded": arm.rewarded,
        "expected_loss": arm.expected_loss,
        "effective_observations": arm.effective_observations,
        "where_shown": (arm.shown > 0).then(|| json!({
            "mean": arm.mean,
            "low": arm.interval.map(|(low, _)| low),
            "high": arm.interval.map(|(_, high)| high),
            "effective_decisions": arm.effective_observations,
        })),
        "if_everybody": if_everybody_json(&arm.if_everybody),
    })
}

pub(super) fn json(PeriodReport { report, period, previous }: PeriodReport) -> Value {
    let mut object = json!({
        "slot_id": report.slot,
        "status": report.status.stage.word(),
        "status_sentence": report.status.sentence,
        "alerts": report.alerts.iter().map(|alert| alert_json(&report.slot, alert)).collect::<Vec<_>>(),
        "period": period_json(&period),
        "previous_period": period_json(&previous),
        "floor": report.floor,
        "currency": report.currency,
        "rates": report.rates,
        "design_effect": report.design_effect,
        "lift": report.lift.as_ref().map(lift_json),
        "analysis_lift": report.analysis_lift.as_ref().map(lift_json),
        "exploration_cost": report.exploration_cost,
        "value_remaining": report.value_remaining,
        "value_remaining_relative": report.value_remaining_relative,
        "revision": report.revision,
        "model": report.model,
        "changes_found": report.changes_found,
        "position_exposures": report.exposures,
        "dimensions": report.dimensions,
    });
    let more = [
        ("who_wants_what", json!(report.who_wants_what.as_ref().map(who_wants_what_json))),
        ("shadow", json!(report.shadow.as_ref().map(shadow_json))),
        ("ratio_check", json!(report.ratio_check.as_ref().map(ratio_json))),
        ("models", report.models.iter().map(|(model, weight)| json!({"model": model, "weight": weight})).collect()),
        ("decisions", json!(report.counters.decisions)),
        ("rewards", json!(report.counters.rewards)),
        ("reward_per_decision", json!(report.reward_per_decision())),
        ("holdout_decisions", json!(report.counters.holdout_decisions)),
        ("holdout_reward_per_decision", json!(report.holdout_reward_per_decision())),
        ("duplicate_rewards", json!(report.counters.duplicates)),
        ("late_rewards", json!(report.counters.late)),
        ("unmatched_rewards", json!(report.counters.unmatched)),
        ("other_kind_rewards", json!(report.counters.other_kinds)),
        ("rejected_rewards", json!(report.counters.rejected)),
        ("decisions_over_subject_limit", json!(report.counters.decisions_over_subject_limit)),
        (
            "deferred",
            json!({
                "made": report.deferred.made,
                "confirmed": report.deferred.confirmed,
                "expired": report.deferred.expired,
            }),
        ),
        (
            "feature_notes",
            report
                .feature_notes
                .iter()
                .map(|(name, note)| json!({"feature": name, "sentence": note.reason()}))
                .collect(),
        ),
        ("goal_change", json!(report.goal_sums.as_ref().map(goal_change_json))),
        ("arms", report.arms.iter().map(arm_json).collect()),
    ];
    if let Some(object) = object.as_object_mut() {
        object.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    object
}

fn who_wants_what_json(found: &WhoWantsWhat) -> Value {
    let want = |(value, arm): &(String, ArmId)| json!({"value": value, "arm_id": arm.as_str()});
    json!({
        "feature": found.feature,
        "wants": found.wants.iter().map(want).collect::<Vec<_>>(),
        "together": found.together,
        "single_arm_id": found.single.as_str(),
        "single_mean": found.single_mean,
        "single_rivals": found.single_rivals.iter().map(ArmId::as_str).collect::<Vec<_>>(),
    })
}

fn shadow_json(shadow: &ShadowReport) -> Value {
    let arm = |(arm, share): &(ArmId, f64)| json!({"arm_id": arm.as_str(), "share": share});
    json!({
        "decisions": shadow.decisions,
        "agreed": shadow.agreed,
        "expected": shadow.expected,
        "shown_expected": shadow.shown_expected,
        "arms": shadow.arms.iter().map(arm).collect::<Vec<_>>(),
    })
}

fn ratio_json(check: &RatioCheck) -> Value {
    json!({"set_share": check.set, "realised_share": check.realised, "p_value": check.p_value})
}

fn goal_change_json(change: &GoalChange) -> Value {
    json!({
        "revision": change.revision,
        "time": time_text(change.at_us),
        "decisions": change.decisions,
        "holdout_decisions": change.holdout_decisions,
    })
}
