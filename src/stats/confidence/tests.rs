//! Coverage under continuous peeking by simulation, widths against the fixed-n normal interval, and inversions against
//! plain scans.

use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, LogNormal};

use super::*;
use crate::stats::pairwise_test::{BET_MAX, BET_STEP, BETS, PairwiseTest};

const ALPHA: f64 = 0.05;
const RUNS: usize = 1_000;

/// Returns the greatest fraction of misses that `runs` runs may show if the true one is `alpha`: three standard errors
/// more, which a fresh seed exceeds once in 700 times.
fn allowed(alpha: f64, runs: usize) -> f64 {
    alpha + 3.0 * (alpha * (1.0 - alpha) / runs as f64).sqrt()
}

/// Returns the fraction of runs in which `missed` returns `true` at any time.
fn misses(runs: usize, seed: u64, mut missed: impl FnMut(&mut StdRng) -> bool) -> f64 {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..runs).filter(|_| missed(&mut rng)).count() as f64 / runs as f64
}

fn coin(rng: &mut dyn Rng, p: f64) -> f64 {
    f64::from(u8::from(rng.random_bool(p)))
}

/// Draws a shop's revenue: one shopper in twenty buys, for a heavily skewed amount (skewness 6).
fn money(rng: &mut StdRng) -> f64 {
    if rng.random_bool(0.05) { 40.0 * LogNormal::new(0.0, 1.0).unwrap().sample(rng) } else { 0.0 }
}
const MONEY_MEAN: f64 = 0.05 * 40.0 * 1.648_721_270_700_128;

/// The mixture that the interval inverts is looked at after every single reward, for rare rewards and for fractional
/// ones.
#[test]
fn the_exact_interval_misses_with_probability_alpha_at_most_when_looked_at_always() {
    for (seed, p) in [(1, 0.002), (2, 0.03), (3, 0.5), (4, 0.97)] {
        let share = misses(RUNS, seed, |rng| {
            let mut sample = RewardSample::default();
            (0..2_000).any(|_| {
                sample.add(coin(rng, p));
                sample.against(p) > -ALPHA.ln()
            })
        });
        println!("unit p = {p}: {share}");
        assert!(share <= allowed(ALPHA, RUNS), "{p}: {share}");
    }
    let share = misses(RUNS, 5, |rng| {
        let mut sample = RewardSample::default();
        (0..2_000).any(|_| {
            sample.add(rng.random::<f64>().powi(3));
            sample.against(0.25) > -ALPHA.ln()
        })
    });
    println!("unit cubes: {share}");
    assert!(share <= allowed(ALPHA, RUNS), "{share}");
}

/// A fixed-n interval misses far too often when it is looked at always, so the tests above are able to fail.
#[test]
fn a_fixed_interval_looked_at_always_misses_often() {
    let share = misses(300, 6, |rng| {
        let mut sample = RewardSample::default();
        (0..2_000).any(|n| {
            sample.add(coin(rng, 0.5));
            n > 100 && (sample.mean() - 0.5).abs() > 1.96 * (sample.variance() / sample.count as f64).sqrt()
        })
    });
    println!("fixed: {share}");
    assert!(share > 0.25, "{share}");
}

#[test]
fn the_interval_ends_where_the_mixture_exceeds_its_limit() {
    for (count, sum) in [(1, 0.0), (1, 1.0), (40, 0.0), (40, 0.7), (500, 11.0), (500, 489.5), (100_000, 4_100.0)] {
        let sample = RewardSample { count, sum, sum_sq: sum };
        let Interval { low, high } = sample.interval(true, 0.0, ALPHA).unwrap();
        assert!(0.0 <= low && low <= sample.mean() && sample.mean() <= high && high <= 1.0, "{low} {high}");
        for i in 1..20_000 {
            let mu = f64::from(i) / 20_000.0;
            let inside = sample.against(mu) <= -ALPHA.ln();
            let near = (mu - low).abs() < 1e-6 || (mu - high).abs() < 1e-6;
            assert!(near || inside == (low < mu && mu < high), "{count} {sum}: {mu} in {low} to {high}");
        }
    }
}

#[test]
fn the_exact_interval_is_not_absurdly_wide() {
    for (count, p) in [(1_000, 0.04), (10_000, 0.04), (10_000, 0.5), (1_000_000, 0.04)] {
        let sample = RewardSample { count, sum: p * count as f64, sum_sq: p * count as f64 };
        let Interval { low, high } = sample.interval(true, 0.0, ALPHA).unwrap();
        let fixed = 2.0 * 1.96 * (p * (1.0 - p) / count as f64).sqrt();
        let ratio = (high - low) / fixed;
        println!("width n = {count} p = {p}: {ratio}");
        assert!((1.0..2.1).contains(&ratio), "{count} {p}: {ratio}");
    }
}

