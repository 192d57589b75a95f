//! Parts of imports.

use tokio::sync::oneshot;

use super::{ChangeFailure, Writer};
use crate::{
    engine::{ImportProgress, ImportedPart, plan_import},
    node::WriteError,
};

/// Progress of an import after a part, and whether the part had been learned before.
pub(in crate::node) type Imported = Result<(ImportProgress, bool), ChangeFailure>;

/// Part of an import into a slot.
#[derive(Debug)]
pub(in crate::node) struct ImportCommand {
    pub(in crate::node) part: ImportedPart,
    pub(in crate::node) reply: oneshot::Sender<Imported>,
}

impl Writer {
    pub(super) fn import(&mut self, command: ImportCommand) {
        let ImportCommand { part, reply } = command;
        let result = self.try_import(part);
        // A caller that no longer waits does not need the answer.
        drop(reply.send(result));
    }

    fn try_import(&mut self, part: ImportedPart) -> Imported {
        let (slot, import_id) = (part.slot.clone(), part.import_id.clone());
        let event = plan_import(&self.state, self.now_us(), part)?.map(|body| self.readable(body)).transpose()?;
        self.write_changes(&slot, event.as_slice())?;
        let progress = self.state.import_progress(slot.as_str(), &import_id).cloned();
        let progress = progress.ok_or(ChangeFailure::Write(WriteError::Stopped))?;
        Ok((progress, event.is_none()))
    }
}
