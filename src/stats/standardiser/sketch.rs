//! Fading sketch of a distribution: a list of knots with weights.

use serde::{Deserialize, Serialize};

use super::{
    COUNT_MAX, StandardScore,
    score::{SCORE_MAX, normal_quantile, set_scores},
};
use crate::stats::{Moments, math::power};

/// Width at which a pass of joining knots begins, as a factor of `√(q(1 − q))` of the weight at rank q. It suffices mostly.
const WIDTH_MIN: f64 = 0.11;
/// Maximum number of knots.
pub(super) const KNOTS_MAX: usize = 32;
/// Power of the age by which the weight of old values fades while the stream moves, so that the sketch describes about its
/// last fifth. A stream that does not move fades only after [`COUNT_MAX`] values, as scores must not wander without need.
const FADING_POWER: u32 = 4;
/// Weight of the latest fold in the means that say whether the stream moves.
const MOVING_RATE: f64 = 0.1;
/// Mean score from which on the stream moves. If it stays, the means have a standard deviation of √(.1/1.9/16) = .057.
const MOVED_LEVEL: f64 = 0.2;
/// Mean of the squared score minus 1 from which on the stream moves. If it stays, the means have a standard deviation of
/// .081 for a normal distribution.
const MOVED_SPREAD: f64 = 0.35;
/// Largest size of the score of a value beyond all knots.
const BEYOND_MAX: f64 = 3.0;
/// Fraction of the weight at either end within which knots take the heavier one's value instead of the mean.
const TAIL: f64 = 0.05;
/// Maximum number of sentinels of a stream.
const SENTINELS_MAX: usize = 2;
/// Number of values from which on sentinels are recognised.
const SENTINEL_COUNT_MIN: f64 = 60.0;
/// Least share of a sentinel.
const SENTINEL_SHARE_MIN: f64 = 0.015;
/// Greatest share of a sentinel, as a value in most requests is the ordinary one.
const SENTINEL_SHARE_MAX: f64 = 0.6;
/// Least number of knots beside a sentinel, as few different values are classes rather than numbers.
const SENTINEL_OTHERS_MIN: usize = 8;
/// Greatest probability that two values are equal, beside the most frequent value, at which numbers count as continuous. That
/// of the whole numbers up to 100 is .01.
const CONTINUOUS: f64 = 0.001;
/// Number of pairs of values from which on numbers can count as continuous: among 2,000, whole numbers up to 100 have 20
/// equal pairs on average, and 2 or fewer with a probability of 5·10⁻⁷.
const CONTINUOUS_PAIRS_MIN: f64 = 2_000.0;
/// Least share of a sentinel that is not far away from the others.
const NEAR_SENTINEL_SHARE_MIN: f64 = 0.03;
/// Retained part of the counted pairs at each fold.
const PAIRS_RETAINED: f64 = 0.99;

/// Value of a sketch that stands for all values near it. *Persisted* in the order of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, f64, f64, bool)", into = "(f64, f64, f64, bool)")]
pub(super) struct Knot {
    pub(super) value: f64,
    pub(super) weight: f64,
    /// Standard score of the value.
    pub(super) score: f64,
    /// Says that all values of the knot are equal.
    pub(super) exact: bool,
}

impl From<(f64, f64, f64, bool)> for Knot {
    fn from((value, weight, score, exact): (f64, f64, f64, bool)) -> Self {
        Self { value, weight, score, exact }
    }
}

impl From<Knot> for (f64, f64, f64, bool) {
    fn from(knot: Knot) -> Self {
        (knot.value, knot.weight, knot.score, knot.exact)
    }
}

/// Fading sketch of a distribution. *Persisted.*
///
/// # Source
///
/// Dunning and Ertl, "Computing Extremely Accurate Quantiles Using t-Digests" (2019), algorithm 1 with the scale function
/// k₁. Fading, and the robust value of the outer knots, are added.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Sketch {
    /// Number of values so far, up to a limit.
    count: f64,
    /// Knots in ascending order.
    knots: Vec<Knot>,
    sentinels: Vec<f64>,
    /// Fading mean of the scores of the values before they were added.
    level: f64,
    /// Fading mean of the squares of these scores, minus 1.
    spread: f64,
    /// Fading number of pairs of values within a fold, without the most frequent value.
    pairs: f64,
    /// Fading number of those pairs whose values are equal.
    equal_pairs: f64,
}

impl Sketch {
    pub(super) fn from_moments(moments: &Moments) -> Self {
        let count = moments.count().clamp(0.0, COUNT_MAX);
        let mut sketch = Self { count, ..Self::default() };
        if count >= 1.0 {
            for i in 0..KNOTS_MAX {
                let rank = (i as f64 + 0.5) / KNOTS_MAX as f64;
                let value = moments.mean() + moments.std() * normal_quantile(rank);
                let knot = Knot { value, weight: count / KNOTS_MAX as f64, score: 0.0, exact: false };
                sketch.knots.push(knot);
            }
            set_scores(&mut sketch.knots);
        }
        sketch
    }

