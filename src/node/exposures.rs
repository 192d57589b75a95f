//! Exposures ahead of the journal: what subjects were shown, including decisions that are not applied to the state yet.
//! So a cap holds from one decision to the next, and a subject sticks to what it got a moment ago.
//!
//! This is a copy of the state's exposures with the same rules, not a view of them:
//!
//! * Decisions count here that the state never learns of: those of a node that can write no more, and those that were
//!   dropped while the disk was full. Shoppers saw them, so a cap must count them.
//! * The state's index of subjects is too large to publish. At 700,000 keys a copy takes 0.4 s, and an index that shares
//!   its parts with published ones costs the writer 50 to 120 µs per decision in place of 3.
//! * Asking the writer's thread would make every such decision wait for a commit.
//!
//! A test of the node holds that both are equal once everything is written. [`requests`](super::requests) keeps its copy
//! for the same reasons.

use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;

use crate::{
    engine::{DecideOptions, Decision, DecisionRecord, EventTimes, Exposure, ExposureScope, Request, SlotView, decide},
    slot::{Definition, limits::RECENT_TOTAL_MAX},
};

/// Exposures of all slots.
#[derive(Debug, Default)]
pub(super) struct Exposures {
    /// Exposure of each slot whose rules or controls need one, by slot number.
    by_slot: DashMap<u32, Arc<Mutex<Exposure>>>,
    /// Times of the newest decisions of all slots that were remembered.
    times: Mutex<EventTimes>,
}

impl Exposures {
    /// Begins with the exposure of a slot that the journal holds.
    pub(super) fn begin(&self, slot: u32, exposure: Exposure) {
        self.by_slot.insert(slot, Arc::new(Mutex::new(exposure)));
    }

    /// Decides, and remembers the shown arms if the slot needs its exposure. The decisions of such a slot are made one
    /// after another.
    ///
    /// `lives` returns `true` for the number of a slot that exists.
    pub(super) fn decide(
        &self,
        view: &SlotView,
        request: Request,
        options: DecideOptions<'_>,
        lives: impl Fn(u32) -> bool,
    ) -> Decision {
        let scope = ExposureScope::from_definition(&view.definition);
        if !scope.is_needed() {
            if self.by_slot.contains_key(&view.number) {
                self.by_slot.remove(&view.number);
            }
            return decide(view, request, options);
        }
        if !self.by_slot.contains_key(&view.number) {
            // Slots that were deleted or reset need no exposure any more.
            self.by_slot.retain(|&number, _| lives(number));
        }
        let exposure = Arc::clone(&self.by_slot.entry(view.number).or_default());
        let mut exposure = exposure.lock().unwrap_or_else(PoisonError::into_inner);
        let decision = decide(view, request, DecideOptions { exposures: Some(&*exposure), ..options });
        exposure.add(options.id.at_us(), &decision.decided, scope);
        drop(exposure);
        self.count_and_sweep(options.id.at_us());
        decision
    }

    /// Decides without remembering the shown arms.
    pub(super) fn look(&self, view: &SlotView, request: Request, options: DecideOptions<'_>) -> Decision {
        let exposure = self.by_slot.get(&view.number).map(|exposure| Arc::clone(&exposure));
        match exposure.filter(|_| ExposureScope::from_definition(&view.definition).is_needed()) {
            None => decide(view, request, options),
            Some(exposure) => {
                let exposure = exposure.lock().unwrap_or_else(PoisonError::into_inner);
                decide(view, request, DecideOptions { exposures: Some(&*exposure), ..options })
            }
        }
    }

    /// Remembers what a deferred decision showed, once it is confirmed.
    pub(super) fn add_confirmed(&self, at_us: i64, decided: &DecisionRecord, definition: &Definition) {
        let scope = ExposureScope::from_definition(definition);
        if scope.is_needed() {
            let exposure = Arc::clone(&self.by_slot.entry(decided.id.slot()).or_default());
            exposure.lock().unwrap_or_else(PoisonError::into_inner).add(at_us, decided, scope);
            self.count_and_sweep(at_us);
        }
    }

    /// Exposure of a slot, as decisions see it.
    #[cfg(test)]
    pub(super) fn of_slot(&self, slot: u32) -> Exposure {
        let exposure = self.by_slot.get(&slot).map(|exposure| Arc::clone(&exposure)).unwrap_or_default();
        exposure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a decision that was remembered. Forgets the oldest decisions of all slots if there are too many together.
    fn count_and_sweep(&self, now_us: i64) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let horizon_us = times.count(now_us, RECENT_TOTAL_MAX).then(|| times.since_us(RECENT_TOTAL_MAX));
        drop(times);
        if let Some(horizon_us) = horizon_us.filter(|horizon_us| *horizon_us > 0) {
            for exposure in &self.by_slot {
                exposure.lock().unwrap_or_else(PoisonError::into_inner).forget_before(horizon_us);
            }
        }
    }

    /// Forgets decisions that will never be applied, because the queue refused them or they could not be written.
    pub(super) fn forget(&self, decisions: &[(u32, Arc<DecisionRecord>)]) {
        // The arms of a deferred decision are remembered only once it is confirmed.
        for (slot, decided) in decisions.iter().filter(|(_, decided)| decided.expire_us.is_none()) {
            let exposure = self.by_slot.get(slot).map(|exposure| Arc::clone(&exposure));
            if let Some(exposure) = exposure {
                exposure.lock().unwrap_or_else(PoisonError::into_inner).remove(decided);
            }
        }
    }
}
