//! Comparison of policies on a slot's own decisions: what each would have earned.
//!
//! Every decision that the policy drew carries the scores and probabilities of its candidates as they were then, before its reward
//! was known. So a policy that is a function of those scores has probabilities for the same decision, and its value follows from the
//! rewards that came (doubly robust).
//!
//! * The value is of the first position.
//! * The intervals hold for subjects who come back: variances are computed over groups of subjects.
//! * Drafts are compared with the present policy on the same decisions, pair by pair.
//!
//! Deliberately not here: where decisions come from; see [`PolicyComparison::add`].

#[cfg(test)]
mod tests;

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};

use super::{
    decision_record::{DecisionRecord, Fallback, Reason},
    pending::{subject_group, subject_keys},
};
use crate::{
    bandit::{Constraints, Exploration, Mixture, MixturePart, ModelSpec, Policy, Ranking, Scores},
    evaluate::off_policy::LoggedTerm,
    slot::{ArmId, Controls, Definition, Mode},
    stats::{GroupedSample, NormalScore, math::square},
};

/// Effective decisions from which on a value is shown.
const EFFECTIVE_MIN: f64 = 100.0;
/// Standard errors by which the mean weight may be away from 1. Farther away, the log could not have shown what the policy shows.
const WEIGHT_ERRORS: f64 = 4.0;
/// Half-width of an interval of 95 %, in standard errors.
const ONE_LOOK: f64 = 1.96;
/// Floors that are tried for the advice, smallest first.
const FLOORS: [f64; 4] = [0.01, 0.02, 0.05, 0.1];

/// Policy that is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum ComparedPolicy {
    /// The policy as it decided.
    Present,
    /// The arm with the largest expected reward.
    Greedy,
    /// Every arm alike.
    Uniform,
    /// One arm for everybody.
    Always(ArmId),
    /// Models as they are, with other controls: exploration, preset, policy, floor, ceiling and bounds of single arms.
    Draft {
        /// Name of the draft.
        name: String,
        /// Controls of the draft.
        controls: Box<Controls>,
    },
}

impl ComparedPolicy {
    /// Name for people.
    pub fn name(&self) -> String {
        match self {
            Self::Present => "present".to_owned(),
            Self::Greedy => "greedy".to_owned(),
            Self::Uniform => "uniform".to_owned(),
            Self::Always(arm) => format!("always {arm}"),
            Self::Draft { name, .. } => name.clone(),
        }
    }
}

/// Value of a policy, and of its difference from the present one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolicyValue {
    /// Mean reward per decision.
    pub mean: f64,
    /// Interval of the mean, for one look with 95 %.
    pub interval: (f64, f64),
    /// Mean reward less that of the present policy, on the same decisions.
    pub difference: f64,
    /// Interval of the difference.
    pub difference_interval: (f64, f64),
}

/// Result for one policy.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedValue {
    /// Name of the policy.
    pub name: String,
    /// Value, or `None` if the decisions do not tell.
    pub value: Option<PolicyValue>,
    /// Number of decisions by the policy itself that would say as much.
    pub effective_decisions: f64,
    /// Least floor that would have been enough with as many decisions, if the value is withheld and a floor helps.
    pub floor_needed: Option<f64>,
}

/// Sums of one policy.
#[derive(Debug, Clone, Default)]
struct PolicySums {
    weight: f64,
    weight_squares: f64,
    /// Sums of the squared weights as they would have been with each of the [`FLOORS`].
    at_floors: [f64; FLOORS.len()],
    scores: GroupedSample,
    differences: GroupedSample,
}

/// Comparison of policies, decision by decision.
#[derive(Debug)]
pub struct PolicyComparison {
    policies: Vec<ComparedPolicy>,
    sums: Vec<PolicySums>,
    decisions: u64,
    left_out: u64,
}

/// Candidate of a decision as it was scored.
struct LoggedCandidate<'a> {
    arm: Option<&'a ArmId>,
    mean: f64,
    std: f64,
    propensity: f64,
}

impl PolicyComparison {
    /// Creates a comparison of these policies with the present one, which comes first.
    pub fn new(policies: Vec<ComparedPolicy>) -> Self {
        let mut all = vec![ComparedPolicy::Present];
        all.extend(policies.into_iter().filter(|policy| *policy != ComparedPolicy::Present));
        Self { sums: vec![PolicySums::default(); all.len()], policies: all, decisions: 0, left_out: 0 }
    }

    /// Number of decisions that count.
    pub fn decisions(&self) -> u64 {
        self.decisions
    }

