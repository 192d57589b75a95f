//! What to think twice about before a change, in plain words.

use super::{BeforeAfter, Estimate, Preview, PreviewArm, PreviewTally};
use crate::{
    engine::view::SlotView,
    slot::{Effect, Mode, Stickiness},
    stats::math,
};

/// An arm with a smaller share hardly learns.
const LITTLE: f64 = 0.01;
/// One with a greater share leaves the others nothing to learn from.
const NEARLY_ALL: f64 = 0.95;
/// Expected rewards that fall by less of themselves are not worth a word.
const WORSE: f64 = 0.01;
/// Costs of exploration that rise by less of themselves are not worth a word.
const DEARER: f64 = 0.1;
/// A change is no chance once it is so many standard errors.
const SURE: f64 = 2.0;
/// Fewer past decisions say little.
const FEW: u64 = 100;
/// A smaller holdout cannot be measured by in reasonable time.
const HOLDOUT_MIN: f64 = 0.01;
/// Arms that a warning names.
const NAMED: usize = 3;

fn percent(part: f64) -> String {
    if part > 0.0 && part < 0.001 { "less than 0.1 %".to_owned() } else { format!("{:.1} %", 100.0 * part) }
}

pub(super) fn warnings(views: &BeforeAfter<&SlotView>, preview: &Preview, tally: &PreviewTally) -> Vec<String> {
    let mut warnings = Vec::new();
    match preview.decisions_used {
        0 => warnings.push(
            "There are no past decisions to go by: nothing can be said of shares, rewards and rules. The change itself could be made."
                .to_owned(),
        ),
        few @ 1..FEW => warnings.push(format!("Only {few} past decisions say this: the shares are rough.")),
        _ => {
            shares(views, preview, &mut warnings);
            rules(views, preview, tally, &mut warnings);
        }
    }
    requests(tally, &mut warnings);
    rewards(preview, &mut warnings);
    controls(views, &mut warnings);
    warnings
}

fn shares(views: &BeforeAfter<&SlotView>, preview: &Preview, warnings: &mut Vec<String>) {
    let view = views.after;
    if view.definition.controls.safe_choice() {
        return;
    }
    let offered = |arm: &&PreviewArm| view.arm(arm.arm.as_str()).is_some_and(|arm| arm.available);
    let had = |arm: &&PreviewArm| {
        arm.policy.before.value >= LITTLE || views.before.arm(arm.arm.as_str()).is_none_or(|arm| !arm.available)
    };
    let little: Vec<&PreviewArm> =
        preview.arms.iter().filter(|arm| arm.policy.after.value < LITTLE).filter(offered).filter(had).collect();
    for arm in little.iter().take(NAMED) {
        let share = percent(arm.policy.after.value);
        warnings.push(format!("'{}' would be shown in {share} of the decisions: too seldom to learn of it.", arm.arm));
    }
    if little.len() > NAMED {
        warnings.push(format!("So it is with {} more arms.", little.len() - NAMED));
    }
    if view.definition.count() == 1 {
        for arm in preview.arms.iter().filter(|arm| arm.policy.after.value > NEARLY_ALL && preview.arms.len() > 1) {
            let share = percent(arm.policy.after.value);
            warnings.push(format!(
                "'{}' would be shown in {share} of the decisions: nothing is learned of the others.",
                arm.arm
            ));
        }
    }
}

fn rules(views: &BeforeAfter<&SlotView>, preview: &Preview, tally: &PreviewTally, warnings: &mut Vec<String>) {
    for (at, rule) in views.after.rules.rules().iter().enumerate().filter(|(_, rule)| !rule.paused) {
        let fires = preview.rules.iter().find(|of| of.name == rule.name).and_then(|of| of.fires.after);
        let failed = tally.failed(at);
        let capped = matches!(rule.effect, Effect::SubjectCap { .. } | Effect::DayCap { .. });
        if failed > 0.0 {
            warnings.push(format!(
                "The rule '{}' could not be evaluated in {} of the past requests: does its condition name a feature that is not always there?",
                rule.name,
                percent(failed)
            ));
        } else if fires.is_some_and(|fires| fires <= 0.0) && !capped {
            warnings.push(format!("The rule '{}' would have applied to none of the past requests.", rule.name));
        }
    }
}

