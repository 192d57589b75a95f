//! Features of the context as they come: how often, of which type and in which scale.
//!
//! The report names features that came no more, or came otherwise. No belief follows from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    bandit::{Features, Value},
    stats::math::{ln, square},
};

/// Greatest number of features that are watched: the first ones that came.
pub const WATCHED_FEATURES_MAX: usize = 100;
/// Numbers over which the usual size of a number is averaged, and those over which the recent one is.
const SIZE_NUMBERS: f64 = 2_000.0;
const RECENT_NUMBERS: f64 = 50.0;

/// Type of a feature's value. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueType {
    /// Number.
    Number,
    /// Word.
    Word,
    /// Yes or no.
    Flag,
    /// Several words.
    Words,
    /// Vector of numbers.
    Vector,
}

impl ValueType {
    /// All types.
    pub const ALL: [Self; 5] = [Self::Number, Self::Word, Self::Flag, Self::Words, Self::Vector];

    fn of(value: &Value) -> Self {
        match value {
            Value::Number(_) => Self::Number,
            Value::Text(_) => Self::Word,
            Value::Flag(_) => Self::Flag,
            Value::Texts(_) => Self::Words,
            Value::Vector(_) => Self::Vector,
        }
    }

    /// Name of the type with its article.
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Word => "a word",
            Self::Flag => "a flag",
            Self::Words => "a list of words",
            Self::Vector => "a vector",
        }
    }
}

/// Feature as it came. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchedFeature {
    /// Number of decisions that had it.
    pub decisions: u64,
    /// Ordinals of the first and the last decision that had it, among all decisions.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// Time of the last decision that had it, microseconds since 1970.
    pub last_us: i64,
    /// Type of the last value.
    pub value_type: ValueType,
    /// Type of the values before the last change of type, and the time of that change, or `None` if it never changed.
    pub changed: Option<(ValueType, i64)>,
    /// Number of values since the last change of type.
    pub since_change: u64,
    /// Number of times that the type changed.
    pub changes: u64,
    /// Moments of the logarithms of the sizes of its numbers.
    pub sizes: NumberSizes,
}

/// Averages of the logarithms of the sizes of numbers other than 0. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct NumberSizes {
    /// Number of numbers.
    pub count: u64,
    /// Average over the last two thousand or so.
    pub usual: f64,
    /// Variance about that average.
    pub variance: f64,
    /// Average over the last fifty or so.
    pub recent: f64,
}

impl NumberSizes {
    fn add(&mut self, number: f64) {
        if number == 0.0 || !number.is_finite() {
            return;
        }
        let size = ln(number.abs());
        self.count += 1;
        let part = |over: f64| 1.0 / over.min(self.count as f64);
        let (slow, fast) = (part(SIZE_NUMBERS), part(RECENT_NUMBERS));
        let away = size - self.usual;
        self.usual += slow * away;
        self.variance += slow * (square(away) * (1.0 - slow) - self.variance);
        self.recent += fast * (size - self.recent);
    }
}

/// Features of the context as they come. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FeatureWatch {
    /// Number of decisions.
    decisions: u64,
    features: BTreeMap<String, WatchedFeature>,
}

impl FeatureWatch {
    /// Number of decisions.
    pub fn decisions(&self) -> u64 {
        self.decisions
    }

    /// Features by their names.
    pub fn features(&self) -> impl Iterator<Item = (&str, &WatchedFeature)> {
        self.features.iter().map(|(name, feature)| (name.as_str(), feature))
    }

    /// Notes the context of a decision.
    pub(in crate::engine) fn note(&mut self, at_us: i64, context: &Features) {
        self.decisions += 1;
        let now = self.decisions;
        for (name, value) in context {
            let value_type = ValueType::of(value);
            if !self.features.contains_key(name) {
                if self.features.len() >= WATCHED_FEATURES_MAX {
                    continue;
                }
                let new = WatchedFeature {
                    decisions: 0,
                    first: now,
                    last: now,
                    last_us: at_us,
                    value_type,
                    changed: None,
                    since_change: 0,
                    changes: 0,
                    sizes: NumberSizes::default(),
                };
                self.features.insert(name.clone(), new);
            }
            let Some(feature) = self.features.get_mut(name) else { continue };
            feature.decisions += 1;
            (feature.last, feature.last_us) = (now, at_us);
            if feature.value_type != value_type {
                feature.changed = Some((feature.value_type, at_us));
                feature.value_type = value_type;
                feature.since_change = 0;
                feature.changes += 1;
            }
            feature.since_change += 1;
            if let Value::Number(number) = value {
                feature.sizes.add(*number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_types_and_sizes_are_those_of_what_came() {
        let mut watch = FeatureWatch::default();
        for i in 0..1_000_i64 {
            let price = if i < 900 { Value::Number(20.0) } else { Value::Number(2_000.0) };
            let mut context: Features = [("price".to_owned(), price)].into();
            if i < 400 {
                context.insert("segment".into(), Value::Text("new".into()));
            }
            if i % 2 == 0 {
                let vip = if i < 500 { Value::Flag(true) } else { Value::Text("yes".into()) };
                context.insert("vip".into(), vip);
            }
            watch.note(i, &context);
        }
        let of = |name: &str| watch.features().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!((of("segment").decisions, of("segment").last, of("segment").last_us), (400, 400, 399));
        assert_eq!((of("vip").decisions, of("vip").changes, of("vip").since_change), (500, 1, 250));
        assert_eq!(of("vip").changed, Some((ValueType::Flag, 500)));
        let sizes = of("price").sizes;
        // After a hundred numbers of a hundred times the size, (1 − 1/50)¹⁰⁰ = 13 % of the recent average is old.
        let want = ln(2_000.0) - 0.98_f64.powi(100) * ln(100.0);
        assert!((sizes.recent - want).abs() < 1e-9, "{} {want}", sizes.recent);
        assert!((sizes.usual - (ln(20.0) + 0.1 * ln(100.0))).abs() < 1e-9, "{}", sizes.usual);
    }

    #[test]
    fn the_number_of_features_is_bounded() {
        let mut watch = FeatureWatch::default();
        for i in 0..500 {
            watch.note(i, &[(format!("f{i}"), Value::Flag(true))].into());
        }
        assert_eq!(watch.features().count(), WATCHED_FEATURES_MAX);
    }
}
