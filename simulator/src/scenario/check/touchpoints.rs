//! Validation of touchpoints, and of the checks that they allow.

use slotwise::slot::SlotId;

use super::{Checked, chance, delay, fail, shares, unique};
use crate::scenario::{EventReports, Metric, Problem, Scenario, Touchpoint};

/// Maximum of touchpoints. Each is a slot that every policy has.
const TOUCHPOINTS_MAX: usize = 20;

pub(super) fn touchpoints(scenario: &Scenario) -> Checked {
    let touchpoints = &scenario.touchpoints;
    if touchpoints.len() > TOUCHPOINTS_MAX {
        return fail("touchpoints", format!("has {} entries; must have at most {TOUCHPOINTS_MAX}", touchpoints.len()));
    }
    unique("touchpoints", touchpoints.iter().map(|touchpoint| touchpoint.name.as_str()))?;
    if !touchpoints.is_empty() {
        shares("touchpoints", touchpoints.iter().map(|touchpoint| touchpoint.share))?;
    }
    touchpoints
        .iter()
        .enumerate()
        .try_for_each(|(i, touchpoint)| one_touchpoint(touchpoint).map_err(|e| e.within(&format!("touchpoints[{i}]"))))
}

fn one_touchpoint(touchpoint: &Touchpoint) -> Checked {
    SlotId::parse("name", &touchpoint.name).map_err(Problem::from)?;
    if touchpoint.slot.contains_key("slot_id") {
        return fail("slot.slot_id", "is the touchpoint's name; leave it out here");
    }
    if let Some(opened) = &touchpoint.opened {
        chance("opened.chance", opened.chance)?;
        delay("opened.delay", &opened.delay)?;
    }
    Ok(())
}

/// Validates that a metric can be measured with several slots, or with shopper events.
pub(super) fn metric(scenario: &Scenario, metric: Metric) -> Checked {
    let of_one_slot =
        matches!(metric, Metric::DecisionsToAdapt | Metric::CountedError | Metric::WhoWantsWhat | Metric::RightArm);
    if of_one_slot && !scenario.touchpoints.is_empty() {
        return fail("metric", format!("{} is about one slot, and this scenario has touchpoints", metric.name()));
    }
    let reports_shoppers = |events: Option<EventReports>| events == Some(EventReports::Shopper);
    let any = reports_shoppers(scenario.shop.events)
        || scenario.policies.iter().any(|policy| reports_shoppers(policy.shop.events));
    if metric == Metric::CountedError && any {
        return fail("metric", "counted_error needs reward events: a shopper event counts in several decisions");
    }
    Ok(())
}