fn requests(tally: &PreviewTally, warnings: &mut Vec<String>) {
    let nothing = tally.nothing_eligible();
    if nothing.after > 0.0 {
        let before = if nothing.before > 0.0 { format!(" (now {})", percent(nothing.before)) } else { String::new() };
        warnings.push(format!("In {}{before} of the past requests nothing would be eligible.", percent(nothing.after)));
    }
    let scaled = tally.scales_floors();
    if scaled.after > 0.0 {
        let before = if scaled.before > 0.0 { format!(" (now {})", percent(scaled.before)) } else { String::new() };
        warnings.push(format!(
            "In {}{before} of the past requests the floors and least shares would come to more than 1: they would be scaled down in proportion, and nothing would be left to learn with.",
            percent(scaled.after)
        ));
    }
    if tally.unknown() > 0.0 {
        warnings.push(format!(
            "{} of the past requests name arms that the slot would not know: such arms would be left out.",
            percent(tally.unknown())
        ));
    }
}

fn rewards(preview: &Preview, warnings: &mut Vec<String>) {
    let (reward, change) = (&preview.expected_reward, preview.expected_reward_change);
    let sure = change.value < -SURE * change.standard_error;
    if sure && -change.value > WORSE * reward.before.value.abs() {
        let relative = 100.0 * change.value / reward.before.value.abs();
        let relative = if relative.is_finite() { format!(" ({relative:.1} %)") } else { String::new() };
        warnings.push(format!(
            "The expected reward per decision would fall from {:.4} to {:.4}{relative}.",
            reward.before.value, reward.after.value
        ));
    }
    let cost = &preview.exploration_cost_per_day;
    let error = |of: Estimate| math::square(of.standard_error);
    let rise = cost.after.value - cost.before.value;
    if rise > DEARER * cost.before.value.abs() && rise > SURE * (error(cost.before) + error(cost.after)).sqrt() {
        warnings.push(format!(
            "What exploring costs would rise from {:.2} to {:.2} of reward per day.",
            cost.before.value, cost.after.value
        ));
    }
}

fn controls(views: &BeforeAfter<&SlotView>, warnings: &mut Vec<String>) {
    let (before, after) = (&views.before.definition, &views.after.definition);
    let controls = &after.controls;
    if controls.safe_choice() {
        warnings
            .push("The safe choice is on: everybody would get the baseline, and little would be learned.".to_owned());
    } else if controls.mode() == Mode::Shadow {
        warnings.push("The slot would only watch: everybody would get the baseline.".to_owned());
    } else if controls.control_share() < HOLDOUT_MIN {
        warnings.push(format!(
            "A holdout of {} is too small to measure by what the slot gains: take at least {}.",
            percent(controls.control_share()),
            percent(HOLDOUT_MIN)
        ));
    }
    if (after.model, after.traits()) != (before.model, before.traits()) {
        warnings.push(
            "The model would change: one that is new to the slot starts from nothing, and these are its first shares."
                .to_owned(),
        );
    }
    let capped = |effect: &Effect| matches!(effect, Effect::SubjectCap { .. } | Effect::DayCap { .. });
    if after.rules.iter().any(|rule| !rule.paused && capped(&rule.effect)) {
        warnings.push(
            "Caps are taken for not reached: arms that reach theirs would be shown less, the others more.".to_owned(),
        );
    }
    if controls.stickiness() != Stickiness::Never {
        warnings.push("Stickiness is left out: these are the shares of first draws, and subjects keep what they have for a while.".to_owned());
    }
}
