//! Words of a feature that arrive, and the words among them that deserve an index.

use std::hash::Hasher as _;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::Included;

/// Maximum number of words without an index that a feature remembers, the latest ones.
const RECENT_MAX: usize = 512;
/// Number of arrivals over which the fractions are averaged.
const AVERAGED: u32 = 64;
/// Number of arrivals from which on a feature can count as id-like. Among fewer arrivals, most of those of 40
/// words that are equally frequent would be new.
const JUDGED_MIN: u32 = 64;
/// Number of arrivals from which on a text feature can become a number.
const NUMBER_MIN: u32 = 32;
/// Fraction of arrivals that are new words above which a feature is id-like.
const ID_LIKE: f64 = 0.5;
/// Least fraction of arrivals that are new words for a text feature to become a number.
const NUMBER_NOVELTY: f64 = 0.8;
/// Least fraction of arrivals that are decimal numbers for a text feature to become a number.
const NUMBER_DECIMALS: f64 = 0.95;
/// Number of words of a feature below which a new word gets its index at once, unless most arrivals are new words.
const SMALL: usize = 16;
/// Number of words of a feature that get their indices at once before the feature is judged. They lose them if it is id-like.
const TRUSTED: usize = 10;
/// Number of occurrences from which on a word gets an index.
const OCCURRENCES: usize = 2;
/// Number of occurrences from which on a word of an id-like feature gets an index. Of 20,000 user ids that are equally
/// frequent, one in 10⁸ occurs four times among 512.
const OCCURRENCES_OF_ID: usize = 4;

/// Room for the words of a feature.
#[derive(Debug, Clone, Copy)]
pub(super) struct WordRoom {
    /// Number of the feature's words with an index.
    pub(super) words: usize,
    /// Maximum of that number for an id-like feature.
    pub(super) ids_max: usize,
    /// Says that most of the budget is free.
    pub(super) plenty: bool,
}

/// Arrivals of the words of a feature. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Arrivals {
    /// Number of arrivals.
    count: u32,
    /// Fading fraction of arrivals that were new: neither with an index nor remembered.
    novelty: f64,
    /// Count and novelty before the latest value, by which the words of that value were judged.
    before: (u32, f64),
    /// Fading fraction of arrivals that were decimal numbers.
    decimals: f64,
    /// Hashes of the latest words without an index. The oldest is replaced first.
    recent: Vec<u32>,
    oldest: u32,
}

impl Arrivals {
    /// Returns whether the arrivals may be those of a stream of words.
    pub(super) fn is_consistent(&self) -> bool {
        let parts = [self.novelty, self.decimals, self.before.1];
        let remembered = self.recent.len();
        remembered <= RECENT_MAX
            && (self.oldest == 0 || (self.oldest as usize) < remembered)
            && parts.iter().all(|part| (-1.0..=2.0).contains(part))
    }

    /// Returns whether no word has arrived.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns whether nearly all words are new ones, as those of a user id are.
    pub(super) fn is_id_like(&self, included: Included) -> bool {
        let (count, novelty) = self.judged_by(included);
        count >= JUDGED_MIN && novelty > ID_LIKE
    }

    /// Count and novelty before the value at hand, which may be included already.
    fn judged_by(&self, included: Included) -> (u32, f64) {
        match included {
            Included::Yes => self.before,
            Included::No => (self.count, self.novelty),
        }
    }

    /// Returns whether the words are decimal numbers that do not recur.
    pub(super) fn are_numbers(&self) -> bool {
        self.count >= NUMBER_MIN && self.novelty >= NUMBER_NOVELTY && self.decimals >= NUMBER_DECIMALS
    }

    /// Returns whether a word of the value at hand should get an index.
    pub(super) fn deserve_index(&self, word: &str, included: Included, room: WordRoom) -> bool {
        let (count, novelty) = self.judged_by(included);
        let trusted = count < JUDGED_MIN && room.words < TRUSTED;
        if room.plenty && room.words < SMALL && (trusted || novelty <= ID_LIKE) {
            return true;
        }
        let id_like = self.is_id_like(included);
        if id_like && room.words >= room.ids_max {
            return false;
        }
        let hash = hash_word(word);
        let mut occurrences = self.recent.iter().filter(|&&other| other == hash).count();
        if included == Included::No {
            // The word at hand replaces the oldest one.
            let replaced = self.recent.len() == RECENT_MAX && self.recent[self.oldest as usize] == hash;
            occurrences += usize::from(!replaced);
        }
        occurrences >= if id_like { OCCURRENCES_OF_ID } else { OCCURRENCES }
    }

    /// Returns whether the latest value was the one after which the feature is judged for the first time, and it is id-like.
    pub(super) fn turned_out_id_like(&self) -> bool {
        self.before.0 < JUDGED_MIN && self.is_id_like(Included::No)
    }

    /// Begins to count the words of another value.
    pub(super) fn begin_value(&mut self) {
        self.before = (self.count, self.novelty);
    }

    /// Counts the arrival of a word. `indexed` says that it has an index of its own by now, and `known` that it had one
    /// before.
    pub(super) fn count_arrival(&mut self, word: &str, known: bool, indexed: bool) {
        let hash = if known { 0 } else { hash_word(word) };
        let new = !known && !self.recent.contains(&hash);
        self.count = self.count.saturating_add(1);
        let rate = 1.0 / f64::from(self.count.min(AVERAGED));
        self.novelty += rate * (f64::from(u8::from(new)) - self.novelty);
        self.decimals += rate * (f64::from(u8::from(decimal(word).is_some())) - self.decimals);
        if indexed {
            return;
        }
        if self.recent.len() < RECENT_MAX {
            self.recent.push(hash);
        } else {
            self.recent[self.oldest as usize] = hash;
            self.oldest = (self.oldest + 1) % u32::try_from(RECENT_MAX).unwrap_or(u32::MAX);
        }
    }

    /// Forgets the remembered words, which a feature that became a number does not need.
    pub(super) fn forget_words(&mut self) {
        (self.recent, self.oldest) = (Vec::new(), 0);
    }
}

fn hash_word(word: &str) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(word.as_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "half of the hash is enough to tell 512 words apart")]
    let half = hasher.finish() as u32;
    half
}

/// Returns the number that a text writes in decimal digits, or `None` if it is none.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    if text.is_empty() || text.len() > 32 || !text.bytes().all(plain) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
