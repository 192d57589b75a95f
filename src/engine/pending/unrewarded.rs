//! Short path for a decision that showed one arm and has no events. Most decisions are of this kind when they are
//! learned, and when they leave. They are learned without decoding more of them than needed.
//!
//! Invariant: the short path changes exactly what decoding, changing and encoding the decision would change.

use super::{
    decision::LearnedReward,
    encoding::{EncodedDecision, HEAD, REST, SHOWN, read_rows, skip_rows, skip_subjects},
    msgpack::{MessagePackReader, MessagePackWriter},
};
use crate::bandit::EncodedRows;

/// Layout of an encoded decision that showed one arm and has no events.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct UnrewardedLayout {
    /// The arm.
    pub(in crate::engine) arm: u32,
    /// `true` if the decision is never learned.
    pub(in crate::engine) frozen: bool,
    /// Offset of the rows of the context.
    rows: usize,
    /// Offset of the learned reward.
    learned: usize,
}

impl UnrewardedLayout {
    /// Returns the layout, or `None` if the decision is not of this kind.
    pub(super) fn read(decision: &EncodedDecision) -> Option<Self> {
        let bytes = decision.as_bytes();
        let mut reader = MessagePackReader::new(bytes.get(HEAD..)?);
        skip_subjects(&mut reader)?;
        reader.array_of(0)?;
        for _ in 0..reader.array()? {
            reader.uint::<u32>()?;
        }
        reader.array_of(REST)?;
        let (_, frozen) = (reader.boolean()?, reader.boolean()?);
        let rows = bytes.len() - reader.rest().len();
        skip_rows(&mut reader)?;
        reader.array_of(1)?;
        reader.array_of(SHOWN)?;
        let arm = reader.uint()?;
        let common_rows = reader.skip_nil();
        reader.number()?;
        reader.boolean()?;
        let not_counted = reader.skip_nil();
        reader.number()?;
        let learned = bytes.len() - reader.rest().len();
        (common_rows && not_counted).then_some(Self { arm, frozen, rows, learned })
    }

    /// Returns the reward that was learned of the decision, or `None` if none was. `decision` must be the one that the
    /// layout [was read from](Self::read).
    pub(super) fn learned_reward(&self, decision: &EncodedDecision) -> Option<f64> {
        let mut reader = MessagePackReader::new(decision.as_bytes().get(self.learned..)?);
        reader.array_of(2)?;
        reader.number()
    }

    /// Returns the rows of the decision's context. `decision` must be the one that the layout
    /// [was read from](Self::read).
    pub(super) fn rows(&self, decision: &EncodedDecision) -> EncodedRows {
        let rows = decision.as_bytes().get(self.rows..);
        rows.and_then(|rows| read_rows(&mut MessagePackReader::new(rows))).unwrap_or_default()
    }

    /// Returns the decision with its first learned reward. `decision` must be the one that the layout
    /// [was read from](Self::read).
    pub(super) fn with_learned(
        &self,
        decision: &EncodedDecision,
        learned: &LearnedReward,
        buffer: &mut MessagePackWriter,
    ) -> EncodedDecision {
        let (before, after) = decision.as_bytes().split_at(self.learned);
        buffer.clear();
        buffer.raw(before);
        buffer.value(learned);
        // The reward replaces the nil byte.
        buffer.raw(after.get(1..).unwrap_or_default());
        EncodedDecision::from_buffer(buffer)
    }
}
