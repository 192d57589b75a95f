//! Alerts: what somebody should look at, each with what to do.

use std::collections::BTreeMap;

use super::{AmountFormat, RatioCheck, ratio::ratio_check, segments::segments};
use crate::{
    bandit::Value,
    engine::{slot_state::OTHER_ARMS, view::SlotView},
    stats::math::ln,
};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
const MINUTE_US: i64 = HOUR_US / 60;
/// Rounding that a sum of many floors may carry.
const FLOORS_ROUNDING: f64 = 1e-9;
/// Decisions of a revision whose floors were scaled down, from which on that is an alert.
const SCALED_MIN: u64 = 10;
/// Span of decisions in which a kind of event must have come, and the span before it that says how often.
const RECENT_US: i64 = 6 * HOUR_US;
const BEFORE_US: i64 = 7 * DAY_US;
/// Events that were to be expected from which on none is an alert. At a steady rate none comes with probability 2·10⁻⁹.
const EXPECTED_MIN: f64 = 20.0;
/// Decisions that were to have a feature from which on its absence is an alert.
const ABSENT_MIN: f64 = 50.0;
/// Part of the decisions that had a feature before it vanished.
const PRESENT_MIN: f64 = 0.1;
/// Values of a new type from which on a change of type is an alert.
const NEW_TYPE_MIN: u64 = 20;
/// Numbers by which their usual size is known, and the factor by which the recent ones differ from it.
const NUMBERS_MIN: u64 = 500;
const SIZE_FACTOR: f64 = 5.0;
/// Standard deviations of the usual sizes that the recent average must be away.
const SIZE_ERRORS: f64 = 1.0;
/// Standard errors and part of the expectation that rewards must be away from what the model expects.
const CALIBRATION_ERRORS: f64 = 5.0;
const CALIBRATION_PART: f64 = 0.25;
/// Decisions by which calibration and shares of showings are judged.
const JUDGED_MIN: f64 = 1_000.0;
/// Part of the showings of a day that one arm or one value of an attribute takes nearly all of.
const NEARLY_ALL: f64 = 0.95;

/// Kind of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// A kind of event came no more.
    EventStopped,
    /// A feature came no more.
    FeatureVanished,
    /// A feature came with another type.
    FeatureChangedType,
    /// The numbers of a feature came in another scale.
    FeatureChangedScale,
    /// Rewards are not what the model expects.
    CalibrationDrift,
    /// The holdout has another share than the one that is set.
    SampleRatioMismatch,
    /// One arm, or one value of an attribute, takes nearly all showings.
    OneTakesAll,
    /// The policy earns less than the holdout for some shoppers.
    SegmentWorseThanHoldout,
    /// The floors of the arms come to more than 1.
    FloorsAboveOne,
    /// The decisions of one client get no events, while those of other clients do.
    ClientWithoutEvents,
}

impl AlertKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::EventStopped,
        Self::FeatureVanished,
        Self::FeatureChangedType,
        Self::FeatureChangedScale,
        Self::CalibrationDrift,
        Self::SampleRatioMismatch,
        Self::OneTakesAll,
        Self::SegmentWorseThanHoldout,
        Self::FloorsAboveOne,
        Self::ClientWithoutEvents,
    ];

    /// Name of the kind for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::EventStopped => "event_stopped",
            Self::FeatureVanished => "feature_vanished",
            Self::FeatureChangedType => "feature_changed_type",
            Self::FeatureChangedScale => "feature_changed_scale",
            Self::CalibrationDrift => "calibration_drift",
            Self::SampleRatioMismatch => "sample_ratio_mismatch",
            Self::OneTakesAll => "one_takes_all",
            Self::SegmentWorseThanHoldout => "segment_worse_than_holdout",
            Self::FloorsAboveOne => "floors_above_one",
            Self::ClientWithoutEvents => "client_without_events",
        }
    }
}

/// Alert of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Kind of the alert.
    pub kind: AlertKind,
    /// Name of the event kind, the feature, the arm, the attribute or the client that it is about, or an empty text.
    pub about: String,
    /// Sentence that says what happened.
    pub sentence: String,
    /// Sentence that says what to do.
    pub advice: String,
}

fn alert(kind: AlertKind, about: &str, sentence: String, advice: &str) -> Alert {
    Alert { kind, about: about.to_owned(), sentence, advice: advice.to_owned() }
}

/// Returns the alerts of a slot, judged at the time of its last decision.
pub fn alerts(view: &SlotView) -> Vec<Alert> {
    let mut found: Vec<Alert> = floors(view).into_iter().collect();
    found.extend(stopped_events(view));
    found.extend(silent_clients(view));
    found.extend(changed_features(view));
    found.extend(calibration(view));
    found.extend(sample_ratio(view));
    found.extend(nearly_all(view));
    found.extend(worse_segments(view));
    found
}

