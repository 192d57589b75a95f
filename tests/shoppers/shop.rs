//! Shop with an engine of its own, whose shoppers are played by a test.

use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    bandit::{Features, Value},
    engine::{
        Body, Change, DecideOptions, DecisionId, DecisionRecord, Event, EventEffect, Request, ShopperEffect,
        ShopperEvent, ShopperItem, ShopperView, State, Subject, decide, plan,
    },
    slot::{Arm, ArmId, ChangeReason, Consent, Definition, SlotId},
};

pub(crate) const SECOND_US: i64 = 1_000_000;
pub(crate) const DAY_US: i64 = 86_400 * SECOND_US;

/// Shop whose time a test moves on.
pub(crate) struct PlayedShop {
    pub(crate) state: State,
    pub(crate) at_us: i64,
    pub(crate) rng: StdRng,
    events: u64,
    /// Journal of everything that was applied.
    pub(crate) journal: Vec<Event>,
}

pub(crate) fn slot_id(id: &str) -> SlotId {
    SlotId::parse("slot_id", id).unwrap()
}

pub(crate) fn arm_id(id: &str) -> ArmId {
    ArmId::parse("arm_id", id).unwrap()
}

/// Returns an arm with a category.
pub(crate) fn product(id: &str, category: &str) -> Arc<Arm> {
    let mut arm = Arm::new(arm_id(id));
    arm.attributes.insert("category".into(), Value::Text(category.into()));
    Arc::new(arm)
}

pub(crate) fn subject(id: &str, session_id: &str) -> Subject {
    Subject { id: id.into(), session_id: session_id.into() }
}

impl PlayedShop {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: State::default(),
            at_us: 1_793_000_000 * SECOND_US,
            rng: StdRng::seed_from_u64(seed),
            events: 0,
            journal: Vec::new(),
        }
    }

    pub(crate) fn apply(&mut self, body: Body) -> EventEffect {
        let event = Event { at_us: self.at_us, body };
        let effect = self.state.apply(&event);
        self.journal.push(event);
        effect
    }

    pub(crate) fn create(&mut self, definition: Definition) {
        let slot = definition.id.clone();
        let body = plan(&self.state, &slot, Change::Create(definition), &ChangeReason::default()).unwrap().unwrap();
        self.apply(body);
    }

    /// Decides a request as a node does, applies the decision, and returns it.
    pub(crate) fn decide(&mut self, slot: &str, subject: &Subject) -> Arc<DecisionRecord> {
        self.decide_request(Request { subject: subject.clone(), ..Request::new(slot_id(slot)) })
    }

    pub(crate) fn decide_request(&mut self, mut request: Request) -> Arc<DecisionRecord> {
        let view = self.state.slot(request.slot.as_str()).unwrap().view();
        let simulated = view.definition.controls.simulated();
        let profiles = self.state.profiles().unwrap();
        let shopper = ShopperView::find(&request.subject, simulated, self.at_us, |key| profiles.get(key).cloned());
        shopper.add_features(&mut request, &view, self.at_us);
        let id = DecisionId::new(view.number, self.at_us, self.rng.random());
        let options = DecideOptions::new(id, self.rng.random());
        let decided = Arc::new(decide(&view, request, options).decided);
        self.apply(Body::Decided(Arc::clone(&decided)));
        decided
    }

    /// Returns an event of a kind about items of the shop, as a writer records it.
    pub(crate) fn event(&mut self, kind: &str, subject: &Subject, items: &[&str]) -> ShopperEvent {
        self.events += 1;
        let attributes = |item: &str| {
            let mut slots = self.state.slots();
            let found = slots.find_map(|(_, slot)| slot.arm_with_attributes(&arm_id(item)));
            found.map_or_else(Features::new, |arm| arm.attributes.clone())
        };
        let item =
            |id: &&str| ShopperItem { item: arm_id(id), quantity: None, value: None, attributes: attributes(id) };
        ShopperEvent {
            event_id: format!("e{}", self.events),
            kind: kind.into(),
            subject: subject.clone(),
            consent: Consent::Full,
            withdrawn: Subject::default(),
            simulated: false,
            items: items.iter().map(item).collect(),
            attributes: Features::new(),
            query: String::new(),
            viewed_through: None,
            value: None,
            currency: None,
            decisions: Vec::new(),
            time_us: self.at_us,
            reverses: None,
            keep_us: 180 * DAY_US,
        }
    }

    pub(crate) fn report(&mut self, event: ShopperEvent) -> ShopperEffect {
        match self.apply(Body::Shopper(Arc::new(event))) {
            EventEffect::Shopper(effect) => *effect,
            other @ (EventEffect::Change | EventEffect::Decision | EventEffect::Reward(_)) => panic!("{other:?}"),
        }
    }

    pub(crate) fn click(&mut self, subject: &Subject, item: &str) -> ShopperEffect {
        let event = self.event("click", subject, &[item]);
        self.report(event)
    }
}
