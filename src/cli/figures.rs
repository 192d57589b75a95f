//! `slotwise series SLOT`, `slotwise segments SLOT` and `slotwise alerts [SLOT]`.

use std::time::Duration;

use comfy_table::{CellAlignment, ColumnConstraint, Table, presets::UTF8_BORDERS_ONLY};
use serde_json::json;

use super::{
    CommandResult, ReportFormat, Target,
    report::{bar, lift_json},
    say,
    table::fitted_cutting,
    terminal::printable,
};
use crate::{
    client::{SeriesPoint, SeriesSplit},
    engine::{Alert, AmountFormat, FeatureSegments, SegmentValueReport, SeriesStep},
    wire::time_text,
};

/// Length of a step, by the name that a person gives.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum StepName {
    /// Five minutes, kept for 48 hours.
    #[value(name = "5min")]
    FiveMinutes,
    /// An hour, kept for 90 days.
    Hour,
    /// A day, kept for 3 years.
    Day,
}

impl StepName {
    fn step(self) -> SeriesStep {
        match self {
            Self::FiveMinutes => SeriesStep::FiveMinutes,
            Self::Hour => SeriesStep::Hour,
            Self::Day => SeriesStep::Day,
        }
    }
}

/// Key by which counts are split.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SplitName {
    /// One series per arm.
    Arm,
    /// One series per kind of event.
    Kind,
}

