//! Controls: how a slot explores, and for which subjects.

mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    approval::Approval,
    id::{ArmId, FieldError},
    limits::{ARM_BOUNDS_MAX, NUMBER_MAX, SALT_BYTES_MAX, SUBJECT_LIMIT_MAX},
};
use crate::bandit::Policy;

pub use values::{
    Baseline, ExplorationPreset, HeadStart, Mode, ProbabilityBounds, ProfileFeatures, Stickiness, SubjectLimit, WarmUp,
};

const MINUTE_US: i64 = 60 * 1_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;

/// Controls of exploration and audience. A control that is `None` has its default. *Persisted.*
///
/// Every control takes effect with the next decision, and none changes what was learned.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Controls {
    /// Width multiplier, 0 to 10.
    pub exploration: Option<f64>,
    /// Least probability of each eligible arm, 0 to 1.
    pub floor: Option<f64>,
    /// Greatest probability of each eligible arm, above 0 and at most 1.
    pub ceiling: Option<f64>,
    /// Half-life of observations, microseconds.
    pub half_life_us: Option<i64>,
    /// Fraction of subjects in the holdout, who get the baseline, 0 to 1.
    pub holdout: Option<f64>,
    /// Stops learning.
    pub freeze_learning: Option<bool>,
    /// Shows the baseline to every subject.
    pub safe_choice: Option<bool>,
    /// Policy that turns scores into probabilities.
    pub policy: Option<Policy>,
    /// Exploration preset, instead of a width multiplier.
    #[serde(default)]
    pub preset: Option<ExplorationPreset>,
    /// Probability bounds of single arms, instead of those for all.
    #[serde(default)]
    pub arm_bounds: BTreeMap<ArmId, ProbabilityBounds>,
    /// Even split until every arm was shown and rewarded often enough.
    #[serde(default)]
    pub warm_up: Option<WarmUp>,
    /// Floor for new arms.
    #[serde(default)]
    pub head_start: Option<HeadStart>,
    /// Mode: the subjects that get the policy's choice.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Baseline for the other subjects.
    #[serde(default)]
    pub baseline: Option<Baseline>,
    /// Seed of the hash that assigns subjects to the holdout and the analysis group, or `None` for the slot's id alone.
    #[serde(default)]
    pub salt: Option<String>,
    /// Fraction of subjects in the analysis group, 0 to 1. They get the policy's choice and nothing is learned from them.
    #[serde(default)]
    pub analysis: Option<f64>,
    /// Time for which a subject gets the same arms.
    #[serde(default)]
    pub stickiness: Option<Stickiness>,
    /// Accepts simulated traffic.
    #[serde(default)]
    pub simulated: Option<bool>,
    /// Number of decisions of one subject per day that are learned, or 0 for no limit. `None` stands for a limit that
    /// follows the slot's traffic.
    #[serde(default)]
    pub subject_limit: Option<u32>,
    /// Experiment whose holdout, test and analysis groups the slot shares, or `None` for groups of its own.
    #[serde(default)]
    pub experiment: Option<String>,
    /// Features of the shopper's profile that join every request.
    #[serde(default)]
    pub profile_features: Option<ProfileFeatures>,
    /// Changes that a second person must approve, or `None` if nobody must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

impl Controls {
    /// Default half-life: a fortnight, two of a shop's weekly cycles.
    pub const HALF_LIFE_US_DEFAULT: i64 = 14 * DAY_US;

    /// Least γ of `SquareCB`, which still has an effect at the largest gap that rewards can have.
    const GAMMA_MIN: f64 = 1.0 / NUMBER_MAX;

    /// Holdout of a new slot that does not set one: enough to measure by, while most subjects get the policy.
    pub const HOLDOUT_NEW: f64 = 0.1;

    /// Width multiplier. [`Link::balanced`](crate::bandit::Link::balanced) defines the width at 1.
    pub fn exploration(&self) -> f64 {
        self.exploration.or(self.preset.and_then(ExplorationPreset::width)).unwrap_or(1.0)
    }

