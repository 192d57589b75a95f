//! Figures that compare a slot's own statements with the truth: its forecasts and its propensities.

use crate::report::RunReport;

use super::{
    super::{
        markup::Markup,
        number::{Unit, count},
    },
    figure::{Figure, LegendEntry, LegendSign, NumberTable, spot},
    plot::{Axis, Plot, px, range, series_class, shape},
};

const HEIGHT: f64 = 380.0;

/// A bin of forecasts or of propensities.
struct Dot {
    policy: usize,
    across: f64,
    up: f64,
    /// Half of the bar's length, or `None` for no bar.
    half: Option<f64>,
    tells: String,
}

/// Writes the figure of forecasts against the truth, or nothing if nothing was forecast.
pub(super) fn predictions(out: &mut Markup, report: &RunReport) {
    let mut dots = Vec::new();
    let mut rows = Vec::new();
    for (number, policy) in report.policies.iter().enumerate() {
        for bin in &policy.calibration {
            let [predicted, truth] = [bin.predicted, bin.truth].map(|x| Unit::Plain.show(x));
            let tells = format!("{}\nforeseen {predicted}\ntrue {truth}\n{} cases", policy.name, count(bin.count));
            dots.push(Dot { policy: number, across: bin.predicted, up: bin.truth, half: None, tells });
            let off = Unit::Plain.show(bin.predicted - bin.truth);
            rows.push(vec![policy.name.clone(), predicted, truth, off, count(bin.count)]);
        }
    }
    let header = ["policy", "foreseen", "true", "foreseen too much", "cases"].map(str::to_owned).to_vec();
    let ends = range(dots.iter().flat_map(|dot| [dot.across, dot.up]));
    let axis = |title| Axis::round(title, Unit::Plain, ends);
    let figure = Figure {
        id: "calibration".to_owned(),
        title: "Rewards foreseen and true".to_owned(),
        note:
            "Each mark is a tenth or so of what was shown in the second half, by how good the slot thought it. On the \
               diagonal it was right."
                .to_owned(),
        description: off_diagonal(report, &dots, Unit::Plain),
        legend: legend(report, &dots),
        numbers: NumberTable { header, rows },
    };
    scatter(out, &figure, &Plot::new(axis("reward foreseen"), axis("true expected reward"), HEIGHT), ends, &dots);
}

/// Writes the figure of propensities against frequencies, or nothing if none were counted.
pub(super) fn propensities(out: &mut Markup, report: &RunReport) {
    let mut dots = Vec::new();
    let mut rows = Vec::new();
    for (number, policy) in report.policies.iter().enumerate() {
        for bin in policy.propensity.iter().filter(|bin| bin.count > 0) {
            let promised = Unit::Part.show(bin.promised);
            let happened = Unit::Part.show_error(bin.happened, Some(bin.standard_error));
            let tells =
                format!("{}\npromised {promised}\nhappened {happened}\n{} times", policy.name, count(bin.count));
            let half = Some(2.0 * bin.standard_error);
            dots.push(Dot { policy: number, across: bin.promised, up: bin.happened, half, tells });
            let bounds = format!("{} to {}", Unit::Part.show(bin.from), Unit::Part.show(bin.until));
            rows.push(vec![policy.name.clone(), bounds, promised, happened, count(bin.count)]);
        }
    }
    let header = ["policy", "propensities", "promised", "happened", "times"].map(str::to_owned).to_vec();
    let axis = |title| Axis::exact(title, Unit::Part, (0.0, 1.0));
    let figure = Figure {
        id: "propensity".to_owned(),
        title: "Probabilities promised and kept".to_owned(),
        note:
            "What was to be drawn with a probability has to be drawn that often, or nothing can be estimated from the \
               log. Bars: two standard errors either way."
                .to_owned(),
        description: off_diagonal(report, &dots, Unit::Part),
        legend: legend(report, &dots),
        numbers: NumberTable { header, rows },
    };
    let plot = Plot::new(axis("propensity promised"), axis("how often it happened"), HEIGHT);
    scatter(out, &figure, &plot, (0.0, 1.0), &dots);
}

/// Writes marks around a diagonal, or nothing without marks.
fn scatter(out: &mut Markup, figure: &Figure, plot: &Plot, (low, high): (f64, f64), dots: &[Dot]) {
    if dots.is_empty() {
        return;
    }
    figure.write(out, plot.height(), |out| {
        plot.frame(out);
        let d = format!("M{}L{}", plot.at(low, low), plot.at(high, high));
        out.empty("path", &[("class", "reference"), ("d", &d)]);
        // The first policy is drawn last, on top.
        for dot in dots.iter().rev() {
            let class = series_class(dot.policy);
            spot(out, &dot.tells, |out| {
                if let Some(half) = dot.half {
                    let d = format!("M{}L{}", plot.at(dot.across, dot.up - half), plot.at(dot.across, dot.up + half));
                    out.empty("path", &[("class", &format!("whisker {class}")), ("d", &d)]);
                }
                let place = format!("translate({} {})", px(plot.x(dot.across)), px(plot.y(dot.up)));
                let class = format!("mark scattered {class}");
                out.empty("path", &[("class", &class), ("transform", &place), ("d", shape(dot.policy))]);
            });
        }
    });
}

/// Legend of the policies that have marks.
fn legend(report: &RunReport, dots: &[Dot]) -> Vec<LegendEntry> {
    let mut keys: Vec<_> = report
        .policies
        .iter()
        .enumerate()
        .filter(|(i, _)| dots.iter().any(|dot| dot.policy == *i))
        .map(|(i, policy)| LegendEntry { name: policy.name.clone(), sign: LegendSign::Mark(i) })
        .collect();
    keys.push(LegendEntry { name: "as it should be".to_owned(), sign: LegendSign::Reference("reference") });
    keys
}

/// Describes the distance of each policy's marks from the diagonal, for readers who do not see them.
fn off_diagonal(report: &RunReport, dots: &[Dot], unit: Unit) -> String {
    let of = |(i, name): (usize, &str)| {
        let off = dots.iter().filter(|dot| dot.policy == i).map(|dot| (dot.up - dot.across).abs());
        off.max_by(f64::total_cmp).map(|off| format!("{name}: at most {} off. ", unit.show(off)))
    };
    report.policies.iter().map(|policy| policy.name.as_str()).enumerate().filter_map(of).collect()
}
