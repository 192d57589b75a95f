//! Quantiles of the values of events, to which winsorized kinds are limited.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stats::QuantileSketch;

/// Quantiles of the absolute values of each kind that is winsorized. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::engine) struct ValueQuantiles(BTreeMap<String, QuantileSketch>);

impl ValueQuantiles {
    /// Returns whether these may be the quantiles of values of events.
    pub(in crate::engine) fn is_consistent(&self) -> bool {
        self.0.values().all(QuantileSketch::is_consistent)
    }

    /// Limits a value to the quantile `share` of the values of its kind so far.
    pub(in crate::engine) fn winsorize(&self, kind: &str, value: f64, share: f64) -> f64 {
        let limit = self.0.get(kind).and_then(|values| values.robust_quantile(share));
        limit.map_or(value, |limit| value.clamp(-limit, limit))
    }

    /// Observes a value.
    pub(in crate::engine) fn observe(&mut self, kind: &str, value: f64) {
        self.0.entry(kind.to_owned()).or_default().observe(value.abs());
    }

    /// Returns `true` if there are enough values of a kind to know the quantile `share`.
    pub(in crate::engine) fn is_certain(&self, kind: &str, share: f64) -> bool {
        self.0.get(kind).is_some_and(|values| values.is_certain(share))
    }
}
