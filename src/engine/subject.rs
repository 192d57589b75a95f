//! Subject: for whom a decision is.

use serde::{Deserialize, Serialize};

use crate::slot::Consent;

/// Person that a request is for; anonymous if both ids are empty. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// The subject's id, or an empty string.
    pub id: String,
    /// The session's id, or an empty string.
    pub session_id: String,
}

impl Subject {
    /// Returns the part of the subject that may be used under `consent`.
    #[must_use]
    pub fn as_far_as(mut self, consent: Consent) -> Self {
        match consent {
            Consent::Full => {}
            Consent::SessionOnly => self.id.clear(),
            Consent::None => self = Self::default(),
        }
        self
    }
}
