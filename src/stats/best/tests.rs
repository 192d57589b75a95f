//! Tests against Monte Carlo and against values derived by hand.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, StudentT};

use super::*;

const DRAWS: usize = 200_000;

/// Expected losses with their standard errors, and the sorted advantages of the best, over joint draws.
struct SampledLosses {
    losses: Vec<(f64, f64)>,
    remaining: Vec<f64>,
}

fn drawn(mut draw: impl FnMut() -> Vec<f64>, chosen: usize) -> SampledLosses {
    let rounds: Vec<Vec<f64>> = (0..DRAWS).map(|_| draw()).collect();
    let best = |round: &Vec<f64>| round.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let n = DRAWS as f64;
    let losses = (0..rounds[0].len())
        .map(|a| {
            let lost: Vec<f64> = rounds.iter().map(|round| best(round) - round[a]).collect();
            let mean = lost.iter().sum::<f64>() / n;
            let var = lost.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / n;
            (mean, (var / n).sqrt())
        })
        .collect();
    let mut remaining: Vec<f64> = rounds.iter().map(|round| best(round) - round[chosen]).collect();
    remaining.sort_by(f64::total_cmp);
    SampledLosses { losses, remaining }
}

/// Checks losses to five standard errors, and the value remaining against the quantiles of 95 % plus and minus five
/// standard errors of that fraction.
#[track_caller]
fn check<B: RewardBelief>(beliefs: &[B], chosen: usize, drawn: &SampledLosses) {
    for (got, (want, error)) in expected_losses(beliefs).iter().zip(&drawn.losses) {
        assert!((got - want).abs() < 5.0 * error, "{got} against {want} ± {error}");
    }
    let got = value_remaining(beliefs, chosen, 0.95);
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "small whole numbers")]
    let at = |share: f64| drawn.remaining[(share * DRAWS as f64).round() as usize];
    let slack = 5.0 * (0.95 * 0.05 / DRAWS as f64).sqrt();
    let (low, high) = (at(0.95 - slack), at(0.95 + slack));
    assert!(low * 0.999 <= got && got <= high * 1.001, "{got} within {low} to {high}");
}

/// Draws a Beta from two gammas, each a sum of logarithms.
fn beta(rng: &mut StdRng, a: u32, b: u32) -> f64 {
    let gamma = |rng: &mut StdRng, n: u32| (0..n).map(|_| -(1.0 - rng.random::<f64>()).ln()).sum::<f64>();
    let (x, y) = (gamma(rng, a), gamma(rng, b));
    x / (x + y)
}

#[test]
fn losses_and_values_remaining_of_rates_agree_with_draws() {
    let mut rng = StdRng::seed_from_u64(1);
    for (of, chosen) in [
        (vec![(12, 40), (9, 33), (1, 1)], 0),
        (vec![(1, 30), (2, 30), (4, 60), (1, 25)], 2),
        (vec![(31, 9), (30, 10)], 1),
    ] {
        let beliefs: Vec<RateScore> =
            of.iter().map(|&(a, b)| RateScore::new(&Beta::new(f64::from(a), f64::from(b)))).collect();
        let drawn = drawn(|| of.iter().map(|&(a, b)| beta(&mut rng, a, b)).collect(), chosen);
        check(&beliefs, chosen, &drawn);
    }
}

#[test]
fn losses_and_values_remaining_of_real_rewards_agree_with_draws() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut of = [NormalInverseGamma::new(0.0, 0.1, 1.0, 0.25); 3];
    for (i, posterior) in of.iter_mut().enumerate() {
        for _ in 0..12 * (i + 1) {
            posterior.observe(20.0 + i as f64 + rng.random_range(-9.0..9.0));
        }
    }
    let beliefs = of.map(|posterior| ValueScore::new(&posterior));
    let mut draw = || {
        of.iter()
            .map(|p| p.mean() + p.spread() * StudentT::new(p.degrees()).unwrap().sample(&mut rng))
            .collect::<Vec<f64>>()
    };
    let drawn = drawn(&mut draw, 2);
    check(&beliefs, 2, &drawn);
}

/// Two flat rates have E max = 2/3, so either loses 1/6. The difference has the triangle's 95 % quantile 1 − √0.1.
#[test]
fn two_flat_rates_agree_with_the_values_derived_by_hand() {
    let flat = [RateScore::new(&Beta::new(1.0, 1.0)); 2];
    for loss in expected_losses(&flat) {
        assert!((loss - 1.0 / 6.0).abs() < 1e-6, "{loss}");
    }
    let got = value_remaining(&flat, 0, 0.95);
    assert!((got - (1.0 - 0.1_f64.sqrt())).abs() < 2e-3, "{got}");
}

#[test]
fn a_single_belief_loses_nothing_and_leaves_no_value() {
    let alone = [RateScore::new(&Beta::new(3.0, 4.0))];
    assert_eq!(expected_losses(&alone), [0.0]);
    assert!(value_remaining(&alone, 0, 0.95) <= 0.0 && value_remaining::<RateScore>(&[], 0, 0.95) <= 0.0);
    let clear = [RateScore::new(&Beta::new(900.0, 100.0)), RateScore::new(&Beta::new(10.0, 990.0))];
    assert!(value_remaining(&clear, 0, 0.95) <= 0.0);
    assert!(expected_losses(&clear)[0] < 1e-9);
}
