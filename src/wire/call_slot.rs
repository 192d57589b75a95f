//! Slot of a call, for the log and for traces: only the message names it.

use std::sync::{Arc, OnceLock};

/// Place for the slot that a call is about, which is known once its message is read. It travels with the call.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallSlot(Arc<OnceLock<String>>);

impl CallSlot {
    /// Notes the slot, unless there is one: a call of several slots has its first one here.
    pub(crate) fn note(&self, slot: &str) {
        self.0.get_or_init(|| slot.to_owned());
    }

    /// Id of the slot, or `None` before it is known.
    pub(crate) fn id(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}
