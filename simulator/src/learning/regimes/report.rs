//! Report of the regimes: a row each, as a table for people and as JSON.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use slotwise::cli::table::fitted;

use super::{
    RegimeOptions, WorldMeasure,
    catalogue::{Criterion, Regime},
};
use crate::learning::replay::Spread;

/// Standard errors by which a row may miss its criterion.
const TOLERANCE: f64 = 2.0;

/// Measure of another learner.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OtherLearner {
    /// Name of the learner.
    pub learner: &'static str,
    /// Measure over the worlds.
    pub measure: Spread,
}

/// Verdict over a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RegimeVerdict {
    /// The criterion lies within two standard errors, or is met.
    Holds,
    /// The criterion is missed.
    Regression,
    /// Too little was played to judge.
    NotJudged,
}

/// Row of the report: one regime over all of its worlds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegimeRow {
    /// Name of the regime.
    pub name: &'static str,
    /// Description of the stream.
    pub stream: &'static str,
    /// Name of the measure.
    pub measures: &'static str,
    /// Measure of the slot with its defaults.
    pub slot: Spread,
    /// Other learners in the same worlds.
    pub others: Vec<OtherLearner>,
    /// Mean measure of the slot over that of the best other learner, or `None` without one.
    pub ratio: Option<f64>,
    /// The criterion as text.
    pub must: String,
    /// Verdict.
    pub verdict: RegimeVerdict,
    /// The slot's measure in each world.
    pub worlds: Vec<f64>,
    /// Wall time of all worlds, seconds. Not part of the JSON, whose bytes are the same every time.
    #[serde(skip)]
    pub seconds: f64,
}

/// Report of all regimes that were played.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegimesReport {
    /// Number of worlds of each row.
    pub worlds: u64,
    /// Says that a reward of 0 sent no event.
    pub silent_zeros: bool,
    /// Says that only a tenth of the long streams was played.
    pub small: bool,
    /// Rows.
    pub rows: Vec<RegimeRow>,
    /// Names of the rows that miss their criterion.
    pub regressions: Vec<&'static str>,
}

impl RegimeRow {
    pub(super) fn new(regime: &Regime, worlds: &[WorldMeasure], seconds: f64, small: bool) -> Self {
        let slot: Vec<f64> = worlds.iter().map(|world| world.slot).collect();
        let count = worlds.first().map_or(0, |world| world.others.len());
        let of_other = |i: usize| worlds.iter().map(|world| world.others[i].1).collect::<Vec<f64>>();
        let other = |i: usize| OtherLearner { learner: worlds[0].others[i].0, measure: Spread::new(&of_other(i)) };
        let others: Vec<OtherLearner> = (0..count).map(other).collect();
        let best = (0..count).min_by(|&a, &b| others[a].measure.mean.total_cmp(&others[b].measure.mean));
        let of_best = best.map_or_else(|| vec![0.0; slot.len()], of_other);
        // Distance by which a world misses the criterion, 0 or below if it meets it.
        let miss = |(slot, best): (&f64, &f64)| match regime.criterion {
            Criterion::AtLeast(bound) => bound - slot,
            Criterion::AtMost(bound) => slot - bound,
            Criterion::AtMostTimes(factor) => slot - factor * best,
            Criterion::NotBelow => best - slot,
        };
        let missed = Spread::new(&slot.iter().zip(&of_best).map(miss).collect::<Vec<_>>());
        let holds = missed.mean <= TOLERANCE * missed.standard_error.unwrap_or(0.0);
        let verdict = match holds {
            _ if small => RegimeVerdict::NotJudged,
            true => RegimeVerdict::Holds,
            false => RegimeVerdict::Regression,
        };
        let slot_spread = Spread::new(&slot);
        let must = match regime.criterion {
            Criterion::AtLeast(bound) => format!("≥ {bound}"),
            Criterion::AtMost(bound) => format!("≤ {bound}"),
            Criterion::AtMostTimes(factor) => format!("≤ {factor} ×"),
            Criterion::NotBelow => "≥ 1 ×".to_owned(),
        };
        Self {
            name: regime.name,
            stream: regime.stream,
            measures: regime.measures,
            ratio: best.map(|best| slot_spread.mean / others[best].measure.mean).filter(|ratio| ratio.is_finite()),
            slot: slot_spread,
            others,
            must,
            verdict,
            worlds: slot,
            seconds,
        }
    }

    /// Returns the other learner with the smallest measure, or `None` if there is none.
    fn best_other(&self) -> Option<&OtherLearner> {
        self.others.iter().min_by(|a, b| a.measure.mean.total_cmp(&b.measure.mean))
    }
}

/// Columns that are dropped if there is no room, the least important first.
const LEAST: [usize; 3] = [6, 1, 4];

impl RegimesReport {
    pub(super) fn new(options: &RegimeOptions, rows: Vec<RegimeRow>) -> Self {
        let RegimeOptions { worlds, silent_zeros, small, .. } = *options;
        let missed = rows.iter().filter(|row| row.verdict == RegimeVerdict::Regression).map(|row| row.name);
        Self { worlds, silent_zeros, small, regressions: missed.collect(), rows }
    }

    /// Returns the report as one line of JSON.
    ///
    /// # Errors
    ///
    /// Returns no known error: the report is plain numbers and strings.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Returns the report as a table.
    pub fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "regime",
            "measure",
            "default slot",
            "best other",
            "ratio",
            "must be",
            "s",
            "verdict",
        ]);
        for row in &self.rows {
            let other = |other: &OtherLearner| format!("{}\n{}", number(&other.measure), other.learner);
            table.add_row([
                format!("{}\n{}", row.name, row.stream),
                row.measures.to_owned(),
                number(&row.slot),
                row.best_other().map_or("–".to_owned(), other),
                row.ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
                row.must.clone(),
                format!("{:.0}", row.seconds),
                match row.verdict {
                    RegimeVerdict::Holds => "holds".to_owned(),
                    RegimeVerdict::Regression => "MISSED".to_owned(),
                    RegimeVerdict::NotJudged => "not judged".to_owned(),
                },
            ]);
        }
        for at in [2, 3, 4, 5, 6] {
            if let Some(column) = table.column_mut(at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let zeros = if self.silent_zeros { ", zeros silent" } else { "" };
        let holds = self.rows.iter().filter(|row| row.verdict == RegimeVerdict::Holds).count();
        let (rows, worlds) = (self.rows.len(), self.worlds);
        let judged =
            if self.small { "not judged: too little was played".to_owned() } else { format!("{holds} of {rows} hold") };
        format!("{worlds} worlds each{zeros}\n{}\n{judged}", fitted(table, &LEAST))
    }
}

/// Returns a mean with its standard error, with as many digits as its size needs.
fn number(spread: &Spread) -> String {
    let digits = match spread.mean.abs() {
        mean if mean >= 100.0 => 0,
        mean if mean >= 10.0 => 1,
        _ => 3,
    };
    match spread.standard_error {
        Some(error) => format!("{:.digits$} ± {error:.digits$}", spread.mean),
        None => format!("{:.digits$}", spread.mean),
    }
}
