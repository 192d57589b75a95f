//! Rules of marketers: which arms may be shown, at which positions and how often.
//!
//! A [`Rule`] is a condition in CEL over `context`, `subject` and `arm`, with an [`Effect`] on the arms that it matches.
//!
//! An [`ItemFilter`] is a condition over `item`, by which a slot takes arms from the item catalogue.
//!
//! A [`RuleBook`] holds a slot's compiled rules for its decisions. [`check_rules`] finds conflicts between rules.
//!
//! The `cel` crate parses the conditions. Types and evaluation are implemented here: they know the four variables only,
//! treat all numbers as doubles, and are bounded in stack and steps. A test compares them with the crate's own.
//!
//! Deliberately not here: the application of an effect to a decision, and the counts for the caps.

mod book;
mod call;
mod compile;
mod conflict;
mod datum;
mod eval;
mod filter;
mod guard;
mod lower;
mod node;
#[cfg(test)]
mod tests;

pub use book::{RequestFacts, RuleBook, RuleTarget, Verdict, Verdicts};
pub use conflict::check_rules;
pub use filter::ItemFilter;
use serde::{Deserialize, Serialize};

use super::{
    id::FieldError,
    limits::{
        BOOST_MAX, CAP_WINDOW_US_MAX, CAP_WINDOW_US_MIN, COUNT_MAX, NAME_BYTES_MAX, NUMBER_MAX, RULE_NAME_BYTES_MAX,
    },
};

/// Rule of a marketer. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Name of the rule, unique within the slot.
    pub name: String,
    /// Condition, a CEL expression over `context`, `subject` and `arm`. An empty condition always holds.
    pub when: String,
    /// Effect on the arms that the condition matches.
    pub effect: Effect,
    /// Meaning of a condition that fails while it is evaluated.
    #[serde(default)]
    pub on_error: OnError,
    /// Keeps the rule without an effect.
    #[serde(default)]
    pub paused: bool,
}

/// Meaning of a condition that fails while it is evaluated, for example because the request lacks a feature. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnError {
    /// The rule does not apply to the arm.
    #[default]
    Ignore,
    /// The arm is not eligible.
    Exclude,
}

/// Effect of a rule on the arms that it matches. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// The arms are not eligible.
    Exclude,
    /// The arms are eligible only if the posterior is sure enough that their reward exceeds a comparand.
    Evidence {
        /// Required probability, from 0.5 to below 1.
        confidence: f64,
        /// Reward that the arms must exceed.
        than: Comparand,
    },
    /// A position goes to one of the arms.
    Pin {
        /// Position, from 1.
        position: u32,
    },
    /// The arms' expected reward is multiplied by a factor.
    Boost {
        /// Factor, above 0 and at most 100. A factor below 1 lowers the arms.
        factor: f64,
    },
    /// The probability of each arm is bounded.
    ProbabilityBounds {
        /// Least probability.
        floor: Option<f64>,
        /// Greatest probability.
        ceiling: Option<f64>,
    },
    /// The arms are shown at most this often to one subject.
    SubjectCap {
        /// Greatest number of showings.
        count: u32,
        /// Time within which the showings count, microseconds.
        window_us: i64,
        /// Counts all matched arms together instead of each by itself.
        together: bool,
    },
    /// The arms are shown at most this often per day, in UTC.
    DayCap {
        /// Greatest number of showings.
        count: u64,
        /// Counts all matched arms together instead of each by itself.
        together: bool,
    },
    /// The values of an attribute are limited over the first positions.
    Quota {
        /// Attribute of the arms.
        attribute: String,
        /// Number of positions from the first on.
        top: u32,
        /// Least number of different values.
        min_values: Option<u32>,
        /// Greatest number of arms of one value.
        max_per_value: Option<u32>,
    },
    /// The arms stand at most this many positions from their position in the caller's order.
    MaxMoves {
        /// Greatest number of positions.
        positions: u32,
    },
}

/// Reward that an arm must exceed under [`Effect::Evidence`]. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Comparand {
    /// Fixed reward.
    Reward(f64),
    /// Best expected reward of the eligible arms that the rule does not match.
    Others,
}

impl Rule {
    /// Checks the rule by itself. The error names the field by its path from the rule.
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
        compile::compile(lower::Vocabulary::Rule, &self.when).map_err(at_place)?;
        self.effect.check()
    }
}

/// Refusal of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    /// Byte of the text that the refusal is about.
    at: usize,
    /// Message that says what is wrong and what to do.
    message: String,
}

impl Refusal {
    fn new(at: usize, message: String) -> Self {
        Self { at, message }
    }

    /// Returns the message with line and column, in characters from 1.
    fn words(&self, text: &str) -> String {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: {}", self.message)
    }
}

/// Checks that a number lies in a closed range.
fn within(field: &str, value: f64, low: f64, high: f64) -> Result<(), FieldError> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(FieldError::new(field, format!("is {value}; must be from {low} to {high}")))
    }
}

/// Checks that a count lies in a closed range.
fn counted(field: &str, value: u32, low: u32, high: u32) -> Result<(), FieldError> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(FieldError::new(field, format!("is {value}; must be from {low} to {high}")))
    }
}

impl Effect {
    /// Checks the ranges of the numbers. The error names the field by its path from the rule.
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
            Effect::ProbabilityBounds { floor, ceiling } => check_probability_bounds(*floor, *ceiling),
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

fn check_probability_bounds(floor: Option<f64>, ceiling: Option<f64>) -> Result<(), FieldError> {
    if floor.is_none() && ceiling.is_none() {
        return Err(FieldError::new("bounds", "says nothing; set floor, ceiling or both"));
    }
    if let Some(floor) = floor {
        within("bounds.floor", floor, 0.0, 1.0)?;
    }
    if let Some(ceiling) = ceiling {
        if ceiling == 0.0 {
            return Err(FieldError::new("bounds.ceiling", "is 0; to show them to nobody use exclude"));
        }
        within("bounds.ceiling", ceiling, 0.0, 1.0)?;
    }
    match (floor, ceiling) {
        (Some(floor), Some(ceiling)) if floor > ceiling => {
            let message = format!("is {floor}, above the ceiling {ceiling}; lower one or raise the other");
            Err(FieldError::new("bounds.floor", message))
        }
        _ => Ok(()),
    }
}
