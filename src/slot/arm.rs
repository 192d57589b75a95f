//! Arms: the things that a slot can show.

use serde::{Deserialize, Serialize};

use super::{
    feature_limits::check_features,
    id::{ArmId, FieldError},
    limits::{PAYLOAD_BYTES_MAX, PAYLOAD_DEPTH_MAX},
    size::payload_bytes,
};
use crate::bandit::Features;

/// JSON object that a decision returns with an arm.
pub type Payload = serde_json::Map<String, serde_json::Value>;

/// Thing that can be shown. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Id of the arm.
    pub id: ArmId,
    /// Features that describe the arm.
    pub attributes: Features,
    /// Allows showing the arm, within its schedule.
    pub available: bool,
    /// Payload that decisions return with the arm.
    pub payload: Option<Payload>,
    /// Reason for which the arm is unavailable, if one was given.
    #[serde(default)]
    pub because: Option<Unavailable>,
    /// Time span in which the arm may be shown.
    #[serde(default)]
    pub schedule: Schedule,
}

/// Reason for which an arm is unavailable. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unavailable {
    /// The arm was paused.
    Paused,
    /// The arm is out of stock.
    OutOfStock,
}

/// Time span, microseconds since 1970. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedule {
    /// Start, or `None` without one.
    pub from_us: Option<i64>,
    /// End, which is excluded, or `None` without one.
    pub until_us: Option<i64>,
}

impl Schedule {
    /// Checks that the span is not empty. The error names the field by its path from the arm.
    pub fn check(&self) -> Result<(), FieldError> {
        match (self.from_us, self.until_us) {
            (Some(from_us), Some(until_us)) if from_us >= until_us => {
                Err(FieldError::new("until", "must be after from; an arm that is never to be shown can be paused"))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether the moment lies in the span.
    pub fn holds(&self, at_us: i64) -> bool {
        self.from_us.is_none_or(|from_us| at_us >= from_us) && self.until_us.is_none_or(|until_us| at_us < until_us)
    }
}

impl Arm {
    /// Creates an available arm without features, payload and schedule.
    pub fn new(id: ArmId) -> Self {
        Self {
            id,
            attributes: Features::new(),
            available: true,
            payload: None,
            because: None,
            schedule: Schedule::default(),
        }
    }

    /// Checks the arm. The error names the field by its path from the arm.
    pub fn check(&self) -> Result<(), FieldError> {
        check_features("attributes", &self.attributes)?;
        self.schedule.check().map_err(|e| e.within("schedule"))?;
        if let Some(payload) = &self.payload {
            if payload_bytes(payload) > PAYLOAD_BYTES_MAX {
                return Err(FieldError::new("payload", format!("has more than {PAYLOAD_BYTES_MAX} bytes as JSON")));
            }
            if payload.values().map(depth).max().unwrap_or(0) >= PAYLOAD_DEPTH_MAX {
                return Err(FieldError::new("payload", format!("is nested more than {PAYLOAD_DEPTH_MAX} deep")));
            }
        }
        Ok(())
    }
}

/// Nesting depth of lists and objects.
fn depth(json: &serde_json::Value) -> usize {
    match json {
        serde_json::Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => 0,
    }
}
