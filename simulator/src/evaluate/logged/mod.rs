//! Logged decisions from elsewhere: what was shown to whom, with which probability, and what it earned.
//!
//! * [`FileFormat`]: the formats of files, and how a file's format is recognised.
//! * [`Log`]: the decisions in order of time.
//! * [`journal`]: the rows that `slotwise journal export` writes, as JSON lines or as CSV.
//! * [`open_bandit`]: the Open Bandit Dataset's format.
//! * [`error`]: reasons why a file cannot be used.
//! * `dsjson`: the logs of Vowpal Wabbit and Azure Personalizer.
//! * `plain`: CSV with the columns that a log needs at least.
//! * `gather`: from rows to a [`Log`].
//! * `source`, `table`, `time`: readers of plain or gzip files, of CSV, and of times as programs write them.
//!
//! Invariants:
//!
//! * Rows are in order of time. Rows of the same time are in the file's order.
//! * Every propensity of a row lies in (0, 1], every number is finite, and the shown arm is among those on offer.
//! * Rows that cannot be evaluated are counted in [`LeftOutCounts`]. None is dropped silently.
//!
//! Deliberately not here: what another policy would have done.

mod dsjson;
pub mod error;
mod form;
mod gather;
pub mod journal;
pub mod open_bandit;
mod plain;
mod source;
mod table;
mod time;

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use slotwise::{
    bandit::{Features, Value},
    engine::{Request, RequestCandidate, Subject},
    slot::{ArmId, SlotId},
};

pub use error::LogError;
pub use form::FileFormat;

/// Greatest number of rows. A slot with more than a million pending decisions forgets the oldest before their window
/// ends.
pub const ROWS_MAX: usize = crate::dataset::ROWS_MAX;

/// Greatest number of rows times arms. An evaluation keeps a number and the candidates for each of these cells.
pub const CELLS_MAX: usize = 100_000_000;

/// Name of the feature that holds a user-item affinity of the Open Bandit Dataset.
pub const AFFINITY: &str = "affinity";

/// Selection of the rows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogSelection {
    /// Slot whose rows are read from a journal, or `None` if the journal has only one.
    pub slot: Option<String>,
    /// Position whose rows are read from the Open Bandit Dataset, or `None` for all positions.
    pub position: Option<u32>,
    /// Reads only rows of a journal whose window had closed.
    pub complete: bool,
    /// File that describes the items of the Open Bandit Dataset.
    pub items: Option<std::path::PathBuf>,
    /// Number of rows to read, the earliest first, or `None` for all.
    pub rows: Option<usize>,
}

/// Arm of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedArm {
    /// Id of the arm.
    pub id: ArmId,
    /// Attributes of the arm that the log contains.
    pub attributes: Features,
}

/// Arms that a decision could choose from. They are named by their place in the log's list.
#[derive(Debug, Clone, PartialEq)]
pub enum OfferedArms {
    /// Every arm of the log.
    All,
    /// Listed arms in the request's order, with the request's features of each.
    Listed(Vec<(usize, Features)>),
    /// Every arm of the log, each with its affinity to the user. An arm that is not listed has affinity 0.
    Affinities(Vec<(usize, f64)>),
}

/// A logged decision.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedRow {
    /// Time of the decision, in microseconds since 1970.
    pub at_us: i64,
    /// Subject of the decision.
    pub subject: Subject,
    /// Features of the request. Rows with equal features share them.
    pub context: Arc<Features>,
    /// Arms on offer.
    pub offered: OfferedArms,
    /// Shown arm, by its place in the log's list.
    pub arm: usize,
    /// Probability with which the arm was drawn, in (0, 1].
    pub propensity: f64,
    /// Reward of the decision.
    pub reward: f64,
    /// Time at which the reward was known, not before the decision, or `None` if no event arrived and the reward is the
    /// default reward.
    pub known_us: Option<i64>,
    /// Position of the arm, counted from 1.
    pub position: u32,
}

/// Counts of the rows that were left out, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeftOutCounts {
    /// Rows of another slot, or at another position than requested.
    pub not_asked_for: u64,
    /// Rows of subjects in the holdout, for whom the baseline decided.
    pub holdout: u64,
    /// Rows that repeat an earlier decision for the same subject, so that nothing was drawn.
    pub sticky: u64,
    /// Fallbacks, and rows that showed nothing.
    pub fallback: u64,
    /// Rows whose slot was reset or deleted before anything was counted.
    pub uncounted: u64,
    /// Rows whose window had not closed.
    pub incomplete: u64,
    /// Dangling rewards: lines with a reward whose decision is not in the line, as Personalizer writes them if the
    /// decision came too late or never.
    #[serde(default)]
    pub dangling: u64,
    /// Decisions that were deferred, and that nobody confirmed as shown.
    #[serde(default)]
    pub unconfirmed: u64,
    /// Lines of a log that are no decisions with an outcome, such as a trainer's checkpoints.
    #[serde(default)]
    pub without_outcome: u64,
    /// Rows that repeat a decision id. Each decision counts once.
    #[serde(default)]
    pub repeated: u64,
    /// Rows logged with a propensity of 0, which have no weight.
    pub zero_propensity: u64,
}

