//! Arms: the things that a slot can show.

use serde::{Deserialize, Serialize};

use super::{
    feature_limits::check_features,
    id::{ArmId, FieldError},
    limits::{PAYLOAD_BYTES_MAX, PAYLOAD_DEPTH_MAX},
    size::payload_bytes,
};
use crate::bandit::Features;

/// What an arm hands out with a decision: a JSON object.
pub type Payload = serde_json::Map<String, serde_json::Value>;

/// A thing that can be shown. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Its id.
    pub id: ArmId,
    /// What it is.
    pub attributes: Features,
    /// Whether it may be shown, within its schedule.
    pub available: bool,
    /// Handed out with a decision.
    pub payload: Option<Payload>,
    /// Why it is not available, where that was said.
    #[serde(default)]
    pub because: Option<Unavailable>,
    /// When it may be shown.
    #[serde(default)]
    pub schedule: Schedule,
}

/// Why an arm is not available. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unavailable {
    /// Somebody paused it.
    Paused,
    /// There is none left.
    OutOfStock,
}

/// When something holds, microseconds since 1970. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedule {
    /// From this moment on; none: always.
    pub from_us: Option<i64>,
    /// Until just before this one; none: for ever.
    pub until_us: Option<i64>,
}

impl Schedule {
    /// Whether it ever holds; the error names the field by its path from the arm.
    pub fn check(&self) -> Result<(), FieldError> {
        match (self.from_us, self.until_us) {
            (Some(from_us), Some(until_us)) if from_us >= until_us => {
                Err(FieldError::new("until", "must be after from; an arm that is never to be shown can be paused"))
            }
            _ => Ok(()),
        }
    }

    /// Whether it holds at this moment.
    pub fn holds(&self, at_us: i64) -> bool {
        self.from_us.is_none_or(|from_us| at_us >= from_us) && self.until_us.is_none_or(|until_us| at_us < until_us)
    }
}

impl Arm {
    /// An available arm with nothing more said about it.
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

    /// Whether it holds together; the error names the field by its path from the arm.
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

/// How deep lists and objects are nested in it.
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
