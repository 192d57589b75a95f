//! Who may be chosen, before any rule.

use std::collections::HashSet;

use super::Request;
use crate::{
    bandit::Features,
    engine::view::SlotView,
    slot::{Arm, ArmId, Unavailable, limits::LEARNED_ARMS_MAX},
};

/// Why a candidate cannot be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ineligible {
    Unavailable(Option<Unavailable>),
    Unscheduled,
    Taken,
    CatalogueFull,
    /// The slot does not know it (any longer).
    Unknown,
    /// By this rule of the slot's.
    Rule(u32),
    /// This rule could not be evaluated, and says what that means.
    FailedRule(u32),
}

/// A candidate with what is known of it.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) arm: &'a ArmId,
    pub(super) learned: Option<u32>,
    /// Its place among the slot's arms.
    pub(super) position: Option<usize>,
    /// Its own features in the request, where it has some.
    pub(super) features: Option<&'a Features>,
    pub(super) attributes: Option<&'a Features>,
    /// From 1.
    pub(super) baseline_position: u32,
    pub(super) ineligible: Option<Ineligible>,
}

impl Candidate<'_> {
    pub(super) fn eligible(&self) -> bool {
        self.ineligible.is_none()
    }
}

/// The candidates of a request at `now_us`, or all arms of the slot, in the caller's order.
pub(super) fn candidates<'a>(
    view: &'a SlotView,
    request: &'a Request,
    taken: &[ArmId],
    now_us: i64,
) -> Vec<Candidate<'a>> {
    let definition = &*view.definition;
    let taken: HashSet<&ArmId> = taken.iter().collect();
    let why = |id: &ArmId, arm: Option<&Arm>| match arm {
        Some(arm) if !arm.available => Some(Ineligible::Unavailable(arm.because)),
        Some(arm) if !arm.schedule.holds(now_us) => Some(Ineligible::Unscheduled),
        _ if !taken.is_empty() && taken.contains(id) => Some(Ineligible::Taken),
        _ => None,
    };
    let mut result = Vec::with_capacity(request.candidates.len().max(definition.arms.len()));
    let mut place = 0;
    if request.candidates.is_empty() {
        for (position, arm) in definition.arms.iter().enumerate() {
            // The baseline is the order of those that are available.
            let why = why(&arm.id, Some(arm));
            place += u32::from(!matches!(why, Some(Ineligible::Unavailable(_) | Ineligible::Unscheduled)));
            result.push(Candidate {
                arm: &arm.id,
                learned: view.arms.learned_at(position),
                position: Some(position),
                features: None,
                attributes: Some(&arm.attributes),
                baseline_position: place,
                ineligible: why,
            });
        }
        return result;
    }
    let full = view.arms.names().len() >= LEARNED_ARMS_MAX;
    for candidate in &request.candidates {
        let position = view.arms.position(candidate.arm.as_str());
        let learned = view.arms.learned(candidate.arm.as_str());
        let known = position.map(|position| definition.arms[position].as_ref());
        let ineligible = match position {
            None if !definition.open_catalogue => Some(Ineligible::Unknown),
            _ if full && learned.is_none() => Some(Ineligible::CatalogueFull),
            _ => why(&candidate.arm, known),
        };
        place += u32::from(ineligible != Some(Ineligible::Unknown));
        result.push(Candidate {
            arm: &candidate.arm,
            learned,
            position,
            features: Some(&candidate.features).filter(|features| !features.is_empty()),
            attributes: known.map(|arm| &arm.attributes),
            baseline_position: place,
            ineligible,
        });
    }
    result
}
