//! Tests of the codec: events survive their records, and records of earlier versions are still read.

mod decisions;
mod items;

use std::sync::Arc;

use super::*;
use crate::{
    bandit::Policy,
    engine::{
        Availability, CandidateMatch, Change, ChosenArm, DecisionId, DecisionRecord, DraftContent, DraftEvent,
        DraftStep, ExcludedCandidate, Fallback, ForgottenSubject, ImportedObservation, ImportedPart, LearningImport,
        Patch, Reason, RewardEvent, ScoredCandidate, ShopperEvent, ShopperItem, State, Subject, plan, snapshot,
    },
    slot::{
        Actor, Arm, ArmId, ChangeReason, Consent, Controls, Definition, Payload, ProbabilityBounds, Schedule, SlotId,
        Unavailable,
    },
};
use decisions::{decided, learning_of};

fn why() -> ChangeReason {
    let text = |text: &str| text.to_owned();
    let actor = Actor { principal: text("ops"), origin: text("[::1]:5000"), request_id: text("r-1") };
    ChangeReason { author: text("ann"), reason: text("because"), actor }
}

fn created(policy: Option<Policy>) -> Event {
    let mut definition = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
    definition.controls.policy = policy;
    Event { at_us: 7, body: Body::SlotCreated { definition: Arc::new(definition), why: ChangeReason::default() } }
}

#[test]
fn every_policy_survives_its_record() {
    for policy in [
        Policy::ThompsonSampling,
        Policy::Uniform,
        Policy::FixedOrder,
        Policy::Greedy,
        Policy::EpsilonGreedy { epsilon: 0.3 },
        Policy::LinUcb,
        Policy::SquareCb { gamma: 40.0 },
    ] {
        let event = created(Some(policy));
        assert_eq!(decode(&encode(&event).body), Ok(event));
    }
}

#[test]
fn every_example_of_a_slot_survives_its_record() {
    for definition in crate::slot::examples() {
        let body = Body::SlotCreated { definition: Arc::new(definition), why: why() };
        let event = Event { at_us: 7, body };
        assert_eq!(decode(&encode(&event).body), Ok(event));
    }
}

/// Reads an event that was written before there were policies.
#[test]
fn an_event_from_before_there_was_a_policy_still_reads() {
    let hex = "\
        0894dbfaeab8989803127c0a6d0a066f6666657273180122050a0161180122050a0162180142240a190a05636c69636b\
        11000000000000f03f21000000000000f03f1880c0ddeec10220014a0e0a0c09000000000000f03f108002521b090000\
        00000000e03f117b14ae47e17a843f2080c098ccc50738005801120b736c6f7473206170706c79";
    let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    let before: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let event = decode(&before).unwrap();
    let Body::SlotCreated { definition, .. } = &event.body else { panic!("{event:?}") };
    let want = Controls {
        exploration: Some(0.5),
        floor: Some(0.01),
        half_life_us: Some(3 * 86_400_000_000),
        safe_choice: Some(false),
        ..Controls::default()
    };
    assert_eq!(definition.controls, want);
    assert_eq!(encode(&event).body, before, "and is written as it was");
}

