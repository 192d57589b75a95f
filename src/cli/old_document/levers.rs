//! The controls that are more than a number, as a slot's document says them.

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    choice::{self, Choice},
    values::{DurationText, NoKeys},
};
use crate::slot::{ArmId, Baseline, ExplorationPreset, FieldError, Mode, Stickiness};

/// The width multiplier, as a number or by name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number from 0 to 10, or cautious, balanced, curious or even_split")]
pub(super) enum ExplorationChoice {
    Width(f64),
    Preset(PresetName),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PresetName {
    #[serde(alias = "CAUTIOUS", alias = "EXPLORATION_STOP_CAUTIOUS")]
    Cautious,
    #[serde(alias = "BALANCED", alias = "EXPLORATION_STOP_BALANCED")]
    Balanced,
    #[serde(alias = "CURIOUS", alias = "EXPLORATION_STOP_CURIOUS")]
    Curious,
    #[serde(alias = "EVEN_SPLIT", alias = "EXPLORATION_STOP_EVEN_SPLIT")]
    EvenSplit,
}

/// A mode by its name alone, with its parameters, or an empty table for the default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum ModeChoice {
    Name(ModeName),
    With(ModeDocument),
    Default(NoKeys),
}

impl<'de> Deserialize<'de> for ModeChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match choice::read(deserializer, "on, watch, or a table { test = { share = 0.2 } }")? {
            Choice::Name(name) => Self::Name(name),
            Choice::With(document) => Self::With(document),
            Choice::Default => Self::Default(NoKeys {}),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModeName {
    On,
    Watch,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ModeDocument {
    On {},
    Watch {},
    Test { share: f64 },
}

/// A baseline by its name alone, an arm's, or an empty table for the default.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum BaselineChoice {
    Name(BaselineName),
    With(BaselineDocument),
    Default(NoKeys),
}

impl<'de> Deserialize<'de> for BaselineChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match choice::read(deserializer, "callers_order, uniform, or a table { arm_id = \"an-arm\" }")? {
            Choice::Name(name) => Self::Name(name),
            Choice::With(document) => Self::With(document),
            Choice::Default => Self::Default(NoKeys {}),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BaselineName {
    CallersOrder,
    Uniform,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum BaselineDocument {
    CallersOrder {},
    ArmId(String),
    Uniform {},
}

/// A stickiness by its name alone, a duration, or an empty table for the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "never, session, or a table { for = \"7days\" }")]
pub(super) enum StickinessChoice {
    Name(StickinessName),
    With(StickinessDocument),
    Default(NoKeys),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StickinessName {
    Never,
    Session,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum StickinessDocument {
    Never {},
    Session {},
    For(DurationText),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WarmUpDocument {
    #[serde(default)]
    pub(super) views: u64,
    #[serde(default)]
    pub(super) rewards: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) patience: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadStartDocument {
    pub(super) views: u64,
    pub(super) share: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShareDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) floor: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ceiling: Option<f64>,
}

impl PresetName {
    pub(super) fn preset(self) -> ExplorationPreset {
        match self {
            Self::Cautious => ExplorationPreset::Cautious,
            Self::Balanced => ExplorationPreset::Balanced,
            Self::Curious => ExplorationPreset::Curious,
            Self::EvenSplit => ExplorationPreset::EvenSplit,
        }
    }

    pub(super) fn from_preset(preset: ExplorationPreset) -> Self {
        match preset {
            ExplorationPreset::Cautious => Self::Cautious,
            ExplorationPreset::Balanced => Self::Balanced,
            ExplorationPreset::Curious => Self::Curious,
            ExplorationPreset::EvenSplit => Self::EvenSplit,
        }
    }
}

impl ModeChoice {
    pub(super) fn mode(self) -> Option<Mode> {
        Some(match self {
            Self::Default(NoKeys {}) => return None,
            Self::Name(ModeName::On) | Self::With(ModeDocument::On {}) => Mode::On,
            Self::Name(ModeName::Watch) | Self::With(ModeDocument::Watch {}) => Mode::Shadow,
            Self::With(ModeDocument::Test { share }) => Mode::Test(share),
        })
    }

    pub(super) fn of(mode: Mode) -> Self {
        match mode {
            Mode::On => Self::Name(ModeName::On),
            Mode::Shadow => Self::Name(ModeName::Watch),
            Mode::Test(share) => Self::With(ModeDocument::Test { share }),
        }
    }
}

impl BaselineChoice {
    pub(super) fn baseline(&self) -> Result<Option<Baseline>, FieldError> {
        use {BaselineDocument as With, BaselineName as Name};
        Ok(Some(match self {
            Self::Default(NoKeys {}) => return Ok(None),
            Self::Name(Name::CallersOrder) | Self::With(With::CallersOrder {}) => Baseline::CallersOrder,
            Self::With(With::ArmId(arm)) => Baseline::Arm(ArmId::parse("controls.baseline.arm_id", arm)?),
            Self::Name(Name::Uniform) | Self::With(With::Uniform {}) => Baseline::Uniform,
        }))
    }

    pub(super) fn of(baseline: &Baseline) -> Self {
        match baseline {
            Baseline::CallersOrder => Self::Name(BaselineName::CallersOrder),
            Baseline::Arm(arm) => Self::With(BaselineDocument::ArmId(arm.to_string())),
            Baseline::Uniform => Self::Name(BaselineName::Uniform),
        }
    }
}

impl StickinessChoice {
    pub(super) fn stickiness(&self) -> Result<Option<Stickiness>, FieldError> {
        use {StickinessDocument as With, StickinessName as Name};
        Ok(Some(match self {
            Self::Default(NoKeys {}) => return Ok(None),
            Self::Name(Name::Never) | Self::With(With::Never {}) => Stickiness::Never,
            Self::Name(Name::Session) | Self::With(With::Session {}) => Stickiness::Session,
            Self::With(With::For(text)) => Stickiness::For(text.us("controls.stickiness.for")?),
        }))
    }

    pub(super) fn of(stickiness: Stickiness) -> Self {
        match stickiness {
            Stickiness::Never => Self::Name(StickinessName::Never),
            Stickiness::Session => Self::Name(StickinessName::Session),
            Stickiness::For(us) => Self::With(StickinessDocument::For(DurationText::of(us))),
        }
    }
}
