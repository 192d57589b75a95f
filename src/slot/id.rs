//! Identifiers, and the error that names a field.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::limits::ID_BYTES_MAX;

/// A field is missing, malformed or out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// The field's path, as the contract writes it: `controls.floor`, `arms[2].arm_id`.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl FieldError {
    /// An error at `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// The same error with `prefix` before its path.
    #[must_use]
    pub fn within(self, prefix: &str) -> Self {
        if prefix.is_empty() { self } else { Self { field: format!("{prefix}.{}", self.field), ..self } }
    }
}

fn check_identifier(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.len() > ID_BYTES_MAX {
        return Err(format!("has {} bytes; at most {ID_BYTES_MAX} are allowed", text.len()));
    }
    let well_formed = |(i, byte): (usize, u8)| byte.is_ascii_alphanumeric() || (i > 0 && b"._:-".contains(&byte));
    if text.bytes().enumerate().all(well_formed) {
        Ok(())
    } else {
        Err(format!("{text:?} is not allowed: letters, digits and . _ : - only, and the first a letter or digit"))
    }
}

/// Checks a request, event, decision or subject id: printable ASCII, 1 to 128 characters.
pub fn check_token(field: &str, text: &str) -> Result<(), FieldError> {
    if text.is_empty() {
        return Err(FieldError::new(field, "must not be empty"));
    }
    if text.len() > ID_BYTES_MAX {
        return Err(FieldError::new(field, format!("has {} bytes; at most {ID_BYTES_MAX} are allowed", text.len())));
    }
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        Ok(())
    } else {
        Err(FieldError::new(field, "must be printable ASCII"))
    }
}

/// The name among `known` that `given` was most likely meant to be, as a half sentence ("; did you mean 'offers'?"), or nothing.
pub fn suggestion<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
    // A catalogue may have thousands of names: the first few thousand are enough to guess from.
    let near = known.take(2_000).map(|name| (strsim::osa_distance(given, name), name)).min();
    match near {
        Some((distance, name)) if distance <= 2.max(given.len() / 4) => format!("; did you mean '{name}'?"),
        _ => String::new(),
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the form `[A-Za-z0-9][A-Za-z0-9._:-]{0,127}`; the error names `field`.
            pub fn parse(field: &str, text: &str) -> Result<Self, FieldError> {
                check_identifier(text).map_err(|message| FieldError::new(field, message))?;
                Ok(Self(text.into()))
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

identifier! {
    /// A slot's id. *Persisted.*
    SlotId
}
impl SlotId {
    /// An id that no slot has.
    pub(super) fn empty() -> Self {
        Self("".into())
    }
}

identifier! {
    /// An arm's id. *Persisted.*
    ArmId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_checked_to_the_letter() {
        for good in ["a", "0", "A-b_c.d:e", &"x".repeat(128)] {
            assert!(SlotId::parse("slot_id", good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "ä", &"x".repeat(129)] {
            let error = SlotId::parse("slot_id", bad).unwrap_err();
            assert_eq!(error.field, "slot_id", "{bad}");
        }
    }

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        let known = ["offers", "search", "email"];
        assert_eq!(suggestion("ofers", known.into_iter()), "; did you mean 'offers'?");
        assert_eq!(suggestion("checkout-page", known.into_iter()), "");
    }
}