proptest::proptest! {
    // A hundred cases would parse for seconds.
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_ids_and_texts_survive_their_record(ids in crate::slot::any_ids(), text in crate::slot::any_text()) {
        let definition = Arc::new(crate::slot::odd_definition(&ids, &text));
        let why = ChangeReason { author: ids[0].clone(), reason: text.clone(), ..ChangeReason::default() };
        let forgotten_why = why.clone();
        let (slot, arms) = (slot_id(), ids.iter().map(|id| arm_id(id)).collect::<Vec<_>>());
        let id = DecisionId::new(1, 2_000_000, 3);
        let subject = Subject { id: ids[0].clone(), session_id: ids[1].clone() };
        let word: crate::bandit::Features = [(text.clone(), crate::bandit::Value::Text(text.clone()))].into();
        let decided = DecisionRecord {
            request_id: Some(ids[0].clone()),
            subject: subject.clone(),
            context: word.clone(),
            candidates: arms.iter().map(|arm| (arm.clone(), word.clone())).collect(),
            already_shown: arms.clone(),
            request_fingerprint: 7,
            matches: Some(vec![
                CandidateMatch { candidate: 0, affinity: 16, price: Some(-12), seen: true, bought: false },
                CandidateMatch { candidate: 7, affinity: 0, price: Some(3), seen: false, bought: true },
                CandidateMatch { candidate: 9, affinity: 5, price: None, seen: false, bought: false },
            ]),
            ..DecisionRecord::empty(slot.clone(), id)
        };
        let rewarded = RewardEvent {
            slot: slot.clone(),
            event_id: ids[0].clone(),
            decision: None,
            subject,
            arm: Some(arms[0].clone()),
            kind: text.clone(),
            value: None,
            time_us: 5,
            reverses: Some(ids[1].clone()),
        };
        let shopper = ShopperEvent {
            event_id: ids[0].clone(),
            kind: text.clone(),
            subject: Subject { id: ids[0].clone(), session_id: ids[1].clone() },
            consent: Consent::SessionOnly,
            withdrawn: Subject { id: ids[1].clone(), session_id: String::new() },
            simulated: true,
            items: arms
                .iter()
                .map(|arm| ShopperItem { item: arm.clone(), quantity: Some(2.0), value: None, attributes: word.clone() })
                .collect(),
            attributes: word.clone(),
            query: text.clone(),
            viewed_through: Some(3),
            value: Some(-1.5),
            currency: Some("EUR".into()),
            decisions: vec![id],
            time_us: 5,
            reverses: Some(ids[1].clone()),
            keep_us: 9,
        };
        for body in [
            Body::Shopper(Arc::new(shopper)),
            Body::SlotCreated { definition: Arc::clone(&definition), why: why.clone() },
            Body::LearningCopied { slot: slot.clone(), from: slot.clone(), weight: 0.25, why: forgotten_why.clone() },
            Body::ArmReset { slot: slot.clone(), arm: arms[0].clone(), why: forgotten_why.clone() },
            Body::SlotRenamed { slot: slot.clone(), to: slot.clone(), why: forgotten_why.clone() },
            Body::LearningImported(Box::new(LearningImport {
                slot: slot.clone(),
                file: learning_of(Arc::clone(&definition)),
                weight: 0.25,
                why: forgotten_why.clone(),
            })),
            Body::ArmsRemoved { slot: slot.clone(), arms: arms.clone(), why: why.clone() },
            Body::AvailabilitySet {
                slot,
                available: arms.into_iter().map(|arm| (arm, Availability::new(false))).collect(),
                why,
            },
            Body::SubjectForgotten(Box::new(ForgottenSubject {
                subject: decided.subject.clone(),
                origin: Subject { id: ids[1].clone(), session_id: String::new() },
                why: forgotten_why,
            })),
            Body::Deferred(Arc::new(decided.clone())),
            Body::Decided(Arc::new(decided)),
            Body::Rewarded(Box::new(rewarded)),
        ] {
            let event = Event { at_us: 7, body };
            assert_eq!(decode(&encode(&event).body), Ok(event));
        }
    }
}

#[test]
fn a_policy_of_a_newer_version_is_refused() {
    let mut event = encode::encode_event(&created(Some(Policy::Uniform)));
    if let Some(log::event::Body::SlotCreated(log::SlotCreated { definition: Some(definition), .. })) = &mut event.body
    {
        definition.controls.get_or_insert_default().policy = Some(log::Policy::default());
    }
    assert_eq!(decode(&event.encode_to_vec()), Err(DecodeError::missing("which policy")));
}

fn arm_id(id: &str) -> ArmId {
    ArmId::parse("arm_id", id).unwrap()
}

fn slot_id() -> SlotId {
    SlotId::parse("slot_id", "offers").unwrap()
}

