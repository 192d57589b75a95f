//! Tests of the marketers' controls, one by one: the effect of each on what is shown, and that none touches what was
//! learned.

use std::collections::BTreeMap;

use super::*;
use crate::{
    engine::{Availability, ChangeError, Memory, Past, decide_with},
    slot::{
        Baseline, Comparand, Effect, ExplorationPreset, HeadStart, Mode, OnError, ProbabilityBounds, Rule, Schedule,
        Stickiness, Unavailable, WarmUp,
    },
};

const DAY_US: i64 = 24 * HOUR_US;

fn rule(name: &str, when: &str, effect: Effect) -> Rule {
    Rule { name: name.into(), when: when.into(), effect, on_error: OnError::Ignore, paused: false }
}

fn subject(id: &str) -> Subject {
    Subject { id: id.into(), session_id: String::new() }
}

fn of(id: &str) -> Request {
    Request { subject: subject(id), ..Request::new(slot_id()) }
}

/// A slot of three arms of which `b` is known to be the best.
fn world(edit: impl FnOnce(&mut Definition)) -> World {
    let mut definition = definition(&["a", "b", "c"]);
    definition.model = ModelSpec::beta_bernoulli(None, None);
    definition.controls.holdout = Some(0.0);
    let mut world = World::new(definition);
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
fn led(world: &mut World, n: u32) -> BTreeMap<String, (u32, f64)> {
    let mut led = BTreeMap::<String, (u32, f64)>::new();
    for _ in 0..n {
        let decided = world.would_decide(Request::new(slot_id()), &[]).decided;
        let chosen = &decided.chosen[0];
        let cell = led.entry(chosen.arm.to_string()).or_default();
        *cell = (cell.0 + 1, chosen.propensity);
    }
    led
}

fn shares(world: &mut World) -> Vec<f64> {
    let explained = world.would_decide(Request { explain: true, ..Request::new(slot_id()) }, &[]).explanation.unwrap();
    explained.candidates.iter().map(|candidate| candidate.propensity).collect()
}

fn learner(world: &World) -> crate::bandit::Learner {
    world.state.slot("offers").unwrap().learner().clone()
}

#[test]
fn named_stops_are_widths_and_an_even_split() {
    let width = |stop, exploration| {
        let mut world = world(|d| (d.controls.preset, d.controls.exploration) = (stop, exploration));
        shares(&mut world)
    };
    assert_eq!(width(Some(ExplorationPreset::Cautious), None), width(None, Some(0.5)));
    assert_eq!(width(Some(ExplorationPreset::Balanced), None), width(None, None));
    assert_eq!(width(Some(ExplorationPreset::Curious), None), width(None, Some(1.5)));
    assert!(width(Some(ExplorationPreset::EvenSplit), None).iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-12));
}

