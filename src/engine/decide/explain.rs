//! How a decision came about, in data and in one sentence.

use super::{
    CandidateExplanation, Explanation, Request,
    candidates::{Candidate, Ineligible},
    choose::{Outcome, each},
};
use crate::{
    bandit::{Candidates, Features, Policy},
    engine::{
        decision_record::{ChosenArm, Fallback, Reason, SCORED_MAX},
        view::SlotView,
    },
    slot::{Effect, Rule, Unavailable},
};

/// How many features are named that moved a candidate's mean.
const MOVED_MAX: usize = 5;

/// Why a candidate cannot be chosen, for people.
pub(super) fn because(rules: &[Rule], why: Ineligible) -> String {
    let rule = |rule: u32| rules.get(rule as usize);
    match why {
        Ineligible::Unavailable(None) => "it is not available".into(),
        Ineligible::Unavailable(Some(Unavailable::Paused)) => "it is paused".into(),
        Ineligible::Unavailable(Some(Unavailable::OutOfStock)) => "it is out of stock".into(),
        Ineligible::Unscheduled => "it is outside its schedule".into(),
        Ineligible::Taken => "an earlier request of the batch was given it".into(),
        Ineligible::CatalogueFull => "the open catalogue is full".into(),
        Ineligible::Unknown => "it is not one of the slot's arms".into(),
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
            | Effect::ProbabilityBounds { .. }
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
    let moved = moved(view, &request.context, candidates, known.iter().map(|k| (k.0, k.3)).collect());
    let mut explained: Vec<CandidateExplanation> = candidates
        .iter()
        .zip(moved)
        .map(|(candidate, moved_by)| CandidateExplanation {
            arm: candidate.arm.clone(),
            ineligible_because: candidate.ineligible.map(|why| because(view.rules.rules(), why)),
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
    let leads = |chosen: &[ChosenArm]| chosen.first().cloned();
    let (first, would) = (leads(&outcome.chosen), would.and_then(|would| leads(&would.chosen)));
    let summary = sentences(first.as_ref(), would.as_ref(), outcome.fallback, &outcome.model, policy, &fired);
    Explanation { summary, candidates: explained, fired }
}

/// What moved the mean of each candidate most, for those with the largest probabilities: `known` has their indices
/// and those.
pub(super) fn moved(
    view: &SlotView,
    context: &Features,
    candidates: &[Candidate<'_>],
    mut known: Vec<(usize, f64)>,
) -> Vec<Vec<(String, f64)>> {
    known.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    known.truncate(SCORED_MAX);
    let of: Vec<usize> = known.into_iter().map(|(i, _)| i).collect();
    let arms: Vec<Option<u32>> = of.iter().map(|&i| candidates[i].learned).collect();
    let own = each(of.iter().map(|&i| candidates[i].features));
    let attributes = each(of.iter().map(|&i| candidates[i].attributes));
    let asked = Candidates { arms: &arms, context, own: own.as_deref(), attributes: attributes.as_deref() };
    let mut moved = vec![Vec::new(); candidates.len()];
    for (i, contributions) in of.iter().zip(view.learner.contributions(asked, MOVED_MAX)) {
        moved[*i] = contributions;
    }
    moved
}

/// A decision in a sentence, and in one more each where the slot only watches and where rules applied.
pub(super) fn sentences(
    first: Option<&ChosenArm>,
    would: Option<&ChosenArm>,
    fallback: Option<Fallback>,
    model: &str,
    policy: Policy,
    fired: &[String],
) -> String {
    let mut summary = summary(first, fallback, model, policy);
    if let (Some(would), Some(first)) = (would, first) {
        let with = if would.arm == first.arm { "the same".to_owned() } else { format!("'{}'", would.arm) };
        summary = format!("{summary} The slot only watches: it would have led with {with}.");
    }
    if !fired.is_empty() {
        let names: Vec<String> = fired.iter().map(|name| format!("'{name}'")).collect();
        summary = format!("{summary} Rules that applied: {}.", names.join(", "));
    }
    summary
}

/// A decision in one sentence.
fn summary(first: Option<&ChosenArm>, fallback: Option<Fallback>, model: &str, policy: Policy) -> String {
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
        Reason::Shadow => "leads the baseline, which is shown while the slot only watches",
    };
    format!(
        "'{}' {how}; its expected reward is {:.4}, and it was to be drawn with probability {:.4} by {model}.",
        first.arm, first.expected_reward, first.propensity
    )
}
