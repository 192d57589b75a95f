//! gRPC statuses with `google.rpc` details. Every error of the service becomes a status here.

mod access;
mod drafts;

use std::{collections::HashMap, time::Duration};

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub(super) use access::slot_out_of_reach;
pub(crate) use access::{forbidden, not_confirmed, quota, role_missing, unauthenticated};
pub(super) use drafts::unreadable_draft;

use crate::{
    engine::{ChangeError, LearningFileError},
    journal::AppendError,
    node::{ChangeFailure, DecideError, HindsightError, ReadingError, WriteError, time_text},
    slot::{ChangeReason, FieldError, SlotId, push_escaped, reorders_or_controls, shorten},
};

/// Domain of every `ErrorInfo`.
const DOMAIN: &str = "slotwise.v1";
/// Time to wait after too much load: a few commits.
const RETRY: Duration = Duration::from_millis(200);
/// Time to wait while the service starts.
const RETRY_START: Duration = Duration::from_secs(1);

fn details(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new())
}

/// Greatest number of bytes of an error's message as sent. A byte outside printable ASCII is sent as three.
const MESSAGE_BYTES_MAX: usize = 1_500;
/// Greatest number of bytes of each text in an error's details.
const DETAIL_BYTES_MAX: usize = 700;
/// Greatest number of bytes of a field's path.
const FIELD_BYTES_MAX: usize = 300;
/// Greatest number of violations that an error names.
const VIOLATIONS_MAX: usize = 2;

/// Makes a status. No other function of this module makes one.
///
/// Invariant: message and details fit into 8 KiB of trailers. Clients report a status with larger trailers as
/// `RESOURCE_EXHAUSTED`, and send it again.
fn status(code: Code, message: impl Into<String>, mut details: ErrorDetails) -> Status {
    if let Some(mut bad) = details.bad_request().cloned() {
        bad.field_violations.truncate(VIOLATIONS_MAX);
        for violation in &mut bad.field_violations {
            violation.field = cut(&violation.field, FIELD_BYTES_MAX);
            violation.description = cut(&violation.description, DETAIL_BYTES_MAX);
        }
        details.set_bad_request(bad.field_violations);
    }
    if let Some(mut failed) = details.precondition_failure().cloned() {
        for violation in &mut failed.violations {
            violation.description = cut(&violation.description, DETAIL_BYTES_MAX);
        }
        details.set_precondition_failure(failed.violations);
    }
    if let Some(mut quota) = details.quota_failure().cloned() {
        for violation in &mut quota.violations {
            violation.description = cut(&violation.description, DETAIL_BYTES_MAX);
        }
        details.set_quota_failure(quota.violations);
    }
    if let Some(info) = details.resource_info().cloned() {
        let description = cut(&info.description, DETAIL_BYTES_MAX);
        details.set_resource_info(info.resource_type, info.resource_name, info.owner, description);
    }
    Status::with_error_details(code, cut(&plain_marks(&message.into()), MESSAGE_BYTES_MAX), details)
}

/// Returns a message without `?` and `#`. gRPC sends them percent-encoded, and grpc-js, which decodes with `decodeURI`, leaves
/// `%3F` and `%23` as they are. A question mark at the end of a clause is dropped; in a caller's text, the full-width
/// form of the same mark stands for it.
fn plain_marks(message: &str) -> String {
    let mut plain = String::with_capacity(message.len());
    let mut rest = message.chars().peekable();
    while let Some(character) = rest.next() {
        let ends_clause = rest.peek().is_none_or(|next| " ;,.)".contains(*next));
        match character {
            '?' if ends_clause => {}
            '?' => plain.push('\u{ff1f}'),
            '#' => plain.push('\u{ff03}'),
            other => plain.push(other),
        }
    }
    plain
}

/// Returns a text without control characters, cut so that at most `limit` bytes are sent.
fn cut(text: &str, limit: usize) -> String {
    let mut short = String::with_capacity(text.len().min(limit));
    let mut bytes = 0;
    for character in text.chars() {
        let mut escaped = String::new();
        if reorders_or_controls(character) && character != '\n' {
            push_escaped(&mut escaped, character);
        } else {
            escaped.push(character);
        }
        bytes += escaped.bytes().map(|byte| if (b' '..=b'~').contains(&byte) { 1 } else { 3 }).sum::<usize>();
        if bytes > limit {
            short.push('…');
            break;
        }
        short.push_str(&escaped);
    }
    short
}

/// Encodes a status as the result of one request of several.
pub(super) fn as_message(status: &Status) -> tonic_types::Status {
    // The details of a status are this message, encoded.
    let details = tonic_types::Status::decode(status.details()).map(|status| status.details).unwrap_or_default();
    tonic_types::Status { code: status.code().into(), message: status.message().to_owned(), details }
}

