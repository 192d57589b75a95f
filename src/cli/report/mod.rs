//! `slotwise report SLOT`.

mod json;
#[cfg(test)]
mod six_reports;
#[cfg(test)]
mod tests;

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};

use self::json::json;
pub(super) use self::json::lift_json;
use super::{
    CommandResult, ReportFormat, Target,
    figures::alert_line,
    say,
    table::fitted,
    terminal::{counted, printable},
};
use crate::{
    client::{PeriodReport, ReportPeriod},
    engine::{
        AmountFormat, ArmReport, DeferredCounts, FloorAdvice, GoalChange, IfEverybody, Lift, PeriodFigures, SlotReport,
        WithheldFigure,
    },
    wire::time_text,
};

/// Characters of a full bar.
const BAR: f64 = 20.0;

/// Flags of `report`.
#[derive(Debug, clap::Args)]
pub(super) struct Report {
    /// Id of the slot.
    slot: String,
    /// Length of the period that is compared with the one before it, such as 24h or 30days; default 7 days.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "since")]
    last: Option<Duration>,
    /// Revision with whose time the period starts.
    #[arg(long, value_name = "REVISION")]
    since: Option<u64>,
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

impl Report {
    pub(super) async fn run(self) -> CommandResult {
        let last = self.last.map(|last| ReportPeriod::Last(i64::try_from(last.as_micros()).unwrap_or(i64::MAX)));
        let period = last.or(self.since.map(ReportPeriod::SinceRevision));
        let report = self.target.connect().await?.period_report(&self.slot, period).await?;
        match self.output {
            ReportFormat::Table => say(table(&report)),
            ReportFormat::Json => say(serde_json::to_string_pretty(&json(report))?),
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
fn table(PeriodReport { report, period, previous }: &PeriodReport) -> String {
    let amounts = AmountFormat::of_report(report);
    let mut lines: Vec<String> = report.alerts.iter().map(|alert| format!("alert: {}", alert_line(alert))).collect();
    lines.extend(summary_lines(report, &amounts));
    lines.extend(period_lines(period, previous, &amounts));
    lines.extend(learning_lines(report, &amounts));
    lines.extend(comparison_lines(report, &amounts));
    lines.extend(not_counted_line(report));
    lines.extend(over_limit_line(report));
    lines.extend(deferred_line(report));
    lines.extend(floor_lines(report, &amounts));
    lines.push(fitted(arm_table(report, &amounts), &[9, 3, 8, 5, 2]));
    lines.join("\n")
}

/// Status, traffic and model of the slot.
fn summary_lines(report: &SlotReport, amounts: &AmountFormat) -> Vec<String> {
    vec![
        report.status.sentence.clone(),
        format!(
            "{}: {}, {}, {} per decision",
            report.slot,
            counted(report.counters.decisions, "decision"),
            counted(report.counters.rewards, "reward event"),
            amounts.amount(report.reward_per_decision())
        ),
        format!("model {}, {} dimensions, revision {}", report.model, report.dimensions, report.revision),
    ]
}

/// Figures of the period, each against the period before.
fn period_lines(period: &PeriodFigures, previous: &PeriodFigures, amounts: &AmountFormat) -> Vec<String> {
    if period.decisions == 0 {
        return Vec::new();
    }
    let rates = AmountFormat { percent: true, currency: None };
    let money = AmountFormat { percent: false, currency: amounts.currency.clone() };
    let ratio = |name: &str, of: fn(&PeriodFigures) -> Option<f64>, amounts: &AmountFormat| {
        let now = of(period)?;
        let before = of(previous).map_or(String::new(), |before| format!(" ({})", amounts.amount(before)));
        Some(format!("{name} {}{before}", amounts.amount(now)))
    };
    let ratios: Vec<String> = [
        ratio("reward per decision", PeriodFigures::reward_per_decision, amounts),
        ratio("click-through rate", PeriodFigures::click_through_rate, &rates),
        ratio("conversion", PeriodFigures::conversion_rate, &rates),
        ratio("order value", PeriodFigures::average_order_value, &money),
        ratio("revenue per decision", PeriodFigures::revenue_per_decision, &money),
        ratio("refunds per purchase", PeriodFigures::refund_rate, &rates),
    ]
    .into_iter()
    .flatten()
    .collect();
    let before = if previous.decisions > 0 { ", in brackets the period before" } else { "" };
    let decisions = counted(period.decisions, "decision");
    vec![format!("since {}: {decisions}; {}{before}", time_text(period.from_us), ratios.join(", "))]
}

/// Facts that were learned apart from the arms' rewards, and the worth of exploring.
fn learning_lines(report: &SlotReport, amounts: &AmountFormat) -> Vec<String> {
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
        lines.push(format!(
            "value remaining: another arm could add at most {} per showing{part} (95 % sure)",
            amounts.amount(value)
        ));
    }
    if let Some(cost) = report.exploration_cost {
        let per_1000 = AmountFormat { percent: false, currency: amounts.currency.clone() }.amount(1_000.0 * cost);
        lines.push(format!("cost of exploring: {per_1000} of reward per 1,000 decisions lately"));
    }
    if report.floor > 0.0 {
        lines.push(format!("floor: every arm gets at least {:.2} % of the decisions", 100.0 * report.floor));
    }
    if report.design_effect > 1.5 {
        lines.push(format!(
            "shoppers come back: {} decisions say as much as one of a new shopper",
            format_args!("{:.1}", report.design_effect)
        ));
    }
    lines.extend(
        report.feature_notes.iter().map(|(name, note)| format!("feature {}: {}", printable(name), note.reason())),
    );
    lines
}

/// Comparisons with the holdout.
fn comparison_lines(report: &SlotReport, amounts: &AmountFormat) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(report.lift.map(|lift| against_holdout("policy", &lift, amounts)));
    lines.extend(report.analysis_lift.map(|lift| against_holdout("analysis slice", &lift, amounts)));
    if report.lift.is_none() && report.counters.holdout_decisions > 0 {
        lines.push(format!(
            "holdout: {} decisions, {} per decision",
            report.counters.holdout_decisions,
            amounts.amount(report.holdout_reward_per_decision())
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

/// Deferred decisions, or `None` if there never was one.
fn deferred_line(report: &SlotReport) -> Option<String> {
    let DeferredCounts { made, confirmed, expired } = report.deferred;
    (made > 0).then(|| format!("deferred: {made} decisions, of which {confirmed} were confirmed and {expired} expired"))
}

/// Number of the decisions that were not learned because their subjects had reached the subject limit, or `None` if all
/// were.
fn over_limit_line(report: &SlotReport) -> Option<String> {
    let count = report.counters.decisions_over_subject_limit;
    (count > 0).then(|| format!("not learned: {count} decisions of subjects who had reached the subject limit"))
}

fn arm_table(report: &SlotReport, amounts: &AmountFormat) -> Table {
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
            if arm.shown > 0 { amounts.amount(arm.mean) } else { "not shown yet".to_owned() },
            interval(arm, amounts),
            if_everybody(&arm.if_everybody, amounts),
            format!("{:.1} %", 100.0 * arm.chance_best),
            arm.expected_loss.map_or_else(String::new, |loss| amounts.amount(loss)),
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
fn if_everybody(figure: &IfEverybody, amounts: &AmountFormat) -> String {
    match figure {
        IfEverybody::Known { mean, low, high, .. } => {
            format!("{} ({} to {})", amounts.amount(*mean), amounts.amount(*low), amounts.amount(*high))
        }
        IfEverybody::Withheld(WithheldFigure { because, .. }) => because.reason().to_owned(),
    }
}

/// Lines about the figures that are withheld, for which a floor would help.
fn floor_lines(report: &SlotReport, amounts: &AmountFormat) -> Vec<String> {
    let advice = report.arms.iter().filter(|arm| arm.available).filter_map(|arm| match &arm.if_everybody {
        IfEverybody::Known { .. } => None,
        IfEverybody::Withheld(withheld) => withheld.floor,
    });
    let Some(FloorAdvice { floor, cost_per_1000 }) = advice.max_by(|a, b| a.floor.total_cmp(&b.floor)) else {
        return Vec::new();
    };
    vec![format!(
        "to tell what every arm earns if everybody gets it within 10,000 decisions, set controls.floor to {floor}: it gives up {} of reward per 1,000 decisions",
        AmountFormat { percent: false, currency: amounts.currency.clone() }.amount(cost_per_1000)
    )]
}

/// Interval of an arm's mean reward where it was shown, or how many rewards it takes.
fn interval(arm: &ArmReport, amounts: &AmountFormat) -> String {
    match arm.interval {
        _ if arm.shown == 0 => String::new(),
        Some((low, high)) => format!("{} to {}", amounts.amount(low), amounts.amount(high)),
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

fn against_holdout(who: &str, lift: &Lift, amounts: &AmountFormat) -> String {
    let relative = lift.relative.map_or(String::new(), |part| format!(" ({:+.1} %)", 100.0 * part));
    let interval = lift.interval.map_or("too few rewards for an interval".to_owned(), |(low, high)| {
        format!("between {} and {} with 95 % at all times", amounts.amount(low), amounts.amount(high))
    });
    format!(
        "{who} against holdout: {} ({} decisions) against {} ({}), a difference of {}{relative}, {interval}",
        amounts.amount(lift.mean),
        lift.decisions,
        amounts.amount(lift.holdout_mean),
        lift.holdout_decisions,
        amounts.amount(lift.difference)
    )
}
