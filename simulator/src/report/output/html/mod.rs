//! A run as one page to show a colleague. It can be read without a network, another file or a script.
//!
//! * [`render`]: the page: verdict, checks, policies, and the figures of the modules below.
//! * `check`, `curve`, `share`, `calibration`, `dots`, `latency`: the figures, one kind each.
//! * `figure`, `plot`, `course`: parts of figures.
//!
//! Invariants:
//!
//! * The page is well-formed XML as well as HTML, and its own policy forbids it every request.
//! * Every drawing has a title, a description and its numbers as a table. Nothing is distinguished by colour alone.
//! * Light and dark follow the reader's system.
//! * The script only moves the text of `<title>`s next to the pointer.

mod calibration;
mod check;
mod course;
mod curve;
mod dots;
mod latency;
mod share;
#[cfg(test)]
mod tests;

use super::metric_unit::show_estimate;
use std::fmt::Write as _;

use slotwise::chart::{figure, plot};

use crate::{
    report::show,
    report::{PolicyReport, RunReport, RunVerdict},
};

use super::{
    markup::Markup,
    number::{Unit, count, counted},
    phrase,
};
use figure::NumberTable;

const STYLE: &str = slotwise::chart::STYLE;
const SCRIPT: &str = include_str!("page.js");

/// Content security policy of the page: it may load nothing but itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// The run as a page. `source` is the scenario as it ran, as TOML. If it is empty, the page has no such part.
pub fn render(report: &RunReport, source: &str) -> String {
    let mut out = Markup::beginning("<!DOCTYPE html>\n");
    out.element("html", &[("lang", "en")], |out| {
        out.trusted("\n").element("head", &[], |out| head(out, report));
        out.trusted("\n").element("body", &[], |out| {
            out.element("header", &[], |out| header(out, report));
            out.trusted("\n").element("main", &[], |out| body(out, report, source));
            out.trusted("\n").element("script", &[], |out| {
                out.trusted(SCRIPT);
            });
        });
    });
    out.trusted("\n");
    out.finish()
}

