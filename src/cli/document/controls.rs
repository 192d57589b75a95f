//! A slot's controls as part of its document.

use serde::{Deserialize, Serialize};

use super::values::{DurationText, NoKeys};
use crate::{
    bandit::Policy,
    slot::{Controls, FieldError},
};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ControlsDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exploration: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ceiling: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    half_life: Option<DurationText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holdout: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    freeze_learning: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    safe_choice: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyChoice>,
}

/// A policy by its name alone, with its parameters, or an empty table for the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "thompson_sampling, uniform, fixed_order, greedy, epsilon_greedy, lin_ucb or square_cb: by name, or as a table of its parameters"
)]
enum PolicyChoice {
    Name(PolicyName),
    With(PolicyDocument),
    Default(NoKeys),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PolicyName {
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
enum PolicyDocument {
    ThompsonSampling {},
    Uniform {},
    FixedOrder {},
    Greedy {},
    EpsilonGreedy { epsilon: Option<f64> },
    LinUcb {},
    SquareCb { gamma: Option<f64> },
}

impl PolicyChoice {
    fn policy(&self) -> Option<Policy> {
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

    fn of(policy: Policy) -> Self {
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

impl ControlsDocument {
    pub(super) fn controls(&self) -> Result<Controls, FieldError> {
        let half_life_us = self.half_life.as_ref().map(|text| text.us("controls.half_life")).transpose()?;
        let policy = self.policy.as_ref().and_then(PolicyChoice::policy);
        let Self { exploration, floor, ceiling, half_life: _, holdout, freeze_learning, safe_choice, policy: _ } =
            *self;
        Ok(Controls { exploration, floor, ceiling, half_life_us, holdout, freeze_learning, safe_choice, policy })
    }

    pub(super) fn of(controls: &Controls) -> Self {
        let Controls { exploration, floor, ceiling, half_life_us, holdout, freeze_learning, safe_choice, policy } =
            *controls;
        let (half_life, policy) = (half_life_us.map(DurationText::of), policy.map(PolicyChoice::of));
        Self { exploration, floor, ceiling, half_life, holdout, freeze_learning, safe_choice, policy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Option<Policy> {
        toml::from_str::<ControlsDocument>(text).unwrap().controls().unwrap().policy
    }

    #[test]
    fn a_policy_is_given_by_name_or_by_its_parameters() {
        for (text, want) in [
            ("", None),
            ("policy = {}", None),
            ("policy = \"uniform\"", Some(Policy::Uniform)),
            ("policy = { uniform = {} }", Some(Policy::Uniform)),
            ("policy = \"epsilon_greedy\"", Some(Policy::EpsilonGreedy { epsilon: 0.05 })),
            ("[policy.epsilon_greedy]", Some(Policy::EpsilonGreedy { epsilon: 0.05 })),
            ("[policy.epsilon_greedy]\nepsilon = 0.3", Some(Policy::EpsilonGreedy { epsilon: 0.3 })),
            ("policy = \"square_cb\"", Some(Policy::SquareCb { gamma: 1000.0 })),
            ("policy = { square_cb = { gamma = 20 } }", Some(Policy::SquareCb { gamma: 20.0 })),
        ] {
            assert_eq!(policy(text), want, "{text}");
        }
        for text in ["policy = \"ucb\"", "policy = { greedy = { epsilon = 0.1 } }", "policy = 3"] {
            let error = toml::from_str::<ControlsDocument>(text).unwrap_err().to_string();
            assert!(error.contains("lin_ucb or square_cb: by name"), "{error}");
        }
    }

    #[test]
    fn every_policy_survives_its_document_under_its_own_name() {
        for wanted in [
            Policy::ThompsonSampling,
            Policy::Uniform,
            Policy::FixedOrder,
            Policy::Greedy,
            Policy::EpsilonGreedy { epsilon: 0.3 },
            Policy::LinUcb,
            Policy::SquareCb { gamma: 40.0 },
        ] {
            let controls = Controls { floor: Some(0.1), policy: Some(wanted), ..Controls::default() };
            let text = toml::to_string_pretty(&ControlsDocument::of(&controls)).unwrap();
            assert_eq!(policy(&text), Some(wanted), "{text}");
            assert!(text.contains(wanted.name()), "{text}");
        }
    }
}
