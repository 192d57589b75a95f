//! Drafts: changes of a slot that wait for a second person.
//!
//! Invariants:
//!
//! * A draft never changes. Each step that follows its creation is added beside it.
//! * Who created a draft does not approve it.
//! * A draft that is applied was approved, and the slot had no change since its creation but those of operations.
//!
//! The engine does not read the change of a draft. The layer of the API encodes it, and decodes it to plan it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::slot::{ChangeReason, SlotId, limits::DRAFTS_MAX};

/// Step of a draft, as an event. *Persisted by the journal.*
#[derive(Debug, Clone, PartialEq)]
pub struct DraftEvent {
    /// The slot.
    pub slot: SlotId,
    /// Number of the draft within the slot, from 1.
    pub number: u64,
    /// The step.
    pub step: DraftStep,
    /// Author and reason of the step.
    pub why: ChangeReason,
}

/// Step of a draft.
#[derive(Debug, Clone, PartialEq)]
pub enum DraftStep {
    /// The draft was created.
    Created(DraftContent),
    /// A second person approved the draft.
    Approved,
    /// The draft is to be applied at a time, microseconds since 1970.
    Scheduled(i64),
    /// The draft was applied, and the slot has this revision since.
    Applied(u64),
    /// The draft was discarded.
    Discarded,
}

/// Content of a draft. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DraftContent {
    /// Change as the API's layer encoded it.
    #[serde(with = "serde_bytes")]
    pub change: Vec<u8>,
    /// Names of the changed fields.
    pub changes: Vec<String>,
    /// Time from which the draft cannot be applied any more, microseconds since 1970.
    pub expires_us: i64,
}

/// Step that was made: when, by whom and why. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedStep {
    /// Time of the step, microseconds since 1970.
    pub at_us: i64,
    /// Author and reason of the step.
    pub why: ChangeReason,
}

/// State of a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DraftState {
    /// The draft waits for somebody who approves it.
    Open,
    /// The draft is approved and not scheduled.
    Approved,
    /// The draft is approved and will be applied at a time.
    Scheduled,
    /// The slot changed since.
    Stale,
    /// The draft's time is over.
    Expired,
    /// The draft was applied.
    Applied,
    /// The draft was discarded.
    Discarded,
}

impl DraftState {
    /// Name of the state in snake case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Scheduled => "scheduled",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Applied => "applied",
            Self::Discarded => "discarded",
        }
    }
}

/// Draft of a change with its steps. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Number within the slot, from 1.
    pub number: u64,
    /// Revision of the slot that it was created from.
    pub revision: u64,
    /// Content. The change is empty once the draft was applied or discarded.
    pub content: DraftContent,
    /// Creation.
    pub created: SignedStep,
    /// Approval.
    #[serde(default)]
    pub approved: Option<SignedStep>,
    /// Time at which it is to be applied, microseconds since 1970, and the step that says so.
    #[serde(default)]
    pub scheduled: Option<(i64, SignedStep)>,
    /// First revision after its creation that was no change of operations.
    #[serde(default)]
    pub stale_since: Option<u64>,
    /// Application or discarding.
    #[serde(default)]
    pub closed: Option<SignedStep>,
    /// Revision that it became.
    #[serde(default)]
    pub applied: Option<u64>,
}

impl Draft {
    /// State of the draft at a time, microseconds since 1970.
    pub fn state(&self, now_us: i64) -> DraftState {
        if self.closed.is_some() {
            return if self.applied.is_some() { DraftState::Applied } else { DraftState::Discarded };
        }
        if self.stale_since.is_some() {
            return DraftState::Stale;
        }
        if self.content.expires_us <= now_us {
            return DraftState::Expired;
        }
        match (&self.approved, &self.scheduled) {
            (None, _) => DraftState::Open,
            (Some(_), None) => DraftState::Approved,
            (Some(_), Some(_)) => DraftState::Scheduled,
        }
    }

    /// Returns `true` if the draft can still be applied, once it is approved.
    pub fn waits(&self, now_us: i64) -> bool {
        match self.state(now_us) {
            DraftState::Open | DraftState::Approved | DraftState::Scheduled => true,
            DraftState::Stale | DraftState::Expired | DraftState::Applied | DraftState::Discarded => false,
        }
    }

