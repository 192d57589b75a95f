//! Encoder of named feature values as rows of numbers, without a schema.

mod names;

use std::{collections::BTreeMap, hash::Hasher as _};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::features::{Features, Value};
use crate::stats::{Moments, SparseVector};

/// Row of a decision's encoded features. *Persisted* (inside pending decisions).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EncodedRow {
    /// Values over the encoder's indices.
    pub vector: SparseVector,
    /// Number of the encoder's indices that were numbers at that time.
    pub numbers: u32,
}

/// Meaning of an index of an encoder. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EncodedColumn {
    /// Number of the feature that the index belongs to. Each bucket of words has a number of its own.
    pub(super) feature: u32,
    /// Says that the index is a number instead of an indicator.
    pub(super) number: bool,
}

/// Number of deviations to which standardised numbers are clipped, as one wild value must not outweigh a thousand
/// others.
const CLIP: f64 = 5.0;

/// Prefix of the names of a candidate's own features.
const CANDIDATE_PREFIX: &str = "candidate.";
/// Prefix of the names of an arm's attributes.
const ARM_PREFIX: &str = "arm.";

/// Features that a row is made from.
#[derive(Debug, Clone, Copy)]
pub struct RowFeatures<'a> {
    /// Features of the request.
    pub context: &'a Features,
    /// Candidate's own features.
    pub candidate: Option<&'a Features>,
    /// Attributes of the arm.
    pub arm: Option<&'a Features>,
}

impl<'a> RowFeatures<'a> {
    /// Creates the features of a context alone.
    pub fn from_context(context: &'a Features) -> Self {
        Self { context, candidate: None, arm: None }
    }

    /// Candidate's features and arm's attributes, with prefixed names.
    fn own(&self) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
        let named = |prefix: &'static str, features: Option<&'a Features>| {
            features.into_iter().flatten().map(move |(name, value)| (format!("{prefix}{name}"), value))
        };
        named(CANDIDATE_PREFIX, self.candidate).chain(named(ARM_PREFIX, self.arm))
    }
}

/// Encoder that gives every word and number an index when it is first met, and standardises numbers.
///
/// Index 0 is the constant 1. A word is an indicator, 0 or 1, and is never standardised. So are a yes and a no, as a no
/// differs from an absent flag. A number becomes `(value − mean) / deviation` by the moments of all values so far,
/// itself included, clipped to ±5. A missing number is 0, its mean.
///
/// Indices are dense up to seven eighths of the budget. From there on, new words share the last eighth by a hash of name
/// and word, and new numbers and flags are left out. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoder {
    budget: u32,
    next: u32,
    features: BTreeMap<String, Feature>,
    buckets: BTreeMap<u32, u32>,
    /// Meanings of the indices in use, one each.
    columns: Vec<EncodedColumn>,
    numbers: u32,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Feature {
    /// Number of the feature in the order of first appearance.
    order: u32,
    number: Option<Numeric>,
    /// Indices for no and for yes.
    flag: [Option<u32>; 2],
    words: BTreeMap<String, u32>,
    vector: Vec<Numeric>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Numeric {
    index: u32,
    moments: Moments,
}

/// Says whether the values being encoded are already part of the moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Included {
    Yes,
    No,
}

impl Encoder {
    /// Creates an encoder that has met nothing. `budget` ≥ 8 is its maximum number of dimensions.
    pub fn new(budget: u32) -> Self {
        // The constant belongs to no feature.
        let columns = vec![EncodedColumn { feature: u32::MAX, number: false }];
        Self { budget, next: 1, features: BTreeMap::new(), buckets: BTreeMap::new(), columns, numbers: 0 }
    }

    /// Meaning of an index, or `None` if it is not in use.
    pub(super) fn column(&self, index: u32) -> Option<EncodedColumn> {
        self.columns.get(index as usize).copied()
    }

    /// Number of dimensions in use, including the constant.
    pub fn dim(&self) -> u32 {
        self.next
    }

    fn buckets_max(&self) -> u32 {
        (self.budget / 8).max(1)
    }

