//! Validation of a scenario. An error names the key by its path.

mod measured;
mod touchpoints;

use std::collections::BTreeSet;

use slotwise::slot::{Aggregation, ArmId, Definition, suggestion};

use super::{
    Bots, CatalogueSpec, ClickBehaviour, Delay, DriftCourse, FunnelStep, STEPS_MAX, Scenario, Shoppers, StepValue,
    TrafficSpec, TraitSpec, ValueName,
    error::Problem,
    names::{arm_factor, arm_id, context_names, place, policy, shopper_factor},
    slots,
    time::When,
};

pub use measured::change_point;

/// Bounds of the decisions in a replication. Fewer do not fill a hundred buckets, and more take days.
const HORIZON: (u64, u64) = (100, 100_000_000);
/// Maximum of replications.
const REPLICATIONS_MAX: u32 = 10_000;
/// Bound of log odds. Beyond it they are certainties.
const LOG_ODDS_MAX: f64 = 50.0;

type Checked = Result<(), Problem>;

fn fail(path: impl Into<String>, message: impl Into<String>) -> Checked {
    Err(Problem::new(path, message))
}

fn within(path: impl Into<String>, value: f64, low: f64, high: f64) -> Checked {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    fail(path, format!("is {value}; must be from {low} to {high}"))
}

fn chance(path: impl Into<String>, value: f64) -> Checked {
    within(path, value, 0.0, 1.0)
}

fn below_one(path: &str, value: f64) -> Checked {
    if (0.0..1.0).contains(&value) { Ok(()) } else { fail(path, format!("is {value}; must be from 0 to below 1")) }
}

fn positive(path: impl Into<String>, value: f64) -> Checked {
    if value > 0.0 && value <= 1e12 { Ok(()) } else { fail(path, format!("is {value}; must be above 0")) }
}

fn shares(path: &str, shares: impl Iterator<Item = f64>) -> Checked {
    let shares: Vec<f64> = shares.collect();
    if shares.iter().any(|share| !share.is_finite() || *share < 0.0) || shares.iter().sum::<f64>() <= 0.0 {
        return fail(path, "shares must be numbers of at least 0, and not all 0");
    }
    Ok(())
}

fn unique<'a>(path: &str, names: impl Iterator<Item = &'a str>) -> Checked {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() || name.contains(':') {
            return fail(path, format!("'{name}' is no name: it must not be empty, and hold no ':'"));
        }
        if !seen.insert(name) {
            return fail(path, format!("'{name}' stands there twice"));
        }
    }
    Ok(())
}

/// Validates a scenario.
pub(super) fn check(scenario: &Scenario) -> Checked {
    if !(HORIZON.0..=HORIZON.1).contains(&scenario.horizon) {
        return fail("horizon", format!("is {}; must be from {} to {}", scenario.horizon, HORIZON.0, HORIZON.1));
    }
    if !(1..=REPLICATIONS_MAX).contains(&scenario.replications) {
        return fail("replications", format!("is {}; must be from 1 to {REPLICATIONS_MAX}", scenario.replications));
    }
    if scenario.replications < 2 && !scenario.check.is_empty() {
        return fail("replications", "is 1; checks need at least 2, to know what is chance");
    }
    shoppers(&scenario.shoppers)?;
    catalogue(&scenario.catalogue)?;
    traffic(&scenario.traffic, &scenario.catalogue)?;
    behaviour(scenario)?;
    drift(scenario)?;
    touchpoints::touchpoints(scenario)?;
    let definitions = policies(scenario)?;
    if let Some(first) = definitions.first() {
        goal(scenario, first)?;
    }
    for (i, fault) in scenario.faults.iter().enumerate() {
        for (j, name) in fault.policies.iter().enumerate() {
            policy(scenario, name).map_err(|e| e.within(&format!("faults[{i}].policies[{j}]")))?;
        }
    }
    for (i, check) in scenario.check.iter().enumerate() {
        measured::check(scenario, check).map_err(|e| e.within(&format!("check[{i}]")))?;
    }
    Ok(())
}

