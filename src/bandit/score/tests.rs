use statrs::distribution::{Bernoulli, Continuous as _, Discrete as _, Normal};

use super::*;

/// The constant that is left out of a density is the same for all rewards and all forecasts, so differences are exact.
#[test]
fn log_scores_differ_as_log_densities_do() {
    let forecasts = [(2.5, 0.3), (-1.0, 7.0), (3.0, 1.9)];
    let density = |(mean, variance): (f64, f64), y: f64| Normal::new(mean, variance.sqrt()).unwrap().ln_pdf(y);
    let score = |(mean, variance): (f64, f64), y: f64| Forecast::normal(mean, variance, false).ln_score(y);
    for a in forecasts {
        for b in forecasts {
            for (y, z) in [(2.0, 3.5), (1.25, 2.75), (2.5, 2.5)] {
                let (got, want) = (score(a, y) - score(b, z), density(a, y) - density(b, z));
                assert!((got - want).abs() < 1e-12, "{a:?} {b:?}: {got} against {want}");
            }
        }
    }
    for p in [0.03, 0.5, 0.88] {
        let rate = Forecast::rate(p, true);
        for y in [0_u8, 1] {
            let want = Bernoulli::new(p).unwrap().ln_pmf(u64::from(y));
            assert!((rate.ln_score(f64::from(y)) - want).abs() < 1e-12);
        }
        // Half a success is scored half as each.
        let want = 0.5 * (p.ln() + (1.0 - p).ln());
        assert!((rate.ln_score(0.5) - want).abs() < 1e-12);
    }
}

/// A normal forecast of a reward that is 0 or 1 gives the probability of 1 by its densities at 0 and 1.
#[test]
fn a_normal_forecast_of_a_rate_weighs_its_densities_at_no_and_yes() {
    for (mean, variance) in [(0.2, 0.1), (0.9, 0.04), (1.3, 0.5)] {
        let normal = Normal::new(mean, f64::sqrt(variance)).unwrap();
        let want = normal.pdf(1.0) / (normal.pdf(0.0) + normal.pdf(1.0));
        let got = Forecast::normal(mean, variance, true);
        assert!((got.ln_score(1.0) - want.ln()).abs() < 1e-12);
        assert!((got.ln_score(0.0) - (1.0 - want).ln()).abs() < 1e-10);
    }
}

#[test]
fn a_rate_among_other_rewards_has_the_variance_of_a_coin() {
    let coin = Normal::new(0.3, f64::sqrt(0.3 * 0.7)).unwrap();
    let got = Forecast::rate(0.3, false);
    assert!((got.ln_score(0.9) - got.ln_score(0.1) - coin.ln_pdf(0.9) + coin.ln_pdf(0.1)).abs() < 1e-12);
}

/// A wrong forecast loses fourteen nats at most, even if it was certain.
#[test]
fn one_surprise_does_not_decide_between_models() {
    let best = Forecast::normal(0.0, 4.0, false).ln_score(0.0);
    let worst = Forecast::normal(0.0, 4.0, false).ln_score(1e12);
    assert!((best - worst - 14.0).abs() < 1e-12);
    assert!((Forecast::rate(1.0, true).ln_score(0.0) + 14.0).abs() < 1e-12);
    assert!(Forecast::rate(1.0, true).ln_score(1.0).abs() < 1e-12);
}

#[test]
fn a_mixture_has_the_mean_of_the_means_and_of_the_variances() {
    let mixture = Forecast::mixture(
        [(3.0, Forecast::normal(10.0, 2.0, false)), (1.0, Forecast::normal(-2.0, 6.0, false))].into_iter(),
    );
    assert_eq!(mixture, Some(Forecast { at: 7.0, variance: Some(3.0) }));
    let rates = [(1.0, Forecast::rate(0.2, true)), (4.0, Forecast::rate(0.7, true))];
    let got = Forecast::mixture(rates.into_iter()).unwrap();
    assert!((got.at - 0.6).abs() < 1e-12 && got.variance.is_none());
    assert_eq!(Forecast::mixture(std::iter::empty()), None);
}

/// The log likelihood ratio of the reward under dropped odds, or a mean one deviation lower, from densities.
#[test]
fn a_drop_is_measured_by_its_likelihood_ratio() {
    let (p, drop) = (0.6, 3.0);
    let odds = p / (1.0 - p) * f64::exp(-drop);
    let after = odds / (1.0 + odds);
    let rate = Forecast::rate(p, true);
    assert!((rate.ln_drop(1.0, (drop, 1.0), 0.97) - f64::ln(after / p)).abs() < 1e-12);
    assert!((rate.ln_drop(0.0, (drop, 1.0), 0.97) - f64::ln((1.0 - after) / (1.0 - p))).abs() < 1e-12);
    let (mean, std, shift) = (5.0, 3.0, 0.8);
    let (before, after) = (Normal::new(mean, std).unwrap(), Normal::new(mean - shift * std, std).unwrap());
    for y in [-4.0, 2.0, 11.0] {
        let got = Forecast::normal(mean, std * std, false).ln_drop(y, (drop, shift), 0.97);
        assert!((got - (after.ln_pdf(y) - before.ln_pdf(y))).abs() < 1e-12);
    }
}

/// Draws 0 > 1 > 2, 2 > 0 > 1 and 1 > 0 > 2, by hand: each candidate is best once; without 2, the first is twice.
#[test]
fn joint_draws_are_won_by_the_best_remaining_candidate() {
    let joint =
        JointDraws { means: vec![0.0; 3], stds: vec![1.0; 3], tops: vec![vec![0, 1, 2], vec![2, 0, 1], vec![1, 0, 2]] };
    let mut out = [f64::NAN; 3];
    let best = Scores::Joint(joint.clone()).best(&[0, 1, 2], 3);
    best.probabilities(&[true, true, true], &mut out);
    assert!(out.iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-12), "{out:?}");
    best.probabilities(&[true, true, false], &mut out);
    assert!((out[0] - 2.0 / 3.0).abs() < 1e-12 && (out[1] - 1.0 / 3.0).abs() < 1e-12 && out[2] <= 0.0, "{out:?}");
    // Among 1 and 2 alone, which become 0 and 1.
    let mut out = [f64::NAN; 2];
    Scores::Joint(joint).best(&[1, 2], 2).probabilities(&[true, true], &mut out);
    assert!((out[0] - 2.0 / 3.0).abs() < 1e-12, "{out:?}");
    // No draw reaches far enough down, so the remaining arms are equal.
    let mut out = [f64::NAN; 3];
    Best::Drawn(vec![vec![0]]).probabilities(&[false, true, true], &mut out);
    assert!(out[0] <= 0.0 && (out[1] - 0.5).abs() < 1e-12 && (out[2] - 0.5).abs() < 1e-12);
}
