//! Scores of candidates, and forecasts of single rewards.

mod forecast;

use crate::stats::{BetaScore, Marginal, NormalScore, StudentScore, WinnerCache, Winners, math::ln};

pub use forecast::Forecast;
pub(super) use forecast::{Expectation, LEAST, RewardScale};

fn pick<M: Copy>(scores: &[M], among: &[usize]) -> Vec<M> {
    among.iter().map(|&i| scores[i]).collect()
}

/// Greatest boosted rate, as no reward is certain.
const RATE_MAX: f64 = 0.9999;

/// Returns `factor` times the mean. A mean below 0 rises by the same fraction of its size.
pub(super) fn boosted_mean(mean: f64, factor: f64) -> f64 {
    mean + (factor - 1.0) * mean.abs()
}

/// Returns `factor` times the rate, limited to [`RATE_MAX`] or the rate itself.
fn boosted_rate(rate: f64, factor: f64) -> f64 {
    (factor * rate).min(RATE_MAX.max(rate))
}

/// Returns the distance that [`boosted_rate`] moves a rate on the line of log odds.
pub(super) fn shift(rate: f64, factor: f64) -> f64 {
    let odds = |p: f64| {
        let p = p.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
        ln(p / (1.0 - p))
    };
    odds(boosted_rate(rate, factor)) - odds(rate)
}

/// Shift and width of the distribution that Thompson sampling draws a linear model's score from, in the score's standard
/// deviations: `N(mean + ½·std, (0.8·std)²)`.
///
/// A draw that is optimistic by part of its uncertainty, and narrower by another part, lies between Thompson sampling and an
/// upper confidence bound. Its propensities are as exact as those of any normal scores. Over the open data it loses less
/// than either, and it still divides the decisions of a batch between the arms.
const OPTIMISM: (f64, f64) = (0.5, 0.8);

/// Returns the winner probabilities of optimistic draws from normal scores.
fn optimistic(scores: impl Iterator<Item = NormalScore>, places: usize) -> Winners {
    let (shift, width) = OPTIMISM;
    let draw = |score: NormalScore| NormalScore { mean: score.mean + shift * score.std, std: width * score.std };
    Winners::new(&scores.map(draw).collect::<Vec<_>>(), places)
}

/// Score on the scale of log odds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitScore {
    /// Log odds.
    pub log_odds: NormalScore,
    /// Expected rate.
    pub rate: f64,
}

/// Score on the scale of logarithms, for rewards above zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogScore {
    /// Logarithm of the reward.
    pub log: NormalScore,
    /// Expected reward.
    pub mean: f64,
}

/// Scores of a model for the candidates of one decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Scores {
    /// Normal scores.
    Normal(Vec<NormalScore>),
    /// Scores on the scale of log odds.
    Logit(Vec<LogitScore>),
    /// Scores on the scale of logarithms.
    Log(Vec<LogScore>),
    /// Correlated scores, as joint draws.
    Joint(JointDraws),
    /// Beta scores, compared as log odds.
    Beta {
        /// Scores, one per candidate.
        scores: Vec<BetaScore>,
        /// Cache of the winner probabilities of such scores.
        cache: WinnerCache<BetaScore>,
    },
    /// Student t scores.
    Student {
        /// Scores, one per candidate.
        scores: Vec<StudentScore>,
        /// Cache of the winner probabilities of such scores.
        cache: WinnerCache<StudentScore>,
    },
}

impl Scores {
    /// Number of candidates.
    pub fn len(&self) -> usize {
        match self {
            Self::Normal(scores) => scores.len(),
            Self::Logit(scores) => scores.len(),
            Self::Log(scores) => scores.len(),
            Self::Joint(joint) => joint.means.len(),
            Self::Beta { scores, .. } => scores.len(),
            Self::Student { scores, .. } => scores.len(),
        }
    }

