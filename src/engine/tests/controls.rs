//! Tests of the marketers' controls, one by one: the effect of each on what is shown, and that none touches what was
//! learned.

use std::collections::BTreeMap;

use super::*;
use crate::{
    engine::{Availability, decide},
    slot::{
        Baseline, Effect, ExplorationPreset, HeadStart, Mode, OnError, ProbabilityBounds, Rule, Schedule, Stickiness,
        Unavailable, WarmUp,
    },
};

pub(super) const DAY_US: i64 = 24 * HOUR_US;

pub(super) fn rule(name: &str, when: &str, effect: Effect) -> Rule {
    Rule { name: name.into(), when: when.into(), effect, on_error: OnError::Ignore, paused: false }
}

pub(super) fn subject(id: &str) -> Subject {
    Subject { id: id.into(), session_id: String::new() }
}

pub(super) fn request_of(id: &str) -> Request {
    Request { subject: subject(id), ..Request::new(slot_id()) }
}

/// A slot of three arms of which `b` is known to be the best.
pub(super) fn trained_world(edit: impl FnOnce(&mut Definition)) -> StateHarness {
    let mut definition = definition(&["a", "b", "c"]);
    definition.model = ModelSpec::beta_bernoulli(None, None);
    definition.controls.holdout = Some(0.0);
    let mut world = StateHarness::new(definition);
    let mut rng = StdRng::seed_from_u64(5);
    for i in 0..600 {
        world.at_us += 1_000;
        let decided = world.decide(Request::new(slot_id()));
        let rate = if decided.chosen[0].arm.as_str() == "b" { 0.6 } else { 0.3 };
        if rng.random_bool(rate) {
            world.reward(&format!("e{i}"), &decided, "click", None);
        }
    }
    world.update(edit);
    world
}

/// Returns how often each arm leads in `n` anonymous decisions, and the propensities with which it was logged.
pub(super) fn count_leads(world: &mut StateHarness, n: u32) -> BTreeMap<String, (u32, f64)> {
    let mut leads = BTreeMap::<String, (u32, f64)>::new();
    for _ in 0..n {
        let decided = world.would_decide(Request::new(slot_id()), &[]).decided;
        let chosen = &decided.chosen[0];
        let cell = leads.entry(chosen.arm.to_string()).or_default();
        *cell = (cell.0 + 1, chosen.propensity);
    }
    leads
}

pub(super) fn shares(world: &mut StateHarness) -> Vec<f64> {
    let explained = world.would_decide(Request { explain: true, ..Request::new(slot_id()) }, &[]).explanation.unwrap();
    explained.candidates.iter().map(|candidate| candidate.propensity).collect()
}

fn learner(world: &StateHarness) -> crate::bandit::Learner {
    world.state.slot("offers").unwrap().learner().clone()
}

#[test]
fn exploration_presets_are_widths_and_an_even_split() {
    let width = |stop, exploration| {
        let mut world = trained_world(|d| (d.controls.preset, d.controls.exploration) = (stop, exploration));
        shares(&mut world)
    };
    assert_eq!(width(Some(ExplorationPreset::Cautious), None), width(None, Some(0.5)));
    assert_eq!(width(Some(ExplorationPreset::Balanced), None), width(None, None));
    assert_eq!(width(Some(ExplorationPreset::Curious), None), width(None, Some(1.5)));
    assert!(width(Some(ExplorationPreset::EvenSplit), None).iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-12));
}

