//! Reports of slots, which all open pages share.
//!
//! A report compares every arm with every other, which takes a tenth of a second with 10,000 arms. An open page asks for one
//! every two seconds, so a few dozen pages would keep the machine busy.
//!
//! Invariants:
//!
//! * A report is of the slot's present revision. It is kept while nothing happens in the slot. Otherwise it is kept [`AGE_FACTOR`] times
//!   as long as it took, and [`AGE_MAX`] at most. So the reports of one slot take at most a twentieth of a core.
//! * Pages that ask for the same report at the same time wait for one computation.
//! * A report is asked for by a view, which the API gave to the visitor. So nobody sees a slot that their key does not reach.
//! * Memory is bounded: [`SLOTS_MAX`] slots and [`ARMS_MAX`] arms.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use crate::{
    engine::{SlotReport, SlotView, report},
    node::run_long,
};

/// Greatest age of a report in whose slot something happened since: that of a report that takes an eighth of a second, as with
/// more than 10,000 arms.
const AGE_MAX: Duration = Duration::from_millis(2_500);
/// Number of times that a report's computation fits into its age.
const AGE_FACTOR: u32 = 20;
/// Greatest age of a report in whose slot nothing happened. Observations fade by the clock, within days.
const UNCHANGED_AGE_MAX: Duration = Duration::from_secs(30);
/// Greatest number of slots whose reports are kept.
const SLOTS_MAX: usize = 256;
/// Greatest number of arms in all reports that are kept: about 30 MB.
const ARMS_MAX: usize = 100_000;
/// Number of arms up to which a report takes a few milliseconds at most.
const QUICK_ARMS: usize = 200;
/// Number of arms up to which a report is made between decisions on a thread of theirs: a small part of a millisecond.
const SHORT_ARMS: usize = 32;

/// Report that was computed.
#[derive(Debug)]
struct KeptReport {
    /// View that the report is of. It is not held: the writer would have to copy what it changes.
    view: Weak<SlotView>,
    slot_number: u32,
    revision: u64,
    computed: Instant,
    took: Duration,
    report: Arc<SlotReport>,
}

impl KeptReport {
    fn is_fresh(&self, view: &Arc<SlotView>) -> bool {
        if (self.slot_number, self.revision) != (view.number, view.revision) {
            return false;
        }
        let unchanged = std::ptr::eq(self.view.as_ptr(), Arc::as_ptr(view));
        let age_max = if unchanged { UNCHANGED_AGE_MAX } else { AGE_MAX.min(self.took * AGE_FACTOR) };
        self.computed.elapsed() <= age_max
    }
}

/// Report of one slot.
#[derive(Debug, Default)]
struct ReportedSlot {
    kept: Mutex<Option<KeptReport>>,
    /// Held by the page that computes the report.
    computing: AsyncMutex<()>,
}

impl ReportedSlot {
    fn kept(&self) -> MutexGuard<'_, Option<KeptReport>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, view: &Arc<SlotView>) -> Option<Arc<SlotReport>> {
        self.kept().as_ref().filter(|kept| kept.is_fresh(view)).map(|kept| Arc::clone(&kept.report))
    }
}

/// Reports of the slots that people look at, by the slot's id.
#[derive(Debug, Default)]
pub(super) struct Reports(Mutex<HashMap<String, Arc<ReportedSlot>>>);

fn arms(view: &SlotView) -> usize {
    view.arms.names().len().max(view.arms_in_effect().len())
}

