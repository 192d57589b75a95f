//! Questions about past decisions, answered from the journal beside the writer: how a change would have altered them, and how
//! a decision came about.
//!
//! Invariant: nothing is changed. The writer takes part only to say how a slot would be after a change.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::oneshot;

use super::{
    ChangeFailure, Node, WriteError, codec, queue::SoloCommand, recover::workers, run_long, subjects::Mask,
    writer::DraftCommand,
};
use crate::{
    engine::{
        Body, Change, DEFERRED, DecisionId, DecisionRecord, PREVIEW_DECISIONS_MAX, PreviewTally, Previewer,
        RecalledExplanation, SlotPreview, SlotView, recall,
    },
    journal::{JournalReader, ReadError, Stored},
    slot::SlotId,
};

/// Number of positions that a preview looks back for decisions of its slot: a second or so of reading.
const LOOK_BACK: u64 = 1_000_000;
/// Number of positions after its time in which a decision is searched: more than ever wait to be written.
const LOOK_ON: u64 = 250_000;
/// Time by which a decision may stand earlier than its id says, because two threads read the clock.
const EARLIER_US: i64 = 1_000_000;

/// A past decision and how it came about.
#[derive(Debug, Clone)]
pub struct RecalledDecision {
    /// The decision.
    pub decided: Arc<DecisionRecord>,
    /// Time at which the journal took the decision, microseconds since 1970.
    pub at_us: i64,
    /// Explanation of how it came about.
    pub recalled: RecalledExplanation,
    /// The slot's current view, or `None` if the slot was deleted.
    pub view: Option<Arc<SlotView>>,
}

/// Reason why a question about the past has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HindsightError {
    /// The change cannot be, or the node takes nothing any more.
    #[error(transparent)]
    Change(#[from] ChangeFailure),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The decision is not there.
    #[error("{0}")]
    Unknown(String),
}

/// A decision of a record.
pub(super) fn decision(stored: &Stored<'_>, mask: Mask) -> Result<(i64, Arc<DecisionRecord>), String> {
    let mut event = codec::decode(stored.body)?;
    mask.apply(&mut event);
    match event.body {
        Body::Decided(decided) | Body::Deferred(decided) => Ok((stored.at_us, decided)),
        other @ (Body::SlotCreated { .. }
        | Body::SlotUpdated { .. }
        | Body::SlotPatched { .. }
        | Body::SlotDeleted { .. }
        | Body::ArmsUpserted { .. }
        | Body::ArmsRemoved { .. }
        | Body::AvailabilitySet { .. }
        | Body::SlotReset { .. }
        | Body::SlotRenamed { .. }
        | Body::Draft(_)
        | Body::Imported(_)
        | Body::Rewarded(_)
        | Body::SubjectForgotten(_)
        | Body::ItemsChanged(_)
        | Body::LearningCopied { .. }
        | Body::ArmReset { .. }
        | Body::LearningImported(_)
        | Body::Shopper(_)) => Err(format!("it is called a decision and is of the kind {}", other.kind())),
    }
}

/// Returns the newest decisions of a slot with their times, newest first, also those that it made under former ids. At most
/// `most` positions of the journal are searched.
pub(super) fn newest_of_slot(
    reader: &JournalReader,
    view: &SlotView,
    count: usize,
    most: u64,
    mask: Mask,
) -> Result<Vec<(i64, Arc<DecisionRecord>)>, HindsightError> {
    let mut found: Vec<(u64, (i64, Arc<DecisionRecord>))> = Vec::new();
    let present = &view.definition.id;
    for id in std::iter::once(present).chain(&view.former_ids) {
        reader.newest("decided", id.as_str(), count, most, &mut |stored| {
            let (at_us, mut decided) = decision(stored, mask)?;
            // Another slot may have, or have had, a former id.
            if id == present {
                found.push((stored.position, (at_us, decided)));
            } else if decided.id.slot() == view.number {
                Arc::make_mut(&mut decided).slot = present.clone();
                found.push((stored.position, (at_us, decided)));
            }
            Ok(())
        })?;
    }
    if !view.former_ids.is_empty() {
        // An id that the slot got back is among both.
        found.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
        found.dedup_by_key(|(position, _)| *position);
        found.truncate(count);
    }
    Ok(found.into_iter().map(|(_, decision)| decision).collect())
}

impl Node {
    /// Previews a change of a slot on its last `count` decisions (0 means the default number). Returns the preview, and the slot
    /// as it is and as it would be.
    pub async fn preview(
        &self,
        slot: SlotId,
        change: Change,
        count: usize,
    ) -> Result<(SlotPreview, Arc<SlotView>, Arc<SlotView>), HindsightError> {
        let count = if count == 0 { PREVIEW_DECISIONS_MAX } else { count.min(PREVIEW_DECISIONS_MAX) };
        let _turn = self.previewing.lock().await;
        let (before, after) = self.try_change(slot.clone(), change).await?;
        self.settle(before.number).await;
        let preview = run_long(usize::MAX, || -> Result<SlotPreview, HindsightError> {
            let decisions = self.last_decisions(&before, count)?;
            self.subjects.settle();
            let now_us = self.now_us();
            let (before, after) = SlotView::both_at(&before, &after, now_us);
            let previewer =
                Previewer::new(&before, &after, &decisions, now_us).with_names(|subject| self.subjects.names(subject));
            Ok(previewer.finish(shared(&previewer)))
        })?;
        Ok((preview, before, after))
    }

