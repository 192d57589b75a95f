//! Robust, fading standardisation of a stream of numbers.

mod score;
mod sketch;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Moments;
use sketch::Sketch;

/// Maximum number of values that wait to be folded into the sketch.
const WAITING_MAX: usize = 24;
/// Total number of values beyond which the sketch counts no further, so that it fades exponentially from there on.
const COUNT_MAX: f64 = 300_000.0;

/// Standardiser of a stream of numbers: it keeps a small sketch of their distribution, and returns how large a number is
/// within it as a score with mean 0 and variance 1.
///
/// * No number has an influence beyond its rank, however wild it is.
/// * The scores of a benign distribution are those of plain standardisation, and the scores of a skewed one are normal
///   scores of the ranks. See [`score`].
/// * While level or spread of the stream move, old numbers fade, so that the sketch describes about its last third.
/// * A [sentinel](Self::sentinels), such as −999, is recognised and does not count as a number.
///
/// A number is scored by the numbers before it. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Standardiser {
    /// Numbers that the sketch does not contain yet, in the order of arrival.
    waiting: Vec<f64>,
    /// Sketch of the numbers before them. It is shared, as it changes only now and then.
    sketch: Arc<Sketch>,
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
        Self { waiting: Vec::new(), sketch: Arc::new(Sketch::from_moments(moments)) }
    }

    /// Adds a number, which must be finite.
    pub fn observe(&mut self, value: f64) {
        if self.is_due() {
            Arc::make_mut(&mut self.sketch).fold(&mut self.waiting);
            self.waiting.clear();
        }
        self.waiting.push(value);
    }

    /// Returns whether the next number is preceded by a fold of the waiting ones.
    fn is_due(&self) -> bool {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are small and not negative")]
        let limit = (self.sketch.count() as usize).clamp(2, WAITING_MAX);
        self.waiting.len() >= limit
    }

    /// Returns the score of a number that was [observed](Self::observe) last.
    pub fn score_observed(&self, value: f64) -> StandardScore {
        self.sketch.score(value)
    }

    /// Returns the score that a number would have if it were observed now.
    pub fn score_new(&self, value: f64) -> StandardScore {
        if !self.is_due() {
            return self.sketch.score(value);
        }
        let mut sketch = Sketch::clone(&self.sketch);
        sketch.fold(&mut self.waiting.clone());
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
