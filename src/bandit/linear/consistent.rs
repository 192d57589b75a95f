//! Consistency of a linear model that was read from outside.

use super::{Linear, LinearDesign, Sharing};
use crate::{
    bandit::encoder::Encoder,
    stats::{Inconsistency, ensure, is_positive},
};

impl Linear {
    /// Checks that the model may have learned rows of the encoder, for at most this number of arms.
    pub(in crate::bandit) fn check_consistency(
        &self,
        design: &LinearDesign,
        encoder: &Encoder,
        arms: usize,
    ) -> Result<(), Inconsistency> {
        ensure(self.design == *design, "a model has another design than its specification")?;
        self.expander.check_consistency(design.expansion, design.dimension_budget, encoder)?;
        ensure(self.noise.is_consistent(self.noise_scale), "the noise of a model is no variance")?;
        let constant = self.constant.mean.is_finite() && is_positive(self.constant.precision);
        ensure(constant, "the constant of a model has no prior")?;
        let posteriors = if design.sharing == Sharing::Disjoint { arms } else { arms.min(1) };
        ensure(self.arms.len() <= posteriors && self.offsets.len() <= arms, "a model knows arms that have no name")?;
        let dimensions = self.dim() as usize;
        let of_arms = self.arms.iter().all(|arm| arm.is_consistent(design.prior_precision, dimensions));
        ensure(of_arms, "the posterior of an arm is no distribution")?;
        let offsets = self.offsets.iter().all(|offset| offset.mean.is_finite() && is_positive(offset.precision));
        ensure(offsets && self.owed >= 0.0 && self.owed.is_finite(), "the offset of an arm is no distribution")
    }
}
