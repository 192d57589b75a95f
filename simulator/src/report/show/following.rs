//! Tables about shoppers who meet several slots: touchpoints, and regret by clicks.

use std::fmt::Write as _;

use slotwise::cli::table::fitted;

use super::cells::{percent, table, with_error};
use crate::report::{AdaptationCurve, IntervalEstimate, Point, RunReport};

/// Returns the tables, or an empty text without touchpoints and measurements by clicks.
pub(super) fn following(report: &RunReport) -> String {
    touchpoints(report) + &adaptation(report) + &deferred(report)
}

fn touchpoints(report: &RunReport) -> String {
    let lift = report.baseline.as_ref().map_or_else(|| "lift".to_owned(), |baseline| format!("over {baseline}"));
    let mut table = table(&["touchpoint", "share", "policy", "reward/decision", &lift, "regret/decision"], &[0, 2]);
    for policy in &report.policies {
        for touchpoint in &policy.touchpoints {
            table.add_row(vec![
                touchpoint.touchpoint.clone(),
                format!("{:.1} %", 100.0 * touchpoint.share),
                policy.name.clone(),
                with_error(&touchpoint.reward_per_decision),
                touchpoint.lift.as_ref().map_or("–".to_owned(), percent),
                with_error(&touchpoint.regret_per_decision),
            ]);
        }
    }
    if table.row_count() > 0 { format!("{}\n", fitted(table, &[5, 1])) } else { String::new() }
}

fn adaptation(report: &RunReport) -> String {
    let mut table = table(&["policy", "since", "clicks to adapt", "regret after 0, 1, 2… clicks"], &[0, 1, 3]);
    for policy in &report.policies {
        for curve in &policy.adaptation {
            let since = curve.since.name().to_owned();
            table.add_row(vec![policy.name.clone(), since, clicks(&curve.clicks_to_adapt), parts(curve)]);
        }
    }
    if table.row_count() > 0 { format!("{}\n", fitted(table, &[3])) } else { String::new() }
}

fn clicks(estimate: &IntervalEstimate) -> String {
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("{:.2} [{low:.2}, {high:.2}]", estimate.mean),
        _ => format!("{:.2}", estimate.mean),
    }
}

/// Regret by clicks in percent of uniform choice's.
fn parts(curve: &AdaptationCurve) -> String {
    let part = |point: &Point| point.mean.map_or("–".to_owned(), |mean| format!("{:.0}", 100.0 * mean));
    let parts: Vec<String> = curve.regret_by_clicks.iter().map(part).collect();
    format!("{} %", parts.join(" "))
}

fn deferred(report: &RunReport) -> String {
    let mut out = String::new();
    for policy in &report.policies {
        if let Some(deferred) = policy.deferred {
            let part = 100.0 * deferred.confirmed as f64 / deferred.made as f64;
            let (made, confirmed) = (deferred.made, deferred.confirmed);
            let _ = writeln!(out, "{}: {made} deferred decisions, {confirmed} ({part:.1} %) confirmed", policy.name);
        }
    }
    out
}