    /// Returns whether the sketch may be that of a stream of numbers.
    pub(super) fn is_consistent(&self) -> bool {
        let weight: f64 = self.knots.iter().map(|knot| knot.weight).sum();
        let is_knot = |knot: &Knot| {
            knot.value.is_finite() && knot.weight >= 0.0 && knot.weight.is_finite() && knot.score.abs() <= SCORE_MAX
        };
        let ascend = self.knots.windows(2).all(|pair| pair[0].value <= pair[1].value);
        (0.0..=COUNT_MAX).contains(&self.count)
            && self.knots.len() <= KNOTS_MAX
            && self.knots.iter().all(is_knot)
            && ascend
            && (self.knots.is_empty() || weight > 0.0)
            && self.sentinels.len() <= SENTINELS_MAX
            && [self.level, self.spread].iter().all(|mean| mean.is_finite())
            && [self.pairs, self.equal_pairs].iter().all(|pairs| (0.0..=1e12).contains(pairs))
    }

    pub(super) fn count(&self) -> f64 {
        self.count
    }

    pub(super) fn sentinels(&self) -> &[f64] {
        &self.sentinels
    }

    /// Adds values, lets the older ones fade, and sets the scores.
    pub(super) fn fold(&mut self, values: &mut [f64]) {
        values.sort_unstable_by(f64::total_cmp);
        let fresh = values.len() as f64;
        let count = self.count + fresh;
        let fading = if self.is_moving(values) { FADING_POWER } else { 0 };
        let retained = power(self.count / count, fading) * (COUNT_MAX / count).min(1.0);
        self.count = count.min(COUNT_MAX);
        self.add(values, retained);
        if self.knots.len() > KNOTS_MAX {
            self.compress();
        }
        let before = self.sentinels.len();
        self.find_sentinels();
        if self.sentinels.len() > before {
            let sentinels = &self.sentinels;
            self.knots.retain(|knot| !sentinels.contains(&knot.value));
        }
        set_scores(&mut self.knots);
    }

    /// Returns whether level or spread of the latest values differ from those of the sketch.
    fn is_moving(&mut self, values: &[f64]) -> bool {
        let (mut level, mut squares, mut count) = (0.0, 0.0, 0.0);
        for &value in values {
            if let StandardScore::Number(score) = self.score(value) {
                (level, squares, count) = (level + score, squares + score * score, count + 1.0);
            }
        }
        // The means of the first values, which are folded one by one, say nothing.
        if values.len() >= super::WAITING.0 && count > 0.0 {
            self.level += MOVING_RATE * (level / count - self.level);
            self.spread += MOVING_RATE * (squares / count - 1.0 - self.spread);
        }
        self.level.abs() > MOVED_LEVEL || self.spread.abs() > MOVED_SPREAD
    }

    /// Merges sorted values into the knots, whose weights fade to `retained`.
    fn add(&mut self, values: &[f64], retained: f64) {
        let mut merged: Vec<Knot> = Vec::with_capacity(self.knots.len() + values.len());
        let mut equal_pairs = 0.0;
        let mut old = self.knots.iter().map(|knot| Knot { weight: retained * knot.weight, ..*knot }).peekable();
        let mut put = |knot: Knot| match merged.last_mut() {
            #[expect(clippy::float_cmp, reason = "equal values share a knot")]
            Some(last) if last.value == knot.value => {
                last.weight += knot.weight;
                last.exact &= knot.exact;
            }
            _ => merged.push(knot),
        };
        let (mut run, mut fresh) = (0.0, 0.0);
        let frequent = self.most_frequent().map(|i| self.knots[i].value);
        for (i, &value) in values.iter().enumerate() {
            if self.sentinels.contains(&value) {
                continue;
            }
            #[expect(clippy::float_cmp, reason = "equal values are counted")]
            let again = i > 0 && values[i - 1] == value;
            run = if again { run + 1.0 } else { 0.0 };
            let ordinary = frequent.is_none_or(|frequent| frequent.total_cmp(&value).is_ne());
            if ordinary {
                (equal_pairs, fresh) = (equal_pairs + run, fresh + 1.0);
            }
            while let Some(knot) = old.next_if(|knot| knot.value <= value) {
                put(knot);
            }
            put(Knot { value, weight: 1.0, score: 0.0, exact: true });
        }
        old.for_each(put);
        self.pairs = PAIRS_RETAINED * self.pairs + 0.5 * fresh * (fresh - 1.0);
        self.equal_pairs = PAIRS_RETAINED * self.equal_pairs + equal_pairs;
        self.knots = merged;
    }