    /// Returns whether there are no candidates.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Expected reward of candidate `i`.
    pub fn mean(&self, i: usize) -> f64 {
        match self {
            Self::Normal(scores) => scores[i].mean,
            Self::Logit(scores) => scores[i].rate,
            Self::Log(scores) => scores[i].mean,
            Self::Joint(joint) => joint.means[i],
            Self::Beta { scores, .. } => scores[i].mean(),
            Self::Student { scores, .. } => scores[i].mean(),
        }
    }

    /// Standard deviation of the expected reward, after the width multiplier.
    pub fn std(&self, i: usize) -> f64 {
        match self {
            Self::Normal(scores) => scores[i].std,
            // The rate's deviation is that of the log odds to first order.
            Self::Logit(scores) => scores[i].log_odds.std * scores[i].rate * (1.0 - scores[i].rate),
            Self::Log(scores) => scores[i].log.std * scores[i].mean,
            Self::Joint(joint) => joint.stds[i],
            Self::Beta { scores, .. } => scores[i].std(),
            Self::Student { scores, .. } => scores[i].std(),
        }
    }

    /// Returns whether all numbers are finite.
    pub fn finite(&self) -> bool {
        let normal = |score: &NormalScore| score.mean.is_finite() && score.std.is_finite();
        match self {
            Self::Normal(scores) => scores.iter().all(normal),
            Self::Logit(scores) => scores.iter().all(|score| score.rate.is_finite() && normal(&score.log_odds)),
            Self::Log(scores) => scores.iter().all(|score| score.mean.is_finite() && normal(&score.log)),
            Self::Joint(joint) => joint.means.iter().chain(&joint.stds).all(|number| number.is_finite()),
            Self::Beta { scores, .. } => scores.iter().all(|s| s.mean().is_finite() && s.std().is_finite()),
            Self::Student { scores, .. } => scores.iter().all(|s| s.mean().is_finite() && s.std().is_finite()),
        }
    }

    /// Returns the scores of these candidates only, in this order.
    #[must_use]
    pub fn only(&self, kept: &[usize]) -> Self {
        match self {
            Self::Normal(scores) => Self::Normal(pick(scores, kept)),
            Self::Logit(scores) => Self::Logit(pick(scores, kept)),
            Self::Log(scores) => Self::Log(pick(scores, kept)),
            Self::Joint(joint) => Self::Joint(JointDraws {
                means: pick(&joint.means, kept),
                stds: pick(&joint.stds, kept),
                tops: joint.restrict_to(kept),
            }),
            Self::Beta { scores, cache } => Self::Beta { scores: pick(scores, kept), cache: cache.clone() },
            Self::Student { scores, cache } => Self::Student { scores: pick(scores, kept), cache: cache.clone() },
        }
    }

