//! What shoppers do: `[behaviour]`.

use serde::{Deserialize, Serialize};

use super::time::{Span, When};

/// What shoppers do with what is shown, and what of that reaches the slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// How a shopper goes through what is shown.
    #[serde(default)]
    pub click_model: ClickBehaviour,
    /// The chance that each position is looked at, first position first; positions beyond the list have its last
    /// entry. Nothing is done with what is not looked at.
    #[serde(default = "always")]
    pub position_bias: Vec<f64>,
    /// The funnel.
    pub steps: Vec<FunnelStep>,
    /// What is lost, repeated or late on the way to the slot.
    #[serde(default)]
    pub dirty: Dirty,
    /// Something else than what was decided is shown.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Override>,
}

/// How a shopper goes through what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClickBehaviour {
    /// Each position is looked at with a chance of its own, `position_bias`.
    #[default]
    Position,
    /// From the top down, until the first step is taken with something: what stands below that is not looked at.
    Cascade,
}

fn always() -> Vec<f64> {
    vec![1.0]
}

/// A step of the funnel: something that a shopper does at most once with an arm that was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunnelStep {
    /// The kind of its event.
    pub kind: String,
    /// The step it needs; none: the one before it in the list; the first needs a look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The chance that it is taken once the step it needs was; instead of log odds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// Log odds before terms; the first step adds the arm's appeal and all drift.
    #[serde(default)]
    pub log_odds: f64,
    /// What the odds depend on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<OddsTerm>,
    /// The value of its event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<StepValue>,
    /// The standard deviation of the logarithm of a factor on the value, whose mean is 1.
    #[serde(default)]
    pub value_spread: f64,
    /// It takes back the event of the step it needs, instead of being one of a kind of its own.
    #[serde(default)]
    pub reverses: bool,
    /// How long after the step it needs (the first: after the decision) it happens.
    #[serde(default)]
    pub delay: Delay,
}

/// A part of the log odds: `weight` · shopper · arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OddsTerm {
    /// Log odds.
    pub weight: f64,
    /// `segment:NAME`, `intent:NAME`, `trait:word`, `returning`, `new` (each 0 or 1), `price_sensitivity` (0 to 1), or
    /// a number's trait; none: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shopper: Option<String>,
    /// `arm:ID`, `attribute:word` (each 0 or 1), "price" (ln of the price in units of the catalogue's median), or a
    /// number's attribute; none: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
}

/// What an event is worth by itself; the slot's goal says what it makes of that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "\"price\", \"margin\" or a number")]
pub enum StepValue {
    /// One of the arm's.
    Of(ValueName),
    /// The same for all.
    Number(f64),
}

/// A number of an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueName {
    /// Its price.
    Price,
    /// Its margin.
    Margin,
}

/// How long something takes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Delay {
    /// No time.
    #[default]
    None,
    /// Always the same.
    Fixed(Span),
    /// Exponential, with this mean.
    Exponential(Span),
    /// Log-normal.
    LogNormal {
        /// Its median.
        median: Span,
        /// The standard deviation of its logarithm.
        spread: f64,
    },
    /// Between two durations.
    Uniform {
        /// The least.
        from: Span,
        /// The greatest.
        until: Span,
    },
}

/// What is lost, repeated or late on the way to the slot: chances per event, each by itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dirty {
    /// Never arrives.
    pub lost: f64,
    /// Arrives twice, under the same id.
    pub duplicated: f64,
    /// Arrives only after the goal's window, and so says when it happened: beyond it.
    pub late: f64,
    /// Waits so that later ones overtake it.
    pub reordered: f64,
    /// How long those wait, on average; exponential.
    pub reordered_by: Span,
    /// Comes without its decision's id, by subject and arm.
    pub without_decision: f64,
    /// From when on any of this; none: from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<When>,
}

/// Something else than what was decided is shown, at every position; what is then done is reported with the arm that
/// was in fact shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// How often, 0 to below 1.
    pub share: f64,
    /// What is shown at the first position.
    pub arm: String,
}