    fn own_index(next: &mut u32, limit: u32) -> Option<u32> {
        (*next < limit).then(|| {
            *next += 1;
            *next - 1
        })
    }

    /// Records the meaning of the indices that were just assigned.
    fn note(&mut self, feature: u32, number: bool) {
        let fresh = self.next as usize - self.columns.len();
        self.columns.resize(self.next as usize, EncodedColumn { feature, number });
        if number {
            self.numbers += u32::try_from(fresh).unwrap_or(u32::MAX);
        }
    }

    /// Learns the features of a shown arm: its own, and those of the context if it is the `first` of its decision.
    pub fn learn(&mut self, parts: RowFeatures<'_>, first: bool) {
        for (name, value) in parts.context.iter().filter(|_| first) {
            self.learn_one(name, value);
        }
        for (name, value) in parts.own() {
            self.learn_one(&name, value);
        }
    }

    fn learn_one(&mut self, name: &str, value: &Value) {
        let limit = self.budget - self.buckets_max();
        let empty = match value {
            Value::Texts(words) => words.is_empty(),
            Value::Vector(numbers) => numbers.is_empty(),
            Value::Number(_) | Value::Text(_) | Value::Flag(_) => false,
        };
        if empty {
            return;
        }
        // A name gets an entry only with its first index, so names cannot fill the memory.
        if !self.features.contains_key(name) && self.next >= limit {
            match value {
                Value::Text(word) => self.learn_bucket(name, word),
                Value::Texts(words) => words.iter().for_each(|word| self.learn_bucket(name, word)),
                Value::Number(_) | Value::Flag(_) | Value::Vector(_) => {}
            }
            return;
        }
        let count = u32::try_from(self.features.len()).unwrap_or(u32::MAX);
        let next = &mut self.next;
        // A second look-up is cheaper than allocating the name of every known feature.
        if !self.features.contains_key(name) {
            self.features.insert(name.to_owned(), Feature { order: count, ..Feature::default() });
        }
        let Some(feature) = self.features.get_mut(name) else { return };
        let order = feature.order;
        let mut overflow: Vec<&str> = Vec::new();
        match value {
            Value::Number(number) => {
                let index = feature.number.map(|n| n.index).or_else(|| Self::own_index(next, limit));
                let moments = feature.number.map(|n| n.moments).unwrap_or_default().with(*number);
                feature.number = index.map(|index| Numeric { index, moments });
            }
            Value::Flag(flag) => {
                let index = &mut feature.flag[usize::from(*flag)];
                *index = index.or_else(|| Self::own_index(next, limit));
            }
            Value::Text(_) | Value::Texts(_) => {
                for word in words(value) {
                    if feature.words.contains_key(word) {
                        continue;
                    }
                    match Self::own_index(next, limit) {
                        Some(index) => drop(feature.words.insert(word.to_owned(), index)),
                        None => overflow.push(word),
                    }
                }
            }
            Value::Vector(numbers) => {
                for (i, number) in numbers.iter().enumerate() {
                    if i == feature.vector.len() {
                        let Some(index) = Self::own_index(next, limit) else { break };
                        feature.vector.push(Numeric { index, moments: Moments::default() });
                    }
                    feature.vector[i].moments = feature.vector[i].moments.with(f64::from(*number));
                }
            }
        }
        self.note(order, matches!(value, Value::Number(_) | Value::Vector(_)));
        for word in overflow {
            self.learn_bucket(name, word);
        }
    }

    fn learn_bucket(&mut self, name: &str, word: &str) {
        let bucket = self.bucket(name, word);
        if !self.buckets.contains_key(&bucket)
            && let Some(index) = Self::own_index(&mut self.next, self.budget)
        {
            self.buckets.insert(bucket, index);
            self.note(u32::MAX - 1 - bucket, false);
        }
    }

    fn bucket(&self, name: &str, word: &str) -> u32 {
        let mut hasher = SipHasher13::new();
        hasher.write(name.as_bytes());
        hasher.write_u8(0);
        hasher.write(word.as_bytes());
        u32::try_from(hasher.finish() % u64::from(self.buckets_max())).unwrap_or(0)
    }

