//! How scores become probabilities, as a slot's document says it.

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    choice::{self, Choice},
    values::NoKeys,
};
use crate::bandit::Policy;

/// A policy by its name alone, with its parameters, or an empty table for the default.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum PolicyChoice {
    Name(PolicyName),
    With(PolicyDocument),
    Default(NoKeys),
}

impl<'de> Deserialize<'de> for PolicyChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "thompson_sampling, uniform, fixed_order, greedy, epsilon_greedy, lin_ucb or square_cb: by name, or as a table of its parameters";
        Ok(match choice::read(deserializer, expecting)? {
            Choice::Name(name) => Self::Name(name),
            Choice::With(document) => Self::With(document),
            Choice::Default => Self::Default(NoKeys {}),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PolicyName {
    ThompsonSampling,
    Uniform,
    FixedOrder,
    Greedy,
    EpsilonGreedy,
    LinUcb,
    SquareCb,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum PolicyDocument {
    ThompsonSampling {},
    Uniform {},
    FixedOrder {},
    Greedy {},
    EpsilonGreedy { epsilon: Option<f64> },
    LinUcb {},
    SquareCb { gamma: Option<f64> },
}

impl PolicyChoice {
    pub(super) fn policy(&self) -> Option<Policy> {
        use {PolicyDocument as With, PolicyName as Name};
        Some(match *self {
            Self::Default(NoKeys {}) => return None,
            Self::Name(Name::ThompsonSampling) | Self::With(With::ThompsonSampling {}) => Policy::ThompsonSampling,
            Self::Name(Name::Uniform) | Self::With(With::Uniform {}) => Policy::Uniform,
            Self::Name(Name::FixedOrder) | Self::With(With::FixedOrder {}) => Policy::FixedOrder,
            Self::Name(Name::Greedy) | Self::With(With::Greedy {}) => Policy::Greedy,
            Self::Name(Name::EpsilonGreedy) => Policy::epsilon_greedy(None),
            Self::With(With::EpsilonGreedy { epsilon }) => Policy::epsilon_greedy(epsilon),
            Self::Name(Name::LinUcb) | Self::With(With::LinUcb {}) => Policy::LinUcb,
            Self::Name(Name::SquareCb) => Policy::square_cb(None),
            Self::With(With::SquareCb { gamma }) => Policy::square_cb(gamma),
        })
    }

    pub(super) fn of(policy: Policy) -> Self {
        match policy {
            Policy::ThompsonSampling => Self::Name(PolicyName::ThompsonSampling),
            Policy::Uniform => Self::Name(PolicyName::Uniform),
            Policy::FixedOrder => Self::Name(PolicyName::FixedOrder),
            Policy::Greedy => Self::Name(PolicyName::Greedy),
            Policy::EpsilonGreedy { epsilon } => Self::With(PolicyDocument::EpsilonGreedy { epsilon: Some(epsilon) }),
            Policy::LinUcb => Self::Name(PolicyName::LinUcb),
            Policy::SquareCb { gamma } => Self::With(PolicyDocument::SquareCb { gamma: Some(gamma) }),
        }
    }
}
