//! The shoppers: table `[shoppers]` of a scenario.

use serde::{Deserialize, Serialize};

use super::NamedPart;

/// The shoppers. Every visit has a segment, an intent, traits, and features that follow from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shoppers {
    /// Segments of shoppers. The default is a single one named "all".
    pub segments: Vec<Segment>,
    /// Intents of shoppers. The default is a single one named "browse".
    pub intents: Vec<Intent>,
    /// Chance, before each further decision of a session, that the intent is drawn again.
    pub intent_shift: f64,
    /// Decisions of a session before its shopper logs in, or `None` if shoppers are logged in from the start. Until then
    /// the shop knows the session alone. Only returning shoppers log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_after: Option<u32>,
    /// Chance that a session is on the device of the session before, so that both have one session id.
    pub shared_devices: f64,
    /// Other differences between shoppers.
    pub traits: NamedPart<TraitSpec>,
    /// Number of returning shoppers. Each keeps its id and its traits.
    pub pool: u64,
    /// The features that the shop sends: `segment`, `intent`, `returning`, `price_sensitivity`, `step` (of the
    /// session, from 1), `hour`, `weekday`, or a trait's name. The slot does not know features that are not listed.
    pub context: Vec<String>,
    /// The features that the shop sends for shoppers without consent.
    pub context_without_consent: Vec<String>,
}

impl Default for Shoppers {
    fn default() -> Self {
        Self {
            segments: vec![Segment::default()],
            intents: vec![Intent { name: "browse".to_owned(), share: 1.0 }],
            intent_shift: 0.0,
            login_after: None,
            shared_devices: 0.0,
            traits: NamedPart::new(),
            pool: 1_000,
            context: Vec::new(),
            context_without_consent: Vec::new(),
        }
    }
}

/// A segment of shoppers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Segment {
    /// The segment's name.
    pub name: String,
    /// Weight among all segments.
    pub share: f64,
    /// Chance that a shopper has been here before.
    pub returning: f64,
    /// Mean of the price sensitivity, 0 to 1.
    pub price_sensitivity: f64,
    /// Half the width of the uniform range around that mean.
    pub price_spread: f64,
    /// Mean number of decisions in a session, at least 1.
    pub session_length: f64,
    /// Chance that a shopper consents to nothing.
    pub opt_out: f64,
    /// Chance that a shopper consents to the session only.
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

/// An intent of shoppers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The intent's name.
    pub name: String,
    /// Weight among all intents.
    pub share: f64,
}

/// Distribution of a difference between shoppers or arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TraitSpec {
    /// Words with their weights.
    Words(NamedPart<f64>),
    /// A normal number.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// A uniform number.
    Uniform {
        /// The lower end.
        from: f64,
        /// The upper end.
        until: f64,
    },
}
