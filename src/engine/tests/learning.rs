//! Tests of slots that start from what another has learned, and of arms that are reset.

use super::*;
use crate::engine::{StartFrom, plan_start};

fn other_id() -> SlotId {
    SlotId::parse("slot_id", "other").unwrap()
}

/// A slot that knows its arms well: each earns as often as its place among them.
fn taught() -> StateHarness {
    let mut world = StateHarness::new(definition(&["a", "b", "c"]));
    world.update(|definition| definition.controls.policy = Some(Policy::Uniform));
    for n in 0..400_u32 {
        world.at_us += 1_000_000;
        let mut request = request();
        request.context.insert("device".into(), Value::Text(format!("d{}", n % 3)));
        let decided = world.decide(request);
        let earns = match decided.chosen[0].arm.as_str() {
            "a" => n % 10 == 0,
            "b" => n % 3 == 0,
            _ => n % 2 == 0,
        };
        if earns {
            world.reward(&format!("e{n}"), &decided, "click", None);
        }
    }
    world.at_us += 2 * HOUR_US;
    world.decide(request());
    world
}

fn start(world: &mut StateHarness, arms: &[&str], weight: f64) {
    let definition = Definition { id: other_id(), ..definition(arms) };
    let from = StartFrom { slot: slot_id(), weight };
    let change = Change::CreateFrom(definition, from.clone());
    let body = plan(&world.state, &other_id(), change, &ChangeReason::default()).unwrap().unwrap();
    world.apply(body);
    world.apply(plan_start(&other_id(), &from, &ChangeReason::default()));
}

/// Mean and weight of each arm, by id.
fn known(world: &StateHarness, slot: &str) -> BTreeMap<String, (f64, f64)> {
    let state = world.state.slot(slot).unwrap();
    let view = state.view();
    let of = |arm: &ArmId| {
        let summary = view.learner.summary(view.arms.learned(arm.as_str())?)?;
        Some((arm.to_string(), (summary.rate.mean(), summary.weight())))
    };
    view.definition.arms.iter().filter_map(|arm| of(&arm.id)).collect()
}

#[test]
fn a_slot_starts_from_what_another_has_learned_of_the_arms_that_both_have() {
    let mut world = taught();
    start(&mut world, &["c", "new", "a"], 1.0);
    let (source, target) = (known(&world, "offers"), known(&world, "other"));
    for arm in ["a", "c"] {
        assert_eq!(source[arm], target[arm], "{arm}");
    }
    assert!(!target.contains_key("new"), "{target:?}");
    let view = world.state.slot("other").unwrap().view();
    assert_eq!(view.counters.decisions, 0);
    let source_view = world.state.slot("offers").unwrap().view();
    assert!(view.learner.weights().eq(source_view.learner.weights()));
    // The new slot learns on by itself, and the slot that it started from stays as it is.
    let request = Request::new(other_id());
    world.count += 1;
    let id = DecisionId::new(view.number, world.at_us, world.count);
    let decided = Arc::new(decide(&view, request, DecideOptions::new(id, 7)).decided);
    world.apply(Body::Decided(Arc::clone(&decided)));
    let mut click = rewarded("first", Some(decided.id), "click", None);
    click.slot = other_id();
    assert_eq!(world.send(click), EventStatus::Accepted);
    assert_eq!(known(&world, "offers"), source);
    assert_ne!(known(&world, "other"), target);
}

#[test]
fn with_a_weight_the_beliefs_are_the_same_and_less_sure() {
    let mut world = taught();
    start(&mut world, &["a", "b", "c"], 0.1);
    let (source, target) = (known(&world, "offers"), known(&world, "other"));
    for (arm, (mean, weight)) in &source {
        let (other_mean, other_weight) = target[arm];
        assert!((other_weight / weight - 0.1).abs() < 1e-9, "{arm}: {other_weight} of {weight}");
        assert!((other_mean - mean).abs() < 0.1, "{arm}: {other_mean} and {mean}");
    }
    let total: f64 = source.values().map(|known| known.1).sum();
    assert!(total > 300.0, "{total}");
}

