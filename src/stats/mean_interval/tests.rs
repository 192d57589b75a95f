use super::*;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Gamma, LogNormal};

/// Slots per cell of the coverage of money.
const SLOTS: u32 = 700;

/// Returns the probability of each number of successes, by its ratio to the one before.
fn binomial(trials: u32, rate: f64) -> Vec<f64> {
    let odds = rate / (1.0 - rate);
    let mut chances = vec![(1.0 - rate).powi(i32::try_from(trials).unwrap())];
    for k in 1..=trials {
        let last = chances[k as usize - 1];
        chances.push(last * odds * f64::from(trials - k + 1) / f64::from(k));
    }
    chances
}

/// The coverage is exact: the sum of the chances of all numbers of clicks whose interval holds the rate.
#[test]
fn click_rates_are_held_by_their_intervals() {
    let mut named = Vec::new();
    for trials in [30, 100, 300, 1_000] {
        let intervals: Vec<Interval> =
            (0..=trials).map(|clicks| rate_interval(f64::from(clicks), f64::from(trials))).collect();
        let coverage = |rate: f64| -> f64 {
            let chances = binomial(trials, rate);
            chances
                .iter()
                .zip(&intervals)
                .filter(|(_, i)| i.low <= rate && rate <= i.high)
                .map(|(chance, _)| chance)
                .sum()
        };
        named.extend([0.01, 0.05, 0.3].map(coverage));
        // Rates from 0.5 to 50 %, evenly on the logarithmic scale.
        for step in 0..=100 {
            let rate = 0.005 * 100_f64.powf(f64::from(step) / 100.0);
            assert!(coverage(rate) >= 0.93, "{rate} of {trials}: {}", coverage(rate));
        }
    }
    assert!(named.iter().all(|&covered| covered >= 0.94), "{named:?}");
    let average = named.iter().sum::<f64>() / named.len() as f64;
    assert!((0.955..=0.975).contains(&average), "{average}");
}

/// Sums over showings of which some have a value.
fn sums(showings: u32, values: &[f64]) -> RewardSums {
    let mut sums = RewardSums::default();
    for i in 0..showings {
        sums.observe(1.0, values.get(i as usize).copied().unwrap_or(0.0));
    }
    sums
}

/// Draws the values of the showings that have one.
fn draw(rng: &mut StdRng, showings: u32, rate: f64, value: &dyn Fn(&mut StdRng) -> f64) -> Vec<f64> {
    let mut values = Vec::new();
    for _ in 0..showings {
        if rng.random::<f64>() < rate {
            values.push(value(rng));
        }
    }
    values
}

/// Part of the slots whose interval is shown, and part of those that hold the truth.
struct CoverageCell {
    shown: f64,
    covered: f64,
}

fn cell(seed: u64, showings: u32, rate: f64, mean: f64, value: &dyn Fn(&mut StdRng) -> f64) -> CoverageCell {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut shown, mut covered) = (0, 0);
    for _ in 0..SLOTS {
        let values = draw(&mut rng, showings, rate, value);
        if let RewardInterval::Known(Interval { low, high }) = reward_interval(&sums(showings, &values)) {
            shown += 1;
            covered += u32::from(low <= rate * mean && rate * mean <= high);
        }
    }
    CoverageCell { shown: f64::from(shown) / f64::from(SLOTS), covered: f64::from(covered) / f64::from(shown.max(1)) }
}

/// A cell with a coverage of 94.5 % falls below 93 % less 2.5 standard errors of that once in a thousand times.
#[track_caller]
fn assert_covers(name: &str, mean: f64, shown_at_least: [f64; 4], value: &dyn Fn(&mut StdRng) -> f64) -> Vec<f64> {
    let mut covered = Vec::new();
    for (i, (showings, rate)) in [(1_000, 0.03), (100, 0.3), (300, 0.3), (1_000, 0.3)].into_iter().enumerate() {
        let cell = cell(7 + i as u64, showings, rate, mean, value);
        println!("{name}, {rate} of {showings}: {:.3} shown, {:.3} covered", cell.shown, cell.covered);
        assert!(cell.shown >= shown_at_least[i], "{name}, {rate} of {showings}: {} shown", cell.shown);
        if cell.shown > 0.02 {
            let error = (0.93 * 0.07 / (cell.shown * f64::from(SLOTS))).sqrt();
            assert!(cell.covered >= 0.93 - 2.5 * error, "{name}, {rate} of {showings}: {} covered", cell.covered);
            covered.push(cell.covered);
        }
    }
    covered
}

#[test]
fn mean_money_is_held_by_its_interval_where_that_is_shown() {
    let log_normal = |sd: f64| {
        let values = LogNormal::new(3.5, sd).unwrap();
        (move |rng: &mut StdRng| values.sample(rng), (3.5 + 0.5 * sd * sd).exp())
    };
    let gamma = |shape: f64| {
        let values = Gamma::new(shape, 30.0).unwrap();
        move |rng: &mut StdRng| values.sample(rng)
    };
    let ((one, mean_one), (wide, mean_wide)) = (log_normal(1.0), log_normal(1.8));
    let covered = [
        assert_covers("log sd 1", mean_one, [0.8, 0.8, 0.99, 1.0], &one),
        assert_covers("log sd 1.8", mean_wide, [0.0, 0.0, 0.15, 0.99], &wide),
        assert_covers("gamma 0.5", 15.0, [0.1, 0.1, 0.85, 1.0], &gamma(0.5)),
        assert_covers("gamma 1", 30.0, [0.4, 0.4, 0.99, 1.0], &gamma(1.0)),
        assert_covers("gamma 3", 90.0, [0.9, 0.9, 1.0, 1.0], &gamma(3.0)),
    ]
    .concat();
    let average = covered.iter().sum::<f64>() / covered.len() as f64;
    assert!((0.95..=0.98).contains(&average), "{average}");
}

