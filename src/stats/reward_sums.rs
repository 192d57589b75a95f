//! Sums over an arm's rewards from which the interval of its mean follows.

use serde::{Deserialize, Serialize};

use super::math::{ln, square};

/// Sums over weighted rewards: of all, of those above 0 with their logarithms, and of those below 0. *Persisted.*
///
/// Each observation counts with what fading has left of it, ρ. Sums of the first order fade by ρ, those of the second
/// order by ρ², so that the sums also say how many equally weighted observations they are worth. The reward is that of
/// the showing, and `weight` the probability that the showing was seen; a mean is a sum of rewards over a sum of weights.
///
/// Invariants:
///
/// * Every sum is linear in the observations. Revising one subtracts what it had added and adds what it is now.
/// * A change of the unit of reward multiplies the sums and shifts the logarithms, and changes nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RewardSums {
    /// Σρ·weight over all observations.
    weight: f64,
    /// Σρ²·weight over all observations.
    weight_squares: f64,
    /// Sums over the rewards above 0.
    positive: SideSums,
    /// Sums over the sizes of the rewards below 0.
    negative: SideSums,
    /// Σρ·(ln y)ᵏ over the rewards above 0, for k from 1 to 4.
    log_powers: [f64; 4],
}

/// Sums over the rewards on one side of 0. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct SideSums {
    /// Σρ.
    count: f64,
    /// Σρ².
    count_squares: f64,
    /// Σρ·size, reward.
    sum: f64,
    /// Σρ·size², reward².
    sum_squares: f64,
}

/// Moments of the rewards above 0, as if each counted fully.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ValueMoments {
    /// Number of equally weighted values that the sums are worth.
    pub(super) count: f64,
    /// Mean, reward.
    pub(super) mean: f64,
    /// Population variance over the squared mean.
    pub(super) relative_variance: f64,
    /// Mean of the logarithms.
    pub(super) log_mean: f64,
    /// Second, third and fourth central moment of the logarithms.
    pub(super) log_moments: [f64; 3],
}

impl SideSums {
    fn add(&mut self, part: f64, retained: f64, size: f64) {
        self.count += part * retained;
        self.count_squares += part * retained * retained;
        self.sum += part * retained * size;
        self.sum_squares += part * retained * size * size;
    }

    fn forget(&mut self, retained: f64) {
        self.count *= retained;
        self.count_squares *= retained * retained;
        self.sum *= retained;
        self.sum_squares *= retained;
    }
}

impl RewardSums {
    /// Adds the reward of a showing that was seen with probability `weight`.
    pub fn observe(&mut self, weight: f64, reward: f64) {
        self.weight += weight;
        self.weight_squares += weight;
        self.add(1.0, 1.0, reward);
    }

    /// Changes the reward of an observation by `delta` from `reward`, where `retained` of the observation remains.
    pub fn revise(&mut self, retained: f64, reward: f64, delta: f64) {
        self.add(-1.0, retained, reward);
        self.add(1.0, retained, reward + delta);
    }

    /// Lets all observations fade to `retained` of what they count.
    pub fn forget(&mut self, retained: f64) {
        self.weight *= retained;
        self.weight_squares *= retained * retained;
        self.positive.forget(retained);
        self.negative.forget(retained);
        self.log_powers.iter_mut().for_each(|sum| *sum *= retained);
    }

    /// Returns the sums of fewer showings of the same mean and variance, by this factor of at least 1.
    #[must_use]
    pub fn thinned(self, factor: f64) -> Self {
        let part = 1.0 / factor.max(1.0);
        let side = |of: SideSums| SideSums {
            count: part * of.count,
            count_squares: part * of.count_squares,
            sum: part * of.sum,
            sum_squares: part * of.sum_squares,
        };
        Self {
            weight: part * self.weight,
            weight_squares: part * self.weight_squares,
            positive: side(self.positive),
            negative: side(self.negative),
            log_powers: self.log_powers.map(|sum| part * sum),
        }
    }

    /// Adds `part` times a reward that counts with `retained`. A reward of 0 adds nothing.
    fn add(&mut self, part: f64, retained: f64, reward: f64) {
        if reward > 0.0 {
            self.positive.add(part, retained, reward);
            let log = ln(reward);
            let mut power = part * retained;
            for sum in &mut self.log_powers {
                power *= log;
                *sum += power;
            }
        } else if reward < 0.0 {
            self.negative.add(part, retained, -reward);
        }
    }

    /// Number of equally weighted showings that the sums are worth.
    pub fn showings(&self) -> f64 {
        effective(self.weight, self.weight_squares)
    }

    /// Share of the showings whose reward is above 0, or 0 without observations.
    ///
    /// The share exceeds 1 if showings of small weight have more rewards than their weights sum up to.
    pub(super) fn rewarded_share(&self) -> f64 {
        if self.weight > 0.0 { self.positive.count / self.weight } else { 0.0 }
    }

    /// Number of equally weighted rewards other than 0 that the sums are worth.
    pub(super) fn rewards(&self) -> f64 {
        let (up, down) = (&self.positive, &self.negative);
        effective(up.count + down.count, up.count_squares + down.count_squares)
    }

    /// Returns whether some of the rewards are below 0, beyond what the rounding of refunds leaves.
    pub(super) fn any_negative(&self) -> bool {
        self.negative.count > 1e-9 * self.positive.count.max(self.weight)
    }

    /// Mean reward, or 0 without observations.
    pub(super) fn mean(&self) -> f64 {
        if self.weight > 0.0 { (self.positive.sum - self.negative.sum) / self.weight } else { 0.0 }
    }

