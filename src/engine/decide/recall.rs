//! Explanations of decisions of the past, from what the decision recorded and from the revision that made it.
//!
//! What a decision recorded is exact, means and probabilities to seven digits. The features that moved the means are not
//! recorded: they are computed from what the slot has learned by now.

use std::collections::BTreeMap;

use super::{
    CandidateExplanation, Explanation,
    candidates::{CandidateArm, Exclusion},
    explain::{Summary, exclusion_text, features_that_moved},
};
use crate::{
    bandit::Features,
    engine::{
        decision_record::{DecisionRecord, ExcludedCandidate, SCORED_MAX, ScoredCandidate},
        view::SlotView,
    },
    slot::{ArmId, Definition, Revision},
};

/// Explanation of a decision of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct RecalledExplanation {
    /// Explanation of the decision. Its [`moved_by`](CandidateExplanation::moved_by) is as of now, and empty if the slot
    /// was reset since.
    pub explanation: Explanation,
    /// The slot still keeps the revision that decided, so the availability of its arms is known.
    pub revision_kept: bool,
}

/// Definition that a decision was made by, as far as it is still kept.
enum PastDefinition<'a> {
    /// The definition itself.
    Kept(&'a Definition),
    /// A definition with the same arms in the same order, whose availability may differ.
    SameArms(&'a Definition),
    /// No definition that says anything about the decision.
    Gone,
}

impl<'a> PastDefinition<'a> {
    fn find(revisions: &'a [Revision], decided: &DecisionRecord) -> Self {
        // An id keeps milliseconds. A slot that was deleted and created again counts its revisions from 1 again.
        let existed = |revision: &Revision| revision.at_us < decided.id.at_us() + 1_000;
        match revisions.iter().find(|revision| revision.number >= decided.revision) {
            Some(revision) if revision.number == decided.revision && existed(revision) => {
                Self::Kept(&revision.definition)
            }
            // The slot keeps only the last of several changes of availability in a row.
            Some(revision)
                if revision.number > decided.revision && revision.change == "availability" && decided.revision > 0 =>
            {
                Self::SameArms(&revision.definition)
            }
            _ => Self::Gone,
        }
    }

    fn definition(&self) -> Option<&'a Definition> {
        match self {
            Self::Kept(definition) | Self::SameArms(definition) => Some(definition),
            Self::Gone => None,
        }
    }
}

/// Explains a decision of the past. `view` is its slot as it is now, or `None` if the slot was deleted.
pub fn recall(view: Option<&SlotView>, decided: &DecisionRecord) -> RecalledExplanation {
    let past = view.map_or(PastDefinition::Gone, |view| PastDefinition::find(&view.revisions, decided));
    let definition = past.definition();
    let policy = definition.or(view.map(|view| &*view.definition)).map(|d| d.controls.policy()).unwrap_or_default();
    let summary = Summary {
        first: decided.chosen.first(),
        shadow_first: decided.shadow_slate.first(),
        fallback: decided.fallback,
        model: &decided.model,
        policy,
        matched_rules: &decided.matched_rules,
    };
    let mut summary = summary.sentences();
    let revision_kept = matches!(past, PastDefinition::Kept(_));
    if !revision_kept {
        let note = format!(
            " The slot no longer keeps its revision {}, so it is not known which arms were not available.",
            decided.revision
        );
        summary.push_str(&note);
    }
    let candidates = candidate_explanations(view, &past, decided);
    let explanation = Explanation { summary, candidates, matched_rules: decided.matched_rules.clone() };
    RecalledExplanation { explanation, revision_kept }
}

