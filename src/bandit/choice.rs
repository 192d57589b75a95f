//! Pmf of a policy over the remaining candidates, from one model's scores.
//!
//! A [`Policy`] names the rule. A [`Choice`] holds the numbers that it needs from the scores and gives the pmf for any
//! subset of the candidates, so that a slate can be drawn position by position.
//!
//! Invariants:
//!
//! * A pmf adds up to 1 over the active candidates and is 0 elsewhere.
//! * Ties share their probability equally, except under the fixed order, where the first in the list wins.
//!
//! Deliberately not here: floor, ceiling and the draw, which all policies share.

use serde::{Deserialize, Serialize};

use super::score::{Best, Scores};

/// Policy with its parameters: the rule by which scores become probabilities. *Persisted.*
///
/// The k remaining candidates have the means `μ_a` and the standard deviations `s_a` (`s_a` after the width multiplier
/// α, so α is also that of LinUCB):
///
/// ```text
/// thompson_sampling  p_a = P(a has the largest score)
/// uniform            p_a = 1/k
/// fixed_order        p   = 1 for the first
/// greedy             p   = 1 for the largest μ_a
/// epsilon_greedy     p_a = ε/k, plus 1 − ε for the largest μ_a
/// lin_ucb            p   = 1 for the largest μ_a + s_a
/// square_cb          p_a = 1 / (k + γ(μ_best − μ_a)), and the rest for the best
/// ```
///
/// # Source
///
/// Epsilon-greedy: Sutton and Barto, *Reinforcement Learning* (2018), §2.2. `LinUCB`: Li, Chu,
/// Langford and Schapire, "A Contextual-Bandit Approach to Personalized News Article
/// Recommendation" (2010), algorithm 1. `SquareCB`: Foster and Rakhlin, "Beyond UCB" (2020),
/// algorithm 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Policy {
    /// Probability of being the best under the posterior.
    #[default]
    ThompsonSampling,
    /// Equal probabilities.
    Uniform,
    /// Caller's order, which is the baseline.
    FixedOrder,
    /// Largest mean.
    Greedy,
    /// Largest mean, or any candidate with a small probability.
    EpsilonGreedy {
        /// Probability ε of drawing from all candidates alike, 0 to 1.
        epsilon: f64,
    },
    /// Largest upper confidence bound.
    LinUcb,
    /// Probability by the inverse of the gap to the largest mean.
    SquareCb {
        /// Multiplier γ > 0 of the gap, 1/reward.
        gamma: f64,
    },
}

impl Policy {
    /// Default of ε.
    pub const EPSILON: f64 = 0.05;
    /// Default of γ, for rewards within [0, 1]. The theory lets γ grow with the square root of the number of decisions;
    /// Vowpal Wabbit's default 10·√t reaches this value after ten thousand.
    pub const GAMMA: f64 = 1000.0;

    /// Name of the policy in answers and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ThompsonSampling => "thompson_sampling",
            Self::Uniform => "uniform",
            Self::FixedOrder => "fixed_order",
            Self::Greedy => "greedy",
            Self::EpsilonGreedy { .. } => "epsilon_greedy",
            Self::LinUcb => "lin_ucb",
            Self::SquareCb { .. } => "square_cb",
        }
    }

    /// Creates the ε-greedy policy with this ε, or with [`EPSILON`](Self::EPSILON) if it is `None`.
    pub fn epsilon_greedy(epsilon: Option<f64>) -> Self {
        Self::EpsilonGreedy { epsilon: epsilon.unwrap_or(Self::EPSILON) }
    }

    /// Creates the `SquareCB` policy with this γ, or with [`GAMMA`](Self::GAMMA) if it is `None`.
    pub fn square_cb(gamma: Option<f64>) -> Self {
        Self::SquareCb { gamma: gamma.unwrap_or(Self::GAMMA) }
    }
}

