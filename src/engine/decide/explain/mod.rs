//! Explanations of decisions, in data and in a few sentences.

use super::{
    CandidateExplanation, Explanation,
    assignment::Assignment,
    candidates::{CandidateArm, Exclusion},
    scores::feature_rows,
};
use crate::{
    bandit::{Candidates, Features, Policy},
    engine::{
        decision_record::{ChosenArm, Fallback, Reason, SCORED_MAX},
        view::SlotView,
    },
    slot::{Effect, Rule, Unavailable},
};

/// Number of features that an explanation names for a candidate.
const MOVED_BY_MAX: usize = 5;

/// Explains a decision. `matched_rules` are the names of the rules that had an effect.
pub(super) fn explain(
    view: &SlotView,
    context: &Features,
    candidates: &[CandidateArm<'_>],
    assignment: &Assignment,
    matched_rules: Vec<String>,
) -> Explanation {
    let estimates = &assignment.policy_choice().estimates;
    let likelihoods = estimates.iter().map(|estimate| (estimate.candidate, estimate.propensity)).collect();
    let moved_by = features_that_moved(view, context, candidates, likelihoods);
    let explanations = candidates.iter().zip(moved_by).map(|(candidate, moved_by)| CandidateExplanation {
        arm: candidate.arm.clone(),
        ineligible_because: candidate.exclusion.map(|exclusion| exclusion_text(view.rules.rules(), exclusion)),
        mean: 0.0,
        std: 0.0,
        propensity: 0.0,
        moved_by,
    });
    let mut explanations: Vec<CandidateExplanation> = explanations.collect();
    for estimate in estimates {
        let explanation = &mut explanations[estimate.candidate];
        explanation.mean = estimate.mean;
        explanation.std = estimate.std;
        explanation.propensity = estimate.propensity;
    }
    let slate = &assignment.slate;
    let summary = Summary {
        first: slate.chosen.first(),
        shadow_first: assignment.shadow_slate.as_ref().and_then(|shadow| shadow.chosen.first()),
        fallback: slate.fallback,
        model: &slate.model,
        policy: view.definition.controls.policy(),
        matched_rules: &matched_rules,
    };
    let summary = summary.sentences();
    Explanation { summary, candidates: explanations, matched_rules }
}

/// Returns for each candidate the features that moved its mean most, for those with the largest probabilities.
/// `likelihoods` are indices of candidates and their probabilities.
pub(super) fn features_that_moved(
    view: &SlotView,
    context: &Features,
    candidates: &[CandidateArm<'_>],
    mut likelihoods: Vec<(usize, f64)>,
) -> Vec<Vec<(String, f64)>> {
    likelihoods.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    likelihoods.truncate(SCORED_MAX);
    let indices: Vec<usize> = likelihoods.into_iter().map(|(i, _)| i).collect();
    let arms: Vec<Option<u32>> = indices.iter().map(|&i| candidates[i].learned).collect();
    let own = feature_rows(indices.iter().map(|&i| candidates[i].features));
    let attributes = feature_rows(indices.iter().map(|&i| candidates[i].attributes));
    let to_explain = Candidates { arms: &arms, context, own: own.as_deref(), attributes: attributes.as_deref() };
    let mut moved_by = vec![Vec::new(); candidates.len()];
    for (i, contributions) in indices.iter().zip(view.learner.contributions(to_explain, MOVED_BY_MAX)) {
        moved_by[*i] = contributions;
    }
    moved_by
}

/// Returns the reason why a candidate cannot be chosen, as a clause.
pub(super) fn exclusion_text(rules: &[Rule], exclusion: Exclusion) -> String {
    let rule = |rule: u32| rules.get(rule as usize);
    match exclusion {
        Exclusion::Unavailable(None) => "it is not available".into(),
        Exclusion::Unavailable(Some(Unavailable::Paused)) => "it is paused".into(),
        Exclusion::Unavailable(Some(Unavailable::OutOfStock)) => "it is out of stock".into(),
        Exclusion::Unscheduled => "it is outside its schedule".into(),
        Exclusion::AlreadyShown => "an earlier request of the batch shows it".into(),
        Exclusion::CatalogueFull => "the open catalogue is full".into(),
        Exclusion::UnknownArm => "it is not one of the slot's arms".into(),
        Exclusion::Rule(at) => rule(at).map_or_else(String::new, rule_exclusion_text),
        Exclusion::FailedRule(at) => rule(at).map_or_else(String::new, |rule| {
            format!("the rule '{}' could not be evaluated and excludes it for that", rule.name)
        }),
    }
}

fn rule_exclusion_text(rule: &Rule) -> String {
    let name = &rule.name;
    match rule.effect {
        Effect::SubjectCap { .. } => format!("the rule '{name}' limits how often the subject is shown it"),
        Effect::DayCap { .. } => format!("the rule '{name}' limits how often it is shown per day"),
        Effect::Evidence { confidence, .. } => {
            format!("the rule '{name}' requires {} % certainty that it pays", 100.0 * confidence)
        }
        Effect::Exclude
        | Effect::Pin { .. }
        | Effect::Boost { .. }
        | Effect::ProbabilityBounds { .. }
        | Effect::Quota { .. }
        | Effect::MaxMoves { .. } => format!("the rule '{name}' excludes it"),
    }
}

/// Facts that the summary of a decision states.
pub(super) struct Summary<'a> {
    /// Arm at the first position, or `None` if nothing was shown.
    pub(super) first: Option<&'a ChosenArm>,
    /// Arm that the policy would have shown first, if the slot is in shadow mode.
    pub(super) shadow_first: Option<&'a ChosenArm>,
    pub(super) fallback: Option<Fallback>,
    /// Name of the model that decided.
    pub(super) model: &'a str,
    pub(super) policy: Policy,
    /// Names of the rules that had an effect.
    pub(super) matched_rules: &'a [String],
}

impl Summary<'_> {
    /// Returns the summary: what was shown and why, then what shadow mode and rules did.
    pub(super) fn sentences(&self) -> String {
        let mut summary = self.first_sentence();
        if let (Some(shadow), Some(first)) = (self.shadow_first, self.first) {
            let arm = if shadow.arm == first.arm { "the same arm".to_owned() } else { format!("'{}'", shadow.arm) };
            summary = format!("{summary} The slot is in shadow mode: the policy would have shown {arm} first.");
        }
        if !self.matched_rules.is_empty() {
            let names: Vec<String> = self.matched_rules.iter().map(|name| format!("'{name}'")).collect();
            summary = format!("{summary} Rules that applied: {}.", names.join(", "));
        }
        summary
    }

    fn first_sentence(&self) -> String {
        let Some(first) = self.first else {
            return "Nothing was shown: no arm was eligible, and the slot has no default arm.".to_owned();
        };
        if let Some(fallback) = self.fallback {
            let why = match fallback {
                Fallback::NoEligibleArm => "no arm was eligible and it is the slot's default arm",
                Fallback::SafeChoice => "the slot's safe choice is on",
                Fallback::Model => "the model's numbers could not be used",
                Fallback::Deadline => "the caller's deadline had passed",
            };
            return format!("Shown: '{}', because {why}.", first.arm);
        }
        let how = match first.reason {
            Reason::BestGuess => "the best guess".to_owned(),
            Reason::Exploring if self.policy == Policy::ThompsonSampling => {
                "drawn for its chance to be the best".to_owned()
            }
            Reason::Exploring => format!("drawn by the policy {}", self.policy.name()),
            Reason::Floor => "drawn from the floor that every arm is guaranteed".to_owned(),
            Reason::Holdout => "the first of the baseline, because the subject is in the holdout".to_owned(),
            Reason::Fallback => "the fallback".to_owned(),
            Reason::Rule => "put there by a rule".to_owned(),
            Reason::Sticky => "because the subject was shown it before".to_owned(),
            Reason::Shadow => "the first of the baseline, because the slot is in shadow mode".to_owned(),
        };
        format!(
            "Shown: '{}', {how}. Expected reward {:.4}, probability {} (model: {}).",
            first.arm,
            first.expected_reward,
            percent(first.propensity),
            self.model
        )
    }
}

/// Returns a part of a whole in percent, as text.
pub(in crate::engine) fn percent(part: f64) -> String {
    if part > 0.0 && part < 0.001 { "less than 0.1 %".to_owned() } else { format!("{:.1} %", 100.0 * part) }
}

#[cfg(test)]
mod tests;
