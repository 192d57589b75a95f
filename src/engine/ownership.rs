//! Fields that operations own: people and feeds switch them from day to day.
//!
//! A change that does not name such a field leaves it as it is. That holds for an update without a mask, for a file
//! that is applied again, and for a rollback. Such fields of a slot are `safe_choice`, `mode`,
//! `freeze_learning` and `approval`. Those of an arm are its availability with the reason, and its schedule.

use std::{collections::HashMap, sync::Arc};

use crate::slot::{Arm, ArmId, Controls, Definition};

/// Arm as a caller gives it, with a note of which fields that operations own the caller names.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmDraft {
    /// The arm. A field that the caller does not name has its default.
    pub arm: Arm,
    /// `true` if the caller names `available`, and with it the reason.
    pub names_availability: bool,
    /// `true` if the caller names `schedule`.
    pub names_schedule: bool,
}

impl From<Arm> for ArmDraft {
    /// Creates a draft that names every field.
    fn from(arm: Arm) -> Self {
        Self { arm, names_availability: true, names_schedule: true }
    }
}

impl ArmDraft {
    /// Returns the arm, with every field that the draft does not name as it is in `now`.
    #[must_use]
    pub fn onto(self, now: Option<&Arm>) -> Arm {
        let Self { mut arm, names_availability, names_schedule } = self;
        if let Some(now) = now {
            if !names_availability {
                (arm.available, arm.because) = (now.available, now.because);
            }
            if !names_schedule {
                arm.schedule = now.schedule;
            }
        }
        arm
    }
}

/// Sets the controls that operations own to their values in `now`.
pub(super) fn keep_controls(wanted: &mut Controls, now: &Controls) {
    wanted.safe_choice = now.safe_choice;
    wanted.mode = now.mode;
    wanted.freeze_learning = now.freeze_learning;
    wanted.approval.clone_from(&now.approval);
}

/// Returns `wanted` with every field that operations own as it is in `now`. An arm that `now` does not have is returned
/// unchanged.
pub(super) fn keep_operations(wanted: &Definition, now: &Definition) -> Definition {
    let arms: HashMap<&ArmId, &Arc<Arm>> = now.arms.iter().map(|arm| (&arm.id, arm)).collect();
    let mut wanted = wanted.clone();
    keep_controls(&mut wanted.controls, &now.controls);
    for arm in &mut wanted.arms {
        let Some(now) = arms.get(&arm.id) else { continue };
        let same = (arm.available, arm.because, arm.schedule) == (now.available, now.because, now.schedule);
        if !same {
            let arm = Arc::make_mut(arm);
            (arm.available, arm.because, arm.schedule) = (now.available, now.because, now.schedule);
        }
    }
    wanted
}
