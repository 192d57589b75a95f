//! Charts of the console: figures with intervals in rows, and lines over time.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use crate::{
    chart::{
        figure::{Figure, LegendEntry, LegendSign, NumberTable, spot},
        markup::Markup as Drawing,
        number::Unit,
        plot::{Axis, CHARACTER, Plot, px, range, series_class, shape},
    },
    engine::AmountFormat,
    wire::time_text,
};

/// Height of a row.
const ROW: f64 = 26.0;
/// Number of characters of a row's name that are shown.
const NAME_MAX: usize = 24;
/// Height of a drawing over time.
const HEIGHT: f64 = 240.0;

/// Figure of a row with its interval.
#[derive(Debug)]
pub(super) struct RowFigure {
    pub(super) name: String,
    /// Mean, low and high end, or `None` if the figure is withheld.
    pub(super) figure: Option<(f64, f64, f64)>,
    /// Figure in words.
    pub(super) words: String,
}

/// Chart of figures in rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowChart<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) note: &'a str,
    pub(super) unit: Unit,
    /// Title of the axis.
    pub(super) axis: &'a str,
    /// Noun for the thing in a row.
    pub(super) noun: &'a str,
}

/// Line over time.
#[derive(Debug)]
pub(super) struct TimeLine {
    pub(super) name: String,
    /// Value at the time of each step, or `None` where there is none.
    pub(super) values: Vec<Option<f64>>,
}

/// Unit in which amounts are drawn.
pub(super) fn unit(amounts: &AmountFormat) -> Unit {
    if amounts.percent { Unit::Part } else { Unit::Plain }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        return name.to_owned();
    }
    let head: String = name.chars().take(NAME_MAX - 1).collect();
    format!("{head}…")
}

/// Draws figures with their intervals, a row each.
pub(super) fn rows(chart: RowChart<'_>, rows: &[RowFigure]) -> Markup {
    let RowChart { id, title, note, unit, axis, noun } = chart;
    let known = rows.iter().filter_map(|row| row.figure);
    let (low, high) = range(known.flat_map(|(_, low, high)| [low, high, 0.0]));
    let longest = rows.iter().map(|row| shortened(&row.name).chars().count()).max().unwrap_or(0);
    let plot =
        Plot::rows(Axis::round(axis, unit, (low, high)), 10.0 + CHARACTER * longest as f64, ROW * rows.len() as f64);
    let figure = Figure {
        id: id.to_owned(),
        title: title.to_owned(),
        note: note.to_owned(),
        description: format!("{title}: a mark at each mean, and a line from the low to the high end of its interval."),
        legend: Vec::new(),
        numbers: NumberTable {
            header: vec![noun.into(), "figure".into()],
            rows: rows.iter().map(|row| vec![row.name.clone(), row.words.clone()]).collect(),
        },
    };
    let mut out = Drawing::default();
    figure.write(&mut out, plot.height(), |out| {
        plot.frame(out);
        for (i, row) in rows.iter().enumerate() {
            let y = plot.top + ROW * (i as f64 + 0.5);
            let name_y = px(y + 4.0);
            out.leaf("text", &[("class", "row"), ("x", "4"), ("y", &name_y)], shortened(&row.name));
            let Some((mean, low, high)) = row.figure else {
                out.leaf("text", &[("x", &px(plot.left + 6.0)), ("y", &name_y)], &row.words);
                continue;
            };
            spot(out, &format!("{}\n{}", row.name, row.words), |out| {
                let (x1, x2, y_text) = (px(plot.x(low)), px(plot.x(high)), px(y));
                out.empty(
                    "line",
                    &[("class", "whisker s0"), ("x1", &x1), ("x2", &x2), ("y1", &y_text), ("y2", &y_text)],
                );
                let at = format!("translate({},{y_text})", px(plot.x(mean)));
                out.empty("path", &[("class", "mark s0"), ("d", shape(0)), ("transform", &at)]);
            });
        }
    });
    html! { (PreEscaped(out.finish())) }
}

/// Draws lines over time. `times` are the starts of the steps, microseconds since 1970, and there are at least two of them.
pub(super) fn over_time(id: &str, title: &str, note: &str, unit: Unit, times: &[i64], lines: &[TimeLine]) -> Markup {
    let values = lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    let (low, high) = range(values.chain([0.0]));
    let first = times.first().copied().unwrap_or(0);
    let hours = |us: i64| (us - first) as f64 / 3.6e9;
    let last = times.last().map_or(1.0, |last| hours(*last).max(1e-6));
    let across = Axis::exact("hours since the first step", Unit::Plain, (0.0, last));
    let plot = Plot::new(across, Axis::round("", unit, (low, high)), HEIGHT);
    let legend = lines
        .iter()
        .enumerate()
        .map(|(i, line)| LegendEntry { name: line.name.clone(), sign: LegendSign::Line(i) })
        .collect();
    let text = |value: Option<f64>| value.map_or_else(String::new, |value| unit.show(value));
    let row = |(i, time): (usize, &i64)| {
        let values = lines.iter().map(|line| text(line.values.get(i).copied().flatten()));
        std::iter::once(time_text(*time)).chain(values).collect()
    };
    let figure = Figure {
        id: id.to_owned(),
        title: title.to_owned(),
        note: note.to_owned(),
        description: format!("{title}: a line for each of {}.", lines.len()),
        legend,
        numbers: NumberTable {
            header: std::iter::once("time (UTC)".to_owned())
                .chain(lines.iter().map(|line| line.name.clone()))
                .collect(),
            rows: times.iter().enumerate().map(row).collect(),
        },
    };
    let mut out = Drawing::default();
    figure.write(&mut out, HEIGHT, |out| {
        plot.frame(out);
        for (series, line) in lines.iter().enumerate() {
            let mut path = String::new();
            let mut open = false;
            for (time, value) in times.iter().zip(&line.values) {
                let Some(value) = value else {
                    open = false;
                    continue;
                };
                // Writing to a string cannot fail.
                let _ = write!(path, "{}{}", if open { "L" } else { "M" }, plot.at(hours(*time), *value));
                open = true;
            }
            if !path.is_empty() {
                let class = format!("line {}", series_class(series));
                out.empty("path", &[("class", &class), ("d", &path)]);
            }
        }
    });
    html! { (PreEscaped(out.finish())) }
}

/// Draws the course of a count in a strip, without axes. The number stands beside it.
pub(super) fn spark(values: &[u64]) -> Markup {
    let most = values.iter().copied().max().unwrap_or(0).max(1) as f64;
    let step = 100.0 / values.len().max(2).saturating_sub(1) as f64;
    let points: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(i, value)| format!("{:.1},{:.1}", step * i as f64, 19.0 - 18.0 * *value as f64 / most))
        .collect();
    html! {
        svg.spark viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true" {
            polyline class="line s0" points=(points.join(" ")) {}
        }
    }
}
