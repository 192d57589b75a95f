//! Tests of the report.

use super::*;

/// The report's interval covers the truth, and its chances are those of the posterior.
#[test]
fn the_report_says_what_was_counted() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    world.update(|d| {
        d.goal = Goal::default();
        d.controls.floor = Some(0.5);
    });
    for i in 0..2_000 {
        // Silence is learned once it lasts longer than rewards take.
        world.at_us += 1_000_000;
        let decided = world.decide(request());
        let every = if decided.chosen[0].arm == arm_id("a") { 2 } else { 5 };
        if i % every == 0 {
            world.reward(&format!("e{i}"), &decided, "click", None);
        }
    }
    let report = report(&world.state.slot("offers").unwrap().view());
    assert_eq!(report.arms.iter().map(|a| a.shown).sum::<u64>(), 2_000);
    assert!((report.models.iter().map(|m| m.1).sum::<f64>() - 1.0).abs() < 1e-12);
    assert!(
        (report.reward_per_decision() - report.arms.iter().map(|a| a.reward_sum).sum::<f64>() / 2_000.0).abs() < 1e-9
    );
    let a = &report.arms[0];
    let (low, high) = a.interval.unwrap();
    assert!(low < 0.5 && 0.5 < high && low < a.mean && a.mean < high && a.rewards_needed == 0, "{a:?}");
    assert!(a.chance_best > 0.999);
}

/// Values have a heavy tail. Each is learned up to the quantile of those before it, and the report shows both sums. A
/// reversal subtracts the learned value, not the reported one.
#[test]
fn winsorized_values_are_reported_as_they_came_and_as_they_were_learned() {
    let mut world = StateHarness::new(definition(&["a"]));
    world.update(|d| {
        let kind = RewardKind {
            kind: "buy".into(),
            weight: 1.0,
            use_value: true,
            cap: None,
            winsorize: Some(0.9),
            role: None,
            joins: None,
        };
        d.goal.kinds = vec![kind];
    });
    for i in 0..200 {
        let decided = world.decide(request());
        world.reward(&format!("e{i}"), &decided, "buy", Some(1.0 + f64::from(i % 10)));
    }
    let sums = |world: &StateHarness| {
        let arm = report(&world.state.slot("offers").unwrap().view()).arms.remove(0);
        (arm.reward_sum, arm.learned_sum)
    };
    // The values are 1 to 10, evenly, with a mean of 5.5 as they came. Nine of ten are learned as they are, the tenth
    // as about 9; a bin of the quantiles is a few per cent wide.
    let (came, learned) = sums(&world);
    assert!((came - 1100.0).abs() < 1e-9 && (1085.0..1100.0).contains(&learned), "{came} {learned}");
    let decided = world.decide(request());
    world.reward("huge", &decided, "buy", Some(1e6));
    let (with, learned_with) = sums(&world);
    assert!((with - came - 1e6).abs() < 1e-6, "{with}");
    assert!((8.5..10.0).contains(&(learned_with - learned)), "{learned_with}");
    world.reverse("back", &decided, "huge");
    let (after, learned_after) = sums(&world);
    assert!((after - came).abs() < 1e-6 && (learned_after - learned).abs() < 1e-9, "{after} {learned_after}");
}

/// Money has an interval from twenty purchases on if all cost about the same, and loses it when they come back.
#[test]
fn the_interval_of_money_waits_for_enough_purchases() {
    let mut world = StateHarness::new(definition(&["a"]));
    world.update(|d| {
        let kind = |kind: &str, weight| RewardKind {
            kind: kind.into(),
            weight,
            use_value: true,
            cap: None,
            winsorize: None,
            role: None,
            joins: None,
        };
        d.goal.kinds = vec![kind("buy", 1.0), kind("refund", -1.0)];
    });
    let arm = |world: &StateHarness| report(&world.state.slot("offers").unwrap().view()).arms.remove(0);
    let mut bought = Vec::new();
    for i in 0..400 {
        world.at_us += 1_000_000;
        let decided = world.decide(request());
        if i % 16 == 0 {
            if bought.len() == 19 {
                let arm = arm(&world);
                assert_eq!((arm.interval, arm.rewards_needed, arm.rewarded), (None, 20, 19), "{arm:?}");
            }
            world.reward(&format!("e{i}"), &decided, "buy", Some(40.0 + f64::from(i % 5)));
            bought.push(decided);
        }
    }
    let shown = arm(&world);
    let (low, high) = shown.interval.unwrap();
    assert!(low < 42.0 / 16.0 && 42.0 / 16.0 < high && low < shown.mean && shown.mean < high, "{shown:?}");
    for (i, decided) in bought.iter().enumerate().take(6) {
        let value = 40.0 + f64::from(u32::try_from(16 * i).unwrap() % 5);
        world.reward(&format!("r{i}"), decided, "refund", Some(value));
    }
    let arm = arm(&world);
    assert_eq!((arm.interval, arm.rewards_needed), (None, 20), "{arm:?}");
}

