//! What a decision came to, told when it no longer waits for rewards.
//!
//! A decision leaves when its window and the grace period are over, or, where it was rewarded, when its reversal window
//! is; when too many wait; or with its slot (reset, deleted or made anew).
//! Whoever folds a journal with [`Slots::apply_and`](super::Slots::apply_and) is told of each as it leaves.
//!
//! Deliberately not here: what the decision was, and what its events said. Those stand in the journal; an event is
//! named by the key of its id.

use super::{
    ids::{DecisionId, Key},
    packed,
    pending::{Accepted, PendingDecision},
    state::SlotState,
};
use crate::slot::SlotId;

/// Is told of decisions that no longer wait.
pub type Told<'a> = dyn FnMut(Closed) + 'a;

/// Receiver of the decisions that leave a slot, with the slot's id.
pub(super) type SlotListener<'a> = dyn FnMut(&SlotId, Closed) + 'a;

/// What a decision came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// The decision.
    pub id: DecisionId,
    /// For each arm that it showed, in order, the reward that its slot counted; none: the slot was reset or deleted
    /// before the decision came, and counted nothing of it.
    pub rewards: Option<Vec<f64>>,
    /// The events that were accepted for it, in order: the key of each id, and what became of it.
    pub events: Vec<(Key, Fate)>,
    /// Its window and the grace period were over: no reward could come any more, though what came may be taken back for
    /// the reversal window.
    pub complete: bool,
}

/// What became of an event that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stands.
    Stands,
    /// Another took it back.
    Reversed,
    /// It took another back.
    Reversal,
}

impl Closed {
    /// A decision that its slot counted nothing of.
    pub(super) fn uncounted(id: DecisionId) -> Self {
        Self { id, rewards: None, events: Vec::new(), complete: false }
    }

    /// A decision that showed nothing, and so waits for nothing.
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

    /// Tells of one decision that still waits, if anyone wants to know.
    pub(super) fn tell(&self, at_us: i64, packed: &[u8], told: Option<&mut Told<'_>>) {
        if let Some(told) = told {
            told(self.closed(at_us, &packed::unpack(packed)));
        }
    }

    /// Tells of all that still wait, if anyone wants to know.
    pub(super) fn tell_open(&self, at_us: i64, told: Option<&mut Told<'_>>) {
        if let Some(told) = told {
            self.open_decisions(at_us).for_each(told);
        }
    }

    /// The decisions whose rewards may still change, oldest first, with what they have come to at `at_us`, microseconds
    /// since 1970.
    pub fn open_decisions(&self, at_us: i64) -> impl Iterator<Item = Closed> {
        let all = self.finished.decisions().chain(self.pending.decisions());
        all.map(move |decision| self.closed(at_us, &decision))
    }
}
