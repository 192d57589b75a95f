//! Consistency of an encoder that was read from outside.

use super::{Encoder, Feature};
use crate::stats::{Inconsistency, ensure};

/// Largest number of decisions that an encoder can have learned, far from overflow.
const CLOCK_MAX: u64 = 1 << 60;

impl Encoder {
    /// Checks that the encoder may be that of a stream of features, with this budget: every index that it assigned has a
    /// meaning, and it assigned no other.
    pub(in crate::bandit) fn check_consistency(&self, budget: u32) -> Result<(), Inconsistency> {
        let columns = u32::try_from(self.columns.len()).unwrap_or(u32::MAX);
        ensure(self.budget == budget, "an encoder has another budget than its models")?;
        ensure(self.next > 0 && self.next == columns, "an encoder has indices without a meaning")?;
        ensure(!self.columns[0].number && !self.columns[0].retired, "the constant of an encoder is a feature")?;
        let numbers = self.columns.iter().filter(|column| column.number).count();
        ensure(numbers == self.numbers as usize && self.numbers <= budget, "an encoder has too many numbers")?;
        let uncounted = self.retired.len() + self.buckets.len();
        ensure(uncounted <= self.next as usize, "an encoder has retired more words than it met")?;
        ensure(self.retired.iter().all(|&index| index < self.next), "an encoder has retired an unknown word")?;
        let is_bucket = |(&bucket, &index): (&u32, &u32)| bucket < self.buckets_max() && index < self.next;
        ensure(self.buckets.iter().all(is_bucket), "an encoder has an unknown bucket of words")?;
        ensure(self.judged_room <= budget, "an encoder has more room than its budget")?;
        let times = self.clock <= CLOCK_MAX && self.retire_from <= 2 * CLOCK_MAX;
        let met = self.met_at.len() <= self.columns.len() && self.met_at.iter().all(|&met| met <= self.clock);
        ensure(times && met, "an encoder met a word after its last decision")?;
        ensure(self.features.len() <= budget as usize, "an encoder has more features than its budget")?;
        let is_consistent = self.features.values().all(|feature| feature.is_consistent(self.next));
        ensure(is_consistent, "a feature has values without a meaning")
    }
}

impl Feature {
    /// Returns whether the feature may be that of a stream of values, where `next` is the first index that is not assigned.
    fn is_consistent(&self, next: u32) -> bool {
        self.flag.iter().flatten().chain(self.words.values()).all(|&index| index < next)
            && self.number.iter().chain(&self.vector).all(|number| number.is_consistent(next))
            && self.arrivals.is_consistent()
    }
}
