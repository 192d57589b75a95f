//! The list of checks: the result of each as a sentence, and the measured value against its bounds as a picture.

use super::super::metric_unit::unit_of;
use crate::report::{CheckOutcome, CheckReport, RunReport};

use super::{
    super::{
        markup::Markup,
        number::{Unit, p_value},
        phrase,
    },
    plot::{CHARACTER, px, range},
};

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 46.0;
/// Height of the line on which the interval lies.
const Y: f64 = 14.0;

/// Writes the list, or a sentence if there are no checks.
pub(super) fn list(out: &mut Markup, report: &RunReport) {
    if report.checks.is_empty() {
        out.leaf("p", &[], "The scenario has no checks: nothing had to hold.");
        return;
    }
    out.element("ul", &[("class", "checks")], |out| {
        for check in &report.checks {
            out.trusted("\n").element("li", &[("class", class(check.outcome))], |out| write_item(out, check));
        }
    });
    out.leaf("p", &[("class", "fine")], NOTE);
}

/// Explanation of the list.
const NOTE: &str = "The shaded part is where the number was asked to be; the dot is what was measured, the bar its \
                    interval. p: how likely such a measurement is if the truth were on the other side of the bound, after \
                    Holm's correction over all checks of the run.";

fn class(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Pass => "pass",
        CheckOutcome::Fail => "fail",
        CheckOutcome::Inconclusive => "unsure",
        CheckOutcome::Skipped => "skipped",
    }
}

fn write_item(out: &mut Markup, check: &CheckReport) {
    out.leaf("span", &[("class", "badge")], phrase::outcome(check.outcome));
    out.element("div", &[("class", "said")], |out| {
        out.leaf("h3", &[], &check.name);
        out.leaf("p", &[], phrase::after_name(check));
        out.element("dl", &[], |out| {
            let p = check.p_adjusted.or(check.p_value);
            for (name, value) in [("p", p.map(p_value)), ("confidence", Some(Unit::Part.show(check.confidence)))] {
                if let Some(value) = value {
                    out.element("div", &[], |out| {
                        out.leaf("dt", &[], name);
                        out.leaf("dd", &[], value);
                    });
                }
            }
        });
    });
    picture(out, check);
}

/// Writes the measured value against the bounds, or nothing if either is missing.
fn picture(out: &mut Markup, check: &CheckReport) {
    let Some(estimate) = check.estimate.filter(|estimate| estimate.is_finite()) else { return };
    if check.min.is_none() && check.max.is_none() {
        return;
    }
    let interval = check.low.zip(check.high).filter(|(low, high)| low.is_finite() && high.is_finite());
    let bounds = [check.min, check.max].into_iter().flatten();
    let ends = interval.into_iter().flat_map(|(low, high)| [low, high]);
    let (low, high) = range(bounds.clone().chain(ends).chain([estimate]));
    let room = if high > low { (high - low) * 0.16 } else { estimate.abs().max(1.0) * 0.1 };
    let (low, high) = (low - room, high + room);
    let x = |number: f64| 4.0 + (number - low) / (high - low) * (WIDTH - 8.0);
    let unit = unit_of(&check.metric);

    let label = format!("measured {}, asked {}", phrase::measured(check), phrase::bounds(check));
    let view = format!("0 0 {} {}", px(WIDTH), px(HEIGHT));
    let attributes = [("class", "interval"), ("role", "img"), ("viewBox", &*view), ("aria-label", &*label)];
    out.element("svg", &attributes, |out| {
        let (from, until) = (check.min.map_or(0.0, x), check.max.map_or(WIDTH, x));
        let attributes = [
            ("class", "asked"),
            ("x", &*px(from)),
            ("y", "2"),
            ("width", &*px((until - from).max(1.0))),
            ("height", "24"),
        ];
        out.empty("rect", &attributes);
        for bound in bounds {
            let at = px(x(bound));
            out.empty("line", &[("class", "bound"), ("x1", &at), ("x2", &at), ("y1", "2"), ("y2", "26")]);
            let text = unit.show(bound);
            let half = CHARACTER * text.chars().count() as f64 / 2.0;
            let place = px(x(bound).clamp(half, WIDTH - half));
            out.leaf("text", &[("class", "middle"), ("x", &place), ("y", "41")], text);
        }
        if let Some((low, high)) = interval {
            let d = format!("M{},{Y}H{}", px(x(low)), px(x(high)));
            out.empty("path", &[("class", "whisker"), ("d", &d)]);
        }
        out.empty("circle", &[("class", "measured"), ("cx", &px(x(estimate))), ("cy", &px(Y)), ("r", "5")]);
    });
}