impl Reports {
    fn slots(&self) -> MutexGuard<'_, HashMap<String, Arc<ReportedSlot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, view: &SlotView) -> Arc<ReportedSlot> {
        let mut slots = self.slots();
        let id = view.definition.id.as_str();
        match slots.get(id) {
            Some(known) => Arc::clone(known),
            None => Arc::clone(slots.entry(id.to_owned()).or_default()),
        }
    }

    /// Lets the oldest reports go that are too many. The newest one stays.
    fn shorten(&self) {
        let mut slots = self.slots();
        let mut ages: Vec<(Option<Instant>, usize, String)> = slots
            .iter()
            .map(|(id, slot)| {
                let kept = slot.kept();
                let arms = kept.as_ref().map_or(0, |kept| kept.report.arms.len());
                (kept.as_ref().map(|kept| kept.computed), arms, id.clone())
            })
            .collect();
        ages.sort_by_key(|(computed, ..)| std::cmp::Reverse(*computed));
        let mut sum = 0;
        for (place, (_, arms, id)) in ages.iter().enumerate() {
            sum += arms;
            if place > 0 && (place >= SLOTS_MAX || sum > ARMS_MAX) {
                slots.remove(id);
            }
        }
    }

    /// Returns `true` if the report of a slot is there already, or will be within milliseconds.
    pub(super) fn is_quick(&self, view: &Arc<SlotView>) -> bool {
        arms(view) <= QUICK_ARMS || self.slot(view).fresh(view).is_some()
    }

    /// Returns the report of a slot.
    pub(super) async fn report(&self, view: &Arc<SlotView>, now_us: i64) -> Arc<SlotReport> {
        let slot = self.slot(view);
        if let Some(fresh) = slot.fresh(view) {
            return fresh;
        }
        let _computing = slot.computing.lock().await;
        if let Some(fresh) = slot.fresh(view) {
            return fresh;
        }
        let begun = Instant::now();
        let length = if arms(view) <= SHORT_ARMS { 0 } else { usize::MAX };
        let computed = Arc::new(run_long(length, || report(&view.at(now_us))));
        let kept = KeptReport {
            view: Arc::downgrade(view),
            slot_number: view.number,
            revision: view.revision,
            computed: Instant::now(),
            took: begun.elapsed(),
            report: Arc::clone(&computed),
        };
        *slot.kept() = Some(kept);
        self.shorten();
        computed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Change, Event, State, plan},
        slot::{Arm, ArmId, ChangeReason, Definition, SlotId},
    };

    /// View of a new slot with a number of arms.
    fn view_of(id: &str, arms: usize) -> SlotView {
        let id = SlotId::parse("slot_id", id).unwrap();
        let mut definition = Definition::new(id.clone());
        let arm = |i| Arc::new(Arm::new(ArmId::parse("arm_id", &format!("arm-{i}")).unwrap()));
        definition.arms = (0..arms).map(arm).collect();
        let mut state = State::default();
        let created = plan(&state, &id, Change::Create(definition), &ChangeReason::default()).unwrap().unwrap();
        state.apply(&Event { at_us: 1, body: created });
        state.slot(id.as_str()).unwrap().view()
    }

    fn changed_view(view: &SlotView, change: impl FnOnce(&mut SlotView)) -> Arc<SlotView> {
        let mut changed = view.clone();
        change(&mut changed);
        Arc::new(changed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_is_kept_while_nothing_happens_and_briefly_otherwise() {
        let reports = Reports::default();
        let view = Arc::new(view_of("offers", 3));
        let first = reports.report(&view, 0).await;
        assert!(Arc::ptr_eq(&first, &reports.report(&view, 0).await), "nothing happened");
        tokio::time::advance(UNCHANGED_AGE_MAX + Duration::from_secs(1)).await;
        assert!(!Arc::ptr_eq(&first, &reports.report(&view, 0).await), "it fades");

        let slot = reports.slot(&view);
        let moved = changed_view(&view, |moved| moved.pending = 1);
        let took = |took: Duration| slot.kept().as_mut().unwrap().took = took;
        took(Duration::from_secs(1));
        assert!(slot.fresh(&moved).is_some(), "a long computation is worth a while");
        tokio::time::advance(AGE_MAX + Duration::from_millis(1)).await;
        assert!(slot.fresh(&moved).is_none() && slot.fresh(&view).is_some());
        reports.report(&view, 0).await;
        took(Duration::from_millis(1));
        tokio::time::advance(Duration::from_millis(21)).await;
        assert!(slot.fresh(&moved).is_none(), "a short one is not");
        reports.report(&view, 0).await;
        took(Duration::from_secs(1));
        let changed = changed_view(&view, |changed| changed.revision += 1);
        assert!(slot.fresh(&changed).is_none(), "a change shows at once");
        let another = changed_view(&view, |another| another.number += 1);
        assert!(slot.fresh(&another).is_none(), "a slot that was made again is another one");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_by_slots_and_by_arms() {
        let reports = Reports::default();
        for i in 0..=SLOTS_MAX {
            let view = Arc::new(view_of(&format!("slot-{i}"), 1));
            reports.report(&view, 0).await;
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(reports.slots().len(), SLOTS_MAX);
        assert!(!reports.slots().contains_key("slot-0"), "the oldest one goes");
        for id in ["a", "b", "c"] {
            let slot = reports.slot(&view_of(id, 1));
            let mut large = (*reports.report(&Arc::new(view_of(id, 1)), 0).await).clone();
            large.arms = vec![large.arms[0].clone(); ARMS_MAX / 2];
            slot.kept().as_mut().unwrap().report = Arc::new(large);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        reports.report(&Arc::new(view_of("d", 1)), 0).await;
        let slots = reports.slots();
        assert!(slots.contains_key("d") && slots.contains_key("c") && !slots.contains_key("a"), "{:?}", slots.keys());
    }
}
