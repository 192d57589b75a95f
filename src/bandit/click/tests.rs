use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{
    bandit::{apply_floor_and_ceiling, draw},
    stats::{Beta, BetaScore, Gaussian, Noise, SparseVector, Winners},
};

const ARMS: usize = 6;
const PLACES: usize = 4;
/// Rate of each arm at a position that is seen.
const RATES: [f64; ARMS] = [0.40, 0.33, 0.26, 0.20, 0.14, 0.08];
/// Exposure of each position.
const THETA: [f64; PLACES] = [1.0, 0.65, 0.4, 0.25];

/// Estimates and counts from simulated traffic.
struct SimulatedTraffic {
    positions: Positions,
    /// Clicks per position.
    clicks: [f64; PLACES],
    /// Clicks, showings and the sum of the true θ at the shown positions, per arm.
    arms: [(f64, f64, f64); ARMS],
    /// Number of clicks at the first position.
    top_share: f64,
}

/// The pmfs of a policy that is brought up to date now and then: one per set of arms still to be placed.
struct PmfTable {
    winners: Winners,
    pmfs: Vec<Option<Vec<f64>>>,
}

impl PmfTable {
    fn new(posteriors: &[Beta]) -> Self {
        let scores: Vec<BetaScore> = posteriors.iter().map(|p| BetaScore::new(p, 1.0)).collect();
        Self { winners: Winners::new(&scores, PLACES), pmfs: vec![None; 1 << ARMS] }
    }

    /// The policy's probabilities for the next position with the arms of `taken` (one bit each) placed.
    fn pmf(&mut self, taken: usize) -> &[f64] {
        let winners = &self.winners;
        self.pmfs[taken].get_or_insert_with(|| {
            let active: Vec<bool> = (0..ARMS).map(|arm| taken >> arm & 1 == 0).collect();
            let mut pmf = vec![0.0; ARMS];
            winners.probabilities(&active, &mut pmf);
            apply_floor_and_ceiling(&mut pmf, &active, |_| 0.01, |_| 1.0);
            pmf
        })
    }

    /// Returns a slate and the swap probability of each pair of neighbours.
    fn slate(&mut self, rng: &mut StdRng) -> (Vec<usize>, Vec<f64>) {
        let (mut slate, mut swap_probabilities, mut taken) = (Vec::new(), Vec::new(), 0);
        for place in 0..PLACES {
            let (arm, _) = draw(self.pmf(taken), rng.random()).unwrap();
            if place > 0 {
                let above: usize = slate[place - 1];
                let before = taken & !(1 << above);
                let kept = self.pmf(before)[above] * self.pmf(taken)[arm];
                let swapped = self.pmf(before)[arm] * self.pmf(before | 1 << arm)[above];
                swap_probabilities.push(swap_probability(kept, swapped));
            }
            slate.push(arm);
            taken |= 1 << arm;
        }
        (slate, swap_probabilities)
    }
}

/// Position-based traffic under a Thompson policy, which knows no more than what it has learned here,
/// θ included: it sorts the best to the top.
fn traffic(decisions: usize) -> SimulatedTraffic {
    let mut rng = StdRng::seed_from_u64(71);
    let mut learned = SimulatedTraffic {
        positions: Positions::new(),
        clicks: [0.0; PLACES],
        arms: [(0.0, 0.0, 0.0); ARMS],
        top_share: 0.0,
    };
    let mut weights = [0.0; ARMS];
    let mut table = PmfTable::new(&[Beta::new(1.0, 1.0); ARMS]);
    for decision in 0..decisions {
        if decision % 50 == 49 {
            let posterior = |arm: usize| {
                let clicks: f64 = learned.arms[arm].0;
                Beta::new(1.0 + clicks, 1.0 + (weights[arm] - clicks).max(0.0))
            };
            table = PmfTable::new(&(0..ARMS).map(posterior).collect::<Vec<_>>());
        }
        let (slate, swap_probabilities) = table.slate(&mut rng);
        let exposures = ClickModel::PositionBased.weights(&[false; PLACES], &learned.positions);
        for (place, &arm) in slate.iter().enumerate() {
            let clicked = rng.random_bool(THETA[place]) && rng.random_bool(RATES[arm]);
            weights[arm] += exposures[place];
            learned.arms[arm].1 += 1.0;
            learned.arms[arm].2 += THETA[place];
            if clicked {
                learned.arms[arm].0 += 1.0;
                learned.clicks[place] += 1.0;
                learned.positions.revise(place, &swap_probabilities, 1.0, true);
            }
        }
        learned.top_share += f64::from(u8::from(slate[0] == 0)) / decisions as f64;
    }
    learned
}

