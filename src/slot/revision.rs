//! Revisions of a definition: who changed it, when and why.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    definition::Definition,
    id::FieldError,
    limits::{ACTOR_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, REASON_BYTES_MAX},
};

/// Caller of a change as the service saw it, in addition to the author's own statement. *Persisted.*
///
/// A change from before actors were recorded, or from inside the process, has an empty actor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Actor {
    /// Name that the caller authenticated as; empty while the service knows no keys.
    pub principal: String,
    /// Network address that the call came from; empty if it came from no network.
    pub origin: String,
    /// Id of the call: the caller's own, or one that the service gave it.
    pub request_id: String,
}

impl Actor {
    /// Returns whether nothing is known of the caller.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Author of a change and the reason for it. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChangeReason {
    /// Name that the author gave, which may be empty.
    pub author: String,
    /// Reason in the author's words, which may be empty.
    pub reason: String,
    /// Caller as the service saw it.
    #[serde(default, skip_serializing_if = "Actor::is_empty")]
    pub actor: Actor,
}

impl ChangeReason {
    /// Creates the reason of a change whose caller is not known.
    pub fn new(author: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { author: author.into(), reason: reason.into(), actor: Actor::default() }
    }

    /// Checks the lengths of its texts.
    ///
    /// # Errors
    ///
    /// A text is too long. The error names its field.
    pub fn check(&self) -> Result<(), FieldError> {
        let Actor { principal, origin, request_id } = &self.actor;
        for (field, text, most) in [
            ("reason", &self.reason, REASON_BYTES_MAX),
            ("author", &self.author, DISPLAY_NAME_BYTES_MAX),
            ("actor.principal", principal, ACTOR_BYTES_MAX),
            ("actor.origin", origin, ACTOR_BYTES_MAX),
            ("actor.request_id", request_id, ACTOR_BYTES_MAX),
        ] {
            if text.len() > most {
                return Err(FieldError::new(field, format!("has more than {most} bytes")));
            }
        }
        Ok(())
    }

    /// Returns whether the same person says the same of another change; each call has its own request id and port.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        (&self.author, &self.reason, &self.actor.principal) == (&other.author, &other.reason, &other.actor.principal)
    }
}

/// Definition as it was after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Number of the revision, from 1.
    pub number: u64,
    /// Time of the change, microseconds since 1970.
    pub at_us: i64,
    /// Author of the change and the reason for it.
    pub why: ChangeReason,
    /// Kind of the change.
    pub change: String,
    /// Definition after the change.
    pub definition: Arc<Definition>,
    /// Size without the arms that it shares with the revision before, bytes.
    pub own_bytes: u64,
}
