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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bandit::Policy,
        slot::{Baseline, ExplorationPreset, Mode, Stickiness},
    };

    fn controls(text: &str) -> Controls {
        toml::from_str::<ControlsDocument>(text).unwrap().controls().unwrap()
    }

    #[test]
    fn levers_are_given_by_name_or_by_their_parameters() {
        for (text, want) in [
            ("exploration = 0.7", Controls { exploration: Some(0.7), ..Controls::default() }),
            ("exploration = 2", Controls { exploration: Some(2.0), ..Controls::default() }),
            (
                "exploration = \"cautious\"",
                Controls { preset: Some(ExplorationPreset::Cautious), ..Controls::default() },
            ),
            (
                "exploration_stop = \"even_split\"",
                Controls { preset: Some(ExplorationPreset::EvenSplit), ..Controls::default() },
            ),
            ("mode = {}", Controls::default()),
            ("mode = \"watch\"", Controls { mode: Some(Mode::Shadow), ..Controls::default() }),
            ("mode = { watch = {} }", Controls { mode: Some(Mode::Shadow), ..Controls::default() }),
            ("[mode.test]\nshare = 0.2", Controls { mode: Some(Mode::Test(0.2)), ..Controls::default() }),
            ("baseline = \"uniform\"", Controls { baseline: Some(Baseline::Uniform), ..Controls::default() }),
            ("stickiness = \"session\"", Controls { stickiness: Some(Stickiness::Session), ..Controls::default() }),
            (
                "stickiness = { for = \"7days\" }",
                Controls { stickiness: Some(Stickiness::For(7 * 86_400_000_000)), ..Controls::default() },
            ),
            (
                "head_start = { views = 9, share = 0.1 }",
                Controls { head_start: Some(HeadStart { views: 9, share: 0.1, limit: 0.5 }), ..Controls::default() },
            ),
            (
                "warm_up = { views = 9 }",
                Controls { warm_up: Some(WarmUp { views: 9, rewards: 0, patience: None }), ..Controls::default() },
            ),
        ] {
            assert_eq!(controls(text), want, "{text}");
        }
        let arm = ArmId::parse("arm_id", "a").unwrap();
        assert_eq!(controls("baseline = { arm_id = \"a\" }").baseline, Some(Baseline::Arm(arm.clone())));
        let shares = controls("[arm_shares]\na = { floor = 0.2 }").arm_bounds;
        assert_eq!(shares, [(arm, ProbabilityBounds { floor: Some(0.2), ceiling: None })].into());
    }

    #[test]
    fn a_lever_that_is_no_lever_is_refused_with_what_there_is() {
        for (text, words) in [
            ("exploration = \"wild\"", "cautious, balanced, curious or even_split"),
            ("mode = \"off\"", "on, watch, or a table"),
            ("baseline = \"best\"", "callers_order, uniform, or a table"),
            ("stickiness = 3", "never, session, or a table"),
            ("warm_up = { shows = 3 }", "shows"),
        ] {
            let error = toml::from_str::<ControlsDocument>(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let both = "exploration = \"cautious\"\nexploration_stop = \"curious\"";
        let error = toml::from_str::<ControlsDocument>(both).unwrap().controls().unwrap_err();
        assert_eq!(error.field, "controls.exploration_stop");
    }

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
