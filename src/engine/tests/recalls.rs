//! Tests of recalled decisions: the explanation from the record is compared with the explanation at the time of the
//! decision.

use super::*;
use crate::{
    engine::{Availability, RecalledExplanation, recall},
    slot::{Effect, OnError, Rule, Unavailable},
};

fn recalled(world: &StateHarness, decided: &DecisionRecord) -> RecalledExplanation {
    recall(Some(&world.state.slot("offers").unwrap().view()), decided)
}

/// Applies a decision and returns it with its explanation.
fn decide_explained(world: &mut StateHarness, request: Request) -> (DecisionRecord, crate::engine::Explanation) {
    let decision = world.would_decide(Request { explain: true, ..request }, &[]);
    world.apply(Body::Decided(Arc::new(decision.decided.clone())));
    (decision.decided, decision.explanation.unwrap())
}

fn context(i: u32) -> Features {
    [("loyalty".to_owned(), Value::Text(["gold", "none"][(i % 2) as usize].into()))].into()
}

fn taught() -> StateHarness {
    let mut world = StateHarness::new(definition(&["a", "b", "c", "d"]));
    for i in 0..200 {
        world.at_us += 1_000_000;
        let decided = world.decide(Request { context: context(i), ..request() });
        if (decided.chosen[0].arm == arm_id("a")) == (i % 2 == 0) {
            world.reward(&format!("e{i}"), &decided, "click", None);
        }
    }
    world
}

#[test]
fn a_decision_of_the_past_is_explained_as_it_was_then() {
    let mut world = taught();
    world.update(|d| d.controls.holdout = Some(0.0));
    let out = Rule {
        name: "no d for gold".into(),
        when: "arm.id == 'd' && context.loyalty == 'gold'".into(),
        effect: Effect::Exclude,
        on_error: OnError::Ignore,
        paused: false,
    };
    world.update(|d| d.rules.push(out));
    let paused = Availability { because: Some(Unavailable::OutOfStock), ..Availability::new(false) };
    world.change(Change::SetAvailability(vec![(arm_id("c"), paused)])).unwrap();
    let (decided, then) = decide_explained(&mut world, Request { context: context(0), ..request() });
    // Later changes do not alter the past.
    world.change(Change::SetAvailability(vec![(arm_id("c"), Availability::new(true))])).unwrap();
    world.update(|d| d.rules.clear());
    let RecalledExplanation { explanation: now, revision_kept } = recalled(&world, &decided);
    assert!(!revision_kept, "of changes of availability in a row the last one is kept");
    assert!(now.summary.starts_with(&then.summary), "{} / {}", now.summary, then.summary);
    assert_eq!(now.matched_rules, ["no d for gold"]);
    for (now, then) in now.candidates.iter().zip(&then.candidates) {
        assert_eq!(now.arm, then.arm);
        assert_eq!(now.ineligible_because.is_none(), then.ineligible_because.is_none(), "{now:?}");
        for (now, then) in [(now.mean, then.mean), (now.std, then.std), (now.propensity, then.propensity)] {
            assert!((now - then).abs() <= 1e-6 * then.abs(), "{now} against {then}");
        }
        // The slot has learned nothing since.
        assert_eq!(now.moved_by, then.moved_by);
    }
    assert!(now.candidates.iter().any(|candidate| !candidate.moved_by.is_empty()));
    assert_eq!(now.candidates[3].ineligible_because.as_deref(), Some("the rule 'no d for gold' excludes it"));
}

#[test]
fn why_an_arm_was_not_available_is_known_while_the_revision_is_kept() {
    let mut world = taught();
    let paused = Availability { because: Some(Unavailable::OutOfStock), ..Availability::new(false) };
    world.change(Change::SetAvailability(vec![(arm_id("c"), paused)])).unwrap();
    let (decided, then) = decide_explained(&mut world, Request { context: context(1), ..request() });
    world.update(|d| d.controls.floor = Some(0.1));
    let RecalledExplanation { explanation, revision_kept } = recalled(&world, &decided);
    assert!(revision_kept);
    assert_eq!(explanation.summary, then.summary);
    for (now, then) in explanation.candidates.iter().zip(&then.candidates) {
        assert_eq!(now.ineligible_because, then.ineligible_because);
    }
    assert_eq!(explanation.candidates[2].ineligible_because.as_deref(), Some("it is out of stock"));
}

#[test]
fn after_a_reset_nothing_is_said_to_move_the_means() {
    let mut world = taught();
    let (decided, then) = decide_explained(&mut world, Request { context: context(0), ..request() });
    assert!(then.candidates.iter().any(|candidate| !candidate.moved_by.is_empty()));
    world.change(Change::Reset).unwrap();
    let recalled = recalled(&world, &decided);
    assert!(recalled.explanation.candidates.iter().all(|candidate| candidate.moved_by.is_empty()));
    assert_eq!(recalled.explanation.candidates.len(), 4);
    let gone = recall(None, &decided);
    assert!(!gone.revision_kept && gone.explanation.candidates.is_empty());
    assert!(gone.explanation.summary.starts_with(&then.summary));
}

#[test]
fn the_named_features_say_what_moved_a_candidate() {
    let mut world = taught();
    let (_, then) = decide_explained(&mut world, Request { context: context(0), ..request() });
    let (_, other) = decide_explained(&mut world, Request { context: context(1), ..request() });
    let effect = |of: &crate::engine::Explanation, feature: &str| {
        of.candidates[0].moved_by.iter().find(|(name, _)| name == feature).map(|(_, amount)| *amount)
    };
    let (gold, none) = (effect(&then, "loyalty=gold").unwrap(), effect(&other, "loyalty=none").unwrap());
    assert!(gold > 0.1 && none < -0.1, "gold customers like a, the others do not: {gold} {none}");
}
