//! `slotwise report SLOT`.

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde_json::json;

use super::{CommandResult, ReportFormat, Target, say, table::fitted, terminal::printable};
use crate::{
    client::Client,
    engine::{ArmReport, FloorAdvice, GoalChange, IfEverybody, Lift, SlotReport, WithheldFigure},
    wire::time_text,
};

/// Characters of a full bar.
const BAR: f64 = 20.0;

/// Flags of `report`.
#[derive(Debug, clap::Args)]
pub(super) struct Report {
    /// Id of the slot.
    slot: String,
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

impl Report {
    pub(super) async fn run(self) -> CommandResult {
        let report = Client::connect(&self.target.target).await?.report(&self.slot).await?;
        match self.output {
            ReportFormat::Table => say(table(&report)),
            ReportFormat::Json => say(serde_json::to_string_pretty(&json(&report))?),
        }
        Ok(())
    }
}

/// A bar of `part` of a whole, in eighths of a character.
pub(crate) fn bar(part: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    // A share between 0 and 1 makes at most 160 eighths.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 160")]
    let eighths = (part.clamp(0.0, 1.0) * BAR * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// Report as text: sentences, then a table of the arms.
fn table(report: &SlotReport) -> String {
    let mut lines = summary_lines(report);
    lines.extend(learning_lines(report));
    lines.extend(comparison_lines(report));
    lines.extend(not_counted_line(report));
    lines.extend(over_limit_line(report));
    lines.extend(floor_lines(report));
    lines.push(fitted(arm_table(report), &[9, 3, 8, 5, 2]));
    lines.join("\n")
}

/// Status, traffic and model of the slot.
fn summary_lines(report: &SlotReport) -> Vec<String> {
    vec![
        report.status.sentence.clone(),
        format!(
            "{}: {} decisions, {} rewards, {:.4} reward per decision",
            report.slot,
            report.counters.decisions,
            report.counters.rewards,
            report.reward_per_decision()
        ),
        format!("model {}, {} dimensions, revision {}", report.model, report.dimensions, report.revision),
    ]
}

/// Facts that were learned apart from the arms' rewards, and the worth of exploring.
fn learning_lines(report: &SlotReport) -> Vec<String> {
    let mut lines: Vec<String> = report.goal_sums.as_ref().map(goal_change).into_iter().collect();
    if report.model == "portfolio" {
        let part = |(model, weight): &(String, f64)| format!("{model} {:.0} %", 100.0 * weight);
        lines.push(format!("deciding: {}", report.models.iter().map(part).collect::<Vec<_>>().join(", ")));
    }
    if !report.exposures.is_empty() {
        let exposures: Vec<String> = report.exposures.iter().map(|e| format!("{e:.2}")).collect();
        lines.push(format!("positions looked at, in units of the first: {}", exposures.join(" ")));
    }
    if report.changes_found > 0 {
        lines.push(format!("the world was found to have changed {} times", report.changes_found));
    }
    if let Some(value) = report.value_remaining {
        let part =
            report.value_remaining_relative.map_or(String::new(), |part| format!(", {:.1} % more", 100.0 * part));
        lines.push(format!("value remaining: another arm could add at most {value:.4} per showing{part} (95 % sure)"));
    }
    if let Some(cost) = report.exploration_cost {
        lines.push(format!("cost of exploring: {cost:.4} per decision lately"));
    }
    lines.extend(
        report.feature_notes.iter().map(|(name, note)| format!("feature {}: {}", printable(name), note.reason())),
    );
    lines
}

/// Comparisons with the holdout.
fn comparison_lines(report: &SlotReport) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(report.lift.map(|lift| against_holdout("policy", &lift)));
    lines.extend(report.analysis_lift.map(|lift| against_holdout("analysis slice", &lift)));
    if report.lift.is_none() && report.counters.holdout_decisions > 0 {
        lines.push(format!(
            "holdout: {} decisions, {:.4} reward per decision",
            report.counters.holdout_decisions,
            report.holdout_reward_per_decision()
        ));
    }
    lines
}

/// Numbers of the events that were not counted, or `None` if all were.
fn not_counted_line(report: &SlotReport) -> Option<String> {
    let c = &report.counters;
    (c.duplicates + c.late + c.unmatched + c.rejected + c.other_kinds > 0).then(|| {
        format!(
            "not counted: {} duplicate, {} late, {} unmatched, {} rejected; not part of the goal: {}",
            c.duplicates, c.late, c.unmatched, c.rejected, c.other_kinds
        )
    })
}

/// Number of the decisions that were not learned because their subjects had reached the subject limit, or `None` if all
/// were.
fn over_limit_line(report: &SlotReport) -> Option<String> {
    let count = report.counters.decisions_over_subject_limit;
    (count > 0).then(|| format!("not learned: {count} decisions of subjects who had reached the subject limit"))
}

fn arm_table(report: &SlotReport) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header([
        "arm",
        "shown",
        "share",
        "",
        "where shown",
        "95 % interval",
        "if everybody got it",
        "chance best",
        "expected loss",
        "effective n",
    ]);
    for arm in &report.arms {
        let name = printable(arm.arm.as_str());
        let name = if arm.available { name.into_owned() } else { format!("{name} (off)") };
        table.add_row([
            name,
            arm.shown.to_string(),
            format!("{:.1} %", 100.0 * arm.share),
            bar(arm.share),
            format!("{:.4}", arm.mean),
            interval(arm),
            if_everybody(&arm.if_everybody),
            format!("{:.1} %", 100.0 * arm.chance_best),
            if arm.available { format!("{:.4}", arm.expected_loss) } else { String::new() },
            format!("{:.0}", arm.effective_observations),
        ]);
    }
    for column in [1, 2, 4, 7, 8, 9] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Figure "if everybody got it" with its interval, or the reason why it is withheld.
fn if_everybody(figure: &IfEverybody) -> String {
    match figure {
        IfEverybody::Known { mean, low, high, .. } => format!("{mean:.4} ({low:.4} to {high:.4})"),
        IfEverybody::Withheld(WithheldFigure { because, .. }) => because.reason().to_owned(),
    }
}

/// Lines about the figures that are withheld, for which a floor would help.
fn floor_lines(report: &SlotReport) -> Vec<String> {
    let advice = report.arms.iter().filter(|arm| arm.available).filter_map(|arm| match &arm.if_everybody {
        IfEverybody::Known { .. } => None,
        IfEverybody::Withheld(withheld) => withheld.floor,
    });
    let Some(FloorAdvice { floor, cost_per_1000 }) = advice.max_by(|a, b| a.floor.total_cmp(&b.floor)) else {
        return Vec::new();
    };
    vec![format!(
        "to tell what every arm earns if everybody gets it within 10,000 decisions, set controls.floor to {floor}: it gives up {cost_per_1000:.2} per 1,000 decisions"
    )]
}

/// Interval of an arm's mean reward where it was shown, or how many rewards it takes.
fn interval(arm: &ArmReport) -> String {
    match arm.interval {
        Some((low, high)) => format!("{low:.4} to {high:.4}"),
        None if arm.rewarded < arm.rewards_needed => {
            format!("too few ({} of {})", arm.rewarded, arm.rewards_needed)
        }
        // Enough came, but they were refunded, are not learned yet, or have faded.
        None => "too few".to_owned(),
    }
}

/// Note that sums are those since the goal changed.
fn goal_change(change: &GoalChange) -> String {
    format!(
        "rewards are those of the {} decisions since revision {} changed the goal ({}); means still rest in part on what was learned before, which only a reset forgets",
        change.decisions,
        change.revision,
        time_text(change.at_us)
    )
}

fn against_holdout(who: &str, lift: &Lift) -> String {
    let relative = lift.relative.map_or(String::new(), |part| format!(" ({:+.1} %)", 100.0 * part));
    let interval = lift.interval.map_or("too few rewards for an interval".to_owned(), |(low, high)| {
        format!("{low:+.4} to {high:+.4} with 95 % at all times")
    });
    format!(
        "{who} against holdout: {:.4} ({} decisions) against {:.4} ({}), {:+.4}{relative}, {interval}",
        lift.mean, lift.decisions, lift.holdout_mean, lift.holdout_decisions, lift.difference
    )
}

fn if_everybody_json(figure: &IfEverybody) -> serde_json::Value {
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

fn lift_json(lift: &Lift) -> serde_json::Value {
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

fn json(report: &SlotReport) -> serde_json::Value {
    let arm = |arm: &ArmReport| {
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
            "if_everybody": if_everybody_json(&arm.if_everybody),
        })
    };
    json!({
        "slot_id": report.slot,
        "status": report.status.stage.word(),
        "status_sentence": report.status.sentence,
        "lift": report.lift.as_ref().map(lift_json),
        "analysis_lift": report.analysis_lift.as_ref().map(lift_json),
        "exploration_cost": report.exploration_cost,
        "value_remaining": report.value_remaining,
        "value_remaining_relative": report.value_remaining_relative,
        "revision": report.revision,
        "model": report.model,
        "models": report.models.iter().map(|(model, weight)| json!({"model": model, "weight": weight})).collect::<Vec<_>>(),
        "changes_found": report.changes_found,
        "position_exposures": report.exposures,
        "dimensions": report.dimensions,
        "decisions": report.counters.decisions,
        "rewards": report.counters.rewards,
        "reward_per_decision": report.reward_per_decision(),
        "holdout_decisions": report.counters.holdout_decisions,
        "holdout_reward_per_decision": report.holdout_reward_per_decision(),
        "duplicate_rewards": report.counters.duplicates,
        "late_rewards": report.counters.late,
        "unmatched_rewards": report.counters.unmatched,
        "other_kind_rewards": report.counters.other_kinds,
        "rejected_rewards": report.counters.rejected,
        "decisions_over_subject_limit": report.counters.decisions_over_subject_limit,
        "feature_notes": report.feature_notes.iter().map(|(name, note)| {
            json!({"feature": name, "sentence": note.reason()})
        }).collect::<Vec<_>>(),
        "goal_change": report.goal_sums.map(|change| json!({
            "revision": change.revision,
            "time": time_text(change.at_us),
            "decisions": change.decisions,
            "holdout_decisions": change.holdout_decisions,
        })),
        "arms": report.arms.iter().map(arm).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::ArmId;

    #[test]
    fn a_lift_is_said_with_its_interval_or_that_there_is_none() {
        let lift = Lift {
            decisions: 900,
            mean: 0.041,
            holdout_decisions: 100,
            holdout_mean: 0.032,
            difference: 0.009,
            interval: Some((-0.004, 0.022)),
            relative: Some(0.281_25),
        };
        let want = "policy against holdout: 0.0410 (900 decisions) against 0.0320 (100), +0.0090 (+28.1 %), \
                    -0.0040 to +0.0220 with 95 % at all times";
        assert_eq!(against_holdout("policy", &lift), want);
        let unsure = against_holdout("policy", &Lift { interval: None, relative: None, ..lift });
        assert!(unsure.ends_with("+0.0090, too few rewards for an interval"), "{unsure}");
    }

    #[test]
    fn an_arm_without_an_interval_says_how_many_rewards_it_takes() {
        let arm = ArmReport {
            arm: ArmId::parse("arm_id", "b").unwrap(),
            shown: 700,
            share: 0.7,
            shown_since_goal: 700,
            reward_sum: 30.5,
            learned_sum: 30.5,
            mean: 0.04,
            interval: None,
            rewards_needed: 57,
            chance_best: 0.9,
            available: true,
            rewarded: 28,
            expected_loss: 0.001,
            effective_observations: 700.0,
            if_everybody: IfEverybody::Known { mean: 0.035, low: 0.02, high: 0.05, effective_decisions: 300.0 },
        };
        assert_eq!(if_everybody(&arm.if_everybody), "0.0350 (0.0200 to 0.0500)");
        assert_eq!(interval(&arm), "too few (28 of 57)");
        assert_eq!(interval(&ArmReport { rewarded: 60, ..arm.clone() }), "too few");
        let known = ArmReport { interval: Some((0.03, 0.05)), rewards_needed: 0, ..arm };
        assert_eq!(interval(&known), "0.0300 to 0.0500");
    }

    #[test]
    fn bars_are_as_long_as_their_part() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(0.5), "█".repeat(10));
        assert_eq!(bar(1.0), "█".repeat(20));
        assert_eq!(bar(0.05 / 8.0), "▏");
    }
}
