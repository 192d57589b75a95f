//! A document and the slot that it is applied to.
//!
//! Operations own some fields: `safe_choice`, `mode`, `freeze_learning` and `approval` of the controls, and of an arm
//! `available`, `unavailable_because` and `schedule`. A document that does not name such a field leaves it as it is, so a file that
//! is applied again undoes nothing. `schedule = {}` and `mode = {}` name the field, and set it to its default.

use std::{collections::HashMap, sync::Arc};

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use super::{SlotDocument, write::FieldText};
use crate::{
    slot::{Arm, ArmId, Definition, FieldError, Named as _, Schedule, Unavailable},
    wire::schema,
};

impl SlotDocument {
    /// Returns the definition that the document makes of `current`. With `keep_arms`, arms that it does not list stay.
    pub(in crate::cli) fn onto(&self, current: &Definition, keep_arms: bool) -> Result<Definition, FieldError> {
        let (mut wanted, now) = (self.unchecked()?, &current.controls);
        // A new slot has a default holdout; a slot from before that default has none.
        wanted.controls.holdout = wanted.controls.holdout.or(now.holdout);
        wanted.controls.safe_choice = wanted.controls.safe_choice.or(now.safe_choice);
        wanted.controls.freeze_learning = wanted.controls.freeze_learning.or(now.freeze_learning);
        if !self.names_control("mode") {
            wanted.controls.mode = now.mode;
        }
        if !self.names_control("approval") {
            wanted.controls.approval.clone_from(&now.approval);
        }
        let known: HashMap<&ArmId, &Arc<Arm>> = current.arms.iter().map(|arm| (&arm.id, arm)).collect();
        for (arm, document) in wanted.arms.iter_mut().zip(self.arms()) {
            let Some(&now) = known.get(&arm.id) else { continue };
            let named = Arc::make_mut(arm);
            if !document.has_field_by_name("available") {
                named.available = now.available;
                named.because = because(document).or(now.because).filter(|_| !now.available);
            }
            if !document.has_field_by_name("schedule") {
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

    /// Removes the fields that operations own, and returns them in words, a line for each field or arm.
    pub(in crate::cli) fn leave_out_operations(&mut self, definition: &Definition) -> Vec<String> {
        let mut left_out = self.leave_out_controls();
        let arms = self.message.get_field_by_name_mut("arms").and_then(Value::as_list_mut);
        for (document, arm) in arms.into_iter().flatten().zip(&definition.arms) {
            let mut words = Vec::new();
            if !arm.available {
                words.push(arm.because.map_or("not available".to_owned(), |because| {
                    format!("not available ({})", because.name().replace('_', " "))
                }));
            }
            if arm.schedule != Schedule::default() {
                words.push("has a schedule".to_owned());
            }
            if let Some(document) = document.as_message_mut() {
                for field in schema::ARM_FIELDS_OF_OPERATIONS {
                    document.clear_field_by_name(field);
                }
            }
            if !words.is_empty() {
                left_out.push(format!("arm {:?}: {}", arm.id.as_str(), words.join(", ")));
            }
        }
        left_out
    }

    fn leave_out_controls(&mut self) -> Vec<String> {
        let mut left_out = Vec::new();
        if !self.message.has_field_by_name("controls") {
            return left_out;
        }
        let Some(controls) = self.message.get_field_by_name_mut("controls").and_then(Value::as_message_mut) else {
            return left_out;
        };
        for name in schema::CONTROLS_OF_OPERATIONS {
            let field = controls.descriptor().get_field_by_name(name);
            let Some((field, value)) = field.and_then(|field| Some((field.clone(), controls.take_field(&field)?)))
            else {
                continue;
            };
            if let Ok(text) = toml::Value::try_from(FieldText { field: &field, value: &value }) {
                left_out.push(format!("controls.{name} = {text}"));
            }
        }
        left_out
    }

    /// Returns whether the document names a control, even if only to set it to its default.
    fn names_control(&self, name: &str) -> bool {
        let controls = self.message.get_field_by_name("controls");
        controls.as_deref().and_then(Value::as_message).is_some_and(|controls| controls.has_field_by_name(name))
    }

    fn arms(&self) -> Vec<&DynamicMessage> {
        let arms = self.message.fields().find(|(field, _)| field.name() == "arms");
        arms.and_then(|(_, arms)| arms.as_list()).unwrap_or_default().iter().filter_map(Value::as_message).collect()
    }
}

/// Returns the reason that a document gives for an arm that is not available.
fn because(arm: &DynamicMessage) -> Option<Unavailable> {
    let field = arm.descriptor().get_field_by_name("unavailable_because")?;
    Unavailable::from_name(&schema::enum_text(&field, arm.get_field(&field).as_enum_number()?)?)
}
