//! `slotwise slots preview`: the estimated effect of a document before it is applied.

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use console::style;
use serde_json::json;

use super::{
    super::{CommandResult, ReportFormat, Target, report::bar, say, say_styled, table::fitted, terminal::printable},
    apply::{DocumentFiles, UnlistedArms, lines as difference_lines, make_plan},
};
use crate::{
    client::ChangePreview,
    engine::{BeforeAfter, Estimate, PreviewArm, PreviewRule, PreviewSegment},
};

/// Number of arms that are listed for people; the others are counted.
const ARMS_MAX: usize = 30;
/// Number of values of features that are listed for people.
const SEGMENTS_MAX: usize = 12;

/// Flags of `slots preview`.
#[derive(Debug, clap::Args)]
pub(super) struct PreviewCommand {
    #[command(flatten)]
    files: DocumentFiles,
    /// Number of each slot's last decisions to use, at most 10000; 0 means 10000.
    #[arg(long, default_value_t = 0, value_name = "N")]
    decisions: u32,
    #[command(flatten)]
    unlisted: UnlistedArms,
    /// Format of the output. JSON has one document for each slot.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

impl PreviewCommand {
    pub(super) async fn run(self) -> CommandResult {
        let documents = self.files.read()?;
        let mut client = self.target.connect().await?;
        for (file, document) in documents {
            let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
            let plan = make_plan(&mut client, &document, self.unlisted).await.map_err(|why| failed(&why))?;
            let definition = &plan.wanted;
            let Some((current, revision)) = &plan.found else {
                match self.output {
                    ReportFormat::Table => {
                        say(format_args!("{}: a new slot, without past decisions to go by", definition.id));
                    }
                    ReportFormat::Json => {
                        let new = json!({"slot_id": definition.id.as_str(), "is_new": true});
                        say(serde_json::to_string_pretty(&new)?);
                    }
                }
                continue;
            };
            let preview = client.preview_slot(current, definition, *revision, self.decisions).await;
            let mut preview = preview.map_err(|why| failed(&why))?;
            preview.preview.warnings.extend(plan.refusal(self.unlisted).map(|refusal| format!("apply {refusal}")));
            let slot = definition.id.as_str();
            match self.output {
                ReportFormat::Table => say_styled(text(slot, &preview)),
                ReportFormat::Json => say(serde_json::to_string_pretty(&json(slot, &preview))?),
            }
        }
        Ok(())
    }
}

fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

/// A value with its standard error.
fn with_error(of: Estimate, digits: usize) -> String {
    format!("{:.digits$} ± {:.digits$}", of.value, of.standard_error)
}

fn arms(preview: &[PreviewArm], left_out: usize) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["arm", "now", "", "then", "", "± s.e.", "policy now → then"]);
    // The scale follows the largest value, because with several arms shown some shares may all be near one.
    let top = preview.iter().flat_map(|arm| [arm.all.before.value, arm.all.after.value]).fold(1e-9, f64::max);
    let mut order: Vec<&PreviewArm> = preview.iter().collect();
    if order.len() > ARMS_MAX {
        order.sort_by(|a, b| b.all.after.value.total_cmp(&a.all.after.value));
    }
    for PreviewArm { arm, all, policy, never_shown } in order.iter().take(ARMS_MAX) {
        table.add_row([
            format!("{}{}", printable(arm.as_str()), if *never_shown { " (never shown)" } else { "" }),
            percent(all.before.value),
            bar(all.before.value / top),
            percent(all.after.value),
            bar(all.after.value / top),
            format!("{:.1}", 100.0 * all.after.standard_error),
            format!("{} → {}", percent(policy.before.value), percent(policy.after.value)),
        ]);
    }
    for column in [1, 3, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut lines = vec![fitted(table, &[4, 2, 6, 5])];
    let more = order.len().saturating_sub(ARMS_MAX) + left_out;
    if more > 0 {
        lines.push(format!("and {more} arms more"));
    }
    lines
}

fn rule(rule: &PreviewRule) -> String {
    let side = |fires: Option<f64>, keeps_out: f64| match fires {
        None => "not there".to_owned(),
        Some(fires) if keeps_out > 0.0 => {
            format!("applies in {}, excludes {keeps_out:.2} candidates per decision", percent(fires))
        }
        Some(fires) => format!("applies in {}", percent(fires)),
    };
    let PreviewRule { name, fires, keeps_out } = rule;
    let name = printable(name);
    let (now, then) = (side(fires.before, keeps_out.before), side(fires.after, keeps_out.after));
    if now == then { format!("rule '{name}': {now}, as now") } else { format!("rule '{name}': now {now}; then {then}") }
}

