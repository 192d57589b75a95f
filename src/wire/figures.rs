//! Conversion of the figures over time, by segment and of alerts to messages and back.

use super::{
    decode::{FieldResult, decode_duration, decode_timestamp},
    encode::{encode_duration, encode_timestamp},
    enums::{ApiEnum as _, decode_enum, encode_enum},
    proto,
    report::{decode_lift, encode_lift},
};
use crate::{
    engine::{
        Alert, AlertKind, ArmPeriod, FeatureSegments, KindCount, OTHER_ARMS, PeriodFigures, SegmentArmReport,
        SegmentValueReport, SeriesCounts, SeriesStep, SlotView, rewards_since,
    },
    slot::{ArmId, FieldError},
};

/// Greatest number of points of one answer.
pub(super) const POINTS_MAX: usize = 5_000;
/// Length of the period that a report describes by default, microseconds.
const PERIOD_US_DEFAULT: i64 = 7 * 24 * 3_600 * 1_000_000;

/// Decodes a period to its start and end, microseconds since 1970.
pub(super) fn decode_period(period: Option<proto::Period>, view: &SlotView, now_us: i64) -> FieldResult<(i64, i64)> {
    let proto::Period { from, until, last, since_revision } = period.unwrap_or_default();
    let fail = |field: &str, message: &str| Err(FieldError::new(field, message));
    let ways = usize::from(from.is_some()) + usize::from(last.is_some()) + usize::from(since_revision != 0);
    if ways > 1 || (until.is_some() && from.is_none()) {
        return fail("period", "is given in several ways; give from (and until), or last, or since_revision");
    }
    let (from_us, until_us) = if let Some(from) = from {
        let until_us = until.map(|until| decode_timestamp("period.until", until)).transpose()?;
        (decode_timestamp("period.from", from)?, until_us.unwrap_or(now_us))
    } else if since_revision != 0 {
        let Some(revision) = view.revisions.iter().find(|revision| revision.number == since_revision) else {
            return fail("period.since_revision", "is not kept; see ListRevisions");
        };
        (revision.at_us, now_us)
    } else {
        let last_us = last.map_or(Ok(PERIOD_US_DEFAULT), |last| decode_duration("period.last", last))?;
        if !(SeriesStep::FiveMinutes.us()..=SeriesStep::Day.kept_us()).contains(&last_us) {
            return fail("period.last", "must be from 5 minutes to 3 years");
        }
        (now_us - last_us, now_us)
    };
    if until_us <= from_us {
        return fail("period", "is empty: its end must be after its start");
    }
    Ok((from_us, until_us))
}

fn encode_kind(kind: &KindCount) -> proto::KindCount {
    let KindCount { kind, role, events, value } = kind;
    proto::KindCount { kind: kind.clone(), role: encode_enum(*role), events: *events, value: *value }
}

/// Encodes the figures of a period.
pub(super) fn encode_period(figures: &PeriodFigures) -> proto::PeriodFigures {
    let kinds = |kinds: &[KindCount]| kinds.iter().map(encode_kind).collect();
    let arm = |of: &ArmPeriod| proto::ArmPeriod {
        arm_id: of.arm.as_ref().map(ArmId::to_string).unwrap_or_default(),
        showings: of.showings,
        reward: of.reward,
        kinds: kinds(&of.kinds),
    };
    proto::PeriodFigures {
        from: Some(encode_timestamp(figures.from_us)),
        until: Some(encode_timestamp(figures.until_us)),
        decisions: figures.decisions,
        holdout_decisions: figures.holdout_decisions,
        reward: figures.reward,
        holdout_reward: figures.holdout_reward,
        exploration_cost: figures.exploration_cost,
        kinds: kinds(&figures.kinds),
        arms: figures.arms.iter().map(arm).collect(),
        reward_per_decision: figures.reward_per_decision(),
        click_through_rate: figures.click_through_rate(),
        conversion_rate: figures.conversion_rate(),
        average_order_value: figures.average_order_value(),
        revenue_per_decision: figures.revenue_per_decision(),
        refund_rate: figures.refund_rate(),
    }
}

fn decode_kind(kind: proto::KindCount) -> FieldResult<KindCount> {
    let proto::KindCount { kind, role, events, value } = kind;
    Ok(KindCount { kind, role: decode_enum("kinds.role", role)?, events, value })
}

