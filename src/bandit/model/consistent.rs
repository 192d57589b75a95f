//! Consistency of a model that was read from outside.

use super::{Design, Model};
use crate::{
    bandit::{encoder::Encoder, linear::LinearDesign},
    stats::{Beta, Inconsistency, NormalInverseGamma, ensure, is_positive},
};

/// Largest parameter of a prior, far from overflow.
const PARAMETER_MAX: f64 = 1e12;
/// Least and largest dimension budget.
const BUDGETS: std::ops::RangeInclusive<u32> = 8..=1024;

fn is_parameter(number: f64) -> bool {
    is_positive(number) && number <= PARAMETER_MAX
}

/// Returns whether a dimension budget is one that a model can have.
pub(in crate::bandit) fn is_budget(budget: u32) -> bool {
    BUDGETS.contains(&budget)
}

impl Design {
    /// Returns whether a model can have these parameters.
    pub(in crate::bandit) fn is_consistent(&self) -> bool {
        match *self {
            Self::Linear(LinearDesign { prior_precision, dimension_budget, .. })
            | Self::Hurdle(LinearDesign { prior_precision, dimension_budget, .. }) => {
                is_parameter(prior_precision) && is_budget(dimension_budget)
            }
            Self::BetaBernoulli { prior_a, prior_b } => is_parameter(prior_a) && is_parameter(prior_b),
            Self::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
                prior_mean.abs() <= PARAMETER_MAX
                    && [prior_strength, prior_shape, prior_scale].into_iter().all(is_parameter)
            }
        }
    }
}

impl Model {
    /// Checks that the model may have learned rows of the encoder under this design, for at most this number of arms.
    pub(in crate::bandit) fn check_consistency(
        &self,
        design: &Design,
        encoder: &Encoder,
        arms: usize,
    ) -> Result<(), Inconsistency> {
        let rates = "the rate of an arm is no distribution";
        match (self, design, Self::new(*design)) {
            (Self::Linear(linear), Design::Linear(design), _) => linear.check_consistency(design, encoder, arms),
            (Self::Hurdle(hurdle), Design::Hurdle(design), _) => hurdle.check_consistency(design, encoder, arms),
            (
                Self::BetaBernoulli { prior, arms: of_arms, .. },
                Design::BetaBernoulli { .. },
                Self::BetaBernoulli { prior: wanted, .. },
            ) => {
                let is_arm = |arm: &Beta| arm.is_consistent() && arm.has_prior_of(&wanted);
                ensure(of_arms.len() <= arms && *prior == wanted && of_arms.iter().all(is_arm), rates)
            }
            (
                Self::NormalInverseGamma { prior, arms: of_arms, .. },
                Design::NormalInverseGamma { .. },
                Self::NormalInverseGamma { prior: wanted, .. },
            ) => {
                let is_arm = |arm: &NormalInverseGamma| arm.is_consistent() && arm.has_prior_of(&wanted);
                ensure(of_arms.len() <= arms && *prior == wanted && of_arms.iter().all(is_arm), rates)
            }
            _ => ensure(false, "a model is of another kind than its design"),
        }
    }
}