/// Returns the alert of floors that come to more than 1, or `None`.
///
/// A change of the definition that makes them so is refused. They can become so when an arm that was paused or out of
/// stock is resumed, when the slot takes more items of the catalogue, and in requests in which the conditions of several
/// rules hold.
fn floors(view: &SlotView) -> Option<Alert> {
    let (sum, floors) = (view.definition.floors_sum(view.arms_in_effect()), view.evaluation.traffic.floors);
    let sentence = if sum > 1.0 + FLOORS_ROUNDING {
        format!("the floors of the arms that may be shown add up to {sum:.2}, more than 1, and are scaled down")
    } else if floors.scaled >= SCALED_MIN {
        format!(
            "in {} of the {} decisions since revision {} the floors of arms and rules added up to more than 1, and were scaled down",
            floors.scaled, floors.decisions, view.revision
        )
    } else {
        return None;
    };
    let advice = "nothing is left to learn with there: lower a floor, or pause an arm or a rule";
    Some(alert(AlertKind::FloorsAboveOne, "", sentence, advice))
}

/// Returns the alerts of clients whose decisions get no events, while those of other clients do.
fn silent_clients(view: &SlotView) -> Vec<Alert> {
    let traffic = &view.evaluation.traffic;
    let now_us = view.evaluation.last_decision_us;
    let mut found = Vec::new();
    for client in traffic.clients().iter().filter(|client| !client.name.is_empty()) {
        let quiet_us = client.last_decision_us.saturating_sub(client.last_event_us);
        let decides = now_us.saturating_sub(client.last_decision_us) < DAY_US;
        let Some(rate) = traffic.rate_of_others(client, JUDGED_MIN) else { continue };
        let expected = rate * client.decisions_since_event as f64;
        // Events of the newest decisions may still be on their way.
        if decides && expected >= EXPECTED_MIN && quiet_us > 2 * view.patience_us.max(MINUTE_US) {
            let sentence = format!(
                "no event came for {} decisions of the client '{}', and {expected:.0} were to be expected by those of other clients",
                client.decisions_since_event, client.name
            );
            let advice = "check that its decision ids or subjects reach the service that reports events";
            found.push(alert(AlertKind::ClientWithoutEvents, &client.name, sentence, advice));
        }
    }
    found
}

/// Returns the alerts of kinds of events that came no more.
fn stopped_events(view: &SlotView) -> Vec<Alert> {
    let until_us = view.evaluation.last_decision_us.saturating_sub(view.patience_us);
    let from_us = until_us - RECENT_US;
    let (recent, before) =
        (view.series.total_between(from_us, until_us), view.series.total_between(from_us - BEFORE_US, from_us));
    let events = |counts: &crate::engine::SeriesCounts, kind: usize| -> f64 {
        counts.kinds.iter().filter(|of| usize::from(of.kind) == kind).map(|of| of.events as f64).sum()
    };
    let kinds = view.series.kinds().iter().enumerate();
    let kinds = kinds.filter(|(_, name)| view.definition.goal.kind(name).is_some());
    kinds
        .filter_map(|(at, name)| {
            let rate = events(&before, at) / (before.totals.decisions as f64).max(1.0);
            let expected = rate * recent.totals.decisions as f64;
            (expected >= EXPECTED_MIN && events(&recent, at) <= 0.0).then(|| {
                alert(
                    AlertKind::EventStopped,
                    name,
                    format!(
                        "no '{name}' came for {} decisions of 6 hours, and {expected:.0} were to be expected",
                        recent.totals.decisions
                    ),
                    "check the service that reports this kind",
                )
            })
        })
        .collect()
}

/// Returns the alerts of features that came no more, or otherwise than before.
fn changed_features(view: &SlotView) -> Vec<Alert> {
    let watch = &view.evaluation.feature_watch;
    let (now, now_us) = (watch.decisions(), view.evaluation.last_decision_us);
    let lately = |at_us: i64| now_us.saturating_sub(at_us) < BEFORE_US;
    let mut found = Vec::new();
    for (name, feature) in watch.features() {
        let rate = feature.decisions as f64 / (feature.last - feature.first + 1) as f64;
        let absent = (now - feature.last) as f64;
        if rate >= PRESENT_MIN
            && rate * absent >= ABSENT_MIN
            && feature.decisions as f64 >= ABSENT_MIN
            && lately(feature.last_us)
        {
            let sentence = format!(
                "feature '{name}' has not come for {absent:.0} decisions; before, {:.0} % of them had it",
                100.0 * rate
            );
            found.push(alert(AlertKind::FeatureVanished, name, sentence, "check the request that the shop sends"));
            continue;
        }
        if let Some((before, at_us)) = feature.changed.filter(|(_, at_us)| lately(*at_us))
            && feature.since_change >= NEW_TYPE_MIN
        {
            let sentence =
                format!("feature '{name}' came as {} and now comes as {}", before.name(), feature.value_type.name());
            let _ = at_us;
            found.push(alert(AlertKind::FeatureChangedType, name, sentence, "send it as it was, or under a new name"));
        }
        let sizes = feature.sizes;
        let away = sizes.recent - sizes.usual;
        if sizes.count >= NUMBERS_MIN
            && away.abs() > ln(SIZE_FACTOR)
            && away.abs() > SIZE_ERRORS * sizes.variance.sqrt()
        {
            let factor = crate::stats::math::exp(away);
            let sentence = if factor > 1.0 {
                format!("the numbers of feature '{name}' are about {factor:.0} times as large as usual")
            } else {
                format!("the numbers of feature '{name}' are about {:.0} times as small as usual", 1.0 / factor)
            };
            found.push(alert(AlertKind::FeatureChangedScale, name, sentence, "check its unit"));
        }
    }
    found
}

