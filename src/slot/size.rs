//! How much a definition takes, as its limit counts it.
//!
//! Texts count by their bytes, numbers 8 bytes (4 in a vector), payloads as JSON: about what the journal, a snapshot
//! and an answer hold.

use std::{collections::HashSet, sync::Arc};

use super::{
    arm::{Arm, Payload},
    definition::Definition,
    rule::Rule,
};
use crate::bandit::{Features, Value};

/// Bytes that an arm or a feature takes beside what it says.
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
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let payload = self.payload.as_ref().map_or(0, payload_bytes);
        (self.id.as_str().len() + features_bytes(&self.attributes) + FRAME).saturating_add(payload)
    }
}

impl Definition {
    /// Bytes that it takes without its arms.
    pub fn settings_bytes(&self) -> usize {
        let rule = |rule: &Rule| rule.name.len() + rule.when.len() + 8 * FRAME;
        let share = |arm: &super::ArmId| arm.as_str().len() + 3 * FRAME;
        self.display_name.len()
            + self.rules.iter().map(rule).sum::<usize>()
            + self.controls.arm_bounds.keys().map(share).sum::<usize>()
            + 128 * FRAME
    }

    /// Bytes that its arms take.
    pub fn arms_bytes(&self) -> usize {
        self.arms.iter().fold(0, |sum, arm| sum.saturating_add(arm.bytes()))
    }

    /// The same, where the arms of `before` take `bytes`: only arms that differ are looked at.
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

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.arms_bytes().saturating_add(self.settings_bytes())
    }
}
