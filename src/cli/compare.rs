//! `slotwise compare SLOT`.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde_json::json;

use super::{
    CommandResult, ReportFormat, Target,
    document::{SlotDocument, unreadable},
    progress::Meter,
    say,
    table::fitted,
    terminal::printable,
};
use crate::{
    client::{PolicyBaselines, PolicyComparisonResult},
    engine::{AmountFormat, ComparedValue},
    node::Progress,
    slot::Controls,
};

/// Flags of `compare`.
#[derive(Debug, clap::Args)]
pub(super) struct ComparePolicies {
    /// Id of the slot.
    slot: String,
    /// Draft of the controls, such as "bolder: exploration = 2, floor = 0.05"; may be given several times.
    #[arg(long, value_name = "NAME: CONTROLS", value_parser = parse_draft)]
    draft: Vec<(String, Controls)>,
    /// Compare always showing the best guess.
    #[arg(long)]
    greedy: bool,
    /// Compare showing every arm equally often.
    #[arg(long)]
    uniform: bool,
    /// Compare showing this arm to everybody; may be given several times.
    #[arg(long, value_name = "ARM")]
    always: Vec<String>,
    /// Compare, for each arm, showing it to everybody.
    #[arg(long)]
    every_arm: bool,
    /// Length of the period of the decisions, such as 24h or 30days; default 7 days.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    last: Option<Duration>,
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

/// Parses a draft: a name, a colon, and controls as in a slot's file.
fn parse_draft(given: &str) -> Result<(String, Controls), String> {
    let (name, controls) =
        given.split_once(':').ok_or("write a name, a colon and controls: \"bolder: exploration = 2\"")?;
    let text = format!("slot_id = \"draft\"\ncontrols = {{ {} }}\n", controls.trim());
    let document: SlotDocument = toml::from_str(&text).map_err(|why| unreadable(&why, &text))?;
    let definition = document.definition().map_err(|why| why.to_string())?;
    Ok((name.trim().to_owned(), definition.controls))
}

impl ComparePolicies {
    pub(super) async fn run(self) -> CommandResult {
        let baselines = PolicyBaselines {
            greedy: self.greedy,
            uniform: self.uniform,
            every_arm: self.every_arm,
            always: self.always,
        };
        let last_us = self.last.map(|last| i64::try_from(last.as_micros()).unwrap_or(i64::MAX));
        let mut client = self.target.connect().await?;
        let mut meter = Meter::new();
        let progress = |done, of| meter.show(Progress { doing: "reading the journal", done, of });
        let result = client.compare_policies(&self.slot, &self.draft, &baselines, last_us, progress).await?;
        match self.output {
            ReportFormat::Table => {
                let amounts = AmountFormat::of_report(&client.report(&self.slot).await?);
                say(table(&result, &amounts));
            }
            ReportFormat::Json => say(serde_json::to_string_pretty(&result_json(&result))?),
        }
        Ok(())
    }
}

fn table(result: &PolicyComparisonResult, amounts: &AmountFormat) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header([
        "policy",
        "per decision",
        "95 % interval",
        "against present",
        "95 % of the difference",
        "effective n",
    ]);
    let range = |(low, high): (f64, f64)| format!("{} to {}", amounts.amount(low), amounts.amount(high));
    for ComparedValue { name, value, effective_decisions, floor_needed } in &result.policies {
        let (mean, interval, difference, of_difference) = if let Some(value) = value {
            (
                amounts.amount(value.mean),
                range(value.interval),
                amounts.amount(value.difference),
                range(value.difference_interval),
            )
        } else {
            let advice = floor_needed.map_or(String::new(), |floor| format!("floor {floor} would tell"));
            ("not enough overlap".to_owned(), advice, String::new(), String::new())
        };
        let name = printable(name).into_owned();
        table.add_row([name, mean, interval, difference, of_difference, format!("{effective_decisions:.0}")]);
    }
    for column in [1, 3, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let PolicyComparisonResult { decisions, left_out, .. } = result;
    format!(
        "{decisions} decisions, {left_out} left out (holdout, repeated, not drawn, or rewards not known yet)\n{}",
        fitted(table, &[5, 2])
    )
}

fn result_json(result: &PolicyComparisonResult) -> serde_json::Value {
    let policy = |of: &ComparedValue| {
        json!({
            "name": of.name,
            "mean": of.value.map(|value| value.mean),
            "low": of.value.map(|value| value.interval.0),
            "high": of.value.map(|value| value.interval.1),
            "difference": of.value.map(|value| value.difference),
            "difference_low": of.value.map(|value| value.difference_interval.0),
            "difference_high": of.value.map(|value| value.difference_interval.1),
            "effective_decisions": of.effective_decisions,
            "floor_needed": of.floor_needed,
        })
    };
    json!({
        "decisions": result.decisions,
        "left_out": result.left_out,
        "policies": result.policies.iter().map(policy).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::PolicyValue;

    #[test]
    fn a_draft_is_a_name_and_controls() {
        let (name, controls) = parse_draft("bolder: exploration = 2, floor = 0.05").unwrap();
        assert_eq!((name.as_str(), controls.exploration, controls.floor), ("bolder", Some(2.0), Some(0.05)));
        for (wrong, named) in [("exploration = 2", "colon"), ("x: flor = 1", "floor"), ("x: floor = 2", "floor")] {
            let why = parse_draft(wrong).unwrap_err();
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn what_is_not_known_is_said_with_the_floor_that_would_tell() {
        let value = PolicyValue { mean: 0.3, interval: (0.2, 0.4), difference: 0.0, difference_interval: (0.0, 0.0) };
        let present = ComparedValue {
            name: "present".into(),
            value: Some(value),
            effective_decisions: 900.0,
            floor_needed: None,
        };
        let other =
            ComparedValue { name: "always x".into(), value: None, effective_decisions: 3.0, floor_needed: Some(0.02) };
        let result = PolicyComparisonResult { decisions: 900, left_out: 10, policies: vec![present, other] };
        let text = table(&result, &AmountFormat { percent: true, currency: None });
        assert!(text.contains("30.0 %") && text.contains("floor 0.02 would tell"), "{text}");
    }
}
