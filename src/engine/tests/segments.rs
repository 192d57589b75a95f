//! Tests of figures by segment, of who wants what, of evidence for everybody, of alerts and of the default floor.

use super::*;
use crate::{
    engine::{AlertKind, SlotStage, alerts, segments},
    slot::{Comparand, Effect, OnError, ProbabilityBounds, Rule},
};

const SECOND_US: i64 = 1_000_000;

/// Plays shoppers of two segments, whose click rates are `rates[segment][arm]`, on arms x and y.
fn play(world: &mut StateHarness, seed: u64, decisions: u32, rates: [[f64; 2]; 2]) {
    let mut rng = StdRng::seed_from_u64(seed);
    for i in 0..decisions {
        world.at_us += SECOND_US;
        let segment = usize::from(rng.random_bool(0.5));
        let mut request = request();
        request.subject.id = format!("{seed}-{i}");
        request.context.insert("segment".into(), Value::Text(["loyal", "new"][segment].into()));
        let decided = world.decide(request);
        let arm = usize::from(decided.chosen[0].arm.as_str() == "y");
        if rng.random_bool(rates[segment][arm]) {
            world.reward(&format!("{seed}-{i}"), &decided, "click", None);
        }
        world.events.clear();
    }
}

fn clicks(floor: Option<f64>) -> Definition {
    let mut definition = definition(&["x", "y"]);
    definition.goal = Goal { window_us: HOUR_US, ..Goal::default() };
    definition.controls.floor = floor;
    definition
}

fn stage(world: &StateHarness) -> (SlotStage, String) {
    let status = report(&world.state.slot("offers").unwrap().view()).status;
    (status.stage, status.sentence)
}

/// Loyal shoppers want x and new ones y. The report says so, with what personalising earns over the best single arm.
#[test]
fn different_shoppers_want_different_arms() {
    let mut world = StateHarness::new(clicks(Some(0.02)));
    let rates = [[0.6, 0.4], [0.05, 0.25]];
    play(&mut world, 61, 6_000, rates);
    let view = world.state.slot("offers").unwrap().view();
    let found = report(&view).who_wants_what.unwrap();
    let mut wants: Vec<(&str, &str)> = found.wants.iter().map(|(value, arm)| (value.as_str(), arm.as_str())).collect();
    wants.sort_unstable();
    assert_eq!((found.feature.as_str(), wants), ("segment", vec![("loyal", "x"), ("new", "y")]));
    // The truth: .5·.6 + .5·.25 together, and the same for both single arms, .325. A standard error is about .01.
    assert!((found.together - 0.425).abs() < 0.04 && (found.single_mean - 0.325).abs() < 0.05, "{found:?}");
    let (stage, sentence) = stage(&world);
    assert_eq!(stage, SlotStage::WhoWantsWhat);
    assert!(sentence.contains("'x' for segment = loyal") && sentence.contains("'y' for segment = new"), "{sentence}");
    let reported = segments(&view);
    assert_eq!((reported.len(), reported[0].decisions), (1, 6_000));
    for value in &reported[0].values {
        let segment = usize::from(value.value.as_deref() == Some("new"));
        for arm in &value.arms {
            let truth = rates[segment][usize::from(arm.arm.as_str() == "y")];
            let (mean, low, high) = arm.if_everybody.unwrap();
            // The intervals hold for all four figures at once; they are widened by half.
            assert!((mean - truth).abs() < 1.5 * (high - low) / 2.0, "{arm:?} {truth}");
        }
        assert!((value.arms.iter().map(|arm| arm.share).sum::<f64>() - 1.0).abs() < 1e-9);
    }
}

/// Forty slots have arms that suit all shoppers alike. At most three are said to have shoppers who want different arms, where four would
/// be at 10 %, for one look at one feature.
#[test]
fn alike_shoppers_are_not_said_to_want_different_arms() {
    let mut wrong = 0;
    for seed in 0..40 {
        let mut world = StateHarness::new(clicks(Some(0.05)));
        play(&mut world, 100 + seed, 600, [[0.2, 0.2], [0.2, 0.2]]);
        wrong += usize::from(report(&world.state.slot("offers").unwrap().view()).who_wants_what.is_some());
    }
    assert!(wrong <= 3, "{wrong} of 40");
}

/// Arms with the same high rate are alike once enough is known, and the word is not said before.
#[test]
fn arms_that_are_shown_to_be_alike_make_no_difference() {
    let mut world = StateHarness::new(clicks(Some(0.3)));
    play(&mut world, 62, 300, [[0.9, 0.9], [0.9, 0.9]]);
    assert_ne!(stage(&world).0, SlotStage::NoDifference);
    play(&mut world, 63, 4_000, [[0.9, 0.9], [0.9, 0.9]]);
    let (stage, sentence) = stage(&world);
    assert_eq!(stage, SlotStage::NoDifference, "{sentence}");
}

/// A rule that asks for evidence of an arm for everybody is not met where the arm is better only for those who get it.
#[test]
fn evidence_of_an_arm_rests_on_what_it_earns_if_everybody_gets_it() {
    let mut world = StateHarness::new(clicks(Some(0.02)));
    // x earns most where it is shown, and y for everybody together.
    play(&mut world, 64, 4_000, [[0.6, 0.5], [0.02, 0.18]]);
    let evidence = |than| {
        let rule = |name: &str| Rule {
            name: name.into(),
            when: format!("arm.id == '{name}'"),
            on_error: OnError::Ignore,
            effect: Effect::Evidence { confidence: 0.9, than },
            paused: false,
        };
        vec![rule("x"), rule("y")]
    };
    let mut excluded = |than| {
        world.update(|d| d.rules = evidence(than));
        let mut request = request();
        request.explain = true;
        request.context.insert("segment".into(), Value::Text("loyal".into()));
        let explanation = world.would_decide(request, &[]).explanation.unwrap();
        let out = explanation.candidates.iter().filter(|candidate| candidate.ineligible_because.is_some());
        out.map(|candidate| candidate.arm.to_string()).collect::<Vec<_>>()
    };
    // Both would earn more than 20 % from everybody, and neither surely more than 33 %.
    assert_eq!(excluded(Comparand::Reward(0.2)), Vec::<String>::new());
    assert_eq!(excluded(Comparand::Reward(0.33)), ["x", "y"]);
}

