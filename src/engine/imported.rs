//! Imported observations: the past of a slot in another system, from which its models learn.
//!
//! Invariants:
//!
//! * An import teaches the models and nothing else. Counts, reports, exposures and the delays of rewards stay those of
//!   the slot's own decisions.
//! * Each part of an import counts once, however often it is sent.

use serde::{Deserialize, Serialize};

use crate::{
    bandit::Features,
    slot::{ArmId, ChangeReason, SlotId, limits::IMPORTS_MAX},
};

/// Part of an import, as an event. *Persisted by the journal.*
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedPart {
    /// The slot.
    pub slot: SlotId,
    /// Caller's id of the import.
    pub import_id: String,
    /// Number of the part within the import, from 1.
    pub part: u32,
    /// Observations, in the order in which they are learned.
    pub observations: Vec<ImportedObservation>,
    /// Author and reason of the import.
    pub why: ChangeReason,
}

/// Decision of the past with its reward. *Persisted by the journal.*
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedObservation {
    /// Time of the decision, microseconds since 1970.
    pub at_us: i64,
    /// Features of the request.
    pub context: Features,
    /// Arm that was shown.
    pub arm: ArmId,
    /// Features of the arm in that request.
    pub features: Features,
    /// Probability with which the arm was drawn, in (0, 1]. Models do not need it; evaluations of the journal do.
    pub propensity: f64,
    /// Reward, in the units of the slot's goal.
    pub reward: f64,
}

/// Progress of an import. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportProgress {
    /// Caller's id of the import.
    pub import_id: String,
    /// Number of parts that were learned.
    pub parts: u32,
    /// Number of observations in them.
    pub observations: u64,
}

/// Imports of a slot, the one that began last at the end. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct ImportLog(Vec<ImportProgress>);

impl ImportLog {
    /// Returns `true` if nothing was imported. Such a slot writes nothing of its imports.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Progress of an import, or `None` before its first part.
    pub(super) fn progress(&self, import_id: &str) -> Option<&ImportProgress> {
        self.0.iter().find(|progress| progress.import_id == import_id)
    }

    /// Takes in a part. Returns `false` if it is not the next one of its import.
    pub(super) fn add(&mut self, part: &ImportedPart) -> bool {
        let before = self.progress(&part.import_id).map_or(0, |progress| progress.parts);
        if part.part != before.saturating_add(1) {
            return false;
        }
        let more = part.observations.len() as u64;
        if let Some(progress) = self.0.iter_mut().find(|progress| progress.import_id == part.import_id) {
            (progress.parts, progress.observations) = (part.part, progress.observations + more);
            return true;
        }
        self.0.push(ImportProgress { import_id: part.import_id.clone(), parts: part.part, observations: more });
        if self.0.len() > IMPORTS_MAX {
            self.0.remove(0);
        }
        true
    }
}