/// `Σo(yₖ₊₁ − ρyₖ)` is a martingale, so a ratio's error is a few of the standard errors of independent sums: over a
/// hundred other seeds it was 0.2 to 0.5 ± 0.75 of them (the prior pulls it up a little, and rewards of neighbours
/// go together). 4.5 of them are five deviations: less than a 1-in-a-million false alarm for a fresh seed; the seed is fixed.
/// For rates, `Σ(y − θr)` is a martingale of variance below `Σθr`: five deviations again.
/// Estimates from the clicks alone must be wrong by more than ten and eight standard errors.
#[test]
fn exposures_and_rates_are_recovered_although_the_best_stand_on_top() {
    let learned = traffic(100_000);
    assert!(learned.top_share > 0.8, "the policy sorts: {}", learned.top_share);
    for place in 1..PLACES {
        let (exposure, standard) = (learned.positions.exposure(place), learned.positions.ln_std_error(place));
        let error = (exposure / THETA[place]).ln();
        assert!(standard < 0.15, "place {place} was learned: {standard}");
        assert!(error.abs() < 4.5 * standard, "place {place}: {exposure}, off by {:.2} errors", error / standard);
        let naive = learned.clicks[place] / learned.clicks[0];
        let naive_standard = (1.0 / learned.clicks[place] + 1.0 / learned.clicks[0]).sqrt();
        assert!((naive / THETA[place]).ln() < -10.0 * naive_standard, "place {place}: clicks alone are right: {naive}");
    }
    for (arm, &(clicks, shown, seen)) in learned.arms.iter().enumerate() {
        let deviation = (RATES[arm] * seen).sqrt();
        let z = (clicks - RATES[arm] * seen) / deviation;
        assert!(z.abs() < 5.0, "arm {arm}: {:.4} for {}, off by {z:.2} deviations", clicks / seen, RATES[arm]);
        if arm > 0 {
            let naive = (clicks - RATES[arm] * shown) / deviation;
            assert!(naive < -8.0, "arm {arm}: its clicks over its showings are right: {:.4}", clicks / shown);
        }
    }
}

/// The two weightings in one pass over the same data: an arm of rate 0.8 that always stands where one in four
/// looks, from a prior that thinks 0.2. The ratio's variance is r(1 − θr)/(θn); the error that EM began with
/// has shrunk to its n^−0.25th part, many times as much.
#[test]
fn weights_of_expectation_maximisation_keep_early_errors() {
    const THETA: f64 = 0.25;
    const RATE: f64 = 0.8;
    let mut rng = StdRng::seed_from_u64(73);
    let rounds = 40_000_u32;
    let (mut clicks, mut weight) = (0.0, 0.0);
    let (mut em_clicks, mut em_weight) = (1.0, 5.0);
    for _ in 0..rounds {
        let clicked = rng.random_bool(THETA * RATE);
        let guess: f64 = em_clicks / em_weight;
        weight += THETA;
        em_weight += if clicked { 1.0 } else { THETA * (1.0 - guess) / (1.0 - THETA * guess) };
        if clicked {
            clicks += 1.0;
            em_clicks += 1.0;
        }
    }
    let standard = (RATE * (1.0 - THETA * RATE) / (THETA * f64::from(rounds))).sqrt();
    assert!((clicks / weight - RATE).abs() < 4.5 * standard, "ratio {:.4}", clicks / weight);
    assert!((em_clicks / em_weight - RATE).abs() > 4.5 * standard, "em {:.4}", em_clicks / em_weight);
}

/// Gaussian and noise follow the documentation of `weights`, with rewards in two parts. The result equals least squares
/// on y/w with weights w, from the batch formulas for two features.
#[test]
fn weighted_observations_equal_weighted_least_squares() {
    let lambda = 0.8;
    let rows = [([1.0, 0.5], 0.4_f64, 2.0, 0.0), ([1.0, -1.5], 1.0, 0.0, 3.0), ([1.0, 2.0], 0.25, 1.0, -1.0)];
    let (mut posterior, mut noise) = (Gaussian::new(lambda), Noise::new(1.0, 0.3));
    let row = |x: [f64; 2]| SparseVector { entries: vec![(0, x[0]), (1, x[1])], unseen: 0.0 };
    let mut work = Vec::new();
    for (x, w, y, _) in rows {
        let at = posterior.predict(&row(x), &mut work);
        noise.observe(w, y / w - at.mean, at.leverage);
        posterior.observe(&row(x), w, y - w * at.mean);
    }
    for (x, w, y, delta) in rows {
        let at = posterior.predict(&row(x), &mut work);
        noise.revise(w, delta / w, y / w - at.mean, at.leverage);
        posterior.revise(&row(x), delta);
    }
    let sum = |f: &dyn Fn([f64; 2], f64, f64) -> f64| rows.iter().map(|&(x, w, y, d)| f(x, w, y + d)).sum::<f64>();
    let (a, c) = (lambda + sum(&|x, w, _| w * x[0] * x[0]), lambda + sum(&|x, w, _| w * x[1] * x[1]));
    let b = sum(&|x, w, _| w * x[0] * x[1]);
    let eta = [sum(&|x, _, y| y * x[0]), sum(&|x, _, y| y * x[1])];
    let det = a * c - b * b;
    let mean = [(c * eta[0] - b * eta[1]) / det, (a * eta[1] - b * eta[0]) / det];
    for (got, want) in posterior.mean().iter().zip(mean) {
        assert!((got - want).abs() < 1e-12, "{got} for {want}");
    }
    let scale = 0.3 + 0.5 * (sum(&|_, w, y| y * y / w) - eta[0] * mean[0] - eta[1] * mean[1]);
    assert!((noise.scale() - scale).abs() < 1e-12, "{} for {scale}", noise.scale());
}

