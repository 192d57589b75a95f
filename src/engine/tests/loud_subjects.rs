//! Tests of the subject limit: one subject teaches no more than its limit, with rewards and with silence.

use super::{
    controls::{DAY_US, request_of},
    *,
};

fn learner(world: &StateHarness) -> crate::bandit::Learner {
    world.state.slot("offers").unwrap().learner().clone()
}

/// Returns the sums of an only arm's rewards as they came and as they were learned.
fn sums(world: &StateHarness) -> (f64, f64) {
    let arm = report(&world.state.slot("offers").unwrap().view()).arms.remove(0);
    (arm.reward_sum, arm.learned_sum)
}

fn limited_world(limit: Option<u32>) -> StateHarness {
    let mut world = StateHarness::new(definition(&["a"]));
    world.update(|d| d.controls.subject_limit = limit);
    world
}

/// Makes a decision for a subject, rewards it with a click, and returns whether it was learned.
fn teaches(world: &mut StateHarness, subject: Subject) -> bool {
    let before = sums(world).1;
    let decided = world.decide(Request { subject, ..request() });
    assert_eq!(world.reward(&decided.id.to_string(), &decided, "click", None), EventStatus::Accepted);
    sums(world).1 > before
}

/// The limit is compared with a plain list of each subject's learned decisions.
#[test]
fn a_subject_teaches_at_most_its_limit_in_any_24_hours() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut world = limited_world(Some(3));
    let mut taught: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let (mut learned, mut over) = (0_u32, 0);
    for i in 0..600 {
        world.at_us += rng.random_range(0..HOUR_US);
        let who = ["", "ann", "bob", "eve"][rng.random_range(0..4)];
        let decided = world.decide(request_of(who));
        world.reward(&format!("e{i}"), &decided, "click", None);
        let times = taught.entry(who).or_default();
        if who.is_empty() || times.iter().filter(|&&at_us| world.at_us - at_us < DAY_US).count() < 3 {
            times.push(world.at_us);
            learned += 1;
        } else {
            over += 1;
        }
    }
    assert!(over > 100, "three subjects make a dozen decisions a day each: {over}");
    assert_eq!(world.counters().decisions_over_subject_limit, over);
    let (came, was_learned) = sums(&world);
    // Sums of ones are exact.
    assert!((came - 600.0).abs() < 1e-9 && (was_learned - f64::from(learned)).abs() < 1e-9, "{came} {was_learned}");
}

#[test]
fn a_subject_is_told_by_its_id_or_by_its_session() {
    let mut world = limited_world(Some(1));
    let subject = |id: &str, session_id: &str| Subject { id: id.into(), session_id: session_id.into() };
    assert!(teaches(&mut world, subject("ann", "s1")));
    assert!(!teaches(&mut world, subject("ann", "s2")), "across sessions");
    assert!(teaches(&mut world, subject("bob", "s1")), "somebody else");
    assert!(teaches(&mut world, subject("", "s1")), "a session without an id is another subject");
    assert!(!teaches(&mut world, subject("", "s1")));
    assert!((0..9).all(|_| teaches(&mut world, Subject::default())), "nobody in particular");
    world.update(|d| d.controls.subject_limit = Some(2));
    assert!(teaches(&mut world, subject("ann", "s1")));
    assert!(!teaches(&mut world, subject("ann", "s1")));
    world.update(|d| d.controls.subject_limit = Some(0));
    assert!((0..9).all(|_| teaches(&mut world, subject("ann", "s1"))), "no limit");
}

/// A subject teaches by default five decisions in a new slot, a thousandth in a busy one, and twenty a day at most.
#[test]
fn the_default_limit_follows_the_traffic() {
    let mut world = limited_world(None);
    world.update(|d| d.model = ModelSpec::beta_bernoulli(None, None));
    let count = |world: &mut StateHarness, n| {
        let subject = || Subject { id: "ann".into(), session_id: String::new() };
        (0..n).filter(|_| teaches(world, subject())).count()
    };
    let others = |world: &mut StateHarness, n| (0..n).for_each(|_| drop(world.decide(request())));
    assert_eq!(count(&mut world, 30), 5);
    others(&mut world, 7_995);
    assert_eq!(count(&mut world, 30), 3, "eight of 8,000");
    others(&mut world, 20_000);
    assert_eq!(count(&mut world, 30), 12, "twenty in a day");
    world.at_us += DAY_US;
    assert_eq!(count(&mut world, 30), 8, "twenty-eight in a fortnight, of 28,020");
}

/// A subject may teach more by default if others come back often: five times their average.
#[test]
fn the_default_limit_follows_the_other_subjects() {
    let mut world = limited_world(None);
    let subject = |who: u32| Subject { id: format!("s{who}"), session_id: String::new() };
    for day in 0..3 {
        for who in 1..=10 {
            assert!(teaches(&mut world, subject(who)) && teaches(&mut world, subject(who)), "on day {day}");
        }
        world.at_us += DAY_US;
    }
    let learned = |world: &mut StateHarness| (0..40).filter(|_| teaches(world, subject(0))).count();
    assert_eq!(learned(&mut world), 20, "in a day");
    world.at_us += DAY_US;
    assert_eq!(learned(&mut world), 10, "thirty in a fortnight, five times six");
    world.at_us += 14 * DAY_US;
    assert_eq!(learned(&mut world), 5, "all is forgotten");
}

/// Beyond the limit neither rewards nor silence nor reversals change a bit of what others get.
#[test]
fn nothing_is_learned_beyond_the_limit_and_all_of_it_is_counted() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    world.update(|d| d.controls.subject_limit = Some(1));
    let of_ann = || {
        let mut request = request_of("ann");
        request.context.insert("age".into(), Value::Number(40.0));
        request
    };
    let first = world.decide(of_ann());
    world.reward("first", &first, "click", None);
    let before = learner(&world);
    for i in 0..60 {
        world.at_us += HOUR_US / 10;
        let decided = world.decide(Request { request_id: Some(format!("r{i}")), ..of_ann() });
        assert!(decided.chosen[0].propensity < 1.0, "the policy decides as for anybody");
        if i % 3 > 0 {
            assert_eq!(world.reward(&format!("e{i}"), &decided, "buy", Some(1e6)), EventStatus::Accepted);
        }
        if i % 3 == 2 {
            assert_eq!(world.reverse(&format!("u{i}"), &decided, &format!("e{i}")), EventStatus::Accepted);
        }
    }
    assert!(learner(&world) == before);
    let counters = world.counters();
    assert_eq!((counters.decisions, counters.rewards, counters.decisions_over_subject_limit), (61, 41 + 20, 60));
    assert!((counters.reward_sum - 1.0 - 20.0 * 0.5e6).abs() < 1e-6, "{}", counters.reward_sum);
}

/// A snapshot keeps the count: a state that is read from one limits the same decisions.
#[test]
fn a_snapshot_remembers_who_taught() {
    let mut world = limited_world(Some(2));
    let ann = || Subject { id: "ann".into(), session_id: String::new() };
    assert!(teaches(&mut world, ann()) && teaches(&mut world, Subject::default()));
    let bytes = snapshot::encode(&world.state).unwrap();
    world.state = snapshot::decode(&bytes).unwrap();
    assert!(snapshot::encode(&world.state).unwrap() == bytes);
    assert!(teaches(&mut world, ann()) && !teaches(&mut world, ann()));
}