    /// Returns the scores with each candidate's expected reward and spread multiplied by its factor, short of certainty.
    ///
    /// An expected reward below 0 rises by the same fraction of its size, so a boost never harms. Log odds move to the point
    /// where the expected rate is multiplied by the factor. Joint draws must get their [boosts](super::Scoring::boosts) when
    /// they are made.
    #[must_use]
    pub fn boosted(&self, factors: &[f64]) -> Self {
        let times = |values: &[f64]| values.iter().zip(factors).map(|(value, factor)| value * factor).collect();
        let moved = |means: &[f64]| means.iter().zip(factors).map(|(&m, &factor)| boosted_mean(m, factor)).collect();
        match self {
            Self::Normal(scores) => Self::Normal(
                scores
                    .iter()
                    .zip(factors)
                    .map(|(s, &factor)| NormalScore { mean: boosted_mean(s.mean, factor), std: factor * s.std })
                    .collect(),
            ),
            Self::Logit(scores) => Self::Logit(
                scores
                    .iter()
                    .zip(factors)
                    .map(|(s, &factor)| LogitScore {
                        log_odds: NormalScore { mean: s.log_odds.mean + shift(s.rate, factor), ..s.log_odds },
                        rate: boosted_rate(s.rate, factor),
                    })
                    .collect(),
            ),
            Self::Log(scores) => Self::Log(
                scores
                    .iter()
                    .zip(factors)
                    .map(|(s, &factor)| LogScore {
                        log: NormalScore { mean: s.log.mean + ln(factor.max(f64::MIN_POSITIVE)), ..s.log },
                        mean: factor * s.mean,
                    })
                    .collect(),
            ),
            Self::Joint(joint) => Self::Joint(JointDraws {
                means: moved(&joint.means),
                stds: times(&joint.stds),
                tops: joint.tops.clone(),
            }),
            Self::Beta { scores, cache } => {
                let boosted = |(s, &factor): (&BetaScore, &f64)| s.moved_to(boosted_rate(s.mean(), factor), factor);
                Self::Beta { scores: scores.iter().zip(factors).map(boosted).collect(), cache: cache.clone() }
            }
            Self::Student { scores, cache } => {
                let boosted = |(s, &factor): (&StudentScore, &f64)| s.moved_to(boosted_mean(s.mean(), factor), factor);
                Self::Student { scores: scores.iter().zip(factors).map(boosted).collect(), cache: cache.clone() }
            }
        }
    }

    /// Returns the scores with their spread multiplied by `factor`, or `None` if scores of this kind have to be computed
    /// again.
    pub fn widened(&self, factor: f64) -> Option<Self> {
        let wide = |score: NormalScore| NormalScore { std: factor * score.std, ..score };
        match self {
            Self::Normal(scores) => Some(Self::Normal(scores.iter().copied().map(wide).collect())),
            Self::Logit(scores) => {
                let wide = |score: &LogitScore| LogitScore { log_odds: wide(score.log_odds), ..*score };
                Some(Self::Logit(scores.iter().map(wide).collect()))
            }
            Self::Log(scores) => {
                let wide = |score: &LogScore| LogScore { log: wide(score.log), ..*score };
                Some(Self::Log(scores.iter().map(wide).collect()))
            }
            Self::Joint(_) | Self::Beta { .. } | Self::Student { .. } => None,
        }
    }

    /// Probability that candidate `i` scores above `reward`.
    pub fn exceeds(&self, i: usize, reward: f64) -> f64 {
        fn above(score: &impl Marginal, x: f64) -> f64 {
            score.point_mass().map_or_else(|| 1.0 - score.cdf(x), |point| f64::from(u8::from(point > x)))
        }
        // Log odds are defined within (0, 1) only.
        let odds = |score: &dyn Fn(f64) -> f64| match reward {
            ..=0.0 => 1.0,
            1.0.. => 0.0,
            rate => score(ln(rate / (1.0 - rate))),
        };
        match self {
            Self::Normal(scores) => above(&scores[i], reward),
            Self::Joint(joint) => above(&NormalScore { mean: joint.means[i], std: joint.stds[i] }, reward),
            Self::Student { scores, .. } => above(&scores[i], reward),
            Self::Logit(scores) => odds(&|x| above(&scores[i].log_odds, x)),
            Self::Log(scores) => {
                if reward > 0.0 {
                    above(&scores[i].log, ln(reward))
                } else {
                    1.0
                }
            }
            Self::Beta { scores, .. } => odds(&|x| above(&scores[i], x)),
        }
    }

    /// Probability that candidate `i` scores above candidate `j`. Joint draws count as independent, which makes the result
    /// less sure than it could be.
    pub fn beats(&self, i: usize, j: usize) -> f64 {
        let mut pmf = [0.0; 2];
        match self {
            Self::Joint(joint) => {
                let score = |i: usize| NormalScore { mean: joint.means[i], std: joint.stds[i] };
                Winners::new(&[score(i), score(j)], 1).probabilities(&[true; 2], &mut pmf);
            }
            Self::Normal(_) | Self::Logit(_) | Self::Log(_) | Self::Beta { .. } | Self::Student { .. } => {
                self.best(&[i, j], 1).probabilities(&[true; 2], &mut pmf);
            }
        }
        pmf[0]
    }

