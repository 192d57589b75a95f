//! Slates: the arms to show and their propensities, chosen by the policy, the baseline or an earlier decision.

mod baseline;
mod policy;
mod sticky;

pub(super) use self::{baseline::baseline_slate, policy::policy_slate, sticky::sticky_slate};
use super::{candidates::CandidateArm, eligible::ScoredSet};
use crate::engine::decision_record::{ChosenArm, Fallback, Reason};

/// Slate, with what was known about the candidates when it was chosen.
#[derive(Debug)]
pub(super) struct SlateChoice {
    pub(super) chosen: Vec<ChosenArm>,
    /// Reason why the policy's model did not choose the slate, or `None` if nothing prevented it.
    pub(super) fallback: Option<Fallback>,
    /// Name of the model that chose the slate, or "baseline" or "sticky".
    pub(super) model: String,
    /// Estimates of the eligible candidates.
    pub(super) estimates: Vec<CandidateEstimate>,
    /// Indices of the rules that had an effect on the slate, ascending.
    pub(super) rules: Vec<u32>,
    /// The floors of the eligible candidates came to more than 1, so that they were scaled down.
    pub(super) scaled_floors: bool,
}

/// Estimate of one candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct CandidateEstimate {
    /// Index of the candidate.
    pub(super) candidate: usize,
    /// Posterior mean of the reward, or 0 without scores.
    pub(super) mean: f64,
    /// Spread of that mean, or 0 without scores.
    pub(super) std: f64,
    /// Probability of the first position.
    pub(super) propensity: f64,
}

impl SlateChoice {
    /// Returns the largest expected reward of the candidates, or 0 without candidates.
    pub(super) fn best_expected(&self) -> f64 {
        self.estimates.iter().map(|estimate| estimate.mean).reduce(f64::max).unwrap_or(0.0)
    }
}

/// Returns the estimates of the eligible candidates, with their probabilities of the first position.
fn estimates(scored: &ScoredSet<'_>, first_pmf: &[f64]) -> Vec<CandidateEstimate> {
    let estimate = |(place, (&candidate, &propensity)): (usize, (&usize, &f64))| {
        let moments = scored.scores.as_ref().map(|scores| (scores.mixture.mean(place), scores.mixture.std(place)));
        let (mean, std) = moments.unwrap_or((0.0, 0.0));
        CandidateEstimate { candidate, mean, std, propensity }
    };
    scored.set.indices.iter().zip(first_pmf).enumerate().map(estimate).collect()
}

/// Returns a chosen arm without a swap probability.
fn chosen_arm(candidate: &CandidateArm<'_>, propensity: f64, expected_reward: f64, reason: Reason) -> ChosenArm {
    ChosenArm {
        arm: candidate.arm.clone(),
        propensity,
        expected_reward,
        baseline_position: candidate.baseline_position,
        swap_probability: 0.0,
        reason,
    }
}