    /// Number of decisions that do not: of the holdout, repeated or sticky ones, without scores, or whose first position the policy
    /// did not draw.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Counts a decision that says nothing, because its rewards are not known.
    pub fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// Adds a decision with the reward of its first position. `definition` is that of the revision that decided, and `candidate` gives
    /// the arm of a candidate's index. A decision that says nothing is left out.
    pub fn add<'a>(
        &mut self,
        decided: &'a DecisionRecord,
        definition: &Definition,
        candidate: impl Fn(usize) -> Option<&'a ArmId>,
        reward: f64,
    ) {
        let counted = self.try_add(decided, definition, candidate, reward);
        *(if counted.is_some() { &mut self.decisions } else { &mut self.left_out }) += 1;
    }

    fn try_add<'a>(
        &mut self,
        decided: &'a DecisionRecord,
        definition: &Definition,
        candidate: impl Fn(usize) -> Option<&'a ArmId>,
        reward: f64,
    ) -> Option<()> {
        let first = decided.chosen.first()?;
        let drawn = !decided.holdout
            && decided.sticky.is_none()
            && matches!(decided.fallback, None | Some(Fallback::Model))
            && definition.controls.mode() != Mode::Shadow
            && matches!(first.reason, Reason::BestGuess | Reason::Exploring | Reason::Floor);
        let candidates: Vec<LoggedCandidate<'_>> = decided
            .scored
            .iter()
            .map(|of| LoggedCandidate {
                arm: candidate(of.candidate as usize),
                mean: of.mean.into(),
                std: of.std.into(),
                propensity: of.propensity.into(),
            })
            .collect();
        let shown = candidates.iter().position(|of| of.arm == Some(&first.arm)).filter(|_| drawn)?;
        let total: f64 = candidates.iter().map(|of| of.propensity).sum();
        // A record that lacks likely candidates would give policies probabilities that they do not have.
        if candidates[shown].propensity <= 0.0 || total < 0.99 {
            return None;
        }
        let subjects: Vec<_> = subject_keys(&decided.subject).collect();
        let group = usize::from(subject_group(&subjects, decided.id));
        let present = candidates.iter().map(|of| of.propensity / total).collect::<Vec<f64>>();
        let present_score = score(&term(&candidates, &present, shown, reward));
        for (policy, sums) in self.policies.iter().zip(&mut self.sums) {
            let Some(pmf) = probabilities(policy, definition, &candidates, &present) else { continue };
            let term = term(&candidates, &pmf, shown, reward);
            sums.weight += term.weight;
            sums.weight_squares += square(term.weight);
            for (squares, floor) in sums.at_floors.iter_mut().zip(FLOORS) {
                // E[w²] = Σ π²/p, with the probabilities that the floor would have given.
                let room = 1.0 - floor * candidates.len() as f64;
                let with_floor = |p: f64| (floor + room.max(0.0) * p).min(1.0);
                *squares +=
                    pmf.iter().zip(&present).map(|(pi, p)| square(*pi) / with_floor(*p).max(1e-12)).sum::<f64>();
            }
            let own = score(&term);
            sums.scores.add(group, own);
            sums.differences.add(group, own - present_score);
        }
        Some(())
    }

    /// Returns the result of each policy, the present one first.
    pub fn results(&self) -> Vec<ComparedValue> {
        self.policies.iter().zip(&self.sums).map(|(policy, sums)| sums.result(policy.name())).collect()
    }
}

impl PolicySums {
    fn result(&self, name: String) -> ComparedValue {
        let count = self.scores.sample.count as f64;
        let effective = if self.weight_squares > 0.0 { square(self.weight) / self.weight_squares } else { 0.0 };
        let mean_weight = self.weight / count.max(1.0);
        let weight_variance = (self.weight_squares / count.max(1.0) - square(mean_weight)).max(0.0);
        let weight_error = (weight_variance / count.max(1.0)).sqrt();
        let has_overlap = (mean_weight - 1.0).abs() <= WEIGHT_ERRORS * weight_error.max(1e-3);
        let known = effective >= EFFECTIVE_MIN && has_overlap;
        let around = |sample: &GroupedSample| {
            let error = (sample.sample.variance() * sample.design_effect() / count.max(1.0)).sqrt();
            let mean = sample.sample.mean();
            (mean, (mean - ONE_LOOK * error, mean + ONE_LOOK * error))
        };
        let floor = (0..FLOORS.len()).find(|&at| {
            let expected = self.at_floors[at] / count.max(1.0);
            count > 0.0 && count / expected >= 2.0 * EFFECTIVE_MIN
        });
        let value = || {
            let ((mean, interval), (difference, difference_interval)) =
                (around(&self.scores), around(&self.differences));
            PolicyValue { mean, interval, difference, difference_interval }
        };
        ComparedValue {
            name,
            value: known.then(value),
            effective_decisions: effective,
            floor_needed: floor.map(|at| FLOORS[at]).filter(|_| !known),
        }
    }
}