/// Table of the values of features for which the expected reward changes, those with the largest change first.
fn segments(preview: &[PreviewSegment]) -> Vec<String> {
    let mut order: Vec<&PreviewSegment> =
        preview.iter().filter(|segment| segment.expected_reward_change != Estimate::default()).collect();
    if order.is_empty() {
        return Vec::new();
    }
    let size = |segment: &PreviewSegment| segment.expected_reward_change.value.abs();
    order.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["for", "decisions", "reward now", "then", "change", "shown"]);
    for segment in order.iter().take(SEGMENTS_MAX) {
        let shown = segment.arms.iter().map(|(arm, shown)| {
            format!("{} {} → {}", printable(arm.as_str()), percent(shown.before), percent(shown.after))
        });
        table.add_row([
            format!("{} = {}", printable(&segment.feature), printable(&segment.value)),
            segment.decisions.to_string(),
            format!("{:.4}", segment.expected_reward.before.value),
            format!("{:.4}", segment.expected_reward.after.value),
            with_error(segment.expected_reward_change, 4),
            shown.collect::<Vec<_>>().join("\n"),
        ]);
    }
    let mut lines = vec![fitted(table, &[5, 3, 2])];
    if order.len() > SEGMENTS_MAX {
        lines.push(format!("and {} values more: see -o json", order.len() - SEGMENTS_MAX));
    }
    lines
}

/// Preview of a slot's change for people.
pub(in crate::cli) fn text(slot: &str, preview: &ChangePreview) -> String {
    let ChangePreview { preview, differences, differences_left_out, arms_left_out } = preview;
    if differences.is_empty() {
        return format!("{slot}: no difference");
    }
    let per_day = preview.decisions_per_day;
    let rate = if per_day > 0.0 { format!(", {per_day:.0} per day") } else { String::new() };
    let mut lines = vec![format!("{slot}: by {} past decisions{rate}", preview.decisions_used)];
    lines.extend(difference_lines(differences, *differences_left_out));
    lines.extend(arms(&preview.arms, *arms_left_out as usize));
    let BeforeAfter { before, after } = preview.expected_reward;
    lines.push(format!(
        "expected reward per decision: {} → {}, a change of {}",
        with_error(before, 4),
        with_error(after, 4),
        with_error(preview.expected_reward_change, 4)
    ));
    let BeforeAfter { before, after } = preview.exploration_cost_per_1000;
    lines.push(format!("cost of exploring per 1,000 decisions: {} → {}", with_error(before, 2), with_error(after, 2)));
    lines.extend(preview.rules.iter().map(rule));
    lines.extend(segments(&preview.segments));
    lines
        .extend(preview.warnings.iter().map(|warning| style(format!("! {}", printable(warning))).yellow().to_string()));
    lines.join("\n")
}

/// Preview of a slot's change with the API's field names.
pub(in crate::cli) fn json(slot: &str, preview: &ChangePreview) -> serde_json::Value {
    let ChangePreview { preview, differences, differences_left_out, arms_left_out } = preview;
    let estimate = |of: Estimate| json!({"value": of.value, "standard_error": of.standard_error});
    let arm = |arm: &PreviewArm| {
        json!({
            "arm_id": arm.arm.as_str(),
            "share_before": estimate(arm.all.before),
            "share_after": estimate(arm.all.after),
            "policy_share_before": estimate(arm.policy.before),
            "policy_share_after": estimate(arm.policy.after),
            "never_shown": arm.never_shown,
        })
    };
    let rule = |rule: &PreviewRule| {
        json!({
            "name": rule.name,
            "matched_before": rule.fires.before,
            "matched_after": rule.fires.after,
            "excluded_before": rule.keeps_out.before,
            "excluded_after": rule.keeps_out.after,
        })
    };
    let segment = |segment: &PreviewSegment| {
        let share = |(arm, shown): &(crate::slot::ArmId, BeforeAfter<f64>)| {
            let BeforeAfter { before, after } = shown;
            json!({"arm_id": arm.as_str(), "share_before": before, "share_after": after})
        };
        json!({
            "feature": segment.feature,
            "value": segment.value,
            "decisions": segment.decisions,
            "expected_reward_before": estimate(segment.expected_reward.before),
            "expected_reward_after": estimate(segment.expected_reward.after),
            "expected_reward_change": estimate(segment.expected_reward_change),
            "arms": segment.arms.iter().map(share).collect::<Vec<_>>(),
        })
    };
    json!({
        "slot_id": slot,
        "diff": differences.iter().map(|d| json!({"path": d.path, "before": d.before, "after": d.after})).collect::<Vec<_>>(),
        "diff_left_out": differences_left_out,
        "arms_left_out": arms_left_out,
        "decisions_used": preview.decisions_used,
        "decisions_per_day": preview.decisions_per_day,
        "arms": preview.arms.iter().map(arm).collect::<Vec<_>>(),
        "expected_reward_before": estimate(preview.expected_reward.before),
        "expected_reward_after": estimate(preview.expected_reward.after),
        "expected_reward_change": estimate(preview.expected_reward_change),
        "exploration_cost_per_1000_before": estimate(preview.exploration_cost_per_1000.before),
        "exploration_cost_per_1000_after": estimate(preview.exploration_cost_per_1000.after),
        "unknown_share_before": preview.unknown.before.share,
        "unknown_share_after": preview.unknown.after.share,
        "range_before": preview.unknown.before.range.map(|(low, high)| json!({"low": low, "high": high})),
        "range_after": preview.unknown.after.range.map(|(low, high)| json!({"low": low, "high": high})),
        "rules": preview.rules.iter().map(rule).collect::<Vec<_>>(),
        "segments": preview.segments.iter().map(segment).collect::<Vec<_>>(),
        "warnings": preview.warnings,
    })
}