/// Status of a field that is missing, malformed or out of its range.
pub(super) fn field(error: &FieldError) -> Status {
    let mut details = details("FIELD_INVALID");
    details.add_bad_request_violation(&error.field, &error.message);
    status(Code::InvalidArgument, error.to_string(), details)
}

/// Status of a call that comes before the node has recovered.
pub(super) fn starting() -> Status {
    let mut details = details("STARTING");
    details.set_retry_info(Some(RETRY_START));
    status(Code::Unavailable, "the service is starting: it reads its journal; try again shortly", details)
}

/// Status of a call that exceeds the limits on simultaneous load.
pub(crate) fn too_much(message: &str) -> Status {
    let mut details = details("TOO_MUCH_AT_ONCE");
    details.set_retry_info(Some(RETRY_START));
    status(Code::ResourceExhausted, message, details)
}

/// Status of a call that names an unknown slot in `field`.
pub(super) fn slot_not_found(field: &str, slot: &SlotId, suggestion: &str) -> Status {
    let message = format!("slot '{slot}' not found{suggestion}");
    let mut details = details("SLOT_NOT_FOUND");
    details.add_bad_request_violation(field, &message);
    details.set_resource_info("slot", slot.as_str(), "", &message);
    status(Code::NotFound, message, details)
}

/// Status of learning that makes no file.
pub(super) fn learning(slot: &SlotId, why: &LearningFileError) -> Status {
    let message = format!("the learning of slot '{slot}' {why}");
    match why {
        LearningFileError::TooLarge(_) => status(Code::OutOfRange, message, details("LEARNING_TOO_LARGE")),
        LearningFileError::Foreign
        | LearningFileError::Newer(_)
        | LearningFileError::Length { .. }
        | LearningFileError::Checksum
        | LearningFileError::Body(_)
        | LearningFileError::Inconsistent(_) => status(Code::Internal, message, details("LEARNING_UNREADABLE")),
    }
}

/// Status of a simulator's call to a slot for real shoppers.
pub(super) fn simulated(slot: &SlotId) -> Status {
    let message = format!(
        "slot '{slot}' is for real shoppers, and this call is of a simulator (header slotwise-simulated); set controls.simulated on a slot that is for it"
    );
    let mut details = details("SIMULATED_TRAFFIC");
    details.add_precondition_failure_violation("SIMULATED", slot.as_str(), &message);
    status(Code::FailedPrecondition, message, details)
}

/// Status of a failed write.
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
        WriteError::Journal(AppendError::Busy { .. }) => {
            let mut details = details("JOURNAL_BUSY");
            details.set_retry_info(Some(RETRY_START));
            details.add_precondition_failure_violation(
                "JOURNAL",
                "journal",
                "end the other program that writes to the journal; the service goes on by itself",
            );
            status(Code::Unavailable, message, details)
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

/// Status of a request that was not decided.
pub(super) fn decide(error: &DecideError) -> Status {
    match error {
        DecideError::SlotNotFound { slot, suggestion } => slot_not_found("slot_id", slot, suggestion),
        DecideError::Field(error) => field(error),
    }
}

/// Latest change of a slot, which the caller did not know.
pub(super) struct LatestChange<'a> {
    pub(super) revision: u64,
    pub(super) change: &'a str,
    pub(super) at_us: i64,
    pub(super) why: &'a ChangeReason,
}

/// Status of a change that was made from an older revision. It says who changed the slot last and which `fields` differ
/// since.
pub(super) fn stale(slot: &SlotId, given: u64, latest: &LatestChange<'_>, fields: &[String]) -> Status {
    /// Greatest number of fields that are named.
    const FIELDS_MAX: usize = 5;
    let LatestChange { revision, change, at_us, why } = latest;
    let who = if why.author.is_empty() { "somebody".to_owned() } else { shorten(&why.author) };
    let reason =
        if why.reason.is_empty() { String::new() } else { format!(", for the reason \"{}\"", shorten(&why.reason)) };
    let named: Vec<String> = fields.iter().take(FIELDS_MAX).map(|field| shorten(field)).collect();
    let named = named.join(", ");
    let since = match fields.len() {
        0 => String::new(),
        1..=FIELDS_MAX => format!("; changed since {given}: {named}"),
        all => format!("; changed since {given}: {named} and {} more", all - FIELDS_MAX),
    };
    let message = format!(
        "slot '{slot}' is at revision {revision}, the change was made from {given}: {who} changed it last, at {} ({change}){reason}{since}; read the slot again and make the change from what it is now, or give revision 0 to overwrite what others changed",
        time_text(*at_us),
    );
    let mut details = details("REVISION_STALE");
    details.add_precondition_failure_violation("REVISION", "slot.revision", &message);
    status(Code::Aborted, message, details)
}