/// The number of rewards that it takes, from samples large enough to know the spread.
#[test]
fn the_number_of_rewards_that_it_takes_follows_from_their_spread() {
    let mut rng = StdRng::seed_from_u64(3);
    for (log_sd, at_least, at_most) in [(0.2, 20.0, 20.0), (1.0, 20.0, 24.0), (1.4, 42.0, 54.0), (1.8, 94.0, 118.0)] {
        let values = LogNormal::new(-2.0, log_sd).unwrap();
        let mut shown = 0;
        // Samples of the greatest number that may be needed.
        for _ in 0..200 {
            let drawn: Vec<f64> = (0..4_000).map(|_| values.sample(&mut rng)).collect();
            let many = ValueBelief::new(&sums(4_000, &drawn).values().unwrap());
            let needed = (many.log_variance() * 4_000.0 / LOG_VARIANCE_MAX).max(REWARDED_MIN);
            shown += u32::from((at_least..=at_most).contains(&needed));
        }
        assert!(shown >= 190, "log sd {log_sd}: {shown} of 200");
    }
    let few = sums(5_000, &[49.9; 19]);
    assert_eq!(reward_interval(&few), RewardInterval::TooFew { needed: REWARDED_MIN });
    assert_eq!(reward_interval(&RewardSums::default()), RewardInterval::TooFew { needed: REWARDED_MIN });
}

/// The mean of equal purchases is the rate times the price, and so is its interval.
#[test]
fn one_price_leaves_the_interval_of_the_rate() {
    let RewardInterval::Known(got) = reward_interval(&sums(1_000, &[49.9; 200])) else { panic!("too few") };
    let rate = rate_interval(200.0, 1_000.0);
    for (got, want) in [(got.low, rate.low), (got.high, rate.high)] {
        assert!((got / (49.9 * want) - 1.0).abs() < 1e-4, "{got} and {}", 49.9 * want);
    }
}

#[test]
fn two_prices_and_refunds_below_zero_are_held() {
    let two = |rng: &mut StdRng| if rng.random::<f64>() < 0.5 { 10.0 } else { 50.0 };
    assert_covers("two prices", 30.0, [0.9, 0.9, 1.0, 1.0], &two);
    // One purchase of five comes back and costs 8.
    let fee = |rng: &mut StdRng| if rng.random::<f64>() < 0.2 { -8.0 } else { rng.random_range(10.0..50.0) };
    assert_covers("fees", 0.2 * -8.0 + 0.8 * 30.0, [0.0, 0.0, 0.9, 1.0], &fee);
}

/// All figures follow the unit, up to rounding.
#[test]
fn intervals_follow_the_unit_of_money() {
    let mut rng = StdRng::seed_from_u64(21);
    for (log_sd, showings) in [(1.0, 200), (1.8, 1_000), (0.4, 100), (1.8, 60)] {
        let values = LogNormal::new(3.5, log_sd).unwrap();
        let drawn = draw(&mut rng, showings, 0.3, &|rng| values.sample(rng));
        let of = |unit: f64| {
            let in_unit: Vec<f64> = drawn.iter().map(|value| value * unit).collect();
            match reward_interval(&sums(showings, &in_unit)) {
                RewardInterval::Known(Interval { low, high }) => [low / unit, high / unit],
                RewardInterval::TooFew { needed } => [needed, needed],
            }
        };
        for unit in [1e-4, 1e4] {
            for (got, want) in of(unit).into_iter().zip(of(1.0)) {
                assert!((got / want - 1.0).abs() < 1e-8, "{log_sd} in {unit}: {got} and {want}");
            }
        }
    }
}

/// A refund leaves the interval that there would be without the purchase, also after some fading.
#[test]
fn a_refund_takes_back_what_the_purchase_did_to_the_interval() {
    let mut rng = StdRng::seed_from_u64(4);
    let values = LogNormal::new(3.0, 1.0).unwrap();
    let (mut with, mut without) = (RewardSums::default(), RewardSums::default());
    for i in 0..400_u32 {
        let value = if i % 4 == 0 { values.sample(&mut rng) } else { 0.0 };
        let refunded = i % 12 == 0;
        with.observe(1.0, value);
        without.observe(1.0, if refunded { 0.0 } else { value });
        if refunded {
            with.forget(0.999);
            without.forget(0.999);
            with.revise(0.999, value, -value);
        }
    }
    let (RewardInterval::Known(got), RewardInterval::Known(want)) = (reward_interval(&with), reward_interval(&without))
    else {
        panic!("too few")
    };
    assert!((got.low / want.low - 1.0).abs() < 1e-9 && (got.high / want.high - 1.0).abs() < 1e-9, "{got:?} {want:?}");
}
