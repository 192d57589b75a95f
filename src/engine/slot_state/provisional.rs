//! Values that were learned while the quantile that limits them was uncertain.
//!
//! The first value of a kind has nothing to be compared with, and the next ones little. So winsorized values are
//! remembered until there are enough to know their quantile, and are learned again when the quantile limits them
//! otherwise. A value is learned again by the path of any reward that changes, so refunds stay exact.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::ValueQuantiles;
use crate::engine::ids::{DecisionId, Hash128};

/// Largest number of values of a kind that are remembered, which is the number that makes the 99 % quantile certain.
/// The oldest are forgotten first, and stay as they were learned.
const PROVISIONAL_MAX: usize = 300;

/// Smallest relative change for which a value is learned again while its quantile is uncertain, so that a value is not
/// learned again with every event.
const CHANGE_MIN: f64 = 0.1;

/// Value that was learned while its quantile was uncertain. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct ProvisionalValue {
    /// Decision that the event belongs to.
    pub(in crate::engine) decision: DecisionId,
    /// Key of the event's id.
    pub(in crate::engine) event: Hash128,
    /// Value of the event.
    pub(in crate::engine) value: f64,
    /// Value as it is learned.
    pub(in crate::engine) learned: f64,
}

/// Values of each winsorized kind whose quantile is uncertain. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::engine) struct ProvisionalValues(BTreeMap<String, VecDeque<ProvisionalValue>>);

impl ProvisionalValues {
    /// Adds a value that is learned.
    pub(in crate::engine) fn add(&mut self, kind: &str, value: ProvisionalValue) {
        let values = self.0.entry(kind.to_owned()).or_default();
        if values.len() >= PROVISIONAL_MAX {
            values.pop_front();
        }
        values.push_back(value);
    }

    /// Limits the values of a kind to the present quantile. Returns those that are to be learned again. Once the
    /// quantile is certain, the values are forgotten.
    pub(in crate::engine) fn revise(
        &mut self,
        kind: &str,
        share: f64,
        quantiles: &ValueQuantiles,
    ) -> Vec<ProvisionalValue> {
        let Some(values) = self.0.get_mut(kind) else { return Vec::new() };
        let certain = quantiles.is_certain(kind, share);
        let mut revised = Vec::new();
        for value in values.iter_mut() {
            let learned = quantiles.winsorize(kind, value.value, share);
            let change = (learned - value.learned).abs();
            if change > CHANGE_MIN * value.learned.abs() || (certain && change > 0.0) {
                value.learned = learned;
                revised.push(*value);
            }
        }
        if certain {
            self.0.remove(kind);
        }
        revised
    }
}
