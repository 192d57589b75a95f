//! Latencies of decisions and events: quantiles along a logarithmic axis, a row for each policy.

use std::fmt::Write as _;

use crate::{
    report::show::quantiles,
    report::{Latency, PolicyReport, RunReport},
};

use super::{
    super::{
        markup::Markup,
        number::{Unit, count},
    },
    dots::{name_width, row_name},
    figure::{Figure, NumberTable, spot},
    plot::{Axis, CHARACTER, Plot, px, range, series_class, shape},
};

/// Height of a policy's row.
const ROW: f64 = 44.0;

/// A policy with its number and its latencies.
type PolicyLatency<'a> = (usize, &'a PolicyReport, Latency);

/// Kind of request whose latency is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LatencyKind {
    /// Decisions.
    Decisions,
    /// Events.
    Events,
}

impl LatencyKind {
    fn latency_of(self, policy: &PolicyReport) -> Option<Latency> {
        match self {
            Self::Decisions => policy.latency,
            Self::Events => policy.event_latency,
        }
    }

    /// The figure's id, its title, and the noun of what is counted.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Decisions => ("latency", "How long a decision takes", "decisions"),
            Self::Events => ("event-latency", "How long an event takes until it is kept", "events"),
        }
    }
}

/// Writes the latencies of requests, or nothing if they were not measured.
pub(super) fn write(out: &mut Markup, report: &RunReport, of: LatencyKind) {
    let shown: Vec<PolicyLatency<'_>> = report
        .policies
        .iter()
        .enumerate()
        .filter_map(|(i, policy)| Some((i, policy, of.latency_of(policy)?)))
        .collect();
    let (id, title, counted) = of.words();
    if shown.is_empty() {
        return;
    }
    let names: Vec<_> = shown.iter().map(|(_, policy, _)| policy.name.as_str()).collect();
    let all = shown.iter().flat_map(|(_, _, of)| [of.p50_ms, of.max_ms]);
    let (low, high) = range(all.filter(|ms| *ms > 0.0).map(f64::log10));
    let axis = Axis::logarithmic("time from when it was due", Unit::Milliseconds, (low, high));
    let plot = Plot::rows(axis, name_width(&names), ROW * names.len() as f64);
    let (numbers, description) = numbers(&shown, counted);
    let tells =
        |policy: &PolicyReport, name: &str, ms| format!("{}\n{name}: {}", policy.name, Unit::Milliseconds.show(ms));
    let figure = Figure {
        id: id.to_owned(),
        title: title.to_owned(),
        note: "From the moment each was due, so that waiting behind a slow one counts; what failed counts as 10 s. p99: 99 of \
               100 take at most so long."
            .to_owned(),
        description,
        legend: Vec::new(),
        numbers,
    };
    figure.write(out, plot.height(), |out| {
        plot.frame(out);
        for (i, (number, policy, of)) in shown.iter().enumerate() {
            let y = plot.top + ROW * (i as f64 + 0.6);
            row_name(out, &plot, &policy.name, y);
            let class = series_class(*number);
            let [from, until] = [of.p50_ms, of.max_ms].map(|ms| px(plot.x(ms.max(f64::MIN_POSITIVE).log10())));
            let d = format!("M{from},{}H{until}", px(y));
            out.empty("path", &[("class", &format!("whisker {class}")), ("d", &d)]);
            let mut taken = f64::NEG_INFINITY;
            for (name, ms) in quantiles(of) {
                let x = plot.x(ms.max(f64::MIN_POSITIVE).log10());
                spot(out, &tells(policy, name, ms), |out| {
                    let place = format!("translate({} {})", px(x), px(y));
                    let class = format!("mark {class}");
                    out.empty("path", &[("class", &class), ("transform", &place), ("d", shape(*number))]);
                });
                let half = CHARACTER * name.len() as f64 / 2.0;
                if x - half > taken {
                    out.leaf("text", &[("class", "middle"), ("x", &px(x)), ("y", &px(y - 9.0))], name);
                    taken = x + half + 3.0;
                }
            }
        }
    });
}

/// The latencies as a table and as a description in words.
fn numbers(shown: &[PolicyLatency<'_>], counted: &str) -> (NumberTable, String) {
    let (mut rows, mut description) = (Vec::new(), String::new());
    for (_, policy, of) in shown {
        let [p50, p99] = [of.p50_ms, of.p99_ms].map(|ms| Unit::Milliseconds.show(ms));
        let _ = write!(description, "{}: half within {p50}, 99 of 100 within {p99}. ", policy.name);
        let named = [policy.name.clone(), count(of.count)].into_iter();
        rows.push(named.chain(quantiles(of).map(|(_, ms)| Unit::Milliseconds.show(ms))).collect());
    }
    let header = ["policy", counted, "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned).to_vec();
    (NumberTable { header, rows }, description)
}
