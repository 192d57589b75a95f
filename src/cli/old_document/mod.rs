//! A slot as a document: the TOML that `slots apply` reads and `slots get` writes.
//!
//! The keys are the fields of `slotwise.v1.Slot`. Values are written as people write
//! them: `kind = "offer"` (or `SLOT_KIND_OFFER`), `half_life = "14days"`, attributes as
//! plain TOML values (`price = 9.9`, `tags = ["new", "red"]`) or in the contract's
//! form (`{ text = "x" }`). Unknown keys are refused with their line.

mod choice;
mod controls;
mod levers;
mod model;
mod ownership;
mod policy;
mod rules;
mod values;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use controls::ControlsDocument;
use model::ModelChoice;
use rules::RuleDocument;
use values::{Attribute, DurationText, TimeText, normal, without_nulls};

use crate::{
    bandit::{ClickModel, Features, ModelSpec},
    config::{one_line, other_language},
    slot::{
        Aggregation, Arm, ArmId, Consent, Definition, FieldError, Goal, Learning, Payload, RewardKind, Schedule,
        SlotId, SlotKind, Unavailable, suggestion,
    },
};

/// Why a text is no slot's document, in one line: with the place, and what an unknown key may have been meant to be.
pub(super) fn unreadable(error: &toml::de::Error, text: &str) -> String {
    if let Some(language) = other_language(text) {
        return format!(
            "looks like {language}; slots are TOML: begin with `slotwise slots new`, or see `slotwise slots get`"
        );
    }
    let line = one_line(error, text);
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(key) if message.starts_with("unknown ") || message.contains(": unknown ") => {
            format!("{line}{}", suggestion(key, quoted))
        }
        _ => line,
    }
}