fn head(out: &mut Markup, report: &RunReport) {
    out.trusted("\n").empty("meta", &[("charset", "utf-8")]);
    out.empty("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
    out.empty("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
    out.empty("meta", &[("name", "color-scheme"), ("content", "light dark")]);
    // A browser without this icon asks the page's server for one.
    out.empty("link", &[("rel", "icon"), ("href", "data:,")]);
    let (name, verdict) = (&report.scenario.name, phrase::verdict(report.verdict));
    out.trusted("\n").leaf("title", &[], format_args!("{name} {verdict}: {}", report.scenario.title));
    out.trusted("\n").element("style", &[], |out| {
        out.trusted(STYLE);
    });
    out.trusted("\n");
}

fn header(out: &mut Markup, report: &RunReport) {
    let scenario = &report.scenario;
    let class = match report.verdict {
        RunVerdict::Holds => "verdict pass",
        RunVerdict::Fails => "verdict fail",
        RunVerdict::Inconclusive => "verdict unsure",
    };
    out.element("p", &[("class", class)], |out| {
        out.leaf("span", &[("class", "badge")], phrase::verdict(report.verdict));
        out.leaf("span", &[], phrase::tally(&report.checks));
    });
    out.leaf("h1", &[], &scenario.title);
    if !scenario.shows.trim().is_empty() {
        out.leaf("p", &[("class", "shows")], scenario.shows.trim());
    }
    if let Some(headline) = phrase::headline(report) {
        out.leaf("p", &[("class", "headline")], headline);
    }
    let version = if scenario.small { " (small version)" } else { "" };
    let mut facts = vec![
        ("scenario", format!("{}{version}", scenario.name)),
        ("seed", report.seed.to_string()),
        ("decisions", format!("{} × {}", count(report.horizon), counted(report.replications as usize, "replication"))),
        ("in the shop's time", format!("{} days", Unit::Plain.show((scenario.days * 100.0).round() / 100.0))),
        ("arms", count(scenario.arms)),
        ("run", phrase::place(report.target).to_owned()),
    ];
    if let Some(pace) = show::pace(report) {
        facts.push(("pace", pace));
    }
    facts.extend(scenario.set.iter().map(|set| ("set", set.clone())));
    out.element("dl", &[("class", "facts")], |out| {
        for (name, value) in facts {
            out.element("div", &[], |out| {
                out.leaf("dt", &[], name);
                out.leaf("dd", &[], value);
            });
        }
    });
}

fn body(out: &mut Markup, report: &RunReport, source: &str) {
    section(out, "Checks", |out| check::list(out, report));
    section(out, "Policies", |out| policies(out, report));
    section(out, "Over time", |out| {
        figures(out, |out| {
            for of in [curve::CurveKind::RegretSoFar, curve::CurveKind::Regret, curve::CurveKind::Reward] {
                curve::write(out, report, of);
            }
            how_to_read(out, report);
        });
    });
    if report.policies.iter().any(|policy| !policy.shares.is_empty()) {
        section(out, "What was shown", |out| {
            out.leaf("p", &[], SHARES_NOTE);
            let arms = share::Arms::new(report);
            figures(out, |out| {
                for (number, policy) in report.policies.iter().enumerate() {
                    share::write(out, report, number, policy, &arms);
                }
            });
        });
    }
    if report.policies.iter().any(|policy| !policy.segments.is_empty()) {
        section(out, "For whom", |out| {
            figures(out, |out| {
                dots::write(out, report, dots::SegmentMeasure::Lift);
                dots::write(out, report, dots::SegmentMeasure::Regret);
            });
        });
    }
    if report.policies.iter().any(|policy| !policy.calibration.is_empty() || !policy.propensity.is_empty()) {
        section(out, "What the slot says of itself", |out| {
            figures(out, |out| {
                calibration::predictions(out, report);
                calibration::propensities(out, report);
            });
        });
    }
    section(out, "Service", |out| service(out, report));
    if !source.trim().is_empty() {
        section(out, "Scenario", |out| {
            out.element("details", &[], |out| {
                out.leaf("summary", &[], "The scenario as it was run");
                out.element("pre", &[("tabindex", "0")], |out| out.leaf("code", &[], source.trim_end()));
            });
        });
    }
}

const SHARES_NOTE: &str = "The share of places that each arm had. A policy that learns ends on few arms; how many, and how \
                           soon, is what it knows. An arm has the same colour everywhere.";

fn section(out: &mut Markup, title: &str, inside: impl FnOnce(&mut Markup)) {
    out.trusted("\n").element("section", &[], |out| {
        out.leaf("h2", &[], title);
        inside(out);
    });
}

fn figures(out: &mut Markup, inside: impl FnOnce(&mut Markup)) {
    out.element("div", &[("class", "figures")], inside);
}

/// Writes the policies' results as a table.
fn policies(out: &mut Markup, report: &RunReport) {
    let of_uniform = |policy: &PolicyReport| {
        phrase::regret_left(policy).map_or(super::number::UNKNOWN.to_owned(), |left| Unit::Part.show_fixed(left, 1))
    };
    let row = |policy: &PolicyReport| {
        vec![
            policy.name.clone(),
            show_estimate(Unit::Plain, &policy.reward_per_decision),
            phrase::lift(report, policy),
            show_estimate(Unit::Plain, &policy.regret_per_decision),
            of_uniform(policy),
            show_estimate(Unit::Plain, &policy.regret_total),
            Unit::Part.show_fixed(policy.exploring, 1),
        ]
    };
    let header = [
        "policy",
        "reward per decision",
        "lift over the baseline",
        "regret per decision",
        "of uniform choice's",
        "regret, total",
        "exploring",
    ];
    let numbers =
        NumberTable { header: header.map(str::to_owned).to_vec(), rows: report.policies.iter().map(row).collect() };
    out.element("div", &[("class", "scroll wide"), ("tabindex", "0")], |out| numbers.write(out, "Policies"));
    let changed: Vec<_> = report.policies.iter().filter(|policy| !policy.overrides.is_empty()).collect();
    if !changed.is_empty() {
        out.element("dl", &[("class", "overrides")], |out| {
            for policy in changed {
                out.element("div", &[], |out| {
                    out.leaf("dt", &[], &policy.name);
                    out.element("dd", &[], |out| out.leaf("code", &[], &policy.overrides));
                });
            }
        });
    }
    let mut note = "Means over the replications".to_owned();
    if let Some(confidence) = phrase::confidence(report) {
        let _ = write!(note, ", with intervals at {confidence}");
    }
    note += ". All policies meet the same shoppers, so each lift is computed shopper by shopper.";
    out.leaf("p", &[("class", "fine")], note);
}

/// Writes an explanation into the place beside three figures.
fn how_to_read(out: &mut Markup, report: &RunReport) {
    out.trusted("\n").element("div", &[("class", "aside")], |out| {
        out.leaf("h3", &[], "How to read this");
        out.leaf("p", &[], REGRET_NOTE);
        let bands = match report.replications {
            1 => "There is one replication, so what is chance is not known, and there are no bands.".to_owned(),
            n => format!(
                "Lines are means over {n} replications with other shoppers each, bands two standard errors either way."
            ),
        };
        out.leaf("p", &[], bands);
        out.leaf("p", &[], "Point at a figure for its numbers; below each they stand as a table.");
        if !report.marks.is_empty() {
            out.leaf("p", &[], "On the way, at decision:");
            out.element("ul", &[("class", "moments")], |out| {
                for mark in &report.marks {
                    out.element("li", &[], |out| {
                        out.leaf("span", &[], Unit::Plain.show(mark.at.round()));
                        out.text(" ").text(&mark.what);
                    });
                }
            });
        }
    });
}

const REGRET_NOTE: &str = "The world is made up, so what every arm would have been worth is known. Regret is what the best \
                           choice would have been expected to give beyond what was shown: exact, not estimated from \
                           clicks.";

/// Writes latencies and the outcomes of events.
fn service(out: &mut Markup, report: &RunReport) {
    figures(out, |out| {
        latency::write(out, report, latency::LatencyKind::Decisions);
        latency::write(out, report, latency::LatencyKind::Events);
    });
    let notes = show::live_notes(report);
    if !notes.is_empty() {
        out.element("ul", &[("class", "moments")], |out| {
            for note in notes {
                out.leaf("li", &[], note);
            }
        });
    }
    let row = |policy: &PolicyReport| {
        let events = &policy.events;
        let counts = [
            events.happened,
            events.lost,
            events.arrived,
            events.accepted,
            events.duplicates,
            events.late,
            events.unmatched,
            events.rejected,
        ];
        let parts = [policy.fallbacks, policy.holdout].map(|part| Unit::Part.show_fixed(part, 1));
        [policy.name.clone()].into_iter().chain(counts.map(count)).chain(parts).collect()
    };
    let header = [
        "policy",
        "happened",
        "lost",
        "arrived",
        "accepted",
        "duplicates",
        "late",
        "unmatched",
        "rejected",
        "fallbacks",
        "holdout",
    ];
    let numbers =
        NumberTable { header: header.map(str::to_owned).to_vec(), rows: report.policies.iter().map(row).collect() };
    out.leaf("h3", &[("class", "over")], "What became of reward events, over all replications");
    out.element("div", &[("class", "scroll wide"), ("tabindex", "0")], |out| {
        numbers.write(out, "What became of reward events");
    });
    out.leaf("p", &[("class", "fine")], SERVICE_NOTE);
}

const SERVICE_NOTE: &str = "Fallbacks are the part of decisions that no model made; holdout those drawn for comparison. Late \
                            events came after the goal's window.";
