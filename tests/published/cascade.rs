//! Kveton, Szepesvári, Wen, Ashkan (2015), *Cascading Bandits*, §5.1, table 1.
//!
//! K of L items are shown in order. A shopper goes through them and clicks the first attractive one. The K best attract
//! with probability 0.2, the others with 0.05. Regret is in expected clicks over 100,000 steps. The paper gives UCB1
//! 1290 ± 11 and KL-UCB 358 ± 6 for L = 16, K = 2 (20 runs). The figure for Beta–Thompson comes from our earlier
//! simulation of the same environment, written elsewhere. The two figures of the paper show that the environment is
//! right.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Beta as BetaDraw, Distribution as _};
use slotwise::{bandit::seen, stats::Beta};

use super::{mean_and_error, runs};

const STEPS: u32 = 100_000;
const BEST: f64 = 0.2;
const OTHER: f64 = 0.05;

/// Policy that gives each item an index in each step and shows the items with the largest ones.
trait Ranker {
    fn indices(&mut self, step: u32, rng: &mut StdRng) -> Vec<f64>;
    fn observe(&mut self, item: usize, clicked: bool);
}

struct Thompson(Vec<Beta>);

impl Ranker for Thompson {
    fn indices(&mut self, _: u32, rng: &mut StdRng) -> Vec<f64> {
        self.0.iter().map(|posterior| BetaDraw::new(posterior.a(), posterior.b()).unwrap().sample(rng)).collect()
    }

    fn observe(&mut self, item: usize, clicked: bool) {
        self.0[item].observe(f64::from(u8::from(clicked)));
    }
}

/// Observations and clicks of each item. Every item was observed once before the first step, as in algorithm 1.
struct Counts(Vec<(f64, f64)>);

impl Counts {
    fn new(items: usize, shown: usize, rng: &mut StdRng) -> Self {
        Self((0..items).map(|item| (1.0, f64::from(u8::from(rng.random_bool(attraction(item, shown)))))).collect())
    }

    fn observe(&mut self, item: usize, clicked: bool) {
        self.0[item].0 += 1.0;
        self.0[item].1 += f64::from(u8::from(clicked));
    }
}

struct Ucb1(Counts);

impl Ranker for Ucb1 {
    fn indices(&mut self, step: u32, _: &mut StdRng) -> Vec<f64> {
        let width = 1.5 * f64::from(step).ln();
        self.0.0.iter().map(|(seen, clicks)| clicks / seen + (width / seen).sqrt()).collect()
    }

    fn observe(&mut self, item: usize, clicked: bool) {
        self.0.observe(item, clicked);
    }
}

/// The counts, and each item's index at the previous step, where the search begins.
struct KlUcb(Counts, Vec<f64>);

impl Ranker for KlUcb {
    /// Returns the largest q with `observed · KL(mean, q) ≤ ln t + 3 ln ln t` for each item.
    fn indices(&mut self, step: u32, _: &mut StdRng) -> Vec<f64> {
        let log = f64::from(step).max(2.0).ln();
        let budget = log + 3.0 * log.ln().max(0.0);
        for ((seen, clicks), index) in self.0.0.iter().zip(&mut self.1) {
            *index = kl_bound(clicks / seen, budget / seen, *index);
        }
        self.1.clone()
    }

    fn observe(&mut self, item: usize, clicked: bool) {
        self.0.observe(item, clicked);
    }
}

/// Returns the q above `mean` at which the divergence of two Bernoulli distributions reaches `most`, by Newton's steps
/// within a bracket.
fn kl_bound(mean: f64, most: f64, start: f64) -> f64 {
    let term = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    let (mut low, mut high) = (mean, 1.0);
    let mut q = start;
    for _ in 0..60 {
        if q <= low || q >= high {
            q = 0.5 * (low + high);
        }
        let over = term(mean, q) + term(1.0 - mean, 1.0 - q) - most;
        *(if over > 0.0 { &mut high } else { &mut low }) = q;
        if over.abs() < 1e-9 || high - low < 1e-12 {
            break;
        }
        q -= over * q * (1.0 - q) / (q - mean);
    }
    q
}

fn attraction(item: usize, shown: usize) -> f64 {
    if item < shown { BEST } else { OTHER }
}

/// Returns the expected clicks that `ranker` lost in one run.
fn regret(ranker: &mut dyn Ranker, shown: usize, rng: &mut StdRng) -> f64 {
    let best = 1.0 - (1.0 - BEST).powi(i32::try_from(shown).unwrap());
    let mut lost = 0.0;
    for step in 1..=STEPS {
        let indices = ranker.indices(step, rng);
        let mut order: Vec<usize> = (0..indices.len()).collect();
        order.select_nth_unstable_by(shown - 1, |&i, &j| indices[j].total_cmp(&indices[i]));
        order.truncate(shown);
        order.sort_by(|&i, &j| indices[j].total_cmp(&indices[i]));
        lost += best - 1.0 + order.iter().map(|&item| 1.0 - attraction(item, shown)).product::<f64>();
        let mut rewarded = vec![false; shown];
        if let Some(first) = order.iter().position(|&item| rng.random_bool(attraction(item, shown))) {
            rewarded[first] = true;
        }
        for place in 0..seen(&rewarded) {
            ranker.observe(order[place], rewarded[place]);
        }
    }
    lost
}

/// Asserts that the mean of the runs is within a tenth of the published figure.
#[track_caller]
fn assert_regret_near(
    name: &str,
    expected: f64,
    shape: (usize, usize),
    runs: u64,
    ranker: impl Fn(usize, usize, &mut StdRng) -> Box<dyn Ranker>,
) {
    let (items, shown) = shape;
    let one = |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut ranker = ranker(items, shown, &mut rng);
        regret(ranker.as_mut(), shown, &mut rng)
    };
    let lost: Vec<f64> = (0..runs).map(one).collect();
    let (mean, error) = mean_and_error(&lost);
    println!("{name} L{items} K{shown}: {mean:.0} ± {error:.0} of {runs} runs, expected {expected:.0}");
    assert!((mean / expected - 1.0).abs() < 0.1, "{name} L{items} K{shown}: {mean:.0} ± {error:.0} for {expected}");
}

fn thompson(items: usize, _: usize, _: &mut StdRng) -> Box<dyn Ranker> {
    Box::new(Thompson(vec![Beta::new(1.0, 1.0); items]))
}

fn ucb1(items: usize, shown: usize, rng: &mut StdRng) -> Box<dyn Ranker> {
    Box::new(Ucb1(Counts::new(items, shown, rng)))
}

fn kl_ucb(items: usize, shown: usize, rng: &mut StdRng) -> Box<dyn Ranker> {
    Box::new(KlUcb(Counts::new(items, shown, rng), vec![0.5; items]))
}

#[test]
fn beta_thompson_on_cascades_loses_as_little_as_in_the_table() {
    assert_regret_near("Beta–Thompson", 149.0, (16, 2), runs(20), thompson);
    assert_regret_near("Beta–Thompson", 52.0, (16, 8), runs(20), thompson);
}

#[test]
fn the_papers_own_rankers_lose_what_the_paper_says() {
    assert_regret_near("UCB1", 1290.0, (16, 2), runs(3), ucb1);
    assert_regret_near("KL-UCB", 358.0, (16, 2), runs(6), kl_ucb);
}
