//! Order and times of the rows of a pass.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::ReplayError;
use crate::{dataset::Dataset, learning::service::ROUND_US, order::permutation};

/// Greatest time of a row, seconds since the first: a hundred years.
const SECONDS_MAX: f64 = 100.0 * 365.25 * 86_400.0;

/// Order and times of the rows of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RowTiming {
    /// Order of the pass's seed, a millisecond apart.
    #[default]
    Shuffled,
    /// Order of the file, this far apart.
    Every(Duration),
    /// Order of a column of numbers, which are times in seconds since any moment. The column is no feature.
    Column(String),
}

/// Row of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedRow {
    /// The row's place in the set.
    pub row: usize,
    /// Time of the decision, microseconds since the service's clock began.
    pub at_us: i64,
}

impl RowTiming {
    /// Returns the first `rounds` rows of a pass over the set, in order of time.
    ///
    /// # Errors
    ///
    /// The set has no such column, or a value in it is missing or no time.
    pub fn rows(&self, dataset: &Dataset, seed: u64, rounds: usize) -> Result<Vec<TimedRow>, ReplayError> {
        let every = |order: Vec<usize>, interval_us: i64| {
            let timed = |(t, row): (i64, usize)| TimedRow { row, at_us: (t + 1).saturating_mul(interval_us) };
            (0..).zip(order).map(timed).take(rounds).collect()
        };
        match self {
            Self::Shuffled => Ok(every(permutation(dataset.rows(), seed), ROUND_US)),
            Self::Every(interval) => {
                let interval_us = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
                Ok(every((0..dataset.rows()).collect(), interval_us))
            }
            Self::Column(column) => {
                let seconds = seconds(dataset, column)?;
                let mut order: Vec<usize> = (0..seconds.len()).collect();
                order.sort_by(|&a, &b| seconds[a].total_cmp(&seconds[b]));
                let first = order.first().map_or(0.0, |&row| seconds[row]);
                #[expect(clippy::cast_possible_truncation, reason = "at most a hundred years of microseconds")]
                let at_us = |row: usize| ROUND_US + ((seconds[row] - first) * 1e6).round() as i64;
                Ok(order.into_iter().take(rounds).map(|row| TimedRow { row, at_us: at_us(row) }).collect())
            }
        }
    }

    /// Column that is no feature, or `None`.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Shuffled | Self::Every(_) => None,
            Self::Column(column) => Some(column),
        }
    }

    /// Greatest time between a decision and the reward that comes `batch` rounds later at most, microseconds.
    pub(super) fn delay_us(&self, dataset: &Dataset, batch: usize) -> Result<i64, ReplayError> {
        let rows = self.rows(dataset, 0, dataset.rows())?;
        let after = |i: usize| rows[(i + batch).min(rows.len() - 1)].at_us - rows[i].at_us;
        Ok((0..rows.len()).map(after).max().unwrap_or(0))
    }
}

/// Returns the times in a column, in seconds.
fn seconds(dataset: &Dataset, column: &str) -> Result<Vec<f64>, ReplayError> {
    let broken = |why: String| ReplayError::Time { column: column.to_owned(), why };
    let cells = dataset.numbers(column).ok_or_else(|| {
        broken(format!(
            "{} has no such column of numbers; its columns are {}",
            dataset.name(),
            dataset.columns().join(", ")
        ))
    })?;
    let seconds = cells.into_iter().enumerate().map(|(row, cell)| {
        cell.ok_or_else(|| broken(format!("row {} has no number; every row needs a time in seconds", row + 1)))
    });
    let seconds = seconds.collect::<Result<Vec<f64>, ReplayError>>()?;
    let least = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    match seconds.iter().position(|time| time - least > SECONDS_MAX) {
        Some(row) => {
            Err(broken(format!("row {} is over a hundred years after the first; times are in seconds", row + 1)))
        }
        None => Ok(seconds),
    }
}

impl fmt::Display for RowTiming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shuffled => f.write_str("shuffled"),
            Self::Every(interval) => write!(f, "every {}", humantime::format_duration(*interval)),
            Self::Column(column) => write!(f, "by {column}"),
        }
    }
}

impl Serialize for RowTiming {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
