//! Decisions that were logged elsewhere: what was shown to whom, with which probability, and what it earned.
//!
//! * [`Form`]: which files there are, and which of them one is.
//! * [`Log`]: the decisions in order of time.
//! * [`journal`]: the rows that `slotwise journal export` writes, as JSON lines or as CSV.
//! * [`open_bandit`]: the Open Bandit Dataset's format.
//! * [`error`]: why a file cannot be used.
//! * `dsjson`: the logs of Vowpal Wabbit and Azure Personalizer.
//! * `plain`: the least that a log needs, as CSV.
//! * `gather`: from rows to a [`Log`].
//! * `source`, `table`, `time`: packed or not, CSV with places, and times as programs write them.
//!
//! Invariants: rows are in order of time, and as they stood in the file where that is the same; every propensity of a
//! row lies in (0, 1], every number is finite, and the arm that was shown is among those on offer. What cannot be
//! evaluated is left out and counted in [`LeftOut`], never dropped in silence.
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
pub use form::Form;

/// Rows at most: of more than a million decisions a slot forgets the oldest before their window is over.
pub const ROWS_MAX: usize = crate::dataset::ROWS_MAX;

/// Rows times arms at most: so many numbers, and what each row could choose from, are kept.
pub const CELLS_MAX: usize = 100_000_000;

/// The name of the feature that a user-item affinity of the Open Bandit Dataset becomes.
pub const AFFINITY: &str = "affinity";

/// Which rows of a file are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Of a journal: this slot's. None: the only one's.
    pub slot: Option<String>,
    /// Of the Open Bandit Dataset: those at this position. None: all.
    pub position: Option<u32>,
    /// Of a journal: only those whose window had closed.
    pub complete: bool,
    /// Of the Open Bandit Dataset: what its items are.
    pub items: Option<std::path::PathBuf>,
    /// The first so many, in order of time. None: all.
    pub rows: Option<usize>,
}

/// What an arm of a log is.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedArm {
    /// Its id.
    pub id: ArmId,
    /// Its attributes, as far as the log has them.
    pub attributes: Features,
}

/// What a decision could choose from; arms by their place in the log's list.
#[derive(Debug, Clone, PartialEq)]
pub enum Offered {
    /// Every arm of the log.
    All,
    /// These, with what the request said of each, in its order.
    Listed(Vec<(usize, Features)>),
    /// Every arm of the log, each with its affinity to the user; those that are not named have none, 0.
    Affinities(Vec<(usize, f64)>),
}

/// A decision that was logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When it was made, microseconds since 1970.
    pub at_us: i64,
    /// Whom it was for.
    pub subject: Subject,
    /// The features of the request; rows that have the same share them.
    pub context: Arc<Features>,
    /// What could be chosen.
    pub offered: Offered,
    /// What was shown, by its place in the log's list.
    pub arm: usize,
    /// The probability with which it was drawn, in (0, 1].
    pub propensity: f64,
    /// What it earned.
    pub reward: f64,
    /// When that was known, not before the decision; none: nothing was ever heard, and the reward is that of silence.
    pub told_us: Option<i64>,
    /// Where it stood, from 1.
    pub position: u32,
}

/// How many rows were left out, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeftOut {
    /// Of another slot, or at another position than was asked for.
    pub not_asked_for: u64,
    /// The baseline's, for subjects in the holdout.
    pub holdout: u64,
    /// Repetitions of an earlier decision for the same subject: nothing was drawn.
    pub sticky: u64,
    /// Made by no model, or of nothing.
    pub fallback: u64,
    /// The slot was reset or deleted before anything was counted.
    pub uncounted: u64,
    /// Their window had not closed.
    pub incomplete: u64,
    /// Given again under a decision id that came before: each decision counts once.
    #[serde(default)]
    pub repeated: u64,
    /// Logged with a propensity of 0: what cannot happen cannot be weighed.
    pub zero_propensity: u64,
}

