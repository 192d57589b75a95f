//! Warnings of a preview, in plain words: what a marketer should think twice about before the change.

use super::{BeforeAfter, Estimate, PreviewArm, PreviewTally, SlotPreview, UnknownReward};
use crate::{
    engine::{decide::percent, report::AmountFormat, view::SlotView},
    slot::{Effect, Mode, Stickiness},
    stats::math,
};

/// Share of an arm below which it hardly learns.
const SHARE_TO_LEARN: f64 = 0.01;
/// Share of an arm above which the others hardly learn.
const SHARE_OF_ALL: f64 = 0.95;
/// Fall of the expected reward, as a part of it, that deserves a warning.
const REWARD_FALL: f64 = 0.01;
/// Rise of the cost of exploring, as a part of it, that deserves a warning.
const COST_RISE: f64 = 0.1;
/// Number of standard errors beyond which a change is not chance.
const SURE: f64 = 2.0;
/// Number of past decisions below which the estimates are rough.
const DECISIONS_ENOUGH: u64 = 100;
/// Holdout below which the lift cannot be measured in reasonable time.
const HOLDOUT_MIN: f64 = 0.01;
/// Share of arms that were never shown below which the expected reward hardly rests on them.
const UNKNOWN_SHARE: f64 = 0.01;
/// Number of arms that a warning names.
const NAMED_ARMS: usize = 3;

/// Returns all warnings about the change.
pub(super) fn warnings(views: &BeforeAfter<&SlotView>, preview: &SlotPreview, tally: &PreviewTally) -> Vec<String> {
    let mut warnings = Vec::new();
    match preview.decisions_used {
        0 => warnings.push(
            "There are no past decisions, so shares, rewards and the effects of rules cannot be estimated. The change itself could be made."
                .to_owned(),
        ),
        few @ 1..DECISIONS_ENOUGH => {
            warnings.push(format!("Only {few} past decisions were used, so the estimates are rough."));
        }
        _ => {
            warn_of_shares(views, preview, &mut warnings);
            warn_of_rules(views, preview, tally, &mut warnings);
        }
    }
    warn_of_requests(tally, &mut warnings);
    let amounts = AmountFormat::of_slot(views.after);
    warn_of_unknown_arms(preview, &amounts, &mut warnings);
    warn_of_rewards(preview, &amounts, &mut warnings);
    warn_of_controls(views, &mut warnings);
    warnings
}

/// Warns of arms that get almost nothing or almost everything.
fn warn_of_shares(views: &BeforeAfter<&SlotView>, preview: &SlotPreview, warnings: &mut Vec<String>) {
    let view = views.after;
    if view.definition.controls.safe_choice() {
        return;
    }
    let available = |arm: &&PreviewArm| view.arm(arm.arm.as_str()).is_some_and(|arm| arm.available);
    let learned_before = |arm: &&PreviewArm| {
        let unavailable = || views.before.arm(arm.arm.as_str()).is_none_or(|arm| !arm.available);
        arm.policy.before.value >= SHARE_TO_LEARN || unavailable()
    };
    let rare = preview.arms.iter().filter(|arm| arm.policy.after.value < SHARE_TO_LEARN);
    let rare: Vec<&PreviewArm> = rare.filter(available).filter(learned_before).collect();
    for arm in rare.iter().take(NAMED_ARMS) {
        let share = percent(arm.policy.after.value);
        warnings
            .push(format!("'{}' would be shown in {share} of the decisions: too seldom to learn about it.", arm.arm));
    }
    if rare.len() > NAMED_ARMS {
        warnings.push(format!("{} more arms would be shown that seldom.", rare.len() - NAMED_ARMS));
    }
    if view.definition.count() == 1 {
        for arm in preview.arms.iter().filter(|arm| arm.policy.after.value > SHARE_OF_ALL && preview.arms.len() > 1) {
            let share = percent(arm.policy.after.value);
            warnings.push(format!(
                "'{}' would be shown in {share} of the decisions: the others are shown too seldom to learn about them.",
                arm.arm
            ));
        }
    }
}

/// Warns of rules that cannot be evaluated or have no effect.
fn warn_of_rules(
    views: &BeforeAfter<&SlotView>,
    preview: &SlotPreview,
    tally: &PreviewTally,
    warnings: &mut Vec<String>,
) {
    for (at, rule) in views.after.rules.rules().iter().enumerate().filter(|(_, rule)| !rule.paused) {
        let fires =
            preview.rules.iter().find(|effects| effects.name == rule.name).and_then(|effects| effects.fires.after);
        let failed = tally.failed(at);
        let capped = matches!(rule.effect, Effect::SubjectCap { .. } | Effect::DayCap { .. });
        if failed > 0.0 {
            warnings.push(format!(
                "The rule '{}' could not be evaluated in {} of the past requests. Does its condition name a feature that is not always given?",
                rule.name,
                percent(failed)
            ));
        } else if fires.is_some_and(|fires| fires <= 0.0) && !capped {
            warnings.push(format!("The rule '{}' would have applied to none of the past requests.", rule.name));
        }
    }
}

