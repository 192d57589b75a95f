//! Tests of the state machine as a whole: decisions and rewards through `apply`, snapshots, determinism.

use std::{collections::BTreeMap, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    Availability, Body, Change, DecideOptions, Decision, DecisionId, DecisionRecord, Event, EventEffect, EventStatus,
    Fallback, Reason, Rejection, Request, RequestCandidate, RewardAnswer, RewardEvent, State, Subject, UnmatchedReason,
    decide, plan, report, snapshot,
};
use crate::{
    bandit::{Features, ModelSpec, Policy, Value},
    slot::{
        Arm, ArmId, ChangeReason, Consent, Definition, Goal, RewardKind, SlotId,
        limits::{CATALOGUE_MIN, MODELS_MAX},
    },
    stats::{SimdWidth, with_width_limit},
};

mod accounts;
mod catalogue;
mod changes;
mod clicks;
mod controls;
mod decisions;
mod deferred;
mod drafts;
mod evaluation;
mod everybody;
mod from_catalogue;
mod horizons;
mod identity;
mod imports;
mod items;
mod lateness;
mod learning;
mod learning_files;
mod loud_subjects;
mod overload;
mod ownership;
mod pace;
mod previews;
mod recalls;
mod renames;
mod reports;
mod rewards;
mod rules;
mod segments;
mod snapshots;
mod time;
mod traffic_alerts;
mod unknown_arms;
mod winsorizing;

const HOUR_US: i64 = 3_600_000_000;

fn slot_id() -> SlotId {
    SlotId::parse("slot_id", "offers").unwrap()
}

fn arm_id(id: &str) -> ArmId {
    ArmId::parse("arm_id", id).unwrap()
}

fn definition(arms: &[&str]) -> Definition {
    let arm = |id: &&str| {
        Arc::new(Arm {
            id: arm_id(id),
            attributes: Features::new(),
            available: true,
            payload: None,
            because: None,
            schedule: crate::slot::Schedule::default(),
        })
    };
    let kind = |kind: &str, weight, use_value, cap| RewardKind {
        kind: kind.into(),
        weight,
        use_value,
        cap,
        winsorize: None,
        role: None,
        joins: None,
    };
    let goal = Goal {
        kinds: vec![kind("click", 1.0, false, Some(1.0)), kind("buy", 0.5, true, None)],
        window_us: HOUR_US,
        ..Goal::default()
    };
    Definition { arms: arms.iter().map(arm).collect(), goal, ..Definition::new(slot_id()) }
}

/// State with a clock and a counter: a node without its shell.
struct StateHarness {
    state: State,
    at_us: i64,
    count: u64,
    events: Vec<Event>,
}

impl StateHarness {
    fn new(definition: Definition) -> Self {
        let mut world = Self { state: State::default(), at_us: 1_793_000_000_000_000, count: 0, events: Vec::new() };
        // Everybody gets the policy, unless a test asks for a holdout.
        let mut definition = definition;
        definition.controls.holdout.get_or_insert(0.0);
        definition.controls.floor.get_or_insert(0.0);
        world.change(Change::Create(definition)).unwrap();
        world
    }

    fn apply(&mut self, body: Body) -> EventEffect {
        let event = Event { at_us: self.at_us, body };
        let applied = self.state.apply(&event);
        self.events.push(event);
        applied
    }

    fn change(&mut self, change: Change) -> Result<(), super::ChangeError> {
        if let Some(body) = plan(&self.state, &slot_id(), change, &ChangeReason::default())? {
            self.apply(body);
        }
        Ok(())
    }

    fn update(&mut self, edit: impl FnOnce(&mut Definition)) {
        let mut definition = (**self.state.slot("offers").unwrap().definition()).clone();
        edit(&mut definition);
        self.change(Change::Update { definition, revision: 0 }).unwrap();
    }

    fn would_decide(&mut self, request: Request, taken: &[ArmId]) -> Decision {
        self.count += 1;
        let view = self.state.slot("offers").unwrap().view();
        let seed = super::hash("test", &[&self.count.to_be_bytes()]).word();
        let id = DecisionId::new(view.number, self.at_us, self.count);
        let subject = request.subject.clone();
        let drawn_by = self.state.slot("offers").unwrap().logins().session_of(&subject);
        decide(&view, request, DecideOptions { already_shown: taken, drawn_by, ..DecideOptions::new(id, seed) })
    }

