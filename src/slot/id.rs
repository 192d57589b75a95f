//! Identifiers, and the error of a field.

use std::{
    borrow::Borrow,
    fmt::{self, Write as _},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::limits::{ID_BYTES_MAX, SLOT_ID_BYTES_MAX};

/// Error of a field that is missing, malformed or out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// Path of the field, as the API writes it: `controls.floor`, `arms[2].arm_id`.
    pub field: String,
    /// Message that says what is wrong and what to do.
    pub message: String,
}

impl FieldError {
    /// Creates an error at `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// Returns the error with `prefix` before its path.
    #[must_use]
    pub fn within(self, prefix: &str) -> Self {
        if prefix.is_empty() { self } else { Self { field: format!("{prefix}.{}", self.field), ..self } }
    }
}

/// Longest text of a caller that an error repeats, in bytes.
const SHORT_BYTES_MAX: usize = 80;

/// Returns the text in the form in which an error or a log line repeats it: with control characters escaped, and with an
/// ellipsis after 80 bytes.
///
/// A caller's text may have megabytes, and a terminal obeys its control characters.
pub fn shorten(text: &str) -> String {
    let mut short = String::with_capacity(text.len().min(SHORT_BYTES_MAX + 8));
    for character in text.chars() {
        let before = short.len();
        if reorders_or_controls(character) {
            push_escaped(&mut short, character);
        } else {
            short.push(character);
        }
        if short.len() > SHORT_BYTES_MAX {
            short.truncate(before);
            short.push('…');
            break;
        }
    }
    short
}

