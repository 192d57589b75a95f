//! A slot as a document: the TOML that `slots apply` reads and `slots get` writes.
//!
//! The keys are the fields of `slotwise.v1.Slot`. Values are written as people write
//! them: `kind = "offer"` (or `SLOT_KIND_OFFER`), `half_life = "14days"`, attributes as
//! plain TOML values (`price = 9.9`, `tags = ["new", "red"]`) or in the contract's
//! form (`{ text = "x" }`). Unknown keys are refused with their line.

mod controls;
mod model;
mod values;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use controls::ControlsDocument;
use model::ModelChoice;
use values::{Attribute, DurationText, normal, without_nulls};

use crate::{
    bandit::{ClickModel, Features, ModelSpec},
    slot::{
        Aggregation, Arm, ArmId, Consent, Definition, FieldError, Goal, Learning, Payload, RewardKind, SlotId, SlotKind,
    },
};

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
    payload: Option<Payload>,
}

impl SlotDocument {
    /// The definition it describes; what it leaves out has its default.
    pub fn definition(&self) -> Result<Definition, FieldError> {
        let arms = self.arms.iter().enumerate().map(|(i, arm)| {
            let id = ArmId::parse("arm_id", &arm.arm_id).map_err(|e| e.within(&format!("arms[{i}]")))?;
            Ok(Arc::new(Arm {
                available: arm.available.unwrap_or(true),
                attributes: arm.attributes.iter().map(|(name, value)| (name.clone(), value.value())).collect(),
                payload: arm.payload.as_ref().map(normal),
                id,
            }))
        });
        let definition = Definition {
            id: SlotId::parse("slot_id", &self.slot_id)?,
            display_name: self.display_name.clone(),
            kind: match self.kind {
                KindName::Offer => SlotKind::Offer,
                KindName::Ranking => SlotKind::Ranking,
                KindName::Block => SlotKind::Block,
            },
            arms: arms.collect::<Result<_, FieldError>>()?,
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
        };
        definition.check()?;
        Ok(definition)
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
        }
    }
}

impl ArmDocument {
    fn of(arm: &Arm) -> Self {
        let attributes: &Features = &arm.attributes;
        Self {
            arm_id: arm.id.to_string(),
            available: (!arm.available).then_some(false),
            attributes: attributes.iter().map(|(name, value)| (name.clone(), Attribute::of(value))).collect(),
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
            kinds: goal.kinds.iter().map(kind).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandit::Value;

    const WHOLE: &str = r#"
slot_id = "offers"
display_name = "Offers on the home page"
kind = "SLOT_KIND_BLOCK"
count = 2
default_arm_id = "none"
default_consent = "session_only"

[goal]
window = "36h"
aggregation = "max"
kinds = [{ kind = "buy", weight = 1.5, use_value = true, cap = 500 }]

[model.linear]
dimension_budget = 64

[controls]
exploration = 0.5
half_life = "3days"

[[arms]]
arm_id = "none"

[[arms]]
arm_id = "gift"
available = false
attributes = { price = 3, brand = "acme", new = true, tags = ["a", "b"], taste = [0.5, 1.0], colour = { text = "red" } }
payload = { title = "A gift", rank = 1.5, deep = { list = [1.0, "x"] } }
"#;

    fn parse(text: &str) -> SlotDocument {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_document_says_what_the_contract_says() {
        let definition = parse(WHOLE).definition().unwrap();
        assert_eq!((definition.kind, definition.count()), (SlotKind::Block, 2));
        assert_eq!(definition.goal.window_us, 36 * 3_600_000_000);
        assert_eq!(definition.controls.half_life_us, Some(3 * 86_400_000_000));
        assert_eq!(definition.model, ModelSpec::linear(None, Some(64)));
        let gift = &definition.arms[1];
        assert!(!gift.available);
        assert_eq!(gift.attributes["price"], Value::Number(3.0));
        assert_eq!(gift.attributes["colour"], Value::Text("red".into()));
        assert_eq!(gift.attributes["taste"], Value::Vector(vec![0.5, 1.0]));
        assert_eq!(gift.attributes["tags"], Value::Texts(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn a_definition_survives_its_document() {
        let definition = parse(WHOLE).definition().unwrap();
        let text = toml::to_string_pretty(&SlotDocument::of(&definition)).unwrap();
        assert_eq!(parse(&text).definition().unwrap(), definition, "{text}");
    }

    #[test]
    fn every_way_to_learn_survives_its_document() {
        for definition in crate::slot::examples() {
            let text = toml::to_string_pretty(&SlotDocument::of(&definition)).unwrap();
            assert_eq!(parse(&text).definition().unwrap(), definition, "{text}");
        }
    }

    #[test]
    fn every_form_that_the_contract_suggests_is_taken() {
        for (text, want) in [
            ("model = \"beta_bernoulli\"", ModelSpec::beta_bernoulli(None, None)),
            ("model = {}", ModelSpec::default()),
            ("[model.beta_bernoulli]\nprior_a = 2.0", ModelSpec::beta_bernoulli(Some(2.0), None)),
            ("kind = \"OFFER\"\ndefault_consent = \"FULL\"\n[goal]\nwindow = 86400", ModelSpec::default()),
        ] {
            let definition = parse(&format!("slot_id = \"a\"\n{text}")).definition().unwrap();
            assert_eq!((definition.model, definition.goal.window_us), (want, 86_400_000_000), "{text}");
        }
    }

    #[test]
    fn payloads_are_what_the_service_keeps() {
        let text =
            "slot_id = \"a\"\n[[arms]]\narm_id = \"x\"\npayload = { rank = 1, until = 2026-12-01, deep = [{ n = 2 }] }";
        let mut definition = parse(text).definition().unwrap();
        let payload = definition.arms[0].payload.clone().unwrap();
        assert_eq!(payload["rank"], serde_json::json!(1.0));
        assert_eq!(payload["until"], "2026-12-01");
        assert_eq!(payload["deep"][0]["n"], serde_json::json!(2.0));
        let with_null = serde_json::from_str("{\"a\": null, \"b\": [null, 1.0]}").unwrap();
        Arc::make_mut(&mut definition.arms[0]).payload = Some(with_null);
        assert!(toml::to_string_pretty(&SlotDocument::of(&definition)).is_ok());
    }

    #[test]
    fn an_unknown_key_and_a_wrong_value_are_refused() {
        assert!(toml::from_str::<SlotDocument>("slot_id = \"a\"\ncolour = 1").is_err());
        let error = parse("slot_id = \"a\"\n[controls]\nfloor = 2.0").definition().unwrap_err();
        assert_eq!(error.field, "controls.floor");
        let error = parse("slot_id = \"a\"\n[controls]\nhalf_life = \"soon\"").definition().unwrap_err();
        assert_eq!(error.field, "controls.half_life");
    }
}
