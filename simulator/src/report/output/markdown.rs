//! A run as a comment on a pull request: the verdict first, the checks and the policies as tables (with latencies of a
//! live server), the rest folded.
//!
//! Invariants:
//!
//! * The output is GitHub's flavour of Markdown.
//! * Names remain text within their cell, whatever they contain.

use super::metric_unit::show_estimate;
use std::fmt::Write as _;

use crate::{
    report::show::{latencies, live_notes, pace, quantiles, sparkline},
    report::{CheckOutcome, CheckReport, PolicyReport, RunReport, RunVerdict},
};

use super::{
    number::{UNKNOWN, Unit, count, p_value},
    phrase,
};

/// Number of bars in a line.
const BARS: usize = 20;

/// The run as Markdown, ending in a line feed.
pub fn render(report: &RunReport) -> String {
    let mut out = String::new();
    let mark = match report.verdict {
        RunVerdict::Holds => "✅",
        RunVerdict::Fails => "❌",
        RunVerdict::Inconclusive => "❔",
    };
    let verdict = phrase::verdict(report.verdict);
    let _ = writeln!(out, "### {mark} {}: {verdict}\n", escaped(&report.scenario.name));
    let _ = writeln!(out, "{}. {}.\n", escaped(&report.scenario.title), capital(&phrase::tally(&report.checks)));
    if let Some(headline) = phrase::headline(report) {
        let _ = writeln!(out, "{}\n", escaped(&headline));
    }
    checks(&mut out, report);
    policies(&mut out, report);
    service(&mut out, report);
    details(&mut out, report);
    out
}

fn checks(out: &mut String, report: &RunReport) {
    if report.checks.is_empty() {
        return;
    }
    out.push_str("| | check | measured | asked | p |\n|---|---|--:|--:|--:|\n");
    for check in &report.checks {
        let mark = match check.outcome {
            CheckOutcome::Pass => "✅",
            CheckOutcome::Fail => "❌",
            CheckOutcome::Inconclusive => "❔",
            CheckOutcome::Skipped => "➖",
        };
        let (name, outcome) = (escaped(&check.name), phrase::outcome(check.outcome));
        let (measured, asked) = (phrase::measured(check), phrase::bounds(check));
        let p = check.p_adjusted.or(check.p_value).map_or(UNKNOWN.to_owned(), p_value);
        let _ = writeln!(out, "| {mark} {outcome} | {name} | {measured} | {asked} | {} |", escaped(&p));
    }
    out.push('\n');
    for check in report.checks.iter().filter(|check| check.outcome != CheckOutcome::Pass) {
        let _ = writeln!(out, "* **{}**{}", escaped(&check.name), escaped(&without_name(check)));
    }
    if report.checks.iter().any(|check| check.outcome != CheckOutcome::Pass) {
        out.push('\n');
    }
}

/// A check's sentence without the name at its start.
fn without_name(check: &CheckReport) -> String {
    let rest = check.sentence.strip_prefix(&check.name).map(str::to_owned);
    rest.unwrap_or_else(|| format!(": {}", check.sentence))
}

fn policies(out: &mut String, report: &RunReport) {
    out.push_str(
        "| policy | reward per decision | lift | regret per decision | of uniform choice's | regret over time |\n",
    );
    out.push_str("|---|--:|--:|--:|--:|---|\n");
    let regret = |policy: &PolicyReport| policy.regret_by_bucket.iter().map(|point| point.mean).collect::<Vec<_>>();
    // All lines have one scale, so that policies can be compared.
    let highest = report.policies.iter().flat_map(regret).flatten().fold(0.0, f64::max);
    for policy in &report.policies {
        let left = phrase::regret_left(policy).map_or(UNKNOWN.to_owned(), |left| Unit::Part.show_fixed(left, 1));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {left} | {} |",
            escaped(&policy.name),
            show_estimate(Unit::Plain, &policy.reward_per_decision),
            phrase::lift(report, policy),
            show_estimate(Unit::Plain, &policy.regret_per_decision),
            sparkline(&regret(policy), 0.0, highest, BARS),
        );
    }
    out.push('\n');
}