/// A change and its reversal, in another order and with forgetting in between, leave nothing; and a revision
/// that comes late counts with the retained weight of its decision.
#[test]
fn a_reversal_undoes_its_reward_exactly() {
    let swap_probabilities = [[0.31, 0.5, 0.07], [0.02, 0.44, 0.99], [0.6, 0.0, 0.25]];
    let (mut with, mut without) = (Positions::new(), Positions::new());
    for (n, swap_probabilities) in swap_probabilities.iter().enumerate() {
        for positions in [&mut with, &mut without] {
            positions.revise(n, swap_probabilities, 1.0, true);
        }
        with.revise(3 - n, swap_probabilities, 1.0, true);
    }
    assert_ne!(with, without);
    for positions in [&mut with, &mut without] {
        positions.forget(0.5);
    }
    for n in [1, 0, 2] {
        with.revise(3 - n, &swap_probabilities[n], 0.5, false);
    }
    for place in 0..5 {
        assert!((with.exposure(place) - without.exposure(place)).abs() < 1e-14);
        assert!((with.ln_std_error(place) - without.ln_std_error(place)).abs() < 1e-14);
    }
    // Computed by hand: places 0, 1, 2 of the three decisions, at half their weight, five rewards a priori.
    let ratios = [(5.0 + 0.5 * 0.02) / (5.0 + 0.5 * 0.31), 5.0 / (5.0 + 0.5 * 0.44), 5.0 / (5.0 + 0.5 * 0.25)];
    assert!((without.exposure(1) - ratios[0]).abs() < 1e-14);
    assert!((without.exposure(3) - ratios[0] * ratios[1] * ratios[2]).abs() < 1e-14, "{}", without.exposure(3));
}

/// Four numbers: the probabilities of the pair's two orders, drawn by hand from Luce's rule with 5 : 3 : 2.
#[test]
fn a_pair_counts_with_its_swap_probability() {
    let (kept, swapped) = (0.5 * (3.0 / 5.0), 0.3 * (5.0 / 7.0));
    assert!((swap_probability(kept, swapped) - swapped / (kept + swapped)).abs() < 1e-15);
    assert!((swap_probability(kept, swapped) + swap_probability(swapped, kept) - 1.0).abs() < 1e-15);
    assert!(swap_probability(1.0, 0.0).abs() < f64::EPSILON, "a forced order tells nothing");
    assert!(swap_probability(0.0, 0.0).abs() < f64::EPSILON, "nor does one that could not be drawn");
}

#[test]
fn without_rewards_all_positions_are_looked_at_equally() {
    let mut positions = Positions::new();
    for place in 0..4 {
        assert!((positions.exposure(place) - 1.0).abs() < f64::EPSILON);
        assert!((positions.ln_std_error(place) - (0.4 * place as f64).sqrt()).abs() < 1e-15);
    }
    // Thousands of rewards at the top and none below: the limit holds.
    (0..10_000).for_each(|_| positions.revise(0, &[0.5, 0.5], 1.0, true));
    assert!((positions.exposure(2) - EXPOSURE_MIN).abs() < f64::EPSILON);
    // A slate beyond the known positions, and one whose pairs were not given.
    positions.revise(7, &[], 1.0, true);
    assert!((positions.exposure(9) - EXPOSURE_MIN).abs() < f64::EPSILON);
}

/// Six positions: shown, a click at the third, one at the fifth, one at the first, and all taken back.
#[test]
fn a_cascade_learns_down_to_the_last_reward_and_follows_when_that_moves() {
    let slate = |clicked: &[usize]| (0..6).map(|place| clicked.contains(&place)).collect::<Vec<_>>();
    let steps = [slate(&[]), slate(&[2]), slate(&[2, 4]), slate(&[0, 2, 4]), slate(&[0, 2]), slate(&[0]), slate(&[])];
    assert_eq!(steps.iter().map(|s| seen(s)).collect::<Vec<_>>(), [6, 3, 5, 5, 3, 1, 6]);
    let none = ClickModel::Cascade.weights(&steps[4], &Positions::new());
    assert_eq!(none, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
}
