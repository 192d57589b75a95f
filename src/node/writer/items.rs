//! Changes of the item catalogue.

use tokio::sync::oneshot;

use super::{ChangeFailure, Writer};
use crate::{
    engine::{ItemRequest, PlannedItems, plan_items},
    node::items::ItemsOutcome,
    slot::{ChangeReason, SlotId},
};

/// A change of the item catalogue.
#[derive(Debug)]
pub(in crate::node) struct ItemsCommand {
    pub(in crate::node) request: ItemRequest,
    pub(in crate::node) why: ChangeReason,
    pub(in crate::node) validate_only: bool,
    pub(in crate::node) reply: oneshot::Sender<Result<ItemsOutcome, ChangeFailure>>,
}

impl Writer {
    pub(super) fn change_items(&mut self, command: ItemsCommand) {
        let ItemsCommand { request, why, validate_only, reply } = command;
        let result = self.try_change_items(request, &why, validate_only);
        // A caller that no longer waits does not need the answer.
        drop(reply.send(result));
    }

    fn try_change_items(
        &mut self,
        request: ItemRequest,
        why: &ChangeReason,
        validate_only: bool,
    ) -> Result<ItemsOutcome, ChangeFailure> {
        let PlannedItems { body, changed, items } = plan_items(&self.state, request, self.catalogue, why)?;
        if let Some(body) = body {
            let event = self.readable(body)?;
            if !validate_only {
                self.write(&[event])?;
            }
        }
        Ok(ItemsOutcome { changed, items })
    }

    /// Publishes the item catalogue. Returns the slots whose arms it changed.
    pub(super) fn publish_items(&self) -> Vec<SlotId> {
        self.shared.publish_items(self.state.items());
        let has_others = |slot: &SlotId| {
            let view = self.shared.views.get(slot);
            self.state.slot(slot.as_str()).is_some_and(|state| !view.is_some_and(|view| state.has_arms_of(&view)))
        };
        self.state.slots().map(|(slot, _)| slot).filter(|slot| has_others(slot)).cloned().collect()
    }
}
