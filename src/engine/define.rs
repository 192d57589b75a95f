//! Redefinition of a slot, and its revisions.

use std::{collections::HashMap, sync::Arc};

use super::{
    state::{AVAILABILITY, SlotState},
    view::ArmTable,
};
use crate::slot::{
    Arm, ArmId, ChangeReason, Definition, Revision,
    limits::{REVISIONS_BYTES_MAX, REVISIONS_MAX},
};

impl SlotState {
    pub(super) fn define(&mut self, at_us: i64, mut definition: Arc<Definition>, why: &ChangeReason, change: String) {
        self.revision += 1;
        let before = (!self.revisions.is_empty()).then_some(&*self.definition);
        let mut own_bytes = share_arms(before, &mut definition);
        self.arms_bytes = definition.arms_bytes_since(&self.definition.arms, self.arms_bytes);
        if !self.arms.is_of(&definition) {
            self.arms = Arc::new(ArmTable::new(self.arms.names().to_vec(), &definition));
        }
        if self.learner.decides() != (definition.model, definition.traits()) {
            Arc::make_mut(&mut self.learner).decide_by(definition.model, definition.traits());
        }
        if !self.accounting {
            self.rules = Arc::new(self.rules.renewed(&definition.rules, &definition.arms));
        }
        let revisions = Arc::make_mut(&mut self.revisions);
        // A stock feed must not push out changes that people made. Of its revisions in a row only the last one stays,
        // unless the reason or the author differs.
        let same = |last: &Revision| last.change == AVAILABILITY && last.why.says_the_same_as(why);
        if change == AVAILABILITY && revisions.last().is_some_and(same) {
            revisions.pop();
            own_bytes = share_arms(revisions.last().map(|last| &*last.definition), &mut definition);
        }
        revisions.push(Revision {
            number: self.revision,
            at_us,
            why: why.clone(),
            change,
            definition: Arc::clone(&definition),
            own_bytes,
        });
        let mut bytes: u64 = revisions.iter().map(|revision| revision.own_bytes).sum();
        while revisions.len() > REVISIONS_MAX || (revisions.len() > 1 && bytes > REVISIONS_BYTES_MAX) {
            bytes -= revisions.remove(0).own_bytes;
        }
        let before = std::mem::replace(&mut self.definition, definition);
        self.begin_goal(at_us, &before.goal);
        self.make_room();
    }

    pub(super) fn redefine(
        &mut self,
        at_us: i64,
        why: &ChangeReason,
        change: &str,
        edit: impl FnOnce(&mut Vec<Arc<Arm>>),
    ) {
        let mut definition = (*self.definition).clone();
        edit(&mut definition.arms);
        self.define(at_us, Arc::new(definition), why, change.to_owned());
    }
}

/// Makes unchanged arms share the memory of those before, and returns the bytes of everything that is new. Arms are
/// compared by value, so the bytes do not depend on how memory is shared.
fn share_arms(before: Option<&Definition>, definition: &mut Arc<Definition>) -> u64 {
    let before = before.map(|before| &before.arms[..]).unwrap_or_default();
    let mut own = definition.settings_bytes();
    let here = |(i, arm): (usize, &Arc<Arm>)| before.get(i).is_some_and(|have| Arc::ptr_eq(have, arm));
    if definition.arms.iter().enumerate().all(here) {
        return own as u64;
    }
    let known: HashMap<&ArmId, &Arc<Arm>> = before.iter().map(|arm| (&arm.id, arm)).collect();
    let mut shared = Vec::new();
    for (i, arm) in definition.arms.iter().enumerate() {
        match known.get(&arm.id) {
            Some(have) if Arc::ptr_eq(have, arm) => {}
            Some(&have) if have == arm => shared.push((i, Arc::clone(have))),
            _ => own = own.saturating_add(arm.bytes()),
        }
    }
    if !shared.is_empty() {
        let definition = Arc::make_mut(definition);
        for (i, arm) in shared {
            definition.arms[i] = arm;
        }
    }
    own as u64
}
