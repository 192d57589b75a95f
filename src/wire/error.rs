//! From our errors to gRPC's, with `google.rpc` details: the one map.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    engine::ChangeError,
    journal::AppendError,
    node::{ChangeFailure, DecideError, WriteError},
    slot::{FieldError, SlotId},
};

/// The domain of every `ErrorInfo`.
const DOMAIN: &str = "slotwise.v1";
/// When to try again after too much load: a few commits later.
const RETRY: Duration = Duration::from_millis(50);
/// When to try again while starting.
const RETRY_START: Duration = Duration::from_secs(1);

fn details(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new())
}

fn status(code: Code, message: impl Into<String>, details: ErrorDetails) -> Status {
    Status::with_error_details(code, message, details)
}

/// A field is missing, malformed or out of its range.
pub(super) fn field(error: &FieldError) -> Status {
    let mut details = details("FIELD_INVALID");
    details.add_bad_request_violation(&error.field, &error.message);
    status(Code::InvalidArgument, error.to_string(), details)
}

/// The node has not recovered yet.
pub(super) fn starting() -> Status {
    let mut details = details("STARTING");
    details.set_retry_info(Some(RETRY_START));
    status(Code::Unavailable, "the service is starting: it reads its journal; try again shortly", details)
}

/// There is no such slot; `field` is where it was named.
pub(super) fn slot_not_found(field: &str, slot: &SlotId, suggestion: &str) -> Status {
    let message = format!("slot '{slot}' not found{suggestion}");
    let mut details = details("SLOT_NOT_FOUND");
    details.add_bad_request_violation(field, &message);
    details.set_resource_info("slot", slot.as_str(), "", &message);
    status(Code::NotFound, message, details)
}

/// What could not be written.
pub(super) fn write(error: &WriteError) -> Status {
    let message = error.to_string();
    match error {
        // The commit may or may not have happened.
        WriteError::Journal(AppendError::Engine { .. }) | WriteError::Unanswered => {
            status(Code::Unknown, message, details("COMMIT_UNKNOWN"))
        }
        WriteError::Journal(AppendError::Full { .. }) => {
            let mut details = details("DISK_FULL");
            details.set_retry_info(Some(RETRY_START));
            details.add_precondition_failure_violation(
                "DISK",
                "journal",
                "make room on the disk; the service goes on by itself",
            );
            status(Code::ResourceExhausted, message, details)
        }
        WriteError::Journal(AppendError::Poisoned { .. }) | WriteError::Failed(_) => {
            let mut details = details("JOURNAL_FAILED");
            details.add_precondition_failure_violation("JOURNAL", "journal", "restart the service");
            status(Code::Unavailable, message, details)
        }
        WriteError::Busy => {
            let mut details = details("BUSY");
            details.set_retry_info(Some(RETRY));
            status(Code::ResourceExhausted, message, details)
        }
        WriteError::Stopped => {
            let mut details = details("DRAINING");
            details.set_retry_info(Some(RETRY_START));
            status(Code::Unavailable, message, details)
        }
    }
}

/// Why a decision was not made; `single` says that there is no batch whose index to name.
pub(super) fn decide(error: DecideError, single: bool) -> Status {
    let path = |index: usize| if single { String::new() } else { format!("requests[{index}]") };
    match error {
        DecideError::SlotNotFound { index, slot, suggestion } => {
            let prefix = path(index);
            let at = if single { "slot_id".to_owned() } else { format!("{prefix}.slot_id") };
            slot_not_found(&at, &slot, &suggestion)
        }
        DecideError::Field { index, error } => field(&error.within(&path(index))),
        DecideError::Write(error) => write(&error),
    }
}

/// Why a slot was not changed; `at` is where the request names the slot.
pub(super) fn change(error: ChangeFailure, at: &str) -> Status {
    match error {
        ChangeFailure::Write(error) => write(&error),
        ChangeFailure::Refused(refused) => {
            let message = refused.to_string();
            match refused {
                ChangeError::Exists(slot) => {
                    let mut details = details("SLOT_EXISTS");
                    details.add_bad_request_violation(at, &message);
                    details.set_resource_info("slot", slot.as_str(), "", &message);
                    status(Code::AlreadyExists, message, details)
                }
                ChangeError::NotFound { slot, suggestion } => slot_not_found(at, &slot, &suggestion),
                ChangeError::Stale { .. } => {
                    let mut details = details("REVISION_STALE");
                    details.add_precondition_failure_violation("REVISION", "slot.revision", &message);
                    status(Code::Aborted, message, details)
                }
                ChangeError::Field(error) => field(&error),
                ChangeError::Full(_) => {
                    let mut details = details("LIMIT_REACHED");
                    details.add_quota_failure_violation("slots", &message);
                    status(Code::ResourceExhausted, message, details)
                }
            }
        }
    }
}