/// A slot's document; parsed with `toml`, it is checked when its definition is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotDocument {
    slot_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    display_name: String,
    #[serde(default)]
    kind: KindName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    open_catalogue: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_arm_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_consent: Option<ConsentName>,
    #[serde(default)]
    goal: GoalDocument,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<ModelChoice>,
    #[serde(default)]
    controls: ControlsDocument,
    #[serde(default)]
    arms: Vec<ArmDocument>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleDocument>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindName {
    #[default]
    #[serde(alias = "OFFER", alias = "SLOT_KIND_OFFER", alias = "SLOT_KIND_UNSPECIFIED")]
    Offer,
    #[serde(alias = "RANKING", alias = "SLOT_KIND_RANKING")]
    Ranking,
    #[serde(alias = "BLOCK", alias = "SLOT_KIND_BLOCK")]
    Block,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ConsentName {
    #[serde(alias = "FULL", alias = "CONSENT_FULL", alias = "CONSENT_UNSPECIFIED")]
    Full,
    #[serde(alias = "SESSION_ONLY", alias = "CONSENT_SESSION_ONLY")]
    SessionOnly,
    #[serde(alias = "NONE", alias = "CONSENT_NONE")]
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AggregationName {
    #[serde(alias = "SUM", alias = "AGGREGATION_SUM", alias = "AGGREGATION_UNSPECIFIED")]
    Sum,
    #[serde(alias = "AGGREGATION_MAX", alias = "MAX")]
    Max,
    #[serde(alias = "AGGREGATION_LAST", alias = "LAST")]
    Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LearningName {
    #[serde(alias = "EAGER", alias = "LEARNING_EAGER", alias = "LEARNING_UNSPECIFIED")]
    Eager,
    #[serde(alias = "AT_CLOSE", alias = "LEARNING_AT_CLOSE")]
    AtClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClickModelName {
    #[serde(alias = "NONE", alias = "CLICK_MODEL_NONE", alias = "CLICK_MODEL_UNSPECIFIED")]
    None,
    #[serde(alias = "POSITION_BASED", alias = "CLICK_MODEL_POSITION_BASED")]
    PositionBased,
    #[serde(alias = "CASCADE", alias = "CLICK_MODEL_CASCADE")]
    Cascade,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GoalDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_reward: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<DurationText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aggregation: Option<AggregationName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    learning: Option<LearningName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    click_model: Option<ClickModelName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grace_period: Option<DurationText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reversal_window: Option<DurationText>,
    #[serde(default)]
    kinds: Vec<RewardKindDocument>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RewardKindDocument {
    kind: String,
    weight: f64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    use_value: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cap: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    winsorize: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArmDocument {
    arm_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    available: Option<bool>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, Attribute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unavailable_because: Option<BecauseName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<ScheduleDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<Payload>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BecauseName {
    #[serde(alias = "PAUSED", alias = "UNAVAILABLE_BECAUSE_PAUSED")]
    Paused,
    #[serde(alias = "OUT_OF_STOCK", alias = "UNAVAILABLE_BECAUSE_OUT_OF_STOCK")]
    OutOfStock,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<TimeText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<TimeText>,
}

impl SlotDocument {
    /// The definition it describes; what it leaves out has its default.
    pub fn definition(&self) -> Result<Definition, FieldError> {
        let definition = self.unchecked()?;
        definition.check()?;
        Ok(definition)
    }

    /// The same, whether it holds together or not.
    fn unchecked(&self) -> Result<Definition, FieldError> {
        let arm = |(i, arm): (usize, &ArmDocument)| arm.arm().map_err(|e| e.within(&format!("arms[{i}]")));
        let rule = |(i, rule): (usize, &RuleDocument)| rule.rule().map_err(|e| e.within(&format!("rules[{i}]")));
        Ok(Definition {
            id: SlotId::parse("slot_id", &self.slot_id)?,
            display_name: self.display_name.clone(),
            kind: match self.kind {
                KindName::Offer => SlotKind::Offer,
                KindName::Ranking => SlotKind::Ranking,
                KindName::Block => SlotKind::Block,
            },
            arms: self.arms.iter().enumerate().map(arm).collect::<Result<_, FieldError>>()?,
            open_catalogue: self.open_catalogue,
            default_arm: self.default_arm_id.as_deref().map(|arm| ArmId::parse("default_arm_id", arm)).transpose()?,
            count: self.count.filter(|&count| count > 0),
            goal: self.goal.goal()?,
            model: self.model.as_ref().map_or_else(ModelSpec::default, ModelChoice::spec),
            controls: self.controls.controls()?,
            default_consent: match self.default_consent {
                None | Some(ConsentName::Full) => Consent::Full,
                Some(ConsentName::SessionOnly) => Consent::SessionOnly,
                Some(ConsentName::None) => Consent::None,
            },
            rules: self.rules.iter().enumerate().map(rule).collect::<Result<_, FieldError>>()?,
        })
    }

    /// The document of a definition.
    pub fn of(definition: &Definition) -> Self {
        let d = definition;
        Self {
            slot_id: d.id.to_string(),
            display_name: d.display_name.clone(),
            kind: match d.kind {
                SlotKind::Offer => KindName::Offer,
                SlotKind::Ranking => KindName::Ranking,
                SlotKind::Block => KindName::Block,
            },
            revision: None,
            open_catalogue: d.open_catalogue,
            default_arm_id: d.default_arm.as_ref().map(ArmId::to_string),
            count: d.count,
            default_consent: match d.default_consent {
                Consent::Full => None,
                Consent::SessionOnly => Some(ConsentName::SessionOnly),
                Consent::None => Some(ConsentName::None),
            },
            goal: GoalDocument::of(&d.goal),
            model: Some(ModelChoice::of(d.model)),
            controls: ControlsDocument::of(&d.controls),
            arms: d.arms.iter().map(|arm| ArmDocument::of(arm)).collect(),
            rules: d.rules.iter().map(RuleDocument::of).collect(),
        }
    }
}

impl BecauseName {
    fn because(self) -> Unavailable {
        match self {
            Self::Paused => Unavailable::Paused,
            Self::OutOfStock => Unavailable::OutOfStock,
        }
    }

    fn of(because: Unavailable) -> Self {
        match because {
            Unavailable::Paused => Self::Paused,
            Unavailable::OutOfStock => Self::OutOfStock,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::OutOfStock => "out of stock",
        }
    }
}

impl ArmDocument {
    /// The arm; paths in errors begin with the arm's fields.
    fn arm(&self) -> Result<Arc<Arm>, FieldError> {
        let available = self.available.unwrap_or(true);
        let because = self.unavailable_because.filter(|_| !available).map(BecauseName::because);
        let time = |field: &str, time: &Option<TimeText>| time.as_ref().map(|time| time.us(field)).transpose();
        let schedule = match &self.schedule {
            None => Schedule::default(),
            Some(ScheduleDocument { from, until }) => {
                Schedule { from_us: time("schedule.from", from)?, until_us: time("schedule.until", until)? }
            }
        };
        Ok(Arc::new(Arm {
            id: ArmId::parse("arm_id", &self.arm_id)?,
            attributes: self.attributes.iter().map(|(name, value)| (name.clone(), value.value())).collect(),
            available,
            payload: self.payload.as_ref().map(normal),
            because,
            schedule,
        }))
    }

    fn of(arm: &Arm) -> Self {
        let attributes: &Features = &arm.attributes;
        let Schedule { from_us, until_us } = arm.schedule;
        let (from, until) = (from_us.map(TimeText::of), until_us.map(TimeText::of));
        Self {
            arm_id: arm.id.to_string(),
            available: (!arm.available).then_some(false),
            attributes: attributes.iter().map(|(name, value)| (name.clone(), Attribute::of(value))).collect(),
            unavailable_because: arm.because.map(BecauseName::of),
            schedule: (arm.schedule != Schedule::default()).then_some(ScheduleDocument { from, until }),
            // TOML has no null; in an object, absent says the same.
            payload: arm.payload.as_ref().map(without_nulls),
        }
    }
}

impl GoalDocument {
    fn goal(&self) -> Result<Goal, FieldError> {
        let default = Goal::default();
        let kind = |RewardKindDocument { kind, weight, use_value, cap, winsorize }: &RewardKindDocument| RewardKind {
            kind: kind.clone(),
            weight: *weight,
            use_value: *use_value,
            cap: *cap,
            winsorize: *winsorize,
        };
        Ok(Goal {
            kinds: if self.kinds.is_empty() { default.kinds } else { self.kinds.iter().map(kind).collect() },
            default_reward: self.default_reward.unwrap_or(0.0),
            window_us: self.window.as_ref().map_or(Ok(default.window_us), |text| text.us("goal.window"))?,
            aggregation: match self.aggregation {
                None | Some(AggregationName::Sum) => Aggregation::Sum,
                Some(AggregationName::Max) => Aggregation::Max,
                Some(AggregationName::Last) => Aggregation::Last,
            },
            learning: match self.learning {
                None | Some(LearningName::Eager) => Learning::Eager,
                Some(LearningName::AtClose) => Learning::AtClose,
            },
            click_model: match self.click_model {
                None | Some(ClickModelName::None) => ClickModel::None,
                Some(ClickModelName::PositionBased) => ClickModel::PositionBased,
                Some(ClickModelName::Cascade) => ClickModel::Cascade,
            },
            grace_period_us: self.grace_period.as_ref().map(|text| text.us("goal.grace_period")).transpose()?,
            reversal_window_us: self
                .reversal_window
                .as_ref()
                .map(|text| text.us("goal.reversal_window"))
                .transpose()?,
        })
    }

    fn of(goal: &Goal) -> Self {
        let kind = |RewardKind { kind, weight, use_value, cap, winsorize }: &RewardKind| RewardKindDocument {
            kind: kind.clone(),
            weight: *weight,
            use_value: *use_value,
            cap: *cap,
            winsorize: *winsorize,
        };
        Self {
            default_reward: Some(goal.default_reward),
            window: Some(DurationText::of(goal.window_us)),
            aggregation: Some(match goal.aggregation {
                Aggregation::Sum => AggregationName::Sum,
                Aggregation::Max => AggregationName::Max,
                Aggregation::Last => AggregationName::Last,
            }),
            learning: Some(match goal.learning {
                Learning::Eager => LearningName::Eager,
                Learning::AtClose => LearningName::AtClose,
            }),
            click_model: Some(match goal.click_model {
                ClickModel::None => ClickModelName::None,
                ClickModel::PositionBased => ClickModelName::PositionBased,
                ClickModel::Cascade => ClickModelName::Cascade,
            }),
            grace_period: goal.grace_period_us.map(DurationText::of),
            reversal_window: goal.reversal_window_us.map(DurationText::of),
            kinds: goal.kinds.iter().map(kind).collect(),
        }
    }
}
