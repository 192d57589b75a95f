//! Design of a linear model.

use serde::{Deserialize, Serialize};

use crate::bandit::expansion::Expansion;

/// Link between the linear predictor and the expected reward. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Link {
    /// The predictor is the expected reward, and the noise is Gaussian.
    Identity,
    /// The predictor is the log odds of a reward within [0, 1].
    Logit,
}

impl Link {
    /// Factor of the posterior's standard deviation at a width multiplier of 1 ("balanced"), for rows with this number of
    /// features, including the intercept.
    ///
    /// The factor is ½ for the identity link and ¼ for the logit link: the best of 1, ½, ¼ and ⅛ over the open data and
    /// some twenty classification sets. All of those have tens of features, where draws of independent arms explore in far
    /// more directions than matter. Slots with few features gain nothing from less exploration, and a slot without features
    /// needs the full posterior, so the factor is never below `1/√features`.
    pub fn balanced(self, features: usize) -> f64 {
        let many = match self {
            Self::Identity => 0.5,
            Self::Logit => 0.25,
        };
        (1.0 / features.max(1) as f64).sqrt().max(many)
    }
}

/// Sharing of posteriors between the arms of a linear model. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Sharing {
    /// One posterior per arm.
    #[default]
    Disjoint,
    /// One posterior for two arms of which exactly one is right: a reward of the one is a missing reward of the other.
    Opposed,
    /// One posterior over the features of context and arm, and an offset per arm for the part that its attributes do not
    /// explain.
    Shared,
}

/// Linear model with all its parameters. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LinearDesign {
    /// Link of the predictor.
    pub link: Link,
    /// Expansion of the features.
    pub expansion: Expansion,
    /// Sharing between the arms.
    pub sharing: Sharing,
    /// Precision λ of the weights' prior, in units of the noise.
    pub prior_precision: f64,
    /// Maximum number of features. An expansion may double the number of dimensions.
    pub dimension_budget: u32,
}
