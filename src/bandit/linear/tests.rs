use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::StandardNormal;

use super::*;
use crate::bandit::{Expansion, score::RewardScale};

pub(super) const LAMBDA: f64 = 1.7;

pub(super) fn design(link: Link, sharing: Sharing) -> LinearDesign {
    LinearDesign { link, expansion: Expansion::None, sharing, prior_precision: LAMBDA, dimension_budget: 16 }
}

pub(super) fn row(x: &[f64]) -> SparseVector {
    SparseVector { entries: (0..).zip(x.iter().copied()).collect(), unseen: 0.0 }
}

pub(super) fn random_row(rng: &mut StdRng) -> SparseVector {
    row(&[1.0, rng.random_range(-2.0..3.0), rng.random_range(-1.0..0.5)])
}

impl Linear {
    /// Learns a reward, where the expectation does not matter.
    pub(super) fn observe(&mut self, arm: u32, x: &SparseVector, y: f64, weight: f64) {
        self.learn(arm, x, SeenReward { y, weight, count: 1.0, scale: RewardScale::Unit });
    }
}

const BALANCED: Scoring<'_> = Scoring::new(1.0, 1, 1);

#[track_caller]
pub(super) fn assert_near(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() < tolerance, "{got} against {want}");
}

/// The first arm alone gives the same posterior if the second's rewards are mirrored: rewards are subtracted from 1 on the
/// identity link, and log odds change their sign on the logit link.
#[test]
fn opposed_arms_are_one_posterior_over_mirrored_rewards() {
    for link in [Link::Identity, Link::Logit] {
        let mut rng = StdRng::seed_from_u64(71);
        let (mut opposed, mut single) =
            (Linear::new(design(link, Sharing::Opposed)), Linear::new(design(link, Sharing::Opposed)));
        for _ in 0..60 {
            let (x, arm, y) = (random_row(&mut rng), rng.random_range(0..2), rng.random::<f64>());
            let weight = rng.random_range(0.2..1.0);
            opposed.observe(arm, &x, y, weight);
            single.observe(0, &x, if arm == 0 { y } else { weight - y }, weight);
        }
        assert_near(opposed.noise_variance(), single.noise_variance(), 1e-12);
        for _ in 0..20 {
            let x = random_row(&mut rng);
            let of = |linear: &Linear, arm| linear.predict(Some(arm), &x, &mut Vec::new());
            let (first, second, want) = (of(&opposed, 0), of(&opposed, 1), of(&single, 0));
            assert_near(first.mean, want.mean, 1e-9);
            assert_near(first.leverage, want.leverage, 1e-9);
            assert_near(second.leverage, want.leverage, 1e-9);
            let scores = opposed.scores(&[Some(0), Some(1)], &[x], BALANCED);
            assert_near(scores.mean(0) + scores.mean(1), 1.0, 1e-9);
        }
    }
}

/// The balanced width is the full posterior without features and ½ or ¼ of it with many, without a step between.
#[test]
fn the_balanced_width_is_the_full_posterior_if_there_is_little_to_explore() {
    for (link, many, reached_at) in [(Link::Identity, 0.5, 4), (Link::Logit, 0.25, 16)] {
        assert_near(link.balanced(0), 1.0, 1e-15);
        assert_near(link.balanced(1), 1.0, 1e-15);
        assert_near(link.balanced(2), 0.5_f64.sqrt(), 1e-15);
        assert_near(link.balanced(reached_at), many, 1e-15);
        assert_near(link.balanced(300), many, 1e-15);
    }
}

/// One score and its mirror image: P(first best) = Φ((m − ½)/s) for the score N(m, s²) of the first, where s is 0.8 of the
/// width. The optimism of the two is the same.
#[test]
fn two_opposed_scores_are_compared_as_one_number() {
    use statrs::distribution::{ContinuousCDF as _, Normal};
    let mut rng = StdRng::seed_from_u64(72);
    let mut opposed = Linear::new(design(Link::Identity, Sharing::Opposed));
    for _ in 0..30 {
        let x = random_row(&mut rng);
        opposed.observe(rng.random_range(0..2), &x, f64::from(u8::from(rng.random_bool(0.5))), 1.0);
    }
    let x = row(&[1.0, 1.5, 0.2]);
    let Prediction { mean, leverage } = opposed.predict(Some(0), &x, &mut Vec::new());
    let std = Link::Identity.balanced(3) * (opposed.noise_variance() * leverage).sqrt();
    let want = Normal::standard().cdf((mean - 0.5) / (0.8 * std));
    let mut out = [0.0; 2];
    opposed.scores(&[Some(0), Some(1)], &[x], BALANCED).best(&[0, 1], 1).probabilities(&[true, true], &mut out);
    assert_near(out[0], want, 1e-6);
}