    /// Returns `true` if the draft is to be applied by now.
    pub fn is_due(&self, now_us: i64) -> bool {
        self.state(now_us) == DraftState::Scheduled
            && self.scheduled.as_ref().is_some_and(|(at_us, _)| *at_us <= now_us)
    }
}

/// Reason why a step of a draft cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftRefusal {
    /// The caller presented no key.
    #[error(
        "drafts need callers that are known, and this call came without a key: nobody could say that a second person approves; create a key for each person with `slotwise keys create --name NAME --role tune`, and --role approve"
    )]
    CallerUnknown,
    /// The slot has no such draft.
    #[error("the slot '{slot}' has no draft {number}; ListDrafts (slotwise drafts list) says which it has")]
    NotFound {
        /// The slot.
        slot: SlotId,
        /// Number of the draft.
        number: u64,
    },
    /// The caller created the draft.
    #[error("'{0}' created the draft, and a second person must approve it")]
    Own(String),
    /// The state of the draft does not allow the step.
    #[error("draft {number} {why}")]
    State {
        /// Number of the draft.
        number: u64,
        /// State of the draft in words, with what to do.
        why: String,
    },
    /// Too many drafts wait.
    #[error("{0}")]
    Full(String),
}

/// Drafts of a slot, oldest first. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct DraftBook {
    /// Number of the newest draft, or 0 before the first.
    pub(super) last: u64,
    drafts: Arc<Vec<Draft>>,
}

impl DraftBook {
    /// Returns `true` if there never was a draft. A slot without one writes nothing of its book.
    pub(super) fn is_unused(&self) -> bool {
        self.last == 0
    }

    /// Drafts, oldest first.
    pub(super) fn drafts(&self) -> &Arc<Vec<Draft>> {
        &self.drafts
    }

    /// Returns the draft of this number, if it is kept.
    pub(super) fn draft(&self, number: u64) -> Option<&Draft> {
        self.drafts.iter().find(|draft| draft.number == number)
    }

    /// Returns `true` if a change of the slot would make a draft stale.
    pub(super) fn has_fresh(&self) -> bool {
        self.drafts.iter().any(|draft| draft.closed.is_none() && draft.stale_since.is_none())
    }

    /// Notes that the slot changed by this revision.
    pub(super) fn outdate(&mut self, revision: u64) {
        for draft in Arc::make_mut(&mut self.drafts) {
            if draft.closed.is_none() && draft.stale_since.is_none() {
                draft.stale_since = Some(revision);
            }
        }
    }

    /// Takes in a step at the slot's `revision`. A step of a draft that is not kept changes nothing.
    pub(super) fn apply(&mut self, at_us: i64, event: &DraftEvent, revision: u64) {
        let DraftEvent { slot: _, number, step, why } = event;
        let signed = SignedStep { at_us, why: why.clone() };
        let drafts = Arc::make_mut(&mut self.drafts);
        if let DraftStep::Created(content) = step {
            self.last = self.last.max(*number);
            drafts.push(Draft {
                number: *number,
                revision,
                content: content.clone(),
                created: signed,
                approved: None,
                scheduled: None,
                stale_since: None,
                closed: None,
                applied: None,
            });
            make_way(drafts, at_us);
            return;
        }
        let Some(draft) = drafts.iter_mut().find(|draft| draft.number == *number) else { return };
        match step {
            DraftStep::Created(_) => {}
            DraftStep::Approved => draft.approved = Some(signed),
            DraftStep::Scheduled(apply_us) => draft.scheduled = Some((*apply_us, signed)),
            DraftStep::Applied(became) => {
                (draft.closed, draft.applied, draft.stale_since) = (Some(signed), Some(*became), None);
                draft.content.change.clear();
            }
            DraftStep::Discarded => {
                draft.closed = Some(signed);
                draft.content.change.clear();
            }
        }
    }
}

/// Removes the oldest drafts that ended, as far as there are too many.
fn make_way(drafts: &mut Vec<Draft>, now_us: i64) {
    while drafts.len() > DRAFTS_MAX {
        // Fewer than the limit wait, because a further one is refused.
        let ended = drafts.iter().position(|draft| !draft.waits(now_us)).unwrap_or(0);
        drafts.remove(ended);
    }
}
