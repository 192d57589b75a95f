//! Size of a definition, as its limit counts it.
//!
//! Texts count by their bytes, numbers as 8 bytes (4 in a vector) and payloads as JSON, which is about the size in the
//! journal, in a snapshot and in an answer.

use std::{collections::HashSet, sync::Arc};

use super::{
    arm::{Arm, Payload},
    definition::Definition,
    rule::Rule,
};
use crate::bandit::{Features, Value};

/// Bytes that an arm or a feature takes beside its contents.
const FRAME: usize = 8;

/// Returns the bytes of a payload as JSON.
pub(super) fn payload_bytes(payload: &Payload) -> usize {
    serde_json::to_string(payload).map_or(usize::MAX, |text| text.len())
}

fn features_bytes(features: &Features) -> usize {
    let value = |value: &Value| match value {
        Value::Number(_) => 8,
        Value::Text(text) => text.len(),
        Value::Flag(_) => 1,
        Value::Texts(texts) => texts.iter().map(|text| text.len() + 2).sum(),
        Value::Vector(numbers) => 4 * numbers.len(),
    };
    features.iter().map(|(name, of)| name.len() + value(of) + FRAME).sum()
}

impl Arm {
    /// Size of the arm, bytes.
    pub fn bytes(&self) -> usize {
        let payload = self.payload.as_ref().map_or(0, payload_bytes);
        (self.id.as_str().len() + features_bytes(&self.attributes) + FRAME).saturating_add(payload)
    }
}

impl Definition {
    /// Size of the definition without its arms, bytes.
    pub fn settings_bytes(&self) -> usize {
        let rule = |rule: &Rule| rule.name.len() + rule.when.len() + 8 * FRAME;
        let share = |arm: &super::ArmId| arm.as_str().len() + 3 * FRAME;
        self.display_name.len()
            + self.from_catalogue.len()
            + self.rules.iter().map(rule).sum::<usize>()
            + self.controls.arm_bounds.keys().map(share).sum::<usize>()
            + 128 * FRAME
    }

    /// Size of the arms, bytes.
    pub fn arms_bytes(&self) -> usize {
        self.arms.iter().fold(0, |sum, arm| sum.saturating_add(arm.bytes()))
    }

    /// Returns the size of the arms, given that the arms of `before` take `bytes`. Only arms that differ are looked at.
    pub fn arms_bytes_since(&self, before: &[Arc<Arm>], bytes: usize) -> usize {
        let same = |(a, b): (&Arc<Arm>, &Arc<Arm>)| Arc::ptr_eq(a, b);
        if self.arms.len() == before.len() && self.arms.iter().zip(before).all(same) {
            return bytes;
        }
        let set = |arms: &[Arc<Arm>]| -> HashSet<*const Arm> { arms.iter().map(Arc::as_ptr).collect() };
        let (was, is) = (set(before), set(&self.arms));
        let sum = |arms: &[Arc<Arm>], others: &HashSet<*const Arm>| {
            let differ = arms.iter().filter(|arm| !others.contains(&Arc::as_ptr(arm)));
            differ.fold(0_usize, |sum, arm| sum.saturating_add(arm.bytes()))
        };
        bytes.saturating_sub(sum(before, &is)).saturating_add(sum(&self.arms, &was))
    }

    /// Size of the definition, bytes.
    pub fn bytes(&self) -> usize {
        self.arms_bytes().saturating_add(self.settings_bytes())
    }
}
