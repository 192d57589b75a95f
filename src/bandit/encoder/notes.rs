//! Notes on features that are not used as they were sent, for the report.

use std::collections::BTreeMap;

use super::{Encoder, Included};

/// Note on a feature that is not used as it was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FeatureNote {
    /// Nearly every value is a new word, as with a user id. Only words that recur often are used.
    IdLike,
    /// The budget was used up before the feature was first met, so nothing of it is used.
    LeftOut,
    /// The texts are numbers that do not recur, so they are used as numbers.
    NumberAsText,
    /// The number has a value that stands for something else, such as −999. It is used as a word of its own.
    Sentinel(f64),
}

impl FeatureNote {
    /// Reason in one sentence, for people.
    pub fn reason(&self) -> String {
        match self {
            Self::IdLike => "Nearly every value is new, so only values that recur often are used.".to_owned(),
            Self::LeftOut => "The budget of dimensions was used up, so the feature is left out.".to_owned(),
            Self::NumberAsText => "The texts are numbers that do not recur, so they are used as numbers.".to_owned(),
            Self::Sentinel(value) => format!("The value {value} does not fit the others, so it is used as a word."),
        }
    }
}

impl Encoder {
    /// Notes on the features, by name.
    pub fn notes(&self) -> BTreeMap<&str, Vec<FeatureNote>> {
        let mut notes = BTreeMap::new();
        for (name, feature) in &self.features {
            let mut of_feature = Vec::new();
            if feature.text_is_number {
                of_feature.push(FeatureNote::NumberAsText);
            } else if feature.arrivals.is_id_like(Included::No) {
                of_feature.push(FeatureNote::IdLike);
            } else if feature.is_left_out() {
                of_feature.push(FeatureNote::LeftOut);
            }
            let sentinels = feature.number.iter().flat_map(super::numeric::Numeric::sentinels);
            of_feature.extend(sentinels.map(|&value| FeatureNote::Sentinel(value)));
            if !of_feature.is_empty() {
                notes.insert(name.as_str(), of_feature);
            }
        }
        notes
    }
}

impl super::Feature {
    /// Returns whether a feature that was met has no index at all, nor words that may still get one.
    fn is_left_out(&self) -> bool {
        self.number.is_none()
            && self.flag == [None; 2]
            && self.words.is_empty()
            && self.vector.is_empty()
            && self.arrivals.is_empty()
    }
}
