//! Progress of pending decisions through the ages of silence.

use serde::{Deserialize, Serialize};

use super::{DecisionQueue, EncodedDecision};
use crate::{engine::chunked_queue::ChunkedQueue, stats::mixed};

/// Number of strata of the decisions. The silence of a stratum is learned at an age of its own.
pub(in crate::engine) const STRATA: usize = 8;
/// Number of ages at which decisions are counted for the rate of rewards.
pub(in crate::engine) const AGES: usize = 4;

/// First decisions that have not reached an age of silence yet, by ordinal. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct SilenceCursors {
    /// First decision of each stratum whose silence may not have been learned.
    learned: [u64; STRATA],
    /// First decision that has not reached each of the ages at which decisions are counted.
    counted: [u64; AGES],
    /// First decision that has not reached the age at which silence is certain.
    certain: u64,
}

impl DecisionQueue {
    /// Returns the next decision of the stratum made before `before_us` whose silence may not have been learned yet, and
    /// counts it as learned.
    pub(in crate::engine) fn next_silent(&mut self, stratum: usize, before_us: i64) -> Option<u64> {
        let cursor = &mut self.silence.learned[stratum];
        *cursor = (*cursor).max(self.queue.first());
        while self.queue.get(*cursor)?.at_us() < before_us {
            *cursor += 1;
            if stratum_of(*cursor - 1) == stratum {
                return Some(*cursor - 1);
            }
        }
        None
    }

    /// Returns `true` if the time to learn a decision's silence has passed.
    pub(in crate::engine) fn is_past_silence(&self, ordinal: u64) -> bool {
        self.silence.learned[stratum_of(ordinal)] > ordinal
    }

    /// Returns the next decision made before `before_us`, the time for silence that is certain, and moves on.
    pub(in crate::engine) fn next_certain(&mut self, before_us: i64) -> Option<u64> {
        next(&mut self.silence.certain, &self.queue, before_us)
    }

    /// Returns whether there is another decision made before `before_us`, the time for one of the ages at which decisions are
    /// counted, and moves on.
    pub(in crate::engine) fn next_counted(&mut self, age: usize, before_us: i64) -> bool {
        next(&mut self.silence.counted[age], &self.queue, before_us).is_some()
    }
}

/// Returns the decision at the cursor if it was made before `before_us`, and moves the cursor on.
fn next(cursor: &mut u64, queue: &ChunkedQueue<EncodedDecision>, before_us: i64) -> Option<u64> {
    *cursor = (*cursor).max(queue.first());
    (queue.get(*cursor)?.at_us() < before_us).then(|| {
        *cursor += 1;
        *cursor - 1
    })
}

/// Returns the stratum of a decision. Neighbours are spread over all strata without a pattern.
fn stratum_of(ordinal: u64) -> usize {
    usize::try_from(mixed(ordinal, 0) % STRATA as u64).unwrap_or(0)
}
