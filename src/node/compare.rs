//! Comparison of policies on a slot's own decisions, and exports while the service runs, both read from the journal beside the writer.

use std::{io, sync::Arc};

use super::{
    ExportCounts, ExportStyle, JoinError, Node, Progress, Selection, SubjectNames, join::JoinedDecision,
    join::join as join_decisions, write_export,
};
use crate::{
    engine::{ComparedPolicy, PolicyComparison},
    journal::JournalReader,
    slot::SlotId,
};

/// Reason why a comparison or an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The journal cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The caller is gone.
    #[error("the caller is gone")]
    Cancelled,
    /// Another comparison or export is under way.
    #[error("another comparison or export is under way; try again when it is done")]
    Busy,
}

impl From<JoinError<io::Error>> for ReadingError {
    fn from(why: JoinError<io::Error>) -> Self {
        match why {
            JoinError::Taker(_) => Self::Cancelled,
            why @ (JoinError::Read(_) | JoinError::Open(_) | JoinError::NoSlot { .. }) => {
                Self::Unreadable(why.to_string())
            }
        }
    }
}

/// Decisions that a comparison reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedSpan {
    /// The slot.
    pub slot: SlotId,
    /// Time of the first decision, microseconds since 1970.
    pub from_us: i64,
    /// Time before which the last decision was made, microseconds since 1970.
    pub until_us: i64,
    /// Time before which decisions have had most of their rewards, microseconds since 1970.
    pub settled_us: i64,
}

impl Node {
    /// Compares policies on the decisions of a span. Blocks for as long as reading the journal takes. `go_on` gets the progress and returns `false` to end the comparison.
    ///
    /// # Errors
    ///
    /// Fails if the journal cannot be read, if another comparison or export is under way, or if `go_on` ended the comparison.
    pub fn compare_policies(
        &self,
        span: &ComparedSpan,
        policies: Vec<ComparedPolicy>,
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<PolicyComparison, ReadingError> {
        let _turn = self.comparing.try_lock().map_err(|_| ReadingError::Busy)?;
        let reader = self.reader()?;
        let mut comparison = PolicyComparison::new(policies);
        let selection = Selection { slot: Some(span.slot.clone()), from_us: span.from_us, until_us: span.until_us };
        let going_on = std::cell::Cell::new(true);
        let mut progress = |progress: Progress| going_on.set(going_on.get() && go_on(progress));
        let mut each = |joined: JoinedDecision| {
            if !going_on.get() {
                return Err(io::Error::from(io::ErrorKind::BrokenPipe));
            }
            let known = joined.complete || joined.at_us < span.settled_us;
            if let (Some(definition), Some(reward), true) =
                (&joined.definition, joined.rewards.as_ref().and_then(|rewards| rewards.first()), known)
            {
                let decided = Arc::clone(&joined.decided);
                comparison.add(&decided, definition, |i| joined.candidate(i), *reward);
            } else {
                comparison.leave_out();
            }
            Ok(())
        };
        join_decisions(&reader, &selection, &mut progress, &mut each)?;
        if going_on.get() { Ok(comparison) } else { Err(ReadingError::Cancelled) }
    }

    /// Writes the selected decisions to `to`, as [`write_export`] does. Blocks for as long as reading the journal takes.
    ///
    /// # Errors
    ///
    /// Fails if the journal cannot be read, if another comparison or export is under way, or if `to` takes no more.
    pub fn export(
        &self,
        selection: &Selection,
        pseudonyms: bool,
        style: ExportStyle,
        to: impl io::Write + Send,
    ) -> Result<ExportCounts, ReadingError> {
        let _turn = self.comparing.try_lock().map_err(|_| ReadingError::Busy)?;
        let reader = self.reader()?;
        let names = (!pseudonyms).then(|| SubjectNames::of(&self.folder));
        Ok(write_export(&reader, selection, names.as_ref(), style, to, &mut |_| {})?)
    }

    fn reader(&self) -> Result<JournalReader, ReadingError> {
        JournalReader::open(&self.folder).map_err(|why| ReadingError::Unreadable(why.to_string()))
    }
}
