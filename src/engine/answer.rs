//! Answers to reward events.

use std::sync::Arc;

use super::ids::DecisionId;
use crate::slot::{ArmId, Definition};

/// Status of a reward event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventStatus {
    /// The event was counted, as a kind of the goal or as another kind, or it reversed another event.
    Accepted,
    /// The event's id was accepted before.
    Duplicate,
    /// The event's decision is older than the window.
    Late,
    /// No known decision matches the event.
    Unmatched(UnmatchedReason),
    /// The event cannot be counted as it is.
    Rejected(Rejection),
    /// The event was accepted, and another event reversed it since.
    Reversed,
}

/// Reason why an event matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnmatchedReason {
    /// The slot does not exist.
    Slot,
    /// No decision has this id.
    Decision,
    /// The decision belongs to another slot.
    OtherSlot,
    /// The decision did not show that arm.
    Arm,
    /// No decision within the window showed that arm to that subject.
    Subject,
    /// The event to reverse is not known.
    Reversed,
}

/// Reason why an event cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The decision shows several arms, and the event names none.
    ArmNeeded,
    /// The kind uses the value, and the event has none.
    ValueNeeded,
    /// The event reverses a reversal.
    ReversalOfReversal,
    /// The event reverses an event that was reversed before.
    AlreadyReversed,
    /// The decision has as many events as it may have.
    TooManyEvents,
}

/// Answer to a reward event.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardAnswer {
    /// Status of the event.
    pub status: EventStatus,
    /// Remark for the reporter, if there is one.
    pub note: Option<Box<RewardNote>>,
}

impl RewardAnswer {
    /// Creates an answer without a remark.
    pub fn new(status: EventStatus) -> Self {
        Self { status, note: None }
    }

    pub(super) fn with_note(status: EventStatus, note: RewardNote) -> Self {
        Self { status, note: Some(Box::new(note)) }
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
    DifferentEvent(FirstEvent),
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
