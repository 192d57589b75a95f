//! Numbers with intervals in rows: the results of each segment.

use super::super::metric_unit::show_estimate;
use std::fmt::Write as _;

use crate::report::{IntervalEstimate, PolicyReport, RunReport, SegmentReport};

use super::{
    super::{markup::Markup, number::Unit, phrase},
    figure::{Figure, LegendEntry, LegendSign, NumberTable, spot},
    plot::{Axis, CHARACTER, Plot, px, range, series_class, shape},
};

/// Height of a policy's line in a row.
const LINE: f64 = 18.0;
/// Height of the gap between rows.
const GAP: f64 = 14.0;
/// Number of characters of a row's name that are shown.
const NAME_MAX: usize = 20;

/// Number of a segment that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SegmentMeasure {
    /// Lift over the baseline.
    Lift,
    /// Regret per decision.
    Regret,
}

impl SegmentMeasure {
    fn estimate(self, segment: &SegmentReport) -> Option<IntervalEstimate> {
        match self {
            Self::Lift => segment.lift,
            Self::Regret => Some(segment.regret_per_decision),
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::Lift => Unit::Part,
            Self::Regret => Unit::Plain,
        }
    }
}

/// Writes lift or regret by segment, or nothing if no policy has any.
pub(super) fn write(out: &mut Markup, report: &RunReport, of: SegmentMeasure) {
    let shown: Vec<(usize, &PolicyReport)> = report
        .policies
        .iter()
        .enumerate()
        .filter(|(_, policy)| policy.segments.iter().any(|segment| of.estimate(segment).is_some()))
        .collect();
    let Some((_, first)) = shown.first() else { return };
    let unit = of.unit();
    let baseline = report.baseline.as_deref().unwrap_or("the baseline");
    let (id, title, axis_title, note) = match of {
        SegmentMeasure::Lift => (
            "segment-lift",
            format!("Lift over “{baseline}” by segment"),
            "lift",
            "Whom the policy serves better, and whom worse: right of 0 is better.",
        ),
        SegmentMeasure::Regret => (
            "segment-regret",
            "Regret per decision by segment".to_owned(),
            "reward missed per decision",
            "For whom there is still something to learn.",
        ),
    };
    let ends = shown.iter().flat_map(|(_, policy)| &policy.segments).filter_map(|segment| of.estimate(segment));
    let ends = ends.flat_map(|of| [Some(of.mean), of.low, of.high]).flatten();
    let axis = Axis::round(axis_title, unit, range(ends.chain([0.0])));
    let names: Vec<_> = first.segments.iter().map(|segment| segment.segment.as_str()).collect();
    let row = LINE * shown.len() as f64 + GAP;
    let plot = Plot::rows(axis, name_width(&names), row * names.len() as f64);

    let (numbers, description) = segment_numbers(&shown, of, axis_title);
    let figure =
        Figure { id: id.to_owned(), title, note: note.to_owned(), description, legend: legend(&shown), numbers };
    figure.write(out, plot.height(), |out| {
        plot.frame(out);
        for (i, name) in names.iter().enumerate() {
            let top = plot.top + row * i as f64;
            row_name(out, &plot, name, top + row / 2.0);
            for (line, (number, policy)) in shown.iter().enumerate() {
                let segment = policy.segments.iter().find(|segment| segment.segment == *name);
                if let Some(estimate) = segment.and_then(|segment| of.estimate(segment)) {
                    let y = top + GAP / 2.0 + LINE * (line as f64 + 0.5);
                    let tells = format!("{name}\n{}: {}", policy.name, show_estimate(unit, &estimate));
                    interval(out, &plot, y, *number, &estimate, &tells);
                }
            }
        }
    });
}

/// The segments' numbers as a table and as a description in words.
fn segment_numbers(shown: &[(usize, &PolicyReport)], of: SegmentMeasure, estimated: &str) -> (NumberTable, String) {
    let (mut rows, mut description) = (Vec::new(), String::new());
    for (_, policy) in shown {
        for segment in &policy.segments {
            let text = phrase::estimate(of.unit(), of.estimate(segment).as_ref());
            let _ = write!(description, "{}, {}: {text}. ", segment.segment, policy.name);
            rows.push(vec![
                segment.segment.clone(),
                policy.name.clone(),
                Unit::Part.show_fixed(segment.share, 1),
                text,
                show_estimate(Unit::Plain, &segment.reward_per_decision),
            ]);
        }
    }
    let header = ["segment", "policy", "of decisions", estimated, "reward per decision"].map(str::to_owned).to_vec();
    (NumberTable { header, rows }, description)
}

fn legend(shown: &[(usize, &PolicyReport)]) -> Vec<LegendEntry> {
    shown.iter().map(|(i, policy)| LegendEntry { name: policy.name.clone(), sign: LegendSign::Mark(*i) }).collect()
}

/// Width that the longest of the names needs.
pub(super) fn name_width(names: &[&str]) -> f64 {
    let longest = names.iter().map(|name| name.chars().count().min(NAME_MAX)).max().unwrap_or(0);
    16.0 + CHARACTER * longest as f64
}

/// Writes a row's name before the plot, cut if it is too long.
pub(super) fn row_name(out: &mut Markup, plot: &Plot, name: &str, y: f64) {
    let (x, y) = (px(plot.left - 10.0), px(y + 4.5));
    let short: String = if name.chars().count() > NAME_MAX {
        name.chars().take(NAME_MAX - 1).chain(['…']).collect()
    } else {
        name.to_owned()
    };
    out.element("text", &[("class", "row end"), ("x", &x), ("y", &y)], |out| {
        out.text(short);
    });
}

/// Writes a mark and its interval.
fn interval(out: &mut Markup, plot: &Plot, y: f64, series: usize, estimate: &IntervalEstimate, tells: &str) {
    let class = series_class(series);
    spot(out, tells, |out| {
        if let (Some(low), Some(high)) = (estimate.low, estimate.high) {
            let d = format!("M{},{}H{}", px(plot.x(low)), px(y), px(plot.x(high)));
            out.empty("path", &[("class", &format!("whisker {class}")), ("d", &d)]);
        }
        let place = format!("translate({} {})", px(plot.x(estimate.mean)), px(y));
        out.empty("path", &[("class", &format!("mark {class}")), ("transform", &place), ("d", shape(series))]);
    });
}
