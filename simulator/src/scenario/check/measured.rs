//! Validation of the checks: each must measure something that the scenario has.

use super::{Checked, chance, fail, touchpoints};
use crate::scenario::{
    Check, DriftCourse, Metric, Scenario,
    names::{arm_factor, arm_id, place, policy},
    time::When,
};

/// Validates that a check measures something that the scenario has.
pub(super) fn check(scenario: &Scenario, check: &Check) -> Checked {
    for (key, name) in [("policy", &check.policy), ("over", &check.over)] {
        if let Some(name) = name {
            policy(scenario, name).map_err(|e| e.within(key))?;
        }
    }
    if !(0.5..1.0).contains(&check.confidence) {
        return fail("confidence", format!("is {}; must be from 0.5 to below 1", check.confidence));
    }
    let metric = check.metric;
    let bounded = check.min.is_some() || check.max.is_some();
    match (metric == Metric::PropensityCalibration, bounded) {
        (true, true) => {
            return fail("min", "propensity_calibration has no bounds: propensities are true or they are not");
        }
        (false, false) => return fail("min", "is missing; say min, max or both"),
        (true, false) | (false, true) => {}
    }
    for (key, bound) in [("min", check.min), ("max", check.max)] {
        if bound.is_some_and(|bound| !bound.is_finite()) {
            return fail(key, "must be a finite number");
        }
    }
    if metric == Metric::CountedError && scenario.behaviour.steps.iter().any(|step| step.value_spread > 0.0) {
        return fail("metric", "counted_error needs values without a spread, so that it is exact to the last cent");
    }
    if metric == Metric::Lift && check.over.is_none() {
        return fail("over", "is missing: lift is over another policy");
    }
    touchpoints::metric(scenario, metric)?;
    let pooled = matches!(
        metric,
        Metric::IntervalCoverage
            | Metric::PopulationCoverage
            | Metric::FiguresShown
            | Metric::WhoWantsWhat
            | Metric::RightArm
            | Metric::PropensityCalibration
            | Metric::FalseConfidence
            | Metric::P99Latency
    );
    if pooled && check.over.is_some() {
        return fail("over", format!("{} is no comparison; leave it out", metric.name()));
    }
    let adapts = metric == Metric::DecisionsToAdapt;
    let clicks = metric == Metric::ClicksToAdapt;
    let share = metric == Metric::Share;
    let by_segment = share || matches!(metric, Metric::RewardPerDecision | Metric::Lift | Metric::RegretPerDecision);
    for (key, given, allowed) in [
        ("arm", check.arm.is_some(), share),
        ("attribute", check.attribute.is_some(), share),
        ("state", check.state.is_some(), share),
        ("from", check.from.is_some(), share || clicks),
        ("until", check.until.is_some(), share),
        ("segment", check.segment.is_some(), by_segment),
        ("touchpoint", check.touchpoint.is_some(), by_segment && !share),
        ("since", check.since.is_some(), clicks),
        ("within", check.within.is_some(), adapts || clicks),
        ("block", check.block.is_some(), adapts),
        ("after", check.after.is_some(), adapts),
    ] {
        if given && !allowed {
            return fail(key, format!("does not go with {}", metric.name()));
        }
    }
    let selectors = [check.arm.is_some(), check.attribute.is_some(), check.state.is_some()];
    if share && selectors.iter().filter(|given| **given).count() != 1 {
        return fail("arm", "share is of something: say one of arm, attribute and state");
    }
    if let Some(arm) = &check.arm {
        arm_id(&scenario.catalogue, arm).map_err(|e| e.within("arm"))?;
    }
    if let Some(attribute) = &check.attribute {
        arm_factor(&scenario.catalogue, Some(attribute)).map_err(|e| e.within("attribute"))?;
    }
    if let Some(segment) = &check.segment {
        let known = scenario.shoppers.segments.iter().map(|s| s.name.as_str());
        place("the segment", segment, known).map_err(|e| e.within("segment"))?;
    }
    if let Some(touchpoint) = &check.touchpoint {
        let known = scenario.touchpoints.iter().map(|touchpoint| touchpoint.name.as_str());
        place("the touchpoint", touchpoint, known).map_err(|e| e.within("touchpoint"))?;
        if check.segment.is_some() {
            return fail("touchpoint", "goes without segment: rewards are counted by one of them at a time");
        }
    }
    for (key, part) in [("from", check.from), ("until", check.until), ("after", check.after)] {
        if let Some(part) = part {
            chance(key, part)?;
        }
    }
    if adapts && check.after.is_none() && change_point(scenario).is_none() {
        return fail("after", "is missing: no drift is abrupt or gradual at a part of the horizon");
    }
    Ok(())
}

/// Returns the part of the horizon at which the environment first changes for good, or `None`.
pub fn change_point(scenario: &Scenario) -> Option<f64> {
    let parts = scenario.drift.iter().filter_map(|drift| match drift.course {
        DriftCourse::Abrupt { at: When::Part(at), .. } => Some(at),
        DriftCourse::Gradual { from: When::Part(from), until: When::Part(until) } => Some(f64::midpoint(from, until)),
        DriftCourse::Abrupt { .. } | DriftCourse::Gradual { .. } | DriftCourse::Seasonal { .. } => None,
    });
    parts.min_by(f64::total_cmp)
}
