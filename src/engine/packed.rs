//! Encoding of a pending decision. *Persisted.*
//!
//! A million pending decisions are kept, so each must be small. Its id and time come first, as they are. The keys of
//! the indices and the rest follow as MessagePack without field names. A change of these fields raises the version of
//! snapshots.
//!
//! ```text
//! id            16 bytes
//! at_us         i64, big endian
//! index keys    array: see FoundBy
//! rest          array: holdout, frozen, rows, shown arms, evaluation data
//! ```

pub(super) mod tokens;

use std::borrow::Cow;

use rmp_serde::{Deserializer, decode};
use serde::Deserialize as _;
use smallvec::SmallVec;

use self::tokens::{Tokens, Writer};
use super::{
    ids::{DecisionId, Key},
    insight::Trial,
    pending::{Known, PendingDecision, ShownArm, Told},
};
use crate::{
    bandit::{EncodedRow, EncodedRows},
    stats::SparseVector,
};

const ID: usize = 16;
const HEAD: usize = ID + 8;

/// Keys under which the indices find a decision.
#[derive(Debug, Default)]
pub(super) struct FoundBy {
    /// Keys of its subject.
    pub(super) subjects: SmallVec<[Key; 2]>,
    /// Events that were accepted for it.
    pub(super) events: Vec<Known>,
    /// Arms that it showed; empty if it has no subject.
    pub(super) arms: SmallVec<[u32; 4]>,
}

impl FoundBy {
    fn read(tokens: &mut Tokens<'_>) -> Option<Self> {
        tokens.array_of(3)?;
        let subjects = tokens.few(|tokens| {
            tokens.array_of(2)?;
            Some(Key::of_words(tokens.uint()?, tokens.uint()?))
        })?;
        Some(Self { subjects, events: tokens.others()?, arms: tokens.few(Tokens::uint)? })
    }
}

/// Number of fields of the rest.
const REST: usize = 5;
/// Number of fields of a shown arm.
const SHOWN: usize = 8;

/// Evaluation data of a decision, left encoded until it is needed. For most decisions it never is.
#[derive(Debug, Clone)]
pub(super) enum Judged {
    /// Encoded.
    Packed(Box<[u8]>),
    /// Decoded.
    Open(Trial),
}

impl Judged {
    /// Returns the evaluation data, or `None` if its bytes cannot be read.
    pub(super) fn trial(&self) -> Option<Cow<'_, Trial>> {
        match self {
            Self::Packed(bytes) => try_trial(bytes).ok().map(Cow::Owned),
            Self::Open(trial) => Some(Cow::Borrowed(trial)),
        }
    }

    fn whole(&self) -> bool {
        match self {
            Self::Packed(bytes) => try_trial(bytes).is_ok(),
            Self::Open(_) => true,
        }
    }
}

impl PartialEq for Judged {
    fn eq(&self, other: &Self) -> bool {
        self.trial() == other.trial()
    }
}

fn try_trial(bytes: &[u8]) -> Result<Trial, decode::Error> {
    Trial::deserialize(&mut Deserializer::from_read_ref(bytes))
}

/// Encodes a decision. `room` is a buffer to build it in.
pub(super) fn pack(decision: &PendingDecision, room: &mut Writer) -> Box<[u8]> {
    room.clear();
    room.raw(decision.id.as_bytes());
    room.raw(&decision.at_us.to_be_bytes());
    write(decision, room);
    // Copied rather than shrunk: the gap that a shrunk allocation leaves is too small for the next one.
    room.as_slice().into()
}

/// Returns the arms by which the indices find the decision.
pub(super) fn found_arms(decision: &PendingDecision) -> &[ShownArm] {
    if decision.subjects.is_empty() { &[] } else { &decision.shown }
}

