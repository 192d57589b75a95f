//! Report of a replay: the losses of each seed, their mean and its standard error.
//!
//! The JSON is one object with these keys:
//!
//! | key | meaning |
//! | --- | --- |
//! | `dataset`, `rows`, `arms` | the set's name, its number of rows, its number of classes |
//! | `service` | `"in_process"` or `"grpc"` |
//! | `model`, `exploration`, `policy` | the slot's model, width multiplier (`null` for the default) and policy |
//! | `rounds` | rows of a pass |
//! | `variant`, `silent_zeros` | `"plain"`, `"drift"`, `"delayB"` or `"drift+delayB"`; whether a reward of 0 sent no
//! event |
//! | `timing` | `"shuffled"`, `"every 30m"` or `"by COLUMN"` |
//! | `runs` | an object per seed, in order: `seed`, `loss`, `loss_last_20_percent`, `rewards` (rounds with a reward of
//! 1), `fallbacks` (decisions that the slot's model did not make), `loss_by_tenth` (of each tenth of the rounds,
//! `null` for an empty one) |
//! | `loss`, `loss_last_20_percent` | over the seeds: `mean`, and `standard_error`, which is `null` for one seed |
//!
//! A loss is the mean of 1 − reward, over the whole pass or over its rounds from ⌊0.8 · rounds⌋ on.
//!
//! Deliberately not here: times and speeds, which are not the same twice.

use std::fmt::{self, Write as _};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use slotwise::cli::table::fitted;

use super::{ReplayOptions, RowTiming, Tenths, Variant};
use crate::dataset::Dataset;

/// Result of a pass over a set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayRun {
    /// Seed of the order and, in this process, of the draws.
    pub seed: u64,
    /// Mean of 1 − reward.
    pub loss: f64,
    /// Mean of 1 − reward over the last 20 % of the rounds.
    pub loss_last_20_percent: f64,
    /// Number of rounds with a reward of 1.
    pub rewards: usize,
    /// Decisions that the slot's model did not make.
    pub fallbacks: usize,
    /// The course of the loss.
    pub loss_by_tenth: Tenths,
}

/// A mean over seeds with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation over √n, or `None` for a single seed.
    pub standard_error: Option<f64>,
}

/// Report of a replay. The module documents its keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayReport {
    /// The set's name.
    pub dataset: String,
    /// Number of rows.
    pub rows: usize,
    /// Number of classes.
    pub arms: usize,
    /// The service: `in_process` or `grpc`.
    pub service: &'static str,
    /// The slot's model.
    pub model: &'static str,
    /// The slot's width multiplier, or `None` for the default.
    pub exploration: Option<f64>,
    /// The slot's policy.
    pub policy: &'static str,
    /// Number of rows in a pass.
    pub rounds: usize,
    /// The variant.
    pub variant: Variant,
    /// True if a reward of 0 sent no event.
    pub silent_zeros: bool,
    /// Order and times of the rows.
    pub timing: RowTiming,
    /// The passes, one per seed.
    pub runs: Vec<ReplayRun>,
    /// Loss over the seeds.
    pub loss: Spread,
    /// Loss of the last 20 % of the rounds, over the seeds.
    pub loss_last_20_percent: Spread,
}

impl Spread {
    /// Returns the spread of at least one value.
    pub fn new(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_error = (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt());
        Self { mean, standard_error }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.standard_error {
            Some(error) => write!(f, "{:.4} ± {error:.4}", self.mean),
            None => write!(f, "{:.4}", self.mean),
        }
    }
}

impl ReplayReport {
    pub(super) fn new(options: &ReplayOptions, dataset: &Dataset, rounds: usize, runs: Vec<ReplayRun>) -> Self {
        let spread = |of: fn(&ReplayRun) -> f64| Spread::new(&runs.iter().map(of).collect::<Vec<_>>());
        Self {
            dataset: dataset.name().to_owned(),
            rows: dataset.rows(),
            arms: dataset.classes().len(),
            service: if options.target.is_some() { "grpc" } else { "in_process" },
            model: options.model.name(),
            exploration: options.exploration,
            policy: options.policy.name(),
            rounds,
            variant: options.variant,
            silent_zeros: options.silent_zeros,
            timing: options.timing.clone(),
            loss: spread(|run| run.loss),
            loss_last_20_percent: spread(|run| run.loss_last_20_percent),
            runs,
        }
    }

    /// Returns the report as one line of JSON.
    ///
    /// # Errors
    ///
    /// Returns no known error: the report is plain numbers and strings.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Returns the report for people: a sentence for one seed, a table for several.
    pub fn text(&self) -> String {
        let (variant, zeros) = (self.variant, if self.silent_zeros { ", silent zeros" } else { "" });
        let head = format!(
            "{}, {variant}{zeros}, {} rounds, {} arms, model {}",
            self.dataset, self.rounds, self.arms, self.model
        );
        let fallbacks: usize = self.runs.iter().map(|run| run.fallbacks).sum();
        let mut text = if let [run] = self.runs.as_slice() {
            let (losses, course) = ([self.loss, self.loss_last_20_percent], run.loss_by_tenth.sparkline());
            format!("{head}, seed {}: loss {}, last 20 % {}, by tenth {course}", run.seed, losses[0], losses[1])
        } else {
            let mut table = Table::new();
            table.load_style(UTF8_FULL_CONDENSED).set_header(["seed", "loss", "last 20 %", "by tenth"]);
            for run in &self.runs {
                let losses = [run.loss, run.loss_last_20_percent].map(|loss| format!("{loss:.4}"));
                table.add_row([&run.seed.to_string(), &losses[0], &losses[1], &run.loss_by_tenth.sparkline()]);
            }
            let course = Tenths::sum(self.runs.iter().map(|run| &run.loss_by_tenth)).sparkline();
            table.add_row(["mean ± s.e.", &self.loss.to_string(), &self.loss_last_20_percent.to_string(), &course]);
            table.column_iter_mut().for_each(|column| {
                column.set_cell_alignment(CellAlignment::Right);
            });
            format!("{head}\n{}", fitted(table, &[3]))
        };
        if fallbacks > 0 {
            let _ = write!(text, "\n{fallbacks} decisions were fallbacks, which the slot's model did not make");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by hand: the mean of 1, 2 and 6 is 3, the squares add up to 14, and √(14 / 2 / 3) = 1.5275.
    #[test]
    fn the_standard_error_is_that_of_the_mean() {
        let spread = Spread::new(&[1.0, 2.0, 6.0]);
        assert!((spread.mean - 3.0).abs() < 1e-15);
        assert!((spread.standard_error.unwrap() - 1.527_525_231_651_947).abs() < 1e-15);
        assert_eq!(spread.to_string(), "3.0000 ± 1.5275");
        assert_eq!(Spread::new(&[0.25]), Spread { mean: 0.25, standard_error: None });
    }
}
