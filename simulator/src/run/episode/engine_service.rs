//! The engine in this process, as a policy's service. Only this file of the episode names the engine's calls.
//!
//! Invariant: the service has no clock and no randomness of its own. Both come with each call.

use std::sync::Arc;

use slotwise::{
    engine::{
        Body, Change, ChangeError, Counters, DecideOptions, Decision, DecisionId, DecisionRecord, Event, EventEffect,
        EventStatus, Request, RewardEvent, SlotReport, State, decide, plan, report, snapshot,
    },
    slot::{ChangeReason, Definition, FieldError, SlotId},
};

/// Returns the reason that the engine records for each change.
fn why() -> ChangeReason {
    ChangeReason::new("the simulator", "simulation")
}

/// Reason why a simulated service failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineServiceError {
    /// The service refused a change.
    #[error("the service refused a change: {0}")]
    Change(#[from] ChangeError),
    /// The service refused a request.
    #[error("the service refused a request: {0}")]
    Request(#[from] FieldError),
    /// The service does not have the slot.
    #[error("the service has no slot '{0}'")]
    Slot(SlotId),
    /// The state after a restart differs from the state before it.
    #[error("the service did not survive its restart: {0}")]
    Restart(String),
}

/// A service with one slot.
#[derive(Debug)]
pub struct EngineService {
    state: State,
    slot: SlotId,
}

impl EngineService {
    /// Returns a service with this slot.
    pub fn new(definition: Definition, at_us: i64) -> Result<Self, EngineServiceError> {
        let slot = definition.id.clone();
        let mut service = Self { state: State::default(), slot };
        service.change(Change::Create(definition), at_us)?;
        Ok(service)
    }

    /// The slot's id.
    pub fn slot(&self) -> &SlotId {
        &self.slot
    }

    /// Changes the slot, unless the change has no effect.
    pub fn change(&mut self, change: Change, at_us: i64) -> Result<(), EngineServiceError> {
        if let Some(body) = plan(&self.state, &self.slot, change, &why())? {
            self.state.apply(&Event { at_us, body });
        }
        Ok(())
    }

    /// Decides with these 128 bits of randomness. Changes nothing.
    pub fn decide(&self, request: Request, at_us: i64, random: [u64; 2]) -> Result<Decision, EngineServiceError> {
        let state = self.state.slot(self.slot.as_str()).ok_or_else(|| EngineServiceError::Slot(self.slot.clone()))?;
        let view = state.view();
        let id = DecisionId::new(view.number, at_us, random[0]);
        let consent = request.consent.unwrap_or(view.definition.default_consent);
        let subject = request.subject.clone().as_far_as(consent);
        let drawn_by = state.logins().session_of(&subject);
        let options =
            DecideOptions { exposures: Some(state.exposure()), drawn_by, ..DecideOptions::new(id, random[1]) };
        Ok(decide(&view, request, options))
    }

    /// Applies a decision to the state.
    pub fn apply_decision(&mut self, decided: DecisionRecord, at_us: i64) {
        self.state.apply(&Event { at_us, body: Body::Decided(Arc::new(decided)) });
    }

    /// Applies a reward event to the state. Returns `None` if the slot is gone.
    pub fn reward(&mut self, rewarded: RewardEvent, at_us: i64) -> Option<EventStatus> {
        match self.state.apply(&Event { at_us, body: Body::Rewarded(Box::new(rewarded)) }) {
            EventEffect::Reward(reply) => Some(reply.status),
            EventEffect::Change | EventEffect::Decision | EventEffect::Shopper(_) => None,
        }
    }

    /// Lets time pass, so that windows close.
    pub fn wait_until(&mut self, at_us: i64) {
        let nothing = Body::AvailabilitySet { slot: self.slot.clone(), available: Vec::new(), why: why() };
        self.state.apply(&Event { at_us, body: nothing });
    }

    /// Writes the state as a snapshot, drops it, and reads it again.
    pub fn restart(&mut self) -> Result<(), EngineServiceError> {
        let failed = |why: &dyn std::fmt::Display| EngineServiceError::Restart(why.to_string());
        let bytes = snapshot::encode(&self.state).map_err(|why| failed(&why))?;
        let before = std::mem::take(&mut self.state);
        self.state = snapshot::decode(&bytes).map_err(|why| failed(&why))?;
        let again = snapshot::encode(&self.state).map_err(|why| failed(&why))?;
        if bytes != again || before.position() != self.state.position() {
            return Err(failed(&"what was read is not what was written"));
        }
        Ok(())
    }

    /// Returns the slot's counters.
    pub fn counters(&self) -> Counters {
        self.state.slot(self.slot.as_str()).map(|state| state.view().counters).unwrap_or_default()
    }

    /// Returns the slot's report, or `None` if the slot is gone.
    pub fn report(&self) -> Option<SlotReport> {
        self.state.slot(self.slot.as_str()).map(|state| report(&state.view().at(self.state.at_us())))
    }
}
