//! Tests of slates whose positions are looked at unequally, from decision to posterior.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::bandit::{ArmSummary, ClickModel};

/// A slot of six arms of which three are shown, with rewards of 0 or 1.
fn slate(click_model: ClickModel) -> StateHarness {
    let arms = ["a", "b", "c", "d", "e", "f"];
    let goal = Goal { click_model, ..Goal::default() };
    let mut world = StateHarness::new(Definition {
        goal,
        model: ModelSpec::beta_bernoulli(None, None),
        count: Some(3),
        ..definition(&arms)
    });
    world.update(|d| d.controls.floor = Some(0.08));
    world
}

fn summary(world: &StateHarness, arm: &str) -> ArmSummary {
    let view = world.state.slot("offers").unwrap().view();
    let learned = view.arms.learned(arm).unwrap();
    view.learner.summary(learned).copied().unwrap_or_default()
}

/// Reward rate of each arm that is seen.
const RATES: [f64; 6] = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
/// Probability that each position is looked at.
const LOOKS: [f64; 3] = [1.0, 0.5, 0.25];

fn browse(world: &mut StateHarness, rounds: u64) {
    let mut rng = StdRng::seed_from_u64(11);
    for i in 0..rounds {
        world.at_us += 1_000_000;
        let decided = world.decide(request());
        for (chosen, looks) in decided.chosen.iter().zip(LOOKS) {
            let arm = usize::from(chosen.arm.as_str().as_bytes()[0] - b'a');
            if rng.random_bool(looks * RATES[arm]) {
                let event = rewarded(&format!("{i}-{}", chosen.arm), Some(decided.id), "click", None);
                world.send(RewardEvent { arm: Some(chosen.arm.clone()), ..event });
            }
        }
    }
}

/// The weights of the positions are found, and with them each arm's reward rate where it is seen. A weight is a ratio
/// of rewards, so the error of its logarithm is the reported standard error. The variance of a rate is that of a rate
/// over as many looks, plus the error of the weights with which it was learned.
#[test]
fn a_position_based_slot_learns_what_an_arm_is_worth_wherever_it_stands() {
    let mut world = slate(ClickModel::PositionBased);
    browse(&mut world, 20_000);
    let state = world.state.slot("offers").unwrap();
    for (place, looks) in LOOKS.iter().enumerate() {
        let (got, error) = (state.positions.exposure(place), state.positions.ln_std_error(place));
        assert!(error < 0.08, "{error}");
        assert!((got / looks).ln().abs() <= 4.0 * error, "{place}: {got:.3} for {looks}, {error:.3}");
    }
    assert_eq!(report(&state.view()).exposures.len(), 3);
    for (arm, rate) in ["a", "b", "c", "d", "e", "f"].iter().zip(RATES) {
        let rated = summary(&world, arm).rate;
        let error = (rate / rated.weight()).sqrt() + rate * state.positions.ln_std_error(2);
        assert!((rated.mean() - rate).abs() < 4.0 * error, "{arm}: {:.3} for {rate}, {error:.3}", rated.mean());
    }
    // A slot without a click model blames the arms for their lower positions.
    let mut plain = slate(ClickModel::None);
    browse(&mut plain, 20_000);
    let worst = summary(&plain, "a").rate.mean();
    assert!(worst < 0.14, "an arm that mostly stands low looks worse than it is: {worst}");
}

#[test]
fn a_reward_and_its_reversal_leave_the_positions_as_they_were() {
    let mut world = slate(ClickModel::PositionBased);
    browse(&mut world, 50);
    let before = world.state.slot("offers").unwrap().positions.clone();
    let decided = world.decide(request());
    for chosen in &decided.chosen {
        let event = rewarded(&format!("e-{}", chosen.arm), Some(decided.id), "click", None);
        world.send(RewardEvent { arm: Some(chosen.arm.clone()), ..event });
    }
    let with = world.state.slot("offers").unwrap().positions.clone();
    assert!(decided.chosen[0].swap_probability.abs() < f64::EPSILON && decided.chosen[1].swap_probability > 0.0);
    assert!((with.exposure(2) - before.exposure(2)).abs() > 1e-6);
    for chosen in &decided.chosen {
        world.reverse(&format!("r-{}", chosen.arm), &decided, &format!("e-{}", chosen.arm));
    }
    let after = &world.state.slot("offers").unwrap().positions;
    assert!((after.exposure(2) - before.exposure(2)).abs() < 1e-12);
}

