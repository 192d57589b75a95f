//! Rules: what a marketer says about which arms may be shown, where and how often.
//!
//! A [`Rule`] is a condition in CEL over `context`, `subject` and `arm`, and an [`Effect`] on the arms it matches.
//!
//! A [`RuleBook`] is a slot's rules made ready for its decisions; [`check_rules`] finds what they conflict in.
//!
//! CEL's grammar is the `cel` crate's. Its types and evaluation are ours: they know the three variables and nothing
//! else, take all numbers for doubles, and are bounded in stack and steps. A test holds them against the crate's own.
//!
//! Deliberately not here: what an effect does to a decision, and the counts that the caps are held against.

mod book;
mod call;
mod compile;
mod conflict;
mod eval;
mod guard;
mod lower;
mod node;
#[cfg(test)]
mod tests;

pub use book::{RequestFacts, RuleBook, RuleTarget, Verdict, Verdicts};
pub use conflict::{check_rules, warn_rules};
use serde::{Deserialize, Serialize};

use super::{
    id::FieldError,
    limits::{
        BOOST_MAX, CAP_WINDOW_US_MAX, CAP_WINDOW_US_MIN, COUNT_MAX, NAME_BYTES_MAX, NUMBER_MAX, RULE_NAME_BYTES_MAX,
    },
};

/// A marketer's rule. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What people call it; no two rules of a slot share one.
    pub name: String,
    /// The condition, a CEL expression over `context`, `subject` and `arm`; empty: always.
    pub when: String,
    /// What happens to the arms that it matches.
    pub effect: Effect,
    /// What a condition means that fails while it is evaluated.
    #[serde(default)]
    pub on_error: OnError,
    /// ArmMapping, but without effect.
    #[serde(default)]
    pub paused: bool,
}

/// What a condition means that fails while it is evaluated, say because the request lacks a feature. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnError {
    /// The rule does not apply to the arm.
    #[default]
    Ignore,
    /// The arm is not eligible.
    Exclude,
}

/// What a rule does to the arms that it matches. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// They are not eligible.
    Exclude,
    /// They are eligible only if the posterior is sure enough that they pay.
    Evidence {
        /// How sure: a probability from 0.5 to below 1.
        confidence: f64,
        /// What they must pay more than.
        than: Comparand,
    },
    /// A position goes to one of them.
    Pin {
        /// The position, from 1.
        position: u32,
    },
    /// Their expected reward counts for more, or for less.
    Boost {
        /// The multiplier, above 0 up to 100; below 1 it buries.
        factor: f64,
    },
    /// The bounds of each one's probability.
    ProbabilityBounds {
        /// The least probability.
        min: Option<f64>,
        /// The greatest probability.
        max: Option<f64>,
    },
    /// They are shown at most so often to one subject.
    SubjectCap {
        /// How often.
        count: u32,
        /// Within how long a time, microseconds.
        window_us: i64,
        /// Whether all matched arms count together, or each for itself.
        together: bool,
    },
    /// They are shown at most so often per day, in UTC.
    DayCap {
        /// How often.
        count: u64,
        /// Whether all matched arms count together, or each for itself.
        together: bool,
    },
    /// How an attribute's values are spread over the first positions.
    Quota {
        /// The attribute of the arm.
        attribute: String,
        /// How many positions from the first on.
        top: u32,
        /// At least so many different values.
        min_values: Option<u32>,
        /// At most so many arms of one value.
        max_per_value: Option<u32>,
    },
    /// They stand at most so many positions from where the caller had them.
    MaxMoves {
        /// How many positions.
        positions: u32,
    },
}

/// What an arm must pay more than under [`Effect::Evidence`]. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Comparand {
    /// This reward.
    Reward(f64),
    /// The best expected reward of the eligible arms that the rule does not match.
    Others,
}

impl Rule {
    /// Whether it holds together by itself; the error names the field by its path from the rule.
    pub fn check(&self) -> Result<(), FieldError> {
        if self.name.trim().is_empty() {
            return Err(FieldError::new("name", "must not be empty"));
        }
        if self.name.len() > RULE_NAME_BYTES_MAX {
            let message = format!("has {} bytes; at most {RULE_NAME_BYTES_MAX} are allowed", self.name.len());
            return Err(FieldError::new("name", message));
        }
        if self.name.chars().any(char::is_control) {
            return Err(FieldError::new("name", "must be printable"));
        }
        let at_place = |refusal: Refusal| FieldError::new("when", refusal.words(&self.when));
        compile::compile(&self.when).map_err(at_place)?;
        self.effect.check()
    }
}