/// Decisions of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Name of the file.
    pub name: String,
    /// Format of the file.
    pub form: FileFormat,
    /// All arms of the log.
    pub arms: Vec<LoggedArm>,
    /// Decisions in order of time, at least one.
    pub rows: Vec<LoggedRow>,
    /// Counts of the rows that were left out.
    pub left_out: LeftOutCounts,
    /// Number of rows in `rows` whose window had not closed.
    pub incomplete: u64,
    /// Number of rows that showed more than one arm. Only their first position is kept.
    pub slates: u64,
    /// Default reward: the reward of a decision without any event.
    pub default_reward: f64,
}

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    ///
    /// Returns a [`LogError`] if the file cannot be used; a classification set cannot.
    pub fn read(path: &Path, form: FileFormat, wanted: &LogSelection) -> Result<Self, LogError> {
        let mut log = match form {
            FileFormat::Journal => journal::read(path, wanted)?,
            FileFormat::OpenBandit => open_bandit::read(path, wanted)?,
            FileFormat::Dsjson => dsjson::read(path, wanted)?,
            FileFormat::Csv => plain::read(path, wanted)?,
            FileFormat::Classification => return Err(LogError::Classification(path.to_owned())),
        };
        log.rows.sort_by_key(|row| row.at_us);
        if let Some(rows) = wanted.rows {
            log.rows.truncate(rows);
        }
        if log.rows.is_empty() {
            return Err(LogError::Empty { file: path.to_owned(), left_out: Box::new(log.left_out) });
        }
        Ok(log)
    }

    /// Number of arms that a row could choose from.
    pub fn offered(&self, row: &LoggedRow) -> usize {
        match &row.offered {
            OfferedArms::All | OfferedArms::Affinities(_) => self.arms.len(),
            OfferedArms::Listed(listed) => listed.len(),
        }
    }

    /// Returns `true` if a row could have shown this arm.
    pub fn offers(&self, row: &LoggedRow, arm: usize) -> bool {
        match &row.offered {
            OfferedArms::All | OfferedArms::Affinities(_) => arm < self.arms.len(),
            OfferedArms::Listed(listed) => listed.iter().any(|(other, _)| *other == arm),
        }
    }

    /// The request of a row to a slot that has the log's arms. It asks for one arm and for an explanation.
    pub fn request(&self, row: &LoggedRow, slot: &SlotId) -> Request {
        let candidate = |arm: usize, features: Features| RequestCandidate { arm: self.arms[arm].id.clone(), features };
        let affinity = |value: f64| Features::from([(AFFINITY.to_owned(), Value::Number(value))]);
        let candidates = match &row.offered {
            OfferedArms::All => Vec::new(),
            OfferedArms::Listed(listed) => listed.iter().map(|(arm, own)| candidate(*arm, own.clone())).collect(),
            OfferedArms::Affinities(known) => {
                let mut all = vec![0.0; self.arms.len()];
                for &(arm, value) in known {
                    all[arm] = value;
                }
                all.into_iter().enumerate().map(|(arm, value)| candidate(arm, affinity(value))).collect()
            }
        };
        Request {
            subject: row.subject.clone(),
            context: (*row.context).clone(),
            candidates,
            count: 1,
            explain: true,
            ..Request::new(slot.clone())
        }
    }

    /// The largest reward of a row, or 1 (as for a click) if no reward is above 0.
    pub fn largest(&self) -> f64 {
        let largest = self.rows.iter().map(|row| row.reward).fold(0.0, f64::max);
        if largest > 0.0 { largest } else { 1.0 }
    }

    /// The amount by which every other reward exceeds the default reward. It is `None` if rewards differ or one is
    /// below the default reward.
    pub fn unit(&self) -> Option<f64> {
        let mut sizes = self.rows.iter().map(|row| row.reward - self.default_reward).filter(|size| *size != 0.0);
        let first = sizes.next().filter(|size| *size > 0.0)?;
        sizes.all(|size| size.to_bits() == first.to_bits()).then_some(first)
    }
}

/// Returns `true` if one more row may be added to at most `most`. If only the earliest `wanted` rows are needed, later
/// ones are dropped from time to time, so there is always room. Rows of the same time keep their order.
fn has_room<T>(rows: &mut Vec<T>, wanted: Option<usize>, most: usize, at_us: impl Fn(&T) -> i64) -> bool {
    /// Number of rows beyond twice `wanted` that are read before any is dropped.
    const SPARE: usize = 1_024;
    let Some(wanted) = wanted.filter(|wanted| *wanted <= most) else { return rows.len() < most };
    if rows.len() >= 2 * wanted + SPARE {
        keep_earliest(rows, wanted, at_us);
    }
    true
}

/// Keeps the earliest `wanted` rows, in order of time.
fn keep_earliest<T>(rows: &mut Vec<T>, wanted: usize, at_us: impl Fn(&T) -> i64) {
    rows.sort_by_key(at_us);
    rows.truncate(wanted);
}

/// The name of a file without its folder.
fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with sorting everything at the end. Times repeat, so that their order in the file matters.
    #[test]
    fn the_earliest_rows_are_the_same_however_many_there_are() {
        let all: Vec<(i64, i64)> = (0..9_000).map(|i| ((i * 7_919) % 1_000, i)).collect();
        let (mut rows, mut largest) = (Vec::new(), 0);
        for row in &all {
            assert!(has_room(&mut rows, Some(40), 50, |row: &(i64, i64)| row.0), "more than 50 are read");
            rows.push(*row);
            largest = largest.max(rows.len());
        }
        keep_earliest(&mut rows, 40, |row| row.0);
        let mut want = all.clone();
        want.sort_by_key(|row| row.0);
        assert_eq!(rows, want[..40]);
        assert!(largest < 2_000, "{largest} were held at once");
        // Every row is needed, or more than are allowed: the 51st is one too many.
        for wanted in [None, Some(51)] {
            let mut rows = vec![0; 49];
            assert!(has_room(&mut rows, wanted, 50, |at| *at));
            rows.push(0);
            assert!(!has_room(&mut rows, wanted, 50, |at| *at));
        }
    }
}