#[test]
fn single_arms_have_floors_and_ceilings_of_their_own() {
    let mut world = trained_world(|d| {
        d.controls.arm_bounds = [
            (arm_id("a"), ProbabilityBounds { floor: Some(0.2), ceiling: None }),
            (arm_id("b"), ProbabilityBounds { floor: None, ceiling: Some(0.5) }),
        ]
        .into();
    });
    let shares = shares(&mut world);
    assert!(shares[0] >= 0.2 && shares[1] <= 0.5 + 1e-12, "{shares:?}");
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn a_warm_up_is_even_until_each_arm_had_its_chance() {
    let mut world = StateHarness::new(Definition {
        controls: crate::slot::Controls {
            warm_up: Some(WarmUp { views: 20, rewards: 2, patience: None }),
            holdout: Some(0.0),
            ..Default::default()
        },
        ..definition(&["a", "b"])
    });
    let (mut even, mut n) = (0, 0);
    loop {
        world.at_us += 1_000;
        n += 1;
        let decided = world.decide(Request::new(slot_id()));
        let tallies = world.state.slot("offers").unwrap().view().arm_counters;
        let warm = tallies.iter().filter(|t| t.shown >= 20 && t.rewarded >= 2).count() == 2;
        if (decided.chosen[0].propensity - 0.5).abs() < 1e-12 {
            even += 1;
        } else {
            break;
        }
        assert!(!warm || n > 40, "{n}");
        world.reward(&format!("e{n}"), &decided, "click", None);
        assert!(n < 1_000);
    }
    assert!(even >= 40, "at least twenty each: {even}");
}

#[test]
fn new_arms_are_guaranteed_a_share_inside_the_limit_of_all() {
    let mut world = trained_world(|d| d.controls.head_start = Some(HeadStart { views: 50, floor: 0.3, limit: 0.4 }));
    let arms = ["d", "e"].map(|id| Arm::new(arm_id(id))).to_vec();
    world.change(Change::UpsertArms(arms)).unwrap();
    let p = shares(&mut world);
    assert!(p[3] >= 0.2 && p[4] >= 0.2, "{p:?}");
    for _ in 0..600 {
        world.at_us += 1_000;
        world.decide(Request::new(slot_id()));
    }
    let p = shares(&mut world);
    assert!(p[3] < 0.2 && p[4] < 0.2, "they are new no more: {p:?}");
}

#[test]
fn shadow_mode_shows_the_baseline_and_learns_from_it() {
    let mut world = trained_world(|d| d.controls.mode = Some(Mode::Shadow));
    let before = learner(&world);
    let decided = world.decide(request_of("ann"));
    assert_eq!((decided.chosen[0].arm.as_str(), decided.chosen[0].reason), ("a", Reason::Shadow));
    assert!((decided.chosen[0].propensity - 1.0).abs() < 1e-15 && !decided.holdout);
    assert!(!decided.shadow_slate.is_empty() && decided.shadow_slate[0].propensity < 1.0);
    assert_eq!(world.reward("w", &decided, "click", None), EventStatus::Accepted);
    assert_ne!(learner(&world), before);
}

/// A test of a fifth holds the rest back. Growing it moves nobody out, and the holdout stays a part of those who are
/// left.
#[test]
fn shares_of_subjects_move_only_those_they_must() {
    let who = |mode, holdout, salt: Option<&str>| -> Vec<bool> {
        let mut world = trained_world(|d| {
            (d.controls.mode, d.controls.holdout, d.controls.salt) = (mode, Some(holdout), salt.map(Into::into));
        });
        (0..2_000).map(|i| world.would_decide(request_of(&format!("s{i}")), &[]).decided.holdout).collect()
    };
    let (small, large) = (who(Some(Mode::Test(0.2)), 0.1, None), who(Some(Mode::Test(0.6)), 0.1, None));
    let (on, salted) = (who(None, 0.1, None), who(None, 0.1, Some("again")));
    let count = |held: &[bool]| held.iter().filter(|h| **h).count() as f64;
    // The bound is five standard errors of 2,000 draws.
    for (held, share) in [(&small, 0.8), (&large, 0.4), (&on, 0.1), (&salted, 0.1)] {
        let error = f64::sqrt(2_000.0 * share * (1.0 - share));
        assert!((count(held) - 2_000.0 * share).abs() < 5.0 * error, "{share}: {}", count(held));
    }
    let within = |few: &[bool], many: &[bool]| few.iter().zip(many).all(|(few, many)| !few || *many);
    assert!(within(&large, &small) && within(&on, &large));
    assert_ne!(on, salted, "another salt draws others");
}

#[test]
fn baselines_are_the_callers_order_one_arm_or_all_alike_each_with_its_propensity() {
    let mut one =
        trained_world(|d| (d.controls.holdout, d.controls.baseline) = (Some(1.0), Some(Baseline::Arm(arm_id("c")))));
    let decided = one.would_decide(Request { count: 3, ..request_of("ann") }, &[]).decided;
    let order: Vec<_> = decided.chosen.iter().map(|c| c.arm.as_str()).collect();
    assert_eq!((order, decided.chosen[0].reason), (vec!["c", "a", "b"], Reason::Holdout));
    let mut all = trained_world(|d| (d.controls.holdout, d.controls.baseline) = (Some(1.0), Some(Baseline::Uniform)));
    for (arm, (n, p)) in count_leads(&mut all, 6_000) {
        assert!((p - 1.0 / 3.0).abs() < 1e-12);
        assert!((f64::from(n) - 2_000.0).abs() < 5.0 * (6_000.0 * p * (1.0 - p)).sqrt(), "{arm}: {n}");
    }
}

#[test]
fn nothing_is_learned_from_the_analysis_slice_and_all_of_it_is_counted() {
    let mut world = trained_world(|d| d.controls.analysis = Some(1.0));
    let before = learner(&world);
    let shown = world.counters().decisions;
    let decided = world.decide(request_of("ann"));
    world.reward("x", &decided, "click", None);
    assert!(decided.analysis && !decided.holdout && decided.chosen[0].propensity < 1.0);
    assert_eq!((learner(&world), world.counters().decisions), (before, shown + 1));
}

/// Freezing, safe choice and every other control, set and set back, leave what was learned before, bit for bit.
#[test]
fn no_control_resets_learning() {
    let mut world = trained_world(|_| {});
    let (before, was) = (learner(&world), (**world.state.slot("offers").unwrap().definition()).clone());
    world.update(|d| {
        d.controls.preset = Some(ExplorationPreset::Curious);
        d.controls.floor = Some(0.1);
        d.controls.mode = Some(Mode::Shadow);
        d.controls.safe_choice = Some(true);
        d.controls.freeze_learning = Some(true);
        d.controls.stickiness = Some(Stickiness::Session);
        d.rules = vec![rule("no a", "arm.id == 'a'", Effect::Exclude)];
    });
    let paused = Availability { because: Some(Unavailable::OutOfStock), ..Availability::new(false) };
    world.change(Change::SetAvailability(vec![(arm_id("b"), paused)])).unwrap();
    assert_eq!(learner(&world), before);
    // An arm that is out of stock does not come back with a setting.
    world.change(Change::Rollback(was_revision(&world, &was))).unwrap();
    assert!(!world.state.slot("offers").unwrap().definition().arms[1].available);
    world.change(Change::SetAvailability(vec![(arm_id("b"), Availability::new(true))])).unwrap();
    // Fields that operations own are set back by operations.
    world.update(|d| (d.controls.mode, d.controls.safe_choice, d.controls.freeze_learning) = (None, None, None));
    world.change(Change::Rollback(was_revision(&world, &was))).unwrap();
    assert_eq!((learner(&world), &**world.state.slot("offers").unwrap().definition()), (before, &was));
}

fn was_revision(world: &StateHarness, was: &Definition) -> u64 {
    let slot = world.state.slot("offers").unwrap();
    (1..=slot.revision_number()).rev().find(|&n| slot.revision(n).is_some_and(|r| *r.definition == *was)).unwrap()
}

#[test]
fn arms_are_shown_within_their_schedule_only() {
    let mut world = trained_world(|_| {});
    let now = world.at_us;
    let schedule = Schedule { from_us: Some(now + HOUR_US), until_us: Some(now + 2 * HOUR_US) };
    let wanted = Availability { available: None, because: None, schedule: Some(schedule) };
    world.change(Change::SetAvailability(vec![(arm_id("b"), wanted)])).unwrap();
    let mut shown_at = |at_us| {
        world.at_us = at_us;
        shares(&mut world)[1] > 0.0
    };
    assert_eq!([now, now + HOUR_US, now + 2 * HOUR_US].map(&mut shown_at), [false, true, false]);
    let never = Schedule { from_us: Some(9), until_us: Some(9) };
    let wanted = Availability { available: None, because: None, schedule: Some(never) };
    let error = world.change(Change::SetAvailability(vec![(arm_id("b"), wanted)])).unwrap_err().to_string();
    assert!(error.contains("until") && error.contains("after from"), "{error}");
}

#[test]
fn a_subject_sticks_to_its_first_draw_with_its_propensity() {
    let mut world = trained_world(|d| d.controls.stickiness = Some(Stickiness::For(2 * DAY_US)));
    let ask = |world: &mut StateHarness, request: Request| {
        let past = world.state.slot("offers").unwrap().exposure().clone();
        world.count += 1;
        let view = world.state.slot("offers").unwrap().view();
        let options = DecideOptions::new(
            DecisionId::new(view.number, world.at_us, world.count),
            crate::engine::hash("test", &[&world.count.to_be_bytes()]).word(),
        );
        let decided = Arc::new(decide(&view, request, DecideOptions { exposures: Some(&past), ..options }).decided);
        world.apply(Body::Decided(Arc::clone(&decided)));
        decided
    };
    let first = ask(&mut world, request_of("ann"));
    for _ in 0..30 {
        world.at_us += HOUR_US;
        let again = ask(&mut world, request_of("ann"));
        assert_eq!((again.sticky, again.chosen[0].reason), (Some(first.id), Reason::Sticky));
        assert_eq!(again.chosen[0].arm, first.chosen[0].arm);
        assert_eq!(again.chosen[0].propensity.to_bits(), first.chosen[0].propensity.to_bits());
    }
    // A snapshot keeps it.
    let bytes = snapshot::encode(&world.state).unwrap();
    world.state = snapshot::decode(&bytes).unwrap();
    assert_eq!(ask(&mut world, request_of("ann")).sticky, Some(first.id));
    assert_eq!(ask(&mut world, Request::new(slot_id())).sticky, None, "nobody sticks to nothing");
    // An arm that may no longer be shown is replaced by a new draw, and after two days everything is drawn again.
    let gone = Availability::new(false);
    world.change(Change::SetAvailability(vec![(first.chosen[0].arm.clone(), gone)])).unwrap();
    let other = ask(&mut world, request_of("ann"));
    assert!(other.sticky.is_none() && other.chosen[0].arm != first.chosen[0].arm);
    world.at_us += 3 * DAY_US;
    assert_eq!(ask(&mut world, request_of("ann")).sticky, None);
}
