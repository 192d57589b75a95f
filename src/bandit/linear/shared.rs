//! Shared posterior of all arms, with an offset per arm.

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};

use super::{Linear, Link, OFFSET_PRECISION, Offset, Scoring, expected_rate};
use crate::{
    bandit::{
        model::{RewardRevision, SeenReward},
        normal::standard_normal,
        score::{Expectation, JointDraws, boosted_mean, shift},
    },
    stats::{
        Gaussian, Prediction, SparseVector,
        math::{exp, ln, logistic, square},
    },
};

/// Least fraction of its weight by which a shared posterior fades in one step.
const FADE_SHARED: f64 = 0.01;

/// Least and greatest number of joint draws of correlated scores; the budget decides between them.
pub(super) const DRAWS: (u64, u64) = (64, 512);

/// Boost of a score on the link's own line.
#[derive(Debug, Clone, Copy)]
enum LinkBoost {
    /// The score's centre moves by `by`, and the distance from it is multiplied by `factor`.
    Moved {
        center: f64,
        by: f64,
        factor: f64,
    },
    Shifted(f64),
}

impl LinkBoost {
    fn new(link: Link, center: f64, factor: f64) -> Self {
        match link {
            Link::Identity => Self::Moved { center, by: boosted_mean(center, factor) - center, factor },
            Link::Logit => Self::Shifted(shift(logistic(center), factor)),
        }
    }

    fn apply(self, score: f64) -> f64 {
        match self {
            Self::Moved { center, by, factor } => center + by + factor * (score - center),
            Self::Shifted(by) => score + by,
        }
    }
}

impl Linear {
    /// Updates posterior and offset together exactly and then drops their covariance, so that each sees the other's variance
    /// as noise.
    ///
    /// Returns the expectation from before.
    pub(super) fn learn_shared(&mut self, arm: u32, x: &SparseVector, reward: SeenReward) -> Expectation {
        let SeenReward { y, weight, count, scale } = reward;
        let offset = self.offset(Some(arm));
        let solved = self.posterior_mut(0).solve(x);
        let Prediction { mean, leverage: of_shared } = solved.prediction();
        let of_arm = 1.0 / offset.precision;
        let before = Prediction { mean: mean + offset.mean, leverage: of_shared + of_arm };
        let expectation = self.expectation(before, scale);
        let (curvature, residual) = self.step(before, y, weight);
        let damp = 1.0 + curvature * of_arm;
        self.posterior_mut(0).observe_solved(solved, curvature / damp, residual / damp);
        let damp = 1.0 + curvature * of_shared;
        let arm = arm as usize;
        if self.offsets.len() <= arm {
            self.offsets.resize(arm + 1, Offset::default());
        }
        let precision = offset.precision + curvature / damp;
        self.offsets[arm] = Offset { mean: offset.mean + residual / damp / precision, precision };
        if self.design.link == Link::Identity {
            self.noise.observe(weight, y / weight - before.mean, before.leverage);
            self.noise.discount(1.0 - count);
        }
        expectation
    }

    /// Revises a reward.
    ///
    /// A change right after the observation gives the posterior, offset and noise that the final reward would have given
    /// from the start. A later change is right to first order. As the noise uses the real effect on the prediction, a change
    /// and its reversal cancel.
    ///
    /// Let p and q be the leverages of the shared part and of the offset times the observation's weight w. The exact update
    /// left them with the covariance −c/w, where `c(1 + c) = pq`: the determinant of their covariance, in units of 1/w, is
    /// `pq − c²`, which equals `c`.
    pub(super) fn revise_shared(&mut self, arm: u32, x: &SparseVector, revision: RewardRevision) {
        let RewardRevision { y, delta, weight, retained } = revision;
        let Some(&offset) = self.offsets.get(arm as usize) else { return };
        let solved = self.posterior_mut(0).solve(x);
        let Prediction { mean, leverage: of_shared } = solved.prediction();
        let of_arm = 1.0 / offset.precision;
        let before = Prediction { mean: mean + offset.mean, leverage: of_shared + of_arm };
        let (curvature, _) = self.step(before, y, weight);
        let amount = match self.design.link {
            Link::Identity => retained * delta,
            Link::Logit => retained * ((y + delta).clamp(0.0, 1.0) - y.clamp(0.0, 1.0)),
        };
        let (p, q) = (retained * curvature * of_shared, retained * curvature * of_arm);
        let c = 0.5 * ((1.0 + 4.0 * p * q).sqrt() - 1.0);
        let (to_shared, to_arm) = ((1.0 - q / (1.0 + c)).max(0.0), (1.0 - p / (1.0 + c)).max(0.0));
        // The prediction must never move by more than the reward. Other observations that changed only one of the two parts
        // may make the formula exceed it.
        let gain = p * to_shared + q * to_arm;
        let damp = 1.0 / gain.max(1.0);
        self.posterior_mut(0).revise_solved(&solved, amount * damp * to_shared);
        self.offsets[arm as usize].mean += amount * damp * to_arm * of_arm;
        if self.design.link == Link::Identity {
            let weight_left = retained * weight;
            let leverage = damp * gain / weight_left;
            self.noise.revise(weight_left, delta / weight, y / weight - before.mean, leverage);
        }
    }

