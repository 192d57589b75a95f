//! Exposures of subjects, including decisions that are still on their way to the journal. So a cap
//! holds from one decision to the next, and a subject sticks to what it got a moment ago.

use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;

use crate::{
    engine::{Decision, DecisionRecord, Draw, EventTimes, Exposure, ExposureScope, Request, SlotView, decide_until},
    slot::limits::RECENT_TOTAL_MAX,
};

/// Exposures by slot number, and the times of the newest exposures of all slots.
#[derive(Debug, Default)]
pub(super) struct Exposures(DashMap<u32, Arc<Mutex<Exposure>>>, Mutex<EventTimes>);

impl Exposures {
    /// Begins with the exposures of a slot that the journal holds.
    pub(super) fn begin(&self, slot: u32, past: Exposure) {
        self.0.insert(slot, Arc::new(Mutex::new(past)));
    }

    /// Decides, and remembers the shown arms if the slot's rules need exposures; such a slot's decisions are made one
    /// after another.
    ///
    /// `lives` returns `true` for the number of a slot that exists. `interrupted` returns `true` once the answer is due.
    pub(super) fn decide(
        &self,
        view: &SlotView,
        request: Request,
        draw: Draw<'_>,
        lives: impl Fn(u32) -> bool,
        interrupted: &dyn Fn() -> bool,
    ) -> Decision {
        let scope = ExposureScope::from_definition(&view.definition);
        if !scope.is_needed() {
            if self.0.contains_key(&view.number) {
                self.0.remove(&view.number);
            }
            return decide_until(view, request, draw, &Exposure::new(), interrupted);
        }
        if !self.0.contains_key(&view.number) {
            // Slots that were deleted or reset need no exposures any more.
            self.0.retain(|&number, _| lives(number));
        }
        let past = Arc::clone(&self.0.entry(view.number).or_default());
        let mut past = past.lock().unwrap_or_else(PoisonError::into_inner);
        let decision = decide_until(view, request, draw, &past, interrupted);
        past.add(draw.id.at_us(), &decision.decided, scope);
        drop(past);
        self.sweep(draw.id.at_us());
        decision
    }

    /// Counts a decision that was remembered. Forgets the oldest exposures of all slots if they are too many together.
    fn sweep(&self, now_us: i64) {
        let mut times = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let horizon_us = times.count(now_us, RECENT_TOTAL_MAX).then(|| times.since_us(RECENT_TOTAL_MAX));
        drop(times);
        if let Some(horizon_us) = horizon_us.filter(|horizon_us| *horizon_us > 0) {
            for past in &self.0 {
                past.lock().unwrap_or_else(PoisonError::into_inner).forget_before(horizon_us);
            }
        }
    }

    /// Forgets decisions that the queue refused.
    pub(super) fn forget(&self, decisions: &[(u32, Arc<DecisionRecord>)]) {
        for (slot, decided) in decisions {
            let past = self.0.get(slot).map(|past| Arc::clone(&past));
            if let Some(past) = past {
                past.lock().unwrap_or_else(PoisonError::into_inner).remove(decided);
            }
        }
    }
}
