//! Planning of a draft's steps: from a request to events, or to the reason why it cannot be.

use super::{
    change::{Change, ChangeError, change_names, plan_unapproved},
    drafts::{Draft, DraftContent, DraftEvent, DraftRefusal, DraftState, DraftStep},
    event::Body,
    slot_state::SlotState,
    state::State,
};
use crate::slot::{
    ChangeReason, FieldError, SlotId,
    limits::{DRAFT_BYTES_MAX, DRAFTS_BYTES_MAX, OPEN_DRAFTS_MAX, REASON_BYTES_MAX},
    shorten, suggestion,
};

/// Requested step of a draft.
#[derive(Debug, Clone, PartialEq)]
pub enum DraftRequest {
    /// Create a draft.
    Create {
        /// Change as the API's layer encoded it.
        encoded: Vec<u8>,
        /// Change as it would be made now.
        change: Change,
        /// Time from which the draft cannot be applied, microseconds since 1970, or `None` for the slot's lifetime of drafts.
        expires_us: Option<i64>,
    },
    /// Approve a draft.
    Approve(u64),
    /// Have a draft applied at a time.
    Schedule {
        /// Number of the draft.
        number: u64,
        /// The time, microseconds since 1970.
        apply_us: i64,
    },
    /// Apply a draft.
    Apply {
        /// Number of the draft.
        number: u64,
        /// Change of the draft, as it is made now.
        change: Change,
    },
    /// Discard a draft.
    Discard(u64),
}

fn refused_by_state(number: u64, why: impl Into<String>) -> ChangeError {
    DraftRefusal::State { number, why: why.into() }.into()
}

/// Returns the events that make a step of a draft at a time, or nothing if the draft is already so.
pub fn plan_draft(
    state: &State,
    now_us: i64,
    slot: &SlotId,
    request: DraftRequest,
    why: &ChangeReason,
) -> Result<Vec<Body>, ChangeError> {
    why.check()?;
    let Some(now) = state.slot(slot.as_str()) else {
        let suggestion = suggestion(slot.as_str(), state.slots().map(|(id, _)| id.as_str()));
        return Err(ChangeError::NotFound { slot: slot.clone(), suggestion });
    };
    if why.actor.principal.is_empty() {
        return Err(DraftRefusal::CallerUnknown.into());
    }
    let event = |number, step| Body::Draft(Box::new(DraftEvent { slot: slot.clone(), number, step, why: why.clone() }));
    let found = |number| {
        let missing = || DraftRefusal::NotFound { slot: slot.clone(), number };
        now.drafts.draft(number).ok_or_else(missing)
    };
    match request {
        DraftRequest::Create { encoded, change, expires_us } => {
            let (expires_us, number) = (expiry(now, now_us, expires_us)?, now.drafts.last + 1);
            check_limits(state, now, now_us, encoded.len())?;
            let changes = planned_changes(state, now, slot, change, why)?;
            Ok(vec![event(number, DraftStep::Created(DraftContent { change: encoded, changes, expires_us }))])
        }
        DraftRequest::Approve(number) => {
            let draft = found(number)?;
            check_waits(draft, now_us)?;
            if draft.created.why.actor.principal == why.actor.principal {
                return Err(DraftRefusal::Own(shorten(&why.actor.principal)).into());
            }
            Ok(if draft.approved.is_some() { Vec::new() } else { vec![event(number, DraftStep::Approved)] })
        }
        DraftRequest::Schedule { number, apply_us } => {
            let draft = found(number)?;
            check_approved(draft, now_us)?;
            if apply_us <= now_us || apply_us >= draft.content.expires_us {
                let message = "must be in the future, and before the draft expires";
                return Err(FieldError::new("apply_time", message).into());
            }
            Ok(vec![event(number, DraftStep::Scheduled(apply_us))])
        }
        DraftRequest::Apply { number, change } => {
            let draft = found(number)?;
            check_approved(draft, now_us)?;
            let made = plan_unapproved(state, slot, change, &why_of_revision(draft, why))?;
            let revision = now.revision_number() + u64::from(made.is_some());
            let mut applied =
                DraftEvent { slot: slot.clone(), number, step: DraftStep::Applied(revision), why: why.clone() };
            // A slot that gets another id has its draft under that one.
            if let Some(Body::SlotRenamed { to, .. }) = &made {
                applied.slot.clone_from(to);
            }
            Ok(made.into_iter().chain([Body::Draft(Box::new(applied))]).collect())
        }
        DraftRequest::Discard(number) => {
            let draft = found(number)?;
            if draft.closed.is_some() {
                check_waits(draft, now_us)?;
            }
            Ok(vec![event(number, DraftStep::Discarded)])
        }
    }
}

