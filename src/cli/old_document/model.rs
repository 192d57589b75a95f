//! How a slot learns, as its document says it.

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    choice::{self, Choice},
    values::NoKeys,
};
use crate::bandit::{Expansion, LinearSpec, Link, ModelSpec, PortfolioSpec, Sharing};

/// A model by its name alone, with its parameters, or an empty table for the default.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum ModelChoice {
    Name(ModelName),
    With(ModelDocument),
    Default(NoKeys),
}

impl<'de> Deserialize<'de> for ModelChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting =
            "portfolio, linear, beta_bernoulli or normal_inverse_gamma: by name, or as a table of its parameters";
        Ok(match choice::read(deserializer, expecting)? {
            Choice::Name(name) => Self::Name(name),
            Choice::With(document) => Self::With(document),
            Choice::Default => Self::Default(NoKeys {}),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModelName {
    Portfolio,
    Linear,
    BetaBernoulli,
    NormalInverseGamma,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ModelDocument {
    Portfolio {
        dimension_budget: Option<u32>,
        compute_budget: Option<u64>,
        detect_changes: Option<bool>,
    },
    Linear {
        prior_precision: Option<f64>,
        dimension_budget: Option<u32>,
        link: Option<LinkName>,
        expansion: Option<ExpansionName>,
        sharing: Option<SharingName>,
    },
    BetaBernoulli {
        prior_a: Option<f64>,
        prior_b: Option<f64>,
    },
    NormalInverseGamma {
        prior_mean: Option<f64>,
        prior_strength: Option<f64>,
        prior_shape: Option<f64>,
        prior_scale: Option<f64>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LinkName {
    #[serde(alias = "IDENTITY", alias = "LINK_IDENTITY")]
    Identity,
    #[serde(alias = "LOGIT", alias = "LINK_LOGIT")]
    Logit,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExpansionName {
    #[serde(alias = "NONE", alias = "EXPANSION_NONE")]
    None,
    #[serde(alias = "INTERACTIONS", alias = "EXPANSION_INTERACTIONS")]
    Interactions,
    #[serde(alias = "FOURIER", alias = "EXPANSION_FOURIER")]
    Fourier,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SharingName {
    #[serde(alias = "DISJOINT", alias = "SHARING_DISJOINT")]
    Disjoint,
    #[serde(alias = "OPPOSED", alias = "SHARING_OPPOSED")]
    Opposed,
    #[serde(alias = "SHARED", alias = "SHARING_SHARED")]
    Shared,
}

impl ModelChoice {
    pub(super) fn spec(&self) -> ModelSpec {
        match self {
            Self::With(document) => document.spec(),
            Self::Name(ModelName::Portfolio) | Self::Default(NoKeys {}) => ModelSpec::default(),
            Self::Name(ModelName::Linear) => ModelSpec::linear(None, None),
            Self::Name(ModelName::BetaBernoulli) => ModelSpec::beta_bernoulli(None, None),
            Self::Name(ModelName::NormalInverseGamma) => ModelSpec::normal_inverse_gamma(None, None, None, None),
        }
    }

    pub(super) fn of(spec: ModelSpec) -> Self {
        Self::With(ModelDocument::of(spec))
    }
}

impl ModelDocument {
    fn spec(&self) -> ModelSpec {
        match *self {
            Self::Portfolio { dimension_budget, compute_budget, detect_changes } => {
                ModelSpec::portfolio(dimension_budget, compute_budget, detect_changes)
            }
            Self::Linear { prior_precision, dimension_budget, link, expansion, sharing } => {
                let default = LinearSpec::default();
                ModelSpec::Linear(LinearSpec {
                    link: link.map(LinkName::link),
                    expansion: expansion.map_or(default.expansion, ExpansionName::expansion),
                    sharing: sharing.map(SharingName::sharing),
                    prior_precision: prior_precision.unwrap_or(default.prior_precision),
                    dimension_budget: dimension_budget.unwrap_or(default.dimension_budget),
                })
            }
            Self::BetaBernoulli { prior_a, prior_b } => ModelSpec::beta_bernoulli(prior_a, prior_b),
            Self::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
                ModelSpec::normal_inverse_gamma(prior_mean, prior_strength, prior_shape, prior_scale)
            }
        }
    }

    fn of(spec: ModelSpec) -> Self {
        match spec {
            ModelSpec::Portfolio(PortfolioSpec { dimension_budget, compute_budget, detect_changes }) => {
                Self::Portfolio {
                    dimension_budget: Some(dimension_budget),
                    compute_budget: Some(compute_budget),
                    detect_changes: Some(detect_changes),
                }
            }
            ModelSpec::Linear(LinearSpec { link, expansion, sharing, prior_precision, dimension_budget }) => {
                Self::Linear {
                    prior_precision: Some(prior_precision),
                    dimension_budget: Some(dimension_budget),
                    link: link.map(|link| match link {
                        Link::Identity => LinkName::Identity,
                        Link::Logit => LinkName::Logit,
                    }),
                    expansion: Some(match expansion {
                        Expansion::None => ExpansionName::None,
                        Expansion::Interactions => ExpansionName::Interactions,
                        Expansion::Fourier => ExpansionName::Fourier,
                    }),
                    sharing: sharing.map(|sharing| match sharing {
                        Sharing::Disjoint => SharingName::Disjoint,
                        Sharing::Opposed => SharingName::Opposed,
                        Sharing::Shared => SharingName::Shared,
                    }),
                }
            }
            ModelSpec::BetaBernoulli { prior_a, prior_b } => {
                Self::BetaBernoulli { prior_a: Some(prior_a), prior_b: Some(prior_b) }
            }
            ModelSpec::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
                Self::NormalInverseGamma {
                    prior_mean: Some(prior_mean),
                    prior_strength: Some(prior_strength),
                    prior_shape: Some(prior_shape),
                    prior_scale: Some(prior_scale),
                }
            }
        }
    }
}

impl LinkName {
    fn link(self) -> Link {
        match self {
            Self::Identity => Link::Identity,
            Self::Logit => Link::Logit,
        }
    }
}

impl ExpansionName {
    fn expansion(self) -> Expansion {
        match self {
            Self::None => Expansion::None,
            Self::Interactions => Expansion::Interactions,
            Self::Fourier => Expansion::Fourier,
        }
    }
}

impl SharingName {
    fn sharing(self) -> Sharing {
        match self {
            Self::Disjoint => Sharing::Disjoint,
            Self::Opposed => Sharing::Opposed,
            Self::Shared => Sharing::Shared,
        }
    }
}
