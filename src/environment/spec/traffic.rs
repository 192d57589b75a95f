//! The times of visits and changes over time: tables `[traffic]` and `[[drift]]` of a scenario.

use serde::{Deserialize, Serialize};

use super::time::When;

/// The times of visits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficSpec {
    /// Mean number of decisions per day, without bots.
    pub per_day: f64,
    /// Swing of the rate around its mean within a day, 0 to below 1. The peak is at 20:00 and the trough at 8:00.
    #[serde(default)]
    pub daily_swing: f64,
    /// Rate of each day of the week relative to the others, Monday first, or `None` for equal rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<[f64; 7]>,
    /// Sales that bring more shoppers for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flash_sales: Vec<FlashSale>,
    /// Bots among the visitors, or `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bots: Option<Bots>,
}

/// A period of much more traffic. `drift` says what shoppers like then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashSale {
    /// The first moment of the sale.
    pub from: When,
    /// The first moment after the sale.
    pub until: When,
    /// Factor on the rate.
    pub factor: f64,
}

/// Visitors that are no shoppers. Their events are reported like all others and are worth nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bots {
    /// Part of all sessions, 0 to below 1.
    pub share: f64,
    /// Chance that a bot takes the first funnel step with any arm, whatever its position. Bots take no other step.
    pub clicks: f64,
    /// Id of the only arm that bots take it with, or `None` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Mean number of decisions in a bot's session.
    #[serde(default = "twenty")]
    pub session_length: f64,
}

/// A change of what shoppers like, or of their intents.
///
/// With `weight`, the log odds of the funnel's first step change by `weight` · shopper · arm · course(t). `shopper`
/// and `arm` are as in [`OddsTerm`](super::OddsTerm). With `intent`, that intent's weight changes by
/// `share` · course(t), and the others keep their proportions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The course over time.
    pub course: DriftCourse,
    /// The weight, in log odds, or `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The shopper's part, or `None` for all shoppers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shopper: Option<String>,
    /// The arm's part, or `None` for all arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// The intent whose part changes, or `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Change of the intent's part, −1 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// Course over time, from 0 to 1, or from −1 to 1 if it is seasonal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DriftCourse {
    /// A step from 0 to 1, and back to 0 if `until` is given.
    Abrupt {
        /// The first moment of 1.
        at: When,
        /// The first moment of 0 again, or `None` if it stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<When>,
    },
    /// A straight line from 0 at `from` to 1 at `until`.
    Gradual {
        /// The last moment of 0.
        from: When,
        /// The first moment of 1.
        until: When,
    },
    /// A sine wave: sin 2π(t / period + phase).
    Seasonal {
        /// The period.
        period: When,
        /// The phase at the start, 0 to 1.
        #[serde(default)]
        phase: f64,
    },
}

fn twenty() -> f64 {
    20.0
}
