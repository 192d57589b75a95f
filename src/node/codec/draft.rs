//! Conversion of the steps of drafts to the journal's messages and back.

use super::{
    decode::{DecodeResult, parse_slot_id},
    error::DecodeError,
    log,
};
use crate::{
    engine::{DraftContent, DraftEvent, DraftStep},
    slot::{Actor, ChangeReason},
};

pub(super) fn encode_draft(DraftEvent { slot, number, step, why }: &DraftEvent) -> log::Draft {
    use log::draft::Step as Out;
    let step = match step {
        DraftStep::Created(DraftContent { change, changes, expires_us }) => Out::Created(log::DraftCreated {
            change: change.clone(),
            changes: changes.clone(),
            expires_us: *expires_us,
        }),
        DraftStep::Approved => Out::Approved(log::NoParameters {}),
        DraftStep::Scheduled(apply_us) => Out::ScheduledUs(*apply_us),
        DraftStep::Applied(revision) => Out::Applied(*revision),
        DraftStep::Discarded => Out::Discarded(log::NoParameters {}),
    };
    let (slot_id, number) = (slot.to_string(), *number);
    log::Draft { slot_id, number, reason: why.reason.clone(), author: why.author.clone(), step: Some(step) }
}

pub(super) fn decode_draft(draft: log::Draft, actor: Actor) -> DecodeResult<DraftEvent> {
    use log::draft::Step as In;
    let log::Draft { slot_id, number, reason, author, step } = draft;
    let step = match step.ok_or_else(|| DecodeError::missing("which step of a draft"))? {
        In::Created(log::DraftCreated { change, changes, expires_us }) => {
            DraftStep::Created(DraftContent { change, changes, expires_us })
        }
        In::Approved(log::NoParameters {}) => DraftStep::Approved,
        In::ScheduledUs(apply_us) => DraftStep::Scheduled(apply_us),
        In::Applied(revision) => DraftStep::Applied(revision),
        In::Discarded(log::NoParameters {}) => DraftStep::Discarded,
    };
    let why = ChangeReason { author, reason, actor };
    Ok(DraftEvent { slot: parse_slot_id(&slot_id)?, number, step, why })
}
