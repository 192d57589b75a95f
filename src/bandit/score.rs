//! What models say: scores of candidates, and forecasts of one reward.

use serde::{Deserialize, Serialize};

use crate::stats::{BetaScore, NormalScore, StudentScore, Winners};

/// A forecast's log score is never taken for less: one surprise must not settle which model is right.
const LN_SCORE_MIN: f64 = -14.0;

/// What a model expected of a reward, for its evidence once the reward is known. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The probability of 1; or the mean, reward.
    at: f64,
    /// None: `at` is a probability; else the variance, reward².
    variance: Option<f64>,
}

/// What a model expects of a reward.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expectation {
    /// By its posterior's mean.
    pub(super) mean: Forecast,
    /// By two of its standard deviations less: what is hoped of an arm that little is known of is no promise.
    pub(super) least: Forecast,
}

/// The standard deviations by which [`Expectation::least`] is less than the mean.
pub(super) const LEAST: f64 = 2.0;

impl Forecast {
    /// Of a reward that is 1 with probability `p`; `unit`: so rewards are scored.
    pub(super) fn rate(p: f64, unit: bool) -> Self {
        Self { at: p, variance: (!unit).then(|| (p * (1.0 - p)).max(f64::MIN_POSITIVE)) }
    }

    /// Of a reward that is normal; where rewards are 0 or 1 (`unit`), the probability of 1 is the normal's
    /// density there over that at both: so it compares with models of rates.
    pub(super) fn normal(mean: f64, variance: f64, unit: bool) -> Self {
        if unit {
            Self { at: super::linear::logistic((mean - 0.5) / variance), variance: None }
        } else {
            Self { at: mean, variance: Some(variance.max(f64::MIN_POSITIVE)) }
        }
    }

    /// The forecast for one who sees what is shown with probability `weight` only.
    pub(super) fn seen(self, weight: f64) -> Self {
        let at = if self.variance.is_none() { (self.at * weight).min(1.0 - f64::EPSILON) } else { self.at * weight };
        Self { at, variance: self.variance.map(|v| v * weight) }
    }

    /// Of weighted forecasts the mean, with the mean of their variances; none of none.
    pub(super) fn mixture(parts: impl Iterator<Item = (f64, Self)>) -> Option<Self> {
        let (mut total, mut at, mut variance) = (0.0, 0.0, None);
        for (weight, forecast) in parts {
            total += weight;
            at += weight * forecast.at;
            variance = forecast.variance.map(|v| variance.unwrap_or(0.0) + weight * v);
        }
        (total > 0.0).then(|| Self { at: at / total, variance: variance.map(|v: f64| v / total) })
    }

    /// How much likelier the reward `y` is had rewards dropped than as forecast, nats: `drop` is by how much, as
    /// log odds for rates and in standard deviations for others; rates are taken for at most `max`.
    pub(super) fn ln_drop(&self, y: f64, drop: (f64, f64), max: f64) -> f64 {
        match self.variance {
            None => {
                let (before, y) = (self.at.clamp(f64::EPSILON, max), y.clamp(0.0, 1.0));
                let after = super::linear::logistic((before / (1.0 - before)).ln() - drop.0);
                y * (after / before).ln() + (1.0 - y) * ((1.0 - after) / (1.0 - before)).ln()
            }
            Some(variance) => -drop.1 * (y - self.at) / variance.sqrt() - 0.5 * drop.1 * drop.1,
        }
    }

    /// The log predictive density of the reward `y`, in nats, but for a constant.
    pub(super) fn ln_score(&self, y: f64) -> f64 {
        match self.variance {
            None => {
                let (p, y) = (self.at, y.clamp(0.0, 1.0));
                let part = |share: f64, p: f64| if share > 0.0 { share * p.ln() } else { 0.0 };
                (part(y, p) + part(1.0 - y, 1.0 - p)).max(LN_SCORE_MIN)
            }
            Some(variance) => {
                let residual = y - self.at;
                (-0.5 * residual * residual / variance).max(LN_SCORE_MIN) - 0.5 * variance.ln()
            }
        }
    }
}

/// A score on the scale of log odds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitScore {
    /// The log odds.
    pub log_odds: NormalScore,
    /// The rate that is expected of them.
    pub rate: f64,
}

/// What a model says of the candidates of one decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Scores {
    /// Normal scores.
    Normal(Vec<NormalScore>),
    /// Scores on the scale of log odds.
    Logit(Vec<LogitScore>),
    /// Correlated scores, as joint draws of them.
    Joint(Joint),
    /// Beta scores, compared as log odds.
    Beta {
        /// Means, as rewards.
        means: Vec<f64>,
        /// Standard deviations, as rewards.
        stds: Vec<f64>,
        /// The scores.
        scores: Vec<BetaScore>,
    },
    /// Student t scores.
    Student {
        /// Means, as rewards.
        means: Vec<f64>,
        /// Scales, as rewards.
        stds: Vec<f64>,
        /// The scores.
        scores: Vec<StudentScore>,
    },
}

