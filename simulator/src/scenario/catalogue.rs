//! What can be shown: `[catalogue]`.

use serde::{Deserialize, Serialize};

use super::{
    document::NamedPart,
    time::{Span, When},
};

/// What can be shown: arms one by one, or generated, or both.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueSpec {
    /// Arms one by one, in the slot's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<ArmSpec>,
    /// Arms that are drawn, anew in each replication; they come after the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,
    /// Arms that run out, now and then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock_outs: Option<StockOuts>,
    /// An attribute with words by which the report groups arms, where there are more than 50 of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
}

/// An arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    /// Its id.
    pub arm_id: String,
    /// Log odds of the funnel's first step, before terms.
    #[serde(default)]
    pub appeal: f64,
    /// What a shopper pays. An attribute "price" of the arm, where it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// What the shop keeps of it. Not an attribute: the slot learns it from the values of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// What it is: told to the slot, and named by terms as `name:word`, or `name` for a number.
    #[serde(default, skip_serializing_if = "NamedPart::is_empty")]
    pub attributes: NamedPart<ArmAttribute>,
    /// When it joins the slot; none: at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<When>,
    /// When it leaves; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire: Option<When>,
    /// When it is out of stock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out_of_stock: Vec<Period>,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, a word, or true or false")]
pub enum ArmAttribute {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Its first moment.
    pub from: When,
    /// The first moment after it.
    pub until: When,
}

/// Arms that are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generated {
    /// How many, later ones among them.
    pub count: u32,
    /// Their ids are this and a number.
    #[serde(default = "item")]
    pub prefix: String,
    /// The mean of their appeal, log odds.
    #[serde(default)]
    pub appeal: f64,
    /// The standard deviation of their appeal beyond what attributes explain, log odds.
    #[serde(default)]
    pub appeal_std: f64,
    /// The median of their price; none: they have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// The standard deviation of the price's logarithm.
    #[serde(default)]
    pub price_spread: f64,
    /// What the shop keeps of the price, as a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_rate: Option<f64>,
    /// Attributes: words with their shares, or a normal number; `Trait`'s forms.
    #[serde(default, skip_serializing_if = "NamedPart::is_empty")]
    pub attributes: NamedPart<super::shoppers::TraitSpec>,
    /// How many are there from the start; none: all. The others are launched one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_start: Option<u32>,
    /// The time between two launches: a part of the horizon, or a duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_every: Option<When>,
    /// How long each stays after its launch; none: to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays: Option<When>,
}

fn item() -> String {
    "item-".to_owned()
}

/// Arms that run out now and then: in each period of this length, each arm is out with this chance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockOuts {
    /// The chance, 0 to below 1.
    pub share: f64,
    /// The length of a period: a part of the horizon, or a duration.
    pub length: When,
    /// How long the shop takes to tell the slot (`SetArmAvailability`); 0: at once.
    #[serde(default)]
    pub told_after: Span,
}
