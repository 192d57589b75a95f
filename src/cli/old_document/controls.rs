//! A slot's controls as part of its document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    levers::{
        BaselineChoice, ExplorationChoice, HeadStartDocument, ModeChoice, ModeDocument, ModeName, PresetName,
        ShareDocument, StickinessChoice, WarmUpDocument,
    },
    policy::PolicyChoice,
    values::DurationText,
};
use crate::slot::{ArmId, Controls, FieldError, HeadStart, ProbabilityBounds, WarmUp, shorten_key};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ControlsDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exploration: Option<ExplorationChoice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exploration_stop: Option<PresetName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ceiling: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    half_life: Option<DurationText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holdout: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    analysis: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    freeze_learning: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    safe_choice: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    simulated: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyChoice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<ModeChoice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    baseline: Option<BaselineChoice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stickiness: Option<StickinessChoice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warm_up: Option<WarmUpDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head_start: Option<HeadStartDocument>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    arm_shares: BTreeMap<String, ShareDocument>,
}

impl ControlsDocument {
    /// Whether it names the mode, be it by its default.
    pub(super) fn names_mode(&self) -> bool {
        self.mode.is_some()
    }

    /// Leaves out what operations own, and returns it in words.
    pub(super) fn leave_out_operations(&mut self) -> Vec<String> {
        let mode = self.mode.take().map(|mode| match mode {
            ModeChoice::Name(ModeName::On) | ModeChoice::With(ModeDocument::On {}) | ModeChoice::Default(_) => {
                "controls.mode = \"on\"".to_owned()
            }
            ModeChoice::Name(ModeName::Watch) | ModeChoice::With(ModeDocument::Watch {}) => {
                "controls.mode = \"watch\"".to_owned()
            }
            ModeChoice::With(ModeDocument::Test { share }) => {
                format!("controls.mode = {{ test = {{ share = {share} }} }}")
            }
        });
        let safe_choice = self.safe_choice.take().map(|on| format!("controls.safe_choice = {on}"));
        let freeze = self.freeze_learning.take().map(|on| format!("controls.freeze_learning = {on}"));
        [mode, safe_choice, freeze].into_iter().flatten().collect()
    }

    pub(super) fn controls(&self) -> Result<Controls, FieldError> {
        let (exploration, by_name) = match self.exploration {
            None => (None, None),
            Some(ExplorationChoice::Width(width)) => (Some(width), None),
            Some(ExplorationChoice::Preset(preset)) => (None, Some(preset)),
        };
        if by_name.is_some() && self.exploration_stop.is_some() {
            let message = "says the same as exploration; leave one of them out";
            return Err(FieldError::new("controls.exploration_stop", message));
        }
        let share = |(arm, ShareDocument { floor, ceiling }): (&String, &ShareDocument)| {
            let arm = ArmId::parse(&format!("controls.arm_shares[{}]", shorten_key(arm)), arm)?;
            Ok((arm, ProbabilityBounds { floor: *floor, ceiling: *ceiling }))
        };
        let head_start = self.head_start.map(|HeadStartDocument { views, share, limit }| HeadStart {
            views,
            share,
            limit: limit.unwrap_or(HeadStart::LIMIT_DEFAULT),
        });
        Ok(Controls {
            exploration,
            floor: self.floor,
            ceiling: self.ceiling,
            half_life_us: self.half_life.as_ref().map(|text| text.us("controls.half_life")).transpose()?,
            holdout: self.holdout,
            freeze_learning: self.freeze_learning,
            safe_choice: self.safe_choice,
            policy: self.policy.as_ref().and_then(PolicyChoice::policy),
            preset: by_name.or(self.exploration_stop).map(PresetName::preset),
            arm_bounds: self.arm_shares.iter().map(share).collect::<Result<_, FieldError>>()?,
            warm_up: self.warm_up.map(|WarmUpDocument { views, rewards, patience }| WarmUp {
                views,
                rewards,
                patience,
            }),
            head_start,
            mode: self.mode.and_then(ModeChoice::mode),
            baseline: self.baseline.as_ref().map_or(Ok(None), BaselineChoice::baseline)?,
            salt: self.salt.clone().filter(|salt| !salt.is_empty()),
            analysis: self.analysis,
            stickiness: self.stickiness.as_ref().map_or(Ok(None), StickinessChoice::stickiness)?,
            simulated: self.simulated,
        })
    }

    pub(super) fn of(controls: &Controls) -> Self {
        let Controls {
            exploration,
            floor,
            ceiling,
            half_life_us,
            holdout,
            freeze_learning,
            safe_choice,
            policy,
            preset,
            arm_bounds,
            warm_up,
            head_start,
            mode,
            baseline,
            salt,
            analysis,
            stickiness,
            simulated,
        } = controls;
        let share = |(arm, ProbabilityBounds { floor, ceiling }): (&ArmId, &ProbabilityBounds)| {
            (arm.to_string(), ShareDocument { floor: *floor, ceiling: *ceiling })
        };
        let head_start =
            head_start.map(|HeadStart { views, share, limit }| HeadStartDocument { views, share, limit: Some(limit) });
        let by_name = preset.map(|preset| ExplorationChoice::Preset(PresetName::from_preset(preset)));
        Self {
            exploration: exploration.map(ExplorationChoice::Width).or(by_name),
            exploration_stop: None,
            floor: *floor,
            ceiling: *ceiling,
            half_life: half_life_us.map(DurationText::of),
            holdout: *holdout,
            salt: salt.clone(),
            analysis: *analysis,
            freeze_learning: *freeze_learning,
            safe_choice: *safe_choice,
            simulated: *simulated,
            policy: policy.map(PolicyChoice::of),
            mode: mode.map(ModeChoice::of),
            baseline: baseline.as_ref().map(BaselineChoice::of),
            stickiness: stickiness.map(StickinessChoice::of),
            warm_up: warm_up.map(|WarmUp { views, rewards, patience }| WarmUpDocument { views, rewards, patience }),
            head_start,
            arm_shares: arm_bounds.iter().map(share).collect(),
        }
    }
}
