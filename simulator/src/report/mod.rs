//! Report of a run as plain data, from which every output is made.
//!
//! * [`RunReport`]: the scenario, its policies and its checks. `--json` writes it as JSON.
//! * [`PolicyReport`]: one policy's rewards, regret, shares, calibration and segments.
//! * [`CheckReport`]: one check and its result.
//! * [`LiveReport`]: a run against a live server.
//!
//! Invariants:
//!
//! * In process nothing here depends on the machine, the number of threads or the time of day. The same scenario and
//!   seed therefore give the same bytes.
//! * An unknown number is `None` and not 0.
//! * Means over replications have their standard error, and every interval has its confidence.
//!
//! Deliberately not here: the presentation of a report.

mod check;
mod estimate;
mod live;
pub mod output;
mod policy;
pub(crate) mod sentence;
pub mod show;

use serde::{Deserialize, Serialize};

pub use check::{CheckOutcome, CheckReport};
pub use estimate::Point;
pub use live::LiveReport;
pub use policy::{
    AdaptationCurve, ArmShare, CalibrationBin, DeferredReport, EventCounts, Latency, PolicyReport, PropensityBin,
    SegmentReport, TouchpointReport,
};
pub use slotwise::evaluate::IntervalEstimate;

/// Version of the report's form. It rises when a key changes its meaning or is removed.
pub const FORM: u32 = 1;

/// Report of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Version of the report's form, [`FORM`].
    pub form: u32,
    /// The scenario.
    pub scenario: ScenarioReport,
    /// The place where the scenario ran.
    pub target: RunTarget,
    /// Description of the run, if it was against a live server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveReport>,
    /// Seed of all draws.
    pub seed: u64,
    /// Decisions of one replication, including those for bots.
    pub horizon: u64,
    /// Number of replications, each with other shoppers.
    pub replications: u32,
    /// Parts of the horizon, in order. Every `…_by_bucket` has one entry for each.
    pub buckets: Vec<Bucket>,
    /// Moments that a time axis marks, in order.
    pub marks: Vec<TimelineMark>,
    /// Name of the policy that every `lift` is relative to, or `None` if there is only one policy.
    pub baseline: Option<String>,
    /// Policies in the scenario's order. Checks are about the first unless they name another.
    pub policies: Vec<PolicyReport>,
    /// Checks in the scenario's order.
    pub checks: Vec<CheckReport>,
    /// Verdict over all checks.
    pub verdict: RunVerdict,
}

/// Description of the scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioReport {
    /// Name of the shipped scenario, or of the file without its ending.
    pub name: String,
    /// Title of one line.
    pub title: String,
    /// Some sentences on what the scenario shows.
    pub shows: String,
    /// `true` for the small version of the scenario.
    pub small: bool,
    /// Settings that `--set` changed, as given: `key=value`.
    pub set: Vec<String>,
    /// Greatest number of arms, including those launched later.
    pub arms: u64,
    /// Length of a replication in the shop's time, in days. It is the mean over the replications.
    pub days: f64,
}

/// Place where a scenario ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunTarget {
    /// The engine in this process, under a virtual clock.
    InProcess,
    /// A live server, by the wall clock.
    Live,
}

/// A part of the horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// First decision of the bucket, counted from 0.
    pub from: u64,
    /// First decision after the bucket.
    pub until: u64,
    /// End of the bucket in the shop's time, in days since the start. It is the mean over the replications.
    pub ends_day: f64,
}

/// A moment that a time axis marks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineMark {
    /// Decision before which the moment lies. It is the mean over the replications, so it need not be whole.
    pub at: f64,
    /// Event at this moment: "drift", "restart", "flash sale", "launch of 'a'"…
    pub what: String,
}

/// Verdict over all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunVerdict {
    /// All checks hold, or there are none.
    Holds,
    /// One or more checks fail.
    Fails,
    /// No check fails, and at least one is inconclusive.
    Inconclusive,
}

impl RunVerdict {
    /// The verdict over the outcomes of checks.
    pub fn from_outcomes(outcomes: impl IntoIterator<Item = CheckOutcome>) -> Self {
        outcomes.into_iter().fold(Self::Holds, |verdict, outcome| match (verdict, outcome) {
            (Self::Fails, _) | (_, CheckOutcome::Fail) => Self::Fails,
            (Self::Inconclusive, _) | (_, CheckOutcome::Inconclusive) => Self::Inconclusive,
            (Self::Holds, CheckOutcome::Pass | CheckOutcome::Skipped) => Self::Holds,
        })
    }

    /// The exit code of `run`: 0 if all checks hold, 1 if one fails, 4 if one is inconclusive.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::Fails => 1,
            Self::Inconclusive => 4,
        }
    }
}

impl RunReport {
    /// The report as one JSON object, ending in a line feed.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// The report of the policy with this name.
    pub fn policy(&self, name: &str) -> Option<&PolicyReport> {
        self.policies.iter().find(|policy| policy.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CheckOutcome::{Fail, Inconclusive, Pass, Skipped};

    #[test]
    fn one_failure_outweighs_what_is_not_known_and_that_outweighs_what_holds() {
        for (outcomes, want, code) in [
            (&[][..], RunVerdict::Holds, 0),
            (&[Pass, Skipped, Pass], RunVerdict::Holds, 0),
            (&[Pass, Inconclusive, Pass], RunVerdict::Inconclusive, 4),
            (&[Fail, Inconclusive, Pass], RunVerdict::Fails, 1),
            (&[Inconclusive, Fail], RunVerdict::Fails, 1),
        ] {
            let verdict = RunVerdict::from_outcomes(outcomes.iter().copied());
            assert_eq!((verdict, verdict.exit_code()), (want, code), "{outcomes:?}");
        }
    }
}
