//! Shared parts of figures over the course of a run: the axis of decisions, marks on it, and the text of a bucket.

use crate::report::{Bucket, RunReport};

use super::{
    super::{
        markup::Markup,
        number::{Unit, count},
    },
    figure::spot,
    plot::{Axis, CHARACTER, Plot, px},
};

/// Number of moments up to which each has a line and a name. More would hide the rest, so they only get ticks above.
const LINES_MAX: usize = 10;

/// The axis from the first decision to the last.
fn axis(report: &RunReport) -> Axis {
    let last = report.buckets.last().map_or(report.horizon, |bucket| bucket.until);
    Axis::exact("decision", Unit::Plain, (0.0, last.max(1) as f64))
}

/// The decisions of a bucket, counted from 1.
pub(super) fn decisions(bucket: &Bucket) -> String {
    format!("{} to {}", count(bucket.from + 1), count(bucket.until))
}

/// The decisions of a bucket and the day on which it ends.
fn heading(bucket: &Bucket) -> String {
    format!("decisions {} (until day {})", decisions(bucket), Unit::Plain.show(bucket.ends_day))
}

/// Writes a strip over each bucket that shows `lines` when pointed at.
pub(super) fn strips(out: &mut Markup, report: &RunReport, plot: &Plot, lines: impl Fn(usize) -> String) {
    for (i, bucket) in report.buckets.iter().enumerate() {
        spot(out, &format!("{}\n{}", heading(bucket), lines(i)), |out| {
            let (from, until) = (plot.x(bucket.from as f64), plot.x(bucket.until as f64));
            let (width, height) = (px(until - from), px(plot.bottom - plot.top));
            let attributes = [
                ("class", "strip"),
                ("x", &*px(from)),
                ("y", &*px(plot.top)),
                ("width", &*width),
                ("height", &*height),
            ];
            out.empty("rect", &attributes);
        });
    }
}

/// The axes, with room for the names of moments if there are any.
pub(super) fn plot(report: &RunReport, up: Axis, height: f64) -> Plot {
    let across = axis(report);
    let names = report.marks.iter().any(|mark| across.holds(mark.at));
    let plot = Plot::new(across, up, height);
    if names { plot.with_names() } else { plot }
}

/// Writes a line at each marked moment, with its name above if there is room. Many moments get only a tick each.
pub(super) fn marks(out: &mut Markup, report: &RunReport, plot: &Plot) {
    let shown: Vec<_> = report.marks.iter().filter(|mark| plot.across.holds(mark.at)).collect();
    let few = shown.len() <= LINES_MAX;
    // End of the last name.
    let mut taken = f64::NEG_INFINITY;
    for mark in shown {
        let x = plot.x(mark.at);
        let (at, top) = (px(x), px(plot.top - if few { 14.0 } else { 6.0 }));
        let bottom = px(if few { plot.bottom } else { plot.top });
        out.empty("line", &[("class", "moment"), ("x1", &at), ("x2", &at), ("y1", &top), ("y2", &bottom)]);
        if !few {
            continue;
        }
        let width = CHARACTER * mark.what.chars().count() as f64;
        let y = px(plot.top - 5.0);
        if x + 4.0 + width <= plot.right + 18.0 && x + 4.0 > taken {
            out.leaf("text", &[("class", "name"), ("x", &px(x + 4.0)), ("y", &y)], &mark.what);
            taken = x + 10.0 + width;
        } else if x - 4.0 - width > taken.max(plot.left) {
            out.leaf("text", &[("class", "name end"), ("x", &px(x - 4.0)), ("y", &y)], &mark.what);
            taken = x + 6.0;
        } else {
            taken = taken.max(x + 2.0);
        }
    }
}
