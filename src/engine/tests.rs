//! Tests of the state machine as a whole: decisions and rewards through `apply`, snapshots, determinism.

use std::{collections::BTreeMap, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    Applied, Availability, Body, Change, Decided, Decision, DecisionId, Draw, Event, Fallback, Reason, Rejection,
    Request, RequestCandidate, RewardAnswer, RewardOutcome, Rewarded, State, Subject, Unmatched, decide, plan, report,
    snapshot,
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
mod clicks;
mod decisions;
mod horizons;
mod insight;
mod lateness;
mod levers;
mod ownership;
mod previews;
mod recalls;
mod reports;
mod time;

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
    let kind =
        |kind: &str, weight, use_value, cap| RewardKind { kind: kind.into(), weight, use_value, cap, winsorize: None };
    let goal = Goal {
        kinds: vec![kind("click", 1.0, false, Some(1.0)), kind("buy", 0.5, true, None)],
        window_us: HOUR_US,
        ..Goal::default()
    };
    Definition { arms: arms.iter().map(arm).collect(), goal, ..Definition::new(slot_id()) }
}

/// State with a clock and a counter: a node without its shell.
struct World {
    state: State,
    at_us: i64,
    count: u64,
    events: Vec<Event>,
}

impl World {
    fn new(definition: Definition) -> Self {
        let mut world = Self { state: State::default(), at_us: 1_793_000_000_000_000, count: 0, events: Vec::new() };
        // Everybody gets the policy, unless a test asks for a holdout.
        let mut definition = definition;
        definition.controls.holdout.get_or_insert(0.0);
        world.change(Change::Create(definition)).unwrap();
        world
    }

    fn apply(&mut self, body: Body) -> Applied {
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
        decide(&view, request, Draw { id, seed, taken, deadline_passed: false })
    }

    fn decide(&mut self, request: Request) -> Arc<Decided> {
        let decided = Arc::new(self.would_decide(request, &[]).decided);
        self.apply(Body::Decided(Arc::clone(&decided)));
        decided
    }

    fn reward(&mut self, event_id: &str, decision: &Decided, kind: &str, value: Option<f64>) -> RewardOutcome {
        self.send(rewarded(event_id, Some(decision.id), kind, value))
    }

    fn send(&mut self, event: Rewarded) -> RewardOutcome {
        self.ask(event).outcome
    }

    /// Sends a reward event and returns the whole answer.
    fn ask(&mut self, event: Rewarded) -> RewardAnswer {
        match self.apply(Body::Rewarded(Box::new(event))) {
            Applied::Reward(reply) => reply,
            other @ (Applied::Change | Applied::Decision) => panic!("{other:?}"),
        }
    }

    fn reverse(&mut self, event_id: &str, decision: &Decided, reversed: &str) -> RewardOutcome {
        let event = rewarded(event_id, Some(decision.id), "undo", None);
        self.send(Rewarded { reverses: Some(reversed.into()), ..event })
    }

    fn counters(&self) -> super::Counters {
        self.state.slot("offers").unwrap().view().counters
    }
}

