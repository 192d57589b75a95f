//! Scoring of the eligible set: boosts, scores, and then the rules that require evidence.

use super::{
    eligible::{EligibleSet, ScoredSet},
    evidence::require_evidence,
    input::DecisionInput,
    rules::RuleStep,
    scores::{ScoreTask, ScoreWidth},
};
use crate::{
    engine::decision_record::Fallback,
    slot::{Effect, Rule},
};

/// Greatest factor of all boosts of an arm together. The least factor is its inverse.
const BOOST_TOTAL_MAX: f64 = 100.0;

/// Scores the eligible candidates, and applies the rules that require evidence.
pub(super) fn score_eligible<'a>(input: &DecisionInput<'_>, set: EligibleSet<'a>) -> ScoredSet<'a> {
    if set.indices.is_empty() {
        return ScoredSet { set, boosts: None, scores: None, fallback: Some(Fallback::NoEligibleArm) };
    }
    let late = input.options.deadline_passed.then_some(Fallback::Deadline);
    let fallback = late.or(input.view.definition.controls.safe_choice().then_some(Fallback::SafeChoice));
    let needs_evidence = set.matching_rules(RuleStep::Evidence).next().is_some();
    // Rules that arrange the slate can show candidates below the best, so more of them need exact scores.
    let places = if rules_arrange(&set) { set.indices.len().min(4 * input.count + 64) } else { input.count };
    let score = |boosts: Option<&[f64]>| {
        let (candidates, indices) = (&set.candidates[..], set.indices.clone());
        input.score(ScoreTask { candidates, indices, width: ScoreWidth::Controls, places, boosts })
    };
    if fallback.is_some() && !needs_evidence {
        let scores = input.scorer.and_then(|_| score(None));
        return ScoredSet { set, boosts: None, scores, fallback };
    }
    let boosts = boosts(&set);
    // After the deadline there are no scores, so the candidates that need evidence are not shown.
    let scores = if late.is_none() { score(boosts.as_deref()) } else { None };
    let scored = ScoredSet { set, boosts, scores, fallback };
    if needs_evidence { require_evidence(input, scored) } else { scored }
}

/// Returns whether rules can put other candidates at the top than the best.
fn rules_arrange(set: &EligibleSet<'_>) -> bool {
    let arranges = |(_, rule): (usize, &Rule)| !matches!(rule.effect, Effect::ProbabilityBounds { .. });
    !set.caps.is_empty()
        || set.matching_rules(RuleStep::Evidence).next().is_some()
        || set.matching_rules(RuleStep::Slate).any(arranges)
}

/// Returns the factor of each eligible candidate's expected reward, or `None` if no boost matches.
fn boosts(set: &EligibleSet<'_>) -> Option<Vec<f64>> {
    let mut factors: Option<Vec<f64>> = None;
    for (at, rule) in set.matching_rules(RuleStep::Boost) {
        let Effect::Boost { factor } = rule.effect else { continue };
        let factors = factors.get_or_insert_with(|| vec![1.0; set.indices.len()]);
        for (total, &i) in factors.iter_mut().zip(&set.indices) {
            if set.rules.matches(at, i) {
                *total = (*total * factor).clamp(1.0 / BOOST_TOTAL_MAX, BOOST_TOTAL_MAX);
            }
        }
    }
    factors
}
