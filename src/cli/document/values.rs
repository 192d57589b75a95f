//! Values as people write them in a document: attributes, durations, times, payloads.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::time;
use crate::{
    bandit::Value,
    slot::{FieldError, Payload},
};

/// An attribute's value, plain or in the form that the API gives it.
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

    /// Returns the form in which a document writes a value.
    pub(super) fn from_feature(value: &Value) -> Self {
        match value.clone() {
            Value::Number(number) => Self::Number(number),
            Value::Text(text) => Self::Text(text),
            Value::Flag(flag) => Self::Flag(flag),
            // A plain empty list does not say whether it holds texts or numbers.
            Value::Texts(values) if values.is_empty() => Self::Tagged(Tagged::Texts(Values { values })),
            Value::Vector(values) if values.is_empty() => Self::Tagged(Tagged::Vector(Values { values })),
            Value::Texts(values) => Self::Texts(values),
            Value::Vector(values) => Self::Vector(values),
        }
    }
}

/// A duration as people write it, or as a number of seconds.
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

    pub(super) fn from_us(us: i64) -> Self {
        Self::Text(humantime::format_duration(std::time::Duration::from_micros(us.unsigned_abs())).to_string())
    }
}

/// A time as people write it, or as a TOML time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a time such as 2026-12-01T08:00:00Z, or a date")]
pub(super) enum TimeText {
    Text(String),
    Toml(TomlTime),
}

/// Form in which the TOML library passes a time to types other than its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TomlTime {
    #[serde(rename = "$__toml_private_datetime")]
    text: String,
}

impl TimeText {
    /// Returns the microseconds since 1970.
    pub(super) fn us(&self, field: &str) -> Result<i64, FieldError> {
        let (Self::Text(text) | Self::Toml(TomlTime { text })) = self;
        time::parse(text).map_err(|why| FieldError::new(field, format!("'{text}' is no time; {why}")))
    }

    pub(super) fn from_us(us: i64) -> Self {
        Self::Text(time::text(us))
    }
}

/// Returns a payload as the service keeps it: each number is a double, each date a text.
pub(super) fn normal(payload: &Payload) -> Payload {
    /// Key under which the TOML library passes a date.
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

/// Returns a payload without its nulls.
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