    /// Variance of one showing's reward, reward².
    pub(super) fn variance(&self) -> f64 {
        if self.weight <= 0.0 {
            return 0.0;
        }
        ((self.positive.sum_squares + self.negative.sum_squares) / self.weight - square(self.mean())).max(0.0)
    }

    /// Number of rewards of equal size that the sizes of the rewards other than 0 are worth.
    pub(super) fn equal_rewards(&self) -> f64 {
        let (up, down) = (&self.positive, &self.negative);
        let (count, squares) = (up.count + down.count, up.sum_squares + down.sum_squares);
        if count <= 0.0 || squares <= 0.0 {
            return 0.0;
        }
        self.rewards() * square(up.sum + down.sum) / (count * squares)
    }

    /// Moments of the rewards above 0, or `None` if there are none.
    pub(super) fn values(&self) -> Option<ValueMoments> {
        let SideSums { count, count_squares, sum, sum_squares } = self.positive;
        if count <= 0.0 || sum <= 0.0 {
            return None;
        }
        let [m, m2, m3, m4] = self.log_powers.map(|power| power / count);
        let second = (m2 - m * m).max(0.0);
        let third = m3 - m * (3.0 * m2 - 2.0 * m * m);
        let fourth = m4 - m * (4.0 * m3 - m * (6.0 * m2 - 3.0 * m * m));
        Some(ValueMoments {
            count: effective(count, count_squares),
            mean: sum / count,
            relative_variance: (sum_squares * count / (sum * sum) - 1.0).max(0.0),
            log_mean: m,
            log_moments: [second, third, fourth.max(second * second)],
        })
    }
}

/// Returns the number of equally weighted observations that give a mean the same variance.
///
/// With steady traffic, fading by a half-life leaves twice the sum of the weights. Without traffic the ratio stays as it
/// is while everything fades, so twice the sum is also the limit.
fn effective(sum: f64, squares: f64) -> f64 {
    if sum > 0.0 && squares > 0.0 { (sum * sum / squares).min(2.0 * sum) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    /// Observation as the test keeps it.
    #[derive(Clone, Copy)]
    struct Row {
        retained: f64,
        weight: f64,
        reward: f64,
    }

    /// The expected values come from the rows themselves by two-pass formulas.
    #[test]
    fn observing_revising_and_forgetting_equal_the_batch_formulas() {
        let mut rng = StdRng::seed_from_u64(11);
        let mut sums = RewardSums::default();
        let mut rows: Vec<Row> = Vec::new();
        let draw = |rng: &mut StdRng| match rng.random_range(0..4) {
            0 => rng.random_range(0.1..400.0),
            1 => -rng.random_range(0.1..40.0),
            _ => 0.0,
        };
        for round in 0..400 {
            let row = Row { retained: 1.0, weight: rng.random_range(0.2..1.0), reward: draw(&mut rng) };
            sums.observe(row.weight, row.reward);
            rows.push(row);
            let chosen = rng.random_range(0..rows.len());
            let reward = if round % 3 == 0 { 0.0 } else { draw(&mut rng) };
            sums.revise(rows[chosen].retained, rows[chosen].reward, reward - rows[chosen].reward);
            rows[chosen].reward = reward;
            if round % 40 == 20 {
                sums.forget(0.8);
                for row in &mut rows {
                    row.retained *= 0.8;
                }
            }
        }
        let total = |of: &dyn Fn(&Row) -> f64| rows.iter().map(of).sum::<f64>();
        let weight = total(&|row| row.retained * row.weight);
        let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-9 * want.abs().max(1.0), "{got} and {want}");
        close(sums.mean(), total(&|row| row.retained * row.reward) / weight);
        close(sums.showings(), weight * weight / total(&|row| row.retained * row.retained * row.weight));
        let above = |row: &Row| f64::from(u8::from(row.reward > 0.0)) * row.retained;
        let count = total(&above);
        let mean = total(&|row| above(row) * row.reward) / count;
        let log = |row: &Row| if row.reward > 0.0 { ln(row.reward) } else { 0.0 };
        let log_mean = total(&|row| above(row) * log(row)) / count;
        let central = |power: i32| total(&|row| above(row) * (log(row) - log_mean).powi(power)) / count;
        let values = sums.values().unwrap();
        close(values.count, count * count / total(&|row| above(row) * row.retained));
        close(values.mean, mean);
        close(values.relative_variance, total(&|row| above(row) * square(row.reward / mean - 1.0)) / count);
        close(values.log_mean, log_mean);
        for (got, power) in values.log_moments.iter().zip(2..) {
            close(*got, central(power));
        }
        assert!(sums.any_negative());
        for row in &rows {
            sums.revise(row.retained, row.reward, -row.reward);
        }
        assert!(!sums.any_negative() && sums.mean().abs() < 1e-9, "{sums:?}");
    }

    /// Twice the weight is the number of observations that a steady stream under fading is worth, and a stream that has
    /// ended is worth less and less.
    #[test]
    fn a_stream_that_ended_is_worth_ever_less() {
        let mut sums = RewardSums::default();
        for _ in 0..4_000 {
            sums.observe(1.0, 1.0);
            sums.forget(0.99);
        }
        // Σρ = 99 and Σρ² = 1/(1/0.9801 − 1) = 49.25, whose ratio 99²/49.25 is just above twice 99.
        assert!((sums.showings() - 198.0).abs() < 1e-9, "{}", sums.showings());
        sums.forget(0.5);
        assert!((sums.showings() - 99.0).abs() < 1e-9, "{}", sums.showings());
    }
}
