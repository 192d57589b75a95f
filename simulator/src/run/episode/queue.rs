//! Reward events on their way from shoppers to the slot, and what happens to them there.

use std::{cmp::Ordering, collections::BinaryHeap};

use slotwise::{engine::Rewarded, slot::SlotId};

use crate::{
    environment::{Environment, Purpose, ShopperOutcome, Visit},
    report::EventCounts,
    scenario::{STEPS_MAX, Scenario},
};

/// Beyond the window, microseconds: surely late.
pub(crate) const LATE_BY: f64 = 3_600e6;

/// An event on its way.
#[derive(Debug, Clone)]
pub(crate) struct QueuedEvent {
    /// When it arrives, microseconds since the start.
    pub arrives_us: f64,
    /// Breaks ties: what set out first arrives first.
    order: u64,
    /// The event.
    pub event: Rewarded,
    /// The visit that it came of, and the place and step.
    pub of: EventOrigin,
}

/// What an event came of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventOrigin {
    /// The visit's index.
    pub visit: u64,
    /// The place of the arm in the decision; none: it was not decided on.
    pub place: Option<usize>,
    /// The step.
    pub step: usize,
    /// It happened within the window.
    pub in_time: bool,
}

impl PartialEq for QueuedEvent {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for QueuedEvent {}

impl PartialOrd for QueuedEvent {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for QueuedEvent {
    /// The greatest is the one to arrive first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.arrives_us.total_cmp(&self.arrives_us).then(other.order.cmp(&self.order))
    }
}

/// All events on their way to one service.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    waiting: BinaryHeap<QueuedEvent>,
    sent: u64,
}

/// What was shown, and by which decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShownSlate<'a> {
    /// The visit.
    pub visit: &'a Visit,
    /// The decision.
    pub decided: &'a slotwise::engine::Decided,
    /// Where.
    pub environment: &'a Environment<'a>,
    /// The arms that were in fact shown, by place.
    pub arms: &'a [usize],
    /// The goal's window, microseconds.
    pub window_us: f64,
    /// When it was shown, microseconds of the shop's time since the start.
    pub at_us: f64,
    /// What events say that it is.
    pub clock: EventClock,
}

/// From the shop's time to what events say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EventClock {
    /// A moment, microseconds of the shop's time since the start,
    pub shop_us: f64,
    /// and what events say that it is, microseconds since 1970.
    pub told_us: i64,
    /// How much of the shop's time goes by while one second of theirs does.
    pub speed: f64,
}

impl EventClock {
    /// In process events say the shop's own time.
    pub(crate) const IN_PROCESS: Self = Self { shop_us: 0.0, told_us: super::EPOCH_US, speed: 1.0 };

    fn of(self, shop_us: f64) -> i64 {
        self.told_us + whole((shop_us - self.shop_us) / self.speed)
    }
}

impl EventQueue {
    /// Sends what a shopper did on its way, as dirty as the scenario has it.
    pub(crate) fn send(
        &mut self,
        scenario: &Scenario,
        slot: &SlotId,
        shown: ShownSlate<'_>,
        outcomes: &[ShopperOutcome],
        counts: &mut EventCounts,
    ) {
        let (dirty, steps) = (&scenario.behaviour.dirty, &scenario.behaviour.steps);
        let clean = dirty.from.is_some_and(|from| !from.reached(shown.visit.now));
        let coins = shown.visit.coins;
        let index = shown.visit.now.index;
        for outcome in outcomes {
            counts.happened += 1;
            let arm = &shown.environment.arms()[shown.arms[outcome.place]].arm.id;
            let item = |what: u64| ((outcome.place * STEPS_MAX + outcome.step) as u64) * 8 + what;
            let dirt = |what: u64, chance: f64| !clean && coins.flip(Purpose::Dirt, item(what), chance);
            if dirt(0, dirty.lost) {
                counts.lost += 1;
                continue;
            }
            let mut happened_us = shown.at_us + outcome.delay_us;
            if dirt(1, dirty.late) {
                happened_us = happened_us.max(shown.at_us + shown.window_us + LATE_BY);
            }
            let in_time = happened_us - shown.at_us <= shown.window_us;
            let mut arrives_us = happened_us;
            if dirt(2, dirty.reordered) {
                arrives_us += dirty.reordered_by.us * coins.exponential(Purpose::Dirt, item(3));
            }
            let id = |step: usize| format!("{index}-{}-{step}", outcome.place);
            let step = &steps[outcome.step];
            let place = shown.decided.chosen.iter().position(|chosen| chosen.arm == *arm);
            let event = Rewarded {
                slot: slot.clone(),
                event_id: id(outcome.step),
                decision: Some(shown.decided.id).filter(|_| !dirt(4, dirty.without_decision)),
                subject: shown.decided.subject.clone(),
                arm: Some(arm.clone()),
                kind: step.kind.clone(),
                value: outcome.value,
                time_us: shown.clock.of(happened_us),
                reverses: step.reverses.then(|| crate::environment::needs(steps, outcome.step).map(id)).flatten(),
            };
            let of = EventOrigin { visit: index, place, step: outcome.step, in_time };
            if dirt(5, dirty.duplicated) {
                let again_us = arrives_us + dirty.reordered_by.us * coins.exponential(Purpose::Dirt, item(6));
                self.push(again_us, event.clone(), of);
            }
            self.push(arrives_us, event, of);
        }
    }

    fn push(&mut self, arrives_us: f64, event: Rewarded, of: EventOrigin) {
        self.sent += 1;
        self.waiting.push(QueuedEvent { arrives_us, order: self.sent, event, of });
    }

    /// When the next event arrives.
    pub(crate) fn next_us(&self) -> Option<f64> {
        self.waiting.peek().map(|queued| queued.arrives_us)
    }

    /// Forgets all that has not arrived.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The next event that has arrived by then.
    pub(crate) fn next_by(&mut self, at_us: f64) -> Option<QueuedEvent> {
        if self.waiting.peek()?.arrives_us > at_us {
            return None;
        }
        self.waiting.pop()
    }
}

/// Whole microseconds.
pub(crate) fn whole(us: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "decades of microseconds fit")]
    let us = us as i64;
    us
}
