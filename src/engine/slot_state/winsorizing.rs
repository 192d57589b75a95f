//! Quantiles of the values of events, to which winsorized kinds are limited.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stats::QuantileSketch;

/// Smallest number of values of a kind before any is winsorized. A quantile of fewer says nothing.
const WINSORIZE_FROM: f64 = 100.0;

/// Quantiles of the absolute values of each kind that is winsorized. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::engine) struct ValueQuantiles(BTreeMap<String, QuantileSketch>);

impl ValueQuantiles {
    /// Limits a value to the quantile `share` of the values of its kind so far, and then observes the value, unless it
    /// is never learned.
    pub(in crate::engine) fn winsorize(&mut self, kind: &str, value: f64, share: f64, learned: bool) -> f64 {
        let values = self.0.entry(kind.to_owned()).or_default();
        let most = values.quantile(share).filter(|_| values.count() >= WINSORIZE_FROM);
        if learned {
            values.observe(value.abs());
        }
        most.map_or(value, |most| value.clamp(-most, most))
    }
}
