//! Tests of winsorized values while their quantile is uncertain.

use rand_distr::{Distribution as _, StandardNormal};

use super::*;

fn winsorized_world() -> StateHarness {
    let mut world = StateHarness::new(definition(&["a"]));
    world.update(|d| {
        let kind = RewardKind {
            kind: "buy".into(),
            weight: 1.0,
            use_value: true,
            cap: None,
            winsorize: Some(0.99),
            role: None,
            joins: None,
        };
        d.goal.kinds = vec![kind];
        d.model = ModelSpec::linear(None, None);
    });
    world
}

/// Returns the sum of the only arm's rewards as they were learned.
fn learned_sum(world: &StateHarness) -> f64 {
    report(&world.state.slot("offers").unwrap().view()).arms[0].learned_sum
}

fn log_normal(rng: &mut StdRng, log_sd: f64) -> f64 {
    let z: f64 = StandardNormal.sample(rng);
    (log_sd * z).exp()
}

/// Sends a decision with each value.
fn send_all(world: &mut StateHarness, values: &[f64]) -> Vec<Arc<DecisionRecord>> {
    let each = values.iter().enumerate();
    each.map(|(i, &value)| {
        let decided = world.decide(request());
        assert_eq!(world.reward(&format!("e{i}"), &decided, "buy", Some(value)), EventStatus::Accepted);
        decided
    })
    .collect()
}

/// A first value of fifty thousand times the others is learned again once others have come, in any unit.
#[test]
fn a_wild_first_value_is_learned_again_when_others_have_come() {
    let mut rng = StdRng::seed_from_u64(3);
    let others: Vec<f64> = (0..99).map(|_| 20.0 * log_normal(&mut rng, 0.5)).collect();
    let of_unit = |unit: f64| {
        let mut world = winsorized_world();
        let values: Vec<f64> = std::iter::once(1e6).chain(others.iter().copied()).map(|value| value * unit).collect();
        send_all(&mut world, &values[..1]);
        let first = learned_sum(&world) / unit;
        assert!((first - 1e6).abs() < 1e-3, "nothing is known yet: {first}");
        let decided = world.decide(request());
        world.reward("second", &decided, "buy", Some(values[1]));
        let two = learned_sum(&world) / unit;
        // With two values the limit is the lower one times e^(2.33·1.7), which is 52, and the width of a bin.
        assert!(two < 60.0 * others[0], "{two}");
        for (i, &value) in values.iter().enumerate().skip(2) {
            let decided = world.decide(request());
            world.reward(&format!("e{i}"), &decided, "buy", Some(value));
        }
        learned_sum(&world) / unit
    };
    let sum: f64 = others.iter().sum();
    let learned = of_unit(1.0);
    // The true quantile is 64. A hundred values of these make the limit some five times their median.
    assert!((sum + 20.0..sum + 8.0 * 20.0).contains(&learned), "{learned} against {sum}");
    for unit in [1e-4, 1e3] {
        let other = of_unit(unit);
        // The first value and few others are cut, each within the width of a bin.
        assert!((other / learned - 1.0).abs() < 0.02, "{other} against {learned}");
    }
}

/// The quantile is certain once three values lie above it. All values that came before are then learned as they would
/// have been with the quantile known, and reversals take back exactly that.
#[test]
fn provisional_values_end_at_the_quantile_and_reversals_stay_exact() {
    let mut rng = StdRng::seed_from_u64(4);
    let mut values: Vec<f64> = (0..300).map(|_| log_normal(&mut rng, 1.0)).collect();
    for (place, wild) in [(0, 1e6), (7, -1e9), (150, 1e5)] {
        values[place] = wild;
    }
    let mut world = winsorized_world();
    let decisions = send_all(&mut world, &values);
    let mut sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    // A bin of the quantiles ends at most 9.1 % above the values in it.
    let (low, high) = (sizes[296], sizes[296] * 1.091);
    let limited = |limit: f64| values.iter().map(|value| value.clamp(-limit, limit)).sum::<f64>();
    let learned = learned_sum(&world);
    let range = limited(low).min(limited(high)) - 1e-9..=limited(low).max(limited(high)) + 1e-9;
    assert!(range.contains(&learned), "{learned} outside {range:?}");
    for (i, decided) in decisions.iter().enumerate() {
        assert_eq!(world.reverse(&format!("u{i}"), decided, &format!("e{i}")), EventStatus::Accepted);
    }
    // The sums had 1e9 in them before that was limited, so they are exact to 1e9 times 1e-16, some hundred times.
    assert!(learned_sum(&world).abs() < 1e-4, "{}", learned_sum(&world));
    let expected = world.would_decide(request(), &[]).decided.chosen[0].expected_reward;
    assert!(expected.abs() < 1e-4, "{expected}");
}

/// A provisional value that was reversed, or whose decision is forgotten, is not learned again.
#[test]
fn a_value_that_is_gone_is_not_learned_again() {
    let mut world = winsorized_world();
    let first = world.decide(request());
    world.reward("wild", &first, "buy", Some(1e6));
    world.reverse("back", &first, "wild");
    let second = world.decide(request());
    world.reward("wilder", &second, "buy", Some(1e7));
    // The reversal window is over.
    world.at_us += 61 * 24 * HOUR_US;
    let before = learned_sum(&world);
    send_all(&mut world, &[20.0; 50]);
    assert!((learned_sum(&world) - before - 50.0 * 20.0).abs() < 1e-3, "{}", learned_sum(&world));
}

/// Honest values are hardly cut while the quantile is uncertain: over many streams the sum of what is learned stays
/// near that under the true quantile.
#[test]
fn honest_values_are_hardly_cut_at_the_start() {
    for (log_sd, from) in [(0.5, 0.97), (1.0, 0.97), (1.8, 0.85)] {
        let mut ratios = Vec::new();
        for seed in 0..20 {
            let mut rng = StdRng::seed_from_u64(seed);
            let values: Vec<f64> = (0..60).map(|_| log_normal(&mut rng, log_sd)).collect();
            let mut world = winsorized_world();
            send_all(&mut world, &values);
            let limit = (2.326 * log_sd).exp();
            ratios.push(learned_sum(&world) / values.iter().map(|value| value.min(limit)).sum::<f64>());
        }
        let mean = ratios.iter().sum::<f64>() / 20.0;
        assert!((from..1.2).contains(&mean), "{log_sd}: {mean} of {ratios:?}");
    }
}
