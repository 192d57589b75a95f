//! Candidates of a request, and their availability.

use std::collections::HashSet;

use super::Request;
use crate::{
    bandit::Features,
    engine::{items::ItemTable, view::SlotView},
    slot::{Arm, ArmId, Unavailable, limits::LEARNED_ARMS_MAX},
};

/// Reason why a candidate cannot be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exclusion {
    /// The arm is not available.
    Unavailable(Option<Unavailable>),
    /// The decision is outside the arm's schedule.
    Unscheduled,
    /// An earlier request of the batch shows the arm.
    AlreadyShown,
    /// The arm is new, and the open catalogue has no place left.
    CatalogueFull,
    /// The slot has no such arm.
    UnknownArm,
    /// The rule of this index excludes it.
    Rule(u32),
    /// The rule of this index could not be evaluated and excludes it for that.
    FailedRule(u32),
}

/// Candidate of a request, with what the slot knows about the arm.
#[derive(Debug)]
pub(super) struct CandidateArm<'a> {
    pub(super) arm: &'a ArmId,
    /// Index that the arm is learned under, or `None` if the slot has never shown it.
    pub(super) learned: Option<u32>,
    /// Place among the slot's arms, or `None` if the arm is not in the slot's definition.
    pub(super) position: Option<usize>,
    /// Features of the arm in the request and of its match with the shopper, or `None` if there are none.
    pub(super) features: Option<&'a Features>,
    pub(super) attributes: Option<&'a Features>,
    /// Position in the baseline, from 1.
    pub(super) baseline_position: u32,
    /// Reason why the candidate cannot be chosen, or `None` if it is eligible.
    pub(super) exclusion: Option<Exclusion>,
}

impl CandidateArm<'_> {
    pub(super) fn is_eligible(&self) -> bool {
        self.exclusion.is_none()
    }
}

/// Returns the candidates of the request in the caller's order, or all arms of the slot if it names none. The exclusions
/// are those of `now_us`, before any rule. Items of the catalogue can exclude candidates that are no arms of the slot.
pub(super) fn candidates<'a>(
    view: &'a SlotView,
    request: &'a Request,
    items: Option<&ItemTable>,
    already_shown: &[ArmId],
    now_us: i64,
) -> Vec<CandidateArm<'a>> {
    let item_is_unavailable =
        |id: &ArmId| items.and_then(|items| items.get(id.as_str())).is_some_and(|item| !item.available);
    let already_shown: HashSet<&ArmId> = already_shown.iter().collect();
    let availability = |id: &ArmId, arm: Option<&Arm>| match arm {
        Some(arm) if !arm.available => Some(Exclusion::Unavailable(arm.because)),
        Some(arm) if !arm.schedule.holds(now_us) => Some(Exclusion::Unscheduled),
        None if item_is_unavailable(id) => Some(Exclusion::Unavailable(None)),
        _ if !already_shown.is_empty() && already_shown.contains(id) => Some(Exclusion::AlreadyShown),
        _ => None,
    };
    if request.candidates.is_empty() {
        all_arms(view, request, availability)
    } else {
        listed(view, request, availability)
    }
}

/// Returns all arms of the slot in its order. The baseline is the order of those that are available.
fn all_arms<'a>(
    view: &'a SlotView,
    request: &'a Request,
    availability: impl Fn(&ArmId, Option<&Arm>) -> Option<Exclusion>,
) -> Vec<CandidateArm<'a>> {
    let mut baseline_position = 0;
    let arms = view.arms_in_effect().iter().enumerate().map(|(position, arm)| {
        let exclusion = availability(&arm.id, Some(arm));
        let unavailable = matches!(exclusion, Some(Exclusion::Unavailable(_) | Exclusion::Unscheduled));
        baseline_position += u32::from(!unavailable);
        CandidateArm {
            arm: &arm.id,
            learned: view.arms.learned_at(position),
            position: Some(position),
            features: request.matches.as_ref().map(|matches| matches.features(position, &arm.id)),
            attributes: Some(&arm.attributes),
            baseline_position,
            exclusion,
        }
    });
    arms.collect()
}

/// Returns the candidates that the request lists. The baseline is the order of those that the slot knows.
fn listed<'a>(
    view: &'a SlotView,
    request: &'a Request,
    availability: impl Fn(&ArmId, Option<&Arm>) -> Option<Exclusion>,
) -> Vec<CandidateArm<'a>> {
    let arms = view.arms_in_effect();
    let full = view.arms.names().len() >= LEARNED_ARMS_MAX;
    let mut baseline_position = 0;
    let candidates = request.candidates.iter().enumerate().map(|(place, candidate)| {
        let position = view.arms.position(candidate.arm.as_str());
        let learned = view.arms.learned(candidate.arm.as_str());
        let known = position.map(|position| arms[position].as_ref());
        let exclusion = match position {
            None if !view.definition.open_catalogue => Some(Exclusion::UnknownArm),
            _ if full && learned.is_none() => Some(Exclusion::CatalogueFull),
            _ => availability(&candidate.arm, known),
        };
        baseline_position += u32::from(exclusion != Some(Exclusion::UnknownArm));
        CandidateArm {
            arm: &candidate.arm,
            learned,
            position,
            features: Some(match &request.matches {
                Some(matches) => matches.features(place, &candidate.arm),
                None => &candidate.features,
            })
            .filter(|features| !features.is_empty()),
            attributes: known.map(|arm| &arm.attributes),
            baseline_position,
            exclusion,
        }
    });
    candidates.collect()
}
