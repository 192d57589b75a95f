//! What is counted of one policy in one replication.

use crate::{load::tally::CallCounts, report::EventCounts};

/// Parts of the horizon that curves have a point for.
pub const BUCKETS: usize = 100;

/// Where bins of propensities begin.
pub const PROPENSITIES: [f64; 14] = [0.0, 0.001, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97];

/// The bucket of a decision.
pub fn bucket(index: u64, horizon: u64) -> usize {
    // At most 10^8 decisions: no overflow. At most the last: the horizon is never reached.
    usize::try_from(index * BUCKETS as u64 / horizon.max(1)).unwrap_or(0).min(BUCKETS - 1)
}

/// Some decisions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RewardSum {
    /// How many.
    pub decisions: u64,
    /// Expected reward of what was shown.
    pub reward: f64,
    /// What the best would have been expected to give beyond that.
    pub regret: f64,
}

impl RewardSum {
    /// Counts one more.
    pub fn add(&mut self, reward: f64, regret: f64) {
        self.decisions += 1;
        self.reward += reward;
        self.regret += regret;
    }
}

/// Propensities of about the same size.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PropensityBinCounts {
    /// How many (decision, candidate) pairs.
    pub count: u64,
    /// The propensities, added up.
    pub promised: f64,
    /// p(1 − p), added up.
    pub variance: f64,
    /// How many were drawn.
    pub happened: u64,
}

/// What is counted of one policy in one replication. Bots and overridden decisions stand in events alone.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyTally {
    /// By bucket.
    pub buckets: Vec<RewardSum>,
    /// Reward that shoppers gave.
    pub given: f64,
    /// Regret of uniform choice.
    pub uniform_regret: f64,
    /// By segment.
    pub segments: Vec<RewardSum>,
    /// Places by bucket and group, bucket by bucket.
    pub groups: Vec<u32>,
    /// (foreseen, true) of some first places of the second half.
    pub calibration: Vec<(f64, f64)>,
    /// By bin.
    pub propensity: [PropensityBinCounts; PROPENSITIES.len()],
    /// Audited decisions whose logged propensity is not that of the pmf that was explained.
    pub mismatches: u64,
    /// Events.
    pub events: EventCounts,
    /// All decisions, bots' among them.
    pub decisions: u64,
    /// Of those: not the best guess everywhere.
    pub exploring: u64,
    /// Of those: no model decided.
    pub fallbacks: u64,
    /// Of those: in the holdout.
    pub holdout: u64,
    /// Of each share that is watched: places that count, and all places.
    pub shares: Vec<(u64, u64)>,
    /// Of each change that is watched: decisions until adapted.
    pub adapted: Vec<f64>,
    /// Intervals that hold the truth, and all.
    pub covered: (u64, u64),
    /// The slot is sure of a best arm that is none.
    pub falsely_sure: bool,
    /// See [`Metric::CountedError`](crate::scenario::Metric::CountedError).
    pub counted_error: f64,
    /// The calls of a live server; none: it was in this process.
    pub calls: Option<Box<LiveCalls>>,
}

/// The calls of a live server, each counted from when it was due; what failed counts among the latencies as so long as
/// an answer is waited for.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveCalls {
    /// Decisions.
    pub decide: CallCounts,
    /// Events.
    pub record: CallCounts,
    /// How late decisions were sent, which is the simulator's own doing and part of their latency.
    pub lag: CallCounts,
}

impl PolicyTally {
    /// Nothing yet.
    pub fn new(segments: usize, groups: usize, shares: usize) -> Self {
        Self {
            buckets: vec![RewardSum::default(); BUCKETS],
            given: 0.0,
            uniform_regret: 0.0,
            segments: vec![RewardSum::default(); segments],
            groups: vec![0; BUCKETS * groups],
            calibration: Vec::new(),
            propensity: [PropensityBinCounts::default(); PROPENSITIES.len()],
            mismatches: 0,
            events: EventCounts::default(),
            decisions: 0,
            exploring: 0,
            fallbacks: 0,
            holdout: 0,
            shares: vec![(0, 0); shares],
            adapted: Vec::new(),
            covered: (0, 0),
            falsely_sure: false,
            counted_error: 0.0,
            calls: None,
        }
    }

    /// All decisions for shoppers.
    pub fn whole(&self) -> RewardSum {
        self.part(0..BUCKETS)
    }

    /// Those of some buckets.
    pub fn part(&self, buckets: std::ops::Range<usize>) -> RewardSum {
        self.buckets[buckets].iter().fold(RewardSum::default(), |sum, bucket| RewardSum {
            decisions: sum.decisions + bucket.decisions,
            reward: sum.reward + bucket.reward,
            regret: sum.regret + bucket.regret,
        })
    }

    /// Takes a propensity in.
    pub fn propensity(&mut self, p: f64, happened: bool) {
        let bin = PROPENSITIES.partition_point(|&from| from <= p).saturating_sub(1);
        let bin = &mut self.propensity[bin];
        bin.count += 1;
        bin.promised += p;
        bin.variance += p * (1.0 - p);
        bin.happened += u64::from(happened);
    }
}

/// One replication: what is the same for all policies, and each policy's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Replication {
    /// When each bucket ends, microseconds since the start.
    pub ends_us: Vec<f64>,
    /// The decision that each of the scenario's marks comes before; none: it never does.
    pub marks: Vec<Option<u64>>,
    /// By policy.
    pub policies: Vec<PolicyTally>,
}