/// Policy applied to one model's scores of some candidates.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Choice {
    /// Probability of being the best.
    Best(Best),
    /// Largest value, or any candidate with probability `epsilon`.
    Largest {
        /// Values, one per candidate.
        values: Vec<f64>,
        /// Probability from 0 to 1.
        epsilon: f64,
    },
    /// Inverse gap weighting; see [`Policy::SquareCb`].
    InverseGap {
        /// Means, one per candidate, reward.
        means: Vec<f64>,
        /// Multiplier of the gap, 1/reward.
        gamma: f64,
    },
}

impl Choice {
    /// Creates the choice among the candidates `among`, ascending indices into `scores`, for drawing `places` ≥ 1 of them
    /// one after another. The scores must be [`finite`](Scores::finite).
    pub(super) fn new(policy: Policy, scores: &Scores, among: &[usize], places: usize) -> Self {
        let means = || among.iter().map(|&i| scores.mean(i)).collect();
        let largest = |values| Self::Largest { values, epsilon: 0.0 };
        match policy {
            Policy::ThompsonSampling => Self::Best(scores.best(among, places)),
            Policy::Uniform => largest(vec![0.0; among.len()]),
            Policy::FixedOrder => largest((0..among.len()).map(|i| -(i as f64)).collect()),
            Policy::Greedy => largest(means()),
            Policy::EpsilonGreedy { epsilon } => Self::Largest { values: means(), epsilon },
            Policy::LinUcb => largest(among.iter().map(|&i| scores.mean(i) + scores.std(i)).collect()),
            Policy::SquareCb { gamma } => Self::InverseGap { means: means(), gamma },
        }
    }

    /// Returns whether the pmf is available over all candidates only.
    pub(super) fn needs_all_active(&self) -> bool {
        matches!(self, Self::Best(best) if best.needs_all_active())
    }

    /// Writes the pmf over the `active` candidates into `out`, with 0 for the others, and all 0 if none is active.
    ///
    /// # Panics
    ///
    /// Panics if either slice does not have one entry per candidate.
    pub(super) fn probabilities(&self, active: &[bool], out: &mut [f64]) {
        match self {
            Self::Best(best) => best.probabilities(active, out),
            Self::Largest { values, epsilon } => {
                let even = epsilon / count(active) as f64;
                fill(values, active, out, |_| even);
            }
            Self::InverseGap { means, gamma } => {
                let k = count(active) as f64;
                fill(means, active, out, |gap| 1.0 / (k + gamma * gap));
            }
        }
    }
}

fn count(active: &[bool]) -> usize {
    active.iter().filter(|&&a| a).count()
}

