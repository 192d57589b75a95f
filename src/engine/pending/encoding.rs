//! Encoding of a pending decision. *Persisted.*
//!
//! A million pending decisions are kept, so each must be small. Its id and time come first, as they are. The keys of
//! the indices and the rest follow as MessagePack without field names. A change of these fields raises the version of
//! snapshots.
//!
//! ```text
//! id            16 bytes
//! at_us         i64, big endian
//! first score   26 bytes
//! segments      24 bytes
//! index keys    array: subjects, events, arms
//! rest          array: holdout, frozen, rows, shown arms, evaluation data
//! ```

use smallvec::SmallVec;

use super::{
    decision::{EventRecord, LazyEvaluation, PendingDecision, ShownArm},
    first_score::FirstScore,
    msgpack::{MessagePackReader, MessagePackWriter},
    segment_keys::SegmentKeys,
};
use crate::{
    bandit::{EncodedRow, EncodedRows},
    engine::ids::{DecisionId, Hash128},
    stats::SparseVector,
};

const ID: usize = 16;
/// Bytes before the score of the first position.
const SCORE: usize = ID + 8;
/// Bytes before the keys of the segments.
const SEGMENTS: usize = SCORE + FirstScore::BYTES;
/// Bytes before the index keys.
pub(super) const HEAD: usize = SEGMENTS + SegmentKeys::BYTES;

/// Number of index keys.
const KEYS: usize = 3;
/// Number of fields of the rest.
pub(super) const REST: usize = 5;
/// Number of fields of a shown arm.
pub(super) const SHOWN: usize = 8;

/// Encoded pending decision. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::engine) struct EncodedDecision(Box<[u8]>);

/// Keys under which the indices find a decision.
#[derive(Debug, Default)]
pub(super) struct IndexKeys {
    /// Keys of its subject.
    pub(super) subjects: SmallVec<[Hash128; 2]>,
    /// Events that were accepted for it.
    pub(super) events: Vec<EventRecord>,
    /// Arms that it showed; empty if it has no subject.
    pub(super) arms: SmallVec<[u32; 4]>,
}

impl IndexKeys {
    fn read(reader: &mut MessagePackReader<'_>) -> Option<Self> {
        reader.array_of(KEYS)?;
        let subjects = reader.short_list(|reader| {
            reader.array_of(2)?;
            Some(Hash128::from_words(reader.uint()?, reader.uint()?))
        })?;
        Some(Self { subjects, events: reader.values()?, arms: reader.short_list(MessagePackReader::uint)? })
    }
}

impl EncodedDecision {
    /// Encodes a decision, in a buffer that is cleared first.
    pub(super) fn encode(decision: &PendingDecision, buffer: &mut MessagePackWriter) -> Self {
        buffer.clear();
        buffer.raw(decision.id.as_bytes());
        buffer.raw(&decision.at_us.to_be_bytes());
        buffer.raw(&FirstScore::to_bytes(decision.first_score.as_ref()));
        buffer.raw(&decision.segments.to_bytes());
        write(decision, buffer);
        Self::from_buffer(buffer)
    }

    /// Takes the bytes that are in the buffer.
    pub(super) fn from_buffer(buffer: &MessagePackWriter) -> Self {
        // Copied rather than shrunk: the gap that a shrunk allocation leaves is too small for the next one.
        Self(buffer.as_slice().into())
    }

    /// Takes bytes from a snapshot, or returns `None` if they do not begin as a decision does.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<(Self, IndexKeys)> {
        let decision = Self(bytes.into());
        decision.id()?;
        let keys = decision.index_keys()?;
        Some((decision, keys))
    }

    /// Returns `true` if bytes from a snapshot are a whole decision.
    pub(in crate::engine) fn is_whole(bytes: &[u8]) -> bool {
        try_decode(bytes).is_some_and(|decision| decision.evaluation.decode().is_some())
    }

    /// Bytes of the decision.
    pub(in crate::engine) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the id of the decision.
    pub(super) fn id(&self) -> Option<DecisionId> {
        DecisionId::from_bytes(self.0.get(..ID)?)
    }

    /// Time of the decision, microseconds since 1970.
    pub(in crate::engine) fn at_us(&self) -> i64 {
        at_us(&self.0)
    }

    /// Score of the first position.
    pub(super) fn first_score(&self) -> Option<FirstScore> {
        first_score(&self.0)
    }

    /// Keys of the segments, or `None` if the bytes are too few.
    pub(super) fn segments(&self) -> Option<SegmentKeys> {
        segments(&self.0)
    }

    /// Notes that the reward of the first position is known.
    pub(super) fn mark_settled(&mut self) {
        FirstScore::mark_settled(self.0.get_mut(SCORE..).unwrap_or_default());
    }

    /// Returns the keys of the decision in the indices, or `None` if the bytes are not a decision.
    pub(super) fn index_keys(&self) -> Option<IndexKeys> {
        IndexKeys::read(&mut MessagePackReader::new(self.0.get(HEAD..)?))
    }

    /// Number of events that were accepted for the decision.
    pub(in crate::engine) fn event_count(&self) -> usize {
        let count = |bytes| {
            let mut reader = MessagePackReader::new(bytes);
            skip_subjects(&mut reader)?;
            reader.array()
        };
        self.0.get(HEAD..).and_then(count).unwrap_or(0)
    }

    /// Decodes the decision.
    ///
    /// # Panics
    ///
    /// Panics if the bytes are not what [`encode`](Self::encode) wrote, which is a bug. Use
    /// [`is_whole`](Self::is_whole) on bytes from outside.
    pub(in crate::engine) fn decode(&self) -> PendingDecision {
        try_decode(&self.0).unwrap_or_else(|| unreachable!("an encoded decision is whole"))
    }
}

