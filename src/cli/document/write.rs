//! Writing: from a message to TOML, by the message's descriptor.
#![expect(clippy::wildcard_enum_match_arm, reason = "a field of another kind than the handled ones has no form here")]

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    REQUIRED,
    values::{Attribute, DurationText, TimeText, without_nulls},
};
use crate::wire::schema;

/// Values that a document leaves out because they are the default, in the document's words.
const DEFAULTS: [(&str, &str); 3] = [
    ("slotwise.v1.Slot.default_consent", "full"),
    ("slotwise.v1.Rule.on_error", "ignore"),
    ("slotwise.v1.Arm.available", "true"),
];

/// Alternatives that a document leaves out because they are the default.
const DEFAULT_ALTERNATIVES: [&str; 1] = ["slotwise.v1.EvidenceEffect.others"];

/// Fields that a document names even where they are 0.
const ALWAYS: [&str; 1] = ["slotwise.v1.Goal.default_reward"];

/// A word that a document writes under the name of the number which it replaces.
const WORD_FOR_NUMBER: (&str, &str) = ("slotwise.v1.Controls.exploration_preset", "exploration");

/// A message as a table.
pub(super) struct MessageTable<'a>(pub(super) &'a DynamicMessage);

impl Serialize for MessageTable<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields: Vec<FieldDescriptor> =
            self.0.descriptor().fields().filter(|field| is_written(self.0, field)).collect();
        // TOML has plain values before tables, and tables before lists of tables.
        fields.sort_by_key(|field| (layer(field), field.number()));
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for field in fields {
            let key = if field.full_name() == WORD_FOR_NUMBER.0 { WORD_FOR_NUMBER.1 } else { field.name() };
            map.serialize_entry(key, &FieldText { field: &field, value: &self.0.get_field(&field) })?;
        }
        map.end()
    }
}

fn layer(field: &FieldDescriptor) -> u8 {
    match field.kind() {
        Kind::Message(_) if field.is_list() => 2,
        Kind::Message(message) if !message.full_name().starts_with("google.protobuf.") => 1,
        _ => 0,
    }
}

fn is_written(message: &DynamicMessage, field: &FieldDescriptor) -> bool {
    let name = field.full_name();
    if REQUIRED.contains(&name) || ALWAYS.contains(&name) {
        return true;
    }
    let text = match &*message.get_field(field) {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::EnumNumber(number) => schema::enum_text(field, *number),
        _ => None,
    };
    let is_default = DEFAULTS.iter().any(|(of, default)| *of == name && text.as_deref() == Some(default));
    message.has_field(field) && !is_default && !DEFAULT_ALTERNATIVES.contains(&name)
}

/// A field's value as people write it.
pub(super) struct FieldText<'a> {
    pub(super) field: &'a FieldDescriptor,
    pub(super) value: &'a Value,
}

impl Serialize for FieldText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { field, value } = *self;
        let element = |value| FieldText { field, value };
        match value {
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::U32(number) => serializer.serialize_u32(*number),
            Value::U64(number) => serializer.serialize_u64(*number),
            Value::F64(number) => serializer.serialize_f64(*number),
            Value::String(text) => serializer.serialize_str(text),
            Value::EnumNumber(number) => {
                serializer.serialize_str(&schema::enum_text(field, *number).unwrap_or_default())
            }
            Value::List(elements) => serializer.collect_seq(elements.iter().map(element)),
            Value::Map(entries) => {
                let entries: BTreeMap<&MapKey, &Value> = entries.iter().collect();
                serializer.collect_map(
                    entries.into_iter().map(|(key, value)| (key.as_str().unwrap_or_default(), element(value))),
                )
            }
            Value::Message(message) => serialize_message(message, serializer),
            Value::I32(_) | Value::I64(_) | Value::F32(_) | Value::Bytes(_) => {
                Err(serde::ser::Error::custom(format!("a document has no form for {}", field.full_name())))
            }
        }
    }
}

fn serialize_message<S: Serializer>(message: &DynamicMessage, serializer: S) -> Result<S::Ok, S::Error> {
    let descriptor = message.descriptor();
    match descriptor.full_name() {
        "google.protobuf.Duration" => DurationText::from_us(schema::microseconds(message)).serialize(serializer),
        "google.protobuf.Timestamp" => TimeText::from_us(schema::microseconds(message)).serialize(serializer),
        "google.protobuf.Struct" => {
            let fields = message.transcode_to().map_err(serde::ser::Error::custom)?;
            let payload = crate::node::payload_from_struct(fields).map_err(serde::ser::Error::custom)?;
            // TOML has no null; an object without the key means the same.
            without_nulls(&payload).serialize(serializer)
        }
        "slotwise.v1.FeatureValue" => attribute(message).serialize(serializer),
        _ if schema::is_choice(&descriptor) => match schema::chosen(message) {
            Some((field, Value::Message(inner))) if is_empty(inner) => serializer.serialize_str(field.name()),
            Some((field, value)) => {
                let text = FieldText { field: &field, value };
                serializer.collect_map([(field.name(), text)])
            }
            None => serializer.serialize_map(Some(0))?.end(),
        },
        _ => MessageTable(message).serialize(serializer),
    }
}

/// Returns whether the table of a message would have no keys.
fn is_empty(message: &DynamicMessage) -> bool {
    let descriptor = message.descriptor();
    !descriptor.full_name().starts_with("google.protobuf.")
        && !descriptor.fields().any(|field| is_written(message, &field))
}

fn attribute(message: &DynamicMessage) -> Attribute {
    use crate::bandit::Value as Feature;
    let values = |list: &DynamicMessage| {
        let values = list.get_field_by_name("values");
        values.as_deref().and_then(Value::as_list).map(<[Value]>::to_vec).unwrap_or_default()
    };
    let feature = match schema::chosen(message) {
        Some((_, Value::F64(number))) => Feature::Number(*number),
        Some((_, Value::String(text))) => Feature::Text(text.clone()),
        Some((_, Value::Bool(flag))) => Feature::Flag(*flag),
        Some((field, Value::Message(list))) if field.name() == "vector" => {
            Feature::Vector(values(list).iter().filter_map(Value::as_f32).collect())
        }
        Some((_, Value::Message(list))) => {
            Feature::Texts(values(list).iter().filter_map(|text| text.as_str().map(str::to_owned)).collect())
        }
        _ => Feature::Texts(Vec::new()),
    };
    Attribute::from_feature(&feature)
}