/// The expected difference is the furthest corner of a region in two dimensions, found by a scan.
#[test]
fn the_exact_difference_is_the_projection_of_the_joint_region() {
    let of = |count: u64, sum: f64| RewardSample { count, sum, sum_sq: sum };
    for (a, b) in [(of(900, 40.0), of(100, 3.0)), (of(50, 50.0), of(70, 0.0)), (of(9, 2.0), of(2_000, 300.5))] {
        let Interval { low, high } = mean_difference(&a, &b, true, 0.0, ALPHA).unwrap();
        let (mut least, mut most) = (1.0_f64, -1.0_f64);
        let grid = |i: i32| (f64::from(i) + 0.5) / 1_000.0;
        let against: Vec<f64> = (0..1_000).map(|j| b.against(grid(j))).collect();
        for i in 0..1_000 {
            let own = a.against(grid(i));
            for (j, other) in (0..1_000).zip(&against) {
                if own + other <= -ALPHA.ln() {
                    least = least.min(grid(i) - grid(j));
                    most = most.max(grid(i) - grid(j));
                }
            }
        }
        assert!((low - least).abs() < 2.5e-3 && (high - most).abs() < 2.5e-3, "{low} {least} {high} {most}");
        assert!(low <= least + 1e-9 && most - 1e-9 <= high, "never narrower: {low} {least} {high} {most}");
    }
}

/// Nine of ten decisions are the policy's. A miss of the difference is a miss of the joint region.
#[test]
fn the_exact_difference_misses_with_probability_alpha_at_most_when_looked_at_always() {
    let (p, q) = (0.02, 0.03);
    let share = misses(RUNS, 7, |rng| {
        let (mut a, mut b) = (RewardSample::default(), RewardSample::default());
        (0..2_000).any(|_| {
            if rng.random_bool(0.9) {
                a.add(coin(rng, p));
            } else {
                b.add(coin(rng, q));
            }
            a.against(p) + b.against(q) > -ALPHA.ln()
        })
    });
    println!("difference unit: {share}");
    assert!(share <= allowed(ALPHA, RUNS), "{share}");
}

/// Revenue has a heavy tail, and the interval is checked from the first moment at which there is one.
#[test]
fn the_asymptotic_intervals_cover_skewed_money() {
    let (mut said, mut width) = (0, 0.0);
    let share = misses(RUNS, 8, |rng| {
        let mut sample = RewardSample::default();
        let missed = (0..5_000).any(|_| {
            sample.add(money(rng));
            let interval = sample.interval(false, 0.0, ALPHA);
            interval.is_some_and(|i| MONEY_MEAN < i.low || i.high < MONEY_MEAN)
        });
        if let Some(Interval { low, high }) = sample.interval(false, 0.0, ALPHA) {
            said += 1;
            width += (high - low) / (2.0 * 1.96 * (sample.variance() / sample.count as f64).sqrt());
        }
        missed
    });
    println!("money mean: {share}, width {}", width / f64::from(said));
    assert!(share <= allowed(ALPHA, RUNS), "{share}");
    assert!(said > 900 && (1.0..2.0).contains(&(width / f64::from(said))), "{said} {width}");

    let share = misses(RUNS, 9, |rng| {
        let (mut a, mut b) = (RewardSample::default(), RewardSample::default());
        (0..10_000).any(|_| {
            let amount = money(rng);
            if rng.random_bool(0.9) {
                a.add(1.2 * amount);
            } else {
                b.add(amount);
            }
            mean_difference(&a, &b, false, 0.0, ALPHA)
                .is_some_and(|i| 0.2 * MONEY_MEAN < i.low || i.high < 0.2 * MONEY_MEAN)
        })
    });
    println!("money difference: {share}");
    assert!(share <= allowed(ALPHA, RUNS), "{share}");
}

#[test]
fn revising_a_reward_equals_adding_the_final_reward() {
    let (mut revised, mut plain) = (RewardSample::default(), RewardSample::default());
    for (before, after) in [(0.0, 4.0), (3.0, 0.0), (2.0, -5.5), (1.0, 1.0)] {
        revised.add(before);
        plain.add(after);
        revised.revise(before, after);
    }
    assert_eq!(revised, plain);
    assert_eq!(RewardSample::default().interval(true, 0.0, ALPHA), None);
    assert_eq!(mean_difference(&plain, &RewardSample::default(), true, 0.0, ALPHA), None);
}

