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
//! rest          array: see Rest
//! ```

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

#[derive(Serialize)]
struct RestRef<'a> {
    holdout: bool,
    frozen: bool,
    rows: &'a Rows,
    shown: &'a [ShownArm],
    trial: Option<&'a Trial>,
}

#[derive(Deserialize)]
struct Rest {
    holdout: bool,
    frozen: bool,
    rows: Rows,
    shown: Vec<ShownArm>,
    #[serde(default)]
    trial: Option<Trial>,
}

/// A decision as bytes.
pub(super) fn pack(decision: &PendingDecision) -> Box<[u8]> {
    let PendingDecision { id, at_us, holdout, frozen, rows, shown, events, subjects, trial } = decision;
    let arms = if subjects.is_empty() { Vec::new() } else { shown.iter().map(|shown| shown.arm).collect() };
    let found_by = FoundBy { subjects: subjects.clone(), events: events.clone(), arms };
    let rest = RestRef { holdout: *holdout, frozen: *frozen, rows, shown, trial: trial.as_ref() };
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(&at_us.to_be_bytes());
    let written =
        rmp_serde::encode::write(&mut bytes, &found_by).and_then(|()| rmp_serde::encode::write(&mut bytes, &rest));
    // Plain values into memory: there is nothing that could fail.
    written.unwrap_or_else(|why| unreachable!("{why}"));
    // Copied, not shrunk: what a shrunk allocation leaves free is too small for the next one to begin in.
    bytes.as_slice().into()
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
    FoundBy::deserialize(&mut rmp_serde::Deserializer::from_read_ref(bytes.get(HEAD..)?)).ok()
}

fn try_unpack(bytes: &[u8]) -> Option<PendingDecision> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes.get(HEAD..)?);
    let FoundBy { subjects, events, arms: _ } = FoundBy::deserialize(&mut reader).ok()?;
    let Rest { holdout, frozen, rows, shown, trial } = Rest::deserialize(&mut reader).ok()?;
    Some(PendingDecision { id: id(bytes)?, at_us: at_us(bytes), holdout, frozen, rows, shown, events, subjects, trial })
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
    try_unpack(bytes).is_some()
}
