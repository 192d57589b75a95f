//! Plain learners: a few lines each, without forgetting, standardisation or a portfolio.

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};
use rand_distr::{Beta, Distribution as _, Gamma, StudentT};
use slotwise::{
    bandit::{Value, standard_normal},
    stats::{Gaussian, SparseVector},
};

use super::{
    draws::logistic,
    stream::{Round, StreamPlayer},
};

/// Counts and sums of one arm.
#[derive(Debug, Clone, Copy, Default)]
struct PlainArmSums {
    shown: f64,
    rewarded: f64,
    sum: f64,
    squares: f64,
    log_sum: f64,
    log_squares: f64,
}

/// Rule by which a learner without a context chooses.
#[derive(Debug, Clone, Copy)]
pub(super) enum PlainRule {
    /// Thompson sampling of rates with the prior Beta(1, 1).
    BetaBernoulli,
    /// The best mean, and with probability .05 any arm. Arms that were never shown come first.
    EpsilonGreedy,
    /// Thompson sampling of means with a normal-inverse-gamma posterior.
    NormalInverseGamma,
    /// Thompson sampling of rate × log-normal mean.
    Hurdle,
}

/// Learner without a context.
#[derive(Debug)]
pub(super) struct PlainPlayer {
    rule: PlainRule,
    arms: Vec<PlainArmSums>,
    rng: Xoshiro256PlusPlus,
}