/// Decodes the figures of a period. Its ratios follow from the counts.
pub(crate) fn decode_period_figures(figures: proto::PeriodFigures) -> FieldResult<PeriodFigures> {
    let proto::PeriodFigures {
        from,
        until,
        decisions,
        holdout_decisions,
        reward,
        holdout_reward,
        exploration_cost,
        kinds,
        arms,
        reward_per_decision: _,
        click_through_rate: _,
        conversion_rate: _,
        average_order_value: _,
        revenue_per_decision: _,
        refund_rate: _,
    } = figures;
    let decode_kinds =
        |kinds: Vec<proto::KindCount>| kinds.into_iter().map(decode_kind).collect::<FieldResult<Vec<_>>>();
    let all_kinds = decode_kinds(kinds)?;
    let arm = |of: proto::ArmPeriod| {
        let arm = (!of.arm_id.is_empty()).then(|| ArmId::parse("arms.arm_id", &of.arm_id)).transpose()?;
        Ok(ArmPeriod { arm, showings: of.showings, reward: of.reward, kinds: decode_kinds(of.kinds)? })
    };
    Ok(PeriodFigures {
        from_us: decode_timestamp("from", from.unwrap_or_default())?,
        until_us: decode_timestamp("until", until.unwrap_or_default())?,
        decisions,
        holdout_decisions,
        reward,
        holdout_reward,
        exploration_cost,
        kinds: all_kinds,
        arms: arms.into_iter().map(arm).collect::<FieldResult<_>>()?,
    })
}

/// Encodes an alert of a slot.
pub(super) fn encode_alert(slot: &str, alert: Alert) -> proto::Alert {
    let Alert { kind, about, sentence, advice } = alert;
    proto::Alert { slot_id: slot.to_owned(), kind: kind.number(), about, sentence, advice }
}

/// Decodes an alert, or returns `None` if this program does not know its kind.
pub(crate) fn decode_alert(alert: proto::Alert) -> Option<Alert> {
    let proto::Alert { slot_id: _, kind, about, sentence, advice } = alert;
    Some(Alert { kind: AlertKind::from_number(kind)?, about, sentence, advice })
}

/// Encodes the figures by the values of a feature.
pub(super) fn encode_segment(segment: FeatureSegments) -> proto::Segment {
    let arm = |arm: SegmentArmReport| {
        let SegmentArmReport { arm, shown, share, if_everybody, chance_best } = arm;
        proto::SegmentArm {
            arm_id: arm.to_string(),
            shown,
            share,
            mean: if_everybody.map(|(mean, _, _)| mean),
            low: if_everybody.map(|(_, low, _)| low),
            high: if_everybody.map(|(_, _, high)| high),
            chance_best,
        }
    };
    let value = |value: SegmentValueReport| {
        let SegmentValueReport { value, decisions, reward_per_decision, lift, worse_than_holdout, arms } = value;
        proto::SegmentValue {
            value: value.unwrap_or_default(),
            decisions,
            reward_per_decision,
            lift: lift.map(encode_lift),
            worse_than_holdout,
            arms: arms.into_iter().map(arm).collect(),
        }
    };
    let FeatureSegments { feature, decisions, values } = segment;
    proto::Segment { feature, decisions, values: values.into_iter().map(value).collect() }
}

/// Decodes the figures by the values of a feature.
pub(crate) fn decode_segment(segment: proto::Segment) -> FieldResult<FeatureSegments> {
    let arm = |arm: proto::SegmentArm| {
        let proto::SegmentArm { arm_id, shown, share, mean, low, high, chance_best } = arm;
        let if_everybody = mean.zip(low).zip(high).map(|((mean, low), high)| (mean, low, high));
        Ok(SegmentArmReport { arm: ArmId::parse("arms.arm_id", &arm_id)?, shown, share, if_everybody, chance_best })
    };
    let value = |value: proto::SegmentValue| {
        let proto::SegmentValue { value, decisions, reward_per_decision, lift, worse_than_holdout, arms } = value;
        Ok(SegmentValueReport {
            value: (!value.is_empty()).then_some(value),
            decisions,
            reward_per_decision,
            lift: lift.map(decode_lift),
            worse_than_holdout,
            arms: arms.into_iter().map(arm).collect::<FieldResult<_>>()?,
        })
    };
    let proto::Segment { feature, decisions, values } = segment;
    Ok(FeatureSegments { feature, decisions, values: values.into_iter().map(value).collect::<FieldResult<_>>()? })
}

