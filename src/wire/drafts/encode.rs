//! Encoding of drafts.

use crate::{
    engine::{Draft, DraftState, SignedStep},
    slot::SlotId,
    wire::{encode::encode_timestamp, encode_slot::encode_actor, enums::ApiEnum as _, proto},
};

/// Encodes a draft as of a time, microseconds since 1970, without its change.
pub(super) fn encode_draft(slot: &SlotId, draft: &Draft, now_us: i64) -> proto::Draft {
    let Draft { number, revision, content, created, approved, scheduled, stale_since, closed, applied } = draft;
    let state = draft.state(now_us);
    let apply_us = scheduled.as_ref().filter(|_| state == DraftState::Scheduled).map(|(apply_us, _)| *apply_us);
    proto::Draft {
        slot_id: slot.to_string(),
        draft_id: u32::try_from(*number).unwrap_or(u32::MAX),
        state: state.number(),
        changes: content.changes.clone(),
        revision: *revision,
        created: Some(encode_step(created)),
        approved: approved.as_ref().map(encode_step),
        scheduled: scheduled.as_ref().map(|(_, step)| encode_step(step)),
        apply_time: apply_us.map(encode_timestamp),
        closed: closed.as_ref().map(encode_step),
        expire_time: Some(encode_timestamp(content.expires_us)),
        stale_since_revision: stale_since.unwrap_or_default(),
        applied_revision: applied.unwrap_or_default(),
    }
}

fn encode_step(SignedStep { at_us, why }: &SignedStep) -> proto::DraftStep {
    proto::DraftStep {
        time: Some(encode_timestamp(*at_us)),
        author: why.author.clone(),
        reason: why.reason.clone(),
        actor: (!why.actor.is_empty()).then(|| encode_actor(&why.actor)),
    }
}
