//! Named values: what a request, a candidate or an arm says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One feature's value. Numbers are finite: the door checks that. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A number, standardised by the moments of those met so far.
    Number(f64),
    /// A word: an indicator.
    Text(String),
    /// Yes or no: an indicator each.
    Flag(bool),
    /// Words: an indicator each.
    Texts(Vec<String>),
    /// A small vector: a number each.
    Vector(Vec<f32>),
}

/// Values by name; the order of names is the order in which an encoder meets them.
pub type Features = BTreeMap<String, Value>;
