//! Columns of a feature that is a number.

use serde::{Deserialize, Serialize};

use super::Included;
use crate::stats::{Moments, StandardScore, Standardiser};

/// Number with its index, its standardiser, and the indices of its sentinels. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredNumeric")]
pub(super) struct Numeric {
    index: u32,
    standardiser: Standardiser,
    /// Indices of the sentinels in the standardiser's order. A sentinel beyond the budget has none.
    sentinels: Vec<Option<u32>>,
}

/// Number as a snapshot has it. Older snapshots have moments instead of a standardiser.
#[derive(Debug, Deserialize)]
struct StoredNumeric {
    index: u32,
    #[serde(default)]
    moments: Option<Moments>,
    #[serde(default)]
    standardiser: Option<Standardiser>,
    #[serde(default)]
    sentinels: Vec<Option<u32>>,
}

impl From<StoredNumeric> for Numeric {
    fn from(stored: StoredNumeric) -> Self {
        let StoredNumeric { index, moments, standardiser, sentinels } = stored;
        let started = || moments.map(|moments| Standardiser::from_moments(&moments)).unwrap_or_default();
        Self { index, standardiser: standardiser.unwrap_or_else(started), sentinels }
    }
}

/// Entry of a number in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum NumericEntry {
    /// No entry: the number is ordinary, or nothing is known about it.
    None,
    /// Index and standard score of a number.
    Number(u32, f64),
    /// Index of a sentinel's indicator.
    Sentinel(u32),
}

impl Numeric {
    pub(super) fn new(index: u32) -> Self {
        Self { index, standardiser: Standardiser::default(), sentinels: Vec::new() }
    }

    /// Returns whether the number may be one of a stream, where `next` is the first index that is not assigned.
    pub(super) fn is_consistent(&self, next: u32) -> bool {
        self.index < next
            && self.sentinels.iter().flatten().all(|&index| index < next)
            && self.sentinels.len() <= self.standardiser.sentinels().len()
            && self.standardiser.is_consistent()
    }

    /// Learns a number. `new_index` returns the index of a sentinel that is recognised.
    pub(super) fn learn(&mut self, value: f64, mut new_index: impl FnMut() -> Option<u32>) {
        self.standardiser.observe(value);
        while self.sentinels.len() < self.standardiser.sentinels().len() {
            self.sentinels.push(new_index());
        }
    }

    /// Recognised sentinels.
    pub(super) fn sentinels(&self) -> &[f64] {
        self.standardiser.sentinels()
    }

    /// Entry of a number, before or after it was learned.
    pub(super) fn entry(&self, value: f64, included: Included) -> NumericEntry {
        let score = match included {
            Included::Yes => self.standardiser.score_observed(value),
            Included::No => self.standardiser.score_new(value),
        };
        match score {
            StandardScore::Number(score) if score != 0.0 => NumericEntry::Number(self.index, score),
            StandardScore::Number(_) => NumericEntry::None,
            StandardScore::Sentinel(at) => {
                self.sentinels.get(at).copied().flatten().map_or(NumericEntry::None, NumericEntry::Sentinel)
            }
        }
    }
}