/// A new slot whose file omits the floor has one, slots from before keep theirs, and floors of single arms leave room for it.
#[test]
fn an_omitted_floor_is_a_tenth_of_the_decisions_at_most() {
    let mut omitted = definition(&["a", "b", "c", "d"]);
    omitted.controls.floor = None;
    let created = {
        let mut world = StateHarness::new(definition(&["a", "b", "c", "d"]));
        world.update(|d| d.controls.floor = None);
        world
    };
    let of = |world: &StateHarness, arms| world.state.slot("offers").unwrap().definition().floor(arms, 1.0);
    assert!((of(&created, 4) - 0.02).abs() < 1e-12 && (of(&created, 20) - 0.005).abs() < 1e-12);
    assert!(omitted.floor(4, 1.0).abs() < 1e-12, "a definition that no new slot was created from");
    let mut world = created;
    world.update(|d| d.controls.policy = Some(Policy::Greedy));
    assert!(of(&world, 4).abs() < 1e-12, "a greedy policy was chosen because it does not explore");
    world.update(|d| {
        d.controls.policy = None;
        d.controls.arm_bounds = [(arm_id("a"), ProbabilityBounds { floor: Some(0.9), ceiling: None })].into();
    });
    let mut request = request();
    request.explain = true;
    let explanation = world.would_decide(request, &[]).explanation.unwrap();
    for candidate in &explanation.candidates {
        // 0.1 · (1 − 0.9) / 4 is left for each of the others.
        let least = if candidate.arm.as_str() == "a" { 0.9 } else { 0.0025 };
        assert!(candidate.propensity >= least - 1e-6, "{candidate:?}");
    }
}

/// A feature that vanishes, one in another unit, and clicks that are reported no more are alerts; nothing is one before.
#[test]
fn what_changes_around_a_slot_is_an_alert() {
    let mut world = StateHarness::new(clicks(Some(0.1)));
    let mut rng = StdRng::seed_from_u64(65);
    let mut play = |world: &mut StateHarness, decisions: u32, broken: bool| {
        for i in 0..decisions {
            world.at_us += 20 * SECOND_US;
            let mut request = request();
            let price: f64 = rng.random_range(10.0..40.0);
            request.context.insert("price".into(), Value::Number(if broken { 100.0 * price } else { price }));
            if !broken {
                request.context.insert("segment".into(), Value::Text("new".into()));
            }
            request.context.insert("vip".into(), if broken { Value::Text("yes".into()) } else { Value::Flag(true) });
            let decided = world.decide(request);
            if !broken && rng.random_bool(0.2) {
                world.reward(&format!("{}-{i}", world.at_us), &decided, "click", None);
            }
            world.events.clear();
        }
    };
    play(&mut world, 4_000, false);
    let kinds = |world: &StateHarness| -> Vec<AlertKind> {
        alerts(&world.state.slot("offers").unwrap().view()).into_iter().map(|alert| alert.kind).collect()
    };
    assert_eq!(kinds(&world), []);
    play(&mut world, 60, true);
    assert_eq!(
        kinds(&world),
        [AlertKind::FeatureChangedScale, AlertKind::FeatureVanished, AlertKind::FeatureChangedType]
    );
    // Six hours of decisions without a click, and the time in which clicks come.
    play(&mut world, 1_500, true);
    assert!(kinds(&world).contains(&AlertKind::EventStopped), "{:?}", kinds(&world));
}

/// Shoppers who come back a hundred times, of whom each always or never clicks, say as little as one decision each: the interval of the
/// lift and those of the arms are as wide.
#[test]
fn intervals_widen_for_shoppers_who_come_back() {
    let mut definition = clicks(Some(0.3));
    definition.controls.holdout = Some(0.5);
    let mut world = StateHarness::new(definition);
    let mut rng = StdRng::seed_from_u64(66);
    for _ in 0..8_000 {
        world.at_us += SECOND_US;
        let subject: u32 = rng.random_range(0..400);
        let mut request = request();
        request.subject.id = format!("s{subject}");
        let decided = world.decide(request);
        // A third of the subjects always click.
        if subject.is_multiple_of(3) {
            world.reward(&format!("e{}", world.at_us), &decided, "click", None);
        }
        world.events.clear();
    }
    let report = report(&world.state.slot("offers").unwrap().view());
    // 20 visits each with an intra-class correlation of 1 have the design effect 20; the estimate has the relative error .18.
    assert!((8.0..36.0).contains(&report.design_effect), "{}", report.design_effect);
    let (low, high) = report.lift.unwrap().interval.unwrap();
    assert!(low < 0.0 && high > 0.0 && high - low > 0.2, "{low} {high}");
    for arm in &report.arms {
        assert!(arm.effective_observations < 600.0, "{arm:?}");
    }
    assert!(report.ratio_check.is_some_and(|check| !check.is_mismatch()), "{:?}", report.ratio_check);
}