#[test]
fn single_arms_have_floors_and_ceilings_of_their_own() {
    let mut world = world(|d| {
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
    let mut world = World::new(Definition {
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
        let tallies = world.state.slot("offers").unwrap().view().tallies;
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
    let mut world = world(|d| d.controls.head_start = Some(HeadStart { views: 50, floor: 0.3, limit: 0.4 }));
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
fn a_slot_that_watches_shows_the_baseline_and_learns_from_it() {
    let mut world = world(|d| d.controls.mode = Some(Mode::Shadow));
    let before = learner(&world);
    let decided = world.decide(of("ann"));
    assert_eq!((decided.chosen[0].arm.as_str(), decided.chosen[0].reason), ("a", Reason::Watching));
    assert!((decided.chosen[0].propensity - 1.0).abs() < 1e-15 && !decided.holdout);
    assert!(!decided.would.is_empty() && decided.would[0].propensity < 1.0);
    assert_eq!(world.reward("w", &decided, "click", None), RewardOutcome::Accepted);
    assert_ne!(learner(&world), before);
}

/// A test of a fifth holds the rest back. Growing it moves nobody out, and the holdout stays a part of those who are
/// left.
#[test]
fn shares_of_subjects_move_only_those_they_must() {
    let who = |mode, holdout, salt: Option<&str>| -> Vec<bool> {
        let mut world = world(|d| {
            (d.controls.mode, d.controls.holdout, d.controls.salt) = (mode, Some(holdout), salt.map(Into::into));
        });
        (0..2_000).map(|i| world.would_decide(of(&format!("s{i}")), &[]).decided.holdout).collect()
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
    let mut one = world(|d| (d.controls.holdout, d.controls.baseline) = (Some(1.0), Some(Baseline::Arm(arm_id("c")))));
    let decided = one.would_decide(Request { count: 3, ..of("ann") }, &[]).decided;
    let order: Vec<_> = decided.chosen.iter().map(|c| c.arm.as_str()).collect();
    assert_eq!((order, decided.chosen[0].reason), (vec!["c", "a", "b"], Reason::Holdout));
    let mut all = world(|d| (d.controls.holdout, d.controls.baseline) = (Some(1.0), Some(Baseline::Uniform)));
    for (arm, (n, p)) in led(&mut all, 6_000) {
        assert!((p - 1.0 / 3.0).abs() < 1e-12);
        assert!((f64::from(n) - 2_000.0).abs() < 5.0 * (6_000.0 * p * (1.0 - p)).sqrt(), "{arm}: {n}");
    }
}

#[test]
fn nothing_is_learned_from_the_analysis_slice_and_all_of_it_is_counted() {
    let mut world = world(|d| d.controls.analysis = Some(1.0));
    let before = learner(&world);
    let shown = world.counters().decisions;
    let decided = world.decide(of("ann"));
    world.reward("x", &decided, "click", None);
    assert!(decided.analysis && !decided.holdout && decided.chosen[0].propensity < 1.0);
    assert_eq!((learner(&world), world.counters().decisions), (before, shown + 1));
}

/// Freezing, safe choice and every other control, set and set back, leave what was learned before, bit for bit.
#[test]
fn no_lever_resets_learning() {
    let mut world = world(|_| {});
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

fn was_revision(world: &World, was: &Definition) -> u64 {
    let slot = world.state.slot("offers").unwrap();
    (1..=slot.revision_number()).rev().find(|&n| slot.revision(n).is_some_and(|r| *r.definition == *was)).unwrap()
}

#[test]
fn arms_are_shown_within_their_schedule_only() {
    let mut world = world(|_| {});
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

/// A row of availability changes leaves one revision, so a stock feed pushes nobody's changes out.
#[test]
fn a_stock_feed_leaves_one_revision() {
    let mut world = world(|_| {});
    let slot = |world: &World| world.state.slot("offers").unwrap().revisions.len();
    let before = slot(&world);
    for i in 0..500 {
        world.change(Change::SetAvailability(vec![(arm_id("b"), Availability::new(i % 2 == 1))])).unwrap();
    }
    assert_eq!(slot(&world), before + 1);
}

#[test]
fn a_subject_sticks_to_its_first_draw_with_its_propensity() {
    let mut world = world(|d| d.controls.stickiness = Some(Stickiness::For(2 * DAY_US)));
    let ask = |world: &mut World, request: Request| {
        let past = world.state.slot("offers").unwrap().past().clone();
        world.count += 1;
        let view = world.state.slot("offers").unwrap().view();
        let draw = Draw {
            id: DecisionId::new(view.number, world.at_us, world.count),
            seed: super::super::hash("test", &[&world.count.to_be_bytes()]).word(),
            taken: &[],
            deadline_passed: false,
        };
        let decided = Arc::new(decide_with(&view, request, draw, &past).decided);
        world.apply(Body::Decided(Arc::clone(&decided)));
        decided
    };
    let first = ask(&mut world, of("ann"));
    for _ in 0..30 {
        world.at_us += HOUR_US;
        let again = ask(&mut world, of("ann"));
        assert_eq!((again.sticky, again.chosen[0].reason), (Some(first.id), Reason::Sticky));
        assert_eq!(again.chosen[0].arm, first.chosen[0].arm);
        assert_eq!(again.chosen[0].propensity.to_bits(), first.chosen[0].propensity.to_bits());
    }
    // A snapshot keeps it.
    let bytes = snapshot::encode(&world.state).unwrap();
    world.state = snapshot::decode(&bytes).unwrap();
    assert_eq!(ask(&mut world, of("ann")).sticky, Some(first.id));
    assert_eq!(ask(&mut world, Request::new(slot_id())).sticky, None, "nobody sticks to nothing");
    // An arm that may no longer be shown is replaced by a new draw, and after two days everything is drawn again.
    let gone = Availability::new(false);
    world.change(Change::SetAvailability(vec![(first.chosen[0].arm.clone(), gone)])).unwrap();
    let other = ask(&mut world, of("ann"));
    assert!(other.sticky.is_none() && other.chosen[0].arm != first.chosen[0].arm);
    world.at_us += 3 * DAY_US;
    assert_eq!(ask(&mut world, of("ann")).sticky, None);
}

/// A budget that arms share also counts showings of arms that are no candidates now, and holds within a slate.
#[test]
fn caps_that_arms_share_hold_over_requests_and_within_a_slate() {
    let cap = rule("a and b", "arm.id != 'c'", Effect::DayCap { count: 5, together: true });
    let mut world = world(|d| d.rules = vec![cap]);
    let memory = Memory::of(world.state.slot("offers").unwrap().definition());
    let mut past = Past::new();
    let mut shown = 0;
    let mut slates = Vec::new();
    for n in 0..8_u64 {
        world.count += 1;
        let view = world.state.slot("offers").unwrap().view();
        let id = DecisionId::new(view.number, world.at_us, world.count);
        let draw = Draw { id, seed: n, taken: &[], deadline_passed: false };
        let only_b = vec![RequestCandidate { arm: arm_id("b"), features: Features::new() }];
        let request = match n {
            2 => Request { candidates: only_b, ..Request::new(slot_id()) },
            _ => Request { count: 3, ..Request::new(slot_id()) },
        };
        let decided = decide_with(&view, request, draw, &past).decided;
        past.remember(world.at_us, &decided, memory);
        shown += decided.chosen.iter().filter(|c| c.arm.as_str() != "c").count();
        slates.push(decided.chosen.len());
    }
    assert_eq!(shown, 5, "{slates:?}");
    assert_eq!(slates, [3, 3, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn caps_hold_by_subject_and_by_day() {
    let caps = vec![
        rule(
            "b twice a day each",
            "arm.id == 'b'",
            Effect::SubjectCap { count: 2, window_us: DAY_US, together: false },
        ),
        rule("c five a day", "arm.id == 'c'", Effect::DayCap { count: 5, together: false }),
    ];
    let mut world = world(|d| d.rules = caps);
    let memory = Memory::of(world.state.slot("offers").unwrap().definition());
    let mut past = Past::new();
    let mut shown = BTreeMap::<(String, String), u32>::new();
    world.at_us -= world.at_us % DAY_US;
    for n in 0..900_u64 {
        world.at_us += 1_000_000;
        world.count += 1;
        let who = format!("s{}", n % 30);
        let view = world.state.slot("offers").unwrap().view();
        let id = DecisionId::new(view.number, world.at_us, world.count);
        let seed = super::super::hash("test", &[&world.count.to_be_bytes()]).word();
        let draw = Draw { id, seed, taken: &[], deadline_passed: false };
        let decided = decide_with(&view, of(&who), draw, &past).decided;
        past.remember(world.at_us, &decided, memory);
        *shown.entry((who, decided.chosen[0].arm.to_string())).or_default() += 1;
    }
    let of_arm = |arm: &str| shown.iter().filter(|(at, _)| at.1 == arm).map(|(_, n)| *n).collect::<Vec<_>>();
    assert!(of_arm("b").iter().all(|&n| n == 2), "the best is shown as often as it may: {shown:?}");
    assert_eq!((of_arm("b").len(), of_arm("c").iter().sum::<u32>()), (30, 5));
}

/// A discount is never shown to those who would buy anyway, unless the posterior is sure that it pays.
#[test]
fn evidence_rules_ask_the_posterior_and_not_the_width() {
    let mut world = world(|_| {});
    let evidence = |confidence, than| Effect::Evidence { confidence, than };
    let mut may = |arm: &str, effect: Effect, width| {
        world.update(|d| {
            d.rules = vec![rule("sure", &format!("arm.id == '{arm}'"), effect)];
            d.controls.exploration = Some(width);
        });
        let request = Request { explain: true, ..Request::new(slot_id()) };
        let explained = world.would_decide(request, &[]).explanation.unwrap();
        let candidate = explained.candidates.iter().find(|c| c.arm.as_str() == arm).unwrap();
        candidate.ineligible_because.is_none()
    };
    for width in [0.0, 1.0] {
        assert!(may("b", evidence(0.95, Comparand::Others), width), "b is the best by far");
        assert!(!may("a", evidence(0.95, Comparand::Others), width));
        assert!(may("b", evidence(0.95, Comparand::Reward(0.4)), width));
        assert!(!may("b", evidence(0.95, Comparand::Reward(0.6)), width), "it may be, nobody is sure");
        assert!(!may("a", evidence(0.5, Comparand::Reward(0.6)), width));
    }
}

#[test]
fn rules_exclude_pin_boost_and_share() {
    let mut world = world(|_| {});
    let mut with = |rules: Vec<Rule>, count| {
        world.update(|d| d.rules = rules);
        world.would_decide(Request { count, explain: true, ..Request::new(slot_id()) }, &[])
    };
    let decision = with(vec![rule("no b", "arm.id == 'b'", Effect::Exclude)], 3);
    assert_eq!(decision.decided.chosen.len(), 2);
    assert_eq!((decision.decided.fired.as_slice(), decision.decided.barred.len()), (&["no b".to_owned()][..], 1));
    let why = decision.explanation.unwrap().candidates[1].ineligible_because.clone().unwrap();
    assert!(why.contains("'no b'"), "{why}");
    let decision = with(vec![rule("c second", "arm.id == 'c'", Effect::Pin { position: 2 })], 3);
    let second = &decision.decided.chosen[1];
    assert_eq!((second.arm.as_str(), second.reason), ("c", Reason::Rule));
    assert!((second.propensity - 1.0).abs() < 1e-15);
    let p = |decision: Decision| -> Vec<f64> {
        decision.explanation.unwrap().candidates.iter().map(|c| c.propensity).collect()
    };
    let share = Effect::ProbabilityBounds { min: Some(0.25), max: Some(0.3) };
    let shares = p(with(vec![rule("a quarter", "arm.id != 'b'", share)], 1));
    assert!(
        shares[0] >= 0.25 && shares[2] >= 0.25 && shares[0] <= 0.3 + 1e-12 && shares[2] <= 0.3 + 1e-12,
        "{shares:?}"
    );
    let plain = p(with(Vec::new(), 1));
    let boosted = with(vec![rule("push a", "arm.id == 'a'", Effect::Boost { factor: 3.0 })], 1);
    let expected = boosted.decided.best_expected;
    let boosted = p(boosted);
    assert!(plain[0] < 0.01 && boosted[0] > 0.95, "{plain:?} {boosted:?}");
    assert!((expected - 0.6).abs() < 0.1, "what is expected is told without the boost: {expected}");
    let buried = p(with(vec![rule("bury b", "arm.id == 'b'", Effect::Boost { factor: 0.1 })], 1));
    assert!(buried[1] < 0.01, "{buried:?}");
}

#[test]
fn rules_that_fail_are_counted_and_mean_what_they_say() {
    let mut world = world(|_| {});
    for (on_error, left) in [(OnError::Ignore, 3), (OnError::Exclude, 0)] {
        world.update(|d| {
            d.rules = vec![Rule { on_error, ..rule("gold", "context.loyalty == 'gold'", Effect::Exclude) }];
        });
        let decision = world.would_decide(Request { count: 3, ..Request::new(slot_id()) }, &[]);
        assert_eq!((decision.decided.chosen.len(), decision.failed_rules), (left, vec![0]), "{on_error:?}");
    }
}

#[test]
fn a_slot_made_without_saying_it_holds_a_tenth_out() {
    let mut world = World { state: State::default(), at_us: 1, count: 0, events: Vec::new() };
    world.change(Change::Create(definition(&["a"]))).unwrap();
    assert_eq!(world.state.slot("offers").unwrap().definition().controls.holdout, Some(0.1));
}

/// A marketer who reads, edits and writes back is not stopped by the stock feed. Her change of what the feed set is
/// stopped, and so is her change of what other people changed.
#[test]
fn an_update_from_before_the_stock_changed_is_taken_as_long_as_it_leaves_the_stock_alone() {
    let mut world = World::new(definition(&["a", "b"]));
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
