//! Consistency of an expander that was read from outside.

use super::{Expander, Expansion, FOURIER_FEATURES, NONE};
use crate::{
    bandit::encoder::Encoder,
    stats::{Inconsistency, ensure},
};

impl Expander {
    /// Checks that the expander may be that of the encoder's rows, for this expansion and budget: all indices lie within
    /// the dimensions that a model of the budget can have.
    pub(in crate::bandit) fn check_consistency(
        &self,
        expansion: Expansion,
        budget: u32,
        encoder: &Encoder,
    ) -> Result<(), Inconsistency> {
        ensure(self.expansion == expansion && self.budget == budget, "a model has another expansion than its design")?;
        // Features, products and their buckets take the budget each at most.
        ensure(self.next <= 3 * budget + FOURIER_FEATURES, "a model has more dimensions than its budget")?;
        let (indices, next) = (encoder.indices() as usize, self.next);
        let is_known = |&index: &u32| index == NONE || index < next;
        ensure(self.base.len() <= indices && self.base.iter().all(is_known), "a model has an unknown feature")?;
        let ascend = |of_first: &Vec<(u32, u32)>| {
            of_first.windows(2).all(|pair| pair[0].0 < pair[1].0) && of_first.iter().all(|entry| is_known(&entry.1))
        };
        ensure(self.products.len() <= indices && self.products.iter().all(ascend), "a model has an unknown product")?;
        let buckets = (self.budget / 8).max(1) as usize;
        ensure(self.buckets.len() <= buckets && self.buckets.iter().all(is_known), "a model has an unknown bucket")?;
        let fourier = self.fourier.is_none_or(|first| {
            expansion == Expansion::Fourier && first.checked_add(self.fourier_features()).is_some_and(|end| end <= next)
        });
        ensure(fourier, "a model has unknown random features")?;
        ensure(self.taken_out <= encoder.retired().len(), "a model has taken out a word that is in use")?;
        let free = self.free.windows(2).all(|pair| pair[0] < pair[1]) && self.free.iter().all(|&index| index < next);
        ensure(free, "a model has unknown free dimensions")
    }
}