#[test]
fn author_and_reason_of_every_change_survive_their_record() {
    let (slot, definition) = (slot_id(), Arc::new(Definition::new(slot_id())));
    let arm = Arc::new(Arm {
        id: arm_id("a"),
        attributes: crate::bandit::Features::new(),
        available: false,
        payload: None,
        because: Some(Unavailable::OutOfStock),
        schedule: Schedule { from_us: Some(5), until_us: Some(9) },
    });
    let mut after = crate::slot::examples().into_iter().find(|example| example.rules.len() > 1).unwrap();
    after.arms.insert(0, Arc::clone(&arm));
    after.controls.arm_bounds = [(arm_id("a"), ProbabilityBounds { floor: Some(0.25), ceiling: None })].into();
    let mut before = after.clone();
    before.rules.remove(0);
    before.arms.remove(0);
    before.controls.arm_bounds = [(arm_id("b"), ProbabilityBounds { floor: None, ceiling: Some(0.5) })].into();
    let patch = Patch::between(&before, &after);
    let content = DraftContent { change: vec![0, 200, 7], changes: vec!["goal".into()], expires_us: 99 };
    let observation = ImportedObservation {
        at_us: 5,
        context: [("device".to_owned(), crate::bandit::Value::Text("phone".into()))].into(),
        arm: arm_id("a"),
        features: [("price".to_owned(), crate::bandit::Value::Number(9.5))].into(),
        propensity: 0.25,
        reward: -1.5,
    };
    let observations = vec![observation];
    let imported = ImportedPart { slot: slot.clone(), import_id: "old".into(), part: 3, observations, why: why() };
    let draft = |step| Body::Draft(Box::new(DraftEvent { slot: slot.clone(), number: 3, step, why: why() }));
    for body in [
        Body::SlotCreated { definition: Arc::clone(&definition), why: why() },
        Body::SlotUpdated { definition, why: why(), rolled_back_to: Some(3) },
        Body::SlotPatched { patch: Box::new(patch), why: why(), rolled_back_to: Some(3) },
        Body::SlotDeleted { slot: slot.clone(), why: why() },
        Body::ArmsUpserted { slot: slot.clone(), arms: vec![arm], why: why() },
        Body::ArmsRemoved { slot: slot.clone(), arms: vec![arm_id("a")], why: why() },
        Body::AvailabilitySet { slot: slot.clone(), available: vec![], why: why() },
        Body::SlotReset { slot: slot.clone(), why: why() },
        draft(DraftStep::Created(content)),
        draft(DraftStep::Approved),
        draft(DraftStep::Scheduled(77)),
        draft(DraftStep::Applied(4)),
        draft(DraftStep::Discarded),
        Body::Imported(Box::new(imported)),
    ] {
        let event = Event { at_us: 7, body };
        assert_eq!(decode(&encode(&event).body), Ok(event));
    }
}

#[test]
fn changes_of_availability_survive_their_record_in_order() {
    let schedule = |from_us, until_us| Some(Schedule { from_us, until_us });
    let available = vec![
        (arm_id("z"), Availability::new(true)),
        (arm_id("b"), Availability { available: Some(false), because: Some(Unavailable::Paused), schedule: None }),
        (arm_id("c"), Availability { available: None, because: None, schedule: schedule(Some(5), None) }),
        // A schedule without limits is a change, and no schedule is none.
        (arm_id("a"), Availability { available: None, because: None, schedule: schedule(None, None) }),
        (arm_id("d"), Availability { available: None, because: None, schedule: None }),
    ];
    let event =
        Event { at_us: 7, body: Body::AvailabilitySet { slot: slot_id(), available, why: ChangeReason::default() } };
    assert_eq!(decode(&encode(&event).body), Ok(event));
}

#[test]
fn availability_as_it_was_written_before_schedules_still_reads() {
    let before = log::AvailabilitySet {
        slot_id: "offers".into(),
        available: vec!["b".into()],
        unavailable: vec!["a".into()],
        reason: "sold out".into(),
        ..log::AvailabilitySet::default()
    };
    let before =
        log::Event { at_us: 7, body: Some(log::event::Body::AvailabilitySet(before)), ..log::Event::default() };
    let body = Body::AvailabilitySet {
        slot: slot_id(),
        available: vec![(arm_id("b"), Availability::new(true)), (arm_id("a"), Availability::new(false))],
        why: ChangeReason::new("", "sold out"),
    };
    assert_eq!(decode(&before.encode_to_vec()), Ok(Event { at_us: 7, body }));
}

/// Returns an event of a later kind, as a later program would write it.
fn event_of_a_later_kind(skippable: bool) -> Vec<u8> {
    let (kind, slot_id) = ("shopper_seen".to_owned(), "offers".to_owned());
    let mut bytes = log::Event { at_us: 9, kind, slot_id, skippable, ..log::Event::default() }.encode_to_vec();
    // The body is field 39, a message of two bytes.
    bytes.extend([0xba, 0x02, 2, 0x08, 1]);
    bytes
}

#[test]
fn an_event_of_an_unknown_kind_is_passed_over_only_if_it_says_that_it_may_be() {
    let skipped = SkippedEvent { at_us: 9, kind: "shopper_seen".into(), slot: "offers".into() };
    assert_eq!(read(&event_of_a_later_kind(true)), Ok(Decoded::Skipped(skipped)));
    let kind = || "shopper_seen".to_owned();
    assert_eq!(read(&event_of_a_later_kind(false)), Err(DecodeError::UnknownKind(kind())));
    assert_eq!(decode(&event_of_a_later_kind(true)), Err(DecodeError::PassedOver(kind())));
    for error in [DecodeError::UnknownKind(kind()), DecodeError::PassedOver(kind())] {
        assert!(error.to_string().contains("'shopper_seen'"), "{error}");
    }
}

