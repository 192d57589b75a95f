//! Changes of slots, steps of their drafts, and imports: handed to the writer, and answered when they are durable and true.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    ChangeFailure, Node, WriteError,
    deciding::run_long,
    queue::SoloCommand,
    writer::{ChangeCommand, ChangeEachCommand, DraftStepCommand, ImportCommand},
};
use crate::{
    engine::{Change, DraftRequest, ImportProgress, ImportedPart, LearningFile, LearningFileError, SlotView},
    slot::{ChangeReason, SlotId},
};

impl Node {
    /// Changes a slot, or with `validate_only` says how it would look; answers with the slot as it
    /// then is, or for a deletion as it was.
    pub async fn change(
        &self,
        slot: SlotId,
        change: Change,
        why: ChangeReason,
        validate_only: bool,
    ) -> Result<Arc<SlotView>, ChangeFailure> {
        self.writable()?;
        let (reply, changed) = oneshot::channel();
        let command = ChangeCommand { slot, change, why, validate_only, reply };
        let pushed = self.shared.queue.push_single(SoloCommand::Change(Box::new(command)), None);
        self.count_refusal("changes", 1, pushed)?;
        changed.await.unwrap_or(Err(ChangeFailure::Write(WriteError::Unanswered)))
    }

    /// Makes the same change of one slot, or of every slot: all at once, or none; answers with the slots that it changed
    /// and their revisions, by id.
    pub async fn change_each(
        &self,
        slot: Option<SlotId>,
        change: Change,
        why: ChangeReason,
    ) -> Result<Vec<(SlotId, u64)>, ChangeFailure> {
        self.writable()?;
        let (reply, changed) = oneshot::channel();
        let command = ChangeEachCommand { slot, change, why, reply };
        let pushed = self.shared.queue.push_single(SoloCommand::ChangeEach(Box::new(command)), None);
        self.count_refusal("changes", 1, pushed)?;
        changed.await.unwrap_or(Err(ChangeFailure::Write(WriteError::Unanswered)))
    }

    /// Takes a step of a draft of a slot; answers with the slot as it then is, or as it was before its deletion.
    pub async fn step_draft(
        &self,
        slot: SlotId,
        request: DraftRequest,
        why: ChangeReason,
    ) -> Result<Arc<SlotView>, ChangeFailure> {
        self.writable()?;
        let (reply, changed) = oneshot::channel();
        let command = DraftStepCommand { slot, request, why, reply };
        let pushed = self.shared.queue.push_single(SoloCommand::DraftStep(Box::new(command)), None);
        self.count_refusal("changes", 1, pushed)?;
        changed.await.unwrap_or(Err(ChangeFailure::Write(WriteError::Unanswered)))
    }

    /// Teaches a slot a part of an import; answers with the progress of the import, and whether the slot had learned the
    /// part before.
    pub async fn import(&self, part: ImportedPart) -> Result<(ImportProgress, bool), ChangeFailure> {
        self.writable()?;
        let (reply, imported) = oneshot::channel();
        let command = ImportCommand { part, reply };
        let pushed = self.shared.queue.push_single(SoloCommand::Import(Box::new(command)), None);
        self.count_refusal("changes", 1, pushed)?;
        imported.await.unwrap_or(Err(ChangeFailure::Write(WriteError::Unanswered)))
    }

    /// Returns what a slot has learned as a file, or `None` if there is no such slot.
    pub async fn export_learning(
        &self,
        slot: SlotId,
    ) -> Result<Option<Result<LearningFile, LearningFileError>>, WriteError> {
        let (reply, learning) = oneshot::channel();
        let pushed = self.shared.queue.push_single(SoloCommand::ReadLearning(slot, reply), None);
        self.count_refusal("changes", 1, pushed)?;
        let learning = learning.await.map_err(|_| WriteError::Unanswered)?;
        Ok(learning.map(|(source, seed)| run_long(usize::MAX, || LearningFile::write(&source, &seed))))
    }
}
