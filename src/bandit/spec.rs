//! Specifications of the models that a slot learns with.

use serde::{Deserialize, Serialize};

use super::{
    expansion::Expansion,
    linear::{LinearDesign, Link, Sharing},
    model::Design,
};

/// Specification of a slot's models, with all parameters. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum ModelSpec {
    /// Several models, weighted by their evidence; the default.
    Portfolio(PortfolioSpec),
    /// One linear model.
    Linear(LinearSpec),
    /// Rates without features, for rewards in [0, 1].
    BetaBernoulli {
        /// Parameter a of the prior.
        prior_a: f64,
        /// Parameter b of the prior.
        prior_b: f64,
    },
    /// Means without features, for any rewards.
    NormalInverseGamma {
        /// Prior mean m, reward.
        prior_mean: f64,
        /// Prior strength κ, observations.
        prior_strength: f64,
        /// Prior shape a.
        prior_shape: f64,
        /// Prior scale b, reward².
        prior_scale: f64,
    },
}

/// Parameters of a portfolio. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PortfolioSpec {
    /// Maximum number of features of each model. An expansion may double the number of dimensions.
    pub dimension_budget: u32,
    /// Maximum cost of a decision, multiplications.
    pub compute_budget: u64,
    /// Runs the detector of abrupt changes.
    pub detect_changes: bool,
}

/// Parameters of a linear model. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LinearSpec {
    /// Link, or `None` for logit if all rewards of the goal lie in [0, 1] and identity otherwise.
    pub link: Option<Link>,
    /// Expansion of the features.
    pub expansion: Expansion,
    /// Sharing between the arms, or `None` for the choice by [`SlotTraits`].
    pub sharing: Option<Sharing>,
    /// Precision λ of the weights' prior, in units of the noise.
    pub prior_precision: f64,
    /// Maximum number of features. An expansion may double the number of dimensions.
    pub dimension_budget: u32,
}

impl Default for PortfolioSpec {
    fn default() -> Self {
        Self {
            dimension_budget: ModelSpec::DIMENSION_BUDGET,
            compute_budget: ModelSpec::COMPUTE_BUDGET,
            detect_changes: true,
        }
    }
}

impl Default for LinearSpec {
    fn default() -> Self {
        Self {
            link: None,
            expansion: Expansion::None,
            sharing: None,
            prior_precision: ModelSpec::PRIOR_PRECISION,
            dimension_budget: ModelSpec::DIMENSION_BUDGET,
        }
    }
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self::Portfolio(PortfolioSpec::default())
    }
}

/// Traits of a slot that its models depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlotTraits {
    /// Says that all rewards lie in [0, 1].
    pub unit_rewards: bool,
    /// Says that there are thousands of arms, too many for a posterior each, so that they share one.
    pub large_catalogue: bool,
}

impl ModelSpec {
    /// Default of λ, under which a weight is about as large as the noise.
    pub const PRIOR_PRECISION: f64 = 1.0;
    /// Default number of dimensions, which takes 272 kB per arm and model.
    pub const DIMENSION_BUDGET: u32 = 256;
    /// Default number of multiplications of a decision: some milliseconds of one core at most, enough for three models of
    /// 150 dimensions and a hundred candidates.
    pub const COMPUTE_BUDGET: u64 = 4_000_000;

    /// Creates a portfolio, with the default of each parameter that is `None`.
    pub fn portfolio(dimension_budget: Option<u32>, compute_budget: Option<u64>, detect_changes: Option<bool>) -> Self {
        let default = PortfolioSpec::default();
        Self::Portfolio(PortfolioSpec {
            dimension_budget: dimension_budget.unwrap_or(default.dimension_budget),
            compute_budget: compute_budget.unwrap_or(default.compute_budget),
            detect_changes: detect_changes.unwrap_or(default.detect_changes),
        })
    }

    /// Creates a linear model, with the default of each parameter that is `None`.
    pub fn linear(prior_precision: Option<f64>, dimension_budget: Option<u32>) -> Self {
        let default = LinearSpec::default();
        Self::Linear(LinearSpec {
            prior_precision: prior_precision.unwrap_or(default.prior_precision),
            dimension_budget: dimension_budget.unwrap_or(default.dimension_budget),
            ..default
        })
    }

    /// Creates a Beta–Bernoulli model, with the flat prior by default.
    pub fn beta_bernoulli(prior_a: Option<f64>, prior_b: Option<f64>) -> Self {
        Self::BetaBernoulli { prior_a: prior_a.unwrap_or(1.0), prior_b: prior_b.unwrap_or(1.0) }
    }

    /// Creates a normal-inverse-gamma model, with a default prior that a few observations outweigh.
    pub fn normal_inverse_gamma(
        mean: Option<f64>,
        strength: Option<f64>,
        shape: Option<f64>,
        scale: Option<f64>,
    ) -> Self {
        Self::NormalInverseGamma {
            prior_mean: mean.unwrap_or(0.0),
            prior_strength: strength.unwrap_or(0.1),
            prior_shape: shape.unwrap_or(1.0),
            prior_scale: scale.unwrap_or(1.0),
        }
    }

