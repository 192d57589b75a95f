//! A pending decision as bytes. *Persisted.*
//!
//! A million of them are kept, so each is small: its id and time as they are, what it
//! is found again by, then the rest, both as MessagePack without field names. A field
//! that is added stands last and has a default, so that what was written before it is read.
//!
//! ```text
//! id            16 bytes
//! at_us         i64, big endian
//! found_by      array: see FoundBy
//! rest          array: holdout, frozen, rows, what was shown, what it is judged by
//! ```

use std::borrow::Cow;

use rmp_serde::{Deserializer, decode, encode};
use serde::{Deserialize, Serialize};

use super::{
    ids::{DecisionId, Key},
    insight::Trial,
    pending::{Known, PendingDecision, ShownArm},
};
use crate::bandit::Rows;

const ID: usize = 16;
const HEAD: usize = ID + 8;

/// What a decision is found again by.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct FoundBy {
    /// The keys of its subject.
    pub(super) subjects: Vec<Key>,
    /// The events that were accepted for it.
    pub(super) events: Vec<Known>,
    /// The arms it showed, where it has a subject.
    pub(super) arms: Vec<u32>,
}

impl FoundBy {
    /// What finds this decision.
    pub(super) fn of(decision: &PendingDecision) -> Self {
        let PendingDecision { shown, events, subjects, .. } = decision;
        let arms = if subjects.is_empty() { Vec::new() } else { shown.iter().map(|shown| shown.arm).collect() };
        Self { subjects: subjects.clone(), events: events.clone(), arms }
    }
}

/// MessagePack's array of few fields begins with this and their number.
const ARRAY: u8 = 0x90;
/// How many fields the rest has.
const REST: u8 = 5;
/// Before anything was judged.
const REST_BEFORE: u8 = 4;

/// What a decision is judged by: packed until somebody asks, as most never do.
#[derive(Debug, Clone)]
pub(super) enum Judged {
    /// As it was packed.
    Packed(Box<[u8]>),
    /// None: it was made before anything was judged.
    Open(Option<Trial>),
}

impl Judged {
    /// What it is.
    pub(super) fn trial(&self) -> Option<Cow<'_, Trial>> {
        match self {
            Self::Packed(bytes) => try_trial(bytes).ok().flatten().map(Cow::Owned),
            Self::Open(trial) => trial.as_ref().map(Cow::Borrowed),
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

fn try_trial(bytes: &[u8]) -> Result<Option<Trial>, decode::Error> {
    Option::deserialize(&mut Deserializer::from_read_ref(bytes))
}

/// A decision as bytes; `found_by` is [its own](FoundBy::of).
pub(super) fn pack(decision: &PendingDecision, found_by: &FoundBy) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(decision.id.as_bytes());
    bytes.extend_from_slice(&decision.at_us.to_be_bytes());
    // Plain values into memory: there is nothing that could fail.
    write(decision, found_by, &mut bytes).unwrap_or_else(|why| unreachable!("{why}"));
    // Copied, not shrunk: what a shrunk allocation leaves free is too small for the next one to begin in.
    bytes.as_slice().into()
}

fn write(decision: &PendingDecision, found_by: &FoundBy, bytes: &mut Vec<u8>) -> Result<(), encode::Error> {
    let PendingDecision { id: _, at_us: _, holdout, frozen, rows, shown, events: _, subjects: _, judged } = decision;
    encode::write(bytes, found_by)?;
    bytes.push(ARRAY | REST);
    encode::write(bytes, holdout)?;
    encode::write(bytes, frozen)?;
    encode::write(bytes, rows)?;
    encode::write(bytes, shown)?;
    match judged {
        Judged::Packed(packed) => bytes.extend_from_slice(packed),
        Judged::Open(trial) => encode::write(bytes, trial)?,
    }
    Ok(())
}

/// The id of a packed decision.
pub(super) fn id(bytes: &[u8]) -> Option<DecisionId> {
    DecisionId::from_bytes(bytes.get(..ID)?)
}

/// When a packed decision was made, microseconds since 1970.
pub(super) fn at_us(bytes: &[u8]) -> i64 {
    let time = bytes.get(ID..HEAD).and_then(|time| time.try_into().ok());
    time.map_or(i64::MIN, i64::from_be_bytes)
}

/// What a packed decision is found again by; none: it is not one.
pub(super) fn found_by(bytes: &[u8]) -> Option<FoundBy> {
    FoundBy::deserialize(&mut Deserializer::from_read_ref(bytes.get(HEAD..)?)).ok()
}

fn try_unpack(bytes: &[u8]) -> Option<PendingDecision> {
    let mut reader = Deserializer::new(bytes.get(HEAD..)?);
    let FoundBy { subjects, events, arms: _ } = FoundBy::deserialize(&mut reader).ok()?;
    let (&head, rest) = reader.get_ref().split_first()?;
    let mut reader = Deserializer::new(rest);
    let holdout = bool::deserialize(&mut reader).ok()?;
    let frozen = bool::deserialize(&mut reader).ok()?;
    let rows = Rows::deserialize(&mut reader).ok()?;
    let shown = Vec::<ShownArm>::deserialize(&mut reader).ok()?;
    let judged = match (head.checked_sub(ARRAY)?, *reader.get_ref()) {
        (REST, packed) => Judged::Packed(packed.into()),
        (REST_BEFORE, []) => Judged::Open(None),
        _ => return None,
    };
    let (id, at_us) = (id(bytes)?, at_us(bytes));
    Some(PendingDecision { id, at_us, holdout, frozen, rows, shown, events, subjects, judged })
}

/// The decision in the bytes.
///
/// # Panics
///
/// If they are not what [`pack`] wrote, which is a bug: [`check`] is for bytes from outside.
pub(super) fn unpack(bytes: &[u8]) -> PendingDecision {
    try_unpack(bytes).unwrap_or_else(|| unreachable!("what was packed is whole"))
}

/// Whether bytes from a snapshot are a decision, all of it.
pub(super) fn check(bytes: &[u8]) -> bool {
    try_unpack(bytes).is_some_and(|decision| decision.judged.whole())
}
