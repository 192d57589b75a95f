//! Reasons why a log cannot be used. Each is one line that names the file, the place in it, and what to do.

use std::{io, path::PathBuf};

use super::{CELLS_MAX, LeftOutCounts};
use crate::dataset::FilePlace;

/// Reason why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file cannot be opened or read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The contents of a file are wrong.
    #[error("{}, {place}: {why}", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// The place in the file.
        place: FilePlace,
        /// The problem there, and what to do.
        why: String,
    },
    /// The log holds the decisions of several slots.
    #[error("{} holds the decisions of {} slots: {}; choose one with --slot", file.display(), slots.len(), slots.join(", "))]
    Slots {
        /// The file.
        file: PathBuf,
        /// Ids of the slots.
        slots: Vec<String>,
    },
    /// The log holds no decision of the requested slot.
    #[error("{} holds no decision of the slot '{slot}'{suggestion}", file.display())]
    NoSlot {
        /// The file.
        file: PathBuf,
        /// The requested slot.
        slot: String,
        /// "; did you mean …?", or an empty text.
        suggestion: String,
    },
    /// The log has more cells than fit into memory.
    #[error("{}: {rows} decisions of {arms} arms each are more than {CELLS_MAX} in all; give fewer --rounds", file.display())]
    Size {
        /// The file.
        file: PathBuf,
        /// Number of requested decisions.
        rows: usize,
        /// Number of arms.
        arms: usize,
    },
    /// No row is left to evaluate.
    #[error("{} holds no decision that can be evaluated: {}", file.display(), why(left_out))]
    Empty {
        /// The file.
        file: PathBuf,
        /// Counts of the rows that were left out.
        left_out: Box<LeftOutCounts>,
    },
    /// The file has none of the known formats.
    #[error("{} {looks}; {accepted}; give --form if it is one of them", file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// The format that the file seems to have, and what to do.
        looks: String,
        /// The known formats.
        accepted: &'static str,
    },
    /// The file is a classification set.
    #[error("{} is no log of decisions; give --form journal or --form open-bandit if it is", .0.display())]
    Classification(PathBuf),
}

/// The reason why all rows were left out.
fn why(left_out: &LeftOutCounts) -> String {
    let reasons = left_out.reasons();
    if reasons.is_empty() { "there are no rows".to_owned() } else { format!("left out are {}", reasons.join(", ")) }
}

impl LeftOutCounts {
    /// Each reason for which rows were left out, with their number.
    pub fn reasons(&self) -> Vec<String> {
        let Self {
            not_asked_for,
            holdout,
            sticky,
            fallback,
            uncounted,
            incomplete,
            dangling,
            unconfirmed,
            without_outcome,
            repeated,
            zero_propensity,
        } = *self;
        [
            (not_asked_for, "not asked for"),
            (holdout, "of the holdout"),
            (sticky, "repeated for their subject"),
            (fallback, "made by no model"),
            (uncounted, "whose slot was reset or deleted before anything was counted"),
            (incomplete, "whose window had not closed"),
            (dangling, "rewards without their decision (dangling), so that nobody knows what they are for"),
            (unconfirmed, "deferred and never confirmed as shown"),
            (without_outcome, "lines that are no decision with an outcome"),
            (repeated, "given again under a decision id that came before; each decision counts once"),
            (zero_propensity, "logged with a propensity of 0"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} {why}"))
        .collect()
    }
}
