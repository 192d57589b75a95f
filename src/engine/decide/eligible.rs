//! Eligible set: the candidates that exclusions and caps leave, and the scores of these.

use std::collections::HashMap;

use super::{
    candidates::{CandidateArm, Exclusion},
    caps::{Cap, CapEffect, CapRemainders},
    evidence::require_evidence,
    input::DecisionInput,
    rules::{MatchedRules, RuleStep, rule_index},
    scores::{CandidateScores, ScoreTask, ScoreWidth},
};
use crate::{
    engine::decision_record::Fallback,
    slot::{ArmId, Effect, OnError, Rule},
};

/// Greatest factor of all boosts of an arm together. The least factor is its inverse.
const BOOST_TOTAL_MAX: f64 = 100.0;

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

    /// Returns whether rules can put other candidates at the top than the best.
    fn rules_arrange(&self) -> bool {
        let arranges = |(_, rule): (usize, &Rule)| !matches!(rule.effect, Effect::ProbabilityBounds { .. });
        !self.caps.is_empty()
            || self.matching_rules(RuleStep::Evidence).next().is_some()
            || self.matching_rules(RuleStep::Slate).any(arranges)
    }

    /// Returns the factor of each eligible candidate's expected reward, or `None` if no boost matches.
    fn boosts(&self) -> Option<Vec<f64>> {
        let mut factors: Option<Vec<f64>> = None;
        for (at, rule) in self.matching_rules(RuleStep::Boost) {
            let Effect::Boost { factor } = rule.effect else { continue };
            let factors = factors.get_or_insert_with(|| vec![1.0; self.indices.len()]);
            for (total, &i) in factors.iter_mut().zip(&self.indices) {
                if self.rules.matches(at, i) {
                    *total = (*total * factor).clamp(1.0 / BOOST_TOTAL_MAX, BOOST_TOTAL_MAX);
                }
            }
        }
        factors
    }

    /// Scores the eligible candidates, and applies the rules that require evidence.
    pub(super) fn score(self, input: &DecisionInput<'_>) -> ScoredSet<'a> {
        if self.indices.is_empty() {
            return ScoredSet { set: self, boosts: None, scores: None, fallback: Some(Fallback::NoEligibleArm) };
        }
        let late = input.options.deadline_passed.then_some(Fallback::Deadline);
        let fallback = late.or(input.view.definition.controls.safe_choice().then_some(Fallback::SafeChoice));
        let needs_evidence = self.matching_rules(RuleStep::Evidence).next().is_some();
        // Rules that arrange the slate can show candidates below the best, so more of them need exact scores.
        let places = if self.rules_arrange() { self.indices.len().min(4 * input.count + 64) } else { input.count };
        let score = |boosts: Option<&[f64]>| {
            let (candidates, indices) = (&self.candidates[..], self.indices.clone());
            input.score(ScoreTask { candidates, indices, width: ScoreWidth::Controls, places, boosts })
        };
        if fallback.is_some() && !needs_evidence {
            let scores = input.scorer.and_then(|_| score(None));
            return ScoredSet { set: self, boosts: None, scores, fallback };
        }
        let boosts = self.boosts();
        // After the deadline there are no scores, so the candidates that need evidence are not shown.
        let scores = if late.is_none() { score(boosts.as_deref()) } else { None };
        let scored = ScoredSet { set: self, boosts, scores, fallback };
        if needs_evidence { require_evidence(input, scored) } else { scored }
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