/// Returns the time at which a new draft expires.
fn expiry(now: &SlotState, now_us: i64, wanted_us: Option<i64>) -> Result<i64, FieldError> {
    let approval = now.definition().controls.approval.clone().unwrap_or_default();
    let latest_us = now_us.saturating_add(approval.draft_lifetime_us());
    let Some(wanted_us) = wanted_us else { return Ok(latest_us) };
    if wanted_us <= now_us || wanted_us > latest_us {
        let message = "must be in the future, and within the lifetime of the slot's drafts (controls.approval)";
        return Err(FieldError::new("expire_time", message));
    }
    Ok(wanted_us)
}

fn check_limits(state: &State, now: &SlotState, now_us: i64, bytes: usize) -> Result<(), ChangeError> {
    if bytes > DRAFT_BYTES_MAX {
        let message = format!("has {bytes} bytes; a draft has at most {DRAFT_BYTES_MAX}: draft it in parts");
        return Err(FieldError::new("change", message).into());
    }
    let waiting = now.drafts.drafts().iter().filter(|draft| draft.waits(now_us)).count();
    if waiting >= OPEN_DRAFTS_MAX {
        let message = format!(
            "{waiting} drafts of the slot wait, and there is room for no more; apply or discard some of them first"
        );
        return Err(DraftRefusal::Full(message).into());
    }
    let drafts = state.slots().flat_map(|(_, slot)| slot.drafts.drafts().iter());
    let all: usize = drafts.map(|draft| draft.content.change.len()).sum();
    if all + bytes > DRAFTS_BYTES_MAX {
        let message = format!(
            "the drafts of all slots have {all} bytes, and there is room for {DRAFTS_BYTES_MAX}; apply or discard some of them first"
        );
        return Err(DraftRefusal::Full(message).into());
    }
    Ok(())
}

/// Returns the names of the fields that a change would alter. It must be possible, and alter some.
fn planned_changes(
    state: &State,
    now: &SlotState,
    slot: &SlotId,
    change: Change,
    why: &ChangeReason,
) -> Result<Vec<String>, ChangeError> {
    let Some(body) = plan_unapproved(state, slot, change, why)? else {
        return Err(FieldError::new("change", "changes nothing: the slot is already so").into());
    };
    Ok(change_names(now.definition(), &body).into_iter().map(str::to_owned).collect())
}

fn check_approved(draft: &Draft, now_us: i64) -> Result<(), ChangeError> {
    check_waits(draft, now_us)?;
    if draft.approved.is_none() {
        let why = "is not approved; somebody else than its author approves it: slotwise drafts approve";
        return Err(refused_by_state(draft.number, why));
    }
    Ok(())
}

/// Checks that a draft did not end.
fn check_waits(draft: &Draft, now_us: i64) -> Result<(), ChangeError> {
    let why = match draft.state(now_us) {
        DraftState::Open | DraftState::Approved | DraftState::Scheduled => return Ok(()),
        DraftState::Stale => format!(
            "is stale: the slot changed by revision {}; create it again from the slot as it is now",
            draft.stale_since.unwrap_or_default()
        ),
        DraftState::Expired => "has expired; create it again".to_owned(),
        DraftState::Applied => format!("was applied already, as revision {}", draft.applied.unwrap_or_default()),
        DraftState::Discarded => "was discarded".to_owned(),
    };
    Err(refused_by_state(draft.number, why))
}

/// Returns the author and the reason of the revision that a draft becomes: those of the draft, and who approved it. Who
/// applies it is the caller.
fn why_of_revision(draft: &Draft, applied: &ChangeReason) -> ChangeReason {
    let ChangeReason { author, reason, actor: created } = &draft.created.why;
    let approver = draft.approved.as_ref().map(|step| step.why.actor.principal.as_str()).unwrap_or_default();
    let note = format!("draft {} by {}, approved by {}", draft.number, shorten(&created.principal), shorten(approver));
    let mut words: String = if reason.is_empty() { note.clone() } else { format!("{reason} ({note})") };
    if words.len() > REASON_BYTES_MAX {
        let room = REASON_BYTES_MAX - note.len() - " (…)".len() - '…'.len_utf8();
        let end = (0..=room).rev().find(|&end| reason.is_char_boundary(end)).unwrap_or(0);
        words = format!("{}… ({note})", &reason[..end]);
    }
    ChangeReason { author: author.clone(), reason: words, actor: applied.actor.clone() }
}