fn details(out: &mut String, report: &RunReport) {
    let scenario = &report.scenario;
    out.push_str("<details><summary>What was run, and segments</summary>\n\n");
    if !scenario.shows.trim().is_empty() {
        let _ = writeln!(out, "{}\n", escaped(scenario.shows.trim()));
    }
    let small = if scenario.small { ", small version" } else { "" };
    let _ = writeln!(out, "* {}{small}; seed {}", capital(&phrase::extent(report)), report.seed);
    if let Some(pace) = pace(report) {
        let _ = writeln!(out, "* {pace}");
    }
    for set in &scenario.set {
        let _ = writeln!(out, "* set: {}", escaped(set));
    }
    if let Some(confidence) = phrase::confidence(report) {
        let _ = writeln!(out, "* intervals at {confidence}; p after Holm's correction over all checks");
    }
    for policy in report.policies.iter().filter(|policy| !policy.overrides.is_empty()) {
        let _ = writeln!(out, "* {}: {}", escaped(&policy.name), escaped(&policy.overrides));
    }
    out.push('\n');
    segments(out, report);
    touchpoints(out, report);
    clicks(out, report);
    out.push_str("</details>\n");
}

/// Appends latencies and notes of a run against a live server, or nothing for a run in process.
fn service(out: &mut String, report: &RunReport) {
    let rows: Vec<_> = latencies(report).collect();
    if !rows.is_empty() {
        out.push_str("| time from when it was due | requests | p50 | p90 | p99 | p99.9 | max |\n");
        out.push_str("|---|--:|--:|--:|--:|--:|--:|\n");
    }
    for (name, of) in &rows {
        let times = quantiles(of).map(|(_, ms)| Unit::Milliseconds.show(ms));
        let _ = writeln!(out, "| {} | {} | {} |", escaped(name), count(of.count), times.join(" | "));
    }
    if !rows.is_empty() {
        out.push('\n');
    }
    let notes = live_notes(report);
    for note in &notes {
        let _ = writeln!(out, "* {}", escaped(note));
    }
    if !notes.is_empty() {
        out.push('\n');
    }
}

fn segments(out: &mut String, report: &RunReport) {
    if report.policies.iter().all(|policy| policy.segments.is_empty()) {
        return;
    }
    out.push_str("| segment | policy | of decisions | reward per decision | lift | regret per decision |\n");
    out.push_str("|---|---|--:|--:|--:|--:|\n");
    for policy in &report.policies {
        for segment in &policy.segments {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                escaped(&segment.segment),
                escaped(&policy.name),
                Unit::Part.show_fixed(segment.share, 1),
                show_estimate(Unit::Plain, &segment.reward_per_decision),
                phrase::estimate(Unit::Part, segment.lift.as_ref()),
                show_estimate(Unit::Plain, &segment.regret_per_decision),
            );
        }
    }
    out.push('\n');
}

fn touchpoints(out: &mut String, report: &RunReport) {
    if report.policies.iter().all(|policy| policy.touchpoints.is_empty()) {
        return;
    }
    out.push_str("| touchpoint | policy | of decisions | reward per decision | lift | regret per decision |\n");
    out.push_str("|---|---|--:|--:|--:|--:|\n");
    for policy in &report.policies {
        for touchpoint in &policy.touchpoints {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                escaped(&touchpoint.touchpoint),
                escaped(&policy.name),
                Unit::Part.show_fixed(touchpoint.share, 1),
                show_estimate(Unit::Plain, &touchpoint.reward_per_decision),
                phrase::estimate(Unit::Part, touchpoint.lift.as_ref()),
                show_estimate(Unit::Plain, &touchpoint.regret_per_decision),
            );
        }
    }
    out.push('\n');
}

fn clicks(out: &mut String, report: &RunReport) {
    if report.policies.iter().all(|policy| policy.adaptation.is_empty()) {
        return;
    }
    out.push_str("| policy | clicks since | to adapt | regret after 0, 1, 2… clicks, of uniform choice's |\n");
    out.push_str("|---|---|--:|---|\n");
    for policy in &report.policies {
        for curve in &policy.adaptation {
            let part = |mean: Option<f64>| mean.map_or(UNKNOWN.to_owned(), |mean| Unit::Part.show_fixed(mean, 0));
            let parts: Vec<String> = curve.regret_by_clicks.iter().map(|point| part(point.mean)).collect();
            let (name, clicks) = (escaped(&policy.name), show_estimate(Unit::Plain, &curve.clicks_to_adapt));
            let _ = writeln!(out, "| {name} | {} | {clicks} | {} |", curve.since.name(), parts.join(", "));
        }
    }
    out.push('\n');
}