/// Returns the alert of rewards that are not what the model expects, or `None`.
fn calibration(view: &SlotView) -> Option<Alert> {
    let calibration = view.evaluation.calibration;
    let enough = calibration.decisions >= JUDGED_MIN;
    let errors = CALIBRATION_ERRORS * (calibration.squares * view.evaluation.visits.design_effect()).sqrt();
    let far = calibration.residual.abs() > errors.max(CALIBRATION_PART * calibration.expected.abs());
    (enough && far).then(|| {
        let amounts = AmountFormat::new(view);
        let per = |sum: f64| amounts.amount(sum / calibration.decisions);
        let sentence = format!(
            "lately a decision earns {}, and the model expected {}",
            per(calibration.expected + calibration.residual),
            per(calibration.expected)
        );
        alert(
            AlertKind::CalibrationDrift,
            "",
            sentence,
            "if the shop has changed, the model follows within days; else check that events are reported as before",
        )
    })
}

fn sample_ratio(view: &SlotView) -> Option<Alert> {
    let check = ratio_check(view).filter(RatioCheck::is_mismatch)?;
    let sentence = format!(
        "the holdout has {:.2} % of the decisions and should have {:.2} % (p = {:.1e})",
        100.0 * check.realised,
        100.0 * check.set,
        check.p_value
    );
    let advice = "the lift cannot be trusted: check that both groups' requests and events arrive alike";
    Some(alert(AlertKind::SampleRatioMismatch, "", sentence, advice))
}

/// Returns the alerts of an arm, or of a value of an attribute, that takes nearly all showings of the last day.
fn nearly_all(view: &SlotView) -> Vec<Alert> {
    let now_us = view.evaluation.last_decision_us;
    let counts = view.series.total_between(now_us - DAY_US, i64::MAX);
    let total: u64 = counts.arms.iter().map(|arm| arm.showings).sum();
    let available: Vec<_> = view.arms_in_effect().iter().filter(|arm| arm.available).collect();
    if (total as f64) < JUDGED_MIN || available.len() < 3 {
        return Vec::new();
    }
    let part = |showings: u64| showings as f64 / total as f64;
    let mut found = Vec::new();
    for arm in counts.arms.iter().filter(|arm| arm.arm != OTHER_ARMS && part(arm.showings) >= NEARLY_ALL) {
        let Some(id) = view.arms.names().get(arm.arm as usize) else { continue };
        let sentence = format!("'{id}' takes {:.1} % of the showings of the last day", 100.0 * part(arm.showings));
        let advice = "if that is not wanted, set controls.ceiling or a floor";
        found.push(alert(AlertKind::OneTakesAll, id.as_str(), sentence, advice));
    }
    // Showings and arms by the words of each attribute.
    let mut values: BTreeMap<(&str, &str), (u64, usize)> = BTreeMap::new();
    for arm in &available {
        let learned = view.arms.learned(arm.id.as_str());
        let own = counts.arms.iter().find(|of| Some(of.arm) == learned).map_or(0, |of| of.showings);
        for (name, value) in &arm.attributes {
            if let Value::Text(word) = value {
                let of = values.entry((name, word)).or_default();
                *of = (of.0 + own, of.1 + 1);
            }
        }
    }
    for ((name, word), (showings, arms)) in values {
        // A value that most arms have is no choice, and a single arm is named above.
        if part(showings) >= NEARLY_ALL && arms > 1 && 2 * arms <= available.len() {
            let sentence = format!(
                "arms with {name} = {word} take {:.1} % of the showings of the last day",
                100.0 * part(showings)
            );
            let advice = "if that is not wanted, set a rule with a quota or bounds";
            found.push(alert(AlertKind::OneTakesAll, name, sentence, advice));
        }
    }
    found
}

fn worse_segments(view: &SlotView) -> Vec<Alert> {
    let amounts = AmountFormat::new(view);
    let mut found = Vec::new();
    for segment in segments(view) {
        for value in segment.values.iter().filter(|value| value.worse_than_holdout) {
            let Some(lift) = &value.lift else { continue };
            let sentence = format!(
                "for {} = {} decisions earn {}, less than the holdout's {}",
                segment.feature,
                value.value.as_deref().unwrap_or("other values"),
                amounts.amount(lift.mean),
                amounts.amount(lift.holdout_mean)
            );
            let advice = "look at what these shoppers get; a rule can give them the baseline meanwhile";
            found.push(alert(AlertKind::SegmentWorseThanHoldout, &segment.feature, sentence, advice));
        }
    }
    found
}