fn shoppers(shoppers: &Shoppers) -> Checked {
    let Shoppers { segments, intents, intent_shift, shared_devices, traits, pool, context, .. } = shoppers;
    unique("shoppers.segments", segments.iter().map(|s| s.name.as_str()))?;
    unique("shoppers.intents", intents.iter().map(|s| s.name.as_str()))?;
    unique("shoppers.traits", traits.keys().map(String::as_str))?;
    shares("shoppers.segments", segments.iter().map(|s| s.share))?;
    shares("shoppers.intents", intents.iter().map(|s| s.share))?;
    chance("shoppers.intent_shift", *intent_shift)?;
    chance("shoppers.shared_devices", *shared_devices)?;
    if *pool == 0 {
        return fail("shoppers.pool", "must be at least 1; where nobody returns, say so in the segments");
    }
    for (i, s) in segments.iter().enumerate() {
        let at = |key: &str| format!("shoppers.segments[{i}].{key}");
        chance(at("returning"), s.returning)?;
        chance(at("price_sensitivity"), s.price_sensitivity)?;
        chance(at("price_spread"), s.price_spread)?;
        chance(at("opt_out"), s.opt_out)?;
        chance(at("session_only"), s.session_only)?;
        chance(at("opt_out"), s.opt_out + s.session_only)?;
        within(at("session_length"), s.session_length, 1.0, 1_000.0)?;
    }
    for (name, of) in traits {
        let path = format!("shoppers.traits.{name}");
        if context_names(&Shoppers::default()).contains(name) || name == "new" {
            return fail(path, "is the name of something that every shopper has; choose another");
        }
        one_trait(&path, of)?;
    }
    let known = context_names(shoppers);
    for (key, names) in [("context", context), ("context_without_consent", &shoppers.context_without_consent)] {
        for (i, name) in names.iter().enumerate() {
            let path = format!("shoppers.{key}[{i}]");
            place("the feature", name, known.iter().map(String::as_str)).map_err(|e| e.within(&path))?;
        }
    }
    Ok(())
}

fn one_trait(path: &str, of: &TraitSpec) -> Checked {
    match of {
        TraitSpec::Words(words) => shares(path, words.values().copied()),
        TraitSpec::Normal { mean, std } => {
            within(format!("{path}.normal.mean"), *mean, -1e9, 1e9)?;
            within(format!("{path}.normal.std"), *std, 0.0, 1e9)
        }
        TraitSpec::Uniform { from, until } if from.is_finite() && until.is_finite() && from < until => Ok(()),
        TraitSpec::Uniform { .. } => fail(format!("{path}.uniform"), "'from' must be below 'until'"),
    }
}

fn catalogue(catalogue: &CatalogueSpec) -> Checked {
    let CatalogueSpec { arms, generated, stock_outs, group_by: _ } = catalogue;
    if arms.is_empty() && generated.as_ref().is_none_or(|generated| generated.count == 0) {
        return fail("catalogue.arms", "there is nothing to show; add [[catalogue.arms]] or [catalogue.generated]");
    }
    let mut seen = BTreeSet::new();
    for (i, arm) in arms.iter().enumerate() {
        let at = format!("catalogue.arms[{i}]");
        ArmId::parse("arm_id", &arm.arm_id).map_err(|e| Problem::from(e).within(&at))?;
        if !seen.insert(&arm.arm_id) {
            return fail(format!("{at}.arm_id"), format!("'{}' stands in the catalogue twice", arm.arm_id));
        }
        within(format!("{at}.appeal"), arm.appeal, -LOG_ODDS_MAX, LOG_ODDS_MAX)?;
        if let Some(price) = arm.price {
            positive(format!("{at}.price"), price)?;
        }
        if let Some(margin) = arm.margin {
            within(format!("{at}.margin"), margin, -1e9, 1e9)?;
        }
    }
    if let Some(generated) = generated {
        ArmId::parse("prefix", &format!("{}0", generated.prefix))
            .map_err(|e| Problem::from(e).within("catalogue.generated"))?;
        within("catalogue.generated.count", f64::from(generated.count), 0.0, 10_000.0)?;
        within("catalogue.generated.appeal", generated.appeal, -LOG_ODDS_MAX, LOG_ODDS_MAX)?;
        within("catalogue.generated.appeal_std", generated.appeal_std, 0.0, LOG_ODDS_MAX)?;
        within("catalogue.generated.price_spread", generated.price_spread, 0.0, 5.0)?;
        if let Some(price) = generated.price {
            positive("catalogue.generated.price", price)?;
        }
        for (name, of) in &generated.attributes {
            one_trait(&format!("catalogue.generated.attributes.{name}"), of)?;
        }
        if let Some(every) = generated.launch_every {
            positive("catalogue.generated.launch_every", every.value())?;
        } else if generated.at_start.is_some_and(|at_start| at_start < generated.count) {
            return fail("catalogue.generated.launch_every", "is missing; it says when those not there at_start come");
        }
    }
    if let Some(outs) = stock_outs {
        below_one("catalogue.stock_outs.share", outs.share)?;
        positive("catalogue.stock_outs.length", outs.length.value())?;
    }
    Ok(())
}

