//! Decision ids, and the hash from which seeds, holdouts and lookup keys come.

use std::{fmt, hash::Hasher as _};

use data_encoding::BASE32_DNSSEC;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// 128-bit hash that stands for a longer value. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Hash128(u64, u64);

impl Hash128 {
    /// Returns a number in [0, 1), uniform over all hashes.
    pub fn fraction(self) -> f64 {
        // The top 53 bits fill a double's mantissa.
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Creates a key from its two words.
    pub(super) fn from_words(word: u64, other: u64) -> Self {
        Self(word, other)
    }

    /// First 64 bits.
    pub fn word(self) -> u64 {
        self.0
    }

    /// Other 64 bits.
    pub fn other_word(self) -> u64 {
        self.1
    }
}

/// Hashes `parts` under a purpose that separates one use from another. The hash is the same on every machine.
///
/// Source: Aumasson & Bernstein, *SipHash* (2012), the 128-bit variant with 1 and 3 rounds.
pub fn hash(purpose: &str, parts: &[&[u8]]) -> Hash128 {
    let mut hasher = SipHasher13::new();
    for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
        hasher.write_u64(part.len() as u64);
        hasher.write(part);
    }
    let hash = hasher.finish128();
    Hash128(hash.h1, hash.h2)
}

/// Id of a decision: the slot's number, the time of the decision, and 48 random bits. *Persisted.*
///
/// The slot's number routes rewards. The time distinguishes a late reward from an unknown one after the decision itself
/// was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DecisionId([u8; 16]);

impl DecisionId {
    /// Creates an id for a decision of slot number `slot` at `at_us`, microseconds since 1970. Only the low 48 bits of
    /// `random` count.
    pub fn new(slot: u32, at_us: i64, random: u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&slot.to_be_bytes());
        bytes[4..10].copy_from_slice(&(at_us.max(0) / 1000).to_be_bytes()[2..]);
        bytes[10..].copy_from_slice(&random.to_be_bytes()[2..]);
        Self(bytes)
    }

    /// Number of the slot.
    pub fn slot(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Time of the decision, microseconds since 1970, rounded down to a millisecond.
    pub fn at_us(self) -> i64 {
        self.0[4..10].iter().fold(0_i64, |ms, &byte| ms << 8 | i64::from(byte)) * 1000
    }

    /// Bytes of the id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads an id from its sixteen bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads an id from its text.
    pub fn parse(text: &str) -> Option<Self> {
        BASE32_DNSSEC.decode(text.as_bytes()).ok().and_then(|bytes| Self::from_bytes(&bytes))
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_DNSSEC.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_id_keeps_its_parts_through_text() {
        let id = DecisionId::new(7, 1_793_000_000_123_456, 0xffff_0123_4567_89ab);
        assert_eq!(DecisionId::parse(&id.to_string()), Some(id));
        assert_eq!((id.slot(), id.at_us()), (7, 1_793_000_000_123_000));
        assert_eq!(DecisionId::parse("nonsense"), None);
    }

    #[test]
    fn hashes_do_not_run_parts_together() {
        assert_ne!(hash("p", &[b"ab", b"c"]), hash("p", &[b"a", b"bc"]));
        assert_ne!(hash("p", &[b"a"]), hash("q", &[b"a"]));
        assert!((0..1000_u32).all(|i| (0.0..1.0).contains(&hash("p", &[&i.to_be_bytes()]).fraction())));
    }
}
