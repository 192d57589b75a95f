//! Results of an evaluation as plain data. The fields are also the keys of the report's JSON.
//!
//! An estimate is `null` if the log does not overlap with the policy, and `refused` says why.
//!
//! Deliberately not here: times and speeds, which differ from run to run.

use serde::{Deserialize, Serialize};
use slotwise::evaluate::off_policy::{LoggedTerm, OffPolicyEstimates, WeightSummary, mean_reward};

use super::{
    EvaluatedPolicy, EvaluationOptions, LearningSource, PolicyKind,
    calibration::Calibration,
    walk::{EvaluationInputs, PolicyWalk, subject_number},
};
use crate::{
    evaluate::logged::{FileFormat, LeftOutCounts},
    report::IntervalEstimate,
};

/// Effective decisions that a policy's weights must have before its estimates are reported.
pub const EFFECTIVE_MIN: f64 = 30.0;
/// Part of a policy's choices that the log must have been able to show.
pub const OVERLAP_MIN: f64 = 0.9;
/// Number of standard errors by which a mean weight may miss [`OVERLAP_MIN`].
const ERRORS_MAX: f64 = 4.0;

/// Report of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationReport {
    /// The log.
    pub log: LogReport,
    /// Check of the log's propensities.
    pub calibration: Calibration,
    /// Seed of the draws.
    pub seed: u64,
    /// Decisions that policies learned from: `matched`, `all` or `first`.
    pub learning: LearningSourceName,
    /// Lower limit of the propensity used to accept matching decisions.
    pub least_propensity: f64,
    /// The policies, in the order in which they were given.
    pub policies: Vec<PolicyEvaluation>,
}

/// Name of the decisions that policies learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearningSourceName {
    /// Decisions that matched the policy's own draw.
    Matched,
    /// Every earlier decision.
    All,
    /// Decisions of the first part of the log.
    First,
}

/// Description of the evaluated log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogReport {
    /// Name of the file.
    pub name: String,
    /// Format of the file.
    pub form: FileFormat,
    /// Number of evaluated decisions.
    pub decisions: u64,
    /// Number of earlier decisions, which were only learned from.
    pub learned_before: u64,
    /// Number of arms.
    pub arms: u64,
    /// Time of the first evaluated decision, in microseconds since 1970.
    pub from_us: i64,
    /// Time of the last evaluated decision, in microseconds since 1970.
    pub until_us: i64,
    /// Mean reward.
    pub reward: IntervalEstimate,
    /// Number of decisions whose reward differs from the default reward.
    pub rewarded: u64,
    /// Rows that were left out.
    pub left_out: LeftOutCounts,
    /// Part of the decisions that were logged with a propensity of 0.
    pub zero_propensity: f64,
    /// Number of decisions whose window had not closed, so that further rewards may arrive.
    pub incomplete: u64,
    /// Number of decisions that showed more than one arm. Their first position is evaluated.
    pub slates: u64,
}

/// Evaluation of one policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyEvaluation {
    /// Name of the policy.
    pub name: String,
    /// Estimates over all evaluated decisions.
    #[serde(flatten)]
    pub value: PolicyEstimates,
    /// Estimates for each position, if there are several positions.
    pub positions: Vec<PositionEstimates>,
    /// Number of decisions that the policy learned from, or `None` if it does not learn.
    pub learned: Option<u64>,
    /// Number of the log's decisions that would have been fallbacks.
    pub fallbacks: u64,
    /// Settings of the policy's document that decide who gets the policy and for how long. They are ignored, because
    /// the policy itself is evaluated.
    pub set_aside: Vec<String>,
}

/// Estimates of a policy at one position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionEstimates {
    /// Position, counted from 1.
    pub position: u32,
    /// Number of the log's decisions at the position.
    pub decisions: u64,
    /// The log's mean reward at the position.
    pub log: IntervalEstimate,
    /// Estimates of the policy at the position.
    #[serde(flatten)]
    pub value: PolicyEstimates,
}

/// Estimates of a policy's mean reward. An estimate that the log does not allow is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyEstimates {
    /// Inverse propensity scoring.
    pub ips: Option<IntervalEstimate>,
    /// Self-normalised inverse propensity scoring: the weighted rewards divided by the sum of the weights.
    pub self_normalised: Option<IntervalEstimate>,
    /// Doubly robust estimate, or `None` for the log's own policy, whose other probabilities are unknown.
    pub doubly_robust: Option<IntervalEstimate>,
    /// The doubly robust estimate minus the log's mean, paired by decision.
    pub over_log: Option<IntervalEstimate>,
    /// Mean reward of the accepted decisions. It is `None` if they are few, or if they cover only a part of what the
    /// policy would show.
    pub replay: Option<IntervalEstimate>,
    /// Estimate of the reward model alone, which is as biased as the model.
    pub direct: Option<f64>,
    /// Number of accepted decisions.
    pub accepted: Option<u64>,
    /// Part of the choices due for acceptance by replay that could be accepted. It is below 1 if propensities are below
    /// `least_propensity`, or 0.
    pub acceptable: Option<f64>,
    /// Mean of the weights, which is 1 if the log could have shown all that the policy would.
    pub mean_weight: f64,
    /// Standard error of the mean weight.
    pub mean_weight_error: f64,
    /// Number of the policy's own decisions that carry as much information.
    pub effective: f64,
    /// Largest weight.
    pub largest_weight: f64,
    /// Reason why estimates are missing.
    pub refused: Option<String>,
}

