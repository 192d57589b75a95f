//! Why a log cannot be used: always one line that names the file, the place in it, and what to do.

use std::{io, path::PathBuf};

use super::{CELLS_MAX, LeftOut};
use crate::dataset::FilePlace;

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file cannot be opened or read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What a file says is not what it should say.
    #[error("{}, {place}: {why}", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// Where in it.
        place: FilePlace,
        /// What is wrong there and what to do.
        why: String,
    },
    /// It holds the decisions of several slots.
    #[error("{} holds the decisions of {} slots: {}; choose one with --slot", file.display(), slots.len(), slots.join(", "))]
    Slots {
        /// The file.
        file: PathBuf,
        /// Their ids.
        slots: Vec<String>,
    },
    /// It holds no decision of the slot that was asked for.
    #[error("{} holds no decision of the slot '{slot}'{suggestion}", file.display())]
    NoSlot {
        /// The file.
        file: PathBuf,
        /// The slot.
        slot: String,
        /// "; did you mean …?", or nothing.
        suggestion: String,
    },
    /// It is more than is held in memory.
    #[error("{}: {rows} decisions of {arms} arms each are more than {CELLS_MAX} in all; give fewer --rounds", file.display())]
    Size {
        /// The file.
        file: PathBuf,
        /// Decisions that were asked for.
        rows: usize,
        /// Arms.
        arms: usize,
    },
    /// No row is left to evaluate.
    #[error("{} holds no decision that can be evaluated: {}", file.display(), why(left_out))]
    Empty {
        /// The file.
        file: PathBuf,
        /// What was left out of it.
        left_out: Box<LeftOut>,
    },
    /// It has none of the forms that are read.
    #[error("{} {looks}; {accepted}; give --form if it is one of them", file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// What it looks like, and what to do.
        looks: String,
        /// What is read.
        accepted: &'static str,
    },
    /// It is a classification set.
    #[error("{} is no log of decisions; give --form journal or --form open-bandit if it is", .0.display())]
    Form(PathBuf),
}

/// Why all rows were left out.
fn why(left_out: &LeftOut) -> String {
    let told = left_out.told();
    if told.is_empty() { "there are no rows".to_owned() } else { format!("left out are {}", told.join(", ")) }
}

impl LeftOut {
    /// Each reason for which rows were left out, with their number.
    pub fn told(&self) -> Vec<String> {
        let Self { not_asked_for, holdout, sticky, fallback, uncounted, incomplete, repeated, zero_propensity } = *self;
        [
            (not_asked_for, "not asked for"),
            (holdout, "of the holdout"),
            (sticky, "repeated for their subject"),
            (fallback, "made by no model"),
            (uncounted, "whose slot was reset or deleted before anything was counted"),
            (incomplete, "whose window had not closed"),
            (repeated, "given again under a decision id that came before; each decision counts once"),
            (zero_propensity, "logged with a propensity of 0"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} {why}"))
        .collect()
    }
}