impl PlainPlayer {
    /// Creates a learner.
    pub(super) fn new(rule: PlainRule, seed: u64) -> Self {
        Self { rule, arms: Vec::new(), rng: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    fn uniform(&mut self) -> f64 {
        rand::RngExt::random(&mut self.rng)
    }

    fn beta(&mut self, arm: PlainArmSums) -> f64 {
        let beta = Beta::new(1.0 + arm.rewarded, 1.0 + arm.shown - arm.rewarded);
        beta.map_or(0.0, |beta| beta.sample(&mut self.rng))
    }

    /// Draws a mean from the posterior of a normal with unknown variance, whose prior is worth a tenth of an observation.
    fn mean(&mut self, (n, sum, squares): (f64, f64, f64), prior_scale: f64) -> f64 {
        let strength = 0.1 + n;
        let mean = sum / strength;
        let shape = 1.0 + 0.5 * n;
        let scale = prior_scale + 0.5 * (squares - strength * mean * mean).max(0.0);
        let spread = (scale / shape / strength).sqrt();
        let t = StudentT::new(2.0 * shape).map_or(0.0, |t| t.sample(&mut self.rng));
        mean + spread * t
    }

    /// Draws a rate × log-normal mean. Values of all arms share their variance.
    fn hurdle(&mut self, arm: PlainArmSums, pooled: (f64, f64)) -> f64 {
        let rate = self.beta(arm);
        let (level, variance) = pooled;
        let n = arm.rewarded;
        let mean = (level + arm.log_sum) / (1.0 + n);
        let drawn = mean + (variance / (1.0 + n)).sqrt() * standard_normal(&mut self.rng);
        rate * (drawn + 0.5 * variance).exp()
    }

    /// Mean and variance of the logarithms of all values.
    fn log_values(&mut self) -> (f64, f64) {
        let total = |of: fn(&PlainArmSums) -> f64| self.arms.iter().map(of).sum::<f64>();
        let (n, sum) = (total(|arm| arm.rewarded), total(|arm| arm.log_sum));
        if n < 2.0 {
            return (0.0, 1.0);
        }
        let within = |arm: &PlainArmSums| arm.log_squares - arm.log_sum * arm.log_sum / arm.rewarded.max(1.0);
        let shape = 1.0 + 0.5 * n;
        let scale = 1.0 + 0.5 * self.arms.iter().map(within).sum::<f64>().max(0.0);
        let precision = Gamma::new(shape, 1.0 / scale).map_or(1.0, |gamma| gamma.sample(&mut self.rng));
        (sum / n, 1.0 / precision)
    }
}

impl StreamPlayer for PlainPlayer {
    fn choose(&mut self, round: &Round) -> usize {
        self.arms.resize(round.expected.len(), PlainArmSums::default());
        let arms = self.arms.clone();
        let explores = matches!(self.rule, PlainRule::EpsilonGreedy) && self.uniform() < 0.05;
        let pooled = if matches!(self.rule, PlainRule::Hurdle) { self.log_values() } else { (0.0, 1.0) };
        let n: f64 = arms.iter().map(|arm| arm.shown).sum();
        let variance = arms.iter().map(|arm| arm.squares).sum::<f64>() / n.max(1.0);
        let scores: Vec<f64> = arms
            .into_iter()
            .map(|arm| match self.rule {
                PlainRule::BetaBernoulli => self.beta(arm),
                PlainRule::EpsilonGreedy if explores => self.uniform(),
                PlainRule::EpsilonGreedy if arm.shown < 1.0 => 1e12 + self.uniform(),
                PlainRule::EpsilonGreedy => arm.sum / arm.shown,
                PlainRule::NormalInverseGamma => self.mean((arm.shown, arm.sum, arm.squares), variance.max(1e-12)),
                PlainRule::Hurdle => self.hurdle(arm, pooled),
            })
            .collect();
        (0..scores.len()).reduce(|best, arm| if scores[arm] > scores[best] { arm } else { best }).unwrap_or(0)
    }

    fn learn(&mut self, _: &Round, arm: usize, reward: f64) {
        let sums = &mut self.arms[arm];
        sums.shown += 1.0;
        sums.sum += reward;
        sums.squares += reward * reward;
        if reward > 0.0 {
            let log = reward.ln();
            sums.rewarded += 1.0;
            sums.log_sum += log;
            sums.log_squares += log * log;
        }
    }
}

/// Logistic Thompson sampling over indicators, with a posterior per arm and a quarter of its standard deviation.
#[derive(Debug)]
pub(super) struct LogisticPlayer {
    arms: Vec<Gaussian>,
    words: Vec<(String, Value)>,
    rng: Xoshiro256PlusPlus,
}

impl LogisticPlayer {
    /// Creates a learner.
    pub(super) fn new(seed: u64) -> Self {
        Self { arms: Vec::new(), words: Vec::new(), rng: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    fn row(&mut self, round: &Round) -> SparseVector {
        let mut entries = vec![(0, 1.0)];
        for (name, value) in &round.context {
            let at = self.words.iter().position(|(n, v)| n == name && v == value).unwrap_or_else(|| {
                self.words.push((name.clone(), value.clone()));
                self.words.len() - 1
            });
            entries.push((u32::try_from(at + 1).unwrap_or(u32::MAX), 1.0));
        }
        entries.sort_unstable_by_key(|entry| entry.0);
        SparseVector { entries, unseen: 0.0 }
    }
}

impl StreamPlayer for LogisticPlayer {
    fn choose(&mut self, round: &Round) -> usize {
        let row = self.row(round);
        self.arms.resize(round.expected.len(), Gaussian::new(1.0));
        let mut work = Vec::new();
        let mut best = (0, f64::NEG_INFINITY);
        for (arm, posterior) in self.arms.iter().enumerate() {
            let at = posterior.predict(&row, &mut work);
            let score = at.mean + 0.25 * at.leverage.sqrt() * standard_normal(&mut self.rng);
            if score > best.1 {
                best = (arm, score);
            }
        }
        best.0
    }

    fn learn(&mut self, round: &Round, arm: usize, reward: f64) {
        let row = self.row(round);
        let at = self.arms[arm].predict(&row, &mut Vec::new());
        let rate = logistic(at.mean);
        self.arms[arm].observe(&row, (rate * (1.0 - rate)).max(1e-6), reward - rate);
    }
}
