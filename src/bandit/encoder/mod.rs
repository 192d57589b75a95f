//! Encoder of named feature values as rows of numbers, without a schema.

mod consistent;
mod learn;
mod names;
mod notes;
mod numeric;
mod vocabulary;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::features::{Features, Value};
use crate::stats::SparseVector;
#[cfg(doc)]
use crate::stats::Standardiser;
use learn::WordPlace;
pub use notes::FeatureNote;
use numeric::{Numeric, NumericEntry};
use vocabulary::{Arrivals, decimal};

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
    /// Says that the index belonged to a word that lost it.
    #[serde(default)]
    pub(super) retired: bool,
}

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

/// Encoder that gives numbers, flags and words that recur an index, and standardises numbers.
///
/// Index 0 is the constant 1. A word is an indicator, 0 or 1, and is never standardised. So are a yes and a no, as a no
/// differs from an absent flag. A number becomes its [standard score](Standardiser) among the numbers before it, and one of
/// its sentinels an indicator. A missing number is 0, its mean. A text feature whose words are decimal numbers that do not
/// recur becomes a number.
///
/// * At most `budget` indices are in use. An eighth of them is reserved for numbers and flags, and an eighth for words that
///   recur but find no room: these share it by a hash of name and word.
/// * The words of a feature get their indices when they recur, and those of a small vocabulary at once. Words of an id-like
///   feature must recur often.
/// * If there is no room, words that stayed away longest lose their indices. No index is ever given to another word, as
///   stored rows contain it.
///
/// *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoder {
    budget: u32,
    next: u32,
    features: BTreeMap<String, Feature>,
    buckets: BTreeMap<u32, u32>,
    /// Meanings of the indices in use, one each.
    columns: Vec<EncodedColumn>,
    numbers: u32,
    /// Number of decisions that were learned.
    #[serde(default)]
    clock: u64,
    /// Number of free indices for words before the latest decision.
    #[serde(default)]
    judged_room: u32,
    /// Time of the last arrival of each word, by its index.
    #[serde(default)]
    met_at: Vec<u64>,
    /// Indices of words that lost them, in that order.
    #[serde(default)]
    retired: Vec<u32>,
    /// Time from which on words may lose their indices again.
    #[serde(default)]
    retire_from: u64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Feature {
    /// Number of the feature in the order of first appearance.
    order: u32,
    number: Option<Numeric>,
    /// Indices for no and for yes.
    flag: [Option<u32>; 2],
    words: BTreeMap<String, u32>,
    /// Arrivals of words, with an index or without.
    #[serde(default)]
    arrivals: Arrivals,
    /// Says that texts are numbers.
    #[serde(default)]
    text_is_number: bool,
    vector: Vec<Numeric>,
}

/// Says whether the values being encoded were already learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Included {
    Yes,
    No,
}

impl Encoder {
    /// Creates an encoder that has met nothing. `budget` ≥ 8 is its maximum number of dimensions.
    pub fn new(budget: u32) -> Self {
        // The constant belongs to no feature.
        let columns = vec![EncodedColumn { feature: u32::MAX, number: false, retired: false }];
        Self {
            budget,
            next: 1,
            features: BTreeMap::new(),
            buckets: BTreeMap::new(),
            columns,
            numbers: 0,
            clock: 0,
            judged_room: 0,
            met_at: Vec::new(),
            retired: Vec::new(),
            retire_from: 0,
        }
    }

    /// Meaning of an index, or `None` if it is not in use.
    pub(super) fn column(&self, index: u32) -> Option<EncodedColumn> {
        self.columns.get(index as usize).copied()
    }

    /// Number of dimensions in use, including the constant.
    pub fn dim(&self) -> u32 {
        self.next - u32::try_from(self.retired.len()).unwrap_or(self.next)
    }

    /// Number of indices that were ever assigned.
    pub(super) fn indices(&self) -> u32 {
        self.next
    }

    /// Indices of words that lost them, in that order.
    pub(super) fn retired(&self) -> &[u32] {
        &self.retired
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
        let mut number = |numeric: Option<&Numeric>, value: f64| match numeric
            .map_or(NumericEntry::None, |numeric| numeric.entry(value, included))
        {
            NumericEntry::None => {}
            NumericEntry::Number(index, score) => put(Some(index), score, Label::Number(name)),
            NumericEntry::Sentinel(index) => put(Some(index), 1.0, Label::Sentinel(name, value)),
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
                None if self.room() > 0 => put(None, 1.0, Label::Flag(name, *flag)),
                None => {}
            },
            Value::Text(word) => match feature.filter(|f| f.reads_numbers(included)).and_then(|_| decimal(word)) {
                Some(value) => number(feature.and_then(|f| f.number.as_ref()), value),
                None => self.encode_word(name, feature, word, included, put),
            },
            Value::Texts(_) => words(value).for_each(|word| self.encode_word(name, feature, word, included, put)),
        }
    }

    fn encode_word(
        &self,
        name: &str,
        feature: Option<&Feature>,
        word: &str,
        included: Included,
        put: &mut impl FnMut(Option<u32>, f64, Label<'_>),
    ) {
        let label = Label::Word(name, word);
        if let Some(&index) = feature.and_then(|f| f.words.get(word)) {
            return put(Some(index), 1.0, label);
        }
        let fresh = Feature::default();
        if feature.is_none() && self.features.len() >= self.budget as usize {
            return;
        }
        let room = match included {
            Included::Yes => self.judged_room,
            Included::No => self.room_for_words(),
        };
        match self.place(name, feature.unwrap_or(&fresh), word, included, room) {
            WordPlace::Own | WordPlace::OwnOfAnother if included == Included::No => put(None, 1.0, label),
            WordPlace::Bucket(bucket) => match self.buckets.get(&bucket) {
                Some(&index) => put(Some(index), 1.0, label),
                None if included == Included::No => put(None, 1.0, label),
                None => {}
            },
            WordPlace::Own | WordPlace::OwnOfAnother | WordPlace::None => {}
        }
    }
}

impl Feature {
    /// Returns whether texts of the feature are read as numbers, before or after the text at hand was learned.
    fn reads_numbers(&self, included: Included) -> bool {
        self.text_is_number || (included == Included::No && self.arrivals.are_numbers())
    }
}

/// Label of an entry of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Label<'a> {
    /// Number or entry of a vector, by its feature.
    Number(&'a str),
    /// Number that is recognised as a sentinel, by its feature.
    Sentinel(&'a str, f64),
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