/// Warns of requests in which the change leaves nothing to choose from or to learn with.
fn warn_of_requests(tally: &PreviewTally, warnings: &mut Vec<String>) {
    let nothing = tally.nothing_eligible();
    if nothing.after > 0.0 {
        let before = if nothing.before > 0.0 { format!(" (now {})", percent(nothing.before)) } else { String::new() };
        warnings.push(format!("In {}{before} of the past requests nothing would be eligible.", percent(nothing.after)));
    }
    let scaled = tally.scaled_floors();
    if scaled.after > 0.0 {
        let before = if scaled.before > 0.0 { format!(" (now {})", percent(scaled.before)) } else { String::new() };
        warnings.push(format!(
            "In {}{before} of the past requests the floors would add up to more than 100 %. They would be scaled down in proportion, and nothing would be left to learn with.",
            percent(scaled.after)
        ));
    }
    if tally.unknown_arms() > 0.0 {
        warnings.push(format!(
            "{} of the past requests name arms that the slot would not know. Such arms would be left out.",
            percent(tally.unknown_arms())
        ));
    }
}

/// Warns of arms that were never shown, because what they earn is unknown.
fn warn_of_unknown_arms(preview: &SlotPreview, amounts: &AmountFormat, warnings: &mut Vec<String>) {
    let UnknownReward { share, range: Some((low, high)) } = preview.unknown.after else { return };
    if share < UNKNOWN_SHARE {
        return;
    }
    warnings.push(format!(
        "{} of what would be shown are arms that were never shown before. What they earn is unknown, so the expected reward is anything from {} to {}.",
        percent(share.min(1.0)),
        amounts.amount(low),
        amounts.amount(high)
    ));
}

/// Warns of a fall of the expected reward and of a rise of the cost of exploring.
fn warn_of_rewards(preview: &SlotPreview, amounts: &AmountFormat, warnings: &mut Vec<String>) {
    let (reward, change) = (&preview.expected_reward, preview.expected_reward_change);
    // With unknown arms the change is a guess, and its warning is another one.
    let known = preview.unknown.after.share < UNKNOWN_SHARE && preview.unknown.before.share < UNKNOWN_SHARE;
    let sure = known && change.value < -SURE * change.standard_error;
    if sure && -change.value > REWARD_FALL * reward.before.value.abs() {
        let relative = 100.0 * change.value / reward.before.value.abs();
        let relative = if relative.is_finite() { format!(" ({relative:.1} %)") } else { String::new() };
        warnings.push(format!(
            "The expected reward per decision would fall from {} to {}{relative}.",
            amounts.amount(reward.before.value),
            amounts.amount(reward.after.value)
        ));
    }
    let cost = &preview.exploration_cost_per_1000;
    let variance = |estimate: Estimate| math::square(estimate.standard_error);
    let rise = cost.after.value - cost.before.value;
    if rise > COST_RISE * cost.before.value.abs() && rise > SURE * (variance(cost.before) + variance(cost.after)).sqrt()
    {
        warnings.push(format!(
            "The cost of exploring would rise from {:.2} to {:.2} of reward per 1,000 decisions.",
            cost.before.value, cost.after.value
        ));
    }
}

/// Warns of controls that hide effects of the change or limit learning.
fn warn_of_controls(views: &BeforeAfter<&SlotView>, warnings: &mut Vec<String>) {
    let (before, after) = (&views.before.definition, &views.after.definition);
    let controls = &after.controls;
    if controls.safe_choice() {
        warnings
            .push("The safe choice is on: everybody would get the baseline, and little would be learned.".to_owned());
    } else if controls.mode() == Mode::Shadow {
        warnings.push("The slot would be in shadow mode: everybody would get the baseline.".to_owned());
    } else if controls.control_share() < HOLDOUT_MIN {
        warnings.push(format!(
            "A holdout of {} is too small to measure what the slot gains: take at least {}.",
            percent(controls.control_share()),
            percent(HOLDOUT_MIN)
        ));
    }
    if (after.model, views.after.traits()) != (before.model, views.before.traits()) {
        warnings.push(
            "The model would change. A model that is new to the slot starts from nothing, and these shares are its first."
                .to_owned(),
        );
    }
    let capped = |effect: &Effect| matches!(effect, Effect::SubjectCap { .. } | Effect::DayCap { .. });
    if after.rules.iter().any(|rule| !rule.paused && capped(&rule.effect)) {
        warnings.push(
            "Caps are taken for not reached: arms that reach their cap would be shown less than this, the others more."
                .to_owned(),
        );
    }
    if controls.stickiness() != Stickiness::Never {
        warnings.push("Stickiness is left out: these are the shares of first draws, and subjects would keep what they were shown for a while.".to_owned());
    }
}
