//! A million updates of one posterior: it stays positive definite, well conditioned, and equal to the batch solution.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, StandardNormal};
use slotwise::stats::{Gaussian, SparseVector};

const UPDATES: u32 = 1_000_000;
const LAMBDA: f64 = 0.7;

fn row(values: &[f64]) -> SparseVector {
    SparseVector { entries: (0..).zip(values.iter().copied()).collect(), unseen: 0.0 }
}

/// Solves `A·z = b` by Gauss–Jordan with pivoting, on rows and columns brought to a common scale.
fn solve(a: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let n = b.len();
    let scale: Vec<f64> = (0..n).map(|i| a[i][i].sqrt()).collect();
    let mut m: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| a[i][j] / (scale[i] * scale[j])).chain([b[i] / scale[i]]).collect()).collect();
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| m[i][k].abs().total_cmp(&m[j][k].abs())).unwrap();
        m.swap(k, pivot);
        for i in (0..n).filter(|&i| i != k) {
            let factor = m[i][k] / m[k][k];
            for j in k..=n {
                m[i][j] -= factor * m[k][j];
            }
        }
    }
    (0..n).map(|i| m[i][n] / m[i][i] / scale[i]).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The normal equations of the same observations, kept as plain sums.
struct BatchSolution {
    precision: Vec<Vec<f64>>,
    eta: Vec<f64>,
}

impl BatchSolution {
    fn new(dim: usize) -> Self {
        let precision = (0..dim).map(|i| (0..dim).map(|j| if i == j { LAMBDA } else { 0.0 }).collect()).collect();
        Self { precision, eta: vec![0.0; dim] }
    }

    fn observe(&mut self, x: &[f64], y: f64) {
        for i in 0..x.len() {
            for j in 0..x.len() {
                self.precision[i][j] += x[i] * x[j];
            }
            self.eta[i] += y * x[i];
        }
    }

    fn forget(&mut self, retained: f64) {
        for (i, row) in self.precision.iter_mut().enumerate() {
            for value in row.iter_mut() {
                *value *= retained;
            }
            row[i] += (1.0 - retained) * LAMBDA;
        }
        for value in &mut self.eta {
            *value *= retained;
        }
    }
}

/// Updates a posterior with features on scales from 0.001 to 1,000. Half of them are missing at a time, and each
/// depends on the one before it. One per cent is forgotten every thousand updates. Returns the largest errors over many
/// probes: of predictions in posterior deviations, and of leverages relative to their size.
fn largest_errors(dim: usize, seed: u64) -> (f64, f64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let scales: Vec<f64> = (0..dim).map(|i| 10.0_f64.powf(6.0 * i as f64 / (dim - 1) as f64 - 3.0)).collect();
    let weights: Vec<f64> = scales.iter().map(|scale| rng.random_range(-1.0..1.0) / scale).collect();
    let context = |rng: &mut StdRng| -> Vec<f64> {
        let mut before = 1.0;
        scales
            .iter()
            .map(|scale| {
                let noise: f64 = StandardNormal.sample(rng);
                before = if rng.random_bool(0.5) { 0.0 } else { 0.6 * before + noise };
                scale * before
            })
            .collect()
    };
    let (mut posterior, mut batch) = (Gaussian::new(LAMBDA), BatchSolution::new(dim));
    let mut work = Vec::new();
    for update in 1..=UPDATES {
        let values = context(&mut rng);
        let noise: f64 = StandardNormal.sample(&mut rng);
        let y = dot(&values, &weights) + 0.5 * noise;
        let x = row(&values);
        // Every tenth reward comes in two parts.
        let first = if update % 10 == 0 { 0.0 } else { y };
        posterior.observe(&x, 1.0, first - posterior.predict(&x, &mut work).mean);
        if update % 10 == 0 {
            posterior.revise(&x, y);
        }
        batch.observe(&values, y);
        if update % 1_000 == 0 {
            posterior.forget(0.99);
            batch.forget(0.99);
        }
    }
    let mu = solve(&batch.precision, &batch.eta);
    let (mut worst_mean, mut worst_leverage) = (0.0_f64, 0.0_f64);
    for _ in 0..200 {
        let probe = context(&mut rng);
        if probe.iter().all(|value| value.abs() < f64::MIN_POSITIVE) {
            continue;
        }
        let got = posterior.predict(&row(&probe), &mut work);
        let leverage = dot(&probe, &solve(&batch.precision, &probe));
        worst_mean = worst_mean.max((got.mean - dot(&probe, &mu)).abs() / leverage.sqrt());
        worst_leverage = worst_leverage.max((got.leverage / leverage - 1.0).abs());
    }
    (worst_mean, worst_leverage)
}