/// Gives each active candidate `part` of its gap to the largest value (at most 1 in total), and divides the rest among
/// those with the largest.
fn fill(values: &[f64], active: &[bool], out: &mut [f64], part: impl Fn(f64) -> f64) {
    assert!(active.len() == values.len() && out.len() == values.len(), "one entry per candidate");
    out.fill(0.0);
    let left = || (0..values.len()).filter(|&i| active[i]);
    let top = left().map(|i| values[i]).fold(f64::NEG_INFINITY, f64::max);
    let (mut rest, mut best) = (1.0, 0_usize);
    for i in left() {
        if values[i] >= top {
            best += 1;
        } else {
            out[i] = part(top - values[i]);
            rest -= out[i];
        }
    }
    for i in left().filter(|&i| values[i] >= top) {
        out[i] = rest.max(0.0) / best as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::NormalScore;
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    fn scores(of: &[(f64, f64)]) -> Scores {
        Scores::Normal(of.iter().map(|&(mean, std)| NormalScore { mean, std }).collect())
    }

    fn pmf(policy: Policy, of: &[(f64, f64)], active: &[bool]) -> Vec<f64> {
        let among: Vec<usize> = (0..of.len()).collect();
        let mut out = vec![f64::NAN; of.len()];
        Choice::new(policy, &scores(of), &among, of.len()).probabilities(active, &mut out);
        out
    }

    /// Five candidates of which the fourth is gone: means in units of 30, a tie for the largest mean, and a tie between two
    /// others for the largest upper bound.
    const FIVE: [(f64, f64); 5] = [(30.0, 66.0), (90.0, 1.5), (60.0, 36.0), (120.0, 90.0), (90.0, 3.0)];
    const LEFT: [bool; 5] = [true, true, true, false, true];

    #[track_caller]
    fn check(policy: Policy, want: [f64; 5]) {
        let got = pmf(policy, &FIVE, &LEFT);
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 1e-15, "{policy:?}: {got} against {want}");
        }
        let none = pmf(policy, &FIVE, &[false; 5]);
        assert!(none.iter().all(|p| *p <= 0.0), "{policy:?}: {none:?}");
    }

    /// The values are derived by hand. The gaps to 90 are 60 and 30, which with γ = 0.1 give 1/(4 + 6) and 1/(4 + 3).
    #[test]
    fn each_policy_gives_the_pmf_of_its_formula_and_divides_ties() {
        check(Policy::Uniform, [0.25, 0.25, 0.25, 0.0, 0.25]);
        check(Policy::FixedOrder, [1.0, 0.0, 0.0, 0.0, 0.0]);
        check(Policy::Greedy, [0.0, 0.5, 0.0, 0.0, 0.5]);
        check(Policy::EpsilonGreedy { epsilon: 0.2 }, [0.05, 0.45, 0.05, 0.0, 0.45]);
        check(Policy::EpsilonGreedy { epsilon: 1.0 }, [0.25, 0.25, 0.25, 0.0, 0.25]);
        check(Policy::EpsilonGreedy { epsilon: 0.0 }, [0.0, 0.5, 0.0, 0.0, 0.5]);
        check(Policy::LinUcb, [0.5, 0.0, 0.5, 0.0, 0.0]);
        check(Policy::SquareCb { gamma: 0.1 }, [0.1, 53.0 / 140.0, 1.0 / 7.0, 0.0, 53.0 / 140.0]);
    }

    #[test]
    fn thompson_sampling_gives_the_probability_of_the_largest_draw() {
        // Two candidates are left, 30 ± 66 and 60 ± 36, with the draws N(30 + 33, (0.8·66)²) and N(60 + 18, (0.8·36)²):
        // Φ(15 / (0.8·√(66² + 36²))) = Φ(.24940).
        let got = pmf(Policy::ThompsonSampling, &FIVE, &[true, false, true, false, false]);
        assert!((got[2] - 0.598_475_1).abs() < 1e-7, "{got:?}");
        assert!((got[0] + got[2] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_fixed_order_continues_with_the_next_remaining_candidate() {
        let got = pmf(Policy::FixedOrder, &FIVE, &[false, false, true, false, true]);
        assert_eq!(got, [0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    /// Foster and Rakhlin (2020), lemma 3: whatever the true rewards f are, the regret of inverse gap weighting under
    /// estimates μ exceeds γ/4 times the squared error by at most 2k/γ. Greedy fails the bound if f is high for an arm that
    /// it never tries, and uniform fails it if f = μ.
    #[test]
    fn square_cb_has_the_bound_of_its_paper() {
        const K: usize = 6;
        let mut rng = StdRng::seed_from_u64(61);
        for round in 0..4_000 {
            let gamma = 10_f64.powf(rng.random_range(0.5..4.0));
            let scale = 10_f64.powf(rng.random_range(-2.0..2.0));
            let estimate: Vec<(f64, f64)> = (0..K).map(|_| (scale * rng.random::<f64>(), 1.0)).collect();
            let mut truth: Vec<f64> = estimate.iter().map(|e| e.0).collect();
            if round % 2 == 0 {
                truth[rng.random_range(0..K)] += scale * rng.random::<f64>();
            }
            let p = pmf(Policy::SquareCb { gamma }, &estimate, &[true; K]);
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let best = truth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let regret: f64 = p.iter().zip(&truth).map(|(p, f)| p * (best - f)).sum();
            let error: f64 = (0..K).map(|a| p[a] * (estimate[a].0 - truth[a]).powi(2)).sum();
            let bound = 2.0 * K as f64 / gamma;
            assert!(regret - gamma / 4.0 * error <= bound, "{estimate:?} {truth:?} {p:?}");
        }
    }
}
