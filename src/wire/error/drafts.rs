//! Statuses of changes that need approval, and of the steps of drafts.

use tonic::{Code, Status};

use super::{details, field, status};
use crate::{
    engine::DraftRefusal,
    slot::{FieldError, SlotId},
};

/// Status of a change that a second person must approve.
pub(super) fn needs_approval(slot: &SlotId, message: &str) -> Status {
    let mut details = details("APPROVAL_REQUIRED");
    details.add_precondition_failure_violation("APPROVAL", slot.as_str(), message);
    status(Code::FailedPrecondition, message, details)
}

/// Status of an import that a second person would have to approve. Its reason differs, because a draft would not help.
pub(super) fn import_needs_approval(slot: &SlotId, message: &str) -> Status {
    let mut details = details("IMPORT_NEEDS_APPROVAL");
    details.add_precondition_failure_violation("APPROVAL", slot.as_str(), message);
    status(Code::FailedPrecondition, message, details)
}

/// Status of a step of a draft that cannot be made.
pub(super) fn refusal(refused: &DraftRefusal) -> Status {
    let message = refused.to_string();
    let precondition = |reason: &str, subject: &str| {
        let mut details = details(reason);
        details.add_precondition_failure_violation("DRAFT", subject, &message);
        status(Code::FailedPrecondition, message.clone(), details)
    };
    match refused {
        DraftRefusal::CallerUnknown => precondition("CALLER_UNKNOWN", "key"),
        DraftRefusal::State { number, .. } => precondition("DRAFT_STATE", &format!("draft {number}")),
        DraftRefusal::NotFound { number, .. } => {
            let mut details = details("DRAFT_NOT_FOUND");
            details.add_bad_request_violation("draft_id", &message);
            details.set_resource_info("draft", number.to_string(), "", &message);
            status(Code::NotFound, message, details)
        }
        DraftRefusal::Own(_) => status(Code::PermissionDenied, message, details("OWN_DRAFT")),
        DraftRefusal::Full(_) => {
            let mut details = details("LIMIT_REACHED");
            details.add_quota_failure_violation("drafts", &message);
            status(Code::ResourceExhausted, message, details)
        }
    }
}

/// Status of a draft whose change cannot be read, because another version wrote it.
pub(in crate::wire) fn unreadable_draft(why: &str) -> Status {
    field(&FieldError::new("draft_id", format!("names a draft that this program cannot read ({why}); create it again")))
}
