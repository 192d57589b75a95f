//! The engine in this process, as a policy's service. Only this file of the episode names the engine's calls.
//!
//! Invariant: the service has no clock and no randomness of its own. Both come with each call.

use std::{collections::HashMap, sync::Arc};

use slotwise::{
    engine::{
        Body, Change, ChangeError, Counters, DecideOptions, Decision, DecisionId, DecisionRecord, DeferredCounts,
        Event, EventEffect, EventStatus, Request, RewardEvent, SHOWN, ShopperEffect, ShopperEvent, ShopperView,
        SlotReport, SlotState, State, Subject, decide, plan, report, snapshot,
    },
    slot::{ChangeReason, Definition, FieldError, SlotId},
};

/// Deferred decisions that are kept before expired ones are dropped.
const DEFERRED_MIN: usize = 4_096;
/// Kinds of events that say that something was seen.
pub(super) const SEEN_KINDS: [&str; 2] = [SHOWN, "email_open"];

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

/// A service with the slots of one shop.
#[derive(Debug)]
pub struct EngineService {
    state: State,
    slots: Vec<SlotId>,
    /// Deferred decisions that may still be confirmed. A server reads them in its journal.
    deferred: HashMap<DecisionId, Arc<DecisionRecord>>,
    /// Number of deferred decisions beyond which expired ones are dropped.
    room: usize,
}

impl EngineService {
    /// Returns a service with one slot.
    pub fn new(definition: Definition, at_us: i64) -> Result<Self, EngineServiceError> {
        Self::with_slots(vec![definition], at_us)
    }