    fn decide(&mut self, request: Request) -> Arc<DecisionRecord> {
        let decided = Arc::new(self.would_decide(request, &[]).decided);
        self.apply(Body::Decided(Arc::clone(&decided)));
        decided
    }

    fn reward(&mut self, event_id: &str, decision: &DecisionRecord, kind: &str, value: Option<f64>) -> EventStatus {
        self.send(rewarded(event_id, Some(decision.id), kind, value))
    }

    fn send(&mut self, event: RewardEvent) -> EventStatus {
        self.ask(event).status
    }

    /// Sends a reward event and returns the whole answer.
    fn ask(&mut self, event: RewardEvent) -> RewardAnswer {
        match self.apply(Body::Rewarded(Box::new(event))) {
            EventEffect::Reward(reply) => reply,
            other @ (EventEffect::Change | EventEffect::Decision | EventEffect::Shopper(_)) => panic!("{other:?}"),
        }
    }

    fn reverse(&mut self, event_id: &str, decision: &DecisionRecord, reversed: &str) -> EventStatus {
        let event = rewarded(event_id, Some(decision.id), "undo", None);
        self.send(RewardEvent { reverses: Some(reversed.into()), ..event })
    }

    fn counters(&self) -> super::Counters {
        self.state.slot("offers").unwrap().view().counters
    }
}

fn rewarded(event_id: &str, decision: Option<DecisionId>, kind: &str, value: Option<f64>) -> RewardEvent {
    RewardEvent {
        slot: slot_id(),
        event_id: event_id.into(),
        decision,
        subject: Subject::default(),
        arm: None,
        kind: kind.into(),
        value,
        time_us: 0,
        reverses: None,
    }
}

fn request() -> Request {
    Request::new(slot_id())
}

/// A random run of everything: decisions with features and candidates, rewards, refunds, duplicates, changes of every
/// kind, time passing.
fn busy_world(seed: u64) -> StateHarness {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = StateHarness::new(definition(&["a", "b", "c", "d"]));
    let mut decisions: Vec<Arc<DecisionRecord>> = Vec::new();
    for i in 0..600_u32 {
        world.at_us += rng.random_range(0..HOUR_US / 20);
        if i == 150 {
            world.update(|d| d.model = ModelSpec::beta_bernoulli(None, None));
        }
        if i == 200 {
            world.update(|d| d.controls.half_life_us = Some(HOUR_US));
            world.update(|d| (d.model, d.open_catalogue) = (ModelSpec::default(), true));
        }
        if i == 250 {
            world.update(|d| d.controls.policy = Some(Policy::epsilon_greedy(None)));
        }
        if i == 300 {
            world.change(Change::RemoveArms(vec![arm_id("b")])).unwrap();
            world.change(Change::SetAvailability(vec![(arm_id("c"), Availability::new(false))])).unwrap();
            world.change(Change::Rollback(1)).unwrap();
            world.update(|d| d.open_catalogue = true);
        }
        if i == 450 {
            world.update(|d| d.controls.freeze_learning = Some(true));
        }
        if i == 500 {
            world.update(|d| d.controls.freeze_learning = None);
        }
        let mut request = request();
        request.count = rng.random_range(0..3);
        request.subject.session_id = format!("s{}", rng.random_range(0..40));
        request.request_id = rng.random_bool(0.3).then(|| format!("r{i}"));
        request.context.insert("age".into(), Value::Number(rng.random_range(18.0..80.0)));
        request.context.insert("device".into(), Value::Text(format!("d{}", rng.random_range(0..6))));
        if i > 220 && rng.random_bool(0.4) {
            let candidate = |id: &str, x| RequestCandidate {
                arm: arm_id(id),
                features: [("near".to_owned(), Value::Number(x))].into(),
            };
            request.candidates = vec![candidate("a", 1.0), candidate("new", f64::from(i)), candidate("d", 0.5)];
        }
        decisions.push(world.decide(request));
        let old = Arc::clone(&decisions[rng.random_range(decisions.len().saturating_sub(80)..decisions.len())]);
        let mut event = rewarded(&format!("e{}", rng.random_range(0..=i)), Some(old.id), "buy", Some(0.7));
        event.arm = old.chosen.first().map(|chosen| chosen.arm.clone());
        if rng.random_bool(0.2) {
            event.reverses = Some(format!("e{}", rng.random_range(0..=i)));
        }
        world.send(event);
    }
    world
}
