//! Tests of decisions and of fallbacks.

use super::*;

#[test]
fn a_decision_without_an_eligible_arm_is_answered() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    world
        .change(Change::SetAvailability(vec![
            (arm_id("a"), Availability::new(false)),
            (arm_id("b"), Availability::new(false)),
        ]))
        .unwrap();
    let empty = world.decide(request());
    assert_eq!((empty.fallback, empty.chosen.len()), (Some(Fallback::NoEligibleArm), 0));
    world.update(|d| d.default_arm = Some(arm_id("b")));
    let default = world.decide(request());
    assert_eq!(default.chosen[0].arm, arm_id("b"));
    assert_eq!((default.fallback, default.chosen[0].reason), (Some(Fallback::NoEligibleArm), Reason::Fallback));
    assert_eq!(world.reward("e1", &default, "click", None), EventStatus::Accepted);
}

#[test]
fn the_safe_choice_and_the_holdout_get_the_callers_order() {
    let mut world = StateHarness::new(definition(&["a", "b", "c"]));
    world.update(|d| d.controls.holdout = Some(0.3));
    let candidates: Vec<_> =
        ["c", "a", "b"].map(|id| RequestCandidate { arm: arm_id(id), features: Features::new() }).into();
    let ask = |i: u32| Request {
        subject: Subject { id: format!("subject{i}"), session_id: String::new() },
        candidates: candidates.clone(),
        count: 2,
        ..request()
    };
    let mut held = BTreeMap::new();
    for i in 0..4_000 {
        let decided = world.would_decide(ask(i), &[]).decided;
        if decided.holdout {
            let shown: Vec<_> = decided.chosen.iter().map(|c| (c.arm.as_str(), c.propensity, c.reason)).collect();
            assert_eq!(shown, [("c", 1.0, Reason::Holdout), ("a", 1.0, Reason::Holdout)]);
        }
        held.insert(i, decided.holdout);
    }
    // 4,000 subjects at 0.3: the count is off by √(4000·0.3·0.7) = 29; the bound is five of those.
    let count = held.values().filter(|&&h| h).count();
    assert!((1_055..=1_345).contains(&count), "{count}");
    world.update(|d| d.controls.holdout = Some(0.4));
    assert!((0..4_000).all(|i| !held[&i] || world.would_decide(ask(i), &[]).decided.holdout), "nobody leaves");
    world.update(|d| d.controls.safe_choice = Some(true));
    let safe = world.decide(ask(1));
    assert_eq!((safe.fallback, safe.holdout), (Some(Fallback::SafeChoice), false));
    assert_eq!(safe.chosen[0].arm, arm_id("c"));
}

#[test]
fn arms_that_an_earlier_request_got_are_not_eligible() {
    let mut world = StateHarness::new(definition(&["a", "b", "c"]));
    for _ in 0..50 {
        let decision = world.would_decide(Request { count: 3, explain: true, ..request() }, &[arm_id("b")]);
        let arms: Vec<_> = decision.decided.chosen.iter().map(|c| c.arm.as_str()).collect();
        assert!(arms.len() == 2 && !arms.contains(&"b"), "{arms:?}");
        let explained = &decision.explanation.unwrap().candidates[1];
        assert!(explained.ineligible_because.is_some() && explained.propensity == 0.0);
    }
}

/// Unusable scores are never an error for the caller: first the arms' mean rewards decide, then the baseline.
#[test]
fn a_model_with_unusable_scores_falls_back() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    // The prior is so weak that its spread overflows. No definition that passed its check has it.
    let model = ModelSpec::linear(Some(f64::MIN_POSITIVE / 4.0), None);
    let broken = Definition { model, ..definition(&["a", "b"]) };
    let mut event = |definition: Definition| {
        let definition = Arc::new(definition);
        world.apply(Body::SlotUpdated { definition, why: ChangeReason::default(), rolled_back_to: None });
        world.would_decide(request(), &[]).decided
    };
    let decided = event(broken.clone());
    assert_eq!((decided.fallback, decided.model.as_str()), (Some(Fallback::Model), "mean_reward"));
    assert!((decided.chosen[0].propensity - 0.5).abs() < 1e-9, "two arms nobody knows anything of");
    let mut worse = broken;
    worse.controls.exploration = Some(f64::INFINITY);
    let decided = event(worse);
    assert_eq!((decided.fallback, decided.model.as_str()), (Some(Fallback::Model), "baseline"));
    assert_eq!(decided.chosen[0].arm, arm_id("a"));
}

#[test]
fn every_decision_s_propensities_are_those_of_a_second_look() {
    let mut world = busy_world(3);
    let view = world.state.slot("offers").unwrap().view();
    let decided = world.would_decide(Request { count: 3, ..request() }, &[]).decided;
    let options = DecideOptions::new(decided.id, decided.seed);
    let again = decide(&view, Request { count: 3, ..request() }, options).decided;
    assert_eq!(again, decided, "the same view, request and seed");
}
