//! Answers to reward events.

use std::sync::Arc;

use super::{ids::DecisionId, reward::RewardOutcome};
use crate::slot::{ArmId, Definition};

/// Answer to a reward event.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardAnswer {
    /// Status of the event.
    pub outcome: RewardOutcome,
    /// Remark for the reporter, if there is one.
    pub note: Option<Box<RewardNote>>,
}

impl RewardAnswer {
    /// Creates an answer without a remark.
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
    /// The event's kind is not part of the slot's goal, so the event changed no reward.
    OtherKind {
        /// The kind.
        kind: String,
        /// Definition of the slot, which names the goal's kinds.
        definition: Arc<Definition>,
    },
    /// The event's id was used before, for a different event.
    Other(FirstEvent),
    /// The event came too late, or reports something that happened too late.
    Late(Lateness),
}

/// First event of an id, as far as it is remembered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FirstEvent {
    /// Decision that the event was counted for.
    pub decision: Option<DecisionId>,
    /// Kind of the event.
    pub kind: Option<String>,
    /// Value of the event.
    pub value: Option<f64>,
    /// Arm of the event.
    pub arm: Option<ArmId>,
    /// `true` if the event reversed another one.
    pub reversal: bool,
    /// Time of arrival, microseconds since 1970.
    pub came_us: Option<i64>,
}

/// Times of a late event, microseconds since 1970, and the limits that it exceeds, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lateness {
    /// Time of its decision, if known.
    pub decided_us: Option<i64>,
    /// Time at which it happened, by the reporter's clock.
    pub happened_us: i64,
    /// Time of arrival.
    pub came_us: i64,
    /// Reward window: time after a decision within which events count.
    pub window_us: i64,
    /// Grace period: additional time for a report of such an event.
    pub grace_period_us: i64,
    /// Reversal window: time after a decision within which its rewards may be reversed. `None` unless the event would
    /// reverse something.
    pub reversal_window_us: Option<i64>,
}