/// The text on one line, with every character escaped that Markdown would interpret.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '#' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{super::sample, *};

    #[test]
    fn the_verdict_comes_first_and_details_are_folded() {
        expect![[r#"
            ### ❌ offer: fails

            An offer, to shoppers some of whom would buy anyway. 1 of 4 checks holds, 1 fails, 1 inconclusive, 1 skipped.

            “default” earns 16.8 % (15.4 % to 18.2 %) more per decision than “uniform”. Its regret is 38 % of what uniform choice would have.

            | | check | measured | asked | p |
            |---|---|--:|--:|--:|
            | ✅ holds | lift, default over uniform | 11.8 % (10.4 % to 13.2 %) | ≥ 3 % | &lt; 0.0001 |
            | ❌ fails | no discount for loyal customers | 8.3 % (7.1 % to 9.5 %) | ≤ 5 % | 1.00 |
            | ❔ inconclusive | regret in the last tenth, default | 0.0278 (0.0241 to 0.0315) | ≤ 0.03 | 0.24 |
            | ➖ skipped | 99th percentile of latency, default | – | ≤ 10 ms | – |

            * **no discount for loyal customers** is 8.3 % \[7.1 %, 9.5 %\]: at most 5 % fails
            * **regret in the last tenth, default** is 0.02780 \[0.02410, 0.03150\]: at most 0.03000 is undecided; about 64 replications would decide it
            * **99th percentile of latency, default**: only a live server has one; run with --target

            | policy | reward per decision | lift | regret per decision | of uniform choice's | regret over time |
            |---|--:|--:|--:|--:|---|
            | default | 0.6517 (0.6473 to 0.6561) | 16.8 % (15.4 % to 18.2 %) | 0.0583 (0.0556 to 0.0610) | 38.4 % | ▆▄▄▃▃▃▄▃▃▃ |
            | uniform | 0.5568 (0.5524 to 0.5612) | baseline | 0.1532 (0.1504 to 0.1559) | 100.8 % | ██████████ |

            <details><summary>What was run, and segments</summary>

            Five offers at the top of the basket. Loyal shoppers buy whatever is offered, so that a discount only costs margin: nothing must win for them. Price-sensitive newcomers buy because of the discount.

            * 20 replications of 2,000 decisions, in process; seed 20261121
            * set: traffic.per\_day=5000
            * intervals at 95 %; p after Holm's correction over all checks
            * uniform: controls.policy = "uniform"

            | segment | policy | of decisions | reward per decision | lift | regret per decision |
            |---|---|--:|--:|--:|--:|
            | loyal | default | 35.0 % | 0.9192 (0.9108 to 0.9276) | 19.5 % (18.3 % to 20.8 %) | 0.0408 (0.0375 to 0.0442) |
            | occasional | default | 40.0 % | 0.5546 (0.5462 to 0.5630) | 16.9 % (14.8 % to 19.0 %) | 0.0554 (0.0499 to 0.0608) |
            | new | default | 25.0 % | 0.4500 (0.4417 to 0.4584) | 14.7 % (11.8 % to 17.6 %) | 0.0700 (0.0624 to 0.0775) |
            | loyal | uniform | 35.0 % | 0.8528 (0.8444 to 0.8612) | – | 0.1072 (0.1039 to 0.1106) |
            | occasional | uniform | 40.0 % | 0.4645 (0.4561 to 0.4729) | – | 0.1455 (0.1401 to 0.1510) |
            | new | uniform | 25.0 % | 0.3362 (0.3278 to 0.3446) | – | 0.1838 (0.1763 to 0.1913) |

            </details>
        "#]].assert_eq(&render(&sample::short()));
    }

    #[test]
    fn names_stay_text_in_their_cell() {
        let mut report = sample::short();
        report.policies[0].name = "a|b\n<img src=x> *bold* `code` [link](x) a_b_c".to_owned();
        let text = render(&report);
        let row = text.lines().find(|line| line.starts_with("| a")).unwrap();
        assert!(row.starts_with("| a\\|b &lt;img src=x&gt; \\*bold\\* \\`code\\` \\[link\\](x) a\\_b\\_c | "), "{row}");
        let header = text.lines().find(|line| line.starts_with("| policy")).unwrap();
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        assert_eq!(bars(row), bars(header));
    }
}
