//! Widened and moved Beta scores, and reuse of known ones.

use super::*;
use crate::stats::Beta;

#[test]
fn widening_scales_the_standard_deviation_and_keeps_the_mean() {
    let posterior = Beta::new(30.0, 70.0);
    let wide = BetaScore::new(&posterior, 1.7);
    let widened = Beta::new(wide.a, wide.b);
    assert!((widened.mean() - posterior.mean()).abs() < 1e-12);
    assert!((widened.variance().sqrt() / posterior.variance().sqrt() - 1.7).abs() < 1e-9);
    assert!((wide.mean() - 0.3).abs() < 1e-12 && (wide.std() / widened.variance().sqrt() - 1.0).abs() < 1e-9);
    assert!(BetaScore::new(&posterior, 0.0).point_mass().is_some());
}

/// The scores differ in one parameter, or in none, or have so wide a spread that they are the same Beta.
#[test]
fn a_known_score_is_reused_only_for_the_posterior_and_width_that_it_was_made_from() {
    let all = |score: &BetaScore| {
        let BetaScore { a, b, ln_norm, centre, scale, support, point, mean, std, made_of } = *score;
        let [from_a, from_b, width] = made_of;
        let of = [a, b, ln_norm, centre, scale, support.0, support.1, mean, std, from_a, from_b, width];
        (of.map(f64::to_bits), point.map(f64::to_bits))
    };
    let made_of = [(30.0, 70.0, 1.0), (30.0, 71.0, 1.0), (31.0, 70.0, 1.0), (30.0, 70.0, 0.5), (30.0, 70.0, 0.0)];
    let wide = [(30.0, 70.0, 80.0), (30.0, 70.0, 90.0), (60.0, 140.0, 90.0)];
    for &(a, b, width) in made_of.iter().chain(&wide) {
        let new = BetaScore::new(&Beta::new(a, b), width);
        for &(a, b, width) in made_of.iter().chain(&wide) {
            let (posterior, moved) = (Beta::new(a, b), new.moved_to(a / (a + b), 1.0));
            for known in [new, moved] {
                let got = BetaScore::known_or_new(&posterior, width, Some(&known));
                assert_eq!(all(&got), all(&BetaScore::new(&posterior, width)), "{a} {b} {width} {known:?}");
            }
        }
    }
}

#[test]
fn a_moved_score_has_the_requested_mean_and_spread() {
    let posterior = Beta::new(30.0, 70.0);
    for (mean, factor) in [(0.33, 1.1), (0.15, 0.5), (0.6, 2.0)] {
        let moved = BetaScore::new(&posterior, 1.0).moved_to(mean, factor);
        let beta = Beta::new(moved.a, moved.b);
        assert!((beta.mean() - mean).abs() < 1e-12);
        assert!((beta.variance().sqrt() / posterior.variance().sqrt() - factor).abs() < 1e-9);
        assert!((moved.mean() - mean).abs() < 1e-12);
        assert!((moved.std() / beta.variance().sqrt() - 1.0).abs() < 1e-9);
    }
    // A hundred times the spread is more than a rate can have, so the score is nearly a coin.
    let coin = BetaScore::new(&posterior, 1.0).moved_to(0.5, 100.0);
    assert!((coin.a + coin.b - BetaScore::TOTAL_MIN).abs() < 1e-12);
    let point = BetaScore::new(&posterior, 0.0).moved_to(0.6, 2.0);
    assert!((point.point_mass().unwrap() - 1.5_f64.ln()).abs() < 1e-9, "what is certain stays so");
}
