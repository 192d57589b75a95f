//! Evidence: rules that exclude candidates unless it is sure enough that their reward exceeds a comparand.
//!
//! A rule whose condition reads the arm alone holds for every shopper, so it rests on the figure "if everybody got it", with the width
//! that holds however often one looks. A rule whose condition reads the request rests on the posterior in that context.

use super::{
    candidates::Exclusion,
    eligible::{EligibleSet, ScoredSet, eligible_indices},
    input::DecisionInput,
    rules::{RuleStep, rule_index},
    scores::{CandidateScores, ScoreTask, ScoreWidth, model_scores},
};
use crate::{
    engine::{decision_record::Fallback, report::EverybodyComparison},
    slot::{Comparand, Effect},
};

/// Excludes the candidates that lack the evidence that rules require of them.
pub(super) fn require_evidence<'a>(input: &DecisionInput<'_>, scored: ScoredSet<'a>) -> ScoredSet<'a> {
    let ScoredSet { mut set, boosts, scores, fallback } = scored;
    let scored_indices = set.indices.clone();
    let rules: Vec<_> = set.rules.of_step(RuleStep::Evidence).collect();
    for (at, rule) in rules {
        let Effect::Evidence { confidence, than } = rule.effect else { continue };
        let matched: Vec<usize> = set.matches(at).collect();
        if matched.is_empty() {
            continue;
        }
        let for_everybody = input.view.rules.reads_arms_alone(at);
        let probabilities = match &scores {
            Some(_) if for_everybody && let Some(comparison) = EverybodyComparison::new(input.view) => {
                Some(probabilities_for_everybody(&comparison, &set, &matched, than))
            }
            Some(scores) => probabilities_to_exceed(input, &set, scores, &matched, than),
            None => None,
        };
        let lacks_evidence =
            |place: usize| probabilities.as_ref().is_none_or(|probabilities| probabilities[place] < confidence);
        let excluded: Vec<usize> = (0..matched.len()).filter(|&place| lacks_evidence(place)).collect();
        if !excluded.is_empty() {
            set.effective_rules.push(rule_index(at));
        }
        for place in excluded {
            set.candidates[matched[place]].exclusion = Some(Exclusion::Rule(rule_index(at)));
        }
        set.indices = eligible_indices(&set.candidates);
    }
    set.effective_rules.sort_unstable();
    set.effective_rules.dedup();
    if set.indices.is_empty() {
        return ScoredSet { set, boosts: None, scores: None, fallback: Some(Fallback::NoEligibleArm) };
    }
    if set.indices.len() == scored_indices.len() {
        return ScoredSet { set, boosts, scores, fallback };
    }
    let kept: Vec<usize> =
        (0..scored_indices.len()).filter(|&place| set.candidates[scored_indices[place]].is_eligible()).collect();
    let scores = scores.map(|scores| scores.only(&kept));
    let boosts = boosts.map(|factors| kept.iter().map(|&place| factors[place]).collect());
    ScoredSet { set, boosts, scores, fallback }
}

/// Returns the probability that each matched candidate would earn more than the comparand if everybody got it.
fn probabilities_for_everybody(
    comparison: &EverybodyComparison<'_>,
    set: &EligibleSet<'_>,
    matched: &[usize],
    than: Comparand,
) -> Vec<f64> {
    let learned = |i: usize| set.candidates[i].learned;
    let others = (0..set.candidates.len()).filter(|i| !matched.contains(i) && set.candidates[*i].is_eligible());
    let others: Vec<Option<u32>> = others.map(learned).collect();
    let each = matched.iter().map(|&i| match than {
        Comparand::Reward(reward) => comparison.exceeds(learned(i), reward),
        Comparand::Others => comparison.beats_all(learned(i), &others),
    });
    each.collect()
}

/// Returns the posterior probability that each matched candidate's reward exceeds the comparand, or `None` if the
/// posterior cannot be computed.
fn probabilities_to_exceed(
    input: &DecisionInput<'_>,
    set: &EligibleSet<'_>,
    scores: &CandidateScores,
    matched: &[usize],
    than: Comparand,
) -> Option<Vec<f64>> {
    let rival = match than {
        Comparand::Reward(_) => None,
        Comparand::Others => {
            let others = scores.indices.iter().enumerate();
            let others = others.filter(|(_, i)| !matched.contains(i) && set.candidates[**i].is_eligible());
            let best = others.map(|(at, &i)| (scores.mixture.mean(at), i)).max_by(|a, b| a.0.total_cmp(&b.0));
            // The matched candidates have nothing to exceed if there are no others.
            let Some((_, rival)) = best else { return Some(vec![1.0; matched.len()]) };
            Some(rival)
        }
    };
    // The candidates and the rival are scored again by the posterior itself: the width multiplier is about exploring, not
    // about being sure.
    let indices: Vec<usize> = matched.iter().copied().chain(rival).collect();
    let width = ScoreWidth::Posterior;
    let task = ScoreTask { candidates: &set.candidates, indices, width, places: 1, boosts: None };
    let posterior = model_scores(input.view, &input.request.context, input.options.seed, task)?.mixture;
    let exceeds = |place: usize| match than {
        Comparand::Reward(reward) => posterior.exceeds(place, reward),
        Comparand::Others => posterior.beats(place, matched.len()),
    };
    Some((0..matched.len()).map(exceeds).collect())
}