/// The logit's expected rate against ∫σ(z)N(z; m, v)dz on a fine grid. `MacKay`'s approximation is known to be within
/// .02 of it everywhere.
#[test]
fn an_expected_rate_approximates_the_integral_over_the_log_odds() {
    for mean in [-4.0, -1.0, 0.3, 2.5] {
        for variance in [0.01, 0.5, 3.0, 10.0_f64] {
            let (mut sum, mut mass) = (0.0, 0.0);
            for i in -4_000..=4_000 {
                let z = f64::from(i) / 500.0;
                let density = (-0.5 * z * z).exp();
                sum += density / (1.0 + (-(mean + variance.sqrt() * z)).exp());
                mass += density;
            }
            assert_near(expected_rate(mean, variance), sum / mass, 0.02);
        }
    }
}

/// One update against its formula in two dense dimensions: Λ grows by the slope of the expected rate (taken
/// numerically) and the mean by (y − p)·Λ⁻¹x, by Cramer's rule. Central differences with a step of 1e-5 are off by
/// some 1e-10.
#[test]
fn a_logit_update_is_one_step_with_the_expected_curvature() {
    let mut linear = Linear::new(design(Link::Logit, Sharing::Disjoint));
    let mut precision = [[LAMBDA, 0.0], [0.0, LAMBDA]];
    let mut mean = [0.0, 0.0];
    let solve = |p: [[f64; 2]; 2], x: [f64; 2]| {
        let det = p[0][0] * p[1][1] - p[0][1] * p[1][0];
        [(x[0] * p[1][1] - p[0][1] * x[1]) / det, (p[0][0] * x[1] - x[0] * p[1][0]) / det]
    };
    let mut rng = StdRng::seed_from_u64(73);
    for _ in 0..25 {
        let x = [1.0, rng.random_range(-2.0..3.0)];
        let (y, weight) = (f64::from(u8::from(rng.random_bool(0.3))), rng.random_range(0.3..1.0));
        linear.observe(2, &row(&x), y, weight);
        let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
        let (m, v) = (dot(x, mean), dot(x, solve(precision, x)));
        let slope = (expected_rate(m + 1e-5, v) - expected_rate(m - 1e-5, v)) / 2e-5;
        for i in 0..2 {
            for j in 0..2 {
                precision[i][j] += weight * slope * x[i] * x[j];
            }
        }
        let (residual, step) = (y - weight * expected_rate(m, v), solve(precision, x));
        mean = [mean[0] + residual * step[0], mean[1] + residual * step[1]];
    }
    let got = linear.posterior(2).unwrap();
    assert_near(got.weight_with(linear.constant, 0), mean[0], 1e-8);
    assert_near(got.weight_with(linear.constant, 1), mean[1], 1e-8);
    let x = [1.0, -1.3];
    let leverage = x[0] * solve(precision, x)[0] + x[1] * solve(precision, x)[1];
    assert_near(linear.predict(Some(2), &row(&x), &mut Vec::new()).leverage, leverage, 1e-8);
    assert!(linear.posterior(0).is_some_and(|arm| arm.dim() == 0), "no other arm learned of it");
}

