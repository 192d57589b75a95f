//! Revisions of a definition: who changed it, when and why.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::definition::Definition;

/// Caller of a change as the service saw it, beside what the author says of themselves. *Persisted.*
///
/// A change that was made before actors were recorded, or inside the process, has an empty one.
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

/// Who makes a change, and why. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChangeReason {
    /// Who, as they call themselves; may be empty.
    pub author: String,
    /// In the author's words; may be empty.
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

    /// Returns whether the same person says the same of another change; each call has its own request id and port.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        (&self.author, &self.reason, &self.actor.principal) == (&other.author, &other.reason, &other.actor.principal)
    }
}

/// A definition as it was after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Its number, from 1.
    pub number: u64,
    /// When it was made, microseconds since 1970.
    pub at_us: i64,
    /// Who made it, and why.
    pub why: ChangeReason,
    /// What kind of change it was.
    pub change: String,
    /// The definition after it.
    pub definition: Arc<Definition>,
    /// Bytes that it takes beside the arms that it shares with the revision before it.
    pub own_bytes: u64,
}