    /// Explains a past decision. `slot` is the slot in which it is expected, or `None` if that is unknown.
    pub async fn recall(&self, id: DecisionId, slot: Option<&SlotId>) -> Result<RecalledDecision, HindsightError> {
        self.settle(id.slot()).await;
        let (at_us, decided) = run_long(usize::MAX, || self.find(id))?;
        let decided = self.under_present_id(decided);
        if let Some(slot) = slot.filter(|slot| **slot != decided.slot) {
            let message = format!("decision '{id}' is of the slot '{}', not of '{slot}'", decided.slot);
            return Err(HindsightError::Unknown(message));
        }
        let view = self.slot(&decided.slot);
        let recalled = run_long(decided.candidates.len(), || recall(view.as_deref(), &decided));
        let decided = run_long(usize::MAX, || self.with_names(decided));
        Ok(RecalledDecision { decided, at_us, recalled, view })
    }

    /// Returns the decision under the present id of its slot, which may have been renamed since.
    fn under_present_id(&self, mut decided: Arc<DecisionRecord>) -> Arc<DecisionRecord> {
        if self.slot(&decided.slot).is_some_and(|view| view.number == decided.id.slot()) {
            return decided;
        }
        let view = self.shared.views.iter().find(|view| view.number == decided.id.slot());
        if let Some(present) = view.map(|view| view.definition.id.clone()) {
            Arc::make_mut(&mut decided).slot = present;
        }
        decided
    }

    /// The decision with the ids of its subject, where the table knows them.
    fn with_names(&self, decided: Arc<DecisionRecord>) -> Arc<DecisionRecord> {
        self.subjects.settle();
        self.with_settled_names(decided)
    }

    /// The decision with the ids of its subject, where the table knew them when its writer was last waited for.
    pub(super) fn with_settled_names(&self, mut decided: Arc<DecisionRecord>) -> Arc<DecisionRecord> {
        let named = self.subjects.names(&decided.subject);
        Arc::make_mut(&mut decided).subject = named;
        decided
    }

    /// Waits until what was decided so far in the slot of this number is in the journal, as far as it can be.
    pub(super) async fn settle(&self, number: u32) {
        let (reply, written) = oneshot::channel();
        if self.shared.queue.push_single(SoloCommand::Settle(reply), Some(number)).is_ok() {
            // A writer that cannot write has nothing to wait for.
            drop(written.await);
        }
    }

    /// Returns a slot as it is, and as it would be after a change, whether or not the change needs approval.
    pub async fn try_change(
        &self,
        slot: SlotId,
        change: Change,
    ) -> Result<(Arc<SlotView>, Arc<SlotView>), ChangeFailure> {
        self.writable()?;
        let (reply, drafted) = oneshot::channel();
        let command = DraftCommand { slot, change, reply };
        self.shared.queue.push_single(SoloCommand::Draft(Box::new(command)), None)?;
        drafted.await.unwrap_or(Err(ChangeFailure::Write(WriteError::Unanswered)))
    }

    /// The last decisions of a slot, oldest first; those from before a reset are of the same place, and count.
    fn last_decisions(&self, view: &SlotView, count: usize) -> Result<Vec<(i64, Arc<DecisionRecord>)>, HindsightError> {
        let reader = JournalReader::open(&self.folder)?;
        let mut decisions = newest_of_slot(&reader, view, count, LOOK_BACK, self.subjects.mask())?;
        decisions.reverse();
        Ok(decisions)
    }

    fn find(&self, id: DecisionId) -> Result<(i64, Arc<DecisionRecord>), HindsightError> {
        let reader = JournalReader::open(&self.folder)?;
        let mut found = None;
        for kind in ["decided", DEFERRED] {
            if found.is_none() {
                reader.find(kind, &id.to_string(), id.at_us() - EARLIER_US, LOOK_ON, &mut |stored| {
                    found = Some(decision(stored, self.subjects.mask())?);
                    Ok(())
                })?;
            }
        }
        if let Some(found) = found {
            return Ok(found);
        }
        let over = reader.trimmed() > 0 && reader.kept_since_us()?.is_none_or(|since_us| id.at_us() < since_us);
        let why = if over {
            "it was made before all that the journal still keeps: its retention is over (see the service's setting `retention`)"
        } else if id.at_us() > self.now_us() {
            "its id is of a time that is still to come: did it come from another service?"
        } else {
            "the journal holds no such decision: did it come from this service, or was it never recorded because there was no room?"
        };
        Err(HindsightError::Unknown(format!("decision '{id}' not found: {why}")))
    }
}

/// The parts of a preview, by as many threads as there are cores.
fn shared(previewer: &Previewer<'_>) -> Vec<PreviewTally> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= previewer.parts() {
                return done;
            }
            done.push((part, previewer.part(part)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..workers()).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(part, _)| *part);
    done.into_iter().map(|(_, tally)| tally).collect()
}
