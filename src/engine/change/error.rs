//! Reasons why changes cannot be made.

use crate::{
    engine::drafts::DraftRefusal,
    slot::{ChangeReason, FieldError, SlotId},
};

/// Reason why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// A slot of this id exists already.
    #[error("slot '{0}' exists already; update it, or choose another slot_id")]
    Exists(SlotId),
    /// No slot of this id exists.
    #[error("slot '{slot}' not found{suggestion}")]
    NotFound {
        /// The id.
        slot: SlotId,
        /// Hint at the id that the caller may have meant, or an empty string.
        suggestion: String,
    },
    /// The change was derived from another revision than the current one.
    #[error(
        "slot '{slot}' is at revision {current}, the change was made from {given}; the last change was \"{change}\"; read the slot again, and make the change from what it is now"
    )]
    Stale {
        /// The slot.
        slot: SlotId,
        /// Revision that the caller named.
        given: u64,
        /// Current revision.
        current: u64,
        /// Kind of the last change.
        change: String,
        /// Time of the last change, microseconds since 1970.
        at_us: i64,
        /// Author and reason of the last change.
        why: Box<ChangeReason>,
    },
    /// A field is invalid.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The service or the slot is full.
    #[error("{0}")]
    Full(String),
    /// The item catalogue is full.
    #[error("{0}")]
    ItemsFull(String),
    /// A second person must approve the change.
    #[error(
        "the slot '{slot}' demands that a second person approves changes of {}: create a draft (CreateDraft, slotwise drafts create), which somebody with the role approve approves",
        changes.join(", ")
    )]
    NeedsApproval {
        /// The slot.
        slot: SlotId,
        /// Names of the changes that need approval.
        changes: Vec<String>,
    },
    /// A second person would have to approve an import, which no draft holds.
    #[error(
        "the slot '{0}' demands that a second person approves an import, and a draft holds none, for an import is too large: draft other controls.approval.changes, which leave out import (slotwise drafts create), have it approved and applied, import, and set the list back the same way"
    )]
    ImportNeedsApproval(SlotId),
    /// A step of a draft cannot be made.
    #[error(transparent)]
    Draft(#[from] DraftRefusal),
}
