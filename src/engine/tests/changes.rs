//! Tests of changes to a slot.

use super::{controls::trained_world, *};
use crate::engine::{ChangeError, Counters};

#[test]
fn only_a_reset_resets_learning() {
    let learn = |levers: bool| {
        let mut world = StateHarness::new(definition(&["a", "b", "c"]));
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
    let learner = |world: &StateHarness| world.state.slot("offers").unwrap().learner().clone();
    assert_eq!(learner(&with), learner(&without));
    with.change(Change::Reset).unwrap();
    assert!(learner(&with).summary(0).is_none());
    assert_eq!(with.counters(), Counters::default());
}

#[test]
fn events_while_frozen_are_counted_and_caught_up_with() {
    let mut world = StateHarness::new(definition(&["a"]));
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

/// A slot has all the models it may have. Arms that would make it a large catalogue, or end that, would need more.
#[test]
fn arms_that_would_bring_too_many_models_are_refused() {
    let arm = |i: usize| Arm::new(arm_id(&format!("arm{i}")));
    let fill = |world: &mut StateHarness| {
        let models = |world: &StateHarness| {
            let slot = world.state.slot("offers").unwrap();
            slot.learner().models_with(&slot.definition().model, slot.definition().traits(slot.arms_in_effect().len()))
        };
        for i in 0..MODELS_MAX - models(world) {
            world.update(|d| d.model = ModelSpec::linear(Some(2.0 + i as f64), None));
        }
        assert_eq!(models(world), MODELS_MAX);
        world.update(|d| d.model = ModelSpec::default());
    };
    let mut world = StateHarness::new(definition(&["a"]));
    fill(&mut world);
    let arms: Vec<Arm> = (0..=CATALOGUE_MIN).map(arm).collect();
    world.change(Change::UpsertArms(arms[..CATALOGUE_MIN - 2].to_vec())).unwrap();
    let error = world.change(Change::UpsertArms(arms[..CATALOGUE_MIN - 1].to_vec())).unwrap_err().to_string();
    assert!(error.contains("models"), "{error}");

    let mut world = StateHarness::new(Definition { arms: arms.into_iter().map(Arc::new).collect(), ..definition(&[]) });
    fill(&mut world);
    world.change(Change::RemoveArms(vec![arm_id("arm0")])).unwrap();
    let error = world.change(Change::RemoveArms(vec![arm_id("arm1")])).unwrap_err().to_string();
    assert!(error.contains("models"), "{error}");
}

#[test]
fn a_stale_update_is_refused_and_an_unknown_arm_named() {
    let mut world = StateHarness::new(definition(&["apple", "pear"]));
    world.update(|d| d.count = Some(2));
    let stale = Change::Update { definition: definition(&["apple"]), revision: 1 };
    let error = world.change(stale).unwrap_err();
    assert!(matches!(error, ChangeError::Stale { given: 1, current: 2, .. }), "{error}");
    let error = world.change(Change::RemoveArms(vec![arm_id("appel")])).unwrap_err().to_string();
    assert!(error.contains("arm_ids[0]") && error.contains("did you mean 'apple'"), "{error}");
}

#[test]
fn an_upsert_that_makes_the_slot_invalid_is_refused() {
    let mut world = StateHarness::new(Definition { default_arm: Some(arm_id("none")), ..definition(&[]) });
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

/// A row of availability changes leaves one revision, so a stock feed pushes nobody's changes out.
#[test]
fn a_stock_feed_leaves_one_revision() {
    let mut world = trained_world(|_| {});
    let slot = |world: &StateHarness| world.state.slot("offers").unwrap().revisions().len();
    let before = slot(&world);
    for i in 0..500 {
        world.change(Change::SetAvailability(vec![(arm_id("b"), Availability::new(i % 2 == 1))])).unwrap();
    }
    assert_eq!(slot(&world), before + 1);
}

#[test]
fn a_new_slot_holds_a_tenth_out() {
    let mut world = StateHarness { state: State::default(), at_us: 1, count: 0, events: Vec::new() };
    world.change(Change::Create(definition(&["a"]))).unwrap();
    assert_eq!(world.state.slot("offers").unwrap().definition().controls.holdout, Some(0.1));
}

/// A marketer who reads, edits and writes back is not stopped by the stock feed. Her change of what the feed set is
/// stopped, and so is her change of what other people changed.
#[test]
fn an_update_of_an_older_revision_is_accepted_if_only_availability_changed_since() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    let read = world.state.slot("offers").unwrap();
    let (from, before) = (read.revision_number(), (**read.definition()).clone());
    for available in [false, true, false] {
        world.change(Change::SetAvailability(vec![(arm_id("b"), Availability::new(available))])).unwrap();
    }
    let with = |mut definition: Definition, floor: f64| {
        definition.controls.floor = Some(floor);
        Change::Update { definition, revision: from }
    };
    let error = world.change(with(before.clone(), 0.1)).unwrap_err();
    assert!(matches!(error, ChangeError::Stale { .. }), "it would bring b back: {error}");
    let mut now = before;
    Arc::make_mut(&mut now.arms[1]).available = false;
    world.change(with(now.clone(), 0.1)).unwrap();
    let slot = world.state.slot("offers").unwrap();
    assert_eq!((slot.definition().controls.floor, slot.definition().arms[1].available), (Some(0.1), false));
    let error = world.change(with(now, 0.2)).unwrap_err();
    assert!(matches!(error, ChangeError::Stale { .. }), "somebody set the floor since: {error}");
}
