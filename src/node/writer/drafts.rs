//! Steps of drafts: changes that a second person must approve.

use tokio::sync::oneshot;

use super::{Writer, changes::Changed};
use crate::{
    engine::{Body, DraftRequest, plan_draft},
    slot::{ChangeReason, SlotId},
};

/// Step of a draft of a slot.
#[derive(Debug)]
pub(in crate::node) struct DraftStepCommand {
    pub(in crate::node) slot: SlotId,
    pub(in crate::node) request: DraftRequest,
    pub(in crate::node) why: ChangeReason,
    pub(in crate::node) reply: oneshot::Sender<Changed>,
}

impl Writer {
    pub(super) fn step_draft(&mut self, command: DraftStepCommand) {
        let DraftStepCommand { slot, request, why, reply } = command;
        let result = self.try_step_draft(&slot, request, &why);
        // A caller that no longer waits does not need the answer.
        drop(reply.send(result));
    }

    /// A change and the end of its draft are written in one commit.
    fn try_step_draft(&mut self, slot: &SlotId, request: DraftRequest, why: &ChangeReason) -> Changed {
        let bodies = plan_draft(&self.state, self.now_us(), slot, request, why)?;
        let mut events = bodies.into_iter().map(|body| self.readable(body)).collect::<Result<Vec<_>, _>>()?;
        let at_us = self.now_us();
        for event in &mut events {
            event.at_us = at_us;
        }
        let renamed = events
            .iter()
            .find_map(|event| if let Body::SlotRenamed { to, .. } = &event.body { Some(to.clone()) } else { None });
        self.write_changes(renamed.as_ref().unwrap_or(slot), &events)
    }
}
