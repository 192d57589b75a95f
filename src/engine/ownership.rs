//! Fields that operations own: what people and feeds switch from day to day.
//!
//! A change that does not name such a field leaves it as it is, whoever makes the change: an update without a mask, a
//! file that is applied again, a rollback. Of a slot these are `safe_choice`, `mode` and `freeze_learning`; of an arm
//! whether it is available, why not, and its schedule.

use std::{collections::HashMap, sync::Arc};

use crate::slot::{Arm, ArmId, Controls, Definition};

/// An arm as a caller gives it, and which of the fields that operations own the caller names.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmDraft {
    /// The arm; a field that is not named has its default.
    pub arm: Arm,
    /// `available` is named, and with it why not.
    pub names_availability: bool,
    /// `schedule` is named.
    pub names_schedule: bool,
}

impl From<Arm> for ArmDraft {
    /// A draft that names every field.
    fn from(arm: Arm) -> Self {
        Self { arm, names_availability: true, names_schedule: true }
    }
}

impl ArmDraft {
    /// Returns the arm; what the draft does not name stays as it is in `now`.
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

/// Sets the controls that operations own to what they are in `now`.
pub(super) fn keep_controls(wanted: &mut Controls, now: &Controls) {
    wanted.safe_choice = now.safe_choice;
    wanted.mode = now.mode;
    wanted.freeze_learning = now.freeze_learning;
}

/// Returns `wanted` with every field that operations own as it is in `now`; an arm that `now` does not have comes back
/// as it was.
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
