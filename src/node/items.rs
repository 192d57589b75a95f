//! The item catalogue, as callers of a node use it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{ChangeFailure, Node, WriteError, queue::SoloCommand, writer::ItemsCommand};
use crate::{
    engine::{ItemRequest, ItemTable},
    slot::ChangeReason,
};

/// Result of a change of the item catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemsOutcome {
    /// Number of items that differ from before.
    pub changed: usize,
    /// Number of all items after the change.
    pub items: usize,
}

impl Node {
    /// Item catalogue as published.
    pub fn items(&self) -> Arc<ItemTable> {
        self.shared.items()
    }

    /// Changes the item catalogue, or with `validate_only` says what would change; answers when the change is durable and
    /// true.
    pub async fn change_items(
        &self,
        request: ItemRequest,
        why: ChangeReason,
        validate_only: bool,
    ) -> Result<ItemsOutcome, ChangeFailure> {
        self.writable()?;
        let (reply, changed) = oneshot::channel();
        let command = ItemsCommand { request, why, validate_only, reply };
        let pushed = self.shared.queue.push_single(SoloCommand::Items(Box::new(command)), None);
        self.count_refusal("changes", 1, pushed)?;
        changed.await.unwrap_or(Err(ChangeFailure::Write(WriteError::Unanswered)))
    }
}
