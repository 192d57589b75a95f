//! Rewards and regret over the course of a run: a line for each policy, with a band of two standard errors either way.

use std::fmt::Write as _;

use crate::report::{Point, PolicyReport, RunReport};

use super::{
    super::{
        markup::Markup,
        number::{UNKNOWN, Unit},
    },
    course,
    figure::{Figure, LegendEntry, LegendSign, NumberTable},
    plot::{Axis, Plot, px, range, series_class},
};

/// Number of standard errors that a band reaches either way.
const BAND: f64 = 2.0;
const HEIGHT: f64 = 290.0;

/// Curve of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CurveKind {
    /// Regret since the start.
    RegretSoFar,
    /// Regret per decision.
    Regret,
    /// Reward per decision.
    Reward,
}

impl CurveKind {
    fn points(self, policy: &PolicyReport) -> &[Point] {
        match self {
            Self::RegretSoFar => &policy.regret_so_far,
            Self::Regret => &policy.regret_by_bucket,
            Self::Reward => &policy.reward_by_bucket,
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::RegretSoFar => "regret-so-far",
            Self::Regret => "regret",
            Self::Reward => "reward",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::RegretSoFar => "Regret so far",
            Self::Regret => "Regret per decision",
            Self::Reward => "Reward per decision",
        }
    }

    fn note(self) -> &'static str {
        match self {
            Self::RegretSoFar => {
                "What was missed since the start. A line that flattens has learned; one that stays straight has not."
            }
            Self::Regret => "What each decision misses of the best choice. At 0 there is nothing left to learn.",
            Self::Reward => "What shoppers are expected to give. It also moves with who comes, for all policies alike.",
        }
    }

    fn unit_title(self) -> &'static str {
        match self {
            Self::RegretSoFar => "reward missed, total",
            Self::Regret => "reward missed per decision",
            Self::Reward => "reward per decision",
        }
    }

    /// The place of a bucket's number on the axis. A total stands at the bucket's end, a mean at its middle.
    fn x(self, report: &RunReport, bucket: usize) -> f64 {
        report.buckets.get(bucket).map_or(0.0, |bucket| match self {
            Self::RegretSoFar => bucket.until as f64,
            Self::Regret | Self::Reward => f64::midpoint(bucket.from as f64, bucket.until as f64),
        })
    }
}

/// Writes the figure.
pub(super) fn write(out: &mut Markup, report: &RunReport, of: CurveKind) {
    let uniform = report.policies.first().map(|policy| policy.uniform_regret_per_decision);
    let uniform = uniform.filter(|regret| of == CurveKind::Regret && *regret > 0.0);
    let spread = report.policies.iter().flat_map(|policy| of.points(policy)).flat_map(|point| {
        let half = BAND * point.standard_error.unwrap_or(0.0);
        point.mean.into_iter().flat_map(move |mean| [mean - half, mean + half])
    });
    let (low, high) = range(spread.chain(uniform));
    // The axis of regret starts at 0, which regret should come to. A band that reaches below is cut off.
    let low = if of == CurveKind::Reward { low } else { 0.0 };
    let plot = course::plot(report, Axis::round(of.unit_title(), Unit::Plain, (low, high)), HEIGHT);
    let mut legend: Vec<_> = report
        .policies
        .iter()
        .enumerate()
        .map(|(i, policy)| LegendEntry { name: policy.name.clone(), sign: LegendSign::Line(i) })
        .collect();
    if uniform.is_some() {
        legend.push(LegendEntry { name: "if chosen uniformly".to_owned(), sign: LegendSign::Reference("reference") });
    }
    let figure = Figure {
        id: of.id().to_owned(),
        title: of.title().to_owned(),
        note: of.note().to_owned(),
        description: description(report, of),
        legend,
        numbers: numbers(report, of),
    };
    figure.write(out, plot.height(), |out| {
        plot.frame(out);
        course::marks(out, report, &plot);
        if let Some(uniform) = uniform {
            let (x1, x2, y) = (px(plot.left), px(plot.right), px(plot.y(uniform)));
            out.empty("line", &[("class", "reference"), ("x1", &x1), ("x2", &x2), ("y1", &y), ("y2", &y)]);
        }
        for (i, policy) in report.policies.iter().enumerate() {
            bands(out, report, &plot, of, (i, of.points(policy)));
        }
        // The first policy is what the report is about, so its line is drawn last, on top.
        for (i, policy) in report.policies.iter().enumerate().rev() {
            let class = format!("line {}", series_class(i));
            out.empty("path", &[("class", &class), ("d", &line(report, &plot, of, of.points(policy)))]);
        }
        course::strips(out, report, &plot, |bucket| bucket_text(report, of, bucket));
    });
}

