//! The identity of a journal, and the chain of hashes over its batches.
//!
//! Every journal has 128 random bits as its identity. Every batch that is committed has a hash over the hash of the batch
//! before it and over its own records, so one hash stands for a whole history: two journals that agree in it at a position
//! hold the same records up to there. Snapshots and the watermark carry identity and hash, which is how a file of another
//! journal, or of another history of the same one, is noticed.
//!
//! ```text
//! hash of the chain's beginning = SHA-256("slotwise journal", identity, position it begins after)
//! hash of a batch               = SHA-256(hash before it, position of its first record, records)
//! a record                      = position, at_us, then kind, slot, decision and body, each with its length before it
//! ```
//!
//! Numbers are big endian; lengths are u64. A decision that is missing has the length `u64::MAX`. *Persisted.*

use std::fmt;

use rand::{Rng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

use super::Stored;

/// Identity of a journal: random, and the same for as long as the journal lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JournalId(pub [u8; 16]);

impl JournalId {
    /// A new identity.
    pub(super) fn random() -> Self {
        let mut bytes = [0; 16];
        rand::make_rng::<StdRng>().fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hash of a journal's batches up to some position.
pub type ChainHash = [u8; 32];

/// A point of one journal's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainPoint {
    /// Identity of the journal.
    pub journal: JournalId,
    /// Position of the last record that the hash covers.
    pub position: u64,
    /// Hash of the batches up to that position.
    pub hash: ChainHash,
}

/// Hash with which the chain of a journal begins after `position`.
pub(super) fn beginning(journal: JournalId, position: u64) -> ChainHash {
    let mut hasher = Sha256::new();
    hasher.update(b"slotwise journal");
    hasher.update(journal.0);
    hasher.update(position.to_be_bytes());
    hasher.finalize().into()
}

/// Hash of a batch that is being computed.
#[derive(Debug, Clone)]
pub(super) struct BatchHasher(Sha256);

impl BatchHasher {
    /// Begins a batch whose first record stands at `first`.
    pub(super) fn new(before: &ChainHash, first: u64) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(before);
        hasher.update(first.to_be_bytes());
        Self(hasher)
    }

    /// Adds the next record.
    pub(super) fn add(&mut self, stored: &Stored<'_>) {
        self.0.update(stored.position.to_be_bytes());
        self.0.update(stored.at_us.to_be_bytes());
        self.part(stored.kind.as_bytes());
        self.part(stored.slot.as_bytes());
        match stored.decision {
            Some(decision) => self.part(decision.as_bytes()),
            None => self.0.update(u64::MAX.to_be_bytes()),
        }
        self.part(stored.body);
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    /// The hash of the batch.
    pub(super) fn finish(self) -> ChainHash {
        self.0.finalize().into()
    }
}
