//! Removal of series.

use std::collections::HashMap;

use prometheus::{IntCounterVec, core::Collector as _};

/// Removes the series of `vector` for whose labels `kept` returns `false`.
pub(super) fn retain(vector: &IntCounterVec, kept: impl Fn(&HashMap<&str, &str>) -> bool) {
    for family in vector.collect() {
        for metric in family.get_metric() {
            let labels: HashMap<&str, &str> = metric.get_label().iter().map(|l| (l.name(), l.value())).collect();
            if !kept(&labels) {
                // The series exists unless another scrape has removed it meanwhile.
                let _ = vector.remove(&labels);
            }
        }
    }
}
