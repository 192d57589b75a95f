//! Overload: what the node does as load passes what it can write. This is the one place that says so.
//!
//! Everything that must reach the journal waits in one [`Queue`](super::queue::Queue), in two classes:
//!
//! * **Decisions** are answered first and written later. They wait in one lane per slot.
//! * **Rewards and changes** are answered once they are durable. They have their own way past waiting decisions: the
//!   writer takes them first in every commit. A reward waits for decisions only where it must come after them: the
//!   decision that it names and those of the same slot before it, or, without a decision id, those of its slot up to
//!   the last one of its subject. Those are written ahead of all other decisions. Where rewards of several slots wait
//!   for decisions, the slots divide the batch by max-min fairness: a slot that needs few decisions gets all of them.
//!
//! What waits is bounded, never by the number of calls:
//!
//! | what waits | bounded by | beyond it |
//! | --- | --- | --- |
//! | decisions | one second of the measured commit rate ([`WAITING`]), [`DECISIONS_MAX`], [`DECISION_BYTES_MAX`], and [`WAIT_MAX`] since the oldest was answered | `Decide` and `BatchDecide` get `RESOURCE_EXHAUSTED` with `RetryInfo`, and nothing is decided |
//! | decisions while the disk is full | [`DECISIONS_MAX`], [`DECISION_BYTES_MAX`] | the oldest are dropped and counted as unrecorded |
//! | reward events | [`EVENTS_MAX`], [`EVENT_BYTES_MAX`] | `RecordRewards` gets `RESOURCE_EXHAUSTED` with `RetryInfo` |
//! | changes and looks into the past | [`CHANGES_MAX`] | `RESOURCE_EXHAUSTED` with `RetryInfo` |
//!
//! So new decisions are refused first, rewards only when rewards alone are more than can be written, changes last.
//! The rate is measured on commits that more waited for than they could take; until the first of them it is assumed.
//! Never refused: repetitions of a request whose decision is remembered, reads, health and metrics. A crash loses at
//! most the decisions that wait: those of the last [`WAIT_MAX`].
//!
//! After a full disk has room again, rewards and changes are written first, for [`GRACE_AFTER_FULL`] alone. Then the
//! decisions that wait follow in small portions that begin at [`PORTION_MIN`] and double, and only as long as
//! [`RESERVE_BYTES`] stay free for rewards and changes.

use std::time::Duration;

use crate::{
    bandit::{Features, Value},
    engine::DecisionRecord,
};

/// Decisions may wait for as long as the writer needs to write this much of them, by its measured rate.
pub(super) const WAITING: Duration = Duration::from_secs(1);
/// Age of the oldest waiting decision beyond which no more are taken, whatever the measured rate says.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(2);
/// Number of decisions that may wait at any measured rate: a batch must fit.
pub(super) const DECISIONS_MIN: usize = 128;
/// Number of decisions that may wait in all: ten seconds of full load while the disk is full.
pub(super) const DECISIONS_MAX: usize = 65_536;
/// Bytes that waiting decisions may take.
pub(super) const DECISION_BYTES_MAX: usize = 96 * 1024 * 1024;
/// Reward events that may wait.
pub(super) const EVENTS_MAX: usize = 65_536;
/// Bytes that waiting reward events may take.
pub(super) const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Changes, drafts and looks into the past that may wait.
pub(super) const CHANGES_MAX: usize = 1_024;
/// Decisions per second that are assumed until the first busy commit was measured.
const RATE_ASSUMED: f64 = 1_024.0;
/// Events of one commit at least: a disk whose sync is slow must not make commits ever smaller.
pub(super) const PORTION_MIN: usize = 32;
/// Events of one commit at most.
pub(super) const PORTION_MAX: usize = 4_096;
/// Duration of a commit: a reward may have to wait for the one before it and its own.
const PORTION_SECONDS: f64 = 0.1;
/// Time after a full disk has free space again in which only rewards, changes and decisions that a reward needs are written:
/// callers that were refused come back within a second.
pub(super) const GRACE_AFTER_FULL: Duration = Duration::from_secs(2);
/// Free bytes of the disk that only rewards and changes may use after the disk was full.
pub(super) const RESERVE_BYTES: u64 = 8 * 1024 * 1024;
/// Seconds over which the measured rate forgets.
const MEMORY_SECONDS: f64 = 0.2;

