//! Eligible set: the candidates that exclusions and caps leave.
//!
//! Deliberately not here: the computation of the scores; see [`scoring`](super::scoring).

use std::collections::HashMap;

use super::{
    candidates::{CandidateArm, Exclusion},
    caps::{Cap, CapEffect, CapRemainders},
    input::DecisionInput,
    rules::{MatchedRules, RuleStep, rule_index},
    scores::CandidateScores,
};
use crate::{
    engine::decision_record::Fallback,
    slot::{ArmId, Effect, OnError, Rule},
};

/// Candidates of a request after the rules on eligibility.
pub(super) struct EligibleSet<'a> {
    /// All candidates, with the reasons of those that are excluded.
    pub(super) candidates: Vec<CandidateArm<'a>>,
    /// Indices of the eligible candidates, ascending.
    pub(super) indices: Vec<usize>,
    pub(super) rules: MatchedRules<'a>,
    /// Indices of the rules that had an effect so far, ascending.
    pub(super) effective_rules: Vec<u32>,
    /// Indices of the rules that could not be evaluated for some candidate, ascending.
    pub(super) failed_rules: Vec<u32>,
    pub(super) caps: CapRemainders,
}

/// Eligible set with scores.
pub(super) struct ScoredSet<'a> {
    pub(super) set: EligibleSet<'a>,
    /// Factors of the eligible candidates' expected rewards, or `None` without boosts.
    pub(super) boosts: Option<Vec<f64>>,
    /// Scores of the eligible candidates, or `None` if they are not needed or cannot be computed.
    pub(super) scores: Option<CandidateScores>,
    /// Reason why everybody gets the baseline, or `None` if the policy decides.
    pub(super) fallback: Option<Fallback>,
}

impl<'a> EligibleSet<'a> {
    /// Applies exclusions and caps to the candidates, rule by rule.
    pub(super) fn new(input: &DecisionInput<'_>, candidates: Vec<CandidateArm<'a>>, rules: MatchedRules<'a>) -> Self {
        let mut candidates = candidates;
        let mut caps = CapRemainders::default();
        let (mut effective_rules, mut failed_rules) = (Vec::new(), Vec::new());
        for (at, rule) in rules.concerned() {
            let failed: Vec<usize> = (0..candidates.len()).filter(|&i| rules.fails(at, i)).collect();
            let fails_closed = !failed.is_empty() && rule.on_error == OnError::Exclude;
            if !failed.is_empty() {
                failed_rules.push(rule_index(at));
            }
            if fails_closed {
                for i in failed {
                    candidates[i].exclusion.get_or_insert(Exclusion::FailedRule(rule_index(at)));
                }
            }
            let CapEffect { excluded, remainder } = excluded_by(input, &candidates, &rules, at, rule);
            if fails_closed || !excluded.is_empty() {
                effective_rules.push(rule_index(at));
            }
            for i in excluded {
                candidates[i].exclusion = Some(Exclusion::Rule(rule_index(at)));
            }
            if let Some(remainder) = remainder {
                caps.push(remainder);
            }
        }
        let indices = eligible_indices(&candidates);
        Self { candidates, indices, rules, effective_rules, failed_rules, caps }
    }

    /// Returns the eligible candidates that the rule matches.
    pub(super) fn matches(&self, rule: usize) -> impl Iterator<Item = usize> {
        self.indices.iter().copied().filter(move |&i| self.rules.matches(rule, i))
    }

    /// Returns the rules of a step that match an eligible candidate.
    pub(super) fn matching_rules(&self, step: RuleStep) -> impl Iterator<Item = (usize, &'a Rule)> {
        self.rules.of_step(step).filter(move |(at, _)| self.matches(*at).next().is_some())
    }

    /// Returns for each eligible candidate whether the rule matches it.
    pub(super) fn match_flags(&self, rule: usize) -> Vec<bool> {
        self.indices.iter().map(|&i| self.rules.matches(rule, i)).collect()
    }
}

/// Returns the indices of the eligible candidates.
pub(super) fn eligible_indices(candidates: &[CandidateArm<'_>]) -> Vec<usize> {
    let mut eligible = Vec::with_capacity(candidates.len());
    eligible.extend((0..candidates.len()).filter(|&i| candidates[i].is_eligible()));
    eligible
}

/// Returns the eligible candidates that an exclusion or cap excludes, and the showings that a cap leaves.
fn excluded_by(
    input: &DecisionInput<'_>,
    candidates: &[CandidateArm<'_>],
    rules: &MatchedRules<'_>,
    at: usize,
    rule: &Rule,
) -> CapEffect {
    let matched = || -> Vec<usize> {
        (0..candidates.len()).filter(|&i| candidates[i].is_eligible() && rules.matches(at, i)).collect()
    };
    let (exposures, now_us) = (input.exposures, input.now_us);
    match rule.effect {
        Effect::Exclude => CapEffect { excluded: matched(), remainder: None },
        Effect::SubjectCap { count, window_us, together } => {
            let shown: HashMap<&ArmId, u64> = exposures.count_by_arm(&input.request.subject, now_us - window_us);
            let showings = |arm: &ArmId| shown.get(arm).copied().unwrap_or(0);
            let cap = Cap { rule: at, limit: u64::from(count), together, showings: &showings };
            cap.apply(matched(), candidates, rules)
        }
        Effect::DayCap { count, together } => {
            let showings = |arm: &ArmId| exposures.count_today(arm, now_us);
            Cap { rule: at, limit: count, together, showings: &showings }.apply(matched(), candidates, rules)
        }
        Effect::Evidence { .. }
        | Effect::Pin { .. }
        | Effect::Boost { .. }
        | Effect::ProbabilityBounds { .. }
        | Effect::Quota { .. }
        | Effect::MaxMoves { .. } => CapEffect::default(),
    }
}