/// One update of a posterior as narrow as 1/√λ = .01 is Newton's step on −ln posterior, whose gradient and Hessian
/// are taken numerically here; the expected curvature differs from the Hessian's by πλ⁻¹|x|²/8 ≈ 2e-4 of it, and
/// that by 2e-4 of the posterior.
#[test]
fn a_narrow_posterior_takes_newtons_step() {
    let lambda = 1e4;
    let mut linear = Linear::new(LinearDesign { prior_precision: lambda, ..design(Link::Logit, Sharing::Disjoint) });
    let x = [1.0, -2.0];
    linear.observe(0, &row(&x), 1.0, 1.0);
    let loss = |a: f64, b: f64| 0.5 * lambda * (a * a + b * b) + (1.0 + (-(a * x[0] + b * x[1])).exp()).ln();
    let h = 1e-4;
    let gradient = [(loss(h, 0.0) - loss(-h, 0.0)) / (2.0 * h), (loss(0.0, h) - loss(0.0, -h)) / (2.0 * h)];
    let hessian = |a: (f64, f64), b: (f64, f64)| {
        let at = |s: f64, t: f64| loss(h * (s * a.0 + t * b.0), h * (s * a.1 + t * b.1));
        (at(1.0, 1.0) - at(1.0, -1.0) - at(-1.0, 1.0) + at(-1.0, -1.0)) / (4.0 * h * h)
    };
    let (i, j) = ((1.0, 0.0), (0.0, 1.0));
    let (a, b, d) = (hessian(i, i), hessian(i, j), hessian(j, j));
    let det = a * d - b * b;
    let newton = [-(d * gradient[0] - b * gradient[1]) / det, -(a * gradient[1] - b * gradient[0]) / det];
    for (index, want) in newton.into_iter().enumerate() {
        let got = linear.posterior(0).unwrap().weight_with(linear.constant, index);
        assert_near(got, want, 1e-5 * want.abs());
    }
}

/// The reference is one dense Gaussian over the weights and all offsets, whose covariance
/// between weights and offsets is dropped after each observation: Kalman's update.
#[test]
fn a_shared_update_is_kalmans_update_with_the_covariance_dropped() {
    let mut linear = Linear::new(design(Link::Identity, Sharing::Shared));
    let (mut mean, mut var) = ([0.0, 0.0], [[1.0 / LAMBDA, 0.0], [0.0, 1.0 / LAMBDA]]);
    let mut offsets = [(0.0, 1.0 / OFFSET_PRECISION); 3];
    let mut rng = StdRng::seed_from_u64(74);
    let product = |v: [[f64; 2]; 2], x: [f64; 2]| [v[0][0] * x[0] + v[0][1] * x[1], v[1][0] * x[0] + v[1][1] * x[1]];
    for _ in 0..40 {
        let (x, arm, y) = ([1.0, rng.random_range(-2.0..2.0)], rng.random_range(0..3_u32), rng.random_range(-1.0..4.0));
        linear.observe(arm, &row(&x), y, 1.0);
        let (m, v) = offsets[arm as usize];
        let px = product(var, x);
        let innovation = 1.0 + v + x[0] * px[0] + x[1] * px[1];
        let residual = y - m - x[0] * mean[0] - x[1] * mean[1];
        for i in 0..2 {
            mean[i] += px[i] * residual / innovation;
            for j in 0..2 {
                var[i][j] -= px[i] * px[j] / innovation;
            }
        }
        offsets[arm as usize] = (m + v * residual / innovation, v - v * v / innovation);
    }
    let x = [1.0, 0.7];
    let (px, shared) = (product(var, x), x[0] * mean[0] + x[1] * mean[1]);
    let leverage = x[0] * px[0] + x[1] * px[1];
    for arm in 0..3 {
        let got = linear.predict(Some(arm), &row(&x), &mut Vec::new());
        let (m, v) = offsets[arm as usize];
        assert_near(got.mean, shared + m, 1e-9);
        assert_near(got.leverage, leverage + v, 1e-9);
    }
    // An arm that was never shown has its attributes' mean, and all the variance that they leave.
    for unknown in [None, Some(9)] {
        let got = linear.predict(unknown, &row(&x), &mut Vec::new());
        assert_near(got.mean, shared, 1e-9);
        assert_near(got.leverage, leverage + 1.0 / OFFSET_PRECISION, 1e-9);
    }
}

/// Returns the expected rewards of the arm at two rows, their leverages, and the noise statistic b.
fn believed(linear: &Linear, arm: u32) -> [f64; 5] {
    let of = |x: &[f64]| linear.predict(Some(arm), &row(x), &mut Vec::new());
    let (one, other) = (of(&[1.0, 0.7]), of(&[1.0, -2.0]));
    [one.mean, other.mean, one.leverage, other.leverage, linear.noise.scale()]
}