/// Simulates two arms of which the first is better by the factor 1 + `better` in every context.
///
/// The rewards of both arms depend on the context and the time. The policy follows the means that it saw and shows the
/// first arm most in the good context and the second arm in the bad one. The means per arm are then far apart, which
/// must not affect the test.
fn confounded(rng: &mut StdRng, rounds: usize, unit: bool, better: f64) -> (PairwiseTest, [RewardSample; 2], f64) {
    let (mut test, mut most) = (PairwiseTest::default(), f64::NEG_INFINITY);
    let mut of: [RewardSample; 2] = [RewardSample::default(); 2];
    for t in 0..rounds {
        let good = rng.random_bool(0.5);
        let (first, second) = (of[0].mean(), of[1].mean());
        let drift = 0.3 + 0.2 * ((first - second) / (first + second + 1e-9)).clamp(-1.0, 1.0);
        let p = if good { 0.5 + drift } else { 0.5 - drift };
        let shown = usize::from(!rng.random_bool(p));
        let base = if good { 0.08 } else { 0.04 } * if t % 1_000 < 500 { 1.0 } else { 0.5 };
        let base = if shown == 0 { base * (1.0 + better) } else { base };
        let reward = coin(rng, base) * if unit { 1.0 } else { LogNormal::new(3.0, 1.0).unwrap().sample(rng) };
        let centre = of[0].with(of[1]).mean();
        let centre = if unit { centre.clamp(0.0, 1.0) } else { centre };
        of[shown].add(reward);
        test.add_weight(p, 1.0 - p);
        test.add(if shown == 0 { (reward - centre) * (1.0 - p) } else { (centre - reward) * p });
        most = most.max(test.evidence(unit, &of[0].with(of[1]), 0.0));
    }
    (test, of, most)
}

#[test]
fn the_evidence_of_a_pairwise_test_is_rarely_great_if_neither_arm_is_better() {
    for (seed, unit) in [(10, true), (11, false)] {
        let mut naive = 0;
        let share = misses(RUNS, seed, |rng| {
            let (_, [a, b], most) = confounded(rng, 3_000, unit, 0.0);
            let error = (a.variance() / a.count as f64 + b.variance() / b.count as f64).sqrt();
            naive += usize::from((a.mean() - b.mean()).abs() > 3.0 * error);
            most >= (1.0 / ALPHA).ln()
        });
        println!("test unit {unit}: {share}, means apart {naive}");
        assert!(share <= allowed(ALPHA, RUNS), "{unit}: {share}");
        assert!(naive > RUNS / 10, "means per arm mislead here: {naive}");
    }
}

#[test]
fn the_evidence_of_a_pairwise_test_grows_if_the_first_arm_is_better() {
    for unit in [true, false] {
        let mut rng = StdRng::seed_from_u64(12);
        let found = (0..100).filter(|_| {
            let (test, of, most) = confounded(&mut rng, if unit { 10_000 } else { 20_000 }, unit, 0.6);
            assert!(
                test.reversed().evidence(unit, &of[0].with(of[1]), 0.0) < (1.0 / ALPHA).ln(),
                "never the other way round at the end"
            );
            most >= (1.0 / ALPHA).ln()
        });
        let found = found.count();
        println!("test power unit {unit}: {found}");
        assert!(found >= if unit { 50 } else { 30 }, "{unit}: {found}");
    }
}

#[test]
fn the_bound_of_a_pairwise_test_never_exceeds_the_wealth_itself() {
    let mut rng = StdRng::seed_from_u64(13);
    let mut test = PairwiseTest::default();
    let mut ln_wealth = [0.0; BETS];
    for _ in 0..500 {
        let y: f64 = rng.random_range(-0.9..1.0);
        test.add(y);
        for (j, ln_wealth) in ln_wealth.iter_mut().enumerate() {
            *ln_wealth += (BET_MAX * BET_STEP.powi(i32::try_from(j).unwrap()) * y).ln_1p();
        }
        let wealth = ln_wealth.iter().map(|w| w.exp()).sum::<f64>() / BETS as f64;
        assert!(
            test.evidence(true, &RewardSample::default(), 0.0) <= wealth.ln() + 1e-9,
            "{} {wealth}",
            test.evidence(true, &RewardSample::default(), 0.0)
        );
    }
}

/// One arm is hardly ever shown. Until it earns a reward again, every observation speaks a little for the other arm. The
/// variance that was likely must count, not only the variance that was seen.
#[test]
fn the_evidence_of_a_pairwise_test_is_rarely_great_if_one_arm_is_rarely_shown() {
    let share = misses(RUNS, 14, |rng| {
        let (mut test, mut all, mut most) = (PairwiseTest::default(), RewardSample::default(), f64::NEG_INFINITY);
        for _ in 0..4_000 {
            let p = 0.97;
            let first = rng.random_bool(p);
            let (reward, centre) = (money(rng), all.mean());
            all.add(reward);
            test.add_weight(p, 1.0 - p);
            test.add(if first { (reward - centre) * (1.0 - p) } else { (centre - reward) * p });
            most = most.max(test.evidence(false, &all, 0.0));
        }
        most >= (1.0 / ALPHA).ln()
    });
    println!("test of a rare one: {share}");
    assert!(share <= allowed(ALPHA, RUNS), "{share}");
}
