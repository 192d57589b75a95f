//! Named feature values of a request, a candidate or an arm.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Value of a feature. Numbers are finite, which the API checks. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Number, standardised robustly by the numbers seen so far.
    Number(f64),
    /// Word, encoded as an indicator, or as a number if the words of the feature are numbers that do not recur.
    Text(String),
    /// Yes or no, encoded as an indicator each.
    Flag(bool),
    /// Words, encoded as an indicator each.
    Texts(Vec<String>),
    /// Small vector, encoded as a number per entry.
    Vector(Vec<f32>),
}

/// Feature values by name. An encoder meets them in the order of their names.
pub type Features = BTreeMap<String, Value>;
