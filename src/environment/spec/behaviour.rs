//! The shoppers' behaviour: table `[behaviour]` of a scenario.

use serde::{Deserialize, Serialize};

use super::time::{Span, When};

/// Maximum of funnel steps, since every set of steps is a path.
pub const STEPS_MAX: usize = 6;

/// The shoppers' reactions to shown arms, and the defects of the events about them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// The click model.
    #[serde(default)]
    pub click_model: ClickBehaviour,
    /// Chance that each position is looked at, first position first. Positions beyond the list have its last entry. A
    /// shopper takes no step with an arm that is not looked at.
    #[serde(default = "always")]
    pub position_bias: Vec<f64>,
    /// The steps of the funnel.
    pub steps: Vec<FunnelStep>,
    /// Defects of events on their way to the slot.
    #[serde(default)]
    pub dirty: Dirty,
    /// Overrides of decisions, or `None`.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Override>,
}

/// Click model: the order in which a shopper looks at positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClickBehaviour {
    /// Each position is looked at with a chance of its own, `position_bias`.
    #[default]
    Position,
    /// The shopper looks from the top down, until the first step is taken with an arm. Positions below it are not
    /// looked at.
    Cascade,
}

fn always() -> Vec<f64> {
    vec![1.0]
}

/// A step of the funnel, which a shopper takes at most once with a shown arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunnelStep {
    /// The kind of the step's event.
    pub kind: String,
    /// The step that must be taken before. `None` means the previous one in the list. The first step needs a look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The chance of the step once the step before it was taken, instead of log odds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// Log odds before terms. The first step adds the arm's appeal and all drift.
    #[serde(default)]
    pub log_odds: f64,
    /// Terms of the log odds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<OddsTerm>,
    /// The value of the step's event, or `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<StepValue>,
    /// Standard deviation of the logarithm of a factor on the value. The factor's mean is 1.
    #[serde(default)]
    pub value_spread: f64,
    /// True if the step takes back the event of the step before it, instead of having an event of its own kind.
    #[serde(default)]
    pub reverses: bool,
    /// Delay after the step before it. The first step's delay counts from the decision.
    #[serde(default)]
    pub delay: Delay,
}

/// A term of the log odds: `weight` · shopper · arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OddsTerm {
    /// The weight, in log odds.
    pub weight: f64,
    /// The shopper's part: `segment:NAME`, `intent:NAME`, `trait:word`, `returning`, `new` (each 0 or 1),
    /// `price_sensitivity` (0 to 1), or a trait that is a number. `None` means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shopper: Option<String>,
    /// The arm's part: `arm:ID`, `attribute:word` (each 0 or 1), "price" (ln of the price in units of the catalogue's
    /// median), or an attribute that is a number. `None` means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
}

/// The value of an event. The slot's goal turns it into a reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "\"price\", \"margin\" or a number")]
pub enum StepValue {
    /// A number of the arm.
    Of(ValueName),
    /// A constant.
    Number(f64),
}

/// A number of an arm that can be the value of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueName {
    /// The arm's price.
    Price,
    /// The arm's margin.
    Margin,
}

/// Distribution of a delay.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Delay {
    /// The step follows at once.
    #[default]
    None,
    /// A constant.
    Fixed(Span),
    /// An exponential distribution with this mean.
    Exponential(Span),
    /// A log-normal distribution.
    LogNormal {
        /// The median.
        median: Span,
        /// The standard deviation of the logarithm.
        spread: f64,
    },
    /// A uniform distribution.
    Uniform {
        /// The shortest delay.
        from: Span,
        /// The longest delay.
        until: Span,
    },
}

/// Defects of events on their way to the slot: independent chances per event.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dirty {
    /// Chance that an event never arrives.
    pub lost: f64,
    /// Chance that an event arrives twice, under the same id.
    pub duplicated: f64,
    /// Chance that an event happens, and arrives, only after the goal's window.
    pub late: f64,
    /// Chance that an event waits so that later ones overtake it.
    pub reordered: f64,
    /// Mean of that wait, which is exponential.
    pub reordered_by: Span,
    /// Chance that an event names its subject and arm instead of its decision.
    pub without_decision: f64,
    /// Moment from which on events have defects, or `None` for the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<When>,
}

/// Overrides: at some visits an arm is shown at the first position regardless of the decision. Events name the arm
/// that was really shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Part of the visits with an override, 0 to below 1.
    pub share: f64,
    /// Id of the arm that is shown at the first position.
    pub arm: String,
}
