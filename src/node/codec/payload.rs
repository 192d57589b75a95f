//! Conversion of payloads, which are JSON objects, to `google.protobuf.Struct` and back. The API uses it too.

use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::Value as Json;

use crate::slot::Payload;

/// A number that is not finite, which JSON cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("holds a number that is not finite")]
pub struct NonFiniteNumber;

/// Converts a payload to a struct.
pub(crate) fn payload_to_struct(payload: &Payload) -> Struct {
    Struct { fields: payload.iter().map(|(name, value)| (name.clone(), to_value(value))).collect() }
}

fn to_value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(*flag),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(0.0)),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(values) => Kind::ListValue(ListValue { values: values.iter().map(to_value).collect() }),
        Json::Object(object) => Kind::StructValue(payload_to_struct(object)),
    };
    Value { kind: Some(kind) }
}

/// Converts a struct to a payload.
pub(crate) fn payload_from_struct(fields: Struct) -> Result<Payload, NonFiniteNumber> {
    fields.fields.into_iter().map(|(name, value)| Ok((name, from_value(value)?))).collect()
}

fn from_value(value: Value) -> Result<Json, NonFiniteNumber> {
    Ok(match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(flag)) => Json::Bool(flag),
        Some(Kind::NumberValue(number)) => {
            serde_json::Number::from_f64(number).map(Json::Number).ok_or(NonFiniteNumber)?
        }
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => {
            Json::Array(list.values.into_iter().map(from_value).collect::<Result<_, NonFiniteNumber>>()?)
        }
        Some(Kind::StructValue(object)) => Json::Object(payload_from_struct(object)?),
    })
}