/// Why a condition is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    /// The byte of the text where that shows.
    at: usize,
    /// What is wrong and what to do.
    message: String,
}

impl Refusal {
    fn new(at: usize, message: String) -> Self {
        Self { at, message }
    }

    /// With line and column, in characters from 1.
    fn words(&self, text: &str) -> String {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: {}", self.message)
    }
}

/// A number that must lie in a closed range.
fn within(field: &str, value: f64, low: f64, high: f64) -> Result<(), FieldError> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(FieldError::new(field, format!("is {value}; must be from {low} to {high}")))
    }
}

/// A count that must lie in a closed range.
fn counted(field: &str, value: u32, low: u32, high: u32) -> Result<(), FieldError> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(FieldError::new(field, format!("is {value}; must be from {low} to {high}")))
    }
}

impl Effect {
    /// Whether its numbers are in their ranges; the error names the field by its path from the rule.
    fn check(&self) -> Result<(), FieldError> {
        let fail = |field: &str, message: String| Err(FieldError::new(field, message));
        match self {
            Effect::Exclude => Ok(()),
            Effect::Evidence { confidence, than } => {
                if !(0.5..1.0).contains(confidence) {
                    return fail("evidence.confidence", format!("is {confidence}; must be from 0.5 to below 1"));
                }
                match than {
                    Comparand::Reward(reward) => within("evidence.reward", *reward, -NUMBER_MAX, NUMBER_MAX),
                    Comparand::Others => Ok(()),
                }
            }
            Effect::Pin { position } => counted("pin.position", *position, 1, COUNT_MAX),
            Effect::Boost { factor } => {
                if *factor > 0.0 && *factor <= BOOST_MAX {
                    Ok(())
                } else {
                    fail("boost.factor", format!("is {factor}; must be above 0 and at most {BOOST_MAX}"))
                }
            }
            Effect::ProbabilityBounds { min, max } => check_share(*min, *max),
            Effect::SubjectCap { count, window_us, together: _ } => {
                if *count == 0 {
                    return fail("subject_cap.count", "is 0; to show them to nobody use exclude".into());
                }
                if !(CAP_WINDOW_US_MIN..=CAP_WINDOW_US_MAX).contains(window_us) {
                    return fail("subject_cap.window", "must be from 1 second to 90 days".into());
                }
                Ok(())
            }
            Effect::DayCap { count, together: _ } => {
                if *count == 0 {
                    return fail("day_cap.count", "is 0; to show them to nobody use exclude".into());
                }
                Ok(())
            }
            Effect::Quota { attribute, top, min_values, max_per_value } => {
                if attribute.is_empty() || attribute.len() > NAME_BYTES_MAX {
                    return fail("quota.attribute", format!("must have 1 to {NAME_BYTES_MAX} bytes"));
                }
                counted("quota.top", *top, 1, COUNT_MAX)?;
                if min_values.is_none() && max_per_value.is_none() {
                    return fail("quota", "says nothing; set min_values, max_per_value or both".into());
                }
                if let Some(min_values) = min_values {
                    if min_values > top {
                        let message =
                            format!("is {min_values}, but {top} positions cannot have more than {top} values");
                        return fail("quota.min_values", message);
                    }
                    counted("quota.min_values", *min_values, 1, COUNT_MAX)?;
                }
                max_per_value.map_or(Ok(()), |most| counted("quota.max_per_value", most, 1, COUNT_MAX))
            }
            Effect::MaxMoves { positions } => counted("max_moves.positions", *positions, 0, COUNT_MAX),
        }
    }
}

fn check_share(min: Option<f64>, max: Option<f64>) -> Result<(), FieldError> {
    if min.is_none() && max.is_none() {
        return Err(FieldError::new("share", "says nothing; set min, max or both"));
    }
    if let Some(min) = min {
        within("share.min", min, 0.0, 1.0)?;
    }
    if let Some(max) = max {
        if max == 0.0 {
            return Err(FieldError::new("share.max", "is 0; to show them to nobody use exclude"));
        }
        within("share.max", max, 0.0, 1.0)?;
    }
    match (min, max) {
        (Some(min), Some(max)) if min > max => {
            let message = format!("is {min}, above the greatest share {max}; lower one or raise the other");
            Err(FieldError::new("share.min", message))
        }
        _ => Ok(()),
    }
}