fn traffic(traffic: &TrafficSpec, catalogue: &CatalogueSpec) -> Checked {
    positive("traffic.per_day", traffic.per_day)?;
    below_one("traffic.daily_swing", traffic.daily_swing)?;
    if let Some(weekly) = traffic.weekly {
        shares("traffic.weekly", weekly.into_iter())?;
    }
    for (i, sale) in traffic.flash_sales.iter().enumerate() {
        within(format!("traffic.flash_sales[{i}].factor"), sale.factor, 0.01, 1_000.0)?;
        same_scale(&format!("traffic.flash_sales[{i}]"), sale.from, sale.until)?;
    }
    if let Some(Bots { share, clicks, arm, session_length }) = &traffic.bots {
        below_one("traffic.bots.share", *share)?;
        chance("traffic.bots.clicks", *clicks)?;
        within("traffic.bots.session_length", *session_length, 1.0, 1_000.0)?;
        if let Some(arm) = arm {
            arm_id(catalogue, arm).map_err(|e| e.within("traffic.bots.arm"))?;
        }
    }
    Ok(())
}

fn same_scale(path: &str, from: When, until: When) -> Checked {
    let same = matches!((from, until), (When::Part(_), When::Part(_)) | (When::After(_), When::After(_)));
    if same && from.value() < until.value() {
        return Ok(());
    }
    fail(path, "'from' must be before 'until', and both parts of the horizon or both durations")
}

fn behaviour(scenario: &Scenario) -> Checked {
    let behaviour = &scenario.behaviour;
    if behaviour.position_bias.is_empty() {
        return fail("behaviour.position_bias", "must have an entry; [1.0] is no bias");
    }
    for (i, &look) in behaviour.position_bias.iter().enumerate() {
        chance(format!("behaviour.position_bias[{i}]"), look)?;
    }
    if behaviour.click_model == ClickBehaviour::Cascade && behaviour.position_bias.iter().any(|look| *look < 1.0) {
        let message =
            "is for the click model \"position\"; in a cascade all is looked at down to the first click: leave it out";
        return fail("behaviour.position_bias", message);
    }
    let steps = &behaviour.steps;
    if steps.is_empty() || steps.len() > STEPS_MAX {
        return fail("behaviour.steps", format!("has {} steps; must have 1 to {STEPS_MAX}", steps.len()));
    }
    unique("behaviour.steps", steps.iter().map(|step| step.kind.as_str()))?;
    for (i, step) in steps.iter().enumerate() {
        one_step(scenario, i, step).map_err(|e| e.within(&format!("behaviour.steps[{i}]")))?;
    }
    let dirty = &behaviour.dirty;
    for (key, value) in [
        ("lost", dirty.lost),
        ("duplicated", dirty.duplicated),
        ("late", dirty.late),
        ("reordered", dirty.reordered),
        ("without_decision", dirty.without_decision),
    ] {
        chance(format!("behaviour.dirty.{key}"), value)?;
    }
    if let Some(over) = &behaviour.overridden {
        below_one("behaviour.override.share", over.share)?;
        arm_id(&scenario.catalogue, &over.arm).map_err(|e| e.within("behaviour.override.arm"))?;
    }
    Ok(())
}

fn one_step(scenario: &Scenario, i: usize, step: &FunnelStep) -> Checked {
    let steps = &scenario.behaviour.steps;
    if let Some(after) = &step.after {
        place("the earlier step", after, steps[..i].iter().map(|s| s.kind.as_str())).map_err(|e| e.within("after"))?;
    }
    if let Some(p) = step.chance {
        chance("chance", p)?;
        if !step.terms.is_empty() || step.log_odds.total_cmp(&0.0).is_ne() || i == 0 {
            let message = "is for a step whose odds depend on nothing: leave it out, or log_odds and terms; the first \
                           step's odds are the arms' appeal";
            return fail("chance", message);
        }
    }
    within("log_odds", step.log_odds, -LOG_ODDS_MAX, LOG_ODDS_MAX)?;
    within("value_spread", step.value_spread, 0.0, 5.0)?;
    if step.reverses && (i == 0 || step.value.is_some()) {
        return fail("reverses", "is for a step after another, and without a value of its own");
    }
    for (j, term) in step.terms.iter().enumerate() {
        let at = |key: &str| format!("terms[{j}].{key}");
        within(at("weight"), term.weight, -LOG_ODDS_MAX, LOG_ODDS_MAX)?;
        shopper_factor(&scenario.shoppers, term.shopper.as_deref()).map_err(|e| e.within(&at("shopper")))?;
        arm_factor(&scenario.catalogue, term.arm.as_deref()).map_err(|e| e.within(&at("arm")))?;
    }
    if let Some(StepValue::Of(of)) = step.value {
        let catalogue = &scenario.catalogue;
        let missing = catalogue.arms.iter().find(|arm| match of {
            ValueName::Price => arm.price.is_none(),
            ValueName::Margin => arm.margin.is_none(),
        });
        let generated = catalogue.generated.as_ref().is_some_and(|generated| match of {
            ValueName::Price => generated.price.is_none(),
            ValueName::Margin => generated.price.is_none() || generated.margin_rate.is_none(),
        });
        if let Some(arm) = missing {
            return fail("value", format!("the arm '{}' has none; say it in the catalogue", arm.arm_id));
        }
        if generated {
            return fail("value", "generated arms have none; say price (and margin_rate) in catalogue.generated");
        }
    }
    delay("delay", &step.delay)
}

