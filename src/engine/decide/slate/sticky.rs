//! Slate of an earlier decision that a subject sticks to.

use super::{SlateChoice, chosen_arm, estimates};
use crate::{
    engine::{
        ExposureEntry, Reason,
        decide::{constraints::slate_constraints, eligible::ScoredSet, input::DecisionInput},
    },
    slot::ArmId,
};

/// Repeats the slate of an earlier decision with the propensities of that draw. Returns `None` if not all of it may be
/// shown now.
pub(in crate::engine::decide) fn sticky_slate(
    input: &DecisionInput<'_>,
    scored: &ScoredSet<'_>,
    earlier: &ExposureEntry,
) -> Option<SlateChoice> {
    let set = &scored.set;
    let positions = input.count.min(set.indices.len());
    if earlier.shown.len() != positions {
        return None;
    }
    let place_of = |arm: &ArmId| set.indices.iter().position(|&i| set.candidates[i].arm == arm);
    let slate: Vec<usize> = earlier.shown.iter().map(|shown| place_of(&shown.arm)).collect::<Option<_>>()?;
    // The constraints of today's rules hold for the repeated slate too.
    let allowed = slate_constraints(input.view, set).allows(&slate, set.indices.len());
    if !allowed || set.caps.allowed_prefix(slate.iter().map(|&place| set.indices[place])) < positions {
        return None;
    }
    let mean = |place: usize| scored.scores.as_ref().map_or(0.0, |scores| scores.mixture.mean(place));
    let chosen = earlier.shown.iter().zip(&slate).map(|(shown, &place)| {
        chosen_arm(&set.candidates[set.indices[place]], shown.propensity, mean(place), Reason::Sticky)
    });
    let chosen = chosen.collect();
    let first = earlier.shown.first();
    let first_propensity = |&i: &usize| {
        let leader = first.filter(|first| first.arm == *set.candidates[i].arm);
        leader.map_or(0.0, |leader| leader.propensity)
    };
    let first_pmf: Vec<f64> = set.indices.iter().map(first_propensity).collect();
    let estimates = estimates(scored, &first_pmf);
    Some(SlateChoice {
        chosen,
        fallback: None,
        model: "sticky".to_owned(),
        estimates,
        rules: Vec::new(),
        scaled_floors: false,
    })
}
