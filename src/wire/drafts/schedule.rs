//! Drafts that are applied at a time.

use std::{collections::HashSet, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    slot::{ChangeReason, SlotId},
    wire::{Api, access::CallAccess},
};

/// Time between two looks for drafts that are due.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Api {
    /// Applies scheduled drafts when they are due, until `stop` is cancelled. A draft that cannot be applied waits until it
    /// expires, and is logged once.
    pub(crate) async fn apply_scheduled_drafts(self, stop: CancellationToken) {
        let mut failed: HashSet<(SlotId, u64)> = HashSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let due = self.due_drafts();
            failed.retain(|failed| due.iter().any(|(slot, number, _)| (slot, number) == (&failed.0, &failed.1)));
            for (slot, number, why) in due {
                let Ok(draft_id) = u32::try_from(number) else { continue };
                match self.apply_now(&CallAccess::of_service(), (slot.as_str(), draft_id), &why).await {
                    Ok(_) => tracing::info!(%slot, draft = number, "a scheduled draft was applied"),
                    Err(status) => {
                        if failed.insert((slot.clone(), number)) {
                            let why = status.message();
                            tracing::warn!(%slot, draft = number, why, "a scheduled draft cannot be applied");
                        }
                    }
                }
            }
        }
    }

    /// Returns the drafts that are to be applied by now, each with who scheduled it.
    fn due_drafts(&self) -> Vec<(SlotId, u64, ChangeReason)> {
        let Some(node) = self.current() else { return Vec::new() };
        let now_us = node.now_us();
        let mut due = Vec::new();
        for view in node.slots() {
            for draft in view.drafts.iter().filter(|draft| draft.is_due(now_us)) {
                let why = draft.scheduled.as_ref().map(|(_, step)| step.why.clone()).unwrap_or_default();
                due.push((view.definition.id.clone(), draft.number, why));
            }
        }
        due
    }
}