impl Scores {
    /// Number of candidates.
    pub fn len(&self) -> usize {
        match self {
            Self::Normal(scores) => scores.len(),
            Self::Logit(scores) => scores.len(),
            Self::Joint(joint) => joint.means.len(),
            Self::Beta { means, .. } | Self::Student { means, .. } => means.len(),
        }
    }

    /// No candidates.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The expected reward of candidate `i`.
    pub fn mean(&self, i: usize) -> f64 {
        match self {
            Self::Normal(scores) => scores[i].mean,
            Self::Logit(scores) => scores[i].rate,
            Self::Joint(joint) => joint.means[i],
            Self::Beta { means, .. } | Self::Student { means, .. } => means[i],
        }
    }

    /// The standard deviation of that expectation, after the width multiplier.
    pub fn std(&self, i: usize) -> f64 {
        match self {
            Self::Normal(scores) => scores[i].std,
            // To first order.
            Self::Logit(scores) => scores[i].log_odds.std * scores[i].rate * (1.0 - scores[i].rate),
            Self::Joint(joint) => joint.stds[i],
            Self::Beta { stds, .. } | Self::Student { stds, .. } => stds[i],
        }
    }

    /// Whether every number can be used.
    pub fn finite(&self) -> bool {
        let odds = |score: &LogitScore| score.log_odds.mean.is_finite() && score.log_odds.std.is_finite();
        (0..self.len()).all(|i| self.mean(i).is_finite() && self.std(i).is_finite())
            && if let Self::Logit(scores) = self { scores.iter().all(odds) } else { true }
    }

    /// What it takes to say who of the candidates `among` is best, `places` times over; only for scores that
    /// are [`finite`](Self::finite).
    pub(super) fn best(&self, among: &[usize], places: usize) -> Best {
        fn pick<M: Copy>(scores: &[M], among: &[usize]) -> Vec<M> {
            among.iter().map(|&i| scores[i]).collect()
        }
        Best::Grid(match self {
            Self::Normal(scores) => Winners::new(&pick(scores, among), places),
            // Log odds are a monotone map of rates: who is best is the same.
            Self::Logit(scores) => Winners::new(&among.iter().map(|&i| scores[i].log_odds).collect::<Vec<_>>(), places),
            Self::Beta { scores, .. } => Winners::new(&pick(scores, among), places),
            Self::Student { scores, .. } => Winners::new(&pick(scores, among), places),
            Self::Joint(joint) => return Best::Drawn(joint.among(among)),
        })
    }
}

/// Joint draws of correlated scores: of each draw, the candidates in the order of their scores, as far as they are needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// One per candidate, reward.
    pub(super) means: Vec<f64>,
    /// One per candidate, reward.
    pub(super) stds: Vec<f64>,
    /// Per draw, the best candidates, best first.
    pub(super) tops: Vec<Vec<usize>>,
}

impl Joint {
    /// The draws over a part of the candidates, which become 0, 1, 2…
    fn among(&self, among: &[usize]) -> Vec<Vec<usize>> {
        let mut place = vec![usize::MAX; self.means.len()];
        among.iter().enumerate().for_each(|(new, &old)| place[old] = new);
        let rename = |top: &Vec<usize>| top.iter().map(|&i| place[i]).filter(|&i| i != usize::MAX).collect();
        self.tops.iter().map(rename).collect()
    }
}

/// Says who is best among those that are left.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Best {
    /// Of independent scores: by quadrature.
    Grid(Winners),
    /// Of correlated ones: the share of joint draws that each wins.
    Drawn(Vec<Vec<usize>>),
}

impl Best {
    /// Writes the pmf over the `active` into `out`, 0 for the others.
    pub(super) fn probabilities(&self, active: &[bool], out: &mut [f64]) {
        match self {
            Self::Grid(winners) => winners.probabilities(active, out),
            Self::Drawn(tops) => {
                out.fill(0.0);
                let winners = tops.iter().filter_map(|top| top.iter().copied().find(|&i| active[i]));
                let mut wins = 0.0;
                for winner in winners {
                    out[winner] += 1.0;
                    wins += 1.0;
                }
                let left = active.iter().filter(|&&a| a).count() as f64;
                for (p, _) in out.iter_mut().zip(active).filter(|(_, a)| **a) {
                    *p = if wins > 0.0 { *p / wins } else { 1.0 / left };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