fn delay(path: &str, delay: &Delay) -> Checked {
    match delay {
        Delay::LogNormal { spread, .. } => within(format!("{path}.log_normal.spread"), *spread, 0.0, 10.0),
        Delay::Uniform { from, until } if from.us > until.us => {
            fail(format!("{path}.uniform"), "'from' is after 'until'")
        }
        Delay::None | Delay::Fixed(_) | Delay::Exponential(_) | Delay::Uniform { .. } => Ok(()),
    }
}

fn drift(scenario: &Scenario) -> Checked {
    for (i, drift) in scenario.drift.iter().enumerate() {
        let at = |key: &str| format!("drift[{i}].{key}");
        match (&drift.intent, drift.weight) {
            (Some(intent), None) => {
                let known = scenario.shoppers.intents.iter().map(|intent| intent.name.as_str());
                place("the intent", intent, known).map_err(|e| e.within(&at("intent")))?;
                let Some(share) = drift.share else {
                    return fail(at("share"), "is missing; it says by how much the intent's share changes");
                };
                within(at("share"), share, -1.0, 1.0)?;
                if drift.shopper.is_some() || drift.arm.is_some() {
                    return fail(at("intent"), "goes with share alone; shopper and arm go with weight");
                }
            }
            (None, Some(weight)) => {
                within(at("weight"), weight, -LOG_ODDS_MAX, LOG_ODDS_MAX)?;
                shopper_factor(&scenario.shoppers, drift.shopper.as_deref()).map_err(|e| e.within(&at("shopper")))?;
                arm_factor(&scenario.catalogue, drift.arm.as_deref()).map_err(|e| e.within(&at("arm")))?;
            }
            _ => return fail(at("weight"), "say either weight (of what is liked) or intent and share"),
        }
        match &drift.course {
            DriftCourse::Gradual { from, until } => same_scale(&at("course.gradual"), *from, *until)?,
            DriftCourse::Abrupt { at: begin, until: Some(until) } => same_scale(&at("course.abrupt"), *begin, *until)?,
            DriftCourse::Abrupt { until: None, .. } => {}
            DriftCourse::Seasonal { period, .. } => positive(at("course.seasonal.period"), period.value())?,
        }
    }
    Ok(())
}

fn policies(scenario: &Scenario) -> Result<Vec<Definition>, Problem> {
    unique("policies", scenario.policies.iter().map(|policy| policy.name.as_str()))?;
    slots::of_table(scenario.slot.clone())?;
    let mut definitions = Vec::new();
    for policy in &scenario.policies {
        let of_policy = slots::definitions(scenario, policy);
        definitions.extend(of_policy.map_err(|e| e.within(&format!("policies.{}", policy.name)))?);
    }
    if let Some(baseline) = &scenario.baseline {
        policy(scenario, baseline).map_err(|e| e.within("baseline"))?;
    }
    Ok(definitions)
}

/// Checks that the expected reward is a formula for this goal.
fn goal(scenario: &Scenario, definition: &Definition) -> Checked {
    let (goal, steps) = (&definition.goal, &scenario.behaviour.steps);
    if !steps.iter().any(|step| goal.kind(&step.kind).is_some()) {
        let kinds: Vec<&str> = goal.kinds.iter().map(|kind| kind.kind.as_str()).collect();
        let given = steps.first().map_or("", |step| step.kind.as_str());
        let near = suggestion(given, kinds.iter().copied());
        let message = format!("no step is of a kind that the slot's goal counts ({}){near}", kinds.join(", "));
        return fail("behaviour.steps", message);
    }
    for (i, step) in steps.iter().enumerate() {
        let Some(kind) = goal.kind(&step.kind) else { continue };
        if kind.use_value && step.value.is_none() {
            return fail(format!("behaviour.steps[{i}].value"), "is missing: the slot's goal uses this kind's value");
        }
        let linear = goal.aggregation == Aggregation::Sum && kind.cap.is_none();
        if step.value_spread > 0.0 && !linear {
            let message =
                "is for kinds without a cap, in a goal that sums: elsewhere the expected reward would be no formula";
            return fail(format!("behaviour.steps[{i}].value_spread"), message);
        }
    }
    let chain = steps.iter().enumerate().skip(1).all(|(i, s)| s.after.as_ref().is_none_or(|a| *a == steps[i - 1].kind));
    if goal.aggregation == Aggregation::Last && !chain {
        return fail("slot.goal.aggregation", "is last: then each step must need the one before it");
    }
    Ok(())
}
