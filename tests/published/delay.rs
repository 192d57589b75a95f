//! Chapelle and Li (2011), *An Empirical Evaluation of Thompson Sampling*, table 1: regret with delayed rewards.
//!
//! Ten items; at each of a million steps, with probability 0.001, one of the ten retires and a new one takes its place,
//! with a reward rate from Beta(4, 4) and the posterior back at its prior. Rewards come δ steps late. What the text
//! leaves open is decided by what gives the table's figures (9,105, 9,199, 9,049, 9,451, 11,550 at δ = 1, 3, 10, 32,
//! 100, and 21,594, 59,256 at 316, 1,000), here means of 10 to 24 runs, with errors of 100 to 250:
//!
//! | reading | δ = 1 | 10 | 32 | 100 | 316 |
//! | --- | --: | --: | --: | --: | --: |
//! | prior Beta(4, 4), each reward δ late, a retired item's go to its successor | 9,210 | 9,370 | 9,940 | 12,130 | 21,790 |
//! | the same, a retired item's pending rewards dropped | 9,210 | 9,410 | 9,510 | 10,640 | 16,000 |
//! | prior Beta(4, 4), in batches every δ steps, to the successor | 9,210 | 9,420 | 9,650 | 10,360 | 15,960 |
//! | prior Beta(1, 1), in batches, to the successor | 9,560 | 9,760 | 9,810 | 11,950 | 19,190 |
//! | prior Beta(1, 1), each δ late, to the successor | 9,560 | 9,700 | 10,820 | 15,120 | 30,130 |
//!
//! The first is within 5 %, and the only one within 10 % up to δ = 316 (at 1,000 it has 51,100, the others are farther
//! off). That each item (not one of the ten)
//! retires with probability 0.001 is out: 45,000 at δ = 1.

use std::collections::VecDeque;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Beta as BetaDraw, Distribution as _};
use slotwise::stats::Beta;

use super::{mean_and_error, runs};

const ITEMS: usize = 10;
const STEPS: u32 = 1_000_000;
const RETIRES: f64 = 1e-3;
const PRIOR: f64 = 4.0;

/// The expected reward that one run lost.
fn regret(delay: usize, seed: u64) -> f64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let fresh = BetaDraw::new(4.0, 4.0).unwrap();
    let mut rates: Vec<f64> = (0..ITEMS).map(|_| fresh.sample(&mut rng)).collect();
    let mut posteriors = vec![Beta::new(PRIOR, PRIOR); ITEMS];
    let mut pending: VecDeque<(usize, bool)> = VecDeque::new();
    let mut lost = 0.0;
    for _ in 0..STEPS {
        if rng.random_bool(RETIRES) {
            let item = rng.random_range(0..ITEMS);
            rates[item] = fresh.sample(&mut rng);
            posteriors[item] = Beta::new(PRIOR, PRIOR);
        }
        let mut draw = |posterior: &Beta| BetaDraw::new(posterior.a(), posterior.b()).unwrap().sample(&mut rng);
        let draws: Vec<f64> = posteriors.iter().map(&mut draw).collect();
        let shown = (0..ITEMS).max_by(|&i, &j| draws[i].total_cmp(&draws[j])).unwrap();
        lost += rates.iter().copied().fold(0.0, f64::max) - rates[shown];
        // With δ = 1 a reward is known before the next draw.
        pending.push_back((shown, rng.random_bool(rates[shown])));
        if pending.len() >= delay
            && let Some((item, rewarded)) = pending.pop_front()
        {
            posteriors[item].observe(f64::from(u8::from(rewarded)));
        }
    }
    lost
}

/// Runs scatter by 5 to 7 % of their mean: five have an error of about 3 %, a third of the tolerance.
#[track_caller]
fn check(delay: usize, published: f64) {
    let lost: Vec<f64> = (0..runs(5)).map(|run| regret(delay, 1_000 * delay as u64 + run)).collect();
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