    /// Returns the winner probabilities among the candidates `among` for drawing `places` of them.
    ///
    /// The scores must be [`finite`](Self::finite). For one place, callers must ask about all of the candidates.
    pub(super) fn best(&self, among: &[usize], places: usize) -> Best {
        if places == 1
            && let Some(pmf) = self.cached_best(among)
        {
            return Best::Known(pmf);
        }
        Best::Grid(match self {
            Self::Normal(scores) => optimistic(among.iter().map(|&i| scores[i]), places),
            // Log odds and logarithms are monotone maps of rewards, so the order is the same.
            Self::Logit(scores) => optimistic(among.iter().map(|&i| scores[i].log_odds), places),
            Self::Log(scores) => optimistic(among.iter().map(|&i| scores[i].log), places),
            Self::Beta { scores, .. } => Winners::new(&pick(scores, among), places),
            Self::Student { scores, .. } => Winners::new(&pick(scores, among), places),
            Self::Joint(joint) => return Best::Drawn(joint.restrict_to(among)),
        })
    }

    /// Returns the cached probability that each of the candidates `among` is the best, or `None` if these scores do not fit
    /// the cache's grid.
    fn cached_best(&self, among: &[usize]) -> Option<Vec<f64>> {
        fn best_by_cache<M: Marginal>(scores: &[M], among: &[usize], cache: &WinnerCache<M>) -> Option<Vec<f64>> {
            let all = among.len() == scores.len() && among.iter().enumerate().all(|(at, &i)| at == i);
            if all { cache.probabilities(scores) } else { cache.probabilities(&pick(scores, among)) }
        }
        match self {
            Self::Beta { scores, cache, .. } => best_by_cache(scores, among, cache),
            Self::Student { scores, cache, .. } => best_by_cache(scores, among, cache),
            Self::Normal(_) | Self::Logit(_) | Self::Log(_) | Self::Joint(_) => None,
        }
    }
}

/// Joint draws of correlated scores. Each draw lists the best candidates in the order of their scores.
#[derive(Debug, Clone, PartialEq)]
pub struct JointDraws {
    /// One value per candidate, reward.
    pub(super) means: Vec<f64>,
    /// One value per candidate, reward.
    pub(super) stds: Vec<f64>,
    /// Best candidates of each draw, best first.
    pub(super) tops: Vec<Vec<usize>>,
}

impl JointDraws {
    /// Returns the draws over some of the candidates, which become 0, 1, 2…
    fn restrict_to(&self, among: &[usize]) -> Vec<Vec<usize>> {
        let mut place = vec![usize::MAX; self.means.len()];
        among.iter().enumerate().for_each(|(new, &old)| place[old] = new);
        let rename = |top: &Vec<usize>| top.iter().map(|&i| place[i]).filter(|&i| i != usize::MAX).collect();
        self.tops.iter().map(rename).collect()
    }
}

/// Winner probabilities among the remaining candidates.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Best {
    /// Quadrature of independent scores.
    Grid(Winners),
    /// Joint draws of correlated scores, of which each candidate wins a fraction.
    Drawn(Vec<Vec<usize>>),
    /// Known pmf over all candidates, for one place.
    Known(Vec<f64>),
}

impl Best {
    /// Returns whether the pmf is available over all candidates only.
    pub(super) fn needs_all_active(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// Writes the pmf over the `active` candidates into `out`, with 0 for the others. All candidates must be active if the
    /// pmf [needs that](Self::needs_all_active).
    pub(super) fn probabilities(&self, active: &[bool], out: &mut [f64]) {
        match self {
            Self::Grid(winners) => winners.probabilities(active, out),
            Self::Known(pmf) => out.copy_from_slice(pmf),
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