/// A user id, an age of -999 for shoppers who gave none, and a price sent as text: each is reported with its use. A feature
/// that is used as it was sent is not.
#[test]
fn the_report_names_features_that_are_not_used_as_they_were_sent() {
    use crate::bandit::{FeatureNote, Value};
    let mut rng = StdRng::seed_from_u64(12);
    let mut world = StateHarness::new(definition(&["a", "b"]));
    for i in 0..3_000_u32 {
        let age = if i % 10 == 0 { -999.0 } else { rng.random_range(18.0..80.0) };
        let price: f64 = rng.random_range(1.0..500.0);
        let context = [
            ("user", Value::Text(format!("u{i}"))),
            ("age", Value::Number(age)),
            ("price", Value::Text(format!("{price:.4}"))),
            ("device", Value::Text(["phone", "desktop"][rng.random_range(0..2)].into())),
        ];
        let context = context.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let decided = world.decide(Request { context, ..request() });
        world.reward(&format!("e{i}"), &decided, "click", None);
    }
    let notes = report(&world.state.slot("offers").unwrap().view()).feature_notes;
    let want = [
        ("age".to_owned(), FeatureNote::Sentinel(-999.0)),
        ("price".to_owned(), FeatureNote::NumberAsText),
        ("user".to_owned(), FeatureNote::IdLike),
    ];
    assert_eq!(notes, want);
    let sentences: Vec<String> = notes.iter().map(|(_, note)| note.reason()).collect();
    assert!(sentences[0].contains("-999"), "{sentences:?}");
}

/// One purchase says next to nothing. A report that calls its arm the best, or the slot settled, is wrong two times in three.
#[test]
fn the_first_purchase_settles_nothing() {
    for (decisions, with_context) in [(1, false), (4, false), (10, false), (1, true), (4, true), (10, true)] {
        for value in [0.01, 59.9, 1e6] {
            let mut world = StateHarness::new(definition(&["a", "b", "c"]));
            world.update(|d| d.goal.kinds = vec![RewardKind { weight: 1.0, ..d.goal.kinds[1].clone() }]);
            let mut last = None;
            for _ in 0..decisions {
                world.at_us += 1_000_000;
                let mut request = request();
                if with_context {
                    request.context.insert("device".into(), Value::Text("phone".into()));
                }
                last = Some(world.decide(request));
            }
            world.reward("e", last.as_ref().unwrap(), "buy", Some(value));
            let report = report(&world.state.slot("offers").unwrap().view());
            let case = format!("{decisions} decisions, context {with_context}, {value}: {}", report.status.sentence);
            assert_eq!(report.status.stage, crate::engine::SlotStage::Learning, "{case}");
            assert!(!report.status.sentence.contains("no showing"), "{case}");
            let most = report.arms.iter().map(|arm| arm.chance_best).fold(0.0, f64::max);
            assert!(most < 0.9, "{case}: chance best {most}");
        }
    }
}

/// Arms that are equally likely to be the best have no leader.
#[test]
fn arms_that_nothing_is_known_of_have_no_leader() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    world.decide(request());
    let report = report(&world.state.slot("offers").unwrap().view());
    assert_eq!(report.status.stage, crate::engine::SlotStage::Learning);
    assert!(report.status.sentence.contains("too early to tell which arm is the best"), "{}", report.status.sentence);
}