/// The policies' numbers in a bucket, one on each line.
fn bucket_text(report: &RunReport, of: CurveKind, bucket: usize) -> String {
    let lines = report.policies.iter().map(|policy| format!("{}: {}", policy.name, number(of.points(policy), bucket)));
    lines.collect::<Vec<_>>().join("\n")
}

fn number(points: &[Point], bucket: usize) -> String {
    let point = points.get(bucket).and_then(|point| Some((point.mean?, point.standard_error)));
    point.map_or(UNKNOWN.to_owned(), |(mean, error)| Unit::Plain.show_error(mean, error))
}

fn numbers(report: &RunReport, of: CurveKind) -> NumberTable {
    let header = ["decisions".to_owned(), "until day".to_owned()].into_iter();
    let header = header.chain(report.policies.iter().map(|policy| policy.name.clone())).collect();
    let row = |(i, bucket)| {
        let named = [course::decisions(bucket), Unit::Plain.show(bucket.ends_day)].into_iter();
        named.chain(report.policies.iter().map(|policy| number(of.points(policy), i))).collect()
    };
    NumberTable { header, rows: report.buckets.iter().enumerate().map(row).collect() }
}

/// Describes each policy's first and last tenth.
fn description(report: &RunReport, of: CurveKind) -> String {
    let mut text = String::new();
    for policy in &report.policies {
        let points = of.points(policy);
        let tenth = (points.len() / 10).max(1);
        let (first, last) = (points.get(..tenth), points.get(points.len().saturating_sub(tenth)..));
        if let (Some(first), Some(last)) = (first.and_then(mean), last.and_then(mean)) {
            let [first, last] = [first, last].map(|mean| Unit::Plain.show(mean));
            let _ = write!(text, "{}: {first} over the first tenth, {last} over the last. ", policy.name);
        }
    }
    text
}

/// The mean of the known points, or `None` if there are none.
fn mean(points: &[Point]) -> Option<f64> {
    let known: Vec<f64> = points.iter().filter_map(|point| point.mean).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// Sequences of adjacent buckets whose means are known.
fn runs(points: &[Point]) -> Vec<Vec<(usize, f64, f64)>> {
    let mut runs = vec![Vec::new()];
    for (i, point) in points.iter().enumerate() {
        match (point.mean, runs.last_mut()) {
            (Some(mean), Some(run)) => run.push((i, mean, BAND * point.standard_error.unwrap_or(0.0))),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn line(report: &RunReport, plot: &Plot, of: CurveKind, points: &[Point]) -> String {
    let mut d = String::new();
    if of == CurveKind::RegretSoFar && points.first().is_some_and(|point| point.mean.is_some()) {
        let _ = write!(d, "M{}L", plot.at(0.0, 0.0));
    }
    for (i, run) in runs(points).iter().enumerate() {
        if i > 0 || d.is_empty() {
            d.push('M');
        }
        let places: Vec<_> = run.iter().map(|(i, mean, _)| plot.at(of.x(report, *i), *mean)).collect();
        d.push_str(&places.join(" "));
        // A run of one bucket would be a line of no length.
        if run.len() == 1 {
            d.push_str("h0.1");
        }
    }
    d
}

fn bands(out: &mut Markup, report: &RunReport, plot: &Plot, of: CurveKind, (series, points): (usize, &[Point])) {
    for run in runs(points) {
        if run.iter().all(|(_, _, half)| *half == 0.0) {
            continue;
        }
        let above = run.iter().map(|(i, mean, half)| plot.at(of.x(report, *i), mean + half));
        let below = run.iter().rev().map(|(i, mean, half)| plot.at(of.x(report, *i), mean - half));
        let corners: Vec<_> = above.chain(below).collect();
        let class = format!("band {}", series_class(series));
        out.empty("polygon", &[("class", &class), ("points", &corners.join(" "))]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_where_nothing_is_known() {
        let known = |mean| Point { mean: Some(mean), standard_error: Some(0.5) };
        let unknown = Point { mean: None, standard_error: None };
        let points = [unknown, known(1.0), known(2.0), unknown, unknown, known(3.0), unknown];
        assert_eq!(runs(&points), [vec![(1, 1.0, 1.0), (2, 2.0, 1.0)], vec![(5, 3.0, 1.0)]]);
        assert!(runs(&[unknown]).is_empty() && runs(&[]).is_empty());
    }
}