/// A reward of arms with a shared posterior that is revised at once equals a reward that had the final value from the
/// start, for every width of the posterior and every weight of the observation.
#[test]
fn a_shared_reward_that_is_revised_at_once_equals_the_final_reward() {
    let mut rng = StdRng::seed_from_u64(77);
    let mut linear = Linear::new(design(Link::Identity, Sharing::Shared));
    for i in 0..60 {
        let (x, arm) = (row(&[1.0, rng.random_range(-2.0..2.0)]), rng.random_range(0..5));
        let (y, delta) = (rng.random_range(-1.0..2.0), rng.random_range(-3.0..9.0));
        let weight = rng.random_range(0.2..1.0);
        let mut revised = linear.clone();
        revised.observe(arm, &x, y, weight);
        revised.revise(arm, &x, RewardRevision { y, delta, weight, retained: 1.0 });
        linear.observe(arm, &x, y + delta, weight);
        for arm in 0..5 {
            for (got, want) in believed(&revised, arm).into_iter().zip(believed(&linear, arm)) {
                assert!((got - want).abs() < 1e-9 * want.abs().max(1.0), "{i}: {got} against {want}");
            }
        }
    }
}

/// Revisions among other observations and fading. The noise statistic never falls by the term in Δ², no prediction
/// moves by more than the reward did, and what is taken back leaves nothing.
#[test]
fn a_late_revision_of_a_shared_reward_never_overshoots_and_can_be_reversed() {
    let mut rng = StdRng::seed_from_u64(78);
    let mut linear = Linear::new(LinearDesign { prior_precision: 0.1, ..design(Link::Identity, Sharing::Shared) });
    let mut kept: Vec<(u32, SparseVector, f64, f64)> = Vec::new();
    let mut damped = 0;
    for i in 0..600 {
        // Some rows in a direction of their own, so that its arm becomes known while the direction does not.
        let x = if i % 10 == 0 { row(&[1.0, 0.0, 3.0]) } else { row(&[1.0, rng.random_range(-2.0..2.0)]) };
        let (arm, y, weight) = (rng.random_range(0..4), rng.random_range(-1.0..2.0), rng.random_range(0.2..1.0));
        linear.observe(arm, &x, y, weight);
        kept.push((arm, x, y, weight));
        linear.forget(rng.random_range(0..4), 0.8, 0.25);
        let (arm, x, y, weight) = kept[rng.random_range(0..kept.len())].clone();
        let (delta, retained) = (rng.random_range(-20.0..20.0), rng.random_range(0.05..1.0));
        let mean = |linear: &Linear| linear.predict(Some(arm), &x, &mut Vec::new()).mean;
        let (before, scale) = (mean(&linear), linear.noise.scale());
        let mut revised = linear.clone();
        revised.revise(arm, &x, RewardRevision { y, delta, weight, retained });
        let moved = (mean(&revised) - before) / (delta / weight);
        assert!((-1e-12..=1.0 + 1e-9).contains(&moved), "{i}: {moved}");
        damped += i32::from(moved > 1.0 - 1e-9);
        let first_order = retained * delta * (y / weight - before);
        assert!(revised.noise.scale() >= (scale + first_order - 1e-9 * scale).max(0.0), "{i}");
        if revised.noise.scale() > revised.noise.prior_scale() {
            revised.revise(arm, &x, RewardRevision { y: y + delta, delta: -delta, weight, retained });
            for (got, want) in believed(&revised, arm).into_iter().zip(believed(&linear, arm)) {
                assert!((got - want).abs() < 1e-7 * want.abs().max(1.0), "{i}: {got} against {want}");
            }
        }
    }
    assert!(damped > 0, "the bound was reached");
}

#[test]
fn a_new_arm_of_a_catalogue_starts_from_its_attributes() {
    let mut linear = Linear::new(design(Link::Identity, Sharing::Shared));
    let (good, bad) = (row(&[1.0, 1.0, 0.0]), row(&[1.0, 0.0, 1.0]));
    let mut rng = StdRng::seed_from_u64(75);
    for i in 0..4_000_u32 {
        let (x, rate) = if i % 2 == 0 { (&good, 0.8) } else { (&bad, 0.1) };
        linear.observe(i % 40, x, f64::from(u8::from(rng.random_bool(rate))), 1.0);
    }
    let scores = linear.scores(&[None, Some(0), None, Some(1)], &[good.clone(), good, bad.clone(), bad], BALANCED);
    // The prior, and offsets that take their share of what the attributes explain, draw both a little together.
    assert_near(scores.mean(0), 0.8, 0.12);
    assert_near(scores.mean(2), 0.1, 0.12);
    assert!(scores.std(0) > 5.0 * scores.std(1) && scores.std(2) > 5.0 * scores.std(3));
}

