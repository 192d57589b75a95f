//! Finished decisions: their window is over, but their rewards may still be reversed.
//!
//! Goods come back weeks after they were bought, long after the goal's window. A decision that was rewarded therefore
//! moves from the queue of pending decisions to a second one, encoded as it was, and stays there for the goal's
//! reversal window. A decision that nobody rewarded leaves nothing to reverse and is forgotten. Most are of this kind.
//!
//! Both queues are bounded; the oldest decisions leave first.

use super::{
    closed::Told,
    packed,
    pending::{Pending, PendingDecision, Room},
    state::SlotState,
};
use crate::slot::limits::{FINISHED_BYTES_MAX, FINISHED_MAX, PENDING_BYTES_MAX, PENDING_MAX};

/// Limits on a slot's pending decisions.
pub(super) const PENDING_ROOM: Room = Room { decisions: PENDING_MAX, bytes: PENDING_BYTES_MAX };

/// Limits on a slot's finished decisions.
pub(super) const FINISHED_ROOM: Room = Room { decisions: FINISHED_MAX, bytes: FINISHED_BYTES_MAX };

/// Largest number of decisions that one event drops, so that no event takes long.
const AT_ONCE_MAX: usize = 64;

/// Queue that a decision stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// The decision waits for rewards.
    Pending,
    /// The rewards of the decision may only be reversed.
    Finished,
}

/// Place of a decision: its queue, and its ordinal there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) queue: Queue,
    pub(super) ordinal: u64,
}

impl Place {
    pub(super) fn pending(ordinal: u64) -> Self {
        Self { queue: Queue::Pending, ordinal }
    }

    fn finished(ordinal: u64) -> Self {
        Self { queue: Queue::Finished, ordinal }
    }
}

impl SlotState {
    /// Searches the pending decisions, then the finished ones.
    pub(super) fn look_up(&self, find: impl Fn(&Pending) -> Option<u64>) -> Option<Place> {
        find(&self.pending).map(Place::pending).or_else(|| find(&self.finished).map(Place::finished))
    }

    /// Returns the decision at a place.
    pub(super) fn decision(&self, place: Place) -> Option<PendingDecision> {
        match place.queue {
            Queue::Pending => self.pending.get(place.ordinal),
            Queue::Finished => self.finished.get(place.ordinal),
        }
    }

    /// Replaces a decision with its changed form.
    pub(super) fn put_decision(&mut self, place: Place, decision: &PendingDecision) {
        match place.queue {
            Queue::Pending => self.pending.put(place.ordinal, decision),
            Queue::Finished => self.finished.put(place.ordinal, decision),
        }
    }

    /// Takes in a decision that left the pending ones. It is kept if it was rewarded and its rewards may still be
    /// reversed; otherwise its outcome is reported.
    pub(super) fn finish(&mut self, at_us: i64, packed: &[u8], told: Option<&mut Told<'_>>) {
        let since_us = at_us.saturating_sub(self.definition.goal.reversal_window_us());
        let keeps = packed::events(packed) > 0
            && packed::at_us(packed) >= since_us
            && packed::unpack(packed).shown.iter().any(|shown| !shown.counted.is_empty());
        if !(keeps && self.finished.restore(packed)) {
            self.tell(at_us, packed, told);
        }
    }

    /// Drops the finished decisions whose reversal window is over, and the oldest ones if there are too many.
    pub(super) fn close_finished(&mut self, at_us: i64, mut told: Option<&mut Told<'_>>) {
        let horizon_us = at_us.saturating_sub(self.definition.goal.reversal_window_us());
        for _ in 0..AT_ONCE_MAX {
            if self.finished.next_expired(horizon_us, FINISHED_ROOM).is_none() {
                return;
            }
            if let Some(packed) = self.finished.drop_oldest(horizon_us) {
                self.forgotten.finished_decisions += u64::from(packed::at_us(&packed) >= horizon_us);
                self.tell(at_us, &packed, told.as_deref_mut());
            }
        }
    }
}
