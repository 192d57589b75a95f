//! Tests against the grid that fits itself to the scores, and against an empty cache.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::stats::{Beta, BetaScore, StudentScore, Winners};

fn by_grid<M: Marginal>(scores: &[M]) -> Vec<f64> {
    let mut out = vec![0.0; scores.len()];
    Winners::new(scores, 1).probabilities(&vec![true; scores.len()], &mut out);
    out
}

fn bits(pmf: &[f64]) -> Vec<u64> {
    pmf.iter().map(|p| p.to_bits()).collect()
}

#[track_caller]
fn check<M: Marginal + fmt::Debug>(scores: &[M], tolerance: f64) -> bool {
    let Some(got) = WinnerCache::default().probabilities(scores) else { return false };
    for (got, want) in got.iter().zip(by_grid(scores)) {
        assert!((got - want).abs() < tolerance, "{got} against {want}: {scores:?}");
    }
    assert!((got.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    true
}

/// The error of each grid is 1e-7 at most.
#[test]
fn both_grids_give_the_same_probabilities() {
    let mut rng = StdRng::seed_from_u64(17);
    let (mut betas, mut students) = (0, 0);
    for _ in 0..1_500 {
        let n = rng.random_range(1..=SCORES_MAX);
        let (centre, apart) = (rng.random_range(-4.0..1.0), rng.random_range(0.0_f64..0.9).powi(2));
        let beta = |rng: &mut StdRng| {
            let odds: f64 = centre + apart * rng.random_range(-1.0..1.0);
            let (rate, weight) = (1.0 / (1.0 + (-odds).exp()), rng.random_range(3.0_f64..8.0).exp());
            BetaScore::new(&Beta::new(1.0 + rate * weight, 1.0 + (1.0 - rate) * weight), rng.random_range(0.3..2.0))
        };
        let scores: Vec<BetaScore> = (0..n).map(|_| beta(&mut rng)).collect();
        betas += u32::from(check(&scores, 2e-7));
        let student = |rng: &mut StdRng| {
            let spread = rng.random_range(0.01..0.2);
            StudentScore::new(3.0 + apart * rng.random_range(-1.0..1.0), spread, rng.random_range(20.0..900.0))
        };
        let scores: Vec<StudentScore> = (0..n).map(|_| student(&mut rng)).collect();
        students += u32::from(check(&scores, 2e-7));
    }
    assert!(betas > 300 && students > 300, "{betas} and {students} took the panels");
}

/// Arms learn, fade, come, go and change places, and their width changes now and then. The cache is used at every step,
/// sometimes while another thread holds its lock.
#[test]
fn the_cache_changes_no_bit() {
    let mut rng = StdRng::seed_from_u64(18);
    let cache = WinnerCache::default();
    let (mut arms, mut width) = (vec![Beta::new(3.0, 9.0); 6], 1.0);
    let (mut taken, mut lengths) = (0, std::collections::BTreeSet::new());
    for step in 0..6_000 {
        let at = rng.random_range(0..arms.len());
        arms[at].observe(f64::from(u8::from(rng.random_bool(0.1 + 0.02 * at as f64))));
        match rng.random_range(0..60) {
            0 if arms.len() < 12 => arms.push(Beta::new(2.0, 7.0)),
            1 if arms.len() > 3 => drop(arms.swap_remove(at)),
            2 => arms.swap(0, at),
            3 => arms[at].forget(0.5),
            4 => width = rng.random_range(0.5..1.5),
            _ => {}
        }
        let scores: Vec<BetaScore> = arms.iter().map(|arm| BetaScore::new(arm, width)).collect();
        let fresh = WinnerCache::default().probabilities(&scores).map(|pmf| bits(&pmf));
        let held = (step % 7 == 0).then(|| cache.0.lock().unwrap());
        let got = cache.clone().probabilities(&scores).map(|pmf| bits(&pmf));
        drop(held);
        assert_eq!(got, fresh, "step {step}");
        taken += u32::from(got.is_some());
        lengths.insert(cache.0.lock().unwrap().length.to_bits());
    }
    assert!(taken > 3_000 && lengths.len() > 3, "{taken} answers on {} lattices", lengths.len());
}

#[test]
fn scores_that_take_a_grid_of_their_own_are_left_to_it() {
    let score = |a, b, width| BetaScore::new(&Beta::new(a, b), width);
    let none = |scores: &[BetaScore]| assert_eq!(WinnerCache::default().probabilities(scores), None, "{scores:?}");
    none(&[score(30.0, 70.0, 0.0), score(30.0, 60.0, 1.0)]);
    none(&[score(90.0, 10.0, 0.0), score(3_000.0, 1_000.0, 1.0)]);
    none(&[score(1.0, 1.0, 1.0), score(300.0, 600.0, 1.0)]);
    none(&[score(50.0, 100.0, 1.0), score(4e6, 9e6, 1.0)]);
    none(&vec![score(30.0, 70.0, 1.0); SCORES_MAX + 1]);
    none(&[]);
    assert_eq!(WinnerCache::default().probabilities(&[StudentScore::new(0.0, 1.0, 3.0); 2]), None);
    assert_eq!(WinnerCache::default().probabilities(&[score(30.0, 70.0, 1.0)]), Some(vec![1.0]));
}

/// One arm stays, the other moves to the mirrored rate and back. If that rate is exactly as many panels away as the
/// cache has rows, its panels replace those of the first arm.
#[test]
fn a_panel_that_replaces_another_in_its_row_is_not_taken_for_it() {
    for weight in (4_000..20_000).step_by(10) {
        let score = |a: f64, b: f64| BetaScore::new(&Beta::new(a * f64::from(weight), b * f64::from(weight)), 1.0);
        let (near, far) = ([score(0.2, 0.8); 2], [score(0.2, 0.8), score(0.8, 0.2)]);
        let cache = WinnerCache::default();
        for scores in [near, far, near] {
            let fresh = WinnerCache::default().probabilities(&scores).map(|pmf| bits(&pmf));
            assert_eq!(cache.probabilities(&scores).map(|pmf| bits(&pmf)), fresh, "{weight}");
        }
    }
}

/// Between two calls that use the panels one arm leads in a call that does not. That call must leave no half-computed
/// columns.
#[test]
fn a_score_off_the_grid_leaves_no_half_computed_columns() {
    let score = |location: f64| StudentScore::new(location, 0.1, 300.0);
    let off = StudentScore::new(-1e20, 2e7, 300.0);
    let cache = WinnerCache::default();
    assert!(cache.probabilities(&[score(0.0), score(0.4), score(0.1)]).is_some());
    assert_eq!(cache.probabilities(&[score(0.9), off, score(0.1)]), None);
    let scores = [score(0.9), score(0.4), score(0.1)];
    let fresh = WinnerCache::default().probabilities(&scores).map(|pmf| bits(&pmf));
    assert_eq!(cache.probabilities(&scores).map(|pmf| bits(&pmf)), fresh);
}
