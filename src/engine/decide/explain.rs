//! How a decision came about, in data and in one sentence.

use super::{
    CandidateExplanation, Explanation, Request,
    candidates::{Candidate, Ineligible},
    choose::Outcome,
};
use crate::{
    bandit::Policy,
    engine::{
        event::{Chosen, Fallback, Reason},
        view::SlotView,
    },
    slot::{Effect, Unavailable},
};

/// Why a candidate cannot be chosen, for people.
fn because(view: &SlotView, why: Ineligible) -> String {
    let rule = |rule: u32| view.rules.rules().get(rule as usize);
    match why {
        Ineligible::Unavailable(None) => "it is not available".into(),
        Ineligible::Unavailable(Some(Unavailable::Paused)) => "it is paused".into(),
        Ineligible::Unavailable(Some(Unavailable::OutOfStock)) => "it is out of stock".into(),
        Ineligible::Unscheduled => "it is outside its schedule".into(),
        Ineligible::Taken => "an earlier request of the batch was given it".into(),
        Ineligible::CatalogueFull => "the open catalogue is full".into(),
        Ineligible::Rule(of) => rule(of).map_or_else(String::new, |rule| match rule.effect {
            Effect::SubjectCap { .. } => {
                format!("the rule '{}' caps how often the subject is shown it", rule.name)
            }
            Effect::DayCap { .. } => format!("the rule '{}' caps how often it is shown per day", rule.name),
            Effect::Evidence { confidence, .. } => {
                format!("the rule '{}' asks for {} % evidence that it pays", rule.name, 100.0 * confidence)
            }
            Effect::Exclude
            | Effect::Pin { .. }
            | Effect::Boost { .. }
            | Effect::Share { .. }
            | Effect::Quota { .. }
            | Effect::MaxMoves { .. } => format!("the rule '{}' excludes it", rule.name),
        }),
        Ineligible::FailedRule(of) => rule(of).map_or_else(String::new, |rule| {
            format!("the rule '{}' could not be evaluated, and excludes it then", rule.name)
        }),
    }
}

/// How it came about; `would` is what the policy would have chosen, where the slot only watches.
pub(super) fn explain(
    view: &SlotView,
    request: &Request,
    candidates: &[Candidate<'_>],
    outcome: &Outcome,
    would: Option<&Outcome>,
    fired: Vec<String>,
) -> Explanation {
    let known = &would.unwrap_or(outcome).known;
    let moved = moved(view, request, candidates);
    let mut explained: Vec<CandidateExplanation> = candidates
        .iter()
        .zip(moved)
        .map(|(candidate, moved_by)| CandidateExplanation {
            arm: candidate.arm.clone(),
            ineligible_because: candidate.ineligible.map(|why| because(view, why)),
            mean: 0.0,
            std: 0.0,
            propensity: 0.0,
            moved_by,
        })
        .collect();
    for &(i, mean, std, propensity) in known {
        let of = &mut explained[i];
        (of.mean, of.std, of.propensity) = (mean, std, propensity);
    }
    let policy = view.definition.controls.policy();
    let first = outcome.chosen.first();
    let mut summary = summary(first, outcome.fallback, &outcome.model, policy);
    if let (Some(would), Some(first)) = (would.and_then(|would| would.chosen.first()), first) {
        summary.push_str(&if would.arm == first.arm {
            " The slot only watches: it would have led with the same.".to_owned()
        } else {
            format!(" The slot only watches: it would have led with '{}'.", would.arm)
        });
    }
    if !fired.is_empty() {
        let names: Vec<String> = fired.iter().map(|name| format!("'{name}'")).collect();
        summary.push_str(&format!(" Rules that applied: {}.", names.join(", ")));
    }
    Explanation { summary, candidates: explained, fired }
}

/// What moved the mean of each candidate most.
fn moved(view: &SlotView, request: &Request, candidates: &[Candidate<'_>]) -> Vec<Vec<(String, f64)>> {
    let _ = (view, request);
    vec![Vec::new(); candidates.len()]
}

/// A decision in one sentence.
pub(super) fn summary(first: Option<&Chosen>, fallback: Option<Fallback>, model: &str, policy: Policy) -> String {
    let Some(first) = first else {
        return "Nothing was eligible, and the slot has no default arm.".to_owned();
    };
    if let Some(fallback) = fallback {
        let why = match fallback {
            Fallback::NoEligibleArm => "nothing was eligible and it is the slot's default arm",
            Fallback::SafeChoice => "the slot's safe choice is on",
            Fallback::Model => "the model's numbers could not be used",
            Fallback::Deadline => "the caller's deadline had passed",
        };
        return format!("'{}' leads because {why}.", first.arm);
    }
    let drawn = format!("was drawn as the policy {} has it", policy.name());
    let how = match first.reason {
        Reason::BestGuess => "has the highest expected reward",
        Reason::Exploring if policy == Policy::ThompsonSampling => "was drawn for its chance to be the best",
        Reason::Exploring => &drawn,
        Reason::Floor => "was drawn from the floor that every arm is guaranteed",
        Reason::Holdout => "leads the baseline, which the holdout gets",
        Reason::Fallback => "is the fallback",
        Reason::Rule => "was put there by a rule",
        Reason::Sticky => "is what the subject was given before",
        Reason::Watching => "leads the baseline, which is shown while the slot only watches",
    };
    format!(
        "'{}' {how}; its expected reward is {:.4}, and it was to be drawn with probability {:.4} by {model}.",
        first.arm, first.expected_reward, first.propensity
    )
}