fn rewarded(event_id: &str, decision: Option<DecisionId>, kind: &str, value: Option<f64>) -> Rewarded {
    Rewarded {
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
fn busy_world(seed: u64) -> World {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::new(definition(&["a", "b", "c", "d"]));
    let mut decisions: Vec<Arc<Decided>> = Vec::new();
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

#[test]
fn the_same_events_give_the_same_bytes_and_a_snapshot_with_its_tail_is_the_whole() {
    let world = busy_world(1);
    let whole = snapshot::encode(&world.state).unwrap();
    let mut state = State::default();
    for (i, event) in world.events.iter().enumerate() {
        if i % 97 == 0 {
            let bytes = snapshot::encode(&state).unwrap();
            state = snapshot::decode(&bytes).unwrap();
            assert!(snapshot::encode(&state).unwrap() == bytes, "at {i}");
        }
        state.apply(event);
    }
    assert!(state == world.state);
    assert!(snapshot::encode(&state).unwrap() == whole);
    let frozen: Vec<u8> =
        world.state.freeze().sections(&snapshot::Origin::default()).flat_map(Result::unwrap).collect();
    assert!(frozen == whole, "a frozen state is written as the state is");
    let counters = world.counters();
    let all = [counters.rewards, counters.duplicates, counters.late, counters.unmatched, counters.other_kinds];
    assert!(all[..4].iter().all(|&n| n > 10), "the run must exercise every outcome: {all:?}");
}

#[test]
fn every_width_of_instructions_gives_the_same_bytes() {
    let bytes = |width| with_width_limit(width, || snapshot::encode(&busy_world(3).state).unwrap());
    let widest = bytes(SimdWidth::Widest);
    assert!(bytes(SimdWidth::Avx2) == widest, "four numbers at once");
    assert!(bytes(SimdWidth::Baseline) == widest, "without instructions that only some processors have");
}

#[test]
fn damaged_snapshots_are_told_from_whole_ones() {
    let bytes = snapshot::encode(&busy_world(2).state).unwrap();
    for at in [0, 9, 15, 25, 30, 40, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        assert!(snapshot::decode(&damaged).is_err(), "a flipped bit at {at}");
        assert!(snapshot::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    let mut newer = bytes;
    newer[11] = 99;
    assert!(
        matches!(snapshot::decode(&newer), Err(snapshot::SnapshotError::Checksum(0))),
        "a flipped bit is no version"
    );
    let checksum = crc32fast::hash(&newer[..snapshot::HEADER - 4]);
    newer[snapshot::HEADER - 4..snapshot::HEADER].copy_from_slice(&checksum.to_be_bytes());
    assert!(matches!(snapshot::decode(&newer), Err(snapshot::SnapshotError::Version(99))));
    newer[11] = 5;
    let checksum = crc32fast::hash(&newer[..snapshot::HEADER - 4]);
    newer[snapshot::HEADER - 4..snapshot::HEADER].copy_from_slice(&checksum.to_be_bytes());
    assert!(matches!(snapshot::decode(&newer), Err(snapshot::SnapshotError::Older(5))));
}

#[test]
fn outcomes_of_rewards_are_as_the_contract_says() {
    let mut world = World::new(definition(&["a", "b", "c"]));
    let one = world.decide(request());
    let two = world.decide(Request { count: 2, ..request() });
    assert_eq!(world.reward("e1", &one, "click", None), RewardOutcome::Accepted);
    assert_eq!(world.reward("e1", &one, "click", None), RewardOutcome::Duplicate);
    assert_eq!(world.reward("e1", &two, "click", None), RewardOutcome::Duplicate, "the id counts once in the slot");
    assert_eq!(world.reward("e2", &one, "buy", None), RewardOutcome::Rejected(Rejection::ValueNeeded));
    assert_eq!(world.reward("e2", &two, "click", None), RewardOutcome::Rejected(Rejection::ArmNeeded));
    assert_eq!(world.reward("e2", &one, "hover", None), RewardOutcome::Accepted, "an other kind");
    let elsewhere = Rewarded { arm: Some(arm_id("zzz")), ..rewarded("e3", Some(one.id), "click", None) };
    assert_eq!(world.send(elsewhere), RewardOutcome::Unmatched(Unmatched::Arm));
    let foreign = DecisionId::new(99, world.at_us, 5);
    assert_eq!(world.send(rewarded("e3", Some(foreign), "click", None)), RewardOutcome::Unmatched(Unmatched::Decision));
    assert_eq!(world.reverse("e4", &one, "never"), RewardOutcome::Unmatched(Unmatched::Reversed));
    assert_eq!(world.reverse("e4", &one, "e1"), RewardOutcome::Accepted);
    assert_eq!(world.reverse("e5", &one, "e1"), RewardOutcome::Rejected(Rejection::AlreadyReversed));
    assert_eq!(world.reverse("e5", &one, "e4"), RewardOutcome::Rejected(Rejection::ReversalOfReversal));
    // The events claim to have happened long ago, so only the grace period of ten minutes makes them late.
    world.at_us += HOUR_US + HOUR_US / 6 + 1;
    assert_eq!(world.reward("e6", &one, "click", None), RewardOutcome::Late);
    world.at_us += HOUR_US;
    world.decide(request());
    assert_eq!(world.reward("e6", &one, "click", None), RewardOutcome::Late, "also after it was forgotten");
    let counters = world.counters();
    assert_eq!((counters.rewards, counters.duplicates, counters.late), (3, 2, 2));
    assert_eq!((counters.unmatched, counters.rejected, counters.other_kinds), (3, 4, 1));
    assert!(counters.reward_sum.abs() < 1e-12, "the one click was taken back");
}

#[test]
fn a_reward_without_a_decision_joins_the_subject_s_latest_that_showed_the_arm() {
    let mut world = World::new(definition(&["a"]));
    let subject = |id: &str, session_id: &str| Subject { id: id.into(), session_id: session_id.into() };
    let ask = |subject| Request { subject, ..request() };
    world.decide(ask(subject("ann", "s1")));
    let second = world.decide(ask(subject("ann", "s2")));
    world.decide(ask(subject("bob", "")));
    let time_us = world.at_us;
    let event = |event_id: &str, subject, arm: &str| Rewarded {
        time_us,
        subject,
        arm: Some(arm_id(arm)),
        ..rewarded(event_id, None, "click", None)
    };
    assert_eq!(world.send(event("e1", subject("ann", ""), "a")), RewardOutcome::Accepted);
    let pending = &world.state.slot("offers").unwrap().pending;
    let joined = pending.get(pending.find(second.id).unwrap()).unwrap().events.len();
    assert_eq!(joined, 1, "the later of the two");
    assert_eq!(world.send(event("e2", subject("", "s1"), "a")), RewardOutcome::Accepted, "by the session alone");
    assert_eq!(world.send(event("e3", subject("eve", ""), "a")), RewardOutcome::Unmatched(Unmatched::Subject));
    world.at_us += 2 * HOUR_US;
    assert_eq!(world.send(event("e4", subject("ann", ""), "a")), RewardOutcome::Late, "its decision must be gone");
    let now = Rewarded { time_us: world.at_us, ..event("e5", subject("ann", ""), "a") };
    assert_eq!(world.send(now), RewardOutcome::Unmatched(Unmatched::Subject));
}

#[test]
fn a_subject_without_consent_leaves_no_trace() {
    let mut world = World::new(definition(&["a"]));
    let subject = Subject { id: "ann".into(), session_id: "s1".into() };
    let ask = |consent| Request { subject: subject.clone(), consent, ..request() };
    assert_eq!(world.decide(ask(None)).subject, subject);
    let session = Subject { id: String::new(), session_id: "s1".into() };
    assert_eq!(world.decide(ask(Some(Consent::SessionOnly))).subject, session);
    assert_eq!(world.decide(ask(Some(Consent::None))).subject, Subject::default());
    world.update(|d| d.default_consent = Consent::None);
    assert_eq!(world.decide(ask(None)).subject, Subject::default());
}

#[test]
fn nothing_a_user_changes_resets_learning_but_a_reset() {
    let learn = |levers: bool| {
        let mut world = World::new(definition(&["a", "b", "c"]));
        for i in 0..200_u32 {
            if levers {
                match i {
                    20 => world.update(|d| d.controls.exploration = Some(0.3)),
                    30 => world.update(|d| d.controls.policy = Some(Policy::square_cb(None))),
                    40 => world.change(Change::SetAvailability(vec![(arm_id("b"), Availability::new(false))])).unwrap(),
                    50 => world.change(Change::RemoveArms(vec![arm_id("b")])).unwrap(),
                    60 => world.update(|d| d.goal.kinds[0].weight = 3.0),
                    61 => world.change(Change::Rollback(1)).unwrap(),
                    _ => {}
                }
            }
            // Each world shows this arm, whatever its controls say, because only learning is compared.
            let arm = arm_id(["a", "b", "c"][i as usize % 3]);
            let mut decided = world.would_decide(request(), &[]).decided;
            decided.chosen[0].arm = arm;
            world.apply(Body::Decided(Arc::new(decided.clone())));
            if i % 4 == 0 && i != 60 {
                world.reward(&format!("e{i}"), &decided, "click", None);
            }
        }
        world
    };
    let (mut with, without) = (learn(true), learn(false));
    let learner = |world: &World| world.state.slot("offers").unwrap().learner().clone();
    assert_eq!(learner(&with), learner(&without));
    with.change(Change::Reset).unwrap();
    assert!(learner(&with).summary(0).is_none());
    assert_eq!(with.counters(), super::Counters::default());
}

#[test]
fn what_happened_while_frozen_is_counted_and_caught_up_with() {
    let mut world = World::new(definition(&["a"]));
    let before = world.decide(request());
    world.update(|d| d.controls.freeze_learning = Some(true));
    let learned = world.state.slot("offers").unwrap().learner().clone();
    world.reward("e1", &before, "buy", Some(10.0));
    let frozen = world.decide(request());
    world.reward("e2", &frozen, "click", None);
    assert_eq!(*world.state.slot("offers").unwrap().learner(), learned, "nothing was learned");
    assert_eq!(world.counters().decisions, 2);
    assert!((world.counters().reward_sum - 6.0).abs() < 1e-12, "but all was counted");
    world.update(|d| d.controls.freeze_learning = None);
    world.reward("e3", &before, "click", None);
    let sum = world.state.slot("offers").unwrap().learner().summary(0).unwrap().reward_sum;
    assert!((sum - 6.0).abs() < 1e-12, "the purchase that came while frozen, and the click: {sum}");
}

/// An event of a kind that does not count, and its reversal, are no reward: silence has not ended.
#[test]
fn a_reversal_of_what_does_not_count_ends_no_silence() {
    let mut world = World::new(definition(&["a"]));
    let decided = world.decide(request());
    assert_eq!(world.reward("e1", &decided, "hover", None), RewardOutcome::Accepted);
    assert_eq!(world.reverse("e2", &decided, "e1"), RewardOutcome::Accepted);
    let learner = |world: &World| world.state.slot("offers").unwrap().learner().clone();
    assert!(learner(&world).summary(0).is_none(), "{:?}", learner(&world).summary(0));
    assert_eq!(world.reward("e3", &decided, "click", None), RewardOutcome::Accepted);
    assert_eq!(world.reverse("e4", &decided, "e3"), RewardOutcome::Accepted);
    assert!(learner(&world).summary(0).is_some());
}

/// A slot has all the models it may have. Arms that would make it a large catalogue, or end that, would need more.
#[test]
fn arms_that_would_bring_too_many_models_are_refused() {
    let arm = |i: usize| Arm::new(arm_id(&format!("arm{i}")));
    let fill = |world: &mut World| {
        let models = |world: &World| {
            let slot = world.state.slot("offers").unwrap();
            slot.learner().models_with(&slot.definition().model, slot.definition().traits())
        };
        for i in 0..MODELS_MAX - models(world) {
            world.update(|d| d.model = ModelSpec::linear(Some(2.0 + i as f64), None));
        }
        assert_eq!(models(world), MODELS_MAX);
        world.update(|d| d.model = ModelSpec::default());
    };
    let mut world = World::new(definition(&["a"]));
    fill(&mut world);
    let arms: Vec<Arm> = (0..=CATALOGUE_MIN).map(arm).collect();
    world.change(Change::UpsertArms(arms[..CATALOGUE_MIN - 2].to_vec())).unwrap();
    let error = world.change(Change::UpsertArms(arms[..CATALOGUE_MIN - 1].to_vec())).unwrap_err().to_string();
    assert!(error.contains("models"), "{error}");

    let mut world = World::new(Definition { arms: arms.into_iter().map(Arc::new).collect(), ..definition(&[]) });
    fill(&mut world);
    world.change(Change::RemoveArms(vec![arm_id("arm0")])).unwrap();
    let error = world.change(Change::RemoveArms(vec![arm_id("arm1")])).unwrap_err().to_string();
    assert!(error.contains("models"), "{error}");
}

#[test]
fn a_stale_update_is_refused_and_an_unknown_arm_named() {
    let mut world = World::new(definition(&["apple", "pear"]));
    world.update(|d| d.count = Some(2));
    let stale = Change::Update { definition: definition(&["apple"]), revision: 1 };
    let error = world.change(stale).unwrap_err();
    assert!(matches!(error, super::ChangeError::Stale { given: 1, current: 2, .. }), "{error}");
    let error = world.change(Change::RemoveArms(vec![arm_id("appel")])).unwrap_err().to_string();
    assert!(error.contains("arm_ids[0]") && error.contains("did you mean 'apple'"), "{error}");
}

#[test]
fn an_event_never_joins_a_decision_made_after_it() {
    let mut world = World::new(definition(&["a"]));
    let subject = Subject { id: "ann".into(), session_id: String::new() };
    world.decide(Request { subject: subject.clone(), ..request() });
    let event = |event_id: &str, time_us| Rewarded {
        subject: subject.clone(),
        arm: Some(arm_id("a")),
        time_us,
        ..rewarded(event_id, None, "click", None)
    };
    let early = world.send(event("e1", world.at_us - HOUR_US));
    assert_eq!(early, RewardOutcome::Unmatched(Unmatched::Subject));
    assert_eq!(world.send(event("e1", world.at_us)), RewardOutcome::Accepted);
}

#[test]
fn an_upsert_that_would_leave_the_slot_wrong_is_refused() {
    let mut world = World::new(Definition { default_arm: Some(arm_id("none")), ..definition(&[]) });
    let arm = |id: &str| Arm {
        id: arm_id(id),
        attributes: Features::new(),
        available: true,
        payload: None,
        because: None,
        schedule: crate::slot::Schedule::default(),
    };
    let error = world.change(Change::UpsertArms(vec![arm("a")])).unwrap_err().to_string();
    assert!(error.contains("default_arm_id"), "{error}");
    world.change(Change::UpsertArms(vec![arm("a"), arm("none")])).unwrap();
}

/// Two hundred revisions of a thousand arms, each of which changes one arm, are written as one table of arms and a
/// little more.
#[test]
fn a_snapshot_holds_each_version_of_an_arm_once() {
    let ids: Vec<String> = (0..1_000).map(|i| format!("arm{i}")).collect();
    let mut world = World::new(definition(&ids.iter().map(String::as_str).collect::<Vec<_>>()));
    let one = snapshot::encode(&world.state).unwrap().len();
    for i in 0..200 {
        let arm = arm_id(&format!("arm{}", 3 * i));
        world.change(Change::UpsertArms(vec![Arm { available: false, ..Arm::new(arm) }])).unwrap();
    }
    let bytes = snapshot::encode(&world.state).unwrap();
    // Each revision adds its settings, an arm, and at most 401 stretches of arms.
    assert!(bytes.len() < one + 200 * 2_800, "{} against {one}", bytes.len());
    let again = snapshot::decode(&bytes).unwrap();
    assert_eq!(again, world.state);
}