fn write(decision: &PendingDecision, to: &mut Writer) {
    let PendingDecision { id: _, at_us: _, holdout, frozen, rows, shown, events, subjects, judged } = decision;
    // Index keys.
    to.array(3);
    to.array(subjects.len());
    for key in subjects {
        to.array(2);
        to.uint(key.word());
        to.uint(key.other_word());
    }
    to.others(events);
    to.array(found_arms(decision).len());
    for shown in found_arms(decision) {
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
    match judged {
        Judged::Packed(packed) => to.raw(packed),
        Judged::Open(trial) => trial.write(to),
    }
}

fn write_rows(rows: &EncodedRows, to: &mut Writer) {
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

fn write_shown(shown: &ShownArm, to: &mut Writer) {
    let ShownArm { arm, rows, overlap, seen, tells, reward, told, counted } = shown;
    to.array(SHOWN);
    to.uint(*arm);
    match rows {
        None => to.nothing(),
        Some(rows) => write_rows(rows, to),
    }
    to.number(*overlap);
    to.boolean(*seen);
    match tells {
        None => to.nothing(),
        Some(tells) => to.other(tells),
    }
    to.number(*reward);
    match told {
        None => to.nothing(),
        Some(told) => to.other(told),
    }
    to.others(counted);
}

/// Returns the id of an encoded decision.
pub(super) fn id(bytes: &[u8]) -> Option<DecisionId> {
    DecisionId::from_bytes(bytes.get(..ID)?)
}

/// Returns the time of an encoded decision, microseconds since 1970.
pub(super) fn at_us(bytes: &[u8]) -> i64 {
    let time = bytes.get(ID..HEAD).and_then(|time| time.try_into().ok());
    time.map_or(i64::MIN, i64::from_be_bytes)
}

/// Returns the index keys of an encoded decision, or `None` if the bytes are not a decision.
pub(super) fn found_by(bytes: &[u8]) -> Option<FoundBy> {
    FoundBy::read(&mut Tokens::of(bytes.get(HEAD..)?))
}

/// Returns the number of events that were accepted for an encoded decision.
pub(super) fn events(bytes: &[u8]) -> usize {
    let count = |bytes| {
        let mut tokens = Tokens::of(bytes);
        tokens.array_of(3)?;
        for _ in 0..tokens.array()? {
            tokens.array_of(2)?;
            tokens.uint::<u64>()?;
            tokens.uint::<u64>()?;
        }
        tokens.array()
    };
    bytes.get(HEAD..).and_then(count).unwrap_or(0)
}

fn try_unpack(bytes: &[u8]) -> Option<PendingDecision> {
    let mut tokens = Tokens::of(bytes.get(HEAD..)?);
    let FoundBy { subjects, events, arms: _ } = FoundBy::read(&mut tokens)?;
    tokens.array_of(REST)?;
    let (holdout, frozen) = (tokens.boolean()?, tokens.boolean()?);
    let rows = read_rows(&mut tokens)?;
    let shown = tokens.list(read_shown)?;
    let judged = Judged::Packed(tokens.rest().into());
    let (id, at_us) = (id(bytes)?, at_us(bytes));
    Some(PendingDecision { id, at_us, holdout, frozen, rows, shown, events, subjects, judged })
}

/// Layout of an encoded decision that showed one arm and has no events. Most decisions are of this kind when they are
/// learned, and when they leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silent {
    /// The arm.
    pub(super) arm: u32,
    /// `true` if the decision is never learned.
    pub(super) frozen: bool,
    rows: usize,
    told: usize,
}

impl Silent {
    /// Returns the layout, or `None` if the decision is not of this kind.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut tokens = Tokens::of(bytes.get(HEAD..)?);
        tokens.array_of(3)?;
        for _ in 0..tokens.array()? {
            tokens.array_of(2)?;
            tokens.uint::<u64>()?;
            tokens.uint::<u64>()?;
        }
        tokens.array_of(0)?;
        for _ in 0..tokens.array()? {
            tokens.uint::<u32>()?;
        }
        tokens.array()?;
        let (_, frozen) = (tokens.boolean()?, tokens.boolean()?);
        let rows = bytes.len() - tokens.rest().len();
        skip_rows(&mut tokens)?;
        tokens.array_of(1)?;
        tokens.array_of(SHOWN)?;
        let arm = tokens.uint()?;
        let common_rows = tokens.nothing();
        tokens.number()?;
        tokens.boolean()?;
        let untold = tokens.nothing();
        tokens.number()?;
        let told = bytes.len() - tokens.rest().len();
        (common_rows && untold).then_some(Self { arm, frozen, rows, told })
    }

    /// Returns the reward that was learned of the decision, or `None` if none was. `bytes` must be those that the
    /// layout [was made from](Self::of).
    pub(super) fn reward(&self, bytes: &[u8]) -> Option<f64> {
        let mut tokens = Tokens::of(bytes.get(self.told..)?);
        tokens.array_of(2)?;
        tokens.number()
    }

    /// Returns the rows of the decision's context. `bytes` must be those that the layout [was made from](Self::of).
    pub(super) fn rows(&self, bytes: &[u8]) -> EncodedRows {
        bytes.get(self.rows..).and_then(|rows| read_rows(&mut Tokens::of(rows))).unwrap_or_default()
    }

    /// Returns the decision with its first learned reward. `bytes` must be those that the layout [was made
    /// from](Self::of).
    pub(super) fn told(&self, bytes: &[u8], told: &Told, room: &mut Writer) -> Box<[u8]> {
        let (before, after) = bytes.split_at(self.told);
        room.clear();
        room.raw(before);
        room.other(told);
        // The reward replaces the nil byte.
        room.raw(after.get(1..).unwrap_or_default());
        room.as_slice().into()
    }
}