/// Key by which counts over time are split.
pub(super) enum SplitKey {
    None,
    Arm,
    Kind,
    /// Feature, by its place among those that are followed.
    Feature(usize),
}

/// Encodes the counts of steps, split by a key.
///
/// # Errors
///
/// Fails if there are more than [`POINTS_MAX`] points.
pub(super) fn encode_series(
    view: &SlotView,
    steps: &[SeriesCounts],
    by: &SplitKey,
) -> Result<Vec<proto::TimePoint>, FieldError> {
    let mut points = Vec::new();
    let since_us = rewards_since(view);
    for counts in steps {
        let before = since_us.is_some_and(|since_us| counts.start_us < since_us);
        let step = encode_step(view, counts, by).into_iter();
        points.extend(step.map(|point| if before { without_rewards(point) } else { point }));
        if points.len() > POINTS_MAX {
            let message =
                format!("and step give more than {POINTS_MAX} points; ask for a shorter span or a longer step");
            return Err(FieldError::new("from", message));
        }
    }
    Ok(points)
}

/// Returns a point of a step from before the goal changed.
fn without_rewards(point: proto::TimePoint) -> proto::TimePoint {
    proto::TimePoint { reward: 0.0, holdout_reward: 0.0, exploration_cost: 0.0, before_goal_change: true, ..point }
}

fn encode_step(view: &SlotView, counts: &SeriesCounts, by: &SplitKey) -> Vec<proto::TimePoint> {
    let time = Some(encode_timestamp(counts.start_us));
    let point = |key: String| proto::TimePoint { time, key, ..proto::TimePoint::default() };
    let arm_name = |arm: u32| match arm {
        OTHER_ARMS => String::new(),
        arm => view.arms.names().get(arm as usize).map(ArmId::to_string).unwrap_or_default(),
    };
    match by {
        SplitKey::None => {
            let totals = counts.totals;
            vec![proto::TimePoint {
                decisions: totals.decisions,
                holdout_decisions: totals.holdout_decisions,
                showings: counts.arms.iter().map(|arm| arm.showings).sum(),
                events: counts.kinds.iter().map(|kind| kind.events).sum(),
                value: counts.kinds.iter().map(|kind| kind.value).sum(),
                reward: totals.reward,
                holdout_reward: totals.holdout_reward,
                exploration_cost: totals.exploration_cost,
                ..point(String::new())
            }]
        }
        SplitKey::Arm => counts
            .arms
            .iter()
            .map(|arm| {
                let kinds = || counts.kinds.iter().filter(|kind| kind.arm == arm.arm);
                proto::TimePoint {
                    showings: arm.showings,
                    reward: arm.reward,
                    events: kinds().map(|kind| kind.events).sum(),
                    value: kinds().map(|kind| kind.value).sum(),
                    ..point(arm_name(arm.arm))
                }
            })
            .collect(),
        SplitKey::Kind => view
            .series
            .kinds()
            .iter()
            .enumerate()
            .filter_map(|(at, name)| {
                let of_kind = || counts.kinds.iter().filter(move |kind| usize::from(kind.kind) == at);
                of_kind().next()?;
                Some(proto::TimePoint {
                    events: of_kind().map(|kind| kind.events).sum(),
                    value: of_kind().map(|kind| kind.value).sum(),
                    ..point(name.clone())
                })
            })
            .collect(),
        SplitKey::Feature(at) => {
            let Some(feature) = view.evaluation.segments.features().get(*at) else { return Vec::new() };
            let of_feature = counts.values.iter().filter(|value| value.feature == feature.number());
            of_feature
                .map(|value| proto::TimePoint {
                    decisions: value.decisions,
                    reward: value.reward,
                    ..point(feature.label_at(value.place).unwrap_or_default().to_owned())
                })
                .collect()
        }
    }
}

