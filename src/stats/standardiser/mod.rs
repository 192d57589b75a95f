//! Robust, fading standardisation of a stream of numbers.

mod score;
mod sketch;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Moments;
use sketch::Sketch;

/// Maximum number of values that wait to be folded into the sketch.
const WAITING_MAX: usize = 24;
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
///   scores of the ranks. See [`score`].
/// * While level or spread of the stream move, old numbers fade, so that the sketch describes about its last third.
/// * A [sentinel](Self::sentinels), such as −999, is recognised and does not count as a number.
///
/// The first hundred numbers are scored by all numbers up to them, and later ones by the numbers up to the last fold.
/// *Persisted.*
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
        let early = self.sketch.count() < EARLY;
        if early {
            self.waiting.push(value);
        }
        if early || self.waiting.len() >= WAITING_MAX {
            Arc::make_mut(&mut self.sketch).fold(&mut self.waiting);
            self.waiting.clear();
        }
        if !early {
            self.waiting.push(value);
        }
    }

    /// Returns the score of a number that was [observed](Self::observe) last.
    pub fn score_observed(&self, value: f64) -> StandardScore {
        self.sketch.score(value)
    }

    /// Returns the score that a number would have if it were observed now.
    pub fn score_new(&self, value: f64) -> StandardScore {
        let early = self.sketch.count() < EARLY;
        if !early && self.waiting.len() < WAITING_MAX {
            return self.sketch.score(value);
        }
        let (mut sketch, mut waiting) = (Sketch::clone(&self.sketch), self.waiting.clone());
        if early {
            waiting.push(value);
        }
        sketch.fold(&mut waiting);
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
