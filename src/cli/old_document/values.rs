//! Values as people write them in a document: attributes, durations, payloads.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::time;
use crate::{
    bandit::Value,
    slot::{FieldError, Payload},
};

/// An attribute's value, plain or in the contract's form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, a text, true or false, or a list of texts or of numbers")]
pub(super) enum Attribute {
    Flag(bool),
    Number(f64),
    Text(String),
    Texts(Vec<String>),
    Vector(Vec<f32>),
    Tagged(Tagged),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tagged {
    Number(f64),
    Text(String),
    Flag(bool),
    Texts(Values<String>),
    Vector(Values<f32>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Values<T> {
    pub(super) values: Vec<T>,
}

impl Attribute {
    pub(super) fn value(&self) -> Value {
        match self.clone() {
            Self::Flag(flag) | Self::Tagged(Tagged::Flag(flag)) => Value::Flag(flag),
            Self::Number(number) | Self::Tagged(Tagged::Number(number)) => Value::Number(number),
            Self::Text(text) | Self::Tagged(Tagged::Text(text)) => Value::Text(text),
            Self::Texts(values) | Self::Tagged(Tagged::Texts(Values { values })) => Value::Texts(values),
            Self::Vector(values) | Self::Tagged(Tagged::Vector(Values { values })) => Value::Vector(values),
        }
    }

    /// As it is written.
    pub(super) fn of(value: &Value) -> Self {
        match value.clone() {
            Value::Number(number) => Self::Number(number),
            Value::Text(text) => Self::Text(text),
            Value::Flag(flag) => Self::Flag(flag),
            // An empty list would not say of what.
            Value::Texts(values) if values.is_empty() => Self::Tagged(Tagged::Texts(Values { values })),
            Value::Vector(values) if values.is_empty() => Self::Tagged(Tagged::Vector(Values { values })),
            Value::Texts(values) => Self::Texts(values),
            Value::Vector(values) => Self::Vector(values),
        }
    }
}

/// An empty table: the default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoKeys {}

/// A duration as people write it, or in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a duration such as \"14days\" or \"36h\", or a number of seconds")]
pub(super) enum DurationText {
    Text(String),
    Seconds(u32),
}

impl DurationText {
    pub(super) fn us(&self, field: &str) -> Result<i64, FieldError> {
        let duration = match self {
            Self::Seconds(seconds) => Ok(std::time::Duration::from_secs((*seconds).into())),
            Self::Text(text) => humantime::parse_duration(text),
        };
        let duration =
            duration.map_err(|why| FieldError::new(field, format!("{why}; write it as \"14days\" or \"36h\"")))?;
        i64::try_from(duration.as_micros()).map_err(|_| FieldError::new(field, "is too long"))
    }

    pub(super) fn of(us: i64) -> Self {
        Self::Text(humantime::format_duration(std::time::Duration::from_micros(us.unsigned_abs())).to_string())
    }
}

/// A time as people write it, or as TOML has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a time such as 2026-12-01T08:00:00Z, or a date")]
pub(super) enum TimeText {
    Text(String),
    Toml(TomlTime),
}

/// How the TOML library hands over a time that is none of its own types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TomlTime {
    #[serde(rename = "$__toml_private_datetime")]
    text: String,
}

impl TimeText {
    /// Microseconds since 1970.
    pub(super) fn us(&self, field: &str) -> Result<i64, FieldError> {
        let (Self::Text(text) | Self::Toml(TomlTime { text })) = self;
        time::parse(text).map_err(|why| FieldError::new(field, format!("'{text}' is no time; {why}")))
    }

    pub(super) fn of(us: i64) -> Self {
        Self::Text(time::text(us))
    }
}

/// A payload as the service keeps it: every number a double, every date a text.
pub(super) fn normal(payload: &Payload) -> Payload {
    /// Under this key the TOML library hands over a date.
    const DATE: &str = "$__toml_private_datetime";
    fn value(json: &Json) -> Json {
        match json {
            Json::Number(number) => {
                number.as_f64().and_then(serde_json::Number::from_f64).map_or(Json::Null, Json::Number)
            }
            Json::Array(values) => Json::Array(values.iter().map(value).collect()),
            Json::Object(object) => match object.get(DATE) {
                Some(date) => date.clone(),
                None => Json::Object(normal(object)),
            },
            Json::Null | Json::Bool(_) | Json::String(_) => json.clone(),
        }
    }
    payload.iter().map(|(name, json)| (name.clone(), value(json))).collect()
}

/// A payload without its nulls.
pub(super) fn without_nulls(payload: &Payload) -> Payload {
    fn value(json: &Json) -> Json {
        match json {
            Json::Array(values) => Json::Array(values.iter().filter(|v| !v.is_null()).map(value).collect()),
            Json::Object(object) => Json::Object(without_nulls(object)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => json.clone(),
        }
    }
    payload.iter().filter(|(_, json)| !json.is_null()).map(|(name, json)| (name.clone(), value(json))).collect()
}
