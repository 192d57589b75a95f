//! Limits on the parameters of models.

use super::{id::FieldError, limits::NUMBER_MAX};
use crate::bandit::{LinearSpec, ModelSpec, PortfolioSpec};

/// Checks the parameters of a model. The error names the field by its path from the slot.
pub(super) fn check_model(model: &ModelSpec) -> Result<(), FieldError> {
    let within = |field: &str, value: f64, low: f64, high: f64| {
        if (low..=high).contains(&value) {
            Ok(())
        } else {
            Err(FieldError::new(format!("model.{field}"), format!("is {value}; must be from {low} to {high}")))
        }
    };
    match *model {
        ModelSpec::Portfolio(PortfolioSpec { dimension_budget, compute_budget, detect_changes: _ }) => {
            within("portfolio.dimension_budget", f64::from(dimension_budget), 8.0, 1024.0)?;
            within("portfolio.compute_budget", compute_budget as f64, 1e4, 1e9)
        }
        ModelSpec::Linear(LinearSpec { prior_precision, dimension_budget, .. }) => {
            within("linear.prior_precision", prior_precision, 1e-6, 1e6)?;
            within("linear.dimension_budget", f64::from(dimension_budget), 8.0, 1024.0)
        }
        ModelSpec::BetaBernoulli { prior_a, prior_b } => {
            within("beta_bernoulli.prior_a", prior_a, 0.01, 1e6)?;
            within("beta_bernoulli.prior_b", prior_b, 0.01, 1e6)
        }
        ModelSpec::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
            within("normal_inverse_gamma.prior_mean", prior_mean, -NUMBER_MAX, NUMBER_MAX)?;
            within("normal_inverse_gamma.prior_strength", prior_strength, 1e-6, 1e6)?;
            within("normal_inverse_gamma.prior_shape", prior_shape, 0.5, 1e6)?;
            within("normal_inverse_gamma.prior_scale", prior_scale, 1e-12, NUMBER_MAX)
        }
    }
}
