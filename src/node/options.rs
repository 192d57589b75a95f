//! Options of a node.

use std::path::PathBuf;

use crate::{engine::CatalogueLimits, journal::LossPolicy, slot::Consent};

/// Options of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Data folder, which holds the journal, the snapshots and the key of subjects.
    pub folder: PathBuf,
    /// Time between two snapshots, microseconds.
    pub snapshot_every_us: i64,
    /// Decide waits until its decision is durable.
    pub durable_decisions: bool,
    /// Time that decisions and rewards stay in the journal once snapshots hold their effects, microseconds, or `None`
    /// to keep them for ever.
    pub retention_us: Option<i64>,
    /// Time that ids of subjects stay after they were last seen, microseconds, or `None` to keep them for ever.
    pub subject_retention_us: Option<i64>,
    /// Policy for a journal whose end may be lost.
    pub loss: LossPolicy,
    /// Consent of shopper events that state none.
    pub default_consent: Consent,
    /// Time without an event after which a customer's profile is dropped, microseconds.
    pub keep_profiles_us: i64,
    /// Limits of the item catalogue.
    pub catalogue: CatalogueLimits,
}

/// Default time that decisions and rewards stay in the journal, microseconds: 90 days.
pub const RETENTION_US: i64 = 90 * 24 * 3600 * 1_000_000;

/// Default time without an event after which a customer's profile is dropped, microseconds: 180 days.
pub const KEEP_PROFILES_US: i64 = 180 * 24 * 3600 * 1_000_000;

impl Options {
    /// Everything at its default, in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            snapshot_every_us: 5 * 60 * 1_000_000,
            durable_decisions: false,
            retention_us: Some(RETENTION_US),
            subject_retention_us: Some(RETENTION_US),
            loss: LossPolicy::Refused,
            default_consent: Consent::SessionOnly,
            keep_profiles_us: KEEP_PROFILES_US,
            catalogue: CatalogueLimits::default(),
        }
    }
}
