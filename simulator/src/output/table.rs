//! A run for people at a terminal: what was run, a table of the policies, and what came of each check.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::report::{CheckOutcome, PolicyReport, RunReport};

use super::{
    number::{Unit, count},
    phrase,
    sparkline::{mean, sparkline, top},
};

const HEADER: [&str; 6] = [
    "policy",
    "reward\nper decision",
    "lift over\nthe baseline",
    "regret\nper decision",
    "of uniform\nchoice's",
    "regret per decision,\nfirst to last tenth",
];

/// Parts that a curve's ends are read off: its first and its last tenth.
const TENTH: usize = 10;

/// The run as text of several lines, without a line feed at its end.
pub fn text(report: &RunReport) -> String {
    let scenario = &report.scenario;
    let mut text = format!("{}: {}\n", one_line(&scenario.name), one_line(&scenario.title));
    let _ = writeln!(text, "seed {}, {}{}", report.seed, phrase::extent(report), changes(report));
    let _ = writeln!(text, "{}", policies(report));
    if let Some(headline) = phrase::headline(report) {
        let _ = writeln!(text, "{}", one_line(&headline));
    }
    for line in events(report) {
        let _ = writeln!(text, "{line}");
    }
    for check in &report.checks {
        let mark = match check.outcome {
            CheckOutcome::Pass => "✓",
            CheckOutcome::Fail => "✗",
            CheckOutcome::Inconclusive => "?",
            CheckOutcome::Skipped => "–",
        };
        let _ = writeln!(text, "{mark} {:<12}  {}", phrase::outcome(check.outcome), one_line(&check.name));
        let _ = writeln!(text, "                {}", one_line(&check.sentence));
    }
    let _ = write!(text, "{}: {}", phrase::verdict(report.verdict), phrase::tally(&report.checks));
    text
}

/// What the command line changed.
fn changes(report: &RunReport) -> String {
    let mut text = if report.scenario.small { ", small version".to_owned() } else { String::new() };
    for set in &report.scenario.set {
        let _ = write!(text, ", {}", one_line(set));
    }
    text
}

fn policies(report: &RunReport) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(HEADER);
    let highest = top(report.policies.iter().map(|policy| policy.regret_by_bucket.as_slice()));
    for policy in &report.policies {
        table.add_row(cells(report, policy, highest));
    }
    for at in 1..=4 {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn cells(report: &RunReport, policy: &PolicyReport, highest: f64) -> [String; 6] {
    let left = phrase::regret_left(policy).map_or("–".to_owned(), |left| Unit::Part.show_fixed(left, 1));
    [
        one_line(&policy.name),
        Unit::Plain.show_estimate(&policy.reward_per_decision).replacen(' ', "\n", 1),
        phrase::lift(report, policy).replacen(" (", "\n(", 1),
        Unit::Plain.show_estimate(&policy.regret_per_decision).replacen(' ', "\n", 1),
        left,
        course(policy, highest),
    ]
}

/// The regret as bars between its means over the first and the last tenth.
fn course(policy: &PolicyReport, highest: f64) -> String {
    let points = &policy.regret_by_bucket;
    let tenth = (points.len() / TENTH).max(1);
    let first = points.get(..tenth).and_then(mean);
    let last = points.get(points.len().saturating_sub(tenth)..).and_then(mean);
    let end = |mean: Option<f64>| mean.map_or("–".to_owned(), |mean| Unit::Plain.show(mean));
    format!("{}\n{} → {}", sparkline(points, highest), end(first), end(last))
}

/// Names and sentences on one line, and without what a terminal would obey.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A line per policy of whose events not all arrived as they happened.
fn events(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    for policy in &report.policies {
        let events = policy.events;
        if events.accepted == events.happened && events.arrived == events.happened {
            continue;
        }
        lines.push(format!(
            "events of {}: {} happened, {} lost, {} arrived; {} accepted, {} duplicates, {} late, {} unmatched, {} rejected",
            one_line(&policy.name),
            count(events.happened),
            count(events.lost),
            count(events.arrived),
            count(events.accepted),
            count(events.duplicates),
            count(events.late),
            count(events.unmatched),
            count(events.rejected),
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{super::sample, *};

    #[test]
    fn a_run_fits_a_terminal() {
        expect![[r"
            offer: An offer, to shoppers some of whom would buy anyway
            seed 20261121, 20 replications of 2,000 decisions, in process, traffic.per_day=5000
            ┌─────────┬────────────────────┬────────────────────┬────────────────────┬────────────┬──────────────────────┐
            │ policy  ┆             reward ┆          lift over ┆             regret ┆ of uniform ┆ regret per decision, │
            │         ┆       per decision ┆       the baseline ┆       per decision ┆   choice's ┆ first to last tenth  │
            ╞═════════╪════════════════════╪════════════════════╪════════════════════╪════════════╪══════════════════════╡
            │ default ┆             0.6517 ┆             16.8 % ┆             0.0583 ┆     38.4 % ┆ ▆▅▄▄▄▃▅▄▃▃           │
            │         ┆ (0.6473 to 0.6561) ┆ (15.4 % to 18.2 %) ┆ (0.0556 to 0.0610) ┆            ┆ 0.11 → 0.03789       │
            │ uniform ┆             0.5568 ┆           baseline ┆             0.1532 ┆    100.8 % ┆ ██████████           │
            │         ┆ (0.5524 to 0.5612) ┆                    ┆ (0.1504 to 0.1559) ┆            ┆ 0.1501 → 0.1516      │
            └─────────┴────────────────────┴────────────────────┴────────────────────┴────────────┴──────────────────────┘
            “default” earns 16.8 % (15.4 % to 18.2 %) more per decision than “uniform”. Its regret is 38 % of what uniform choice would have.
            events of uniform: 14,213 happened, 0 lost, 14,213 arrived; 14,189 accepted, 0 duplicates, 24 late, 0 unmatched, 0 rejected
            ✓ holds         lift of default over uniform ≥ 3 %
                            The lift is 11.8 % (10.4 % to 13.2 %); at least 3 % was asked.
            ✗ fails         no discount for loyal customers
                            The share is 8.3 % (7.1 % to 9.5 %); at most 5 % was asked.
            ? inconclusive  regret_last_tenth of default ≤ 0.03
                            The regret over the last tenth is 0.0278 (0.0241 to 0.0315); at most 0.03 was asked, and chance could explain either.
            – skipped       p99_latency of default ≤ 10 ms
                            In process there is no latency.
            fails: 1 of 4 checks holds, 1 fails, 1 inconclusive, 1 skipped"]].assert_eq(&text(&sample::short()));
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        let mut report = sample::short();
        report.policies[0].name = "a\u{1b}[2J\nb".to_owned();
        report.checks[0].sentence = "one\u{7}\ntwo".to_owned();
        let text = text(&report);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
}