/// While learning is frozen, the positions learn no more than the arms do. A later event makes up for what was clicked
/// then, but nothing makes up for what was shown then.
#[test]
fn frozen_positions_learn_nothing_and_catch_up() {
    let mut world = slate(ClickModel::PositionBased);
    browse(&mut world, 50);
    let click = |decided: &DecisionRecord, event: &str, place: usize| RewardEvent {
        arm: Some(decided.chosen[place].arm.clone()),
        ..rewarded(event, Some(decided.id), "click", None)
    };
    let positions = |world: &StateHarness| world.state.slot("offers").unwrap().positions.clone();
    let decided = world.decide(request());
    let mut plain = StateHarness { state: world.state.clone(), events: Vec::new(), ..world };
    world = StateHarness { state: plain.state.clone(), events: Vec::new(), ..plain };
    let before = positions(&world);
    world.update(|d| d.controls.freeze_learning = Some(true));
    world.send(click(&decided, "e1", 2));
    let frozen = world.decide(request());
    world.send(click(&frozen, "e2", 2));
    assert_eq!(positions(&world), before);
    world.update(|d| d.controls.freeze_learning = None);
    world.send(click(&frozen, "e3", 1));
    assert_eq!(positions(&world), before, "what was shown while frozen is never learned");
    world.send(click(&decided, "e4", 2));
    plain.send(click(&decided, "e1", 2));
    assert_eq!(positions(&world), positions(&plain));
    assert_ne!(positions(&world), before);
}

/// Arms below the last click were not seen. Arms above it were, and their silence is learned at once.
#[test]
fn a_cascade_learns_nothing_of_what_stands_below_the_last_click() {
    let mut world = slate(ClickModel::Cascade);
    let decided = world.decide(request());
    let [top, middle, bottom] = &decided.chosen[..] else { panic!("three are shown") };
    let click = |event: &str, arm: &ArmId| RewardEvent {
        arm: Some(arm.clone()),
        ..rewarded(event, Some(decided.id), "click", None)
    };
    let learned = |world: &StateHarness, arm: &ArmId| {
        let rate = summary(world, arm.as_str()).rate;
        (rate.a() - 1.0, rate.b() - 1.0)
    };
    world.send(click("e1", &middle.arm));
    assert_eq!([top, middle, bottom].map(|c| learned(&world, &c.arm)), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)]);
    // A reversed click still shows that the arm was seen.
    world.reverse("r1", &decided, "e1");
    assert_eq!([top, middle, bottom].map(|c| learned(&world, &c.arm)), [(0.0, 1.0), (0.0, 1.0), (0.0, 0.0)]);
    world.send(click("e2", &bottom.arm));
    assert_eq!(learned(&world, &bottom.arm), (1.0, 0.0));
    // Arms below the last click stay unseen when the window closes, too.
    let weight = |world: &StateHarness, arm: &ArmId| summary(world, arm.as_str()).rate.weight();
    let clicked = world.decide(request());
    let click = rewarded("e3", Some(clicked.id), "click", None);
    world.send(RewardEvent { arm: Some(clicked.chosen[1].arm.clone()), ..click });
    let before = clicked.chosen.iter().map(|c| weight(&world, &c.arm)).collect::<Vec<_>>();
    world.at_us += 25 * HOUR_US;
    world.decide(request());
    assert!(weight(&world, &clicked.chosen[2].arm) <= before[2], "nobody saw it");
    // A slate without any click was seen whole. Its silence is learned when the window closes, at the latest.
    let silent = world.decide(request());
    world.at_us += 26 * HOUR_US;
    let before: f64 = silent.chosen.iter().map(|c| summary(&world, c.arm.as_str()).rate.weight()).sum();
    world.decide(request());
    let after: f64 = silent.chosen.iter().map(|c| summary(&world, c.arm.as_str()).rate.weight()).sum();
    assert!(after - before > 2.5, "three more at least, but for what a day takes: {before} {after}");
}