impl EvaluationReport {
    pub(super) fn new(
        inputs: &EvaluationInputs<'_>,
        policies: &[EvaluatedPolicy],
        walks: &[PolicyWalk],
        options: &EvaluationOptions,
    ) -> Self {
        let (log, first) = (inputs.log, inputs.first);
        let rows = &log.rows[first..];
        let (confidence, largest) = (options.confidence, log.largest());
        let all = rows.len() as u64 + log.left_out.zero_propensity;
        let mut positions: Vec<u32> = rows.iter().map(|row| row.position).collect();
        positions.sort_unstable();
        positions.dedup();
        if positions.len() < 2 {
            positions.clear();
        }
        let policy = |(candidate, walk): (&EvaluatedPolicy, &PolicyWalk)| {
            let own = candidate.how == PolicyKind::Logged;
            let value = |terms: &[&LoggedTerm]| PolicyEstimates::new(terms, own, inputs.least, largest, confidence);
            let at = |position: u32| {
                let there: Vec<&LoggedTerm> =
                    walk.terms.iter().zip(rows).filter(|(_, row)| row.position == position).map(|(t, _)| t).collect();
                let log = mean_reward(there.iter().map(|term| (term.subject, term.reward)), largest, confidence);
                PositionEstimates { position, decisions: there.len() as u64, log, value: value(&there) }
            };
            PolicyEvaluation {
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
                reward: mean_reward(
                    rows.iter().map(|row| (subject_number(&row.subject), row.reward)),
                    largest,
                    confidence,
                ),
                rewarded: rows.iter().filter(|row| row.reward.to_bits() != log.default_reward.to_bits()).count() as u64,
                left_out: log.left_out,
                zero_propensity: log.left_out.zero_propensity as f64 / all as f64,
                incomplete: log.incomplete,
                slates: log.slates,
            },
            calibration: Calibration::new(log, first),
            seed: options.seed,
            learning: match options.learning {
                LearningSource::Matched => LearningSourceName::Matched,
                LearningSource::All => LearningSourceName::All,
                LearningSource::First(_) => LearningSourceName::First,
            },
            least_propensity: inputs.least,
            policies: policies.iter().zip(walks).map(policy).collect(),
        }
    }

    /// The report as one line of JSON.
    ///
    /// # Errors
    ///
    /// No error is known, since the report consists of plain numbers and strings.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The evaluation of the policy with this name.
    pub fn policy(&self, name: &str) -> Option<&PolicyEvaluation> {
        self.policies.iter().find(|policy| policy.name == name)
    }
}

impl PolicyEstimates {
    /// Estimates from at least one term. `own` is `true` for the log's own policy.
    fn new(terms: &[&LoggedTerm], own: bool, least: f64, largest: f64, confidence: f64) -> Self {
        let of = OffPolicyEstimates::new(terms.iter().copied(), largest, confidence);
        let refused = refusal(&of);
        let allowed = refused.is_none();
        let enough = of.accepted as f64 >= EFFECTIVE_MIN;
        Self {
            ips: allowed.then_some(of.ips),
            self_normalised: allowed.then_some(of.self_normalised),
            doubly_robust: (allowed && !own).then_some(of.doubly_robust),
            over_log: (allowed && !own).then_some(of.over_log),
            // Few accepted decisions do not rule out weights, but replay never accepts an arm that the log never shows.
            replay: of.replay.filter(|_| enough && log_overlaps(&of.weights)),
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

/// Returns `true` if the log could have shown most of what a policy would.
fn log_overlaps(weights: &WeightSummary) -> bool {
    weights.mean + ERRORS_MAX * weights.standard_error >= OVERLAP_MIN
}

/// The reason why the log cannot tell what a policy would have earned, if there is one.
fn refusal(of: &OffPolicyEstimates) -> Option<String> {
    let weights = of.weights;
    if !log_overlaps(&weights) {
        let beyond = 100.0 * (1.0 - weights.mean);
        return Some(format!("{beyond:.0} % of what it would show, the log hardly ever shows there"));
    }
    (weights.effective < EFFECTIVE_MIN)
        .then(|| format!("its weights are worth {:.1} decisions, less than {EFFECTIVE_MIN}", weights.effective))
}