fn skip_rows(tokens: &mut Tokens<'_>) -> Option<()> {
    for _ in 0..tokens.array()? {
        tokens.array_of(2)?;
        tokens.array_of(2)?;
        for _ in 0..tokens.array()? {
            tokens.array_of(2)?;
            tokens.uint::<u32>()?;
            tokens.number()?;
        }
        tokens.number()?;
        tokens.uint::<u32>()?;
    }
    Some(())
}

fn read_rows(tokens: &mut Tokens<'_>) -> Option<EncodedRows> {
    tokens.list(|tokens| {
        tokens.array_of(2)?;
        tokens.array_of(2)?;
        let entries = tokens.list(|tokens| {
            tokens.array_of(2)?;
            Some((tokens.uint()?, tokens.number()?))
        })?;
        let vector = SparseVector { entries, unseen: tokens.number()? };
        Some(EncodedRow { vector, numbers: tokens.uint()? })
    })
}

fn read_shown(tokens: &mut Tokens<'_>) -> Option<ShownArm> {
    tokens.array_of(SHOWN)?;
    Some(ShownArm {
        arm: tokens.uint()?,
        rows: if tokens.nothing() { None } else { Some(read_rows(tokens)?) },
        overlap: tokens.number()?,
        seen: tokens.boolean()?,
        tells: if tokens.nothing() { None } else { Some(tokens.number()?) },
        reward: tokens.number()?,
        told: if tokens.nothing() { None } else { Some(tokens.other()?) },
        counted: tokens.others()?,
    })
}

/// Decodes a decision.
///
/// # Panics
///
/// Panics if the bytes are not what [`pack`] wrote, which is a bug. Use [`check`] for bytes from outside.
pub(super) fn unpack(bytes: &[u8]) -> PendingDecision {
    try_unpack(bytes).unwrap_or_else(|| unreachable!("what was packed is whole"))
}

/// Returns `true` if bytes from a snapshot are a whole decision.
pub(super) fn check(bytes: &[u8]) -> bool {
    try_unpack(bytes).is_some_and(|decision| decision.judged.whole())
}

#[cfg(test)]
mod tests;
