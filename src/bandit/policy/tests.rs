use super::*;
use crate::{bandit::Scores, stats::NormalScore};
use rand::{SeedableRng as _, rngs::StdRng};

fn mixture(scores: Scores) -> Mixture {
    Mixture::single(scores, "test").unwrap()
}

#[track_caller]
fn check(mut pmf: Vec<f64>, floor: f64, ceiling: f64, want: &[f64]) {
    let active = vec![true; pmf.len()];
    apply_floor_and_ceiling(&mut pmf, &active, |_| floor, |_| ceiling);
    for (got, want) in pmf.iter().zip(want) {
        assert!((got - want).abs() < 1e-12, "{pmf:?} against {want}");
    }
    assert!((pmf.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn floor_and_ceiling_follow_their_formulas() {
    check(vec![0.7, 0.3, 0.0], 0.1, 1.0, &[0.59, 0.31, 0.1]);
    check(vec![0.7, 0.3, 0.0], 0.5, 1.0, &[1.0 / 3.0; 3]);
    check(vec![0.8, 0.15, 0.05], 0.0, 0.5, &[0.5, 0.375, 0.125]);
    // The second exceeds the ceiling once the first has passed on its excess.
    check(vec![0.80, 0.19, 0.01], 0.0, 0.4, &[0.4, 0.4, 0.2]);
    check(vec![1.0, 0.0, 0.0], 0.0, 0.6, &[0.6, 0.2, 0.2]);
    check(vec![0.5, 0.3, 0.2], 0.0, 0.01, &[1.0 / 3.0; 3]);
}

/// Some candidates have their own floor or ceiling, and the others have that of all. The values follow the formula.
#[test]
fn floors_and_ceilings_of_single_candidates_hold() {
    let scores = Scores::Normal([0.0, 0.1, 0.4].map(|mean| NormalScore { mean, std: 0.2 }).to_vec());
    let exploration = Exploration { floor: 0.01, ceiling: 0.9 };
    let first = |constraints: &Constraints| {
        let ranking =
            Ranking { policy: Policy::ThompsonSampling, exploration, with_swap_probabilities: false, constraints };
        ranking.draw(&mixture(scores.clone()), 1, &mut StdRng::seed_from_u64(3), None).unwrap().first_pmf
    };
    let free = Exploration { floor: 0.0, ceiling: 1.0 };
    let DrawnSlate { first_pmf: own, .. } = Ranking::new(Policy::ThompsonSampling, free)
        .draw(&mixture(scores.clone()), 1, &mut StdRng::seed_from_u64(3), None)
        .unwrap();
    let near = |got: &[f64], want: [f64; 3]| {
        assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12), "{got:?} {want:?}");
    };
    let floored = first(&Constraints { floors: vec![0.2, 0.01, 0.01], ..Constraints::default() });
    near(&floored, [0.2 + 0.78 * own[0], 0.01 + 0.78 * own[1], 0.01 + 0.78 * own[2]]);
    let capped = first(&Constraints { ceilings: vec![0.9, 0.9, 0.3], ..Constraints::default() });
    let rest = [0.01 + 0.97 * own[0], 0.01 + 0.97 * own[1]];
    let share = |p: f64| p * 0.7 / (rest[0] + rest[1]);
    near(&capped, [share(rest[0]), share(rest[1]), 0.3]);
    assert!(capped.iter().all(|p| *p < 0.9), "the others' ceiling is not in the way: {capped:?}");
}

#[test]
fn a_draw_lands_in_the_stretch_of_its_entry() {
    let pmf = [0.25, 0.0, 0.5, 0.25];
    assert_eq!(draw(&pmf, 0.0), Some((0, 0.0)));
    assert_eq!(draw(&pmf, 0.25), Some((2, 0.0)));
    assert_eq!(draw(&pmf, 0.74), Some((2, 0.49)));
    assert_eq!(draw(&pmf, 0.999).map(|d| d.0), Some(3));
    assert_eq!(draw(&[0.0, 0.0], 0.5), None);
}

/// Slates of three out of eleven are drawn 80,000 times. The frequency of each ordered pair at positions one and two
/// equals the product of the reported propensities. The standard error of a cell's count is √(mp(1−p)); five of those,
/// over 110 cells, are a false alarm once in 15,000 fresh seeds, and the seed is fixed.
#[track_caller]
fn check_slates(policy: Policy) {
    const DRAWS: u32 = 80_000;
    let scores: Vec<NormalScore> =
        (0..11).map(|i| NormalScore { mean: 0.1 * f64::from(i), std: 0.2 + 0.05 * f64::from(i % 4) }).collect();
    let scores = Scores::Normal(scores);
    let mut rng = StdRng::seed_from_u64(31);
    let mut pairs = std::collections::BTreeMap::<(usize, usize), (u32, f64)>::new();
    for _ in 0..DRAWS {
        let DrawnSlate { positions: places, .. } = Ranking::new(policy, Exploration { floor: 0.01, ceiling: 0.5 })
            .draw(&mixture(scores.clone()), 3, &mut rng, None)
            .unwrap();
        let cell = pairs.entry((places[0].candidate, places[1].candidate)).or_default();
        cell.0 += 1;
        cell.1 = places[0].propensity * places[1].propensity;
    }
    assert_eq!(pairs.len(), 110);
    for (pair, (count, p)) in pairs {
        let expected = f64::from(DRAWS) * p;
        let error = (expected * (1.0 - p)).sqrt();
        assert!((f64::from(count) - expected).abs() < 5.0 * error, "{pair:?}: {count} against {expected}");
    }
}

#[test]
fn slates_are_as_frequent_as_their_propensities() {
    check_slates(Policy::ThompsonSampling);
}

#[test]
fn slates_of_other_policies_are_as_frequent_as_their_propensities() {
    check_slates(Policy::EpsilonGreedy { epsilon: 0.4 });
    check_slates(Policy::SquareCb { gamma: 7.0 });
}

/// Swap probabilities equal the fraction of slates with the opposite order of the same two top arms, within five standard
/// errors. The mixture's weights differ once one of the two arms is drawn.
#[test]
fn swap_probabilities_are_the_frequencies_of_the_opposite_order() {
    let normal = |means: [f64; 4]| Scores::Normal(means.map(|mean| NormalScore { mean, std: 0.3 }).to_vec());
    let part = |weight, means| MixturePart { weight, name: "test", scores: normal(means) };
    let mixture = Mixture::new(vec![part(0.6, [0.1, 0.5, 0.2, 0.3]), part(0.4, [0.6, 0.0, 0.3, 0.1])]).unwrap();
    let exploration = Exploration { floor: 0.03, ceiling: 0.8 };
    let ranking = Ranking {
        policy: Policy::ThompsonSampling,
        exploration,
        with_swap_probabilities: true,
        constraints: &UNCONSTRAINED,
    };
    let mut rng = StdRng::seed_from_u64(5);
    let mut orders = std::collections::BTreeMap::<(usize, usize), (f64, f64)>::new();
    for _ in 0..100_000 {
        let DrawnSlate { positions: places, .. } = ranking.draw(&mixture, 3, &mut rng, None).unwrap();
        assert!(places[0].swap_probability.abs() < f64::EPSILON, "nothing stands above the first");
        let cell = orders.entry((places[0].candidate, places[1].candidate)).or_default();
        *cell = (cell.0 + 1.0, places[1].swap_probability);
    }
    assert_eq!(orders.len(), 12);
    for (&(a, b), &(kept, overlap)) in &orders {
        let both = kept + orders[&(b, a)].0;
        let error = (overlap * (1.0 - overlap) / both).sqrt();
        assert!((1.0 - kept / both - overlap).abs() < 5.0 * error, "{a} {b}: {kept} of {both}, {overlap}");
    }
}

/// Fifteen places take more than one grid, and a policy must not restart with each.
#[test]
fn greedy_and_the_fixed_order_rank_the_whole_list() {
    let mean = |i: usize| (i * 7 % 15) as f64;
    let scores = Scores::Normal((0..15).map(|i| NormalScore { mean: mean(i), std: 3.0 }).collect());
    let order = |policy| -> Vec<usize> {
        let DrawnSlate { positions: places, .. } = Ranking::new(policy, Exploration { floor: 0.0, ceiling: 1.0 })
            .draw(&mixture(scores.clone()), 15, &mut StdRng::seed_from_u64(2), None)
            .unwrap();
        assert!(places.iter().all(|place| (place.propensity - 1.0).abs() < 1e-15));
        places.iter().map(|place| place.candidate).collect()
    };
    assert_eq!(order(Policy::FixedOrder), (0..15).collect::<Vec<_>>());
    let by_mean: Vec<f64> = order(Policy::Greedy).into_iter().map(mean).collect();
    assert_eq!(by_mean, (0..15).rev().map(f64::from).collect::<Vec<_>>());
    assert_eq!(order(Policy::LinUcb), order(Policy::Greedy), "the same spread for each");
}

#[test]
fn all_places_of_a_long_list_are_filled_once_each() {
    let scores = Scores::Normal((0..40).map(|i| NormalScore { mean: f64::from(i % 7), std: 0.3 }).collect());
    let DrawnSlate { positions: places, first_pmf: first } =
        Ranking::new(Policy::default(), Exploration { floor: 0.0, ceiling: 1.0 })
            .draw(&mixture(scores), 100, &mut StdRng::seed_from_u64(1), None)
            .unwrap();
    let mut seen: Vec<usize> = places.iter().map(|p| p.candidate).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
    assert_eq!(first.len(), 40);
    assert!(places.iter().all(|p| p.propensity > 0.0 && p.propensity <= 1.0 + 1e-12));
}