    /// Lets the arm's offset fade, and its portion of the shared posterior.
    pub(super) fn forget_shared(&mut self, arm: u32, retained: f64, portion: f64) {
        if let Some(offset) = self.offsets.get_mut(arm as usize) {
            let precision = OFFSET_PRECISION + retained * (offset.precision - OFFSET_PRECISION);
            *offset = Offset { mean: offset.mean * retained * offset.precision / precision, precision };
        }
        let fade = 1.0 - portion * (1.0 - retained);
        // Each of thousands of arms is a sliver of the whole, so slivers add up until they are worth their cost.
        self.owed += -ln(fade);
        if self.owed >= FADE_SHARED && !self.arms.is_empty() {
            let retained = exp(-self.owed);
            self.owed = 0.0;
            let gain = self.forget_posterior(0, retained);
            self.noise.forget(retained, gain);
        }
    }

    /// Returns correlated scores: joint draws of the shared weights and of each candidate's offset.
    pub(super) fn joint(&self, arms: &[Option<u32>], rows: &[SparseVector], scoring: Scoring<'_>) -> JointDraws {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(scoring.seed);
        let row = |i: usize| if rows.len() == 1 { &rows[0] } else { &rows[i] };
        let prior = Gaussian::new(self.design.prior_precision);
        let posterior = self.arms.first().map_or(&prior, AsRef::as_ref);
        let dim = (0..arms.len()).map(|i| row(i).dim()).max().unwrap_or(0).max(posterior.dim());
        let features = rows.iter().map(|row| row.entries.len()).max().unwrap_or(0);
        let predictor = |i: usize| row(i).entries.iter();
        let center: Vec<f64> = (0..arms.len())
            .map(|i| {
                let known = predictor(i).filter_map(|&(j, x)| Some(x * posterior.mean().get(j as usize)?));
                known.sum::<f64>() + self.offset(arms[i]).mean
            })
            .collect();
        let spread = self.spread(features, scoring);
        let boosts: Option<Vec<LinkBoost>> = scoring
            .boosts
            .map(|factors| (0..arms.len()).map(|i| LinkBoost::new(self.design.link, center[i], factors[i])).collect());
        let of_own: Vec<f64> = (0..arms.len())
            .map(|i| (1.0 / self.offset(arms[i]).precision + row(i).unseen / self.design.prior_precision).sqrt())
            .collect();
        let entries: u64 = (0..arms.len()).map(|i| row(i).entries.len() as u64 + 8).sum();
        let cost = entries + (dim * dim / 2) as u64;
        let draws = scoring.compute_budget.map_or(DRAWS.1, |budget| (budget / cost.max(1)).clamp(DRAWS.0, DRAWS.1));
        let keep = scoring.places.max(1).min(arms.len());
        let (mut squares, mut tops) = (vec![0.0; arms.len()], Vec::new());
        for _ in 0..draws {
            let mut weights: Vec<f64> = (0..dim).map(|_| standard_normal(&mut rng)).collect();
            posterior.color(&mut weights);
            let scores: Vec<f64> = (0..arms.len())
                .map(|i| {
                    let shared: f64 = predictor(i).map(|&(j, x)| x * weights[j as usize]).sum();
                    let own: f64 = of_own[i] * standard_normal(&mut rng);
                    squares[i] += square(shared + own);
                    let score = center[i] + spread * (shared + own);
                    boosts.as_ref().map_or(score, |boosts| boosts[i].apply(score))
                })
                .collect();
            let mut order: Vec<usize> = (0..arms.len()).collect();
            let better = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]);
            if keep < order.len() {
                order.select_nth_unstable_by(keep, better);
                order.truncate(keep);
            }
            order.sort_unstable_by(better);
            tops.push(order);
        }
        let std = |i: usize| (squares[i] / draws as f64).sqrt();
        let mut joint = JointDraws { means: Vec::new(), stds: Vec::new(), tops };
        for (i, &mean) in center.iter().enumerate() {
            let rate = expected_rate(mean, square(std(i)));
            let (mean, slope) = match self.design.link {
                Link::Identity => (mean, 1.0),
                Link::Logit => (rate, rate * (1.0 - rate)),
            };
            joint.means.push(mean);
            joint.stds.push(spread * std(i) * slope);
        }
        joint
    }
}
