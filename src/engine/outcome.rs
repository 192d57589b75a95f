//! Outcome of a decision, reported when the decision no longer waits for rewards.
//!
//! A decision leaves when its window and the grace period are over, or, if it was rewarded, when its reversal window
//! is. It also leaves when too many wait, or with its slot (when that is reset, deleted or created again). The observer
//! that is passed to [`SlotShard::apply`](super::SlotShard::apply) gets each decision as it leaves.
//!
//! Deliberately not here: content of the decision and its events. The journal has both; an event is named by the key of
//! its id.

use super::{
    answer::EventStatus,
    ids::{DecisionId, Hash128},
};
use crate::slot::SlotId;

/// Observer of decisions that no longer wait for rewards.
pub type OutcomeObserver<'a> = dyn FnMut(DecisionOutcome) + 'a;

/// Observer of the decisions that leave any slot. It also gets the slot's id.
pub(super) type SlotOutcomeObserver<'a> = dyn FnMut(&SlotId, DecisionOutcome) + 'a;

/// Outcome of a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionOutcome {
    /// The decision.
    pub id: DecisionId,
    /// Reward that the slot counted for each arm shown, in order, or `None` if the slot was reset or deleted before the
    /// decision was applied, and so counted nothing of it.
    pub rewards: Option<Vec<f64>>,
    /// Key and status of each event that was accepted for the decision, in order.
    pub events: Vec<(Hash128, EventStatus)>,
    /// `true` if the window and the grace period were over. No reward could come any more, although rewards may be
    /// reversed for the reversal window.
    pub complete: bool,
}

impl DecisionOutcome {
    /// Outcome of a decision of which its slot counted nothing.
    pub(super) fn uncounted(id: DecisionId) -> Self {
        Self { id, rewards: None, events: Vec::new(), complete: false }
    }

    /// Outcome of a decision that showed nothing, and so waits for nothing.
    pub(super) fn empty(id: DecisionId) -> Self {
        Self { id, rewards: Some(Vec::new()), events: Vec::new(), complete: true }
    }
}
