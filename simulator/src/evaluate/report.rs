//! What came of an evaluation, as plain data; as JSON, one object whose keys are these fields.
//!
//! Where the log does not overlap with what is asked, there is no estimate: the field is `null`, and `refused` says why.
//! Deliberately not here: times and speeds, which are not the same twice.

use serde::{Deserialize, Serialize};
use slotwise::evaluate::off_policy::{LoggedTerm, OffPolicyEstimates, WeightSummary, mean_reward};

use super::{
    Candidate, How, Learning, Options,
    calibration::Calibration,
    walk::{Course, Walk},
};
use crate::{
    evaluate::logged::{Form, LeftOut},
    report::IntervalEstimate,
};

/// Decisions that weights must be worth for what is estimated with them to be told.
pub const EFFECTIVE_MIN: f64 = 30.0;
/// The part of a policy's choices that the log must have been able to show.
pub const OVERLAP_MIN: f64 = 0.9;
/// Standard errors of a mean weight that are left to chance.
const ERRORS_MAX: f64 = 4.0;

/// What came of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The log.
    pub log: LogReport,
    /// Whether its propensities can be right.
    pub calibration: Calibration,
    /// Of the draws.
    pub seed: u64,
    /// What candidates learned from: `matched`, `all` or `first`.
    pub learning: LearningName,
    /// Propensities below this were taken for this where matches were accepted.
    pub least_propensity: f64,
    /// Each candidate, as they were given.
    pub policies: Vec<PolicyReport>,
}

/// What candidates learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearningName {
    /// Decisions that matched their own draws.
    Matched,
    /// Every decision before.
    All,
    /// The first part.
    First,
}

/// What was evaluated on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogReport {
    /// The file's name.
    pub name: String,
    /// What kind of file it is.
    pub form: Form,
    /// Decisions that were evaluated.
    pub decisions: u64,
    /// Decisions before them, which were only learned from.
    pub learned_before: u64,
    /// Arms.
    pub arms: u64,
    /// The time of the first decision that was evaluated, microseconds since 1970.
    pub from_us: i64,
    /// That of the last one.
    pub until_us: i64,
    /// The mean of the rewards.
    pub reward: IntervalEstimate,
    /// Decisions with a reward that is not silence's.
    pub rewarded: u64,
    /// Rows that were left out.
    pub left_out: LeftOut,
    /// The part of its decisions that were logged with a propensity of 0.
    pub zero_propensity: f64,
    /// Decisions whose window had not closed: more may come of them.
    pub incomplete: u64,
    /// Decisions that showed more than one arm, of which the first was evaluated.
    pub slates: u64,
}

/// What a policy would have earned per decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// Its name.
    pub name: String,
    /// Over all that was evaluated.
    #[serde(flatten)]
    pub value: Value,
    /// At each position, where there are several.
    pub positions: Vec<PositionValue>,
    /// Decisions that it learned from; none: it does not learn.
    pub learned: Option<u64>,
    /// Decisions of the log that its model would not have made.
    pub fallbacks: u64,
    /// What its document says of who gets the policy and for how long, which is set aside: the policy itself is evaluated.
    pub set_aside: Vec<String>,
}

/// What a policy would have earned at a position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionValue {
    /// From 1.
    pub position: u32,
    /// Decisions of the log there.
    pub decisions: u64,
    /// The log's mean there.
    pub log: IntervalEstimate,
    /// The policy's.
    #[serde(flatten)]
    pub value: Value,
}

/// Estimates, as far as the log allows them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Inverse propensity scores.
    pub ips: Option<IntervalEstimate>,
    /// The same over the sum of the weights.
    pub self_normalised: Option<IntervalEstimate>,
    /// Doubly robust; none for the log's own policy, whose other probabilities are not known.
    pub doubly_robust: Option<IntervalEstimate>,
    /// The doubly robust estimate less the log's mean, paired by decision.
    pub over_log: Option<IntervalEstimate>,
    /// The mean reward of the decisions that were accepted; none where they are few, or all of a part of what the policy would show.
    pub replay: Option<IntervalEstimate>,
    /// What the reward model alone says, as biased as that is.
    pub direct: Option<f64>,
    /// Decisions that were accepted.
    pub accepted: Option<u64>,
    /// Of the choices that replay should have accepted, the part that it could: less than 1 where propensities are below
    /// `least_propensity`, or 0.
    pub acceptable: Option<f64>,
    /// The mean of the weights: 1 where the log could have shown all that the policy would.
    pub mean_weight: f64,
    /// Its standard error.
    pub mean_weight_error: f64,
    /// So many decisions of the policy's own would tell as much.
    pub effective: f64,
    /// The largest weight.
    pub largest_weight: f64,
    /// Why estimates are missing.
    pub refused: Option<String>,
}

