//! Bookkeeping that all slots share: journal position, time and slot numbers.
//!
//! It is kept apart from the slots so that workers can apply events of different slots in parallel.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    event::Body,
    horizons::{EventClass, Horizons, RecentTimes},
    subject::Subject,
};
use crate::slot::{SlotId, limits::FORGOTTEN_MAX};

/// Journal position, time and slot numbers. *Persisted.*
///
/// Every event passes through it, in journal order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Position of the last event, or 0 before the first.
    position: u64,
    /// Time of the last event, microseconds since 1970.
    at_us: i64,
    /// Number of slots that were ever created.
    slots_created: u32,
    slots: BTreeMap<u32, SlotId>,
    /// Times of the newest decisions and reward events of all slots.
    recent: RecentTimes,
    /// Subjects that were forgotten, oldest first.
    #[serde(default)]
    forgotten: VecDeque<ForgottenEntry>,
}

/// Subject that was forgotten. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenEntry {
    /// Time at which it was forgotten, microseconds since 1970.
    pub at_us: i64,
    /// First pseudonyms that its ids ever had.
    pub origin: Subject,
}

/// Part of an event's effect that the ledger determines and its slot needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Position of the event.
    pub(super) position: u64,
    /// Time at which the event is applied, microseconds since 1970. It is never before that of the previous event.
    pub(super) at_us: i64,
    /// New number of the slot, if the event gives it one.
    pub(super) number: Option<u32>,
    /// Number of slots, among which limits on the whole process are shared out.
    pub(super) slots: u64,
    /// Says that the event gives a slot another id.
    pub(super) renames: bool,
    /// Horizons by which every slot must be swept after the event, if it must.
    pub(super) sweep: Option<Horizons>,
}

impl Step {
    /// Returns `true` if the event gives a slot another id. It does not if there is no such slot, or another one has the id.
    pub fn renames(&self) -> bool {
        self.renames
    }

    /// Returns `true` if every slot must be swept after the event was applied, see [`SlotShard::sweep`](super::SlotShard::sweep).
    pub fn sweeps(&self) -> bool {
        self.sweep.is_some()
    }
}

impl Ledger {
    /// Position of the last event, or 0 before the first.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Time of the last event, microseconds since 1970.
    pub fn at_us(&self) -> i64 {
        self.at_us
    }

    /// Number that rises whenever every slot may have been swept.
    pub(super) fn sweeps(&self) -> u64 {
        self.recent.steps()
    }

    /// Returns the slot of this number.
    pub fn slot_of_number(&self, number: u32) -> Option<&SlotId> {
        self.slots.get(&number)
    }

    /// Subjects that were forgotten, oldest first.
    pub fn forgotten(&self) -> impl DoubleEndedIterator<Item = &ForgottenEntry> {
        self.forgotten.iter()
    }

    fn has_slot(&self, slot: &SlotId) -> bool {
        self.slots.values().any(|have| have == slot)
    }

    /// Takes the next event in and returns its step.
    pub fn step(&mut self, at_us: i64, body: &Body) -> Step {
        let mut step = self.skip(at_us, EventClass::of(body));
        match body {
            Body::SlotCreated { definition, .. } => step.number = Some(self.renumber(&definition.id)),
            Body::SlotDeleted { slot, .. } => self.slots.retain(|_, have| have != slot),
            Body::SlotRenamed { slot, to, .. } if self.has_slot(slot) && !self.has_slot(to) => {
                step.renames = true;
                self.slots.values_mut().filter(|have| *have == slot).for_each(|have| have.clone_from(to));
            }
            Body::SubjectForgotten(forgotten) => {
                if self.forgotten.len() >= FORGOTTEN_MAX {
                    self.forgotten.pop_front();
                }
                if forgotten.origin != Subject::default() {
                    self.forgotten.push_back(ForgottenEntry { at_us: self.at_us, origin: forgotten.origin.clone() });
                }
            }
            // The slot gets a new number, so that rewards of earlier decisions match nothing.
            Body::SlotReset { slot, .. } if self.has_slot(slot) => step.number = Some(self.renumber(slot)),
            Body::SlotReset { .. }
            | Body::SlotRenamed { .. }
            | Body::SlotUpdated { .. }
            | Body::SlotPatched { .. }
            | Body::ArmsUpserted { .. }
            | Body::ArmsRemoved { .. }
            | Body::AvailabilitySet { .. }
            | Body::Draft(_)
            | Body::Imported(_)
            | Body::Decided(_)
            | Body::Deferred(_)
            | Body::LearningCopied { .. }
            | Body::LearningImported(_)
            | Body::ArmReset { .. }
            | Body::Rewarded(_)
            | Body::ItemsChanged(_)
            | Body::Shopper(_) => {}
        }
        step
    }

    /// Takes in an event whose body is not needed, because it is a decision, a reward event or skipped. Otherwise the
    /// same as [`step`](Self::step).
    pub fn skip(&mut self, at_us: i64, class: EventClass) -> Step {
        self.position += 1;
        self.at_us = self.at_us.max(at_us);
        let slots = self.slots.len() as u64;
        let sweep = self.recent.count(self.at_us, class);
        Step { position: self.position, at_us: self.at_us, number: None, slots, renames: false, sweep }
    }

    fn renumber(&mut self, slot: &SlotId) -> u32 {
        self.slots_created += 1;
        self.slots.retain(|_, have| have != slot);
        self.slots.insert(self.slots_created, slot.clone());
        self.slots_created
    }
}