/// Status of a message of a stream that is in error. The messages before it were applied.
pub(super) fn in_message(error: &Status, index: usize) -> Status {
    let mut details = error.get_error_details();
    if let Some(mut bad) = details.bad_request().cloned() {
        for violation in &mut bad.field_violations {
            violation.field = format!("messages[{index}].{}", violation.field);
        }
        details.set_bad_request(bad.field_violations);
    }
    let before = match index {
        0 => "no message was applied".to_owned(),
        1 => "the message before it was applied".to_owned(),
        many => format!("the {many} messages before it were applied"),
    };
    status(error.code(), format!("messages[{index}]: {}; {before}", error.message()), details)
}

/// Status of a preview or an explanation that failed.
pub(super) fn hindsight(error: HindsightError) -> Status {
    match error {
        HindsightError::Change(failure) => change(failure, "slot.slot_id"),
        HindsightError::Read(why) => status(Code::Internal, why.to_string(), details("JOURNAL_UNREADABLE")),
        HindsightError::Unknown(message) => {
            let mut details = details("DECISION_NOT_FOUND");
            details.add_bad_request_violation("decision_id", &message);
            status(Code::NotFound, message, details)
        }
    }
}

/// Status of ids that could not be taken out of their table.
pub(super) fn table(message: String) -> Status {
    status(Code::Unavailable, message, details("TABLE_UNWRITABLE"))
}

/// Status of a comparison or an export that ended early.
pub(super) fn reading(error: ReadingError) -> Status {
    match error {
        ReadingError::Unreadable(why) => status(Code::Internal, why, details("JOURNAL_UNREADABLE")),
        busy @ ReadingError::Busy => too_much(&busy.to_string()),
        ReadingError::Cancelled => status(Code::Cancelled, "the caller ended it".to_owned(), details("CANCELLED")),
    }
}

/// Status of a change that was not made. `slot_field` is the field in which the request names the slot.
pub(super) fn change(error: ChangeFailure, slot_field: &str) -> Status {
    match error {
        ChangeFailure::Write(error) => write(&error),
        ChangeFailure::Refused(refused) => {
            let message = refused.to_string();
            match refused {
                ChangeError::Exists(slot) => {
                    let mut details = details("SLOT_EXISTS");
                    details.add_bad_request_violation(slot_field, &message);
                    details.set_resource_info("slot", slot.as_str(), "", &message);
                    status(Code::AlreadyExists, message, details)
                }
                ChangeError::NotFound { slot, suggestion } => slot_not_found(slot_field, &slot, &suggestion),
                ChangeError::Stale { slot, given, current, change, at_us, why } => {
                    stale(&slot, given, &LatestChange { revision: current, change: &change, at_us, why: &why }, &[])
                }
                ChangeError::Field(error) => field(&error),
                ChangeError::NeedsApproval { slot, changes: _ } => drafts::needs_approval(&slot, &message),
                ChangeError::ImportNeedsApproval(slot) => drafts::import_needs_approval(&slot, &message),
                ChangeError::Draft(refused) => drafts::refusal(&refused),
                ChangeError::ItemsFull(_) => {
                    let mut details = details("LIMIT_REACHED");
                    details.add_quota_failure_violation("items", &message);
                    status(Code::ResourceExhausted, message, details)
                }
                ChangeError::Full(_) => {
                    let mut details = details("LIMIT_REACHED");
                    details.add_quota_failure_violation("slots", &message);
                    status(Code::ResourceExhausted, message, details)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_contains_characters_that_clients_show_encoded() {
        let slot = SlotId::parse("slot_id", "offers").unwrap();
        let bad = FieldError::new("arms[0].arm_id", "'what? #1' is unknown; did you mean 'a?b'? (see the docs)");
        let messages = [
            field(&bad),
            slot_not_found("slot_id", &slot, "; did you mean 'offer'?"),
            in_message(&field(&bad), 1),
            decide(&DecideError::Field(bad.clone())),
            hindsight(HindsightError::Unknown("no decision '?#'".to_owned())),
        ];
        for status in &messages {
            assert!(!status.message().contains(['?', '#']), "{}", status.message());
        }
        assert_eq!(
            messages[0].message(),
            "arms[0].arm_id: 'what \u{ff03}1' is unknown; did you mean 'a\u{ff1f}b' (see the docs)"
        );
        let violation = &messages[0].get_details_bad_request().unwrap().field_violations[0];
        assert_eq!(violation.description, bad.message, "the details hold the text as it was");
    }

    #[test]
    fn every_status_with_a_text_is_made_here() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if !path.is_file() || path.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for maker in [
                "Status::new(",
                "Status::with_",
                "Status::invalid_argument(",
                "Status::internal(",
                "Status::not_found(",
            ] {
                assert!(!text.contains(maker), "{} makes a status with {maker}", path.display());
            }
        }
    }
}