    /// Returns a service with these slots.
    pub fn with_slots(definitions: Vec<Definition>, at_us: i64) -> Result<Self, EngineServiceError> {
        let mut service =
            Self { state: State::default(), slots: Vec::new(), deferred: HashMap::new(), room: DEFERRED_MIN };
        for definition in definitions {
            let slot = definition.id.clone();
            service.change_slot(&slot, Change::Create(definition), at_us)?;
            service.slots.push(slot);
        }
        Ok(service)
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Changes all slots in the same way, except those for which the change has no effect.
    pub fn change(&mut self, change: &Change, at_us: i64) -> Result<(), EngineServiceError> {
        for slot in self.slots.clone() {
            self.change_slot(&slot, change.clone(), at_us)?;
        }
        Ok(())
    }

    fn change_slot(&mut self, slot: &SlotId, change: Change, at_us: i64) -> Result<(), EngineServiceError> {
        if let Some(body) = plan(&self.state, slot, change, &why())? {
            self.state.apply(&Event { at_us, body });
        }
        Ok(())
    }

    /// Decides with these 128 bits of randomness. Changes nothing.
    pub fn decide(&self, mut request: Request, at_us: i64, random: [u64; 2]) -> Result<Decision, EngineServiceError> {
        let state = self.state.slot(request.slot.as_str());
        let state = state.ok_or_else(|| EngineServiceError::Slot(request.slot.clone()))?;
        let view = state.view();
        let id = DecisionId::new(view.number, at_us, random[0]);
        let consent = request.consent.unwrap_or(view.definition.default_consent);
        let subject = request.subject.clone().as_far_as(consent);
        let drawn_by = state.logins().session_of(&subject);
        if let Some(profiles) = self.state.profiles().filter(|_| subject != Subject::default()) {
            let simulated = view.definition.controls.simulated();
            let shopper = ShopperView::find(&subject, simulated, at_us, |key| profiles.get(key).cloned());
            shopper.add_features(&mut request, &view, at_us);
        }
        let options =
            DecideOptions { exposures: Some(state.exposure()), drawn_by, ..DecideOptions::new(id, random[1]) };
        let deferred = request.deferred;
        let mut decision = decide(&view, request, options);
        let expire_us = at_us.saturating_add(view.definition.goal.confirmation_window_us());
        decision.decided.expire_us = Some(expire_us).filter(|_| deferred && !decision.decided.chosen.is_empty());
        Ok(decision)
    }

    /// Applies a decision to the state. A deferred one is kept until an event confirms it.
    pub fn apply_decision(&mut self, decided: DecisionRecord, at_us: i64) {
        let decided = Arc::new(decided);
        if decided.expire_us.is_none() {
            self.state.apply(&Event { at_us, body: Body::Decided(decided) });
            return;
        }
        if self.deferred.len() >= self.room {
            self.deferred.retain(|_, decided| decided.expire_us.is_some_and(|expire_us| expire_us >= at_us));
            self.room = DEFERRED_MIN.max(2 * self.deferred.len());
        }
        self.deferred.insert(decided.id, Arc::clone(&decided));
        self.state.apply(&Event { at_us, body: Body::Deferred(decided) });
    }

    /// Confirms a deferred decision if an event of this kind names it.
    fn confirm(&mut self, id: DecisionId, kind: &str, at_us: i64) {
        let Some(decided) = self.deferred.get(&id) else { return };
        let Some(slot) = self.state.slot(decided.slot.as_str()) else { return };
        let confirms = SEEN_KINDS.contains(&kind) || slot.definition().goal.kind(kind).is_some();
        if confirms && slot.deferred_position(id, at_us).is_some() {
            self.state.apply(&Event { at_us, body: Body::Decided(Arc::clone(decided)) });
            self.deferred.remove(&id);
        }
    }

    /// Applies a shopper event to the state.
    ///
    /// Deliberately not here: confirmation of deferred decisions that the event does not name. Shoppers of scenarios open
    /// a message before they do anything with it.
    pub fn shopper(&mut self, event: ShopperEvent, at_us: i64) -> ShopperEffect {
        for id in event.decisions.iter().filter(|_| event.reverses.is_none()) {
            self.confirm(*id, &event.kind, at_us);
        }
        match self.state.apply(&Event { at_us, body: Body::Shopper(Arc::new(event)) }) {
            EventEffect::Shopper(effect) => *effect,
            EventEffect::Change | EventEffect::Decision | EventEffect::Reward(_) => ShopperEffect::default(),
        }
    }

    /// Applies a reward event to the state. Returns `None` if the slot is gone.
    pub fn reward(&mut self, rewarded: RewardEvent, at_us: i64) -> Option<EventStatus> {
        if let Some(id) = rewarded.decision.filter(|_| rewarded.reverses.is_none()) {
            self.confirm(id, &rewarded.kind, at_us);
        }
        match self.state.apply(&Event { at_us, body: Body::Rewarded(Box::new(rewarded)) }) {
            EventEffect::Reward(reply) => Some(reply.status),
            EventEffect::Change | EventEffect::Decision | EventEffect::Shopper(_) => None,
        }
    }

    /// Lets time pass, so that windows close.
    pub fn wait_until(&mut self, at_us: i64) {
        for slot in &self.slots {
            let nothing = Body::AvailabilitySet { slot: slot.clone(), available: Vec::new(), why: why() };
            self.state.apply(&Event { at_us, body: nothing });
        }
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

    /// Returns a slot's counters.
    pub fn counters(&self, slot: &SlotId) -> Counters {
        self.state.slot(slot.as_str()).map(|state| state.view().counters).unwrap_or_default()
    }

    /// Returns the numbers of a slot's deferred decisions.
    pub fn deferred_counts(&self, slot: &SlotId) -> DeferredCounts {
        self.state.slot(slot.as_str()).map(SlotState::deferred_counts).unwrap_or_default()
    }

    /// Returns a slot's report, or `None` if the slot is gone.
    pub fn report(&self, slot: &SlotId) -> Option<SlotReport> {
        self.state.slot(slot.as_str()).map(|state| report(&state.view().at(self.state.at_us())))
    }
}
