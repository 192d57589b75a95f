//! What came of one policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{IntervalEstimate, Point};

/// What came of one policy. Rewards are in units of the slot's goal; "expected" is what the environment says of what was
/// shown, "given" what shoppers happened to do. Bots count in neither.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// Its name.
    pub name: String,
    /// What it changes of the slot, as TOML on one line; empty: nothing.
    pub overrides: String,
    /// Expected reward of what was shown, per decision.
    pub reward_per_decision: IntervalEstimate,
    /// Reward that shoppers gave, per decision.
    pub given_per_decision: IntervalEstimate,
    /// What the best choice would have been expected to give, less what was shown: per decision.
    pub regret_per_decision: IntervalEstimate,
    /// The same over the whole horizon.
    pub regret_total: IntervalEstimate,
    /// Expected reward over the baseline's, as a part of it: 0.1 is 10 % more. None for the baseline itself.
    pub lift: Option<IntervalEstimate>,
    /// Expected reward per decision in each bucket.
    pub reward_by_bucket: Vec<Point>,
    /// Regret per decision in each bucket.
    pub regret_by_bucket: Vec<Point>,
    /// Regret from the start to the end of each bucket.
    pub regret_so_far: Vec<Point>,
    /// Who was shown how often: the arms shown most, most first, then "other" where something is left. Of large
    /// catalogues groups stand here instead of arms.
    pub shares: Vec<ArmShare>,
    /// Regret that uniform choice would have, per decision: what there is to learn.
    pub uniform_regret_per_decision: f64,
    /// Expected rewards as the slot foresaw them against the truth, bins of equally many; from the second half of the
    /// horizon. Empty: nothing was foreseen.
    pub calibration: Vec<CalibrationBin>,
    /// Propensities against how often what they promise happened.
    pub propensity: Vec<PropensityBin>,
    /// By the shoppers' segments, in the scenario's order.
    pub segments: Vec<SegmentReport>,
    /// What became of reward events, over all replications.
    pub events: EventCounts,
    /// The part of decisions in which something else than the best guess stood at some position.
    pub exploring: f64,
    /// The part of decisions that no model made.
    pub fallbacks: f64,
    /// The part of decisions in the holdout.
    pub holdout: f64,
    /// How long decisions took; only against a live server.
    pub latency: Option<Latency>,
    /// How long events took until they were durable; only against a live server, and where there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_latency: Option<Latency>,
    /// Decisions and events that came to nothing on a live server, by gRPC code; SHED: not sent, as too much was unanswered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
}

/// How often something was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmShare {
    /// The arm, a group of arms, or "other".
    pub arm: String,
    /// Its part of all places, 0 to 1.
    pub share: f64,
    /// Its part of the places in each bucket; none: there was no decision in it.
    pub by_bucket: Vec<Option<f64>>,
}

/// Predictions of about the same size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// How many.
    pub count: u64,
    /// The mean of what was foreseen.
    pub predicted: f64,
    /// The mean of what was true.
    pub truth: f64,
}

/// Propensities of about the same size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PropensityBin {
    /// Propensities from here, this among them,
    pub from: f64,
    /// to here; the last bin ends with 1, 1 among them.
    pub until: f64,
    /// How many (decision, candidate) pairs.
    pub count: u64,
    /// The mean propensity.
    pub promised: f64,
    /// How often the candidate was in fact drawn, as a part of the count.
    pub happened: f64,
    /// The standard error that `happened` has if propensities are true.
    pub standard_error: f64,
}

/// What came of one segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentReport {
    /// The segment.
    pub segment: String,
    /// Its part of the decisions.
    pub share: f64,
    /// Expected reward per decision of it.
    pub reward_per_decision: IntervalEstimate,
    /// Regret per decision of it.
    pub regret_per_decision: IntervalEstimate,
    /// Over the baseline's, as a part of it.
    pub lift: Option<IntervalEstimate>,
}

/// What became of reward events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventCounts {
    /// Events that shoppers (and bots) brought about.
    pub happened: u64,
    /// Of those, lost on the way.
    pub lost: u64,
    /// Events that arrived, duplicates among them.
    pub arrived: u64,
    /// Answered as accepted.
    pub accepted: u64,
    /// Answered as duplicates.
    pub duplicates: u64,
    /// Answered as late.
    pub late: u64,
    /// Answered as matching nothing.
    pub unmatched: u64,
    /// Answered as not acceptable.
    pub rejected: u64,
}

/// How long requests took, from the moment each was due, milliseconds. What failed counts as 10 s, as long as is waited
/// for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Half took at most so long.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p999_ms: f64,
    /// All.
    pub max_ms: f64,
}
