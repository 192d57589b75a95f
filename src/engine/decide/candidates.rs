//! Who may be chosen, before any rule.

use std::collections::HashSet;

use super::Request;
use crate::{
    bandit::Features,
    engine::view::SlotView,
    slot::{Arm, ArmId, FieldError, Unavailable, limits::LEARNED_ARMS_MAX, suggestion},
};

/// Why a candidate cannot be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ineligible {
    Unavailable(Option<Unavailable>),
    Unscheduled,
    Taken,
    CatalogueFull,
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
) -> Result<Vec<Candidate<'a>>, FieldError> {
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
        return Ok(result);
    }
    let full = view.arms.names().len() >= LEARNED_ARMS_MAX;
    for (i, candidate) in request.candidates.iter().enumerate() {
        place += 1;
        let position = view.arms.position(candidate.arm.as_str());
        let learned = view.arms.learned(candidate.arm.as_str());
        if position.is_none() && !definition.open_catalogue {
            let near = suggestion(candidate.arm.as_str(), definition.arms.iter().map(|a| a.id.as_str()));
            let message = format!(
                "the slot '{}' has no arm '{}'{near}; add it with UpsertArms, or set open_catalogue",
                definition.id, candidate.arm
            );
            return Err(FieldError::new(format!("candidates[{i}].arm_id"), message));
        }
        let known = position.map(|position| definition.arms[position].as_ref());
        let ineligible =
            if full && learned.is_none() { Some(Ineligible::CatalogueFull) } else { why(&candidate.arm, known) };
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
    Ok(result)
}