    /// Returns the row of features that [`learn`](Self::learn) has already met.
    pub fn encode_met(&self, parts: RowFeatures<'_>) -> EncodedRow {
        self.encode(parts, Included::Yes)
    }

    /// Returns the row that the features would have if they were learned now.
    pub fn encode_new(&self, parts: RowFeatures<'_>) -> EncodedRow {
        self.encode(parts, Included::No)
    }

    fn encode(&self, parts: RowFeatures<'_>, included: Included) -> EncodedRow {
        let mut row = SparseVector { entries: Vec::with_capacity(parts.context.len() + 1), unseen: 0.0 };
        row.entries.push((0, 1.0));
        self.each_entry(parts, included, &mut |index, value, _| match index {
            Some(index) => row.entries.push((index, value)),
            None => row.unseen += value,
        });
        row.entries.sort_unstable_by_key(|&(index, _)| index);
        // Words that share a bucket add up.
        row.entries.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 += later.1;
            }
            same
        });
        EncodedRow { vector: row, numbers: self.numbers }
    }

    /// Calls `put` with every entry of the row except the constant: its index, its value and its label. An indicator that
    /// was never met has no index.
    fn each_entry(
        &self,
        parts: RowFeatures<'_>,
        included: Included,
        put: &mut impl FnMut(Option<u32>, f64, Label<'_>),
    ) {
        for (name, value) in parts.context {
            self.encode_one(name, value, included, put);
        }
        for (name, value) in parts.own() {
            self.encode_one(&name, value, included, put);
        }
    }

    fn encode_one(
        &self,
        name: &str,
        value: &Value,
        included: Included,
        put: &mut impl FnMut(Option<u32>, f64, Label<'_>),
    ) {
        let feature = self.features.get(name);
        let mut number = |numeric: Option<&Numeric>, value: f64| {
            // A number that was never met is its own mean, so its deviation is 0.
            if let Some(Numeric { index, moments }) = numeric {
                let moments = if included == Included::Yes { *moments } else { moments.with(value) };
                let standardised = moments.standardise(value, CLIP);
                if standardised != 0.0 {
                    put(Some(*index), standardised, Label::Number(name));
                }
            }
        };
        match value {
            Value::Number(value) => number(feature.and_then(|f| f.number.as_ref()), *value),
            Value::Vector(values) => {
                for (i, value) in values.iter().enumerate() {
                    number(feature.and_then(|f| f.vector.get(i)), f64::from(*value));
                }
            }
            Value::Flag(flag) => match feature.and_then(|f| f.flag[usize::from(*flag)]) {
                Some(index) => put(Some(index), 1.0, Label::Flag(name, *flag)),
                // A new flag is left out once the budget is used up, instead of counting as unseen.
                None if self.next < self.budget - self.buckets_max() => put(None, 1.0, Label::Flag(name, *flag)),
                None => {}
            },
            Value::Text(_) | Value::Texts(_) => {
                for word in words(value) {
                    let own = feature.and_then(|f| f.words.get(word));
                    let index = own.or_else(|| self.buckets.get(&self.bucket(name, word)));
                    put(index.copied(), 1.0, Label::Word(name, word));
                }
            }
        }
    }
}

/// Label of an entry of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label<'a> {
    /// Number or entry of a vector, by its feature.
    Number(&'a str),
    Flag(&'a str, bool),
    /// Word, by feature and word.
    Word(&'a str, &'a str),
}

/// Words of a value, each once.
fn words(value: &Value) -> impl Iterator<Item = &str> {
    let (one, more) = match value {
        Value::Text(word) => (Some(word.as_str()), Vec::new()),
        Value::Texts(words) => {
            let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
            words.sort_unstable();
            words.dedup();
            (None, words)
        }
        Value::Number(_) | Value::Flag(_) | Value::Vector(_) => (None, Vec::new()),
    };
    one.into_iter().chain(more)
}

#[cfg(test)]
mod tests;