fn at_us(bytes: &[u8]) -> i64 {
    let time = bytes.get(ID..SCORE).and_then(|time| time.try_into().ok());
    time.map_or(i64::MIN, i64::from_be_bytes)
}

fn first_score(bytes: &[u8]) -> Option<FirstScore> {
    FirstScore::from_bytes(bytes.get(SCORE..SEGMENTS)?.try_into().ok()?)
}

fn segments(bytes: &[u8]) -> Option<SegmentKeys> {
    Some(SegmentKeys::from_bytes(bytes.get(SEGMENTS..HEAD)?.try_into().ok()?))
}

/// Reads the start of the index keys, up to the array of events.
pub(super) fn skip_subjects(reader: &mut MessagePackReader<'_>) -> Option<()> {
    reader.array_of(KEYS)?;
    for _ in 0..reader.array()? {
        reader.array_of(2)?;
        reader.uint::<u64>()?;
        reader.uint::<u64>()?;
    }
    Some(())
}

fn write(decision: &PendingDecision, to: &mut MessagePackWriter) {
    let PendingDecision {
        id: _,
        at_us: _,
        first_score: _,
        segments: _,
        holdout,
        frozen,
        rows,
        shown,
        events,
        subjects,
        evaluation,
    } = decision;
    // Index keys.
    to.array(KEYS);
    to.array(subjects.len());
    for key in subjects {
        to.array(2);
        to.uint(key.word());
        to.uint(key.other_word());
    }
    to.values(events);
    to.array(decision.arms_of_subject().len());
    for shown in decision.arms_of_subject() {
        to.uint(shown.arm);
    }
    // The rest.
    to.array(REST);
    to.boolean(*holdout);
    to.boolean(*frozen);
    write_rows(rows, to);
    to.array(shown.len());
    for shown in shown {
        write_shown(shown, to);
    }
    match evaluation {
        LazyEvaluation::Encoded(bytes) => to.raw(bytes),
        LazyEvaluation::Decoded(record) => record.write(to),
    }
}

fn write_rows(rows: &EncodedRows, to: &mut MessagePackWriter) {
    to.array(rows.len());
    for EncodedRow { vector, numbers } in rows {
        to.array(2);
        to.array(2);
        to.array(vector.entries.len());
        for &(index, value) in &vector.entries {
            to.array(2);
            to.uint(index);
            to.number(value);
        }
        to.number(vector.unseen);
        to.uint(*numbers);
    }
}

fn write_shown(shown: &ShownArm, to: &mut MessagePackWriter) {
    let ShownArm { arm, rows, swap_probability, seen, counted_at_ln_decay, reward, learned, counted } = shown;
    to.array(SHOWN);
    to.uint(*arm);
    match rows {
        None => to.nil(),
        Some(rows) => write_rows(rows, to),
    }
    to.number(*swap_probability);
    to.boolean(*seen);
    match counted_at_ln_decay {
        None => to.nil(),
        Some(ln_decay) => to.value(ln_decay),
    }
    to.number(*reward);
    match learned {
        None => to.nil(),
        Some(learned) => to.value(learned),
    }
    to.values(counted);
}

/// Decodes a decision, or returns `None` if the bytes are not one.
pub(super) fn try_decode(bytes: &[u8]) -> Option<PendingDecision> {
    let mut reader = MessagePackReader::new(bytes.get(HEAD..)?);
    let IndexKeys { subjects, events, arms: _ } = IndexKeys::read(&mut reader)?;
    reader.array_of(REST)?;
    let (holdout, frozen) = (reader.boolean()?, reader.boolean()?);
    let rows = read_rows(&mut reader)?;
    let shown = reader.list(read_shown)?;
    let evaluation = LazyEvaluation::Encoded(reader.rest().into());
    let (id, at_us) = (DecisionId::from_bytes(bytes.get(..ID)?)?, at_us(bytes));
    let (first_score, segments) = (first_score(bytes), segments(bytes)?);
    Some(PendingDecision {
        id,
        at_us,
        first_score,
        segments,
        holdout,
        frozen,
        rows,
        shown,
        events,
        subjects,
        evaluation,
    })
}

/// Skips the rows of a context or of an arm.
pub(super) fn skip_rows(reader: &mut MessagePackReader<'_>) -> Option<()> {
    for _ in 0..reader.array()? {
        reader.array_of(2)?;
        reader.array_of(2)?;
        for _ in 0..reader.array()? {
            reader.array_of(2)?;
            reader.uint::<u32>()?;
            reader.number()?;
        }
        reader.number()?;
        reader.uint::<u32>()?;
    }
    Some(())
}

/// Reads the rows of a context or of an arm.
pub(super) fn read_rows(reader: &mut MessagePackReader<'_>) -> Option<EncodedRows> {
    reader.list(|reader| {
        reader.array_of(2)?;
        reader.array_of(2)?;
        let entries = reader.list(|reader| {
            reader.array_of(2)?;
            Some((reader.uint()?, reader.number()?))
        })?;
        let vector = SparseVector { entries, unseen: reader.number()? };
        Some(EncodedRow { vector, numbers: reader.uint()? })
    })
}

fn read_shown(reader: &mut MessagePackReader<'_>) -> Option<ShownArm> {
    reader.array_of(SHOWN)?;
    Some(ShownArm {
        arm: reader.uint()?,
        rows: if reader.skip_nil() { None } else { Some(read_rows(reader)?) },
        swap_probability: reader.number()?,
        seen: reader.boolean()?,
        counted_at_ln_decay: if reader.skip_nil() { None } else { Some(reader.number()?) },
        reward: reader.number()?,
        learned: if reader.skip_nil() { None } else { Some(reader.value()?) },
        counted: reader.values()?,
    })
}
