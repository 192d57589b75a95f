//! Settings of the profiles that shopper events make.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::slot::{Consent, Named as _};

/// The table `[profiles]` of the configuration: what is kept of shoppers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileSettings {
    /// Consent of a shopper event that states none: `full`, `session_only` or `none`.
    #[serde(deserialize_with = "consent", serialize_with = "consent_text")]
    pub default_consent: Consent,
    /// Time without an event after which a customer's profile is dropped, as in "180days"; at least a second. A session's
    /// is dropped after 30 minutes.
    #[serde(deserialize_with = "super::duration", serialize_with = "super::duration_text")]
    pub keep: Duration,
}

impl Default for ProfileSettings {
    fn default() -> Self {
        Self { default_consent: Consent::SessionOnly, keep: Duration::from_hours(180 * 24) }
    }
}

fn consent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Consent, D::Error> {
    let text = String::deserialize(deserializer)?;
    Consent::from_name(&text)
        .ok_or_else(|| D::Error::custom(format!("'{text}' is no consent; write full, session_only or none")))
}

/// Writes a consent as [`consent`] reads it. The signature is serde's.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference to the field")]
fn consent_text<S: Serializer>(consent: &Consent, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(consent.name())
}
