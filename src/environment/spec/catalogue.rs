//! The arms: table `[catalogue]` of a scenario.

use serde::{Deserialize, Serialize};

use super::{
    NamedPart,
    time::{Span, When},
};

/// The arms, listed one by one, generated, or both.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueSpec {
    /// Arms listed one by one, in the slot's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<ArmSpec>,
    /// Generated arms, drawn again in each replication. They follow the listed ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,
    /// Random stock-outs, or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock_outs: Option<StockOuts>,
    /// An attribute with words by which the report groups arms if there are more than 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
}

/// A listed arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    /// The arm's id.
    pub arm_id: String,
    /// Log odds of the funnel's first step, before terms.
    #[serde(default)]
    pub appeal: f64,
    /// The price that a shopper pays. If given, it is also the arm's attribute "price".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// The margin that the shop keeps. It is no attribute: the slot learns it from the values of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// The arm's attributes. The slot knows them, and terms name them as `name:word`, or `name` for a number.
    #[serde(default, skip_serializing_if = "NamedPart::is_empty")]
    pub attributes: NamedPart<ArmAttribute>,
    /// The moment at which the arm joins the slot, or `None` for the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<When>,
    /// The moment at which the arm leaves the slot, or `None` if it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire: Option<When>,
    /// Periods in which the arm is out of stock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out_of_stock: Vec<Period>,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, a word, or true or false")]
pub enum ArmAttribute {
    /// A flag.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
}

/// A period of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// The first moment of the period.
    pub from: When,
    /// The first moment after the period.
    pub until: When,
}

/// Generated arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generated {
    /// Number of arms, including those that join later.
    pub count: u32,
    /// The beginning of the arms' ids. A number follows it.
    #[serde(default = "item")]
    pub prefix: String,
    /// Mean of the arms' appeal, log odds.
    #[serde(default)]
    pub appeal: f64,
    /// Standard deviation of the appeal beyond the attributes' effect, log odds.
    #[serde(default)]
    pub appeal_std: f64,
    /// Median of the price, or `None` without prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// Standard deviation of the price's logarithm.
    #[serde(default)]
    pub price_spread: f64,
    /// The margin as a part of the price, or `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_rate: Option<f64>,
    /// Distributions of the attributes: words with their weights, or a number.
    #[serde(default, skip_serializing_if = "NamedPart::is_empty")]
    pub attributes: NamedPart<super::TraitSpec>,
    /// Number of arms at the start, or `None` for all. The others are launched one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_start: Option<u32>,
    /// Time between two launches: a part of the horizon, or a duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_every: Option<When>,
    /// Time for which each arm stays after its launch, or `None` for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays: Option<When>,
}

fn item() -> String {
    "item-".to_owned()
}

/// Random stock-outs: in each period of this length, each arm is out of stock with this chance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockOuts {
    /// The chance, 0 to below 1.
    pub share: f64,
    /// The length of a period: a part of the horizon, or a duration.
    pub length: When,
    /// Delay until the shop reports stock to the slot (`SetArmAvailability`). 0 means at once.
    #[serde(default)]
    pub told_after: Span,
}
