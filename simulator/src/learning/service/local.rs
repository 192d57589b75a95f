//! The engine in this process, under a virtual clock.

use std::sync::Arc;

use slotwise::{
    engine::{
        Body, Change, ChangeError, DecideOptions, DecisionId, Event, EventEffect, EventStatus, Request, RewardEvent,
        State, Subject, decide, hash, plan,
    },
    slot::{Definition, SlotId},
};

use super::{BanditService, Reward, ServiceChoice, ServiceError, why};

/// Time between one decision and the next, microseconds.
pub const ROUND_US: i64 = 1_000;

/// Observer of the events in an engine in this process.
pub trait Witness {
    /// Takes `event` after it was applied and gave this state.
    ///
    /// # Errors
    ///
    /// An error ends the run: the call that applied the event fails with it.
    fn applied(&mut self, event: &Event, state: &State) -> Result<(), ServiceError>;
}

/// A witness that ignores all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwitnessed;

impl Witness for Unwitnessed {
    fn applied(&mut self, _: &Event, _: &State) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// The engine in this process.
///
/// The clock starts at 0 and moves 1 ms with every decision, or to the time that was set for it. A reward's time is its arrival at the latest decision,
/// not the time of its own decision. The randomness of decision t is a hash of the seed and t, so nothing that happens
/// between two decisions changes the draws of the second.
#[derive(Debug)]
pub struct InProcess<W = Unwitnessed> {
    state: State,
    seed: u64,
    decisions: u64,
    now_us: i64,
    /// Time that was set for the next decision.
    next_us: Option<i64>,
    witness: W,
}

impl InProcess {
    /// Returns an engine without slots, whose draws follow `seed`.
    pub fn new(seed: u64) -> Self {
        Self::witnessed(seed, Unwitnessed)
    }
}

impl<W: Witness> InProcess<W> {
    /// Returns an engine without slots, whose witness observes every event.
    pub fn witnessed(seed: u64, witness: W) -> Self {
        Self { state: State::default(), seed, decisions: 0, now_us: 0, next_us: None, witness }
    }

    /// Returns the state, a fold of everything that happened so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns the state and the witness, and ends the engine.
    pub fn into_parts(self) -> (State, W) {
        (self.state, self.witness)
    }

    fn apply(&mut self, body: Body) -> Result<EventEffect, ServiceError> {
        let event = Event { at_us: self.now_us, body };
        let applied = self.state.apply(&event);
        self.witness.applied(&event, &self.state)?;
        Ok(applied)
    }

    fn change(&mut self, slot: &SlotId, change: Change) -> Result<(), ServiceError> {
        let body = plan(&self.state, slot, change, &why()).map_err(|why| match why {
            ChangeError::Exists(slot) => ServiceError::Exists(slot),
            why @ (ChangeError::NotFound { .. }
            | ChangeError::Stale { .. }
            | ChangeError::Field(_)
            | ChangeError::Full(_)
            | ChangeError::ItemsFull(_)
            | ChangeError::NeedsApproval { .. }
            | ChangeError::ImportNeedsApproval(_)
            | ChangeError::Draft(_)) => ServiceError::Change(why),
        })?;
        if let Some(body) = body {
            self.apply(body)?;
        }
        Ok(())
    }
}

impl<W: Witness + Send> BanditService for InProcess<W> {
    async fn create(&mut self, definition: Definition, replace: bool) -> Result<(), ServiceError> {
        let slot = definition.id.clone();
        if replace && self.state.slot(slot.as_str()).is_some() {
            self.change(&slot, Change::Delete)?;
        }
        self.change(&slot, Change::Create(definition))
    }

    fn set_time(&mut self, at_us: i64) {
        self.next_us = Some(at_us);
    }

    async fn decide(&mut self, request: Request) -> Result<ServiceChoice, ServiceError> {
        let slot = request.slot.clone();
        let state = self.state.slot(slot.as_str()).ok_or_else(|| ServiceError::NotFound(slot.clone()))?;
        self.now_us = self.next_us.take().map_or(self.now_us + ROUND_US, |next_us| next_us.max(self.now_us));
        let random = hash("simulator draw", &[&self.seed.to_be_bytes(), &self.decisions.to_be_bytes()]);
        self.decisions += 1;
        // The view must be gone before the event is applied, since shared parts would have to be copied.
        let decided = {
            let view = state.view();
            let options =
                DecideOptions::new(DecisionId::new(view.number, self.now_us, random.other_word()), random.word());
            decide(&view, request, options).decided
        };
        let chosen = decided.chosen.first().ok_or(ServiceError::Nothing(slot))?;
        let choice = ServiceChoice {
            decision: decided.id.to_string(),
            arm: chosen.arm.to_string(),
            propensity: chosen.propensity,
            fallback: decided.fallback.is_some(),
        };
        self.apply(Body::Decided(Arc::new(decided)))?;
        Ok(choice)
    }

    async fn reward(&mut self, reward: Reward) -> Result<(), ServiceError> {
        let Reward { slot, event, decision, kind, value } = reward;
        let rewarded = RewardEvent {
            slot,
            event_id: event.clone(),
            decision: DecisionId::parse(&decision),
            subject: Subject::default(),
            arm: None,
            kind,
            value: Some(value),
            time_us: self.now_us,
            reverses: None,
        };
        match self.apply(Body::Rewarded(Box::new(rewarded)))? {
            EventEffect::Reward(reply) if reply.status == EventStatus::Accepted => Ok(()),
            other
            @ (EventEffect::Change | EventEffect::Decision | EventEffect::Reward(_) | EventEffect::Shopper(_)) => {
                Err(ServiceError::NotCounted { event, why: format!("{other:?}") })
            }
        }
    }

    async fn delete(&mut self, slot: &SlotId) -> Result<(), ServiceError> {
        self.change(slot, Change::Delete)
    }
}
