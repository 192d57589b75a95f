//! Chapelle and Li (2011), *An Empirical Evaluation of Thompson Sampling*, table 1: regret with delayed rewards.
//!
//! There are ten items. At each of a million steps, with probability 0.001, one of the ten retires and a new one takes
//! its place, with a reward rate from Beta(4, 4) and a posterior that equals the prior. Rewards arrive in batches, every
//! δ steps. Two things the paper leaves open. Here the pending rewards of a retired item are dropped, and the prior is
//! flat. The table has means of 10 to 30 runs for other readings, with errors of 1 to 2 % (more at 316):
//!
//! | reading | δ = 1 | 10 | 32 | 100 | 316 |
//! | --- | --: | --: | --: | --: | --: |
//! | the paper's table | 9,105 | 9,049 | 9,451 | 11,550 | 21,594 |
//! | this test | 9,560 | 9,570 | 9,760 | 11,090 | 16,310 |
//! | a retired item's rewards go to its successor | 9,560 | 9,760 | 9,810 | 11,950 | 19,190 |
//! | likewise, each reward δ steps late, no batches | 9,560 | 9,700 | 10,820 | 15,120 | 30,130 |
//! | prior Beta(4, 4), dropped | 9,130 | 9,140 | 9,260 | 9,880 | 12,080 |
//! | prior Beta(4, 4), to the successor, no batches | 9,130 | 9,410 | 9,880 | 12,550 | 21,790 |
//!
//! The reading of this test is within 6 % of the paper up to δ = 100, which is what it asserts. Beyond that the figure
//! depends on what happens to a retired item's rewards, and the last reading is closest. The reading in which each of
//! the ten items retires with probability 0.001 per step is wrong: it loses 45,000 at δ = 1.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Beta as BetaDraw, Distribution as _};
use slotwise::stats::Beta;

use super::{mean_and_error, runs};

const ITEMS: usize = 10;
const STEPS: u32 = 1_000_000;
const RETIRES: f64 = 1e-3;
const PRIOR: f64 = 1.0;

/// Returns the expected reward that one run lost.
fn regret(delay: u32, seed: u64) -> f64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let fresh = BetaDraw::new(4.0, 4.0).unwrap();
    let mut rates: Vec<f64> = (0..ITEMS).map(|_| fresh.sample(&mut rng)).collect();
    let mut posteriors = vec![Beta::new(PRIOR, PRIOR); ITEMS];
    let mut pending: Vec<(usize, bool)> = Vec::new();
    let mut lost = 0.0;
    for step in 1..=STEPS {
        if rng.random_bool(RETIRES) {
            let item = rng.random_range(0..ITEMS);
            rates[item] = fresh.sample(&mut rng);
            posteriors[item] = Beta::new(PRIOR, PRIOR);
            pending.retain(|(shown, _)| *shown != item);
        }
        let mut draw = |posterior: &Beta| BetaDraw::new(posterior.a(), posterior.b()).unwrap().sample(&mut rng);
        let draws: Vec<f64> = posteriors.iter().map(&mut draw).collect();
        let shown = (0..ITEMS).max_by(|&i, &j| draws[i].total_cmp(&draws[j])).unwrap();
        lost += rates.iter().copied().fold(0.0, f64::max) - rates[shown];
        pending.push((shown, rng.random_bool(rates[shown])));
        if step % delay == 0 {
            for (item, rewarded) in pending.drain(..) {
                posteriors[item].observe(f64::from(u8::from(rewarded)));
            }
        }
    }
    lost
}

/// Asserts that the mean is within a tenth of the published figure. Runs differ by 5 to 6 % of their mean, so the mean
/// of eight has an error of 2 %. The bias of up to 6 % (see above) leaves two standard errors; the seeds are fixed.
#[track_caller]
fn check(delay: u32, published: f64) {
    let lost: Vec<f64> = (0..runs(8)).map(|run| regret(delay, 1_000 * u64::from(delay) + run)).collect();
    let (mean, error) = mean_and_error(&lost);
    println!("δ = {delay}: regret {mean:.0} ± {error:.0} of {} runs, published {published:.0}", lost.len());
    assert!((mean / published - 1.0).abs() < 0.1, "δ = {delay}: {mean:.0} ± {error:.0} for {published}");
}

#[test]
fn rewards_at_once_cost_what_the_table_says() {
    check(1, 9_105.0);
}

#[test]
fn a_delay_of_ten_costs_what_the_table_says() {
    check(10, 9_049.0);
}

#[test]
fn a_delay_of_thirty_two_costs_what_the_table_says() {
    check(32, 9_451.0);
}

#[test]
fn a_delay_of_a_hundred_costs_what_the_table_says() {
    check(100, 11_550.0);
}
