//! Answers to reward events: what became of each, and what its reporter should know about it.

use std::sync::Arc;

use super::{ids::DecisionId, reward::RewardOutcome};
use crate::slot::{ArmId, Definition};

/// Answer to a reward event.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardAnswer {
    /// What became of the event.
    pub outcome: RewardOutcome,
    /// What its reporter should know beside that, if anything.
    pub note: Option<Box<RewardNote>>,
}

impl RewardAnswer {
    /// An answer that the outcome says all of.
    pub fn new(outcome: RewardOutcome) -> Self {
        Self { outcome, note: None }
    }

    pub(super) fn with(outcome: RewardOutcome, note: RewardNote) -> Self {
        Self { outcome, note: Some(Box::new(note)) }
    }
}

/// Remark on a reward event.
#[derive(Debug, Clone, PartialEq)]
pub enum RewardNote {
    /// Its kind is not part of the slot's goal, so that it changed no reward.
    OtherKind {
        /// The kind.
        kind: String,
        /// The slot's definition, for its kinds.
        definition: Arc<Definition>,
    },
    /// Its id was used before, for something else.
    Other(FirstEvent),
    /// It came too late, or tells of what happened too late.
    Late(Lateness),
}

/// First event of an id, as far as it is remembered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FirstEvent {
    /// The decision that it was counted for.
    pub decision: Option<DecisionId>,
    /// Its kind.
    pub kind: Option<String>,
    /// Its value.
    pub value: Option<f64>,
    /// The arm that it was about.
    pub arm: Option<ArmId>,
    /// It took another event back.
    pub reversal: bool,
    /// When it came, microseconds since 1970.
    pub came_us: Option<i64>,
}

/// Times of an event that is late, microseconds since 1970, and the spans that they are held against, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lateness {
    /// When its decision was made, where that is known.
    pub decided_us: Option<i64>,
    /// When it happened, by its reporter's clock.
    pub happened_us: i64,
    /// When it came.
    pub came_us: i64,
    /// How long after a decision what happens counts.
    pub window_us: i64,
    /// How much later a report of that may come.
    pub grace_period_us: i64,
    /// How long after a decision its rewards may be taken back, where the event would take something back.
    pub reversal_window_us: Option<i64>,
}
