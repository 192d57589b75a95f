//! Errors of decoding.

use super::payload::NonFiniteNumber;
use crate::{engine::LearningFileError, slot::FieldError};

/// Reason why a record of the journal cannot be decoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not an event of the journal.
    #[error(transparent)]
    Malformed(#[from] prost::DecodeError),
    /// A field that every version writes is missing. A choice that only a newer version knows looks the same.
    #[error("{0} is missing")]
    Missing(String),
    /// A field has a number that this version does not know.
    #[error("{field} {number} is unknown; a newer version wrote it")]
    UnknownNumber {
        /// Name of the field.
        field: &'static str,
        /// Number in the field.
        number: u32,
    },
    /// An identifier is malformed.
    #[error(transparent)]
    Identifier(#[from] FieldError),
    /// A field that holds an id of 16 bytes has another length.
    #[error("{0} does not have 16 bytes")]
    Length(&'static str),
    /// Lists that belong together have several lengths.
    #[error("{0} have lists of several lengths")]
    UnequalLists(&'static str),
    /// A file of learning cannot be read.
    #[error("the learning that it holds {0}")]
    Learning(#[from] LearningFileError),
    /// A payload cannot be JSON.
    #[error("an arm's payload {0}")]
    Payload(#[from] NonFiniteNumber),
    /// The event is of an unknown kind without which the state would differ.
    #[error(
        "it is of the kind '{0}', which this program does not know and must not pass over; a newer program wrote it: start that one"
    )]
    UnknownKind(String),
    /// The event is of an unknown kind that has no effect on the state, and the reader asked for that event.
    #[error("it is of the kind '{0}', which this program does not know")]
    PassedOver(String),
}

impl DecodeError {
    /// Error of a missing field.
    pub(super) fn missing(field: impl Into<String>) -> Self {
        Self::Missing(field.into())
    }
}

/// The journal's readers report the rejection of a record as text.
impl From<DecodeError> for String {
    fn from(error: DecodeError) -> Self {
        error.to_string()
    }
}
