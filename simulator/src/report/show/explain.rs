//! Description of a scenario in words and figures, without running it.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use slotwise::{cli::table::fitted, slot::Goal};

use crate::{
    environment::{Environment, Truth},
    report::sentence,
    scenario::{Loaded, Problem, slots},
};

/// Number of visits over which true rewards are averaged.
const VISITS: usize = 2_000;
/// Number of arms up to which each is listed.
const ARMS_MAX: usize = 20;

/// Describes the scenario: what it shows, its true rewards, its policies and its checks.
pub fn explain(loaded: &Loaded, seed: u64) -> Result<String, Problem> {
    let scenario = &loaded.scenario;
    let mut out = format!("{}: {}\n\n{}\n\n", loaded.name, scenario.title, scenario.shows.trim());
    let bots =
        scenario.traffic.bots.as_ref().map_or(String::new(), |bots| format!(", {:.0} % bots", 100.0 * bots.share));
    let _ = writeln!(
        out,
        "{} decisions ({:.1} days at {} per day{bots}), {} replications, seed {seed}",
        scenario.horizon,
        scenario.horizon as f64 / scenario.traffic.per_day,
        scenario.traffic.per_day,
        scenario.replications
    );
    let listed = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let _ = writeln!(out, "context of each request: {}", listed(&scenario.shoppers.context));
    if scenario.shoppers.segments.iter().any(|segment| segment.opt_out > 0.0) {
        let _ = writeln!(out, "without consent: {}", listed(&scenario.shoppers.context_without_consent));
    }
    let whole: f64 = scenario.touchpoints.iter().map(|touchpoint| touchpoint.share).sum();
    for touchpoint in &scenario.touchpoints {
        let opened = touchpoint
            .opened
            .as_ref()
            .map_or(String::new(), |opened| format!(", {:.0} % of which are opened", 100.0 * opened.chance));
        let share = 100.0 * touchpoint.share / whole;
        let _ = writeln!(out, "touchpoint {}: {share:.0} % of the visits{opened}", touchpoint.name);
    }
    let steps: Vec<&str> = scenario.behaviour.steps.iter().map(|step| step.kind.as_str()).collect();
    let _ = writeln!(out, "what shoppers do: {}", steps.join(", "));
    for policy in &scenario.policies {
        let changes = policy.changes();
        let changes = if changes.is_empty() { "the slot as it is" } else { &changes };
        let _ = writeln!(out, "policy {}: {changes}", policy.name);
    }
    let first = scenario.policies.first().map_or("", |policy| policy.name.as_str());
    for check in &scenario.check {
        let bound = match (check.min, check.max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "must be true".to_owned(),
        };
        let _ = writeln!(out, "check: {}, {bound}", sentence::name(check, first));
    }
    let slot = slots::of_table(scenario.slot.clone())?;
    let _ = write!(out, "\n{}", truths(loaded, &slot.goal, seed)?);
    Ok(out)
}

/// The expected reward of each arm for each segment, over the first visits of the first replication.
fn truths(loaded: &Loaded, goal: &Goal, seed: u64) -> Result<String, Problem> {
    let scenario = &loaded.scenario;
    let environment = Environment::new(scenario, goal, seed, 0)?;
    let segments = &scenario.shoppers.segments;
    let arms = environment.arms().len();
    let mut sums = vec![vec![0.0; arms]; segments.len()];
    let mut counts = vec![0_u32; segments.len()];
    let mut truth = Truth::default();
    for visit in environment.traffic().filter(|visit| !visit.shopper.bot).take(VISITS) {
        environment.truth(&visit, &mut truth);
        counts[visit.shopper.segment] += 1;
        let sums = &mut sums[visit.shopper.segment];
        sums.iter_mut().zip(&truth.expected).for_each(|(sum, expected)| *sum += expected);
    }
    let mut table = Table::new();
    let header = segments.iter().map(|segment| segment.name.clone());
    let header: Vec<String> = std::iter::once("expected reward, looked at".to_owned()).chain(header).collect();
    table.load_style(UTF8_BORDERS_ONLY).set_header(header);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if i == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    for (i, arm) in environment.arms().iter().enumerate().take(ARMS_MAX) {
        let cells = sums.iter().zip(&counts).map(|(sums, &count)| match count {
            0 => "–".to_owned(),
            _ => format!("{:.4}", sums[i] / f64::from(count)),
        });
        table.add_row(std::iter::once(arm.arm.id.to_string()).chain(cells).collect::<Vec<_>>());
    }
    let more = if arms > ARMS_MAX { format!("\nand {} arms more", arms - ARMS_MAX) } else { String::new() };
    // A narrow terminal drops the smallest segments first, which come last.
    let columns: Vec<usize> = (1..=segments.len()).rev().collect();
    Ok(format!("{}{more}", fitted(table, &columns)))
}