    /// Returns whether all arms have equal probabilities, whatever was learned.
    pub fn even_split(&self) -> bool {
        self.preset == Some(ExplorationPreset::EvenSplit)
    }

    /// Mode of the slot.
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or_default()
    }

    /// Baseline of the slot.
    pub fn baseline(&self) -> &Baseline {
        self.baseline.as_ref().unwrap_or(&Baseline::CallersOrder)
    }

    /// Returns whether the slot accepts simulated traffic.
    pub fn simulated(&self) -> bool {
        self.simulated.unwrap_or(false)
    }

    /// Features of the shopper's profile that join every request.
    pub fn profile_features(&self) -> ProfileFeatures {
        self.profile_features.unwrap_or_default()
    }

    /// Limit on what one subject teaches.
    pub fn subject_limit(&self) -> SubjectLimit {
        match self.subject_limit {
            None => SubjectLimit::Automatic,
            Some(0) => SubjectLimit::Unlimited,
            Some(limit) => SubjectLimit::PerDay(limit),
        }
    }

    /// Stickiness of the slot.
    pub fn stickiness(&self) -> Stickiness {
        self.stickiness.unwrap_or_default()
    }

    /// Fraction of subjects in the analysis group.
    pub fn analysis(&self) -> f64 {
        self.analysis.unwrap_or(0.0)
    }

    /// Fraction of subjects in the control group: the holdout, or all subjects that a test leaves out.
    pub fn control_share(&self) -> f64 {
        match self.mode() {
            Mode::Test(share) => self.holdout().max(1.0 - share),
            Mode::On | Mode::Shadow => self.holdout(),
        }
    }

    /// Floor of every arm's probability, or 0 if it is omitted. [`Definition::floor`](super::Definition::floor) knows the default.
    pub fn floor(&self) -> f64 {
        self.floor.unwrap_or(0.0)
    }

    /// Ceiling of every arm's probability.
    pub fn ceiling(&self) -> f64 {
        self.ceiling.unwrap_or(1.0)
    }

    /// Half-life of observations, microseconds.
    pub fn half_life_us(&self) -> i64 {
        self.half_life_us.unwrap_or(Self::HALF_LIFE_US_DEFAULT)
    }

    /// Fraction of subjects in the holdout.
    pub fn holdout(&self) -> f64 {
        self.holdout.unwrap_or(0.0)
    }

    /// Returns whether learning is stopped.
    pub fn freeze_learning(&self) -> bool {
        self.freeze_learning.unwrap_or(false)
    }

    /// Returns whether every subject gets the baseline.
    pub fn safe_choice(&self) -> bool {
        self.safe_choice.unwrap_or(false)
    }

    /// Policy of the slot.
    pub fn policy(&self) -> Policy {
        if self.even_split() { Policy::Uniform } else { self.policy.unwrap_or_default() }
    }

    pub(super) fn check(&self) -> Result<(), FieldError> {
        let within = |field: &str, value: Option<f64>, low: f64, high: f64| match value {
            Some(value) if !(low..=high).contains(&value) => {
                Err(FieldError::new(format!("controls.{field}"), format!("is {value}; must be from {low} to {high}")))
            }
            _ => Ok(()),
        };
        within("exploration", self.exploration, 0.0, 10.0)?;
        within("floor", self.floor, 0.0, 1.0)?;
        within("ceiling", self.ceiling, f64::MIN_POSITIVE, 1.0)
            .map_err(|e| FieldError::new(e.field, "must be above 0 and at most 1"))?;
        within("holdout", self.holdout, 0.0, 1.0)?;
        match self.policy() {
            Policy::EpsilonGreedy { epsilon } => within("policy.epsilon_greedy.epsilon", Some(epsilon), 0.0, 1.0)?,
            Policy::SquareCb { gamma } => {
                within("policy.square_cb.gamma", Some(gamma), Self::GAMMA_MIN, NUMBER_MAX)?;
            }
            Policy::ThompsonSampling | Policy::Uniform | Policy::FixedOrder | Policy::Greedy | Policy::LinUcb => {}
        }
        self.check_steering()?;
        self.approval.as_ref().map_or(Ok(()), Approval::check)?;
        if self.floor() > self.ceiling() {
            let message =
                format!("is {}, above the ceiling {}; lower one or raise the other", self.floor(), self.ceiling());
            return Err(FieldError::new("controls.floor", message));
        }
        if !(MINUTE_US..=3653 * DAY_US).contains(&self.half_life_us()) {
            return Err(FieldError::new("controls.half_life", "must be from 1 minute to 10 years"));
        }
        Ok(())
    }

    /// Checks the controls of audience and probability bounds.
    fn check_steering(&self) -> Result<(), FieldError> {
        let fail = |field: &str, message: String| Err(FieldError::new(format!("controls.{field}"), message));
        let share = |field: &str, value: f64| {
            if (0.0..=1.0).contains(&value) { Ok(()) } else { fail(field, format!("is {value}; must be from 0 to 1")) }
        };
        if self.exploration.is_some() && self.preset.is_some() {
            return fail("exploration_preset", "says the same as exploration; leave one of them out".into());
        }
        if let Some(analysis) = self.analysis {
            share("analysis", analysis)?;
        }
        if let Some(limit) = self.subject_limit.filter(|&limit| limit > SUBJECT_LIMIT_MAX) {
            return fail(
                "subject_limit",
                format!("is {limit}; must be from 1 to {SUBJECT_LIMIT_MAX}, or 0 for no limit"),
            );
        }
        if let Mode::Test(of) = self.mode() {
            share("mode.test.share", of)?;
        }
        if let Some(HeadStart { views, floor: each, limit }) = self.head_start {
            share("head_start.floor", each)?;
            share("head_start.limit", limit)?;
            if views == 0 {
                return fail(
                    "head_start.views",
                    "must be at least 1: after how many showings an arm is new no more".into(),
                );
            }
        }
        if self.warm_up.is_some_and(|warm_up| warm_up.patience == Some(0)) {
            return fail("warm_up.patience", "must be at least 1".into());
        }
        if self.salt.as_ref().is_some_and(|salt| salt.len() > SALT_BYTES_MAX) {
            return fail("salt", format!("has more than {SALT_BYTES_MAX} bytes"));
        }
        if self.experiment.as_ref().is_some_and(|name| name.len() > SALT_BYTES_MAX) {
            return fail("experiment", format!("has more than {SALT_BYTES_MAX} bytes"));
        }
        if let Stickiness::For(us) = self.stickiness()
            && !(MINUTE_US..=STICKY_US_MAX).contains(&us)
        {
            return fail("stickiness.for", "must be from 1 minute to 90 days".into());
        }
        if self.arm_bounds.len() > ARM_BOUNDS_MAX {
            let message = format!("has {} entries; at most {ARM_BOUNDS_MAX} are allowed", self.arm_bounds.len());
            return fail("arm_bounds", message);
        }
        for (arm, ProbabilityBounds { floor, ceiling }) in &self.arm_bounds {
            let field = |which: &str| format!("arm_bounds[{:?}].{which}", arm.as_str());
            share(&field("floor"), floor.unwrap_or(0.0))?;
            if ceiling.is_some_and(|ceiling| !(ceiling > 0.0 && ceiling <= 1.0)) {
                return fail(&field("ceiling"), "must be above 0 and at most 1".into());
            }
            let (floor, ceiling) = (floor.unwrap_or(self.floor()), ceiling.unwrap_or(self.ceiling()));
            if floor > ceiling {
                return fail(&field("floor"), format!("is {floor}, above the ceiling {ceiling}"));
            }
        }
        Ok(())
    }
}

/// Greatest stickiness: a season.
const STICKY_US_MAX: i64 = 90 * DAY_US;

#[cfg(test)]
mod tests;
