//! Counts of one policy in one replication.

use super::clicks::ClickCurve;
use crate::{load::tally::CallCounts, report::EventCounts};

/// Number of parts of the horizon, each a point of every curve.
pub const BUCKETS: usize = 100;

/// Lower ends of the propensity bins.
pub const PROPENSITIES: [f64; 14] = [0.0, 0.001, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97];

/// Returns the bucket of a decision.
pub fn bucket(index: u64, horizon: u64) -> usize {
    // A run has at most 10^8 decisions, so nothing overflows. The index is below the horizon.
    usize::try_from(index * BUCKETS as u64 / horizon.max(1)).unwrap_or(0).min(BUCKETS - 1)
}

/// Sums over some decisions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RewardSum {
    /// Number of decisions.
    pub decisions: u64,
    /// Expected reward of the shown arms.
    pub reward: f64,
    /// Expected reward of the best choice minus that of the shown arms.
    pub regret: f64,
}

impl RewardSum {
    /// Adds a decision.
    pub fn add(&mut self, reward: f64, regret: f64) {
        self.decisions += 1;
        self.reward += reward;
        self.regret += regret;
    }
}

/// Counts of propensities of about the same size.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PropensityBinCounts {
    /// Number of (decision, candidate) pairs.
    pub count: u64,
    /// Sum of the propensities.
    pub promised: f64,
    /// Sum of p(1 − p).
    pub variance: f64,
    /// Number of candidates that were drawn.
    pub happened: u64,
}

/// Counts of one policy in one replication. Bots and overridden decisions count only among events.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyTally {
    /// Sums by bucket.
    pub buckets: Vec<RewardSum>,
    /// Reward that shoppers really gave.
    pub given: f64,
    /// Regret of uniform choice.
    pub uniform_regret: f64,
    /// Sums by segment.
    pub segments: Vec<RewardSum>,
    /// Shown positions by bucket and group, bucket by bucket.
    pub groups: Vec<u32>,
    /// Pairs (predicted, true) of the expected reward at some first positions of the second half.
    pub calibration: Vec<(f64, f64)>,
    /// Counts by propensity bin.
    pub propensity: [PropensityBinCounts; PROPENSITIES.len()],
    /// Audited decisions whose logged propensity differs from the explained one.
    pub mismatches: u64,
    /// Counts of events.
    pub events: EventCounts,
    /// All decisions, including those for bots.
    pub decisions: u64,
    /// Decisions that differ from the best guess at some position.
    pub exploring: u64,
    /// Decisions that the model did not make.
    pub fallbacks: u64,
    /// Decisions in the holdout.
    pub holdout: u64,
    /// Positions that count and all positions, by watched share.
    pub shares: Vec<(u64, u64)>,
    /// Sums by touchpoint. Empty in a scenario without touchpoints.
    pub touchpoints: Vec<RewardSum>,
    /// Regret by clicks, by measurement.
    pub clicks: Vec<ClickCurve>,
    /// Deferred decisions, and the confirmed ones among them.
    pub deferred: (u64, u64),
    /// Decisions until adapted, by watched change.
    pub adapted: Vec<f64>,
    /// Intervals that contain the truth, and all intervals.
    pub covered: (u64, u64),
    /// Figures "if everybody got it" whose intervals contain the truth, and all that are shown.
    pub figures_held: (u64, u64),
    /// Arms that may be shown at the end, each of which could have a figure.
    pub figures: u64,
    /// True if the slot says that different shoppers want different arms.
    pub says_who_wants_what: bool,
    /// True if the slot is confident, leading or settled with the arm that is the best if all shoppers get the same.
    pub says_right_arm: bool,
    /// True if the slot is sure of a best arm that is not the best.
    pub falsely_sure: bool,
    /// Relative error of the counted reward: see [`Metric::CountedError`](crate::scenario::Metric::CountedError).
    pub counted_error: f64,
    /// The calls of a live server, or `None` in this process.
    pub calls: Option<Box<LiveCalls>>,
}

