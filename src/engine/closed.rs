//! Outcome of a decision, reported when the decision no longer waits for rewards.
//!
//! A decision leaves when its window and the grace period are over, or, if it was rewarded, when its reversal window
//! is. It also leaves when too many wait, or with its slot (when that is reset, deleted or created again). The observer
//! that is passed to [`Slots::apply_and`](super::Slots::apply_and) gets each decision as it leaves.
//!
//! Deliberately not here: content of the decision and its events. The journal has both; an event is named by the key of
//! its id.

use super::{
    ids::{DecisionId, Key},
    packed,
    pending::{Accepted, PendingDecision},
    state::SlotState,
};
use crate::slot::SlotId;

/// Observer of decisions that no longer wait for rewards.
pub type Told<'a> = dyn FnMut(Closed) + 'a;

/// Observer of the decisions that leave any slot. It also gets the slot's id.
pub(super) type SlotListener<'a> = dyn FnMut(&SlotId, Closed) + 'a;

/// Outcome of a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// The decision.
    pub id: DecisionId,
    /// Reward that the slot counted for each arm shown, in order, or `None` if the slot was reset or deleted before the
    /// decision was applied, and so counted nothing of it.
    pub rewards: Option<Vec<f64>>,
    /// Key and status of each event that was accepted for the decision, in order.
    pub events: Vec<(Key, Fate)>,
    /// `true` if the window and the grace period were over. No reward could come any more, although rewards may be
    /// reversed for the reversal window.
    pub complete: bool,
}

/// Status of an accepted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The event stands.
    Stands,
    /// Another event reversed it.
    Reversed,
    /// The event reversed another one.
    Reversal,
}

impl Closed {
    /// Outcome of a decision of which its slot counted nothing.
    pub(super) fn uncounted(id: DecisionId) -> Self {
        Self { id, rewards: None, events: Vec::new(), complete: false }
    }

    /// Outcome of a decision that showed nothing, and so waits for nothing.
    pub(super) fn empty(id: DecisionId) -> Self {
        Self { id, rewards: Some(Vec::new()), events: Vec::new(), complete: true }
    }
}

impl SlotState {
    fn closed(&self, at_us: i64, decision: &PendingDecision) -> Closed {
        let fate = |what: Accepted| match what {
            Accepted::Event(_) => Fate::Stands,
            Accepted::Reversed => Fate::Reversed,
            Accepted::Reversal => Fate::Reversal,
        };
        Closed {
            id: decision.id,
            rewards: Some(decision.shown.iter().map(|shown| shown.reward).collect()),
            events: decision.events.iter().map(|known| (known.event, fate(known.what))).collect(),
            complete: at_us.saturating_sub(decision.at_us) > self.definition.goal.patience_us(),
        }
    }

    /// Reports the outcome of one encoded decision to the observer, if there is one.
    pub(super) fn tell(&self, at_us: i64, packed: &[u8], told: Option<&mut Told<'_>>) {
        if let Some(told) = told {
            told(self.closed(at_us, &packed::unpack(packed)));
        }
    }

    /// Reports all decisions that still wait to the observer, if there is one.
    pub(super) fn tell_open(&self, at_us: i64, told: Option<&mut Told<'_>>) {
        if let Some(told) = told {
            self.open_decisions(at_us).for_each(told);
        }
    }

    /// Decisions whose rewards may still change, oldest first, with their outcomes as of `at_us`, microseconds since
    /// 1970.
    pub fn open_decisions(&self, at_us: i64) -> impl Iterator<Item = Closed> {
        let all = self.finished.decisions().chain(self.pending.decisions());
        all.map(move |decision| self.closed(at_us, &decision))
    }
}
