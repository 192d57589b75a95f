use std::collections::BTreeMap;

use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{
    bandit::{DrawnSlate, Exploration, Policy, Ranking},
    stats::{Beta, BetaScore, NormalScore, WinnerCache},
};

const UNCONSTRAINED: Exploration = Exploration { floor: 0.0, ceiling: 1.0 };

fn normal(of: &[(f64, f64)]) -> Scores {
    Scores::Normal(of.iter().map(|&(mean, std)| NormalScore { mean, std }).collect())
}

fn beta(of: &[(f64, f64)]) -> Scores {
    let posteriors: Vec<Beta> = of.iter().map(|&(a, b)| Beta::new(a, b)).collect();
    Scores::Beta { scores: posteriors.iter().map(|p| BetaScore::new(p, 1.0)).collect(), cache: WinnerCache::default() }
}

fn part(weight: f64, scores: Scores) -> MixturePart {
    MixturePart { weight, name: "test", scores }
}

/// Two models that agree on little: the one is sure of the first, the other prefers the last.
fn opinions() -> [Scores; 2] {
    [
        normal(&[(0.9, 0.05), (0.7, 0.1), (0.2, 0.3), (0.1, 0.2)]),
        beta(&[(2.0, 20.0), (5.0, 9.0), (4.0, 4.0), (9.0, 5.0)]),
    ]
}

fn pmf(mixture: &Mixture, policy: Policy) -> Vec<f64> {
    Ranking::new(policy, UNCONSTRAINED).draw(mixture, 1, &mut StdRng::seed_from_u64(5), None).unwrap().first_pmf
}

#[test]
fn a_mixtures_pmf_is_the_weighted_sum_of_its_parts() {
    let [a, b] = opinions();
    let mixture = Mixture::new(vec![part(3.0, a.clone()), part(1.0, b.clone())]).unwrap();
    for policy in [Policy::ThompsonSampling, Policy::SquareCb { gamma: 7.0 }, Policy::epsilon_greedy(Some(0.3))] {
        let of = |scores: &Scores| pmf(&Mixture::single(scores.clone(), "test").unwrap(), policy);
        let want = of(&a).into_iter().zip(of(&b)).map(|(a, b)| 0.75 * a + 0.25 * b);
        for (got, want) in pmf(&mixture, policy).into_iter().zip(want) {
            assert!((got - want).abs() < 1e-12, "{policy:?}: {got} against {want}");
        }
    }
}

/// The values are derived by hand: weights ¼ and ¾ and means 2 and 6 give 5, with the variance ¼·9 + ¾·1 within and
/// ¼·9 + ¾·1 between.
#[test]
fn mean_and_spread_follow_the_law_of_total_variance() {
    let mixture = Mixture::new(vec![part(1.0, normal(&[(2.0, 3.0)])), part(3.0, normal(&[(6.0, 1.0)]))]).unwrap();
    assert!((mixture.mean(0) - 5.0).abs() < 1e-12);
    assert!((mixture.std(0) - 6.0_f64.sqrt()).abs() < 1e-12);
}

#[test]
fn parts_with_infinite_numbers_are_left_out() {
    let [a, b] = opinions();
    let broken = normal(&[(0.1, 0.1), (f64::NAN, 0.1), (0.1, 0.1), (0.1, 0.1)]);
    let mixture = Mixture::new(vec![part(9.0, broken.clone()), part(1.0, a), part(1.0, b)]).unwrap();
    let weights: Vec<f64> = mixture.parts().iter().map(|part| part.weight).collect();
    assert_eq!(weights, [0.5, 0.5]);
    assert_eq!(Mixture::single(broken, "test"), None);
    assert_eq!(Mixture::single(normal(&[(0.1, f64::INFINITY)]), "test"), None);
    assert_eq!(Mixture::new(Vec::new()), None);
}

/// Slates of three out of four, drawn 80,000 times: the frequency of each ordered triple against the product of
/// the propensities that were reported with it, under a floor. A cell's count is off by √(mp(1−p)); five of those,
/// over 24 cells, is a false alarm once in 70,000 fresh seeds, and the seed is fixed.
#[test]
fn slates_of_a_mixture_are_as_frequent_as_their_propensities() {
    const DRAWS: u32 = 80_000;
    let [a, b] = opinions();
    let mixture = Mixture::new(vec![part(0.6, a), part(0.4, b)]).unwrap();
    let mut rng = StdRng::seed_from_u64(47);
    let mut slates = BTreeMap::<Vec<usize>, (u32, f64)>::new();
    for _ in 0..DRAWS {
        let exploration = Exploration { floor: 0.03, ceiling: 1.0 };
        let DrawnSlate { positions: places, .. } =
            Ranking::new(Policy::ThompsonSampling, exploration).draw(&mixture, 3, &mut rng, None).unwrap();
        let cell = slates.entry(places.iter().map(|place| place.candidate).collect()).or_default();
        let p: f64 = places.iter().map(|place| place.propensity).product();
        assert!(cell.0 == 0 || (cell.1 - p).abs() < 1e-12, "the same slate has the same propensity");
        *cell = (cell.0 + 1, p);
    }
    assert_eq!(slates.len(), 24);
    assert!((slates.values().map(|cell| cell.1).sum::<f64>() - 1.0).abs() < 1e-9);
    for (slate, (count, p)) in slates {
        let expected = f64::from(DRAWS) * p;
        let error = (expected * (1.0 - p)).sqrt();
        assert!((f64::from(count) - expected).abs() < 5.0 * error, "{slate:?}: {count} against {expected}");
    }
}

/// One model is drawn for the whole slate: with weights ½ and two models that are sure of opposite orders, only
/// those two orders come, never a mix of both.
#[test]
fn one_model_decides_a_whole_slate() {
    let sure = |order: [f64; 3]| normal(&order.map(|mean| (100.0 * mean, 1e-3)));
    let mixture = Mixture::new(vec![part(1.0, sure([3.0, 2.0, 1.0])), part(1.0, sure([1.0, 2.0, 3.0]))]).unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    for _ in 0..100 {
        let DrawnSlate { positions: places, first_pmf: first } =
            Ranking::new(Policy::ThompsonSampling, UNCONSTRAINED).draw(&mixture, 3, &mut rng, None).unwrap();
        let order: Vec<usize> = places.iter().map(|place| place.candidate).collect();
        assert!(order == [0, 1, 2] || order == [2, 1, 0], "{order:?}");
        assert!((first[0] - 0.5).abs() < 1e-9 && (places[1].propensity - 1.0).abs() < 1e-9);
    }
}

/// Models with equal scores are one part, so that their probabilities are computed once, and the pmf is the same.
#[test]
fn parts_with_equal_scores_are_one() {
    let [a, b] = opinions();
    let parts = vec![part(2.0, a.clone()), part(5.0, b.clone()), part(1.0, a.clone()), part(3.0, a.clone())];
    let mixture = Mixture::new(parts).unwrap();
    assert_eq!(mixture.parts().iter().map(|part| part.weight).collect::<Vec<_>>(), [6.0 / 11.0, 5.0 / 11.0]);
    let of = |scores: &Scores| pmf(&Mixture::single(scores.clone(), "test").unwrap(), Policy::ThompsonSampling);
    let want = of(&a).into_iter().zip(of(&b)).map(|(a, b)| (6.0 * a + 5.0 * b) / 11.0);
    for (got, want) in pmf(&mixture, Policy::ThompsonSampling).into_iter().zip(want) {
        assert!((got - want).abs() < 1e-12, "{got} against {want}");
    }
}
