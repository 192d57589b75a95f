//! Newest decisions of the slots that people watch.
//!
//! A look at a slot reads the journal from where the look before ended, so watching costs as much as happens meanwhile.
//!
//! Invariant: memory is bounded. Candidates and scores are not kept; [`Node::recall`] has them.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{Arc, PoisonError},
};

use super::{HindsightError, Node, hindsight::newest_of_slot, run_long, subjects::Mask};
use crate::{
    engine::{DecisionRecord, SlotView},
    journal::JournalReader,
};

/// Greatest number of decisions of a slot that are listed.
pub const NEWEST_MAX: usize = 100;
/// Number of positions that a look reads back at most: some tens of milliseconds.
const LOOK_BACK: u64 = 200_000;
/// Greatest number of slots whose decisions are kept: more than the streams that the console may have open, because a slot that
/// is looked at and not kept is read from the journal's past each time. About 100 kB each.
const SLOTS_MAX: usize = 128;
/// Number of shown arms of a slot's kept decisions beyond which older decisions go.
const SHOWN_MAX: usize = 20_000;

/// Newest decisions of slots, by their number.
#[derive(Debug, Default)]
pub(super) struct WatchedSlots {
    slots: HashMap<u32, WatchedSlot>,
    looks: u64,
}

/// Newest decisions of a slot, newest first, with the times at which the journal took them.
#[derive(Debug, Default)]
struct WatchedSlot {
    decisions: VecDeque<(i64, Arc<DecisionRecord>)>,
    /// Position up to which the journal was read.
    position: u64,
    /// Number of the last look.
    looked: u64,
}

impl WatchedSlots {
    /// Reads what came since the last look at a slot, and returns its decisions.
    fn look(&mut self, folder: &Path, view: &SlotView, mask: Mask) -> Result<&WatchedSlot, HindsightError> {
        let reader = JournalReader::open(folder)?;
        self.looks += 1;
        if self.slots.len() >= SLOTS_MAX && !self.slots.contains_key(&view.number) {
            let oldest = self.slots.iter().min_by_key(|(_, slot)| slot.looked).map(|(number, _)| *number);
            oldest.map(|number| self.slots.remove(&number));
        }
        let slot = self.slots.entry(view.number).or_default();
        slot.looked = self.looks;
        slot.read(&reader, view, mask)?;
        Ok(slot)
    }
}

impl WatchedSlot {
    fn read(&mut self, reader: &JournalReader, view: &SlotView, mask: Mask) -> Result<(), HindsightError> {
        let most = reader.last().saturating_sub(self.position).min(LOOK_BACK);
        let found = newest_of_slot(reader, view, NEWEST_MAX, most, mask)?;
        // Decisions from before a reset are of another slot.
        for (at_us, newer) in found.into_iter().rev().filter(|(_, newer)| newer.id.slot() == view.number) {
            self.decisions.push_front((at_us, without_candidates(newer)));
        }
        self.position = reader.last();
        self.shorten();
        Ok(())
    }

    /// Lets the oldest decisions go that are too many, or show too many arms together. The newest one stays.
    fn shorten(&mut self) {
        self.decisions.truncate(NEWEST_MAX);
        let mut shown = 0;
        let has_room = |(_, decided): &&(i64, Arc<DecisionRecord>)| {
            shown += decided.chosen.len();
            shown <= SHOWN_MAX
        };
        let kept = self.decisions.iter().take_while(has_room).count();
        self.decisions.truncate(kept.max(1));
    }
}

/// Returns a decision without what only its explanation needs.
fn without_candidates(decided: Arc<DecisionRecord>) -> Arc<DecisionRecord> {
    Arc::new(DecisionRecord {
        candidates: Vec::new(),
        already_shown: Vec::new(),
        scored: Vec::new(),
        excluded: Vec::new(),
        matches: None,
        ..Arc::unwrap_or_clone(decided)
    })
}

impl Node {
    /// Returns the newest decisions of a slot, newest first, with the times at which the journal took them: at most `count`, and at
    /// most [`NEWEST_MAX`]. They have no candidates and no scores.
    ///
    /// # Errors
    ///
    /// [`HindsightError::Read`].
    pub async fn newest_decisions(
        &self,
        view: &SlotView,
        count: usize,
    ) -> Result<Vec<(i64, Arc<DecisionRecord>)>, HindsightError> {
        self.settle(view.number).await;
        run_long(usize::MAX, || {
            let newest: Vec<_> = {
                let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
                let slot = watched.look(&self.folder, view, self.subjects.mask())?;
                slot.decisions.iter().take(count).cloned().collect()
            };
            self.subjects.settle();
            let named = |(at_us, decided): (i64, Arc<DecisionRecord>)| {
                let mut decided = self.with_settled_names(decided);
                if decided.slot != view.definition.id {
                    // The slot was renamed since.
                    Arc::make_mut(&mut decided).slot = view.definition.id.clone();
                }
                (at_us, decided)
            };
            Ok(newest.into_iter().map(named).collect())
        })
    }
}
