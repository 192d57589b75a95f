//! Who comes: `[shoppers]`.

use serde::{Deserialize, Serialize};

use super::document::NamedPart;

/// Who comes. Every visit has a segment, an intent, traits, and features that follow from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shoppers {
    /// Kinds of shoppers; one of all alike, named "all", where none are given.
    pub segments: Vec<Segment>,
    /// What they come for; one named "browse" where none are given.
    pub intents: Vec<Intent>,
    /// The chance, before each further decision of a session, that the intent is drawn anew.
    pub intent_shift: f64,
    /// What else is different between shoppers.
    pub traits: NamedPart<TraitSpec>,
    /// How many returning shoppers there are: each keeps its id and its traits.
    pub pool: u64,
    /// What the shop sends along: `segment`, `intent`, `returning`, `price_sensitivity`, `step` (of the session, from
    /// 1), `hour`, `weekday`, or a trait's name. What is not named here the slot does not know.
    pub context: Vec<String>,
    /// What is left of that for those without consent.
    pub context_without_consent: Vec<String>,
}

impl Default for Shoppers {
    fn default() -> Self {
        Self {
            segments: vec![Segment::default()],
            intents: vec![Intent { name: "browse".to_owned(), share: 1.0 }],
            intent_shift: 0.0,
            traits: NamedPart::new(),
            pool: 1_000,
            context: Vec::new(),
            context_without_consent: Vec::new(),
        }
    }
}

/// A kind of shoppers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// How common it is, in units of the others' shares.
    pub share: f64,
    /// The chance that its shopper has been here before.
    pub returning: f64,
    /// The mean of its price sensitivity, 0 to 1.
    pub price_sensitivity: f64,
    /// Half the width of the range around it, over which it is uniform.
    pub price_spread: f64,
    /// Decisions of a session, on average; at least 1.
    pub session_length: f64,
    /// The chance that there is consent to nothing.
    pub opt_out: f64,
    /// The chance that there is consent to the session only.
    pub session_only: f64,
}

impl Default for Segment {
    fn default() -> Self {
        Self {
            name: "all".to_owned(),
            share: 1.0,
            returning: 0.5,
            price_sensitivity: 0.5,
            price_spread: 0.2,
            session_length: 2.0,
            opt_out: 0.0,
            session_only: 0.0,
        }
    }
}

/// What shoppers come for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Its name.
    pub name: String,
    /// How common it is, in units of the others' shares.
    pub share: f64,
}

/// Something that is different between shoppers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TraitSpec {
    /// One of these words, each with its share, in units of the others'.
    Words(NamedPart<f64>),
    /// A normal number.
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        std: f64,
    },
    /// A number between two others.
    Uniform {
        /// The least.
        from: f64,
        /// The greatest.
        until: f64,
    },
}