#[track_caller]
fn assert_equals_batch_solution(dim: usize, seed: u64) {
    let (mean, leverage) = largest_errors(dim, seed);
    println!(
        "d = {dim}: after {UPDATES} updates predictions are off by {mean:.1e} deviations, leverages by {leverage:.1e}"
    );
    assert!(mean < 1e-6 && leverage < 1e-6, "d = {dim}: predictions {mean:e}, leverages {leverage:e}");
}

#[test]
fn sixteen_features_equal_the_batch_solution_after_a_million_updates() {
    assert_equals_batch_solution(16, 81);
}

#[test]
fn thirty_two_features_equal_the_batch_solution_after_a_million_updates() {
    assert_equals_batch_solution(32, 82);
}

/// Three words are seen 90, 5 and 5 times in a hundred, beside an intercept that is their sum, with a half-life of 50
/// observations. Each row has the squared length 2, so all eigenvalues of `Λ = λI + Σwxxᵀ` lie in [λ, λ + 2/(1 − γ)],
/// and the leverage of any unit vector lies between their inverses, whatever the traffic. Plain discounting would lose
/// the directions of the rare words and of the sum.
#[test]
fn rare_words_and_a_short_half_life_stay_well_conditioned() {
    let retained = 0.5_f64.powf(1.0 / 50.0);
    let mut rng = StdRng::seed_from_u64(83);
    let mut posterior = Gaussian::new(LAMBDA);
    let (mut work, mut largest, mut smallest) = (Vec::new(), 0.0_f64, f64::INFINITY);
    let mut probes: Vec<[f64; 4]> = vec![[1.0, -1.0, -1.0, -1.0], [0.0, 0.0, 1.0, -1.0], [1.0, 1.0, 0.0, 0.0]];
    probes.extend((0..5).map(|_| std::array::from_fn(|_| rng.random_range(-1.0..1.0))));
    for update in 0..UPDATES {
        let u: f64 = rng.random();
        let word = 1 + u32::from(u > 0.9) + u32::from(u > 0.95);
        let x = SparseVector { entries: vec![(0, 1.0), (word, 1.0)], unseen: 0.0 };
        let y = f64::from(word);
        posterior.observe(&x, 1.0, y - posterior.predict(&x, &mut work).mean);
        posterior.forget(retained);
        if update % 10 == 0 {
            for probe in &probes {
                let leverage = posterior.predict(&row(probe), &mut work).leverage / dot(probe, probe);
                largest = largest.max(leverage);
                smallest = smallest.min(leverage);
            }
        }
    }
    let bound = 1.0 / (LAMBDA + 2.0 / (1.0 - retained));
    println!("leverages of unit vectors in {smallest:.5}..{largest:.5}; bounds {bound:.5}..{:.5}", 1.0 / LAMBDA);
    assert!(largest <= (1.0 + 1e-9) / LAMBDA && smallest >= bound * (1.0 - 1e-9), "{smallest}..{largest}");
    assert!(posterior.mean().iter().all(|weight| weight.abs() < 3.0), "{:?}", posterior.mean());
}