impl Report {
    pub(super) fn new(course: &Course<'_>, candidates: &[Candidate], walks: &[Walk], options: &Options) -> Self {
        let (log, first) = (course.log, course.first);
        let rows = &log.rows[first..];
        let (confidence, largest) = (options.confidence, log.largest());
        let all = rows.len() as u64 + log.left_out.zero_propensity;
        let mut positions: Vec<u32> = rows.iter().map(|row| row.position).collect();
        positions.sort_unstable();
        positions.dedup();
        if positions.len() < 2 {
            positions.clear();
        }
        let policy = |(candidate, walk): (&Candidate, &Walk)| {
            let own = candidate.how == How::Logged;
            let value = |terms: &[&LoggedTerm]| Value::of(terms, own, course.least, largest, confidence);
            let at = |position: u32| {
                let there: Vec<&LoggedTerm> =
                    walk.terms.iter().zip(rows).filter(|(_, row)| row.position == position).map(|(t, _)| t).collect();
                let log = mean_reward(there.iter().map(|term| term.reward), largest, confidence);
                PositionValue { position, decisions: there.len() as u64, log, value: value(&there) }
            };
            PolicyReport {
                name: candidate.name.clone(),
                value: value(&walk.terms.iter().collect::<Vec<_>>()),
                positions: positions.iter().map(|&position| at(position)).collect(),
                learned: walk.learned,
                fallbacks: walk.fallbacks,
                set_aside: candidate.set_aside.iter().map(|&field| field.to_owned()).collect(),
            }
        };
        Self {
            log: LogReport {
                name: log.name.clone(),
                form: log.form,
                decisions: rows.len() as u64,
                learned_before: first as u64,
                arms: log.arms.len() as u64,
                from_us: rows.first().map_or(0, |row| row.at_us),
                until_us: rows.last().map_or(0, |row| row.at_us),
                reward: mean_reward(rows.iter().map(|row| row.reward), largest, confidence),
                rewarded: rows.iter().filter(|row| row.reward.to_bits() != log.silent.to_bits()).count() as u64,
                left_out: log.left_out,
                zero_propensity: log.left_out.zero_propensity as f64 / all as f64,
                incomplete: log.incomplete,
                slates: log.slates,
            },
            calibration: Calibration::of(log, first),
            seed: options.seed,
            learning: match options.learning {
                Learning::Matched => LearningName::Matched,
                Learning::All => LearningName::All,
                Learning::First(_) => LearningName::First,
            },
            least_propensity: course.least,
            policies: candidates.iter().zip(walks).map(policy).collect(),
        }
    }

    /// As one line of JSON.
    ///
    /// # Errors
    ///
    /// None that we know of: the report is plain numbers and strings.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// A policy's part.
    pub fn policy(&self, name: &str) -> Option<&PolicyReport> {
        self.policies.iter().find(|policy| policy.name == name)
    }
}

impl Value {
    /// Of these terms, at least one; `own`: of the log's policy.
    fn of(terms: &[&LoggedTerm], own: bool, least: f64, largest: f64, confidence: f64) -> Self {
        let of = OffPolicyEstimates::new(terms.iter().copied(), largest, confidence);
        let refused = refused(&of);
        let told = refused.is_none();
        let enough = of.accepted as f64 >= EFFECTIVE_MIN;
        Self {
            ips: told.then_some(of.ips),
            self_normalised: told.then_some(of.self_normalised),
            doubly_robust: (told && !own).then_some(of.doubly_robust),
            over_log: (told && !own).then_some(of.over_log),
            // Few accepted decisions are no obstacle to weights, but what the log never shows is accepted nowhere.
            replay: of.replay.filter(|_| enough && overlaps(&of.weights)),
            direct: (!own).then_some(of.direct),
            accepted: (!own).then_some(of.accepted),
            acceptable: (!own).then_some(of.accepted as f64 / (least * terms.len() as f64)),
            mean_weight: of.weights.mean,
            mean_weight_error: of.weights.standard_error,
            effective: of.weights.effective,
            largest_weight: of.weights.largest,
            refused,
        }
    }
}

/// Whether the log could have shown most of what a policy would.
fn overlaps(weights: &WeightSummary) -> bool {
    weights.mean + ERRORS_MAX * weights.standard_error >= OVERLAP_MIN
}

/// Why the log cannot tell what a policy would have earned.
fn refused(of: &OffPolicyEstimates) -> Option<String> {
    let weights = of.weights;
    if !overlaps(&weights) {
        let beyond = 100.0 * (1.0 - weights.mean);
        return Some(format!("{beyond:.0} % of what it would show, the log hardly ever shows there"));
    }
    (weights.effective < EFFECTIVE_MIN)
        .then(|| format!("its weights are worth {:.1} decisions, less than {EFFECTIVE_MIN}", weights.effective))
}
