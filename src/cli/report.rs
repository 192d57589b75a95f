//! `slotwise report SLOT`.

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde_json::json;

use super::{CommandResult, Target, say};
use crate::{
    engine::{ArmReport, SlotReport},
    wire::Client,
};

/// Characters of a full bar.
const BAR: f64 = 20.0;

/// Flags of `report`.
#[derive(Debug, clap::Args)]
pub(super) struct Report {
    /// The slot.
    slot: String,
    /// As what.
    #[arg(short, long, default_value = "table")]
    output: Output,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    /// A table for people.
    Table,
    /// JSON, with the names of the contract.
    Json,
}

impl Report {
    pub(super) async fn run(self) -> CommandResult {
        let report = Client::connect(&self.target.target).await?.report(&self.slot).await?;
        match self.output {
            Output::Table => say(table(&report)),
            Output::Json => say(serde_json::to_string_pretty(&json(&report))?),
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

fn table(report: &SlotReport) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header([
        "arm",
        "shown",
        "share",
        "",
        "mean reward",
        "95 % interval",
        "chance best",
    ]);
    for arm in &report.arms {
        let name = if arm.available { arm.arm.to_string() } else { format!("{} (off)", arm.arm) };
        table.add_row([
            name,
            arm.shown.to_string(),
            format!("{:.1} %", 100.0 * arm.share),
            bar(arm.share),
            format!("{:.4}", arm.mean),
            format!("{:.4} to {:.4}", arm.low, arm.high),
            format!("{:.1} %", 100.0 * arm.chance_best),
        ]);
    }
    for column in [1, 2, 4, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut lines = vec![
        format!(
            "{}: {} decisions, {} rewards, {:.4} reward per decision",
            report.slot,
            report.counters.decisions,
            report.counters.rewards,
            report.reward_per_decision()
        ),
        format!("model {}, {} dimensions, revision {}", report.model, report.dimensions, report.revision),
    ];
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
    if report.counters.holdout_decisions > 0 {
        lines.push(format!(
            "holdout: {} decisions, {:.4} reward per decision",
            report.counters.holdout_decisions,
            report.holdout_reward_per_decision()
        ));
    }
    let c = &report.counters;
    if c.duplicates + c.late + c.unmatched + c.rejected + c.other_kinds > 0 {
        lines.push(format!(
            "not counted: {} duplicate, {} late, {} unmatched, {} rejected; of other kinds: {}",
            c.duplicates, c.late, c.unmatched, c.rejected, c.other_kinds
        ));
    }
    lines.push(table.to_string());
    lines.join("\n")
}

fn json(report: &SlotReport) -> serde_json::Value {
    let arm = |arm: &ArmReport| {
        json!({
            "arm_id": arm.arm.as_str(),
            "shown": arm.shown,
            "share": arm.share,
            "reward_sum": arm.reward_sum,
            "learned_sum": arm.learned_sum,
            "mean": arm.mean,
            "low": arm.low,
            "high": arm.high,
            "chance_best": arm.chance_best,
            "available": arm.available,
        })
    };
    json!({
        "slot_id": report.slot,
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
        "arms": report.arms.iter().map(arm).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_part() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(0.5), "█".repeat(10));
        assert_eq!(bar(1.0), "█".repeat(20));
        assert_eq!(bar(0.05 / 8.0), "▏");
    }
}
