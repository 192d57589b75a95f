//! How a slot explores.

use serde::{Deserialize, Serialize};

use super::{id::FieldError, limits::NUMBER_MAX};
use crate::bandit::Policy;

const MINUTE_US: i64 = 60 * 1_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;

/// The exploration controls; unset means the default. *Persisted.*
///
/// Every one takes effect with the next decision and none touches what was learned.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Controls {
    /// The width multiplier, 0 to 10.
    pub exploration: Option<f64>,
    /// The least probability of each eligible arm, 0 to 1.
    pub floor: Option<f64>,
    /// The greatest, above 0 up to 1.
    pub ceiling: Option<f64>,
    /// The half-life of observations, microseconds.
    pub half_life_us: Option<i64>,
    /// The share of subjects who get the baseline, 0 to 1.
    pub holdout: Option<f64>,
    /// Stop learning.
    pub freeze_learning: Option<bool>,
    /// The baseline for everyone.
    pub safe_choice: Option<bool>,
    /// How scores become probabilities.
    pub policy: Option<Policy>,
}

impl Controls {
    /// The half-life where none is set: a fortnight, two of a shop's weekly cycles.
    pub const HALF_LIFE_US_DEFAULT: i64 = 14 * DAY_US;

    /// The least γ of `SquareCB`: times the largest gap that rewards can have it still counts.
    const GAMMA_MIN: f64 = 1.0 / NUMBER_MAX;

    /// The width multiplier; 1 is the posterior itself.
    pub fn exploration(&self) -> f64 {
        self.exploration.unwrap_or(1.0)
    }

    /// The floor.
    pub fn floor(&self) -> f64 {
        self.floor.unwrap_or(0.0)
    }

    /// The ceiling.
    pub fn ceiling(&self) -> f64 {
        self.ceiling.unwrap_or(1.0)
    }

    /// The half-life, microseconds.
    pub fn half_life_us(&self) -> i64 {
        self.half_life_us.unwrap_or(Self::HALF_LIFE_US_DEFAULT)
    }

    /// The holdout's share.
    pub fn holdout(&self) -> f64 {
        self.holdout.unwrap_or(0.0)
    }

    /// Whether learning stands still.
    pub fn freeze_learning(&self) -> bool {
        self.freeze_learning.unwrap_or(false)
    }

    /// Whether everyone gets the baseline.
    pub fn safe_choice(&self) -> bool {
        self.safe_choice.unwrap_or(false)
    }

    /// The policy.
    pub fn policy(&self) -> Policy {
        self.policy.unwrap_or_default()
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The controls as they were before there was a policy.
    #[derive(Serialize)]
    struct Before {
        exploration: Option<f64>,
        floor: Option<f64>,
        ceiling: Option<f64>,
        half_life_us: Option<i64>,
        holdout: Option<f64>,
        freeze_learning: Option<bool>,
        safe_choice: Option<bool>,
    }

    #[test]
    fn controls_from_before_there_was_a_policy_still_read() {
        let before = Before {
            exploration: Some(0.5),
            floor: None,
            ceiling: Some(0.9),
            half_life_us: Some(DAY_US),
            holdout: None,
            freeze_learning: None,
            safe_choice: Some(false),
        };
        let bytes = rmp_serde::to_vec_named(&before).unwrap();
        let want = Controls {
            exploration: Some(0.5),
            ceiling: Some(0.9),
            half_life_us: Some(DAY_US),
            safe_choice: Some(false),
            ..Controls::default()
        };
        assert_eq!(rmp_serde::from_slice::<Controls>(&bytes).unwrap(), want);
        assert_eq!(want.policy(), Policy::ThompsonSampling);
    }

    #[test]
    fn a_policy_s_parameters_have_their_limits() {
        let field = |policy| Controls { policy: Some(policy), ..Controls::default() }.check().map_err(|e| e.field);
        for epsilon in [0.0, 0.05, 1.0] {
            assert_eq!(field(Policy::EpsilonGreedy { epsilon }), Ok(()));
        }
        for epsilon in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let want = Err("controls.policy.epsilon_greedy.epsilon".to_owned());
            assert_eq!(field(Policy::EpsilonGreedy { epsilon }), want);
        }
        assert_eq!(field(Policy::square_cb(None)), Ok(()));
        for gamma in [0.0, -1.0, 1e13, f64::NAN] {
            assert_eq!(field(Policy::SquareCb { gamma }), Err("controls.policy.square_cb.gamma".to_owned()));
        }
    }
}
