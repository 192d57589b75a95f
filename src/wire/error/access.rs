//! Statuses of calls that a caller may not make, or not so often.

use std::time::Duration;

use tonic::{Code, Status};

use super::{details, field, status};
use crate::slot::{FieldError, shorten};

/// Status of a call without a key, or with one that is not taken.
pub(crate) fn unauthenticated(reason: &str, message: &str) -> Status {
    status(Code::Unauthenticated, message, details(reason))
}

/// Status of a call for which its caller lacks a role.
pub(crate) fn role_missing(principal: &str, role: &str) -> Status {
    let message = format!(
        "'{}' may not make this call: it needs the role {role}; `slotwise keys create --role {role}` creates a key that has it",
        shorten(principal)
    );
    status(Code::PermissionDenied, message, details("ROLE_MISSING"))
}

/// Status of a call that its caller may not make from there.
pub(crate) fn forbidden(reason: &str, message: &str) -> Status {
    status(Code::PermissionDenied, message, details(reason))
}

/// Status of a change that cannot be undone and was not confirmed with the slot's id.
pub(crate) fn not_confirmed(slot: &str) -> Status {
    field(&FieldError::new("confirm", format!("type the slot's id, {slot}, to confirm")))
}

/// Status of a call to a slot that its caller may not reach. The slot may or may not exist.
pub(in crate::wire) fn slot_out_of_reach(principal: &str, slot: &str) -> Status {
    let slot = if slot == "*" { "all slots".to_owned() } else { format!("the slot '{}'", shorten(slot)) };
    let message = format!("'{}' may not reach {slot}; use a key whose patterns name it", shorten(principal));
    status(Code::PermissionDenied, message, details("SLOT_OUT_OF_REACH"))
}

/// Status of a call beyond the calls per second of its caller's key.
pub(crate) fn quota(principal: &str, calls_per_second: u32, wait: Duration) -> Status {
    let message = format!("'{}' makes more than its {calls_per_second} calls per second", shorten(principal));
    let mut details = details("KEY_QUOTA");
    details.set_retry_info(Some(wait));
    details.add_quota_failure_violation("key", &message);
    status(Code::ResourceExhausted, message, details)
}
