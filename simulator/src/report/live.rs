//! Results that only a run against a live server has.

use serde::{Deserialize, Serialize};

use super::policy::Latency;

/// Description of a run against a live server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveReport {
    /// Address of the server.
    pub target: String,
    /// Factor by which the shop's time ran faster than the wall clock.
    pub speed: f64,
    /// Planned decisions per second, on average, over all policies and all concurrent replications.
    pub rate: f64,
    /// Number of concurrent replications.
    pub at_once: u32,
    /// Seconds from the first request to the last answer.
    pub seconds: f64,
    /// Delay of sent decisions behind their due time, over all policies. The simulator causes this delay, and every
    /// latency contains it. It is `None` if no decision was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<Latency>,
    /// Further notes: settings that were ignored, failures, an early stop.
    pub notes: Vec<String>,
}
