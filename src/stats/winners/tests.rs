//! Tests against golden vectors, closed forms and Monte Carlo.

use super::*;
use crate::stats::{Beta, BetaScore, NormalScore, SimdWidth, StudentScore, WinnerCache, with_width_limit};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, StandardNormal, StudentT};

fn best<M: Marginal>(marginals: &[M]) -> Vec<f64> {
    let mut out = vec![0.0; marginals.len()];
    Winners::new(marginals, 1).probabilities(&vec![true; marginals.len()], &mut out);
    out
}

#[track_caller]
fn check(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() < tolerance, "{got} against {want}");
    }
    assert!((got.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

fn betas(parameters: &[(f64, f64)]) -> Vec<BetaScore> {
    parameters.iter().map(|&(a, b)| BetaScore::new(&Beta::new(a, b), 1.0)).collect()
}

fn normals(parameters: &[(f64, f64)]) -> Vec<NormalScore> {
    parameters.iter().map(|&(mean, std)| NormalScore { mean, std }).collect()
}

#[test]
fn golden_vectors_of_the_design_hold() {
    let five = betas(&[(100.0, 50.0), (30.0, 100.0), (5.0, 5.0), (10.0, 5.0), (20.0, 200.0)]);
    // The design's figures for these five are a Monte Carlo estimate, good to 1e-3. Trapezoids on four million nodes give
    // the further digits.
    check(&best(&five), &[0.413_633, 0.0, 0.098_703, 0.487_664, 0.0], 1e-3);
    check(&best(&five), &[0.413_337_916_4, 1.2e-15, 0.098_453_213_7, 0.488_208_869_9, 0.0], 1e-9);
    let three = betas(&[(40.0, 474.0), (64.0, 730.0), (71.0, 818.0)]);
    check(&best(&three), &[0.290_055_432_3, 0.374_435_556_9, 0.335_509_010_8], 1e-9);
    check(&best(&betas(&[(2.0, 1.0), (1.0, 1.0)])), &[2.0 / 3.0, 1.0 / 3.0], 1e-9);
    let gaussian = normals(&[(0.0, 1.0), (0.5, 1.0), (1.0, 2.0)]);
    check(&best(&gaussian), &[0.162_893_262_7, 0.308_779_855_4, 0.528_326_881_9], 1e-9);
}

/// Returns P(Beta(a,b) > Beta(c,d)) for whole a by Evan Miller's closed form, a finite sum.
fn beta_beats(a: u32, b: f64, c: f64, d: f64) -> f64 {
    use statrs::function::beta::ln_beta;
    (0..a)
        .map(|i| {
            let i = f64::from(i);
            (ln_beta(c + i, b + d) - (b + i).ln() - ln_beta(1.0 + i, b) - ln_beta(c, d)).exp()
        })
        .sum()
}

#[test]
fn two_betas_agree_with_the_closed_form() {
    for (a, b, c, d) in [(3, 40.0, 2.5, 17.0), (1, 1.0, 0.3, 0.2), (90, 2.0, 4.0, 0.7), (400, 9e3, 500.0, 1e4)] {
        // P(X > Y) with X = Beta(c, d): 1 − Σ, the sum being P(first > second).
        let p = beta_beats(a, b, c, d);
        check(&best(&betas(&[(f64::from(a), b), (c, d)])), &[p, 1.0 - p], 1e-8);
    }
}

#[test]
fn two_normals_agree_with_the_closed_form_over_twelve_powers_of_ten() {
    for (m, s, t) in [(0.3, 1.0, 2.0), (0.5, 1e-6, 1.0), (1e-3, 1e-9, 1e-3), (3.0, 1.0, 1e-4), (-1e6, 1e6, 1.0)] {
        let p = NormalScore { mean: 0.0, std: 1.0 }.cdf(m / f64::hypot(s, t));
        check(&best(&normals(&[(m, s), (0.0, t)])), &[p, 1.0 - p], 1e-8);
    }
}

#[test]
fn equal_scores_have_equal_probabilities_whatever_their_number() {
    for k in [1, 2, 7, 50, 400] {
        let expected = vec![1.0 / k as f64; k];
        check(&best(&normals(&vec![(3.0, 0.2); k])), &expected, 1e-9);
        check(&best(&betas(&vec![(1.0, 1.0); k])), &expected, 1e-8);
        check(&best(&vec![StudentScore::new(1.0, 2.0, 2.0); k]), &expected, 1e-7);
    }
}

#[test]
fn point_masses_win_if_the_others_stay_below_and_ties_divide_equally() {
    let above = NormalScore { mean: 0.0, std: 1.0 }.cdf(-0.3);
    let got = best(&normals(&[(0.3, 0.0), (0.0, 1.0), (0.3, 0.0), (-1.0, 0.0)]));
    check(&got, &[0.5 * (1.0 - above), above, 0.5 * (1.0 - above), 0.0], 1e-9);
    check(&best(&normals(&[(1.0, 0.0), (2.0, 0.0), (2.0, 0.0)])), &[0.0, 0.5, 0.5], 1e-15);
}

/// The standard error of a frequency over m draws is √(p(1−p)/m) ≤ 0.5/√m. Five of those, over 30 comparisons, are a
/// false alarm once in 60,000 fresh seeds, and the seed is fixed.
#[test]
fn brute_force_agrees() {
    const DRAWS: usize = 400_000;
    let mut rng = StdRng::seed_from_u64(21);
    let tolerance = 5.0 * 0.5 / (DRAWS as f64).sqrt();
    let mut compare = |probability: Vec<f64>, draw: &dyn Fn(usize, &mut StdRng) -> f64| {
        let mut wins = vec![0_u32; probability.len()];
        for _ in 0..DRAWS {
            let scores: Vec<f64> = (0..probability.len()).map(|i| draw(i, &mut rng)).collect();
            let top = (0..scores.len()).max_by(|&i, &j| scores[i].total_cmp(&scores[j])).unwrap();
            wins[top] += 1;
        }
        let frequency: Vec<f64> = wins.iter().map(|&w| f64::from(w) / DRAWS as f64).collect();
        check(&probability, &frequency, tolerance);
    };
    let p = [(0.1, 1.0), (0.9, 0.01), (-2.0, 3.0), (0.89, 0.02), (0.0, 0.5), (5.0, 8.0)];
    compare(best(&normals(&p)), &|i, rng| p[i].0 + p[i].1 * rng.sample::<f64, _>(StandardNormal));
    let b = [(0.4, 3.0), (2.0, 9.0), (1.0, 1.0), (30.0, 200.0), (0.2, 0.2), (8.0, 0.5)];
    compare(best(&betas(&b)), &|i, rng| rand_distr::Beta::new(b[i].0, b[i].1).unwrap().sample(rng));
    let t = [(0.0, 1.0, 2.0), (1.0, 0.3, 5.0), (0.5, 1.0, 40.0), (1.2, 0.1, 1000.0)];
    let students: Vec<_> = t.iter().map(|&(l, s, d)| StudentScore::new(l, s, d)).collect();
    compare(best(&students), &|i, rng| t[i].0 + t[i].1 * StudentT::new(t[i].2).unwrap().sample(rng));
}

/// A grid for several places gives the remaining candidates the same probabilities as a fresh grid over them.
#[test]
fn lower_places_equal_a_fresh_grid_without_the_drawn_candidates() {
    let all = normals(&[(0.0, 1.0), (9.0, 0.1), (8.5, 0.4), (-3.0, 0.01), (0.2, 2.0), (-2.99, 0.02)]);
    let winners = Winners::new(&all, all.len());
    let mut active = vec![true; all.len()];
    for taken in [1, 2, 4, 0] {
        active[taken] = false;
        let rest: Vec<usize> = (0..all.len()).filter(|&i| active[i]).collect();
        let fresh = best(&rest.iter().map(|&i| all[i]).collect::<Vec<_>>());
        let mut got = vec![0.0; all.len()];
        winners.probabilities(&active, &mut got);
        let got: Vec<f64> = rest.iter().map(|&i| got[i]).collect();
        check(&got, &fresh, 1e-8);
    }
}

/// The log odds of rates with hardly any weight reach hundreds of units down. The expected values are `∫ φ_X Φ_Y` by
/// trapezoids, which are exact to rounding for smooth functions that vanish at both ends.
#[test]
fn rates_of_hardly_any_weight_are_compared_as_accurately_as_others() {
    for pair in [[(0.06, 1.25), (0.055, 0.77)], [(0.104, 3.64), (35.26, 2297.8)], [(0.3, 0.2), (8.0, 0.5)]] {
        let of = betas(&pair);
        let (step, mut first) = (0.02, 0.0);
        for i in -30_000..30_000 {
            let x = step * f64::from(i);
            let xs = [x; NODES];
            first += step * of[0].densities(&xs, &BetaScore::shared(&xs))[0] * of[1].cdf(x);
        }
        check(&best(&of), &[first, 1.0 - first], 2e-7);
    }
}

#[test]
fn every_width_of_instructions_gives_the_same_bits() {
    let results = |width| {
        with_width_limit(width, || {
            let mut rng = StdRng::seed_from_u64(5);
            let mut bits = Vec::new();
            for n in [2, 3, 7, 20, 60] {
                let rates: Vec<BetaScore> = (0..n)
                    .map(|_| Beta::new(rng.random_range(0.2..900.0), rng.random_range(0.2..900.0)))
                    .map(|beta| BetaScore::new(&beta, 1.3))
                    .collect();
                let draw = |rng: &mut StdRng| (rng.random_range(-1.0..1.0), rng.random_range(0.01..3.0));
                let normals: Vec<NormalScore> =
                    (0..n).map(|_| draw(&mut rng)).map(|(mean, std)| NormalScore { mean, std }).collect();
                let students: Vec<StudentScore> = (0..n)
                    .map(|_| draw(&mut rng))
                    .map(|(location, scale)| StudentScore::new(location, scale, 2.0 + 9.0 * scale))
                    .collect();
                let active = vec![true; n];
                let mut out = vec![0.0; n];
                Winners::new(&rates, 1).probabilities(&active, &mut out);
                bits.extend(out.iter().map(|p| p.to_bits()));
                Winners::new(&normals, 1).probabilities(&active, &mut out);
                bits.extend(out.iter().map(|p| p.to_bits()));
                Winners::new(&students, 1).probabilities(&active, &mut out);
                bits.extend(out.iter().map(|p| p.to_bits()));
                let kept = WinnerCache::default().probabilities(&normals);
                bits.extend(kept.into_iter().flatten().map(f64::to_bits));
            }
            bits
        })
    };
    let widest = results(SimdWidth::Widest);
    assert_eq!(results(SimdWidth::Avx2), widest);
    assert_eq!(results(SimdWidth::Baseline), widest);
}
