//! What came of a run, as plain data: the one thing that every output is made from.
//!
//! * [`RunReport`]: the scenario, its policies and its checks. As JSON it is what `--json` writes.
//! * [`PolicyReport`]: one policy's rewards, regret, shares, calibration and segments.
//! * [`CheckReport`]: one check and what came of it.
//! * [`LiveReport`]: how a live server was played against.
//!
//! Invariants: in process nothing here depends on the machine, the number of threads or the time
//! of day, so the same scenario and seed give the same bytes; what is not known is `None` and not 0.
//! Means over replications come with their standard error; every interval says its confidence.
//!
//! Deliberately not here: how anything is shown.

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
pub use policy::{ArmShare, CalibrationBin, EventCounts, Latency, PolicyReport, PropensityBin, SegmentReport};
pub use slotwise::evaluate::IntervalEstimate;

/// The version of the report's form; rises when a key changes its meaning or goes.
pub const FORM: u32 = 1;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// See [`FORM`].
    pub form: u32,
    /// What was run.
    pub scenario: ScenarioReport,
    /// Where it was run.
    pub target: Target,
    /// How, where that was a live server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveReport>,
    /// What everything was drawn from.
    pub seed: u64,
    /// Decisions of one replication, bots' among them.
    pub horizon: u64,
    /// How often the whole was repeated with other shoppers.
    pub replications: u32,
    /// The parts of the horizon that every `…_by_bucket` has one entry for, in order.
    pub buckets: Vec<Bucket>,
    /// Moments worth a mark on a time axis, in order.
    pub marks: Vec<Mark>,
    /// The policy that every `lift` is over, by its name; none: there is only one policy.
    pub baseline: Option<String>,
    /// In the scenario's order; the first is the one that checks are about unless they say otherwise.
    pub policies: Vec<PolicyReport>,
    /// In the scenario's order.
    pub checks: Vec<CheckReport>,
    /// Of all checks together.
    pub verdict: Verdict,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioReport {
    /// The shipped name, or that of the file without its ending.
    pub name: String,
    /// A line.
    pub title: String,
    /// What it shows, some sentences.
    pub shows: String,
    /// It was the small version.
    pub small: bool,
    /// What `--set` changed, as given: `key=value`.
    pub set: Vec<String>,
    /// The arms, at most: launched later ones among them.
    pub arms: u64,
    /// How long a replication takes in the shop's time, days; the mean over the replications.
    pub days: f64,
}

/// Where a scenario was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The engine in this process, under a virtual clock.
    InProcess,
    /// A live server, by the wall clock.
    Live,
}

/// A part of the horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its first decision, from 0.
    pub from: u64,
    /// The first decision after it.
    pub until: u64,
    /// When it ends in the shop's time, days since the start; the mean over the replications.
    pub ends_day: f64,
}

/// A moment worth a mark on a time axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The decision it comes before; the mean over the replications, so not always whole.
    pub at: f64,
    /// What happens: "drift", "restart", "flash sale", "launch of 'a'"…
    pub what: String,
}

/// What all checks come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All hold (also where there are none).
    Holds,
    /// At least one fails.
    Fails,
    /// None fails, and at least one is inconclusive.
    Inconclusive,
}

impl Verdict {
    /// Of these outcomes.
    pub fn of(outcomes: impl IntoIterator<Item = CheckOutcome>) -> Self {
        outcomes.into_iter().fold(Self::Holds, |verdict, outcome| match (verdict, outcome) {
            (Self::Fails, _) | (_, CheckOutcome::Fail) => Self::Fails,
            (Self::Inconclusive, _) | (_, CheckOutcome::Inconclusive) => Self::Inconclusive,
            (Self::Holds, CheckOutcome::Pass | CheckOutcome::Skipped) => Self::Holds,
        })
    }

    /// The exit code of `run`: 0 all hold, 1 one fails, 4 inconclusive.
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

    /// The policy of this name.
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
            (&[][..], Verdict::Holds, 0),
            (&[Pass, Skipped, Pass], Verdict::Holds, 0),
            (&[Pass, Inconclusive, Pass], Verdict::Inconclusive, 4),
            (&[Fail, Inconclusive, Pass], Verdict::Fails, 1),
            (&[Inconclusive, Fail], Verdict::Fails, 1),
        ] {
            let verdict = Verdict::of(outcomes.iter().copied());
            assert_eq!((verdict, verdict.exit_code()), (want, code), "{outcomes:?}");
        }
    }
}