    /// Joins neighbours until at most [`KNOTS_MAX`] are left, fewest in the middle of the distribution.
    fn compress(&mut self) {
        let total: f64 = self.knots.iter().map(|knot| knot.weight).sum();
        let mut width = WIDTH_MIN;
        while self.knots.len() > KNOTS_MAX {
            let mut joined: Vec<Knot> = Vec::with_capacity(self.knots.len());
            let mut below = 0.0;
            for &knot in &self.knots {
                if let Some(last) = joined.last_mut() {
                    let weight = last.weight + knot.weight;
                    let rank = ((below + 0.5 * weight) / total).clamp(0.0, 1.0);
                    if weight <= width * total * (rank * (1.0 - rank)).sqrt() {
                        join(last, knot, rank);
                        continue;
                    }
                    below += last.weight;
                }
                joined.push(knot);
            }
            self.knots = joined;
            width *= 1.2;
        }
    }

    /// Recognises sentinels among the knots, which are up to date but for their scores.
    fn find_sentinels(&mut self) {
        if self.count < SENTINEL_COUNT_MIN {
            return;
        }
        let total: f64 = self.knots.iter().map(|knot| knot.weight).sum();
        let continuous = self.pairs >= CONTINUOUS_PAIRS_MIN && self.equal_pairs < CONTINUOUS * self.pairs;
        while self.sentinels.len() < SENTINELS_MAX {
            let found = (0..self.knots.len()).find(|&i| {
                let share = self.knots[i].weight / total;
                self.knots[i].exact
                    && (SENTINEL_SHARE_MIN..SENTINEL_SHARE_MAX).contains(&share)
                    && (self.is_isolated(i)
                        || (share >= NEAR_SENTINEL_SHARE_MIN && continuous && self.most_frequent() == Some(i)))
            });
            let Some(found) = found.filter(|_| self.knots.len() > SENTINEL_OTHERS_MIN) else { return };
            let sentinel = self.knots.remove(found);
            self.sentinels.push(sentinel.value);
        }
    }

    /// Returns the heaviest knot whose values are all equal.
    fn most_frequent(&self) -> Option<usize> {
        let exact = (0..self.knots.len()).filter(|&i| self.knots[i].exact && self.knots[i].weight > 1.0);
        exact.max_by(|&i, &j| self.knots[i].weight.total_cmp(&self.knots[j].weight))
    }

    /// Returns whether a knot at an end is farther from the others than the others are from one another.
    fn is_isolated(&self, i: usize) -> bool {
        let last = self.knots.len() - 1;
        let (others, gap) = match i {
            0 if last > 0 => (&self.knots[1..], self.knots[1].value - self.knots[0].value),
            _ if i == last && last > 0 => (&self.knots[..last], self.knots[last].value - self.knots[last - 1].value),
            _ => return false,
        };
        let total: f64 = others.iter().map(|knot| knot.weight).sum();
        let at = |share: f64| {
            let mut below = 0.0;
            others.iter().find(|knot| {
                below += knot.weight;
                below >= share * total
            })
        };
        let (Some(low), Some(high)) = (at(0.05), at(0.95)) else { return false };
        gap > high.value - low.value
    }

    pub(super) fn score(&self, value: f64) -> StandardScore {
        if let Some(at) = self.sentinels.iter().position(|sentinel| sentinel.total_cmp(&value).is_eq()) {
            return StandardScore::Sentinel(at);
        }
        let after = self.knots.partition_point(|knot| knot.value < value);
        StandardScore::Number(match (after.checked_sub(1).map(|i| self.knots[i]), self.knots.get(after)) {
            (Some(low), Some(high)) => {
                // Halves, as the difference of two huge values may overflow.
                let part = (0.5 * value - 0.5 * low.value) / (0.5 * high.value - 0.5 * low.value);
                low.score + part * (high.score - low.score)
            }
            (Some(end), None) => self.score_beyond(end, value),
            (None, Some(&end)) if end.value > value => self.score_beyond(end, value),
            (None, Some(end)) => end.score,
            (None, None) => 0.0,
        })
    }

    /// Returns the score of a value beyond the knot at an end, by the mean slope between the ends. It is limited, as the value
    /// may be wild.
    fn score_beyond(&self, end: Knot, value: f64) -> f64 {
        let (Some(first), Some(last)) = (self.knots.first(), self.knots.last()) else { return end.score };
        let range = 0.5 * last.value - 0.5 * first.value;
        let slope = if range > 0.0 { (last.score - first.score) / range } else { 0.0 };
        let limit = end.score.abs().max(BEYOND_MAX);
        (end.score + slope * (0.5 * value - 0.5 * end.value)).clamp(-limit, limit)
    }
}

/// Joins a knot with its upper neighbour. `rank` is the rank of both.
fn join(low: &mut Knot, high: Knot, rank: f64) {
    let weight = low.weight + high.weight;
    low.value = if (TAIL..=1.0 - TAIL).contains(&rank) {
        let part = high.weight / weight;
        low.value * (1.0 - part) + high.value * part
    } else if high.weight > low.weight || (high.weight >= low.weight && rank < 0.5) {
        // A wild value must not move the knot.
        high.value
    } else {
        low.value
    };
    low.weight = weight;
    low.exact = false;
}
