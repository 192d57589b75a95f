//! Subjects that are forgotten, as the writer writes and lists them.

use super::Writer;
use crate::{
    engine::{Body, Event, ForgottenEntry, ProfileStore},
    node::WriteError,
    slot::SlotId,
};

impl Writer {
    /// Writes that subjects were forgotten, and publishes what changed: every slot may have known them.
    pub(super) fn forget(&mut self, events: &[Event]) -> Result<(), WriteError> {
        let at_us = self.now_us();
        let events: Vec<Event> = events.iter().map(|event| Event { at_us, ..event.clone() }).collect();
        self.write(&events)?;
        for event in &events {
            if let Body::SubjectForgotten(forgotten) = &event.body {
                for key in ProfileStore::keys_of(&forgotten.subject) {
                    self.shared.profiles.remove(&key);
                }
            }
        }
        let slots: Vec<SlotId> = self.state.slots().map(|(slot, _)| slot.clone()).collect();
        for slot in slots {
            self.publish(&slot);
        }
        if let Some(profiles) = self.state.profiles() {
            self.shared.observer.profiles(profiles.counts());
        }
        Ok(())
    }

    /// Subjects that were forgotten, the latest first.
    pub(super) fn list_forgotten(&self, most: usize) -> Vec<ForgottenEntry> {
        self.state.forgotten_subjects().rev().take(most).cloned().collect()
    }
}
