//! Shares of a policy's arms, stacked, over the course of a run.

use crate::report::{ArmShare, PolicyReport, RunReport};

use super::{
    super::{
        markup::Markup,
        number::{UNKNOWN, Unit},
    },
    course,
    figure::{Figure, LegendEntry, LegendSign, NumberTable},
    plot::{Axis, Plot},
};

const HEIGHT: f64 = 260.0;

/// Number of colours for arms.
const COLOURS: usize = 8;

/// Name in a report for the arms that have no share of their own.
const OTHER: &str = "other";

/// Arms of all policies. An arm has the same colour and the same place in the pile under each policy.
#[derive(Debug)]
pub(super) struct Arms<'a> {
    arms: Vec<&'a str>,
}

impl<'a> Arms<'a> {
    /// The arms in the order of the policies' shares.
    pub(super) fn new(report: &'a RunReport) -> Self {
        let mut arms = Vec::new();
        for share in report.policies.iter().flat_map(|policy| &policy.shares) {
            if share.arm != OTHER && !arms.contains(&share.arm.as_str()) {
                arms.push(&share.arm);
            }
        }
        Self { arms }
    }

    /// A policy's shares in the order of the pile, from below.
    fn pile<'b>(&self, policy: &'b PolicyReport) -> Vec<&'b ArmShare> {
        let mut pile: Vec<_> = policy.shares.iter().collect();
        pile.sort_by_key(|share| self.arms.iter().position(|arm| *arm == share.arm).unwrap_or(usize::MAX));
        pile
    }

    /// The class of an arm's colour.
    fn class(&self, arm: &str) -> String {
        let Some(place) = self.arms.iter().position(|known| *known == arm) else { return "area other".to_owned() };
        let shade = if (place / COLOURS).is_multiple_of(2) { "" } else { " pale" };
        format!("area a{}{shade}", place % COLOURS)
    }
}

/// Writes the figure of one policy, or nothing if nothing was shown.
pub(super) fn write(out: &mut Markup, report: &RunReport, number: usize, policy: &PolicyReport, arms: &Arms<'_>) {
    if policy.shares.is_empty() {
        return;
    }
    let up = Axis::exact("share of places", Unit::Part, (0.0, 1.0));
    let plot = course::plot(report, up, HEIGHT);
    let pile = arms.pile(policy);
    let legend = pile.iter().map(|share| LegendEntry {
        name: format!("{} {}", share.arm, percent(Some(share.share))),
        sign: LegendSign::Area(arms.class(&share.arm)),
    });
    let figure = Figure {
        id: format!("share-{number}"),
        title: format!("Shown by “{}”", policy.name),
        note: String::new(),
        description: description(policy),
        legend: legend.collect(),
        numbers: numbers(report, policy),
    };
    figure.write(out, plot.height(), |out| {
        plot.frame(out);
        let mut floor = vec![0.0; report.buckets.len()];
        for share in &pile {
            for d in areas(report, &plot, share, &floor) {
                out.empty("path", &[("class", &arms.class(&share.arm)), ("d", &d)]);
            }
            for (floor, share) in floor.iter_mut().zip(&share.by_bucket) {
                *floor += share.unwrap_or(0.0);
            }
        }
        course::marks(out, report, &plot);
        course::strips(out, report, &plot, |bucket| {
            let line = |share: &&ArmShare| {
                format!("{}: {}", share.arm, percent(share.by_bucket.get(bucket).copied().flatten()))
            };
            // The list has the pile's order, the topmost first.
            pile.iter().rev().map(line).collect::<Vec<_>>().join("\n")
        });
    });
}

fn percent(share: Option<f64>) -> String {
    share.map_or(UNKNOWN.to_owned(), |share| Unit::Part.show_fixed(share, 1))
}

/// One area for each run of buckets with decisions. Each bucket is as wide as its part of the horizon.
fn areas(report: &RunReport, plot: &Plot, share: &ArmShare, floor: &[f64]) -> Vec<String> {
    let mut areas = Vec::new();
    let (mut above, mut below) = (Vec::new(), Vec::new());
    let mut close = |above: &mut Vec<String>, below: &mut Vec<String>| {
        if !above.is_empty() {
            below.reverse();
            areas.push(format!("M{} {}Z", above.join(" "), below.join(" ")));
            above.clear();
            below.clear();
        }
    };
    for ((bucket, share), floor) in report.buckets.iter().zip(&share.by_bucket).zip(floor) {
        let Some(share) = share else {
            close(&mut above, &mut below);
            continue;
        };
        for x in [bucket.from as f64, bucket.until as f64] {
            above.push(plot.at(x, floor + share));
            below.push(plot.at(x, *floor));
        }
    }
    close(&mut above, &mut below);
    areas
}

fn description(policy: &PolicyReport) -> String {
    let of = |share: &ArmShare| {
        let last = percent(share.by_bucket.last().copied().flatten());
        format!("{}: {} of all places, {last} at the end. ", share.arm, percent(Some(share.share)))
    };
    policy.shares.iter().map(of).collect()
}

fn numbers(report: &RunReport, policy: &PolicyReport) -> NumberTable {
    let header = ["decisions".to_owned()].into_iter().chain(policy.shares.iter().map(|share| share.arm.clone()));
    let all = ["all".to_owned()].into_iter().chain(policy.shares.iter().map(|share| percent(Some(share.share))));
    let row = |(i, bucket)| {
        let shares = policy.shares.iter().map(|share| percent(share.by_bucket.get(i).copied().flatten()));
        [course::decisions(bucket)].into_iter().chain(shares).collect()
    };
    let rows = report.buckets.iter().enumerate().map(row);
    NumberTable { header: header.collect(), rows: [all.collect()].into_iter().chain(rows).collect() }
}
