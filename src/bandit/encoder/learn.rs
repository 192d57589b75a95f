//! Learning of features: assignment and retirement of indices.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use super::{
    EncodedColumn, Encoder, Feature, Included, RowFeatures, Value,
    numeric::Numeric,
    vocabulary::{WordRoom, decimal},
    words,
};

/// Number of decisions after which a word that stayed away may lose its index.
const AWAY_MIN: u64 = 2_000;
/// Maximum number of words that lose their indices together, as a model spends the same work on one and on several.
const RETIRED_MAX: usize = 16;
/// Number of words of a feature per free index that the feature leaves to others, so that a feature with few words always
/// finds room.
const WORDS_PER_FREE: u32 = 16;

/// Index of the feature number of the buckets, counted down by bucket.
const BUCKET_FEATURES: u32 = u32::MAX - 1;

/// Assignment of indices: the fields of an encoder that it changes.
#[derive(Debug)]
struct IndexSource<'a> {
    next: &'a mut u32,
    /// Number of indices that do not count: those of retired words and of buckets.
    uncounted: u32,
    columns: &'a mut Vec<EncodedColumn>,
    numbers: &'a mut u32,
}

impl IndexSource<'_> {
    /// Assigns an index of this meaning if fewer than `limit` are in use.
    fn assign(&mut self, limit: u32, feature: u32, number: bool) -> Option<u32> {
        if *self.next - self.uncounted >= limit {
            return None;
        }
        self.columns.push(EncodedColumn { feature, number, retired: false });
        *self.numbers += u32::from(number);
        *self.next += 1;
        Some(*self.next - 1)
    }
}

impl Encoder {
    /// Learns the features of a shown arm: its own, and those of the context if it is the `first` of its decision.
    pub fn learn(&mut self, parts: RowFeatures<'_>, first: bool) {
        if first {
            self.clock += 1;
            self.judged_room = self.room_for_words();
        }
        for (name, value) in parts.context.iter().filter(|_| first) {
            self.learn_one(name, value);
        }
        for (name, value) in parts.own() {
            self.learn_one(&name, value);
        }
    }

    fn learn_one(&mut self, name: &str, value: &Value) {
        let empty = match value {
            Value::Texts(words) => words.is_empty(),
            Value::Vector(numbers) => numbers.is_empty(),
            Value::Number(_) | Value::Text(_) | Value::Flag(_) => false,
        };
        // A second look-up is cheaper than allocating the name of every known feature.
        if empty || !self.features.contains_key(name) && !self.add_feature(name) {
            return;
        }
        match value {
            Value::Text(word) => self.learn_text(name, word, value),
            Value::Texts(_) => self.learn_words(name, value),
            Value::Number(_) | Value::Flag(_) | Value::Vector(_) => self.learn_number(name, value),
        }
    }

    /// Adds a feature without indices. Returns `false` if there are too many already.
    fn add_feature(&mut self, name: &str) -> bool {
        let order = u32::try_from(self.features.len()).unwrap_or(u32::MAX);
        if order >= self.budget {
            return false;
        }
        self.features.insert(name.to_owned(), Feature { order, ..Feature::default() });
        true
    }

    fn learn_number(&mut self, name: &str, value: &Value) {
        let (limit, uncounted) = (self.own_max(), self.uncounted());
        let Self { next, columns, numbers, features, .. } = self;
        let mut indices = IndexSource { next, uncounted, columns, numbers };
        let Some(feature) = features.get_mut(name) else { return };
        let order = feature.order;
        match value {
            Value::Number(number) => {
                if feature.number.is_none() {
                    feature.number = indices.assign(limit, order, true).map(Numeric::new);
                }
                if let Some(numeric) = &mut feature.number {
                    numeric.learn(*number, || indices.assign(limit, order, false));
                }
            }
            Value::Flag(flag) => {
                let index = &mut feature.flag[usize::from(*flag)];
                *index = index.or_else(|| indices.assign(limit, order, false));
            }
            Value::Vector(vector) => {
                for (i, number) in vector.iter().enumerate() {
                    if i == feature.vector.len() {
                        let Some(index) = indices.assign(limit, order, true) else { break };
                        feature.vector.push(Numeric::new(index));
                    }
                    feature.vector[i].learn(f64::from(*number), || None);
                }
            }
            Value::Text(_) | Value::Texts(_) => {}
        }
    }

    /// Learns a text, which is a number in a feature whose words are numbers that do not recur.
    fn learn_text(&mut self, name: &str, word: &str, value: &Value) {
        if let Some(feature) = self.features.get_mut(name) {
            let turns = !feature.text_is_number && feature.arrivals.are_numbers();
            if turns {
                feature.text_is_number = true;
                feature.arrivals.forget_words();
            }
            if feature.text_is_number
                && let Some(number) = decimal(word)
            {
                if turns {
                    self.retire_words_of(name);
                }
                return self.learn_number(name, &Value::Number(number));
            }
        }
        self.learn_words(name, value);
    }

    /// Learns the words of one value. All of them are judged by the words before.
    fn learn_words(&mut self, name: &str, value: &Value) {
        let Some(feature) = self.features.get(name) else { return };
        let judge = |word| match feature.words.get(word) {
            Some(&index) => (word, Some(index), WordPlace::None),
            None => (word, None, self.place(name, feature, word, Included::No, self.judged_room)),
        };
        let judged: SmallVec<[_; 1]> = words(value).map(judge).collect();
        if let Some(feature) = self.features.get_mut(name) {
            feature.arrivals.begin_value();
        }
        for (word, known, place) in judged {
            let mut index = known;
            match place {
                WordPlace::Own => index = self.assign_word(name, word),
                WordPlace::OwnOfAnother => {
                    self.retire_words();
                    index = self.assign_word(name, word);
                }
                WordPlace::Bucket(bucket) => self.assign_bucket(bucket),
                WordPlace::None => {}
            }
            if let Some(index) = index {
                let at = index as usize;
                if self.met_at.len() <= at {
                    self.met_at.resize(at + 1, self.clock);
                }
                self.met_at[at] = self.clock;
            }
            if let Some(feature) = self.features.get_mut(name) {
                feature.arrivals.count_arrival(word, known.is_some(), index.is_some());
            }
        }
        if self.features.get(name).is_some_and(|feature| feature.arrivals.turned_out_id_like()) {
            self.retire_words_of(name);
        }
    }