/// Encodes the features of the context as they come.
pub(super) fn encode_features_info(view: &SlotView) -> proto::ListFeaturesResponse {
    let watch = &view.evaluation.feature_watch;
    let notes = view.learner.feature_notes();
    let features = watch.features().map(|(name, feature)| {
        let followed = view.evaluation.segments.features().iter().find(|followed| followed.name == name);
        let of_name = notes.iter().filter(|(noted, _)| noted.as_str() == name).flat_map(|(_, notes)| notes);
        proto::FeatureInfo {
            feature: name.to_owned(),
            decisions: feature.decisions,
            last_time: Some(encode_timestamp(feature.last_us)),
            r#type: feature.value_type.number(),
            type_changes: feature.changes,
            followed_values: followed.map_or(0, |followed| u32::try_from(followed.values.len()).unwrap_or(u32::MAX)),
            notes: of_name.map(crate::bandit::FeatureNote::reason).collect(),
        }
    });
    proto::ListFeaturesResponse { features: features.collect(), decisions: watch.decisions() }
}

/// Decodes the span and the step of a request for counts over time.
pub(super) fn decode_span(request: &proto::GetTimeSeriesRequest, now_us: i64) -> FieldResult<(i64, i64, SeriesStep)> {
    let step = decode_enum("step", request.step)?.unwrap_or(SeriesStep::Hour);
    let until_us = request.until.map_or(Ok(now_us), |until| decode_timestamp("until", until))?;
    let oldest_us = now_us - step.kept_us();
    let from_us = request.from.map_or(Ok(oldest_us), |from| decode_timestamp("from", from))?;
    let from_us = step.start_us(from_us.max(oldest_us));
    if until_us <= from_us {
        return Err(FieldError::new("until", "must be after from, and within the time for which the step is kept"));
    }
    Ok((from_us, until_us, step))
}

/// Encodes the length of a step.
pub(super) fn encode_step_length(step: SeriesStep) -> prost_types::Duration {
    encode_duration(step.us())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::KindRole;

    #[test]
    fn figures_of_a_period_survive_their_message() {
        let kind = |name: &str, role, events, value| KindCount { kind: name.into(), role, events, value };
        let kinds = vec![
            kind("click", Some(KindRole::Click), 30, 0.0),
            kind("purchase", Some(KindRole::Revenue), 4, 200.0),
            kind("refund", Some(KindRole::Refund), 1, 50.0),
        ];
        let arm = ArmPeriod {
            arm: Some(ArmId::parse("arm_id", "a").unwrap()),
            showings: 60,
            reward: 3.5,
            kinds: kinds[..1].to_vec(),
        };
        let figures = PeriodFigures {
            from_us: 1_793_000_000_000_000,
            until_us: 1_793_600_000_000_000,
            decisions: 100,
            holdout_decisions: 10,
            reward: 7.0,
            holdout_reward: 0.5,
            exploration_cost: 0.25,
            kinds,
            arms: vec![arm.clone(), ArmPeriod { arm: None, ..arm }],
        };
        let message = encode_period(&figures);
        assert_eq!(message.click_through_rate, Some(0.3));
        assert_eq!(message.conversion_rate, Some(0.04));
        assert_eq!(message.average_order_value, Some(50.0));
        assert_eq!(message.revenue_per_decision, Some(2.0));
        assert_eq!(message.refund_rate, Some(0.25));
        assert_eq!(decode_period_figures(message).unwrap(), figures);
        let nothing = encode_period(&PeriodFigures::default());
        assert_eq!((nothing.reward_per_decision, nothing.click_through_rate, nothing.refund_rate), (None, None, None));
    }

    #[test]
    fn segments_and_alerts_survive_their_messages() {
        let arm = SegmentArmReport {
            arm: ArmId::parse("arm_id", "x").unwrap(),
            shown: 12,
            share: 0.3,
            if_everybody: Some((0.3, 0.2, 0.4)),
            chance_best: 0.9,
        };
        let value = SegmentValueReport {
            value: Some("new".into()),
            decisions: 40,
            reward_per_decision: Some(0.2),
            lift: None,
            worse_than_holdout: true,
            arms: vec![arm.clone(), SegmentArmReport { if_everybody: None, ..arm }],
        };
        let others = SegmentValueReport { value: None, reward_per_decision: None, arms: Vec::new(), ..value.clone() };
        let segment = FeatureSegments { feature: "segment".into(), decisions: 80, values: vec![value, others] };
        assert_eq!(decode_segment(encode_segment(segment.clone())).unwrap(), segment);
        for kind in AlertKind::ALL {
            let alert = Alert { kind, about: "x".into(), sentence: "It is so".into(), advice: "do this".into() };
            assert_eq!(decode_alert(encode_alert("offers", alert.clone())), Some(alert));
        }
    }
}
