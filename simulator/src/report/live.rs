//! What is only known of a run against a live server.

use serde::{Deserialize, Serialize};

use super::policy::Latency;

/// How a live server was played against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveReport {
    /// Its address.
    pub target: String,
    /// How many times as fast as in the shop time went by.
    pub speed: f64,
    /// Decisions per second, on average, of all policies and of all replications under way together, as laid down.
    pub rate: f64,
    /// Replications at the same time.
    pub at_once: u32,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// How late decisions were sent, of all policies: that is the simulator's own doing, and part of every latency. None:
    /// none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<Latency>,
    /// What else there is to say: what was left out, what failed, that it was stopped.
    pub notes: Vec<String>,
}