    /// Name of the specification in answers and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Portfolio(_) => "portfolio",
            Self::Linear(_) => "linear",
            Self::BetaBernoulli { .. } => "beta_bernoulli",
            Self::NormalInverseGamma { .. } => "normal_inverse_gamma",
        }
    }

    /// Maximum number of dimensions of the encoder.
    pub fn dimension_budget(&self) -> u32 {
        match self {
            Self::Portfolio(portfolio) => portfolio.dimension_budget,
            Self::Linear(linear) => linear.dimension_budget,
            Self::BetaBernoulli { .. } | Self::NormalInverseGamma { .. } => Self::DIMENSION_BUDGET,
        }
    }

    /// Returns whether the detector of abrupt changes runs.
    pub fn detects_changes(&self) -> bool {
        matches!(self, Self::Portfolio(portfolio) if portfolio.detect_changes)
    }

    /// Maximum cost of a decision in multiplications, or `None` if it is unlimited.
    pub fn compute_budget(&self) -> Option<u64> {
        match self {
            Self::Portfolio(portfolio) => Some(portfolio.compute_budget),
            Self::Linear(_) | Self::BetaBernoulli { .. } | Self::NormalInverseGamma { .. } => None,
        }
    }

    /// Models of the specification, each with its half-life divisor. The first model of a portfolio is its cheapest.
    pub fn members(&self, traits: SlotTraits) -> Vec<MemberSpec> {
        let slow = |design| MemberSpec { design, half_life_divisor: 1, half_life_factor: 1 };
        match *self {
            Self::Portfolio(portfolio) => portfolio.members(traits),
            Self::Linear(linear) => vec![slow(Design::Linear(linear.design(traits)))],
            Self::BetaBernoulli { prior_a, prior_b } => vec![slow(Design::BetaBernoulli { prior_a, prior_b })],
            Self::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
                vec![slow(Design::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale })]
            }
        }
    }
}

/// Model of a slot and its rate of forgetting. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MemberSpec {
    /// Model with its parameters.
    pub design: Design,
    /// Slot's half-life divided by the model's.
    pub half_life_divisor: u32,
    /// Model's half-life divided by the slot's. One of the two is 1.
    #[serde(default = "one")]
    pub half_life_factor: u32,
}

fn one() -> u32 {
    1
}

impl MemberSpec {
    /// Name of the model in answers.
    pub fn name(&self) -> &'static str {
        match self.design {
            Design::Linear(LinearDesign { expansion: Expansion::Fourier, .. }) if self.half_life_divisor > 1 => {
                "fast_fourier"
            }
            Design::Linear(_) if self.half_life_divisor > 1 => "fast_linear",
            Design::Linear(_) if self.half_life_factor > 1 => "slow_linear",
            Design::Linear(LinearDesign { sharing: Sharing::Shared, expansion: Expansion::Interactions, .. }) => {
                "shared_interactions"
            }
            Design::Linear(LinearDesign { sharing: Sharing::Shared, .. }) => "shared",
            Design::Linear(LinearDesign { sharing: Sharing::Opposed, .. }) => "opposed",
            Design::Linear(LinearDesign { expansion: Expansion::Interactions, link: Link::Identity, .. }) => {
                "interactions_identity"
            }
            Design::Linear(LinearDesign { expansion: Expansion::Interactions, .. }) => "interactions",
            Design::Linear(LinearDesign { expansion: Expansion::Fourier, .. }) => "fourier",
            Design::Linear(LinearDesign { expansion: Expansion::None, .. }) => "linear",
            Design::Hurdle(_) => "rate_times_value",
            Design::BetaBernoulli { .. } => "beta_bernoulli",
            Design::NormalInverseGamma { .. } => "normal_inverse_gamma",
        }
    }
}

/// Half-life divisor of the portfolio's fast model: its half-life is two days if the slot's is two weeks.
const FAST: u32 = 8;

/// Half-life divisor of the portfolio's fast non-linear model: its half-life is a day if the slot's is two weeks.
const FASTEST: u32 = 14;

/// Half-life factor of the portfolio's slow model, for slots that learn little in a half-life.
const LONG: u32 = 8;

impl PortfolioSpec {
    fn members(&self, traits: SlotTraits) -> Vec<MemberSpec> {
        let design = |link, expansion, sharing| LinearDesign {
            link,
            expansion,
            sharing,
            prior_precision: ModelSpec::PRIOR_PRECISION,
            dimension_budget: self.dimension_budget,
        };
        let member = |half_life_divisor, design| MemberSpec {
            design: Design::Linear(design),
            half_life_divisor,
            half_life_factor: 1,
        };
        let (none, products, fourier) = (Expansion::None, Expansion::Interactions, Expansion::Fourier);
        let link = if traits.unit_rewards { Link::Logit } else { Link::Identity };
        if traits.large_catalogue {
            return vec![
                member(1, design(link, none, Sharing::Shared)),
                member(1, design(link, products, Sharing::Shared)),
            ];
        }
        let disjoint = Sharing::Disjoint;
        let mut members = vec![
            member(1, design(link, none, disjoint)),
            member(1, design(link, products, disjoint)),
            member(1, design(link, fourier, disjoint)),
            member(FAST, design(link, none, disjoint)),
            member(FASTEST, design(link, fourier, disjoint)),
            MemberSpec { half_life_factor: LONG, ..member(1, design(link, none, disjoint)) },
        ];
        if !traits.unit_rewards {
            members.push(MemberSpec {
                design: Design::Hurdle(design(Link::Logit, none, disjoint)),
                half_life_divisor: 1,
                half_life_factor: 1,
            });
        }
        if traits.unit_rewards {
            // The identity link, which learns how small its noise is, beats the logit link for deterministic rewards.
            members.push(member(1, design(Link::Identity, products, disjoint)));
            members.push(member(1, design(Link::Identity, products, Sharing::Opposed)));
        }
        members
    }
}

impl LinearSpec {
    fn design(&self, traits: SlotTraits) -> LinearDesign {
        LinearDesign {
            link: self.link.unwrap_or(if traits.unit_rewards { Link::Logit } else { Link::Identity }),
            expansion: self.expansion,
            sharing: self.sharing.unwrap_or(if traits.large_catalogue { Sharing::Shared } else { Sharing::Disjoint }),
            prior_precision: self.prior_precision,
            dimension_budget: self.dimension_budget,
        }
    }
}
