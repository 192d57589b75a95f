//! Patterns of slot ids.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest pattern, bytes.
const BYTES_MAX: usize = 128;

/// Slots by their ids: an id, or a text in which `*` stands for any characters, none included. *Persisted.*
///
/// ```
/// use slotwise::access::SlotPattern;
///
/// let pattern: SlotPattern = "search-*".parse().unwrap();
/// assert!(pattern.matches("search-home") && !pattern.matches("offers"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SlotPattern(String);

impl SlotPattern {
    /// Pattern that every id matches.
    pub fn all() -> Self {
        Self("*".to_owned())
    }

    /// Returns `true` if every id matches.
    pub fn is_all(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Returns `true` if the slot's id matches.
    pub fn matches(&self, slot: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| slot.strip_prefix(first)) else { return false };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }

    /// Text of the pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SlotPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-*".contains(&byte);
        if text.is_empty() || text.len() > BYTES_MAX || !text.bytes().all(allowed) {
            return Err(format!(
                "'{text}' is no pattern of slots: write an id, or letters, digits and . _ : - with * for any characters"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SlotPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SlotPattern> for String {
    fn from(pattern: SlotPattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, matching, others) in [
            ("offers", &["offers"][..], &["offers-2", "my-offers", ""][..]),
            ("*", &["", "a", "offers"], &[]),
            ("search-*", &["search-", "search-home"], &["search", "my-search-home"]),
            ("*-test", &["a-test", "-test"], &["test", "a-test-2"]),
            ("a*b*c", &["abc", "a1b2c", "abbcc"], &["ab", "acb", "abcd"]),
            ("a*a", &["aa", "aba"], &["a"]),
        ] {
            let pattern: SlotPattern = pattern.parse().unwrap();
            for slot in matching {
                assert!(pattern.matches(slot), "{pattern:?} {slot}");
            }
            for slot in others {
                assert!(!pattern.matches(slot), "{pattern:?} {slot}");
            }
        }
        for wrong in ["", "a b", "ä", "a/b"] {
            assert!(wrong.parse::<SlotPattern>().is_err(), "{wrong}");
        }
    }

    /// Matching by recursion, character by character.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|from| slow(rest, &text[from..])),
            [first, rest @ ..] => text.first() == Some(first) && slow(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_a_search_character_by_character(pattern in "[ab*]{1,8}", text in "[ab]{0,8}") {
            let fast: SlotPattern = pattern.parse().unwrap();
            prop_assert_eq!(fast.matches(&text), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