/// The writer's measured speed, and the limits that follow from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriterPace {
    rate: f64,
}

impl Default for WriterPace {
    fn default() -> Self {
        Self { rate: RATE_ASSUMED }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number, then bounded")]
impl WriterPace {
    /// Takes in a commit of `events` that took `seconds`.
    pub(super) fn measure(&mut self, events: usize, seconds: f64) {
        let seconds = seconds.max(1e-6);
        let weight = seconds / (seconds + MEMORY_SECONDS);
        self.rate += weight * (events as f64 / seconds - self.rate);
    }

    /// Number of decisions that may wait.
    pub(super) fn decisions(self) -> usize {
        ((self.rate * WAITING.as_secs_f64()) as usize).clamp(DECISIONS_MIN, DECISIONS_MAX)
    }

    /// Number of events of one commit.
    pub(super) fn portion(self) -> usize {
        ((self.rate * PORTION_SECONDS) as usize).clamp(PORTION_MIN, PORTION_MAX)
    }
}

/// Decisions, events and changes that wait for the journal, and the limits at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct QueueLoad {
    /// Decisions that were answered and are not durable.
    pub decisions: usize,
    /// Bytes that these decisions take.
    pub decision_bytes: usize,
    /// Number of decisions that may wait, by the measured rate.
    pub decisions_max: usize,
    /// Seconds since the oldest of them was answered, or 0.
    pub oldest_seconds: f64,
    /// Reward events that wait.
    pub events: usize,
    /// Changes, drafts and looks into the past that wait.
    pub changes: usize,
}

/// Approximate bytes that a waiting decision takes in memory.
pub(super) fn decision_bytes(decided: &DecisionRecord) -> usize {
    let candidates: usize =
        decided.candidates.iter().map(|(arm, own)| 48 + arm.as_str().len() + features_bytes(own)).sum();
    let listed = 160 * (decided.chosen.len() + decided.shadow_slate.len())
        + 24 * decided.scored.len()
        + 8 * decided.excluded.len()
        + 12 * decided.matches.as_ref().map_or(0, Vec::len);
    let ids = decided.subject.id.len() + decided.subject.session_id.len() + 64 * decided.already_shown.len();
    // The struct itself, its place in the queue and in the indices.
    size_of::<DecisionRecord>() + 384 + features_bytes(&decided.context) + candidates + listed + ids
}

fn features_bytes(features: &Features) -> usize {
    let value_bytes = |value: &Value| match value {
        Value::Number(_) | Value::Flag(_) => 0,
        Value::Text(text) => text.len() + 16,
        Value::Texts(texts) => texts.iter().map(|text| text.len() + 40).sum(),
        Value::Vector(vector) => 4 * vector.len() + 16,
    };
    // A node of the tree holds a name and a value, and is two thirds full on average.
    features.iter().map(|(name, value)| 112 + name.len() + value_bytes(value)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_follow_the_measured_rate_within_their_bounds() {
        let mut pace = WriterPace::default();
        assert_eq!(pace.decisions(), 1_024);
        for _ in 0..200 {
            pace.measure(1_000, 0.1);
        }
        assert!((9_900..=10_000).contains(&pace.decisions()), "{}", pace.decisions());
        assert!((990..=1_000).contains(&pace.portion()), "{}", pace.portion());
        for _ in 0..200 {
            pace.measure(1, 1.0);
        }
        assert_eq!((pace.decisions(), pace.portion()), (DECISIONS_MIN, PORTION_MIN));
        for _ in 0..200 {
            pace.measure(4_096, 1e-3);
        }
        assert_eq!((pace.decisions(), pace.portion()), (DECISIONS_MAX, PORTION_MAX));
    }
}
