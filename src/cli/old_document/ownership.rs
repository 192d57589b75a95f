//! A document against the slot that it is applied to.
//!
//! Operations own some fields: `safe_choice`, `mode` and `freeze_learning` of the controls, and of an arm `available`,
//! `unavailable_because` and `schedule`. A document that does not name such a field leaves it as it is, so a file that
//! is applied again undoes nothing. `schedule = {}` and `mode = {}` name the field, and set it to its default.

use std::{collections::HashMap, sync::Arc};

use super::SlotDocument;
use crate::slot::{Arm, ArmId, Definition, FieldError, Schedule};

impl SlotDocument {
    /// The definition that the document makes of `current`. With `keep_arms`, arms that it does not list stay.
    pub(in crate::cli) fn onto(&self, current: &Definition, keep_arms: bool) -> Result<Definition, FieldError> {
        let (mut wanted, now) = (self.unchecked()?, &current.controls);
        // The default of a new slot's holdout is another than that of an old slot.
        wanted.controls.holdout = wanted.controls.holdout.or(now.holdout);
        wanted.controls.safe_choice = wanted.controls.safe_choice.or(now.safe_choice);
        wanted.controls.freeze_learning = wanted.controls.freeze_learning.or(now.freeze_learning);
        if !self.controls.names_mode() {
            wanted.controls.mode = now.mode;
        }
        let known: HashMap<&ArmId, &Arc<Arm>> = current.arms.iter().map(|arm| (&arm.id, arm)).collect();
        for (arm, document) in wanted.arms.iter_mut().zip(&self.arms) {
            let Some(&now) = known.get(&arm.id) else { continue };
            let named = Arc::make_mut(arm);
            if document.available.is_none() {
                named.available = now.available;
                let because = document.unavailable_because.map(super::BecauseName::because);
                named.because = because.or(now.because).filter(|_| !now.available);
            }
            if document.schedule.is_none() {
                named.schedule = now.schedule;
            }
            if **arm == **now {
                *arm = Arc::clone(now);
            }
        }
        if keep_arms {
            let mut listed: HashMap<ArmId, Arc<Arm>> =
                wanted.arms.iter().map(|arm| (arm.id.clone(), Arc::clone(arm))).collect();
            let kept = current.arms.iter().map(|arm| listed.remove(&arm.id).unwrap_or_else(|| Arc::clone(arm)));
            let mut arms: Vec<Arc<Arm>> = kept.collect();
            arms.extend(wanted.arms.into_iter().filter(|arm| listed.contains_key(&arm.id)));
            wanted.arms = arms;
        }
        wanted.check()?;
        Ok(wanted)
    }

    /// Leaves out what operations own, and returns it in words, a line for each field or arm.
    pub(in crate::cli) fn leave_out_operations(&mut self, definition: &Definition) -> Vec<String> {
        let mut left_out = self.controls.leave_out_operations();
        for (document, arm) in self.arms.iter_mut().zip(&definition.arms) {
            let mut said = Vec::new();
            if !arm.available {
                said.push(arm.because.map_or("not available".to_owned(), |because| {
                    format!("not available ({})", super::BecauseName::of(because).text())
                }));
            }
            if arm.schedule != Schedule::default() {
                said.push("has a schedule".to_owned());
            }
            (document.available, document.unavailable_because, document.schedule) = (None, None, None);
            if !said.is_empty() {
                left_out.push(format!("arm {:?}: {}", arm.id.as_str(), said.join(", ")));
            }
        }
        left_out
    }
}
