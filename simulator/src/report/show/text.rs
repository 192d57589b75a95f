//! A report as text for a terminal.

use std::fmt::Write as _;

use slotwise::cli::table::fitted;

use super::{
    cells::{percent, table, with_error},
    following::following,
    live::{latencies, live_notes, pace, quantiles},
    spark::sparkline,
};
use crate::report::{CheckOutcome, PolicyReport, RunReport, RunVerdict};

/// Number of bars in a curve.
const WIDTH: usize = 25;

fn highest_regret(report: &RunReport) -> f64 {
    let all = report.policies.iter().flat_map(|policy| &policy.regret_by_bucket);
    all.filter_map(|point| point.mean).fold(0.0, f64::max)
}

fn regret_curve(policy: &PolicyReport, highest: f64) -> String {
    let means: Vec<Option<f64>> = policy.regret_by_bucket.iter().map(|point| point.mean).collect();
    sparkline(&means, 0.0, highest, WIDTH)
}

/// The whole report as text.
pub fn text(report: &RunReport) -> String {
    let scenario = &report.scenario;
    let small = if scenario.small { ", small" } else { "" };
    let mut out = format!(
        "{}{small}: {}\n{} decisions of {} replications, {} arms, {:.1} days of the shop's time\n",
        scenario.name, scenario.title, report.horizon, report.replications, scenario.arms, scenario.days
    );
    let lift = report.baseline.as_ref().map_or_else(|| "lift".to_owned(), |baseline| format!("over {baseline}"));
    let mut policies =
        table(&["policy", "reward/decision", &lift, "regret/decision", "regret over time", "fallbacks"], &[0, 4]);
    let highest = highest_regret(report);
    for policy in &report.policies {
        policies.add_row(vec![
            policy.name.clone(),
            with_error(&policy.reward_per_decision),
            policy.lift.as_ref().map_or("–".to_owned(), percent),
            with_error(&policy.regret_per_decision),
            regret_curve(policy, highest),
            if policy.fallbacks > 0.0 { format!("{:.1} %", 100.0 * policy.fallbacks) } else { "–".to_owned() },
        ]);
    }
    let _ = writeln!(out, "{}", fitted(policies, &[4, 5, 3]));
    if let Some(first) = report.policies.first() {
        out.push_str(&shares(first));
        if first.segments.len() > 1 {
            out.push_str(&segments(report));
        }
    }
    out.push_str(&following(report));
    out.push_str(&service(report));
    for check in &report.checks {
        let mark = match check.outcome {
            CheckOutcome::Pass => "✓",
            CheckOutcome::Fail => "✗",
            CheckOutcome::Inconclusive => "?",
            CheckOutcome::Skipped => "–",
        };
        let _ = writeln!(out, "{mark} {}", check.sentence);
    }
    let of = |outcome: CheckOutcome| report.checks.iter().filter(|check| check.outcome == outcome).count();
    let _ = write!(
        out,
        "{}",
        match report.verdict {
            RunVerdict::Holds if report.checks.is_empty() => "no checks".to_owned(),
            RunVerdict::Holds => match report.checks.len() - of(CheckOutcome::Skipped) {
                1 => "the one check holds".to_owned(),
                n => format!("all {n} checks hold"),
            },
            RunVerdict::Fails => format!("{} of {} checks fail", of(CheckOutcome::Fail), report.checks.len()),
            RunVerdict::Inconclusive =>
                format!("{} of {} checks are inconclusive", of(CheckOutcome::Inconclusive), report.checks.len()),
        }
    );
    out
}

fn shares(policy: &PolicyReport) -> String {
    let mut table = table(&["shown by", "share", "share over time"], &[0, 2]);
    for share in &policy.shares {
        let curve = sparkline(&share.by_bucket, 0.0, 1.0, WIDTH);
        table.add_row(vec![format!("{}: {}", policy.name, share.arm), format!("{:.1} %", 100.0 * share.share), curve]);
    }
    format!("{}\n", fitted(table, &[2]))
}

fn segments(report: &RunReport) -> String {
    let mut table = table(&["segment", "share", "policy", "reward/decision", "lift", "regret/decision"], &[0, 2]);
    for (i, policy) in report.policies.iter().enumerate().take(2) {
        for segment in &policy.segments {
            table.add_row(vec![
                segment.segment.clone(),
                format!("{:.1} %", 100.0 * segment.share),
                report.policies[i].name.clone(),
                with_error(&segment.reward_per_decision),
                segment.lift.as_ref().map_or("–".to_owned(), percent),
                with_error(&segment.regret_per_decision),
            ]);
        }
    }
    format!("{}\n", fitted(table, &[5, 4, 1]))
}

/// Latencies and notes of a run against a live server, or an empty text for a run in process.
fn service(report: &RunReport) -> String {
    let mut table = table(&["ms since due", "requests", "p50", "p90", "p99", "p99.9", "max"], &[0]);
    let mut out = String::new();
    for (name, of) in latencies(report) {
        let times = quantiles(&of).map(|(_, ms)| format!("{ms:.2}"));
        table.add_row([name, of.count.to_string()].into_iter().chain(times));
    }
    if table.row_count() > 0 {
        let _ = writeln!(out, "{}", fitted(table, &[5, 3, 1, 6]));
    }
    if let Some(live) = &report.live {
        let pace = pace(report).unwrap_or_default();
        let _ = writeln!(out, "against {}: {pace}, in {:.1} s", live.target, live.seconds);
    }
    for note in live_notes(report) {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// Runs side by side: the setting, and the reward and regret of each run's first policy, with bars of the reward.
pub fn sweep(key: &str, runs: &[(String, RunReport)]) -> String {
    let rewards = || runs.iter().filter_map(|(_, report)| report.policies.first()).map(|p| p.reward_per_decision.mean);
    let (low, high) = rewards().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), r| (low.min(r), high.max(r)));
    // Bars begin a little below the smallest reward, so that this one has a bar too.
    let low = low - 0.1 * (high - low);
    let mut table = table(&[key, "reward/decision", "", "lift", "regret/decision", "regret over time"], &[0, 2, 5]);
    let highest = runs.iter().map(|(_, report)| highest_regret_of_first(report)).fold(0.0, f64::max);
    for (value, report) in runs {
        let Some(first) = report.policies.first() else { continue };
        table.add_row(vec![
            value.clone(),
            with_error(&first.reward_per_decision),
            super::spark::bar(first.reward_per_decision.mean, low, high, 30),
            first.lift.as_ref().map_or("–".to_owned(), percent),
            with_error(&first.regret_per_decision),
            regret_curve(first, highest),
        ]);
    }
    fitted(table, &[5, 2, 4, 3])
}

fn highest_regret_of_first(report: &RunReport) -> f64 {
    let first = report.policies.first().into_iter().flat_map(|policy| &policy.regret_by_bucket);
    first.filter_map(|point| point.mean).fold(0.0, f64::max)
}