/// Cuts the parallel lists of a decision's candidates. A cut list would describe other candidates.
#[test]
fn lists_that_are_not_of_one_length_are_refused() {
    let message = || match encode::encode_event(&Event { at_us: 7, body: Body::Decided(Arc::new(decided())) }).body {
        Some(log::event::Body::Decided(decided)) => decided,
        other => panic!("{other:?}"),
    };
    let cut = |edit: &dyn Fn(&mut log::Decided)| {
        let mut decided = message();
        edit(&mut decided);
        let event = log::Event { at_us: 7, body: Some(log::event::Body::Decided(decided)), ..log::Event::default() };
        decode(&event.encode_to_vec())
    };
    assert!(cut(&|_| {}).is_ok());
    for edit in [
        &(|d: &mut log::Decided| d.scored_candidate.truncate(1)) as &dyn Fn(&mut log::Decided),
        &|d| d.scored_mean.truncate(1),
        &|d| d.scored_std.clear(),
        &|d| d.scored_propensity.truncate(1),
        &|d| d.excluded_candidate.truncate(1),
        &|d| d.excluding_rule.clear(),
        &|d| (d.matched, d.match_candidate) = (true, vec![1]),
    ] {
        assert!(matches!(cut(edit), Err(DecodeError::UnequalLists(_))));
    }
}

/// Makes small changes of a slot with 400 arms of 15 kB each, and measures what they add to the journal and to a
/// snapshot.
#[test]
fn a_small_change_of_a_large_slot_is_a_small_record() {
    let arm = |i: usize, text: &str| {
        let payload: Payload = [("text".to_owned(), serde_json::Value::from(text))].into_iter().collect();
        Arm { payload: Some(payload), ..Arm::new(arm_id(&format!("arm{i}"))) }
    };
    let text = "x".repeat(15_000);
    let mut definition = Definition::new(slot_id());
    definition.arms = (0..400).map(|i| Arc::new(arm(i, &text))).collect();
    let mut state = State::default();
    let change = |state: &mut State, change| {
        let body = plan(state, &slot_id(), change, &ChangeReason::default()).unwrap().unwrap();
        let event = Event { at_us: 7, body };
        let record = encode(&event);
        assert_eq!(decode(&record.body), Ok(event));
        // The event is applied as the journal holds it.
        state.apply(&decode(&record.body).unwrap());
        record.body.len()
    };
    let first = change(&mut state, Change::Create(definition));
    let before = snapshot::encode(&state).unwrap().len();
    let now = |state: &State| (**state.slot("offers").unwrap().definition()).clone();
    for i in 0..20 {
        let definition = Definition { display_name: format!("name {i}"), ..now(&state) };
        let named = change(&mut state, Change::Update { definition, revision: 0 });
        let mut moved = now(&state);
        let last = moved.arms.pop().unwrap();
        moved.arms.insert(i, last);
        let moved = change(&mut state, Change::Update { definition: moved, revision: 0 });
        let safe = change(&mut state, Change::SetSafeChoice(i % 2 == 0));
        assert!(named.max(moved).max(safe) < 1_000, "{named}, {moved} and {safe} of {first} bytes");
    }
    let mut one = now(&state);
    let id = one.arms[9].id.clone();
    one.arms[9] = Arc::new(Arm { id, ..arm(0, "short") });
    let one = change(&mut state, Change::Update { definition: one, revision: 0 });
    assert!(one < 1_000, "{one} of {first} bytes");
    let grown = snapshot::encode(&state).unwrap().len() - before;
    assert!(grown < 61 * 3_000, "a snapshot grew by {grown} bytes, from {before}");
}

#[test]
fn every_number_of_an_enumeration_is_read_back_and_others_are_refused() {
    use super::numbers::Numbered;
    use crate::{
        bandit::{ClickModel, Expansion, Link, Sharing},
        slot::{Aggregation, Consent, ExplorationPreset, Learning, OnError, SlotKind},
    };
    fn check<E: Numbered + PartialEq + std::fmt::Debug>(values: usize) {
        assert_eq!(E::ALL.len(), values, "{}", E::FIELD);
        for &value in E::ALL {
            assert_eq!(E::from_number(value.number()), Ok(value));
        }
        assert_eq!(E::from_number(99), Err(DecodeError::UnknownNumber { field: E::FIELD, number: 99 }));
        assert_eq!(E::from_optional(99, 99), Ok(None));
    }
    check::<SlotKind>(3);
    check::<Consent>(3);
    check::<Unavailable>(2);
    check::<Aggregation>(3);
    check::<Learning>(2);
    check::<ClickModel>(3);
    check::<Link>(2);
    check::<Expansion>(3);
    check::<Sharing>(3);
    check::<OnError>(2);
    check::<ExplorationPreset>(4);
    check::<Fallback>(4);
    check::<Reason>(8);
}
