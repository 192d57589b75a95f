//! Logins ahead of the journal: sessions that came without a subject's id, and the subjects that some of them turned
//! out to be, including decisions that are not applied to the state yet. So a shopper who logs in a moment later keeps
//! the group.
//!
//! The slots of one experiment share one table here, because they draw the same groups. In the state each slot has its
//! own.
//!
//! A decision that was refused after it was made stays in the table: the shopper may have been in the group before.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use dashmap::DashMap;

use crate::engine::{LoginTable, SlotView, Subject, hash};

/// Logins of all slots.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// Table of each slot or experiment that draws groups.
    by_unit: DashMap<LoginUnit, Mutex<LoginTable>>,
}

/// Slot or experiment within which groups are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum LoginUnit {
    /// Slot, by its number.
    Slot(u32),
    /// Experiment, by a hash of its name.
    Experiment(u64),
}

impl LoginUnit {
    /// Returns the unit of a slot.
    pub(super) fn of(view: &SlotView) -> Self {
        match &view.definition.controls.experiment {
            None => Self::Slot(view.number),
            Some(name) => Self::Experiment(hash("experiment", &[name.as_bytes()]).word()),
        }
    }
}

impl Logins {
    /// Begins with the logins of a slot that the journal holds.
    pub(super) fn begin(&self, view: &SlotView, logins: &LoginTable) {
        let table = self.by_unit.entry(LoginUnit::of(view)).or_default();
        table.lock().unwrap_or_else(PoisonError::into_inner).merge(logins);
    }

    /// Returns the session by which the subject's groups are drawn, or `None` if they are drawn by the subject itself.
    pub(super) fn session_of(&self, view: &SlotView, subject: &Subject) -> Option<String> {
        if subject.id.is_empty() || !LoginTable::is_needed(&view.definition.controls) {
            return None;
        }
        let table = self.by_unit.get(&LoginUnit::of(view))?;
        let table = table.lock().unwrap_or_else(PoisonError::into_inner);
        table.session_of(subject).map(str::to_owned)
    }

    /// Takes in a decision for the subject at `at_us`. There are `slots` slots, whose present units `units` returns.
    pub(super) fn add(
        &self,
        view: &SlotView,
        at_us: i64,
        subject: &Subject,
        slots: usize,
        units: impl Fn() -> HashSet<LoginUnit>,
    ) {
        if subject.session_id.is_empty() || !LoginTable::is_needed(&view.definition.controls) {
            return;
        }
        let unit = LoginUnit::of(view);
        if !self.by_unit.contains_key(&unit) {
            // Slots that were deleted or reset, and experiments without a slot, need no table any more.
            let present = units();
            self.by_unit.retain(|unit, _| present.contains(unit));
        }
        let table = self.by_unit.entry(unit).or_default();
        table.lock().unwrap_or_else(PoisonError::into_inner).add(at_us, subject, LoginTable::most(slots as u64));
    }
}
