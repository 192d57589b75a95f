//! Publication of slots, from whose views decisions are made.

use std::sync::Arc;

use super::Writer;
use crate::slot::SlotId;

impl Writer {
    /// Publishes a slot that changed. While it has traffic, the view has what decisions need, because the next event would
    /// have to copy everything else before it learns.
    pub(super) fn publish(&mut self, slot: &SlotId) {
        if let Some(state) = self.state.slot(slot.as_str()) {
            let view = if let Some(view) = state.view_for_decisions() {
                self.partly_published.insert(slot.clone(), true);
                view
            } else {
                self.partly_published.remove(slot);
                state.view()
            };
            self.shared.views.insert(slot.clone(), Arc::new(view));
        } else {
            self.partly_published.remove(slot);
            self.shared.views.remove(slot);
            self.shared.observer.slot_deleted(slot.as_str());
        }
    }

    /// Publishes the slots in full that had no event since the last call: their evidence fades with time, so that any model
    /// may come to decide.
    pub(super) fn publish_idle(&mut self) {
        let idle: Vec<SlotId> =
            self.partly_published.iter().filter(|(_, active)| !**active).map(|(slot, _)| slot.clone()).collect();
        self.partly_published.values_mut().for_each(|active| *active = false);
        for slot in idle {
            self.partly_published.remove(&slot);
            if let Some(state) = self.state.slot(slot.as_str()) {
                self.shared.views.insert(slot, Arc::new(state.view()));
            }
        }
    }
}