/// Returns the [shortened](shorten) key in quotation marks, as a field's path writes it: `context["price"]`.
pub fn shorten_key(key: &str) -> String {
    format!("\"{}\"", shorten(key).replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns `true` for a character that a terminal obeys instead of showing it: the control characters, and those that
/// break lines or reorder what stands around them.
pub fn reorders_or_controls(character: char) -> bool {
    let reorders = matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || reorders
}

/// Appends a character as JSON escapes it: `\u001b`.
pub fn push_escaped(to: &mut String, character: char) {
    // Writing to a string cannot fail.
    let _ = write!(to, "\\u{:04x}", u32::from(character));
}

/// Checks a slot's id: `[A-Za-z0-9][A-Za-z0-9._:-]{0,127}`.
fn check_slot_id(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.len() > SLOT_ID_BYTES_MAX {
        return Err(format!("has {} bytes; at most {SLOT_ID_BYTES_MAX} are allowed", text.len()));
    }
    let well_formed = |(i, byte): (usize, u8)| byte.is_ascii_alphanumeric() || (i > 0 && b"._:-".contains(&byte));
    if text.bytes().enumerate().all(well_formed) {
        Ok(())
    } else {
        let short = shorten(text);
        Err(format!("'{short}' is not allowed: letters, digits and . _ : - only, and the first a letter or digit"))
    }
}

/// Checks any other id: 1 to 256 bytes of UTF-8 without control characters.
///
/// Callers choose their ids: a shop's product number may have spaces, slashes and quotation marks, and a subject's id may
/// be an address. Ids are compared byte by byte and never normalised.
fn check_text_id(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.len() > ID_BYTES_MAX {
        return Err(format!("'{}' has {} bytes; at most {ID_BYTES_MAX} are allowed", shorten(text), text.len()));
    }
    match text.chars().find(|character| character.is_control()) {
        None => Ok(()),
        Some(control) => Err(format!(
            "'{}' contains the control character U+{:04X}; an id has none",
            shorten(text),
            u32::from(control)
        )),
    }
}

/// Checks the id of a request, event, decision, subject or session: 1 to 256 bytes of UTF-8 without control characters.
pub fn check_token(field: &str, text: &str) -> Result<(), FieldError> {
    check_text_id(text).map_err(|message| FieldError::new(field, message))
}

/// Returns the name among `known` that `given` was most likely meant to be, as a half sentence ("; did you mean
/// 'offers'?"), or an empty text if none is near.
pub fn suggestion<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
    // A name of that length is no misspelling, and comparing it with thousands of names takes seconds.
    if given.len() > ID_BYTES_MAX {
        return String::new();
    }
    // A catalogue may have thousands of names, and the first few thousand are enough for a guess.
    let near = known.take(2_000).map(|name| (strsim::osa_distance(given, name), name)).min();
    match near {
        Some((distance, name)) if distance <= 2.max(given.len() / 4) => format!("; did you mean '{}'?", shorten(name)),
        _ => String::new(),
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text; the error names `field`.
            pub fn parse(field: &str, text: &str) -> Result<Self, FieldError> {
                $check(text).map_err(|message| FieldError::new(field, message))?;
                Ok(Self(text.into()))
            }

            /// Id as text.
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
    /// Id of a slot: `[A-Za-z0-9][A-Za-z0-9._:-]{0,127}`. *Persisted.*
    SlotId, check_slot_id
}
impl SlotId {
    /// Creates an id that no slot has.
    pub(super) fn empty() -> Self {
        Self("".into())
    }
}

identifier! {
    /// Id of an arm: 1 to 256 bytes of UTF-8 without control characters, compared byte by byte. *Persisted.*
    ArmId, check_text_id
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
    fn ids_of_arms_and_subjects_are_taken_as_they_are() {
        let long = "é".repeat(128);
        let good = [
            "SK DEADPAUL1",
            "gid://shopify/Product/7967",
            "8472-998/XL",
            "josé@example.com",
            "a\"b\\c=1,2",
            " ",
            &long,
        ];
        for good in good {
            assert_eq!(ArmId::parse("arm_id", good).unwrap().as_str(), good);
            assert!(check_token("subject.id", good).is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "\u{7f}", "\u{85}", "\u{1b}[2J", &"é".repeat(129)] {
            assert_eq!(ArmId::parse("arm_id", bad).unwrap_err().field, "arm_id", "{bad:?}");
            assert_eq!(check_token("request_id", bad).unwrap_err().field, "request_id", "{bad:?}");
        }
        // Composed and decomposed are two ids.
        let (composed, decomposed) = (ArmId::parse("arm_id", "\u{e9}"), ArmId::parse("arm_id", "e\u{301}"));
        assert_ne!(composed.unwrap(), decomposed.unwrap());
    }

    #[test]
    fn a_caller_s_text_is_repeated_shortened_and_escaped() {
        assert_eq!(shorten("josé"), "josé");
        assert_eq!(shorten("\u{1b}[2J\n"), r"\u001b[2J\u000a");
        assert_eq!(shorten(&"k".repeat(5_000)), format!("{}…", "k".repeat(80)));
        assert!(shorten(&"é".repeat(5_000)).len() <= 83);
        assert_eq!(shorten_key(r#"a"b\c"#), r#""a\"b\\c""#);
        assert!(SlotId::parse("slot_id", &"\u{1b}".repeat(100)).unwrap_err().to_string().len() < 250);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_id_without_control_characters_is_an_id(id in crate::slot::any_id(), text in crate::slot::any_text()) {
            assert_eq!(ArmId::parse("arm_id", &id).unwrap().as_str(), id);
            let fit = !text.chars().any(char::is_control) && text.len() <= ID_BYTES_MAX;
            assert_eq!(ArmId::parse("arm_id", &text).is_ok(), fit, "{text:?}");
            assert_eq!(check_token("event_id", &text).is_ok(), fit, "{text:?}");
        }

        #[test]
        fn what_is_repeated_is_short_and_shows(text in crate::slot::any_text(), times in 1..200_usize) {
            let long = text.repeat(times);
            for short in [shorten(&long), shorten_key(&long)] {
                assert!(short.len() <= 2 * SHORT_BYTES_MAX + 8 && !short.contains(reorders_or_controls), "{short}");
            }
            assert!(!FieldError::new("f", suggestion(&long, [long.as_str()].into_iter())).message.contains(char::is_control));
        }
    }

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        let known = ["offers", "search", "email"];
        assert_eq!(suggestion("ofers", known.into_iter()), "; did you mean 'offers'?");
        assert_eq!(suggestion("checkout-page", known.into_iter()), "");
    }
}
