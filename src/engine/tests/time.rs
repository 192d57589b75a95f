//! Tests of fading, and of sums that start again with the goal.

use super::*;

const MINUTE_US: i64 = 60_000_000;

/// A slot that forgets half within a minute, and has found out that a is better.
fn trained(model: ModelSpec) -> StateHarness {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    world.update(|d| (d.model, d.controls.half_life_us) = (model, Some(MINUTE_US)));
    for i in 0..300 {
        world.at_us += 200_000;
        let decided = world.decide(request());
        let chance = if decided.chosen[0].arm == arm_id("a") { 2 } else { 11 };
        if i % chance == 0 {
            world.reward(&format!("e{i}"), &decided, "click", None);
        }
    }
    world
}

fn of_worse(world: &mut StateHarness) -> f64 {
    let explained = world.would_decide(Request { explain: true, ..request() }, &[]).explanation.unwrap();
    explained.candidates[1].propensity
}

#[test]
fn an_idle_slot_forgets_for_its_decisions_and_its_report() {
    for model in [ModelSpec::beta_bernoulli(None, None), ModelSpec::default()] {
        let mut world = trained(model);
        let observations = |world: &StateHarness| {
            let view = world.state.slot("offers").unwrap().view();
            report(&view.at(world.at_us)).arms.iter().map(|arm| arm.effective_observations).sum::<f64>()
        };
        let (busy, state) = (observations(&world), world.state.clone());
        let sure = of_worse(&mut world);
        world.at_us += 5 * MINUTE_US;
        let idle = observations(&world);
        assert!((idle / busy * 32.0 - 1.0).abs() < 0.1, "{idle} of {busy} are left after five half-lives");
        let unsure = of_worse(&mut world);
        assert!(unsure > sure + 0.1 && unsure > 0.25, "{sure} before, {unsure} after");
        assert!(world.state == state, "to read changes nothing");
        assert!((of_worse(&mut world) - unsure).abs() < 1e-12, "the same again");
        // The next decision does not make it jump.
        let decided = world.decide(request());
        world.reward("next", &decided, "look", None);
        world.update(|d| d.display_name = "renamed".into());
        let next = of_worse(&mut world);
        // The slot learns one of the few observations that are left, and no more.
        assert!((next - unsure).abs() < 0.12, "{unsure}, then {next}");
    }
}

#[test]
fn a_frozen_slot_decides_as_before() {
    let mut world = trained(ModelSpec::beta_bernoulli(None, None));
    world.update(|d| d.controls.freeze_learning = Some(true));
    let sure = of_worse(&mut world);
    world.at_us += 5 * MINUTE_US;
    assert!((of_worse(&mut world) - sure).abs() < 1e-12);
}

#[test]
fn sums_begin_again_when_the_goal_pays_something_else() {
    let mut world = StateHarness::new(definition(&["a"]));
    let first = world.decide(request());
    world.reward("e1", &first, "click", None);
    let of = |world: &StateHarness| report(&world.state.slot("offers").unwrap().view());
    assert!(of(&world).goal_sums.is_none() && (of(&world).reward_per_decision() - 1.0).abs() < 1e-12);
    world.update(|d| d.goal.window_us = 2 * HOUR_US);
    assert!(of(&world).goal_sums.is_none(), "a longer window pays the same");
    world.at_us += 1;
    world.update(|d| d.goal.kinds = vec![RewardKind { weight: 1.0, cap: None, ..d.goal.kinds[1].clone() }]);
    let second = world.decide(request());
    world.reward("e2", &second, "buy", Some(40.0));
    // The first decision's money does not belong to the sums either.
    world.reward("e3", &first, "buy", Some(1_000.0));
    world.decide(request());
    for restored in [false, true] {
        if restored {
            world.state = snapshot::decode(&snapshot::encode(&world.state).unwrap()).unwrap();
        }
        let report = of(&world);
        let sums = report.goal_sums.as_ref().unwrap();
        assert_eq!((sums.revision, sums.decisions, report.counters.decisions), (3, 2, 3));
        assert!((report.reward_per_decision() - 20.0).abs() < 1e-9, "{}", report.reward_per_decision());
        let arm = &report.arms[0];
        assert_eq!((arm.shown, arm.shown_since_goal, arm.rewarded), (3, 2, 1));
        assert!((arm.reward_sum - 40.0).abs() < 1e-9 && (arm.learned_sum - 40.0).abs() < 1e-9, "{arm:?}");
    }
    world.change(Change::Reset).unwrap();
    assert!(of(&world).goal_sums.is_none());
}

/// A period holds rewards of one goal only: clicks and money cannot be added.
#[test]
fn a_period_begins_after_the_goal_pays_something_else() {
    const STEP_US: i64 = 5 * MINUTE_US;
    let mut world = StateHarness::new(definition(&["a"]));
    for i in 0..10 {
        let decided = world.decide(request());
        world.reward(&format!("c{i}"), &decided, "click", None);
    }
    let started_us = world.at_us;
    let of = |world: &StateHarness| {
        let view = world.state.slot("offers").unwrap().view();
        (
            crate::engine::period_figures(&view, started_us - HOUR_US, world.at_us + 1),
            crate::engine::rewards_since(&view),
        )
    };
    assert!((of(&world).0.reward - 10.0).abs() < 1e-9 && of(&world).1.is_none());
    world.update(|d| d.goal.kinds = vec![RewardKind { weight: 1.0, cap: None, ..d.goal.kinds[1].clone() }]);
    let first = world.decide(request());
    world.reward("b0", &first, "buy", Some(30.0));
    let (figures, since_us) = of(&world);
    // The step of the change holds both, so that nothing can be said of it.
    assert_eq!((figures.decisions, figures.reward), (0, 0.0));
    let since_us = since_us.unwrap();
    assert!(since_us % STEP_US == 0 && since_us > world.at_us && since_us <= world.at_us + STEP_US);
    world.at_us = since_us + 1;
    let second = world.decide(request());
    world.reward("b1", &second, "buy", Some(30.0));
    let (figures, _) = of(&world);
    assert_eq!((figures.decisions, figures.from_us), (1, since_us));
    assert!((figures.reward_per_decision().unwrap() - 30.0).abs() < 1e-9);
}
