//! A slot's rules as part of its document: one table each, with its effect as the key of the contract's name.

use serde::{Deserialize, Serialize};

use super::values::DurationText;
use crate::slot::{Comparand, Effect, FieldError, OnError, Rule};

/// A rule; exactly one of its effects is set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleDocument {
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    when: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_error: Option<OnErrorName>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exclude: Option<Exclude>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin: Option<Pin>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boost: Option<Boost>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    share: Option<Bounds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject_cap: Option<SubjectCap>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    day_cap: Option<DayCap>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quota: Option<Quota>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_moves: Option<MaxMoves>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnErrorName {
    #[serde(alias = "IGNORE", alias = "ON_ERROR_IGNORE", alias = "ON_ERROR_UNSPECIFIED")]
    Ignore,
    #[serde(alias = "EXCLUDE", alias = "ON_ERROR_EXCLUDE")]
    Exclude,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclude {}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Evidence {
    confidence: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reward: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    others: Option<Exclude>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    position: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Boost {
    factor: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectCap {
    count: u32,
    window: DurationText,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    together: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DayCap {
    count: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    together: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quota {
    attribute: String,
    top: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_values: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_per_value: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxMoves {
    positions: u32,
}

impl RuleDocument {
    /// The rule; paths in errors begin with the rule's fields.
    pub(super) fn rule(&self) -> Result<Rule, FieldError> {
        let mut effects = self.effects()?;
        let effect = match (effects.pop(), effects.pop()) {
            (Some((_, effect)), None) => effect,
            (Some((one, _)), Some((other, _))) => {
                let message = format!("has two, {other} and {one}; make a rule of each");
                return Err(FieldError::new("effect", message));
            }
            (None, _) => {
                let effects = "exclude, evidence, pin, boost, share, subject_cap, day_cap, quota, max_moves";
                return Err(FieldError::new("effect", format!("is missing; set one of {effects}")));
            }
        };
        Ok(Rule {
            name: self.name.clone(),
            when: self.when.clone(),
            effect,
            on_error: match self.on_error {
                None | Some(OnErrorName::Ignore) => OnError::Ignore,
                Some(OnErrorName::Exclude) => OnError::Exclude,
            },
            paused: self.paused,
        })
    }

    /// All effects that are set, by their names.
    fn effects(&self) -> Result<Vec<(&'static str, Effect)>, FieldError> {
        let Self {
            name: _,
            when: _,
            on_error: _,
            paused: _,
            exclude,
            evidence,
            pin,
            boost,
            share,
            subject_cap,
            day_cap,
            quota,
            max_moves,
        } = self;
        let evidence = evidence.map(Evidence::effect).transpose()?;
        let subject_cap = subject_cap.as_ref().map(SubjectCap::effect).transpose()?;
        let effects = [
            ("exclude", exclude.map(|Exclude {}| Effect::Exclude)),
            ("evidence", evidence),
            ("pin", pin.map(|Pin { position }| Effect::Pin { position })),
            ("boost", boost.map(|Boost { factor }| Effect::Boost { factor })),
            ("share", share.map(|Bounds { min, max }| Effect::ProbabilityBounds { min, max })),
            ("subject_cap", subject_cap),
            ("day_cap", day_cap.map(|DayCap { count, together }| Effect::DayCap { count, together })),
            ("quota", quota.clone().map(Quota::effect)),
            ("max_moves", max_moves.map(|MaxMoves { positions }| Effect::MaxMoves { positions })),
        ];
        Ok(effects.into_iter().filter_map(|(name, effect)| Some((name, effect?))).collect())
    }

    /// The document of a rule.
    pub(super) fn of(rule: &Rule) -> Self {
        let Rule { name, when, effect, on_error, paused } = rule;
        let on_error = match on_error {
            OnError::Ignore => None,
            OnError::Exclude => Some(OnErrorName::Exclude),
        };
        let document = Self { name: name.clone(), when: when.clone(), on_error, paused: *paused, ..Self::default() };
        match effect.clone() {
            Effect::Exclude => Self { exclude: Some(Exclude {}), ..document },
            Effect::Evidence { confidence, than } => {
                let reward = match than {
                    Comparand::Reward(reward) => Some(reward),
                    Comparand::Others => None,
                };
                Self { evidence: Some(Evidence { confidence, reward, others: None }), ..document }
            }
            Effect::Pin { position } => Self { pin: Some(Pin { position }), ..document },
            Effect::Boost { factor } => Self { boost: Some(Boost { factor }), ..document },
            Effect::ProbabilityBounds { min, max } => Self { share: Some(Bounds { min, max }), ..document },
            Effect::SubjectCap { count, window_us, together } => {
                let window = DurationText::of(window_us);
                Self { subject_cap: Some(SubjectCap { count, window, together }), ..document }
            }
            Effect::DayCap { count, together } => Self { day_cap: Some(DayCap { count, together }), ..document },
            Effect::Quota { attribute, top, min_values, max_per_value } => {
                Self { quota: Some(Quota { attribute, top, min_values, max_per_value }), ..document }
            }
            Effect::MaxMoves { positions } => Self { max_moves: Some(MaxMoves { positions }), ..document },
        }
    }
}

impl Evidence {
    fn effect(self) -> Result<Effect, FieldError> {
        let Self { confidence, reward, others } = self;
        if reward.is_some() && others.is_some() {
            return Err(FieldError::new("evidence", "says both reward and others; leave one of them out"));
        }
        Ok(Effect::Evidence { confidence, than: reward.map_or(Comparand::Others, Comparand::Reward) })
    }
}

impl SubjectCap {
    fn effect(&self) -> Result<Effect, FieldError> {
        let Self { count, window, together } = self;
        Ok(Effect::SubjectCap { count: *count, window_us: window.us("subject_cap.window")?, together: *together })
    }
}

impl Quota {
    fn effect(self) -> Effect {
        let Self { attribute, top, min_values, max_per_value } = self;
        Effect::Quota { attribute, top, min_values, max_per_value }
    }
}
