//! Robust, fading standardisation of a stream of numbers.

mod score;
mod sketch;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Moments;
use sketch::Sketch;

/// Least and greatest number of values that wait to be folded into the sketch together.
const WAITING: (usize, usize) = (16, 32);
/// Number of values in the sketch for each one that waits, between these limits.
const FOLDED_PER_WAITING: usize = 50;
/// Number of values up to which no value waits, and a value is scored with itself included: scores by a handful of others
/// would be wild.
const EARLY: f64 = 100.0;
/// Total number of values beyond which the sketch counts no further, so that it fades exponentially from there on.
const COUNT_MAX: f64 = 300_000.0;

/// Standardiser of a stream of numbers: it keeps a small sketch of their distribution, and returns how large a number is
/// within it as a score with mean 0 and variance 1.
///
/// * No number has an influence beyond its rank, however wild it is.
/// * The scores of a benign distribution are those of plain standardisation, and the scores of a skewed one are normal
///   scores of the ranks. See the module `score`.
/// * While level or spread of the stream move, old numbers fade, so that the sketch describes about its last fifth.
/// * A [sentinel](Self::sentinels), such as −999, is recognised and does not count as a number.
///
/// The first hundred numbers are scored by all numbers up to them, and later ones by the numbers before the last fold.
/// *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Standardiser {
    /// Numbers that the sketch does not contain yet, in the order of arrival.
    waiting: Vec<f64>,
    /// Sketch of the numbers before them. It is shared, as it changes only now and then.
    sketch: Arc<Sketch>,
    /// Sketch by which the latest number was scored, if that number led to a fold.
    #[serde(default)]
    before_fold: Option<Arc<Sketch>>,
}

/// Score of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StandardScore {
    /// Distance from the mean in standard deviations, robustly.
    Number(f64),
    /// Position of the number in the list of sentinels.
    Sentinel(usize),
}

impl Standardiser {
    /// Creates the standardiser of a stream of which only count, mean and deviation are known. The numbers count as
    /// normally distributed.
    pub fn from_moments(moments: &Moments) -> Self {
        Self { sketch: Arc::new(Sketch::from_moments(moments)), ..Self::default() }
    }

    /// Returns whether the standardiser may be that of a stream of numbers.
    pub fn is_consistent(&self) -> bool {
        self.waiting.len() <= WAITING.1
            && self.waiting.iter().all(|value| value.is_finite())
            && self.sketch.is_consistent()
            && self.before_fold.as_ref().is_none_or(|sketch| sketch.is_consistent())
    }

    /// Adds a number, which must be finite.
    pub fn observe(&mut self, value: f64) {
        self.before_fold = None;
        self.waiting.push(value);
        let early = self.is_early();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts are small and not negative"
        )]
        let limit = (self.sketch.count() as usize / FOLDED_PER_WAITING).clamp(WAITING.0, WAITING.1);
        if early || self.waiting.len() >= limit {
            self.before_fold = (!early).then(|| Arc::clone(&self.sketch));
            Arc::make_mut(&mut self.sketch).fold(&mut self.waiting);
            self.waiting.clear();
        }
    }

    fn is_early(&self) -> bool {
        self.sketch.count() < EARLY
    }

    /// Returns the score of the number that was [observed](Self::observe) last.
    pub fn score_observed(&self, value: f64) -> StandardScore {
        self.before_fold.as_ref().unwrap_or(&self.sketch).score(value)
    }

    /// Returns the score that a number would have if it were observed now.
    pub fn score_new(&self, value: f64) -> StandardScore {
        if !self.is_early() {
            return self.sketch.score(value);
        }
        let mut sketch = Sketch::clone(&self.sketch);
        sketch.fold(&mut [value]);
        sketch.score(value)
    }

    /// Sentinels in the order in which they were recognised: numbers that recur exactly although the others do not, or
    /// that recur far away from the others. A sentinel stays one for good.
    pub fn sentinels(&self) -> &[f64] {
        self.sketch.sentinels()
    }
}

#[cfg(test)]
mod tests;