    /// Takes the indices of all words of a feature.
    fn retire_words_of(&mut self, name: &str) {
        let Some(feature) = self.features.get(name) else { return };
        let words: Vec<String> = feature.words.keys().cloned().collect();
        for word in &words {
            self.retire_word(name, word);
        }
    }

    fn assign_word(&mut self, name: &str, word: &str) -> Option<u32> {
        let (limit, uncounted) = (self.own_max(), self.uncounted());
        let Self { next, columns, numbers, features, .. } = self;
        let feature = features.get_mut(name)?;
        let index = IndexSource { next, uncounted, columns, numbers }.assign(limit, feature.order, false)?;
        feature.words.insert(word.to_owned(), index);
        Some(index)
    }

    fn assign_bucket(&mut self, bucket: u32) {
        let Self { next, columns, numbers, buckets, .. } = self;
        buckets.entry(bucket).or_insert_with(|| {
            let mut indices = IndexSource { next, uncounted: 0, columns, numbers };
            indices.assign(u32::MAX, BUCKET_FEATURES - bucket, false).unwrap_or(0)
        });
    }

    /// Returns the place that a word without an index gets when it is learned. All words of a decision are judged by the room
    /// before it, so that the row before learning is the one after it.
    pub(super) fn place(&self, name: &str, feature: &Feature, word: &str, included: Included, room: u32) -> WordPlace {
        let words = u32::try_from(feature.words.len()).unwrap_or(u32::MAX);
        let of_feature = WordRoom {
            words: feature.words.len(),
            ids_max: (self.budget / 16).max(2) as usize,
            plenty: 4 * room > self.own_max(),
        };
        if !feature.arrivals.deserve_index(word, included, of_feature) {
            return WordPlace::None;
        }
        if room > words / WORDS_PER_FREE {
            return WordPlace::Own;
        }
        if self.clock >= self.retire_from && self.words_away().next().is_some() {
            return WordPlace::OwnOfAnother;
        }
        if feature.arrivals.is_id_like(included) { WordPlace::None } else { WordPlace::Bucket(self.bucket(name, word)) }
    }

    /// Maximum number of indices in use, except the buckets' ones.
    fn own_max(&self) -> u32 {
        self.budget - self.buckets_max()
    }

    pub(super) fn buckets_max(&self) -> u32 {
        (self.budget / 8).max(1)
    }

    /// Number of indices of retired words and of buckets.
    fn uncounted(&self) -> u32 {
        u32::try_from(self.retired.len() + self.buckets.len()).unwrap_or(self.next)
    }

    /// Number of free indices for numbers, flags and words together.
    pub(super) fn room(&self) -> u32 {
        self.own_max().saturating_sub(self.next - self.uncounted())
    }

    /// Number of free indices for words. An eighth of the budget belongs to numbers and flags, used or not.
    pub(super) fn room_for_words(&self) -> u32 {
        let words: usize = self.features.values().map(|feature| feature.words.len()).sum();
        let others = (self.next - self.uncounted()).saturating_sub(1 + u32::try_from(words).unwrap_or(u32::MAX));
        self.room().saturating_sub((self.budget / 8).saturating_sub(others))
    }

    /// Words that stayed away: feature, word, and the time of the last arrival.
    fn words_away(&self) -> impl Iterator<Item = (&String, &String, u64)> {
        self.features.iter().flat_map(move |(name, feature)| {
            feature.words.iter().filter_map(move |(word, &index)| {
                let met_at = self.met_at.get(index as usize).copied().unwrap_or(0);
                (self.clock - met_at >= AWAY_MIN).then_some((name, word, met_at))
            })
        })
    }

    /// Takes the indices of the words that stayed away longest. An index is never given to another word, as stored rows
    /// still contain it.
    fn retire_words(&mut self) {
        let mut away: Vec<(u64, String, String)> =
            self.words_away().map(|(name, word, met_at)| (met_at, name.clone(), word.clone())).collect();
        away.sort();
        away.truncate(RETIRED_MAX);
        for (_, name, word) in &away {
            self.retire_word(name, word);
        }
        self.retire_from = self.clock + AWAY_MIN;
    }

    fn retire_word(&mut self, name: &str, word: &str) {
        if let Some(index) = self.features.get_mut(name).and_then(|feature| feature.words.remove(word)) {
            self.columns[index as usize].retired = true;
            self.retired.push(index);
        }
    }

    pub(super) fn bucket(&self, name: &str, word: &str) -> u32 {
        let mut hasher = SipHasher13::new();
        hasher.write(name.as_bytes());
        hasher.write_u8(0);
        hasher.write(word.as_bytes());
        u32::try_from(hasher.finish() % u64::from(self.buckets_max())).unwrap_or(0)
    }
}

/// Place of a word that has no index of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordPlace {
    /// Free index.
    Own,
    /// Index that becomes free when words that stayed away lose theirs.
    OwnOfAnother,
    /// Bucket that it shares with other words.
    Bucket(u32),
    /// No place.
    None,
}
