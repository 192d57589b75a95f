//! Text about a live server for the terminal and for files.

use crate::report::{Latency, PolicyReport, RunReport};

/// Pace of the run against a live server, or `None` for a run in process.
pub fn pace(report: &RunReport) -> Option<String> {
    let live = report.live.as_ref()?;
    let replications = if live.at_once == 1 { "replication" } else { "replications" };
    let digits = usize::from(live.speed < 100.0) * 2;
    Some(format!(
        "{:.1} decisions/s, {:.digits$} times as fast as the shop, {} {replications} at a time",
        live.rate, live.speed, live.at_once
    ))
}

/// All latencies, by policy and request.
pub fn latencies(report: &RunReport) -> impl Iterator<Item = (String, Latency)> {
    report.policies.iter().flat_map(|policy| {
        let of = [("Decide", policy.latency), ("RecordRewards", policy.event_latency)];
        of.into_iter().filter_map(|(call, latency)| Some((format!("{}: {call}", policy.name), latency?)))
    })
}

/// The quantiles of a latency in milliseconds, with their names.
pub fn quantiles(of: &Latency) -> [(&'static str, f64); 5] {
    let Latency { count: _, p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = *of;
    [("p50", p50_ms), ("p90", p90_ms), ("p99", p99_ms), ("p99.9", p999_ms), ("max", max_ms)]
}

/// Failures by policy, and the notes of the report.
pub fn live_notes(report: &RunReport) -> Vec<String> {
    let failed = |policy: &PolicyReport| {
        let whys: Vec<String> = policy.failures.iter().map(|(why, count)| format!("{why} {count}")).collect();
        (!whys.is_empty()).then(|| format!("{}: requests failed: {}", policy.name, whys.join(", ")))
    };
    let notes = report.live.iter().flat_map(|live| live.notes.clone());
    report.policies.iter().filter_map(failed).chain(notes).collect()
}