#[test]
fn the_fold_of_a_start_is_the_same_for_any_number_of_shards_and_after_a_snapshot() {
    let mut world = taught();
    start(&mut world, &["a", "b"], 0.5);
    let whole = snapshot::encode(&world.state).unwrap();
    assert!(snapshot::encode(&snapshot::decode(&whole).unwrap()).unwrap() == whole);
    for shards in 2..5 {
        let (mut ledger, mut parts) = State::default().split(shards);
        let index = |slot: &SlotId| super::super::SlotShard::index_of(slot.as_str(), shards);
        for event in &world.events {
            let step = ledger.step(event.at_us, &event.body);
            if let Body::LearningCopied { slot, from, weight, .. } = &event.body {
                let seed = parts[index(from)].learning_of(from);
                parts[index(slot)].start_from(slot, seed.as_ref(), *weight);
            } else {
                let at = index(event.body.slot().unwrap());
                parts[at].apply(step, &event.body, None);
            }
            for part in &mut parts {
                part.sweep(step, None);
            }
        }
        assert!(snapshot::encode(&State::join(ledger, parts)).unwrap() == whole, "{shards} shards");
    }
}

#[test]
fn a_start_that_makes_no_sense_is_refused() {
    let world = taught();
    let refused = |edit: &dyn Fn(&mut Definition), from: StartFrom| {
        let mut wanted = Definition { id: other_id(), ..definition(&["a"]) };
        edit(&mut wanted);
        let change = Change::CreateFrom(wanted, from);
        plan(&world.state, &other_id(), change, &ChangeReason::default()).unwrap_err().to_string()
    };
    let from = |slot: &str, weight| StartFrom { slot: SlotId::parse("slot_id", slot).unwrap(), weight };
    for weight in [0.0, -1.0, 1.5, f64::NAN] {
        let why = refused(&|_| {}, from("offers", weight));
        assert!(why.starts_with("start_from.weight: "), "{why}");
    }
    let why = refused(&|_| {}, from("offer", 1.0));
    assert!(why.starts_with("start_from.slot_id: ") && why.contains("did you mean 'offers'"), "{why}");
    let why = refused(&|wanted| wanted.controls.simulated = Some(true), from("offers", 1.0));
    assert!(why.contains("simulated"), "{why}");
    let why = refused(&|wanted| wanted.goal = Goal::default(), from("offers", 1.0));
    assert!(why.contains("rates"), "{why}");
}

#[test]
fn an_arm_that_is_reset_is_as_if_it_were_new_and_the_others_stay() {
    let mut world = taught();
    let before = known(&world, "offers");
    world.change(Change::ResetArm(arm_id("b"))).unwrap();
    let after = known(&world, "offers");
    let (mean, weight) = after["b"];
    assert!(weight < 1e-6 && (mean - 0.5).abs() < 1e-6, "{mean} of {weight}");
    assert_eq!((before["a"], before["c"]), (after["a"], after["c"]));
    let revisions = world.state.slot("offers").unwrap().revisions();
    assert_eq!(revisions.last().unwrap().change, "arm b reset");
    let summary_of = |world: &StateHarness| world.counters().decisions;
    assert_eq!(summary_of(&world), 401, "counts stay");
    let unknown = world.change(Change::ResetArm(arm_id("z"))).unwrap_err().to_string();
    assert!(unknown.starts_with("arm_id: "), "{unknown}");
    // A refund of what was forgotten changes nothing that matters.
    for n in 0..20_u32 {
        world.at_us += 1_000_000;
        let decided = world.decide(request());
        world.reward(&format!("later{n}"), &decided, "click", None);
    }
    assert!(known(&world, "offers")["b"].1 < 21.0);
}
