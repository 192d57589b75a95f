//! Reward events on their way from shoppers to the slot, with the defects that a scenario gives them.

use std::{cmp::Ordering, collections::BinaryHeap};

use slotwise::{
    engine::RewardEvent,
    slot::{Consent, SlotId},
};

use crate::{
    environment::{Environment, Purpose, ShopperOutcome, Visit},
    report::EventCounts,
    scenario::{STEPS_MAX, Scenario},
};

/// Delay beyond the window, microseconds, after which an event is certainly late.
pub(crate) const LATE_BY: f64 = 3_600e6;

/// An event on its way.
#[derive(Debug, Clone)]
pub(crate) struct QueuedEvent {
    /// Time of arrival, microseconds since the start.
    pub arrives_us: f64,
    /// Order of sending, which breaks ties.
    order: u64,
    /// The event.
    pub event: RewardEvent,
    /// The origin of the event.
    pub of: EventOrigin,
}

/// Origin of an event: a visit, a position and a funnel step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventOrigin {
    /// The visit's index.
    pub visit: u64,
    /// The arm's position in the decision, or `None` if the arm was not part of it.
    pub place: Option<usize>,
    /// The funnel step's index.
    pub step: usize,
    /// True if the shopper acted within the window.
    pub in_time: bool,
    /// Consent of the shopper.
    pub consent: Consent,
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
    /// Orders events so that the greatest one arrives first.
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

/// A slate as it was shown, with its decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShownSlate<'a> {
    /// The visit.
    pub visit: &'a Visit,
    /// The decision.
    pub decided: &'a slotwise::engine::DecisionRecord,
    /// The environment.
    pub environment: &'a Environment<'a>,
    /// The arms that were really shown, by position.
    pub arms: &'a [usize],
    /// The goal's window, microseconds.
    pub window_us: f64,
    /// Time of showing, microseconds of the shop's time since the start.
    pub at_us: f64,
    /// The clock that event times are written with.
    pub clock: EventClock,
}

/// Conversion from the shop's time to the times written in events.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EventClock {
    /// A moment in the shop's time, microseconds since the start.
    pub shop_us: f64,
    /// Time that events write for this moment, microseconds since 1970.
    pub event_us: i64,
    /// Seconds of the shop's time per second of the events' time.
    pub speed: f64,
}

impl EventClock {
    /// The clock of runs in this process: events carry the shop's own time.
    pub(crate) const IN_PROCESS: Self = Self { shop_us: 0.0, event_us: super::EPOCH_US, speed: 1.0 };

    fn event_time_us(self, shop_us: f64) -> i64 {
        self.event_us + whole_us((shop_us - self.shop_us) / self.speed)
    }
}

impl EventQueue {
    /// Sends a shopper's outcomes on their way, with the defects that the scenario gives them.
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
            let event = RewardEvent {
                slot: slot.clone(),
                event_id: id(outcome.step),
                decision: Some(shown.decided.id).filter(|_| !dirt(4, dirty.without_decision)),
                subject: shown.decided.subject.clone(),
                arm: Some(arm.clone()),
                kind: step.kind.clone(),
                value: outcome.value,
                time_us: shown.clock.event_time_us(happened_us),
                reverses: step.reverses.then(|| crate::environment::needs(steps, outcome.step).map(id)).flatten(),
            };
            let consent = shown.visit.shopper.consent;
            let of = EventOrigin { visit: index, place, step: outcome.step, in_time, consent };
            if dirt(5, dirty.duplicated) {
                let again_us = arrives_us + dirty.reordered_by.us * coins.exponential(Purpose::Dirt, item(6));
                self.push(again_us, event.clone(), of);
            }
            self.push(arrives_us, event, of);
        }
    }

    /// Sends an event on its way that says that a decision was seen when it was shown.
    pub(crate) fn send_seen(&mut self, slot: &SlotId, shown: ShownSlate<'_>, kind: &str, counts: &mut EventCounts) {
        counts.happened += 1;
        let event = RewardEvent {
            slot: slot.clone(),
            event_id: format!("{}-{kind}", shown.visit.now.index),
            decision: Some(shown.decided.id),
            subject: shown.decided.subject.clone(),
            arm: None,
            kind: kind.to_owned(),
            value: None,
            time_us: shown.clock.event_time_us(shown.at_us),
            reverses: None,
        };
        let consent = shown.visit.shopper.consent;
        let of = EventOrigin { visit: shown.visit.now.index, place: None, step: 0, in_time: true, consent };
        self.push(shown.at_us, event, of);
    }

    fn push(&mut self, arrives_us: f64, event: RewardEvent, of: EventOrigin) {
        self.sent += 1;
        self.waiting.push(QueuedEvent { arrives_us, order: self.sent, event, of });
    }

    /// Returns the time at which the next event arrives, or `None`.
    pub(crate) fn next_us(&self) -> Option<f64> {
        self.waiting.peek().map(|queued| queued.arrives_us)
    }

    /// Forgets all events.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Takes the next event that has arrived by `at_us`.
    pub(crate) fn next_by(&mut self, at_us: f64) -> Option<QueuedEvent> {
        if self.waiting.peek()?.arrives_us > at_us {
            return None;
        }
        self.waiting.pop()
    }
}

/// Returns a time in whole microseconds.
pub(crate) fn whole_us(us: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "decades of microseconds fit")]
    let us = us as i64;
    us
}
