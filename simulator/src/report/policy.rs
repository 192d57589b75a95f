//! Results of one policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{IntervalEstimate, Point};
use crate::scenario::IntentStart;

/// Report of one policy. Rewards are in units of the slot's goal. "Expected" rewards follow from the environment's
/// probabilities for what was shown; "given" rewards are what shoppers happened to do. Bots count in neither.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// Name of the policy.
    pub name: String,
    /// Changes to the slot as TOML on one line, or an empty text if there are none.
    pub overrides: String,
    /// Expected reward of what was shown, per decision.
    pub reward_per_decision: IntervalEstimate,
    /// Reward that shoppers gave, per decision.
    pub given_per_decision: IntervalEstimate,
    /// Expected reward of the best choice minus that of what was shown, per decision.
    pub regret_per_decision: IntervalEstimate,
    /// The regret over the whole horizon.
    pub regret_total: IntervalEstimate,
    /// Expected reward relative to the baseline's: 0.1 is 10 % more. It is `None` for the baseline itself.
    pub lift: Option<IntervalEstimate>,
    /// Expected reward per decision in each bucket.
    pub reward_by_bucket: Vec<Point>,
    /// Regret per decision in each bucket.
    pub regret_by_bucket: Vec<Point>,
    /// Regret from the start to the end of each bucket.
    pub regret_so_far: Vec<Point>,
    /// Shares of the arms shown most, in descending order, then "other" for the rest. Large catalogues have groups
    /// instead of arms.
    pub shares: Vec<ArmShare>,
    /// Regret of uniform choice per decision, which is the most that there is to learn.
    pub uniform_regret_per_decision: f64,
    /// Expected rewards as the slot forecast them against the truth, in bins of equal size, from the second half of the
    /// horizon. It is empty if nothing was forecast.
    pub calibration: Vec<CalibrationBin>,
    /// Propensities against the frequency of the promised event.
    pub propensity: Vec<PropensityBin>,
    /// Results of the shoppers' segments, in the scenario's order.
    pub segments: Vec<SegmentReport>,
    /// Results of the touchpoints, in the scenario's order. It is empty without touchpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touchpoints: Vec<TouchpointReport>,
    /// Regret by the number of clicks, since the start of a session and since a change of the intent. It is empty if it
    /// was not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adaptation: Vec<AdaptationCurve>,
    /// Numbers of deferred decisions, or `None` if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<DeferredReport>,
    /// Outcomes of reward events, over all replications.
    pub events: EventCounts,
    /// Part of the decisions in which some position showed another arm than the best guess.
    pub exploring: f64,
    /// Part of the decisions that were fallbacks.
    pub fallbacks: f64,
    /// Part of the decisions in the holdout.
    pub holdout: f64,
    /// Latency of decisions, only against a live server.
    pub latency: Option<Latency>,
    /// Time until events were durable, only against a live server, and only if there were events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_latency: Option<Latency>,
    /// Decisions and events that failed on a live server, by gRPC code. SHED counts those that were not sent because
    /// too many were unanswered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
}

/// Share of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmShare {
    /// Id of the arm, name of a group of arms, or "other".
    pub arm: String,
    /// Part of all places that the arm took, from 0 to 1.
    pub share: f64,
    /// Part of the places that the arm took in each bucket, or `None` if the bucket had no decision.
    pub by_bucket: Vec<Option<f64>>,
}

/// A bin of similar forecasts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Number of forecasts.
    pub count: u64,
    /// Mean forecast.
    pub predicted: f64,
    /// Mean of the true values.
    pub truth: f64,
}

/// A bin of similar propensities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PropensityBin {
    /// Lower end of the bin, inclusive.
    pub from: f64,
    /// Upper end of the bin, exclusive. The last bin ends with 1, inclusive.
    pub until: f64,
    /// Number of pairs of a decision and a candidate.
    pub count: u64,
    /// Mean propensity.
    pub promised: f64,
    /// Part of the pairs in which the candidate was drawn.
    pub happened: f64,
    /// Standard error of `happened` if propensities are true.
    pub standard_error: f64,
}

/// Results of one segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentReport {
    /// Name of the segment.
    pub segment: String,
    /// Part of the decisions that were for the segment.
    pub share: f64,
    /// Expected reward per decision for the segment.
    pub reward_per_decision: IntervalEstimate,
    /// Regret per decision for the segment.
    pub regret_per_decision: IntervalEstimate,
    /// Expected reward relative to the baseline's in the segment.
    pub lift: Option<IntervalEstimate>,
}

/// Results of one touchpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TouchpointReport {
    /// Name of the touchpoint.
    pub touchpoint: String,
    /// Part of the decisions that were made there. Decisions that nobody saw do not count.
    pub share: f64,
    /// Expected reward per decision there.
    pub reward_per_decision: IntervalEstimate,
    /// Regret per decision there.
    pub regret_per_decision: IntervalEstimate,
    /// Expected reward relative to the baseline's there.
    pub lift: Option<IntervalEstimate>,
}

/// Regret by the number of clicks since a shopper's intent began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptationCurve {
    /// Moment at which the intent began.
    pub since: IntentStart,
    /// Part of uniform choice's regret below which decisions count as adapted.
    pub within: f64,
    /// Number of clicks until the regret is that small.
    pub clicks_to_adapt: IntervalEstimate,
    /// Regret after 0, 1, 2… clicks as a part of uniform choice's.
    pub regret_by_clicks: Vec<Point>,
    /// Decisions that were counted after 0, 1, 2… clicks, over all replications.
    pub decisions_by_clicks: Vec<u64>,
}

/// Numbers of deferred decisions over all replications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeferredReport {
    /// Deferred decisions that were made.
    pub made: u64,
    /// Confirmed ones.
    pub confirmed: u64,
}

/// Counts of reward events by their outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventCounts {
    /// Events that shoppers and bots caused.
    pub happened: u64,
    /// Events that were lost on the way.
    pub lost: u64,
    /// Events that arrived, including duplicates.
    pub arrived: u64,
    /// Events answered as accepted.
    pub accepted: u64,
    /// Events answered as duplicates.
    pub duplicates: u64,
    /// Events answered as late.
    pub late: u64,
    /// Events answered as unmatched.
    pub unmatched: u64,
    /// Events answered as rejected.
    pub rejected: u64,
}

impl EventCounts {
    /// Adds other counts.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { happened, lost, arrived, accepted, duplicates, late, unmatched, rejected } = other;
        self.happened += happened;
        self.lost += lost;
        self.arrived += arrived;
        self.accepted += accepted;
        self.duplicates += duplicates;
        self.late += late;
        self.unmatched += unmatched;
        self.rejected += rejected;
    }
}

/// Latency of requests in milliseconds, from the moment at which each was due. A failed request counts as 10 s, the
/// longest time that the simulator waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of requests.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// Maximum.
    pub max_ms: f64,
}