fn candidate_explanations(
    view: Option<&SlotView>,
    past: &PastDefinition<'_>,
    decided: &DecisionRecord,
) -> Vec<CandidateExplanation> {
    let definition = past.definition();
    let arms = candidate_ids(definition, decided);
    let estimates: BTreeMap<u32, &ScoredCandidate> =
        decided.scored.iter().map(|scored| (scored.candidate, scored)).collect();
    let exclusions: BTreeMap<u32, &ExcludedCandidate> =
        decided.excluded.iter().map(|barred| (barred.candidate, barred)).collect();
    let moved_by = match view {
        Some(view) if view.number == decided.id.slot() => features_that_move_now(view, definition, decided, &arms),
        _ => vec![Vec::new(); arms.len()],
    };
    let explanations = arms.iter().zip(moved_by).zip(0_u32..).map(|((&arm, moved_by), i)| {
        let estimate = estimates.get(&i);
        let number = |number: Option<f32>| number.map_or(0.0, f64::from);
        let ineligible_because = match (estimate, exclusions.get(&i)) {
            (Some(_), _) => None,
            (None, Some(exclusion)) => Some(rule_text(definition, decided, **exclusion)),
            (None, None) => availability_text(past, decided, arm),
        };
        CandidateExplanation {
            arm: arm.clone(),
            ineligible_because,
            mean: number(estimate.map(|estimate| estimate.mean)),
            std: number(estimate.map(|estimate| estimate.std)),
            propensity: number(estimate.map(|estimate| estimate.propensity)),
            moved_by,
        }
    });
    explanations.collect()
}

/// Returns the ids of the candidates in their order, or none if they are not known any more.
fn candidate_ids<'a>(definition: Option<&'a Definition>, decided: &'a DecisionRecord) -> Vec<&'a ArmId> {
    if !decided.candidates.is_empty() {
        return decided.candidates.iter().map(|(arm, _)| arm).collect();
    }
    decided.slot_arms(definition).collect()
}

/// Returns the clause about a rule that excluded a candidate.
fn rule_text(definition: Option<&Definition>, decided: &DecisionRecord, exclusion: ExcludedCandidate) -> String {
    let Some(name) = decided.matched_rules.get(exclusion.rule as usize) else { return "a rule excluded it".into() };
    let rules = definition.map_or(&[][..], |definition| &definition.rules);
    match rules.iter().zip(0..).find(|(rule, _)| rule.name == *name) {
        Some((_, at)) => exclusion_text(rules, Exclusion::Rule(at)),
        None => format!("the rule '{name}' excluded it"),
    }
}

/// Returns the clause about the availability of a candidate of which nothing is recorded. Returns `None` if it was
/// eligible, or if nobody knows.
fn availability_text(past: &PastDefinition<'_>, decided: &DecisionRecord, arm: &ArmId) -> Option<String> {
    if decided.already_shown.contains(arm) {
        return Some(exclusion_text(&[], Exclusion::AlreadyShown));
    }
    if let PastDefinition::Kept(definition) = past
        && !definition.takes_items()
    {
        let Some(arm) = definition.arms.iter().find(|have| have.id == *arm) else {
            return (!definition.open_catalogue).then(|| exclusion_text(&[], Exclusion::UnknownArm));
        };
        if !arm.available {
            return Some(exclusion_text(&[], Exclusion::Unavailable(arm.because)));
        }
        if !arm.schedule.holds(decided.id.at_us()) {
            return Some(exclusion_text(&[], Exclusion::Unscheduled));
        }
    }
    // A candidate without estimate and exclusion was not available, provided that all of them were recorded.
    let complete =
        decided.scored.len() < SCORED_MAX && decided.excluded.len() < SCORED_MAX && !decided.scored.is_empty();
    complete.then(|| "it could not be chosen, and the reason is no longer known".into())
}

/// Returns the features that would move the mean of each recorded candidate now.
fn features_that_move_now(
    view: &SlotView,
    definition: Option<&Definition>,
    decided: &DecisionRecord,
    arms: &[&ArmId],
) -> Vec<Vec<(String, f64)>> {
    let matches = decided.recall_matches(definition);
    let features = |i: usize, arm: &ArmId| -> Option<&Features> {
        let own = decided.candidates.get(i).map(|(_, features)| features);
        matches.as_ref().map(|matches| matches.features(i, arm)).or(own).filter(|features| !features.is_empty())
    };
    let candidate = |(i, &arm)| CandidateArm {
        arm,
        learned: view.arms.learned(arm.as_str()),
        position: view.arms.position(arm.as_str()),
        features: features(i, arm),
        attributes: view.arm(arm.as_str()).map(|arm| &arm.attributes),
        baseline_position: 0,
        exclusion: None,
    };
    let candidates: Vec<CandidateArm<'_>> = arms.iter().enumerate().map(candidate).collect();
    let estimates = decided.scored.iter().filter(|scored| (scored.candidate as usize) < arms.len());
    let likelihoods = estimates.map(|scored| (scored.candidate as usize, f64::from(scored.propensity))).collect();
    features_that_moved(view, &decided.context, &candidates, likelihoods)
}
