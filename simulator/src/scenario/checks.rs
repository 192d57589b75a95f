//! What must hold: `[[check]]`.

use serde::{Deserialize, Serialize};

/// Something that must hold. Bounds are inclusive; at least one of `min` and `max` is given, but for
/// `propensity_calibration`, which has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its own name; none: made of its parts. `--set` and `small` find it by this name, else by its metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is measured.
    pub metric: Metric,
    /// Of which policy; none: the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The policy it is compared with: the difference is measured, shopper by shopper. Needed by `lift`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// The least it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// How sure one must be, 0.5 to below 1.
    #[serde(default = "confidence")]
    pub confidence: f64,
    /// Of `share`: the arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Of `share`: the arms with this attribute, `name:word`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// Of `share`: the arms in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ArmState>,
    /// Only decisions for this segment. Of `share` and of rewards and regret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// Only decisions from this part of the horizon on, 0 to 1. Of `share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// Only decisions before this part of the horizon. Of `share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
    /// Of `decisions_to_adapt`: adapted is a block of decisions whose regret is at most this part of what uniform
    /// choice would have; 0.5 where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<f64>,
    /// Of `decisions_to_adapt`: decisions in a block; a hundredth of the horizon where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// Of `decisions_to_adapt`: the part of the horizon at which the environment changes; the first abrupt drift (or its
    /// middle, if gradual) where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
    /// Leaves it out: for `small` and `--set`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
}

fn confidence() -> f64 {
    0.95
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Expected reward of what was shown, per decision.
    RewardPerDecision,
    /// Expected reward over another policy's, as a part of that: 0.1 is 10 % more.
    Lift,
    /// What the best choice would be expected to give beyond what was shown, per decision.
    RegretPerDecision,
    /// The same over the last tenth of the horizon.
    RegretLastTenth,
    /// Decisions from a change of the environment until choices are good again.
    DecisionsToAdapt,
    /// The part of all places that an arm, arms of an attribute, or arms in a state took.
    Share,
    /// How often the 95 % intervals of the slot's report hold what is true of their arm, over all arms shown at least
    /// 30 times and all replications.
    IntervalCoverage,
    /// Whether what was promised with a probability happened as often: a chi-squared test.
    PropensityCalibration,
    /// The part of replications at whose end the slot is 95 % sure of a best arm that is none.
    FalseConfidence,
    /// The reward per decision that the slot counted less what its events, each counted once, come to: absolute, as a
    /// part of that.
    CountedError,
    /// The part of decisions that no model made.
    FallbackShare,
    /// The 99th percentile of the time that a decision takes, milliseconds; against a live server only.
    P99Latency,
}

/// A state of arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmState {
    /// Not in stock.
    OutOfStock,
    /// Retired.
    Retired,
    /// Launched within the last tenth of the horizon before the decision.
    New,
}

impl Metric {
    /// As a scenario writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RewardPerDecision => "reward_per_decision",
            Self::Lift => "lift",
            Self::RegretPerDecision => "regret_per_decision",
            Self::RegretLastTenth => "regret_last_tenth",
            Self::DecisionsToAdapt => "decisions_to_adapt",
            Self::Share => "share",
            Self::IntervalCoverage => "interval_coverage",
            Self::PropensityCalibration => "propensity_calibration",
            Self::FalseConfidence => "false_confidence",
            Self::CountedError => "counted_error",
            Self::FallbackShare => "fallback_share",
            Self::P99Latency => "p99_latency",
        }
    }
}
