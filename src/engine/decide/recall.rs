//! How a decision of the past came about: from what it recorded, and from the revision that it was made by.
//!
//! What it recorded is exact, means and probabilities to seven digits. What moved the means is not recorded: that is
//! what would move them now.

use std::collections::BTreeMap;

use super::{
    CandidateExplanation, Explanation,
    candidates::{Candidate, Ineligible},
    explain::{because, moved, sentences},
};
use crate::{
    bandit::Features,
    engine::{
        decision_record::{DecisionRecord, ExcludedCandidate, SCORED_MAX, ScoredCandidate},
        view::SlotView,
    },
    slot::{ArmId, Definition, Revision},
};

/// A decision of the past, explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalled {
    /// How it came about; [`moved_by`](CandidateExplanation::moved_by) is of now, and empty where what the slot
    /// learned was forgotten since.
    pub explanation: Explanation,
    /// The slot's revision that decided is still kept, so that it is known which arms were not available.
    pub revision_kept: bool,
}

/// What is kept of the definition that a decision was made by.
enum Then<'a> {
    Kept(&'a Definition),
    /// Its arms in their order, but not which of them were available.
    Arms(&'a Definition),
    Gone,
}

impl<'a> Then<'a> {
    fn find(revisions: &'a [Revision], decided: &DecisionRecord) -> Self {
        // An id keeps milliseconds; a slot that was deleted and made anew counts its revisions from 1 again.
        let was = |revision: &&Revision| revision.at_us < decided.id.at_us() + 1_000;
        match revisions.iter().find(|revision| revision.number >= decided.revision) {
            Some(revision) if revision.number == decided.revision && was(&revision) => Self::Kept(&revision.definition),
            // Of a run of changes of availability alone only the last is kept.
            Some(revision)
                if revision.number > decided.revision && revision.change == "availability" && decided.revision > 0 =>
            {
                Self::Arms(&revision.definition)
            }
            _ => Self::Gone,
        }
    }

    fn definition(&self) -> Option<&'a Definition> {
        match self {
            Self::Kept(definition) | Self::Arms(definition) => Some(definition),
            Self::Gone => None,
        }
    }
}

/// Explains `decided` by what it recorded; `view` is its slot as it is now, where there still is one.
pub fn recall(view: Option<&SlotView>, decided: &DecisionRecord) -> Recalled {
    let then = view.map_or(Then::Gone, |view| Then::find(&view.revisions, decided));
    let definition = then.definition();
    let arms = arms(definition, decided);
    let scored: BTreeMap<u32, &ScoredCandidate> =
        decided.scored.iter().map(|scored| (scored.candidate, scored)).collect();
    let barred: BTreeMap<u32, &ExcludedCandidate> =
        decided.excluded.iter().map(|barred| (barred.candidate, barred)).collect();
    let moved = match view {
        Some(view) if view.number == decided.id.slot() => moved_now(view, decided, &arms),
        _ => vec![Vec::new(); arms.len()],
    };
    let candidates = arms.iter().zip(moved).zip(0_u32..).map(|((&arm, moved_by), i)| {
        let known = scored.get(&i);
        let of = |number: Option<f32>| number.map_or(0.0, f64::from);
        let why = match (known, barred.get(&i)) {
            (Some(_), _) => None,
            (None, Some(barred)) => Some(by_rule(definition, decided, **barred)),
            (None, None) => unavailable(&then, decided, arm),
        };
        CandidateExplanation {
            arm: arm.clone(),
            ineligible_because: why,
            mean: of(known.map(|k| k.mean)),
            std: of(known.map(|k| k.std)),
            propensity: of(known.map(|k| k.propensity)),
            moved_by,
        }
    });
    let candidates = candidates.collect();
    let policy = definition.or(view.map(|view| &*view.definition)).map(|d| d.controls.policy()).unwrap_or_default();
    let (first, would) = (decided.chosen.first(), decided.shadow_slate.first());
    let mut summary = sentences(first, would, decided.fallback, &decided.model, policy, &decided.matched_rules);
    let revision_kept = matches!(then, Then::Kept(_));
    if !revision_kept {
        let note = format!(
            " The slot's revision {} is kept no longer: which arms were not available is not known.",
            decided.revision
        );
        summary.push_str(&note);
    }
    Recalled { explanation: Explanation { summary, candidates, fired: decided.matched_rules.clone() }, revision_kept }
}

/// The candidates in their order; nobody where nothing says any more who they were.
fn arms<'a>(definition: Option<&'a Definition>, decided: &'a DecisionRecord) -> Vec<&'a ArmId> {
    if !decided.candidates.is_empty() {
        return decided.candidates.iter().map(|(arm, _)| arm).collect();
    }
    match definition {
        Some(definition) => definition.arms.iter().map(|arm| &arm.id).collect(),
        None => Vec::new(),
    }
}

fn by_rule(definition: Option<&Definition>, decided: &DecisionRecord, barred: ExcludedCandidate) -> String {
    let Some(name) = decided.matched_rules.get(barred.rule as usize) else { return "a rule kept it out".into() };
    let rules = definition.map_or(&[][..], |definition| &definition.rules);
    match rules.iter().zip(0..).find(|(rule, _)| rule.name == *name) {
        Some((_, place)) => because(rules, Ineligible::Rule(place)),
        None => format!("the rule '{name}' kept it out"),
    }
}

/// Why nothing is recorded of a candidate; none: it could be chosen, or nobody knows.
fn unavailable(then: &Then<'_>, decided: &DecisionRecord, arm: &ArmId) -> Option<String> {
    if decided.already_shown.contains(arm) {
        return Some(because(&[], Ineligible::Taken));
    }
    if let Then::Kept(definition) = then {
        let Some(arm) = definition.arms.iter().find(|have| have.id == *arm) else {
            return (!definition.open_catalogue).then(|| because(&[], Ineligible::Unknown));
        };
        if !arm.available {
            return Some(because(&[], Ineligible::Unavailable(arm.because)));
        }
        if !arm.schedule.holds(decided.id.at_us()) {
            return Some(because(&[], Ineligible::Unscheduled));
        }
    }
    let all = decided.scored.len() < SCORED_MAX && decided.excluded.len() < SCORED_MAX && !decided.scored.is_empty();
    all.then(|| "it could not be chosen; why is known no longer".into())
}

/// What would move the means of the recorded candidates now.
fn moved_now(view: &SlotView, decided: &DecisionRecord, arms: &[&ArmId]) -> Vec<Vec<(String, f64)>> {
    let own =
        |i: usize| decided.candidates.get(i).map(|(_, features)| features).filter(|own: &&Features| !own.is_empty());
    let candidates: Vec<Candidate<'_>> = arms
        .iter()
        .enumerate()
        .map(|(i, &arm)| Candidate {
            arm,
            learned: view.arms.learned(arm.as_str()),
            position: view.arms.position(arm.as_str()),
            features: own(i),
            attributes: view.arm(arm.as_str()).map(|arm| &arm.attributes),
            baseline_position: 0,
            ineligible: None,
        })
        .collect();
    let known = decided.scored.iter().filter(|scored| (scored.candidate as usize) < arms.len());
    let known = known.map(|scored| (scored.candidate as usize, f64::from(scored.propensity))).collect();
    moved(view, &decided.context, &candidates, known)
}
