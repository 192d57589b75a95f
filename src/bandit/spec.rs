//! What a slot may say of how it learns.

use serde::{Deserialize, Serialize};

use super::{
    expansion::Expansion,
    linear::{LinearDesign, Link, Sharing},
    model::Design,
};

/// How a slot learns, with all parameters. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum ModelSpec {
    /// Several models, weighted by their evidence.
    Portfolio(PortfolioSpec),
    /// One linear model.
    Linear(LinearSpec),
    /// No features, rewards in [0, 1].
    BetaBernoulli {
        /// a of the prior.
        prior_a: f64,
        /// b of the prior.
        prior_b: f64,
    },
    /// No features, any reward.
    NormalInverseGamma {
        /// m, reward.
        prior_mean: f64,
        /// κ, observations.
        prior_strength: f64,
        /// a.
        prior_shape: f64,
        /// b, reward².
        prior_scale: f64,
    },
}

/// A portfolio's parameters. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PortfolioSpec {
    /// Features that each model may take; what an expansion adds may take it to at most twice as many dimensions.
    pub dimension_budget: u32,
    /// What one decision may cost, multiplications.
    pub compute_budget: u64,
    /// Whether to watch for abrupt changes of the world.
    pub detect_changes: bool,
}

/// A linear model's parameters. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LinearSpec {
    /// The link; none: logit where all rewards of the goal lie in [0, 1], else identity.
    pub link: Option<Link>,
    /// What is added to the features.
    pub expansion: Expansion,
    /// What the arms share; none: see [`SlotTraits`].
    pub sharing: Option<Sharing>,
    /// λ, the precision of the weights' prior in units of the noise.
    pub prior_precision: f64,
    /// Features at most; with an expansion, at most twice as many dimensions.
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

/// What a model has to know of its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlotTraits {
    /// All rewards lie in [0, 1].
    pub unit_rewards: bool,
    /// Thousands of arms, too many for a posterior over the features each: they share one.
    pub large_catalogue: bool,
}

impl ModelSpec {
    /// λ where none is given: a weight is thought to be about as large as the noise.
    pub const PRIOR_PRECISION: f64 = 1.0;
    /// Dimensions where no budget is given: 263 kB per arm and model.
    pub const DIMENSION_BUDGET: u32 = 256;
    /// Multiplications of one decision where no budget is given: some milliseconds of one core at most, and three
    /// models of 150 dimensions for a hundred candidates.
    pub const COMPUTE_BUDGET: u64 = 4_000_000;

    /// The portfolio; what is not given has its default.
    pub fn portfolio(dimension_budget: Option<u32>, compute_budget: Option<u64>, detect_changes: Option<bool>) -> Self {
        let default = PortfolioSpec::default();
        Self::Portfolio(PortfolioSpec {
            dimension_budget: dimension_budget.unwrap_or(default.dimension_budget),
            compute_budget: compute_budget.unwrap_or(default.compute_budget),
            detect_changes: detect_changes.unwrap_or(default.detect_changes),
        })
    }

    /// The linear model; what is not given has its default.
    pub fn linear(prior_precision: Option<f64>, dimension_budget: Option<u32>) -> Self {
        let default = LinearSpec::default();
        Self::Linear(LinearSpec {
            prior_precision: prior_precision.unwrap_or(default.prior_precision),
            dimension_budget: dimension_budget.unwrap_or(default.dimension_budget),
            ..default
        })
    }

    /// Beta–Bernoulli; without a prior, the flat one.
    pub fn beta_bernoulli(prior_a: Option<f64>, prior_b: Option<f64>) -> Self {
        Self::BetaBernoulli { prior_a: prior_a.unwrap_or(1.0), prior_b: prior_b.unwrap_or(1.0) }
    }

    /// Normal-inverse-gamma; without a prior, one that a few observations outweigh.
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

    /// Its name in answers and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Portfolio(_) => "portfolio",
            Self::Linear(_) => "linear",
            Self::BetaBernoulli { .. } => "beta_bernoulli",
            Self::NormalInverseGamma { .. } => "normal_inverse_gamma",
        }
    }

    /// Dimensions that its encoder may use.
    pub fn dimension_budget(&self) -> u32 {
        match self {
            Self::Portfolio(portfolio) => portfolio.dimension_budget,
            Self::Linear(linear) => linear.dimension_budget,
            Self::BetaBernoulli { .. } | Self::NormalInverseGamma { .. } => Self::DIMENSION_BUDGET,
        }
    }

    /// Whether abrupt changes are watched for.
    pub fn detects_changes(&self) -> bool {
        matches!(self, Self::Portfolio(portfolio) if portfolio.detect_changes)
    }

    /// What a decision may cost, multiplications; none: whatever it does.
    pub fn compute_budget(&self) -> Option<u64> {
        match self {
            Self::Portfolio(portfolio) => Some(portfolio.compute_budget),
            Self::Linear(_) | Self::BetaBernoulli { .. } | Self::NormalInverseGamma { .. } => None,
        }
    }

    /// The models it comes to, each with how much faster than the slot it forgets; a portfolio's first is its cheapest.
    pub fn members(&self, traits: SlotTraits) -> Vec<MemberSpec> {
        let slow = |design| MemberSpec { design, half_life_divisor: 1 };
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

/// A model of a slot and how it forgets. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MemberSpec {
    /// The model.
    pub design: Design,
    /// The slot's half-life over the model's.
    pub half_life_divisor: u32,
}

impl MemberSpec {
    /// Its name in answers.
    pub fn name(&self) -> &'static str {
        match self.design {
            Design::Linear(_) if self.half_life_divisor > 1 => "fast_linear",
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
            Design::BetaBernoulli { .. } => "beta_bernoulli",
            Design::NormalInverseGamma { .. } => "normal_inverse_gamma",
        }
    }
}

/// How much faster than the slot the portfolio's fast model forgets: two days where the slot takes two weeks.
const FAST: u32 = 8;

impl PortfolioSpec {
    fn members(&self, traits: SlotTraits) -> Vec<MemberSpec> {
        let design = |link, expansion, sharing| LinearDesign {
            link,
            expansion,
            sharing,
            prior_precision: ModelSpec::PRIOR_PRECISION,
            dimension_budget: self.dimension_budget,
        };
        let member = |half_life_divisor, design| MemberSpec { design: Design::Linear(design), half_life_divisor };
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
        ];
        if traits.unit_rewards {
            // Where nothing is left to chance the identity link, which learns how small its noise is, beats the logit.
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
