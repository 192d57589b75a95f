//! A slot's two queues of decisions: pending ones, and finished ones.
//!
//! The window of a finished decision is over, but its rewards may still be reversed. Goods come back weeks after they
//! were bought, long after the goal's window. A decision that was rewarded therefore moves from the pending decisions to
//! the finished ones, encoded as it was, and stays there for the goal's reversal window. A decision that nobody rewarded
//! leaves nothing to reverse and is forgotten. Most are of this kind.
//!
//! Both queues are bounded; the oldest decisions leave first.

use serde::{Deserialize, Serialize};

use super::{DecisionQueue, EncodedDecision, PendingDecision, QueueLimits};
use crate::slot::limits::{FINISHED_BYTES_MAX, FINISHED_MAX, PENDING_BYTES_MAX, PENDING_MAX};

/// Limits on a slot's pending decisions.
pub(in crate::engine) const PENDING_LIMITS: QueueLimits =
    QueueLimits { decisions: PENDING_MAX, bytes: PENDING_BYTES_MAX };

/// Limits on a slot's finished decisions.
const FINISHED_LIMITS: QueueLimits = QueueLimits { decisions: FINISHED_MAX, bytes: FINISHED_BYTES_MAX };

/// Queue that a decision stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum QueueKind {
    /// The decision waits for rewards.
    Pending,
    /// The rewards of the decision may only be reversed.
    Finished,
}

/// Place of a decision: its queue, and its ordinal there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct DecisionPlace {
    pub(in crate::engine) queue: QueueKind,
    pub(in crate::engine) ordinal: u64,
}

impl DecisionPlace {
    pub(in crate::engine) fn pending(ordinal: u64) -> Self {
        Self { queue: QueueKind::Pending, ordinal }
    }

    fn finished(ordinal: u64) -> Self {
        Self { queue: QueueKind::Finished, ordinal }
    }
}

/// Pending and finished decisions of a slot. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(in crate::engine) struct DecisionQueues {
    pub(in crate::engine) pending: DecisionQueue,
    pub(in crate::engine) finished: DecisionQueue,
}

impl DecisionQueues {
    /// Searches the pending decisions, then the finished ones.
    pub(in crate::engine) fn find(&self, search: impl Fn(&DecisionQueue) -> Option<u64>) -> Option<DecisionPlace> {
        search(&self.pending)
            .map(DecisionPlace::pending)
            .or_else(|| search(&self.finished).map(DecisionPlace::finished))
    }

    /// Returns the decision at a place.
    pub(in crate::engine) fn get(&self, place: DecisionPlace) -> Option<PendingDecision> {
        match place.queue {
            QueueKind::Pending => self.pending.get(place.ordinal),
            QueueKind::Finished => self.finished.get(place.ordinal),
        }
    }

    /// Replaces a decision with its changed form.
    pub(in crate::engine) fn put(&mut self, place: DecisionPlace, decision: &PendingDecision) {
        match place.queue {
            QueueKind::Pending => self.pending.put(place.ordinal, decision),
            QueueKind::Finished => self.finished.put(place.ordinal, decision),
        }
    }

    /// Returns the oldest pending decision if it was made before `horizon_us`, or if there are too many.
    pub(in crate::engine) fn next_expired(&self, horizon_us: i64) -> Option<u64> {
        self.pending.next_expired(horizon_us, PENDING_LIMITS)
    }

    /// Returns the oldest finished decision if it was made before `horizon_us`, or if there are too many.
    pub(in crate::engine) fn next_expired_finished(&self, horizon_us: i64) -> Option<u64> {
        self.finished.next_expired(horizon_us, FINISHED_LIMITS)
    }

    /// Takes in a decision that left the pending ones. Returns `true` if it is kept: it was rewarded, and was not made
    /// before `since_us`, so that its rewards may still be reversed.
    pub(in crate::engine) fn finish(&mut self, decision: &EncodedDecision, since_us: i64) -> bool {
        let keeps = decision.event_count() > 0
            && decision.at_us() >= since_us
            && decision.decode().shown.iter().any(|shown| !shown.counted.is_empty());
        keeps && self.finished.restore(decision.as_bytes())
    }

    /// Decisions whose rewards may still change, oldest first.
    pub(in crate::engine) fn decisions(&self) -> impl Iterator<Item = PendingDecision> {
        self.finished.decisions().chain(self.pending.decisions())
    }

    /// Returns a copy without indices for a snapshot. It is cheap for any number of decisions.
    pub(in crate::engine) fn without_indices(&self) -> Self {
        Self { pending: self.pending.without_indices(), finished: self.finished.without_indices() }
    }
}
