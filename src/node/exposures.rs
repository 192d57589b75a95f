//! What subjects were shown so far, decisions that are still on their way to the journal among it: so that a cap
//! holds from one decision to the next, and a subject sticks to what it got a moment ago.

use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;

use crate::{
    engine::{Decided, Decision, Draw, Memory, Past, Request, SlotView, Times, decide_until},
    slot::limits::RECENT_TOTAL_MAX,
};

/// What was shown, by slot number, and when the newest of it was over all slots.
#[derive(Debug, Default)]
pub(super) struct Exposures(DashMap<u32, Arc<Mutex<Past>>>, Mutex<Times>);

impl Exposures {
    /// Begins with what the journal holds of a slot.
    pub(super) fn begin(&self, slot: u32, past: Past) {
        self.0.insert(slot, Arc::new(Mutex::new(past)));
    }

    /// Decides, and remembers what that showed where the slot asks for it; such a slot's decisions are made one
    /// after another.
    ///
    /// `lives` says of a slot number whether there still is a slot of it; `interrupted` says once the answer must come.
    pub(super) fn decide(
        &self,
        view: &SlotView,
        request: Request,
        draw: Draw<'_>,
        lives: impl Fn(u32) -> bool,
        interrupted: &dyn Fn() -> bool,
    ) -> Decision {
        let memory = Memory::of(&view.definition);
        if !memory.wanted() {
            if self.0.contains_key(&view.number) {
                self.0.remove(&view.number);
            }
            return decide_until(view, request, draw, &Past::new(), interrupted);
        }
        if !self.0.contains_key(&view.number) {
            // What was deleted or reset needs no memory any more.
            self.0.retain(|&number, _| lives(number));
        }
        let past = Arc::clone(&self.0.entry(view.number).or_default());
        let mut past = past.lock().unwrap_or_else(PoisonError::into_inner);
        let decision = decide_until(view, request, draw, &past, interrupted);
        past.remember(draw.id.at_us(), &decision.decided, memory);
        drop(past);
        self.sweep(draw.id.at_us());
        decision
    }

    /// Counts a decision that was remembered; forgets the oldest of all slots where they are too many together.
    fn sweep(&self, now_us: i64) {
        let mut times = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let horizon_us = times.pass(now_us, RECENT_TOTAL_MAX).then(|| times.since_us(RECENT_TOTAL_MAX));
        drop(times);
        if let Some(horizon_us) = horizon_us.filter(|horizon_us| *horizon_us > 0) {
            for past in &self.0 {
                past.lock().unwrap_or_else(PoisonError::into_inner).forget_before(horizon_us);
            }
        }
    }

    /// Takes back what did not come about.
    pub(super) fn forget(&self, decisions: &[(u32, Arc<Decided>)]) {
        for (slot, decided) in decisions {
            let past = self.0.get(slot).map(|past| Arc::clone(&past));
            if let Some(past) = past {
                past.lock().unwrap_or_else(PoisonError::into_inner).forget(decided);
            }
        }
    }
}