/// Flags of `series`.
#[derive(Debug, clap::Args)]
pub(super) struct Series {
    /// Id of the slot.
    slot: String,
    /// Length of a step, in UTC.
    #[arg(long, default_value = "hour")]
    step: StepName,
    /// Length of the series, such as 12h or 30days; default as far as steps of this length are kept.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    last: Option<Duration>,
    /// Splits the counts by this key.
    #[arg(long, conflicts_with = "feature")]
    by: Option<SplitName>,
    /// Splits the counts by the values of this feature.
    #[arg(long)]
    feature: Option<String>,
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

impl Series {
    pub(super) async fn run(self) -> CommandResult {
        let split = match (self.by, self.feature) {
            (_, Some(feature)) => SeriesSplit::Feature(feature),
            (Some(SplitName::Arm), None) => SeriesSplit::Arm,
            (Some(SplitName::Kind), None) => SeriesSplit::Kind,
            (None, None) => SeriesSplit::None,
        };
        let mut client = self.target.connect().await?;
        // The service's clock says when now is: its last decision is in its report.
        let report = client.period_report(&self.slot, None).await?;
        let from_us = self.last.map(|last| {
            report.period.until_us.saturating_sub(i64::try_from(last.as_micros()).unwrap_or(i64::MAX)).max(0)
        });
        let points = client.time_series(&self.slot, from_us, self.step.step(), &split).await?;
        match self.output {
            ReportFormat::Table => say(series_table(&points, &split, &AmountFormat::of_report(&report.report))),
            ReportFormat::Json => say(serde_json::to_string_pretty(&series_json(&points))?),
        }
        Ok(())
    }
}

fn series_table(points: &[SeriesPoint], split: &SeriesSplit, amounts: &AmountFormat) -> String {
    if points.is_empty() {
        return "no decisions in this span".to_owned();
    }
    let by_kind = matches!(split, SeriesSplit::Kind);
    let mut table = Table::new();
    let key = match split {
        SeriesSplit::None => "",
        SeriesSplit::Arm => "arm",
        SeriesSplit::Kind => "kind",
        SeriesSplit::Feature(feature) => feature,
    };
    let counted = match split {
        SeriesSplit::Arm => "showings",
        SeriesSplit::None | SeriesSplit::Kind | SeriesSplit::Feature(_) => "decisions",
    };
    table.load_style(UTF8_BORDERS_ONLY).set_header(["time (UTC)", key, "events", "value", counted, "reward", "each"]);
    for point in points {
        let count = if matches!(split, SeriesSplit::Arm) { point.showings } else { point.decisions };
        let name = if point.key.is_empty() && !matches!(split, SeriesSplit::None) { "(others)" } else { &point.key };
        let known = !point.before_goal_change;
        table.add_row([
            time_text(point.at_us),
            printable(name).into_owned(),
            point.events.to_string(),
            format!("{:.2}", point.value),
            count.to_string(),
            if known { format!("{:.2}", point.reward) } else { String::new() },
            if known && count > 0 { amounts.amount(point.reward / count as f64) } else { String::new() },
        ]);
    }
    for column in 2..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    // Decisions and rewards belong to no single kind.
    for column in if by_kind { 4..7 } else { 0..0 } {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }
    let text = fitted_cutting(table, &[3, 2], &[1]);
    if points.iter().any(|point| point.before_goal_change) && !by_kind {
        return format!("{text}\nsteps without rewards begin before the goal changed to pay something else");
    }
    text
}

fn series_json(points: &[SeriesPoint]) -> serde_json::Value {
    let point = |point: &SeriesPoint| {
        json!({
            "time": time_text(point.at_us),
            "key": point.key,
            "decisions": point.decisions,
            "showings": point.showings,
            "events": point.events,
            "value": point.value,
            "reward": point.reward,
            "exploration_cost": point.exploration_cost,
            "before_goal_change": point.before_goal_change,
        })
    };
    json!({"points": points.iter().map(point).collect::<Vec<_>>()})
}

/// Flags of `segments`.
#[derive(Debug, clap::Args)]
pub(super) struct Segments {
    /// Id of the slot.
    slot: String,
    /// Name of the feature; default all that are followed.
    feature: Option<String>,
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

impl Segments {
    pub(super) async fn run(self) -> CommandResult {
        let mut client = self.target.connect().await?;
        let segments = client.segments(&self.slot, self.feature.as_deref()).await?;
        match self.output {
            ReportFormat::Table => {
                let amounts = AmountFormat::of_report(&client.report(&self.slot).await?);
                say(segments_text(&segments, &amounts));
            }
            ReportFormat::Json => say(serde_json::to_string_pretty(&segments_json(&segments))?),
        }
        Ok(())
    }
}

fn value_name(value: &SegmentValueReport) -> &str {
    value.value.as_deref().unwrap_or("(others)")
}

fn segments_text(segments: &[FeatureSegments], amounts: &AmountFormat) -> String {
    if segments.is_empty() {
        return "no feature that is a word or a flag has come yet".to_owned();
    }
    let mut parts = Vec::new();
    for segment in segments {
        let mut table = Table::new();
        let name = printable(&segment.feature).into_owned();
        table.load_style(UTF8_BORDERS_ONLY).set_header([
            &name,
            "arm",
            "share",
            "",
            "if everybody got it",
            "chance best",
        ]);
        for value in &segment.values {
            for (i, arm) in value.arms.iter().enumerate() {
                let label = if i == 0 { printable(value_name(value)).into_owned() } else { String::new() };
                let figure = arm.if_everybody.map_or("not enough overlap to tell".to_owned(), |(mean, low, high)| {
                    format!("{} ({} to {})", amounts.amount(mean), amounts.amount(low), amounts.amount(high))
                });
                // Without a figure nothing is known, which is not the same as no chance.
                let known = arm.if_everybody.is_some() || arm.chance_best > 0.0;
                let chance = if known { format!("{:.1} %", 100.0 * arm.chance_best) } else { String::new() };
                table.add_row([
                    label,
                    printable(arm.arm.as_str()).into_owned(),
                    format!("{:.1} %", 100.0 * arm.share),
                    bar(arm.share),
                    figure,
                    chance,
                ]);
            }
        }
        for column in [2, 5] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        parts.push(fitted_cutting(table, &[3, 5], &[0, 1]));
        parts.extend(segment.values.iter().filter_map(|value| lift_line(&segment.feature, value, amounts)));
    }
    parts.push("intervals hold for all values of all features at once, with 95 %".to_owned());
    parts.join("\n")
}

/// Line about the lift for one value, or `None` without a holdout.
fn lift_line(feature: &str, value: &SegmentValueReport, amounts: &AmountFormat) -> Option<String> {
    let lift = value.lift.as_ref()?;
    let interval = lift.interval.map_or("too few rewards for an interval".to_owned(), |(low, high)| {
        format!("between {} and {} more", amounts.amount(low), amounts.amount(high))
    });
    let warning = if value.worse_than_holdout { "; worse than the holdout" } else { "" };
    Some(format!(
        "{} = {}: policy {}, holdout {}, {interval}{warning}",
        printable(feature),
        printable(value_name(value)),
        amounts.amount(lift.mean),
        amounts.amount(lift.holdout_mean)
    ))
}

fn segments_json(segments: &[FeatureSegments]) -> serde_json::Value {
    let value = |value: &SegmentValueReport| {
        let arms = value.arms.iter().map(|arm| {
            json!({
                "arm_id": arm.arm.as_str(),
                "shown": arm.shown,
                "share": arm.share,
                "mean": arm.if_everybody.map(|(mean, _, _)| mean),
                "low": arm.if_everybody.map(|(_, low, _)| low),
                "high": arm.if_everybody.map(|(_, _, high)| high),
                "chance_best": arm.chance_best,
            })
        });
        json!({
            "value": value.value,
            "decisions": value.decisions,
            "reward_per_decision": value.reward_per_decision,
            "lift": value.lift.as_ref().map(lift_json),
            "worse_than_holdout": value.worse_than_holdout,
            "arms": arms.collect::<Vec<_>>(),
        })
    };
    let segment = |segment: &FeatureSegments| {
        json!({
            "feature": segment.feature,
            "decisions": segment.decisions,
            "values": segment.values.iter().map(value).collect::<Vec<_>>(),
        })
    };
    json!({"segments": segments.iter().map(segment).collect::<Vec<_>>()})
}

/// Flags of `alerts`.
#[derive(Debug, clap::Args)]
pub(super) struct Alerts {
    /// Id of the slot; default all slots.
    slot: Option<String>,
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

impl Alerts {
    pub(super) async fn run(self) -> CommandResult {
        let found = self.target.connect().await?.alerts(self.slot.as_deref()).await?;
        match self.output {
            ReportFormat::Table if found.is_empty() => say("no alerts"),
            ReportFormat::Table => {
                for (slot, alert) in &found {
                    say(format!("{}: {}", printable(slot), alert_line(alert)));
                }
            }
            ReportFormat::Json => {
                let alerts: Vec<_> = found.iter().map(|(slot, alert)| alert_json(slot, alert)).collect();
                say(serde_json::to_string_pretty(&json!({"alerts": alerts}))?);
            }
        }
        Ok(())
    }
}

/// Alert as a line for people.
pub(super) fn alert_line(alert: &Alert) -> String {
    format!("{}; {}", printable(&alert.sentence), alert.advice)
}

/// Alert as JSON.
pub(super) fn alert_json(slot: &str, alert: &Alert) -> serde_json::Value {
    json!({
        "slot_id": slot,
        "kind": alert.kind.name(),
        "about": alert.about,
        "sentence": alert.sentence,
        "advice": alert.advice,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::SegmentArmReport, slot::ArmId};

    #[test]
    fn a_segment_is_a_table_of_its_values_and_arms() {
        let arm = |id: &str, share, if_everybody| SegmentArmReport {
            arm: ArmId::parse("arm_id", id).unwrap(),
            shown: 10,
            share,
            if_everybody,
            chance_best: 0.5,
        };
        let value = SegmentValueReport {
            value: Some("new".into()),
            decisions: 20,
            reward_per_decision: Some(0.1),
            lift: None,
            worse_than_holdout: false,
            arms: vec![arm("x", 0.25, None), arm("y", 0.75, Some((0.2, 0.1, 0.3)))],
        };
        let others = SegmentValueReport { value: None, arms: vec![arm("y", 1.0, None)], ..value.clone() };
        let segment = FeatureSegments { feature: "segment".into(), decisions: 40, values: vec![value, others] };
        let text = segments_text(&[segment], &AmountFormat { percent: true, currency: None });
        for wanted in
            ["segment", "new", "(others)", "not enough overlap to tell", "20.0 % (10.0 % to 30.0 %)", "75.0 %"]
        {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }

    #[test]
    fn a_series_names_its_keys_and_the_others() {
        let point = |key: &str| SeriesPoint {
            at_us: 1_793_000_000_000_000,
            key: key.into(),
            decisions: 0,
            showings: 4,
            events: 2,
            value: 10.0,
            reward: 1.0,
            exploration_cost: 0.0,
            before_goal_change: false,
        };
        let amounts = AmountFormat { percent: true, currency: None };
        let text = series_table(&[point("x"), point("")], &SeriesSplit::Arm, &amounts);
        assert!(text.contains("25.0 %") && text.contains("(others)") && text.contains("showings"), "{text}");
        assert_eq!(series_table(&[], &SeriesSplit::None, &amounts), "no decisions in this span");
    }
}
