//! The checks: tables `[[check]]` of a scenario.

use serde::{Deserialize, Serialize};

/// A check of the results. Bounds are inclusive. At least one of `min` and `max` is given, except for
/// `propensity_calibration`, which has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The check's name, or `None` for one made of its parts. `--set` and `small` find a check by its name or else by
    /// its metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The metric.
    pub metric: Metric,
    /// The policy that is measured, or `None` for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The policy to compare with, shopper by shopper. `lift` needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// The lower bound, or `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The upper bound, or `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Required confidence, 0.5 to below 1.
    #[serde(default = "confidence")]
    pub confidence: f64,
    /// The arm, for `share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// The arms with this attribute, `name:word`, for `share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// The arms in this state, for `share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ArmState>,
    /// The segment whose decisions count, or `None` for all. Only for `share`, rewards and regret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// The touchpoint whose decisions count, or `None` for all. Only for rewards and regret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touchpoint: Option<String>,
    /// The moment from which on clicks count, for `clicks_to_adapt`. The default is the start of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<IntentStart>,
    /// The part of the horizon, 0 to 1, from which on decisions count. Only for `share` and `clicks_to_adapt`, whose
    /// default is 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// The part of the horizon before which decisions count. Only for `share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
    /// Part of uniform choice's regret below which decisions count as adapted, for `decisions_to_adapt` and
    /// `clicks_to_adapt`. The default is 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<f64>,
    /// Number of decisions in a block, for `decisions_to_adapt`. The default is a hundredth of the horizon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// The part of the horizon at which the environment changes, for `decisions_to_adapt`. The default is the first
    /// abrupt drift, or its middle if it is gradual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
    /// True if the check is left out, for `small` and `--set`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
}

fn confidence() -> f64 {
    0.95
}

/// A metric that checks can measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Expected reward of the shown arms, per decision.
    RewardPerDecision,
    /// Expected reward relative to another policy's: 0.1 is 10 % more.
    Lift,
    /// Expected reward of the best choice minus that of the shown arms, per decision.
    RegretPerDecision,
    /// Regret per decision over the last tenth of the horizon.
    RegretLastTenth,
    /// Decisions from a change of the environment until choices are good again.
    DecisionsToAdapt,
    /// Clicks of a shopper until choices follow the shopper's intent.
    ClicksToAdapt,
    /// Part of all shown positions that an arm, the arms of an attribute, or the arms in a state took.
    Share,
    /// Part of the 95 % intervals in the slot's report that contain the truth about their arm, over all arms shown at
    /// least 30 times and all replications.
    IntervalCoverage,
    /// Part of the intervals of "if everybody got it" in the slot's report that contain the arm's expected reward over all
    /// shoppers who could have got it, faded as the slot fades, over all figures that are shown and all replications.
    PopulationCoverage,
    /// Part of the figures "if everybody got it" that are shown, over all arms that may be shown at the end and all
    /// replications.
    FiguresShown,
    /// Part of replications at whose end the slot says that different shoppers want different arms.
    WhoWantsWhat,
    /// Part of replications at whose end the slot is confident, leading or settled with the arm that is the best if all shoppers
    /// get the same.
    RightArm,
    /// Chi-squared test of the logged probabilities against the draws.
    PropensityCalibration,
    /// Part of replications at whose end the slot is 95 % sure of a best arm that is not the best.
    FalseConfidence,
    /// Relative error of the reward per decision that the slot counted, compared with its events, each counted once.
    CountedError,
    /// Part of decisions that the model did not make.
    FallbackShare,
    /// The 99th percentile of a decision's latency, milliseconds. Only against a live server.
    P99Latency,
}

/// Moment at which a shopper's intent begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentStart {
    /// The start of the session.
    Session,
    /// The latest change of the intent within the session.
    Shift,
}

impl IntentStart {
    /// Returns the name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Shift => "shift",
        }
    }
}

/// A state of arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmState {
    /// The arm is out of stock.
    OutOfStock,
    /// The arm was retired.
    Retired,
    /// The arm was launched within the last tenth of the horizon before the decision.
    New,
}

impl Metric {
    /// Returns the name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::RewardPerDecision => "reward_per_decision",
            Self::Lift => "lift",
            Self::RegretPerDecision => "regret_per_decision",
            Self::RegretLastTenth => "regret_last_tenth",
            Self::DecisionsToAdapt => "decisions_to_adapt",
            Self::ClicksToAdapt => "clicks_to_adapt",
            Self::Share => "share",
            Self::IntervalCoverage => "interval_coverage",
            Self::PopulationCoverage => "population_coverage",
            Self::FiguresShown => "figures_shown",
            Self::WhoWantsWhat => "who_wants_what",
            Self::RightArm => "right_arm",
            Self::PropensityCalibration => "propensity_calibration",
            Self::FalseConfidence => "false_confidence",
            Self::CountedError => "counted_error",
            Self::FallbackShare => "fallback_share",
            Self::P99Latency => "p99_latency",
        }
    }
}