/// Joint draws against draws made another way: weights through a covariance of their own factoring, offsets and a
/// word that was never met on top. 200 seeds of 512 draws against 200,000: the difference of two frequencies has a
/// standard error of √(p(1−p)(1/102,400 + 1/200,000)); five of those.
#[test]
fn joint_draws_win_as_often_as_draws_made_another_way() {
    const DRAWS: u32 = 200_000;
    let mut linear = Linear::new(design(Link::Identity, Sharing::Shared));
    let mut rng = StdRng::seed_from_u64(76);
    for i in 0..14_u32 {
        linear.observe(i % 3, &row(&[1.0, rng.random_range(-2.0..2.0)]), rng.random_range(-1.0..1.5), 1.0);
    }
    let arms = [Some(0), Some(1), None, Some(2)];
    let mut rows = [[1.0, 1.2], [1.0, -0.8], [1.0, 2.0], [1.0, 0.1]].map(|x| row(&x));
    rows[3].unseen = 2.0;
    let width = 1.6;
    let std = width * Link::Identity.balanced(2) * linear.noise_variance().sqrt();
    // The covariance of the two weights from leverages: at (1, 0), (0, 1) and (1, 1).
    let at = |x: [f64; 2]| linear.posterior(0).unwrap().predict(&row(&x), &mut Vec::new());
    let (a, d, sum) = (at([1.0, 0.0]), at([0.0, 1.0]), at([1.0, 1.0]).leverage);
    let covariance = 0.5 * (sum - a.leverage - d.leverage);
    let (slope, rest) = (covariance / a.leverage, (d.leverage - covariance * covariance / a.leverage).sqrt());
    let mut wins = [0_u32; 4];
    for _ in 0..DRAWS {
        let (first, second): (f64, f64) = (rng.sample(StandardNormal), rng.sample(StandardNormal));
        let first = a.leverage.sqrt() * first;
        let weights = [a.mean + std * first, d.mean + std * (slope * first + rest * second)];
        let scores: Vec<f64> = (0..4)
            .map(|i| {
                let offset = linear.offset(arms[i]);
                let own =
                    (1.0 / offset.precision + rows[i].unseen / LAMBDA).sqrt() * rng.sample::<f64, _>(StandardNormal);
                weights[0] + rows[i].entries[1].1 * weights[1] + offset.mean + std * own
            })
            .collect();
        let best = (0..4).max_by(|&i, &j| scores[i].total_cmp(&scores[j])).unwrap();
        wins[best] += 1;
    }
    let mut pmf = [0.0; 4];
    for seed in 0..200 {
        let mut out = [0.0; 4];
        let scores = linear.scores(&arms, &rows, Scoring::new(width, 4, seed));
        scores.best(&[0, 1, 2, 3], 4).probabilities(&[true; 4], &mut out);
        (0..4).for_each(|i| pmf[i] += out[i] / 200.0);
    }
    for i in 0..4 {
        let want = f64::from(wins[i]) / f64::from(DRAWS);
        let error = (want * (1.0 - want) * (1.0 / 102_400.0 + 1.0 / f64::from(DRAWS))).sqrt();
        assert!(want > 0.01, "none is out of the race");
        assert_near(pmf[i], want, 5.0 * error);
    }
}

/// Posteriors stay finite after the greatest reward that the API allows, 1e12 times a weight of 1e6, and its refund.
#[test]
fn huge_rewards_leave_finite_posteriors() {
    for link in [Link::Identity, Link::Logit] {
        for sharing in [Sharing::Disjoint, Sharing::Opposed, Sharing::Shared] {
            let (mut linear, x) = (Linear::new(design(link, sharing)), row(&[1.0, 5.0, -5.0]));
            for y in [1e18, -1e18, 1e18] {
                linear.observe(0, &x, y, 1.0);
                linear.revise(0, &x, RewardRevision { y, delta: -y, weight: 1.0, retained: 1.0 });
                linear.observe(1, &x, y, 0.5);
            }
            linear.forget(0, 1e-12, 1.0);
            let scores = linear.scores(&[Some(0), Some(1)], std::slice::from_ref(&x), BALANCED);
            assert!(scores.finite(), "{link:?} {sharing:?}: {scores:?}");
            assert!(linear.noise_variance().is_finite() && linear.noise_variance() > 0.0);
            for y in [0.0, 1e18] {
                let score = linear
                    .expect(0, &x, if link == Link::Logit { RewardScale::Unit } else { RewardScale::Values(1.0) })
                    .mean
                    .ln_score(y);
                assert!(score.is_finite(), "{link:?} {sharing:?}: {score}");
            }
        }
    }
}