/// Calls of a live server, each timed from when it was due. The latency of a failed call is the time limit of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveCalls {
    /// Calls for decisions.
    pub decide: CallCounts,
    /// Calls with events.
    pub record: CallCounts,
    /// Delay between the due time of decisions and their sending. The simulator causes it, and it is part of their
    /// latency.
    pub lag: CallCounts,
}

impl PolicyTally {
    /// Returns empty counts.
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
            touchpoints: Vec::new(),
            clicks: Vec::new(),
            deferred: (0, 0),
            adapted: Vec::new(),
            covered: (0, 0),
            figures_held: (0, 0),
            figures: 0,
            says_who_wants_what: false,
            says_right_arm: false,
            falsely_sure: false,
            counted_error: 0.0,
            calls: None,
        }
    }

    /// Returns the sums over all decisions for shoppers.
    pub fn total(&self) -> RewardSum {
        self.part(0..BUCKETS)
    }

    /// Returns the sums over some buckets.
    pub fn part(&self, buckets: std::ops::Range<usize>) -> RewardSum {
        self.buckets[buckets].iter().fold(RewardSum::default(), |sum, bucket| RewardSum {
            decisions: sum.decisions + bucket.decisions,
            reward: sum.reward + bucket.reward,
            regret: sum.regret + bucket.regret,
        })
    }

    /// Adds the counts of another slot of the policy, which counted other decisions of the same replication.
    pub(super) fn add_slot(&mut self, other: Self) {
        let sums = |own: &mut [RewardSum], other: &[RewardSum]| {
            own.iter_mut().zip(other).for_each(|(sum, other)| {
                sum.decisions += other.decisions;
                sum.reward += other.reward;
                sum.regret += other.regret;
            });
        };
        sums(&mut self.buckets, &other.buckets);
        sums(&mut self.segments, &other.segments);
        self.given += other.given;
        self.uniform_regret += other.uniform_regret;
        self.groups.iter_mut().zip(other.groups).for_each(|(shown, other)| *shown += other);
        self.calibration.extend(other.calibration);
        for (bin, other) in self.propensity.iter_mut().zip(other.propensity) {
            bin.count += other.count;
            bin.promised += other.promised;
            bin.variance += other.variance;
            bin.happened += other.happened;
        }
        self.mismatches += other.mismatches;
        self.events.add(other.events);
        self.decisions += other.decisions;
        self.exploring += other.exploring;
        self.fallbacks += other.fallbacks;
        self.holdout += other.holdout;
        for (own, other) in self.shares.iter_mut().zip(other.shares) {
            *own = (own.0 + other.0, own.1 + other.1);
        }
        self.deferred = (self.deferred.0 + other.deferred.0, self.deferred.1 + other.deferred.1);
        self.covered = (self.covered.0 + other.covered.0, self.covered.1 + other.covered.1);
        self.figures_held = (self.figures_held.0 + other.figures_held.0, self.figures_held.1 + other.figures_held.1);
        self.figures += other.figures;
        self.falsely_sure |= other.falsely_sure;
    }

    /// Counts a propensity in its bin.
    pub fn propensity(&mut self, p: f64, happened: bool) {
        let bin = PROPENSITIES.partition_point(|&from| from <= p).saturating_sub(1);
        let bin = &mut self.propensity[bin];
        bin.count += 1;
        bin.promised += p;
        bin.variance += p * (1.0 - p);
        bin.happened += u64::from(happened);
    }
}

/// One finished replication: the parts that all policies share, and each policy's counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Replication {
    /// End of each bucket, microseconds since the start.
    pub ends_us: Vec<f64>,
    /// The decision that each of the scenario's marks comes before, or `None` if the moment never came.
    pub marks: Vec<Option<u64>>,
    /// Counts by policy.
    pub policies: Vec<PolicyTally>,
}