/// Decisions that were logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The file's name.
    pub name: String,
    /// What kind of file it is.
    pub form: Form,
    /// Everything that could be shown.
    pub arms: Vec<LoggedArm>,
    /// In order of time; at least one.
    pub rows: Vec<Row>,
    /// What was left out.
    pub left_out: LeftOut,
    /// Rows whose window had not closed, and that are here all the same.
    pub incomplete: u64,
    /// Rows that showed more than one arm; only the first position is here.
    pub slates: u64,
    /// The reward of silence.
    pub silent: f64,
}

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    ///
    /// See [`LogError`]; a classification set is none.
    pub fn read(path: &Path, form: Form, wanted: &Wanted) -> Result<Self, LogError> {
        let mut log = match form {
            Form::Journal => journal::read(path, wanted)?,
            Form::OpenBandit => open_bandit::read(path, wanted)?,
            Form::Dsjson => dsjson::read(path, wanted)?,
            Form::Csv => plain::read(path, wanted)?,
            Form::Classification => return Err(LogError::Form(path.to_owned())),
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

    /// How many arms a row could choose from.
    pub fn offered(&self, row: &Row) -> usize {
        match &row.offered {
            Offered::All | Offered::Affinities(_) => self.arms.len(),
            Offered::Listed(listed) => listed.len(),
        }
    }

    /// Whether a row could have shown this arm.
    pub fn offers(&self, row: &Row, arm: usize) -> bool {
        match &row.offered {
            Offered::All | Offered::Affinities(_) => arm < self.arms.len(),
            Offered::Listed(listed) => listed.iter().any(|(other, _)| *other == arm),
        }
    }

    /// The request of a row, to a slot that has the log's arms: for one arm, explained.
    pub fn request(&self, row: &Row, slot: &SlotId) -> Request {
        let candidate = |arm: usize, features: Features| RequestCandidate { arm: self.arms[arm].id.clone(), features };
        let affinity = |value: f64| Features::from([(AFFINITY.to_owned(), Value::Number(value))]);
        let candidates = match &row.offered {
            Offered::All => Vec::new(),
            Offered::Listed(listed) => listed.iter().map(|(arm, own)| candidate(*arm, own.clone())).collect(),
            Offered::Affinities(known) => {
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

    /// The largest reward that a row has; where none is above 0, 1, as that of a click.
    pub fn largest(&self) -> f64 {
        let largest = self.rows.iter().map(|row| row.reward).fold(0.0, f64::max);
        if largest > 0.0 { largest } else { 1.0 }
    }

    /// The one size that every reward has that is not silence's, less that; none: they differ, or one lies below it.
    pub fn unit(&self) -> Option<f64> {
        let mut sizes = self.rows.iter().map(|row| row.reward - self.silent).filter(|size| *size != 0.0);
        let first = sizes.next().filter(|size| *size > 0.0)?;
        sizes.all(|size| size.to_bits() == first.to_bits()).then_some(first)
    }
}

/// Whether there is room for one more row, of `most` at most. Where only the earliest so many are wanted there always is: later
/// ones go, now and then, and those of one time stay in their order.
fn room<T>(rows: &mut Vec<T>, wanted: Option<usize>, most: usize, at_us: impl Fn(&T) -> i64) -> bool {
    /// Rows beyond twice those wanted that are read before any go.
    const SPARE: usize = 1_024;
    let Some(wanted) = wanted.filter(|wanted| *wanted <= most) else { return rows.len() < most };
    if rows.len() >= 2 * wanted + SPARE {
        earliest(rows, wanted, at_us);
    }
    true
}

/// Leaves the earliest so many rows, in order of time.
fn earliest<T>(rows: &mut Vec<T>, wanted: usize, at_us: impl Fn(&T) -> i64) {
    rows.sort_by_key(at_us);
    rows.truncate(wanted);
}

/// The name of a file, without its folder.
fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against sorting everything at the end. Times repeat, so that their order in the file matters.
    #[test]
    fn the_earliest_rows_are_the_same_however_many_there_are() {
        let all: Vec<(i64, i64)> = (0..9_000).map(|i| ((i * 7_919) % 1_000, i)).collect();
        let (mut rows, mut largest) = (Vec::new(), 0);
        for row in &all {
            assert!(room(&mut rows, Some(40), 50, |row: &(i64, i64)| row.0), "more than 50 are read");
            rows.push(*row);
            largest = largest.max(rows.len());
        }
        earliest(&mut rows, 40, |row| row.0);
        let mut want = all.clone();
        want.sort_by_key(|row| row.0);
        assert_eq!(rows, want[..40]);
        assert!(largest < 2_000, "{largest} were held at once");
        // All wanted, or more than are allowed: the 51st is one too many.
        for wanted in [None, Some(51)] {
            let mut rows = vec![0; 49];
            assert!(room(&mut rows, wanted, 50, |at| *at));
            rows.push(0);
            assert!(!room(&mut rows, wanted, 50, |at| *at));
        }
    }
}