/// Returns the contribution of a decision to a policy with these probabilities.
fn term(candidates: &[LoggedCandidate<'_>], pmf: &[f64], shown: usize, reward: f64) -> LoggedTerm {
    LoggedTerm {
        subject: 0,
        weight: pmf[shown] / candidates[shown].propensity,
        reward,
        direct: pmf.iter().zip(candidates).map(|(p, of)| p * of.mean).sum(),
        forecast: candidates[shown].mean,
        accepted: false,
    }
}

/// Doubly robust score of a decision.
fn score(of: &LoggedTerm) -> f64 {
    of.direct + of.weight * (of.reward - of.forecast)
}

/// Returns the probabilities of a policy, or `None` if it says nothing about this decision.
fn probabilities(
    policy: &ComparedPolicy,
    definition: &Definition,
    candidates: &[LoggedCandidate<'_>],
    present: &[f64],
) -> Option<Vec<f64>> {
    let count = candidates.len();
    let certain = |at: usize| (0..count).map(|i| if i == at { 1.0 } else { 0.0 }).collect::<Vec<f64>>();
    let best = |value: fn(&LoggedCandidate<'_>) -> f64| {
        // The first of equal ones, as in a decision.
        (0..count).reduce(|a, b| if value(&candidates[b]) > value(&candidates[a]) { b } else { a })
    };
    match policy {
        ComparedPolicy::Present => Some(present.to_vec()),
        ComparedPolicy::Greedy => Some(certain(best(|of| of.mean)?)),
        ComparedPolicy::Uniform => Some(vec![1.0 / count as f64; count]),
        // A decision in which the arm was no candidate is made as the present policy made it.
        ComparedPolicy::Always(arm) => match candidates.iter().position(|of| of.arm == Some(arm)) {
            Some(at) => Some(certain(at)),
            None => Some(present.to_vec()),
        },
        ComparedPolicy::Draft { controls, .. } => draft_probabilities(controls, definition, candidates),
    }
}

/// Returns the probabilities that a draft's controls give, from the recorded means and standard deviations.
fn draft_probabilities(
    controls: &Controls,
    definition: &Definition,
    candidates: &[LoggedCandidate<'_>],
) -> Option<Vec<f64>> {
    // Recorded deviations have the width multiplier that was in effect.
    let width = definition.controls.exploration();
    let factor = if width > 0.0 { controls.exploration() / width } else { 0.0 };
    // Linear models draw optimistically.
    let linear = matches!(definition.model, ModelSpec::Portfolio(_) | ModelSpec::Linear(_));
    let (shift, part) = if linear && controls.policy() == Policy::ThompsonSampling { (0.5, 0.8) } else { (0.0, 1.0) };
    let score = |of: &LoggedCandidate<'_>| {
        let std = factor * of.std;
        NormalScore { mean: of.mean + shift * std, std: part * std }
    };
    let scores = Scores::Normal(candidates.iter().map(score).collect());
    let mixture = Mixture::new(vec![MixturePart { weight: 1.0, name: "recorded", scores }])?;
    let draft = Definition {
        controls: controls.clone(),
        default_floor: definition.default_floor,
        ..Definition::new(definition.id.clone())
    };
    let floor = draft.floor(candidates.len(), 1.0);
    let of_arm = |of: &LoggedCandidate<'_>| {
        let own = of.arm.and_then(|arm| controls.arm_bounds.get(arm)).copied().unwrap_or_default();
        (own.floor.unwrap_or(floor), own.ceiling.unwrap_or(controls.ceiling()))
    };
    let (floors, ceilings) = candidates.iter().map(of_arm).unzip();
    let constraints = if controls.arm_bounds.is_empty() {
        Constraints::default()
    } else {
        Constraints { floors, ceilings, ..Constraints::default() }
    };
    let ranking = Ranking {
        policy: controls.policy(),
        exploration: Exploration { floor, ceiling: controls.ceiling() },
        with_swap_probabilities: false,
        constraints: &constraints,
    };
    // Only the probabilities are used, so any seed will do.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0);
    Some(ranking.draw(&mixture, 1, &mut rng, None)?.first_pmf)
}
